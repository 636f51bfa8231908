//! Search patterns: words of a name, or the prefix of a key.

use std::{fmt, str::FromStr};

use super::odds;
use crate::{
    account::{
        name::{self, ADJECTIVES, ANIMALS, ThreeWordName},
        nearest::{hint, nearest},
    },
    crypto::PublicKey,
    explain::Explanation,
    text::excerpt,
};

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 256;

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// The pattern is empty.
    #[error("the pattern is empty; expected words such as \"* * Frog\", 0x04ab… or zQ3shk…")]
    Empty,
    /// The pattern is much longer than a key.
    #[error("a pattern of {got} bytes is too long (the limit is {MAX_PATTERN})")]
    TooLong { got: usize },
    /// More than three words.
    #[error("a name has three words; the pattern has {got}")]
    Words { got: usize },
    /// A word that no name has at that position.
    #[error("word {position}, {word:?}, matches none of the {of}{}", hint(.suggestion))]
    UnknownWord {
        /// Counted from 1.
        position: usize,
        word: String,
        of: &'static str,
        suggestion: Option<&'static str>,
    },
    /// Words that never occur together.
    #[error("no key has such a name: these words never occur together")]
    ImpossibleName,
    /// A character that keys of this form do not contain.
    #[error("character {at} of the prefix does not occur in keys of this form")]
    Character {
        /// Counted from 1.
        at: usize,
    },
    /// A prefix that no key has.
    #[error("no key begins with {0:?}; keys begin with 0x04, 0x02, 0x03 or zQ3sh")]
    ImpossiblePrefix(String),
}

impl PatternError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "vanity.empty",
            Self::TooLong { .. } => "vanity.too_long",
            Self::Words { .. } => "vanity.words",
            Self::UnknownWord { .. } => "vanity.word",
            Self::ImpossibleName => "vanity.impossible_name",
            Self::Character { .. } => "vanity.character",
            Self::ImpossiblePrefix(_) => "vanity.impossible_prefix",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "vanity.empty",
            rule: "A pattern is a beginning of a key, or words of a name.",
            source: "tools",
            causes: "An empty variable.",
        },
        Explanation {
            code: "vanity.too_long",
            rule: "A pattern has at most 256 bytes.",
            source: "tools",
            causes: "Another text.",
        },
        Explanation {
            code: "vanity.words",
            rule: "A name has three words: two adjectives and an animal.",
            source: "Status specifications, Account",
            causes: "More words.",
        },
        Explanation {
            code: "vanity.word",
            rule: "The words are in the lists of adjectives and animals.",
            source: "Status specifications, Account",
            causes: "A word of the other list, or of none; try its beginning and *.",
        },
        Explanation {
            code: "vanity.impossible_name",
            rule: "The words of a name hang together: after an adjective only four others can follow. Most combinations are the name of no key.",
            source: "Status specifications, Account",
            causes: "Leave one word open, as *.",
        },
        Explanation {
            code: "vanity.character",
            rule: "A beginning in hex has hex digits, one in base58 its characters.",
            source: "tools",
            causes: "0, O, I and l are not of base58.",
        },
        Explanation {
            code: "vanity.impossible_prefix",
            rule: "Keys begin with 0x04, 0x02, 0x03 or zQ3sh; of 0x04…, only the first 32 bytes can be searched for.",
            source: "tools",
            causes: "A beginning that no key has.",
        },
    ];
}

/// A pattern that at least one key matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(pub(super) Kind);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Name(NamePattern),
    Key(KeyPattern),
}

/// Reads the prefix of a key (`0x…`, `zQ…`), or else the words of a name.
///
/// A name is up to three words, ignoring case: `*` matches any word, `Fro*` any word with that
/// prefix. Missing words match any; a single last word that is only an animal is the animal.
impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        if text.starts_with("0x") || text.starts_with("zQ") {
            return Ok(Self(Kind::Key(text.parse()?)));
        }
        Ok(Self(Kind::Name(text.parse()?)))
    }
}

/// The words that match at each position of a name.
#[derive(Clone, PartialEq)]
pub(super) struct NamePattern {
    first: Vec<bool>,
    second: Vec<bool>,
    animal: Vec<bool>,
    odds: f64,
}

impl NamePattern {
    /// Whether the name of `key` matches.
    pub(super) fn matches(&self, key: &PublicKey) -> bool {
        self.matches_seed(ThreeWordName::seed(key))
    }

    /// Whether the name of a seed matches.
    pub(super) fn matches_seed(&self, seed: u64) -> bool {
        let first = name::step(seed);
        let second = name::step(first);
        let third = name::step(second);
        allows(&self.first, first) && allows(&self.second, second) && allows(&self.animal, third)
    }

    /// Returns the share of keys that match; more than 0.
    pub(super) fn odds(&self) -> f64 {
        self.odds
    }
}

