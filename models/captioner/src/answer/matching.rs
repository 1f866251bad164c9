//! Which sounds are meant by the words of a question.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::tokens::{Token, tokens};
use crate::catalogue::Questions;
use crate::evidence::Scene;
use crate::words::same_form;

/// Shortest stem that is left of a word.
const SHORTEST_STEM: usize = 3;
/// Words of a label that are compared.
const MOST_WORDS: usize = 16;

/// Compares words without their endings, and words that mean the same as one.
pub(crate) struct Matcher<'a> {
    words: &'a Questions,
    /// Stem → the first of its synonyms' stems.
    same: HashMap<String, String>,
    known: Vec<Known>,
    /// Words that ask for something, so that a label that holds them must be known as a whole.
    asking: HashSet<&'a str>,
}

/// A label that may be meant.
struct Known {
    form: String,
    /// The stems of each of its names.
    names: Vec<BTreeSet<String>>,
    /// The names as words.
    phrases: Vec<Vec<String>>,
}

/// One of the sounds that a question names, between `or` and `and`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The labels that it means, in the form in which they are compared; none: it is no sound that is known.
    pub labels: BTreeSet<String>,
    /// Whether all its words say so; else the labels are only like it.
    pub exact: bool,
    /// The words, as they were typed.
    pub shown: String,
    /// Those that are of no label.
    pub unknown: Vec<String>,
}

impl<'a> Matcher<'a> {
    /// A matcher that knows what is listened for and what was heard.
    pub(crate) fn new(words: &'a Questions, scene: &Scene) -> Self {
        let asking = words.phrases().flat_map(|phrase| phrase.split(' ')).collect();
        let mut matcher = Self { words, same: HashMap::new(), known: Vec::new(), asking };
        for group in &words.synonyms {
            let stems: Vec<String> = group.iter().map(|word| matcher.stem(word)).collect();
            if let Some(first) = stems.first() {
                for stem in &stems {
                    matcher.same.entry(stem.clone()).or_insert_with(|| first.clone());
                }
            }
        }
        let told = scene.labels.iter().map(|label| (&label.label, &label.names));
        let heard = scene.sounds.iter().map(|sound| (&sound.label, &sound.names));
        let mut seen = HashSet::new();
        for (label, names) in told.chain(heard) {
            if seen.insert(label.as_str()) {
                let names: Vec<&String> = [label].into_iter().chain(names.values()).collect();
                let known = matcher.known(label, &names);
                matcher.known.push(known);
            }
        }
        matcher
    }

    fn known(&self, label: &str, names: &[&String]) -> Known {
        let mut known = Known { form: same_form(label), names: Vec::new(), phrases: Vec::new() };
        for name in names {
            let words: Vec<Token> = tokens(name).into_iter().take(MOST_WORDS).collect();
            let kept = |token: &&Token| !self.words.skip.contains(&token.word);
            let mut stems = self.stems(words.iter().filter(kept));
            if stems.is_empty() {
                // `noise` says nothing but where it is a label.
                stems = self.stems(words.iter());
            }
            known.names.push(stems);
            known.phrases.push(words.iter().map(|token| self.meaning(&token.word)).collect());
        }
        known
    }

    /// The words with labels that hold words of questions put together: `door opening and closing`, `last call`.
    pub(crate) fn protect(&self, tokens: Vec<Token>) -> Vec<Token> {
        let stems: Vec<String> = tokens.iter().map(|token| self.meaning(&token.word)).collect();
        let asks = |token: &Token| self.asking.contains(token.word.as_str());
        let says_nothing = |token: &Token| self.words.skip.contains(&token.word);
        let mut whole = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let phrases = self.known.iter().flat_map(|known| &known.phrases);
            let fits = phrases.filter(|phrase| stems[at..].starts_with(phrase)).map(Vec::len).max();
            let label = &tokens[at..at + fits.unwrap_or(0)];
            // A label that is a question's words alone stands for nothing else; one without any needs no help.
            let needs_help = label.iter().any(|token| asks(token) || says_nothing(token));
            let is_more = match label {
                [one] => !asks(one),
                _ => label.iter().any(|token| !asks(token) && !says_nothing(token)),
            };
            if needs_help && is_more {
                whole.push(Token::whole(label));
                at += label.len();
            } else {
                whole.push(tokens[at].clone());
                at += 1;
            }
        }
        whole
    }

    /// The sounds that the words name. Between `or` and `and` stands one each.
    pub(crate) fn parts(&self, tokens: &[Token]) -> Vec<Part> {
        let parts = tokens.split(|token| self.words.or.contains(&token.word));
        parts.filter_map(|part| self.part(part)).collect()
    }

    /// Whether a word may be of a sound's name.
    pub(crate) fn names_something(&self, token: &Token) -> bool {
        token.is_whole() || !self.words.skip.contains(&token.word)
    }

    /// A label is meant where its words are all among those asked about, or those asked about all among its own; of several
    /// the ones with the most words in common: `dog` means every dog, `dog barking` no growling one.
    fn part(&self, tokens: &[Token]) -> Option<Part> {
        let first = tokens.iter().position(|token| self.names_something(token))?;
        let last = tokens.iter().rposition(|token| self.names_something(token))?;
        let tokens = &tokens[first..=last];
        let shown = tokens.iter().map(|token| token.shown.as_str()).collect::<Vec<_>>().join(" ");
        let mut rest: Vec<&Token> = tokens.iter().filter(|token| self.names_something(token)).collect();
        let (mut labels, mut exact) = (BTreeSet::new(), true);
        while let Some((meant, covered, full)) = self.best(&rest) {
            // What only a part of the words means is like it, and not it.
            exact &= full && labels.is_empty();
            labels.extend(meant);
            rest.retain(|token| self.stems([*token].into_iter()).is_disjoint(&covered));
        }
        let unknown: Vec<String> = rest.iter().map(|token| token.shown.clone()).collect();
        Some(Part { exact: exact && unknown.is_empty(), labels, shown, unknown })
    }

    /// The labels that have the most in common with the words, the words in common, and whether either has all the
    /// other's.
    fn best(&self, words: &[&Token]) -> Option<(Vec<String>, BTreeSet<String>, bool)> {
        let asked = self.stems(words.iter().copied());
        let mut best = (false, 0);
        let mut found: Vec<(String, BTreeSet<String>)> = Vec::new();
        for (known, name) in
            self.known.iter().flat_map(|known| known.names.iter().map(move |name| (known, name)))
        {
            let shared: BTreeSet<String> =
                asked.iter().filter(|word| name.iter().any(|of| self.is_in(word, of))).cloned().collect();
            let rank = (name.is_subset(&asked) || shared.len() == asked.len(), shared.len());
            if shared.is_empty() || rank < best {
                continue;
            }
            if rank > best {
                found.clear();
                best = rank;
            }
            found.push((known.form.clone(), shared));
        }
        let covered = found.iter().flat_map(|(_, shared)| shared.clone()).collect();
        (best.1 > 0).then(|| (found.into_iter().map(|(form, _)| form).collect(), covered, best.0))
    }

    /// Whether a word is of a name's word: the same, or where words are put together its beginning or end.
    fn is_in(&self, word: &str, of: &str) -> bool {
        let long = || word.chars().count() >= SHORTEST_STEM;
        word == of || self.words.compounds && long() && (of.starts_with(word) || of.ends_with(word))
    }

    fn stems<'w>(&self, words: impl Iterator<Item = &'w Token>) -> BTreeSet<String> {
        words.flat_map(Token::words).flat_map(|word| word.split('-')).map(|word| self.meaning(word)).collect()
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
