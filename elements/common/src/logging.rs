//! Logs of the lower floors in GST_DEBUG.
