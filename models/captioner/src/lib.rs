//! Evidence to sentences, and answers to questions about it.
//!
//! [`Evidence`] keeps what was heard; a [`Scene`] is what of it a [`Request`] is about; a [`Captioner`] makes a
//! [`Reply`] of it.

mod cancel;
mod error;
mod evidence;
mod request;

pub use cancel::Cancel;
pub use error::CaptionError;
pub use evidence::{Counts, Embedding, Evidence, Limits, MinEvidence, Said, Scene, Sound};
pub use request::{Backend, Captioner, Finish, Notice, Progress, Reply, Request, Task};

/// Longest text of a reply, in bytes.
pub const MAX_TEXT: usize = 4096;
