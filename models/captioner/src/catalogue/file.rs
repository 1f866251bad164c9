//! The form of a catalogue's file.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Pattern;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalogue {
    /// Language tag.
    pub language: String,
    pub labels: Labels,
    pub sure: Sure,
    pub caption: Caption,
    pub lists: Lists,
    pub durations: Durations,
    pub answers: Answers,
    pub questions: Questions,
}

/// How labels become parts of a sentence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Labels {
    /// Around labels that are no plain phrase: `“{name}”`.
    pub quoted: Pattern,
    /// Whether a first capital is made small where the word is no name.
    pub lower_initial: bool,
    /// Where the language has articles that can be told from the word.
    #[serde(default)]
    pub articles: Option<Articles>,
}

/// English articles, in data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Articles {
    pub before_consonant: String,
    pub before_vowel: String,
    /// Beginnings of words that sound otherwise than they are written.
    pub sounds_as_consonant: Vec<String>,
    pub sounds_as_vowel: Vec<String>,
    /// Words that make an article needless.
    pub determiners: BTreeSet<String>,
    /// Behind which the head of a phrase does not stand.
    pub prepositions: BTreeSet<String>,
    /// Nouns without an article, and nouns in the plural that do not end in s.
    pub without: BTreeSet<String>,
    /// Nouns that end in s in the singular.
    pub singular_in_s: BTreeSet<String>,
    /// Nouns that end in -ing, and so are no verbs.
    pub nouns_in_ing: BTreeSet<String>,
    /// Adjectives in front of nouns that end in -ing.
    pub join: BTreeSet<String>,
}

/// How sure it is, by an event's peak score.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sure {
    pub probably_below: f32,
    pub probably: Pattern,
    pub perhaps_below: f32,
    pub perhaps: Pattern,
}

