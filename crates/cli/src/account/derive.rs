//! `status-account derive`: keys of a tree, by their paths.

use std::path::PathBuf;

use clap::Args;
use statuskit_core::{
    account::{
        Address, Base, ChildIndex, DerivationPath, Deriver, ExtendedPrivateKey, ExtendedPublicKey,
        HdError, ImportError, PathError, ThreeWordName, Unlocked, chat_key::to_compact,
    },
    crypto::PublicKey,
};

use crate::{
    account::stream::each_text,
    context::Context,
    error::{CliError, Exit, Result},
    identity::{self, Identity, UnlockArgs, hex_of, import_error},
    output::Record,
};

/// The keys at some paths, of the phrase, xprv…, xpub… or account on each line of standard input,
/// or of --identity
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo test test test test test test test test test test test junk | status-account derive --path \"m/43'/60'/1581'/0'/0\"
  $ status-account new --seed 1 --show-secret | status-account derive --path chat --path wallet --count 3
  $ status-account new --seed 1 --show-secret | status-account derive --path \"m/43'/60'/1581'\" --like-reference")]
pub struct DeriveCommand {
    /// Path from the given key, such as m/44'/60'/0'/0/0, or its name: master, chat, wallet,
    /// wallet-root, eip1581-root, encryption. Repeatable [default: chat]
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// How many keys in a row, the last index counting up
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// Read paths as the reference does, whose parser loses a last component that is hardened:
    /// for what an old app stored under "eip1581"
    #[arg(long)]
    like_reference: bool,
    /// Print the private keys, too
    #[arg(long)]
    show_secret: bool,
    /// File with the phrase, extended key, key file or account, in place of standard input
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArgs,
}

/// What keys are derived from.
enum Tree {
    Private(Box<Deriver>),
    Public(ExtendedPublicKey),
}

impl DeriveCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let paths = self.paths()?;
        if let Some(file) = &self.identity {
            let shown = file.display().to_string();
            let bytes = identity::read_bytes(file, &shown, "--identity")?;
            let tree = self.tree(&bytes, &shown, "--identity")?;
            self.emit_all(cx, tree, &paths)?;
            return cx.flush();
        }
        let expected = "phrases, xprv… or xpub…, one per line";
        each_text(cx, &[], expected, |cx, text, _| {
            let tree = self.tree(text.trim().as_bytes(), "the line", "standard input")?;
            self.emit_all(cx, tree, &paths)
        })
    }

    fn paths(&self) -> Result<Vec<DerivationPath>> {
        if self.paths.is_empty() {
            return count_up(&DerivationPath::CHAT, self.count);
        }
        let parse = |text: &String| {
            let path = if self.like_reference {
                DerivationPath::parse_like_reference(text)
            } else {
                text.parse()
            };
            path.map_err(|error: PathError| {
                CliError::new(error.code(), Exit::Usage, error.to_string()).field("--path")
            })
        };
        let mut paths = Vec::new();
        for text in &self.paths {
            paths.extend(count_up(&parse(text)?, self.count)?);
        }
        Ok(paths)
    }

    fn tree(&self, bytes: &[u8], shown: &str, field: &str) -> Result<Tree> {
        if let Some(text) =
            std::str::from_utf8(bytes).ok().filter(|it| it.trim().starts_with("xpub"))
        {
            let key = text.trim().parse().map_err(|error: HdError| {
                CliError::new(error.code(), Exit::Malformed, error.to_string()).field(field)
            })?;
            return Ok(Tree::Public(key));
        }
        let identity: Identity = identity::parse(bytes, shown, field, &self.unlock)?;
        match identity.unlocked {
            Unlocked::Master(key) | Unlocked::Node(key) => {
                Ok(Tree::Private(Box::new(Deriver::new(key))))
            }
            Unlocked::Key(_) => {
                let error = import_error(&ImportError::NoTree("a single private key"), shown);
                // Of a stream, it is one record among others.
                Err(error.exit(Exit::Malformed).field(field).into())
            }
        }
    }

    fn emit_all(&self, cx: &mut Context, mut tree: Tree, paths: &[DerivationPath]) -> Result<()> {
        for path in paths {
            let derived = match &mut tree {
                Tree::Private(deriver) => {
                    deriver.derive(path).map(|key| self.private_record(path, &key))
                }
                Tree::Public(key) => key.derive(path).map(|key| record(path, &key)),
            };
            let (record, key) = derived.map_err(|error| {
                let hint = match error {
                    HdError::HardenedFromPublic { .. } => "xprv…, or a path without hardened steps",
                    _ => "another path",
                };
                CliError::new(error.code(), Exit::Malformed, format!("{path}: {error}"))
                    .field("--path")
                    .hint(hint)
            })?;
            cx.collect(&record, |record| text(record, path, &key))?;
        }
        Ok(())
    }

    fn private_record(
        &self,
        path: &DerivationPath,
        key: &ExtendedPrivateKey,
    ) -> (Record, PublicKey) {
        let (record, public) = record(path, &key.to_public());
        if !self.show_secret {
            return (record, public);
        }
        let record = record
            .with("private_key", hex_of(key.secret_key()).as_str())
            .with("extended_key", key.to_xprv().as_str());
        (record, public)
    }
}

fn record(path: &DerivationPath, key: &ExtendedPublicKey) -> (Record, PublicKey) {
    let public = key.public_key();
    let record = Record::new("key")
        .with("path", path.to_string())
        .with("name", ThreeWordName::from_key(&public).to_string())
        .with("public_key", public.to_string())
        .with("compressed", to_compact(&public, Base::BASE58))
        .with("address", Address::from_key(&public).to_string())
        .with("extended_public_key", key.to_string())
        .with_raw(&public.to_uncompressed());
    (record, public)
}

fn text(record: &Record, path: &DerivationPath, key: &PublicKey) -> String {
    let mut text = format!("{path}  {}  {key}", Address::from_key(key));
    for name in ["private_key", "extended_key"] {
        if let Some(value) = record.members().get(name).and_then(|value| value.as_str()) {
            text.push_str("  ");
            text.push_str(value);
        }
    }
    text
}

/// The path, and those after it whose last component is one more each time.
fn count_up(path: &DerivationPath, count: u32) -> Result<Vec<DerivationPath>> {
    let Some((last, before)) = path.steps().split_last().filter(|_| count > 1) else {
        return Ok(vec![path.clone()]);
    };
    let too_far = || CliError::usage("an index must be below 2^31").field("--count");
    let end = last.number().checked_add(count - 1).filter(|end| *end < 1 << 31);
    let end = end.ok_or_else(too_far)?;
    let step = |index| {
        let next = match last.is_hardened() {
            true => ChildIndex::hardened(index),
            false => ChildIndex::normal(index),
        };
        let steps = before.iter().copied().chain(next).collect();
        DerivationPath::from_steps(steps).map_err(|_| too_far().into())
    };
    (last.number()..=end).map(step).collect()
}
