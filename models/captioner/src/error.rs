//! Why there is no text.

use std::time::Duration;

use crate::http::HttpError;
use crate::local::LocalError;

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
    /// An option that is not possible.
    #[error("{name} must be {expected}, found {found}")]
    Option {
        /// The option.
        name: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A decoder whose logits are no numbers.
    #[error("the decoder gives no token: none of its logits is a number")]
    NoToken,
    /// The package's decoder.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The server.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl CaptionError {
    /// Whether the request was given up by who made it: no fault of the backend's.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, CaptionError::Cancelled)
    }
}
