//! What one label does over time. Tables read as rules: scores of one second each, and what is told of them.

mod common;

use std::sync::Arc;

use common::{SECOND, span};
use listen_zeroshot::{
    Change, Edge, Edges, EndReason, EventIds, Label, Placing, Rule, Sample, Span, Standing, Tracker,
};

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

/// Follows frames of 80 ms; `('+', frame)` and `('-', frame)` of each onset and offset.
fn frames(scores: &[f32], raw: &[f32]) -> Vec<(char, u64)> {
    frames_of(0, scores, raw)
}

const FRAME: u64 = SECOND * 2 / 25;

fn frames_of(min_duration: u64, scores: &[f32], raw: &[f32]) -> Vec<(char, u64)> {
    let told = times_of(min_duration, scores, raw, &Edges::default());
    told.into_iter().map(|(what, at)| (what, at / FRAME)).collect()
}

/// The same, in nanoseconds, where the sound itself is known to begin and end at `edges`.
fn times_of(min_duration: u64, scores: &[f32], raw: &[f32], edges: &Edges) -> Vec<(char, u64)> {
    let rule = Rule { onset: 0.8, offset: 0.1, min_duration, hold_time: SECOND / 2 };
    let mut tracker = tracker(rule);
    tracker.set_placed(true);
    let mut ids = EventIds::From(1);
    let mut told = Vec::new();
    for (k, (score, raw)) in scores.iter().zip(raw).enumerate() {
        let span = Span::new(k as u64 * FRAME, (k as u64 + 1) * FRAME, FRAME);
        let sample = Sample { span, score: *score, raw: *raw, level: None, standing: Standing::Free };
        match tracker.push(&sample, edges, None, &mut ids) {
            Some(Change::Start(event)) => told.push(('+', event.onset)),
            Some(Change::End(event, _)) => told.push(('-', event.offset.unwrap())),
            Some(Change::Update(_)) | None => {}
        }
    }
    told
}

/// Edges every 10 ms.
fn edges(onsets: &[f32], offsets: &[f32]) -> Edges {
    let mut edges = Edges::default();
    for (k, (&onset, &offset)) in onsets.iter().zip(offsets).enumerate() {
        edges.push(Edge { at: k as u64 * SECOND / 100, onset, offset });
    }
    edges
}

