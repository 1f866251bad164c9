//! Lines as machines and people read them.

mod common;

use std::sync::Arc;

use common::{SECOND, detector, push};
use listen_zeroshot::{
    Change, EndReason, Event, Label, LabelList, LabelScore, Plain, Settings, Source, Span, Timeline, Window,
    event_line, score_line, text_line,
};
use serde_json::{Value, json};

fn schema(name: &str) -> jsonschema::Validator {
    let path = format!("{}/schema/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

/// A line that the schema takes, as JSON.
fn valid(schema: &jsonschema::Validator, line: &str) -> Value {
    assert!(!line.contains('\n'), "more than one line: {line}");
    let value: Value = serde_json::from_str(line).unwrap();
    let errors: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {line}");
    value
}

fn event(label: Label) -> Event {
    Event {
        id: 7,
        label: Arc::new(label),
        index: 2,
        channel: -1,
        score: 0.912_34,
        peak_score: 0.978_9,
        level: Some(-23.456),
        onset: 3_200_000_000,
        offset: None,
        at: 4_000_000_000,
    }
}

fn ended(label: Label) -> Change {
    let offset = Some(5_100_000_000);
    Change::End(Event { offset, score: 0.2, at: 6_000_000_000, ..event(label) }, EndReason::Quiet)
}

/// A segment that began at 1 s with stream time 100 s, at a known time of day.
struct Seeked;

impl Timeline for Seeked {
    fn running_time(&self, timestamp: u64) -> Option<u64> {
        timestamp.checked_sub(SECOND)
    }

    fn stream_time(&self, timestamp: u64) -> Option<u64> {
        Some(timestamp.checked_sub(SECOND)? + 100 * SECOND)
    }

    fn utc(&self, timestamp: u64) -> Option<u64> {
        Some(timestamp + 1_772_366_400 * SECOND)
    }
}

#[test]
fn a_start_says_everything() {
    let mut label = Label::new("dog barking");
    label.names.insert("de".into(), "Hundegebell".into());
    let source = Source { rate: Some(16_000), model: Some("m2d"), space: Some("m2d-0123456789ab") };
    let line = event_line(&Change::Start(event(label)), &source, &Seeked);
    let expected = json!({
        "channels": 1, "rate": 16000, "model": "m2d", "space": "m2d-0123456789ab",
        "events": [{
            "start_timestamp": 102_200_000_000u64, "end_timestamp": 103_000_000_000u64,
            "event_type": "dog barking",
            "detection": {
                "segment": {"start_timestamp": 102_200_000_000u64, "end_timestamp": 103_000_000_000u64},
                "confidence": 0.97, "label_id": 3, "label": "dog barking"
            },
            "type": "start", "id": 7, "label": "dog barking", "names": {"de": "Hundegebell"},
            "score": 0.9123, "peak_score": 0.9789, "level_db": -23.5, "channel": -1,
            "onset": 3_200_000_000u64, "offset": null,
            "running_time": 2_200_000_000u64, "stream_time": 102_200_000_000u64,
            "utc": "2026-03-01T12:00:03.200Z"
        }]
    });
    assert_eq!(valid(&schema("audio-events"), &line), expected);
}

#[test]
fn an_end_has_its_offset_and_its_reason() {
    let line = event_line(&ended(Label::new("dog")), &Source::default(), &Plain);
    let value = valid(&schema("audio-events"), &line);
    let event = &value["events"][0];
    assert_eq!((&event["type"], &event["reason"]), (&json!("end"), &json!("quiet")));
    assert_eq!(
        (&event["offset"], &event["end_timestamp"]),
        (&json!(5_100_000_000u64), &json!(5_100_000_000u64))
    );
    assert!(value.get("rate").is_none() && event.get("utc").is_none());
}

#[test]
fn what_a_detector_says_is_valid_with_every_reason() {
    let schema = schema("audio-events");
    let mut kinds = Vec::new();
    for reason in [
        EndReason::Quiet,
        EndReason::Group,
        EndReason::LabelRemoved,
        EndReason::Reconfigured,
        EndReason::Eos,
        EndReason::Flush,
        EndReason::Gap,
        EndReason::Stop,
    ] {
        let settings = Settings { update_interval: Some(SECOND), ..Settings::default() };
        let mut detector = detector("dog;siren", settings);
        let mut changes = push(&mut detector, 0, &[&[0.9, 0.1], &[0.9, 0.9]]);
        detector.end_all(2 * SECOND, reason, &mut changes);
        for change in &changes {
            let value = valid(&schema, &event_line(change, &Source::default(), &Seeked));
            kinds.push(value["events"][0]["type"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(kinds[..5], ["start", "update", "start", "end", "end"]);
}

/// What Intel DL Streamer writes, from its `audioconverter.cpp`, and what a program that reads it asks for.
#[test]
fn who_reads_gvametaconvert_finds_its_fields() {
    #[derive(serde::Deserialize)]
    struct Meta {
        channels: i32,
        #[serde(default)]
        rate: Option<i32>,
        events: Vec<MetaEvent>,
    }
    #[derive(serde::Deserialize)]
    struct MetaEvent {
        start_timestamp: u64,
        end_timestamp: u64,
        event_type: String,
        detection: Detection,
    }
    #[derive(serde::Deserialize)]
    struct Detection {
        segment: Segment,
        confidence: f64,
        label_id: i32,
        label: String,
    }
    #[derive(serde::Deserialize)]
    struct Segment {
        start_timestamp: u64,
        end_timestamp: u64,
    }
    let theirs = r#"{"channels":1,"rate":16000,"events":[{"start_timestamp":0,"end_timestamp":1000000000,
        "event_type":"Dog","detection":{"segment":{"start_timestamp":0,"end_timestamp":1000000000},
        "confidence":0.97,"label_id":1,"label":"Dog"}}]}"#;
    let ours =
        event_line(&ended(Label::new("Dog")), &Source { rate: Some(16_000), ..Source::default() }, &Plain);
    for (text, start, end, id) in [(theirs, 0, SECOND, 1), (&ours, 3_200_000_000, 5_100_000_000, 3)] {
        let meta: Meta = serde_json::from_str(text).unwrap();
        let event = &meta.events[0];
        assert_eq!((meta.channels, meta.rate, meta.events.len()), (1, Some(16_000), 1));
        assert_eq!((event.start_timestamp, event.end_timestamp), (start, end));
        let segment = &event.detection.segment;
        assert_eq!((segment.start_timestamp, segment.end_timestamp), (start, end));
        assert_eq!((&*event.event_type, &*event.detection.label), ("Dog", "Dog"));
        assert_eq!((event.detection.confidence, event.detection.label_id), (0.97, id));
    }
}

#[test]
fn confidence_is_cut_and_never_rounded_up() {
    for (score, confidence) in
        [(0.999, 0.99), (0.29, 0.29), (0.57, 0.57), (1.0, 1.0), (0.0, 0.0), (-0.5, 0.0)]
    {
        let change = Change::Start(Event { peak_score: score, ..event(Label::new("dog")) });
        let value: Value = serde_json::from_str(&event_line(&change, &Source::default(), &Plain)).unwrap();
        assert_eq!(value["events"][0]["detection"]["confidence"], json!(confidence), "{score}");
    }
}

#[test]
fn numbers_that_json_does_not_know_become_numbers_that_it_does() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let event = Event { score: bad, peak_score: bad, level: Some(bad), ..event(Label::new("dog")) };
        valid(&schema("audio-events"), &event_line(&Change::Update(event), &Source::default(), &Plain));
    }
}

#[test]
fn a_window_tells_its_scores_highest_first() {
    let labels = LabelList::parse("dog;siren;rain").unwrap();
    let score = |index, score, cosine| LabelScore { index, score, cosine };
    let scores = [score(1, 0.87, Some(0.4321)), score(0, 0.123_456, Some(-0.1)), score(2, 0.1, None)];
    let span = Span::new(SECOND, 3 * SECOND, SECOND);
    let window = Window { span, channel: 1, level: Some(-30.04), labels: &labels, scores: &scores };
    let source = Source { rate: None, model: Some("m2d"), space: None };
    let expected = json!({
        "type": "scores", "start_timestamp": 100 * SECOND, "end_timestamp": 102 * SECOND, "model": "m2d",
        "channel": 1, "level_db": -30.0, "running_time": 0, "stream_time": 100 * SECOND,
        "utc": "2026-03-01T12:00:01Z",
        "scores": [
            {"label": "siren", "label_id": 2, "score": 0.87, "cosine": 0.4321},
            {"label": "dog", "label_id": 1, "score": 0.1235, "cosine": -0.1},
            {"label": "rain", "label_id": 3, "score": 0.1}
        ]
    });
    assert_eq!(valid(&schema("audio-scores"), &score_line(&window, &source, &Seeked)), expected);
}

#[test]
fn hostile_labels_stay_data() {
    let (events, scores) = (schema("audio-events"), schema("audio-scores"));
    for hostile in [
        r#"","type":"end","x":""#,
        "}]}\n{\"channels\":2}",
        "line\nbreak\r\ttab\u{8}\u{1b}[31m",
        "🐕‍🦺 żółć \u{202e}txt\u{2028}\u{2029}",
        "'; DROP TABLE events; --",
        "\\\"\\",
        "%s %n {} ${x} $(x)",
        "</script>",
        &"long ".repeat(2_048),
    ] {
        let label = Label::new(hostile);
        let value = valid(&events, &event_line(&ended(label.clone()), &Source::default(), &Plain));
        let event = &value["events"][0];
        assert_eq!(value["events"].as_array().unwrap().len(), 1);
        for place in [&event["label"], &event["event_type"], &event["detection"]["label"]] {
            assert_eq!(place, hostile);
        }
        assert_eq!(event["type"], "end");

        let list = LabelList::new(vec![Label::new("a")]).unwrap();
        let named = LabelList::new(vec![label.clone()]).unwrap_or(list);
        let rows = [LabelScore { index: 0, score: 0.5, cosine: None }];
        let span = Span::new(0, SECOND, SECOND);
        let window = Window { span, channel: -1, level: None, labels: &named, scores: &rows };
        let value = valid(&scores, &score_line(&window, &Source::default(), &Plain));
        assert_eq!(value["scores"][0]["label"], *named.as_slice()[0].text);

        let line = text_line(&ended(label), "en", &Plain);
        assert!(!line.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{line:?}");
    }
}

#[test]
fn people_read_one_line_a_change() {
    let mut label = Label::new("dog barking");
    label.names.insert("de".into(), "Hundegebell".into());
    for (change, language, line) in [
        (Change::Start(event(label.clone())), "en", "00:00:03.2 dog barking begins (0.91)"),
        (Change::Update(event(label.clone())), "en", "00:00:04.0 dog barking goes on (0.91)"),
        (ended(label.clone()), "en", "00:00:05.1 dog barking ends after 1.9 s (peak 0.98)"),
        (ended(label.clone()), "de", "00:00:05.1 Hundegebell ends after 1.9 s (peak 0.98)"),
        (
            Change::Start(Event { channel: 3, ..event(label) }),
            "en",
            "00:00:03.2 dog barking begins (0.91), channel 3",
        ),
    ] {
        assert_eq!(text_line(&change, language, &Plain), line);
    }
    assert!(text_line(&ended(Label::new("dog")), "en", &Seeked).starts_with("00:01:44.1 dog ends"));
}
