//! `status-account keystore`: encrypts and decrypts key files.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};
use statuskit_core::account::{
    Address, Identity, ImportError, Imported, Kdf, KeyFile, KeystoreError, Nonces, OpenedKey,
    ScryptCost, file_name,
};

use crate::{
    account::card::{self, SecretArgs},
    context::{Context, note_later},
    error::{CliError, Exit, Result},
    files::{Readers, check_free, make_directory, write_new},
    identity::{self, UnlockArgs, import_error},
    keys::IdentityArgs,
    output::Record,
    password::{Password, PasswordArgs, Wanted},
};

/// Encrypt, decrypt, re-encrypt and inspect key files (web3 secret storage)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ STATUS_PASSWORD=secret status-account keystore encrypt --identity me.key | status-account keystore inspect")]
pub struct KeystoreCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Encrypt(EncryptCommand),
    Decrypt(DecryptCommand),
    #[command(name = "re-encrypt", alias = "reencrypt")]
    Reencrypt(ReencryptCommand),
    Inspect(InspectCommand),
}

impl KeystoreCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::Encrypt(command) => command.run(cx),
            Command::Decrypt(command) => command.run(cx),
            Command::Reencrypt(command) => command.run(cx),
            Command::Inspect(command) => command.run(cx),
        }
    }
}

/// The destination and cost of a new key file.
#[derive(Debug, Args)]
struct NewFileArgs {
    /// Write the key file to FILE, or under its usual name (UTC--…) into a directory. A path that
    /// ends with a slash is a directory, and is created if missing [default: print the key file]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file of --out
    #[arg(long, requires = "out")]
    force: bool,
    /// Cost of guessing the password: as in Status clients, or as in go-ethereum (256 MiB)
    #[arg(long, value_enum, default_value = "status")]
    scrypt: Cost,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Cost {
    /// n = 4096, r = 8, p = 6
    Status,
    /// n = 262144, r = 8, p = 1
    Standard,
}

impl Cost {
    fn parameters(self) -> ScryptCost {
        match self {
            Self::Status => ScryptCost::STATUS,
            Self::Standard => ScryptCost::STANDARD,
        }
    }
}

impl NewFileArgs {
    fn check(&self) -> Result<()> {
        match &self.out {
            Some(path) if !is_directory(path) => check_free(path, "--out", self.force),
            _ => Ok(()),
        }
    }

    /// Writes or prints a new key file.
    fn emit(&self, cx: &mut Context, file: &KeyFile) -> Result<()> {
        let json = file.to_json();
        let Some(out) = &self.out else {
            let mut record = Record::new("keystore");
            let members: Map<String, Value> =
                serde_json::from_str(&json).expect("a key file is JSON");
            for (name, value) in members {
                record = record.with(&name, value);
            }
            let record = record.with_raw(json.as_bytes());
            return cx.emit(&record, |_| json.clone());
        };
        let mut path = out.clone();
        if let (true, Some(address)) = (is_directory(out), &file.address) {
            make_directory(out, "--out")?;
            let now = cx.now_ms().since_epoch();
            path.push(file_name(address, now.as_secs(), now.subsec_nanos()));
        }
        write_new(&path, json.as_bytes(), Readers::Owner, "--out", self.force)?;
        let record = summary(file).with("file", path.display().to_string());
        cx.emit(&record, |_| path.display().to_string())
    }
}

/// Whether a path is a directory, or ends with a slash.
fn is_directory(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Encrypt the key of an identity with a password, as Status clients do
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo secret > pw; status-account keystore encrypt --identity me.key --password-file pw --out UTC.json --force
  $ STATUS_PASSWORD=secret status-account keystore encrypt --identity me.key | STATUS_PASSWORD=secret status-account keystore decrypt")]
struct EncryptCommand {
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    file: NewFileArgs,
}

impl EncryptCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        self.file.check()?;
        let identity = self.identity.require_identity()?;
        let extended = identity
            .extended_key(self.identity.path.as_ref())
            .map_err(|error| import_error(&error, "the identity").field("--path"))?;
        // The extended form, if there is one, is what Status clients store.
        let secret = match &extended {
            Some(key) => key.secret_key().clone(),
            None => self.identity.key_of(&identity)?,
        };
        let key = OpenedKey { secret, extended };
        let unlock = &self.identity.unlock;
        let password = unlock.prepared(unlock.password.new_one("the new key file")?)?;
        let file = encrypt(cx, &key, &password, self.file.scrypt)?;
        cx.warn_of_seed();
        self.file.emit(cx, &file)
    }
}

fn encrypt(cx: &Context, key: &OpenedKey, password: &Password, cost: Cost) -> Result<KeyFile> {
    let nonces = Nonces::generate(&mut cx.rng("keystore")?);
    let cost = cost.parameters();
    let file = match key.derivation_key() {
        Ok(extended) => KeyFile::encrypt_extended(extended, password, cost, &nonces),
        // Without the wrong extended key that old app versions wrote.
        Err(_) => KeyFile::encrypt(&key.secret, password, cost, &nonces),
    };
    Ok(file.map_err(|error| import_error(&ImportError::Keystore(error), "the new key file"))?)
}

/// Decrypt a key file and print the public part of its account
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo secret > pw; status-account keystore encrypt --identity me.key --password-file pw --out UTC.json --force; status-account keystore decrypt UTC.json --password-file pw")]
struct DecryptCommand {
    /// Key file to read; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    secret: SecretArgs,
    #[command(flatten)]
    unlock: UnlockArgs,
}

