//! What the labels of a list do to each other, and what happens when the list changes.

mod common;

use common::{SECOND, detector, embedding, from_file, matcher, of_list, push, span, told};
use listen_zeroshot::{Change, EndReason, LabelList, Settings, SettingsError, Smoothing};

fn labels(text: &str) -> LabelList {
    LabelList::parse(text).unwrap()
}

#[test]
fn labels_are_followed_side_by_side() {
    let mut detector = detector("dog;siren", Settings::default());
    let changes = push(&mut detector, 0, &[&[0.9, 0.1], &[0.9, 0.9], &[0.1, 0.9], &[0.1, 0.1]]);
    assert_eq!(told(&changes), ["+dog 0", "+siren 1", "-dog 2", "-siren 3"]);
}

#[test]
fn of_a_group_only_the_label_with_the_highest_score_is_active() {
    let file = r#"[{"label": "man", "group": "voice"}, "dog", {"label": "woman", "group": "voice"}]"#;
    for (rows, expected) in [
        // Both are heard, the better one counts.
        (&[&[0.6, 0.9, 0.8][..], &[0.6, 0.9, 0.8]][..], &["+dog 0", "+woman 0"][..]),
        // The better one changes: the first ends before the second starts.
        (&[&[0.8, 0.1, 0.6], &[0.6, 0.1, 0.8], &[0.1, 0.1, 0.8]], &["+man 0", "-man 1", "+woman 1"]),
        (&[&[0.6, 0.1, 0.8], &[0.8, 0.1, 0.6]], &["+woman 0", "-woman 1", "+man 1"]),
        // One that is below its threshold takes the group from nobody.
        (&[&[0.6, 0.1, 0.1], &[0.4, 0.1, 0.45]], &["+man 0"]),
        // Equal: the first of the list.
        (&[&[0.7, 0.1, 0.7]], &["+man 0"]),
    ] {
        let mut detector = from_file(file, Settings::default());
        assert_eq!(told(&push(&mut detector, 0, rows)), expected, "{rows:?}");
    }
}

#[test]
fn who_loses_its_group_ends_as_if_it_were_not_heard_any_more() {
    let file = r#"[{"label": "man", "group": "voice"}, {"label": "woman", "group": "voice"}]"#;
    for turn in [["man", "woman"], ["woman", "man"]] {
        let mut detector = from_file(file, Settings::default());
        let mut changes = Vec::new();
        for k in 0..4 {
            let first = if (k < 2) == (turn[0] == "man") { [0.9, 0.8] } else { [0.8, 0.9] };
            let window = span(k, 2 * SECOND, SECOND / 2);
            detector.push(window, -1, None, &embedding(&first), &mut changes).unwrap();
        }
        let expected = [format!("+{} 1.5", turn[0]), format!("-{} 2", turn[0]), format!("+{} 2.5", turn[1])];
        assert_eq!(told(&changes), expected);
        assert!(matches!(changes[1], Change::End(_, EndReason::Group)));
    }
}

#[test]
fn a_label_that_holds_gives_its_group_up_when_another_one_starts() {
    let file = r#"[{"label": "man", "group": "voice"}, {"label": "woman", "group": "voice"}]"#;
    let mut detector = from_file(file, Settings { hold_time: 10 * SECOND, ..Settings::default() });
    let rows: [&[f32]; 4] = [&[0.9, 0.1], &[0.1, 0.1], &[0.1, 0.9], &[0.9, 0.95]];
    let changes = push(&mut detector, 0, &rows);
    assert_eq!(told(&changes), ["+man 0", "-man 1", "+woman 2"]);
    assert!(matches!(changes[1], Change::End(_, EndReason::Group)));
}

#[test]
fn only_the_best_labels_of_a_window_begin_and_those_that_began_go_on() {
    let mut detector = detector("a;b;c", Settings { top_k: Some(1), ..Settings::default() });
    let rows: [&[f32]; 3] = [&[0.8, 0.9, 0.7], &[0.9, 0.6, 0.8], &[0.6, 0.1, 0.9]];
    assert_eq!(told(&push(&mut detector, 0, &rows)), ["+b 0", "+a 1", "-b 2", "+c 2"]);
    assert_eq!(detector.scores().map(|score| score.index).collect::<Vec<_>>(), [2]);
}

