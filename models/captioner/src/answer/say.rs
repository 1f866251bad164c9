//! Answers in words.

use super::find::{Found, Missing, Span};
use super::question::Kind;
use super::single;
use super::span::{self, MOMENT, ago, since, told_span};
use crate::catalogue::{Messages, counted_form, numbered_form};
use crate::evidence::Scene;
use crate::template::phrase::{phrase, quoted};
use crate::template::plan::{Group, groups};
use crate::template::sentence::{and, capital, duration, name};
use crate::words::{clock, same_form};

/// Kinds of sound that one answer names.
const MOST_NAMED: usize = 10;

/// The answer to a question that was understood.
pub(super) fn answer(found: &Found, scene: &Scene, messages: &Messages) -> String {
    let span = span::span(found, messages);
    let mut sentences = Vec::new();
    for asked in &found.parts {
        let part = &asked.part;
        if part.labels.is_empty() {
            continue;
        }
        if !part.unknown.is_empty() {
            let words: Vec<String> = part.unknown.iter().map(|word| quoted(word, messages)).collect();
            sentences.push(messages.answers.left_out.fill(&[("subject", &and(&words, messages))]));
        } else if !part.exact {
            sentences.push(messages.answers.near.fill(&[("subject", &quoted(&part.shown, messages))]));
        }
    }
    sentences.extend(told(found, &span, scene, messages));
    // Of several sounds those that were not heard, and those that nobody listens for.
    for asked in found.parts.iter().filter(|asked| !asked.heard) {
        if asked.part.labels.is_empty() {
            sentences.push(unknown(&asked.part.shown, &span, scene, messages));
        } else if !found.groups.is_empty() && found.kind != Kind::Now {
            sentences.push(not_heard(&asked.part.shown, &span, messages));
        }
    }
    sentences.retain(|sentence| !sentence.is_empty());
    sentences.iter().map(|sentence| capital(sentence)).collect::<Vec<_>>().join(" ")
}

/// The answer itself, in one sentence or more.
fn told(found: &Found, span: &str, scene: &Scene, messages: &Messages) -> Vec<String> {
    let answers = &messages.answers;
    let groups = &found.groups;
    match found.kind {
        Kind::Labels => return vec![labels(scene, messages)],
        Kind::What if found.negated && found.parts.is_empty() => {
            return vec![unheard(found, span, scene, messages)];
        }
        Kind::What if found.mark.is_some() && matches!(found.span, Span::Before | Span::After) => {
            return vec![found.mark.as_ref().map_or_else(String::new, |mark| beside(found, mark, messages))];
        }
        Kind::Distance => {
            let both = found.mark.as_ref().zip(groups.last());
            let told = both.and_then(|(mark, group)| single::distance(mark, group, messages));
            return vec![told.unwrap_or_else(|| none(found, span, messages))];
        }
        Kind::Now => return now(found, scene, messages),
        _ => {}
    }
    if groups.is_empty() {
        let mut sentences = vec![none(found, span, messages)];
        sentences.extend(nearest(found, scene, messages));
        return sentences;
    }
    let going_on = found.to == scene.now && groups.iter().any(|group| group.going_on);
    let still = going_on.then(|| match groups.len() {
        1 => answers.going_on.clone(),
        _ => {
            let there = groups.iter().filter(|group| group.going_on).map(|group| name(group, messages));
            answers.now_what.fill(&[("list", &and(&there.collect::<Vec<_>>(), messages))])
        }
    });
    // Only where all that was asked about was heard, and nothing of the question left out, is it a plain yes.
    let all = found.either || found.parts.iter().all(|asked| asked.heard);
    let plain = !found.negated && all && found.parts.iter().all(|asked| asked.part.exact || !asked.heard);
    let list = times(groups, messages);
    let about: [(&str, &str); 2] = [("list", &list), ("span", span)];
    match found.kind {
        Kind::What => vec![answers.what.fill(&about)],
        Kind::WasThere => {
            let form = if plain { &answers.yes } else { &answers.count };
            vec![form.fill(&about), still.unwrap_or_else(|| latest(groups, true, scene, messages))]
        }
        Kind::HowMany => {
            let total: usize = groups.iter().map(Group::times).sum();
            let more = (groups.len() > 1).then(|| answers.total.fill(&[("n", &total.to_string())]));
            [answers.count.fill(&about)].into_iter().chain(more).collect()
        }
        Kind::HowLong => vec![long(groups, span, messages)].into_iter().chain(still).collect(),
        Kind::When => {
            let each = groups.iter().take(MOST_NAMED).map(|group| single::when(group, span, scene, messages));
            each.chain(still).collect()
        }
        Kind::End => {
            groups.iter().take(MOST_NAMED).map(|group| single::end(group, scene, messages)).collect()
        }
        Kind::Channel => {
            let each = groups.iter().take(MOST_NAMED).map(|group| single::channels(group, span, messages));
            each.collect::<Option<_>>().unwrap_or_else(|| vec![answers.no_channel.clone()])
        }
        _ => vec![single::answer(found, span, scene, messages)],
    }
}

