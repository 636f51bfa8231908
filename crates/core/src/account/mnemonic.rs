//! Recovery phrases (BIP39).
//!
//! A [`Mnemonic`] is always valid. [`Mnemonic::parse`] reports which word is wrong, and suggests a
//! correction. The reference validates nothing when it imports a phrase: restore accounts of
//! invalid phrases with [`Seed::from_unchecked_phrase`](super::Seed::from_unchecked_phrase).

use std::{fmt, str::FromStr};

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::{
    nearest::{hint, nearest},
    seed::{Seed, nfkd},
};
use crate::{explain::Explanation, text::excerpt};

/// The longest text that is accepted as a phrase, in bytes.
pub(super) const MAX_PHRASE: usize = 4096;

/// A word list of BIP39.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language(bip39::Language);

/// The languages and their names on the command line.
const LANGUAGES: [(bip39::Language, &str); 10] = [
    (bip39::Language::English, "english"),
    (bip39::Language::SimplifiedChinese, "chinese-simplified"),
    (bip39::Language::TraditionalChinese, "chinese-traditional"),
    (bip39::Language::Czech, "czech"),
    (bip39::Language::French, "french"),
    (bip39::Language::Italian, "italian"),
    (bip39::Language::Japanese, "japanese"),
    (bip39::Language::Korean, "korean"),
    (bip39::Language::Portuguese, "portuguese"),
    (bip39::Language::Spanish, "spanish"),
];

impl Language {
    /// The only language of Status clients.
    pub const ENGLISH: Self = Self(bip39::Language::English);

    /// Returns every language, English first.
    pub fn all() -> impl Iterator<Item = Self> {
        LANGUAGES.iter().map(|(language, _)| Self(*language))
    }

    /// Returns the name, such as `english` or `chinese-simplified`.
    pub fn name(self) -> &'static str {
        LANGUAGES.iter().find(|(language, _)| *language == self.0).map_or("english", |it| it.1)
    }

    /// Returns the 2048 words in their order.
    pub fn words(self) -> &'static [&'static str; 2048] {
        self.0.word_list()
    }

    fn index_of(self, word: &str) -> Option<u16> {
        self.0.find_word(word)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Language {
    type Err = MnemonicError;

    fn from_str(text: &str) -> Result<Self, MnemonicError> {
        LANGUAGES
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
            .map(|(language, _)| Self(*language))
            .ok_or_else(|| MnemonicError::Language(excerpt(text)))
    }
}

/// The number of words of a phrase: 12, 15, 18, 21 or 24.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum WordCount {
    /// 128 bits of entropy, the choice of the Status app.
    #[default]
    Words12 = 12,
    /// 160 bits.
    Words15 = 15,
    /// 192 bits.
    Words18 = 18,
    /// 224 bits.
    Words21 = 21,
    /// 256 bits.
    Words24 = 24,
}

impl WordCount {
    /// Every count, in ascending order.
    pub const ALL: [Self; 5] =
        [Self::Words12, Self::Words15, Self::Words18, Self::Words21, Self::Words24];

    /// Returns the bytes of entropy: 16, 20, 24, 28 or 32.
    fn entropy_bytes(self) -> usize {
        self as usize / 3 * 4
    }
}

impl TryFrom<usize> for WordCount {
    type Error = MnemonicError;

    fn try_from(count: usize) -> Result<Self, MnemonicError> {
        Self::ALL
            .into_iter()
            .find(|it| *it as usize == count)
            .ok_or(MnemonicError::WordCount { got: count })
    }
}

/// What is wrong with a phrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MnemonicError {
    /// The text is much longer than a phrase.
    #[error("a text of {} is not a recovery phrase (the limit is {MAX_PHRASE})", crate::text::count(.got, "byte"))]
    TooLong { got: usize },
    /// A number of words that BIP39 does not allow.
    #[error("the phrase has {}; expected 12, 15, 18, 21 or 24", crate::text::count(.got, "word"))]
    WordCount { got: usize },
    /// A word that is not in the list.
    #[error("word {position}, {word:?}, is not in the {language} word list{}", hint(.suggestion))]
    UnknownWord {
        /// Counted from 1.
        position: usize,
        word: String,
        language: Language,
        /// A similar word of the list, if there is one.
        suggestion: Option<&'static str>,
    },
    /// All words are in the list, but the checksum does not match.
    #[error(
        "all {words} words are in the {language} list, but the checksum does not match: a word \
         is wrong or two are swapped"
    )]
    Checksum { words: usize, language: Language },
    /// Not the name of a word list.
    #[error("there is no word list called {0:?}; expected english, japanese, spanish, …")]
    Language(String),
    /// Entropy of a wrong length.
    #[error("a phrase encodes 16, 20, 24, 28 or 32 bytes of entropy, not {got}")]
    Entropy { got: usize },
}

