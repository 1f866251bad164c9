//! The graphs that hear: shapes and poolings that go together.

use super::{Check, Fault, MAX_DIM, finite, must, named, within, word};
use crate::{ClipPooling, EncoderKind, EncoderOutput, FrameEmbedding, HeadInput, Manifest};

impl Manifest {
    pub(super) fn check_encoder(&self) -> Check {
        self.check_layout()?;
        let encoder = &self.encoder;
        must(!encoder.graphs.is_empty(), "encoder.graphs", "at least one graph", "none")?;
        for (precision, graph) in &encoder.graphs {
            let key = format!("encoder.graphs.{}", word(precision).trim_matches('"'));
            if let Some(cosine) = graph.cosine {
                let expected = "a cosine, -1 to 1";
                must((-1.0..=1.0).contains(&cosine), format_args!("{key}.cosine"), expected, cosine)?;
            }
            let max_batch = graph.max_batch.unwrap_or(1);
            must(max_batch > 0, format_args!("{key}.max_batch"), "at least 1", max_batch)?;
        }
        named("encoder.input.name", &encoder.input.name)?;
        named("encoder.output.name", &encoder.output.name)?;
        self.check_output()
    }

    fn check_output(&self) -> Check {
        let EncoderOutput { kind, dim, order, freq_rows, frames_per_column, .. } = self.encoder.output;
        within("encoder.output.dim", 1, MAX_DIM, dim)?;
        let of_kind = format!("of kind {}", word(kind));
        if kind == EncoderKind::Tokens {
            must(
                order.is_some(),
                "encoder.output.order",
                format_args!("given for an output {of_kind}"),
                "none",
            )?;
            let bands = self.front_end().map_or(MAX_DIM, |f| f.n_mels);
            within("encoder.output.freq_rows", 1, bands, freq_rows)?;
        } else {
            let expected = format_args!("absent from an output {of_kind}");
            must(order.is_none(), "encoder.output.order", expected, word(order))?;
            let expected = format_args!("1 for an output {of_kind}");
            must(freq_rows == 1, "encoder.output.freq_rows", expected, freq_rows)?;
        }
        let key = "encoder.output.frames_per_column";
        match kind {
            EncoderKind::Tokens | EncoderKind::Frames => {
                let shortest = self.window.min_frames;
                let expected = format_args!("1 to `window.min_frames` ({shortest})");
                must((1..=shortest).contains(&frames_per_column), key, expected, frames_per_column)
            }
            EncoderKind::Clip | EncoderKind::Logits => must(
                frames_per_column == 0,
                key,
                format_args!("0 for an output {of_kind}"),
                frames_per_column,
            ),
        }
    }

    pub(super) fn check_pooling(&self) -> Check {
        let kind = self.encoder.output.kind;
        let of_kind = format!("for an output of kind {}", word(kind));
        let (fits, expected) = match (kind, self.frame_embedding) {
            (EncoderKind::Tokens, f) => {
                (matches!(f, FrameEmbedding::StackFreq | FrameEmbedding::MeanFreq), "stack_freq or mean_freq")
            }
            (EncoderKind::Frames, f) => (f == FrameEmbedding::Identity, "identity"),
            (EncoderKind::Clip | EncoderKind::Logits, f) => (f == FrameEmbedding::None, "none"),
        };
        must(fits, "frame_embedding", format_args!("{expected} {of_kind}"), word(self.frame_embedding))?;
        let frame_dim = self.frame_dim().unwrap_or(1);
        let expected = format_args!("at most {MAX_DIM} values a time step");
        must(frame_dim <= MAX_DIM, "frame_embedding", expected, frame_dim)?;

        let takes = self.head.as_ref().map(|head| head.takes);
        let one = self.frame_dim().is_none() || takes == Some(HeadInput::All);
        let expected = if one {
            format!("none {of_kind}{}", if takes.is_some() { " with this head" } else { "" })
        } else {
            format!("mean_time or mean_plus_max_time {of_kind}")
        };
        must(
            one == (self.clip_pooling == ClipPooling::None),
            "clip_pooling",
            expected,
            word(self.clip_pooling),
        )?;
        self.check_head()
    }

    fn check_head(&self) -> Check {
        let Some(head) = &self.head else { return Ok(()) };
        let kind = self.encoder.output.kind;
        let of_kind = format!("for an output of kind {}", word(kind));
        must(kind != EncoderKind::Logits, "head", format_args!("absent {of_kind}"), "one")?;
        named("head.input", &head.input)?;
        named("head.output", &head.output)?;
        within("head.dim", 1, MAX_DIM, head.dim)?;
        if kind == EncoderKind::Clip {
            must(
                head.takes == HeadInput::Pooled,
                "head.takes",
                format_args!("pooled {of_kind}"),
                word(head.takes),
            )?;
            must(!head.frames, "head.frames", format_args!("false {of_kind}"), head.frames)?;
        }
        Ok(())
    }

    pub(super) fn check_tagger(&self) -> Check {
        let logits = self.encoder.output.kind == EncoderKind::Logits;
        let Some(tagger) = &self.tagger else {
            return must(!logits, "tagger", "there, as the encoder gives class scores", "none");
        };
        for (key, value) in [("file", &tagger.file), ("input", &tagger.input), ("output", &tagger.output)] {
            let key = format!("tagger.{key}");
            match (logits, value) {
                (true, Some(found)) => {
                    let expected = "absent, as the encoder gives class scores itself";
                    return Err(Fault { key, expected: expected.into(), found: format!("{found:?}") });
                }
                (false, None) => {
                    let expected = "given, as the encoder gives embeddings";
                    return Err(Fault { key, expected: expected.into(), found: "none".into() });
                }
                (false, Some(found)) => named(&key, found)?,
                (true, None) => {}
            }
        }
        Ok(())
    }

    pub(super) fn check_self_test(&self) -> Check {
        let Some(test) = &self.self_test else { return Ok(()) };
        let (key, found) = ("self_test.log_mel_max_abs", test.log_mel_max_abs);
        finite(key, found)?;
        must(found > 0.0, key, "above 0", found)?;
        let (key, found) = ("self_test.embedding_min_cos", test.embedding_min_cos);
        must(found > 0.0 && found <= 1.0, key, "above 0 and at most 1", found)
    }
}
