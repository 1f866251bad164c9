//! How the library is found, and what is said when it is not: each case in a process of its own, since a process
//! loads ONNX Runtime once.

use std::path::Path;
use std::process::Command;

use listen_runtime::library::loaded_library;
use listen_runtime::{GraphSource, RuntimeError, Session, SessionOptions, set_library_path};

/// Set in a child: what it is to try before it loads a graph.
const CASE: &str = "LISTEN_RUNTIME_TEST_CASE";

/// Runs one test of this file again, as a child with these variables; gives what it printed.
fn child(test: &str, case: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(CASE, case);
    for variable in ["GST_LISTEN_ONNXRUNTIME", "ORT_DYLIB_PATH"] {
        command.env_remove(variable);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

fn load() -> Result<Session, RuntimeError> {
    let graph = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/small.onnx");
    Session::load(&GraphSource::Path(&graph), &SessionOptions::default())
}

/// The library that this machine's tests use.
fn good() -> String {
    load().unwrap();
    loaded_library().unwrap().to_str().unwrap().to_owned()
}

fn in_child() -> Option<String> {
    std::env::var(CASE).ok()
}

#[test]
fn a_missing_library_is_an_error_that_names_the_place_and_what_to_install() {
    if in_child().is_some() {
        println!("{}", load().map(|_| ()).unwrap_err());
        return;
    }
    let this = "a_missing_library_is_an_error_that_names_the_place_and_what_to_install";
    let text = child(this, "missing", &[("GST_LISTEN_ONNXRUNTIME", "/nonexistent/libonnxruntime.so.1")]);
    for part in [
        "GST_LISTEN_ONNXRUNTIME: /nonexistent/libonnxruntime.so.1: no such file",
        "./run install",
        "pip install onnxruntime",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn a_file_that_is_no_library_is_refused_with_the_linkers_reason() {
    if in_child().is_some() {
        println!("{}", load().map(|_| ()).unwrap_err());
        return;
    }
    let this = "a_file_that_is_no_library_is_refused_with_the_linkers_reason";
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let text = child(this, "alien", &[("ORT_DYLIB_PATH", manifest)]);
    assert!(text.contains("ORT_DYLIB_PATH: ") && text.contains("invalid ELF header"), "{text}");
}

#[test]
fn a_library_that_is_not_onnx_runtime_is_refused_by_the_symbol_it_lacks() {
    if in_child().is_some() {
        println!("{}", load().map(|_| ()).unwrap_err());
        return;
    }
    let this = "a_library_that_is_not_onnx_runtime_is_refused_by_the_symbol_it_lacks";
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc =
        maps.lines().filter_map(|l| l.find('/').map(|i| &l[i..])).find(|p| p.contains("libc.so")).unwrap();
    let text = child(this, "libc", &[("ORT_DYLIB_PATH", libc)]);
    assert!(text.contains("does not export `OrtGetApiBase`"), "{text}");
}

#[test]
fn after_a_failure_a_library_named_later_is_loaded() {
    if in_child().is_some() {
        set_library_path(Some("/nonexistent/libonnxruntime.so.1".into()));
        println!("{}", load().map(|_| ()).unwrap_err());
        set_library_path(Some(std::env::var("GOOD").unwrap().into()));
        load().unwrap();
        println!("loaded {}", loaded_library().unwrap().display());
        return;
    }
    let good = good();
    let text = child("after_a_failure_a_library_named_later_is_loaded", "later", &[("GOOD", &good)]);
    assert!(text.contains("property onnxruntime: /nonexistent"), "{text}");
    assert!(text.contains(&format!("loaded {good}")), "{text}");
}

#[test]
fn a_directory_may_be_named_instead_of_the_file() {
    if in_child().is_some() {
        load().unwrap();
        println!("loaded {}", loaded_library().unwrap().display());
        return;
    }
    let directory = tempfile();
    std::os::unix::fs::symlink(good(), directory.join("libonnxruntime.so.1.23.4")).unwrap();
    let this = "a_directory_may_be_named_instead_of_the_file";
    let text = child(this, "directory", &[("GST_LISTEN_ONNXRUNTIME", directory.to_str().unwrap())]);
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(text.contains(&format!("loaded {}/libonnxruntime.so.1.23.4", directory.display())), "{text}");
}

#[test]
fn the_linkers_own_search_finds_debians_soname() {
    if in_child().is_some() {
        load().unwrap();
        println!("loaded {}", loaded_library().unwrap().display());
        return;
    }
    let directory = tempfile();
    std::os::unix::fs::symlink(good(), directory.join("libonnxruntime.so.1.21")).unwrap();
    let nowhere = directory.join("home");
    let text = child(
        "the_linkers_own_search_finds_debians_soname",
        "linker",
        &[
            ("LD_LIBRARY_PATH", directory.to_str().unwrap()),
            ("XDG_DATA_HOME", nowhere.to_str().unwrap()),
            ("HOME", nowhere.to_str().unwrap()),
        ],
    );
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(text.contains("loaded /"), "{text}");
}

#[test]
fn eight_threads_that_load_first_share_one_environment() {
    if in_child().is_some() {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
            threads.into_iter().for_each(|t| drop(t.join().unwrap().unwrap()));
        });
        return;
    }
    child(
        "eight_threads_that_load_first_share_one_environment",
        "threads",
        &[("GST_LISTEN_ONNXRUNTIME", &good())],
    );
}

#[test]
fn onnx_runtimes_messages_reach_the_logger_from_the_level_asked_for() {
    use listen_runtime::{LogLevel, set_log_level, set_logger};
    if in_child().is_some() {
        set_logger(std::sync::Arc::new(|level, message| println!("<{level:?}> {message}")));
        set_log_level(LogLevel::Verbose);
        drop(load().unwrap());
        set_log_level(LogLevel::Error);
        println!("quiet");
        drop(load().unwrap());
        return;
    }
    let this = "onnx_runtimes_messages_reach_the_logger_from_the_level_asked_for";
    let text = child(this, "logger", &[("GST_LISTEN_ONNXRUNTIME", &good())]);
    let (loud, quiet) = text.split_once("quiet").unwrap();
    assert!(loud.contains("<Info>") && loud.contains("<Verbose>"), "{text}");
    assert!(!quiet.contains('<'), "{text}");
}

/// A new directory for this test.
fn tempfile() -> std::path::PathBuf {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("listen-runtime-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir(&directory).unwrap();
    directory
}
