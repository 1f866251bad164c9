//! Labels: where they come from, when they take effect, and what happens to a bad list.

mod common;

use common::{Bench, s};
use gst::prelude::*;
use listen_package::{Output, Package};

#[test]
fn without_labels_the_packages_own_are_listened_for() {
    let mut bench = Bench::new("ANY", &[]);
    bench.hear(&["dog barking"]);
    assert_eq!(bench.events(), ["start dog barking 0.0-2.0"]);
    assert_eq!(bench.element.property::<gst::Structure>("stats").get::<u64>("labels").unwrap(), 6);
}

#[test]
fn a_bad_list_is_an_error_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"[{"label": "low tone", "treshold": 0.5}]"#).unwrap();
    let path = file.path().to_str().unwrap();
    let unknown_key =
        format!("labels-file {path}: entry 1: unknown key \"treshold\"; near it: \"threshold\"");
    for (property, value, expected) in [
        ("labels", "low tone;;noise", "labels: label 2 is empty"),
        ("labels", "low tone;Low_Tone", "is label 1 again"),
        ("labels", "low tune", "low tone"),
        ("labels", "!", "labels: label 1 (\"!\") has no letter or digit"),
        ("labels-file", path, &unknown_key),
        ("labels-file", "/nowhere/labels.json", "/nowhere/labels.json"),
        ("labels-file", "/", "not a regular file"),
        ("background", "a;a", "background: label 2"),
        ("offset-threshold", "0.9", "offset-threshold 0.9 is above threshold 0.5"),
    ] {
        let mut bench = Bench::new("ANY", &[(property, value)]);
        let window = bench.window("low tone", s(0.0));
        assert_eq!(bench.h.push(window), Err(gst::FlowError::Error), "{property}={value}");
        let (kind, text) = bench.complaint().unwrap();
        assert_eq!(kind, gst::MessageType::Error);
        let found = bench.element.property::<gst::Structure>("stats");
        assert_eq!(found.get::<u64>("windows").unwrap(), 0);
        assert!(text.contains(expected), "{property}={value}: {text}");
    }
}

#[test]
fn a_bad_list_is_a_warning_while_playing_and_the_old_one_stays() {
    let mut bench = Bench::new("ANY", &[("labels", "low tone")]);
    bench.hear(&["low tone"]);
    for (property, value) in
        [("labels", "low tone;;"), ("labels-file", "/nowhere"), ("labels", "no such label")]
    {
        let before: Option<String> = bench.element.property(property);
        bench.element.set_property(property, value);
        let message = bench.wait_for(gst::MessageType::Warning);
        let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
        assert!(warning.error().to_string().contains("stay as they were"), "{warning:?}");
        bench.hear_while_setting("low tone", property, before.as_deref().unwrap_or_default());
        bench.messages("");
    }
    bench.hear(&["silence", "low tone"]);
    assert_eq!(bench.events().len(), 2);
}

#[test]
fn a_bad_threshold_is_a_warning_while_playing() {
    let mut bench = Bench::new("ANY", &[("labels", "low tone")]);
    bench.hear(&["low tone"]);
    bench.element.set_property("offset-threshold", 0.9);
    bench.hear(&["low tone", "low tone"]);
    let (kind, text) = bench.complaint().unwrap();
    assert_eq!(kind, gst::MessageType::Warning);
    assert!(text.contains("0.9 is above threshold 0.5"), "{text}");
    assert_eq!(bench.complaint(), None, "it is told once");
}

#[test]
fn a_label_that_is_removed_ends_and_one_that_stays_goes_on() {
    let mut bench = Bench::new("application/x-json", &[("labels", "low tone;high tone")]);
    bench.hear(&["low tone"]);
    bench.hear_while_setting("low tone", "labels", "noise;low tone");
    assert_eq!(bench.events(), ["start low tone 0.0-2.0"]);
    bench.hear_while_setting("low tone", "labels", "noise");
    let events = bench.events();
    assert!(events.len() == 1 && events[0].starts_with("end low tone 0.0-"), "{events:?}");
    let last = bench.json().pop().unwrap();
    assert_eq!(last["events"][0]["reason"], "label-removed");
}

#[test]
fn thresholds_follow_at_the_next_window() {
    let mut bench = Bench::new("ANY", &[("labels", "low tone;mid tone")]);
    bench.element.set_property("threshold", 1.0);
    bench.hear(&["low tone"]);
    assert_eq!(bench.events(), [""; 0]);
    bench.element.set_property("threshold", 0.5);
    bench.hear(&["low tone"]);
    // Announced only now, with the onset from which it was above the offset threshold.
    assert_eq!(bench.events(), ["start low tone 0.0-3.0"]);
}

