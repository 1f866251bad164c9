//! A message with places: `{list}`.

use serde::de::{Deserialize, Deserializer, Error};

use crate::prompt::PromptTemplate;

/// Names of all places that a message may have.
const PLACES: [&str; 19] = [
    "list", "item", "n", "before", "after", "first", "rest", "last", "duration", "longest", "span", "ago",
    "clock", "subject", "name", "times", "from", "to", "level",
];

/// A message of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    template: PromptTemplate,
}

impl Pattern {
    /// The message with values in its places; a place without a value is left empty.
    pub(crate) fn fill(&self, values: &[(&str, &str)]) -> String {
        self.template.fill(|place| {
            values.iter().find(|(name, _)| *name == place).map_or_else(String::new, |(_, v)| (*v).to_owned())
        })
    }

    /// Whether it has these places and no others; `maybe` may be there or not.
    pub(crate) fn check(&self, key: &str, must: &[&str], maybe: &[&str]) -> Result<(), (String, String)> {
        let wrong = |reason: String| Err((key.to_owned(), format!("{reason}, found {:?}", self.text)));
        if let Some(missing) = must.iter().find(|place| !self.template.has(place)) {
            return wrong(format!("must hold {{{missing}}}"));
        }
        let known = |place: &&str| must.contains(place) || maybe.contains(place);
        match PLACES.iter().find(|place| self.template.has(place) && !known(place)) {
            Some(other) => wrong(format!("must not hold {{{other}}}")),
            None => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let template = PromptTemplate::parse("message", &text, &PLACES).map_err(D::Error::custom)?;
        Ok(Pattern { text, template })
    }
}
