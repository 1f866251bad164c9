//! What flows in: embeddings without labels, streams that become others, a server that is asked.

mod common;

use std::time::{Duration, Instant};

use common::server::{Answer, Server};
use common::{Bench, Caption, end, ids, s, start};
use gst::glib;
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_common::caps::{EmbeddingCaps, EmbeddingKind};
use gst_listen_common::window_meta::WindowMeta;
use gst_listen_llmcaption::{DESYNCHRONISED, LlmCaption};
use listen_package::Output;

const LINES: &str = "application/x-json,format=audio-events";

fn embeddings(channel: i32) -> gst::Caps {
    let caps = EmbeddingCaps {
        kind: EmbeddingKind::Embedding,
        dim: 16,
        space: "nobody-has-it-open-0123456789ab".into(),
        output: Output::Clip,
        step: None,
        rows_per_step: 1,
        channel,
    };
    caps.to_caps()
}

/// A llmcaption straight behind a m2dencode: no clapmatch, no metas of events.
fn bare(properties: &[(&str, &str)]) -> Bench {
    gst::init().unwrap();
    let element: LlmCaption = glib::Object::new();
    properties.iter().for_each(|(name, value)| element.set_property_from_str(name, value));
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    common::upstream(&element, false);
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_sink_caps("text/x-raw,format=utf8".parse().unwrap());
    h.set_src_caps(embeddings(-1));
    Bench { h, element, bus }
}

/// A window of a second at this level.
fn window(at: f64, level: f64) -> gst::Buffer {
    let mut buffer =
        gst::Buffer::from_mut_slice((0..16).flat_map(|i| (i as f32).to_le_bytes()).collect::<Vec<u8>>());
    let inner = buffer.get_mut().unwrap();
    inner.set_pts(s(at));
    inner.set_duration(s(1.0));
    WindowMeta { level, start: s(at), duration: s(1.0) }.attach(inner);
    buffer
}

fn gap_end(event: &gst::Event) -> gst::ClockTime {
    let gst::EventView::Gap(gap) = event.view() else { unreachable!() };
    gap.get().0 + gap.get().1.unwrap_or_default()
}

#[test]
fn embeddings_alone_are_kept_and_move_time_but_the_template_says_nothing() {
    let mut bench = bare(&[("trigger", "both"), ("interval", "1000000000")]);
    for second in 0..30 {
        // A loud stretch among quiet ones: there is no word for it.
        let level = if (10..15).contains(&second) { -10.0 } else { -60.0 };
        bench.h.push(window(second as f64, level)).unwrap();
    }
    // GAPs follow the windows, and may be one.
    while gap_end(&bench.wait_for_event(gst::EventType::Gap)) < s(29.0) {}
    let kept = bench.stat("kept");
    assert!(kept >= 30 * 16 * 4, "{kept} bytes are kept");
    bench.ask("Was there a dog barking?", 0.0);
    let answer = bench.message("listen-answer");
    assert_eq!(answer.get::<gst::ClockTime>("now").unwrap(), s(30.0));
    let text = answer.get::<&str>("text").unwrap();
    assert!(
        text.contains("I heard nothing that I listen for in the 30 seconds since I began to listen."),
        "{text}"
    );
    bench.eos();
    assert_eq!(bench.captions(), []);
}

#[test]
fn names_by_language_come_with_the_embeddings_as_they_do_with_lines() {
    use common::embeddings::{named, window_of};
    let names = [("de", "Beifall"), ("en", "clapping hands")];
    for (language, text) in [("de", "Zu hören ist: Beifall."), ("en", "You can hear clapping hands.")] {
        let mut bench = bare(&[("language", language)]);
        let mut record = named(1, "applause", 1.0);
        record.names = names.iter().map(|(language, name)| ((*language).into(), (*name).into())).collect();
        bench.h.push(window_of(record, 0.5, 1)).unwrap();
        assert_eq!(bench.caption().text, text);
    }
    // And the time of day goes into the evidence.
    let server = Server::new(|_, _| Answer::Words("Applause.".into()));
    let mut bench = bare(&[("backend", "http"), ("url", &server.url)]);
    let mut record = named(1, "applause", 1.0);
    record.utc = Some(1_767_323_045_250_000_000);
    bench.h.push(window_of(record, 0.5, 1)).unwrap();
    bench.caption();
    let body = server.bodies.lock().unwrap()[0].clone();
    assert!(body.contains("2026-01-02T03:04:05Z"), "{body}");
}

