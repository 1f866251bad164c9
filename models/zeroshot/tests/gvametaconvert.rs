//! Event lines beside the audio JSON of Intel DL Streamer's `gvametaconvert`, field by field.
//!
//! Which fields that has, of which kind, and which go together, is what its `audioconverter.cpp` (MIT) writes and what
//! the test of DL Streamer's Pipeline Server expects of `audio_detection` (`tests/test_cases/pipeline_execution/cpu/
//! audio_detection_gstreamer.json`, BSD-3-Clause). The values here are our own.

use std::sync::Arc;

use listen_zeroshot::{Change, EndReason, Event, Label, Plain, Source, event_line};
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;

/// What it writes for a window, where no tensor data is asked for; `source` and `tags` are properties of its own, and
/// stand there only where they are set.
fn theirs() -> Value {
    json!({
        "channels": 1,
        "rate": 16000,
        "source": "file:///recording.wav",
        "tags": {},
        "events": [{
            "start_timestamp": 200_000_000,
            "end_timestamp": 1_200_000_000,
            "event_type": "Rain",
            "detection": {
                "segment": { "start_timestamp": 200_000_000, "end_timestamp": 1_200_000_000 },
                "confidence": 0.59, "label_id": 11, "label": "Rain"
            }
        }]
    })
}
const OPTIONAL: [&str; 2] = ["/source", "/tags"];

/// Each value that is neither object nor list, by its path.
fn leaves(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| leaves(value, &format!("{path}/{name}"), found));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(i, value)| leaves(value, &format!("{path}/{i}"), found));
        }
        other => found.push((path.to_owned(), other.clone())),
    }
}

/// What kind of JSON value it is, as a program in C++ or Python takes it.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Number(number) if number.is_u64() => "whole number",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Object(_) => "object",
        Value::Array(_) => "list",
        Value::Bool(_) => "truth value",
        Value::Null => "nothing",
    }
}

fn lines() -> Vec<Value> {
    let event = Event {
        id: 3,
        label: Arc::new(Label::new("Rain")),
        index: 10,
        channel: -1,
        score: 0.4,
        peak_score: 0.599,
        level: Some(-30.0),
        onset: SECOND / 5,
        offset: None,
        at: SECOND * 6 / 5,
    };
    let end = Event { offset: Some(SECOND * 2), ..event.clone() };
    let changes = [Change::Start(event.clone()), Change::Update(event), Change::End(end, EndReason::Quiet)];
    let source = Source { rate: Some(16_000), ..Source::default() };
    changes.iter().map(|change| serde_json::from_str(&event_line(change, &source, &Plain)).unwrap()).collect()
}

#[test]
fn every_field_of_theirs_is_in_ours_and_of_the_same_kind() {
    let mut expected = Vec::new();
    leaves(&theirs(), "", &mut expected);
    assert_eq!(expected.len(), 12);
    for line in lines() {
        for (path, value) in expected.iter().filter(|(path, _)| !OPTIONAL.contains(&path.as_str())) {
            let ours = line.pointer(path).unwrap_or_else(|| panic!("{path} is not in {line}"));
            assert_eq!(kind(ours), kind(value), "{path} of {line}");
        }
        // What stands there only where it was set does not mean something else.
        for path in OPTIONAL {
            assert_eq!(line.pointer(path), None, "{line}");
        }
    }
}

#[test]
fn what_goes_together_in_theirs_goes_together_in_ours() {
    for line in [vec![theirs()], lines()].concat() {
        assert_eq!(line["events"].as_array().unwrap().len(), 1);
        let event = &line["events"][0];
        let detection = &event["detection"];
        assert_eq!(event["event_type"], detection["label"]);
        for time in ["start_timestamp", "end_timestamp"] {
            assert_eq!(event[time], detection["segment"][time], "{time} of {line}");
        }
        assert!(event["start_timestamp"].as_u64() < event["end_timestamp"].as_u64());
        // Cut to two decimals, of [0, 1]; the list's first label has the number 1.
        let confidence = detection["confidence"].as_f64().unwrap();
        assert_eq!(confidence, 0.59);
        assert_eq!((confidence * 100.0).round() / 100.0, confidence);
        assert_eq!(detection["label_id"], 11);
    }
}
