//! The element as such: its documentation, its states, what it leaves behind.

mod common;

use std::time::{Duration, Instant};

use common::server::{Answer, Server};
use common::{Bench, Slow, end, s, start};
use gst::glib;
use gst::prelude::*;
use gst_listen_llmcaption::{Backend, DESYNCHRONISED, ExecutionProvider, LlmCaption, Trigger};

#[test]
fn every_property_is_in_the_docs() {
    gst::init().unwrap();
    let element: LlmCaption = glib::Object::new();
    let docs = include_str!("../src/lib.rs");
    let own = |p: &&glib::ParamSpec| p.owner_type() == LlmCaption::static_type();
    for property in element.list_properties().iter().filter(own) {
        assert!(docs.contains(&format!("//! | `{}` |", property.name())), "{}", property.name());
        let blurb = property.blurb().unwrap_or_default();
        assert!(blurb.len() > 20 && blurb.ends_with('.'), "{}: {blurb}", property.name());
    }
}

#[test]
fn every_setting_reads_back() {
    gst::init().unwrap();
    let element: LlmCaption = glib::Object::new();
    for property in element.list_properties() {
        if property.owner_type() != LlmCaption::static_type() || property.name() == "stats" {
            continue;
        }
        let value = match property.value_type() {
            glib::Type::STRING => "abc".to_value(),
            glib::Type::BOOL => true.to_value(),
            glib::Type::U64 => 77_000_000u64.to_value(),
            glib::Type::U32 => 7u32.to_value(),
            glib::Type::F64 => 0.25.to_value(),
            t if t == Backend::static_type() => Backend::Http.to_value(),
            t if t == ExecutionProvider::static_type() => ExecutionProvider::Cuda.to_value(),
            _ => Trigger::Both.to_value(),
        };
        element.set_property_from_value(property.name(), &value);
        let back = element.property_value(property.name());
        assert_eq!(format!("{back:?}"), format!("{value:?}"), "{}", property.name());
    }
}

#[test]
fn no_property_holds_a_key() {
    gst::init().unwrap();
    let element: LlmCaption = glib::Object::new();
    let keys: Vec<String> = element
        .list_properties()
        .iter()
        .map(|property| property.name().to_owned())
        .filter(|name| name.contains("key"))
        .collect();
    assert_eq!(keys, ["key-env", "key-file"]);
}

