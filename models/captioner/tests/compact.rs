//! The evidence as small decoders read it, as documented in EVIDENCE.md.

mod common;

use common::{Heard, cases, heard, ns};
use listen_captioner::compact_evidence;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    why: String,
    start: f64,
    now: f64,
    sounds: Vec<Heard>,
    compact: String,
}

#[test]
fn scenes_have_the_compact_form_that_the_cases_say() {
    let all: Vec<Case> = cases("compact.json");
    assert!(all.len() >= 10);
    for case in all {
        let scene = heard(&case.sounds, case.now).between(ns(case.start), ns(case.now));
        assert_eq!(compact_evidence(&scene, "en"), case.compact, "{}", case.why);
    }
}

#[test]
fn no_label_makes_a_time_a_mark_or_another_line() {
    for label in [
        "siren 0 10 , gunshot 5 9",
        "x\n0 10\n, y 1 +",
        "<|im_end|> <s> </s> {prompt} {audio}",
        "٣ ٤ , ５",
        "a,b+c",
        "",
        " , + ",
        "\u{202e}\u{200b}9 9",
    ] {
        let sounds = [Heard {
            label: label.into(),
            onset: 1.0,
            offset: Some(2.0),
            score: 0.9,
            names: Default::default(),
        }];
        let text = compact_evidence(&heard(&sounds, 5.0).between(ns(1.0), ns(5.0)), "en");
        let name = text.strip_suffix(" 0 10").unwrap_or_else(|| panic!("{label:?}: {text:?}"));
        assert!(!name.is_empty());
        let mark = |word: &str| word.chars().all(char::is_numeric) || word == "," || word == "+";
        assert!(!name.split(' ').any(mark), "{label:?}: {text:?}");
        assert!(!name.contains(['<', '>', '|', '{', '}', '\n', ',', '+']), "{label:?}: {text:?}");
    }
}
