//! Identities in any form: hex key, phrase, extended key, key file or account record.
//!
//! This is the only place that decides what an input is.

mod clean;
mod error;
mod identity;
mod record;

use std::fmt;

use clean::Cleaned;
use zeroize::Zeroizing;

use super::{
    ExtendedPrivateKey, KeyFile, Limits, Mnemonic,
    keystore::{KeystoreError, MAX_KEY_FILE},
    mnemonic::MAX_PHRASE,
};
use crate::{crypto::SecretKey, reader};
pub use error::ImportError;
pub use identity::Identity;
pub use record::AccountRecord;

/// The longest input that is accepted, in bytes: that of a key file.
pub const MAX_IMPORT: usize = MAX_KEY_FILE;

/// The form of a text, before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// 64 hex digits, with or without `0x`.
    HexKey,
    /// `xprv…`.
    ExtendedPrivate,
    /// `xpub…`.
    ExtendedPublic,
    /// `{…`: a key file or an account record.
    Json,
    /// Several words.
    Phrase,
}

impl Form {
    /// Detects the form of a text, ignoring what may surround a secret: white space, quotes, a
    /// byte order mark, comments. `None` if it has none of them.
    pub fn detect(text: &str) -> Option<Self> {
        Self::of_clean(&clean::clean(text).text)
    }

    fn of_clean(text: &str) -> Option<Self> {
        if text.starts_with('{') {
            Some(Self::Json)
        } else if text.starts_with("xprv") {
            Some(Self::ExtendedPrivate)
        } else if text.starts_with("xpub") {
            Some(Self::ExtendedPublic)
        } else if hex_digits(text).is_some_and(|digits| digits.len() == 64) {
            Some(Self::HexKey)
        } else if text.contains(char::is_whitespace)
            || text.len() < MAX_PHRASE && clean::words_of(text).split(' ').count() >= 12
        {
            Some(Self::Phrase)
        } else {
            None
        }
    }
}

/// An identity as it was read: unlocked or still encrypted.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Imported {
    /// 64 hex digits.
    Key(SecretKey),
    /// A recovery phrase.
    Phrase(Mnemonic),
    /// `xprv…`.
    Extended(ExtendedPrivateKey),
    /// A key file, still encrypted.
    KeyFile(Box<KeyFile>),
    /// An account record with its secret.
    Record(Box<AccountRecord>),
}

