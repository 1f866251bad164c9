//! GStreamer element: samples to log-mel frames.
