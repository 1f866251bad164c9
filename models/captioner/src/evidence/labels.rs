//! What is listened for: told by whoever knows the list, or known from what was heard.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Sound;

/// Most labels that are remembered, and their bytes.
const MOST: usize = 4096;
const MOST_BYTES: usize = 2 << 20;

/// A label, and what people call it by language.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Label {
    /// The label: free text.
    pub label: String,
    /// Its names.
    pub names: BTreeMap<String, String>,
}

impl Label {
    /// What people of `language` call it, as [`Sound::name`].
    pub fn name(&self, language: &str) -> &str {
        super::sound::name_in(&self.label, &self.names, language)
    }
}

/// The labels that are listened for, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    all: Vec<Arc<Label>>,
    known: HashSet<Arc<str>>,
    bytes: usize,
    /// Whether these are all there are.
    complete: bool,
}

impl Labels {
    /// The labels that are known, in the order in which they became so.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Label>> {
        self.all.iter()
    }

    /// Whether no others are listened for.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// What was heard was listened for.
    pub(super) fn heard(labels: &mut Arc<Labels>, sound: &Sound) {
        if labels.complete || labels.all.len() >= MOST || labels.known.contains(sound.label.as_str()) {
            return;
        }
        let label = Label { label: sound.label.clone(), names: sound.names.clone() };
        Arc::make_mut(labels).push(label);
    }

    /// These are all. Labels that are listened for no more stay known where they were heard: answers find them there.
    pub(super) fn listen_for(labels: &mut Arc<Labels>, told: impl IntoIterator<Item = Label>) {
        let told: Vec<Label> = told.into_iter().collect();
        let same = labels.complete
            && labels.all.len() == told.len()
            && labels.all.iter().zip(&told).all(|(known, told)| **known == *told);
        if same {
            return;
        }
        let mut new = Labels { complete: true, ..Labels::default() };
        for label in told {
            // What there is no room for cannot be answered for: then the list is not whole.
            new.complete &= new.push(label);
        }
        *labels = Arc::new(new);
    }

    fn push(&mut self, label: Label) -> bool {
        let names: usize = label.names.iter().map(|(language, name)| language.len() + name.len()).sum();
        let bytes = size_of::<Label>() + label.label.len() + names;
        if self.all.len() >= MOST || self.bytes + bytes > MOST_BYTES {
            return false;
        }
        self.bytes += bytes;
        self.known.insert(label.label.as_str().into());
        self.all.push(Arc::new(label));
        true
    }
}
