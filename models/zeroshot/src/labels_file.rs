//! The labels file: a list of strings or objects, read so that an error names the entry and the key.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::labels::{Label, MAX_LABELS, MAX_PROMPTS, MAX_SPAN};
use crate::near::{hint, nearest, shown};

/// What may stand in an entry.
const KEYS: [&str; 8] =
    ["label", "name", "prompts", "threshold", "offset_threshold", "min_duration", "hold_time", "group"];

/// A labels file that is not what the schema says. Entries are counted from 1.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file is not there, or cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// Larger than any list of labels.
    #[error("{path}: more than {MAX_FILE} bytes")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// Not text.
    #[error("{path}: not UTF-8 at byte {at}")]
    NotUtf8 {
        /// The file.
        path: String,
        /// Where the text ends.
        at: usize,
    },
    /// Not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// Not a list.
    #[error("expected a list of labels, found {found}")]
    NotAList {
        /// What it is.
        found: &'static str,
    },
    /// Too many entries.
    #[error("{found} entries, at most {MAX_LABELS} are possible")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// An entry that is neither string nor object.
    #[error("entry {entry}: expected a string or an object, found {found}")]
    NotALabel {
        /// Which.
        entry: usize,
        /// What it is.
        found: &'static str,
    },
    /// A key that does not exist.
    #[error("entry {entry}: unknown key {key:?}{}; the keys are {}", hint(near), KEYS.join(", "))]
    UnknownKey {
        /// Which entry.
        entry: usize,
        /// The key.
        key: String,
        /// Keys like it.
        near: Vec<String>,
    },
    /// A key that comes twice.
    #[error("entry {entry}: key {key:?} comes twice")]
    DuplicateKey {
        /// Which entry.
        entry: usize,
        /// The key.
        key: String,
    },
    /// A key that must be there.
    #[error("entry {entry}: key \"label\" is missing")]
    NoLabel {
        /// Which entry.
        entry: usize,
    },
    /// A value of the wrong kind or size.
    #[error("entry {entry}: key {key:?}: expected {expected}, found {found}")]
    Value {
        /// Which entry.
        entry: usize,
        /// The key.
        key: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// The text of a file.
pub(crate) fn text(path: &Path) -> Result<String, FileError> {
    let name = || path.display().to_string();
    let unreadable =
        |error: std::io::Error| FileError::Unreadable { path: name(), reason: error.to_string() };
    let mut bytes = Vec::new();
    // Not by its length, which a device or a pipe does not tell.
    File::open(path).map_err(unreadable)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(FileError::TooLarge { path: name() });
    }
    String::from_utf8(bytes)
        .map_err(|error| FileError::NotUtf8 { path: name(), at: error.utf8_error().valid_up_to() })
}

/// Reads the entries; what holds for the list as a whole is checked by [`crate::LabelList::new`].
pub(crate) fn read(json: &str) -> Result<Vec<Label>, FileError> {
    // Editors on Windows put it there.
    let json = json.trim_start_matches('\u{feff}');
    let entries = match serde_json::from_str(json).map_err(|error| FileError::Json(error.to_string()))? {
        Json::List(entries) => entries,
        other => return Err(FileError::NotAList { found: other.kind() }),
    };
    if entries.len() > MAX_LABELS {
        return Err(FileError::TooMany { found: entries.len() });
    }
    entries.into_iter().enumerate().map(|(index, entry)| label(index + 1, entry)).collect()
}

