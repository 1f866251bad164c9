//! Why a server gave no answer.

use std::time::Duration;

/// Why a server gave no answer, or cannot be asked. No message holds the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// An address that is none.
    #[error("url must be http://host[:port]/path or https://…, without a password, found {found:?}")]
    Url {
        /// What it is.
        found: String,
    },
    /// A key that is not there.
    #[error("{from}: {reason}")]
    Key {
        /// Where it was looked for.
        from: String,
        /// Why there is none.
        reason: String,
    },
    /// No certificates to judge servers by.
    #[error(
        "no certificates of authorities are to be found ({reason}); install ca-certificates or set SSL_CERT_FILE"
    )]
    Roots {
        /// What the system says.
        reason: String,
    },
    /// Threads could not be started.
    #[error("the network's thread could not be started: {reason}")]
    Runtime {
        /// What the system says.
        reason: String,
    },
    /// No connection.
    #[error("{host} cannot be reached: {reason}")]
    Connect {
        /// Host and port.
        host: String,
        /// What the system says.
        reason: String,
    },
    /// A certificate that is not trusted, or a server that does not speak TLS.
    #[error("{host}: no secure connection: {reason}")]
    Tls {
        /// Host and port.
        host: String,
        /// Why.
        reason: String,
    },
    /// The server refused.
    #[error("the server answered {code}: {message}")]
    Status {
        /// The status of HTTP.
        code: u16,
        /// The server's words, shortened.
        message: String,
        /// After which the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The answer ended before it was whole.
    #[error("the answer was cut off: {reason}")]
    Cut {
        /// Where.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("nothing came for {0:?}")]
    Idle(Duration),
    /// An answer that is none of the protocol.
    #[error("the answer is not that of the chat completions protocol: {reason}")]
    Malformed {
        /// Why.
        reason: String,
    },
    /// More than is read.
    #[error("the answer must be at most {limit} bytes, found more")]
    TooLarge {
        /// What is read at most.
        limit: usize,
    },
    /// An answer without text.
    #[error("the answer has no text")]
    Empty,
}

impl HttpError {
    /// Whether the same request may well succeed soon.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            HttpError::Connect { .. } | HttpError::Cut { .. } | HttpError::Idle(_) => true,
            HttpError::Status { code, .. } => matches!(code, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}
