//! The tiny packages of `models/package/fixtures`, their float64 truth, and copies of them with something changed.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use listen_encoder::{Embedding, EncoderModel, EncoderOptions, Plan, WindowJob, WindowMode, WindowStream};
use listen_package::{Output, Package};
use listen_runtime::Model;
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

/// The folder of a tiny package.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../package/fixtures").join(name)
}

/// A graph of `graphs/make_graphs.py`.
pub fn graph(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graphs").join(name)
}

pub fn open(folder: &Path) -> Arc<Package> {
    Package::open(folder, true).unwrap_or_else(|e| panic!("{e}"))
}

/// A tensor of `truth.safetensors` that lies beside a package; its shape and values.
pub fn truth(package: &str, tensor: &str) -> (Vec<usize>, Vec<f32>) {
    let path = folder(package).join("truth.safetensors");
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let view = tensors.tensor(tensor).unwrap_or_else(|e| panic!("{tensor}: {e}"));
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    (view.shape().to_vec(), values.collect())
}

/// What an error says, whose file must stand in a folder, without that folder: a temporary one.
#[allow(dead_code, reason = "not every test needs it")]
pub fn without_folder(error: &str) -> String {
    assert!(error.contains(" /") || error.starts_with('/'), "no folder in: {error}");
    let words = error.split(' ').map(|word| word.rsplit('/').next().unwrap_or(word));
    words.collect::<Vec<_>>().join(" ")
}

/// A copy of a package with its manifest and files changed, and the checksums to fit.
pub fn changed(name: &str, change: impl FnOnce(&mut serde_json::Value, &Path)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let path = copy.path().join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut manifest, copy.path());
    for (file, sum) in manifest["sha256"].as_object_mut().unwrap() {
        let hash = Sha256::digest(std::fs::read(copy.path().join(file)).unwrap());
        *sum = hash.iter().map(|b| format!("{b:02x}")).collect::<String>().into();
    }
    std::fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    copy
}

/// The jobs of a stream of frames, pushed `chunk` values at a time.
pub fn jobs(package: &Package, options: &EncoderOptions, frames: &[f32], chunk: usize) -> Vec<WindowJob> {
    let plan = Plan::new(package.manifest(), options).unwrap();
    let mut stream = WindowStream::new(package.manifest(), &plan).unwrap();
    let mut jobs = Vec::new();
    frames.chunks(chunk).for_each(|piece| stream.push(piece, |job| jobs.push(job)));
    while let Some(job) = stream.finish() {
        jobs.push(job);
    }
    jobs
}

/// The embeddings of jobs, `batch` of them at a time, without an engine.
pub fn encode(model: &mut EncoderModel, jobs: &[WindowJob], batch: usize) -> Vec<Embedding> {
    let mut out = Vec::new();
    for part in jobs.chunks(batch) {
        out.extend(model.run(&mut part.to_vec()).into_iter().map(|r| r.unwrap_or_else(|e| panic!("{e}"))));
    }
    out
}

pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&p, &q)| f64::from(p) * f64::from(q)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

pub fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(p, q)| (p - q).abs()).fold(0.0, f32::max)
}

/// Options for a stream that is encoded in chunks, where the package promises that.
pub fn chunked(output: Output) -> EncoderOptions {
    EncoderOptions { output: Some(output), ..Default::default() }
}

/// The time steps of `frames` frames of `tiny-stream`, in one run of the graph.
pub fn whole(output: Output, frames: usize) -> Vec<f32> {
    let copy = changed("tiny-stream", |m, _| m["window"]["max_frames"] = 512.into());
    let package = open(copy.path());
    let length = frames.next_multiple_of(8) as u32;
    let options = EncoderOptions {
        output: Some(output),
        window_mode: WindowMode::Whole,
        window_frames: Some(length),
        hop_frames: Some(length),
        ..Default::default()
    };
    let (_, stream) = truth("tiny-stream", "stream");
    let jobs = jobs(&package, &options, &stream[..frames * 64], usize::MAX);
    assert_eq!(jobs.len(), 1);
    encode(&mut EncoderModel::load(&package, &options).unwrap(), &jobs, 1).remove(0).data
}
