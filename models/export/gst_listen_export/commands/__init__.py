"""A module per subcommand that exports nothing: `NAME`, `HELP`, `add_arguments(parser)`, `run(args)`; as in `families/`."""