impl FromStr for NamePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        check_length(text)?;
        let mut words: Vec<&str> = text.split_whitespace().collect();
        if words.len() > 3 {
            return Err(PatternError::Words { got: words.len() });
        }
        if let [.., last] = &*words
            && words.len() < 3
            && !any(&ADJECTIVES, last)
            && any(&ANIMALS, last)
        {
            words.splice(words.len() - 1..words.len() - 1, vec!["*"; 3 - words.len()]);
        }
        words.resize(3, "*");
        let [first, second, animal] = &*words else {
            return Err(PatternError::Words { got: words.len() });
        };
        let first = select(&ADJECTIVES, "adjectives", 1, first)?;
        let second = select(&ADJECTIVES, "adjectives", 2, second)?;
        let animal = select(&ANIMALS, "animals", 3, animal)?;
        let odds = odds::odds([&first, &second, &animal]);
        if odds > 0.0 {
            Ok(Self { first, second, animal, odds })
        } else {
            Err(PatternError::ImpossibleName)
        }
    }
}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |words: &[bool]| words.iter().filter(|allowed| **allowed).count();
        let counts = [count(&self.first), count(&self.second), count(&self.animal)];
        write!(f, "NamePattern({counts:?} words)")
    }
}

/// The prefix of a key: `0x04…`, `0x02…`, `0x03…` or `zQ3sh…`.
///
/// Stored as the range of matching keys, which is fast to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyPattern {
    /// The lowest and the highest 33 bytes that match; for `0x04…` only X counts.
    low: [u8; 33],
    high: [u8; 33],
    only_x: bool,
}

impl KeyPattern {
    /// Whether the text of `key` has the prefix.
    pub(super) fn matches(&self, key: &PublicKey) -> bool {
        let bytes = key.to_compressed();
        let start = usize::from(self.only_x);
        let (_, key) = bytes.split_at(start);
        key >= self.low.split_at(start).1 && key <= self.high.split_at(start).1
    }

    /// Returns the share of keys that match; more than 0.
    pub(super) fn odds(&self) -> f64 {
        // X is uniform over 32 bytes, and the byte before it is 2 or 3. The first 16 bytes of X
        // exceed the precision of a float.
        let place = |bytes: &[u8; 33]| {
            let [prefix, x @ ..] = bytes;
            let head = x.first_chunk::<16>().map_or(0, |head| u128::from_be_bytes(*head));
            let parity = if self.only_x { 0.0 } else { f64::from(*prefix) - 2.0 };
            (parity, head)
        };
        let ((low_parity, low), (high_parity, high)) = (place(&self.low), place(&self.high));
        let span = if high >= low { (high - low) as f64 } else { -((low - high) as f64) };
        let whole = u128::MAX as f64;
        let share = (high_parity - low_parity) + (span + 1.0) / whole;
        if self.only_x { share } else { share / 2.0 }
    }
}

impl FromStr for KeyPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        check_length(text)?;
        let impossible = || PatternError::ImpossiblePrefix(excerpt(text));
        let (low, high) = match text.strip_prefix("0x") {
            Some(digits) => hex_range(digits)?,
            None => compact_range(text)?.ok_or_else(impossible)?,
        };
        let only_x = low[0] == 4;
        let (mut low, mut high) = (low, high);
        if !only_x {
            // No key is below 02 00… or above 03 ff….
            let (mut least, mut most) = ([0; 33], [0xff; 33]);
            (least[0], most[0]) = (2, 3);
            low = low.max(least);
            high = high.min(most);
        }
        if low > high || (only_x && high[0] != 4) {
            return Err(impossible());
        }
        Ok(Self { low, high, only_x })
    }
}

type Bounds = ([u8; 33], [u8; 33]);

/// Returns the range of `04…`, `02…` or `03…`.
fn hex_range(digits: &str) -> Result<Bounds, PatternError> {
    if let Some(at) = digits.bytes().position(|byte| !byte.is_ascii_hexdigit()) {
        return Err(PatternError::Character { at: at + 3 });
    }
    let impossible = || PatternError::ImpossiblePrefix(excerpt(&format!("0x{digits}")));
    // In `0x04…`, Y follows X; no search finds 33 bytes.
    if digits.len() > 66 || !matches!(digits.get(..2), Some("02" | "03" | "04")) {
        return Err(impossible());
    }
    let bound = |fill: &str| {
        let mut bytes = [0; 33];
        let padded = format!("{digits}{}", fill.repeat(66 - digits.len()));
        hex::decode_to_slice(padded, &mut bytes).map_err(|_| impossible())?;
        Ok(bytes)
    };
    Ok((bound("0")?, bound("f")?))
}

