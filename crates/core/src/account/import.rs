//! Whatever holds an identity, told apart by what it looks like: hex key, phrase, extended key or
//! key file. Behind every `--identity`.

use std::fmt;

use super::{
    DerivationPath, ExtendedPrivateKey, HdError, KeyFile, KeystoreError, Limits, Mnemonic,
    MnemonicError,
};
use crate::crypto::{KeyError, SecretKey};

/// The longest input that is looked at, in bytes: that of a key file.
pub const MAX_IMPORT: usize = super::keystore::MAX_KEY_FILE;

/// What an input turned out to be.
#[derive(Clone, PartialEq, Eq)]
pub enum Imported {
    /// 64 hex digits.
    Key(SecretKey),
    /// Words.
    Phrase(Mnemonic),
    /// `xprv…`.
    Extended(ExtendedPrivateKey),
    /// A JSON object, still encrypted.
    KeyFile(Box<KeyFile>),
}

/// Why an input holds no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error("the input is empty; expected a hex key, a recovery phrase, xprv… or a key file")]
    Empty,
    #[error("an input of {got} bytes holds no identity (the limit is {MAX_IMPORT})")]
    TooLarge { got: usize },
    #[error("the input is not text (byte {at} is not UTF-8)")]
    Utf8 { at: usize },
    #[error("this is an extended public key; an identity needs the private one (xprv…)")]
    PublicOnly,
    #[error(
        "neither 64 hex digits, nor the words of a phrase, nor xprv…, nor a key file ({got} bytes)"
    )]
    Unknown { got: usize },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Mnemonic(#[from] MnemonicError),
    #[error(transparent)]
    Hd(#[from] HdError),
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    #[error("{0} has no keys below it: a path needs a phrase, xprv… or a Status key file")]
    NoTree(&'static str),
}

impl ImportError {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "identity.empty",
            Self::TooLarge { .. } => "identity.too_large",
            Self::Utf8 { .. } => "identity.utf8",
            Self::PublicOnly => "identity.public_only",
            Self::Unknown { .. } => "identity.unknown",
            Self::Key(_) => "key.format",
            Self::Mnemonic(error) => error.code(),
            Self::Hd(error) => error.code(),
            Self::Keystore(error) => error.code(),
            Self::NoTree(_) => "identity.no_tree",
        }
    }
}

impl Imported {
    /// Tells what the bytes are and reads them. White space around the text is ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImportError> {
        if bytes.len() > MAX_IMPORT {
            return Err(ImportError::TooLarge { got: bytes.len() });
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ImportError::Utf8 { at: error.valid_up_to() })?
            .trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.is_empty() {
            Err(ImportError::Empty)
        } else if text.starts_with('{') {
            Ok(Self::KeyFile(Box::new(KeyFile::parse(text.as_bytes())?)))
        } else if text.starts_with("xprv") {
            Ok(Self::Extended(text.parse()?))
        } else if text.starts_with("xpub") {
            Err(ImportError::PublicOnly)
        } else if is_hex && (digits.len() == 64 || text.starts_with("0x")) {
            Ok(Self::Key(text.parse()?))
        } else if text.contains(char::is_whitespace) {
            Ok(Self::Phrase(Mnemonic::parse(text)?))
        } else {
            Err(ImportError::Unknown { got: text.len() })
        }
    }

    /// `hex key`, `recovery phrase`, `extended key` or `key file`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "hex key",
            Self::Phrase(_) => "recovery phrase",
            Self::Extended(_) => "extended key",
            Self::KeyFile(_) => "key file",
        }
    }

    /// Whether [`unlock`](Self::unlock) needs a password.
    pub fn needs_password(&self) -> bool {
        matches!(self, Self::KeyFile(_))
    }

    /// Whether there are keys below this one, as far as can be told without the password.
    pub fn has_tree(&self) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Phrase(_) | Self::Extended(_) => true,
            Self::KeyFile(file) => file.extended_kdf().is_some(),
        }
    }

    /// The key or tree inside. `passphrase` is for phrases (empty in the app), `password` for
    /// key files; the others ignore them.
    pub fn unlock(
        &self,
        passphrase: &str,
        password: &[u8],
        limits: &Limits,
    ) -> Result<Unlocked, ImportError> {
        Ok(match self {
            Self::Key(key) => Unlocked::Key(key.clone()),
            Self::Phrase(phrase) => {
                let seed = phrase.to_seed(passphrase);
                Unlocked::Master(ExtendedPrivateKey::from_seed(&seed)?)
            }
            Self::Extended(key) if key.depth() == 0 => Unlocked::Master(key.clone()),
            Self::Extended(key) => Unlocked::Node(key.clone()),
            Self::KeyFile(file) => {
                let opened = file.open(password, limits)?;
                match opened.derivation_key() {
                    Ok(key) => Unlocked::Node(key.clone()),
                    // The private key of an old file is good, only its tree is not.
                    Err(_) => Unlocked::Key(opened.secret),
                }
            }
        })
    }
}

