//! Keys and phrases as people keep them: with comments, quotes, numbers, names of variables.

use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Form, hex_digits};
use crate::{
    account::{Language, Mnemonic},
    reader,
};

/// A text without what is around a secret, and what that was.
#[derive(Default)]
pub(super) struct Cleaned {
    pub(super) text: Zeroizing<String>,
    pub(super) removed: Vec<&'static str>,
}

/// Members of JSON objects that hold a secret, in small letters and without `_` and `-`.
const MEMBERS: [&str; 13] = [
    "privatekey",
    "privkey",
    "secretkey",
    "secret",
    "extendedkey",
    "xprv",
    "mnemonic",
    "phrase",
    "seedphrase",
    "recoveryphrase",
    "seed",
    "words",
    "key",
];

/// How deep texts are nested in each other.
const MAX_NESTED: usize = 4;

/// Removes what is around a secret. A text that stays what it was is returned as it is, trimmed.
pub(super) fn clean(text: &str) -> Cleaned {
    clean_to(text, MAX_NESTED)
}

fn clean_to(text: &str, depth: usize) -> Cleaned {
    let mut removed = Vec::new();
    if text.starts_with('\u{feff}') {
        removed.push("a byte order mark");
    }
    let visible = Zeroizing::new(reader::visible(text).into_owned());
    if *visible != text {
        removed.push("colours");
    }
    let mut cleaned = Cleaned { text: Zeroizing::new(trim(&visible).to_owned()), removed };
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
        // Between words without blanks, they are the blanks.
        let is_phrase = !text.contains(char::is_whitespace)
            && text.chars().filter(|c| is_invisible(*c)).count() >= 8
            && !text.contains(|c: char| c.is_ascii_digit());
        let shown = |c| match (is_invisible(c), is_phrase) {
            (true, true) => Some(' '),
            (true, false) => None,
            (false, _) => Some(c),
        };
        return Some((
            Zeroizing::new(text.chars().filter_map(shown).collect()),
            "invisible characters",
        ));
    }
    let plain = Zeroizing::new(reader::plain(text).into_owned());
    let is_typographic = |c: char| !c.is_ascii() && !c.is_whitespace();
    if text.contains(is_typographic) && plain.is_ascii() {
        // The letters of other languages stay as they are, and any blank separates words.
        return some(&plain, "typographic characters");
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
    let is_name = is_name && !is_of_other(name);
    if is_name && is_secret(&clean_to(value, depth).text) {
        return some(value, "the name of a variable");
    }
    if let Some(key) = only_key(text) {
        return Some((key, "the text around it"));
    }
    None
}

/// Whether a word says that a value is no private key.
fn is_of_other(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let others = ["pub", "uid", "hash", "sym", "address", "sig", "topic"];
    others.iter().any(|name| word.contains(name))
}

/// The only private key in a text, if what stands before it in its line does not call it something
/// else.
fn only_key(text: &str) -> Option<Zeroizing<String>> {
    let is_hex = |c: char| c.is_ascii_hexdigit();
    if hex_digits(text).is_some_and(|digits| digits.len() == 64) {
        return None;
    }
    let mut only: Option<Zeroizing<String>> = None;
    for line in text.lines() {
        for run in line.split(|c| !is_hex(c)).filter(|run| run.len() == 64) {
            let before = &line[..run.as_ptr() as usize - line.as_ptr() as usize];
            let words = before.split(|c: char| !c.is_ascii_alphabetic());
            let words: Vec<_> = words.map(str::to_ascii_lowercase).collect();
            // Beside other hex, such as an address, `0x` is no word.
            let mut words = words.iter().filter(|word| word.len() > 2 && !word.chars().all(is_hex));
            let names = |word: &&String| {
                ["key", "priv", "secret", "identity"].iter().any(|name| word.contains(name))
            };
            let is_other = |word: &String| is_of_other(word);
            let mut all = words.clone();
            let has_name = words.clone().next().is_none() || words.find(names).is_some();
            if !has_name || all.any(is_other) {
                return None;
            }
            if only.as_ref().is_some_and(|found| !found.eq_ignore_ascii_case(run)) {
                return None;
            }
            only = Some(Zeroizing::new(run.to_owned()));
        }
    }
    only
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
    let members = value.as_object()?;
    if members.contains_key("type")
        || members.keys().any(|name| name.eq_ignore_ascii_case("crypto"))
    {
        return None;
    }
    let mut found = Vec::new();
    secrets_in(&mut value, "", 0, &mut found);
    let secret = found.pop().filter(|_| found.is_empty())?;
    Some((Zeroizing::new(trim(&secret).to_owned()), "a JSON object"))
}

