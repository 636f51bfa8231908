//! EIP-137: names of the Ethereum Name Service, their normalisation and hashes.
//!
//! The node of a name is a hash over its labels, the last one first:
//! `node("") = 0`, `node(label.rest) = keccak256(node(rest) || keccak256(label))`.
//!
//! Names are normalised by UTS 46, non-transitional, with the data of Unicode 12.1. As in the
//! reference, hyphens, joiners and marks are checked; letters of two directions and ASCII such as
//! `_` pass. [`Rules`] has the other readings of a name: [`readings`] compares them.

mod ensip15;
mod punycode;
pub mod resolver;
pub mod username;
mod uts46;

use std::{fmt, str::FromStr};

use statuskit_core::{crypto::keccak256, explain::Explanation};

pub use ensip15::Ensip15Error;
pub use uts46::{Rule, Unicode};

/// The longest name that is read, in bytes.
pub const MAX_NAME: usize = 64 << 10;

/// The 32 bytes that stand for a name in contracts.
pub type Node = [u8; 32];

/// The rules by which a name is normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rules {
    /// UTS 46 with Unicode 12.1, as the reference of 2020 applies it.
    Reference,
    /// UTS 46 with Unicode 12.1 and all its checks: UseSTD3ASCIIRules, CheckBidi, and no empty labels.
    Strict,
    /// As [`Reference`](Self::Reference), with Unicode 17.0.
    Newest,
    /// ENSIP-15, which ENS prescribes since 2023.
    Ensip15,
    /// Lower case and nothing else, as the mobile client of 2020.
    Lowercase,
}

impl Rules {
    /// All rules, the usual ones first.
    pub const ALL: [Self; 5] =
        [Self::Reference, Self::Strict, Self::Newest, Self::Ensip15, Self::Lowercase];

    /// Returns the name of the rules in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Strict => "strict",
            Self::Newest => "newest",
            Self::Ensip15 => "ensip15",
            Self::Lowercase => "lowercase",
        }
    }
}

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// More than [`MAX_NAME`] bytes.
    #[error("a name of {got} bytes; the limit is {MAX_NAME}")]
    TooLong { got: usize },
    /// A rule of UTS 46 is broken.
    #[error("label {}: {rule}", .label + 1)]
    Rule {
        /// The number of the label, from 0.
        label: usize,
        rule: Rule,
    },
    /// A rule of ENSIP-15 is broken.
    #[error(transparent)]
    Ensip15(#[from] Ensip15Error),
}

impl NameError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "ens.too_long",
            Self::Rule { rule, .. } => match rule {
                Rule::Character(_) => "ens.character",
                Rule::Punycode => "ens.punycode",
                Rule::Form => "ens.form",
                Rule::Hyphens | Rule::Hyphen => "ens.hyphen",
                Rule::Stop => "ens.stop",
                Rule::Mark => "ens.mark",
                Rule::Joiner => "ens.joiner",
                Rule::Bidi => "ens.bidi",
                Rule::Std3 => "ens.std3",
                Rule::Empty => "ens.empty_label",
            },
            Self::Ensip15(_) => "ens.ensip15",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "ens.too_long",
            rule: "A name has at most 64 KiB.",
            source: "bounds of this program",
            causes: "Something else was pasted.",
        },
        Explanation {
            code: "ens.character",
            rule: "A name has only characters that UTS 46 allows, by the data of Unicode 12.1.",
            source: "EIP-137; UTS 46, section 4",
            causes: "A character that came with a newer Unicode, a space, or a control character. --rules newest and ensip15 have newer data.",
        },
        Explanation {
            code: "ens.punycode",
            rule: "A label that begins with xn-- is Punycode.",
            source: "UTS 46, section 4, step 4; RFC 3492",
            causes: "A letter was lost.",
        },
        Explanation {
            code: "ens.form",
            rule: "What Punycode decodes to is in normalisation form C.",
            source: "UTS 46, section 4.1, criterion 1",
            causes: "Punycode made by another program from a text that is not normalised.",
        },
        Explanation {
            code: "ens.hyphen",
            rule: "A label neither begins nor ends with a hyphen, nor has hyphens at its third and fourth place.",
            source: "UTS 46, section 4.1, criteria 2 and 3",
            causes: "ENS allows such names today: --rules ensip15.",
        },
        Explanation {
            code: "ens.stop",
            rule: "A label has no full stop inside.",
            source: "UTS 46, section 4.1, criterion 4",
            causes: "Punycode of a text with a full stop.",
        },
        Explanation {
            code: "ens.mark",
            rule: "A label does not begin with a combining mark.",
            source: "UTS 46, section 4.1, criterion 5",
            causes: "A mark without its letter, often after an emoji.",
        },
        Explanation {
            code: "ens.joiner",
            rule: "A zero width joiner or non-joiner is allowed only where it changes how letters are joined.",
            source: "UTS 46, section 4.1, criterion 7; RFC 5892, appendix A",
            causes: "Emoji of several people or professions contain one: --rules ensip15 has them.",
        },
        Explanation {
            code: "ens.bidi",
            rule: "Letters from left to right and from right to left are not mixed in a label. Only with --rules strict.",
            source: "UTS 46, section 4.1, criterion 8; RFC 5893",
            causes: "A name in Arabic or Hebrew with Latin letters, or with digits first.",
        },
        Explanation {
            code: "ens.std3",
            rule: "A label has only letters, digits and hyphens in ASCII. Only with --rules strict.",
            source: "UTS 46, UseSTD3ASCIIRules",
            causes: "An underscore, which the reference allows.",
        },
        Explanation {
            code: "ens.empty_label",
            rule: "No label but the last is empty. Only with --rules strict.",
            source: "UTS 46",
            causes: "Two full stops side by side.",
        },
        Explanation {
            code: "ens.ensip15",
            rule: "A name follows ENSIP-15. Only with --rules ensip15.",
            source: "ENSIP-15",
            causes: "The message says which rule is broken.",
        },
    ];
}

