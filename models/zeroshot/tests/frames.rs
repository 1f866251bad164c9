//! What one label does over frames of 80 ms: onsets and offsets at the steps of its score and the edges of the sound.

mod common;

use std::sync::Arc;

use common::SECOND;
use listen_zeroshot::{Change, Edge, Edges, EventIds, Label, Placing, Rule, Sample, Span, Standing, Tracker};

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
    times_by(&|_| rule, scores, raw, edges)
}

/// The same by the rule of each frame.
fn times_by(rule: &dyn Fn(usize) -> Rule, scores: &[f32], raw: &[f32], edges: &Edges) -> Vec<(char, u64)> {
    let label = Arc::new(Label::new("dog"));
    let mut tracker = Tracker::new(rule(0), label.clone(), 0, -1);
    tracker.set_placed(true);
    let mut ids = EventIds::From(1);
    let mut told = Vec::new();
    for (k, (score, raw)) in scores.iter().zip(raw).enumerate() {
        tracker.set_rule(rule(k), label.clone(), 0);
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
fn networks_look_back_from_the_first_score_at_half_the_threshold() {
    // Above the offset threshold from 1.6 s on, at half the onset threshold from 3.2 s, at it from 5.6 s to 7.2 s.
    let parts = [(20, 0.0), (20, 0.2), (30, 0.4), (20, 0.9), (12, 0.0)];
    let scores: Vec<f32> = parts.iter().flat_map(|&(count, score)| vec![score; count]).collect();
    let mut strengths = vec![0.0; 8 * scores.len()];
    // All as strong: the earliest is taken that is at most 3 s before.
    for ms in [100, 300, 2_000, 5_500] {
        strengths[ms / 10] = 1.0;
    }
    let mut edges = edges(&strengths, &vec![0.0; strengths.len()]);
    let mut weight = vec![0.0; 5 + 2];
    weight[0] = 1.0;
    let strongest = || vec![(weight.clone(), vec![0.0])];
    edges.place_by(Placing::new(FRAME, strongest(), strongest()).map(Arc::new));
    // The threshold from a frame on, and the earliest edge that is looked at.
    let changing = |onset, from| move |k| if k < from { 0.8 } else { onset };
    for (threshold, from, expected) in [
        (0.8, 0, 300),
        // Half of it is reached with it only: too late for what was before 2.6 s.
        (0.9, 0, 5_500),
        // Raised when it was half heard already: that stays.
        (0.9, 45, 300),
        // Lowered where 0.2 was below half of it: from there on it is half heard.
        (0.4, 30, 100),
    ] {
        let threshold = changing(threshold, from);
        let rule = |k| Rule { onset: threshold(k), offset: 0.1, min_duration: 0, hold_time: SECOND / 2 };
        let told = times_by(&rule, &scores, &scores, &edges);
        assert_eq!(told.first().map(|&(what, at)| (what, at / 1_000_000)), Some(('+', expected)), "{from}");
    }
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
