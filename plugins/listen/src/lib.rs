//! GStreamer plugin: understands sound in real time.
