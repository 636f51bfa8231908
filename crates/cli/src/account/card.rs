//! The record of an account: its public part, its picture, and its secrets on request.

use std::fmt::Write as _;

use serde_json::{Value, json};
use statuskit_core::{
    account::{Address, Card, DerivationPath, Identicon, Identity, ImportError, KeyUid},
    crypto::PublicKey,
};
use zeroize::Zeroizing;

use crate::{
    error::{CliError, Exit, Result},
    files::{self, Readers},
    identity::import_error,
    output::Record,
};

/// Returns the record of a public key.
pub fn from_key(key: &PublicKey) -> Record {
    let card = Card::from_key(key);
    let key_uid = card.key_uid.to_string();
    from_card(&card, key_uid, None).with_raw(&key.to_uncompressed())
}

/// Returns the record of an identity, with its named keys.
pub fn from_identity(identity: &Identity, path: Option<&DerivationPath>) -> Result<Record> {
    let failed = |error: ImportError| import_error(&error, "the identity").field("--path");
    let path = identity.path(path);
    let key = identity.key(path).map_err(failed)?.public_key();
    let master = identity.master();
    // The key UID of an account is that of its master key.
    let key_uid = KeyUid::from_key(&master.map_or(key, |master| master.public_key())).to_string();
    let mut keys = Vec::new();
    for (name, path) in master.iter().flat_map(|_| DerivationPath::NAMED) {
        let key = identity.key(Some(&path)).map_err(failed)?.public_key();
        keys.push(json!({
            "name": name,
            "path": path.to_string(),
            "address": Address::from_key(&key).to_string(),
            "public_key": key.to_string(),
        }));
    }
    let record = from_card(&Card::from_key(&key), key_uid, path)
        .with_some("words", identity.phrase().map(|phrase| phrase.word_count()))
        .with_some("language", identity.phrase().map(|phrase| phrase.language().name()))
        .with_some("keys", (!keys.is_empty()).then_some(keys));
    Ok(record.with_raw(&key.to_uncompressed()))
}

fn from_card(card: &Card, key_uid: String, path: Option<&DerivationPath>) -> Record {
    Record::new("account")
        .with("name", card.name.to_string())
        .with("public_key", card.public_key.to_string())
        .with("compressed", card.compact.as_str())
        .with("address", card.address.to_string())
        .with("key_uid", key_uid)
        .with_some("path", path.map(ToString::to_string))
        .with("link", card.link().to_string())
        .with("identicon", picture(&card.identicon))
}

/// Adds the secrets.
fn with_secrets(mut record: Record, identity: &Identity) -> Record {
    for (name, value) in identity.secret_members() {
        record = record.with(name, value.as_str());
    }
    let known = record.members().contains_key("private_key");
    match (known, identity.key(None)) {
        (false, Ok(key)) => record.with("private_key", key.to_hex().as_str()),
        _ => record,
    }
}

/// Returns the file of an account: its record with the secrets that restore it.
fn file_of(record: &Record, identity: &Identity) -> Zeroizing<Vec<u8>> {
    let mut file = Zeroizing::new(Vec::with_capacity(64 << 10));
    let writes = "writing to memory does not fail";
    serde_json::to_writer(&mut *file, record.members()).expect(writes);
    file.pop();
    for (name, value) in identity.secret_members() {
        file.extend_from_slice(format!(",\"{name}\":").as_bytes());
        serde_json::to_writer(&mut *file, value.as_str()).expect(writes);
    }
    file.extend_from_slice(b"}\n");
    file
}

/// Returns the identicon as a member of records.
pub fn picture(identicon: &Identicon) -> Value {
    let rows = identicon
        .cells()
        .iter()
        .map(|row| row.iter().map(|cell| if *cell { '1' } else { '0' }).collect::<String>());
    json!({
        "color": format!("#{}", hex::encode(identicon.color())),
        "rows": rows.collect::<Vec<_>>(),
    })
}

/// Draws the identicon in five lines. A character is twice as high as wide, so a cell takes two.
pub fn drawing(identicon: &Identicon, colour: bool) -> Vec<String> {
    let [red, green, blue] = identicon.color();
    let draw = |row: &[bool; Identicon::CELLS]| {
        let line: String = row.iter().map(|cell| if *cell { "██" } else { "  " }).collect();
        if colour { format!("\x1b[38;2;{red};{green};{blue}m{line}\x1b[0m") } else { line }
    };
    identicon.cells().iter().map(draw).collect()
}

/// Writes the record for people.
pub fn text(record: &Record, colour: bool) -> String {
    let members = record.members();
    let member = |name: &str| members.get(name).and_then(Value::as_str);
    let key: Option<PublicKey> = member("public_key").and_then(|text| text.parse().ok());
    let picture = key.map(|key| drawing(&Identicon::from_key(&key), colour)).unwrap_or_default();
    let mut beside = vec![member("name").unwrap_or_default().to_owned()];
    let labels = [
        ("", "compressed"),
        ("address  ", "address"),
        ("key UID  ", "key_uid"),
        ("path     ", "path"),
    ];
    for (label, name) in labels {
        beside.extend(member(name).map(|value| format!("{label}{value}")));
    }
    let mut out = String::new();
    for at in 0..picture.len().max(beside.len()) {
        let drawn = picture.get(at).map_or("          ", String::as_str);
        let line = beside.get(at).map_or("", String::as_str);
        out.push_str(format!("{drawn}  {line}").trim_end());
        out.push('\n');
    }
    let _ = writeln!(out, "{}", member("public_key").unwrap_or_default());
    for entry in members.get("keys").and_then(Value::as_array).into_iter().flatten() {
        let [name, path, address] =
            ["name", "path", "address"].map(|name| entry[name].as_str().unwrap_or_default());
        let _ = writeln!(out, "  {name:12} {path:22} {address}");
    }
    for name in ["file", "mnemonic", "passphrase", "extended_key", "private_key"] {
        if let Some(value) = member(name) {
            let _ = writeln!(out, "{name:12} {value}");
        }
    }
    out
}

/// Options for the secret of an account.
#[derive(Debug, Clone, clap::Args)]
pub struct SecretArgs {
    /// Save the account with its secret in FILE, readable only by you, for use with --identity
    #[arg(long, value_name = "FILE")]
    pub out: Option<std::path::PathBuf>,
    /// Overwrite the file of --out
    #[arg(long, requires = "out")]
    pub force: bool,
    /// Print the secret as well
    #[arg(long)]
    pub show_secret: bool,
}

impl SecretArgs {
    /// Checks the options before any work, so that [`write`](Self::write) does not fail after it.
    pub fn check(&self) -> Result<()> {
        match &self.out {
            Some(path) => files::check_free(path, "--out", self.force),
            None => Ok(()),
        }
    }

    /// Writes the file of --out, and returns the record to print.
    pub fn write(&self, mut record: Record, identity: &Identity) -> Result<Record> {
        if let Some(path) = &self.out {
            if path.as_os_str() == "-" {
                let error = CliError::usage("--out does not write secrets to standard output");
                return Err(error.field("--out").hint("--show-secret prints them").into());
            }
            let file = file_of(&record, identity);
            files::write_new(path, &file, Readers::Owner, "--out", self.force)?;
            record = record.with("file", path.display().to_string());
        }
        Ok(if self.show_secret { with_secrets(record, identity) } else { record })
    }
}

/// Returns the error of a record without a key.
pub fn no_key() -> CliError {
    CliError::new("record.key", Exit::Malformed, "the record has no public key")
        .hint("account and key records have public_key")
}