/// Takes the texts of all members that hold a secret by their names.
fn secrets_in(value: &mut Value, name: &str, depth: usize, found: &mut Vec<Zeroizing<String>>) {
    if depth > 8 || found.len() > 1 {
        return;
    }
    let bare = name.to_ascii_lowercase().replace(['_', '-'], "");
    let is_named = MEMBERS.contains(&bare.as_str());
    match value {
        Value::String(text) if is_named => found.push(Zeroizing::new(std::mem::take(text))),
        Value::Array(values)
            if is_named && values.len() > 1 && values.iter().all(Value::is_string) =>
        {
            let mut words = Zeroizing::new(String::new());
            for word in values.iter().filter_map(Value::as_str) {
                words.push_str(word);
                words.push(' ');
            }
            found.push(words);
        }
        Value::Array(values) => {
            values.iter_mut().for_each(|value| secrets_in(value, name, depth + 1, found));
        }
        Value::Object(members) => {
            members.iter_mut().for_each(|(name, value)| secrets_in(value, name, depth + 1, found))
        }
        _ => {}
    }
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

/// The valid phrase in a text with capitals, commas, numbers, a heading, or words of four letters,
/// and what was changed. `None` if there is none, or more than one.
pub(super) fn without_decoration(text: &str) -> Option<(Mnemonic, Vec<&'static str>)> {
    if let Some(numbered) = numbered(text) {
        let (phrase, others) = bare_phrase(&numbered)?;
        let mut removed = vec!["numbers"];
        removed.extend(text.contains(|c: char| c.is_ascii_punctuation()).then_some("punctuation"));
        removed.extend(others);
        return Some((phrase, removed));
    }
    if let Some(found) = bare_phrase(text) {
        return Some(found);
    }
    // A heading before it, or a remark behind.
    let after_colon = text.rsplit_once(':').map(|(_, rest)| rest);
    let parts = text.lines().chain(text.split("\n\n")).chain(after_colon);
    let mut found: Vec<(Mnemonic, Vec<&'static str>)> = Vec::new();
    for part in parts.take(64) {
        if let Some((phrase, removed)) = bare_phrase(part)
            && found.iter().all(|(other, _)| *other != phrase)
        {
            found.push((phrase, removed));
        }
    }
    let (phrase, mut removed) = found.pop().filter(|_| found.is_empty())?;
    removed.push("the text around it");
    Some((phrase, removed))
}

/// The words of a text that has the numbers from 1 to their count, each before its word, in the order
/// of the numbers: columns are read as they were written.
fn numbered(text: &str) -> Option<Zeroizing<String>> {
    let mut words: Vec<Option<Zeroizing<String>>> = Vec::new();
    let mut number: Option<usize> = None;
    let is_part = |c: char| c.is_alphanumeric() || is_mark(c);
    for token in text.split(|c| !is_part(c)).filter(|token| !token.is_empty()) {
        let (digits, word) = token
            .split_at(token.len() - token.trim_start_matches(|c: char| c.is_ascii_digit()).len());
        if !digits.is_empty() {
            number = Some(digits.parse().ok()?);
        }
        if word.is_empty() {
            continue;
        }
        // Words before a number, such as `word 1:`, are none of the phrase.
        let Some(at) = number.take() else { continue };
        if !(1..=24).contains(&at) {
            return None;
        }
        words.resize(words.len().max(at), None);
        let place = words.get_mut(at - 1)?;
        if place.is_some() {
            return None;
        }
        *place = Some(Zeroizing::new(word.to_owned()));
    }
    let mut joined = Zeroizing::new(String::new());
    for word in &words {
        joined.push_str(word.as_ref()?);
        joined.push(' ');
    }
    (words.len() >= 12).then_some(joined)
}

/// Only letters and their accents are words.
fn is_mark(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c) || ('\u{3099}'..='\u{309a}').contains(&c)
}

/// Returns the words of a text that may be those of a phrase, in small letters, separated by blanks.
pub(super) fn words_of(text: &str) -> Zeroizing<String> {
    let mut joined = Zeroizing::new(String::new());
    let mut rest = text;
    // Tags of a web page are no words.
    while let Some((before, tag)) = rest.split_once('<') {
        let end = tag.find('>').filter(|end| *end <= 16);
        add_words(&mut joined, before);
        rest = end.map_or(tag, |end| &tag[end + 1..]);
    }
    add_words(&mut joined, rest);
    joined
}

fn add_words(joined: &mut Zeroizing<String>, text: &str) {
    for word in text.split(|c: char| !(c.is_alphabetic() || is_mark(c))) {
        if !word.is_empty() {
            if !joined.is_empty() {
                joined.push(' ');
            }
            joined.extend(word.chars().flat_map(char::to_lowercase));
        }
    }
}

fn bare_phrase(text: &str) -> Option<(Mnemonic, Vec<&'static str>)> {
    let mut removed = Vec::new();
    let joined = words_of(text);
    let mut words: Vec<Zeroizing<String>> =
        joined.split(' ').map(|word| Zeroizing::new(word.to_owned())).collect();
    if !(12..=24).contains(&words.len()) {
        return None;
    }
    if text.chars().any(|c| c.is_ascii_digit()) {
        removed.push("numbers");
    }
    if text.chars().any(|c| c.is_ascii_punctuation()) {
        removed.push("punctuation");
    }
    if text.chars().any(char::is_uppercase) {
        removed.push("capitals");
    }
    if let Ok(phrase) = Mnemonic::parse(&joined) {
        return Some((phrase, removed));
    }
    // The first four letters name each word of the English list.
    let mut is_cut = false;
    for word in &mut words {
        let full = full_word(word)?;
        is_cut |= full != word.as_str();
        *word = Zeroizing::new(full.to_owned());
    }
    if !is_cut {
        return None;
    }
    removed.push("words cut to four letters");
    let texts: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
    let joined = Zeroizing::new(texts.join(" "));
    Some((Mnemonic::parse(&joined).ok()?, removed))
}

fn full_word(word: &str) -> Option<&'static str> {
    let list = Language::ENGLISH.words();
    if let Some(exact) = list.iter().find(|listed| **listed == word) {
        return Some(exact);
    }
    let mut matches = list.iter().filter(|listed| word.len() >= 4 && listed.starts_with(word));
    matches.next().filter(|_| matches.next().is_none()).copied()
}
