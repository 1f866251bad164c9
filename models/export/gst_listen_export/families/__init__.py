"""A module per family of models: `NAME`, `HELP`, `add_arguments(parser)`, `export(args)`, and if it can, `recognise(checkpoint)`.

Every module here whose name begins with no underscore becomes a subcommand. It is imported to print the help: PyTorch and
whatever else is slow is imported inside `export`.
"""
