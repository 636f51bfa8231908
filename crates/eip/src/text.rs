//! Texts from outside, in messages.

/// Returns the first 48 characters of a text, with an ellipsis if there are more.
pub(crate) fn excerpt(text: &str) -> String {
    const MOST: usize = 48;
    let mut chars = text.chars();
    let mut excerpt: String = chars.by_ref().take(MOST).collect();
    if chars.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}
