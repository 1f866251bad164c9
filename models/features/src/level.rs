//! How loud a window of frames is.
