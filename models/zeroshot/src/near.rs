//! When two names mean the same, and which names lie near one that was not found.

/// The form in which names are compared: lower case, with one space where there is any run of spaces or underscores.
pub(crate) fn same_form(name: &str) -> String {
    let mut form = String::with_capacity(name.len());
    for word in name.split(|c: char| c.is_whitespace() || c == '_').filter(|word| !word.is_empty()) {
        if !form.is_empty() {
            form.push(' ');
        }
        form.extend(word.chars().flat_map(char::to_lowercase));
    }
    form
}

/// The names of `known` that are most like `name`, best first, at most three.
///
/// Like means: few letters differ (a third of the longer name at most), or one is a part of the other.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    // What is this long is no misspelt class, and the distance costs the product of both lengths.
    const LONGEST: usize = 64;
    let wanted: Vec<char> = same_form(name).chars().take(LONGEST).collect();
    let wanted_text: String = wanted.iter().collect();
    let mut near: Vec<(usize, &str)> = known
        .filter_map(|candidate| {
            let form = same_form(candidate);
            let letters: Vec<char> = form.chars().take(LONGEST).collect();
            let distance = edit_distance(&wanted, &letters);
            let contained = wanted.len() >= 3
                && letters.len() >= 3
                && (form.contains(&wanted_text) || wanted_text.contains(&form));
            (contained || distance * 3 <= wanted.len().max(letters.len())).then_some((distance, candidate))
        })
        .collect();
    near.sort_by_key(|(distance, candidate)| (*distance, same_form(candidate)));
    near.dedup_by_key(|(_, candidate)| same_form(candidate));
    near.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// `; near it: "a", "b"`, or nothing where there is none: the end of an error message.
pub(crate) fn hint(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = near.iter().map(|name| format!("{:?}", shown(name))).collect();
    format!("; near it: {}", quoted.join(", "))
}

/// A text as an error message shows it: its beginning, where it is long.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

/// Levenshtein's distance: letters to insert, remove or replace.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let replaced = diagonal + usize::from(*letter != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_spaces_and_underscores_do_not_make_another_name() {
        assert_eq!(same_form("  Dog_Barking "), "dog barking");
        assert_eq!(same_form("dog   barking"), "dog barking");
        assert_ne!(same_form("dogbarking"), "dog barking");
    }

    #[test]
    fn a_misspelt_name_is_told_its_neighbours() {
        let known = ["Dog", "Dog barking", "Siren", "Glass"];
        assert_eq!(nearest("dog braking", known.iter().copied()), ["Dog barking", "Dog"]);
        assert_eq!(nearest("sirene", known.iter().copied()), ["Siren"]);
        assert!(nearest("helicopter", known.iter().copied()).is_empty());
    }

    #[test]
    fn the_distance_counts_letters() {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        for (a, b, distance) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0)] {
            assert_eq!(edit_distance(&letters(a), &letters(b)), distance, "{a} {b}");
        }
    }

    #[test]
    fn a_long_text_is_shown_by_its_beginning() {
        assert_eq!(shown(&"ä".repeat(10_000)).chars().count(), 81);
    }
}
