//! The side of the text: how embeddings are compared with words, and where the words' embeddings come from.

use serde::{Deserialize, Serialize};

/// How embeddings are compared with text.
///
/// Where it is there, embeddings of sound and of text are brought to unit length ([`unit_length`](crate::Manifest::unit_length)):
/// the graphs need not do it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clap {
    /// Length of the embeddings.
    pub dim: u32,
    /// Factor on the cosine, where the model was trained with one: `sigmoid(scale * cos + bias)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logit_scale: Option<f64>,
    /// Added to the scaled cosine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logit_bias: Option<f64>,
    /// Sentences that a label is put into at `{}`; a label's embedding is the mean over theirs (each at unit length).
    pub prompt_templates: Vec<String>,
    /// Sounds that are always there to be told apart from the labels.
    pub background_prompts: Vec<String>,
    /// How cosines become scores in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// What finds the onsets and offsets of events; absent: the steepest step of a score, moved to an edge of the sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placing: Option<Placing>,
    /// Score at which an event begins, where the user does not say.
    pub default_threshold: f64,
    /// Score below which an event ends, where the user does not say.
    pub default_offset_threshold: f64,
    /// Time constant in seconds of the exponential mean over scores, where the user does not say; absent: no mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_smoothing: Option<f64>,
}

/// How cosines become scores in [0, 1] (models.md 6.3).
///
/// `z = (cos - mean) / std` with the label's mean and deviation over `embeddings` (never below `min_std`),
/// `score = sigmoid(a * z + b)`; where the package has a `logit_scale`,
/// `score = sigmoid(min(a * z + b, logit_scale * cos + logit_bias))`: a score must be high among sounds that are
/// not meant and by the model's own measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// A safetensors file; tensor `background` `[N, dim]`: embeddings of unrelated sound, unit length.
    pub file: String,
    /// Factor on z.
    pub a: f64,
    /// Added.
    pub b: f64,
    /// Smallest deviation taken.
    pub min_std: f64,
}

/// Two small networks that choose, among the moments at which a sound changes, where an event begins and ends.
///
/// What they are told is said in `FORMAT.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placing {
    /// A safetensors file: for `onset` and `offset` the layers `onset.0.weight`, `onset.0.bias` and so on.
    pub file: String,
    /// Mel frames from one score to the next, as they learnt them: 60 to 120 ms.
    pub step_frames: u32,
}

/// The text tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The graph.
    pub file: String,
    /// A Hugging Face `tokenizer.json`.
    pub tokenizer: String,
    /// Names of the graph's inputs: token ids, then (if there are two) the attention mask; int64 `[B, N]`.
    pub inputs: Vec<String>,
    /// Name of the graph's output.
    pub output: String,
    /// Longest text, in tokens.
    pub max_length: u32,
    /// Padding.
    pub pad: TextPad,
    /// Id that texts are padded with.
    pub pad_id: u32,
    /// How the graph's output becomes one vector.
    pub pooling: TextPooling,
    /// Added to every text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub append: String,
}

/// Padding of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPad {
    /// To the longest of a batch.
    Longest,
    /// To `max_length`.
    MaxLength,
}

/// How the text graph's output becomes one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPooling {
    /// The graph gives `[B, dim]`.
    InGraph,
    /// Mean over the tokens that are not padding.
    MeanMask,
    /// The first token.
    Cls,
    /// The last token that is not padding.
    LastToken,
}

/// Text embeddings computed beforehand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelEmbeddings {
    /// A safetensors file; tensor `embeddings` `[L, dim]`, no row of zeros.
    pub file: String,
    /// The labels, in the order of the rows.
    pub labels: Vec<String>,
}
