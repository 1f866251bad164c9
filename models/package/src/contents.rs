//! What must hold between the manifest and what stands in the files that this crate can read.
//!
//! Graphs are not among them, but for the files that they name ([`external`](crate::external)): they are compared with the
//! manifest by who loads them.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use listen_features::Bank;

use crate::tensors::Tensors;
use crate::{EncoderKind, Manifest, PackageError};

/// How far the length of a vector that must have length 1 may be off; float16 rounds it by 5e-4.
const UNIT_TOLERANCE: f64 = 1e-2;

/// What the networks of `clap.placing` are told of a moment besides scores, and how much in all at most.
const PLACING_TOLD: usize = 5;
const PLACING_MOST: usize = 37;

/// Most rows of a layer of them, and most layers.
const PLACING_ROWS: usize = 64;
const PLACING_LAYERS: usize = 4;

/// A package's files, read by name.
pub(crate) trait Read {
    /// What errors call the file.
    fn label(&self, name: &str) -> String;
    /// The file, whole.
    fn read(&self, name: &str) -> Result<Cow<'_, [u8]>, PackageError>;
    /// The files that a graph names as external data.
    fn external_data(&self, name: &str) -> Result<BTreeSet<String>, PackageError>;
}

/// The weights of the front end's filterbank, where a file holds them.
pub(crate) fn filterbank(manifest: &Manifest, files: &impl Read) -> Result<Option<Bank>, PackageError> {
    let Some(front_end) = manifest.front_end() else { return Ok(None) };
    let Some(bank) = &front_end.filterbank else { return Ok(None) };
    let bytes = files.read(bank.file())?;
    let tensors = Tensors::new(files.label(bank.file()), &bytes)?;
    let shape = [front_end.n_mels as usize, front_end.bins() as usize];
    let (_, weights) = tensors.shaped("filterbank", &shape)?;
    match weights.iter().find(|&&weight| weight < 0.0) {
        Some(found) => Err(tensors.wrong("filterbank", "weights of at least 0", found.to_string())),
        None => Ok(Some(Bank::new(bank.file(), weights))),
    }
}

/// Compares the tables with the manifest; gives the tagger's classes.
pub(crate) fn check(manifest: &Manifest, files: &impl Read) -> Result<Option<Vec<String>>, PackageError> {
    if let (Some(clap), Some(table)) = (&manifest.clap, &manifest.label_embeddings) {
        check_table(files, &table.file, table.labels.len(), clap.dim as usize)?;
    }
    if let Some(clap) = &manifest.clap
        && let Some(calibration) = &clap.calibration
    {
        check_background(files, &calibration.file, clap.dim as usize)?;
    }
    if let Some(placing) = manifest.clap.as_ref().and_then(|clap| clap.placing.as_ref()) {
        check_placing(files, &placing.file)?;
    }
    let classes =
        manifest.tagger.as_ref().map(|tagger| read_classes(manifest, files, &tagger.labels)).transpose()?;
    if let Some(test) = &manifest.self_test {
        check_self_test(manifest, files, &test.file, classes.as_deref())?;
    }
    Ok(classes)
}

