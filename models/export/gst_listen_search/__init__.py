"""Finds in a folder of recordings the seconds that match a sentence. `cli.py` is the program, `store.py` the format on disk.

Nothing here imports PyTorch: NumPy, ONNX Runtime, safetensors and tokenizers are enough.
"""
