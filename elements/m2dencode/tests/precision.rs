//! `precision=auto` through the element: the graph that was measured quickest runs, and `stats` says which. What was
//! measured is written by the test, so that nothing depends on how long anything takes.

mod common;

use std::path::Path;
use std::process::Command;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_m2dencode::{ExecutionProvider, Precision};

/// Set in a child: the package's folder, and the property's value.
const PACKAGE: &str = "M2DENCODE_TEST_PACKAGE";
const ASKED: &str = "M2DENCODE_TEST_PRECISION";

fn precision(element: &gst::Element) -> String {
    element.property::<gst::Structure>("stats").get("precision").unwrap()
}

#[test]
fn in_a_child_what_runs_is_printed() {
    let (Ok(folder), Ok(asked)) = (std::env::var(PACKAGE), std::env::var(ASKED)) else { return };
    let element = element(None);
    element.set_model(Some(folder));
    element.set_execution_provider(ExecutionProvider::Cpu);
    element.set_property_from_str("precision", &asked);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_live(false);
    wait_for_load(&bus);
    h.set_src_caps(mel_caps(-1));
    h.push(frames(0, WINDOW)).unwrap();
    assert_eq!(finish(&mut h).len(), 1);
    println!("\nprecision: {} ", precision(element.upcast_ref()));
}

fn child(package: &Path, asked: &str, cache: &Path) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["in_a_child_what_runs_is_printed", "--exact", "--nocapture"]);
    child.env(PACKAGE, package).env(ASKED, asked).env("XDG_CACHE_HOME", cache);
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.split_once("precision: ")).expect("a precision");
    line.1.trim().to_owned()
}

#[test]
fn the_graph_that_was_measured_quickest_runs_and_stats_says_which() {
    let package = changed("tiny-frames", |manifest| {
        manifest["encoder"]["graphs"]["int8"] =
            serde_json::json!({"file": "encoder.onnx", "cosine": 0.999, "max_batch": 1});
    });
    let cache = tempfile::tempdir().unwrap();
    assert!(["fp32", "int8"].contains(&child(package.path(), "auto", cache.path()).as_str()));
    let file = std::fs::read_dir(cache.path().join("gst-listen/quickest")).unwrap().next().unwrap();
    let file = file.unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    let key = text.lines().next().unwrap();
    for (fp32, int8, expected) in [(9, 3, "int8"), (3, 9, "fp32")] {
        std::fs::write(&file, format!("{key}\nfp32 {fp32} ns\nint8 {int8} ns")).unwrap();
        assert_eq!(child(package.path(), "auto", cache.path()), expected);
    }
    assert_eq!(child(package.path(), "int8", cache.path()), "int8", "by name it is not asked");
}

#[test]
fn auto_is_the_default_and_is_known_at_once_where_there_is_one_graph() {
    let element = element(Some(&instant().open));
    assert_eq!(element.property::<Precision>("precision"), Precision::Auto);
    assert_eq!(precision(element.upcast_ref()), "none");
    element.set_state(gst::State::Ready).unwrap();
    assert_eq!(precision(element.upcast_ref()), "fp32");
    element.set_state(gst::State::Null).unwrap();
}
