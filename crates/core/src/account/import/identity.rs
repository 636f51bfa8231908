//! Identities in the clear.

use std::fmt;

use zeroize::Zeroizing;

use super::error::ImportError;
use crate::{
    account::{DerivationPath, ExtendedPrivateKey, HdError, Mnemonic, OpenedKey, Seed},
    crypto::SecretKey,
};

/// An identity in the clear: a single key, or a tree of keys.
#[derive(Clone)]
pub struct Identity {
    secret: Secret,
    phrase: Option<(Mnemonic, Zeroizing<String>)>,
    path: Option<DerivationPath>,
}

#[derive(Clone)]
enum Secret {
    Key(SecretKey),
    /// A master key: the identity is the chat key below it.
    Master(ExtendedPrivateKey),
    /// A key inside a tree, or in a key file: the identity is the key itself.
    Node(ExtendedPrivateKey),
}

impl Identity {
    /// Derives the identity of a phrase and its passphrase, which is empty in the Status app.
    ///
    /// # Errors
    /// If the phrase has no master key: one in 2^127.
    pub fn from_phrase(phrase: Mnemonic, passphrase: Zeroizing<String>) -> Result<Self, HdError> {
        let master = ExtendedPrivateKey::from_seed(&phrase.to_seed(&passphrase))?;
        Ok(Self { phrase: Some((phrase, passphrase)), ..Self::new(Secret::Master(master)) })
    }

    /// Derives the identity of *any* text, as the reference imports it; see
    /// [`Seed::from_unchecked_phrase`].
    ///
    /// # Errors
    /// If the text has no master key: one in 2^127.
    pub fn from_unchecked_phrase(text: &str, passphrase: &str) -> Result<Self, HdError> {
        let seed = Seed::from_unchecked_phrase(text, passphrase);
        Ok(Self::new(Secret::Master(ExtendedPrivateKey::from_seed(&seed)?)))
    }

    /// Wraps a single key.
    pub fn from_key(key: SecretKey) -> Self {
        Self::new(Secret::Key(key))
    }

    /// Wraps an extended key: a master key, or a key inside a tree.
    pub fn from_extended_key(key: ExtendedPrivateKey) -> Self {
        Self::new(if key.depth() == 0 { Secret::Master(key) } else { Secret::Node(key) })
    }

    /// Wraps the content of a key file.
    ///
    /// Old app versions wrote files with the wrong extended key; only their private key is used.
    pub fn from_opened_key(opened: OpenedKey) -> Self {
        Self::new(match opened.derivation_key() {
            Ok(key) => Secret::Node(key.clone()),
            Err(_) => Secret::Key(opened.secret),
        })
    }

    /// Sets the path of the identity's key in its tree.
    #[must_use]
    pub fn with_path(self, path: DerivationPath) -> Self {
        Self { path: Some(path), ..self }
    }

    /// Returns the path of the identity's key: `given`, or the identity's own, or that of the chat
    /// key below a master key. `None` if the identity is the key itself.
    pub fn path<'a>(&'a self, given: Option<&'a DerivationPath>) -> Option<&'a DerivationPath> {
        static CHAT: DerivationPath = DerivationPath::CHAT;
        given.or(self.path.as_ref()).or(self.master().map(|_| &CHAT))
    }

    /// Returns the private key at [`path`](Self::path).
    ///
    /// # Errors
    /// If a single key is given a path, or if there is no key at an index: one in 2^127.
    pub fn key(&self, given: Option<&DerivationPath>) -> Result<SecretKey, ImportError> {
        if let (Secret::Key(key), None) = (&self.secret, self.path(given)) {
            return Ok(key.clone());
        }
        Ok(self.derive(given)?.secret_key().clone())
    }

    /// Returns the extended key at [`path`](Self::path). `None` for a single key.
    ///
    /// # Errors
    /// If a single key is given a path, or if there is no key at an index: one in 2^127.
    pub fn extended_key(
        &self,
        given: Option<&DerivationPath>,
    ) -> Result<Option<ExtendedPrivateKey>, ImportError> {
        match (&self.secret, self.path(given)) {
            (Secret::Key(_), None) => Ok(None),
            _ => self.derive(given).map(Some),
        }
    }

    /// Returns the key where paths start.
    ///
    /// # Errors
    /// If the identity is a single key.
    pub fn tree(&self) -> Result<&ExtendedPrivateKey, ImportError> {
        match &self.secret {
            Secret::Key(_) => Err(ImportError::NoTree("a single private key")),
            Secret::Master(key) | Secret::Node(key) => Ok(key),
        }
    }

    /// Returns the master key. `None` if it is unknown.
    pub fn master(&self) -> Option<&ExtendedPrivateKey> {
        match &self.secret {
            Secret::Master(key) => Some(key),
            Secret::Key(_) | Secret::Node(_) => None,
        }
    }

    /// Returns the phrase. `None` if it is unknown.
    pub fn phrase(&self) -> Option<&Mnemonic> {
        self.phrase.as_ref().map(|(phrase, _)| phrase)
    }

    /// Returns the members that make an account record an identity; [`Imported`](super::Imported)
    /// reads them.
    pub fn secret_members(&self) -> Vec<(&'static str, Zeroizing<String>)> {
        match (&self.phrase, &self.secret) {
            (Some((phrase, passphrase)), _) => {
                let mut members = vec![("mnemonic", phrase.phrase())];
                if !passphrase.is_empty() {
                    members.push(("passphrase", passphrase.clone()));
                }
                members
            }
            (None, Secret::Master(key) | Secret::Node(key)) => {
                vec![("extended_key", key.to_xprv())]
            }
            (None, Secret::Key(key)) => vec![("private_key", key.to_hex())],
        }
    }

    fn new(secret: Secret) -> Self {
        Self { secret, phrase: None, path: None }
    }

    fn derive(&self, given: Option<&DerivationPath>) -> Result<ExtendedPrivateKey, ImportError> {
        let tree = self.tree()?;
        Ok(match self.path(given) {
            Some(path) => tree.derive(path)?,
            None => tree.clone(),
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.secret {
            Secret::Key(_) => "key",
            Secret::Master(_) => "master key",
            Secret::Node(_) => "extended key",
        };
        write!(f, "Identity({kind}, …)")
    }
}
