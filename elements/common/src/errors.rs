//! Errors of the lower floors as element messages.
