//! Onsets and offsets that networks choose, through a whole detector: scores every 80 ms, edges of the sound every 10 ms.

mod common;

use std::sync::Arc;

use common::SECOND;
use listen_package::Clap;
use listen_zeroshot::{
    Change, Detector, Edge, EndReason, LabelList, Layers, MatchOptions, Matcher, Placing, ScoreKind,
    Settings, Smoothing, Span, Table, TextSpace,
};

const FRAME: u64 = SECOND * 8 / 100;
const MS: u64 = SECOND / 1000;

/// A network of one layer that takes the moment whose strength is highest.
fn strongest() -> Layers {
    let mut weight = vec![0.0; 5 + 8];
    weight[0] = 1.0;
    vec![(weight, vec![0.0])]
}

fn matcher(labels: &str, score: ScoreKind, placing: bool) -> Matcher {
    let names = ["dog", "siren", "noise"].map(str::to_owned).to_vec();
    let rows = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let mut table = Table::new("t", names, 3, (vec![3, 3], rows)).unwrap();
    let clap = Clap {
        dim: 3,
        logit_scale: None,
        logit_bias: None,
        prompt_templates: vec!["{}".into()],
        background_prompts: vec!["noise".into()],
        calibration: None,
        placing: None,
        default_threshold: 0.6,
        default_offset_threshold: 0.3,
        default_smoothing: None,
    };
    let placing = placing.then(|| Placing::new(FRAME, strongest(), strongest()).map(Arc::new)).flatten();
    let space = TextSpace { clap, background: None, placing };
    let options = MatchOptions { score, ..MatchOptions::default() };
    Matcher::new(&mut table, &space, LabelList::parse(labels).unwrap(), &options).unwrap()
}

fn settings(hold_time: u64) -> Settings {
    Settings {
        hold_time,
        min_duration: 0,
        threshold: Some(0.6),
        offset_threshold: Some(0.3),
        smoothing: Some(Smoothing::None),
        ..Settings::default()
    }
}

/// Pushes frames `from..until` of a stream that begins at `start`: a dog is heard in `heard`, the sound begins and ends at the
/// given milliseconds.
fn push(
    detector: &mut Detector,
    start: u64,
    frames: std::ops::Range<u64>,
    heard: std::ops::Range<u64>,
    [begins, ends]: [&[u64]; 2],
) -> Vec<Change> {
    let mut changes = Vec::new();
    for k in frames {
        let edges = (8 * k..8 * k + 8).map(|frame| {
            let strength = |at: &[u64]| if at.contains(&(10 * frame)) { 1.0 } else { 0.05 };
            Edge { at: start + frame * 10 * MS, onset: strength(begins), offset: strength(ends) }
        });
        detector.push_edges(-1, edges);
        let span = Span::new(start + k * FRAME, start + (k + 1) * FRAME, FRAME);
        let embedding = if heard.contains(&k) { [1.0, 0.0, 0.0] } else { [0.0, 0.0, 1.0] };
        detector.push(span, -1, None, &embedding, &mut changes).unwrap();
    }
    changes
}

/// Onsets and offsets in milliseconds of the stream.
fn times(changes: &[Change], start: u64) -> Vec<u64> {
    let ended = changes.iter().filter(|change| matches!(change, Change::End(..))).map(Change::event);
    ended.flat_map(|event| [event.onset, event.offset.unwrap()]).map(|at| (at - start) / MS).collect()
}

fn detector(score: ScoreKind, placing: bool, hold_time: u64) -> Detector {
    Detector::new(matcher("dog", score, placing), settings(hold_time)).unwrap()
}

/// Listens for one label after the other.
fn listen_for(detector: &mut Detector, labels: &[&str]) -> Vec<Change> {
    let one = |label: &&str| {
        detector.replace(matcher(label, ScoreKind::Calibrated, true), settings(SECOND / 2)).unwrap()
    };
    labels.iter().flat_map(one).collect()
}

#[test]
fn moments_long_before_the_score_rises_and_after_it_was_sure_are_taken() {
    for start in [0, 1_764_533_000 * SECOND + 3] {
        let mut placed = detector(ScoreKind::Calibrated, true, SECOND / 2);
        let changes = push(&mut placed, start, 0..200, 50..100, [&[2_500], &[7_000]]);
        assert_eq!(times(&changes, start), [2_500, 7_000]);
    }
    // Without networks, and by scores that they do not know, only what is within half a second is.
    for (score, placing) in [(ScoreKind::Calibrated, false), (ScoreKind::Cosine, true)] {
        let mut detector = detector(score, placing, SECOND / 2);
        let changes = push(&mut detector, 0, 0..200, 50..100, [&[2_500], &[7_000]]);
        assert_eq!(times(&changes, 0), [4_000, 8_000], "{score:?}");
    }
}

