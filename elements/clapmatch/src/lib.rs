//! GStreamer element: embeddings to labels and events.
