//! What a question asks, by the words of the catalogue.

use crate::catalogue::Questions as Words;
use crate::words::plain;

/// What is asked about a sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    WasThere,
    HowMany,
    HowLong,
    First,
    Last,
    /// Whether it is there now.
    Now,
    /// What there was.
    What,
    /// None of these words.
    Unknown,
}

/// On which side of another sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// A question, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    pub kind: Kind,
    /// How far back, in nanoseconds, where it says so.
    pub last: Option<u64>,
    /// The words for the sound.
    pub subject: Vec<String>,
    /// The words for another sound, and the side of it.
    pub mark: Option<(Side, Vec<String>)>,
    /// Whether only what is next to the other sound counts.
    pub just: bool,
}

/// Reads a question.
pub(crate) fn read(question: &str, words: &Words) -> Question {
    let mut tokens = tokens(question);
    let last = take_span(&mut tokens, words);
    let before = position(&tokens, &words.before);
    let after = position(&tokens, &words.after);
    let mark_at = match (before, after) {
        (Some((b, _)), Some((a, length))) if a < b => Some((Side::After, a, length)),
        (Some((b, length)), _) => Some((Side::Before, b, length)),
        (None, Some((a, length))) => Some((Side::After, a, length)),
        (None, None) => None,
    };
    let (mut mark, mut just) = (None, false);
    if let Some((side, at, length)) = mark_at {
        let behind = tokens.split_off(at);
        let named = subject(&behind[length..], words);
        if named.is_empty() {
            // `before` without a sound behind it says nothing that is understood.
            tokens.extend(behind);
        } else {
            mark = Some((side, named));
            let next_to = tokens.last().is_some_and(|word| words.just.contains(word));
            just = next_to;
            tokens.truncate(tokens.len() - usize::from(next_to));
        }
    }
    let kind = kind(&mut tokens, words, mark.is_some());
    Question { kind, last, subject: subject(&tokens, words), mark, just }
}

/// Words in lower case; hyphens stay within them.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let lower = plain(text).to_lowercase().replace(['\'', '’'], "'");
    let words = lower.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '\''));
    let words = words.map(|word| word.trim_matches(['-', '\'']).trim_end_matches("'s"));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The words that name a sound.
fn subject(tokens: &[String], words: &Words) -> Vec<String> {
    let kept = tokens.iter().filter(|word| !words.skip.contains(*word));
    let mut kept: Vec<String> = kept.cloned().collect();
    // `or` between sounds is kept; at an end it joins nothing.
    while kept.first().is_some_and(|word| words.or.contains(word)) {
        kept.remove(0);
    }
    while kept.last().is_some_and(|word| words.or.contains(word)) {
        kept.pop();
    }
    kept
}

/// What is asked; the words that said so are taken away.
fn kind(tokens: &mut Vec<String>, words: &Words, marked: bool) -> Kind {
    let when = take(tokens, &words.when);
    let asked = [
        (Kind::HowMany, &words.how_many),
        (Kind::HowLong, &words.how_long),
        (Kind::First, &words.first),
        (Kind::Last, &words.last),
    ];
    for (kind, phrases) in asked {
        if take(tokens, phrases) {
            return kind;
        }
    }
    if when {
        return Kind::Last;
    }
    if !marked && position(tokens, &words.now).is_some() {
        take(tokens, &words.now);
        let what = take(tokens, &words.what);
        take(tokens, &words.was_there);
        return if what && subject(tokens, words).is_empty() { Kind::What } else { Kind::Now };
    }
    if take(tokens, &words.what) {
        return Kind::What;
    }
    if take(tokens, &words.was_there) {
        return Kind::WasThere;
    }
    Kind::Unknown
}

/// `in the last ten minutes`, taken out of the question; in nanoseconds.
fn take_span(tokens: &mut Vec<String>, words: &Words) -> Option<u64> {
    for at in 0..tokens.len() {
        let Some(length) = longest(&tokens[at..], &words.within) else { continue };
        let mut next = at + length;
        let number = match number(&tokens[next..], words) {
            Some((number, length)) => {
                next += length;
                number
            }
            None => 1.0,
        };
        let unit =
            tokens.get(next).and_then(|word| words.units.iter().find(|(_, names)| names.contains(word)));
        let Some((unit, _)) = unit else { continue };
        let seconds = number * unit.seconds();
        if seconds > 0.0 && seconds.is_finite() {
            tokens.drain(at..=next);
            return Some((seconds * 1e9).min(u64::MAX as f64) as u64);
        }
    }
    None
}

/// A number in digits or words at the beginning, and of how many words it is.
fn number(tokens: &[String], words: &Words) -> Option<(f64, usize)> {
    let digits = tokens.first()?.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    if let Some(number) = digits {
        return Some((number, 1));
    }
    let named = words.numbers.iter().filter_map(|(name, &number)| {
        let name: Vec<&str> = name.split(' ').collect();
        starts_with(tokens, &name).then_some((number, name.len()))
    });
    named.max_by_key(|(_, length)| *length)
}

fn starts_with(tokens: &[String], phrase: &[&str]) -> bool {
    tokens.len() >= phrase.len() && tokens.iter().zip(phrase).all(|(token, word)| token == word)
}

/// The length of the longest phrase that stands at the beginning.
fn longest(tokens: &[String], phrases: &[String]) -> Option<usize> {
    let lengths = phrases.iter().filter_map(|phrase| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        starts_with(tokens, &phrase).then_some(phrase.len())
    });
    lengths.max()
}

/// Where the first of the phrases stands, and its length.
fn position(tokens: &[String], phrases: &[String]) -> Option<(usize, usize)> {
    (0..tokens.len()).find_map(|at| longest(&tokens[at..], phrases).map(|length| (at, length)))
}

/// Takes one of the phrases out, and says whether there was one.
fn take(tokens: &mut Vec<String>, phrases: &[String]) -> bool {
    match position(tokens, phrases) {
        Some((at, length)) => {
            tokens.drain(at..at + length);
            true
        }
        None => false,
    }
}
