//! What was heard: events, captions and embeddings of the past, in stream time.

pub(crate) mod block;
pub(crate) mod compact;
pub(crate) mod heard;
mod labels;
mod line;
mod scene;
mod sound;
mod store;

pub use block::MAX_NAME;
pub use labels::{Label, Labels};
pub use line::{LineError, MAX_LINE};
pub use scene::{MinEvidence, Scene};
pub use sound::{Embedding, Said, Sound};
pub use store::{Counts, Evidence, Limits};
