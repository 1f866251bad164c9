//! Answers in words.

use super::question::Kind;
use super::{Found, Span};
use crate::catalogue::{Messages, Unit, counted_form};
use crate::evidence::Scene;
use crate::template::phrase::quoted;
use crate::template::plan::Group;
use crate::template::sentence::{and, capital, duration, name};
use crate::words::clock;

/// Kinds of sound that one answer names.
const MOST_NAMED: usize = 10;
/// What is nearer than this is "just now" or "at the same time", in nanoseconds.
const MOMENT: u64 = 1_000_000_000;

/// The answer to a question that was understood.
pub(super) fn answer(found: &Found, scene: &Scene, messages: &Messages) -> String {
    let answers = &messages.answers;
    let span = span(found, messages);
    let subject = quoted(&found.words, messages);
    let about: &[(&str, &str)] = &[("subject", &subject), ("span", &span)];
    if let (Kind::What, Some(mark)) = (found.kind, &found.mark) {
        return capital(&beside(found, mark, messages));
    }
    let going_on = |sentence: String| match found.to == scene.now && found.groups.iter().any(|g| g.going_on) {
        true => format!("{sentence} {}", answers.going_on),
        false => sentence,
    };
    let none = found.groups.is_empty();
    let sentence = match found.kind {
        Kind::Now => {
            let now: Vec<String> = found
                .groups
                .iter()
                .filter(|group| group.going_on)
                .map(|group| name(group, messages))
                .collect();
            match now.is_empty() {
                true => answers.not_now.fill(about),
                false => answers.now.fill(&[("list", &and(&now, messages))]),
            }
        }
        Kind::What if none => answers.nothing.fill(about),
        Kind::WasThere if none => answers.no.fill(about),
        _ if none && found.words.is_empty() => answers.nothing.fill(about),
        _ if none => answers.none.fill(about),
        Kind::What => answers.what.fill(&[("list", &times(found, messages)), ("span", &span)]),
        Kind::WasThere | Kind::Unknown => {
            let yes = answers.yes.fill(&[("list", &times(found, messages)), ("span", &span)]);
            match found.groups.iter().any(|group| group.going_on) && found.to == scene.now {
                true => going_on(yes),
                false => format!("{yes} {}", latest(found, scene, messages)),
            }
        }
        Kind::HowMany => {
            let count = answers.count.fill(&[("list", &times(found, messages)), ("span", &span)]);
            let total: usize = found.groups.iter().map(|group| group.times).sum();
            match found.groups.len() {
                1 => count,
                _ => format!("{count} {}", answers.total.fill(&[("n", &total.to_string())])),
            }
        }
        Kind::HowLong => {
            let each: Vec<String> = found.groups.iter().map(|group| long(group, &span, messages)).collect();
            going_on(each.join(" "))
        }
        Kind::First => {
            let first = found.groups.iter().min_by_key(|group| group.start());
            first.map_or_else(String::new, |group| {
                answers.first.fill(&moment(group, group.start(), &span, scene, messages).borrowed())
            })
        }
        Kind::Last => {
            let begun = |group: &&Group| group.spans.last().map_or(0, |span| span.0);
            let last = found.groups.iter().max_by_key(begun);
            let sentence = last.map_or_else(String::new, |group| {
                answers.last.fill(&moment(group, begun(&group), &span, scene, messages).borrowed())
            });
            going_on(sentence)
        }
    };
    capital(&sentence)
}

/// That the sound before or after which something was asked was not heard.
pub(super) fn no_mark(words: &str, span: Span, messages: &Messages) -> String {
    let span = match span {
        Span::Since(ns) => messages.answers.span_since.fill(&[("duration", &duration(ns, messages))]),
        Span::Last(ns) => last(ns, messages),
        Span::Before | Span::After => String::new(),
    };
    let sentence = messages.answers.none.fill(&[("subject", &quoted(words, messages)), ("span", &span)]);
    capital(&sentence)
}

