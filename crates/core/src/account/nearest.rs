//! Suggestions for misspelt words.

use std::cmp::Reverse;

use strsim::osa_distance;

/// Returns the word of the list with the fewest edits (insert, delete, replace, swap neighbours),
/// ignoring case. `None` if that takes more than two edits, or more than one in a short word.
pub(super) fn nearest(word: &str, words: &[&'static str]) -> Option<&'static str> {
    let word: String = word.chars().flat_map(char::to_lowercase).take(32).collect();
    let length = word.chars().count();
    let limit = if length <= 3 { 1 } else { 2 };
    // A beginning that only one word has names it.
    let begins =
        |candidate: &&&'static str| length >= 3 && candidate.to_lowercase().starts_with(&word);
    let mut beginning = words.iter().filter(begins);
    if let (Some(only), None) = (beginning.next(), beginning.next()) {
        return Some(only);
    }
    let by_distance = |candidate: &&'static str| {
        let letters = candidate.to_lowercase();
        let distance = osa_distance(&word, &letters);
        // The beginning of a word suggests that word before any other.
        let is_cut = length >= 3 && letters.starts_with(&word);
        // Of words that are as near, the one that begins alike.
        let alike = word.chars().zip(letters.chars()).take_while(|(a, b)| a == b).count();
        (if is_cut { distance.min(1) } else { distance }, Reverse(alike), *candidate)
    };
    let near = words.iter().map(by_distance).min_by_key(|it| (it.0, it.1))?;
    let (distance, _, nearest) = near;
    (distance <= limit).then_some(nearest)
}

/// Returns a suggestion for the end of a message.
pub(super) fn hint(suggestion: &Option<&'static str>) -> String {
    suggestion.map(|word| format!("; did you mean {word:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!(osa_distance("", "abc"), 3);
        assert_eq!(osa_distance("abc", ""), 3);
        assert_eq!(osa_distance("safe", "saef"), 1);
        assert_eq!(osa_distance("kitten", "sitting"), 3);
        assert_eq!(nearest("frgo", &["Toad", "Frog"]), Some("Frog"));
        assert_eq!(nearest("", &["Toad", "Frog"]), None);
        assert_eq!(nearest("lega", &["leg", "legal", "legend"]), Some("legal"));
        assert_eq!(nearest("yelow", &["below", "yellow"]), Some("yellow"));
        assert_eq!(nearest("wafe", &["safe", "wave"]), Some("wave"));
        assert_eq!(nearest("leg", &["legs", "legal", "lag"]), Some("legs"));
    }
}
