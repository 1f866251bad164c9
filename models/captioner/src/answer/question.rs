//! What a question asks, by the words of the catalogue.

use super::matching::Matcher;
use super::time::{self, Time};
use super::tokens::{self, Token, longest, position, take, take_around};
use crate::catalogue::Questions as Words;

/// What is asked about a sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    WasThere,
    HowMany,
    HowLong,
    /// At which times.
    When,
    First,
    Last,
    /// The so-manieth, counted from the first or the last.
    Nth {
        n: usize,
        from_end: bool,
    },
    Longest,
    Shortest,
    Loudest,
    Quietest,
    /// When it ended.
    End,
    /// From one sound to another.
    Distance,
    Channel,
    /// Whether it is there now.
    Now,
    /// What there was.
    What,
    /// What is listened for.
    Labels,
    /// None of these words.
    Unknown,
    /// Words that ask what sounds cannot tell.
    Beyond,
}

/// On which side of another sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
    During,
}

/// A question, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    pub kind: Kind,
    /// The time that it names.
    pub time: Option<Time>,
    /// The words among which the sound is.
    pub subject: Vec<Token>,
    /// The words for another sound, and the side of it.
    pub mark: Option<(Side, Vec<Token>)>,
    /// Whether only what is next to the other sound counts.
    pub just: bool,
    /// Whether its beginning counts rather than its end.
    pub begun: bool,
    /// The words for what is left out.
    pub except: Vec<Token>,
    /// Whether it says `not`.
    pub negated: bool,
    /// Whether one of several sounds is enough.
    pub either: bool,
    /// The channel that it names.
    pub channel: Option<i32>,
}

/// Reads a question.
pub(crate) fn read(question: &str, matcher: &Matcher<'_>, words: &Words) -> Question {
    let mut tokens = matcher.protect(tokens::question(question, words));
    let time = time::take(&mut tokens, words);
    let mut kind = if take(&mut tokens, &words.channel_of) { Some(Kind::Channel) } else { None };
    let channel = take_channel(&mut tokens, words);
    take(&mut tokens, &words.filler);
    if take(&mut tokens, &words.labels) {
        kind = kind.or(Some(Kind::Labels));
    }
    let except = match position(&tokens, &words.except) {
        Some((at, length)) => tokens.split_off(at).split_off(length),
        None => Vec::new(),
    };
    let except: Vec<Token> = except.into_iter().filter(|token| matcher.names_something(token)).collect();
    let negated = take(&mut tokens, &words.not);
    // Before another sound is looked for, whose words would reach over its second part.
    if take_around(&mut tokens, &words.end) {
        take(&mut tokens, &words.when);
        asked_about(&mut tokens, words);
        kind = kind.or(Some(Kind::End));
    }
    let (mark, just) = match take_other_end(&mut tokens, matcher, words) {
        Some(other) => {
            kind = Some(Kind::Distance);
            (Some((Side::After, other)), false)
        }
        None => take_mark(&mut tokens, matcher, words, &mut kind),
    };
    let begun = mark.as_ref().is_some_and(|(_, mark)| position(mark, &words.begin).is_some());
    let mut kind = match kind {
        Some(kind) => kind,
        None => {
            let placed = mark.is_some() || time.is_some() || negated || !except.is_empty();
            self::kind(&mut tokens, matcher, words, mark.is_some(), placed)
        }
    };
    // Words that are left and ask for something else: who, why.
    if position(&tokens, &words.beyond).is_some() {
        kind = Kind::Beyond;
    }
    let either = tokens.iter().any(|token| words.either.contains(&token.word));
    Question { kind, time, subject: tokens, mark, just, begun, except, negated, either, channel }
}

/// `how long between the applause and the rain`: the first sound, taken out of the question; the second one is what is left.
fn take_other_end(tokens: &mut Vec<Token>, matcher: &Matcher<'_>, words: &Words) -> Option<Vec<Token>> {
    position(tokens, &words.how_long)?;
    let (at, length) = position(tokens, &words.between)?;
    let behind = &tokens[at + length..];
    let (to, and) = position(behind, &words.to)?;
    let names = |tokens: &[Token]| tokens.iter().any(|token| matcher.names_something(token));
    let (first, second) = (&behind[..to], &behind[to + and..]);
    if !names(first) || !names(second) {
        return None;
    }
    let (first, second) = (first.to_vec(), second.to_vec());
    *tokens = second;
    Some(first)
}

