//! Free text made harmless: one line, no control characters, no more than so many.

/// Whether a character may make a reader see something else than is there: controls, line and paragraph separators,
/// marks of direction, characters of no width, private use, and Unicode's tags.
pub(crate) fn is_strange(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// The text with one space for each run of spaces and strange characters, none at its ends.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || is_strange(c)).filter(|word| !word.is_empty()) {
        if !plain.is_empty() {
            plain.push(' ');
        }
        plain.push_str(word);
    }
    plain
}

/// The text's first `most` characters, with `…` in the last place where there were more.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(most.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
    }
}

/// The form in which labels are compared: lower case, one space for any run of spaces and underscores.
pub(crate) fn same_form(label: &str) -> String {
    plain(&label.replace('_', " ")).to_lowercase()
}

/// A moment as people read it: `1:02:03`.
pub(crate) fn clock(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Nanoseconds as seconds, to a tenth.
pub(crate) fn tenths(ns: u64) -> f64 {
    ((ns as f64) / 1e8).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_controls_and_marks_of_direction_become_one_space() {
        assert_eq!(plain(" a\r\n\u{0}b\u{202e}\u{200b} c\u{e0041} "), "a b c");
        assert_eq!(plain("Glöckchen – 鈴"), "Glöckchen – 鈴");
    }

    #[test]
    fn a_long_text_says_that_it_was_cut() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abc ef", 5), "abc…");
        assert_eq!(cut("ééééé", 3), "éé…");
    }

    #[test]
    fn moments_are_read_as_hours_minutes_and_seconds() {
        assert_eq!(clock(3_723_999_999_999), "1:02:03");
        assert_eq!(tenths(3_149_999_999), 3.1);
    }
}
