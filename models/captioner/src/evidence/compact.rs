//! The evidence as labels and times alone, as small decoders are trained on it. `models/captioner/EVIDENCE.md` describes
//! it, and `tests/cases/compact.json` has examples for whoever writes it in another language.

use std::sync::Arc;

use super::heard::heard;
use super::{Scene, Sound, block};

/// Most kinds of sound that are told: those that scored highest.
const MOST_KINDS: usize = 8;
/// Most times of one kind: the first.
const MOST_TIMES: usize = 8;
/// Longest name in characters, whole words.
const MOST_NAME: usize = 40;
/// The latest moment that is told, in tenths of a second.
const LATEST: u64 = 999;

/// One kind of sound.
struct Kind<'a> {
    name: String,
    peak: f32,
    sounds: Vec<&'a Arc<Sound>>,
}

/// What was heard: `dog barking 0 8 15 21 , rain 5 +`. Nothing for a scene without events.
pub(crate) fn evidence(scene: &Scene, language: &str) -> String {
    let mut kinds: Vec<Kind<'_>> = Vec::new();
    for sound in &scene.sounds {
        let name = name(&block::name(sound, language));
        let peak = if sound.peak.is_finite() { sound.peak } else { 0.0 };
        match kinds.iter_mut().find(|kind| kind.name == name) {
            Some(kind) => {
                kind.sounds.push(sound);
                kind.peak = kind.peak.max(peak);
            }
            None => kinds.push(Kind { name, peak, sounds: vec![sound] }),
        }
    }
    while kinds.len() > MOST_KINDS {
        // Of equals the later one goes.
        let weakest =
            kinds.iter().enumerate().min_by(|(i, a), (j, b)| a.peak.total_cmp(&b.peak).then(j.cmp(i)));
        let Some((weakest, _)) = weakest else { break };
        kinds.remove(weakest);
    }
    for kind in &mut kinds {
        kind.sounds.sort_by_key(|sound| (sound.onset, sound.id));
    }
    kinds.sort_by_key(|kind| kind.sounds.first().map(|sound| (sound.onset, sound.id)));
    kinds.iter().map(|kind| told(kind, scene)).collect::<Vec<_>>().join(" , ")
}

/// A name and its times.
fn told(kind: &Kind<'_>, scene: &Scene) -> String {
    let tenths = |ns: u64| ((ns.saturating_sub(scene.start) + 50_000_000) / 100_000_000).min(LATEST);
    let mut text = kind.name.clone();
    // What is heard on two channels at a time is told once: channels have no place here.
    for sound in heard(kind.sounds.iter().copied(), scene.now).iter().take(MOST_TIMES) {
        text.push_str(&format!(" {}", tenths(sound.onset)));
        match sound.going_on {
            false => text.push_str(&format!(" {}", tenths(sound.end))),
            true => text.push_str(" +"),
        }
    }
    text
}

/// A name of lower-case words in which nothing can be taken for a time or a mark.
fn name(label: &str) -> String {
    let plain: String = label
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_alphanumeric() || c == '\'' || c == '-' { c } else { ' ' })
        .collect();
    let mut name = String::new();
    for word in plain.split_whitespace() {
        // A word of digits alone is tied to the one before it.
        let tied = word.chars().all(char::is_numeric);
        let between = if tied {
            "-"
        } else if name.is_empty() {
            ""
        } else {
            " "
        };
        if name.chars().count() + between.len() + word.chars().count() > MOST_NAME {
            break;
        }
        name.push_str(between);
        name.push_str(word);
    }
    if name.is_empty() { "sound".to_owned() } else { name }
}
