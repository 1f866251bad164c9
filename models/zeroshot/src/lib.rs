//! Embeddings to scores to events.
