//! What holds for whatever comes in: random scores, windows, lists, rules and interruptions, always the same ones.

mod common;

use std::collections::HashMap;

use common::{Random, SECOND, embedding, matcher, of_list, span};
use listen_zeroshot::{Change, EndReason, Event, Label, LabelList, Settings, Smoothing, Span};

/// Checks a whole run: every event starts once, ends once, and overlaps no other of its label and channel.
struct Book {
    open: HashMap<u64, (String, i32, u64, f32)>,
    /// Where the last event of each label and channel ended.
    free: HashMap<(String, i32), u64>,
    started: u64,
    updated: u64,
    ended: u64,
}

impl Book {
    fn new() -> Book {
        Book { open: HashMap::new(), free: HashMap::new(), started: 0, updated: 0, ended: 0 }
    }

    fn enter(&mut self, change: &Change, context: &str) {
        let event = change.event();
        let key = (event.label.text.clone(), event.channel);
        match change {
            Change::Start(_) => {
                self.started += 1;
                assert_eq!(event.offset, None);
                let free = self.free.get(&key).copied().unwrap_or(0);
                assert!(event.onset >= free, "{context}: {event:?} begins before {free}");
                let open =
                    self.open.values().any(|(label, channel, ..)| (label, *channel) == (&key.0, key.1));
                assert!(!open, "{context}: two events of {key:?} at once");
                let known = (key.0, key.1, event.onset, event.peak_score);
                assert!(self.open.insert(event.id, known).is_none(), "{context}: id {} twice", event.id);
            }
            Change::Update(_) => {
                self.updated += 1;
                let known = self.open.get_mut(&event.id).expect("an event is updated after its start");
                assert_eq!((&known.0, known.1, known.2), (&key.0, key.1, event.onset));
                assert!(event.peak_score >= known.3 && event.peak_score >= event.score);
                known.3 = event.peak_score;
            }
            Change::End(..) => {
                self.ended += 1;
                let known = self.open.remove(&event.id).expect("an event ends after its start, once");
                assert_eq!((&known.0, known.1, known.2), (&key.0, key.1, event.onset));
                let offset = event.offset.expect("an end has an offset");
                assert!(event.onset <= offset, "{context}: {event:?}");
                self.free.insert(key, offset);
            }
        }
    }
}

fn random_settings(random: &mut Random) -> Settings {
    let tenth = SECOND / 10;
    let smoothing = match random.below(3) {
        0 => Smoothing::None,
        1 => Smoothing::Ema { tau: random.below(20) * tenth },
        _ => Smoothing::Mean { over: random.below(20) * tenth },
    };
    Settings {
        threshold: Some(0.3 + 0.5 * random.unit()),
        offset_threshold: Some(0.3 * random.unit()),
        min_duration: random.below(3) * 5 * tenth,
        hold_time: random.below(3) * 7 * tenth,
        smoothing: Some(smoothing),
        update_interval: (random.below(2) == 0).then_some(random.below(10) * tenth),
        top_k: (random.below(3) == 0).then_some(1 + random.below(3) as usize),
    }
}

fn random_list(random: &mut Random) -> LabelList {
    let names = ["dog", "siren", "rain", "glass", "speech", "music"];
    let mut labels: Vec<Label> = Vec::new();
    for name in names {
        if random.below(2) == 0 {
            let group = (random.below(2) == 0).then(|| format!("g{}", random.below(2)));
            labels.push(Label { group, ..Label::new(name) });
        }
    }
    if labels.is_empty() {
        labels.push(Label::new("dog"));
    }
    LabelList::new(labels).unwrap()
}

#[test]
fn every_event_ends_once_and_none_overlaps_another_of_its_label() {
    let mut total = 0;
    for seed in 1..=300 {
        let mut random = Random(seed);
        let mut detector = of_list(&random_list(&mut random), random_settings(&mut random));
        let mut book = Book::new();
        let (window, hop) = ((1 + random.below(4)) * SECOND / 2, (1 + random.below(4)) * SECOND / 4);
        let channels = 1 + random.below(2) as i32;
        let mut k = 0;
        let mut level = 0.5;
        for step in 0..400 {
            let context = format!("seed {seed}, step {step}");
            let mut changes = Vec::new();
            match random.below(100) {
                0 => {
                    detector.end_all(k * hop, EndReason::Flush, &mut changes);
                    changes.iter().for_each(|change| book.enter(change, &context));
                    assert!(book.open.is_empty(), "{context}: flushed, and still open");
                    book.free.clear();
                    (k, changes) = (random.below(5), Vec::new());
                }
                1 => {
                    detector.end_all(k * hop, EndReason::Gap, &mut changes);
                    k += 10 + random.below(50);
                }
                2 | 3 => {
                    let list = random_list(&mut random);
                    let settings = random_settings(&mut random);
                    changes = detector.replace(matcher(&list), settings).unwrap();
                }
                4 => detector.configure(random_settings(&mut random)).unwrap(),
                5..=7 => k += 1, // A window that was dropped.
                _ => {}
            }
            // Scores wander, so that events last; now and then one is no number.
            level = (level + 0.5 * (random.unit() - 0.5)).clamp(0.0, 1.0);
            for channel in 0..channels {
                let mut row: Vec<f32> = detector
                    .matcher()
                    .labels()
                    .iter()
                    .map(|_| (level + 0.4 * (random.unit() - 0.5)).clamp(0.0, 1.0))
                    .collect();
                if random.below(50) == 0 {
                    row[0] = f32::NAN;
                }
                // Every third stream has windows of any length, as at the end of a file.
                let window = if seed % 3 == 0 { (1 + random.below(8)) * SECOND / 4 } else { window };
                let span = span(k, window, hop);
                if random.below(20) == 0 {
                    detector.push_silence(span, channel, None, &mut changes);
                } else {
                    detector.push(span, channel, Some(-20.0), &embedding(&row), &mut changes).unwrap();
                }
            }
            k += 1;
            changes.iter().for_each(|change| book.enter(change, &context));
            let counts = detector.counts();
            assert_eq!(
                (counts.started, counts.updated, counts.ended),
                (book.started, book.updated, book.ended),
                "{context}"
            );
            assert_eq!(detector.active().count(), book.open.len(), "{context}");
            check_groups(&changes, &detector.active().collect::<Vec<_>>(), &context);
        }
        let mut changes = Vec::new();
        detector.end_all(k * hop, EndReason::Stop, &mut changes);
        changes.iter().for_each(|change| book.enter(change, "stop"));
        assert!(book.open.is_empty(), "seed {seed}: events are left open");
        total += book.started;
    }
    assert!(total > 10_000, "only {total} events: the test tests little");
}