impl Imported {
    /// Detects the form of an input and reads it, ignoring what may surround a secret.
    ///
    /// # Errors
    /// If the input has none of the forms, is malformed, or has no secret.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImportError> {
        Self::parse_cleaned(bytes).map(|(imported, _)| imported)
    }

    /// Reads an input as [`parse`](Self::parse) does, and returns what was ignored, such as
    /// `quotes` or `capitals`; white space is not told.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_cleaned(bytes: &[u8]) -> Result<(Self, Vec<&'static str>), ImportError> {
        if bytes.len() > MAX_IMPORT {
            return Err(ImportError::TooLarge { got: bytes.len() });
        }
        let utf16 = reader::decode_utf16(bytes).map(Zeroizing::new);
        let bytes = utf16.as_ref().map_or(bytes, |text| text.as_bytes());
        let text = std::str::from_utf8(bytes).map_err(|error| match bytes.len() {
            32 => ImportError::Spelled { what: "binary" },
            _ => ImportError::Utf8 { at: error.valid_up_to() },
        })?;
        let Cleaned { text, mut removed } = clean::clean(text);
        let text = text.as_str();
        let imported = match Form::of_clean(text) {
            Some(Form::HexKey) => Self::Key(text.parse()?),
            Some(Form::ExtendedPrivate) => Self::Extended(text.parse()?),
            Some(Form::ExtendedPublic) => return Err(ImportError::PublicOnly),
            Some(Form::Phrase) => match text.parse::<Mnemonic>() {
                Ok(phrase) => Self::Phrase(phrase),
                Err(_) => match clean::without_decoration(text) {
                    Some((phrase, changed)) => {
                        removed.extend(changed);
                        Self::Phrase(phrase)
                    }
                    None => return Err(no_phrase(text)),
                },
            },
            Some(Form::Json) => match AccountRecord::parse(text) {
                Some(record) => Self::Record(Box::new(record?)),
                None => Self::KeyFile(Box::new(KeyFile::parse(text.as_bytes())?)),
            },
            None if text.is_empty() => return Err(ImportError::Empty),
            None => {
                return Err(other_spelling(text)
                    .or(digits_in(text).map(|got| ImportError::Digits { got }))
                    .unwrap_or(ImportError::Unknown { got: text.len() }));
            }
        };
        Ok((imported, removed))
    }

    /// Whether [`unlock`](Self::unlock) needs a password.
    pub fn needs_password(&self) -> bool {
        matches!(self, Self::KeyFile(_))
    }

    /// Whether [`unlock`](Self::unlock) uses a passphrase.
    pub fn takes_passphrase(&self) -> bool {
        match self {
            Self::Phrase(_) => true,
            Self::Record(record) => record.has_phrase(),
            Self::Key(_) | Self::Extended(_) | Self::KeyFile(_) => false,
        }
    }

    /// Checks the cost of [`unlock`](Self::unlock), before a password is known.
    ///
    /// # Errors
    /// If a key file exceeds `limits`.
    pub fn check(&self, limits: &Limits) -> Result<(), KeystoreError> {
        match self {
            Self::KeyFile(file) => file.check(limits),
            _ => Ok(()),
        }
    }

    /// Returns the identity in the clear.
    ///
    /// `password` is for key files. `passphrase` is for phrases: without it, a record uses its own,
    /// and others an empty one, as in the app.
    ///
    /// # Errors
    /// If the password is wrong, a key file exceeds `limits` or is damaged, or the secret of a
    /// record does not belong to its public key.
    pub fn unlock(
        &self,
        passphrase: Option<&str>,
        password: &[u8],
        limits: &Limits,
    ) -> Result<Identity, ImportError> {
        Ok(match self {
            Self::Key(key) => Identity::from_key(key.clone()),
            Self::Phrase(phrase) => {
                let passphrase = Zeroizing::new(passphrase.unwrap_or_default().to_owned());
                Identity::from_phrase(phrase.clone(), passphrase)?
            }
            Self::Extended(key) => Identity::from_extended_key(key.clone()),
            Self::KeyFile(file) => Identity::from_opened_key(file.open(password, limits)?),
            Self::Record(record) => record.unlock(passphrase)?,
        })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "hex key",
            Self::Phrase(_) => "recovery phrase",
            Self::Extended(_) => "extended key",
            Self::KeyFile(_) => "key file",
            Self::Record(_) => "account record",
        }
    }
}

impl fmt::Debug for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Imported({}, …)", self.kind())
    }
}

/// Why several words are no phrase, as if they had been written without decoration.
fn no_phrase(text: &str) -> ImportError {
    if let Some(got) = digits_in(text) {
        return ImportError::Digits { got };
    }
    let words = clean::words_of(text);
    // Accents are letters, and capitals of other languages may be some of the phrase.
    let bare = if words.split(' ').count() < 3 { text } else { &words };
    match bare.parse::<Mnemonic>() {
        Err(error) => other_spelling(text).unwrap_or(error.into()),
        Ok(_) => ImportError::Unknown { got: text.len() },
    }
}

/// A key that is not written in hex: it is told what it is.
fn other_spelling(text: &str) -> Option<ImportError> {
    let mut items = reader::read_all(text.as_bytes(), reader::Wants::any_bytes());
    let first = items.pop().filter(|_| items.is_empty())?.ok()?;
    let reader::Content::Bytes(reading) = first.content else { return None };
    let what = match reading.encoding {
        reader::Encoding::Base64 | reader::Encoding::Base64Url => "base64",
        reader::Encoding::Array => "an array of numbers",
        reader::Encoding::Escapes => "text with escapes",
        reader::Encoding::Dump => "a dump",
        _ => return None,
    };
    (reading.bytes.len() == 32).then_some(ImportError::Spelled { what })
}

/// Returns the digits of a hex text, without `0x`.
fn hex_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(digits)
}

