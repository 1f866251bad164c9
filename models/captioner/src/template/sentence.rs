//! A plan as a sentence.

use super::phrase::phrase;
use super::plan::{Group, Plan, Step, plan};
use crate::catalogue::{Catalogue, Messages, Unit, counted_form, numbered_form};
use crate::evidence::Scene;

/// Shortest sound whose duration is told, in seconds.
const LASTING: u64 = 4;
const SECOND: u64 = 1_000_000_000;

/// The scene in one sentence; empty where nothing was heard.
pub(crate) fn caption(scene: &Scene, catalogue: &Catalogue) -> String {
    let messages = &catalogue.messages;
    let Plan { steps, background, unnamed } = plan(scene);
    if steps.is_empty() {
        let loud = !scene.embeddings.is_empty();
        return if loud { messages.caption.unnamed.fill(&[]) } else { String::new() };
    }
    let caption = &messages.caption;
    let told = steps.iter().map(|step| self::step(step, messages));
    let mut list = told
        .reduce(|before, after| caption.then.fill(&[("before", &before), ("after", &after)]))
        .unwrap_or_default();
    if unnamed > 0 {
        list = numbered_form(&caption.and_more, unnamed as u64, &[("list", &list)]);
    }
    if !background.is_empty() {
        let names: Vec<String> = background.iter().map(|group| item(group, messages)).collect();
        list = caption.all_the_while.fill(&[("list", &and(&names, messages)), ("rest", &list)]);
    }
    capital(&caption.sentence.fill(&[("list", &list)]))
}

fn step(step: &Step, messages: &Messages) -> String {
    let items: Vec<String> = step.groups.iter().map(|group| told(group, messages)).collect();
    let list = and(&items, messages);
    if step.together { messages.caption.together.fill(&[("list", &list)]) } else { list }
}

/// A sound with how often or how long.
fn told(group: &Group, messages: &Messages) -> String {
    let caption = &messages.caption;
    let item = item(group, messages);
    if group.times() == 1 && group.duration() >= LASTING * SECOND {
        let form = if group.going_on { &caption.going_on } else { &caption.lasting };
        return form.fill(&[("item", &item), ("duration", &duration(group.duration(), messages))]);
    }
    counted_form(&caption.counts, group.times(), &[("item", &item)])
}

/// A sound with how sure it is.
fn item(group: &Group, messages: &Messages) -> String {
    let (sure, name) = (&messages.sure, name(group, messages));
    match group.peak {
        peak if peak < sure.perhaps_below => sure.perhaps.fill(&[("item", &name)]),
        peak if peak < sure.probably_below => sure.probably.fill(&[("item", &name)]),
        _ => name,
    }
}

/// What a sound is called within a sentence.
pub(crate) fn name(group: &Group, messages: &Messages) -> String {
    phrase(group.sound.name(&messages.language), messages)
}

/// Several things, as one: `a, b and c`.
pub(crate) fn and(items: &[String], messages: &Messages) -> String {
    let lists = &messages.lists;
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first, last] => lists.two.fill(&[("first", first), ("last", last)]),
        [rest @ .., last] => lists.last.fill(&[("rest", rest.join(&lists.between).as_str()), ("last", last)]),
    }
}

/// A length of time in words: seconds below two minutes, then minutes (with seconds below ten), then hours and minutes.
pub(crate) fn duration(ns: u64, messages: &Messages) -> String {
    let seconds = (ns.saturating_add(SECOND / 2) / SECOND).max(1);
    let unit = |unit: Unit, n: u64| {
        messages.durations.units.get(&unit).map_or_else(String::new, |forms| numbered_form(forms, n, &[]))
    };
    let both = |first: String, (other, n): (Unit, u64)| match n {
        0 => first,
        n => messages.durations.both.fill(&[("first", &first), ("last", &unit(other, n))]),
    };
    match seconds {
        60 => unit(Unit::Minute, 1),
        0..120 => unit(Unit::Second, seconds),
        120..600 => both(unit(Unit::Minute, seconds / 60), (Unit::Second, seconds % 60)),
        3570..3630 => unit(Unit::Hour, 1),
        600..7200 => unit(Unit::Minute, (seconds + 30) / 60),
        _ => {
            let minutes = (seconds + 30) / 60;
            both(unit(Unit::Hour, minutes / 60), (Unit::Minute, minutes % 60))
        }
    }
}

/// The sentence with a capital at its beginning.
pub(crate) fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
