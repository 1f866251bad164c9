//! Events as messages: their fields, their order, and that each one ends.

mod common;

use std::sync::{Arc, Mutex};

use common::{Bench, HOP, WINDOW, s, told};
use gst::prelude::*;

const LABELS: (&str, &str) = ("labels", "low tone;high tone;noise");

#[test]
fn an_event_has_the_fields_of_the_design() {
    let mut bench = Bench::new("ANY", &[LABELS]);
    bench.hear(&["low tone", "low tone", "silence"]);
    let events = bench.messages("audio-event");
    assert_eq!(
        events.iter().map(|event| told(event)).collect::<Vec<_>>(),
        ["start low tone 0.0-2.0", "end low tone 0.0-2.0"]
    );
    let fields: Vec<_> = events[1].fields().map(|field| field.to_string()).collect();
    let expected =
        "id type label score peak-score channel onset offset timestamp running-time stream-time duration";
    assert_eq!(fields.join(" "), expected);
    assert_eq!(events[0].get::<u64>("id").unwrap(), events[1].get::<u64>("id").unwrap());
    assert!(
        events[1].get::<f64>("score").unwrap() < 0.1 && events[1].get::<f64>("peak-score").unwrap() > 0.99
    );
}

#[test]
fn names_by_language_are_in_the_message_and_in_the_meta() {
    use gst_listen_common::result_meta::{EventRecord, WindowResult};
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        r#"[{"label": "low tone", "name": {"de": "tiefer Ton", "fr": "son grave"}}]"#,
    )
    .unwrap();
    let path = file.path().to_str().unwrap();
    let mut bench = Bench::new("tensor/strided", &[("labels-file", path)]);
    bench.hear(&["low tone"]);
    let told = |event: &EventRecord| {
        event.names.iter().map(|(language, name)| format!("{language} {name}")).collect::<Vec<_>>()
    };
    let message = EventRecord::from_structure(&bench.messages("audio-event")[0]).unwrap();
    assert_eq!(told(&message), ["de tiefer Ton", "fr son grave"]);
    let result = WindowResult::from_buffer(&bench.h.pull().unwrap()).unwrap();
    assert_eq!(told(&result.events[0]), ["de tiefer Ton", "fr son grave"]);
}

#[test]
fn level_and_time_of_day_come_from_the_window() {
    let mut bench = Bench::new("ANY", &[LABELS]);
    let mut window = bench.window("low tone", s(10.0));
    let writable = window.make_mut();
    gst_listen_common::window_meta::WindowMeta { level: -31.5, start: s(10.0), duration: WINDOW }
        .attach(writable);
    let caps = gst::Caps::new_empty_simple("timestamp/x-unix");
    gst::ReferenceTimestampMeta::add(writable, &caps, s(1_700_000_000.0), gst::ClockTime::NONE);
    bench.h.push(window).unwrap();
    let event = &bench.messages("audio-event")[0];
    assert_eq!(event.get::<f64>("level").unwrap(), -31.5);
    assert_eq!(event.get::<u64>("utc").unwrap(), s(1_700_000_000.0).nseconds());
}

#[test]
fn events_of_frames_begin_and_end_where_the_sound_itself_does() {
    use gst_listen_common::strength_meta::StrengthMeta;
    use listen_features::Strength;
    let frame = s(0.1);
    let (heard, strength) = (20..40, |onset, offset| Strength { onset, offset });
    for (shift, expected) in [(None, "2.0-4.0"), (Some((1.7, 4.3)), "1.7-4.3"), (Some((0.3, 5.5)), "2.0-4.0")]
    {
        let mut bench = Bench::of(
            common::tiny_clip(),
            listen_package::Output::Frames,
            "ANY",
            &[LABELS, ("smoothing", "0")],
        );
        // Ten frames a buffer, as an encoder gives them; strengths every 10 ms.
        for first in (0..80_u64).step_by(10) {
            let label = |k| if heard.contains(&k) { "low tone" } else { "silence" };
            let values: Vec<f32> =
                (first..first + 10).flat_map(|k| common::embedding(&bench.package, label(k))).collect();
            let mut buffer = common::buffer(&values, frame * first, frame * 10);
            if let Some((begins, ends)) = shift {
                let near = |at: f64, k: u64| s(at) == frame * first + s(0.01) * k;
                let strengths = (0..100).map(|k| match () {
                    () if near(begins, k) => strength(1.0, 0.0),
                    () if near(ends, k) => strength(0.0, 1.0),
                    () => Strength::default(),
                });
                let (start, duration) = (frame * first, frame * 10);
                StrengthMeta { start, duration, strengths: strengths.collect() }
                    .attach(buffer.get_mut().unwrap());
            }
            bench.h.push(buffer).unwrap();
        }
        bench.eos();
        let told = bench.events();
        assert_eq!(told.last().map(String::as_str), Some(&*format!("end low tone {expected}")), "{told:?}");
    }
}