/// What is said where there is no answer.
pub(super) fn missing(missing: &Missing, scene: &Scene, messages: &Messages) -> String {
    let answers = &messages.answers;
    let whole = || summary(scene, messages);
    let sentences = match missing {
        Missing::Question => vec![answers.unclear.clone(), whole(), answers.help.clone()],
        Missing::Name { words } => vec![unknown(words, &since(scene, messages), scene, messages), whole()],
        Missing::Mark { words, span } => vec![not_heard(words, &told_span(*span, None, messages), messages)],
        Missing::Time { at } => {
            let (from, to) = (clock(scene.start), clock(scene.now));
            vec![answers.beyond.fill(&[("clock", &clock(*at)), ("from", &from), ("to", &to)])]
        }
    };
    sentences.iter().map(|sentence| capital(sentence)).collect::<Vec<_>>().join(" ")
}

/// All that was heard, with counts and times.
fn summary(scene: &Scene, messages: &Messages) -> String {
    let answers = &messages.answers;
    let span = since(scene, messages);
    let all = groups(scene.sounds.iter(), scene.start, scene.now);
    if all.is_empty() {
        return answers.nothing.fill(&[("span", &span)]);
    }
    let item = |group: &Group| {
        let times = counted_form(&answers.times, group.times(), &[]);
        let (first, last) = (clock(group.onset()), clock(group.last_onset()));
        let form = if group.times() == 1 { &answers.noted } else { &answers.noted_more };
        let item = name(group, messages);
        form.fill(&[
            ("item", &item),
            ("times", &times),
            ("clock", &first),
            ("first", &first),
            ("last", &last),
        ])
    };
    answers.what.fill(&[("list", &named(&all, item, messages)), ("span", &span)])
}

/// A sound that nobody listens for, as far as that is known.
fn unknown(words: &str, span: &str, scene: &Scene, messages: &Messages) -> String {
    let form =
        if scene.labels.is_complete() { &messages.answers.not_listened } else { &messages.answers.no_name };
    form.fill(&[("subject", &quoted(words, messages)), ("span", span)])
}

fn not_heard(words: &str, span: &str, messages: &Messages) -> String {
    messages.answers.none.fill(&[("subject", &quoted(words, messages)), ("span", span)])
}

/// That nothing was heard of what was asked about, all of which is listened for.
fn none(found: &Found, span: &str, messages: &Messages) -> String {
    let answers = &messages.answers;
    let known: Vec<&str> = found
        .parts
        .iter()
        .filter(|asked| !asked.part.labels.is_empty())
        .map(|asked| asked.part.shown.as_str())
        .collect();
    if known.is_empty() {
        let form =
            if found.excepted || found.mark.is_some() { &answers.nothing_else } else { &answers.nothing };
        return form.fill(&[("span", span)]);
    }
    let plain = !found.negated && found.parts.iter().all(|asked| asked.part.exact);
    let form = if found.kind == Kind::WasThere && plain { &answers.no } else { &answers.none };
    let words: Vec<String> = known.iter().map(|words| quoted(words, messages)).collect();
    form.fill(&[("subject", &and(&words, messages)), ("span", span)])
}

