//! What a question is about, found in a scene.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::matching::{Matcher, Part};
use super::question::{self, Kind, Question, Side};
use super::time::Time;
use super::tokens::Token;
use crate::catalogue::Catalogue;
use crate::evidence::{Scene, Sound};
use crate::template::plan::{Group, groups};
use crate::words::same_form;

/// What a question is about.
pub(crate) struct Found {
    pub kind: Kind,
    /// The time that the answer is about.
    pub from: u64,
    pub to: u64,
    /// How that time is told.
    pub span: Span,
    /// Each sound that was asked about; none where all are.
    pub parts: Vec<Asked>,
    /// What was heard of them, by label.
    pub groups: Vec<Group>,
    /// The sound before, after or during which something is asked.
    pub mark: Option<Group>,
    /// What was heard of the sounds asked about outside that time, where nothing was within it.
    pub elsewhere: Vec<Group>,
    pub negated: bool,
    pub either: bool,
    /// Whether something was left out of the answer that the question names.
    pub excepted: bool,
    /// The only channel that counts.
    pub channel: Option<i32>,
}

/// A sound that was asked about.
pub(crate) struct Asked {
    pub part: Part,
    /// Whether it was heard in the time asked about.
    pub heard: bool,
}

/// The time that an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// The last so many nanoseconds.
    Last(u64),
    /// All that was heard, which is less than was asked about.
    Since(u64),
    /// From one moment to another.
    Between(u64, u64),
    /// A moment.
    At(u64),
    /// Up to the mark.
    Before,
    /// From the mark on.
    After,
    /// While the mark was there.
    During,
}

/// Why a question has no answer.
pub(crate) enum Missing {
    /// It was not understood.
    Question,
    /// A sound that it names is not known.
    Name { words: String },
    /// The sound before or after which something was asked is known, and was not heard.
    Mark { words: String, span: Span },
    /// Nothing is known of that time.
    Time { at: u64 },
}

/// Nanoseconds that "just before" looks at, and those that "before" does where it asks what there was.
const JUST: u64 = 30_000_000_000;
const NEAR: u64 = 120_000_000_000;
/// Nanoseconds to either side that a moment reaches.
const MOMENT: u64 = 1_000_000_000;

