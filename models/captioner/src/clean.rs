//! A model's text as a caption: one line, no more than fits.

use crate::MAX_TEXT;
use crate::words::{is_strange, plain};

/// The text as one line of at most [`MAX_TEXT`] bytes, and whether it is whole.
pub(crate) fn line(text: &str) -> (String, bool) {
    let mut line = plain(text);
    if line.len() <= MAX_TEXT {
        return (line, true);
    }
    let mark = "…";
    let mut end = MAX_TEXT - mark.len();
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line.truncate(line.trim_end().len());
    line.push_str(mark);
    (line, false)
}

/// A part of a text that is still being written, with a space for each strange character.
pub(crate) fn part(text: &str) -> String {
    text.replace(is_strange, " ")
}

/// What a language model answered, without what it thought before and without quotation marks around the whole.
pub(crate) fn answer(text: &str) -> (String, bool) {
    // Reasoning models write their thoughts first; where they were cut off there is nothing but thoughts.
    let said = match text.trim_start().strip_prefix("<think>") {
        Some(thoughts) => thoughts.split_once("</think>").map_or("", |(_, said)| said),
        None => text,
    };
    let said = said.trim();
    let unquoted = [('"', '"'), ('“', '”'), ('„', '“'), ('«', '»')].iter().find_map(|&(open, close)| {
        let inner = said.strip_prefix(open)?.strip_suffix(close)?;
        (!inner.contains([open, close])).then_some(inner)
    });
    line(unquoted.unwrap_or(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_is_one_line_without_controls() {
        assert_eq!(answer("A dog\n\nbarks.\u{7}\n"), ("A dog barks.".into(), true));
        assert_eq!(answer("\"A dog barks.\""), ("A dog barks.".into(), true));
        assert_eq!(answer("\"Ring\" and \"ding\""), ("\"Ring\" and \"ding\"".into(), true));
    }

    #[test]
    fn a_part_keeps_its_spaces_and_holds_no_controls() {
        assert_eq!(part(" dog\u{0}\u{12}\n barks"), " dog    barks");
    }

    #[test]
    fn thoughts_are_not_said() {
        assert_eq!(answer("<think>\nhm\n</think>\n\nRain."), ("Rain.".into(), true));
        assert_eq!(answer("<think>and I never"), (String::new(), true));
    }

    #[test]
    fn a_text_that_is_too_long_says_that_it_was_cut() {
        let (line, whole) = line(&"ä ".repeat(5000));
        assert!(!whole && line.len() <= MAX_TEXT && line.ends_with("ä…"), "{}", line.len());
    }
}
