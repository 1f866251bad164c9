//! What the engine costs, against bare loops over the same file with the same options, and what its workers cost in
//! memory.
//!
//! ```text
//! python3 models/runtime/benches/make_graphs.py DIRECTORY
//! LISTEN_BENCH_GRAPHS=DIRECTORY cargo bench -p listen-runtime --bench overhead [-- memory | GRAPH]
//! cargo bench -p listen-runtime --bench overhead -- provider GRAPH openvino bf16
//! ```
//!
//! With `LISTEN_BENCH_PYTHON` naming a Python that has onnxruntime, its bare loop runs along (`bare_loop.py`).
//!
//! Each contender is a process of its own, since a process has one ONNX Runtime environment. They take turns, in
//! changing order, and the ratios are those of neighbouring turns: whatever else the machine does falls on all.

mod contenders;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use contenders::Failure;

/// Turns of each contender.
const ROUNDS: usize = 15;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bare", graph, workers] => return contenders::bare(Path::new(graph), workers.parse()?),
        ["engine", graph, workers] => return contenders::engine(Path::new(graph), workers.parse()?),
        ["provider", graph, provider, precision] => {
            return contenders::provider(Path::new(graph), provider, precision);
        }
        ["rss", graph, workers, how] => return contenders::rss(Path::new(graph), workers.parse()?, how),
        _ => {}
    }
    let directory = std::env::var_os("LISTEN_BENCH_GRAPHS").map(PathBuf::from).ok_or(
        "LISTEN_BENCH_GRAPHS is not set; make the graphs with models/runtime/benches/make_graphs.py DIRECTORY",
    )?;
    if arguments.iter().any(|a| a == "memory") {
        return memory(&directory.join("vit-base.onnx"));
    }
    println!("ms per window: median of {ROUNDS} turns, wall (and CPU); ratios: median over the rounds");
    println!(
        "| graph | workers | ort, bare | Python, bare | engine | bare / engine, wall | CPU | Python / engine, wall \
         | workers asleep: bare, engine |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (graph, windows) in [("vit-base.onnx", 6), ("vit-5ms.onnx", 120)] {
        for workers in [1, 2] {
            if arguments.first().is_some_and(|only| !graph.contains(only)) {
                continue;
            }
            overhead(&directory.join(graph), workers, windows)?;
        }
    }
    Ok(())
}

/// A process that runs windows when told to.
struct Contender {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Wall and CPU time of a turn, in ms per window, and the part of the wall time in which a worker slept.
#[derive(Clone, Copy, Default)]
struct Turn {
    wall: f64,
    cpu: f64,
    idle: f64,
}

impl Contender {
    fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = child.stdin.take().ok_or("no stdin")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        Ok(Self { child, orders, answers })
    }

    fn turn(&mut self, windows: usize) -> Result<Turn, Failure> {
        writeln!(self.orders, "{windows}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let per_window = |ns: &str| -> Result<f64, Failure> { Ok(ns.parse::<f64>()? / 1e6 / windows as f64) };
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [wall, cpu, ref idle @ ..] => {
                let idle = idle.first().map_or(Ok(0.0), |idle| per_window(idle))? / per_window(wall)?;
                Ok(Turn { wall: per_window(wall)?, cpu: per_window(cpu)?, idle })
            }
            _ => Err(format!("a contender said {line:?}").into()),
        }
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn overhead(graph: &Path, workers: usize, windows: usize) -> Result<(), Failure> {
    let here = std::env::current_exe()?;
    let start =
        |what: &str| Contender::start(Command::new(&here).arg(what).arg(graph).arg(workers.to_string()));
    let mut contenders = vec![start("bare")?, start("engine")?];
    if let Some(python) = std::env::var_os("LISTEN_BENCH_PYTHON") {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/bare_loop.py");
        contenders
            .push(Contender::start(Command::new(python).arg(script).arg(graph).arg(workers.to_string()))?);
    }
    for contender in &mut contenders {
        contender.turn(windows)?; // warms it up
    }
    let mut turns = vec![Vec::new(); 3];
    for round in 0..ROUNDS {
        let n = contenders.len();
        for i in (0..n).map(|i| (i + round) % n) {
            turns[i].push(contenders[i].turn(windows)?);
        }
    }
    let [bare, engine, python] = &turns[..] else { return Err("three contenders".into()) };
    let both = |turns: &[Turn]| match turns {
        [] => "-".to_owned(),
        _ => format!(
            "{:.2} ({:.2})",
            median(turns.iter().map(|t| t.wall)),
            median(turns.iter().map(|t| t.cpu))
        ),
    };
    let ratio = |of: &[Turn], what: fn(&Turn) -> f64| match of {
        [] => "-".to_owned(),
        _ => format!("{:.1} %", 100.0 * median(of.iter().zip(engine).map(|(a, b)| what(a) / what(b)))),
    };
    println!(
        "| {} | {workers} | {} | {} | {} | {} | {} | {} | {:.2} %, {:.2} % |",
        graph.file_stem().unwrap_or_default().to_string_lossy(),
        both(bare),
        both(python),
        both(engine),
        ratio(bare, |t| t.wall),
        ratio(bare, |t| t.cpu),
        ratio(python, |t| t.wall),
        100.0 * median(bare.iter().map(|t| t.idle)),
        100.0 * median(engine.iter().map(|t| t.idle)),
    );
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn memory(graph: &Path) -> Result<(), Failure> {
    println!(
        "{}: resident memory in MB after a run on each worker, and the most while loading",
        graph.display()
    );
    println!("| workers | a session each | over one copy of the weights |");
    println!("|---|---|---|");
    for workers in ["1", "2", "4"] {
        let rss = |how: &str| -> Result<String, Failure> {
            let mut command = Command::new(std::env::current_exe()?);
            let output = command.arg("rss").arg(graph).arg(workers).arg(how).output()?;
            let text = String::from_utf8(output.stdout)?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
            }
            Ok(text.trim().to_owned())
        };
        println!("| {workers} | {} | {} |", rss("separate")?, rss("shared")?);
    }
    Ok(())
}
