//! Questions about what was heard.

mod common;

use common::{Bench, Slow, listens_for, s};

#[test]
fn questions_are_answered_from_what_was_heard() {
    let mut bench = Bench::new(&[]);
    for id in 0..5u64 {
        bench.event(id + 1, "dog barking", 10.0 + 20.0 * id as f64, 11.0 + 20.0 * id as f64);
    }
    bench.gap(91.2, 600.0);
    bench.event(6, "car horn", 600.0, 602.0);
    let began = "in the 10 minutes since I began to listen";
    for (question, look_back, expected) in [
        (
            "Was there a dog barking?",
            0.0,
            format!(
                "Yes, I heard a dog barking 5 times {began}. The last time was 8 minutes and 32 seconds ago, at 0:01:30."
            ),
        ),
        ("How many times was there dog barking?", 0.0, format!("I heard a dog barking 5 times {began}.")),
        (
            "Was there a car horn in the last ten minutes?",
            600.0,
            "Yes, I heard a car horn once in the last 10 minutes. That was 2 seconds ago, at 0:10:00.".into(),
        ),
        (
            "Was there glass breaking?",
            0.0,
            format!(
                "I heard nothing called “glass breaking” {began}. I heard a dog barking 5 times (0:00:10 to 0:01:30) and a \
                 car horn once (0:10:00) {began}."
            ),
        ),
    ] {
        let id = bench.ask(question, look_back);
        assert!(id > 0);
        let answer = bench.message("listen-answer");
        assert_eq!(answer.get::<u64>("id").unwrap(), id);
        assert_eq!(answer.get::<&str>("question").unwrap(), question);
        assert_eq!(answer.get::<gst::ClockTime>("now").unwrap(), s(602.1));
        assert_eq!(answer.get::<&str>("text").unwrap(), expected, "{question}");
    }
    // What lies further back than asked about does not count.
    bench.ask("Was there a dog barking?", 60.0);
    let answer = bench.message("listen-answer");
    let text = answer.get::<&str>("text").unwrap();
    assert!(text.starts_with("No"), "{text}");
    assert_eq!(bench.stat("answers"), 5);
}

#[test]
fn what_upstream_listens_for_is_known_to_answers() {
    for (language, question, expected) in [
        ("en", "Was there a baby?", "No, I heard nothing like “baby” in the last minute."),
        ("en", "Was there a helicopter?", "I do not listen for “helicopter”, so I cannot tell."),
        ("de", "War ein Baby zu hören?", "Nein, in der letzten Minute war nichts wie „Baby“ zu hören."),
    ] {
        let mut bench = Bench::new(&[("language", language)]);
        bench.gap(0.0, 100.0);
        listens_for(&bench.element, &[("dog barking", "Hundebellen"), ("baby crying", "Babyschreien")]);
        bench.ask(question, 60.0);
        let answer = bench.message("listen-answer");
        let text = answer.get::<&str>("text").unwrap();
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn a_question_does_not_wait_for_the_captions_that_wait() {
    let slow = Slow::default();
    let mut bench = Bench::with(&[], true, slow.clone());
    bench.event(1, "siren", 1.0, 2.0);
    slow.wait_for(1);
    bench.event(2, "dog barking", 3.0, 4.0);
    let id = bench.ask("what was that?", 0.0);
    slow.let_go(2);
    assert_eq!(bench.message("listen-answer").get::<u64>("id").unwrap(), id);
    assert_eq!(bench.stat("given"), 1);
    slow.let_go(1);
    bench.eos();
    assert_eq!(bench.stat("given"), 2);
}

#[test]
fn an_element_that_does_not_run_answers_nothing_and_says_so() {
    let bench = Bench::new(&[]);
    use gst::prelude::*;
    bench.element.set_state(gst::State::Null).unwrap();
    assert_eq!(bench.ask("was there a dog?", 0.0), 0);
}

#[test]
fn more_questions_than_anybody_could_ask_are_refused() {
    let slow = Slow::default();
    let mut bench = Bench::with(&[], true, slow.clone());
    bench.event(1, "siren", 1.0, 2.0);
    slow.wait_for(1);
    let asked: Vec<u64> = (0..40).map(|_| bench.ask("and now?", 0.0)).collect();
    assert_eq!(asked.iter().filter(|id| **id > 0).count(), 16);
    slow.let_go(100);
    bench.eos();
    assert_eq!(bench.stat("answers"), 16);
}

#[test]
fn a_flush_begins_anew() {
    let mut bench = Bench::new(&[]);
    bench.event(1, "dog barking", 1.0, 2.0);
    bench.caption();
    assert!(bench.h.push_event(gst::event::FlushStart::new()));
    assert!(bench.h.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(bench.h.push_event(gst::event::Segment::new(&segment)));
    bench.gap(0.0, 1.0);
    bench.ask("Was there a dog barking?", 0.0);
    let answer = bench.message("listen-answer");
    let text = answer.get::<&str>("text").unwrap();
    assert!(text.starts_with("No"), "{text}");
}
