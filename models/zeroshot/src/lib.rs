//! Embeddings to scores to events.
//!
//! A [`LabelList`] says what is listened for, a [`TextTower`] makes embeddings of it, a [`Matcher`] scores the embeddings
//! of sound by them, and a [`Detector`] makes events of the scores. Nothing here knows GStreamer or reads a clock: the time
//! of every embedding is given, so that a replay gives the same events as the live run.

mod detector;
mod event;
mod json;
mod labels;
mod labels_file;
mod line;
mod matcher;
mod near;
mod rules;
mod score;
mod smoothing;
mod source;
mod tagger;
mod text;
mod text_onnx;
mod time;
mod tracker;

pub use detector::{Counts, Detector, LabelScore};
pub use event::{Change, EndReason, Event, EventIds, Span};
pub use json::{Source, Window, event_line, score_line};
pub use labels::{
    Label, LabelError, LabelList, MAX_LABEL_CHARS, MAX_LABELS, MAX_PROMPT_CHARS, MAX_PROMPTS, MAX_SPAN,
};
pub use labels_file::FileError;
pub use line::text_line;
pub use matcher::{MatchError, MatchOptions, Matcher, TextSpace};
pub use rules::{Rule, Settings, SettingsError};
pub use score::{Background, Defaults, ScaleError, ScoreKind};
pub use smoothing::{MAX_SMOOTHING, Smoothing};
pub use source::{LabelSource, text_tower};
pub use tagger::{Classes, Classifier};
pub use text::{Table, TextError, TextTower};
pub use text_onnx::OnnxTextTower;
pub use time::{Plain, Timeline, rfc3339};
pub use tracker::{Sample, Standing, Tracker};