/// Finds in the scene what a question asks about.
pub(crate) fn find(scene: &Scene, question: &str, catalogue: &Catalogue) -> Result<Found, Missing> {
    let words = &catalogue.messages.questions;
    let matcher = Matcher::new(words, scene);
    let asked = question::read(question, &matcher, words);
    if asked.kind == Kind::Beyond {
        return Err(Missing::Question);
    }
    let (mut from, mut to, mut span) = stretch(scene, asked.time)?;
    let sounds: Vec<Arc<Sound>> = scene
        .sounds
        .iter()
        .filter(|sound| asked.channel.is_none_or(|channel| sound.channel == channel))
        .cloned()
        .collect();

    let mut parts = matcher.parts(&asked.subject);
    let mut mark = None;
    if let Some((side, tokens)) = &asked.mark {
        let (meant, rest) = mark_of(&matcher, tokens, &asked.subject);
        if !rest.is_empty() {
            parts = matcher.parts(&[asked.subject.as_slice(), rest].concat());
        }
        if meant.labels.is_empty() {
            return Err(Missing::Name { words: meant.shown });
        }
        let marks: Vec<&Arc<Sound>> =
            sounds.iter().filter(|sound| meant.labels.contains(&same_form(&sound.label))).collect();
        let within = marks.iter().filter(|sound| sound.is_within(from, to));
        // The last one: what a person means who asks about "the alarm".
        let latest = within.max_by_key(|sound| sound.onset).or(marks.iter().max_by_key(|sound| sound.onset));
        let Some(latest) = latest.map(|latest| same_form(&latest.label)) else {
            return Err(Missing::Mark { words: meant.shown, span });
        };
        let same = marks.into_iter().filter(|sound| same_form(&sound.label) == latest);
        let Some(group) = groups(same, 0, scene.now).pop() else { return Err(Missing::Question) };
        mark = Some((*side, group));
    }
    let mut during: Vec<(u64, u64)> = Vec::new();
    if let Some((side, group)) = &mark {
        let Some(latest) = group.heard.iter().rev().find(|heard| heard.onset < to).or(group.heard.last())
        else {
            return Err(Missing::Question);
        };
        let reach = match (asked.just, asked.kind) {
            (true, _) => JUST,
            (false, Kind::What) => NEAR,
            (false, _) => u64::MAX,
        };
        match side {
            _ if asked.kind == Kind::Distance => {}
            Side::Before => {
                to = latest.onset.min(to);
                from = from.max(to.saturating_sub(reach)).min(to);
                span = Span::Before;
            }
            Side::After => {
                // What goes on is over nowhere: then its beginning counts, as where the question says so.
                let mark = if latest.going_on || asked.begun { latest.onset } else { latest.end };
                from = mark.max(from).min(to);
                to = to.min(from.saturating_add(reach));
                span = Span::After;
            }
            Side::During => {
                during = group.heard.iter().map(|heard| (heard.onset, heard.end)).collect();
                span = Span::During;
            }
        }
    }
    let marked = mark.as_ref().map(|(_, group)| same_form(&group.sound.label));
    let excepted: BTreeSet<String> =
        matcher.parts(&asked.except).into_iter().flat_map(|part| part.labels).collect();
    if !asked.except.is_empty() && excepted.is_empty() {
        return Err(Missing::Question);
    }
    let of_mark = |sound: &Sound| Some(same_form(&sound.label)) == marked && asked.kind != Kind::Distance;
    // A sound that is over where another begins was not there at that moment.
    let is_in_time = |sound: &Sound| {
        sound.is_within(from, to)
            && (during.is_empty() || during.iter().any(|&(start, end)| sound.is_within(start, end)))
    };
    let is_asked = |sound: &Sound| {
        let form = same_form(&sound.label);
        !excepted.contains(&form)
            && (parts.is_empty() || parts.iter().any(|part| part.labels.contains(&form)))
            // Where another sound of its kind was asked about, the mark itself does not count.
            && !(of_mark(sound) && (parts.is_empty() || is_mark(sound, &mark, span)))
    };
    let meant: Vec<&Arc<Sound>> = sounds.iter().filter(|sound| is_asked(sound)).collect();
    let within = meant.iter().copied().filter(|sound| is_in_time(sound));
    let groups_found = groups(within, from, to);
    let kind = understood(&asked, &parts, mark.is_some())?;
    let elsewhere =
        if groups_found.is_empty() { groups(meant.into_iter(), 0, scene.now) } else { Vec::new() };
    let heard =
        |part: &Part| groups_found.iter().any(|group| part.labels.contains(&same_form(&group.sound.label)));
    let parts = parts.into_iter().map(|part| Asked { heard: heard(&part), part }).collect();
    Ok(Found {
        kind,
        from,
        to,
        span,
        parts,
        groups: groups_found,
        mark: mark.map(|(_, group)| group),
        elsewhere,
        negated: asked.negated,
        either: asked.either,
        excepted: !excepted.is_empty(),
        channel: asked.channel,
    })
}

/// Whether it is the very sound that marks the time.
fn is_mark(sound: &Sound, mark: &Option<(Side, Group)>, span: Span) -> bool {
    let Some((_, group)) = mark else { return false };
    span == Span::During
        || group.heard.last().is_some_and(|latest| latest.onset <= sound.onset && sound.end() <= latest.end)
}