/// The number of hex digits of a text that was meant to be a key: it has hardly anything else.
fn digits_in(text: &str) -> Option<usize> {
    /// Shorter ones may be anything.
    const MIN: usize = 24;
    let bare = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let rest: usize = bare.unwrap_or(text).chars().filter(|c| !c.is_ascii_hexdigit()).count();
    let digits = bare.unwrap_or(text).chars().count() - rest;
    (bare.is_some() && rest == 0 || digits >= MIN && rest <= 4).then_some(digits)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::account::{DerivationPath, HdError, Nonces, ScryptCost, Seed};
    use crate::crypto::seeded_rng;

    const PHRASE: &str =
        "time spirit very trade door safe dragon rabbit position before garbage evidence";

    fn unlock(text: &str) -> Identity {
        Imported::parse(text.as_bytes()).unwrap().unlock(None, b"pw", &Limits::default()).unwrap()
    }

    #[test]
    fn every_form_is_read_as_the_same_identity() {
        let phrase: Mnemonic = PHRASE.parse().unwrap();
        let master = ExtendedPrivateKey::from_seed(&phrase.to_seed("")).unwrap();
        let chat = master.derive(&DerivationPath::CHAT).unwrap();
        let hex = hex::encode(*chat.secret_key().to_bytes());
        let nonces = Nonces::generate(&mut seeded_rng("import"));
        let cost = ScryptCost { log_n: 1, r: 1, p: 1 };
        let status = KeyFile::encrypt_extended(&chat, b"pw", cost, &nonces).unwrap().to_json();
        let plain = KeyFile::encrypt(chat.secret_key(), b"pw", cost, &nonces).unwrap().to_json();
        let texts = [
            ("hex key", hex.clone(), false),
            ("hex key", format!(" 0x{hex}\n"), false),
            ("recovery phrase", format!("\n{PHRASE} "), true),
            ("extended key", master.to_xprv().to_string(), true),
            ("extended key", chat.to_xprv().to_string(), true),
            ("key file", status, true),
            ("key file", plain, false),
        ];
        for (kind, text, has_tree) in texts {
            let imported = Imported::parse(text.as_bytes()).unwrap();
            assert_eq!(imported.kind(), kind);
            assert_eq!(imported.needs_password(), kind == "key file");
            let unlocked = unlock(&text);
            assert_eq!(unlocked.key(None).as_ref(), Ok(chat.secret_key()), "{kind}");
            assert_eq!(unlocked.tree().is_ok(), has_tree);
            assert!(!format!("{imported:?} {unlocked:?}").contains(&hex));
        }
        let wallet = unlock(PHRASE).key(Some(&DerivationPath::WALLET));
        let expected = master.derive(&DerivationPath::WALLET).unwrap();
        assert_eq!(wallet.as_ref(), Ok(expected.secret_key()));
        let below = unlock(&chat.to_xprv()).key(Some(&"m/1".parse().unwrap()));
        assert_eq!(below.as_ref(), Ok(chat.derive(&"m/1".parse().unwrap()).unwrap().secret_key()));
        let error = unlock(&hex).key(Some(&DerivationPath::WALLET)).unwrap_err();
        assert_eq!(error.code(), "identity.no_tree");
    }

    /// The record of an identity, changed.
    fn record(
        identity: &Identity,
        change: impl FnOnce(&mut Value),
    ) -> Result<Identity, ImportError> {
        let public_key = identity.key(None)?.public_key().to_string();
        let mut json = json!({ "type": "account", "public_key": public_key, "name": "any" });
        for (name, value) in identity.secret_members() {
            json[name] = value.as_str().into();
        }
        change(&mut json);
        let imported = Imported::parse(format!(" {json}\n").as_bytes())?;
        assert_eq!(imported.kind(), "account record");
        imported.unlock(None, b"", &Limits::default())
    }

    #[test]
    fn records_are_identities() {
        let phrase: Mnemonic = PHRASE.parse().unwrap();
        let master = ExtendedPrivateKey::from_seed(&phrase.to_seed("")).unwrap();
        let wallet = master.derive(&DerivationPath::WALLET).unwrap();
        let identities = [
            Identity::from_phrase(phrase.clone(), Zeroizing::default()),
            Identity::from_phrase(phrase, Zeroizing::new("salt".to_owned())),
            Ok::<_, HdError>(Identity::from_extended_key(master)),
            Ok(Identity::from_extended_key(wallet.clone())),
            Ok(Identity::from_key(wallet.secret_key().clone())),
        ];
        for identity in identities.map(Result::unwrap) {
            let read = record(&identity, |_| {}).unwrap();
            assert_eq!(read.key(None), identity.key(None));
            assert_eq!(read.secret_members(), identity.secret_members());
            let key = record(&identity, |json| json["type"] = "key".into()).unwrap();
            assert_eq!(key.key(None), identity.key(None));
            let edited = record(&identity, |json| {
                json["public_key"] =
                    unlock(&"07".repeat(32)).key(None).unwrap().public_key().to_string().into();
            });
            assert_eq!(edited.unwrap_err().code(), "identity.mismatch");
        }
    }

    #[test]
    fn records_remember_a_path_and_a_passphrase() {
        let identity = unlock(PHRASE);
        let with_path = |path: &str| {
            record(&identity, |json| {
                json["path"] = path.into();
                json["public_key"] = Value::Null;
            })
        };
        let wallet = with_path("wallet").unwrap();
        assert_eq!(wallet.key(None), identity.key(Some(&DerivationPath::WALLET)));
        assert_eq!(wallet.key(Some(&DerivationPath::CHAT)), identity.key(None));
        assert_eq!(with_path("m/x").unwrap_err().code(), "path.component");
        // A single key has no tree: its path is for information.
        let single = unlock(&"07".repeat(32));
        assert!(record(&single, |json| json["path"] = "m/x".into()).is_ok());

        let json = json!({ "type": "account", "mnemonic": PHRASE, "passphrase": "salt" });
        let imported = Imported::parse(json.to_string().as_bytes()).unwrap();
        assert!(imported.takes_passphrase() && !imported.needs_password());
        let key = |passphrase| {
            imported.unlock(passphrase, b"", &Limits::default()).unwrap().key(None).unwrap()
        };
        assert_ne!(key(None), identity.key(None).unwrap());
        assert_eq!(key(Some("")), identity.key(None).unwrap());
    }

    #[test]
    fn what_surrounds_a_secret_is_ignored() {
        let key = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
        let (first, second) = key.split_at(32);
        let pairs: Vec<_> = key.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
        for (text, removed) in [
            (format!("0X{key}"), ""),
            (format!("\u{feff}0x{key}\r\n"), "a byte order mark"),
            (format!("\u{200b}{key}\u{200b}"), ""),
            (format!("{first}\u{200b}{second}"), "invisible characters"),
            (format!("\"0x{key}\""), "quotes"),
            (format!("'{key}',"), "quotes"),
            (format!("{first}\n{second}\n"), "line breaks"),
            (format!("0x{first}\r\n{second}"), "line breaks"),
            (pairs.join(":"), "separators"),
            (pairs.join(" "), "separators"),
            (format!("# mine\n\n0x{key}\n"), "comments"),
            (format!("// mine\n{key}\n// end"), "comments"),
            (format!("{key} # mine"), "a comment"),
            (format!("PRIVATE_KEY={key}"), "the name of a variable"),
            (format!("export PRIVATE_KEY=\"0x{key}\"\n"), "the name of a variable"),
            (format!("private key: {key}"), "the name of a variable"),
            (format!("{{\"private_key\":\"0x{key}\"}}"), "a JSON object"),
            (format!("{{\"privateKey\":\"{key}\",\"address\":\"0x00\"}}"), "a JSON object"),
        ] {
            let (imported, found) = Imported::parse_cleaned(text.as_bytes()).unwrap();
            assert_eq!(imported, Imported::Key(key.parse().unwrap()), "{text}");
            assert_eq!(found.first().copied().unwrap_or_default(), removed, "{text}");
            assert!(Form::detect(&text).is_some(), "{text}");
        }
        for (text, digits) in
            [(&key[1..], 63), (&format!("{key}0"), 65), (&format!("0x{first}"), 32)]
        {
            let error = Imported::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error, ImportError::Digits { got: digits });
            assert!(!error.to_string().contains("83a69"));
        }
        let two = format!("{{\"private_key\":\"{key}\",\"mnemonic\":\"{PHRASE}\"}}");
        assert_eq!(Imported::parse(two.as_bytes()).unwrap_err().code(), "keystore.missing");
    }

    #[test]
    fn a_key_is_found_only_where_nothing_else_calls_itself_one() {
        let key = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
        let address = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23";
        for text in [
            format!("“0x{key}”"),
            format!("{key}."),
            format!("> {key}"),
            format!("<{key}>"),
            format!("\u{1b}[32m{key}\u{1b}[0m"),
            format!("My private key is 0x{key}"),
            format!("FOO=bar\nPRIVATE_KEY=0x{key}\nBAZ=1\n"),
            format!("[account]\nprivate_key = \"0x{key}\"\n"),
            format!("(0) 0x{key} (100 ETH)"),
            format!("{address},0x{key}"),
            format!("Private key:    {key}\nPublic key: 04{key}{key}\nAddress: {address}"),
            format!("{{\"account\":{{\"privateKey\":\"0x{key}\",\"address\":\"{address}\"}}}}"),
            format!("{{\"PRIVATE_KEY\":\"{key}\"}}"),
        ] {
            let (imported, _) = Imported::parse_cleaned(text.as_bytes()).unwrap();
            assert_eq!(imported, Imported::Key(key.parse().unwrap()), "{text}");
        }
        let utf16: Vec<_> =
            format!("\u{feff}0x{key}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(matches!(Imported::parse(&utf16), Ok(Imported::Key(_))));
        let other = "1".repeat(64);
        for text in [
            format!("hash 0x{key}"),
            format!("key-uid: 0x{key}"),
            format!("public key {key}"),
            format!("keys {key} {other}"),
            format!("{{\"key_uid\":\"0x{key}\"}}"),
            format!("{{\"privateKey\":\"{key}\",\"secret\":\"{other}\"}}"),
        ] {
            let error = Imported::parse(text.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("0883a69"), "{text}: {error}");
        }
        // Other spellings are told.
        for (bytes, what) in [
            (vec![0x8c; 32], "binary"),
            (data_encoding::BASE64.encode(&[0x8c; 32]).into_bytes(), "base64"),
            (format!("{:?}", [0x8c; 32]).into_bytes(), "array"),
        ] {
            let error = Imported::parse(&bytes).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("64 hex digits"), "{error}");
        }
    }

    #[test]
    fn numbers_order_the_words_of_a_phrase() {
        let words: Vec<_> = PHRASE.split(' ').collect();
        let phrase: Mnemonic = PHRASE.parse().unwrap();
        let columns = |at: usize| {
            format!(
                "{}. {}   {}. {}   {}. {}",
                at + 1,
                words[at],
                at + 5,
                words[at + 4],
                at + 9,
                words[at + 8]
            )
        };
        let each = |show: &dyn Fn(usize, &str) -> String, between: &str| {
            let all = words.iter().enumerate().map(|(at, word)| show(at + 1, word));
            all.collect::<Vec<_>>().join(between)
        };
        for text in [
            (0..4).map(columns).collect::<Vec<_>>().join("\n"),
            each(&|at, word| format!("word {at}: {word}"), "\n"),
            each(&|at, word| format!("Word #{at} {word}"), "\n"),
            each(&|at, word| format!("{at:02} {word}"), "\n"),
            each(&|at, word| format!("{at}{word}"), " "),
            format!("Recovery phrase\n\n{}", each(&|at, word| format!("{at}) {word}"), "\n")),
            format!("My words (keep them secret!): {PHRASE}"),
            format!("For the phone:\n{PHRASE}\n"),
            words.join("/"),
            words.join("-"),
            words.join("\u{200b}"),
            words.join("<br>"),
            format!("<p>{PHRASE}</p>"),
            format!("{{\"wallet\":{{\"mnemonic\":\"{PHRASE}\"}}}}"),
            format!("{{\"words\":{words:?}}}"),
        ] {
            let imported = Imported::parse(text.as_bytes());
            assert_eq!(imported, Ok(Imported::Phrase(phrase.clone())), "{text}");
        }
        // The error is about the words, not about what is around them.
        let wrong = PHRASE.replace("safe", "saef").replace(' ', ", ");
        let error = Imported::parse(wrong.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("word 6") && error.contains("\"safe\""), "{error}");
    }

    #[test]
    fn phrases_are_read_as_people_write_them() {
        let numbered: Vec<_> =
            (1..).zip(PHRASE.split(' ')).map(|(at, word)| format!("{at}. {word}")).collect();
        let title: Vec<_> = PHRASE.split(' ').map(|it| it[..1].to_uppercase() + &it[1..]).collect();
        let cut: Vec<_> = PHRASE.split(' ').map(|it| &it[..it.len().min(4)]).collect();
        for (text, removed) in [
            (PHRASE.replace(' ', ", "), &["punctuation"][..]),
            (PHRASE.replace(' ', "\n"), &[]),
            (PHRASE.replace(' ', "\u{a0}\u{3000}"), &[]),
            (PHRASE.to_uppercase(), &["capitals"]),
            (title.join(" "), &["capitals"]),
            (numbered.join("\n"), &["numbers", "punctuation"]),
            (numbered.join(" ").replace('.', ")"), &["numbers", "punctuation"]),
            (format!("\u{feff}{PHRASE}."), &["a byte order mark", "punctuation"]),
            (PHRASE.replace(' ', " \u{200b}"), &["invisible characters"]),
            (format!("\"{PHRASE}\""), &["quotes"]),
            (format!("MNEMONIC='{PHRASE}'"), &["the name of a variable", "quotes"]),
            (format!("seed: {}", title.join(" ")), &["the name of a variable", "capitals"]),
            (cut.join(" "), &["words cut to four letters"]),
            (cut.join(" ").to_uppercase(), &["capitals", "words cut to four letters"]),
        ] {
            let (imported, found) = Imported::parse_cleaned(text.as_bytes()).unwrap();
            assert_eq!(imported, Imported::Phrase(PHRASE.parse().unwrap()), "{text}");
            assert_eq!(found, removed, "{text}");
        }
        // What is wrong stays wrong.
        let code = |text: &str| Imported::parse(text.as_bytes()).unwrap_err().code();
        assert_eq!(code(&PHRASE.replace("time", "garbage").to_uppercase()), "mnemonic.checksum");
        assert_eq!(code(&PHRASE.replace("time spirit", "spirit time")), "mnemonic.checksum");
        assert_eq!(code(&cut.join(" ").replace("drag", "dra")), "mnemonic.word");
    }

    #[test]
    fn forms_are_detected_without_reading() {
        let digits = "f".repeat(64);
        for (text, form) in [
            (digits.as_str(), Some(Form::HexKey)),
            (
                "\n0x0000000000000000000000000000000000000000000000000000000000000000 ",
                Some(Form::HexKey),
            ),
            ("xprv", Some(Form::ExtendedPrivate)),
            ("xpub x", Some(Form::ExtendedPublic)),
            (" {", Some(Form::Json)),
            ("my file", Some(Form::Phrase)),
            ("0x1234", None),
            (&digits[1..], None),
            ("file", None),
            ("", None),
        ] {
            assert_eq!(Form::detect(text), form, "{text}");
        }
    }

    #[test]
    fn other_inputs_are_rejected_with_a_reason() {
        let code = |bytes: &[u8]| Imported::parse(bytes).unwrap_err().code();
        let xpub = ExtendedPrivateKey::from_seed(&Seed::from_bytes(&[1; 16]).unwrap()).unwrap();
        assert_eq!(code(b" \n"), "identity.empty");
        assert_eq!(code(&vec![b'a'; 100_000_000]), "identity.too_large");
        assert_eq!(code(b"abc\xff"), "identity.utf8");
        assert_eq!(code(xpub.to_public().to_string().as_bytes()), "identity.public_only");
        assert_eq!(code(b"hello"), "identity.unknown");
        assert_eq!(code(b"0x1234"), "key.format");
        assert_eq!(code("00".repeat(32).as_bytes()), "key.format");
        assert_eq!(
            code(b"fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"),
            "key.format"
        );
        assert_eq!(code(b"hello world"), "mnemonic.word_count");
        assert_eq!(code(b"xprv123"), "hd.text");
        assert_eq!(code(b"{}"), "keystore.missing");
        assert_eq!(code(b"{\"type\":\"keystore\"}"), "keystore.missing");
        assert_eq!(code(b"{\"type\":\"account\",\"mnemonic\":1}"), "identity.public_only");
    }
}