impl DecryptCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        self.secret.check()?;
        let (file, shown) = read(&self.file)?;
        let opened = open(&file, &shown, &self.unlock)?;
        if let (Some(claimed), address) = (file.address, opened.address())
            && claimed != address
        {
            cx.note(&format!("the file names address {claimed}, but its key has {address}"));
        }
        if let Err(error @ KeystoreError::ExtendedMismatch { .. }) = opened.derivation_key() {
            cx.note(&error.to_string());
        }
        let identity = Identity::from_opened_key(opened);
        let record = card::from_identity(&identity, None)?.with("id", file.id.as_str());
        let record = self.secret.write(record, &identity)?;
        super::make::emit(cx, &record)
    }
}

/// Change the password of a key file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo secret > pw; echo better > new; status-account keystore encrypt --identity me.key --password-file pw --out UTC.json --force; status-account keystore re-encrypt UTC.json --password-file pw --new-password-file new --out UTC.json --force")]
struct ReencryptCommand {
    /// Key file to read; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Read the new password from the only line of FILE [default: the environment variable
    /// STATUS_NEW_PASSWORD, else a prompt on the terminal]
    #[arg(long, value_name = "FILE", help_heading = "Key files")]
    new_password_file: Option<PathBuf>,
    /// Read the new password from file descriptor N
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "new_password_file",
        help_heading = "Key files"
    )]
    new_password_fd: Option<u32>,
    #[command(flatten)]
    out: NewFileArgs,
    #[command(flatten)]
    unlock: UnlockArgs,
}

impl ReencryptCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        self.out.check()?;
        let (file, shown) = read(&self.file)?;
        let opened = open(&file, &shown, &self.unlock)?;
        let new = PasswordArgs {
            password_file: self.new_password_file.clone(),
            password_fd: self.new_password_fd,
        };
        let wanted = Wanted {
            purpose: "the new key file",
            variable: "STATUS_NEW_PASSWORD",
            option: "--new-password-file",
            twice: true,
        };
        let password = self.unlock.prepared(new.read(&wanted)?)?;
        let file = encrypt(cx, &opened, &password, self.out.scrypt)?;
        cx.warn_of_seed();
        self.out.emit(cx, &file)
    }
}

/// Show what a key file reveals without its password: address, key derivation and its cost
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ STATUS_PASSWORD=secret status-account keystore encrypt --identity me.key | status-account keystore inspect")]
struct InspectCommand {
    /// Key file to read; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
}

impl InspectCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let (file, _) = read(&self.file)?;
        cx.emit(&summary(&file), Record::to_text)
    }
}

fn summary(file: &KeyFile) -> Record {
    let record = Record::new("keystore")
        .with("address", file.address.map(|address: Address| address.to_string()))
        .with("id", file.id.as_str());
    let record = match file.kdf() {
        Kdf::Scrypt { cost, .. } => record
            .with("kdf", "scrypt")
            .with("n", cost.n())
            .with("r", cost.r)
            .with("p", cost.p)
            .with("memory", cost.memory()),
        Kdf::Pbkdf2 { rounds, .. } => record.with("kdf", "pbkdf2").with("rounds", *rounds),
    };
    record.with("extended", file.has_extended_key())
}

fn read(path: &Path) -> Result<(KeyFile, String)> {
    let from_stdin = path == Path::new("-");
    let shown = if from_stdin { "standard input".into() } else { path.display().to_string() };
    let bytes = identity::read_bytes(path, &shown, "FILE")?;
    if bytes.trim_ascii().is_empty() {
        let message = format!("{shown} is empty; expected a key file");
        return Err(CliError::new("input.empty", Exit::Negative, message).into());
    }
    let failed = |error: ImportError| import_error(&error, &shown).field("FILE");
    let other = |what: &str| {
        let message = format!("{shown}: a key file is a JSON object, and this is {what}");
        CliError::new("keystore.json", Exit::Malformed, message)
            .field("FILE")
            .hint("status-account import reads keys and phrases")
    };
    match Imported::parse_cleaned(&bytes) {
        Ok((Imported::KeyFile(file), ignored)) => {
            if !ignored.is_empty() {
                note_later(format!("{shown}: read without {}", ignored.join(", ")));
            }
            Ok((*file, shown))
        }
        Ok((Imported::Key(_) | Imported::Extended(_), _)) => Err(other("a private key").into()),
        Ok((Imported::Phrase(_), _)) | Err(ImportError::Mnemonic(_)) => {
            Err(other("a text of words").into())
        }
        // A record of an account is no key file: the parser says what is missing.
        _ => match KeyFile::parse(&bytes) {
            Ok(file) => Ok((file, shown)),
            Err(error) => Err(failed(ImportError::Keystore(error)).into()),
        },
    }
}

fn open(file: &KeyFile, shown: &str, unlock: &UnlockArgs) -> Result<OpenedKey> {
    let failed =
        |error: KeystoreError| import_error(&ImportError::Keystore(error), shown).field("FILE");
    // Before the user is asked for a password.
    file.check(&unlock.limits()).map_err(failed)?;
    let password = unlock.existing_password(shown)?;
    Ok(file.open(&password, &unlock.limits()).map_err(failed)?)
}
