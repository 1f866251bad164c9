//! The manifest: everything that the weights cannot say (`manifest.json`).

mod captioner;
mod encoder;
mod text;

use std::collections::BTreeMap;

use listen_features::FrontEnd;
use serde::{Deserialize, Deserializer, Serialize};

pub use captioner::*;
pub use encoder::*;
pub use text::*;

/// `manifest.json`, format version 1.
///
/// `models/package/FORMAT.md` explains every key and what must hold between them; the JSON schema lies in
/// `models/package/schema/manifest.schema.json`. A value of this type that came from [`Package`](crate::Package) keeps all
/// of these rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`Manifest::FORMAT`].
    pub format: String,
    /// Version of this format: [`Manifest::VERSION`].
    pub version: u32,
    /// Name of the package: 1 to 64 of `[a-z0-9._-]`.
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
    /// What is done to the frames (samples, where the graph takes them) before the encoder.
    pub normalize: Normalize,
    /// How frames are cut into windows.
    pub window: Window,
    /// How a stream may be encoded in chunks with the same result as whole; absent: it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streaming: Option<Streaming>,
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
    /// A classifier with fixed classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagger: Option<Tagger>,
    /// A decoder that writes captions of embeddings and events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captioner: Option<Captioner>,
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
///
/// (`deny_unknown_fields` cannot stand here beside `FrontEnd`, which denies them itself.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Frontend {
    /// By a log-mel front end outside the graph.
    Logmel(FrontEnd),
    /// The graph takes samples.
    #[serde(deserialize_with = "nothing_else")]
    InGraph,
}

/// Normalisation of the frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Normalize {
    /// None.
    #[serde(deserialize_with = "nothing_else")]
    None,
    /// `(L - mean) / std`.
    Fixed {
        /// Subtracted.
        mean: f64,
        /// Divided by.
        std: f64,
    },
    /// By mean and deviation (of the population, never below 1e-6) of all values of the window itself, before it is filled.
    #[serde(deserialize_with = "nothing_else")]
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
    /// How a window that the stream's end cuts short is filled to its full length, after normalisation.
    pub short_pad: ShortPad,
    /// Whether a window's edge frames see the samples around it.
    pub edge: Edge,
    /// What `m2dencode` gives where the user does not say.
    pub default_output: Output,
}

/// What a chunk of a stream needs around it, so that its time steps are those of the whole stream. All lengths in frames.
///
/// It is a promise: the graph's time steps of frames `[k * chunk_frames, (k + 1) * chunk_frames)` do not depend on what
/// lies further away than the contexts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Streaming {
    /// Frames of a chunk, whose time steps are kept.
    pub chunk_frames: u32,
    /// Frames before it that its time steps see.
    pub left_context: u32,
    /// Frames after it that its time steps see.
    pub right_context: u32,
    /// How the graph carries over what it has heard, so that each frame goes through it once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry: Option<Carry>,
}

/// What a graph that is run on one part of a stream after the other carries over. All its ends are float32, and its inputs
/// have defaults (initializers): run on the frames alone the graph gives the time steps of the whole.
///
/// With a tail of length 0 the stream goes on: the time steps come `right_context` frames later than what they stand for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carry {
    /// The input that stands behind the stream's end; its last dimension is its length.
    pub tail: String,
    /// What a run gives and the next one takes. At the stream's start the inputs' defaults stand.
    pub states: Vec<CarriedState>,
}

/// One of the tensors that a graph carries over, of any shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedState {
    /// The input that takes what the run before gave.
    pub input: String,
    /// The output that gives it.
    pub output: String,
}

/// Filling of a short window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortPad {
    /// Zeros after normalisation: the mean level, not silence.
    ZeroNormalized,
    /// What there is, as often as it fits whole, then digital silence.
    Repeat,
    /// What there is, again and again, the last time as far as it fits.
    RepeatCut,
    /// The front end's value for digital silence, normalised.
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

/// Input with known output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// A safetensors file: `samples` `[N]`, as many as make exactly one default window, and of what they become as a
    /// recording of their own: `log_mel` `[T, n_mels]`, `embedding` `[dim]` (`output=clip`; the class scores before the
    /// activation for an encoder of kind `logits`), or either of them alone.
    pub file: String,
    /// Largest absolute difference of the log-mel.
    pub log_mel_max_abs: f64,
    /// Smallest cosine of the embedding, at full precision.
    pub embedding_min_cos: f64,
}

impl Manifest {
    /// What `format` says.
    pub const FORMAT: &str = "audio-embedding-package";
    /// What `version` says.
    pub const VERSION: u32 = 1;

    /// Length of a time step's embedding before the head (`output=frames`); `None` where the encoder gives no time steps.
    pub fn frame_dim(&self) -> Option<u32> {
        let EncoderOutput { dim, freq_rows, .. } = self.encoder.output;
        match self.frame_embedding {
            FrameEmbedding::StackFreq => Some(dim.saturating_mul(freq_rows)),
            FrameEmbedding::MeanFreq | FrameEmbedding::Identity => Some(dim),
            FrameEmbedding::None => None,
        }
    }

    /// Length of a window's embedding (`output=clip`): the head's, else that of the pooled vector; the number of classes
    /// for an encoder of kind `logits`.
    pub fn clip_dim(&self) -> u32 {
        match &self.head {
            Some(head) => head.dim,
            None => self.frame_dim().unwrap_or(self.encoder.output.dim),
        }
    }

    /// Whether embeddings are brought to unit length: those that are compared with text are.
    pub fn unit_length(&self) -> bool {
        self.clap.is_some()
    }

    /// How the encoder's graph carries over what it has heard, if it does.
    pub fn carry(&self) -> Option<&Carry> {
        self.streaming.as_ref()?.carry.as_ref()
    }

    /// The front end; `None` where the graph takes samples.
    pub fn front_end(&self) -> Option<&FrontEnd> {
        match &self.frontend {
            Frontend::Logmel(front_end) => Some(front_end),
            Frontend::InGraph => None,
        }
    }
}

/// Reads what stands beside `kind` in a variant without fields: serde lets everything through there.
fn nothing_else<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    Nothing::deserialize(deserializer).map(|Nothing {}| ())
}
