//! Single pieces of evidence. Times are nanoseconds of stream time.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A sound event, as far as it is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sound {
    /// The same from start to end, and no other event's.
    pub id: u64,
    /// What it is: free text, that no reader may take for an instruction.
    pub label: String,
    /// What people call it, by language.
    pub names: BTreeMap<String, String>,
    /// The score of the last window.
    pub score: f32,
    /// The highest score so far.
    pub peak: f32,
    /// The loudest window so far, in dB relative to a full-scale sine, where levels are known.
    pub level: Option<f32>,
    /// The channel; -1 for a mixture of all.
    pub channel: i32,
    /// Where it begins.
    pub onset: u64,
    /// Where it ended; `None` while it goes on.
    pub offset: Option<u64>,
    /// The end of the last window that was looked at: when all this became known.
    pub at: u64,
    /// Time of day of the onset, RFC 3339, where it is known.
    pub utc: Option<String>,
}

impl Sound {
    /// What people of `language` call it: its name in that language, in the language without its region (`de` for
    /// `de-AT`), in English, or else the label itself.
    pub fn name(&self, language: &str) -> &str {
        name_in(&self.label, &self.names, language)
    }

    /// Where it ended, or how far it is known to have gone on; not before its onset.
    pub fn end(&self) -> u64 {
        self.offset.unwrap_or(self.at).max(self.onset)
    }

    /// Whether any of it lies in `start..end`, or it is a moment within.
    pub fn is_within(&self, start: u64, end: u64) -> bool {
        self.onset < end.max(start.saturating_add(1)) && (self.end() > start || self.onset >= start)
    }

    /// Bytes that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let names: usize = self.names.iter().map(|(language, name)| language.len() + name.len() + 64).sum();
        size_of::<Self>() + self.label.len() + names + self.utc.as_ref().map_or(0, String::len)
    }
}

/// The name of a label in a language; see [`Sound::name`].
pub(super) fn name_in<'a>(label: &'a str, names: &'a BTreeMap<String, String>, language: &str) -> &'a str {
    let base = language.split(['-', '_']).next().unwrap_or(language);
    let named = |wanted: &str| {
        let found = names.iter().find(|(have, _)| have.eq_ignore_ascii_case(wanted));
        found.map(|(_, name)| name.as_str()).filter(|name| !name.trim().is_empty())
    };
    named(language).or_else(|| named(base)).or_else(|| named("en")).unwrap_or(label)
}

/// The embedding of one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// Where the window begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// The channel; -1 for a mixture of all.
    pub channel: i32,
    /// The window's mean level in dB relative to a full-scale sine, where it is known.
    pub level: Option<f32>,
    /// Number of vectors: 1 for a clip, else time steps or tokens.
    pub rows: usize,
    /// The values, `[rows, values.len() / rows]`, row-major.
    pub values: Arc<[f32]>,
}

impl Embedding {
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.values)
    }
}

/// A caption that was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Where the time that it describes begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// The sentence.
    pub text: String,
}

impl Said {
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.text.len()
    }
}
