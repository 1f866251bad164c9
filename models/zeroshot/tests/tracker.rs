//! What one label does over time. Tables read as rules: scores of one second each, and what is told of them.

mod common;

use std::sync::Arc;

use common::{SECOND, span};
use listen_zeroshot::{Change, Edges, EndReason, EventIds, Label, Rule, Sample, Span, Standing, Tracker};

fn rule(min_duration: u64, hold_time: u64) -> Rule {
    Rule { onset: 0.6, offset: 0.4, min_duration: min_duration * SECOND, hold_time: hold_time * SECOND }
}

fn tracker(rule: Rule) -> Tracker {
    Tracker::new(rule, Arc::new(Label::new("dog")), 0, -1)
}

fn sample(span: Span, score: f32) -> Sample {
    Sample { span, score, raw: score, level: None, standing: Standing::Free }
}

/// Pushes scores as windows; gives each change with the window that brought it.
fn follow(tracker: &mut Tracker, scores: &[f32], window: u64, hop: u64) -> Vec<(usize, Change)> {
    let mut ids = EventIds::From(1);
    let mut push = |(k, score): (usize, &f32)| {
        let change =
            tracker.push(&sample(span(k as u64, window, hop), *score), &Edges::default(), None, &mut ids)?;
        Some((k, change))
    };
    scores.iter().enumerate().filter_map(&mut push).collect()
}

/// `('+', onset)` and `('-', offset)`, in seconds.
fn events(rule: Rule, scores: &[f32]) -> Vec<(char, u64)> {
    let changes = follow(&mut tracker(rule), scores, SECOND, SECOND);
    let tell = |(_, change): &(usize, Change)| match change {
        Change::Start(event) => ('+', event.onset / SECOND),
        Change::Update(event) => ('=', event.at / SECOND),
        Change::End(event, _) => ('-', event.offset.unwrap() / SECOND),
    };
    changes.iter().map(tell).collect()
}

#[test]
fn an_event_begins_at_the_onset_threshold_and_ends_below_the_offset_threshold() {
    let rule = rule(0, 0);
    for (scores, expected) in [
        (&[0.1, 0.9, 0.9, 0.1][..], &[('+', 1), ('-', 3)][..]),
        (&[0.6, 0.4, 0.4, 0.39], &[('+', 0), ('-', 3)]),
        (&[0.5, 0.59, 0.5], &[]),
        (&[0.9, 0.1, 0.9, 0.1], &[('+', 0), ('-', 1), ('+', 2), ('-', 3)]),
        (&[0.9, 0.9], &[('+', 0)]),
        (&[f32::NAN, 0.9, f32::NAN], &[('+', 1), ('-', 2)]),
        (&[f32::NEG_INFINITY, f32::INFINITY, f32::NEG_INFINITY], &[('+', 1), ('-', 2)]),
    ] {
        assert_eq!(events(rule, scores), expected, "{scores:?}");
    }
}

#[test]
fn what_is_shorter_than_the_minimum_is_never_announced() {
    let rule = rule(3, 0);
    for (scores, expected) in [
        (&[0.9, 0.9, 0.1, 0.9, 0.9, 0.1][..], &[][..]),
        (&[0.1, 0.9, 0.9, 0.9, 0.1], &[('+', 1), ('-', 4)]),
        (&[0.9, 0.5, 0.5, 0.1], &[('+', 0), ('-', 3)]),
    ] {
        assert_eq!(events(rule, scores), expected, "{scores:?}");
    }
}

#[test]
fn an_event_is_announced_when_it_has_lasted_the_minimum_with_its_true_onset() {
    let changes = follow(&mut tracker(rule(3, 0)), &[0.1, 0.9, 0.9, 0.9, 0.9], SECOND, SECOND);
    let [(3, Change::Start(event))] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((event.onset, event.at), (SECOND, 4 * SECOND));
}

#[test]
fn a_pause_shorter_than_the_hold_time_does_not_split_an_event() {
    let rule = rule(0, 3);
    for (scores, expected) in [
        (&[0.9, 0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1][..], &[('+', 0), ('-', 5)][..]),
        (&[0.9, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1], &[('+', 0), ('-', 4)]),
        (&[0.9, 0.1, 0.1], &[('+', 0)]),
    ] {
        assert_eq!(events(rule, scores), expected, "{scores:?}");
    }
}

