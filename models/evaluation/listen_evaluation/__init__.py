"""How good a model package is, measured through the elements of GStreamer. See README.md."""