impl fmt::Debug for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Imported({}, …)", self.kind())
    }
}

/// A key in the clear, with or without what grows below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlocked {
    /// A single key.
    Key(SecretKey),
    /// A master key: the account's own key is at the chat key's path.
    Master(ExtendedPrivateKey),
    /// A key from inside a tree, or the key of a key file: it stands for itself.
    Node(ExtendedPrivateKey),
}

impl Unlocked {
    /// The private key at `path`, or without one the key that is meant: the chat key below a
    /// master key, otherwise the key itself.
    pub fn identity(&self, path: Option<&DerivationPath>) -> Result<SecretKey, ImportError> {
        let derived = match (self, path) {
            (Self::Key(key), None) => return Ok(key.clone()),
            (Self::Key(_), Some(_)) => return Err(ImportError::NoTree("a single private key")),
            (Self::Node(key), None) => return Ok(key.secret_key().clone()),
            (Self::Master(key), None) => key.derive(&DerivationPath::CHAT)?,
            (Self::Master(key) | Self::Node(key), Some(path)) => key.derive(path)?,
        };
        Ok(derived.secret_key().clone())
    }

    /// The key to derive from.
    pub fn tree(&self) -> Result<&ExtendedPrivateKey, ImportError> {
        match self {
            Self::Key(_) => Err(ImportError::NoTree("a single private key")),
            Self::Master(key) | Self::Node(key) => Ok(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Nonces, ScryptCost, Seed};
    use crate::crypto::seeded_rng;

    const PHRASE: &str =
        "time spirit very trade door safe dragon rabbit position before garbage evidence";

    fn unlock(text: &str) -> Unlocked {
        Imported::parse(text.as_bytes()).unwrap().unlock("", b"pw", &Limits::default()).unwrap()
    }

    #[test]
    fn every_form_leads_to_the_chat_key() {
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
            assert_eq!((imported.kind(), imported.has_tree()), (kind, has_tree));
            assert_eq!(imported.needs_password(), kind == "key file");
            let unlocked = unlock(&text);
            assert_eq!(unlocked.identity(None).as_ref(), Ok(chat.secret_key()), "{kind}");
            assert_eq!(unlocked.tree().is_ok(), has_tree);
            assert!(!format!("{imported:?} {unlocked:?}").contains(&hex));
        }
        let wallet = unlock(PHRASE).identity(Some(&DerivationPath::WALLET));
        let expected = master.derive(&DerivationPath::WALLET).unwrap();
        assert_eq!(wallet.as_ref(), Ok(expected.secret_key()));
        let below = unlock(&chat.to_xprv()).identity(Some(&"m/1".parse().unwrap()));
        assert_eq!(below.as_ref(), Ok(chat.derive(&"m/1".parse().unwrap()).unwrap().secret_key()));
        let error = unlock(&hex).identity(Some(&DerivationPath::WALLET)).unwrap_err();
        assert_eq!(error.code(), "identity.no_tree");
    }

    #[test]
    fn other_inputs_say_what_was_expected() {
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
    }
}
