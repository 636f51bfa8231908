//! Reads identities from files and standard input, and unlocks them.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use statuskit_core::account::{
    Identity, ImportError, Imported, KeystoreError, Limits, MAX_IMPORT, MnemonicError,
    mobile_password,
};
use zeroize::Zeroizing;

use crate::{
    context::note_later,
    error::{CliError, Exit, Result},
    files::show_path,
    password::{self, PasswordArgs},
};

/// How to unlock an identity.
#[derive(Debug, Clone, Default, Args)]
pub struct UnlockArgs {
    #[command(flatten)]
    pub password: PasswordArgs,
    /// The password is the one typed into the mobile app, which encrypts with its hash
    #[arg(long, help_heading = "Key files")]
    pub mobile_password: bool,
    /// Open key files even if they need much memory or time
    #[arg(long, help_heading = "Key files")]
    pub allow_expensive: bool,
    /// File with the BIP39 passphrase of a recovery phrase; the Status app uses none
    #[arg(long, value_name = "FILE", help_heading = "Key files")]
    pub passphrase_file: Option<PathBuf>,
}

impl UnlockArgs {
    /// Returns the maximum cost of a key file.
    pub fn limits(&self) -> Limits {
        if self.allow_expensive { Limits::UNLIMITED } else { Limits::default() }
    }

    /// Reads the passphrase of phrases. `None` if none is given.
    pub fn passphrase(&self) -> Result<Option<Zeroizing<String>>> {
        let Some(path) = &self.passphrase_file else { return Ok(None) };
        let bytes = password::from_file(path, "--passphrase-file")?;
        text_of(&bytes, "the passphrase").map(Some)
    }

    /// Reads the password of `purpose`, hashed if the key file needs that.
    pub fn existing_password(&self, purpose: &str) -> Result<password::Password> {
        self.prepared(self.password.existing(purpose)?)
    }

    /// Hashes a typed password if the key file needs that.
    pub fn prepared(&self, typed: password::Password) -> Result<password::Password> {
        if !self.mobile_password {
            return Ok(typed);
        }
        let hashed = mobile_password(&text_of(&typed, "the password")?);
        Ok(Zeroizing::new(hashed.as_bytes().to_vec()))
    }
}

/// Reads the identity in a file; `-` is standard input. `field` is the option that named it.
pub fn read(path: &Path, field: &str, unlock: &UnlockArgs) -> Result<Identity> {
    let shown = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let bytes = read_bytes(path, &shown, field)?;
    let identity = parse(&bytes, &shown, field, unlock)?;
    note_readers(path);
    Ok(identity)
}

/// Checks that a file has an identity, without unlocking it.
pub fn check(path: &Path) -> Result<()> {
    let shown = path.display().to_string();
    let bytes = read_bytes(path, &shown, "identity")?;
    Ok(Imported::parse(&bytes).map(drop).map_err(|error| import_error(&error, &shown))?)
}

/// Reads the bytes of a file with an identity.
pub fn read_bytes(path: &Path, shown: &str, field: &str) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_IMPORT + 1));
    let limit = MAX_IMPORT as u64 + 1;
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        let named = if path == Path::new("-") { shown.to_owned() } else { show_path(path) };
        let message = format!("can't read the identity from {named}: {error}");
        let hint = if named == *shown {
            "status-account new --out me.json creates one"
        } else {
            "a secret is never an argument: write it to a file (chmod 600) and name the file, or \
             set STATUS_IDENTITY"
        };
        CliError::new("file.read", Exit::Local, message).field(field).hint(hint)
    })?;
    if bytes.len() > MAX_IMPORT {
        let message = format!("{shown} is not an identity: it has more than {MAX_IMPORT} bytes");
        let error = CliError::new("identity.too_large", Exit::Malformed, message);
        return Err(error.field(field).into());
    }
    Ok(bytes)
}

/// Notes that others than the owner may read the file of an identity.
pub fn note_readers(path: &Path) {
    let Ok(found) = fs::metadata(path) else { return };
    if found.is_file() && found.permissions().mode() & 0o077 != 0 {
        note_later(format!("others may read {}: chmod 600", path.display()));
    }
}

/// Reads and unlocks the identity in `bytes`; asks for the password if it needs one.
pub fn parse(bytes: &[u8], shown: &str, field: &str, unlock: &UnlockArgs) -> Result<Identity> {
    let failed = |error: ImportError| {
        let error = import_error(&error, shown);
        if error.field.is_some() { error } else { error.field(field) }
    };
    let (imported, ignored) = Imported::parse_cleaned(bytes).map_err(failed)?;
    if !ignored.is_empty() {
        note_later(format!("{shown}: read without {}", ignored.join(", ")));
    }
    // Before the user is asked for a password.
    imported.check(&unlock.limits()).map_err(|error| failed(error.into()))?;
    let password = match imported.needs_password() {
        true => unlock.existing_password(shown)?,
        false => Zeroizing::default(),
    };
    let passphrase = match imported.takes_passphrase() {
        true => unlock.passphrase()?,
        false => None,
    };
    let passphrase = passphrase.as_ref().map(|text| text.as_str());
    Ok(imported.unlock(passphrase, &password, &unlock.limits()).map_err(failed)?)
}

/// Converts the error of an input that is not an identity.
pub fn import_error(error: &ImportError, shown: &str) -> CliError {
    let (exit, hint) = match error {
        ImportError::NoTree(_) => (Exit::Usage, Some("omit --path")),
        ImportError::PublicRecord => {
            (Exit::Malformed, Some("status-account new --out FILE keeps the secret"))
        }
        ImportError::Keystore(KeystoreError::Mac { .. }) => {
            (Exit::Negative, Some("--mobile-password, if the mobile app wrote the file"))
        }
        ImportError::Keystore(KeystoreError::Expensive { .. }) => {
            (Exit::Malformed, Some("--allow-expensive, if you trust the file"))
        }
        ImportError::Spelled { what: "binary" } => {
            (Exit::Malformed, Some("xxd -p -c0 FILE writes it as hex"))
        }
        ImportError::Digits { .. } | ImportError::Unknown { .. } | ImportError::Spelled { .. } => {
            (Exit::Malformed, Some("64 hex digits, the words of a phrase, xprv…, or a key file"))
        }
        ImportError::Keystore(KeystoreError::Memory { .. }) => (Exit::Local, None),
        ImportError::Mnemonic(MnemonicError::Checksum { .. }) => (
            Exit::Malformed,
            Some(
                "the words and their order; import --unchecked, only if the account was made from \
                 exactly this text",
            ),
        ),
        ImportError::Mnemonic(MnemonicError::WordCount { .. }) => {
            (Exit::Malformed, Some("12, 15, 18, 21 or 24 words, separated by blanks"))
        }
        ImportError::Mnemonic(MnemonicError::UnknownWord { .. }) => {
            (Exit::Malformed, Some("the word as it was written down when the account was made"))
        }
        _ => (Exit::Malformed, None),
    };
    let mut converted = CliError::new(error.code(), exit, format!("{shown}: {error}"));
    if let ImportError::Path(_) = error {
        converted = converted.field("path");
    }
    match hint {
        Some(hint) => converted.hint(hint),
        None => converted,
    }
}

/// Reads UTF-8.
pub fn text_of(bytes: &[u8], what: &str) -> Result<Zeroizing<String>> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        CliError::new("password.utf8", Exit::Malformed, format!("{what} is not UTF-8"))
            .offset(error.valid_up_to())
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}
