//! `status-account show`, `name`, `compress` and `expand`: what follows from a public key.

use clap::Args;
use statuskit_core::account::{
    Base, ChatKeyError, ThreeWordName, parse_compact, to_compact, to_multicodec,
};

use crate::{
    account::{
        card,
        stream::{each_key, each_text, key_of, or_own, record},
    },
    context::Context,
    error::{CliError, Result},
    keys::{IdentityArgs, parse_public_key},
    output::Record,
};

/// Show name, picture, keys, addresses and paths of each KEY, of each key on standard input, or of
/// --identity
///
/// The key UID of an account is that of its master key. A public key alone does not reveal its
/// master key: its key UID is that of the key itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account show --identity me.key --output text
  $ status-account new --seed 1 | status-account show")]
pub struct ShowCommand {
    /// Public keys: 0x04…, 0x02…, zQ3sh…, fe701…, or share links
    #[arg(value_name = "KEY", conflicts_with = "identity")]
    keys: Vec<String>,
    #[command(flatten)]
    identity: IdentityArgs,
}

impl ShowCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let colour = cx.has_colour();
        let own = |cx: &mut Context| {
            let identity = self.identity.require_identity()?;
            let record = card::from_identity(&identity, self.identity.path.as_ref())?;
            cx.emit(&record, |record| card::text(record, colour))
        };
        if self.identity.identity.is_some() {
            return own(cx);
        }
        or_own(cx, &self.keys, &self.identity, own, |cx| {
            each_key(cx, &self.keys, |cx, key| {
                cx.collect(&card::from_key(key), |record| card::text(record, colour))
            })
        })
    }
}

/// Show the three-word name of each KEY, or of each key on standard input
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account name zQ3shPyZJnxZK4Bwyx9QsaksNKDYTPmpwPvGSjMYVHoXHeEgB
  $ status-account name --output text zQ3shPyZJnxZK4Bwyx9QsaksNKDYTPmpwPvGSjMYVHoXHeEgB")]
pub struct NameCommand {
    /// Public keys: 0x04…, 0x02…, zQ3sh…, fe701…, or share links
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
}

impl NameCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        each_key(cx, &self.keys, |cx, key| {
            let name = ThreeWordName::from_key(key).to_string();
            let record = Record::new("name")
                .with("name", name.as_str())
                .with("public_key", key.to_string())
                .with_raw(name.as_bytes());
            cx.collect(&record, |_| name.clone())
        })
    }
}

/// Convert each KEY, or each key on standard input, to its compact form zQ3sh…
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account new --seed 1 | status-account compress
  $ status-account new --seed 1 | status-account compress --base f | status-account expand")]
pub struct CompressCommand {
    /// Public keys: 0x04…, 0x02…, zQ3sh…, fe701…, or share links
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// Multibase letter of the output: z is base58, f is hex, u is base64url, …
    #[arg(long, value_name = "LETTER", default_value = "z")]
    base: String,
}

impl CompressCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let base = parse_base(&self.base)?;
        each_key(cx, &self.keys, |cx, key| {
            let compressed = to_compact(key, base);
            let record = Record::new("key")
                .with("compressed", compressed.as_str())
                .with("public_key", key.to_string())
                .with_raw(&key.to_compressed());
            cx.collect(&record, |_| compressed.clone())
        })
    }
}

/// Convert each compact KEY, or each key on standard input, to its long form 0x04…
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account expand zQ3shPyZJnxZK4Bwyx9QsaksNKDYTPmpwPvGSjMYVHoXHeEgB
  $ status-account new --seed 1 | status-account compress | status-account expand")]
pub struct ExpandCommand {
    /// Compact keys: zQ3sh…, fe701…, 0xe701…, or any other form of a key
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// Also show the multicodec form with all 65 bytes, in the base of this multibase letter
    #[arg(long, value_name = "LETTER")]
    base: Option<String>,
}

impl ExpandCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let base = self.base.as_deref().map(parse_base).transpose()?;
        each_text(cx, &self.keys, "keys, one per line", |cx, text, is_argument| {
            let key = if is_argument { parse_public_key(text, "KEY")? } else { key_of(text)? };
            let compact = match text.trim().starts_with('{') {
                true => {
                    record(text)?.get("compressed").and_then(|it| it.as_str()).map(str::to_owned)
                }
                false => Some(text.trim().to_owned()),
            };
            let read_as = compact.and_then(|text| parse_compact(&text).ok()).map(|it| it.1);
            let expanded = base.map(|base| to_multicodec(&key, base));
            let record = Record::new("key")
                .with("public_key", key.to_string())
                .with_some("base", read_as.map(|base| base.letter().to_string()))
                .with_some("expanded", expanded.as_deref())
                .with_raw(&key.to_uncompressed());
            cx.collect(&record, |_| expanded.clone().unwrap_or_else(|| key.to_string()))
        })
    }
}

fn parse_base(text: &str) -> Result<Base> {
    Ok(text.parse().map_err(|error: ChatKeyError| {
        CliError::usage(error.to_string()).field("--base").hint("z, f, b, u, …")
    })?)
}
