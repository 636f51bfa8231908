//! Texts from outside, in messages and on terminals. This is the one place that decides how they are
//! quoted and shown.

use std::fmt::{Display, Write as _};

use crate::account::Language;

/// The most characters of a text that are quoted.
const MOST: usize = 48;

/// Hex digits in a row that may be a private key, or a part of one.
const KEY_DIGITS: usize = 48;

/// Words in a row that may be a recovery phrase.
const PHRASE_WORDS: usize = 6;

/// Quotes a text from outside for a message, or describes it if it may be a secret: a private key,
/// a recovery phrase, an extended key, a key file.
///
/// A description has no part of the text: `64 hex digits`, `12 words of a phrase`.
pub fn quote(text: &str) -> String {
    match describe_secret(text) {
        Some(what) => what,
        None => format!("{:?}", cut(text)),
    }
}

/// Returns a number with its noun: `1 byte`, `2 bytes`.
pub fn count<N: Copy + Display + PartialEq + From<u8>>(number: &N, noun: &str) -> String {
    let plural = if *number == N::from(1) { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Makes text from strangers safe for a terminal: control characters and the controls of
/// bidirectional text become visible escapes; line breaks and tabs too.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            || matches!(c, '\u{061c}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
        if hidden {
            let _ = match c {
                '\n' => write!(out, "\\n"),
                '\r' => write!(out, "\\r"),
                '\t' => write!(out, "\\t"),
                _ => write!(out, "\\u{{{:x}}}", c as u32),
            };
        } else {
            out.push(c);
        }
        out
    })
}

/// Escapes a text for XML and HTML, on one line. What XML can't have becomes a question mark.
pub fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\r' | '\t' => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// Describes a text that is not what was expected, without a part of it.
pub fn describe(text: &str) -> String {
    let count = text.chars().count();
    let unit = if count == 1 { "character" } else { "characters" };
    describe_secret(text).unwrap_or_else(|| format!("a text of {count} {unit}"))
}

/// Describes a text that may be a secret, without a part of it. `None` if it does not look like one.
pub fn describe_secret(text: &str) -> Option<String> {
    if text.contains("prv") && text.split(|c: char| !c.is_alphanumeric()).any(is_extended) {
        return Some("an extended private key".to_owned());
    }
    let digits = longest_run(text, |c| c.is_ascii_hexdigit());
    for digits in [digits, digits_in_parts(text)] {
        if (KEY_DIGITS..=80).contains(&digits) {
            return Some(format!("{digits} hex digits, as in a private key"));
        }
    }
    let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    let (mut count, mut known) = (0, 0);
    for word in words.take(64) {
        count += 1;
        known += usize::from(is_word_of_phrases(word));
    }
    if known >= PHRASE_WORDS && known * 2 >= count {
        return Some(format!("{count} words, as in a recovery phrase"));
    }
    let is_key_file = text.contains("ciphertext") || text.contains("private") && text.contains('{');
    is_key_file.then(|| format!("{} characters of a key file", text.chars().count()))
}

/// Whether a word is in a list of recovery phrases, in capitals or small letters, or its first four
/// letters are.
fn is_word_of_phrases(word: &str) -> bool {
    let lower = word.to_lowercase();
    let begins = |listed: &&str| listed.starts_with(lower.as_str());
    let english = Language::ENGLISH.words();
    let at = english.partition_point(|listed| *listed < lower.as_str());
    let is_english = lower.len() >= 3 && english.get(at).is_some_and(begins);
    is_english
        || !word.is_ascii() && Language::all().any(|list| list.words().contains(&lower.as_str()))
}

fn is_extended(word: &str) -> bool {
    word.len() > 32 && word.get(1..4) == Some("prv")
}