#[test]
fn scores_come_highest_first() {
    let mut detector = detector("a;b;c", Settings::default());
    assert_eq!(detector.scores().len(), 0, "no window was pushed yet");
    push(&mut detector, 0, &[&[0.2, 0.9, 0.2]]);
    let scores: Vec<_> = detector.scores().map(|score| (score.index, score.score, score.cosine)).collect();
    assert_eq!(scores, [(1, 0.9, None), (0, 0.2, None), (2, 0.2, None)]);
}

#[test]
fn silence_ends_an_event_where_no_window_is_encoded() {
    let mut detector = detector("dog", Settings { hold_time: 2 * SECOND, ..Settings::default() });
    let mut changes = push(&mut detector, 0, &[&[0.9]]);
    for k in 1..4 {
        detector.push_silence(span(k, SECOND, SECOND), -1, Some(-90.0), &mut changes);
    }
    assert_eq!(told(&changes), ["+dog 0", "-dog 1"]);
}

#[test]
fn channels_are_followed_apart() {
    let mut detector = detector("dog", Settings::default());
    let mut changes = Vec::new();
    for (k, channel, score) in [(0, 0, 0.9), (0, 1, 0.1), (1, 0, 0.1), (1, 1, 0.9)] {
        detector.push(span(k, SECOND, SECOND), channel, None, &embedding(&[score]), &mut changes).unwrap();
    }
    detector.end_all(2 * SECOND, EndReason::Eos, &mut changes);
    let seen: Vec<_> = changes.iter().map(|change| (change.kind(), change.event().channel)).collect();
    assert_eq!(seen, [("start", 0), ("end", 0), ("start", 1), ("end", 1)]);
}

#[test]
fn at_the_end_of_the_stream_every_event_ends_and_the_past_is_forgotten() {
    for reason in [EndReason::Eos, EndReason::Flush, EndReason::Gap, EndReason::Stop] {
        let settings =
            Settings { smoothing: Some(Smoothing::Mean { over: 10 * SECOND }), ..Settings::default() };
        let mut detector = detector("dog;siren", settings);
        let mut changes = push(&mut detector, 100, &[&[0.9, 0.9], &[0.9, 0.9]]);
        detector.end_all(102 * SECOND, reason, &mut changes);
        assert_eq!(told(&changes)[2..], ["-dog 102", "-siren 102"]);
        assert!(matches!(changes[3], Change::End(_, why) if why == reason));
        // Time begins anew, and the smoothed score does not remember.
        assert_eq!(told(&push(&mut detector, 0, &[&[0.1, 0.9]])), ["+siren 0"]);
    }
}

#[test]
fn a_new_list_ends_the_events_of_removed_labels_and_keeps_the_others() {
    let mut detector = detector("dog;siren;glass", Settings::default());
    let changes = push(&mut detector, 0, &[&[0.9, 0.9, 0.1]]);
    let siren = changes[1].event().id;
    let list = labels("rain;siren");
    let changes = detector.replace(matcher(&list), Settings::default()).unwrap();
    assert_eq!(told(&changes), ["-dog 1"]);
    assert!(matches!(changes[0], Change::End(_, EndReason::LabelRemoved)));
    let changes = push(&mut detector, 1, &[&[0.9, 0.9], &[0.1, 0.1]]);
    assert_eq!(told(&changes), ["+rain 1", "-rain 2", "-siren 2"]);
    let event = changes[2].event();
    assert_eq!((event.id, event.index, event.onset), (siren, 1, 0), "another event, or another place");
}

#[test]
fn other_thresholds_leave_an_event_as_it_is_until_a_score_breaks_them() {
    let mut detector = detector("dog", Settings::default());
    push(&mut detector, 0, &[&[0.6]]);
    let strict = Settings { threshold: Some(0.9), offset_threshold: Some(0.8), ..Settings::default() };
    assert_eq!(detector.replace(matcher(&labels("dog")), strict.clone()).unwrap(), []);
    assert_eq!(detector.active().count(), 1);
    assert_eq!(told(&push(&mut detector, 1, &[&[0.85], &[0.7]])), ["-dog 2"]);
    detector.configure(Settings::default()).unwrap();
    assert_eq!(told(&push(&mut detector, 3, &[&[0.6]])), ["+dog 3"]);
}

