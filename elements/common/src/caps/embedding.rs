//! Caps of an embedding stream.

use listen_package::Output;

use super::fields::{Fields, dims, word};
use super::{AUDIO_EMBEDDING, CLASS_SCORES, CapsError, MIXED, tensor};

const KINDS: &[(&str, EmbeddingKind)] =
    &[(AUDIO_EMBEDDING, EmbeddingKind::Embedding), (CLASS_SCORES, EmbeddingKind::ClassScores)];
const OUTPUTS: &[(&str, Output)] =
    &[("clip", Output::Clip), ("frames", Output::Frames), ("tokens", Output::Tokens)];

/// What a row of an embedding stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddingKind {
    /// A point in the package's space.
    Embedding,
    /// A score per class of the package's tagger, in the order of its labels.
    ClassScores,
}

/// The caps of an embedding stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingCaps {
    /// What a row is.
    pub kind: EmbeddingKind,
    /// Values in a row.
    pub dim: u32,
    /// What may be compared with it: package id and 12 hex digits of the manifest's sha256.
    pub space: String,
    /// What a row stands for.
    pub output: Output,
    /// `frames` and `tokens`: nanoseconds that a time step stands for.
    pub step: Option<u64>,
    /// Rows of a time step: 1 but for `tokens`.
    pub rows_per_step: u32,
    /// The channel that is heard, [`MIXED`] = all of them.
    pub channel: i32,
}

impl EmbeddingCaps {
    /// Fixed caps.
    pub fn to_caps(&self) -> gst::Caps {
        let rows = if self.output == Output::Clip { 1 } else { 0 };
        let mut structure = tensor(word(&self.kind, KINDS))
            .field("dims", dims(rows, self.dim))
            .field("space", &self.space)
            .field("output", word(&self.output, OUTPUTS))
            .field("channel", self.channel)
            .build();
        if let Some(step) = self.step {
            structure.set("step", i64::try_from(step).unwrap_or(i64::MAX));
        }
        if self.output == Output::Tokens {
            structure.set("rows-per-step", self.rows_per_step as i32);
        }
        gst::Caps::from(structure)
    }

    /// Reads the caps of a stream; `output` may be missing (clip), `channel` too (mixed).
    ///
    /// # Errors
    /// The first field that is missing, of another type or out of range, and `dims` that do not go with `output`.
    pub fn from_caps(caps: &gst::CapsRef) -> Result<Self, CapsError> {
        let structure = super::error::single(caps)?;
        let f = Fields(structure);
        f.expect_tensor(&[AUDIO_EMBEDDING, CLASS_SCORES])?;
        let output = if structure.has_field("output") { f.word("output", OUTPUTS)? } else { Output::Clip };
        let (rows, dim) = f.dims()?;
        if dim == 0 || (output == Output::Clip && rows != 1) {
            let expected = if output == Output::Clip { "<1,D> with D > 0" } else { "<0,D> with D > 0" };
            let found = format!("<{rows},{dim}>");
            return Err(CapsError::Field { field: "dims", expected: expected.into(), found });
        }
        let step = structure.get::<i64>("step").ok().and_then(|step| u64::try_from(step).ok());
        Ok(Self {
            kind: f.word("tensor-id", KINDS)?,
            dim,
            space: f.string("space")?,
            output,
            step,
            rows_per_step: if structure.has_field("rows-per-step") { f.count("rows-per-step")? } else { 1 },
            channel: if structure.has_field("channel") { f.int("channel", MIXED)? } else { MIXED },
        })
    }
}

/// What every embedding stream has in common: the caps of pad templates.
pub fn embedding_template() -> gst::Caps {
    let mut caps = gst::Caps::from(tensor(AUDIO_EMBEDDING).build());
    caps.merge(gst::Caps::from(tensor(CLASS_SCORES).build()));
    caps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip() -> EmbeddingCaps {
        EmbeddingCaps {
            kind: EmbeddingKind::Embedding,
            dim: 768,
            space: "m2d-clap-0123456789ab".into(),
            output: Output::Clip,
            step: None,
            rows_per_step: 1,
            channel: MIXED,
        }
    }

    #[test]
    fn embedding_caps_come_back_and_meet_the_template() {
        gst::init().unwrap();
        let frames = EmbeddingCaps { output: Output::Frames, step: Some(160_000_000), channel: 5, ..clip() };
        let tokens = EmbeddingCaps { output: Output::Tokens, rows_per_step: 5, ..frames.clone() };
        let scores = EmbeddingCaps { kind: EmbeddingKind::ClassScores, dim: 527, ..clip() };
        for caps in [clip(), frames, tokens, scores] {
            let text: gst::Caps = caps.to_caps().to_string().parse().unwrap();
            assert_eq!(EmbeddingCaps::from_caps(&text), Ok(caps));
            assert!(text.is_subset(&embedding_template()));
        }
    }

    #[test]
    fn dims_that_do_not_go_with_the_output_are_refused() {
        gst::init().unwrap();
        let mut caps = clip().to_caps();
        caps.make_mut().set("dims", dims(0, 768));
        let error = EmbeddingCaps::from_caps(&caps).unwrap_err().to_string();
        assert_eq!(error, "caps field dims: expected <1,D> with D > 0, found <0,768>");
    }
}
