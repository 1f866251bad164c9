"""Makes model packages for gst-listen of checkpoints that a user has."""

__version__ = "0.1.0"
