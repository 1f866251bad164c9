//! Which sounds are meant by the words of a question.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::question::tokens;
use crate::catalogue::Questions;
use crate::evidence::Sound;

/// Shortest stem that is left of a word.
const SHORTEST_STEM: usize = 3;

/// Compares words without their endings, and words that mean the same as one.
pub(crate) struct Matcher<'a> {
    words: &'a Questions,
    /// Stem → the first of its synonyms' stems.
    same: HashMap<String, String>,
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(words: &'a Questions) -> Self {
        let mut matcher = Self { words, same: HashMap::new() };
        for group in &words.synonyms {
            let stems: Vec<String> = group.iter().map(|word| matcher.stem(word)).collect();
            if let Some(first) = stems.first() {
                for stem in &stems {
                    matcher.same.entry(stem.clone()).or_insert_with(|| first.clone());
                }
            }
        }
        matcher
    }

    /// The sounds that the words mean, in their order.
    ///
    /// A label is meant where its words are all among those asked about, or those asked about all among its own; of
    /// several the ones with the most words in common: `dog` means every dog, `dog barking` no growling one. Sounds on
    /// both sides of an `or` are both meant.
    pub(crate) fn sounds(&self, words: &[String], sounds: &[Arc<Sound>]) -> Vec<Arc<Sound>> {
        let mut labels: HashMap<&str, BTreeSet<usize>> = HashMap::new();
        let parts: Vec<BTreeSet<String>> =
            words.split(|word| self.words.or.contains(word)).map(|part| self.stems(part.iter())).collect();
        let mut best = vec![0; parts.len()];
        let mut common: Vec<(&str, usize, usize)> = Vec::new();
        for sound in sounds {
            if labels.contains_key(sound.label.as_str()) {
                continue;
            }
            labels.insert(&sound.label, BTreeSet::new());
            for name in [&sound.label].into_iter().chain(sound.names.values()) {
                let name = self.stems(tokens(name).iter().filter(|word| !self.words.skip.contains(*word)));
                for (place, part) in parts.iter().enumerate() {
                    let fits = !part.is_empty()
                        && !name.is_empty()
                        && (name.is_subset(part) || part.is_subset(&name));
                    if fits {
                        let shared = name.intersection(part).count();
                        best[place] = best[place].max(shared);
                        common.push((&sound.label, place, shared));
                    }
                }
            }
        }
        for (label, place, shared) in common {
            if shared == best[place]
                && let Some(places) = labels.get_mut(label)
            {
                places.insert(place);
            }
        }
        let meant =
            |sound: &&Arc<Sound>| labels.get(sound.label.as_str()).is_some_and(|places| !places.is_empty());
        sounds.iter().filter(meant).cloned().collect()
    }

    fn stems<'w>(&self, words: impl Iterator<Item = &'w String>) -> BTreeSet<String> {
        words.flat_map(|word| word.split('-')).map(|word| self.meaning(word)).collect()
    }

    /// The stem that stands for the word and its synonyms.
    fn meaning(&self, word: &str) -> String {
        let stem = self.stem(word);
        self.same.get(&stem).cloned().unwrap_or(stem)
    }

    /// The word without its ending, and without a doubled or silent letter that the ending made.
    fn stem(&self, word: &str) -> String {
        let word = word.to_lowercase();
        let ended = self.words.endings.iter().find_map(|(ending, instead)| {
            let stem = word.strip_suffix(ending.as_str())?;
            (stem.chars().count() >= SHORTEST_STEM).then(|| format!("{stem}{instead}"))
        });
        let mut stem = ended.unwrap_or(word);
        for silent in ['e', 'i'] {
            if stem.ends_with(silent) && stem.chars().count() > SHORTEST_STEM {
                stem.pop();
            }
        }
        let mut ends = stem.chars().rev();
        if let (Some(a), Some(b)) = (ends.next(), ends.next())
            && a == b
            && stem.chars().count() > SHORTEST_STEM
        {
            stem.pop();
        }
        stem
    }
}
