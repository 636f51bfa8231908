//! `status-account new` and `import`.

use std::path::PathBuf;

use clap::Args;
use statuskit_core::account::{DerivationPath, Identity, Language, Mnemonic, WordCount};
use zeroize::Zeroizing;

use crate::{
    account::card::{self, SecretArgs},
    context::{Context, announce_terminal},
    error::{CliError, Exit, Result},
    identity::{self, UnlockArgs},
    output::Record,
};

/// Create an account and print its public part; its phrase is kept only by --out or --show-secret
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account new --out made.json
  $ status-account new --seed 1 --words 24 --language spanish --show-secret")]
pub struct NewCommand {
    #[command(flatten)]
    secret: SecretArgs,
    /// Number of words in the phrase: 12, 15, 18, 21 or 24
    #[arg(long, value_name = "COUNT", default_value = "12", value_parser = parse_words)]
    words: WordCount,
    /// Word list of the phrase: english, spanish, japanese, …; Status clients know only english
    #[arg(long, default_value = "english")]
    language: Language,
    /// File with a BIP39 passphrase for the phrase; the Status app uses none
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

fn parse_words(text: &str) -> std::result::Result<WordCount, String> {
    let expected = || "expected 12, 15, 18, 21 or 24".to_owned();
    let count: usize = text.parse().map_err(|_| expected())?;
    WordCount::try_from(count).map_err(|_| expected())
}

impl NewCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        self.secret.check()?;
        let unlock =
            UnlockArgs { passphrase_file: self.passphrase_file.clone(), ..UnlockArgs::default() };
        let passphrase = unlock.passphrase()?.unwrap_or_default();
        let mut rng = cx.rng("account")?;
        cx.warn_of_seed();
        let identity = loop {
            let phrase = Mnemonic::generate(&mut rng, self.words, self.language);
            // One seed in 2^127 has no master key.
            if let Ok(identity) = Identity::from_phrase(phrase, passphrase.clone()) {
                break identity;
            }
        };
        let record = self.secret.write(card::from_identity(&identity, None)?, &identity)?;
        emit(cx, &record)?;
        if self.secret.out.is_none() && !self.secret.show_secret && !cx.is_seeded() {
            cx.note("the phrase is lost; use --out FILE or --show-secret to keep it");
        }
        Ok(())
    }
}

/// Import an account from a recovery phrase, a hex key, xprv…, a key file, or a file of `new`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo test test test test test test test test test test test junk | status-account import
  $ status-account import me.key --out made.json")]
pub struct ImportCommand {
    /// File to read; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    secret: SecretArgs,
    /// Key of the account to use: a path or its name [default: chat]
    #[arg(long, value_name = "PATH")]
    path: Option<DerivationPath>,
    /// Word list of the phrase [default: detected]
    #[arg(long)]
    language: Option<Language>,
    /// Accept any text as a phrase, as the reference does: restores accounts of invalid phrases.
    /// Every byte counts, except one line break at the end
    #[arg(long, conflicts_with = "language")]
    unchecked: bool,
    #[command(flatten)]
    unlock: UnlockArgs,
}

impl ImportCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        self.secret.check()?;
        let from_stdin = self.file.as_os_str() == "-";
        if from_stdin {
            announce_terminal("a phrase, a key, xprv… or a key file; end with Ctrl-D");
        }
        let shown =
            if from_stdin { "standard input".into() } else { self.file.display().to_string() };
        let bytes = identity::read_bytes(&self.file, &shown, "FILE")?;
        if bytes.trim_ascii().is_empty() && !self.unchecked {
            return Err(CliError::new(
                "input.empty",
                Exit::Negative,
                format!("{shown} is empty; expected a phrase, a key, xprv… or a key file"),
            )
            .into());
        }
        let mut identity = self.parse(&bytes, &shown)?;
        identity::note_readers(&self.file);
        if let Some(path) = &self.path {
            // Fails for a single key, which has no paths.
            identity
                .key(Some(path))
                .map_err(|error| identity::import_error(&error, &shown).field("--path"))?;
            identity = identity.with_path(path.clone());
        }
        let record = self.secret.write(card::from_identity(&identity, None)?, &identity)?;
        emit(cx, &record)
    }

    fn parse(&self, bytes: &[u8], shown: &str) -> Result<Identity> {
        if !self.unchecked && self.language.is_none() {
            return identity::parse(bytes, shown, "FILE", &self.unlock);
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            CliError::new("identity.utf8", Exit::Malformed, format!("{shown} is not UTF-8"))
                .offset(error.valid_up_to())
        })?;
        let failed = |error| identity::import_error(&error, shown).field("FILE");
        let passphrase = self.unlock.passphrase()?.unwrap_or_default();
        if let Some(language) = self.language {
            let phrase =
                Mnemonic::parse_in(text, language).map_err(|error| failed(error.into()))?;
            let identity = Identity::from_phrase(phrase, passphrase);
            return Ok(identity.map_err(|error| failed(error.into()))?);
        }
        let text = Zeroizing::new(text.strip_suffix('\n').unwrap_or(text).to_owned());
        let identity = Identity::from_unchecked_phrase(&text, &passphrase);
        Ok(identity.map_err(|error| failed(error.into()))?)
    }
}

/// Prints the record of an account.
pub fn emit(cx: &mut Context, record: &Record) -> Result<()> {
    let colour = cx.has_colour();
    cx.emit(record, |record| card::text(record, colour))
}