/// Where the sound was nearest to a time without it.
fn nearest(found: &Found, scene: &Scene, messages: &Messages) -> Option<String> {
    let centre = match found.span {
        Span::At(at) => at,
        Span::Between(from, to) => from.midpoint(to),
        Span::Last(_) | Span::Since(_) => {
            return (!found.elsewhere.is_empty()).then(|| latest(&found.elsewhere, false, scene, messages));
        }
        Span::Before | Span::After | Span::During if found.parts.is_empty() => return None,
        Span::Before | Span::After | Span::During => found.mark.as_ref()?.onset(),
    };
    let all = found.elsewhere.iter().flat_map(|group| group.heard.iter().map(move |heard| (group, heard)));
    let far = |at: u64, heard: &crate::evidence::heard::Heard| {
        heard.onset.saturating_sub(at).max(at.saturating_sub(heard.end))
    };
    let (group, heard) = all.min_by_key(|(_, heard)| far(centre, heard))?;
    let (item, at) = (name(group, messages), clock(heard.onset));
    Some(messages.answers.nearest.fill(&[("item", &item), ("clock", &at)]))
}

/// What is there now.
fn now(found: &Found, scene: &Scene, messages: &Messages) -> Vec<String> {
    let answers = &messages.answers;
    let there: Vec<&Group> = found.groups.iter().filter(|group| group.going_on).collect();
    let names: Vec<String> = there.iter().map(|group| name(group, messages)).collect();
    let list = and(&names, messages);
    let last = || {
        let past = if found.groups.is_empty() { &found.elsewhere } else { &found.groups };
        (!past.is_empty()).then(|| latest(past, false, scene, messages))
    };
    let known: Vec<String> = found
        .parts
        .iter()
        .filter(|asked| !asked.part.labels.is_empty())
        .map(|asked| quoted(&asked.part.shown, messages))
        .collect();
    let subject = and(&known, messages);
    match (names.is_empty(), found.parts.is_empty()) {
        (true, true) => [answers.nothing_now.clone()].into_iter().chain(last()).collect(),
        (true, false) => [answers.not_now.fill(&[("subject", &subject)])].into_iter().chain(last()).collect(),
        (false, true) => vec![answers.now_what.fill(&[("list", &list)])],
        (false, false) => {
            let is_there = |labels: &std::collections::BTreeSet<String>| {
                there.iter().any(|group| labels.contains(&same_form(&group.sound.label)))
            };
            let all = found.parts.iter().all(|asked| asked.part.exact && is_there(&asked.part.labels));
            let form = if all && !found.negated { &answers.now } else { &answers.now_what };
            vec![form.fill(&[("list", &list)])]
        }
    }
}

/// What is listened for.
fn labels(scene: &Scene, messages: &Messages) -> String {
    let answers = &messages.answers;
    if !scene.labels.is_complete() {
        return summary(scene, messages);
    }
    let names: Vec<String> = scene
        .labels
        .iter()
        .take(MOST_NAMED * 4)
        .map(|label| phrase(label.name(&messages.language), messages))
        .collect();
    answers.listening.fill(&[("list", &and(&names, messages))])
}

/// What is listened for and was not heard.
fn unheard(found: &Found, span: &str, scene: &Scene, messages: &Messages) -> String {
    let answers = &messages.answers;
    if !scene.labels.is_complete() {
        return summary(scene, messages);
    }
    let heard =
        |label: &str| found.groups.iter().any(|group| same_form(&group.sound.label) == same_form(label));
    let names: Vec<String> = scene
        .labels
        .iter()
        .filter(|label| !heard(&label.label))
        .take(MOST_NAMED * 4)
        .map(|label| phrase(label.name(&messages.language), messages))
        .collect();
    match names.is_empty() {
        true => answers.all_heard.fill(&[("span", span)]),
        false => answers.unheard.fill(&[("list", &and(&names, messages)), ("span", span)]),
    }
}

