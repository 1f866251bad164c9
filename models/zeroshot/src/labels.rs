//! What is listened for: a list of labels, from one line of text or from a file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use crate::near::{same_form, shown};

/// Most labels that a list may hold.
pub const MAX_LABELS: usize = 1_000;
/// Longest label or name, in characters.
pub const MAX_LABEL_CHARS: usize = 1_024;
/// Longest prompt, in characters.
pub const MAX_PROMPT_CHARS: usize = 4_096;
/// Most prompts that one label may have.
pub const MAX_PROMPTS: usize = 100;
/// Longest minimum duration or hold time: a day, in nanoseconds.
pub const MAX_SPAN: u64 = 86_400_000_000_000;

/// One thing that is listened for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Label {
    /// What it is called in every output, and what the text tower reads where it has no prompts of its own.
    pub text: String,
    /// What it is called for people, by language (`en`, `de`, `pt-BR`, …).
    pub names: BTreeMap<String, String>,
    /// Sentences that are read in place of the prompt templates.
    pub prompts: Vec<String>,
    /// Score from which on an event begins.
    pub threshold: Option<f32>,
    /// Score below which an event ends.
    pub offset_threshold: Option<f32>,
    /// Shortest event that is announced, in nanoseconds.
    pub min_duration: Option<u64>,
    /// How long a pause may last before the event ends, in nanoseconds.
    pub hold_time: Option<u64>,
    /// Of the labels of one group at most one is active at a time.
    pub group: Option<String>,
}

impl Label {
    /// A label with nothing but its text.
    pub fn new(text: impl Into<String>) -> Label {
        Label { text: text.into(), ..Label::default() }
    }

    /// What people of `language` call it: its name in that language, in the language without its region (`de` for
    /// `de-AT`), in English, or else the label itself.
    pub fn display_name(&self, language: &str) -> &str {
        let base = language.split(['-', '_']).next().unwrap_or(language);
        [language, base, "en"]
            .iter()
            .find_map(|wanted| {
                let found = self.names.iter().find(|(have, _)| have.eq_ignore_ascii_case(wanted));
                found.map(|(_, name)| name.as_str())
            })
            .unwrap_or(&self.text)
    }
}

/// A list of labels: at least one, none empty, none twice.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelList(Vec<Arc<Label>>);

/// A list of labels that cannot be used.
///
/// Entries are counted from 1.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// Nothing is listed.
    #[error("no label is given; write labels=\"dog barking;siren\"")]
    None,
    /// Too many are listed.
    #[error("{found} labels are given, at most {MAX_LABELS} are possible")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// Nothing stands between two separators.
    #[error("label {entry} is empty")]
    Empty {
        /// Which.
        entry: usize,
    },
    /// Nothing that a person would say.
    #[error("label {entry} ({label:?}) has no letter or digit; was the list left empty?")]
    NoWord {
        /// Which.
        entry: usize,
        /// Its text.
        label: String,
    },
    /// The same label twice (case, spaces and underscores make no difference).
    #[error("label {entry} ({label:?}) is label {first} again")]
    Duplicate {
        /// The second.
        entry: usize,
        /// The first.
        first: usize,
        /// Its text.
        label: String,
    },
    /// A backslash that escapes nothing.
    #[error("label {entry}: a backslash stands before {found}; `\\;` is a semicolon and `\\\\` a backslash")]
    Escape {
        /// Which.
        entry: usize,
        /// What it stands before.
        found: String,
    },
    /// A text that is too long.
    #[error("label {entry}: {key} has {found} characters, at most {limit} are possible ({text:?})")]
    TooLong {
        /// Which.
        entry: usize,
        /// Which of its texts.
        key: String,
        /// Its length in characters.
        found: usize,
        /// The longest possible.
        limit: usize,
        /// Its beginning.
        text: String,
    },
    /// A text with a character that no C string can hold.
    #[error("label {entry}: {key} contains a NUL character")]
    Nul {
        /// Which.
        entry: usize,
        /// Which of its texts.
        key: String,
    },
    /// The labels file is not what the schema says.
    #[error("labels file: {0}")]
    File(#[from] crate::labels_file::FileError),
}