/// A message for counts up to `up_to`; the last one has none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counted {
    #[serde(default)]
    pub up_to: Option<usize>,
    pub text: Pattern,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Caption {
    /// The whole: `{list}` is what was heard.
    pub sentence: Pattern,
    /// A sound by how often: `{item}`, `{n}`.
    pub counts: Vec<Counted>,
    /// A sound that was there once and long: `{item}`, `{duration}`.
    pub lasting: Pattern,
    /// One that is still there.
    pub going_on: Pattern,
    /// One after the other: `{before}`, `{after}`.
    pub then: Pattern,
    /// Several at the same time: `{list}`.
    pub together: Pattern,
    /// With sounds that were there all the time: `{list}`, `{rest}`.
    pub all_the_while: Pattern,
    /// Where more was heard than is named: `{list}`, `{n}` by number.
    pub and_more: BTreeMap<Number, Pattern>,
    /// Where there is sound and no event.
    pub unnamed: Pattern,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lists {
    /// Two: `{first}`, `{last}`.
    pub two: Pattern,
    /// What stands between all but the last.
    pub between: String,
    /// The last of three or more: `{rest}`, `{last}`.
    pub last: Pattern,
}

/// Grammatical number. Languages with one form for all leave `one` away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Number {
    One,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Second,
    Minute,
    Hour,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Durations {
    /// `{n}` of a unit.
    pub units: BTreeMap<Unit, BTreeMap<Number, Pattern>>,
    /// Two units: `{first}`, `{last}`.
    pub both: Pattern,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answers {
    /// Times by number: `{n}`.
    pub times: Vec<Counted>,
    /// A sound and how often: `{item}`, `{times}`.
    pub item: Pattern,
    /// The time asked about: `{duration}`; the last single unit; since hearing began.
    pub span: Pattern,
    pub span_one: BTreeMap<Unit, String>,
    pub span_since: Pattern,
    /// Up to and from a sound: `{item}`, `{clock}`.
    pub span_before: Pattern,
    pub span_after: Pattern,
    pub ago: Pattern,
    pub just_now: String,
    pub yes: Pattern,
    /// Where it was: the last time of several, or the only one.
    pub latest: Pattern,
    pub latest_once: Pattern,
    pub going_on: String,
    pub no: Pattern,
    pub count: Pattern,
    pub none: Pattern,
    pub total: Pattern,
    pub first: Pattern,
    pub last: Pattern,
    pub long: Pattern,
    pub long_pieces: Pattern,
    pub before: Pattern,
    pub after: Pattern,
    pub nothing_before: Pattern,
    pub nothing_after: Pattern,
    /// A sound some time before or after another: `{item}`, `{duration}`.
    pub earlier: Pattern,
    pub later: Pattern,
    pub at_that_time: Pattern,
    pub not_now: Pattern,
    pub now: Pattern,
    pub what: Pattern,
    pub nothing: Pattern,
    /// Nothing but the sounds that the question leaves out or is timed by.
    pub nothing_else: Pattern,
    /// A sound of a summary, and when: `{item}`, `{times}`, and `{clock}` or `{first}` and `{last}`.
    pub noted: Pattern,
    pub noted_more: Pattern,
    /// Times asked about: `{clock}`; `{from}`, `{to}`; `{item}`.
    pub span_at: Pattern,
    pub span_between: Pattern,
    pub span_during: Pattern,
    /// A time on one channel: `{span}`, `{n}`.
    pub span_channel: Pattern,
    /// Nothing is known of `{clock}`; `{from}`, `{to}` is what was listened to.
    pub beyond: Pattern,
    /// A sound that nobody is known to listen for, or is known not to.
    pub no_name: Pattern,
    pub not_listened: Pattern,
    /// Words of a sound's name that were not understood; a sound that is only like those that are known.
    pub left_out: Pattern,
    pub near: Pattern,
    /// The sound nearest to a time: `{item}`, `{clock}`.
    pub nearest: Pattern,
    pub first_sound: Pattern,
    pub last_sound: Pattern,
    /// `first`, `second` and so on, in `nth` and `nth_sound`, and from the last.
    pub ordinals: Vec<String>,
    pub nth: Pattern,
    pub nth_sound: Pattern,
    pub nth_last: Pattern,
    /// It was not heard so often: `{list}`, `{span}`.
    pub nth_none: Pattern,
    pub longest: Pattern,
    pub shortest: Pattern,
    pub loudest: Pattern,
    pub quietest: Pattern,
    /// The same of the sounds that were asked about.
    pub longest_of: Pattern,
    pub shortest_of: Pattern,
    pub loudest_of: Pattern,
    pub quietest_of: Pattern,
    pub no_level: String,
    /// When: once; a few times; the last few of many.
    pub when_once: Pattern,
    pub when: Pattern,
    pub when_last: Pattern,
    pub ended: Pattern,
    pub not_ended: Pattern,
    /// From a sound to another: `{first}`, `{from}`, `{last}`, `{to}`, `{duration}`.
    pub distance: Pattern,
    /// By number of channels: `{item}`, `{span}`, `{list}`.
    pub channels: BTreeMap<Number, Pattern>,
    pub no_channel: String,
    pub now_what: Pattern,
    pub nothing_now: String,
    /// A sound and how long it was there together, among others.
    pub long_item: Pattern,
    pub listening: Pattern,
    pub unheard: Pattern,
    pub all_heard: Pattern,
    pub unclear: String,
    /// What can be asked.
    pub help: String,
}

/// The words by which questions are understood.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Questions {
    pub how_many: Vec<String>,
    pub how_long: Vec<String>,
    pub first: Vec<String>,
    pub last: Vec<String>,
    /// `second` and so on, and their numbers.
    pub ordinals: BTreeMap<String, usize>,
    pub longest: Vec<String>,
    pub shortest: Vec<String>,
    pub loudest: Vec<String>,
    pub quietest: Vec<String>,
    pub end: Vec<String>,
    pub when: Vec<String>,
    pub what: Vec<String>,
    pub was_there: Vec<String>,
    /// Those of them that ask what is there now: `is there`.
    #[serde(default)]
    pub is_there: Vec<String>,
    /// Words that stand for any sound.
    pub anything: BTreeSet<String>,
    pub now: Vec<String>,
    /// On which channel; in front of a channel's number.
    pub channel_of: Vec<String>,
    pub channel: Vec<String>,
    /// What is listened for.
    pub labels: Vec<String>,
    /// Words that ask what sounds cannot tell.
    pub beyond: Vec<String>,
    /// Words that change nothing and could be taken for others: `else`.
    pub filler: Vec<String>,
    /// That a sound's beginning is meant.
    pub begin: Vec<String>,
    pub not: Vec<String>,
    /// In front of what does not count.
    pub except: Vec<String>,
    pub before: Vec<String>,
    pub after: Vec<String>,
    /// As `after`; without a sound behind it says nothing.
    pub since: Vec<String>,
    pub during: Vec<String>,
    /// In front of `before` and `after`: the seconds next to it.
    pub just: Vec<String>,
    /// In front of a duration that ends now, `within_number` only where it has a number; of one that begins at the
    /// beginning; around one that ended so long ago.
    pub within: Vec<String>,
    pub within_number: Vec<String>,
    pub in_first: Vec<String>,
    pub ago_before: Vec<String>,
    pub ago_behind: Vec<String>,
    /// In front of a moment; of two, and between them.
    pub at: Vec<String>,
    pub until: Vec<String>,
    pub between: Vec<String>,
    pub to: Vec<String>,
    pub units: BTreeMap<Unit, BTreeSet<String>>,
    pub numbers: BTreeMap<String, f64>,
    /// Between sounds; those of them where one is enough.
    pub or: BTreeSet<String>,
    pub either: BTreeSet<String>,
    /// Words that say nothing about which sound is meant.
    pub skip: BTreeSet<String>,
    /// Whether words are put together, so that a part of one names it: `Hund` of `Hundebellen`.
    pub compounds: bool,
    /// Endings of words that are two, and what takes their place.
    pub contractions: Vec<(String, String)>,
    /// Endings that are taken from words before they are compared, and what comes in their place; the first that fits.
    pub endings: Vec<(String, String)>,
    /// Words that mean the same.
    pub synonyms: Vec<Vec<String>>,
}

impl Questions {
    /// All phrases that ask for something.
    pub(crate) fn phrases(&self) -> impl Iterator<Item = &str> {
        let lists = [
            &self.how_many,
            &self.how_long,
            &self.first,
            &self.last,
            &self.longest,
            &self.shortest,
            &self.loudest,
            &self.quietest,
            &self.end,
            &self.when,
            &self.what,
            &self.was_there,
            &self.is_there,
            &self.now,
            &self.channel_of,
            &self.channel,
            &self.labels,
            &self.beyond,
            &self.not,
            &self.except,
            &self.before,
            &self.after,
            &self.since,
            &self.during,
            &self.just,
            &self.within,
            &self.within_number,
            &self.in_first,
            &self.at,
            &self.until,
            &self.between,
            &self.to,
        ];
        let words = self.or.iter().chain(self.ordinals.keys()).chain(self.units.values().flatten());
        lists.into_iter().flatten().chain(words).map(String::as_str)
    }
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Unit::Second => "second",
            Unit::Minute => "minute",
            Unit::Hour => "hour",
        }
    }

    /// Its length in seconds.
    pub(crate) fn seconds(self) -> f64 {
        match self {
            Unit::Second => 1.0,
            Unit::Minute => 60.0,
            Unit::Hour => 3600.0,
        }
    }
}

/// The message for a number.
pub(crate) fn numbered_form(forms: &BTreeMap<Number, Pattern>, n: u64, values: &[(&str, &str)]) -> String {
    let form = if n == 1 { forms.get(&Number::One) } else { None };
    let n = n.to_string();
    let values: Vec<(&str, &str)> = values.iter().copied().chain([("n", n.as_str())]).collect();
    form.or_else(|| forms.get(&Number::Other)).map_or_else(String::new, |form| form.fill(&values))
}

/// The message for a count.
pub(crate) fn counted_form(counted: &[Counted], n: usize, values: &[(&str, &str)]) -> String {
    let form = counted.iter().find(|c| c.up_to.is_none_or(|most| n <= most));
    let n = n.to_string();
    let values: Vec<(&str, &str)> = values.iter().copied().chain([("n", n.as_str())]).collect();
    form.map_or_else(String::new, |form| form.text.fill(&values))
}