/// Returns the range of `zQ3sh…`. `None` if it is empty.
fn compact_range(text: &str) -> Result<Option<Bounds>, PatternError> {
    /// Characters after the `z`.
    const LENGTH: usize = 48;
    let Some(body) = text.strip_prefix('z') else {
        return Err(PatternError::ImpossiblePrefix(excerpt(text)));
    };
    if body.len() > LENGTH {
        return Err(PatternError::ImpossiblePrefix(excerpt(text)));
    }
    let bound = |fill: &str| {
        let padded = format!("{body}{}", fill.repeat(LENGTH - body.len()));
        bs58::decode(padded).into_vec().map_err(|error| match error {
            bs58::decode::Error::InvalidCharacter { index, .. }
            | bs58::decode::Error::NonAsciiCharacter { index } => {
                PatternError::Character { at: index + 2 }
            }
            _ => PatternError::ImpossiblePrefix(excerpt(text)),
        })
    };
    // Numbers of 37 bytes, so that those outside the range stay comparable.
    let wide = |bytes: Vec<u8>| {
        let mut wide = vec![0; 37_usize.saturating_sub(bytes.len())];
        wide.extend(bytes);
        wide
    };
    let (low, high) = (wide(bound("1")?), wide(bound("z")?));
    let edge = |first: u8, rest: u8| [&[0, 0, 0xe7, 1, first][..], &[rest; 32]].concat();
    let (least, most) = (edge(2, 0), edge(3, 0xff));
    let (low, high) = (low.max(least), high.min(most));
    if low > high {
        return Ok(None);
    }
    let key = |wide: &[u8]| wide.last_chunk::<33>().copied();
    Ok(key(&low).zip(key(&high)))
}

fn check_length(text: &str) -> Result<(), PatternError> {
    match text.len() {
        _ if text.trim().is_empty() => Err(PatternError::Empty),
        got if got > MAX_PATTERN => Err(PatternError::TooLong { got }),
        _ => Ok(()),
    }
}

fn allows(words: &[bool], state: u64) -> bool {
    words.get((state % words.len() as u64) as usize).copied().unwrap_or(false)
}

fn any(words: &[&str], pattern: &str) -> bool {
    words.iter().any(|word| fits(word, pattern))
}

fn select(
    words: &[&'static str],
    of: &'static str,
    position: usize,
    pattern: &str,
) -> Result<Vec<bool>, PatternError> {
    let selected: Vec<bool> = words.iter().map(|word| fits(word, pattern)).collect();
    if selected.contains(&true) {
        return Ok(selected);
    }
    let suggestion = nearest(pattern, words);
    Err(PatternError::UnknownWord { position, word: excerpt(pattern), of, suggestion })
}

fn fits(word: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => word.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
        None => word.eq_ignore_ascii_case(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odds(text: &str) -> f64 {
        match text.parse::<Pattern>().unwrap_or_else(|error| panic!("{text}: {error}")).0 {
            Kind::Name(name) => name.odds(),
            Kind::Key(key) => key.odds(),
        }
    }

    fn near(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < 1e-6
    }

    #[test]
    fn odds_of_prefixes() {
        assert!(near(odds("0x04"), 1.0) && near(odds("0x02"), 0.5));
        assert!(near(odds("0x04a"), 1.0 / 16.0) && near(odds("0x03ab"), 1.0 / 512.0));
        assert!(near(odds("zQ3sh"), 1.0), "{}", odds("zQ3sh"));
        let all: f64 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
            .chars()
            .filter_map(|c| Some(format!("zQ3sh{c}").parse::<KeyPattern>().ok()?.odds()))
            .sum();
        assert!(near(all, 1.0), "{all}");
    }

    #[test]
    fn impossible_patterns_are_rejected() {
        let code = |text: &str| text.parse::<Pattern>().unwrap_err().code();
        assert_eq!(code(" "), "vanity.empty");
        assert_eq!(code(&"a".repeat(100_000_000)), "vanity.too_long");
        assert_eq!(code("a b c d"), "vanity.words");
        assert_eq!(code("* * Unicornz"), "vanity.word");
        let error = "* * Frgo".parse::<Pattern>().unwrap_err();
        assert!(error.to_string().ends_with("did you mean \"Frog\"?"), "{error}");
        assert_eq!(code("0x05"), "vanity.impossible_prefix");
        assert_eq!(code("0x0"), "vanity.impossible_prefix");
        assert_eq!(code("0x04g"), "vanity.character");
        assert_eq!(code("zQ3sz"), "vanity.impossible_prefix");
        assert_eq!(code("zQ3sh0"), "vanity.character");
        assert_eq!(code("zQ3shz"), "vanity.impossible_prefix");
        assert_eq!(code("Able Tame Frog"), "vanity.impossible_name");
    }

    #[test]
    fn a_single_animal_is_the_last_word() {
        let alone: NamePattern = "frog".parse().unwrap();
        assert!(alone == "* * Frog".parse().unwrap());
        let two: NamePattern = "S* frog".parse().unwrap();
        assert!(two == "S* * Frog".parse().unwrap());
    }
}
