//! `status-account keystore`: key files, encrypted and decrypted.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};
use statuskit_core::account::{
    Address, DerivationPath, ImportError, KeyFile, KeystoreError, Nonces, ScryptCost, Unlocked,
    keystore::{Kdf, OpenedKey, file_name},
};

use crate::{
    account::card::{self, SecretArgs},
    context::Context,
    error::{CliError, Exit, Result},
    files::{Readers, check_free, make_directory, write_new},
    identity::{self, Identity, UnlockArgs, import_error},
    keys::IdentityArgs,
    output::Record,
    password::{Password, PasswordArgs, Wanted},
};

/// Key files (web3 secret storage): encrypt, decrypt, encrypt again with another password
#[derive(Debug, Args)]
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

/// Where a new key file goes, and how expensive it is.
#[derive(Debug, Args)]
struct NewFileArgs {
    /// File for the key file; in a directory it gets the usual name, UTC--…, and a directory with a
    /// slash at its end is made if it is missing. Without this, the key file is printed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file of --out if it is there
    #[arg(long, requires = "out")]
    force: bool,
    /// Cost of the password: that of Status clients, or that of go-ethereum (256 MiB)
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
            let milliseconds = cx.now_ms();
            let nanoseconds = (milliseconds % 1000) as u32 * 1_000_000;
            path.push(file_name(address, milliseconds / 1000, nanoseconds));
        }
        write_new(&path, json.as_bytes(), Readers::Owner, "--out", self.force)?;
        let record = summary(file).with("file", path.display().to_string());
        cx.emit(&record, |_| path.display().to_string())
    }
}

/// Whether a path leads to a directory, or is written like one.
fn is_directory(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Encrypt the key of an identity under a password, as Status clients do
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
        let path = identity.path(self.identity.path.as_ref());
        let secret = self.key(&identity, path)?;
        let unlock = &self.identity.unlock;
        let password = unlock.prepared(unlock.password.new_one("the new key file")?)?;
        let file = encrypt(cx, &secret, &password, self.file.scrypt)?;
        cx.warn_of_seed();
        self.file.emit(cx, &file)
    }

    /// The key with its extended form, where there is one: that is what Status clients store.
    fn key(&self, identity: &Identity, path: Option<&DerivationPath>) -> Result<OpenedKey> {
        let extended = match (&identity.unlocked, path) {
            (Unlocked::Key(_), None) => None,
            (Unlocked::Master(key) | Unlocked::Node(key), None) => Some(key.clone()),
            (unlocked, Some(path)) => {
                let derived = unlocked
                    .tree()
                    .and_then(|key| key.derive(path).map_err(ImportError::from))
                    .map_err(|error| import_error(&error, "the identity").field("--path"))?;
                Some(derived)
            }
        };
        let secret = match &extended {
            Some(key) => key.secret_key().clone(),
            None => self.identity.key_of(identity)?,
        };
        Ok(OpenedKey { secret, extended })
    }
}

fn encrypt(cx: &Context, key: &OpenedKey, password: &Password, cost: Cost) -> Result<KeyFile> {
    let nonces = Nonces::generate(&mut cx.rng("keystore")?);
    let cost = cost.parameters();
    let file = match &key.extended {
        // Files of old apps, whose two keys differ, become files of one key.
        Some(extended) if *extended.secret_key() == key.secret => {
            KeyFile::encrypt_extended(extended, password, cost, &nonces)
        }
        _ => KeyFile::encrypt(&key.secret, password, cost, &nonces),
    };
    Ok(file.map_err(|error| import_error(&ImportError::Keystore(error), "the new key file"))?)
}

/// Decrypt a key file: prints the public card of its key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo secret > pw; status-account keystore encrypt --identity me.key --password-file pw --out UTC.json --force; status-account keystore decrypt UTC.json --password-file pw")]
struct DecryptCommand {
    /// The key file; `-` is standard input
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
        if let (Some(said), address) = (file.address, opened.address())
            && said != address
        {
            cx.note(&format!("the file says it is of {said}, but its key is of {address}"));
        }
        let unlocked = match opened.derivation_key() {
            Ok(key) => Unlocked::Node(key.clone()),
            Err(error) => {
                if !matches!(error, KeystoreError::NoExtended) {
                    cx.note(&error.to_string());
                }
                Unlocked::Key(opened.secret.clone())
            }
        };
        let identity = Identity { unlocked, phrase: None, path: None };
        let record = card::from_identity(&identity, None)?.with("id", file.id.as_str());
        let record = self.secret.write(record, &identity)?;
        super::make::emit(cx, &record)
    }
}

/// Encrypt a key file again, under another password
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo secret > pw; echo better > new; status-account keystore encrypt --identity me.key --password-file pw --out UTC.json --force; status-account keystore re-encrypt UTC.json --password-file pw --new-password-file new --out UTC.json --force")]
struct ReencryptCommand {
    /// The key file; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// File with the new password. Without this and the next option: the environment variable
    /// STATUS_NEW_PASSWORD, else a prompt on the terminal
    #[arg(long, value_name = "FILE", help_heading = "Key files")]
    new_password_file: Option<PathBuf>,
    /// File descriptor to read the new password from
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

/// What a key file says without its password: address, key derivation, and what it costs
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ STATUS_PASSWORD=secret status-account keystore encrypt --identity me.key | status-account keystore inspect")]
struct InspectCommand {
    /// The key file; `-` is standard input
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
    record.with("extended", file.extended_kdf().is_some())
}

fn read(path: &Path) -> Result<(KeyFile, String)> {
    let from_stdin = path == Path::new("-");
    let shown = if from_stdin { "standard input".into() } else { path.display().to_string() };
    let bytes = identity::read_bytes(path, &shown, "FILE")?;
    if bytes.trim_ascii().is_empty() {
        let message = format!("{shown} is empty; expected a key file");
        return Err(CliError::new("input.empty", Exit::Negative, message).into());
    }
    let file = KeyFile::parse(&bytes)
        .map_err(|error| import_error(&ImportError::Keystore(error), &shown).field("FILE"))?;
    Ok((file, shown))
}

fn open(file: &KeyFile, shown: &str, unlock: &UnlockArgs) -> Result<OpenedKey> {
    let failed =
        |error: KeystoreError| import_error(&ImportError::Keystore(error), shown).field("FILE");
    // Before anybody is asked for a password.
    for kdf in std::iter::once(file.kdf()).chain(file.extended_kdf()) {
        kdf.check(&unlock.limits()).map_err(failed)?;
    }
    let password = unlock.existing_password(shown)?;
    Ok(file.open(&password, &unlock.limits()).map_err(failed)?)
}