#[test]
fn cosines_are_scores_where_they_are_asked_for() {
    let mut bench =
        Bench::new("application/x-json,format=audio-scores", &[("labels", "low tone"), ("score", "cosine")]);
    bench.hear(&["low tone"]);
    let line = bench.json().remove(0);
    assert_eq!(line["scores"][0]["score"], 1.0);
}

#[test]
fn both_lists_add_up() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"["low tone", {"label": "noise", "threshold": 0.9}]"#).unwrap();
    let path = file.path().to_str().unwrap();
    let mut bench = Bench::new("ANY", &[("labels", "high tone"), ("labels-file", path)]);
    bench.hear(&["low tone", "noise", "high tone"]);
    assert_eq!(bench.events().len(), 5);
}

#[test]
fn every_error_of_a_labels_file_names_the_file_and_what_was_expected_and_found() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for (json, expected) in [
        ("{", "not JSON: "),
        ("3", "expected a list of labels, found a number"),
        (r#"["low tone", 3]"#, "entry 2: expected a string or an object, found a number"),
        (r#"[{"label": "low tone", "threshold": 7}]"#, "entry 1: key \"threshold\": expected "),
        (r#"[{"name": {"en": "Low tone"}}]"#, "entry 1: key \"label\" is missing"),
        (r#"["low tone", "LOW_TONE"]"#, "label 2 (\"LOW_TONE\") is label 1 again"),
        (r#"["low tone", " "]"#, "label 2 is empty"),
        (r#"["..."]"#, "label 1 (\"...\") has no letter or digit"),
        ("[]", "no label is given"),
    ] {
        std::fs::write(file.path(), json).unwrap();
        let mut bench = Bench::new("ANY", &[("labels-file", path)]);
        let window = bench.window("low tone", s(0.0));
        assert_eq!(bench.h.push(window), Err(gst::FlowError::Error), "{json}");
        let (_, text) = bench.complaint().unwrap();
        assert!(text.contains(&format!("labels-file {path}: {expected}")), "{json}: {text}");
    }
    std::fs::write(file.path(), r#"["low tone"]"#).unwrap();
    let mut bench = Bench::new("ANY", &[("labels-file", path), ("labels", "noise;Low Tone")]);
    let window = bench.window("low tone", s(0.0));
    assert_eq!(bench.h.push(window), Err(gst::FlowError::Error));
    let (_, text) = bench.complaint().unwrap();
    let expected = format!("labels-file {path} and labels together: label 3 (\"Low Tone\") is label 1 again");
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn a_list_with_commas_is_one_label_and_a_warning_says_so() {
    let towers = Package::open(&common::folder("tiny-tokens"), false).unwrap();
    let low = common::embedding(&common::tiny_clip(), "low tone");
    for (property, list, expected) in [
        (
            "labels",
            "dog, low tone",
            Some(
                r#"labels="dog, low tone" is one label; several have ; between them: labels="dog;low tone""#,
            ),
        ),
        ("background", "dog,noise", Some(r#"background="dog,noise" is one label"#)),
        ("labels", "a dog, barking;low tone", None),
        ("labels", "low tone", None),
    ] {
        let mut bench =
            Bench::of(towers.clone(), Output::Clip, "ANY", &[("labels", "low tone"), ("prompt", "{}")]);
        bench.element.set_property(property, list);
        bench.h.push(common::buffer(&low, s(0.0), s(2.0))).unwrap();
        let complaint = bench.complaint();
        match (expected, &complaint) {
            (None, None) => {}
            (Some(expected), Some((gst::MessageType::Warning, text))) => {
                assert!(text.contains(expected), "{text}");
            }
            _ => panic!("{property}={list}: {complaint:?}"),
        }
    }
}

#[test]
fn hostile_labels_do_no_harm() {
    let long = "x".repeat(5_000);
    let many = (0..2_000).map(|i| i.to_string()).collect::<Vec<_>>().join(";");
    let strange = "low tone;\u{202e}evil\n{\"a\":1};%s%n;../../etc/passwd;$(reboot);\u{1F415}".to_owned();
    for list in [long, many, strange, "\\".into(), ";;;;".into(), "a\\nb".into(), "\u{feff}".into()] {
        let mut bench = Bench::new("ANY", &[]);
        bench.element.set_property("labels", &list);
        let window = bench.window("low tone", s(0.0));
        assert_eq!(bench.h.push(window), Err(gst::FlowError::Error));
        assert_eq!(bench.complaint().unwrap().0, gst::MessageType::Error);
    }
}

#[test]
fn a_space_that_is_not_open_is_named_and_found_by_model() {
    let package = Package::open(&common::folder("tiny-frames"), false).unwrap();
    let (caps, space) = (common::caps(&package, Output::Clip), package.space().to_owned());
    let low = common::embedding(&package, "low tone");
    drop(package);
    for (model, expected) in [
        (None, space.as_str()),
        (Some("tiny-clip"), "tiny-clip-"),
        (Some("nowhere"), "nowhere"),
        (Some("tiny-frames"), ""),
    ] {
        let mut bench = Bench::new("ANY", &[("labels", "low tone"), ("accept-license", "true")]);
        if let Some(model) = model {
            bench.element.set_property("model", common::folder(model).to_str().unwrap());
        }
        bench.h.set_src_caps(caps.to_caps());
        let window = common::buffer(&low, s(0.0), s(2.0));
        if expected.is_empty() {
            bench.h.push(window).unwrap();
            assert_eq!(bench.events(), ["start low tone 0.0-2.0"]);
            continue;
        }
        assert_eq!(bench.h.push(window), Err(gst::FlowError::Error), "{model:?}");
        let (_, text) = bench.complaint().unwrap();
        assert!(text.contains(expected), "{model:?}: {text}");
    }
}

#[test]
fn where_upstream_is_live_no_window_waits_for_the_labels() {
    gst::init().unwrap();
    // A harness is live by itself.
    let package = common::tiny_clip();
    let element: gst_listen_clapmatch::ClapMatch = gst::glib::Object::new();
    element.set_property("labels", "low tone");
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut h = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_src_caps(common::caps(&package, Output::Clip).to_caps());
    let low = common::embedding(&package, "low tone");
    let mut pushed = 0;
    let stats = |field: &str| element.property::<gst::Structure>("stats").get::<u64>(field).unwrap();
    while stats("windows") == 0 {
        h.push(common::buffer(&low, common::HOP * pushed, common::WINDOW)).unwrap();
        pushed += 1;
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(stats("windows") + stats("unscored"), pushed);
}

#[test]
fn tokens_are_refused_by_name_and_once() {
    let mut bench = Bench::of(common::tiny_clip(), Output::Tokens, "ANY", &[("labels", "low tone")]);
    // The CAPS come again with each buffer.
    for second in 0..3 {
        let window = bench.window("low tone", s(f64::from(second)));
        assert!(bench.h.push(window).is_err());
    }
    assert!(bench.complaint().unwrap().1.contains("output=tokens"));
    assert_eq!(bench.complaint(), None, "it is told once");
}

#[test]
fn a_taggers_labels_choose_among_its_classes() {
    let package = Package::open(&common::folder("tiny-tagger"), false).unwrap();
    for (labels, expected) in [("noise", 1), ("", 5)] {
        let mut bench = Bench::of(package.clone(), Output::Clip, "ANY", &[("labels", labels)]);
        let mut caps = common::caps(&package, Output::Clip);
        caps.kind = gst_listen_common::caps::EmbeddingKind::ClassScores;
        bench.h.set_src_caps(caps.to_caps());
        // Scores of silence, low, mid, high tone and noise. No activation is run on them again: a sigmoid of 0 is a half.
        bench.h.push(common::buffer(&[0.0, 0.1, 0.0, 0.0, 0.9], s(0.0), s(1.0))).unwrap();
        assert_eq!(bench.events(), ["start noise 0.0-1.0"]);
        let stats = bench.element.property::<gst::Structure>("stats");
        assert_eq!(stats.get::<u64>("labels").unwrap(), expected);
    }
}

#[test]
fn a_text_tower_embeds_any_words() {
    let package = Package::open(&common::folder("tiny-tokens"), false).unwrap();
    // The towers of the small packages agree on what the table of tiny-clip holds.
    let low = common::embedding(&common::tiny_clip(), "low tone");
    let mut bench =
        Bench::of(package, Output::Clip, "ANY", &[("labels", "low tone;dog bark"), ("prompt", "{}")]);
    bench.h.push(common::buffer(&low, s(0.0), s(2.0))).unwrap();
    assert_eq!(bench.events(), ["start low tone 0.0-2.0"]);
}

#[test]
fn who_is_downstream_may_ask_what_is_listened_for() {
    let asked = |bench: &Bench| {
        let sink = bench.element.static_pad("src").unwrap().peer().unwrap();
        let listened = gst_listen_common::labels::ask(&sink);
        listened.map(|listened| {
            listened.into_iter().map(|listened| (listened.label, listened.names)).collect::<Vec<_>>()
        })
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"[{"label": "low tone", "name": {"de": "tiefer Ton"}}]"#).unwrap();
    let path = file.path().to_str().unwrap();
    let mut bench = Bench::new("ANY", &[("labels", "noise"), ("labels-file", path)]);
    assert_eq!(asked(&bench), None, "before there are labels nobody knows");
    bench.hear(&["low tone"]);
    let names = [("de".to_owned(), "tiefer Ton".to_owned())].into();
    assert_eq!(asked(&bench), Some(vec![("low tone".into(), names), ("noise".into(), Default::default())]));
    // Other queries go their way.
    assert!(bench.element.static_pad("src").unwrap().query_caps(None).is_subset(&gst::Caps::new_any()));
}