#[test]
fn the_hold_time_delays_the_decision_and_not_the_offset() {
    let changes = follow(&mut tracker(rule(0, 3)), &[0.9, 0.1, 0.1, 0.1], SECOND, SECOND);
    let [(0, Change::Start(_)), (3, Change::End(event, EndReason::Quiet))] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(event.offset, Some(SECOND));
}

#[test]
fn an_overlapping_window_tells_the_onset_by_what_is_new_in_it_and_the_offset_by_what_has_left_it() {
    // A sound from 5.0 to 7.0 s, windows of 2 s every 0.5 s: heard from the window [3.5, 5.5) to [6.5, 8.5).
    let half = SECOND / 2;
    let scores: Vec<f32> = (0..20).map(|k| if (7..=13).contains(&k) { 0.9 } else { 0.1 }).collect();
    let changes = follow(&mut tracker(rule(0, 0)), &scores, 2 * SECOND, half);
    let [(7, Change::Start(start)), (14, Change::End(end, _))] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((start.onset, end.offset), (5 * SECOND, Some(7 * SECOND)));
}

#[test]
fn an_event_is_at_least_as_long_as_the_step_it_was_found_in() {
    // Only the window [3.5, 5.5) hears it; the next one starts at 4.0, before the onset.
    let scores: Vec<f32> = (0..12).map(|k| if k == 7 { 0.9 } else { 0.1 }).collect();
    let changes = follow(&mut tracker(rule(0, 0)), &scores, 2 * SECOND, SECOND / 2);
    let (_, Change::End(event, _)) = &changes[1] else { panic!("{changes:?}") };
    assert_eq!((event.onset, event.offset), (5 * SECOND, Some(5 * SECOND + SECOND / 2)));
}

#[test]
fn overlapping_windows_do_not_make_a_short_sound_long() {
    // A click at 5.2 s is heard by four windows of 2 s every 0.5 s, so for 3.5 s; it still lasted half a second at most.
    let scores: Vec<f32> = (0..20).map(|k| if (7..=10).contains(&k) { 0.9 } else { 0.1 }).collect();
    for (min_duration, announced) in [(SECOND / 2, true), (SECOND / 2 + 1, false)] {
        let rule = Rule { min_duration, ..rule(0, 0) };
        let changes = follow(&mut tracker(rule), &scores, 2 * SECOND, SECOND / 2);
        assert_eq!(!changes.is_empty(), announced, "{changes:?}");
    }
}

#[test]
fn an_event_does_not_begin_before_the_last_one_ended() {
    // The second window is cut short by the end of something: what is new in the third began before the first ended.
    let mut tracker = tracker(rule(0, 0));
    let mut ids = EventIds::From(1);
    let spans = [
        Span::new(0, 4 * SECOND, SECOND),
        Span::new(SECOND, 2 * SECOND, SECOND),
        Span::new(2 * SECOND, 4 * SECOND, SECOND),
    ];
    let mut changes = Vec::new();
    for (span, score) in spans.into_iter().zip([0.9, 0.1, 0.9]) {
        changes.extend(tracker.push(&sample(span, score), &Edges::default(), None, &mut ids));
    }
    let [Change::Start(_), Change::End(first, _), Change::Start(second)] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!((first.offset, second.onset), (Some(4 * SECOND), 4 * SECOND));
}

#[test]
fn the_first_window_of_a_stream_may_begin_no_event_before_itself() {
    let first = Span::new(0, 2 * SECOND, 10 * SECOND);
    assert_eq!(first.onset(), 0);
    assert_eq!(Span::new(5, 3, 1), Span::new(5, 5, 1));
}

