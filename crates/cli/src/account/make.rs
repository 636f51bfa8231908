//! `status-account new` and `import`.

use std::path::PathBuf;

use clap::Args;
use statuskit_core::account::{DerivationPath, Language, Mnemonic, WordCount};
use zeroize::Zeroizing;

use crate::{
    account::card::{self, SecretArgs},
    context::{Context, announce_terminal},
    error::{CliError, Exit, Result},
    identity::{self, Identity, UnlockArgs},
    output::Record,
};

/// Make an account: prints its public card. The phrase goes into a file, or nowhere
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account new --out made.json
  $ status-account new --seed 1 --words 24 --language spanish --show-secret")]
pub struct NewCommand {
    #[command(flatten)]
    secret: SecretArgs,
    /// How many words the phrase has: 12, 15, 18, 21 or 24
    #[arg(long, value_name = "COUNT", default_value = "12", value_parser = parse_words)]
    words: WordCount,
    /// Word list: english, spanish, japanese, …; Status clients know only the first
    #[arg(long, default_value = "english")]
    language: Language,
    /// File with a BIP39 passphrase to go with the phrase; the Status app has none
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
        let passphrase = unlock.passphrase()?;
        let mut rng = cx.rng("account")?;
        cx.warn_of_seed();
        let identity = loop {
            let phrase = Mnemonic::generate(&mut rng, self.words, self.language);
            // A seed without a master key turns up once in 2^127.
            if let Ok(identity) = Identity::from_phrase(phrase, passphrase.clone()) {
                break identity;
            }
        };
        let record = self.secret.write(card::from_identity(&identity, None)?, &identity)?;
        emit(cx, &record)?;
        if self.secret.out.is_none() && !self.secret.show_secret && !cx.is_seeded() {
            cx.note("the phrase was not kept; --out FILE or --show-secret keeps it");
        }
        Ok(())
    }
}

/// Read an account from FILE or standard input: a recovery phrase, a hex key, xprv…, a key file,
/// or a file of `new`. What is wrong with it is said as exactly as can be
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo test test test test test test test test test test test junk | status-account import
  $ status-account import me.key --out made.json")]
pub struct ImportCommand {
    /// The file; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    secret: SecretArgs,
    /// Which key the account is about: a path, or its name [default: chat]
    #[arg(long, value_name = "PATH")]
    path: Option<DerivationPath>,
    /// Word list of the phrase [default: whichever fits]
    #[arg(long)]
    language: Option<Language>,
    /// Take any text as a phrase, byte for byte, as the reference does: for accounts that were
    /// made from an odd one. One line break at the end does not count
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
        if let Some(path) = &self.path {
            // A single key has no paths, which is an error; elsewhere the choice is remembered.
            identity
                .key(Some(path))
                .map_err(|error| identity::import_error(&error, &shown).field("--path"))?;
            identity.path = Some(path.clone());
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
        let passphrase = self.unlock.passphrase()?;
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

/// Shows a card.
pub fn emit(cx: &mut Context, record: &Record) -> Result<()> {
    let colour = cx.has_colour();
    cx.emit(record, |record| card::text(record, colour))
}
