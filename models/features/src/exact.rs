//! Windows as if each were a recording of its own (`edge=exact`).