/// What was heard on one side of another sound, each with how far from it.
fn beside(found: &Found, mark: &Group, messages: &Messages) -> String {
    let answers = &messages.answers;
    let before = found.span == Span::Before;
    // The mark's sound that the time ends or begins at.
    let is_it = |heard: &&crate::evidence::heard::Heard| match before {
        true => heard.onset == found.to,
        false => heard.end == found.from,
    };
    let mark_heard = mark.heard.iter().rev().find(is_it).or(mark.heard.last());
    let (onset, end) = mark_heard.map_or((found.to, found.from), |heard| (heard.onset, heard.end));
    let (at, mark_name) = (clock(onset), name(mark, messages));
    let looked = duration(found.to - found.from, messages);
    if found.groups.is_empty() {
        let none = if before { &answers.nothing_before } else { &answers.nothing_after };
        return none.fill(&[("item", &mark_name), ("clock", &at), ("duration", &looked)]);
    }
    let item = |group: &Group| {
        let item = name(group, messages);
        // How long before the mark it began last, or how long behind it it began first; none where both were there.
        let distance = match before {
            true if group.end() >= onset => 0,
            true => onset.saturating_sub(group.spans.last().map_or(0, |span| span.0)),
            false => group.start().saturating_sub(end),
        };
        let form = match (distance < MOMENT, before) {
            (true, _) => &answers.at_that_time,
            (false, true) => &answers.earlier,
            (false, false) => &answers.later,
        };
        form.fill(&[("item", &item), ("duration", &duration(distance, messages))])
    };
    let form = if before { &answers.before } else { &answers.after };
    let list = named(&found.groups, item, messages);
    form.fill(&[("item", &mark_name), ("clock", &at), ("list", &list)])
}

/// The sounds with how often each was heard.
pub(super) fn times(groups: &[Group], messages: &Messages) -> String {
    let answers = &messages.answers;
    let item = |group: &Group| {
        let times = counted_form(&answers.times, group.times(), &[]);
        answers.item.fill(&[("item", &name(group, messages)), ("times", &times)])
    };
    named(groups, item, messages)
}

/// As many sounds as one answer names, and how many more there are.
fn named(groups: &[Group], item: impl Fn(&Group) -> String, messages: &Messages) -> String {
    let items: Vec<String> = groups.iter().take(MOST_NAMED).map(item).collect();
    let list = and(&items, messages);
    match groups.len().saturating_sub(MOST_NAMED) {
        0 => list,
        more => numbered_form(&messages.caption.and_more, more as u64, &[("list", &list)]),
    }
}

/// Where the last of them was; `told`: how many there were was said before.
fn latest(groups: &[Group], told: bool, scene: &Scene, messages: &Messages) -> String {
    let last = groups.iter().map(Group::last_onset).max().unwrap_or(0);
    let once = told && groups.iter().map(Group::times).sum::<usize>() == 1;
    let form = if once { &messages.answers.latest_once } else { &messages.answers.latest };
    form.fill(&[("ago", &ago(last, scene, messages)), ("clock", &clock(last))])
}

fn long(groups: &[Group], span: &str, messages: &Messages) -> String {
    let answers = &messages.answers;
    let total = |group: &Group| duration(group.duration(), messages);
    let [group] = groups else {
        let item = |group: &Group| {
            answers.long_item.fill(&[("item", &name(group, messages)), ("duration", &total(group))])
        };
        return answers.what.fill(&[("list", &named(groups, item, messages)), ("span", span)]);
    };
    let (item, total) = (name(group, messages), total(group));
    if group.times() == 1 {
        return answers.long.fill(&[("item", &item), ("duration", &total), ("span", span)]);
    }
    let times = counted_form(&answers.times, group.times(), &[]);
    answers.long_pieces.fill(&[
        ("item", &item),
        ("duration", &total),
        ("span", span),
        ("times", &times),
        ("longest", &duration(group.longest(), messages)),
    ])
}
