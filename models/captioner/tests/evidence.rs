//! What is kept, for how long, and what of it is worth telling.

mod common;

use std::sync::Arc;

use common::{ns, sound};
use listen_captioner::{Embedding, Evidence, Limits, MinEvidence, Said};

fn embedding(start: f64, level: Option<f32>, values: usize) -> Embedding {
    let values: Arc<[f32]> = vec![0.5; values].into();
    Embedding { start: ns(start), end: ns(start + 1.0), channel: -1, level, rows: 1, values }
}

#[test]
fn the_latest_word_on_an_event_counts_and_it_is_kept_once() {
    let mut evidence = Evidence::new(Limits::default());
    evidence.hear(sound(7, "dog", 2.0, None, 0.5));
    evidence.hear(sound(7, "dog", 2.0, None, 0.8));
    evidence.hear(sound(7, "dog", 1.5, Some(4.0), 0.9));
    let scene = evidence.between(0, ns(10.0));
    assert_eq!(scene.sounds.len(), 1);
    assert_eq!(
        (scene.sounds[0].peak, scene.sounds[0].onset, scene.sounds[0].offset),
        (0.9, ns(1.5), Some(ns(4.0)))
    );
    assert_eq!(evidence.counts().sounds, 1);
}

#[test]
fn a_scene_holds_what_has_any_part_in_its_time_in_order() {
    let mut evidence = Evidence::new(Limits::default());
    for (id, onset, offset) in [(3, 9.0, 12.0), (1, 0.0, 5.0), (2, 5.0, 6.0), (4, 6.0, 7.0), (5, 12.0, 13.0)]
    {
        evidence.hear(sound(id, "x", onset, Some(offset), 0.9));
    }
    let ids = |from: f64, to: f64| -> Vec<u64> {
        evidence.between(ns(from), ns(to)).sounds.iter().map(|sound| sound.id).collect()
    };
    assert_eq!(
        ids(5.0, 9.0),
        [2, 4],
        "what ends where the time begins, or begins where it ends, has no part in it"
    );
    assert_eq!(ids(4.0, 9.5), [1, 2, 4, 3]);
    assert_eq!(ids(13.0, 14.0), [] as [u64; 0]);
}

#[test]
fn what_is_older_than_the_span_is_forgotten_and_size_stays_bounded_for_hours() {
    let limits = Limits { span: ns(600.0), events: 64 << 10, embeddings: 100 << 10 };
    let mut evidence = Evidence::new(limits);
    // A sound that never ends must not keep all that came behind it.
    evidence.hear(sound(0, "hum", 0.0, None, 0.9));
    let mut most = 0;
    for second in 0..20_000u64 {
        let at = second as f64;
        evidence.hear(sound(second + 1, "a label of some length", at, Some(at + 0.5), 0.9));
        evidence.embed(embedding(at, Some(-40.0), 16));
        evidence.say(Said { start: ns(at), end: ns(at + 1.0), text: "You can hear a dog.".into() });
        most = most.max(evidence.counts().bytes);
    }
    let counts = evidence.counts();
    assert!(most <= 64 * 1024 * 2 + 100 * 1024 + 4096, "{most}");
    assert!(counts.sounds <= 610 + 10 && counts.sounds > 100, "{counts:?}");
    let scene = evidence.recent(ns(3600.0));
    assert!(scene.start >= ns(20_000.0 - 601.0), "{}", scene.start);
    assert!(scene.sounds.iter().all(|sound| sound.end() >= scene.start));
}

#[test]
fn an_event_that_is_crowded_out_is_counted() {
    let mut evidence = Evidence::new(Limits { events: 10_000, ..Limits::default() });
    for id in 0..1000 {
        evidence.hear(sound(id, "dog", id as f64, Some(id as f64 + 0.5), 0.9));
    }
    let counts = evidence.counts();
    assert!(counts.bytes <= 10_000);
    assert_eq!(counts.crowded_out + counts.sounds as u64, 1000);
    assert_eq!(evidence.recent(ns(1000.0)).sounds.last().map(|sound| sound.id), Some(999));
}

#[test]
fn nothing_is_known_of_the_time_before_hearing_began_or_before_a_flush() {
    let mut evidence = Evidence::new(Limits::default());
    evidence.begin(ns(100.0));
    evidence.advance(ns(130.0));
    let scene = evidence.recent(ns(600.0));
    assert_eq!((scene.start, scene.since, scene.now), (ns(100.0), ns(100.0), ns(130.0)));
    evidence.hear(sound(1, "dog", 110.0, Some(111.0), 0.9));
    evidence.clear();
    assert_eq!(evidence.counts(), Default::default());
    assert_eq!(evidence.now(), 0);
    assert!(evidence.recent(ns(600.0)).sounds.is_empty());
}

#[test]
fn silence_is_not_worth_telling_and_an_event_or_a_loud_window_is() {
    let min = MinEvidence::default();
    let mut evidence = Evidence::new(Limits::default());
    for second in 0..20 {
        evidence.embed(embedding(f64::from(second), Some(-60.0), 8));
    }
    assert!(!evidence.recent(ns(10.0)).is_worth_telling(&min), "windows at the background");
    evidence.embed(embedding(20.0, Some(-50.0), 8));
    assert!(evidence.recent(ns(2.0)).is_worth_telling(&min), "10 dB above it");
    assert!(!evidence.recent(ns(2.0)).is_worth_telling(&MinEvidence { above: 20.0, ..min }));

    let mut unknown = Evidence::new(Limits::default());
    unknown.embed(embedding(0.0, None, 8));
    assert!(!unknown.recent(ns(10.0)).is_worth_telling(&min), "no level says nothing");
    unknown.hear(sound(1, "dog", 0.0, Some(1.0), 0.4));
    assert!(unknown.recent(ns(10.0)).is_worth_telling(&min));
    let strict = MinEvidence { score: 0.5, ..min };
    assert!(!unknown.recent(ns(10.0)).is_worth_telling(&strict));
    assert!(unknown.recent(ns(10.0)).with(&strict).sounds.is_empty());
}

#[test]
fn captions_of_before_are_found_by_their_time() {
    let mut evidence = Evidence::new(Limits::default());
    for (start, text) in [(0.0, "one"), (10.0, "two"), (20.0, "three")] {
        evidence.say(Said { start: ns(start), end: ns(start + 10.0), text: text.into() });
    }
    let said: Vec<String> = evidence.said(ns(5.0), ns(20.0)).iter().map(|said| said.text.clone()).collect();
    assert_eq!(said, ["one", "two"]);
    assert!(evidence.recent(ns(30.0)).said.is_empty(), "a scene has them only if they are asked for");
}
