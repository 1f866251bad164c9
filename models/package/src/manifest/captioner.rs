//! The decoder that writes captions: a language model with the audio in front of its words.

use serde::{Deserialize, Serialize};

use super::Output;

/// A decoder-only language model, as Hugging Face optimum exports one with a cache and `inputs_embeds`, and what stands
/// around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Captioner {
    /// The decoder.
    pub decoder: CaptionDecoder,
    /// The graph that makes vectors of token ids.
    pub embed_tokens: EmbedTokens,
    /// The graph that makes vectors of an embedding; absent: a language model that is told everything in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projector: Option<Projector>,
    /// A Hugging Face `tokenizer.json`.
    pub tokenizer: String,
    /// What the decoder is told, with places: `{system}` and `{audio}` at most once, `{prompt}` once.
    pub prompt: String,
    /// The form in which `{prompt}` tells what was heard.
    #[serde(default, skip_serializing_if = "EvidenceForm::is_json")]
    pub evidence: EvidenceForm,
    /// Token ids before everything.
    pub begin: Vec<u32>,
    /// Token ids that end an answer.
    pub stop: Vec<u32>,
    /// Longest answer in tokens, where the user does not say.
    pub max_tokens: u32,
    /// 0 takes the likeliest token always.
    pub temperature: f64,
    /// Tokens are drawn from the likeliest that together have this probability.
    pub top_p: f64,
    /// Logits of tokens that stand in prompt or answer are divided by it where positive, multiplied where negative.
    pub repetition_penalty: f64,
    /// A prompt with a known answer, computed when the decoder is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<CaptionSelfTest>,
}

/// The decoder's graph: one for prompt and steps, with the names of [`CaptionDecoder::INPUTS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptionDecoder {
    /// The graph.
    pub file: String,
    /// Files with external data that it refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_data: Vec<String>,
    /// Layers, each with a key and a value in the cache.
    pub layers: u32,
    /// Heads of the keys and values.
    pub kv_heads: u32,
    /// Length of one head's key.
    pub head_dim: u32,
    /// Length of the vectors that it is fed.
    pub hidden: u32,
    /// Number of tokens.
    pub vocab: u32,
    /// Most positions: prompt and answer together.
    pub max_positions: u32,
    /// Whether it has the input `position_ids`.
    pub position_ids: bool,
}

/// The graph from token ids int64 `[1, N]` to vectors float32 `[1, N, hidden]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedTokens {
    /// The graph.
    pub file: String,
    /// Files with external data that it refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_data: Vec<String>,
    /// Its input's name.
    pub input: String,
    /// Its output's name.
    pub output: String,
}

/// The graph from one window's embedding to vectors float32 `[1, prefix, hidden]` that stand at `{audio}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projector {
    /// The graph.
    pub file: String,
    /// Files with external data that it refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_data: Vec<String>,
    /// Its input's name.
    pub input: String,
    /// Its output's name.
    pub output: String,
    /// What it is given: float32 `[1, D]` for `clip`, `[1, T, D]` for `frames` and `tokens`.
    pub takes: Output,
    /// Vectors that it gives for a window.
    pub prefix: u32,
    /// Most windows of one prompt, one behind the other in time.
    pub max_windows: u32,
}

/// The form in which a prompt tells what was heard. `models/captioner/EVIDENCE.md` describes both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceForm {
    /// Instructions, and a block of JSON: for models that read.
    #[default]
    Json,
    /// Labels and times alone: for small decoders that were trained on them.
    Compact,
}

/// A prompt and the tokens that greedy decoding answers it with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptionSelfTest {
    /// What stands at `{prompt}`; nothing stands at `{system}`, and one window whose values are all 1/sqrt(D) at `{audio}`.
    pub prompt: String,
    /// The first tokens of the answer, without the one that ends it.
    pub tokens: Vec<u32>,
}

impl EvidenceForm {
    fn is_json(&self) -> bool {
        *self == EvidenceForm::Json
    }
}

impl CaptionDecoder {
    /// Names of its inputs but for the cache, whose are [`past`](Self::past): the vectors, which positions may be looked at, where
    /// they stand.
    pub const INPUTS: [&str; 3] = ["inputs_embeds", "attention_mask", "position_ids"];
    /// Name of its first output; the others are [`present`](Self::present).
    pub const LOGITS: &str = "logits";

    /// Names of the inputs that take the cache, in the order of the outputs that give it: keys and values by turns.
    pub fn past(&self) -> Vec<String> {
        self.cache("past_key_values")
    }

    /// Names of the outputs that give the cache.
    pub fn present(&self) -> Vec<String> {
        self.cache("present")
    }

    fn cache(&self, prefix: &str) -> Vec<String> {
        (0..self.layers)
            .flat_map(|layer| [format!("{prefix}.{layer}.key"), format!("{prefix}.{layer}.value")])
            .collect()
    }
}