#[test]
fn an_offset_does_not_depend_on_how_long_a_pause_may_be() {
    for hold in [SECOND / 2, 3 * SECOND, 10 * SECOND, 60 * SECOND] {
        let mut placed = detector(ScoreKind::Calibrated, true, hold);
        // What comes later is stronger; it is not asked.
        let changes = push(&mut placed, 0, 0..1_000, 50..100, [&[3_900], &[7_900, 8_700, 9_500]]);
        assert_eq!(times(&changes, 0), [3_900, 7_900], "{hold}");
    }
}

#[test]
fn a_pause_that_is_over_leaves_nothing_behind() {
    let mut placed = detector(ScoreKind::Calibrated, true, 3 * SECOND);
    let mut changes = push(&mut placed, 0, 0..120, 50..100, [&[3_900], &[7_900]]);
    changes.extend(push(&mut placed, 0, 120..300, 120..150, [&[9_600], &[12_100]]));
    assert_eq!(times(&changes, 0), [3_900, 12_100]);
}

#[test]
fn a_sound_that_is_there_from_the_first_frame_begins_with_it() {
    let mut placed = detector(ScoreKind::Calibrated, true, SECOND / 2);
    let changes = push(&mut placed, 0, 0..200, 0..100, [&[50], &[7_900]]);
    assert_eq!(times(&changes, 0), [0, 7_900]);
}

#[test]
fn a_label_that_is_listened_for_again_begins_anew() {
    let mut placed = detector(ScoreKind::Calibrated, true, SECOND / 2);
    let mut changes = push(&mut placed, 0, 0..60, 50..100, [&[3_000], &[]]);
    changes.extend(listen_for(&mut placed, &["siren", "dog"]));
    changes.extend(push(&mut placed, 0, 60..200, 50..100, [&[], &[7_900]]));
    // The first ends where its label was removed, the second does not begin before.
    assert_eq!(times(&changes, 0), [3_000, 4_800, 4_800, 7_900]);
}

#[test]
fn an_event_in_a_pause_ends_where_it_was_placed_also_when_scores_mean_something_else() {
    let mut placed = detector(ScoreKind::Calibrated, true, 3 * SECOND);
    let mut changes = push(&mut placed, 0, 0..110, 50..100, [&[3_900], &[7_600]]);
    let other = matcher("dog", ScoreKind::Cosine, true);
    changes.extend(placed.replace(other, settings(3 * SECOND)).unwrap());
    assert_eq!(times(&changes, 0), [3_900, 7_600]);
}

#[test]
fn after_a_jump_back_another_label_begins_where_it_is_heard() {
    let mut placed = detector(ScoreKind::Calibrated, true, SECOND / 2);
    let mut changes = push(&mut placed, 0, 0..1_000, 0..0, [&[], &[]]);
    placed.end_all(80 * SECOND, EndReason::Flush, &mut changes);
    changes
        .extend(placed.replace(matcher("siren", ScoreKind::Calibrated, true), settings(SECOND / 2)).unwrap());
    changes
        .extend(placed.replace(matcher("dog", ScoreKind::Calibrated, true), settings(SECOND / 2)).unwrap());
    changes.extend(push(&mut placed, 0, 0..200, 50..100, [&[2_500], &[7_000]]));
    assert_eq!(times(&changes, 0), [2_500, 7_000]);
}

#[test]
fn a_sound_that_goes_on_when_its_label_joins_begins_there() {
    let mut placed =
        Detector::new(matcher("siren", ScoreKind::Calibrated, true), settings(SECOND / 2)).unwrap();
    let mut changes = push(&mut placed, 0, 0..60, 50..100, [&[3_000], &[]]);
    changes
        .extend(placed.replace(matcher("dog", ScoreKind::Calibrated, true), settings(SECOND / 2)).unwrap());
    changes.extend(push(&mut placed, 0, 60..200, 50..100, [&[4_850], &[7_900]]));
    assert_eq!(times(&changes, 0), [4_800, 7_900]);
}

#[test]
fn rounded_times_change_nothing() {
    // Times are a nanosecond early or late.
    let mut placed = detector(ScoreKind::Calibrated, true, 3 * SECOND);
    let mut changes = Vec::new();
    for k in 0..300u64 {
        let at = |frame: u64| frame * FRAME - (frame % 3 == 1) as u64 + (frame % 3 == 2) as u64;
        let edges = (8 * k..8 * k + 8).map(|frame| Edge {
            at: frame * 10 * MS,
            onset: if frame == 250 { 1.0 } else { 0.05 },
            offset: if frame == 700 || frame == 858 { 1.0 + frame as f32 } else { 0.05 },
        });
        placed.push_edges(-1, edges);
        let embedding = if (50..100).contains(&k) { [1.0, 0.0, 0.0] } else { [0.0, 0.0, 1.0] };
        let span = Span::new(at(k), at(k + 1), at(k + 1) - at(k));
        placed.push(span, -1, None, &embedding, &mut changes).unwrap();
    }
    // 8.58 s is more than 0.56 s after the score fell, at 8 s.
    assert_eq!(times(&changes, 0), [2_500, 7_000]);
}
