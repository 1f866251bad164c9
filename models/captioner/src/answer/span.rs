//! Times in words.

use super::find::{Found, Span};
use crate::catalogue::{Messages, Unit};
use crate::evidence::Scene;
use crate::template::sentence::{and, duration, name};
use crate::words::clock;

/// What is nearer than this is "just now" or "at the same time", in nanoseconds.
pub(super) const MOMENT: u64 = 1_000_000_000;

/// All that was heard.
pub(super) fn since(scene: &Scene, messages: &Messages) -> String {
    let whole = scene.now.saturating_sub(scene.start);
    let span = if scene.start <= scene.since { Span::Since(whole) } else { Span::Last(whole) };
    told_span(span, None, messages)
}

/// The time that an answer is about.
pub(super) fn span(found: &Found, messages: &Messages) -> String {
    let at = match found.span {
        Span::Before => Some(found.to),
        Span::After => found.mark.as_ref().and_then(|mark| {
            mark.heard.iter().rev().find(|heard| heard.end <= found.from).map(|heard| heard.onset)
        }),
        _ => None,
    };
    let mark = found
        .mark
        .as_ref()
        .map(|mark| (name(mark, messages), clock(at.unwrap_or_else(|| mark.last_onset()))));
    let span = told_span(found.span, mark, messages);
    match found.channel {
        Some(n) => messages.answers.span_channel.fill(&[("span", &span), ("n", &n.to_string())]),
        None => span,
    }
}

/// A time in words; `mark` is the sound before, after or during which it is, and its clock.
pub(super) fn told_span(span: Span, mark: Option<(String, String)>, messages: &Messages) -> String {
    let answers = &messages.answers;
    let (item, at) = mark.unwrap_or_default();
    match span {
        Span::Before => answers.span_before.fill(&[("item", &item), ("clock", &at)]),
        Span::After => answers.span_after.fill(&[("item", &item), ("clock", &at)]),
        Span::During => answers.span_during.fill(&[("item", &item)]),
        Span::Since(ns) => answers.span_since.fill(&[("duration", &duration(ns, messages))]),
        Span::Last(ns) => last(ns, messages),
        Span::At(at) => answers.span_at.fill(&[("clock", &clock(at))]),
        Span::Between(from, to) => answers.span_between.fill(&[("from", &clock(from)), ("to", &clock(to))]),
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

/// Moments, as one: `0:01:40 and 0:11:40`.
pub(super) fn clocks(at: impl Iterator<Item = u64>, messages: &Messages) -> String {
    and(&at.map(clock).collect::<Vec<_>>(), messages)
}

/// How long ago a moment is.
pub(super) fn ago(at: u64, scene: &Scene, messages: &Messages) -> String {
    match scene.now.saturating_sub(at) {
        0..MOMENT => messages.answers.just_now.clone(),
        distance => messages.answers.ago.fill(&[("duration", &duration(distance, messages))]),
    }
}
