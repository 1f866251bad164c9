//! What a GPU does with a full-size encoder: `examples/bench/gpu` packs it, takes it along and runs it.
//!
//! One process, one package in one precision on one execution provider; a line of JSON for each thing measured:
//!
//!     gpu measure PROVIDER PACKAGE PRECISION BATCHES ELEMENTS WORKERS SECONDS    (lists with commas)
//!     gpu agree PROVIDER PACKAGE PRECISION WINDOWS
//!     gpu exit PROVIDER PACKAGE PRECISION WINDOWS
//!
//! `measure`: windows a second of a bare loop over the session, batch by batch, then of so many `m2dencode` that share an
//! engine of so many workers, each element fed by a thread of its own as fast as it takes; device memory beside them.
//! `agree`: how far windows of noise through the element are from the float32 graph on the CPU. `exit`: a pipeline to its
//! end, and out: whoever starts it looks at the exit status.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_listen_common::caps::{MIXED, MelCaps, MelFormat};
use listen_package::{Manifest, Package, Precision};
use listen_runtime::{GraphSource, Provider, Session, SessionOptions, TensorRef};
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

/// The longest that a window may take, loading counted.
const PATIENCE: Duration = Duration::from_secs(180);
/// Windows of noise that differ; more repeat them.
const SOUNDS: usize = 8;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    gst::init()?;
    gstlisten::plugin_register_static()?;
    match words[..] {
        ["measure", provider, package, precision, batches, elements, workers, seconds] => {
            let subject = Subject::new(provider, package, precision)?;
            let seconds = Duration::from_secs_f64(seconds.parse()?);
            measure(&subject, &list(batches)?, &list(elements)?, &list(workers)?, seconds)
        }
        ["agree", provider, package, precision, windows] => {
            agree(&Subject::new(provider, package, precision)?, windows.parse()?)
        }
        ["exit", provider, package, precision, windows] => {
            let subject = Subject::new(provider, package, precision)?;
            let windows = windows.parse()?;
            subject.embeddings(windows).map(|found| println!("{} windows", found.len()))
        }
        _ => Err("usage: gpu measure|agree|exit PROVIDER PACKAGE PRECISION …, see the head of gpu.rs".into()),
    }
}

fn list(text: &str) -> Result<Vec<usize>, Failure> {
    Ok(text.split(',').map(str::parse).collect::<Result<_, _>>()?)
}

/// What is measured: a package's graph of one precision on one provider.
struct Subject {
    provider: Provider,
    folder: String,
    precision: String,
    manifest: Manifest,
    bands: usize,
    frames: usize,
}

impl Subject {
    fn new(provider: &str, folder: &str, precision: &str) -> Result<Self, Failure> {
        let package = Package::open(Path::new(folder), true)?;
        let bands = package.front_end().ok_or("the package has no log-mel front end")?.n_mels as usize;
        let manifest = package.manifest().clone();
        let frames = manifest.window.frames as usize;
        let provider = provider.parse()?;
        let (folder, precision) = (folder.to_owned(), precision.to_owned());
        Ok(Self { provider, folder, precision, manifest, bands, frames })
    }

    /// A line of what was found out.
    fn tell(&self, what: serde_json::Value) {
        let mut line = json!({"provider": self.provider.name(), "package": self.manifest.id, "precision": self.precision});
        if let (Some(line), Some(what)) = (line.as_object_mut(), what.as_object()) {
            line.extend(what.clone());
        }
        println!("{line}");
    }

    fn session(&self, provider: Provider, precision: Precision) -> Result<Session, Failure> {
        let graph = self.manifest.encoder.graphs.get(&precision).ok_or("the package has no such graph")?;
        let options = SessionOptions { provider, ..SessionOptions::default() };
        Ok(Session::load(&GraphSource::Path(&Path::new(&self.folder).join(&graph.file)), &options)?)
    }

    fn graph(&self) -> Result<Precision, Failure> {
        let named = |p: &&Precision| format!("{p:?}").to_lowercase() == self.precision;
        Ok(*self.manifest.encoder.graphs.keys().find(named).ok_or("the package has no such precision")?)
    }

    /// Log-mel frames of a window, one after the other, `[frames, bands]`.
    fn sound(&self, number: usize) -> Vec<f32> {
        let first = (number % SOUNDS * self.frames * self.bands) as u64;
        (0..(self.frames * self.bands) as u64).map(|i| noise(first + i)).collect()
    }

