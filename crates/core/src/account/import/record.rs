//! Account records: JSON objects with the public part of an account and its secret.

use std::{fmt, mem};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{error::ImportError, identity::Identity};
use crate::{
    account::{DerivationPath, ExtendedPrivateKey, Mnemonic},
    crypto::{PublicKey, SecretKey},
};

/// An account record with its secret, as [`Identity::secret_members`] returns it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountRecord {
    secret: Secret,
    path: Option<DerivationPath>,
    public_key: Option<PublicKey>,
}

#[derive(Clone, PartialEq, Eq)]
enum Secret {
    Phrase { phrase: Mnemonic, passphrase: Zeroizing<String> },
    Extended(ExtendedPrivateKey),
    Key(SecretKey),
}

impl AccountRecord {
    /// Reads a JSON object of type `account` or `key`. `None` if it is something else.
    pub(super) fn parse(json: &str) -> Option<Result<Self, ImportError>> {
        let members: Map<String, Value> = serde_json::from_str(json).ok()?;
        let is_account = |kind: &Value| kind == "account" || kind == "key";
        members.get("type").is_some_and(is_account).then(|| Self::read(members))
    }

    pub(super) fn has_phrase(&self) -> bool {
        matches!(self.secret, Secret::Phrase { .. })
    }

    /// Derives the identity. `passphrase` replaces that of the record.
    pub(super) fn unlock(&self, passphrase: Option<&str>) -> Result<Identity, ImportError> {
        let mut identity = match &self.secret {
            Secret::Phrase { phrase, passphrase: own } => {
                let passphrase = passphrase.unwrap_or(own).to_owned();
                Identity::from_phrase(phrase.clone(), Zeroizing::new(passphrase))?
            }
            Secret::Extended(key) => Identity::from_extended_key(key.clone()),
            Secret::Key(key) => Identity::from_key(key.clone()),
        };
        if let Some(path) = &self.path {
            identity = identity.with_path(path.clone());
        }
        let key = identity.key(None)?.public_key();
        if self.public_key.is_some_and(|claimed| claimed != key) {
            return Err(ImportError::Mismatch);
        }
        Ok(identity)
    }

    fn read(mut members: Map<String, Value>) -> Result<Self, ImportError> {
        // Takes secrets out of the JSON tree, which does not erase them.
        let mut take = |name: &str| match members.get_mut(name) {
            Some(Value::String(text)) => Some(Zeroizing::new(mem::take(text))),
            _ => None,
        };
        let [phrase, passphrase, extended, key] =
            ["mnemonic", "passphrase", "extended_key", "private_key"].map(&mut take);
        let [path, public_key] = ["path", "public_key"].map(take);
        let secret = if let Some(phrase) = phrase {
            Secret::Phrase { phrase: phrase.parse()?, passphrase: passphrase.unwrap_or_default() }
        } else if let Some(extended) = extended {
            Secret::Extended(extended.parse()?)
        } else if let Some(key) = key {
            Secret::Key(key.parse()?)
        } else {
            return Err(ImportError::PublicRecord);
        };
        // Paths start at a master key; records of other keys have their path for information.
        let is_master = match &secret {
            Secret::Phrase { .. } => true,
            Secret::Extended(key) => key.depth() == 0,
            Secret::Key(_) => false,
        };
        let path = path.filter(|_| is_master).map(|path| path.parse()).transpose()?;
        Ok(Self { secret, path, public_key: public_key.and_then(|key| key.parse().ok()) })
    }
}

impl fmt::Debug for AccountRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountRecord(…)")
    }
}
