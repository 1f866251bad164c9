//! GStreamer element: log-mel frames to embeddings.
