//! What was heard: events, captions and embeddings of the past, in stream time.

mod scene;
mod sound;
mod store;

pub use scene::{MinEvidence, Scene};
pub use sound::{Embedding, Said, Sound};
pub use store::{Counts, Evidence, Limits};
