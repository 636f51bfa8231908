//! Words that people may have meant.

/// The word of the list with the fewest edits (insert, delete, replace, swap of neighbours),
/// capitals aside. At most two edits are near; in short words, one.
pub(super) fn nearest(word: &str, words: &[&'static str]) -> Option<&'static str> {
    let word: Vec<char> = word.chars().flat_map(char::to_lowercase).take(32).collect();
    let limit = if word.len() <= 3 { 1 } else { 2 };
    let by_distance = |candidate: &&'static str| {
        let letters: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
        // A word cut short is nearer to how it begins than to anything else.
        let cut = word.len() >= 3 && letters.starts_with(&word);
        let distance = edits(&word, &letters);
        (if cut { distance.min(1) } else { distance }, *candidate)
    };
    let (distance, nearest) = words.iter().map(by_distance).min_by_key(|it| it.0)?;
    (distance <= limit).then_some(nearest)
}

/// The optimal string alignment distance.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replace = previous[j] + usize::from(x != y);
            let mut best = replace.min(previous[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut previous, row);
    }
    previous[b.len()]
}

/// A suggestion for the end of a message.
pub(super) fn hint(suggestion: &Option<&'static str>) -> String {
    suggestion.map(|word| format!("; did you mean {word:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        let count = |a: &str, b: &str| {
            edits(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
        };
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("abc", ""), 3);
        assert_eq!(count("safe", "saef"), 1);
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(nearest("frgo", &["Toad", "Frog"]), Some("Frog"));
        assert_eq!(nearest("", &["Toad", "Frog"]), None);
    }
}
