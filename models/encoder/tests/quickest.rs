//! `precision=auto`: which graph is taken, and what is remembered of it. Each measurement is a process of its own, with
//! a cache directory of its own; none is judged by how long anything took.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{changed, graph, open};
use listen_encoder::{EncoderOptions, quickest};
use listen_package::Precision;
use listen_runtime::Provider;
use serde_json::{Value, json};

/// Set in a child: the package's folder.
const PACKAGE: &str = "LISTEN_ENCODER_TEST_PACKAGE";

fn options() -> EncoderOptions {
    EncoderOptions { provider: Provider::Cpu, ..Default::default() }
}

/// The choice of a new process that keeps what it measures in `cache`.
fn choice(package: &Path, cache: &Path) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["in_a_child_the_choice_is_printed", "--exact", "--nocapture"]);
    let output = child.env(PACKAGE, package).env("XDG_CACHE_HOME", cache).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.split_once("quickest: ")).expect("a choice");
    line.1.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn in_a_child_the_choice_is_printed() {
    let Ok(folder) = std::env::var(PACKAGE) else { return };
    let package = open(Path::new(&folder));
    let chosen = quickest(&package, &options()).unwrap();
    // What was measured is not measured again.
    assert_eq!(quickest(&package, &options()).unwrap(), chosen);
    println!("\nquickest: {chosen:?} ");
}

/// `tiny-tokens` with these graphs; `encoder.onnx` and `quantised.onnx` are there.
fn with_graphs(graphs: Value) -> tempfile::TempDir {
    changed("tiny-tokens", |manifest, folder| {
        std::fs::copy(graph("quantised.onnx"), folder.join("quantised.onnx")).unwrap();
        std::fs::write(folder.join("broken.onnx"), "no graph").unwrap();
        for file in ["quantised.onnx", "broken.onnx"] {
            manifest["sha256"][file] = json!("");
        }
        // The quantised graph is too coarse for the others' self-test.
        manifest.as_object_mut().unwrap().remove("self_test");
        manifest["encoder"]["graphs"] = graphs;
    })
}

/// The files of the cache.
fn remembered(cache: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(cache.join("gst-listen/quickest")).into_iter().flatten();
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn the_quickest_is_measured_once_on_a_machine_and_taken_from_then_on() {
    let package = with_graphs(json!({
        "fp32": {"file": "encoder.onnx"},
        "int8": {"file": "quantised.onnx", "cosine": 0.996, "max_batch": 1},
    }));
    let cache = tempfile::tempdir().unwrap();
    let first = choice(package.path(), cache.path());
    let files = remembered(cache.path());
    let [file] = &files[..] else { panic!("{files:?}") };
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [key, fp32, int8] = lines[..] else { panic!("{text}") };
    assert!(key.contains("tiny-tokens-") && key.contains("cpu:0") && key.contains("1 threads"), "{key}");
    let ns = |line: &str| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap();
    assert_eq!(first, if ns(fp32) <= ns(int8) { "Fp32" } else { "Int8" });
    // What the file says is believed: nothing is measured again.
    for (fp32, int8, expected) in [(1, 1_000, "Fp32"), (1_000, 1, "Int8"), (5, 5, "Fp32")] {
        std::fs::write(file, format!("{key}\nfp32 {fp32} ns\nint8 {int8} ns")).unwrap();
        assert_eq!(choice(package.path(), cache.path()), expected);
    }
    // What is no such file is measured anew.
    std::fs::write(file, "something else").unwrap();
    choice(package.path(), cache.path());
    assert!(std::fs::read_to_string(file).unwrap().starts_with(key));
}

#[test]
fn another_package_is_measured_for_itself() {
    let graphs = |cosine: f64| {
        json!({
            "fp32": {"file": "encoder.onnx"},
            "int8": {"file": "quantised.onnx", "cosine": cosine},
        })
    };
    let cache = tempfile::tempdir().unwrap();
    choice(with_graphs(graphs(0.996)).path(), cache.path());
    choice(with_graphs(graphs(0.997)).path(), cache.path());
    assert_eq!(remembered(cache.path()).len(), 2);
}

#[test]
fn one_graph_that_is_near_enough_is_taken_without_a_measurement() {
    let cache = tempfile::tempdir().unwrap();
    let chosen = |graphs: Value| {
        let package = with_graphs(graphs);
        let chosen = choice(package.path(), cache.path());
        assert!(remembered(cache.path()).is_empty());
        chosen
    };
    assert_eq!(chosen(json!({"fp32": {"file": "encoder.onnx"}})), "Fp32");
    // Below the bar, or nobody knows.
    let far = json!({"file": "broken.onnx", "cosine": 0.9949});
    assert_eq!(chosen(json!({"fp32": {"file": "encoder.onnx"}, "int8": far})), "Fp32");
    let unknown = json!({"file": "broken.onnx"});
    assert_eq!(chosen(json!({"fp32": {"file": "encoder.onnx"}, "fp16": unknown})), "Fp32");
    assert_eq!(chosen(json!({"int8": far, "bf16": {"file": "encoder.onnx", "cosine": 0.9999}})), "Bf16");
    // None says how near it is: the most exact, as by name.
    assert_eq!(chosen(json!({"int8": unknown, "fp16": {"file": "encoder.onnx"}})), "Fp16");
}

#[test]
fn a_graph_that_cannot_be_loaded_here_is_passed_over() {
    // ONNX Runtime's CPU kernels have no bfloat16 of their own.
    for broken in [
        json!({"bf16": {"file": "encoder.onnx", "cosine": 1.0}}),
        json!({"int8": {"file": "broken.onnx", "cosine": 1.0}}),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let mut graphs = json!({"fp32": {"file": "encoder.onnx"}});
        graphs.as_object_mut().unwrap().extend(broken.as_object().unwrap().clone());
        let package = with_graphs(graphs);
        assert_eq!(choice(package.path(), cache.path()), "Fp32");
        let text = std::fs::read_to_string(&remembered(cache.path())[0]).unwrap();
        assert!(text.ends_with(" none"), "{text}");
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_no_error() {
    let package = with_graphs(json!({
        "fp32": {"file": "encoder.onnx"},
        "int8": {"file": "quantised.onnx", "cosine": 0.996},
    }));
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(["Fp32", "Int8"].contains(&choice(package.path(), file.path()).as_str()));
}

#[test]
fn the_precision_in_the_options_is_not_looked_at() {
    let package = with_graphs(json!({"fp32": {"file": "encoder.onnx"}}));
    let options = EncoderOptions { precision: Some(Precision::Int8), ..options() };
    assert_eq!(quickest(&open(package.path()), &options).unwrap(), Precision::Fp32);
}
