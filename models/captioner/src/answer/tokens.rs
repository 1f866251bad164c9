//! A question as words, and phrases among them.

use crate::catalogue::Questions as Words;
use crate::words::{is_strange, plain};

/// What stands in front of a word that is a whole label: no question holds it, because it is no letter.
const WHOLE: char = '\u{1}';

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// In lower case.
    pub word: String,
    /// As it was typed.
    pub shown: String,
}

impl Token {
    /// Several words that are a label: none of them asks for anything.
    pub(crate) fn whole(tokens: &[Token]) -> Token {
        let join = |part: fn(&Token) -> &str| tokens.iter().map(part).collect::<Vec<_>>().join(" ");
        Token { word: format!("{WHOLE}{}", join(|t| &t.word)), shown: join(|t| &t.shown) }
    }

    /// Its words where it is a whole label, else itself.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.word.trim_start_matches(WHOLE).split(' ')
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.word.starts_with(WHOLE)
    }
}

/// The words of a text; hyphens, and marks between digits, stay within them.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let text: Vec<char> = plain(text).replace('’', "'").chars().filter(|c| !is_strange(*c)).collect();
    let is_part = |at: usize| {
        let digit = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(char::is_ascii_digit);
        match text[at] {
            ':' | '.' | ',' => digit(at.checked_sub(1)) && digit(Some(at + 1)),
            // Accents that are characters of their own belong to their letter.
            '\u{300}'..='\u{36f}' | '-' | '\'' => true,
            c => c.is_alphanumeric(),
        }
    };
    let mut found = Vec::new();
    let mut word = String::new();
    for (at, c) in text.iter().enumerate() {
        if is_part(at) {
            word.push(*c);
        } else {
            found.extend(token(&word));
            word.clear();
        }
    }
    found.extend(token(&word));
    found
}

fn token(word: &str) -> Option<Token> {
    let shown = word.trim_matches(['-', '\'']);
    let word = shown.to_lowercase();
    let word = word.strip_suffix("'s").unwrap_or(&word);
    (!word.is_empty()).then(|| Token { word: word.to_owned(), shown: shown.to_owned() })
}

/// The words of a question: `wasn't` is two.
pub(crate) fn question(text: &str, words: &Words) -> Vec<Token> {
    let whole = |token: Token| {
        let split = words.contractions.iter().find_map(|(ending, instead)| {
            let stem = token.word.strip_suffix(ending.as_str())?;
            Some(format!("{stem}{instead}"))
        });
        match split {
            None => vec![token],
            Some(split) => {
                split.split(' ').map(|word| Token { word: word.to_owned(), shown: word.to_owned() }).collect()
            }
        }
    };
    tokens(text).into_iter().flat_map(whole).collect()
}

/// Whether a phrase stands at the beginning.
pub(crate) fn starts_with(tokens: &[Token], phrase: &[&str]) -> bool {
    tokens.len() >= phrase.len() && tokens.iter().zip(phrase).all(|(token, word)| token.word == *word)
}

/// The length of the longest phrase that stands at the beginning.
pub(crate) fn longest(tokens: &[Token], phrases: &[String]) -> Option<usize> {
    let lengths = phrases.iter().filter_map(|phrase| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        starts_with(tokens, &phrase).then_some(phrase.len())
    });
    lengths.max()
}

/// Where the first of the phrases stands, and its length.
pub(crate) fn position(tokens: &[Token], phrases: &[String]) -> Option<(usize, usize)> {
    (0..tokens.len()).find_map(|at| longest(&tokens[at..], phrases).map(|length| (at, length)))
}

/// Takes one of the phrases out, and says whether there was one.
pub(crate) fn take(tokens: &mut Vec<Token>, phrases: &[String]) -> bool {
    match position(tokens, phrases) {
        Some((at, length)) => {
            tokens.drain(at..at + length);
            true
        }
        None => false,
    }
}

/// What stands in a phrase for other words in between: `hörte … auf`.
const APART: &str = " … ";

/// Takes a phrase in two parts out, of which the second ends the question: elsewhere it is another word (`auf der Straße`).
pub(crate) fn take_around(tokens: &mut Vec<Token>, phrases: &[String]) -> bool {
    phrases.iter().filter_map(|phrase| phrase.split_once(APART)).any(|(first, last)| {
        let last: Vec<&str> = last.split(' ').collect();
        let Some(end) = tokens.len().checked_sub(last.len()) else { return false };
        if !starts_with(&tokens[end..], &last) {
            return false;
        }
        let Some((at, length)) = position(&tokens[..end], &[first.to_owned()]) else { return false };
        tokens.truncate(end);
        tokens.drain(at..at + length);
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_and_decimals_are_words_and_other_marks_are_not() {
        let words: Vec<String> =
            tokens("At 12:05, or 1.5 min: Dog's re-run?").into_iter().map(|t| t.word).collect();
        assert_eq!(words, ["at", "12:05", "or", "1.5", "min", "dog", "re-run"]);
        assert_eq!(tokens("Über")[0], Token { word: "über".into(), shown: "Über".into() });
    }

    #[test]
    fn a_phrase_may_stand_around_other_words_where_it_ends_the_question() {
        let phrases = ["zu ende".to_owned(), "hörte … auf".to_owned()];
        let left = |text: &str| {
            let mut found = tokens(text);
            take_around(&mut found, &phrases)
                .then(|| found.into_iter().map(|token| token.word).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(left("Wann hörte der Beifall auf?").as_deref(), Some("wann der beifall"));
        for other in [
            "Auf der Straße hörte ich Beifall",
            "Was hörte man auf der Straße?",
            "auf",
            "Wann war er zu Ende?",
        ] {
            assert_eq!(left(other), None, "{other}");
        }
    }
}
