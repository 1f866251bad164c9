"""Trains the default package of gst-listen: a compact audio encoder and text tower that share one space."""

__version__ = "0.1.0"