/// What was heard on one side of another sound, each with how far from it.
fn beside(found: &Found, mark: &Group, messages: &Messages) -> String {
    let answers = &messages.answers;
    let before = found.span == Span::Before;
    let (at, mark_name) = (clock(mark.start()), name(mark, messages));
    let looked = duration(found.to - found.from, messages);
    if found.groups.is_empty() {
        let none = if before { &answers.nothing_before } else { &answers.nothing_after };
        return none.fill(&[("item", &mark_name), ("clock", &at), ("duration", &looked)]);
    }
    let item = |group: &Group| {
        let item = name(group, messages);
        // How long before the mark it began last, or how long behind it it began first; none where both were there.
        let distance = match before {
            true if group.end() >= mark.start() => 0,
            true => mark.start().saturating_sub(group.spans.last().map_or(0, |span| span.0)),
            false => group.start().saturating_sub(mark.end()),
        };
        let form = match (distance < MOMENT, before) {
            (true, _) => &answers.at_that_time,
            (false, true) => &answers.earlier,
            (false, false) => &answers.later,
        };
        form.fill(&[("item", &item), ("duration", &duration(distance, messages))])
    };
    let items: Vec<String> = found.groups.iter().take(MOST_NAMED).map(item).collect();
    let form = if before { &answers.before } else { &answers.after };
    form.fill(&[("item", &mark_name), ("clock", &at), ("list", &and(&items, messages))])
}

fn span(found: &Found, messages: &Messages) -> String {
    let answers = &messages.answers;
    let mark = |form: &crate::catalogue::Pattern, mark: &Group| {
        form.fill(&[("item", &name(mark, messages)), ("clock", &clock(mark.start()))])
    };
    match (found.span, &found.mark) {
        (Span::Before, Some(group)) => mark(&answers.span_before, group),
        (Span::After, Some(group)) => mark(&answers.span_after, group),
        (Span::Since(ns), _) => answers.span_since.fill(&[("duration", &duration(ns, messages))]),
        (Span::Last(ns), _) => last(ns, messages),
        (Span::Before | Span::After, None) => String::new(),
    }
}

/// `in the last 10 minutes`; a single unit has words of its own.
fn last(ns: u64, messages: &Messages) -> String {
    let answers = &messages.answers;
    let one = [Unit::Second, Unit::Minute, Unit::Hour]
        .into_iter()
        .find(|unit| ns == (unit.seconds() * 1e9) as u64)
        .and_then(|unit| answers.span_one.get(&unit));
    one.cloned().unwrap_or_else(|| answers.span.fill(&[("duration", &duration(ns, messages))]))
}

/// The sounds with how often each was heard.
fn times(found: &Found, messages: &Messages) -> String {
    let answers = &messages.answers;
    let item = |group: &Group| {
        let times = counted_form(&answers.times, group.times, &[]);
        answers.item.fill(&[("item", &name(group, messages)), ("times", &times)])
    };
    let named: Vec<String> = found.groups.iter().take(MOST_NAMED).map(item).collect();
    let list = and(&named, messages);
    match found.groups.len().saturating_sub(MOST_NAMED) {
        0 => list,
        more => crate::catalogue::numbered_form(&messages.caption.and_more, more as u64, &[("list", &list)]),
    }
}

fn latest(found: &Found, scene: &Scene, messages: &Messages) -> String {
    let last = found.groups.iter().flat_map(|group| group.spans.last()).map(|span| span.0).max().unwrap_or(0);
    messages.answers.latest.fill(&[("ago", &ago(last, scene, messages)), ("clock", &clock(last))])
}

fn long(group: &Group, span: &str, messages: &Messages) -> String {
    let answers = &messages.answers;
    let (item, total) = (name(group, messages), duration(group.duration(), messages));
    if group.times == 1 {
        return answers.long.fill(&[("item", &item), ("duration", &total), ("span", span)]);
    }
    let (n, longest) = (group.times.to_string(), duration(group.longest(), messages));
    answers.long_pieces.fill(&[
        ("item", &item),
        ("duration", &total),
        ("span", span),
        ("n", &n),
        ("longest", &longest),
    ])
}

/// The values of a message about a moment.
struct Moment {
    item: String,
    span: String,
    ago: String,
    clock: String,
}

impl Moment {
    fn borrowed(&self) -> [(&str, &str); 4] {
        [("item", &self.item), ("span", &self.span), ("ago", &self.ago), ("clock", &self.clock)]
    }
}

fn moment(group: &Group, at: u64, span: &str, scene: &Scene, messages: &Messages) -> Moment {
    Moment {
        item: name(group, messages),
        span: span.to_owned(),
        ago: ago(at, scene, messages),
        clock: clock(at),
    }
}

fn ago(at: u64, scene: &Scene, messages: &Messages) -> String {
    match scene.now.saturating_sub(at) {
        0..MOMENT => messages.answers.just_now.clone(),
        distance => messages.answers.ago.fill(&[("duration", &duration(distance, messages))]),
    }
}