    /// The element in a pipeline of its own.
    fn element(
        &self,
        batch: usize,
        workers: usize,
        out: impl Fn(&gst::Buffer) + Send + Sync + 'static,
    ) -> Result<Fed, Failure> {
        let package = Package::open(Path::new(&self.folder), true)?;
        let front_end = package.front_end().ok_or("no front end")?.clone();
        let frame = 1_000_000_000 * u64::from(front_end.hop_length) / u64::from(front_end.sample_rate);
        let window = frame * self.frames as u64;
        let line = format!(
            "appsrc name=in format=time block=true max-bytes=0 max-time=0 max-buffers=4 \
             ! m2dencode name=encode model={} accept-license=true execution-provider={} precision={} window-mode=whole output=clip edge=rolling \
               window={window} hop={window} max-batch={batch} workers={workers} \
             ! fakesink name=out sync=false",
            self.folder,
            self.provider.name(),
            self.precision
        );
        let pipeline = gst::parse::launch(&line)?.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
        let by_name = |name: &str| pipeline.by_name(name).ok_or("no such element");
        let source = by_name("in")?.downcast::<gst_app::AppSrc>().map_err(|_| "no appsrc")?;
        source.set_caps(Some(&MelCaps { format: MelFormat::new(front_end), channel: MIXED }.to_caps()));
        by_name("out")?.static_pad("sink").ok_or("no pad")?.add_probe(
            gst::PadProbeType::BUFFER,
            move |_, info| {
                if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                    out(buffer);
                }
                gst::PadProbeReturn::Ok
            },
        );
        pipeline.set_state(gst::State::Playing)?;
        Ok(Fed { pipeline, source, window, feeder: None, stop: Arc::new(AtomicBool::new(false)) })
    }

    /// So many windows through one element, to the end of the stream; the embeddings.
    fn embeddings(&self, windows: usize) -> Result<Vec<Vec<f32>>, Failure> {
        let (send, found) = mpsc::channel();
        let fed = self.element(windows.min(SOUNDS), 1, move |buffer| {
            let values = buffer.map_readable().map(|map| {
                map.chunks_exact(4)
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                    .collect::<Vec<f32>>()
            });
            // Nobody listens once the run is over.
            let _ = send.send(values);
        })?;
        fed.source.set_block(false); // these are few, and an error must not leave us waiting
        for number in 0..windows {
            fed.push(number as u64, &fed.buffer(&self.sound(number)))?;
        }
        fed.source.end_of_stream()?;
        let mut all = Vec::new();
        let start = Instant::now();
        while all.len() < windows {
            match found.recv_timeout(Duration::from_millis(50)) {
                Ok(embedding) => all.push(embedding?),
                Err(_) => fed.check(start)?,
            }
        }
        Ok(all)
    }
}

/// A pipeline that is fed.
struct Fed {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    /// Of one window, in ns.
    window: u64,
    feeder: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Fed {
    fn buffer(&self, frames: &[f32]) -> gst::Buffer {
        gst::Buffer::from_mut_slice(frames.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }

    fn push(&self, number: u64, sound: &gst::Buffer) -> Result<(), gst::FlowError> {
        push(&self.source, self.window, number, sound).map(drop)
    }

    /// Feeds it from a thread, until it is dropped.
    fn feed(&mut self, sounds: &[Vec<f32>]) {
        let buffers: Vec<_> = sounds.iter().map(|sound| self.buffer(sound)).collect();
        let (source, window, stop) = (self.source.clone(), self.window, Arc::clone(&self.stop));
        self.feeder = Some(std::thread::spawn(move || {
            for number in 0.. {
                let sound = &buffers[number as usize % buffers.len()];
                if stop.load(Ordering::Relaxed) || push(&source, window, number, sound).is_err() {
                    return;
                }
            }
        }));
    }

    /// # Errors
    /// The pipeline posted one, or has taken too long since `start`.
    fn check(&self, start: Instant) -> Result<(), Failure> {
        let bus = self.pipeline.bus().ok_or("no bus")?;
        let mut said = Vec::new();
        // The first is what a source says of an error further on; what it was comes with it.
        let mut wait = gst::ClockTime::ZERO;
        while let Some(message) = bus.timed_pop_filtered(wait, &[gst::MessageType::Error]) {
            if let gst::MessageView::Error(error) = message.view() {
                said.push(error.error().to_string());
            }
            wait = gst::ClockTime::from_mseconds(300);
        }
        if !said.is_empty() {
            return Err(said.join("; ").into());
        }
        if start.elapsed() > PATIENCE {
            return Err("no embedding came out in time".into());
        }
        Ok(())
    }
}

fn push(
    source: &gst_app::AppSrc,
    window: u64,
    number: u64,
    sound: &gst::Buffer,
) -> Result<gst::FlowSuccess, gst::FlowError> {
    let mut buffer = sound.copy(); // its memory is shared
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::from_nseconds(number * window));
        buffer.set_duration(gst::ClockTime::from_nseconds(window));
    }
    source.push_buffer(buffer)
}

impl Drop for Fed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            eprintln!("the pipeline did not stop: {error}");
        }
        if let Some(feeder) = self.feeder.take()
            && feeder.join().is_err()
        {
            eprintln!("a feeding thread panicked");
        }
    }
}

