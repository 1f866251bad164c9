"""What goes wrong with what a user gave."""


class ExportError(Exception):
    """One sentence for the user: what was expected, and what came. Printed without a traceback; exit status 1."""
