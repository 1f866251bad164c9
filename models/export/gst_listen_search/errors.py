"""What goes wrong with what a user gave."""


class SearchError(Exception):
    """One sentence for the user: what was expected, and what came. Printed without a traceback; exit status 1."""


class RecordingError(SearchError):
    """One recording cannot be heard: it is named and skipped."""
