//! What must hold between the values of a manifest, before any file is read.

mod captioner;
mod encoder;
mod streaming;
mod text;

use std::fmt::Display;

use listen_features::FrontEnd;

use crate::{
    Captioner, Edge, EncoderKind, Frontend, Layout, Manifest, Normalize, Output, PackageError, Window,
};

/// Most values in a window that the manifest may ask for (half a GiB as float32).
const MAX_WINDOW: u64 = 1 << 27;
/// Longest vector and most classes.
const MAX_DIM: u32 = 1 << 20;

/// A value that is wrong: the key, what must stand there and what does.
struct Fault {
    key: String,
    expected: String,
    found: String,
}

type Check = Result<(), Fault>;

fn must(holds: bool, key: impl Display, expected: impl Display, found: impl Display) -> Check {
    if holds {
        return Ok(());
    }
    Err(Fault { key: key.to_string(), expected: expected.to_string(), found: found.to_string() })
}

fn within(key: &str, min: u32, max: u32, found: u32) -> Check {
    must((min..=max).contains(&found), key, format_args!("{min} to {max}"), found)
}

fn positive(key: &str, found: f64) -> Check {
    must(found.is_finite() && found > 0.0, key, "a number above 0", found)
}

fn finite(key: &str, found: f64) -> Check {
    must(found.is_finite(), key, "a finite number", found)
}

fn named(key: &str, found: &str) -> Check {
    must(!found.trim().is_empty(), key, "a name", format_args!("{found:?}"))
}

/// A value as the manifest writes it.
pub(crate) fn word(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).unwrap_or_default()
}

impl Manifest {
    /// Whether the values agree with one another.
    ///
    /// `file` is what errors call the manifest. Files are not read: that is [`Package::open`](crate::Package::open).
    ///
    /// # Errors
    /// The first value that is wrong, with what must stand there.
    pub fn validate(&self, file: &str) -> Result<(), PackageError> {
        if let Frontend::Logmel(front_end) = &self.frontend {
            front_end.validate().map_err(|source| PackageError::FrontEnd { file: file.into(), source })?;
        }
        let checks: [fn(&Self) -> Check; 11] = [
            Self::check_names,
            Self::check_sound,
            Self::check_window,
            Self::check_encoder,
            Self::check_streaming,
            Self::check_pooling,
            Self::check_text,
            Self::check_tagger,
            Self::check_captioner,
            Self::check_self_test,
            Self::check_files,
        ];
        checks.iter().try_for_each(|check| check(self)).map_err(|Fault { key, expected, found }| {
            PackageError::Value { file: file.into(), key, expected, found }
        })
    }

    fn check_names(&self) -> Check {
        let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
        must(
            (1..=64).contains(&self.id.len()) && self.id.chars().all(plain),
            "id",
            "1 to 64 of a-z, 0-9, `.`, `_` and `-`",
            format_args!("{:?}", self.id),
        )?;
        named("family", &self.family)?;
        named("license.id", &self.license.id)?;
        match &self.license.source_sha256 {
            Some(sum) => {
                must(is_sha256(sum), "license.source_sha256", "64 of 0-9 and a-f", format_args!("{sum:?}"))
            }
            None => Ok(()),
        }
    }

    fn check_sound(&self) -> Check {
        let audio = &self.audio;
        within("audio.sample_rate", 1, 1_000_000, audio.sample_rate)?;
        must(audio.channels == 1, "audio.channels", 1, audio.channels)?;
        positive("audio.pre_scale", audio.pre_scale)?;
        if let Some(FrontEnd { sample_rate, .. }) = self.front_end() {
            let expected = format_args!("`frontend.sample_rate` ({sample_rate})");
            must(audio.sample_rate == *sample_rate, "audio.sample_rate", expected, audio.sample_rate)?;
        }
        match self.normalize {
            Normalize::None | Normalize::PerWindow => Ok(()),
            Normalize::Fixed { mean, std } => {
                finite("normalize.mean", mean)?;
                positive("normalize.std", std)
            }
            Normalize::Running { tau, mean, std } => {
                positive("normalize.tau", tau)?;
                finite("normalize.mean", mean)?;
                positive("normalize.std", std)
            }
        }
    }

    fn check_window(&self) -> Check {
        let Window { frames, min_frames, multiple_of, max_frames, default_hop_frames, .. } = self.window;
        let width = self.front_end().map_or(1, |f| f.n_mels.max(1));
        let most = u32::try_from(MAX_WINDOW / u64::from(width)).unwrap_or(u32::MAX);
        within("window.max_frames", 1, most, max_frames)?;
        within("window.multiple_of", 1, max_frames, multiple_of)?;
        let multiple = |key, found: u32| {
            let expected = format_args!("a multiple of `window.multiple_of` ({multiple_of})");
            must(found.is_multiple_of(multiple_of), key, expected, found)
        };
        let expected = format_args!("1 to `window.frames` ({frames})");
        must((1..=frames).contains(&min_frames), "window.min_frames", expected, min_frames)?;
        multiple("window.min_frames", min_frames)?;
        must(
            (min_frames..=max_frames).contains(&frames),
            "window.frames",
            format_args!("`window.min_frames` to `window.max_frames` ({min_frames} to {max_frames})"),
            frames,
        )?;
        multiple("window.frames", frames)?;
        let expected = format_args!("1 to `window.frames` ({frames})");
        must(
            (1..=frames).contains(&default_hop_frames),
            "window.default_hop_frames",
            expected,
            default_hop_frames,
        )?;

        if let (Edge::Exact, Some(front_end)) = (self.window.edge, self.front_end())
            && front_end.center
        {
            // Reflection takes n_fft / 2 samples beside the one at the edge.
            let (samples, needed) =
                (front_end.exact_samples(min_frames.into()), u64::from(front_end.n_fft / 2) + 1);
            must(
                samples >= needed,
                "window.min_frames",
                format_args!("frames of at least {needed} samples, for `edge` exact to reflect"),
                format_args!("{min_frames} ({samples} samples)"),
            )?;
        }
        let (kind, output) = (self.encoder.output.kind, self.window.default_output);
        let given = match output {
            Output::Clip => true,
            Output::Frames => matches!(kind, EncoderKind::Tokens | EncoderKind::Frames),
            Output::Tokens => kind == EncoderKind::Tokens,
        };
        let expected = format_args!("what an encoder of kind {} gives", word(kind));
        must(given, "window.default_output", expected, word(output))
    }

