//! GStreamer element: passes audio through and posts what is heard in it.
