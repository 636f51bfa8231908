//! Keys and phrases as people keep them: with comments, quotes, numbers, names of variables.

use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Form, hex_digits};
use crate::account::{Language, Mnemonic};

/// A text without what is around a secret, and what that was.
#[derive(Default)]
pub(super) struct Cleaned {
    pub(super) text: Zeroizing<String>,
    pub(super) removed: Vec<&'static str>,
}

/// Members of JSON objects that hold a secret.
const MEMBERS: [&str; 12] = [
    "private_key",
    "privateKey",
    "privatekey",
    "privkey",
    "secret_key",
    "secretKey",
    "extended_key",
    "xprv",
    "mnemonic",
    "phrase",
    "seed_phrase",
    "seedPhrase",
];

/// How deep texts are nested in each other.
const MAX_NESTED: usize = 4;

/// Removes what is around a secret. A text that stays what it was is returned as it is, trimmed.
pub(super) fn clean(text: &str) -> Cleaned {
    clean_to(text, MAX_NESTED)
}

fn clean_to(text: &str, depth: usize) -> Cleaned {
    let mut cleaned = Cleaned { text: Zeroizing::new(trim(text).to_owned()), removed: Vec::new() };
    if text.starts_with('\u{feff}') {
        cleaned.removed.push("a byte order mark");
    }
    for left in (0..depth).rev() {
        let Some((inner, what)) = unwrap(&cleaned.text, left) else { break };
        if !what.is_empty() {
            cleaned.removed.push(what);
        }
        cleaned.text = inner;
    }
    cleaned
}

/// Removes one layer, and says which; none if the text is a secret of a known form, or unknown.
fn unwrap(text: &str, depth: usize) -> Option<(Zeroizing<String>, &'static str)> {
    let some = |inner: &str, what| Some((Zeroizing::new(trim(inner).to_owned()), what));
    if text.contains(is_invisible) {
        let visible: Zeroizing<String> =
            Zeroizing::new(text.chars().filter(|c| !is_invisible(*c)).collect());
        return Some((visible, "invisible characters"));
    }
    if text.starts_with('"')
        && let Ok(Value::String(mut inner)) = serde_json::from_str(text)
    {
        let unwrapped = some(&inner, "quotes");
        inner.zeroize();
        return unwrapped;
    }
    if text.starts_with('{') {
        return member(text);
    }
    for quote in ['"', '\'', '`'] {
        let bare = text.trim_end_matches([',', ';']);
        if let Some(inner) = bare.strip_prefix(quote).and_then(|it| it.strip_suffix(quote)) {
            return some(inner, "quotes");
        }
    }
    if is_comment(text.lines().next()?) || text.lines().count() > 1 && text.lines().any(is_comment)
    {
        let lines: Vec<_> = text.lines().filter(|line| !is_comment(line)).collect();
        return some(&lines.join("\n"), "comments").filter(|(inner, _)| !inner.is_empty());
    }
    // `# mine` behind the key.
    if let Some((before, _)) = text.split_once(" #").or_else(|| text.split_once(" //"))
        && text.lines().count() == 1
    {
        return some(before, "a comment");
    }
    // Hex in pieces: over two lines, or with separators.
    let joined: Zeroizing<String> = Zeroizing::new(
        text.chars().filter(|c| !(c.is_whitespace() || matches!(c, ':' | '-' | '_'))).collect(),
    );
    let is_key = hex_digits(&joined).is_some_and(|digits| digits.len() == 64);
    if joined.len() < text.len() && is_key {
        let what = if text.contains('\n') { "line breaks" } else { "separators" };
        return Some((joined, what));
    }
    // `export PRIVATE_KEY=…`, `key: …`
    let (name, value) = text.split_once(['=', ':']).unwrap_or_default();
    let name = name.trim().trim_start_matches("export ").trim();
    let is_name = !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '))
        && name.chars().any(|c| c.is_ascii_alphabetic())
        && hex_digits(name).is_none_or(|digits| digits.len() < 16);
    if is_name && is_secret(&clean_to(value, depth).text) {
        return some(value, "the name of a variable");
    }
    None
}

fn is_secret(text: &str) -> bool {
    match Form::of_clean(text) {
        Some(Form::Phrase) => Mnemonic::parse(text).is_ok() || without_decoration(text).is_some(),
        Some(Form::ExtendedPublic) | None => false,
        Some(_) => true,
    }
}

/// The one secret in a JSON object that is neither a key file nor a record.
fn member(text: &str) -> Option<(Zeroizing<String>, &'static str)> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    let members = value.as_object_mut()?;
    if members.contains_key("type")
        || members.keys().any(|name| name.eq_ignore_ascii_case("crypto"))
    {
        return None;
    }
    let mut found = members.iter_mut().filter(|(name, _)| MEMBERS.contains(&name.as_str()));
    let secret = match (found.next(), found.next()) {
        (Some((_, Value::String(text))), None) => Zeroizing::new(std::mem::take(text)),
        _ => return None,
    };
    Some((Zeroizing::new(trim(&secret).to_owned()), "a JSON object"))
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('#') || line.starts_with("//") || line.starts_with(';')
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{ad}')
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c) || c == '\0')
}

/// The valid phrase in a text with capitals, commas, numbers, or words of four letters, and what
/// was changed. `None` if there is none.
pub(super) fn without_decoration(text: &str) -> Option<(Mnemonic, Vec<&'static str>)> {
    let mut removed = Vec::new();
    let mut note = |what| {
        if !removed.contains(&what) {
            removed.push(what);
        }
    };
    // Only letters and their accents are words.
    let is_mark =
        |c: char| ('\u{300}'..='\u{36f}').contains(&c) || ('\u{3099}'..='\u{309a}').contains(&c);
    let parts = || text.split(|c: char| !(c.is_alphabetic() || is_mark(c)));
    let mut words: Vec<Zeroizing<String>> =
        parts().filter(|it| !it.is_empty()).map(|it| Zeroizing::new(it.to_lowercase())).collect();
    if words.len() > 24 {
        return None;
    }
    if text.chars().any(|c| c.is_ascii_digit()) {
        note("numbers");
    }
    if text.chars().any(|c| c.is_ascii_punctuation()) {
        note("punctuation");
    }
    if text.chars().any(char::is_uppercase) {
        note("capitals");
    }
    let phrase = |words: &[Zeroizing<String>]| {
        let texts: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
        let joined = Zeroizing::new(texts.join(" "));
        Mnemonic::parse(&joined).ok()
    };
    if let Some(phrase) = phrase(&words) {
        return Some((phrase, removed));
    }
    // The first four letters name each word of the English list.
    for word in &mut words {
        let full = full_word(word)?;
        *word = Zeroizing::new(full.to_owned());
    }
    removed.push("words cut to four letters");
    Some((phrase(&words)?, removed))
}

fn full_word(word: &str) -> Option<&'static str> {
    let list = Language::ENGLISH.words();
    if let Some(exact) = list.iter().find(|listed| **listed == word) {
        return Some(exact);
    }
    let mut matches = list.iter().filter(|listed| word.len() >= 4 && listed.starts_with(word));
    matches.next().filter(|_| matches.next().is_none()).copied()
}
