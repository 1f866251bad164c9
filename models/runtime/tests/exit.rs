//! The process ends while a graph is loaded or run: with the status that was asked for, and not by a signal.
//!
//! Without the harness of the other tests, for that runs tests on threads of its own, and `exit` is a matter of the
//! main thread. Each case is a child process; its first argument is the case, its second the delay in microseconds.
#![allow(unsafe_code, reason = "`atexit` makes the child linger in the midst of its exit")]

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use listen_runtime::{GraphSource, LogLevel, Provider, RuntimeError, Session, SessionOptions, TensorRef};

/// What a child ends with: no status that a crash or a failed test has.
const STATUS: u8 = 42;

/// The longest delay of a child: about as long as a load takes.
const LONGEST: u64 = 120_000;

fn load() -> Result<Session, RuntimeError> {
    let graph = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/small.onnx");
    let options = SessionOptions { provider: Provider::Cpu, ..SessionOptions::default() };
    Session::load(&GraphSource::Path(&graph), &options)
}

/// Loads again and again, and runs each time; ends with the error that this gives when the process exits.
fn work() -> RuntimeError {
    let once = || -> Result<(), RuntimeError> {
        let mut session = load()?;
        for _ in 0..50 {
            let (x, ids) = ([0.0; 8], [1, 2]);
            session
                .run(&[("x", TensorRef::f32(&[2, 4], &x)?), ("ids", TensorRef::i64(&[2], &ids)?)], &["y"])?;
        }
        Ok(())
    };
    loop {
        if let Err(error) = once() {
            return error;
        }
    }
}

fn work_aside() {
    std::thread::spawn(|| {
        let error = work();
        if error != RuntimeError::Exiting {
            eprintln!("unexpected: {error}");
        }
    });
}

/// The first that is registered runs last: after the destructors of ONNX Runtime, whose other threads then go on for a
/// while as they do in a program of many libraries.
extern "C" fn linger() {
    std::thread::sleep(Duration::from_millis(50));
}

fn child(case: &str, delay: Duration) -> ExitCode {
    // SAFETY: a function of this program, which does not unwind.
    assert_eq!(unsafe { libc::atexit(linger) }, 0);
    match case {
        "returns" => {
            listen_runtime::set_log_level(LogLevel::Error);
            work_aside();
            std::thread::sleep(delay);
        }
        "exits" => {
            listen_runtime::set_library_path(None);
            work_aside();
            work_aside();
            std::thread::sleep(delay);
            std::process::exit(STATUS.into());
        }
        "exits aside" => {
            // The first load is over.
            drop(load());
            work_aside();
            std::thread::spawn(move || {
                std::thread::sleep(delay);
                std::process::exit(STATUS.into());
            });
            loop {
                std::thread::park();
            }
        }
        other => eprintln!("no such case: {other}"),
    }
    ExitCode::from(STATUS)
}

/// Ends `times` children with delays that are spread over a load, half of them over its first tenth.
fn ends_cleanly(case: &str, times: u64) -> bool {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut clean = true;
    for time in 0..times {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let delay = (random >> 33) % if time % 2 == 0 { LONGEST } else { LONGEST / 10 };
        let output = std::env::current_exe()
            .and_then(|this| Command::new(this).args([case, &delay.to_string()]).output())
            .unwrap();
        if output.status.code() != Some(STATUS.into()) || !output.stderr.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr);
            println!("{case}, after {delay} us: {}, expected status {STATUS}: {said}", output.status);
            clean = false;
        }
    }
    println!("{case}: {times} ends, {}", if clean { "all clean" } else { "FAILED" });
    clean
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [case, delay] = &arguments[..]
        && let Ok(delay) = delay.parse()
    {
        return child(case, Duration::from_micros(delay));
    }
    // A loader that finds no library, or a graph that does not run, ends cleanly too: no proof of anything.
    drop(load().unwrap());
    let cases = [("returns", 25), ("exits", 25), ("exits aside", 10)];
    // No `all`, which ends at the first that fails.
    let failed = cases.into_iter().filter(|(case, times)| !ends_cleanly(case, *times)).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
