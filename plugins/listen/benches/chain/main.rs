//! What the chain costs beside the inference itself: `./run bench chain` (figures in BENCHMARKS.md).
//!
//! Four tables, each made in one run so that its columns can be compared: windows per second of `m2dencode` beside bare
//! loops over the same graph with the same options (Rust here, Python onnxruntime in `bare.py`); memory of 1 to 64 elements
//! on one engine; time from a window's last frame to its embedding on the pad; speed of the whole chain on real time.
//!
//! Arguments: package folders to measure; `VIT=folder` environment names the ViT-Base-sized one made by `make_vit.py`.

mod speed;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_listen_common::caps::{MIXED, MelCaps, MelFormat};
use listen_package::Package;
use listen_runtime::{GraphSource, Provider, Session, SessionOptions, TensorRef};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    gst::init()?;
    gstlisten::plugin_register_static()?;
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|a| a == name);
    let vit = std::env::var("VIT").ok();
    if is_asked("overhead") {
        println!("\n## Windows per second, one thread, batch 1\n");
        println!(
            "| package | window | inference | m2dencode / bare Rust | CPU of the worker alike | CPU beside it, a window | m2dencode / bare Python | pairs |\n|---|---|---|---|---|---|---|---|"
        );
        if let Some(vit) = &vit {
            overhead("ViT-Base, random weights", vit, None, 4, 9)?;
        }
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/packages/default");
        let frames = Package::open(Path::new(default), true)?.manifest().window.max_frames;
        overhead("default", default, Some(frames), 100, 15)?;
    }
    if is_asked("memory") {
        memory()?;
    }
    if is_asked("latency") {
        latency("default", None, 300)?;
        if let Some(vit) = &vit {
            latency("ViT-Base, random weights", Some(vit), 12)?;
        }
    }
    if is_asked("speed") {
        speed::speed()?;
    }
    Ok(())
}

/// A pipeline around one `m2dencode`, fed with frames from here.
struct Fed {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    out: mpsc::Receiver<Instant>,
    width: usize,
    frames: u64,
    frame: u64,
    /// Buffers of noise by their number of frames.
    made: HashMap<usize, gst::Buffer>,
}

impl Fed {
    fn new(model: Option<&str>, properties: &str) -> Result<Self, Failure> {
        let package = match model {
            Some(folder) => Package::open(Path::new(folder), true)?,
            None => Package::default_package()?,
        };
        let front_end = package.front_end().ok_or("the package has no mel front end")?.clone();
        let model = model.map_or(String::new(), |m| format!("model={m}"));
        let line = format!(
            "appsrc name=in format=time max-bytes=0 ! m2dencode name=encode {model} intra-op-threads=1 workers=1 output=clip window-mode=whole precision=fp32 {properties} ! fakesink name=out sync=false"
        );
        let pipeline = gst::parse::launch(&line)?.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
        let by_name = |name: &str| pipeline.by_name(name).ok_or("no such element");
        let source = by_name("in")?.downcast::<gst_app::AppSrc>().map_err(|_| "no appsrc")?;
        let (width, frame) = (
            front_end.n_mels as usize,
            1_000_000_000 * u64::from(front_end.hop_length) / u64::from(front_end.sample_rate),
        );
        source.set_caps(Some(&MelCaps { format: MelFormat::new(front_end), channel: MIXED }.to_caps()));
        let (send, out) = mpsc::channel();
        by_name("out")?.static_pad("sink").ok_or("no pad")?.add_probe(
            gst::PadProbeType::BUFFER,
            move |_, _| {
                // The receiver goes before the pipeline only when the run is over.
                let _ = send.send(Instant::now());
                gst::PadProbeReturn::Ok
            },
        );
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self { pipeline, source, out, width, frames: 0, frame, made: HashMap::new() })
    }

    /// Pushes so many frames: the same again and again, as the bare loops run the same, and made once, as theirs.
    fn push(&mut self, frames: usize) -> Result<(), Failure> {
        let width = self.width;
        let made = self.made.entry(frames).or_insert_with(|| {
            let values = (0..frames * width).map(|i| noise(i as u64));
            gst::Buffer::from_mut_slice(values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
        });
        let mut buffer = made.copy();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(self.frames * self.frame));
            buffer.set_duration(gst::ClockTime::from_nseconds(frames as u64 * self.frame));
        }
        self.frames += frames as u64;
        self.source.push_buffer(buffer)?;
        Ok(())
    }

    fn next(&self) -> Result<Instant, Failure> {
        self.out.recv_timeout(Duration::from_secs(120)).map_err(|_| {
            let error = self.pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
            format!("no embedding came out: {error:?}").into()
        })
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            eprintln!("the pipeline did not stop: {error}");
        }
    }
}

