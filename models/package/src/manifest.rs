//! The manifest: everything that the weights cannot say (`manifest.json`).

use std::collections::BTreeMap;

use listen_features::FrontEnd;
use serde::{Deserialize, Serialize};

/// `manifest.json`, format version 1. Its JSON schema lies in `models/package/schema/manifest.schema.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always `audio-embedding-package`.
    pub format: String,
    /// Version of this format: 1.
    pub version: u32,
    /// Name of the package: `[a-z0-9._-]+`.
    pub id: String,
    /// The family of models it belongs to, in words for people; no code looks at it.
    pub family: String,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// sha256 of every file of the package but the manifest, in lower-case hex.
    pub sha256: BTreeMap<String, String>,
    /// Under what terms the weights may be used.
    pub license: License,
    /// What the encoder hears.
    pub audio: Audio,
    /// How samples become frames.
    pub frontend: Frontend,
    /// What is done to the frames before the encoder.
    pub normalize: Normalize,
    /// How frames are cut into windows.
    pub window: Window,
    /// The audio encoder.
    pub encoder: Encoder,
    /// How the encoder's output becomes one vector per time step (`output=frames`).
    pub frame_embedding: FrameEmbedding,
    /// How the vectors of a window become one (`output=clip`), where no head does it.
    pub clip_pooling: ClipPooling,
    /// A graph that maps the encoder's output to the space of the text embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// How embeddings are compared with text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clap: Option<Clap>,
    /// The text tower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// Text embeddings computed beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_embeddings: Option<LabelEmbeddings>,
    /// A classifier with fixed classes on the clip embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagger: Option<Tagger>,
    /// Input with known output, computed when the package is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTest>,
}

/// Terms of use of the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct License {
    /// SPDX identifier or the licence's own name.
    pub id: String,
    /// File of the package that holds its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Whether the weights may be passed on.
    pub redistributable: bool,
    /// Whether the weights may be used commercially.
    pub commercial_use: bool,
    /// Whether the user must say `accept-license=true` before the package opens.
    pub accept_required: bool,
    /// Where the weights come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// sha256 of the checkpoint that was converted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_sha256: Option<String>,
}

/// What the encoder hears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audio {
    /// Samples per second.
    pub sample_rate: u32,
    /// Number of channels: 1.
    pub channels: u32,
    /// Samples in [-1, 1] are multiplied by it before the front end.
    pub pre_scale: f64,
    /// Whether samples are rounded to 16 bits first.
    pub int16_roundtrip: bool,
}

/// How samples become frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Frontend {
    /// By a log-mel front end outside the graph.
    Logmel(FrontEnd),
    /// The graph takes samples.
    InGraph,
}

/// Normalisation of the frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Normalize {
    /// None.
    None,
    /// `(L - mean) / std`.
    Fixed {
        /// Subtracted.
        mean: f64,
        /// Divided by.
        std: f64,
    },
    /// By mean and deviation of the window itself.
    PerWindow,
    /// By a mean and deviation that follow the stream.
    Running {
        /// Time constant, in seconds.
        tau: f64,
        /// Mean at the start of the stream.
        mean: f64,
        /// Deviation at the start of the stream.
        std: f64,
    },
}

/// How frames are cut into windows. All lengths in frames (samples where the front end is in the graph).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Default window.
    pub frames: u32,
    /// Shortest window that the encoder takes.
    pub min_frames: u32,
    /// A window is a multiple of this.
    pub multiple_of: u32,
    /// Longest window that the encoder takes.
    pub max_frames: u32,
    /// Default distance between windows.
    pub default_hop_frames: u32,
    /// How a window that the stream's end cuts short is filled.
    pub short_pad: ShortPad,
    /// Whether a window's edge frames see the samples around it.
    pub edge: Edge,
    /// What `m2dencode` gives where the user does not say.
    pub default_output: Output,
}

/// Filling of a short window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortPad {
    /// Zeros after normalisation: the mean level, not silence.
    ZeroNormalized,
    /// What there is, again and again.
    Repeat,
    /// The front end's value for digital silence.
    Silence,
}

/// The frames at a window's edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// As if the window were a recording of its own: reflected at both ends.
    Exact,
    /// Cut from the continuous stream of frames.
    Rolling,
}

/// What an embedding stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// One vector per window.
    Clip,
    /// One vector per time step.
    Frames,
    /// The encoder's tokens.
    Tokens,
}

/// Numeric precision of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// float32.
    Fp32,
    /// float16.
    Fp16,
    /// bfloat16 (an execution provider's own; the graph is float32).
    Bf16,
    /// 8-bit integers.
    Int8,
}