#[test]
fn an_end_from_outside_comes_where_the_stream_stops_or_where_the_sound_was_last_heard() {
    for (scores, hold, expected) in [
        (&[0.9, 0.9][..], 0, Some(2)),
        (&[0.9, 0.9, 0.1], 5, Some(2)),
        (&[0.9, 0.1, 0.9], 5, Some(3)),
        (&[0.1], 0, None),
    ] {
        let mut tracker = tracker(rule(0, hold));
        follow(&mut tracker, scores, SECOND, SECOND);
        let ended = tracker.end(scores.len() as u64 * SECOND, &Edges::default(), EndReason::Eos);
        let offset = ended.map(|change| change.event().offset.unwrap() / SECOND);
        assert_eq!(offset, expected, "{scores:?}");
        assert!(!tracker.is_active());
        assert_eq!(tracker.end(99 * SECOND, &Edges::default(), EndReason::Stop), None, "it ended twice");
    }
}

#[test]
fn what_was_not_announced_does_not_end() {
    let mut tracker = tracker(rule(3, 0));
    follow(&mut tracker, &[0.9, 0.9], SECOND, SECOND);
    assert_eq!(tracker.end(2 * SECOND, &Edges::default(), EndReason::Eos), None);
}

#[test]
fn an_end_before_the_onset_is_put_behind_it() {
    let mut tracker = tracker(rule(0, 0));
    follow(&mut tracker, &[0.1, 0.1, 0.9], SECOND, SECOND);
    let ended = tracker.end(0, &Edges::default(), EndReason::Flush).unwrap();
    assert_eq!((ended.event().onset, ended.event().offset), (2 * SECOND, Some(3 * SECOND)));
}

#[test]
fn an_active_event_is_told_of_again_after_each_interval() {
    let mut tracker = tracker(rule(0, 2));
    let mut ids = EventIds::From(1);
    let told: Vec<(usize, &str)> = [0.9, 0.8, 0.7, 0.1, 0.7, 0.7, 0.1, 0.1]
        .iter()
        .enumerate()
        .filter_map(|(k, score)| {
            let sample = sample(span(k as u64, SECOND, SECOND), *score);
            tracker
                .push(&sample, &Edges::default(), Some(2 * SECOND), &mut ids)
                .map(|change| (k, change.kind()))
        })
        .collect();
    assert_eq!(told, [(0, "start"), (2, "update"), (4, "update"), (7, "end")]);
}

#[test]
fn the_score_is_the_last_one_and_the_peak_and_level_the_highest() {
    let mut tracker = tracker(rule(2, 0));
    let mut ids = EventIds::From(7);
    let samples =
        [(0.7, Some(-30.0)), (0.9, None), (0.8, Some(-20.0)), (0.5, Some(-25.0)), (0.1, Some(-60.0))];
    let mut changes = Vec::new();
    for (k, (score, level)) in samples.into_iter().enumerate() {
        let sample = Sample { level, ..sample(span(k as u64, SECOND, SECOND), score) };
        changes.extend(tracker.push(&sample, &Edges::default(), Some(2 * SECOND), &mut ids));
    }
    let seen: Vec<_> =
        changes.iter().map(Change::event).map(|e| (e.id, e.score, e.peak_score, e.level)).collect();
    let expected = [(7, 0.9, 0.9, Some(-30.0)), (7, 0.5, 0.9, Some(-20.0)), (7, 0.1, 0.9, Some(-20.0))];
    assert_eq!(seen, expected);
}

#[test]
fn a_label_that_is_outranked_may_go_on_but_not_begin_and_one_that_is_beaten_is_not_heard() {
    use Standing::{Beaten, Free, Outranked};
    for (standings, expected) in [
        ([Outranked, Outranked, Free, Outranked], &["start"][..]),
        ([Free, Outranked, Outranked, Free], &["start"]),
        ([Free, Beaten, Free, Beaten], &["start", "end", "start", "end"]),
        ([Beaten, Beaten, Beaten, Beaten], &[]),
    ] {
        let mut tracker = tracker(rule(0, 0));
        let mut ids = EventIds::Process;
        let mut kinds = Vec::new();
        for (k, standing) in standings.into_iter().enumerate() {
            let sample = Sample { standing, ..sample(span(k as u64, SECOND, SECOND), 0.9) };
            kinds
                .extend(tracker.push(&sample, &Edges::default(), None, &mut ids).map(|change| change.kind()));
        }
        assert_eq!(kinds, expected, "{standings:?}");
    }
}