#[test]
fn messages_come_in_the_order_of_what_they_tell() {
    let mut bench = Bench::new("ANY", &[LABELS, ("post-messages", "true")]);
    bench.hear(&["low tone", "high tone"]);
    let names: Vec<_> = bench
        .bus
        .iter()
        .filter(|message| message.type_() == gst::MessageType::Element)
        .filter_map(|message| message.structure().map(|s| s.name().to_string()))
        .collect();
    assert_eq!(
        names,
        ["labels-changed", "clapmatch", "audio-event", "clapmatch", "audio-event", "audio-event"]
    );
}

#[test]
fn an_interval_thins_score_messages_out_and_no_events() {
    let mut bench = Bench::new("ANY", &[LABELS, ("post-messages", "true"), ("interval", "3000000000")]);
    bench.hear(&["low tone", "silence", "low tone", "silence", "silence", "silence", "silence"]);
    let scores = bench.bus.iter().filter(|m| m.structure().is_some_and(|s| s.name() == "clapmatch"));
    let starts: Vec<_> =
        scores.map(|m| m.structure().unwrap().get::<gst::ClockTime>("timestamp").unwrap()).collect();
    assert_eq!(starts, [s(0.0), s(3.0), s(6.0)]);
}

#[test]
fn scores_are_posted_highest_first_and_top_k_of_them() {
    let mut bench = Bench::new("ANY", &[LABELS, ("post-messages", "true"), ("top-k", "2")]);
    bench.hear(&["noise"]);
    let message = &bench.messages("clapmatch")[0];
    let scores = message.get::<gst::glib::ValueArray>("scores").unwrap();
    let labels: Vec<String> =
        scores.iter().map(|score| score.get::<gst::Structure>().unwrap().get("label").unwrap()).collect();
    assert_eq!((labels.len(), labels[0].as_str()), (2, "noise"));
    for field in ["timestamp", "running-time", "stream-time", "duration", "channel"] {
        assert!(message.has_field(field), "{field}");
    }
}

#[test]
fn silence_and_unrelated_sound_give_no_event() {
    let mut bench = Bench::new("ANY", &[LABELS]);
    bench.hear(&["silence", "dog barking", "silence", "mid tone", "dog barking"]);
    let zero = common::buffer(&[0.0; 16], HOP * 5, WINDOW);
    let bad = common::buffer(&[f32::NAN; 16], HOP * 6, WINDOW);
    bench.h.push(zero).unwrap();
    bench.h.push(bad).unwrap();
    bench.eos();
    assert_eq!(bench.events(), [""; 0]);
}

#[test]
fn what_goes_on_at_the_end_of_the_stream_ends_there() {
    let mut bench = Bench::new("application/x-json", &[LABELS]);
    bench.hear(&["low tone", "low tone"]);
    bench.eos();
    assert_eq!(bench.events(), ["start low tone 0.0-2.0", "end low tone 0.0-3.0"]);
    assert_eq!(bench.json().last().unwrap()["events"][0]["type"], "end");
}

#[test]
fn what_goes_on_at_the_end_of_a_segment_ends_there() {
    let mut bench = Bench::new("application/x-json", &[LABELS]);
    bench.hear(&["low tone", "low tone"]);
    bench.h.push_event(gst::event::SegmentDone::new(s(3.0)));
    assert_eq!(bench.events(), ["start low tone 0.0-2.0", "end low tone 0.0-3.0"]);
    assert_eq!(bench.json().last().unwrap()["events"][0]["type"], "end");
    // What comes behind it is heard as ever.
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    bench.h.push_event(gst::event::Segment::new(&segment));
    bench.count = 0;
    bench.hear(&["low tone", "silence"]);
    assert_eq!(bench.events(), ["start low tone 0.0-2.0", "end low tone 0.0-2.0"]);
}

#[test]
fn a_flush_ends_events_and_downstream_hears_of_it_afterwards() {
    let mut bench = Bench::new("application/x-json", &[LABELS]);
    bench.hear(&["low tone"]);
    assert_eq!(bench.json().len(), 1);
    bench.h.push_event(gst::event::FlushStart::new());
    bench.h.push_event(gst::event::FlushStop::new(true));
    assert_eq!(bench.events(), ["start low tone 0.0-2.0", "end low tone 0.0-2.0"]);
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    bench.h.push_event(gst::event::Segment::new(&segment));
    bench.count = 100;
    bench.hear(&["silence"]);
    let lines = bench.json();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["events"][0]["type"], "end");
    assert_eq!(lines[0]["events"][0]["offset"], s(2.0).nseconds());
}