#[test]
fn buffers_that_are_no_embeddings_are_an_error_that_names_both_sides() {
    let mut bench = bare(&[]);
    let mut buffer = gst::Buffer::from_mut_slice(vec![0u8; 63]);
    buffer.get_mut().unwrap().set_pts(s(0.0));
    assert_eq!(bench.h.push(buffer), Err(gst::FlowError::Error));
    let message = bench.bus.pop_filtered(&[gst::MessageType::Error]).expect("an error");
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    let text = error.error().to_string();
    assert!(text.contains("63") && text.contains("16"), "{text}");
}

#[test]
fn what_was_heard_before_other_caps_has_a_caption_of_its_own() {
    let mut bench = Bench::new(&[]);
    bench.hear(&start(1, "siren", 1.0, 1.5), 1.0);
    bench.gap(1.0, 1.6);
    // The same caps once more change nothing.
    assert!(bench.h.push_event(gst::event::Caps::new(&LINES.parse::<gst::Caps>().unwrap())));
    assert_eq!(bench.captions(), []);
    assert!(bench.h.push_event(gst::event::Caps::new(&embeddings(-1))));
    let caption = bench.caption();
    assert!(caption.text.contains("siren"), "{caption:?}");
    bench.h.push(window(2.0, -60.0)).unwrap();
    // Another channel is another stream too; then lines again.
    assert!(bench.h.push_event(gst::event::Caps::new(&embeddings(1))));
    bench.h.push(window(3.0, -60.0)).unwrap();
    assert!(bench.h.push_event(gst::event::Caps::new(&LINES.parse::<gst::Caps>().unwrap())));
    bench.hear(&end(2, "dog barking", 4.0, 5.0), 4.0);
    bench.gap(5.0, 5.1);
    bench.eos();
    let rest = bench.captions();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert!(rest[0].text.contains("dog") && !rest[0].text.contains("siren"), "{rest:?}");
}

#[test]
fn caps_that_it_cannot_take_fail_by_name() {
    let mut bench = bare(&[]);
    let mut caps = embeddings(-1);
    caps.get_mut().unwrap().structure_mut(0).unwrap().set("dims", "nonsense");
    bench.h.push_event(gst::event::Caps::new(&caps));
    assert_eq!(bench.h.push(window(0.0, -60.0)), Err(gst::FlowError::NotNegotiated));
    let message = bench.bus.pop_filtered(&[gst::MessageType::Error]).expect("an error");
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    assert!(error.error().to_string().contains("dims"), "{}", error.error());
}

#[test]
fn with_both_triggers_whatever_comes_first_asks_for_a_caption() {
    let mut bench = Bench::new(&[("trigger", "both"), ("interval", "4000000000")]);
    bench.gap(0.0, 0.1);
    // It ends before the interval is over: told at its end.
    bench.event(1, "dog barking", 1.0, 2.0);
    let first = bench.caption();
    assert!(first.text.contains("dog"), "{first:?}");
    // It goes on: told when the interval since the caption before is over, not once its own 4 s are.
    bench.hear(&start(2, "siren", 5.0, 5.5), 5.0);
    bench.gap(5.5, 5.9);
    assert_eq!(bench.captions(), []);
    bench.gap(5.9, 6.2);
    let second = bench.caption();
    assert!(second.text.contains("siren"), "{second:?}");
    bench.hear(&end(2, "siren", 5.0, 20.0), 20.0);
    bench.eos();
    assert_eq!(bench.captions(), []);
}

#[test]
fn with_the_interval_alone_the_end_of_an_event_asks_for_nothing() {
    let mut bench = Bench::new(&[("trigger", "interval"), ("interval", "4000000000")]);
    bench.gap(0.0, 0.1);
    bench.event(1, "dog barking", 1.0, 2.0);
    bench.gap(2.1, 4.0);
    // Nothing has been asked for: a caption that was would be counted.
    assert_eq!((bench.stat("asked"), bench.stat("untold")), (0, 1));
    bench.gap(4.0, 4.2);
    assert!(bench.caption().text.contains("dog"));
}

