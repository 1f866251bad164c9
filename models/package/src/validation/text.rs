//! The side of the text: widths that agree, prompts, thresholds, calibration.

use std::collections::HashSet;

use super::{Check, MAX_DIM, finite, must, named, positive, within};
use crate::{Clap, EncoderKind, Manifest};

/// Longest text that a tower is given, in tokens.
const MAX_TOKENS: u32 = 1 << 16;

impl Manifest {
    pub(super) fn check_text(&self) -> Check {
        let Some(clap) = &self.clap else {
            let (text, table) = (self.text.is_some(), self.label_embeddings.is_some());
            let needed = "there, as `text` or `label_embeddings` is";
            return must(!text && !table, "clap", needed, "none");
        };
        let kind = self.encoder.output.kind;
        must(kind != EncoderKind::Logits, "clap", "absent, as the encoder gives class scores", "there")?;
        within("clap.dim", 1, MAX_DIM, clap.dim)?;
        let (dim, what) =
            (self.clip_dim(), if self.head.is_some() { "`head.dim`" } else { "the pooled vector's length" });
        must(clap.dim == dim, "clap.dim", format_args!("{what} ({dim})"), clap.dim)?;
        must(
            self.text.is_some() || self.label_embeddings.is_some(),
            "clap",
            "with `text` or `label_embeddings`, where labels' embeddings come from",
            "neither",
        )?;
        check_scores(clap)?;
        if let Some(placing) = &clap.placing {
            let front_end = self.front_end();
            must(front_end.is_some(), "clap.placing", "absent, as `frontend.kind` is in_graph", "there")?;
            let samples =
                |f: &listen_features::FrontEnd| f64::from(f.hop_length) * f64::from(placing.step_frames);
            let ms = front_end.map_or(0.0, |f| 1e3 * samples(f) / f64::from(f.sample_rate.max(1)));
            must(
                (60.0..=120.0).contains(&ms),
                "clap.placing.step_frames",
                "a step of 60 to 120 ms",
                format_args!("{} ({ms} ms)", placing.step_frames),
            )?;
        }
        check_prompts(clap)?;
        self.check_tower()?;
        self.check_table(clap)
    }

    fn check_tower(&self) -> Check {
        let Some(text) = &self.text else { return Ok(()) };
        let inputs = text.inputs.len();
        must((1..=2).contains(&inputs), "text.inputs", "1 or 2 names (ids, attention mask)", inputs)?;
        for (i, name) in text.inputs.iter().enumerate() {
            named(&format!("text.inputs[{i}]"), name)?;
        }
        unique("text.inputs", &text.inputs)?;
        named("text.output", &text.output)?;
        within("text.max_length", 1, MAX_TOKENS, text.max_length)
    }

    fn check_table(&self, clap: &Clap) -> Check {
        let Some(table) = &self.label_embeddings else { return Ok(()) };
        let key = "label_embeddings.labels";
        must(!table.labels.is_empty(), key, "at least one label", "none")?;
        each_named(key, &table.labels)?;
        unique(key, &table.labels)?;
        if self.text.is_none() {
            for (i, prompt) in clap.background_prompts.iter().enumerate() {
                let expected = "one of `label_embeddings.labels`, as there is no text tower";
                let key = format_args!("clap.background_prompts[{i}]");
                must(table.labels.contains(prompt), key, expected, format_args!("{prompt:?}"))?;
            }
        }
        Ok(())
    }
}

fn check_scores(clap: &Clap) -> Check {
    if let Some(scale) = clap.logit_scale {
        positive("clap.logit_scale", scale)?;
    }
    if let Some(bias) = clap.logit_bias {
        finite("clap.logit_bias", bias)?;
        must(clap.logit_scale.is_some(), "clap.logit_scale", "given, as `clap.logit_bias` is", "none")?;
    }
    if let Some(calibration) = &clap.calibration {
        positive("clap.calibration.a", calibration.a)?;
        finite("clap.calibration.b", calibration.b)?;
        positive("clap.calibration.min_std", calibration.min_std)?;
    }
    let (onset, offset) = (clap.default_threshold, clap.default_offset_threshold);
    must((0.0..=1.0).contains(&onset), "clap.default_threshold", "0 to 1", onset)?;
    must(
        (0.0..=onset).contains(&offset),
        "clap.default_offset_threshold",
        format_args!("0 to `clap.default_threshold` ({onset})"),
        offset,
    )?;
    clap.default_smoothing.map_or(Ok(()), |seconds| {
        must((0.0..=60.0).contains(&seconds), "clap.default_smoothing", "0 to 60 seconds", seconds)
    })
}

fn check_prompts(clap: &Clap) -> Check {
    let key = "clap.prompt_templates";
    must(!clap.prompt_templates.is_empty(), key, "at least one sentence", "none")?;
    for (i, template) in clap.prompt_templates.iter().enumerate() {
        let (key, places) = (format_args!("{key}[{i}]"), template.matches("{}").count());
        must(places == 1, key, "a sentence with one `{}`", format_args!("{places} in {template:?}"))?;
    }
    unique(key, &clap.prompt_templates)?;
    each_named("clap.background_prompts", &clap.background_prompts)?;
    unique("clap.background_prompts", &clap.background_prompts)
}

fn each_named(key: &str, values: &[String]) -> Check {
    values.iter().enumerate().try_for_each(|(i, value)| named(&format!("{key}[{i}]"), value))
}

fn unique(key: &str, values: &[String]) -> Check {
    let mut seen = HashSet::new();
    values.iter().enumerate().try_for_each(|(i, value)| {
        must(
            seen.insert(value),
            format_args!("{key}[{i}]"),
            "another than those before it",
            format_args!("{value:?}"),
        )
    })
}
