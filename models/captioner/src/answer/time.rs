//! The time that a question names. Times are nanoseconds of the stream.

use super::tokens::{Token, longest, starts_with};
use crate::catalogue::{Questions as Words, Unit};

/// A stretch of time as it is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    /// The last so many nanoseconds.
    Last(u64),
    /// The first so many.
    First(u64),
    /// A moment.
    At(u64),
    /// So long ago, give or take.
    Ago(u64, u64),
    /// From one moment to another.
    Between(u64, u64),
    /// From a moment on.
    From(u64),
    /// From so long ago on.
    FromAgo(u64),
    /// Up to a moment.
    Until(u64),
}

/// A length of time and how many words it takes.
struct Length {
    ns: u64,
    unit: Unit,
    words: usize,
}

/// Reads a time at the beginning: the time, and of how many words it is.
type Way = fn(&[Token], &Words) -> Option<(Time, usize)>;
/// What a moment is a time of.
type MakeTime = fn(u64) -> Time;

/// Takes the time out of a question; the first that is found counts.
pub(crate) fn take(tokens: &mut Vec<Token>, words: &Words) -> Option<Time> {
    let ways: [Way; 6] = [range, ago, first, last, moment, bare];
    for way in ways {
        for at in 0..tokens.len() {
            if let Some((time, length)) = way(&tokens[at..], words) {
                tokens.drain(at..at + length);
                return Some(time);
            }
        }
    }
    None
}

/// `between 0:30 and 1:00`, `from 1 to 2 minutes`.
fn range(tokens: &[Token], words: &Words) -> Option<(Time, usize)> {
    let mut at = longest(tokens, &words.between)?;
    // `between 1 and 2 minutes`: the unit stands behind the second number.
    let from = place(&tokens[at..], words);
    let bare = number(&tokens[at..], words);
    at += from.as_ref().map(|length| length.words).or(bare.map(|(_, words)| words))?;
    at += longest(tokens.get(at..)?, &words.to)?;
    let to = place(&tokens[at..], words)?;
    let from = match from {
        Some(from) => from.ns,
        None => ns(bare?.0 * to.unit.seconds())?,
    };
    Some((Time::Between(from.min(to.ns), from.max(to.ns)), at + to.words))
}

/// `two minutes ago`, `since two minutes ago`.
fn ago(tokens: &[Token], words: &Words) -> Option<(Time, usize)> {
    let since = longest(tokens, &words.since).unwrap_or(0);
    let before = longest(&tokens[since..], &words.ago_before).unwrap_or(0);
    let length = length(&tokens[since + before..], words)?;
    let end = since + before + length.words;
    let behind = longest(&tokens[end..], &words.ago_behind).unwrap_or(0);
    if before + behind == 0 {
        return None;
    }
    let time = match since {
        0 => {
            // Nobody counts seconds: half a unit to either side.
            let slack = (length.unit.seconds() * 0.5e9) as u64;
            Time::Ago(length.ns, slack.max(2_000_000_000))
        }
        _ => Time::FromAgo(length.ns),
    };
    Some((time, end + behind))
}

/// `in the first five minutes`.
fn first(tokens: &[Token], words: &Words) -> Option<(Time, usize)> {
    let at = longest(tokens, &words.in_first)?;
    let length = length_or_one(&tokens[at..], words)?;
    Some((Time::First(length.ns), at + length.words))
}

/// `in the last ten minutes`.
fn last(tokens: &[Token], words: &Words) -> Option<(Time, usize)> {
    if let Some(at) = longest(tokens, &words.within)
        && let Some(length) = length_or_one(&tokens[at..], words)
    {
        return Some((Time::Last(length.ns), at + length.words));
    }
    let at = longest(tokens, &words.within_number)?;
    let length = length(&tokens[at..], words)?;
    Some((Time::Last(length.ns), at + length.words))
}

