//! Labels as parts of a sentence.
//!
//! A label is any text. One that is a plain phrase gets the article that its head noun asks for, where the catalogue
//! knows how (English); anything else stands in quotes, which is grammatical for any text.

use crate::catalogue::{Articles, Messages};
use crate::words::{cut, plain};

/// Longest label that is a phrase, in characters and words.
const MAX_PHRASE: usize = 60;
const MAX_WORDS: usize = 8;
/// Longest label in quotes, in characters.
const MAX_QUOTED: usize = 60;

/// The label `name` as it stands within a sentence.
pub(crate) fn phrase(name: &str, messages: &Messages) -> String {
    let given = name;
    let name = plain(&given.replace('_', " "));
    let letters = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '\'' | '’');
    let is_phrase = name.chars().all(letters)
        && name.chars().any(char::is_alphabetic)
        && name.chars().count() <= MAX_PHRASE
        && name.split(' ').count() <= MAX_WORDS;
    if !is_phrase {
        return quoted(given, messages);
    }
    let mut name = name;
    if messages.labels.lower_initial && is_heading(&name) {
        name = lower_initial(&name);
    }
    match &messages.labels.articles {
        None => name,
        Some(articles) => {
            let words: Vec<&str> = name.split(' ').collect();
            if has_finite_verb(&words, articles) {
                quoted(&name, messages)
            } else {
                with_articles(&words, articles)
            }
        }
    }
}

/// Any text as a mention of it.
pub(crate) fn quoted(text: &str, messages: &Messages) -> String {
    // No mark of quotation within, so that the reader sees where it ends.
    let inner: String = plain(text)
        .chars()
        .map(|c| if matches!(c, '"' | '“' | '”' | '„' | '«' | '»') { '\'' } else { c })
        .collect();
    let inner = cut(&inner, MAX_QUOTED);
    messages.labels.quoted.fill(&[("name", if inner.is_empty() { "?" } else { &inner })])
}

/// Whether the one capital, at the beginning, is that of a heading: sounds seldom have names, and those that do mostly
/// have more capitals (`Big Ben`).
fn is_heading(name: &str) -> bool {
    name.starts_with(char::is_uppercase) && name.chars().filter(|c| c.is_uppercase()).count() == 1
}

fn is_gerund(word: &str, articles: &Articles) -> bool {
    let lower = word.to_lowercase();
    lower.len() >= 5 && lower.ends_with("ing") && !articles.nouns_in_ing.contains(&lower)
}

fn lower_initial(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Whether it is a sentence rather than a noun phrase: `a dog barks loudly`. Only phrases with a determiner are asked: in
/// `dog barks` the last word may be a plural.
fn has_finite_verb(words: &[&str], articles: &Articles) -> bool {
    let Some((first, rest)) = words.split_first() else { return false };
    let singular = ["a", "an", "one", "someone", "somebody", "everyone", "everybody", "this", "that", "the"];
    if !singular.contains(&first.to_lowercase().as_str()) {
        return false;
    }
    let mut verbs = 0;
    let mut behind_preposition = false;
    for (place, word) in rest.iter().enumerate() {
        let lower = word.to_lowercase();
        if articles.prepositions.contains(&lower) {
            behind_preposition = true;
            continue;
        }
        let third_person =
            is_plural(&lower, articles) || matches!(lower.as_str(), "is" | "has" | "was" | "goes");
        // The first noun of `the dogs` is no verb.
        let can_be =
            place > 0 || first.to_lowercase().ends_with("one") || first.to_lowercase().ends_with("body");
        verbs += usize::from(third_person && can_be && !behind_preposition);
    }
    verbs > 0 && !(words.len() == 3 && first.eq_ignore_ascii_case("the"))
}

/// The phrase with an article in front of each part that needs one.
fn with_articles(words: &[&str], articles: &Articles) -> String {
    let mut parts: Vec<String> = Vec::new();
    // `cat and dog` has two heads; `cup and saucer of tea` is told no worse with one article in front of each.
    for part in words.split_inclusive(|word| articles.join.contains(&word.to_lowercase())) {
        let (noun, join) = match part.split_last() {
            Some((last, rest)) if articles.join.contains(&last.to_lowercase()) => (rest, Some(*last)),
            _ => (part, None),
        };
        let text = noun.join(" ");
        parts.push(match article(noun, articles) {
            Some(article) => format!("{article} {text}"),
            None => text,
        });
        parts.extend(join.map(str::to_owned));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

/// The article that a noun phrase without one needs.
fn article<'a>(words: &[&str], articles: &'a Articles) -> Option<&'a str> {
    let first = words.first()?;
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    if articles.determiners.contains(&lower[0]) || articles.prepositions.contains(&lower[0]) {
        return None;
    }
    // Other scripts and languages have other articles.
    if !words.iter().all(|word| word.chars().all(|c| c.is_ascii() || c == '’')) {
        return None;
    }
    // The head stands in front of a preposition, and of the verb in `dog barking`.
    let end = lower
        .iter()
        .skip(1)
        .position(|word| articles.prepositions.contains(word))
        .map_or(lower.len(), |at| at + 1);
    let head_end = (1..end).find(|&at| is_gerund(&lower[at], articles)).unwrap_or(end);
    let head = &lower[head_end - 1];
    // `knocking on a door`, `speaking`; `barking dog` has a noun behind.
    if is_gerund(head, articles) {
        return None;
    }
    let bare = articles.without.contains(head)
        || head_end == lower.len() && articles.without.contains(&lower.join(" "))
        || is_plural(head, articles)
        || head.chars().any(|c| c.is_ascii_digit())
        // A name: `Big Ben`, `Beethoven`. An abbreviation is none: `a TV`.
        || words[head_end - 1].starts_with(char::is_uppercase)
            && words[head_end - 1].chars().skip(1).any(char::is_lowercase);
    if bare {
        return None;
    }
    Some(if begins_with_vowel(first, articles) { &articles.before_vowel } else { &articles.before_consonant })
}

fn is_plural(word: &str, articles: &Articles) -> bool {
    word.len() > 2
        && word.ends_with('s')
        && !word.ends_with("ss")
        && !word.ends_with("us")
        && !word.ends_with("'s")
        && !word.ends_with("’s")
        && !articles.singular_in_s.contains(word)
}

fn begins_with_vowel(word: &str, articles: &Articles) -> bool {
    let lower = word.to_lowercase();
    let begins = |with: &[String]| with.iter().any(|beginning| lower.starts_with(beginning.as_str()));
    // Abbreviations are spelt out: an `MRI`, a `UPS`.
    if word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase()) {
        return word.starts_with(['A', 'E', 'F', 'H', 'I', 'L', 'M', 'N', 'O', 'R', 'S', 'X']);
    }
    if begins(&articles.sounds_as_vowel) {
        return true;
    }
    !begins(&articles.sounds_as_consonant) && lower.starts_with(['a', 'e', 'i', 'o', 'u'])
}