impl MnemonicError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "mnemonic.too_long",
            Self::WordCount { .. } => "mnemonic.word_count",
            Self::UnknownWord { .. } => "mnemonic.word",
            Self::Checksum { .. } => "mnemonic.checksum",
            Self::Language(_) => "mnemonic.language",
            Self::Entropy { .. } => "mnemonic.entropy",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "mnemonic.too_long",
            rule: "A phrase has at most 24 words.",
            source: "BIP39",
            causes: "Another text.",
        },
        Explanation {
            code: "mnemonic.word_count",
            rule: "A phrase has 12, 15, 18, 21 or 24 words.",
            source: "BIP39, Generating the mnemonic",
            causes: "A word was left out, or two were written as one.",
        },
        Explanation {
            code: "mnemonic.word",
            rule: "Each word of a phrase is in the list of its language, as it is written there: in small letters, in full.",
            source: "BIP39, Wordlist",
            causes: "A slip of the pen: see the word that is suggested.",
        },
        Explanation {
            code: "mnemonic.checksum",
            rule: "The last bits of a phrase are a checksum of the others.",
            source: "BIP39, Generating the mnemonic",
            causes: "A word is another word of the list, or two are swapped. If an account was made from this very text: import --unchecked.",
        },
        Explanation {
            code: "mnemonic.language",
            rule: "Word lists: english, chinese-simplified, chinese-traditional, czech, french, italian, japanese, korean, portuguese, spanish.",
            source: "BIP39, Wordlists",
            causes: "Another name of the language.",
        },
        Explanation {
            code: "mnemonic.entropy",
            rule: "A phrase is made of 16, 20, 24, 28 or 32 bytes.",
            source: "BIP39, Generating the mnemonic",
            causes: "Other bytes.",
        },
    ];
}

/// A valid recovery phrase. Erased on drop, and redacted in `Debug`.
#[derive(Clone)]
pub struct Mnemonic(bip39::Mnemonic);

impl Mnemonic {
    /// Generates a random phrase.
    pub fn generate<R: CryptoRng + ?Sized>(
        rng: &mut R,
        count: WordCount,
        language: Language,
    ) -> Self {
        let mut entropy = Zeroizing::new([0; 32]);
        let (entropy, _) = entropy.split_at_mut(count.entropy_bytes());
        rng.fill_bytes(entropy);
        let phrase = bip39::Mnemonic::from_entropy_in(language.0, entropy);
        Self(phrase.expect("every word count has a valid length of entropy"))
    }

    /// Encodes 16, 20, 24, 28 or 32 bytes of entropy.
    ///
    /// # Errors
    /// If the entropy has another length.
    pub fn from_entropy(entropy: &[u8], language: Language) -> Result<Self, MnemonicError> {
        bip39::Mnemonic::from_entropy_in(language.0, entropy)
            .map(Self)
            .map_err(|_| MnemonicError::Entropy { got: entropy.len() })
    }

    /// Reads a phrase and detects its language.
    ///
    /// Words are separated by any white space and compared exactly after NFKD normalisation:
    /// capitals and words cut to four letters are rejected, as in the reference. A phrase that is
    /// valid in two languages (the Chinese lists share words) gets the first one of
    /// [`Language::all`]; the seed is the same.
    ///
    /// # Errors
    /// If the phrase is invalid in every language; the error is about the most likely one.
    pub fn parse(text: &str) -> Result<Self, MnemonicError> {
        let normalized = normalize(text)?;
        let words: Vec<&str> = normalized.split_whitespace().collect();
        let known = |language: &Language| {
            words.iter().filter(|word| language.index_of(word).is_some()).count()
        };
        // The most likely language has the most words of the phrase.
        let mut best = (Language::ENGLISH, 0);
        for language in Language::all() {
            let count = known(&language);
            if count == words.len()
                && let Ok(phrase) = parse_words(&words, language)
            {
                return Ok(phrase);
            }
            if count > best.1 {
                best = (language, count);
            }
        }
        parse_words(&words, best.0)
    }

    /// Reads a phrase in the given language.
    ///
    /// # Errors
    /// If the phrase is invalid in that language.
    pub fn parse_in(text: &str, language: Language) -> Result<Self, MnemonicError> {
        let normalized = normalize(text)?;
        let words: Vec<&str> = normalized.split_whitespace().collect();
        parse_words(&words, language)
    }

    /// Returns the language of the words.
    pub fn language(&self) -> Language {
        Language(self.0.language())
    }

    /// Returns the number of words.
    pub fn word_count(&self) -> usize {
        self.0.word_count()
    }

    /// Returns the words, in NFKD.
    fn words(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.words()
    }

    /// Returns the words, separated by spaces: the secret itself.
    pub fn phrase(&self) -> Zeroizing<String> {
        let mut phrase = Zeroizing::new(String::with_capacity(MAX_PHRASE / 8));
        for word in self.words() {
            if !phrase.is_empty() {
                phrase.push(' ');
            }
            phrase.push_str(word);
        }
        phrase
    }