/// `at 0:30`, `since 0:30`, `before 0:30`.
fn moment(tokens: &[Token], words: &Words) -> Option<(Time, usize)> {
    let sides: [(&Vec<String>, MakeTime); 5] = [
        (&words.at, Time::At),
        (&words.before, Time::Until),
        (&words.until, Time::Until),
        (&words.after, Time::From),
        (&words.since, Time::From),
    ];
    for (phrases, time) in sides {
        if let Some(at) = longest(tokens, phrases)
            && let Some(place) = place(&tokens[at..], words)
        {
            return Some((time(place.ns), at + place.words));
        }
    }
    None
}

/// A time of day of the stream that stands alone: `0:30`.
fn bare(tokens: &[Token], _: &Words) -> Option<(Time, usize)> {
    Some((Time::At(clock(tokens.first()?)?), 1))
}

/// A moment of the stream: `0:30`, `90 seconds`, `minute 2`.
fn place(tokens: &[Token], words: &Words) -> Option<Length> {
    if let Some(ns) = tokens.first().and_then(clock) {
        return Some(Length { ns, unit: Unit::Second, words: 1 });
    }
    let named = || {
        let unit = unit(tokens.first()?, words)?;
        let (count, length) = number(&tokens[1..], words)?;
        Some(Length { ns: ns(count * unit.seconds())?, unit, words: 1 + length })
    };
    length(tokens, words).or_else(named)
}

/// `two minutes`, `one minute and 30 seconds`.
fn length(tokens: &[Token], words: &Words) -> Option<Length> {
    let (count, at) = number(tokens, words)?;
    let unit = unit(tokens.get(at)?, words)?;
    let first = Length { ns: ns(count * unit.seconds())?, unit, words: at + 1 };
    let and = usize::from(tokens.get(first.words).is_some_and(|token| words.or.contains(&token.word)));
    let more = tokens.get(first.words + and..).and_then(|rest| {
        let (count, at) = number(rest, words)?;
        let smaller =
            self::unit(rest.get(at)?, words).filter(|smaller| smaller.seconds() < unit.seconds())?;
        Some(Length { ns: ns(count * smaller.seconds())?, unit: smaller, words: at + 1 })
    });
    match more {
        Some(more) => Some(Length {
            ns: first.ns.saturating_add(more.ns),
            unit: more.unit,
            words: first.words + and + more.words,
        }),
        None => Some(first),
    }
}

/// A length, or a unit alone for one of it: `the last minute`.
fn length_or_one(tokens: &[Token], words: &Words) -> Option<Length> {
    let one = || {
        let unit = unit(tokens.first()?, words)?;
        Some(Length { ns: ns(unit.seconds())?, unit, words: 1 })
    };
    length(tokens, words).or_else(one)
}

fn unit(token: &Token, words: &Words) -> Option<Unit> {
    words.units.iter().find(|(_, names)| names.contains(&token.word)).map(|(unit, _)| *unit)
}

/// Seconds as nanoseconds, where they are more than none.
fn ns(seconds: f64) -> Option<u64> {
    (seconds > 0.0 && seconds.is_finite()).then(|| (seconds * 1e9).min(u64::MAX as f64) as u64)
}

/// `m:ss` or `h:mm:ss`, as answers write it.
fn clock(token: &Token) -> Option<u64> {
    let parts: Vec<u64> = token.word.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match parts[..] {
        [minutes, seconds] => (0, minutes, seconds),
        [hours, minutes, seconds] if minutes < 60 => (hours, minutes, seconds),
        _ => return None,
    };
    if seconds >= 60 {
        return None;
    }
    let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?;
    seconds.checked_mul(1_000_000_000)
}

/// A number in digits or words at the beginning, and of how many words it is.
pub(crate) fn number(tokens: &[Token], words: &Words) -> Option<(f64, usize)> {
    let digits = tokens.first()?.word.replace(',', ".").parse::<f64>().ok();
    if let Some(number) = digits.filter(|n| n.is_finite() && *n >= 0.0) {
        return Some((number, 1));
    }
    let named = words.numbers.iter().filter_map(|(name, &number)| {
        let name: Vec<&str> = name.split(' ').collect();
        starts_with(tokens, &name).then_some((number, name.len()))
    });
    named.max_by_key(|(_, length)| *length)
}
