//! Scenes out of the cases.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::path::Path;

use listen_captioner::{Evidence, Limits, Sound};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A sound of a case; times in seconds.
#[derive(Debug, Deserialize)]
pub struct Heard {
    pub label: String,
    pub onset: f64,
    pub offset: Option<f64>,
    pub score: f32,
    #[serde(default)]
    pub names: BTreeMap<String, String>,
}

pub fn cases<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

pub fn ns(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

pub fn sound(id: u64, label: &str, onset: f64, offset: Option<f64>, score: f32) -> Sound {
    Sound {
        id,
        label: label.to_owned(),
        score,
        peak: score,
        channel: -1,
        onset: ns(onset),
        offset: offset.map(ns),
        at: ns(offset.unwrap_or(onset + 1.0)),
        ..Sound::default()
    }
}

/// A store that heard this, and is at `now` seconds; hearing began at 0.
pub fn heard(sounds: &[Heard], now: f64) -> Evidence {
    let mut evidence = Evidence::new(Limits::default());
    evidence.begin(0);
    for (id, heard) in sounds.iter().enumerate() {
        let mut sound = sound(id as u64, &heard.label, heard.onset, heard.offset, heard.score);
        sound.names = heard.names.clone();
        if heard.offset.is_none() {
            sound.at = ns(now);
        }
        evidence.hear(sound);
    }
    evidence.advance(ns(now));
    evidence
}
