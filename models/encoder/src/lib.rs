//! Log-mel frames to windows to embeddings.