/// What is asked, where that is understood.
fn understood(asked: &Question, parts: &[Part], marked: bool) -> Result<Kind, Missing> {
    let known = parts.iter().any(|part| !part.labels.is_empty());
    let words = || parts.iter().map(|part| part.shown.as_str()).collect::<Vec<_>>().join(", ");
    match asked.kind {
        // What is left out is left out of all.
        Kind::Unknown | Kind::WasThere if parts.is_empty() && !asked.except.is_empty() => Ok(Kind::What),
        // A question without a sound asks for all, if it is one at all.
        Kind::WasThere if parts.is_empty() && !marked => Err(Missing::Question),
        Kind::WasThere if parts.is_empty() => Ok(Kind::What),
        Kind::Unknown if !known => Err(Missing::Question),
        Kind::Unknown => Ok(Kind::WasThere),
        Kind::What | Kind::Labels if parts.is_empty() => Ok(asked.kind),
        Kind::What | Kind::Labels if !known => Err(Missing::Question),
        Kind::What if marked => Ok(Kind::What),
        Kind::What => Ok(Kind::HowMany),
        Kind::Distance if !known => Err(Missing::Name { words: words() }),
        kind if !parts.is_empty() && !known => match kind {
            // Of words that are no sound it is only said so where the question is one about sounds.
            Kind::WasThere | Kind::HowMany | Kind::HowLong | Kind::When | Kind::Now => {
                Err(Missing::Name { words: words() })
            }
            _ => Err(Missing::Question),
        },
        kind => Ok(kind),
    }
}

/// The time that is asked about. Less than was asked about is told as what it is.
fn stretch(scene: &Scene, time: Option<Time>) -> Result<(u64, u64, Span), Missing> {
    let (start, now) = (scene.start, scene.now);
    let whole = now.saturating_sub(start);
    let since = if start <= scene.since { Span::Since(whole) } else { Span::Last(whole) };
    let between = |from: u64, to: u64| {
        let (from, to) = (from.max(start), to.min(now));
        if from > to {
            Err(Missing::Time { at: from.min(to) })
        } else {
            Ok((from, to, Span::Between(from, to)))
        }
    };
    match time {
        None => Ok((start, now, since)),
        Some(Time::Last(ns)) if ns > whole => Ok((start, now, Span::Since(whole))),
        Some(Time::Last(ns)) => Ok((now - ns, now, Span::Last(ns))),
        Some(Time::First(ns)) => between(scene.since, scene.since.saturating_add(ns)),
        Some(Time::At(at)) if at > now || at < start => Err(Missing::Time { at }),
        Some(Time::At(at)) => {
            Ok((at.saturating_sub(MOMENT).max(start), at.saturating_add(MOMENT).min(now), Span::At(at)))
        }
        Some(Time::Ago(ns, _)) if ns > whole => Err(Missing::Time { at: now.saturating_sub(ns) }),
        Some(Time::Ago(ns, slack)) => {
            between((now - ns).saturating_sub(slack), (now - ns).saturating_add(slack))
        }
        Some(Time::Between(from, _)) if from > now => Err(Missing::Time { at: from }),
        Some(Time::Between(_, to)) if to < start => Err(Missing::Time { at: to }),
        Some(Time::Between(from, to)) => between(from, to),
        Some(Time::From(from)) if from > now => Err(Missing::Time { at: from }),
        Some(Time::From(from)) => between(from, now),
        Some(Time::FromAgo(ns)) => between(now.saturating_sub(ns), now),
        Some(Time::Until(to)) if to > now || to < start => Err(Missing::Time { at: to }),
        Some(Time::Until(to)) => between(start, to),
    }
}

/// The sound that marks a time, and the words behind it that belong to the sound asked about: `hat der Hund vor dem Alarm
/// gebellt`.
fn mark_of<'t>(matcher: &Matcher<'_>, tokens: &'t [Token], subject: &[Token]) -> (Part, &'t [Token]) {
    let nothing =
        || Part { labels: BTreeSet::new(), exact: false, shown: shown(tokens), unknown: Vec::new() };
    let first = matcher.parts(tokens).into_iter().next().unwrap_or_else(nothing);
    if first.exact || subject.iter().all(|token| !matcher.names_something(token)) {
        return (first, &[]);
    }
    // The last words may be the other sound's.
    for at in (1..tokens.len()).rev() {
        let (front, back) = tokens.split_at(at);
        let Some(mark) = matcher.parts(front).into_iter().next().filter(|part| part.exact) else { continue };
        let joined = matcher.parts(&[subject, back].concat());
        if joined.iter().any(|part| part.exact && part.labels.is_disjoint(&mark.labels)) {
            return (mark, back);
        }
    }
    (first, &[])
}

fn shown(tokens: &[Token]) -> String {
    tokens.iter().map(|token| token.shown.as_str()).collect::<Vec<_>>().join(" ")
}
