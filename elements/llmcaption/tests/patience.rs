//! Backends that never answer: nothing waits for them longer than `timeout`, and live nothing waits at all.

mod common;

use std::time::{Duration, Instant};

use common::server::{Answer, Server};
use common::{Bench, Slow, end, ids};
use gst::prelude::*;

/// A server that takes requests and says nothing.
fn silent() -> Server {
    Server::new(|_, _| Answer::Silence(Duration::from_secs(120)))
}

#[test]
fn questions_that_nobody_answers_hold_the_end_no_longer_than_timeout() {
    // It knows no time-out of its own: giving it up is the element's part.
    let slow = Slow::default();
    for live in [false, true] {
        let mut bench = Bench::with(&[("timeout", "600000000")], live, slow.clone());
        bench.event(1, "siren", 1.0, 2.0);
        slow.wait_for(1);
        let asked: Vec<u64> = (0..5).map(|_| bench.ask("Was there a siren?", 0.0)).collect();
        bench.event(2, "dog barking", 3.0, 4.0);
        let began = Instant::now();
        bench.eos();
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        // All are answered before the end goes out, by code, and say why.
        let answers = bench.messages("listen-answer");
        let of: Vec<u64> = answers.iter().map(|answer| answer.get("id").unwrap()).collect();
        assert_eq!(of, asked);
        for answer in &answers {
            assert_eq!(answer.get::<&str>("backend").unwrap(), "template", "{answer}");
            assert!(answer.get::<&str>("text").unwrap().starts_with("Yes"), "{answer}");
            let why = answer.get::<&str>("fallback").unwrap();
            assert_eq!(why, "the stream has ended, and there was no time left");
        }
        assert_eq!(bench.captions().len(), 2, "live {live}");
        slow.forget();
    }
}

#[test]
fn a_question_under_way_at_the_end_of_a_servers_stream_is_given_up_within_timeout() {
    let server = silent();
    let long = ("timeout", "60000000000");
    let mut bench = Bench::new(&[("backend", "http"), ("url", &server.url), ("model-name", "tiny"), long]);
    bench.hear(&end(1, "siren", 1.0, 2.0), 2.0);
    let id = bench.ask("Was there a siren?", 0.0);
    for _ in 0..3_000 {
        if !server.bodies.lock().unwrap().is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bench.element.set_property("timeout", 300_000_000_u64);
    let began = Instant::now();
    bench.eos();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let answer = bench.messages("listen-answer").remove(0);
    assert_eq!(answer.get::<u64>("id").unwrap(), id);
    assert!(answer.get::<&str>("text").unwrap().starts_with("Yes"), "{answer}");
    assert_eq!(bench.captions().len(), 1);
}

#[test]
fn a_question_behind_the_end_has_all_its_time() {
    let slow = Slow::default();
    let mut bench = Bench::with(&[("timeout", "1000000")], false, slow.clone());
    bench.eos();
    bench.element.set_property("timeout", 60_000_000_000_u64);
    bench.ask("And now?", 0.0);
    slow.wait_for(1);
    slow.let_go(1);
    let answer = bench.message("listen-answer");
    assert_eq!(answer.get::<&str>("backend").unwrap(), "http", "{answer}");
}

#[test]
fn captions_have_their_turn_between_questions() {
    let slow = Slow::default();
    let mut bench = Bench::with(&[], true, slow.clone());
    bench.event(1, "siren", 1.0, 2.0);
    slow.wait_for(1);
    bench.event(2, "dog barking", 3.0, 4.0);
    assert!((0..3).all(|_| bench.ask("And now?", 0.0) > 0));
    // The caption in hand, a question, and then the caption that waits.
    slow.let_go(3);
    for _ in 0..6_000 {
        if bench.stat("given") == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((bench.stat("given"), bench.stat("answers")), (2, 1));
    slow.let_go(10);
    bench.eos();
}

#[test]
fn live_sound_never_waits_for_a_server_that_never_answers() {
    // Merged into few captions, or none merged and the queue full.
    for context in ["60000000000", "0"] {
        let server = silent();
        let mut bench = Bench::of(
            &[
                ("backend", "http"),
                ("url", &server.url),
                ("model-name", "tiny"),
                ("timeout", "60000000000"),
                ("context", context),
            ],
            true,
            |_| {},
        );
        let mut longest = Duration::ZERO;
        // Ten seconds of an event each tenth of one, and questions all the while.
        for n in 0..100_u64 {
            let at = n as f64 / 10.0;
            if n % 10 == 0 {
                bench.ask("Was there a dog barking?", 0.0);
            }
            let began = Instant::now();
            bench.event(n + 1, "dog barking", at, at + 0.05);
            longest = longest.max(began.elapsed());
        }
        // Both are far below what one request may take.
        assert!(longest < Duration::from_secs(5), "context {context}: {longest:?}");
        // NULL in mid-request does not wait either.
        let began = Instant::now();
        bench.element.set_state(gst::State::Null).unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

#[test]
fn live_and_unmerged_every_event_is_told_once() {
    let slow = Slow::default();
    let properties = [("context", "0"), ("timeout", "500000000")];
    let mut bench = Bench::with(&properties, true, slow.clone());
    for n in 1..=100_u64 {
        bench.event(n, "dog barking", n as f64, n as f64 + 0.5);
    }
    bench.eos();
    let told: Vec<u64> = bench.messages("caption").iter().flat_map(|caption| ids(caption)).collect();
    assert_eq!(told, (1..=100).collect::<Vec<u64>>());
    assert_eq!(bench.captions().len(), 100);
    let counts = ["asked", "given", "merged", "flushed", "pending"].map(|name| bench.stat(name));
    assert_eq!(counts, [100, 100, 0, 0, 0]);
}

#[test]
fn what_was_asked_for_is_given_merged_or_flushed() {
    let slow = Slow::default();
    let mut bench = Bench::with(&[], true, slow.clone());
    bench.event(1, "siren", 1.0, 2.0);
    slow.wait_for(1);
    (2..=6).for_each(|id| bench.event(id, "dog barking", id as f64, id as f64 + 0.5));
    assert!(bench.h.push_event(gst::event::FlushStart::new()));
    assert!(bench.h.push_event(gst::event::FlushStop::new(true)));
    slow.wait_for_cancelled(1);
    let counts = ["asked", "given", "merged", "flushed", "pending"].map(|name| bench.stat(name));
    assert_eq!(counts, [6, 0, 4, 2, 0]);
}
