//! Questions about what was heard, answered by counting. "Now" is the scene's.
//!
//! The commonest questions are understood by the words of the message catalogue. Counts and times are computed here and
//! nowhere else: a language model is given them as [`Facts`]. A question that is not understood is answered by what was
//! heard, and never by "no".

mod facts;
mod find;
mod matching;
mod question;
mod say;
mod single;
mod span;
mod time;
mod tokens;

use std::sync::Arc;

pub use facts::{Facts, KindFacts, MomentFacts};

use crate::catalogue::Catalogue;
use crate::evidence::Scene;
use crate::prompt::MAX_QUESTION;
use crate::words::cut;

/// The answer to a question, by counting.
pub(crate) fn answer(scene: &Scene, question: &str, catalogue: &Arc<Catalogue>) -> String {
    let question = cut(question, MAX_QUESTION);
    match find::find(scene, &question, catalogue) {
        Ok(found) => say::answer(&found, scene, &catalogue.messages),
        Err(missing) => say::missing(&missing, scene, &catalogue.messages),
    }
}

/// What code knows about a scene, and about a question if there is one.
pub(crate) fn facts(scene: &Scene, question: Option<&str>, language: &str) -> Facts {
    let catalogue = Catalogue::of(language).unwrap_or_else(|_| Catalogue::english());
    let mut facts = Facts::of(scene, language);
    let Some(question) = question else { return facts };
    let question = cut(question, MAX_QUESTION);
    match find::find(scene, &question, &catalogue) {
        Ok(found) => {
            facts.about(&found, scene, language);
            facts.answer = Some(say::answer(&found, scene, &catalogue.messages));
        }
        // A model may understand what code does not.
        Err(find::Missing::Question) => {}
        Err(missing) => facts.answer = Some(say::missing(&missing, scene, &catalogue.messages)),
    }
    facts
}
