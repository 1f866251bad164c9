//! The processes that the benchmark compares.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use listen_runtime::{
    Engine, EngineOptions, GraphSource, Limits, Model, Precision, Provider, RuntimeError, Session,
    SessionOptions, SharedWeights, TensorRef,
};
use ort::session::builder::GraphOptimizationLevel;

/// Whatever goes wrong in a benchmark ends it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

const SHAPE: [usize; 4] = [1, 1, 80, 608];

fn window() -> Vec<f32> {
    (0..SHAPE.iter().product()).map(|i: usize| (i as f32).sin()).collect()
}

/// Runs as many windows as each line of stdin says, and answers in ns: wall time, CPU time of all threads, and how long
/// the threads named `listen-infer-*` slept, each, in the mean.
///
/// A thread that sleeps neither runs nor waits for a core: that is time the loop around the model lost, and other
/// programs on the machine do not add to it.
fn obey(workers: usize, mut run: impl FnMut(usize) -> Result<(), Failure>) -> Result<(), Failure> {
    for line in std::io::stdin().lock().lines() {
        let windows = line?.trim().parse()?;
        let (start, before) = (Instant::now(), Used::now()?);
        run(windows)?;
        let (wall, after) = (start.elapsed().as_nanos() as u64, Used::now()?);
        let busy = (after.workers - before.workers) / workers as u64;
        println!("{wall} {} {}", after.cpu - before.cpu, wall.saturating_sub(busy));
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// What the process's threads have done so far, in ns. A schedstat begins with the time on a core and the time spent
/// waiting for one.
struct Used {
    cpu: u64,
    /// On a core or waiting for one, of the threads that run models.
    workers: u64,
}

impl Used {
    fn now() -> Result<Self, Failure> {
        let mut used = Self { cpu: 0, workers: 0 };
        for task in std::fs::read_dir("/proc/self/task")? {
            let task = task?.path();
            let text = std::fs::read_to_string(task.join("schedstat"))?;
            let numbers = text.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
            let [ran, waited, ..] = numbers[..] else { return Err("short schedstat".into()) };
            used.cpu += ran;
            if std::fs::read_to_string(task.join("comm"))?.starts_with("listen-infer") {
                used.workers += ran + waited;
            }
        }
        Ok(used)
    }
}

/// `ort::Session::run` in a loop, on a thread and a session for each worker.
pub fn bare(graph: &Path, workers: usize) -> Result<(), Failure> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let installed = home.join(".local/share/gst-listen/onnxruntime/libonnxruntime.so.1");
    let library = std::env::var_os("GST_LISTEN_ONNXRUNTIME").map(PathBuf::from).unwrap_or(installed);
    let environment = ort::init_from(library)?.with_telemetry(false).build()?;
    let load = || -> Result<ort::session::Session, Failure> {
        let builder = ort::session::Session::builder(&environment)
            .and_then(|b| Ok(b.with_intra_threads(1)?))
            .and_then(|b| Ok(b.with_inter_threads(1)?))
            .and_then(|b| Ok(b.with_intra_op_spinning(false)?))
            .and_then(|b| Ok(b.with_optimization_level(GraphOptimizationLevel::All)?));
        Ok(builder?.commit_from_file(graph)?)
    };
    let mut sessions = (0..workers).map(|_| load()).collect::<Result<Vec<_>, _>>()?;
    let window = window();
    // Threads that stay, like the engine's: those that end take their CPU time with them.
    let (finished, done) = crossbeam::channel::unbounded();
    thread::scope(|scope| {
        let orders: Vec<_> = sessions
            .iter_mut()
            .map(|session| {
                let (send, orders) = crossbeam::channel::unbounded::<usize>();
                let (window, finished) = (&window, finished.clone());
                let thread = thread::Builder::new().name("listen-infer-bare".to_owned());
                let work = move || {
                    for windows in orders {
                        let run = || -> Result<(), Failure> {
                            for _ in 0..windows {
                                let mel = ort::value::TensorRef::from_array_view((SHAPE, &window[..]))?;
                                let outputs = session.run(ort::inputs!["mel" => mel])?;
                                std::hint::black_box(outputs["tokens"].try_extract_tensor::<f32>()?);
                            }
                            Ok(())
                        };
                        let _ = finished.send({ run }());
                    }
                };
                thread.spawn_scoped(scope, work).map(|_| send)
            })
            .collect::<Result<_, _>>()?;
        obey(workers, |windows| {
            for order in &orders {
                order.send(windows / workers)?;
            }
            orders.iter().try_for_each(|_| done.recv()?)
        })
    })
}

/// A window through a graph, as an encoder does it.
struct Encoder(Session);

impl Model for Encoder {
    type Input = Vec<f32>;
    type Output = Vec<f32>;

    fn run(&mut self, batch: &mut Vec<Vec<f32>>) -> Vec<Result<Vec<f32>, RuntimeError>> {
        let one = |window: &Vec<f32>| {
            let mel = TensorRef::f32(&SHAPE, window)?;
            let tokens = self.0.run(&[("mel", mel)], &["tokens"])?.swap_remove(0);
            tokens.into_f32().ok_or(RuntimeError::Results { expected: 1, found: 0 })
        };
        batch.iter().map(one).collect()
    }
}

fn options(workers: usize, how: &str) -> SessionOptions {
    let weights = (how == "shared").then(|| SharedWeights::new(workers));
    SessionOptions { provider: Provider::Cpu, weights, ..SessionOptions::default() }
}

/// One stream through the engine: windows are submitted while there is room, and results taken in order.
pub fn engine(graph: &Path, workers: usize) -> Result<(), Failure> {
    let options = options(workers, "shared");
    let engine = Engine::new(EngineOptions { workers, queue: 64 }, |_| {
        Session::load(&GraphSource::Path(graph), &options).map(Encoder)
    })?;
    let client = engine.client();
    let window = window();
    obey(workers, |windows| {
        let mut sent = 0;
        for _ in 0..windows {
            // The copy is the encoder's own cost: it normalises into a tensor of its own.
            while sent < windows && client.try_submit(window.clone(), Limits::default()).is_ok() {
                sent += 1;
            }
            std::hint::black_box(client.recv_timeout(Duration::MAX).ok_or("no result")??);
        }
        Ok(())
    })
}

/// Prints what sessions for so many workers take in memory, after each has run.
pub fn rss(graph: &Path, workers: usize, how: &str) -> Result<(), Failure> {
    let options = options(workers, how);
    let mut sessions = (0..workers)
        .map(|_| Session::load(&GraphSource::Path(graph), &options))
        .collect::<Result<Vec<_>, _>>()?;
    let window = window();
    thread::scope(|scope| {
        for session in &mut sessions {
            let window = &window;
            scope.spawn(move || {
                TensorRef::f32(&SHAPE, window)
                    .and_then(|mel| session.run(&[("mel", mel)], &["tokens"]))
                    .map(drop)
            });
        }
    });
    let status = std::fs::read_to_string("/proc/self/status")?;
    let megabytes = |key: &str| -> Result<f64, Failure> {
        let line = status.lines().find(|l| l.starts_with(key)).ok_or("no such line")?;
        Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? / 1024.0)
    };
    println!("{:.0} (most {:.0})", megabytes("VmRSS:")?, megabytes("VmHWM:")?);
    Ok(())
}