/// Whoever starts in a group is alone in it. (A new list may put labels into a group that are active already; they end
/// one after the other.)
fn check_groups(changes: &[Change], active: &[Event], context: &str) {
    for change in changes {
        let Change::Start(started) = change else { continue };
        if let Some(group) = &started.label.group {
            let same = |other: &&Event| {
                other.label.group.as_ref() == Some(group) && other.channel == started.channel
            };
            let others = active.iter().filter(same).filter(|other| other.id != started.id).count();
            assert_eq!(others, 0, "{context}: {started:?}");
        }
    }
}

#[test]
fn no_event_that_ended_by_itself_is_shorter_than_the_minimum() {
    for seed in 1..=100 {
        let mut random = Random(seed);
        let minimum = (1 + random.below(8)) * SECOND / 4;
        let settings = Settings { min_duration: minimum, ..Settings::default() };
        let mut detector = of_list(&LabelList::parse("dog").unwrap(), settings);
        let (window, hop) = ((1 + random.below(4)) * SECOND / 2, (1 + random.below(4)) * SECOND / 4);
        let mut changes = Vec::new();
        for k in 0..500 {
            let score = random.unit();
            detector.push(span(k, window, hop), -1, None, &embedding(&[score]), &mut changes).unwrap();
        }
        for change in &changes {
            let event = change.event();
            if let Some(offset) = event.offset {
                assert!(offset - event.onset >= minimum, "seed {seed}: {event:?}");
            }
        }
    }
}

#[test]
fn any_times_are_survived() {
    let extremes = [0, 1, SECOND, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    let mut detector = of_list(
        &LabelList::parse("dog").unwrap(),
        Settings {
            smoothing: Some(Smoothing::Mean { over: SECOND }),
            hold_time: SECOND,
            update_interval: Some(SECOND),
            ..Settings::default()
        },
    );
    let mut random = Random(5);
    let mut changes = Vec::new();
    for _ in 0..5_000 {
        let mut pick = || extremes[random.below(extremes.len() as u64) as usize];
        let span = Span::new(pick(), pick(), pick());
        let score = if pick() > SECOND { 0.9 } else { 0.1 };
        detector.push(span, -1, None, &embedding(&[score]), &mut changes).unwrap();
    }
    detector.end_all(0, EndReason::Eos, &mut changes);
    for change in &changes {
        let event = change.event();
        assert!(event.offset.is_none_or(|offset| event.onset <= offset), "{event:?}");
    }
    let counts = detector.counts();
    assert_eq!(counts.started, counts.ended);
}

#[test]
fn a_simulated_hour_brings_each_of_its_sounds_once_at_its_time() {
    // A bark of 3 s each minute, a siren of 20 s every ten minutes; windows of 2 s every 0.5 s, a little noise.
    let settings = Settings { hold_time: SECOND, min_duration: SECOND / 2, ..Settings::default() };
    let mut detector = of_list(&LabelList::parse("dog;siren").unwrap(), settings);
    let mut random = Random(11);
    let half = SECOND / 2;
    let heard = |window: Span, every: u64, from: u64, to: u64| {
        let (start, end) = (window.start % (every * SECOND), window.start % (every * SECOND) + 2 * SECOND);
        if start < to * SECOND && end > from * SECOND { 0.8 } else { 0.1 }
    };
    let mut changes = Vec::new();
    for k in 0..7_200 {
        let window = span(k, 2 * SECOND, half);
        let row = [heard(window, 60, 20, 23), heard(window, 600, 300, 320)]
            .map(|score: f32| score + 0.2 * (random.unit() - 0.5));
        detector.push(window, -1, None, &embedding(&row), &mut changes).unwrap();
    }
    let (mut barks, mut sirens) = (0, 0);
    for change in &changes {
        let Change::End(event, EndReason::Quiet) = change else { continue };
        let (every, from, to, count) = match event.index {
            0 => (60, 20, 23, &mut barks),
            _ => (600, 300, 320, &mut sirens),
        };
        let start = *count * every;
        assert_eq!((event.onset, event.offset), ((start + from) * SECOND, Some((start + to) * SECOND)));
        *count += 1;
    }
    assert_eq!((barks, sirens, detector.active().count()), (60, 6, 0));
    assert_eq!(detector.counts().windows, 7_200);
}
