//! Caps, timeline, metas, messages and errors shared by the elements.