#[test]
fn a_long_gap_ends_events_and_a_short_one_does_not() {
    for (length, expected) in [(0.5, vec![]), (10.0, vec!["end low tone 0.0-2.0"])] {
        let mut bench = Bench::new("ANY", &[LABELS]);
        bench.hear(&["low tone"]);
        bench.events();
        bench.h.push_event(gst::event::Gap::builder(s(2.0)).duration(s(length)).build());
        assert_eq!(bench.events(), expected, "{length} s");
    }
}

#[test]
fn windows_that_a_gap_stands_for_are_silent() {
    let mut bench = Bench::new("ANY", &[LABELS]);
    bench.hear(&["low tone", "low tone"]);
    bench.events();
    // The window of second 2 was not encoded, because it is silent.
    bench.h.push_event(gst::event::Gap::builder(s(2.0)).duration(HOP).build());
    assert_eq!(bench.events(), ["end low tone 0.0-2.0"]);
}

#[test]
fn a_hole_between_windows_ends_events() {
    let mut bench = Bench::new("ANY", &[LABELS]);
    bench.hear(&["low tone"]);
    bench.count = 60;
    bench.hear(&["low tone"]);
    assert_eq!(
        bench.events(),
        ["start low tone 0.0-2.0", "end low tone 0.0-2.0", "start low tone 60.0-62.0"]
    );
}

#[test]
fn another_segment_ends_events() {
    let mut bench = Bench::new("ANY", &[LABELS]);
    bench.hear(&["low tone"]);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(s(50.0));
    segment.set_base(s(2.0));
    segment.set_time(s(50.0));
    bench.h.push_event(gst::event::Segment::new(&segment));
    bench.count = 50;
    bench.hear(&["low tone"]);
    let events = bench.messages("audio-event");
    assert_eq!(
        events.iter().map(|event| told(event)).collect::<Vec<_>>(),
        ["start low tone 0.0-2.0", "end low tone 0.0-2.0", "start low tone 50.0-52.0"]
    );
    assert_eq!(events[2].get::<gst::ClockTime>("running-time").unwrap(), s(2.0));
}

#[test]
fn stopping_ends_events_for_sync_handlers() {
    let mut bench = Bench::new("ANY", &[LABELS]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = seen.clone();
    bench.bus.set_sync_handler(move |_, message| {
        if let Some(structure) = message.structure().filter(|s| s.name() == "audio-event") {
            into.lock().unwrap().push(told(structure));
        }
        gst::BusSyncReply::Drop
    });
    bench.hear(&["low tone"]);
    bench.element.set_state(gst::State::Null).unwrap();
    assert_eq!(*seen.lock().unwrap(), ["start low tone 0.0-2.0", "end low tone 0.0-2.0"]);
}

#[test]
fn an_event_that_goes_on_is_told_of_again_where_that_is_asked_for() {
    let mut bench = Bench::new("ANY", &[LABELS, ("update-interval", "2000000000")]);
    bench.hear(&["low tone", "low tone", "low tone", "silence"]);
    let expected = ["start low tone 0.0-2.0", "update low tone 0.0-4.0", "end low tone 0.0-3.0"];
    assert_eq!(bench.events(), expected);
}

#[test]
fn statistics_add_up() {
    let mut bench = Bench::new("ANY", &[LABELS]);
    bench.hear(&["low tone", "high tone", "silence", "noise"]);
    let stats: gst::Structure = bench.element.property("stats");
    let count = |field| stats.get::<u64>(field).unwrap();
    assert_eq!((count("windows"), count("unscored"), count("labels")), (4, 0, 3));
    assert_eq!((count("started"), count("ended"), count("active")), (3, 2, 1));
}

#[test]
fn windows_that_were_lost_say_nothing_about_the_sound() {
    let mut bench = Bench::new("ANY", &[LABELS]);
    bench.hear(&["low tone", "low tone"]);
    let lost = gst::event::Gap::builder(s(2.0)).duration(HOP).gap_flags(gst::GapFlags::DATA).build();
    bench.h.push_event(lost);
    bench.count = 3;
    bench.hear(&["low tone"]);
    assert_eq!(bench.events(), ["start low tone 0.0-2.0"]);
}