/// The training chooses thresholds by events that it makes itself, in Python: `make_tracks.py` wrote these.
#[test]
fn events_of_frames_are_those_that_the_training_chose_thresholds_by() {
    let file: serde_json::Value = serde_json::from_str(include_str!("tracks.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    let floats = |values: &serde_json::Value| -> Vec<f32> {
        let values = values.as_array().unwrap_or(const { &Vec::new() });
        values.iter().map(|value| value.as_f64().unwrap() as f32).collect()
    };
    let layers = |kind: &str| {
        let pairs = file["placing"][kind].as_array().unwrap().iter();
        pairs
            .map(|pair| (pair[0].as_array().unwrap().iter().flat_map(floats).collect(), floats(&pair[1])))
            .collect()
    };
    let placing = Placing::new(SECOND / 100 * 8, layers("onset"), layers("offset")).map(Arc::new);
    assert!(placing.is_some() && cases.iter().filter(|case| case["placed"] == true).count() > 10);
    let heard = cases.iter().filter(|case| !case["strengths"].as_array().unwrap().is_empty()).count();
    assert!(cases.len() >= 50 && heard >= 10);
    for case in cases {
        let mut edges = edges(&floats(&case["strengths"][0]), &floats(&case["strengths"][1]));
        edges.place_by(case["placed"].as_bool().and(placing.clone()));
        let events = case["events_ms"].as_array().unwrap().iter();
        let expected: Vec<(char, u64)> =
            events.flat_map(|e| [('+', e[0].as_u64().unwrap()), ('-', e[1].as_u64().unwrap())]).collect();
        let told = times_of(0, &floats(&case["score"]), &floats(&case["raw"]), &edges);
        let told: Vec<(char, u64)> = told.into_iter().map(|(what, at)| (what, at / 1_000_000)).collect();
        assert_eq!(told, expected, "{case}");
    }
}

#[test]
fn an_event_lies_where_the_sound_itself_begins_and_ends_as_far_as_that_is_known() {
    let mut scores = vec![0.0; 12];
    scores.extend([0.3, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.3]);
    scores.extend([0.0; 12]);
    let at = |places: &[(usize, f32)]| {
        let mut strengths = vec![0.0; 8 * scores.len()];
        places.iter().for_each(|&(frame, strength)| strengths[frame] = strength);
        strengths
    };
    let ms = |told: Vec<(char, u64)>| told.iter().map(|(_, at)| at / 1_000_000).collect::<Vec<_>>();
    let (none, no_edges) = (at(&[]), Edges::default());
    assert_eq!(ms(times_of(0, &scores, &scores, &no_edges)), [1040, 1600]);
    for (onsets, offsets, expected) in [
        (&[(70, 1.0)][..], &[(180, 1.0)][..], [700, 1800]),
        // Of two the stronger, if it is not too far; of an edge that is hardly one, nothing is made.
        (&[(70, 1.0), (100, 0.4)], &[(170, 0.5), (180, 1.0)], [700, 1800]),
        (&[(53, 1.0), (100, 0.5)], &[(211, 1.0)], [1000, 1600]),
        (&[(70, 0.29)], &[(180, 0.29)], [1040, 1600]),
        // Known before the end of the frame that is sure; not before the sound was last surely heard.
        (&[(111, 1.0)], &[(152, 1.0)], [1110, 1520]),
        (&[(112, 1.0)], &[(151, 1.0)], [1040, 1600]),
    ] {
        let edges = edges(&at(onsets), &at(offsets));
        assert_eq!(ms(times_of(0, &scores, &scores, &edges)), expected, "{onsets:?} {offsets:?}");
    }
    // Each event has its own, and an edge does not make a sound last as long as `min_duration`.
    let twice = [scores.clone(), scores.clone()].concat();
    let (mut onsets, mut offsets) = ([none.clone(), none.clone()].concat(), [none.clone(), none].concat());
    (offsets[180], onsets[264 + 70]) = (1.0, 1.0);
    let known = edges(&onsets, &offsets);
    assert_eq!(ms(times_of(0, &twice, &twice, &known)), [1040, 1800, 3340, 4240]);
    assert_eq!(ms(times_of(640 * SECOND / 1000, &twice, &twice, &known)), [1040, 1800, 3340, 4240]);
    assert!(times_of(721 * SECOND / 1000, &twice, &twice, &known).is_empty());
    // Nor is one that begins at a later edge stretched to it: from 1110 ms on it lasts 570 ms.
    let later = edges(&at(&[(111, 1.0)]), &at(&[]));
    assert_eq!(ms(times_of(570 * SECOND / 1000, &scores, &scores, &later)), [1110, 1680]);
    assert!(times_of(571 * SECOND / 1000, &scores, &scores, &later).is_empty());
}

#[test]
fn an_event_of_frames_lies_between_the_steepest_steps() {
    let pause = [0.0; 12];
    let with_pauses = |sound: &[f32]| -> Vec<f32> { [&pause[..], sound, &pause[..]].concat() };
    for (sound, expected) in [
        // What a context smears before and behind is not the sound.
        (&[0.2, 0.3, 0.3, 0.9, 0.9, 0.9, 0.9, 0.3, 0.3, 0.2][..], [('+', 15), ('-', 19)]),
        // A sound that is surely heard late began where it rose.
        (&[0.6, 0.6, 0.6, 0.6, 0.7, 0.7, 0.9, 0.9, 0.6, 0.6, 0.6, 0.6], [('+', 12), ('-', 24)]),
        // One frame.
        (&[0.9], [('+', 12), ('-', 13)]),
        // The earlier of two steps of one height.
        (&[0.5, 0.5, 0.5, 1.0, 1.0, 1.0], [('+', 12), ('-', 18)]),
    ] {
        let scores = with_pauses(sound);
        assert_eq!(frames(&scores, &scores), expected, "{sound:?}");
    }
}

#[test]
fn steps_are_those_of_the_scores_before_smoothing() {
    let raw = [&[0.0; 12][..], &[1.0; 20], &[0.0; 20]].concat();
    let mut last = 0.0;
    let smooth = |score: &f32| {
        last += 0.3 * (score - last);
        last
    };
    let scores: Vec<f32> = raw.iter().map(smooth).collect();
    assert_eq!(frames(&scores, &raw), [('+', 12), ('-', 32)]);
}

#[test]
fn a_pause_within_the_hold_time_does_not_end_an_event_at_its_step() {
    let raw = [&[0.0; 6][..], &[0.9; 6], &[0.0; 4], &[0.9; 6], &[0.0; 12]].concat();
    assert_eq!(frames(&raw, &raw), [('+', 6), ('-', 22)]);
    // Also where it is never again as sure as before.
    let fainter = [&[0.0; 6][..], &[0.9; 6], &[0.0; 4], &[0.6; 40], &[0.0; 12]].concat();
    assert_eq!(frames(&fainter, &fainter), [('+', 6), ('-', 56)]);
    let longer = [&[0.0; 6][..], &[0.9; 6], &[0.0; 7], &[0.9; 6], &[0.0; 12]].concat();
    assert_eq!(frames(&longer, &longer), [('+', 6), ('-', 12), ('+', 19), ('-', 25)]);
}

#[test]
fn what_falls_before_it_is_announced_ends_there_or_at_the_minimum() {
    let raw = [&[0.0; 6][..], &[0.9; 4], &[0.2; 25], &[0.0; 12]].concat();
    assert_eq!(frames_of(0, &raw, &raw), [('+', 6), ('-', 10)]);
    // 560 ms are seven frames.
    assert_eq!(frames_of(SECOND * 14 / 25, &raw, &raw), [('+', 6), ('-', 13)]);
}
