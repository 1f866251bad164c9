//! The graphs that hear, and what is made of their output.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// Rows of tokens over frequency (1 for the other kinds).
    pub freq_rows: u32,
    /// Frames that one time step stands for (0 for kind `clip` and `logits`); frames that fill no step are left out.
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
    /// Class scores `[B, dim]`, before the tagger's activation.
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
    /// None: the encoder gives one vector, or the head takes everything (`takes: all`).
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
    /// Whether it also maps single time steps (`output=frames` then gives embeddings in the text's space): with `pooled` a
    /// step's frame embedding, with `all` the step's own tokens.
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

/// A classifier with fixed classes: a graph on the clip embedding, or the names of an encoder's own classes.
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
