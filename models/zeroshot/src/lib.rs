//! Embeddings to scores to events.
//!
//! A [`LabelList`] says what is listened for, a [`TextTower`] makes embeddings of it, a [`Matcher`] scores the embeddings
//! of sound by them, and a [`Detector`] makes events of the scores. Nothing here knows GStreamer or reads a clock: the time
//! of every embedding is given, so that a replay gives the same events as the live run.
//!
//! ```
//! use listen_package::Activation;
//! use listen_zeroshot::{Classes, Detector, Plain, Settings, Span, text_line};
//!
//! // A package with fixed classes: its embeddings are their scores. With a text tower, see `LabelSource`.
//! let classes = ["dog barking", "siren"].map(str::to_owned).to_vec();
//! let matcher = Classes::new(classes, Activation::None).select(None)?;
//! let mut detector = Detector::new(matcher, Settings::default())?;
//!
//! let mut changes = Vec::new();
//! for (k, scores) in [[0.1, 0.0], [0.9, 0.1], [0.8, 0.1], [0.1, 0.0]].iter().enumerate() {
//!     let second = 1_000_000_000;
//!     let start = k as u64 * second;
//!     detector.push(Span::new(start, start + second, second), -1, None, scores, &mut changes)?;
//! }
//! let lines: Vec<String> = changes.iter().map(|change| text_line(change, "en", &Plain)).collect();
//! assert_eq!(lines, ["00:00:01.0 dog barking begins (0.90)", "00:00:03.0 dog barking ends after 2.0 s (peak 0.90)"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod detector;
mod edges;
mod error;
mod event;
mod heard;
mod history;
mod json;
mod labels;
mod labels_file;
mod line;
mod matcher;
mod mixed;
mod near;
mod placing;
mod rules;
mod score;
mod smoothing;
mod source;
mod steps;
mod tagger;
mod text;
mod text_onnx;
mod time;
mod tracker;

pub use detector::{Counts, Detector, LabelScore};
pub use edges::{Edge, Edges};
pub use error::MatchError;
pub use event::{Change, EndReason, Event, EventIds, Span};
pub use json::{Source, Window, event_line, score_line};
pub use labels::{
    Label, LabelError, LabelList, MAX_LABEL_CHARS, MAX_LABELS, MAX_PROMPT_CHARS, MAX_PROMPTS, MAX_SPAN,
};
pub use labels_file::FileError;
pub use line::text_line;
pub use matcher::{MatchOptions, Matcher, TextSpace};
pub use placing::{Layers, Placing};
pub use rules::{Rule, Settings, SettingsError};
pub use score::{Background, Defaults, ScaleError, ScoreKind};
pub use smoothing::{MAX_SMOOTHING, Smoothing};
pub use source::{LabelSource, text_tower};
pub use tagger::{Classes, Classifier};
pub use text::{Table, TextError, TextTower};
pub use text_onnx::OnnxTextTower;
pub use time::{Plain, Timeline, rfc3339};
pub use tracker::{Sample, Standing, Tracker};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_can_be_embedded_in_another_thread_than_they_are_used_in() {
        fn sent<T: Send>() {}
        sent::<LabelSource>();
        sent::<Matcher>();
        sent::<Detector>();
        sent::<MatchError>();
    }
}
