"""The models as PyTorch modules of our own, written from their papers: this is what is exported."""