#[test]
fn settings_that_cannot_be_fail_the_change_of_state_and_say_why() {
    gst::init().unwrap();
    for (properties, words) in [
        (&[("backend", "http")][..], "url"),
        (&[("language", "tlh")][..], "tlh"),
        (&[("prompt-template", "{nonsense}")][..], "nonsense"),
        (
            &[("backend", "http"), ("url", "http://127.0.0.1:9/v1"), ("key-env", "GST_LISTEN_NO_SUCH")][..],
            "GST_LISTEN_NO_SUCH",
        ),
    ] {
        let element: LlmCaption = glib::Object::new();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        for (name, value) in properties {
            element.set_property_from_str(name, value);
        }
        assert!(element.set_state(gst::State::Paused).is_err(), "{properties:?}");
        let message = bus.pop_filtered(&[gst::MessageType::Error]).expect("an error");
        let gst::MessageView::Error(error) = message.view() else { unreachable!() };
        assert!(error.error().to_string().contains(words), "{} has no {words}", error.error());
        element.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_model_may_write_any_language_and_the_template_those_that_it_has_messages_in() {
    let server = Server::new(|_, _| Answer::Words("Un chien aboie.".into()));
    for (language, spoken, told) in [("fr-CA", "en", 1), ("de-AT", "de", 0), ("EN", "en", 0)] {
        let url = server.url.as_str();
        let properties = [("backend", "http"), ("url", url), ("model-name", "tiny"), ("language", language)];
        let mut bench = Bench::new(&properties);
        bench.event(1, "dog barking", 1.0, 2.0);
        assert_eq!(bench.caption().text, "Un chien aboie.");
        let infos = std::iter::from_fn(|| bench.bus.pop_filtered(&[gst::MessageType::Info]));
        let infos: Vec<String> = infos
            .filter_map(|message| match message.view() {
                gst::MessageView::Info(info) => Some(info.error().to_string()),
                _ => None,
            })
            .collect();
        assert_eq!(infos.len(), told, "{infos:?}");
        assert!(infos.iter().all(|info| info.contains("fr-CA") && info.contains("\"en\"")), "{infos:?}");
        // The server is told the language; without it the template writes, in its own.
        assert!(server.bodies.lock().unwrap().last().unwrap().contains(&format!("\\\"{language}\\\"")));
        let own = if spoken == "de" { "Zu hören ist: " } else { "You can hear " };
        let silent = Server::new(|_, _| Answer::Status(404));
        let properties = [("backend", "http"), ("url", &silent.url), ("language", language)];
        let mut bench = Bench::new(&properties);
        bench.event(1, "dog barking", 1.0, 2.0);
        let text = bench.caption().text;
        assert!(text.starts_with(own), "{language}: {text}");
    }
    let local: LlmCaption = glib::Object::new();
    local.set_property_from_str("backend", "local");
    local.set_property_from_str("language", "fr");
    local.set_state(gst::State::Paused).unwrap();
    local.set_state(gst::State::Null).unwrap();
}

#[test]
fn two_hundred_state_cycles_leave_it_usable() {
    let mut bench = Bench::new(&[]);
    for cycle in 0..200 {
        bench.element.set_state(gst::State::Playing).unwrap();
        if cycle % 20 == 0 {
            bench.h.push_event(gst::event::StreamStart::new(&format!("cycle {cycle}")));
            let caps: gst::Caps = "application/x-json,format=audio-events".parse().unwrap();
            bench.h.push_event(gst::event::Caps::new(&caps));
            bench.h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
            bench.event(cycle + 1, "dog barking", 1.0, 2.0);
            assert!(bench.caption().text.to_lowercase().contains("dog"), "cycle {cycle}");
        }
        bench.element.set_state(gst::State::Null).unwrap();
        bench.messages("");
    }
}

#[test]
fn null_in_mid_request_returns_at_once_and_leaves_no_thread() {
    let slow = Slow::default();
    let mut bench = Bench::with(&[("timeout", "60000000000")], false, slow.clone());
    bench.event(1, "siren", 1.0, 2.0);
    slow.wait_for(1);
    let id = bench.ask("what was that?", 0.0);
    let began = Instant::now();
    bench.element.set_state(gst::State::Null).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(slow.cancelled(), 1);
    assert_eq!(threads("llmcaption"), 0);
    // Who asked is told.
    let answer = bench.message("listen-answer");
    assert_eq!(answer.get::<u64>("id").unwrap(), id);
    assert!(answer.get::<&str>("error").is_ok(), "{answer}");
}

/// Threads of this process whose name begins so, as far as they are of this test alone.
fn threads(name: &str) -> usize {
    // Other tests of this file run beside this one: a join has to be waited for.
    for _ in 0..600 {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        if names.filter(|comm| comm.trim() == name).count() == 0 {
            return 0;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    1
}

#[test]
fn nothing_is_left_when_it_is_gone() {
    let mut bench = Bench::new(&[]);
    bench.event(1, "siren", 1.0, 2.0);
    bench.caption();
    let weak = bench.element.downgrade();
    let Bench { h, element, bus } = bench;
    element.set_bus(None);
    bus.set_flushing(true);
    drop((h, element, bus));
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_missing_timestamp_is_an_error() {
    let mut bench = Bench::new(&[]);
    let mut buffer = common::buffer(&start(1, "dog", 0.0, 1.0), s(0.0));
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::NONE);
    assert_eq!(bench.h.push(buffer), Err(gst::FlowError::Error));
}

#[test]
fn a_line_that_is_none_is_left_out_and_told_of_once() {
    let mut bench = Bench::new(&[]);
    for line in ["{", "[]", "\u{0}\n"] {
        bench.hear(line, 0.0);
    }
    let warnings: Vec<_> =
        std::iter::from_fn(|| bench.bus.pop_filtered(&[gst::MessageType::Warning])).collect();
    assert_eq!(warnings.len(), 1);
    bench.hear(&end(1, "siren", 1.0, 2.0), 2.0);
    bench.eos();
    assert_eq!(bench.captions().len(), 1);
}

#[test]
fn latency_adds_to_what_is_live_and_to_nothing_else() {
    for (live, latency, expected) in [
        (true, 500, (true, s(0.8), None)),
        (false, 500, (false, s(0.3), None)),
        // Whatever upstream says.
        (true, DESYNCHRONISED, (true, s(0.0), None)),
        (false, DESYNCHRONISED, (true, s(0.0), None)),
    ] {
        let bench = Bench::of(&[], live, |_| {});
        bench.element.set_property("latency", latency);
        let mut query = gst::query::Latency::new();
        assert!(bench.element.static_pad("src").unwrap().query(&mut query));
        assert_eq!(query.result(), expected, "live {live}, latency {latency}");
        assert!(bench.bus.pop_filtered(&[gst::MessageType::Latency]).is_some());
    }
}
