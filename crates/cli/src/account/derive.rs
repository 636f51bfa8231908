//! `status-account derive`: derives keys of a tree by their paths.

use std::path::PathBuf;

use clap::Args;
use statuskit_core::{
    account::{
        Address, Base, ChildIndex, DerivationPath, Deriver, ExtendedPrivateKey, ExtendedPublicKey,
        Form, HdError, PathError, ThreeWordName, to_compact,
    },
    crypto::PublicKey,
};

use crate::{
    account::stream::{each_text, or_own},
    context::Context,
    error::{CliError, Exit, Result},
    identity::{self, UnlockArgs, import_error},
    keys::IdentityArgs,
    output::Record,
};

/// Derive keys from the phrase, xprv…, xpub… or account on each line of standard input, or from
/// --identity
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo test test test test test test test test test test test junk | status-account derive --path \"m/43'/60'/1581'/0'/0\"
  $ status-account new --seed 1 --show-secret | status-account derive --path chat --path wallet --count 3
  $ status-account new --seed 1 --show-secret | status-account derive --path \"m/43'/60'/1581'\" --like-reference")]
pub struct DeriveCommand {
    /// Path from the given key, such as m/44'/60'/0'/0/0, or a name: master, chat, wallet,
    /// wallet-root, eip1581-root, encryption. Repeatable [default: chat]
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// Derive this many keys per path, counting up the last index
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// Ignore a hardened last component, as the reference's parser does: finds the key that old
    /// apps stored as "eip1581"
    #[arg(long)]
    like_reference: bool,
    /// Print the private keys as well
    #[arg(long)]
    show_secret: bool,
    /// Read the phrase, extended key, key file or account from FILE instead of standard input
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArgs,
}

/// The root of a derivation.
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
        let identity = IdentityArgs { identity: None, path: None, unlock: self.unlock.clone() };
        let own = |cx: &mut Context| {
            let identity = identity.require_identity()?;
            let tree = identity.tree().map_err(|error| import_error(&error, "the identity"))?;
            self.emit_all(cx, Tree::Private(Box::new(Deriver::new(tree.clone()))), &paths)?;
            cx.flush()
        };
        let expected = "phrases, xprv… or xpub…, one per line";
        or_own(cx, &[], &identity, own, |cx| {
            each_text(cx, &[], expected, |cx, text, _| {
                let tree = self.tree(text.trim().as_bytes(), "the line", "standard input")?;
                self.emit_all(cx, tree, &paths)
            })
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
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        if Form::detect(text) == Some(Form::ExtendedPublic) {
            let key = text.trim().parse().map_err(|error: HdError| {
                CliError::new(error.code(), Exit::Malformed, error.to_string()).field(field)
            })?;
            return Ok(Tree::Public(key));
        }
        let identity = identity::parse(bytes, shown, field, &self.unlock)?;
        // In a stream, a single key is a malformed record rather than wrong usage.
        let tree = identity
            .tree()
            .map_err(|error| import_error(&error, shown).exit(Exit::Malformed).field(field))?;
        Ok(Tree::Private(Box::new(Deriver::new(tree.clone()))))
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
            .with("private_key", key.secret_key().to_hex().as_str())
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

/// Returns `count` paths, counting up the last component.
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
