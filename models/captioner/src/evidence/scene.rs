//! What was heard in one stretch of time: what a request is about.

use std::sync::Arc;

use super::{Embedding, Labels, Said, Sound};

/// Evidence of `start..now`, in the order of its beginnings. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scene {
    /// Where the time asked about begins, in nanoseconds of stream time; not before the stream was heard.
    pub start: u64,
    /// The stream's position: the end of the time asked about, and what "now" means in questions.
    pub now: u64,
    /// Where hearing began (or began again behind a flush, or where the store forgot): nothing is known of what was before.
    pub since: u64,
    /// Events with any part in the time, by onset.
    pub sounds: Vec<Arc<Sound>>,
    /// Embeddings of windows with any part in the time, by start. Those of one channel where events are of one.
    pub embeddings: Vec<Arc<Embedding>>,
    /// Captions of before, by start; empty unless they were asked for.
    pub said: Vec<Arc<Said>>,
    /// What level is background (dB), where enough windows with a level were heard.
    pub background: Option<f32>,
    /// What is known to be listened for.
    pub labels: Arc<Labels>,
}

/// What there must be before anything is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinEvidence {
    /// Peak score from which on an event is evidence: what is below is neither told nor counted.
    pub score: f32,
    /// How far a window's level must be above the background, in dB, for its embedding to be evidence where there are
    /// no events.
    pub above: f32,
}

impl Default for MinEvidence {
    /// Every event; a window 6 dB above the background.
    fn default() -> Self {
        Self { score: 0.0, above: 6.0 }
    }
}

impl Scene {
    /// Whether there is anything to be said: an event, or the embedding of a window above the background.
    ///
    /// A window without a level, or before the background is known, is no evidence: nothing is said about silence.
    pub fn is_worth_telling(&self, min: &MinEvidence) -> bool {
        let loud = |embedding: &Arc<Embedding>| {
            embedding
                .level
                .zip(self.background)
                .is_some_and(|(level, background)| level >= background + min.above)
        };
        self.sounds.iter().any(|sound| sound.peak >= min.score) || self.embeddings.iter().any(loud)
    }

    /// The scene without the events that are no evidence.
    pub fn with(mut self, min: &MinEvidence) -> Scene {
        self.sounds.retain(|sound| sound.peak >= min.score);
        self
    }
}