fn label(entry: usize, json: Json) -> Result<Label, FileError> {
    let pairs = match json {
        Json::Text(text) => return Ok(Label::new(text.trim())),
        Json::Object(pairs) => pairs,
        other => return Err(FileError::NotALabel { entry, found: other.kind() }),
    };
    let mut label = Label::default();
    let mut seen: Vec<String> = Vec::new();
    for (key, value) in pairs {
        if seen.contains(&key) {
            return Err(FileError::DuplicateKey { entry, key: shown(&key) });
        }
        let at = Place { entry, key: &key };
        match key.as_str() {
            "label" => label.text = at.text(value)?.trim().to_owned(),
            "name" => label.names = at.names(value)?,
            "prompts" => label.prompts = at.prompts(value)?,
            "threshold" => label.threshold = Some(at.score(value)?),
            "offset_threshold" => label.offset_threshold = Some(at.score(value)?),
            "min_duration" => label.min_duration = Some(at.seconds(value)?),
            "hold_time" => label.hold_time = Some(at.seconds(value)?),
            "group" => label.group = Some(at.text(value)?),
            _ => {
                let near = nearest(&key, KEYS.into_iter()).into_iter().map(str::to_owned).collect();
                return Err(FileError::UnknownKey { entry, key: shown(&key), near });
            }
        }
        seen.push(key);
    }
    if !seen.iter().any(|key| key == "label") {
        return Err(FileError::NoLabel { entry });
    }
    Ok(label)
}

/// Where in the file a value stands.
struct Place<'a> {
    entry: usize,
    key: &'a str,
}

impl Place<'_> {
    fn wrong<T>(&self, expected: &'static str, found: String) -> Result<T, FileError> {
        Err(FileError::Value { entry: self.entry, key: self.key.to_owned(), expected, found })
    }

    /// Text with something in it.
    fn text(&self, value: Json) -> Result<String, FileError> {
        match value {
            Json::Text(text) if !text.trim().is_empty() => Ok(text),
            other => self.wrong("a text that is not empty", other.shown()),
        }
    }

    fn names(&self, value: Json) -> Result<std::collections::BTreeMap<String, String>, FileError> {
        let expected = "an object of texts by language";
        let Json::Object(pairs) = value else { return self.wrong(expected, value.shown()) };
        let mut names = std::collections::BTreeMap::new();
        for (language, name) in pairs {
            let name = self.text(name)?;
            if language.is_empty() || names.insert(language.clone(), name).is_some() {
                return self.wrong(expected, format!("language {:?} empty or twice", shown(&language)));
            }
        }
        Ok(names)
    }

    fn prompts(&self, value: Json) -> Result<Vec<String>, FileError> {
        match value {
            Json::List(prompts) if (1..=MAX_PROMPTS).contains(&prompts.len()) => {
                prompts.into_iter().map(|prompt| self.text(prompt)).collect()
            }
            other => self.wrong("a list of 1 to 100 texts", other.shown()),
        }
    }

    fn score(&self, value: Json) -> Result<f32, FileError> {
        match value {
            Json::Number(score) if (-1.0..=1.0).contains(&score) => Ok(score as f32),
            other => self.wrong("a number from -1 to 1", other.shown()),
        }
    }

    fn seconds(&self, value: Json) -> Result<u64, FileError> {
        match value {
            Json::Number(seconds) if (0.0..=MAX_SPAN as f64 / 1e9).contains(&seconds) => {
                Ok((seconds * 1e9).round() as u64)
            }
            other => self.wrong("seconds from 0 to 86400", other.shown()),
        }
    }
}

/// JSON that remembers keys that come twice, which `serde_json::Value` forgets.
enum Json {
    Text(String),
    Number(f64),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
    Bool,
    Null,
}

impl Json {
    fn kind(&self) -> &'static str {
        match self {
            Json::Text(_) => "a text",
            Json::Number(_) => "a number",
            Json::List(_) => "a list",
            Json::Object(_) => "an object",
            Json::Bool => "a truth value",
            Json::Null => "null",
        }
    }

    fn shown(&self) -> String {
        match self {
            Json::Text(text) => format!("{:?}", shown(text)),
            Json::Number(number) => number.to_string(),
            Json::List(list) => format!("a list of {}", list.len()),
            other => other.kind().to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        struct AnyJson;

        impl<'de> Visitor<'de> for AnyJson {
            type Value = Json;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("JSON")
            }

            fn visit_str<E>(self, text: &str) -> Result<Json, E> {
                Ok(Json::Text(text.to_owned()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
                Ok(Json::Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
                Ok(Json::Number(number as f64))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
                Ok(Json::Number(number as f64))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
                Ok(Json::Bool)
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(value) = sequence.next_element()? {
                    list.push(value);
                }
                Ok(Json::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Json::Object(pairs))
            }
        }

        deserializer.deserialize_any(AnyJson)
    }
}
