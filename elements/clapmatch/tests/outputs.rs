//! What goes out: JSON, lines for people, metas; in order, prerolling, and by the peer's choice.

mod common;

use common::{Bench, HOP, WINDOW, s};
use gst::prelude::*;
use gst_listen_common::result_meta::WindowResult;
use listen_package::Output;

const EVENTS: &str = "application/x-json,format=audio-events";
const SCORES: &str = "application/x-json,format=audio-scores";
const TEXT: &str = "text/x-raw,format=utf8";
const EMBEDDING: &str = "tensor/strided";
const LABELS: (&str, &str) = ("labels", "low tone;high tone;noise");

fn schema(name: &str) -> jsonschema::Validator {
    let path = format!("{}/../../models/zeroshot/schema/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

#[test]
fn downstream_that_takes_anything_is_given_event_lines() {
    let mut bench = Bench::new("ANY", &[LABELS]);
    bench.hear(&["low tone", "low tone", "silence"]);
    let caps = bench.h.sinkpad().unwrap().current_caps().unwrap();
    assert_eq!(caps.to_string(), "application/x-json, format=(string)audio-events");
    let types: Vec<_> = bench.json().iter().map(|line| line["events"][0]["type"].clone()).collect();
    assert_eq!(types, ["start", "end"]);
}

#[test]
fn every_line_keeps_its_schema() {
    for (sink, file, lines) in
        [(EVENTS, "audio-events.schema.json", 4), (SCORES, "audio-scores.schema.json", 5)]
    {
        let mut bench = Bench::new(sink, &[LABELS]);
        bench.hear(&["low tone", "silence", "high tone", "noise", "silence"]);
        bench.eos();
        let schema = schema(file);
        let found = bench.json();
        assert!(found.len() >= lines, "{found:?}");
        for line in found {
            assert!(
                schema.is_valid(&line),
                "{line}: {:?}",
                schema.iter_errors(&line).map(|e| e.to_string()).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn an_event_line_tells_stream_time_and_the_highest_score() {
    let mut bench = Bench::new(EVENTS, &[LABELS]);
    bench.hear(&["silence", "low tone", "low tone", "silence"]);
    let lines = bench.json();
    let [start, end] = &lines[..] else { panic!("{lines:?}") };
    let event = &end["events"][0];
    assert_eq!(start["events"][0]["start_timestamp"], s(2.0).nseconds());
    assert_eq!(event["start_timestamp"], s(2.0).nseconds());
    assert_eq!(event["end_timestamp"], s(3.0).nseconds());
    assert_eq!(event["detection"]["label"], "low tone");
    assert_eq!(event["detection"]["label_id"], 1);
    assert_eq!(event["detection"]["confidence"], 1.0);
    assert!(event["score"].as_f64().unwrap() < 0.1, "{event}");
    assert_eq!(event["id"], start["events"][0]["id"]);
}

#[test]
fn lines_for_people_call_a_label_by_its_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"[{"label": "low tone", "name": {"de": "tiefer Ton"}}]"#).unwrap();
    let path = file.path().to_str().unwrap();
    let mut bench = Bench::new(TEXT, &[("labels-file", path), ("language", "de")]);
    bench.hear(&["low tone", "low tone", "silence"]);
    assert_eq!(
        bench.lines(),
        ["00:00:00.0 tiefer Ton begins (1.00)", "00:00:02.0 tiefer Ton ends after 2.0 s (peak 1.00)"]
    );
}

#[test]
fn the_embedding_stream_carries_scores_and_changes() {
    let mut bench = Bench::new(EMBEDDING, &[LABELS]);
    bench.hear(&["low tone", "silence"]);
    let first = bench.h.pull().unwrap();
    assert_eq!(first.size(), 16 * 4);
    let result = WindowResult::from_buffer(&first).unwrap();
    assert_eq!((result.timestamp, result.duration, result.step), (s(0.0), WINDOW, WINDOW));
    assert_eq!(result.scores[0].label, "low tone");
    assert!(result.scores[0].score > 0.99 && result.scores[0].cosine.unwrap() > 0.999);
    assert_eq!(result.scores.len(), 3);
    assert_eq!(result.events.len(), 1);
    let second = WindowResult::from_buffer(&bench.h.pull().unwrap()).unwrap();
    assert_eq!(second.step, HOP);
    assert_eq!(second.events[0].kind.as_str(), "end");
}

#[test]
fn what_ends_with_the_stream_goes_as_an_event_before_eos() {
    let mut bench = Bench::new(EMBEDDING, &[LABELS]);
    bench.hear(&["low tone"]);
    bench.eos();
    let mut events = Vec::new();
    while let Some(event) = bench.h.try_pull_event() {
        events.push(event);
    }
    let last = events.iter().rev().take(2).collect::<Vec<_>>();
    assert_eq!(last[0].type_(), gst::EventType::Eos);
    let result = WindowResult::from_event(last[1]).unwrap();
    assert_eq!(result.events[0].offset, Some(s(2.0)));
}

#[test]
fn a_buffer_of_time_steps_has_one_meta_with_the_best_of_each_label() {
    let package = common::tiny_clip();
    let mut bench = Bench::of(package, Output::Frames, EMBEDDING, &[LABELS, ("hold-time", "0")]);
    let (low, quiet) =
        (common::embedding(&bench.package, "low tone"), common::embedding(&bench.package, "silence"));
    let rows: Vec<f32> = [&quiet, &quiet, &low, &low, &low, &quiet].into_iter().flatten().copied().collect();
    bench.h.push(common::buffer(&rows, s(5.0), s(0.6))).unwrap();
    assert_eq!(bench.events(), ["start low tone 5.2-5.3", "end low tone 5.2-5.5"]);
    let buffer = bench.h.pull().unwrap();
    assert_eq!(buffer.iter_meta::<gst::Meta>().count(), 1);
    let result = WindowResult::from_buffer(&buffer).unwrap();
    assert_eq!((result.timestamp, result.duration, result.step), (s(5.0), s(0.6), s(0.1)));
    assert_eq!(result.scores[0].label, "low tone");
    assert!(result.scores[0].score > 0.99, "the best of its six steps");
    assert_eq!(result.scores.len(), 3);
    assert_eq!(result.events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["start", "end"]);
}

#[test]
fn metas_survive_queue_tee_and_identity() {
    gst::init().unwrap();
    let mut bench = Bench::new(EMBEDDING, &[LABELS]);
    bench.hear(&["low tone"]);
    let buffer = bench.h.pull().unwrap();
    let mut h = gst_check::Harness::new_parse("queue ! tee ! identity ! identity silent=false");
    h.set_src_caps(bench.h.sinkpad().unwrap().current_caps().unwrap());
    h.push(buffer.clone()).unwrap();
    assert_eq!(WindowResult::from_buffer(&h.pull().unwrap()), WindowResult::from_buffer(&buffer));
}

#[test]
fn lines_go_out_in_order_and_gaps_fill_what_is_quiet() {
    let mut bench = Bench::new(EVENTS, &[LABELS, ("min-duration", "2000000000")]);
    bench.hear(&["silence", "silence", "low tone", "low tone", "low tone", "silence"]);
    bench.eos();
    let mut position = s(0.0);
    while let Some(event) = bench.h.try_pull_event() {
        if let gst::EventView::Gap(gap) = event.view() {
            let (start, duration) = gap.get();
            assert!(start >= position, "{start} after {position}");
            position = start + duration.unwrap();
        }
    }
    assert!(position >= s(5.0), "{position}");
    let starts: Vec<_> = std::iter::from_fn(|| bench.h.try_pull()).map(|line| line.pts().unwrap()).collect();
    assert!(starts.is_sorted() && starts.len() == 2, "{starts:?}");
}

#[test]
fn sinks_preroll_before_anything_is_heard() {
    let mut bench = Bench::new(EVENTS, &[LABELS]);
    bench.h.play();
    let types: Vec<_> = std::iter::from_fn(|| bench.h.try_pull_event()).map(|event| event.type_()).collect();
    use gst::EventType::{Caps, Gap, Segment, StreamStart};
    assert_eq!(types, [StreamStart, Caps, Segment, Gap]);
}

#[test]
fn tags_and_the_stream_id_pass() {
    let mut bench = Bench::new(EVENTS, &[LABELS]);
    let id = bench.h.srcpad().unwrap().stream_id();
    let mut tags = gst::TagList::new();
    tags.get_mut().unwrap().add::<gst::tags::Title>(&"street", gst::TagMergeMode::Append);
    assert!(bench.h.push_event(gst::event::Tag::new(tags)));
    assert_eq!(bench.h.sinkpad().unwrap().stream_id(), id);
    assert!(
        std::iter::from_fn(|| bench.h.try_pull_event()).any(|event| event.type_() == gst::EventType::Tag)
    );
}

#[test]
fn a_peer_that_takes_none_of_it_is_told_what_there_is() {
    let mut bench = Bench::new("audio/x-raw", &[LABELS]);
    let window = bench.window("low tone", s(0.0));
    assert_eq!(bench.h.push(window), Err(gst::FlowError::NotNegotiated));
    let (kind, text) = bench.complaint().unwrap();
    assert_eq!(kind, gst::MessageType::Error);
    assert!(text.contains("audio/x-raw") && text.contains("application/x-json"), "{text}");
}

#[test]
fn it_adds_no_latency() {
    let mut bench =
        Bench::new(EVENTS, &[LABELS, ("smoothing", "5000000000"), ("min-duration", "5000000000")]);
    bench.h.play();
    assert_eq!(bench.h.query_latency(), Some(gst::ClockTime::ZERO));
}
