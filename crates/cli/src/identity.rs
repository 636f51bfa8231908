//! Whatever holds an identity: read, unlocked with its password, and written again.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Map, Value};
use statuskit_core::{
    account::{
        DerivationPath, ExtendedPrivateKey, HdError, ImportError, Imported, KeystoreError, Limits,
        Mnemonic, Seed, Unlocked, import::MAX_IMPORT, mobile_password,
    },
    crypto::{PublicKey, SecretKey},
};
use zeroize::Zeroizing;

use crate::{
    error::{CliError, Exit, Result},
    output::escape,
    password::{self, PasswordArgs},
};

/// What opens an identity.
#[derive(Debug, Clone, Default, Args)]
pub struct UnlockArgs {
    #[command(flatten)]
    pub password: PasswordArgs,
    /// The password is the one that was typed into the mobile app, which uses its hash
    #[arg(long, help_heading = "Key files")]
    pub mobile_password: bool,
    /// Open key files however much memory and time they ask for
    #[arg(long, help_heading = "Key files")]
    pub allow_expensive: bool,
    /// File with the BIP39 passphrase that goes with a phrase; the Status app has none
    #[arg(long, value_name = "FILE", help_heading = "Key files")]
    pub passphrase_file: Option<PathBuf>,
}

impl UnlockArgs {
    /// How far to go for a key file.
    pub fn limits(&self) -> Limits {
        if self.allow_expensive { Limits::UNLIMITED } else { Limits::default() }
    }

    /// The passphrase of phrases.
    pub fn passphrase(&self) -> Result<Zeroizing<String>> {
        let Some(path) = &self.passphrase_file else { return Ok(Zeroizing::default()) };
        let bytes = password::from_file(path, "--passphrase-file")?;
        text_of(&bytes, "the passphrase")
    }

    /// The password that opens `purpose`, as the file needs it.
    pub fn existing_password(&self, purpose: &str) -> Result<password::Password> {
        self.prepared(self.password.existing(purpose)?)
    }

    /// A typed password as files need it.
    pub fn prepared(&self, typed: password::Password) -> Result<password::Password> {
        if !self.mobile_password {
            return Ok(typed);
        }
        let hashed = mobile_password(&text_of(&typed, "the password")?);
        Ok(Zeroizing::new(hashed.as_bytes().to_vec()))
    }
}

fn text_of(bytes: &[u8], what: &str) -> Result<Zeroizing<String>> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        CliError::new("password.utf8", Exit::Malformed, format!("{what} is not UTF-8"))
            .offset(error.valid_up_to())
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// An identity in the clear.
pub struct Identity {
    /// The key or the tree.
    pub unlocked: Unlocked,
    /// The phrase that it grew from, and its passphrase, if it was a phrase.
    pub phrase: Option<(Mnemonic, Zeroizing<String>)>,
    /// The path that is meant, where the file says so.
    pub path: Option<DerivationPath>,
}

impl Identity {
    /// The identity of a phrase.
    pub fn from_phrase(
        phrase: Mnemonic,
        passphrase: Zeroizing<String>,
    ) -> std::result::Result<Self, HdError> {
        let master = ExtendedPrivateKey::from_seed(&phrase.to_seed(&passphrase))?;
        let unlocked = Unlocked::Master(master);
        Ok(Self { unlocked, phrase: Some((phrase, passphrase)), path: None })
    }

    /// The identity of a text that is no phrase, as the reference imports it.
    pub fn from_unchecked_phrase(
        text: &str,
        passphrase: &str,
    ) -> std::result::Result<Self, HdError> {
        let seed = Seed::from_unchecked_phrase(text, passphrase);
        let unlocked = Unlocked::Master(ExtendedPrivateKey::from_seed(&seed)?);
        Ok(Self { unlocked, phrase: None, path: None })
    }

    /// The identity of a single key.
    pub fn from_key(key: SecretKey) -> Self {
        Self { unlocked: Unlocked::Key(key), phrase: None, path: None }
    }

    /// The path of the key that is meant, if it has one: the one given, the one that the file
    /// says, or that of the chat key.
    pub fn path<'a>(&'a self, given: Option<&'a DerivationPath>) -> Option<&'a DerivationPath> {
        static CHAT: DerivationPath = DerivationPath::CHAT;
        given.or(self.path.as_ref()).or(match self.unlocked {
            Unlocked::Master(_) => Some(&CHAT),
            Unlocked::Key(_) | Unlocked::Node(_) => None,
        })
    }

    /// The key that is meant.
    pub fn key(
        &self,
        given: Option<&DerivationPath>,
    ) -> std::result::Result<SecretKey, ImportError> {
        self.unlocked.identity(self.path(given))
    }

    /// The secret members of a record that holds this identity.
    pub fn secret_members(&self) -> Vec<(&'static str, Zeroizing<String>)> {
        match (&self.phrase, &self.unlocked) {
            (Some((phrase, passphrase)), _) => {
                let mut members = vec![("mnemonic", phrase.phrase())];
                if !passphrase.is_empty() {
                    members.push(("passphrase", passphrase.clone()));
                }
                members
            }
            (None, Unlocked::Master(key) | Unlocked::Node(key)) => {
                vec![("extended_key", key.to_xprv())]
            }
            (None, Unlocked::Key(key)) => vec![("private_key", hex_of(key))],
        }
    }
}

/// A private key as text.
pub fn hex_of(key: &SecretKey) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(66));
    text.push_str("0x");
    for byte in *key.to_bytes() {
        for nibble in [byte >> 4, byte & 0xf] {
            text.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
        }
    }
    text
}