/// Something like log-mel values, the same in every run.
fn noise(i: u64) -> f32 {
    let x = (i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33) as f32;
    x / (1u64 << 31) as f32 * 8.0 - 12.0
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The package's graphs, run by nothing but a loop.
struct Bare {
    encoder: Session,
    head: Option<Session>,
    manifest: listen_package::Manifest,
    input: Vec<f32>,
    shape: Vec<usize>,
}

impl Bare {
    fn new(folder: &str, frames: u32) -> Result<Self, Failure> {
        let package = Package::open(Path::new(folder), true)?;
        let manifest = package.manifest().clone();
        let options = SessionOptions { provider: Provider::Cpu, intra_op_threads: 1, ..Default::default() };
        let file = &manifest.encoder.graphs.values().next().ok_or("no graph")?.file;
        let load = |name: &str| Session::load(&GraphSource::Path(&Path::new(folder).join(name)), &options);
        let bands = package.front_end().ok_or("no front end")?.n_mels as usize;
        let input = (0..bands * frames as usize).map(|i| noise(i as u64)).collect();
        Ok(Self {
            encoder: load(file)?,
            head: manifest.head.as_ref().map(|h| load(&h.file)).transpose()?,
            input,
            shape: vec![1, 1, bands, frames as usize],
            manifest,
        })
    }

    fn run(&mut self) -> Result<(), Failure> {
        let (input, output) = (&self.manifest.encoder.input.name, &self.manifest.encoder.output.name);
        let tokens = self.encoder.run(&[(input, TensorRef::f32(&self.shape, &self.input)?)], &[output])?;
        if let (Some(session), Some(head)) = (&mut self.head, &self.manifest.head) {
            session.run(&[(&head.input, tokens[0].view())], &[&head.output])?;
        }
        Ok(())
    }

    fn seconds(&mut self, windows: usize) -> Result<f64, Failure> {
        let start = Instant::now();
        for _ in 0..windows {
            self.run()?;
        }
        Ok(start.elapsed().as_secs_f64())
    }
}

/// Python's onnxruntime on the same files: a process that runs `n` windows each time it is told so.
struct Python {
    process: std::process::Child,
    answers: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Python {
    fn new(folder: &str, frames: u32) -> Result<Self, Failure> {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/bare.py");
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let mut process = Command::new(python)
            .args([program, folder, &frames.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = process.stdout.take().ok_or("no output")?;
        Ok(Self { process, answers: std::io::BufRead::lines(std::io::BufReader::new(out)) })
    }

    fn seconds(&mut self, windows: usize) -> Result<f64, Failure> {
        use std::io::Write;
        writeln!(self.process.stdin.as_mut().ok_or("no input")?, "{windows}")?;
        Ok(self.answers.next().ok_or("Python ended")??.trim().parse()?)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        if let Err(error) = self.process.wait() {
            eprintln!("Python did not end: {error}");
        }
    }
}

/// Windows per second of the element beside bare loops; the pairs are interleaved and the median ratio is given.
fn overhead(
    name: &str,
    folder: &str,
    frames: Option<u32>,
    windows: usize,
    pairs: usize,
) -> Result<(), Failure> {
    let frames = match frames {
        Some(frames) => frames,
        None => Package::open(Path::new(folder), true)?.manifest().window.frames,
    };
    let mut fed = {
        let ns = u64::from(frames) * 10_000_000;
        Fed::new(Some(folder), &format!("window={ns} hop={ns} execution-provider=cpu"))?
    };
    let mut bare = Bare::new(folder, frames)?;
    let mut python = Python::new(folder, frames)?;
    // Loading, and one warm run of each.
    fed.push(frames as usize)?;
    fed.next()?;
    bare.seconds(2)?;
    python.seconds(2)?;
    let (mut rust_ratio, mut python_ratio, mut inference) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cpu_ratio, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..pairs {
        let (worker_before, all_before) = (cpu("listen-infer-0")?, cpu("")?);
        let ours = {
            let start = Instant::now();
            for _ in 0..windows {
                fed.push(frames as usize)?;
            }
            for _ in 0..windows - 1 {
                fed.next()?;
            }
            (fed.next()? - start).as_secs_f64()
        };
        let worker = cpu("listen-infer-0")? - worker_before;
        beside.push((cpu("")? - all_before - worker) / windows as f64 * 1e3);
        let bare_before = cpu("chain-")?;
        let rust = bare.seconds(windows)?;
        cpu_ratio.push((cpu("chain-")? - bare_before) / worker);
        let python = python.seconds(windows)?;
        rust_ratio.push(rust / ours);
        python_ratio.push(python / ours);
        inference.push(rust / windows as f64 * 1e3);
    }
    println!(
        "| {name} | {:.2} s | {:.2} ms | {:.1} % | {:.1} % | {:.2} ms | {:.1} % | {pairs} |",
        f64::from(frames) / 100.0,
        median(&mut inference),
        median(&mut rust_ratio) * 100.0,
        median(&mut cpu_ratio) * 100.0,
        median(&mut beside),
        median(&mut python_ratio) * 100.0
    );
    Ok(())
}

/// Seconds that the threads whose names begin so have run on a processor: what other work on the machine leaves alone.
fn cpu(name: &str) -> Result<f64, Failure> {
    let mut seconds = None;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.starts_with(name) {
            let ns = std::fs::read_to_string(task.join("schedstat"))?;
            let ns: f64 = ns.split(' ').next().ok_or("no time")?.parse()?;
            seconds = Some(seconds.unwrap_or(0.0) + ns / 1e9);
        }
    }
    seconds.ok_or_else(|| format!("no thread {name}").into())
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? * 1024.0)
}

/// Memory of 1, 4, 16 and 64 chains' encoders on one engine, after each has given ten windows.
fn memory() -> Result<(), Failure> {
    println!("\n## Memory, default package\n\n| elements | resident | for each further one |\n|---|---|---|");
    let mut all: Vec<Fed> = Vec::new();
    let mut first = 0.0;
    for n in [1, 4, 16, 64] {
        while all.len() < n {
            let mut fed = Fed::new(None, "")?;
            fed.push(1300)?;
            for _ in 0..8 {
                fed.next()?;
            }
            all.push(fed);
        }
        let now = resident()?;
        if n == 1 {
            first = now;
            println!("| 1 | {:.1} MB | |", now / 1e6);
        } else {
            println!("| {n} | {:.1} MB | {:.2} MB |", now / 1e6, (now - first) / 1e6 / (n - 1) as f64);
        }
    }
    Ok(())
}

/// From a window's last frame entering the element to its embedding on the pad, beside the inference alone.
fn latency(name: &str, folder: Option<&str>, windows: usize) -> Result<(), Failure> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/packages/default");
    let folder = folder.unwrap_or(default);
    let manifest = Package::open(Path::new(folder), true)?.manifest().clone();
    let (frames, hop) = (manifest.window.frames as usize, manifest.window.default_hop_frames as usize);
    let mut fed = Fed::new(Some(folder), "execution-provider=cpu")?;
    let mut bare = Bare::new(folder, manifest.window.frames)?;
    fed.push(frames)?;
    fed.next()?;
    let (mut ours, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..windows {
        fed.push(hop - 1)?;
        let last = Instant::now();
        fed.push(1)?;
        ours.push((fed.next()? - last).as_secs_f64() * 1e3);
        alone.push(bare.seconds(1)? * 1e3);
    }
    let at = |values: &mut Vec<f64>, q: f64| {
        values.sort_by(f64::total_cmp);
        values[((values.len() - 1) as f64 * q) as usize]
    };
    println!(
        "\n## Latency, {name}: last frame of a window to its embedding, {windows} windows\n\n| | p50 | p99 |\n|---|---|---|"
    );
    println!("| m2dencode | {:.2} ms | {:.2} ms |", at(&mut ours, 0.5), at(&mut ours, 0.99));
    println!("| inference alone | {:.2} ms | {:.2} ms |", at(&mut alone, 0.5), at(&mut alone, 0.99));
    Ok(())
}