/// How many hex digits in a row a text has in parts of at least 8, with blanks between: a key that was
/// folded.
fn digits_in_parts(text: &str) -> usize {
    let (mut most, mut run) = (0, 0);
    for part in text.split_whitespace() {
        let digits = part.trim_start_matches("0x");
        let is_part = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        run = if is_part { run + digits.len() } else { 0 };
        most = most.max(run);
    }
    most
}

fn longest_run(text: &str, is_in: impl Fn(char) -> bool) -> usize {
    text.split(|c| !is_in(c)).map(str::len).max().unwrap_or(0)
}

/// Returns the reason of a JSON error without the parts of the document that the parser quotes.
pub fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!("at line {} column {}", error.line(), error.column());
    let reason = text.strip_suffix(&place).unwrap_or(&text).trim_end();
    // Quoted are texts and names: `invalid type: string "…", expected …`.
    let quoted = reason.find(['"', '`']).zip(reason.rfind(['"', '`']));
    let is_data = error.is_data();
    match quoted.filter(|_| is_data) {
        Some((start, end)) if start < end => {
            format!("{}…{} {place}", &reason[..start], &reason[end + 1..])
        }
        _ => format!("{reason} {place}"),
    }
}

/// Returns the first 48 characters of a text, with an ellipsis if there are more; or what it is, if
/// it may be a secret.
pub(crate) fn excerpt(text: &str) -> String {
    describe_secret(text).unwrap_or_else(|| cut(text))
}

fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let mut excerpt: String = chars.by_ref().take(MOST).collect();
    if chars.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_visible() {
        assert_eq!(escape("a\x1b[31mb"), "a\\u{1b}[31mb");
        assert_eq!(escape("user\u{202e}gpj.exe"), "user\\u{202e}gpj.exe");
        assert_eq!(escape("two\nlines"), "two\\nlines");
        assert_eq!(escape("żółć 🙂"), "żółć 🙂");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([0u32, 1, 2].map(|n| count(&n, "byte")), ["0 bytes", "1 byte", "2 bytes"]);
        let error = crate::rlp::Reader::new(&[0x82, 0x80]).string("data").unwrap_err();
        assert_eq!(error.kind.to_string(), "the item needs 2 bytes, and 1 are left");
    }

    #[test]
    fn a_folded_key_is_a_secret() {
        let key = "4c0883a69102937d6231471b5dbb6204 fe5129617082792ae468d01a3f362318";
        assert_eq!(describe_secret(key).unwrap(), "64 hex digits, as in a private key");
        assert_eq!(describe_secret("f9012b84 6b0e2f0d topic 0x42b639b9"), None);
    }

    #[test]
    fn secrets_are_described() {
        let key = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
        let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
        for text in [
            key.to_owned(),
            format!("0X{key}"),
            format!("\"{key}\" # mine"),
            key[1..].to_owned(),
            phrase.to_owned(),
            phrase.to_uppercase(),
            phrase.replace(' ', ", "),
            "lega winn than year wave saus wort usef lega winn than yell".to_owned(),
            format!("seed: {phrase} !"),
            format!("xprv{key}"),
            "{\"private_key\":\"07\"}".to_owned(),
        ] {
            let shown = quote(&text);
            assert_eq!(shown, excerpt(&text), "{text}");
            for part in ["4c08", "0883", "egal", "LEGAL", "lega", "sausage", "07\""] {
                assert!(!shown.contains(part), "{text}: {shown}");
            }
        }
        assert_eq!(quote("a plain text"), "\"a plain text\"");
        assert_eq!(quote(&"long".repeat(20)).chars().count(), 51);
    }

    #[test]
    fn json_errors_do_not_quote() {
        let error = serde_json::from_str::<Vec<u8>>("\"secret text\"").unwrap_err();
        let shown = json_reason(&error);
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("expected a sequence") && shown.contains("line 1"), "{shown}");
        let error = serde_json::from_str::<serde_json::Value>("{broken").unwrap_err();
        assert_eq!(json_reason(&error), "key must be a string at line 1 column 2");
    }
}