impl LabelList {
    /// Reads `dog barking;siren;glass \; breaking`.
    ///
    /// Semicolons separate; `\;` is a semicolon and `\\` a backslash. Spaces around a label do not count. One semicolon
    /// too many is an empty label, which is an error, as is a label that comes twice.
    ///
    /// ```
    /// use listen_zeroshot::LabelList;
    ///
    /// let labels = LabelList::parse(r"dog barking; siren;glass \; breaking")?;
    /// let texts: Vec<&str> = labels.texts().collect();
    /// assert_eq!(texts, ["dog barking", "siren", "glass ; breaking"]);
    /// # Ok::<(), listen_zeroshot::LabelError>(())
    /// ```
    pub fn parse(text: &str) -> Result<LabelList, LabelError> {
        if text.trim().is_empty() {
            return Err(LabelError::None);
        }
        let mut entries = vec![String::new()];
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            let entry = entries.len();
            let last = entries.len() - 1;
            match letter {
                ';' => entries.push(String::new()),
                '\\' => match letters.next() {
                    Some(literal @ (';' | '\\')) => entries[last].push(literal),
                    other => {
                        let found = other.map_or("the end".to_owned(), |c| format!("{c:?}"));
                        return Err(LabelError::Escape { entry, found });
                    }
                },
                _ => entries[last].push(letter),
            }
        }
        LabelList::new(entries.iter().map(|entry| Label::new(entry.trim())).collect())
    }

    /// Reads a labels file: JSON as `models/zeroshot/schema/labels.schema.json` describes it.
    pub fn from_json(json: &str) -> Result<LabelList, LabelError> {
        LabelList::new(crate::labels_file::read(json)?)
    }

    /// Reads the labels file at `path`, of 4 MiB at most.
    pub fn from_file(path: &Path) -> Result<LabelList, LabelError> {
        LabelList::from_json(&crate::labels_file::text(path)?)
    }

    /// Checks a list that was made by other means.
    pub fn new(labels: Vec<Label>) -> Result<LabelList, LabelError> {
        if labels.is_empty() {
            return Err(LabelError::None);
        }
        if labels.len() > MAX_LABELS {
            return Err(LabelError::TooMany { found: labels.len() });
        }
        let mut seen = HashMap::with_capacity(labels.len());
        for (index, label) in labels.iter().enumerate() {
            let entry = index + 1;
            check_texts(entry, label)?;
            let form = same_form(&label.text);
            if form.is_empty() {
                return Err(LabelError::Empty { entry });
            }
            if !says_something(&form) {
                return Err(LabelError::NoWord { entry, label: shown(&label.text) });
            }
            if let Some(first) = seen.insert(form, entry) {
                return Err(LabelError::Duplicate { entry, first, label: shown(&label.text) });
            }
        }
        Ok(LabelList(labels.into_iter().map(Arc::new).collect()))
    }

    /// How many there are: 1 to [`MAX_LABELS`].
    #[expect(clippy::len_without_is_empty, reason = "a list is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The labels in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Label>> {
        self.0.iter()
    }

    /// The labels in their order.
    pub fn as_slice(&self) -> &[Arc<Label>] {
        &self.0
    }

    /// The labels' texts in their order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|label| label.text.as_str())
    }

    /// Where a label stands, if it does; case, spaces and underscores make no difference.
    pub fn position(&self, label: &str) -> Option<usize> {
        let form = same_form(label);
        self.0.iter().position(|have| same_form(&have.text) == form)
    }
}

