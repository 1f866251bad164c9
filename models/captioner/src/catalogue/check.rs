//! Whether a catalogue's messages hold the places that they must.

use std::collections::BTreeMap;

use super::Pattern;
use super::file::{Answers, Catalogue, Counted, Number, Unit};

/// A fault: the key, and what is wrong with its value.
type Fault = (String, String);

impl Catalogue {
    /// Whether each message holds what it must.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let Self { labels, sure, caption, lists, durations, answers, .. } = self;
        labels.quoted.check("labels.quoted", &["name"], &[])?;
        sure.probably.check("sure.probably", &["item"], &[])?;
        sure.perhaps.check("sure.perhaps", &["item"], &[])?;
        limit("sure.probably_below", sure.probably_below)?;
        limit("sure.perhaps_below", sure.perhaps_below)?;

        caption.sentence.check("caption.sentence", &["list"], &[])?;
        counted("caption.counts", &caption.counts, &["item"])?;
        caption.lasting.check("caption.lasting", &["item", "duration"], &[])?;
        caption.going_on.check("caption.going_on", &["item", "duration"], &[])?;
        caption.then.check("caption.then", &["before", "after"], &[])?;
        caption.together.check("caption.together", &["list"], &[])?;
        caption.all_the_while.check("caption.all_the_while", &["list", "rest"], &[])?;
        numbered("caption.and_more", &caption.and_more, &["list"])?;
        caption.unnamed.check("caption.unnamed", &[], &[])?;
        lists.two.check("lists.two", &["first", "last"], &[])?;
        lists.last.check("lists.last", &["rest", "last"], &[])?;
        for unit in [Unit::Second, Unit::Minute, Unit::Hour] {
            let key = format!("durations.units.{}", unit.name());
            let Some(forms) = durations.units.get(&unit) else {
                return Err((key, "must be there, found none".to_owned()));
            };
            numbered(&key, forms, &[])?;
        }
        durations.both.check("durations.both", &["first", "last"], &[])?;
        answers.check()
    }
}

