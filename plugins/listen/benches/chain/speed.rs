//! How fast the whole chain is, with and without what the default package's graph carries over.

use std::path::{Path, PathBuf};
use std::time::Instant;

use gst::prelude::*;

use crate::{Failure, median};

/// The whole chain on ten minutes of noise, as fast as it goes, with one worker: with the default package, and with a copy
/// of it whose manifest does not say that the graph carries over, so that contexts are encoded again with every chunk.
pub fn speed() -> Result<(), Failure> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/packages/default");
    let copy = without_carry(Path::new(default))?;
    let packages = [("each frame once", default), ("contexts again", copy.to_str().ok_or("no path")?)];
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        for (took, (_, package)) in took.iter_mut().zip(packages) {
            took.push(chain_seconds(package)?);
        }
    }
    std::fs::remove_dir_all(&copy)?;
    println!(
        "\n## The chain: {SOUND} s of sound, one worker, loading counted; medians of 5 interleaved runs\n"
    );
    println!("| default package | took | x real time |\n|---|---|---|");
    for (took, (name, _)) in took.iter_mut().zip(packages) {
        let median = median(took);
        println!("| {name} | {median:.2} s | {:.0} |", f64::from(SOUND) / median);
    }
    Ok(())
}

/// Seconds of sound that the chain hears.
const SOUND: u32 = 600;

/// How long the chain takes for them, in seconds.
fn chain_seconds(package: &str) -> Result<f64, Failure> {
    let line = format!(
        "audiotestsrc wave=pink-noise volume=0.1 samplesperbuffer=1600 num-buffers={} ! audio/x-raw,format=F32LE,rate=16000,channels=1 \
         ! melspec ! m2dencode model={package:?} workers=1 ! clapmatch labels=\"dog barking;siren;glass breaking;rain\" ! fakesink sync=false",
        SOUND * 10
    );
    let pipeline = gst::parse::launch(&line)?;
    let bus = pipeline.bus().ok_or("no bus")?;
    let start = Instant::now();
    pipeline.set_state(gst::State::Playing)?;
    let message = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(600),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    let took = start.elapsed().as_secs_f64();
    pipeline.set_state(gst::State::Null)?;
    match message.as_ref().map(|m| m.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(took),
        other => Err(format!("the chain did not end well: {other:?}").into()),
    }
}

/// A copy of a package that carries nothing over, in a folder of this process.
fn without_carry(package: &Path) -> Result<PathBuf, Failure> {
    let copy = std::env::temp_dir().join(format!("gst-listen-bench-{}", std::process::id()));
    std::fs::create_dir_all(&copy)?;
    for entry in std::fs::read_dir(package)? {
        let path = entry?.path();
        std::fs::copy(&path, copy.join(path.file_name().ok_or("no name")?))?;
    }
    let manifest = copy.join("manifest.json");
    let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest)?)?;
    value["streaming"]
        .as_object_mut()
        .ok_or("no streaming")?
        .remove("carry")
        .ok_or("nothing is carried over")?;
    std::fs::write(&manifest, serde_json::to_vec(&value)?)?;
    Ok(copy)
}