    /// Returns the entropy that the phrase encodes.
    pub fn entropy(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_entropy())
    }

    /// Derives the seed of the key tree. The Status app uses an empty passphrase.
    pub fn to_seed(&self, passphrase: &str) -> Seed {
        Seed::from_unchecked_phrase(&self.phrase(), passphrase)
    }
}

impl Drop for Mnemonic {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl FromStr for Mnemonic {
    type Err = MnemonicError;

    fn from_str(text: &str) -> Result<Self, MnemonicError> {
        Self::parse(text)
    }
}

impl PartialEq for Mnemonic {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.phrase().as_bytes(), other.phrase().as_bytes()).into()
    }
}

impl Eq for Mnemonic {}

impl fmt::Debug for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mnemonic({} words, …)", self.word_count())
    }
}

fn normalize(text: &str) -> Result<Zeroizing<String>, MnemonicError> {
    if text.len() > MAX_PHRASE {
        return Err(MnemonicError::TooLong { got: text.len() });
    }
    Ok(nfkd("", text))
}

fn parse_words(words: &[&str], language: Language) -> Result<Mnemonic, MnemonicError> {
    WordCount::try_from(words.len())?;
    if let Some(at) = words.iter().position(|word| language.index_of(word).is_none()) {
        return Err(MnemonicError::UnknownWord {
            position: at + 1,
            word: excerpt(words[at]),
            language,
            suggestion: nearest(words[at], language.words()),
        });
    }
    let phrase = Zeroizing::new(words.join(" "));
    bip39::Mnemonic::parse_in_normalized(language.0, &phrase)
        .map(Mnemonic)
        .map_err(|_| MnemonicError::Checksum { words: words.len(), language })
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization as _;

    use super::*;
    use crate::crypto::seeded_rng;

    const VALID: &str =
        "time spirit very trade door safe dragon rabbit position before garbage evidence";

    #[test]
    fn every_language_and_count_round_trips() {
        let mut rng = seeded_rng("mnemonic");
        for language in Language::all() {
            assert_eq!(language.name().parse(), Ok(language));
            for count in WordCount::ALL {
                let phrase = Mnemonic::generate(&mut rng, count, language);
                assert_eq!(phrase.word_count(), count as usize);
                let again = Mnemonic::parse(&phrase.phrase()).unwrap();
                assert_eq!(again, phrase);
                assert_eq!(Mnemonic::parse_in(&phrase.phrase(), language).as_ref(), Ok(&phrase));
                assert_eq!(Mnemonic::from_entropy(&phrase.entropy(), language), Ok(phrase));
            }
        }
    }

    #[test]
    fn composed_characters_and_wide_spaces_are_normalised() {
        let mut rng = seeded_rng("composed");
        let japanese = "japanese".parse().unwrap();
        let phrase = Mnemonic::generate(&mut rng, WordCount::Words12, japanese);
        let typed: String = phrase.phrase().replace(' ', "\u{3000}").nfc().collect();
        assert_ne!(typed, *phrase.phrase());
        assert_eq!(Mnemonic::parse(&typed), Ok(phrase));
    }

    #[test]
    fn errors_name_the_wrong_word() {
        let wrong = |text: &str| Mnemonic::parse(text).unwrap_err();
        let error = wrong(&VALID.replace("safe", "saef"));
        assert_eq!(
            error,
            MnemonicError::UnknownWord {
                position: 6,
                word: "saef".into(),
                language: Language::ENGLISH,
                suggestion: Some("safe"),
            }
        );
        let shown = error.to_string();
        assert!(shown.contains("word 6") && shown.contains("did you mean \"safe\""), "{shown}");
        let upper = wrong(&VALID.to_uppercase());
        assert!(upper.to_string().contains("\"TIME\"") && upper.to_string().contains("\"time\""));
        let cut = wrong(&VALID.replace("evidence", "evid"));
        assert!(cut.to_string().contains("\"evidence\""), "{cut}");
        let far = wrong(&VALID.replace("evidence", "xqzkvwyj"));
        assert!(matches!(far, MnemonicError::UnknownWord { suggestion: None, .. }));
        assert_eq!(wrong(&VALID.replace("time ", "")).code(), "mnemonic.word_count");
        assert_eq!(wrong(&VALID.replace("time spirit", "spirit time")).code(), "mnemonic.checksum");
        assert_eq!(wrong(""), MnemonicError::WordCount { got: 0 });
        assert_eq!(wrong(&"a ".repeat(50_000_000)), MnemonicError::TooLong { got: 100_000_000 });
    }

    #[test]
    fn debug_hides_the_words() {
        assert_eq!(format!("{:?}", Mnemonic::parse(VALID).unwrap()), "Mnemonic(12 words, …)");
    }

    #[test]
    fn entropy_of_other_lengths_is_rejected() {
        for length in [0, 15, 17, 33, 64] {
            let error = Mnemonic::from_entropy(&vec![1; length], Language::ENGLISH).unwrap_err();
            assert_eq!(error, MnemonicError::Entropy { got: length });
        }
    }
}
