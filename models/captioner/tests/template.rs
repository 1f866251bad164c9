//! Sentences and answers without any model, judged by the cases in `cases/`.

mod common;

use std::collections::BTreeMap;

use common::{Heard, cases, heard, ns, sound};
use listen_captioner::{
    Backend, Cancel, CaptionError, Captioner, Evidence, Finish, Limits, Reply, Request, Scene, Template,
};
use serde::Deserialize;

fn reply(language: &str, request: &Request) -> Reply {
    Template::or_english(language).reply(request, &Cancel::new(), &mut |_| {}).unwrap()
}

fn caption(language: &str, scene: Scene) -> String {
    reply(language, &Request::caption(scene)).text
}

#[derive(Deserialize)]
struct Case {
    about: String,
    #[serde(default)]
    start: f64,
    end: f64,
    events: Vec<Heard>,
    en: String,
    de: String,
}

#[test]
fn sentences_tell_order_overlap_repetition_duration_and_how_sure() {
    let mut wrong = Vec::new();
    for case in cases::<Vec<Case>>("captions.json") {
        let evidence = heard(&case.events, case.end);
        let scene = evidence.between(ns(case.start), ns(case.end));
        for (language, expected) in [("en", &case.en), ("de", &case.de)] {
            let found = caption(language, scene.clone());
            if found != *expected {
                wrong.push(format!("{}: {found:?}\n    instead of {expected:?}", case.about));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn any_label_makes_a_grammatical_sentence() {
    let mut wrong = Vec::new();
    for (label, expected) in cases::<BTreeMap<String, String>>("labels.en.json") {
        let mut evidence = Evidence::new(Limits::default());
        evidence.hear(sound(1, &label, 2.0, Some(3.0), 0.9));
        let found = caption("en", evidence.between(0, ns(10.0)));
        let expected = format!("You can hear {expected}.");
        if found != expected {
            wrong.push(format!("{label:?}: {found:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[derive(Deserialize)]
struct Dialogue {
    heard: Past,
    questions: BTreeMap<String, Vec<(String, String)>>,
}

#[derive(Deserialize)]
struct Past {
    now: f64,
    events: Vec<Heard>,
}

#[test]
fn the_commonest_questions_are_answered_by_counting() {
    let Dialogue { heard: past, questions } = cases("questions.json");
    let evidence = heard(&past.events, past.now);
    let mut wrong = Vec::new();
    for (language, questions) in &questions {
        for (question, expected) in questions {
            let request = Request::answer(evidence.recent(ns(3600.0)), question.clone());
            let found = reply(language, &request).text;
            if found != *expected {
                wrong.push(format!("{question}\n    {found}\n    instead of\n    {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn now_is_the_scene_s_and_not_the_clock_s() {
    let evidence = heard(
        &[Heard { label: "siren".into(), onset: 5.0, offset: Some(6.0), score: 0.9, names: BTreeMap::new() }],
        100.0,
    );
    let asked = |now: f64| {
        let request = Request::answer(evidence.between(0, ns(now)), "when was the siren?");
        reply("en", &request).text
    };
    assert!(asked(50.0).contains("45 seconds ago, at 0:00:05"), "{}", asked(50.0));
    assert!(asked(100.0).contains("95 seconds ago"), "{}", asked(100.0));
}

#[test]
fn the_same_scene_gives_the_same_sentence_and_a_language_without_a_catalogue_gives_english() {
    let evidence = heard(
        &["b", "a", "c"].map(|label| Heard {
            label: label.into(),
            onset: 2.0,
            offset: Some(3.0),
            score: 0.9,
            names: BTreeMap::new(),
        }),
        10.0,
    );
    let request = Request::caption(evidence.recent(ns(10.0)));
    let first = reply("en", &request);
    assert_eq!(first.by, Backend::Template);
    assert_eq!(first.finish, Finish::Stop);
    for _ in 0..20 {
        assert_eq!(reply("tlh", &request), first);
    }
}

#[test]
fn a_request_that_was_given_up_gets_no_answer() {
    let cancel = Cancel::new();
    cancel.cancel();
    let request = Request::caption(Scene::default());
    let error = Template::or_english("en").reply(&request, &cancel, &mut |_| {}).unwrap_err();
    assert!(matches!(error, CaptionError::Cancelled));
}
