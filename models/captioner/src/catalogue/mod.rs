//! The message catalogue: everything that the template backend says and understands in one language.
//!
//! `models/captioner/CATALOGUE.md` describes the file. A catalogue is data: another language is another file.

mod check;
mod file;
mod pattern;

use std::fs::File as Handle;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, LazyLock};

pub(crate) use file::{Articles, Catalogue as Messages, Questions, Unit, counted_form, numbered_form};
pub(crate) use pattern::Pattern;

/// Largest file that is read.
const MAX_FILE: u64 = 1 << 20;

/// The catalogues that are compiled in.
const BUILT_IN: [(&str, &str); 2] =
    [("en", include_str!("../../catalogues/en.json")), ("de", include_str!("../../catalogues/de.json"))];

/// What is said in one language, and how.
#[derive(Debug)]
pub struct Catalogue {
    pub(crate) messages: Messages,
}

/// A catalogue that is not there or cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// No catalogue of this language is compiled in.
    #[error("there is no message catalogue for language {found:?}; there are {}", languages().join(", "))]
    Language {
        /// The language asked for.
        found: String,
    },
    /// A file that cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// A file that is not of the form.
    #[error("{path}: `{key}`: {reason}")]
    Form {
        /// The file.
        path: String,
        /// Where in it.
        key: String,
        /// What must stand there and what was found.
        reason: String,
    },
}

/// The languages that are compiled in.
pub fn languages() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(language, _)| *language).collect()
}

impl Catalogue {
    /// The catalogue of a language that is compiled in: `de` also for `de-AT`.
    ///
    /// # Errors
    /// There is none; the error lists those there are.
    pub fn of(language: &str) -> Result<Arc<Catalogue>, CatalogueError> {
        static READ: LazyLock<Vec<Result<Arc<Catalogue>, CatalogueError>>> = LazyLock::new(|| {
            BUILT_IN.iter().map(|(name, json)| Catalogue::read(name, json).map(Arc::new)).collect()
        });
        let base = language.split(['-', '_']).next().unwrap_or(language);
        match BUILT_IN.iter().position(|(name, _)| name.eq_ignore_ascii_case(base)) {
            Some(place) => READ[place].clone(),
            None => Err(CatalogueError::Language { found: language.to_owned() }),
        }
    }

    /// English: what is said where there is no catalogue of the language.
    pub(crate) fn english() -> Arc<Catalogue> {
        match Catalogue::of("en") {
            Ok(english) => english,
            // A test reads it, so that no build has another.
            Err(error) => unreachable!("the English catalogue is compiled in: {error}"),
        }
    }

    /// The catalogue in a file.
    ///
    /// # Errors
    /// It cannot be read, is larger than 1 MiB, or is not of the form: the key, and both sides.
    pub fn from_file(path: &Path) -> Result<Catalogue, CatalogueError> {
        let name = path.display().to_string();
        let unreadable =
            |reason: String| CatalogueError::Unreadable { path: path.display().to_string(), reason };
        let mut text = String::new();
        let read = Handle::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
        read.map_err(|error| unreadable(error.to_string()))?;
        if text.len() as u64 > MAX_FILE {
            return Err(unreadable(format!("must be at most {MAX_FILE} bytes, found more")));
        }
        Catalogue::read(&name, &text)
    }

    fn read(path: &str, json: &str) -> Result<Catalogue, CatalogueError> {
        let form = |key: String, reason: String| CatalogueError::Form { path: path.to_owned(), key, reason };
        let mut deserializer = serde_json::Deserializer::from_str(json.trim_start_matches('\u{feff}'));
        let messages: Messages = serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| form(error.path().to_string(), error.into_inner().to_string()))?;
        deserializer.end().map_err(|error| form(".".to_owned(), error.to_string()))?;
        messages.check().map_err(|(key, reason)| form(key, reason))?;
        Ok(Catalogue { messages })
    }

    /// The language it is in.
    pub fn language(&self) -> &str {
        &self.messages.language
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogues_that_are_compiled_in_are_of_the_form() {
        for language in languages() {
            assert_eq!(Catalogue::of(language).unwrap().language(), language);
        }
        assert_eq!(Catalogue::of("de-AT").unwrap().language(), "de");
        assert_eq!(
            Catalogue::of("tlh").unwrap_err().to_string(),
            "there is no message catalogue for language \"tlh\"; there are en, de"
        );
    }

    #[test]
    fn every_language_has_every_message_and_every_list_of_words() {
        let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        let keys = |catalogue: &serde_json::Value| -> Vec<String> {
            let sections = catalogue.as_object().unwrap().iter().filter(|(name, _)| *name != "labels");
            let keys = sections.flat_map(|(section, value)| {
                value.as_object().into_iter().flatten().map(move |(key, _)| format!("{section}.{key}"))
            });
            keys.collect()
        };
        let english = keys(&read(BUILT_IN[0].1));
        assert!(english.len() > 100);
        for (language, json) in BUILT_IN {
            assert_eq!(keys(&read(json)), english, "{language}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named_with_its_key() {
        let english: serde_json::Value = serde_json::from_str(BUILT_IN[0].1).unwrap();
        let spoilt = |pointer: &str, value: serde_json::Value| {
            let mut copy = english.clone();
            *copy.pointer_mut(pointer).unwrap() = value;
            Catalogue::read("x.json", &copy.to_string()).unwrap_err().to_string()
        };
        assert_eq!(
            spoilt("/caption/sentence", "You hear.".into()),
            "x.json: `caption.sentence`: must hold {list}, found \"You hear.\""
        );
        let place = spoilt("/caption/then", "{before} and {after} {bogus}".into());
        assert!(place.starts_with("x.json: `caption.then`: ") && place.contains("{bogus}"), "{place}");
        let place = spoilt("/caption/then", "{before} and {after} {span}".into());
        assert!(place.contains("`caption.then`: must not hold {span}"), "{place}");
        assert!(spoilt("/caption/counts", serde_json::json!([])).contains("`caption.counts`: must"));
        assert!(spoilt("/sure/probably_below", 7.into()).contains("`sure.probably_below`: must be"));
        let unknown = BUILT_IN[0].1.replacen("\"caption\": {", "\"caption\": {\"bogus\": 1,", 1);
        let error = Catalogue::read("x.json", &unknown).unwrap_err().to_string();
        assert!(error.starts_with("x.json: `caption.bogus`: unknown field `bogus`"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Catalogue::from_file(Path::new("/nowhere/fr.json")).unwrap_err();
        assert!(matches!(error, CatalogueError::Unreadable { ref path, .. } if path == "/nowhere/fr.json"));
    }
}