/// `before the alarm`, taken out of the question. What it asks is known where it is how far two sounds lie apart.
fn take_mark(
    tokens: &mut Vec<Token>,
    matcher: &Matcher<'_>,
    words: &Words,
    kind: &mut Option<Kind>,
) -> (Option<(Side, Vec<Token>)>, bool) {
    let sides = [
        (Side::During, &words.during),
        (Side::Before, &words.before),
        (Side::After, &words.after),
        (Side::After, &words.since),
    ];
    let found = sides.iter().filter_map(|(side, phrases)| {
        position(tokens, phrases)
            .map(|(at, length)| (at, length, *side, std::ptr::eq(*phrases, &words.since)))
    });
    let Some((at, length, side, since)) = found.min_by_key(|(at, length, ..)| (*at, usize::MAX - length))
    else {
        return (None, false);
    };
    let mut behind = tokens.split_off(at).split_off(length);
    // `before the alarm, was there a dog`: what asks ends the other sound's words.
    let end = (0..behind.len())
        .find(|&at| {
            let begun = behind[..at].iter().any(|token| matcher.names_something(token));
            begun && longest(&behind[at..], &words.was_there).is_some()
        })
        .unwrap_or(behind.len());
    let rest = behind.split_off(end);
    let named = behind.iter().any(|token| matcher.names_something(token));
    if !named {
        tokens.extend(rest);
        if !since {
            // Before what?
            *kind = kind.or(Some(Kind::Beyond));
        }
        return (None, false);
    }
    let just = tokens.last().is_some_and(|token| words.just.contains(&token.word));
    tokens.truncate(tokens.len() - usize::from(just));
    // A question before the mark is whole: what follows says more of the mark.
    let whole = [&words.what, &words.was_there].iter().any(|phrases| position(tokens, phrases).is_some());
    let apart = position(tokens, &words.how_long).is_some_and(|(at, length)| at + length == tokens.len());
    if apart && side != Side::During && rest.iter().any(|token| matcher.names_something(token)) {
        *kind = Some(Kind::Distance);
        take(tokens, &words.how_long);
    }
    if whole {
        let begins = rest.into_iter().filter(|token| words.begin.contains(&token.word));
        behind.extend(begins);
    } else {
        tokens.extend(rest);
    }
    (Some((side, behind)), just)
}

/// `on channel 1`.
fn take_channel(tokens: &mut Vec<Token>, words: &Words) -> Option<i32> {
    let (at, length) = position(tokens, &words.channel)?;
    let channel = tokens.get(at + length)?.word.parse().ok().filter(|channel| *channel >= 0)?;
    tokens.drain(at..=at + length);
    Some(channel)
}

/// What is asked; the words that said so are taken away. `placed`: it asks of a time, or of what is not, so that `is there` does not mean now.
fn kind(tokens: &mut Vec<Token>, matcher: &Matcher<'_>, words: &Words, marked: bool, placed: bool) -> Kind {
    let when = take(tokens, &words.when);
    for (kind, phrases) in [
        (Kind::Longest, &words.longest),
        (Kind::Shortest, &words.shortest),
        (Kind::Loudest, &words.loudest),
        (Kind::Quietest, &words.quietest),
        (Kind::HowLong, &words.how_long),
        (Kind::HowMany, &words.how_many),
        (Kind::End, &words.end),
    ] {
        if take(tokens, phrases) {
            // `which sound was the longest`, `has the rain stopped`
            asked_about(tokens, words);
            return kind;
        }
    }
    let first = position(tokens, &words.first).is_some();
    let last = position(tokens, &words.last).is_some();
    let nth = take_nth(tokens, words);
    if first && last && nth.is_none() {
        take(tokens, &words.first);
        take(tokens, &words.last);
        asked_about(tokens, words);
        return Kind::When;
    }
    for (there, kind, phrases) in [(first, Kind::First, &words.first), (last, Kind::Last, &words.last)] {
        if there {
            take(tokens, phrases);
            asked_about(tokens, words);
            return match nth {
                Some(n) => Kind::Nth { n, from_end: kind == Kind::Last },
                None => kind,
            };
        }
    }
    if let Some(n) = nth {
        asked_about(tokens, words);
        return Kind::Nth { n, from_end: false };
    }
    if when {
        asked_about(tokens, words);
        return Kind::When;
    }
    if !marked && take(tokens, &words.now) {
        asked_about(tokens, words);
        return Kind::Now;
    }
    let named = tokens.iter().any(|token| matcher.names_something(token));
    if !placed && named && asks_now(tokens, words) {
        take(tokens, &words.was_there);
        return Kind::Now;
    }
    let what = take(tokens, &words.what);
    let was_there = take(tokens, &words.was_there);
    let anything = tokens.iter().any(|token| words.anything.contains(&token.word));
    match (what, was_there || anything) {
        (true, _) => Kind::What,
        (false, true) if anything && !named => Kind::What,
        (false, true) if was_there => Kind::WasThere,
        _ => Kind::Unknown,
    }
}

/// Whether it says `is there` where others say `was there`.
fn asks_now(tokens: &[Token], words: &Words) -> bool {
    let now = position(tokens, &words.is_there);
    now.is_some() && now == position(tokens, &words.was_there) && position(tokens, &words.what).is_none()
}

/// Takes the words away that say of whom something is asked.
fn asked_about(tokens: &mut Vec<Token>, words: &Words) {
    take(tokens, &words.what);
    take(tokens, &words.was_there);
}

/// `the second time`.
fn take_nth(tokens: &mut Vec<Token>, words: &Words) -> Option<usize> {
    let at = tokens.iter().position(|token| words.ordinals.contains_key(&token.word))?;
    let n = words.ordinals.get(&tokens[at].word).copied()?;
    tokens.remove(at);
    Some(n)
}