#[test]
fn settings_that_do_not_fit_change_nothing() {
    let mut detector = detector("dog", Settings::default());
    push(&mut detector, 0, &[&[0.9]]);
    let day = 86_400 * SECOND;
    for (settings, message) in [
        (Settings { threshold: Some(2.0), ..Settings::default() }, "threshold 2 is outside of 0..1"),
        (Settings { top_k: Some(0), ..Settings::default() }, "top-k 0 lets no label begin"),
        (Settings { hold_time: day + 1, ..Settings::default() }, "hold-time 86400000000001 ns is longer"),
        (Settings { min_duration: u64::MAX, ..Settings::default() }, "min-duration 18446744073709551615 ns"),
        (
            Settings { smoothing: Some(Smoothing::Ema { tau: day }), ..Settings::default() },
            "smoothing over 86400000000000 ns is longer than 60000000000 ns",
        ),
    ] {
        let error: SettingsError = detector.replace(matcher(&labels("rain")), settings.clone()).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(detector.configure(settings).is_err());
        assert_eq!(detector.matcher().labels(), &labels("dog"));
    }
    assert_eq!(told(&push(&mut detector, 1, &[&[0.9], &[0.1]])), ["-dog 2"]);
}

#[test]
fn an_embedding_of_another_length_is_an_error_that_names_both_and_changes_nothing() {
    let mut detector = detector("dog;siren", Settings::default());
    push(&mut detector, 0, &[&[0.9, 0.1]]);
    let mut changes = Vec::new();
    let error = detector.push(span(1, SECOND, SECOND), -1, None, &[0.0; 3], &mut changes).unwrap_err();
    assert_eq!(error.to_string(), "an embedding of 3 values came, the labels were embedded with 8");
    assert_eq!((changes, detector.counts().windows), (vec![], 1));
}

#[test]
fn smoothing_bridges_a_window_that_misses_the_sound() {
    let rows: [&[f32]; 6] = [&[0.9], &[0.9], &[0.1], &[0.9], &[0.1], &[0.1]];
    let smooth = |smoothing| {
        let settings =
            Settings { smoothing: Some(smoothing), offset_threshold: Some(0.4), ..Settings::default() };
        let mut detector = detector("dog", settings);
        told(&push(&mut detector, 0, &rows))
    };
    assert_eq!(smooth(Smoothing::None), ["+dog 0", "-dog 2", "+dog 3", "-dog 4"]);
    assert_eq!(smooth(Smoothing::Mean { over: 3 * SECOND }), ["+dog 0", "-dog 4"]);
    assert_eq!(smooth(Smoothing::Ema { tau: 2 * SECOND }), ["+dog 0", "-dog 5"]);
}

#[test]
fn an_event_begins_where_its_score_rose_above_the_offset_threshold() {
    let settings = Settings { threshold: Some(0.9), offset_threshold: Some(0.4), ..Settings::default() };
    let rows: [&[f32]; 8] = [&[0.5], &[0.1], &[0.5], &[0.6], &[0.95], &[0.5], &[0.1], &[0.5]];
    assert_eq!(told(&push(&mut detector("dog", settings), 0, &rows)), ["+dog 2", "-dog 6"]);
}

#[test]
fn a_label_has_its_own_rule() {
    let file =
        r#"[{"label": "dog", "threshold": 0.9, "hold_time": 1.5}, {"label": "rain", "min_duration": 2}]"#;
    let list = LabelList::from_json(file).unwrap();
    let mut detector = of_list(&list, Settings::default());
    let rows: [&[f32]; 6] = [&[0.8, 0.8], &[0.95, 0.1], &[0.1, 0.8], &[0.1, 0.8], &[0.1, 0.8], &[0.1, 0.1]];
    assert_eq!(told(&push(&mut detector, 0, &rows)), ["+dog 0", "-dog 2", "+rain 2", "-rain 5"]);
}
