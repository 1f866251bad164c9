//! Questions about what was heard, answered by counting. "Now" is the scene's.
//!
//! The commonest questions (was there, how many, when first and last, how long, what came before and after, what was
//! heard) are understood by the words of the message catalogue. Counts and times are computed here and nowhere else: a
//! language model is given them as [`Facts`].

mod facts;
mod matching;
mod question;
mod say;

use std::sync::Arc;

pub use facts::{Facts, KindFacts, MomentFacts};

use crate::catalogue::Catalogue;
use crate::evidence::Scene;
use crate::template::plan::Group;
use question::{Kind, Question};

/// What a question is about, found in the scene.
pub(crate) struct Found {
    pub kind: Kind,
    /// The time that the answer is about.
    pub from: u64,
    pub to: u64,
    /// How that time is told.
    pub span: Span,
    /// The words for the sound that was asked about, as they were typed; empty where none was.
    pub words: String,
    /// Sounds that the words mean, by label; all where there are no words.
    pub groups: Vec<Group>,
    /// The sound before or after which something is asked.
    pub mark: Option<Group>,
}

/// The time that an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// The last so many nanoseconds.
    Last(u64),
    /// All that was heard, which is less than was asked about.
    Since(u64),
    /// Up to the mark.
    Before,
    /// From the mark on.
    After,
}

/// The answer to a question, by counting.
pub(crate) fn answer(scene: &Scene, question: &str, catalogue: &Arc<Catalogue>) -> String {
    let found = find(scene, question, catalogue);
    match found {
        Ok(found) => say::answer(&found, scene, &catalogue.messages),
        Err(Missing::Question) => catalogue.messages.answers.unclear.clone(),
        Err(Missing::Mark { words, span }) => say::no_mark(&words, span, &catalogue.messages),
    }
}

/// What code knows about a scene, and about a question if there is one.
pub(crate) fn facts(scene: &Scene, question: Option<&str>, language: &str) -> Facts {
    let catalogue = Catalogue::of(language).unwrap_or_else(|_| Catalogue::english());
    let mut facts = Facts::of(scene, language);
    let Some(question) = question else { return facts };
    if let Ok(found) = find(scene, question, &catalogue) {
        facts.about(&found, scene, language);
        facts.answer = Some(say::answer(&found, scene, &catalogue.messages));
    }
    facts
}

/// Why a question has no answer.
pub(crate) enum Missing {
    /// It was not understood.
    Question,
    /// The sound before or after which something was asked was not heard.
    Mark { words: String, span: Span },
}

/// Seconds that "just before" looks at, and those that "before" does where it asks what there was.
const JUST: u64 = 30_000_000_000;
const NEAR: u64 = 120_000_000_000;

/// Finds in the scene what a question asks about.
fn find(scene: &Scene, question: &str, catalogue: &Catalogue) -> Result<Found, Missing> {
    let messages = &catalogue.messages;
    let Question { kind, last, subject, mark, just } = question::read(question, &messages.questions);
    let matcher = matching::Matcher::new(&messages.questions);
    let asked = last.map_or(u64::MAX, |ns| ns);
    let mut from = scene.now.saturating_sub(asked).max(scene.start);
    let mut to = scene.now;
    let whole = scene.now - from;
    // Less than was asked about is told as what it is.
    let mut span = if last.is_some_and(|asked| asked > whole) || last.is_none() && from <= scene.since {
        Span::Since(whole)
    } else {
        Span::Last(whole)
    };
    let in_time: Vec<_> = scene.sounds.iter().filter(|sound| sound.is_within(from, to)).cloned().collect();

    let mut found_mark = None;
    if let Some((side, words)) = &mark {
        let matched = matcher.sounds(words, &in_time);
        // The last one: what a person means who asks about "the alarm".
        let Some(latest) = matched.iter().max_by_key(|sound| sound.onset) else {
            return Err(Missing::Mark { words: words.join(" "), span });
        };
        let group = crate::template::plan::groups([latest].into_iter(), from, to);
        let reach = match (just, kind) {
            (true, _) => JUST,
            (false, Kind::What) => NEAR,
            (false, _) => u64::MAX,
        };
        match side {
            question::Side::Before => {
                to = latest.onset.min(to);
                from = from.max(to.saturating_sub(reach));
                span = Span::Before;
            }
            question::Side::After => {
                from = latest.end().max(from).min(to);
                to = to.min(from.saturating_add(reach));
                span = Span::After;
            }
        }
        found_mark = group.into_iter().next();
    }
    let mark_id = found_mark.as_ref().map(|mark| mark.sound.id);
    let sounds = in_time.iter().filter(|sound| {
        // What touches the mark's side only with its end still counts there.
        Some(sound.id) != mark_id && sound.is_within(from, to)
    });
    let sounds: Vec<_> = sounds.cloned().collect();
    let sounds = if subject.is_empty() { sounds } else { matcher.sounds(&subject, &sounds) };
    let kind = match kind {
        // A question without a sound asks for all, if it is one at all.
        Kind::WasThere if subject.is_empty() && found_mark.is_none() => return Err(Missing::Question),
        Kind::Unknown if subject.is_empty() || sounds.is_empty() => return Err(Missing::Question),
        Kind::Unknown => Kind::WasThere,
        Kind::What if !subject.is_empty() && found_mark.is_none() => Kind::WasThere,
        kind => kind,
    };
    let groups = crate::template::plan::groups(sounds.iter(), from, to);
    Ok(Found { kind, from, to, span, words: subject.join(" "), groups, mark: found_mark })
}