impl Answers {
    fn check(&self) -> Result<(), Fault> {
        counted("answers.times", &self.times, &[])?;
        let all: [(&str, &Pattern, &[&str]); 61] = [
            ("item", &self.item, &["item", "times"]),
            ("span", &self.span, &["duration"]),
            ("span_since", &self.span_since, &["duration"]),
            ("span_before", &self.span_before, &["item", "clock"]),
            ("span_after", &self.span_after, &["item", "clock"]),
            ("ago", &self.ago, &["duration"]),
            ("yes", &self.yes, &["list", "span"]),
            ("latest", &self.latest, &["ago", "clock"]),
            ("latest_once", &self.latest_once, &["ago", "clock"]),
            ("no", &self.no, &["subject", "span"]),
            ("count", &self.count, &["list", "span"]),
            ("none", &self.none, &["subject", "span"]),
            ("total", &self.total, &["n"]),
            ("first", &self.first, &["item", "span", "ago", "clock"]),
            ("last", &self.last, &["item", "span", "ago", "clock"]),
            ("long", &self.long, &["item", "duration", "span"]),
            ("long_pieces", &self.long_pieces, &["item", "duration", "span", "times", "longest"]),
            ("before", &self.before, &["item", "clock", "list"]),
            ("after", &self.after, &["item", "clock", "list"]),
            ("nothing_before", &self.nothing_before, &["item", "clock", "duration"]),
            ("nothing_after", &self.nothing_after, &["item", "clock", "duration"]),
            ("earlier", &self.earlier, &["item", "duration"]),
            ("later", &self.later, &["item", "duration"]),
            ("at_that_time", &self.at_that_time, &["item"]),
            ("not_now", &self.not_now, &["subject"]),
            ("now", &self.now, &["list"]),
            ("what", &self.what, &["list", "span"]),
            ("nothing_else", &self.nothing_else, &["span"]),
            ("noted", &self.noted, &["item", "times", "clock"]),
            ("noted_more", &self.noted_more, &["item", "times", "first", "last"]),
            ("span_at", &self.span_at, &["clock"]),
            ("span_between", &self.span_between, &["from", "to"]),
            ("span_during", &self.span_during, &["item"]),
            ("span_channel", &self.span_channel, &["span", "n"]),
            ("beyond", &self.beyond, &["clock", "from", "to"]),
            ("no_name", &self.no_name, &["subject", "span"]),
            ("not_listened", &self.not_listened, &["subject"]),
            ("left_out", &self.left_out, &["subject"]),
            ("near", &self.near, &["subject"]),
            ("nearest", &self.nearest, &["item", "clock"]),
            ("first_sound", &self.first_sound, &["item", "span", "ago", "clock"]),
            ("last_sound", &self.last_sound, &["item", "span", "ago", "clock"]),
            ("nth", &self.nth, &["n", "item", "span", "ago", "clock"]),
            ("nth_sound", &self.nth_sound, &["n", "item", "span", "ago", "clock"]),
            ("nth_last", &self.nth_last, &["n", "item", "span", "ago", "clock"]),
            ("nth_none", &self.nth_none, &["list", "span"]),
            ("longest", &self.longest, &["item", "span", "duration", "clock"]),
            ("shortest", &self.shortest, &["item", "span", "duration", "clock"]),
            ("loudest", &self.loudest, &["item", "span", "level", "clock"]),
            ("quietest", &self.quietest, &["item", "span", "level", "clock"]),
            ("longest_of", &self.longest_of, &["item", "span", "duration", "clock"]),
            ("shortest_of", &self.shortest_of, &["item", "span", "duration", "clock"]),
            ("loudest_of", &self.loudest_of, &["item", "span", "level", "clock"]),
            ("quietest_of", &self.quietest_of, &["item", "span", "level", "clock"]),
            ("when_once", &self.when_once, &["item", "ago", "clock"]),
            ("when", &self.when, &["item", "times", "span", "list"]),
            ("when_last", &self.when_last, &["item", "times", "span", "list"]),
            ("ended", &self.ended, &["item", "ago", "clock"]),
            ("not_ended", &self.not_ended, &["item"]),
            ("distance", &self.distance, &["first", "from", "last", "to", "duration"]),
            ("long_item", &self.long_item, &["item", "duration"]),
        ];
        for (key, pattern, must) in all {
            pattern.check(&format!("answers.{key}"), must, &[])?;
        }
        self.nothing.check("answers.nothing", &["span"], &[])?;
        self.now_what.check("answers.now_what", &["list"], &[])?;
        self.listening.check("answers.listening", &["list"], &[])?;
        self.unheard.check("answers.unheard", &["list", "span"], &[])?;
        self.all_heard.check("answers.all_heard", &["span"], &[])?;
        numbered("answers.channels", &self.channels, &["item", "list", "span"])?;
        if self.ordinals.is_empty() {
            return Err(("answers.ordinals".into(), "must be words for 1, 2 and so on, found none".into()));
        }
        for unit in [Unit::Second, Unit::Minute, Unit::Hour] {
            if !self.span_one.contains_key(&unit) {
                return Err((
                    format!("answers.span_one.{}", unit.name()),
                    "must be there, found none".into(),
                ));
            }
        }
        Ok(())
    }
}

fn limit(key: &str, found: f32) -> Result<(), Fault> {
    if (0.0..=1.0).contains(&found) {
        return Ok(());
    }
    Err((key.to_owned(), format!("must be a score, 0 to 1, found {found}")))
}

/// Messages by rising counts, the last for all others.
fn counted(key: &str, counted: &[Counted], must: &[&str]) -> Result<(), Fault> {
    let limits: Vec<usize> = counted.iter().filter_map(|c| c.up_to).collect();
    let open = counted.len().checked_sub(1) == Some(limits.len())
        && counted.last().is_some_and(|c| c.up_to.is_none());
    if !open || limits.windows(2).any(|pair| pair[0] >= pair[1]) {
        let expected = "must be messages with rising `up_to`, the last without";
        return Err((key.to_owned(), format!("{expected}, found {limits:?} in {} messages", counted.len())));
    }
    counted.iter().try_for_each(|c| c.text.check(key, must, &["n"]))
}

/// Messages by grammatical number: there is always `other`.
fn numbered(key: &str, forms: &BTreeMap<Number, Pattern>, must: &[&str]) -> Result<(), Fault> {
    if !forms.contains_key(&Number::Other) {
        return Err((key.to_owned(), "must have the key `other`, found none".to_owned()));
    }
    forms.values().try_for_each(|pattern| pattern.check(key, must, &["n"]))
}