/// Reads the identity in a file; `-` is standard input. `field` is the option that named it.
pub fn read(path: &Path, field: &str, unlock: &UnlockArgs) -> Result<Identity> {
    let shown = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let bytes = read_bytes(path, &shown, field)?;
    parse(&bytes, &shown, field, unlock)
}

/// The bytes of a file that may hold an identity.
pub fn read_bytes(path: &Path, shown: &str, field: &str) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_IMPORT + 1));
    let limit = MAX_IMPORT as u64 + 1;
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        let message = format!("can't read the identity from {shown}: {error}");
        CliError::new("file.read", Exit::Local, message)
            .field(field)
            .hint("status-account new --out me.json makes one")
    })?;
    if bytes.len() > MAX_IMPORT {
        let message = format!("{shown} holds no identity: more than {MAX_IMPORT} bytes");
        let error = CliError::new("identity.too_large", Exit::Malformed, message);
        return Err(error.field(field).into());
    }
    Ok(bytes)
}

/// The identity in some bytes; asks for the password if there is need of one.
pub fn parse(bytes: &[u8], shown: &str, field: &str, unlock: &UnlockArgs) -> Result<Identity> {
    let failed = |error: ImportError| import_error(&error, shown).field(field);
    if let Some(members) = account_record(bytes) {
        return from_record(&members, shown, unlock)
            .map_err(|error| if error.field.is_some() { error } else { error.field(field) })
            .map_err(Into::into);
    }
    let imported = Imported::parse(bytes).map_err(failed)?;
    if let Imported::Phrase(phrase) = imported {
        let identity = Identity::from_phrase(phrase, unlock.passphrase()?);
        return Ok(identity.map_err(|error| failed(error.into()))?);
    }
    let password = if let Imported::KeyFile(file) = &imported {
        // Before anybody is asked for a password.
        let kdfs = std::iter::once(file.kdf()).chain(file.extended_kdf());
        for kdf in kdfs {
            kdf.check(&unlock.limits()).map_err(|error| failed(error.into()))?;
        }
        unlock.existing_password(shown)?
    } else {
        Zeroizing::default()
    };
    let unlocked = imported.unlock("", &password, &unlock.limits()).map_err(failed)?;
    Ok(Identity { unlocked, phrase: None, path: None })
}

/// The members, if the bytes are an account record.
fn account_record(bytes: &[u8]) -> Option<Map<String, Value>> {
    if !bytes.trim_ascii_start().starts_with(b"{") || bytes.len() > MAX_IMPORT {
        return None;
    }
    let members: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
    let is_ours = |kind: &Value| kind == "account" || kind == "key";
    members.get("type").is_some_and(is_ours).then_some(members)
}

fn from_record(
    members: &Map<String, Value>,
    shown: &str,
    unlock: &UnlockArgs,
) -> std::result::Result<Identity, CliError> {
    let failed = |error: ImportError| import_error(&error, shown);
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let path = text("path").map(|path| {
        path.parse::<DerivationPath>().map_err(|error| {
            CliError::new(error.code(), Exit::Malformed, error.to_string()).field("path")
        })
    });
    let mut identity = if let Some(phrase) = text("mnemonic") {
        let phrase = phrase.parse::<Mnemonic>().map_err(|error| failed(error.into()))?;
        let mut passphrase = Zeroizing::new(text("passphrase").unwrap_or_default().to_owned());
        if unlock.passphrase_file.is_some() {
            passphrase = unlock.passphrase().map_err(|stop| match stop {
                super::error::Stop::Error(error) => error,
                _ => CliError::usage("no passphrase"),
            })?;
        }
        Identity::from_phrase(phrase, passphrase).map_err(|error| failed(error.into()))?
    } else if let Some(extended) = text("extended_key") {
        let key: ExtendedPrivateKey =
            extended.parse().map_err(|error: HdError| failed(error.into()))?;
        let unlocked = if key.depth() == 0 { Unlocked::Master(key) } else { Unlocked::Node(key) };
        Identity { unlocked, phrase: None, path: None }
    } else if let Some(key) = text("private_key") {
        Identity::from_key(key.parse().map_err(|error| failed(ImportError::Key(error)))?)
    } else {
        let message = format!("{} has the public part of an account only", escape(shown));
        return Err(CliError::new("identity.public_only", Exit::Malformed, message)
            .hint("status-account new --out FILE keeps the secret"));
    };
    if matches!(identity.unlocked, Unlocked::Master(_)) {
        identity.path = path.transpose()?;
    }
    let key = identity.key(None).map_err(failed)?.public_key();
    let said = text("public_key").and_then(|text| text.parse::<PublicKey>().ok());
    if said.is_some_and(|said| said != key) {
        let message = format!("the secret in {} does not belong to its public_key", escape(shown));
        return Err(CliError::new("identity.mismatch", Exit::Malformed, message));
    }
    Ok(identity)
}

/// Why there is no identity in what was read.
pub fn import_error(error: &ImportError, shown: &str) -> CliError {
    let (exit, hint) = match error {
        ImportError::NoTree(_) => (Exit::Usage, Some("leave --path away")),
        ImportError::Keystore(KeystoreError::Mac { .. }) => {
            (Exit::Negative, Some("--mobile-password, if the file is the mobile app's"))
        }
        ImportError::Keystore(KeystoreError::Expensive { .. }) => {
            (Exit::Malformed, Some("--allow-expensive, if you trust the file"))
        }
        ImportError::Keystore(KeystoreError::Memory { .. }) => (Exit::Local, None),
        ImportError::Mnemonic(_) => (
            Exit::Malformed,
            Some("import --unchecked, if the account was made from this very text"),
        ),
        _ => (Exit::Malformed, None),
    };
    let error = CliError::new(error.code(), exit, format!("{shown}: {error}"));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