/// Prints how long a provider takes for a window, and how far its tokens are from the CPU's.
pub fn provider(graph: &Path, provider: &str, precision: &str) -> Result<(), Failure> {
    let precision = [Precision::Graph, Precision::Bf16, Precision::Fp16]
        .into_iter()
        .find(|p| p.name() == precision)
        .unwrap_or_default();
    let options = SessionOptions { provider: provider.parse()?, precision, ..SessionOptions::default() };
    let start = Instant::now();
    let mut session = Session::load(&GraphSource::Path(graph), &options)?;
    let loaded = start.elapsed();
    let window = window();
    let mel = TensorRef::f32(&SHAPE, &window)?;
    let tokens = session.run(&[("mel", mel)], &["tokens"])?.swap_remove(0);
    let mut runs = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        session.run(&[("mel", mel)], &["tokens"])?;
        runs.push(start.elapsed());
    }
    runs.sort();
    let cpu = SessionOptions { provider: Provider::Cpu, ..SessionOptions::default() };
    let expected =
        Session::load(&GraphSource::Path(graph), &cpu)?.run(&[("mel", mel)], &["tokens"])?.swap_remove(0);
    let (a, b) = (tokens.into_f32().unwrap_or_default(), expected.into_f32().unwrap_or_default());
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let cosine = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
    println!(
        "{} in {precision}: loaded in {loaded:.1?}, median run {:.1?} (least {:.1?}), cosine to cpu {cosine:.7}",
        session.provider(),
        runs[4],
        runs[0]
    );
    Ok(())
}
