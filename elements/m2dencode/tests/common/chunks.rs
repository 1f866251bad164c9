//! Streams that `tiny-stream` encodes in chunks, with ONNX Runtime.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use gst::prelude::*;
use gst_check::Harness;
use gst_listen_m2dencode::engine::{Open, Windows};
use gst_listen_m2dencode::{ExecutionProvider, M2dEncode};
use listen_encoder::{Plan, Repooler, open};

use super::*;

/// Windows of five chunks of `tiny-stream`, a chunk apart.
pub const LONG: u64 = 160;
pub const CHUNK: u64 = 32;

pub fn long_windows(element: &M2dEncode) {
    element.set_execution_provider(ExecutionProvider::Cpu);
    element.set_workers(1);
    element.set_window(time(LONG).nseconds());
    element.set_hop(time(CHUNK).nseconds());
}

/// The process's engine, as the element opens it.
pub fn real() -> Open {
    Arc::new(|package, options| {
        let plan = Plan::new(package.manifest(), options)?;
        let windows: Arc<dyn Windows> = match plan.repools() {
            true => Arc::new(Repooler::open(package, options)?),
            false => Arc::new(open(package, options)?.client()),
        };
        Ok(windows)
    })
}

pub fn stream(settings: impl FnOnce(&M2dEncode)) -> (Harness, gst::Bus) {
    stream_of("tiny-stream", settings)
}

/// As [`stream`], by another package, or one in a folder of its own.
pub fn stream_of(package: impl AsRef<Path>, settings: impl FnOnce(&M2dEncode)) -> (Harness, gst::Bus) {
    let element = element(None);
    element.set_model(folder("").join(package).to_str());
    long_windows(&element);
    settings(&element);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_live(false);
    wait_for_load(&bus);
    h.set_src_caps(mel_caps(-1));
    (h, bus)
}

/// What comes out of `total` frames in buffers of `cut`.
pub fn heard(h: &mut Harness, total: u64, cut: u64) -> Vec<gst::Buffer> {
    let mut first = 0;
    while first < total {
        let count = cut.min(total - first);
        h.push(frames(first, count)).unwrap();
        first += count;
    }
    finish(h)
}

/// The embeddings of all windows of `total` frames by their first frame, undisturbed.
pub fn undisturbed(buffers: &[gst::Buffer]) -> BTreeMap<u64, Vec<f32>> {
    buffers.iter().map(|buffer| (buffer.offset(), row(buffer))).collect()
}