    /// Whether the input's layout is one for what the front end gives.
    fn check_layout(&self) -> Check {
        let layout = self.encoder.input.layout;
        let (expected, fits) = match self.frontend {
            Frontend::Logmel(_) => {
                ("a layout with frequency, as `frontend.kind` is logmel", layout != Layout::BT)
            }
            Frontend::InGraph => ("BT, as `frontend.kind` is in_graph", layout == Layout::BT),
        };
        must(fits, "encoder.input.layout", expected, word(layout))
    }

    /// The files that the manifest names: where, and their names.
    pub(crate) fn named_files<'a>(&'a self) -> Vec<(String, &'a str)> {
        let mut files = Vec::new();
        let bank = self.front_end().and_then(|front_end| front_end.filterbank.as_ref());
        files.extend(bank.map(|bank| ("frontend.filterbank".to_owned(), bank.file())));
        let mut add =
            |key: String, name: Option<&'a String>| files.extend(name.map(|name| (key, name.as_str())));
        add("license.file".into(), self.license.file.as_ref());
        for (precision, graph) in &self.encoder.graphs {
            let key = format!("encoder.graphs.{}", word(precision).trim_matches('"'));
            add(format!("{key}.file"), Some(&graph.file));
            for (i, data) in graph.external_data.iter().enumerate() {
                add(format!("{key}.external_data[{i}]"), Some(data));
            }
        }
        add("head.file".into(), self.head.as_ref().map(|head| &head.file));
        let calibration = self.clap.as_ref().and_then(|clap| clap.calibration.as_ref());
        add("clap.calibration.file".into(), calibration.map(|c| &c.file));
        let placing = self.clap.as_ref().and_then(|clap| clap.placing.as_ref());
        add("clap.placing.file".into(), placing.map(|placing| &placing.file));
        add("text.file".into(), self.text.as_ref().map(|text| &text.file));
        add("text.tokenizer".into(), self.text.as_ref().map(|text| &text.tokenizer));
        add("label_embeddings.file".into(), self.label_embeddings.as_ref().map(|table| &table.file));
        add("tagger.file".into(), self.tagger.as_ref().and_then(|tagger| tagger.file.as_ref()));
        add("tagger.labels".into(), self.tagger.as_ref().map(|tagger| &tagger.labels));
        self.add_captioner_files(&mut add);
        add("self_test.file".into(), self.self_test.as_ref().map(|test| &test.file));
        files
    }

    fn add_captioner_files<'a>(&'a self, add: &mut impl FnMut(String, Option<&'a String>)) {
        let Some(captioner) = &self.captioner else { return };
        let Captioner { decoder, embed_tokens, projector, .. } = captioner;
        let mut graph = |name: &str, file: &'a String, external: &'a [String]| {
            add(format!("captioner.{name}.file"), Some(file));
            for (i, data) in external.iter().enumerate() {
                add(format!("captioner.{name}.external_data[{i}]"), Some(data));
            }
        };
        graph("decoder", &decoder.file, &decoder.external_data);
        graph("embed_tokens", &embed_tokens.file, &embed_tokens.external_data);
        if let Some(projector) = projector {
            graph("projector", &projector.file, &projector.external_data);
        }
        add("captioner.tokenizer".into(), Some(&captioner.tokenizer));
    }

    fn check_files(&self) -> Check {
        for (name, sum) in &self.sha256 {
            must(
                is_plain(name),
                "sha256",
                "relative names of files within the package",
                format_args!("{name:?}"),
            )?;
            must(name != "manifest.json", "sha256", "names of the other files", format_args!("{name:?}"))?;
            must(
                is_sha256(sum),
                format_args!("sha256.{name}"),
                "64 of 0-9 and a-f",
                format_args!("{sum:?}"),
            )?;
        }
        for (key, name) in self.named_files() {
            must(
                is_plain(name),
                &key,
                "the relative name of a file within the package",
                format_args!("{name:?}"),
            )?;
            let listed = self.sha256.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let expected = format_args!("a file that `sha256` lists ({listed})");
            must(self.sha256.contains_key(name), &key, expected, format_args!("{name:?}"))?;
        }
        Ok(())
    }
}

fn is_sha256(sum: &str) -> bool {
    sum.len() == 64 && sum.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a name stays in the package by its form: `a.onnx` or `folder/a.onnx`, the same on every system.
fn is_plain(name: &str) -> bool {
    let strange = |c: char| c.is_control() || matches!(c, '\\' | ':');
    !name.is_empty()
        && !name.contains(strange)
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