/// A normalised name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Normalises a name by some rules.
    ///
    /// # Errors
    /// If the name is too long, or breaks one of the rules.
    pub fn parse_by(text: &str, rules: Rules) -> Result<Self, NameError> {
        if text.len() > MAX_NAME {
            return Err(NameError::TooLong { got: text.len() });
        }
        let version = match rules {
            Rules::Lowercase => return Ok(Self(text.to_lowercase())),
            Rules::Ensip15 => return Ok(Self(ensip15::normalize(text)?)),
            Rules::Newest => Unicode::V17,
            Rules::Reference | Rules::Strict => Unicode::V12,
        };
        let processed = uts46::process(text, version);
        let counts = |rule: Rule| rules == Rules::Strict || rule.counts_in_reference();
        match processed.faults.into_iter().find(|(_, rule)| counts(*rule)) {
            Some((label, rule)) => Err(NameError::Rule { label, rule }),
            None => Ok(Self(processed.text)),
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the labels, the first one first; none for the empty name.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.').filter(|_| !self.0.is_empty())
    }

    /// Whether it has an empty label, as no registered name has.
    pub fn has_empty_label(&self) -> bool {
        self.labels().any(str::is_empty)
    }

    /// Returns the node.
    pub fn node(&self) -> Node {
        let mut buffer = [0; 64];
        for label in self.labels().rev() {
            buffer[32..].copy_from_slice(&labelhash(label));
            let node = keccak256(&buffer);
            buffer[..32].copy_from_slice(&node);
        }
        let mut node = [0; 32];
        node.copy_from_slice(&buffer[..32]);
        node
    }
}

/// Normalises by [`Rules::Reference`].
impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse_by(text, Rules::Reference)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({:?})", self.0)
    }
}

/// Returns the Keccak-256 of a normalised label.
pub fn labelhash(label: &str) -> [u8; 32] {
    keccak256(label.as_bytes())
}

/// A reading of a name by some rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    pub rules: Rules,
    pub name: Result<Name, NameError>,
}

/// Returns what each of [`Rules::ALL`] makes of a name, in this order.
pub fn readings(text: &str) -> [Reading; 5] {
    Rules::ALL.map(|rules| Reading { rules, name: Name::parse_by(text, rules) })
}

/// Reads `A` or `A-B` in hex.
fn range(text: &str) -> Option<(u32, u32)> {
    let number = |text| u32::from_str_radix(text, 16).ok();
    match text.split_once('-') {
        Some((first, last)) => Some((number(first)?, number(last)?)),
        None => number(text).map(|code| (code, code)),
    }
}

/// Reads a code point in hex.
fn code_point(text: &str) -> Option<char> {
    u32::from_str_radix(text, 16).ok().and_then(char::from_u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(name: &str) -> String {
        hex::encode(name.parse::<Name>().unwrap().node())
    }

    #[test]
    fn published_nodes() {
        assert_eq!(node(""), "0".repeat(64));
        assert_eq!(node("eth"), "93cdeb708b7545dc668eb9280176169d1c33cfd8ed6f04690a0bcc88a93fc4ae");
        assert_eq!(
            node("foo.eth"),
            "de9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f"
        );
    }

    #[test]
    fn rules_differ_where_they_should() {
        let all =
            |text| readings(text).map(|it| it.name.map_or_else(|e| e.code().into(), |name| name.0));
        assert_eq!(all("Foo.eth"), ["foo.eth"; 5]);
        assert_eq!(all("a_b"), ["a_b", "ens.std3", "a_b", "ens.ensip15", "a_b"]);
        assert_eq!(all("STRAẞE"), ["strasse", "strasse", "straße", "straße", "straße"]);
        assert_eq!(all("Ａ"), ["a", "a", "a", "a", "ａ"]);
        let long = "a".repeat(MAX_NAME + 1);
        assert_eq!(long.parse::<Name>(), Err(NameError::TooLong { got: MAX_NAME + 1 }));
    }

    #[test]
    fn empty_labels_are_noticed() {
        for (text, empty) in [("", false), ("a", false), ("a.", true), (".a", true), ("a..b", true)]
        {
            assert_eq!(text.parse::<Name>().unwrap().has_empty_label(), empty, "{text}");
        }
    }

    proptest! {
        /// A normalised name is its own normal form, by every rule.
        #[test]
        fn normal_forms_stay(text in "\\PC{0,24}") {
            for reading in readings(&text) {
                if let Ok(name) = reading.name {
                    if reading.rules == Rules::Lowercase { continue; }
                    let again = Name::parse_by(name.as_str(), reading.rules);
                    prop_assert_eq!(again, Ok(name), "{:?}", reading.rules);
                }
            }
        }
    }
}