/// The audio encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// A graph per precision.
    pub graphs: BTreeMap<Precision, Graph>,
    /// Its input.
    pub input: Input,
    /// Its output.
    pub output: EncoderOutput,
}

/// One ONNX file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// The file.
    pub file: String,
    /// Files with external data that it refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_data: Vec<String>,
    /// Cosine of its embeddings to the float32 graph's, as measured at export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f64>,
    /// Largest batch that it may run at (dynamically quantised graphs: 1); absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_batch: Option<u32>,
}

/// The encoder's input tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name in the graph.
    pub name: String,
    /// The order of its dimensions.
    pub layout: Layout,
}

/// Order of the input's dimensions: batch, 1 channel, frequency, time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// `[B, 1, F, T]`
    B1FT,
    /// `[B, 1, T, F]`
    B1TF,
    /// `[B, F, T]`
    BFT,
    /// `[B, T, F]`
    BTF,
    /// `[B, T]`, samples.
    BT,
}

/// The encoder's output tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderOutput {
    /// Its name in the graph.
    pub name: String,
    /// What it holds.
    pub kind: EncoderKind,
    /// Length of one vector.
    pub dim: u32,
    /// Order of the tokens (kind `tokens`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<TokenOrder>,
    /// Rows of tokens over frequency (kind `tokens`; 1 otherwise).
    pub freq_rows: u32,
    /// Frames that one time step stands for (0 for kind `clip` and `logits`).
    pub frames_per_column: u32,
}

/// What the encoder's output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderKind {
    /// A grid of tokens `[B, freq_rows * columns, dim]`.
    Tokens,
    /// A vector per time step `[B, columns, dim]`.
    Frames,
    /// One vector `[B, dim]`.
    Clip,
    /// Class scores `[B, dim]`.
    Logits,
}

/// Order of a grid of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenOrder {
    /// `index = f * columns + t`
    FMajor,
    /// `index = t * freq_rows + f`
    TMajor,
}

/// How the encoder's output becomes one vector per time step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameEmbedding {
    /// The rows of a column one after the other: `freq_rows * dim` values.
    StackFreq,
    /// The mean of a column's rows: `dim` values.
    MeanFreq,
    /// The output as it is (kind `frames`).
    Identity,
    /// There is none (kinds `clip` and `logits`).
    None,
}

/// How the vectors of a window become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipPooling {
    /// Mean over time of the frame embeddings.
    MeanTime,
    /// Mean plus maximum over time of the frame embeddings.
    MeanPlusMaxTime,
    /// None: the encoder or the head gives one vector.
    None,
}

/// A graph from the encoder's output to the space of the text embeddings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The graph.
    pub file: String,
    /// Its input's name.
    pub input: String,
    /// Its output's name.
    pub output: String,
    /// What it is given.
    pub takes: HeadInput,
    /// Length of the vector that it gives.
    pub dim: u32,
    /// Whether it also maps single time steps (`output=frames` then gives embeddings in the text's space).
    pub frames: bool,
}

/// What a head is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadInput {
    /// All tokens or frames `[B, N, dim]`; it pools them itself and gives `[B, dim]`.
    All,
    /// The pooled vector `[B, dim]`.
    Pooled,
}

/// How embeddings are compared with text.
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
    /// Sentences that a label is put into at `{}`; a label's embedding is the mean over them.
    pub prompt_templates: Vec<String>,
    /// Sounds that are always there to be told apart from the labels.
    pub background_prompts: Vec<String>,
    /// How cosines become scores in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Score at which an event begins, where the user does not say.
    pub default_threshold: f64,
    /// Score below which an event ends, where the user does not say.
    pub default_offset_threshold: f64,
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
    /// A safetensors file; tensor `embeddings` `[L, dim]`.
    pub file: String,
    /// The labels, in the order of the rows.
    pub labels: Vec<String>,
}

/// A classifier with fixed classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tagger {
    /// The graph, from the clip embedding `[B, dim]`; absent where the encoder gives the scores (kind `logits`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its input's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Its output's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What makes scores of its output.
    pub activation: Activation,
    /// A text file with one class a line, in the order of the scores.
    pub labels: String,
}

/// What makes scores of a classifier's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Each class by itself.
    Sigmoid,
    /// One class of all.
    Softmax,
    /// The output is the scores.
    None,
}

/// Input with known output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// A safetensors file: `samples` `[N]`, and of what they become `log_mel` `[T, n_mels]` (frames of exactly one
    /// window), `embedding` `[dim]` (`output=clip`) or either of them alone.
    pub file: String,
    /// Largest absolute difference of the log-mel.
    pub log_mel_max_abs: f64,
    /// Smallest cosine of the embedding, at full precision.
    pub embedding_min_cos: f64,
}
