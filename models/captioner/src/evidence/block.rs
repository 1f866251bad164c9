//! The evidence as JSON, as it stands in prompts. `models/captioner/EVIDENCE.md` describes it.

use serde::Serialize;
use serde_json::Value;

use super::{Scene, Sound};
use crate::words::{cut, plain, tenths};

/// Longest name of a sound in a prompt, in characters; what is longer is cut.
pub const MAX_NAME: usize = 80;
/// Longest earlier caption in a prompt, in characters.
const MAX_CAPTION: usize = 300;

#[derive(Serialize)]
struct Block<'a> {
    from: f64,
    now: f64,
    events: Vec<Event<'a>>,
    /// Events that there was no room for, all before those that are there.
    #[serde(skip_serializing_if = "is_zero")]
    left_out: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier_captions: Vec<Earlier>,
}

#[derive(Serialize)]
struct Event<'a> {
    sound: String,
    onset: f64,
    /// `null` while it goes on.
    offset: Option<f64>,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    level_db: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utc: Option<&'a str>,
}

#[derive(Serialize)]
struct Earlier {
    at: f64,
    text: String,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// What was heard, in at most `most` bytes (or with no event at all): the latest events that fit, in order.
pub(crate) fn evidence(scene: &Scene, language: &str, most: usize) -> String {
    let event = |sound: &Sound| {
        guarded(&serde_json::to_value(self::event(sound, scene, language)).unwrap_or(Value::Null)).len() + 1
    };
    let earlier: Vec<Earlier> = scene
        .said
        .iter()
        .rev()
        .take(10)
        .rev()
        .map(|said| Earlier { at: tenths(said.start), text: cut(&plain(&said.text), MAX_CAPTION) })
        .collect();
    let mut block = Block {
        from: tenths(scene.start),
        now: tenths(scene.now),
        events: Vec::new(),
        left_out: 0,
        earlier_captions: earlier,
    };
    // Room for `left_out`, should it come.
    let mut room = most.saturating_sub(guarded_block(&block).len() + 32);
    let fitting = scene
        .sounds
        .iter()
        .rev()
        .take_while(|sound| {
            let bytes = event(sound);
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        })
        .count();
    block.left_out = scene.sounds.len() - fitting;
    block.events =
        scene.sounds.iter().skip(block.left_out).map(|sound| self::event(sound, scene, language)).collect();
    guarded_block(&block)
}

fn guarded_block(block: &Block) -> String {
    guarded(&serde_json::to_value(block).unwrap_or(Value::Null))
}

fn event<'a>(sound: &'a Sound, scene: &Scene, language: &str) -> Event<'a> {
    let decimal = |value: f32, unit: f64| (f64::from(value) * unit).round() / unit;
    Event {
        sound: name(sound, language),
        onset: tenths(sound.onset),
        // What ends behind the time that is told has not ended in it.
        offset: sound.offset.filter(|&offset| offset <= scene.now).map(tenths),
        score: if sound.peak.is_finite() { decimal(sound.peak, 100.0) } else { 0.0 },
        level_db: sound.level.filter(|level| level.is_finite()).map(|level| decimal(level, 10.0)),
        channel: (sound.channel >= 0).then_some(sound.channel),
        utc: sound.utc.as_deref().filter(|utc| {
            utc.len() <= 40 && utc.chars().all(|c| c.is_ascii_alphanumeric() || "+-:.".contains(c))
        }),
    }
}

/// What a sound is called, as data in a prompt: one line of at most [`MAX_NAME`] characters.
pub(crate) fn name(sound: &Sound, language: &str) -> String {
    cut(&plain(sound.name(language)), MAX_NAME)
}

/// JSON in which no string can close what surrounds it, or be read as a model's mark of a turn: every character that
/// markup, chat templates and code fences are made of is written as its number.
pub(crate) fn guarded(value: &Value) -> String {
    let json = value.to_string();
    let mut guarded = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string
            && !escaped
            && matches!(c, '<' | '>' | '|' | '[' | ']' | '{' | '}' | '`' | '#' | '*' | '&' | '~')
        {
            guarded.push_str(&format!("\\u{:04x}", u32::from(c)));
            continue;
        }
        if c == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && c == '\\' && !escaped;
        guarded.push(c);
    }
    guarded
}