#[test]
fn a_question_is_answered_by_the_server_with_the_facts_that_code_has_counted() {
    let server = Server::new(|_, body| match body.contains("How many dogs") {
        true => Answer::Words("Two, says the server.".into()),
        false => Answer::Words("A dog barks.".into()),
    });
    let mut bench = Bench::new(&[("backend", "http"), ("url", &server.url), ("model-name", "tiny")]);
    for id in 1..=2u64 {
        bench.event(id, "dog barking", 10.0 * id as f64, 10.0 * id as f64 + 1.0);
        bench.caption();
    }
    let id = bench.ask("How many dogs barked?", 0.0);
    let answer = bench.message("listen-answer");
    assert_eq!(answer.get::<u64>("id").unwrap(), id);
    assert_eq!(answer.get::<&str>("text").unwrap(), "Two, says the server.");
    assert_eq!(answer.get::<&str>("backend").unwrap(), "http");
    assert!(answer.get::<&str>("fallback").is_err());
    let body = server.bodies.lock().unwrap().last().cloned().unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let told = body["messages"].to_string();
    assert!(told.contains("dog barking") && told.contains("How many dogs barked?"), "{told}");
}

#[test]
fn a_question_whose_server_is_down_is_answered_by_code() {
    let server = Server::new(|_, _| Answer::Status(400));
    let mut bench = Bench::new(&[("backend", "http"), ("url", &server.url), ("model-name", "tiny")]);
    bench.event(1, "dog barking", 10.0, 11.0);
    bench.caption();
    bench.ask("Was there a dog barking?", 0.0);
    let answer = bench.message("listen-answer");
    assert!(answer.get::<&str>("text").unwrap().starts_with("Yes"), "{answer}");
    assert_eq!(answer.get::<&str>("backend").unwrap(), "template");
    assert!(answer.get::<&str>("fallback").unwrap().contains("400"), "{answer}");
}

#[test]
fn null_while_a_server_is_silent_returns_at_once() {
    let server = Server::new(|_, _| Answer::Silence(Duration::from_secs(60)));
    let mut bench = Bench::new(&[
        ("backend", "http"),
        ("url", &server.url),
        ("model-name", "tiny"),
        ("timeout", "60000000000"),
    ]);
    bench.event(1, "siren", 1.0, 2.0);
    let id = bench.ask("What was that?", 0.0);
    for _ in 0..3_000 {
        if !server.bodies.lock().unwrap().is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!server.bodies.lock().unwrap().is_empty(), "the server was asked");
    let began = Instant::now();
    bench.element.set_state(gst::State::Null).unwrap();
    // The request has 60 s: not waiting for it is what is tested.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let answer = bench.message("listen-answer");
    assert_eq!(answer.get::<u64>("id").unwrap(), id);
    assert!(answer.get::<&str>("error").is_ok(), "{answer}");
}

#[test]
fn desynchronised_the_latency_is_none_even_where_nobody_upstream_answers() {
    gst::init().unwrap();
    let element: LlmCaption = glib::Object::new();
    let src = element.static_pad("src").unwrap();
    let mut query = gst::query::Latency::new();
    assert!(!src.query(&mut query), "in step, who is upstream must answer");
    element.set_property("latency", DESYNCHRONISED);
    assert!(src.query(&mut query));
    assert_eq!(query.result(), (true, gst::ClockTime::ZERO, None));
}

#[test]
fn desynchronised_captions_carry_the_time_at_which_they_are_ready() {
    let slow = common::Slow::default();
    let mut bench = Bench::with(&[("latency", "4294967295")], true, slow.clone());
    let clock = gst_check::TestClock::new();
    bench.element.set_clock(Some(&clock)).unwrap();
    bench.element.set_base_time(gst::ClockTime::ZERO);
    bench.event(1, "siren", 1.0, 2.0);
    slow.wait_for(1);
    clock.set_time(s(9.0));
    slow.let_go(1);
    let caption: Caption = bench.caption();
    assert_eq!(caption.pts, 9.0);
    let message = bench.message("caption");
    assert_eq!(ids(&message), [1]);
    assert_eq!(message.get::<gst::ClockTime>("start").unwrap(), s(1.0), "what it describes");
}
