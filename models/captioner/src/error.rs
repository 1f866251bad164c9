//! Why there is no text.

use std::time::Duration;

/// Why a request got no text, or a captioner could not be made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CaptionError {
    /// The request was given up.
    #[error("the request was given up")]
    Cancelled,
    /// The request took longer than it may.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl CaptionError {
    /// Whether the request was given up by who made it: no fault of the backend's.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, CaptionError::Cancelled)
    }
}