fn length(row: &[f32]) -> f64 {
    row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

fn check_table(files: &impl Read, file: &str, labels: usize, dim: usize) -> Result<(), PackageError> {
    let bytes = files.read(file)?;
    let tensors = Tensors::new(files.label(file), &bytes)?;
    let (_, values) = tensors.shaped("embeddings", &[labels, dim])?;
    match values.chunks_exact(dim).position(|row| length(row) == 0.0) {
        Some(row) => {
            Err(tensors.wrong("embeddings", "vectors with a direction", format!("zeros in row {row}")))
        }
        None => Ok(()),
    }
}

fn check_background(files: &impl Read, file: &str, dim: usize) -> Result<(), PackageError> {
    let bytes = files.read(file)?;
    let tensors = Tensors::new(files.label(file), &bytes)?;
    let (_, values) = tensors.shaped("background", &[0, dim])?;
    for (row, vector) in values.chunks_exact(dim).enumerate() {
        let length = length(vector);
        if (length - 1.0).abs() > UNIT_TOLERANCE {
            return Err(tensors.wrong(
                "background",
                "vectors of length 1",
                format!("{length:.4} in row {row}"),
            ));
        }
    }
    Ok(())
}

/// Of each network the first layer takes what is told and scores on either side, each other what the one before gives, and
/// the last gives one value.
fn check_placing(files: &impl Read, file: &str) -> Result<(), PackageError> {
    let bytes = files.read(file)?;
    let tensors = Tensors::new(files.label(file), &bytes)?;
    for kind in ["onset", "offset"] {
        let name = |layer: usize, what: &str| format!("{kind}.{layer}.{what}");
        let (mut layer, mut width) = (0, 0);
        // A layer of one row is the last.
        while width != 1 {
            let weight = name(layer, "weight");
            let (shape, _) = tensors.shaped(&weight, &[0, width])?;
            let ins = shape[1];
            let odd = ins < PLACING_TOLD + 2 || !(ins - PLACING_TOLD).is_multiple_of(2);
            if layer == 0 && (odd || ins > PLACING_MOST) {
                let expected = format!("[any, {PLACING_TOLD} + 2 n], at most {PLACING_MOST} columns");
                return Err(tensors.wrong(&weight, expected, format!("{shape:?}")));
            }
            width = shape[0];
            if width > PLACING_ROWS {
                return Err(tensors.wrong(
                    &weight,
                    format!("at most {PLACING_ROWS} rows"),
                    width.to_string(),
                ));
            }
            if layer + 1 == PLACING_LAYERS && width != 1 {
                let expected = format!("one row, as the last of at most {PLACING_LAYERS} layers");
                return Err(tensors.wrong(&weight, expected, width.to_string()));
            }
            tensors.shaped(&name(layer, "bias"), &[width])?;
            layer += 1;
        }
    }
    Ok(())
}

fn read_classes(manifest: &Manifest, files: &impl Read, file: &str) -> Result<Vec<String>, PackageError> {
    let wrong = |what, expected: String, found: String| PackageError::Labels {
        file: files.label(file),
        what,
        expected,
        found,
    };
    let bytes = files.read(file)?;
    let text = str::from_utf8(&bytes).map_err(|e| PackageError::NotUtf8 {
        file: files.label(file),
        found: bytes.get(e.valid_up_to()).copied().unwrap_or_default(),
        position: e.valid_up_to(),
    })?;
    let classes: Vec<_> = text.lines().map(|line| line.trim().to_string()).collect();
    let mut seen = HashSet::new();
    for (class, number) in classes.iter().zip(1..) {
        if class.is_empty() || !seen.insert(class) {
            let expected = "a class that no other line names".into();
            return Err(wrong("each line", expected, format!("{class:?} in line {number}")));
        }
    }
    let dim = manifest.encoder.output.dim as usize;
    if manifest.encoder.output.kind == EncoderKind::Logits && classes.len() != dim {
        let expected = format!("`encoder.output.dim` ({dim})");
        return Err(wrong("the number of classes", expected, classes.len().to_string()));
    }
    if classes.is_empty() {
        return Err(wrong("the number of classes", "at least 1".into(), "0".into()));
    }
    Ok(classes)
}

fn check_self_test(
    manifest: &Manifest,
    files: &impl Read,
    file: &str,
    classes: Option<&[String]>,
) -> Result<(), PackageError> {
    let bytes = files.read(file)?;
    let tensors = Tensors::new(files.label(file), &bytes)?;
    let frames = manifest.window.frames;
    let samples = manifest.front_end().map_or(u64::from(frames), |f| f.exact_samples(frames.into()));
    tensors.shaped("samples", &[usize::try_from(samples).unwrap_or(usize::MAX)])?;

    let (log_mel, embedding) = (tensors.has("log_mel"), tensors.has("embedding"));
    if log_mel {
        let Some(front_end) = manifest.front_end() else {
            return Err(tensors.wrong("log_mel", "absent, as `frontend.kind` is in_graph", "one"));
        };
        tensors.shaped("log_mel", &[frames as usize, front_end.n_mels as usize])?;
    }
    if embedding {
        let dim = match classes {
            Some(classes) if manifest.encoder.output.kind == EncoderKind::Logits => classes.len(),
            _ => manifest.clip_dim() as usize,
        };
        tensors.shaped("embedding", &[dim])?;
    }
    if log_mel || embedding {
        return Ok(());
    }
    Err(tensors.wrong("embedding", "there, or `log_mel`", "neither"))
}
