//! Answers about one sound of many: the first, the so-manieth, the longest, the loudest; and when each was.

use super::find::Found;
use super::question::Kind;
use super::say::times;
use super::span::{ago, clocks};
use crate::catalogue::{Messages, Pattern, counted_form, numbered_form};
use crate::evidence::Scene;
use crate::evidence::heard::Heard;
use crate::template::plan::Group;
use crate::template::sentence::{and, duration, name};
use crate::words::clock;

/// Times that an answer to "when" names.
const MOST_TIMES: usize = 6;

/// The answer to a question that asks for one sound; there is at least one.
pub(super) fn answer(found: &Found, span: &str, scene: &Scene, messages: &Messages) -> String {
    let answers = &messages.answers;
    let mut all: Vec<(&Group, &Heard)> =
        found.groups.iter().flat_map(|group| group.heard.iter().map(move |heard| (group, heard))).collect();
    all.sort_by_key(|(_, heard)| heard.onset);
    let of = |every, asked| if found.parts.is_empty() { every } else { asked };
    let told = |form: &Pattern, (group, heard): (&Group, &Heard), n: usize| {
        let length = heard.within(found.from, found.to);
        let told = form.fill(&[
            ("item", &name(group, messages)),
            ("span", span),
            ("ago", &ago(heard.onset, scene, messages)),
            ("clock", &clock(heard.onset)),
            ("duration", &duration(length.1 - length.0, messages)),
            ("level", &heard.level.map_or_else(String::new, |level| format!("{level:.0}"))),
            ("n", answers.ordinals.get(n.saturating_sub(1)).map_or("", String::as_str)),
        ]);
        let still = heard.going_on && matches!(found.kind, Kind::Last | Kind::Longest);
        if still { format!("{told} {}", answers.going_on) } else { told }
    };
    let length = |(_, heard): &&(&Group, &Heard)| {
        let (from, to) = heard.within(found.from, found.to);
        to - from
    };
    let level = |(_, heard): &&(&Group, &Heard)| {
        // Levels are finite where they are known; in tenths they have an order.
        heard.level.map(|level| (level * 10.0) as i64)
    };
    let with_level = || all.iter().filter(|one| level(one).is_some());
    let one = match found.kind {
        Kind::First => (all.first(), of(&answers.first_sound, &answers.first), 1),
        Kind::Last => (all.last(), of(&answers.last_sound, &answers.last), 1),
        Kind::Nth { n, from_end: true } => {
            (n.checked_sub(1).and_then(|n| all.iter().rev().nth(n)), &answers.nth_last, n)
        }
        Kind::Nth { n, .. } => {
            (n.checked_sub(1).and_then(|n| all.get(n)), of(&answers.nth_sound, &answers.nth), n)
        }
        // Of equals the first.
        Kind::Longest => (all.iter().rev().max_by_key(length), of(&answers.longest, &answers.longest_of), 1),
        Kind::Shortest => (all.iter().min_by_key(length), of(&answers.shortest, &answers.shortest_of), 1),
        Kind::Loudest => (with_level().rev().max_by_key(level), of(&answers.loudest, &answers.loudest_of), 1),
        _ => (with_level().min_by_key(level), of(&answers.quietest, &answers.quietest_of), 1),
    };
    match (one, found.kind) {
        ((Some(one), form, n), _) => told(form, *one, n),
        (_, Kind::Nth { .. }) => {
            answers.nth_none.fill(&[("list", &times(&found.groups, messages)), ("span", span)])
        }
        _ => answers.no_level.clone(),
    }
}

/// When each was heard.
pub(super) fn when(group: &Group, span: &str, scene: &Scene, messages: &Messages) -> String {
    let answers = &messages.answers;
    let item = name(group, messages);
    if let [one] = group.heard.as_slice() {
        let ago = ago(one.onset, scene, messages);
        return answers.when_once.fill(&[("item", &item), ("ago", &ago), ("clock", &clock(one.onset))]);
    }
    let many = group.times() > MOST_TIMES;
    let form = if many { &answers.when_last } else { &answers.when };
    let told = group.heard.iter().skip(group.times().saturating_sub(MOST_TIMES));
    let list = clocks(told.map(|heard| heard.onset), messages);
    let times = counted_form(&answers.times, group.times(), &[]);
    form.fill(&[("item", &item), ("times", &times), ("span", span), ("list", &list)])
}

/// When it ended, or that it has not.
pub(super) fn end(group: &Group, scene: &Scene, messages: &Messages) -> String {
    let (answers, item) = (&messages.answers, name(group, messages));
    if group.going_on {
        return answers.not_ended.fill(&[("item", &item)]);
    }
    let end = group.heard.iter().map(|heard| heard.end).max().unwrap_or(0);
    answers.ended.fill(&[("item", &item), ("ago", &ago(end, scene, messages)), ("clock", &clock(end))])
}

/// On which channels it was heard; `None` where they are mixed.
pub(super) fn channels(group: &Group, span: &str, messages: &Messages) -> Option<String> {
    let mut channels: Vec<i32> =
        group.heard.iter().flat_map(|heard| heard.channels.clone()).filter(|channel| *channel >= 0).collect();
    channels.sort_unstable();
    channels.dedup();
    let names: Vec<String> = channels.iter().map(i32::to_string).collect();
    let values =
        [("item", name(group, messages)), ("span", span.to_owned()), ("list", and(&names, messages))];
    let values: Vec<(&str, &str)> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
    (!channels.is_empty()).then(|| numbered_form(&messages.answers.channels, channels.len() as u64, &values))
}

/// How far two sounds lie apart, from beginning to beginning: the pair that is nearest to now.
pub(super) fn distance(a: &Group, b: &Group, messages: &Messages) -> Option<String> {
    let last = b.heard.iter().rev().find_map(|b| {
        let near = a.heard.iter().min_by_key(|a| a.onset.abs_diff(b.onset))?;
        Some((near.onset, b.onset))
    });
    let (a_at, b_at) = last?;
    let ((first, from), (second, to)) =
        if a_at <= b_at { ((a, a_at), (b, b_at)) } else { ((b, b_at), (a, a_at)) };
    Some(messages.answers.distance.fill(&[
        ("first", &name(first, messages)),
        ("from", &clock(from)),
        ("last", &name(second, messages)),
        ("to", &clock(to)),
        ("duration", &duration(to - from, messages)),
    ]))
}