impl<'a> IntoIterator for &'a LabelList {
    type Item = &'a Arc<Label>;
    type IntoIter = std::slice::Iter<'a, Arc<Label>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Whether there is more than punctuation: a letter, a digit, or the place where a prompt template has its label. Of what is
/// not ASCII (a picture of a dog) the text tower knows whether it says anything.
fn says_something(text: &str) -> bool {
    text.contains("{}") || text.chars().any(|c| c.is_alphanumeric() || !c.is_ascii())
}

fn check_texts(entry: usize, label: &Label) -> Result<(), LabelError> {
    let check = |key: &str, text: &str, limit: usize| {
        let found = text.chars().count();
        if found > limit {
            return Err(LabelError::TooLong { entry, key: key.to_owned(), found, limit, text: shown(text) });
        }
        if text.contains('\0') {
            return Err(LabelError::Nul { entry, key: key.to_owned() });
        }
        Ok(())
    };
    check("label", &label.text, MAX_LABEL_CHARS)?;
    for (language, name) in &label.names {
        check("name", language, MAX_LABEL_CHARS)?;
        check("name", name, MAX_LABEL_CHARS)?;
    }
    for prompt in &label.prompts {
        check("prompts", prompt, MAX_PROMPT_CHARS)?;
    }
    label.group.iter().try_for_each(|group| check("group", group, MAX_LABEL_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        LabelList::parse(line).unwrap().texts().map(str::to_owned).collect()
    }

    #[test]
    fn semicolons_separate_and_backslashes_keep() {
        for (line, expected) in [
            ("siren", vec!["siren"]),
            (" dog barking ;\tsiren ", vec!["dog barking", "siren"]),
            (r"glass \; breaking;siren", vec!["glass ; breaking", "siren"]),
            (r"a\\b;c\\", vec![r"a\b", r"c\"]),
            (r"a\\;b", vec![r"a\", "b"]),
            ("tür\nzu;🐕;\"quoted\"", vec!["tür\nzu", "🐕", "\"quoted\""]),
        ] {
            assert_eq!(texts(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_wrong_list_is_told_its_entry() {
        let long = "x".repeat(MAX_LABEL_CHARS + 1);
        for (line, message) in [
            ("", "no label is given; write labels=\"dog barking;siren\""),
            ("  \n", "no label is given; write labels=\"dog barking;siren\""),
            ("dog;;siren", "label 2 is empty"),
            ("dog;siren;", "label 3 is empty"),
            (";", "label 1 is empty"),
            ("dog; _ ", "label 2 is empty"),
            ("!", "label 1 (\"!\") has no letter or digit; was the list left empty?"),
            ("dog;-, ...", "label 2 (\"-, ...\") has no letter or digit; was the list left empty?"),
            ("dog;siren;Dog", "label 3 (\"Dog\") is label 1 again"),
            ("dog_bark;dog  bark", "label 2 (\"dog  bark\") is label 1 again"),
            (
                r"dog;a\nb",
                r"label 2: a backslash stands before 'n'; `\;` is a semicolon and `\\` a backslash",
            ),
            (
                r"dog\",
                r"label 1: a backslash stands before the end; `\;` is a semicolon and `\\` a backslash",
            ),
            ("dog;a\0b", "label 2: label contains a NUL character"),
        ] {
            assert_eq!(LabelList::parse(line).unwrap_err().to_string(), message, "{line:?}");
        }
        let error = LabelList::parse(&format!("dog;{long}")).unwrap_err().to_string();
        assert!(error.starts_with("label 2: label has 1025 characters, at most 1024"), "{error}");
        assert!(error.len() < 300, "the whole text stands in the message");
    }

    #[test]
    fn a_list_holds_a_thousand_labels_and_no_more() {
        let line = |count: usize| (0..count).map(|i| i.to_string()).collect::<Vec<_>>().join(";");
        assert_eq!(LabelList::parse(&line(1_000)).unwrap().len(), 1_000);
        assert_eq!(LabelList::parse(&line(1_001)), Err(LabelError::TooMany { found: 1_001 }));
    }

    #[test]
    fn a_name_falls_back_to_region_free_language_then_english_then_the_label() {
        let mut label = Label::new("dog barking");
        assert_eq!(label.display_name("de"), "dog barking");
        label.names.insert("en".into(), "Dog barking".into());
        label.names.insert("de".into(), "Hundegebell".into());
        for (language, name) in
            [("de", "Hundegebell"), ("de-AT", "Hundegebell"), ("DE_ch", "Hundegebell"), ("fr", "Dog barking")]
        {
            assert_eq!(label.display_name(language), name, "{language}");
        }
    }
}