/// Something like log-mel values, the same in every run.
fn noise(i: u64) -> f32 {
    let x = (i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33) as f32;
    x / (1u64 << 31) as f32 * 8.0 - 12.0
}

/// Memory in use on the first GPU in MB, by its driver's own tool; `None` where there is none.
fn device_memory() -> Option<f64> {
    let asked = ["--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"];
    let output = Command::new("nvidia-smi").args(asked).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn measure(
    subject: &Subject,
    batches: &[usize],
    elements: &[usize],
    workers: &[usize],
    time: Duration,
) -> Result<(), Failure> {
    let before = device_memory();
    let taken = || Some(device_memory()? - before?);
    bare(subject, batches, time, &taken)?;
    for &workers in workers {
        for &batch in batches {
            for &elements in elements {
                shared(subject, batch, elements, workers, time, &taken)?;
            }
        }
    }
    Ok(())
}

/// Windows a second of the session alone: samples in, tokens out, both in the host's memory.
fn bare(
    subject: &Subject,
    batches: &[usize],
    time: Duration,
    taken: &dyn Fn() -> Option<f64>,
) -> Result<(), Failure> {
    let mut session = subject.session(subject.provider, subject.graph()?)?;
    let (input, output) = (&subject.manifest.encoder.input.name, &subject.manifest.encoder.output.name);
    for &batch in batches {
        let values: Vec<f32> = (0..batch).flat_map(|number| subject.sound(number)).collect();
        let shape = [batch, 1, subject.bands, subject.frames];
        let mut run = || -> Result<(), Failure> {
            let found = session.run(&[(input, TensorRef::f32(&shape, &values)?)], &[output])?;
            std::hint::black_box(&found);
            Ok(())
        };
        run()?;
        run()?;
        let (start, mut runs) = (Instant::now(), 0);
        while runs < 3 || start.elapsed() < time {
            run()?;
            runs += 1;
        }
        let rate = (runs * batch) as f64 / start.elapsed().as_secs_f64();
        subject.tell(json!({"what": "bare", "batch": batch, "windows_per_s": rate, "runs": runs, "device_mb": taken()}));
    }
    Ok(())
}

/// Windows a second of so many elements on one engine.
fn shared(
    subject: &Subject,
    batch: usize,
    elements: usize,
    workers: usize,
    time: Duration,
    taken: &dyn Fn() -> Option<f64>,
) -> Result<(), Failure> {
    let sounds: Vec<_> = (0..SOUNDS).map(|number| subject.sound(number)).collect();
    let (count, mut all) = (Arc::new(AtomicU64::new(0)), Vec::new());
    for _ in 0..elements {
        let count = Arc::clone(&count);
        all.push(subject.element(batch, workers, move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        })?);
    }
    let start = Instant::now();
    all.iter_mut().for_each(|fed| fed.feed(&sounds));
    // Loaded, and every batch once: whatever is made on a first run of a shape is made.
    let warm = (4 * batch * workers).max(2 * elements) as u64;
    while count.load(Ordering::Relaxed) < warm {
        all[0].check(start)?;
        std::thread::sleep(Duration::from_millis(5));
    }
    let (start, first) = (Instant::now(), count.load(Ordering::Relaxed));
    while start.elapsed() < time || count.load(Ordering::Relaxed) < first + 3 * batch as u64 {
        all[0].check(start)?;
        std::thread::sleep(Duration::from_millis(5));
    }
    let rate = (count.load(Ordering::Relaxed) - first) as f64 / start.elapsed().as_secs_f64();
    let stats = all[0].pipeline.by_name("encode").ok_or("no encoder")?.property::<gst::Structure>("stats");
    let inference = stats.get::<u64>("inference-p50")? as f64 / 1e6;
    subject.tell(json!({"what": "elements", "elements": elements, "workers": workers, "batch": batch, "windows_per_s": rate,
        "run_ms": inference, "device_mb": taken()}));
    Ok(())
}

/// The element's embeddings beside those of the float32 graph on the CPU, pooled here.
fn agree(subject: &Subject, windows: usize) -> Result<(), Failure> {
    let found = subject.embeddings(windows)?;
    let expected = Subject {
        provider: Provider::Cpu,
        precision: "fp32".into(),
        manifest: subject.manifest.clone(),
        folder: subject.folder.clone(),
        ..*subject
    };
    let expected = expected.embeddings(windows)?;
    let (mut least, mut most) = (1.0_f64, 0.0_f64);
    for (a, b) in found.iter().zip(&expected) {
        let dot =
            |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        least = least.min(dot(a, b) / (dot(a, a) * dot(b, b)).sqrt());
        let size = b.iter().fold(1.0_f32, |size, v| size.max(v.abs()));
        let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs() / size);
        most = most.max(worst.fold(0.0, f32::max).into());
    }
    subject.tell(json!({"what": "agree", "windows": windows, "min_cosine": least, "max_difference": most}));
    Ok(())
}
