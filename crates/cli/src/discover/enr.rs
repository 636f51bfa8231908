//! `status-discover enr` and `enode`: node records and node URLs.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use statuskit_core::{
    devp2p::{Enode, Host, NodeId},
    discovery::{NodeUrl, Record as Enr, RecordBuilder, RecordError},
};

use crate::{
    absorb,
    context::Context,
    empty_input,
    error::{CliError, Exit, Result},
    keys::read_identity,
    lines::Lines,
    output::{Record, escape, hex0x},
};

pub const ENR_EXAMPLES: &str = "\
Examples:
  $ status-discover enr make --key me.key --ip 127.0.0.1 --tcp 30303
  $ status-discover enr make --key me.key | status-discover enr verify";
pub const ENODE_EXAMPLES: &str = "\
Examples:
  $ status-discover enode show \"$BOOTNODE\"
  $ status-discover enode make --key me.key --ip 127.0.0.1 --tcp 30303";

#[derive(Debug, Subcommand)]
pub enum EnrCommand {
    /// Show what is in records
    #[command(after_help = "\
Examples:
  $ status-discover enr make --key me.key --ip 127.0.0.1 | status-discover enr show")]
    Show(RecordsArgs),
    /// Make a signed record
    #[command(after_help = "\
Examples:
  $ status-discover enr make --key me.key --ip 127.0.0.1 --udp 30301 --seq 7")]
    Make(MakeArgs),
    /// Change a record and sign it: its number rises by one
    #[command(after_help = "\
Examples:
  $ status-discover enr make --key me.key --ip 127.0.0.1 \\
      | status-discover enr sign --key me.key --tcp 30304")]
    Sign(SignArgs),
    /// Check records: their form, keys and signature; exit 1 if one is not valid
    #[command(after_help = "\
Examples:
  $ status-discover enr make --key me.key --ip 127.0.0.1 | status-discover enr verify")]
    Verify(RecordsArgs),
}

#[derive(Debug, Subcommand)]
pub enum EnodeCommand {
    /// Show the parts of node URLs
    #[command(after_help = "\
Examples:
  $ status-discover enode show \"$BOOTNODE\"")]
    Show(RecordsArgs),
    /// Make a node URL
    #[command(after_help = "\
Examples:
  $ status-discover enode make --key me.key --ip 127.0.0.1 --tcp 30303 --udp 30301")]
    Make(UrlArgs),
}

#[derive(Debug, Args)]
pub struct RecordsArgs {
    /// Texts [default: those on standard input]
    texts: Vec<String>,
}

#[derive(Debug, Args)]
pub struct MakeArgs {
    /// File with the private key of the node, 64 hex digits
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Number of the record: of two, the higher one counts
    #[arg(long, value_name = "N", default_value_t = 0)]
    seq: u64,
    #[command(flatten)]
    pairs: PairArgs,
}

#[derive(Debug, Args)]
pub struct SignArgs {
    /// Record [default: the one on standard input]
    record: Option<String>,
    /// File with the private key of the node, 64 hex digits
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Remove a pair. Repeatable
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
    #[command(flatten)]
    pairs: PairArgs,
}

#[derive(Debug, Args)]
struct PairArgs {
    /// Address
    #[arg(long, value_name = "IP")]
    ip: Option<IpAddr>,
    /// Port for connections
    #[arg(long, value_name = "PORT")]
    tcp: Option<u16>,
    /// Port for discovery
    #[arg(long, value_name = "PORT")]
    udp: Option<u16>,
    /// Another pair, with its value as hex. Repeatable
    #[arg(long, value_name = "NAME=HEX")]
    pair: Vec<String>,
}

#[derive(Debug, Args)]
pub struct UrlArgs {
    /// File with the private key of the node, 64 hex digits
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Address
    #[arg(long, value_name = "IP")]
    ip: IpAddr,
    /// Port for connections
    #[arg(long, value_name = "PORT")]
    tcp: u16,
    /// Port for discovery [default: the same]
    #[arg(long, value_name = "PORT")]
    udp: Option<u16>,
}

impl EnrCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match self {
            Self::Show(args) => args.each(cx, |text, cx| {
                let record = text.parse::<Enr>().map_err(|error| record_error(&error))?;
                cx.emit(&enr_record(&record), Record::to_text)
            }),
            Self::Verify(args) => args.each(cx, |text, cx| {
                let verified = text.parse::<Enr>();
                let shown = Record::new("enr_check")
                    .with("enr", text)
                    .with("valid", verified.is_ok())
                    .with_some("node_id", verified.as_ref().ok().map(|it| hex0x(it.node_id().0)))
                    .with_some("error", verified.as_ref().err().map(RecordError::code))
                    .with_some("message", verified.as_ref().err().map(ToString::to_string));
                if verified.is_err() {
                    cx.negative();
                }
                cx.emit(&shown, |_| match &verified {
                    Ok(_) => format!("valid: {text}"),
                    Err(error) => format!("not valid, {error}: {}", escape(text)),
                })
            }),
            Self::Make(args) => {
                let key = read_identity(&args.key, "--key")?;
                let builder = args.pairs.apply(RecordBuilder::new(args.seq))?;
                let record = builder.sign(&key).map_err(|error| record_error(&error))?;
                cx.emit(&enr_record(&record), |_| record.to_string())
            }
            Self::Sign(args) => {
                let texts = RecordsArgs { texts: args.record.iter().cloned().collect() };
                let key = read_identity(&args.key, "--key")?;
                texts.each(cx, |text, cx| {
                    let record = text.parse::<Enr>().map_err(|error| record_error(&error))?;
                    if *record.key() != key.public_key() {
                        let error = CliError::usage("the record is of another key");
                        return Err(error.field("--key").into());
                    }
                    let mut builder = record.to_builder();
                    for name in &args.remove {
                        builder = builder.without(name.as_bytes());
                    }
                    let builder = args.pairs.apply(builder)?;
                    let record = builder.sign(&key).map_err(|error| record_error(&error))?;
                    cx.emit(&enr_record(&record), |_| record.to_string())
                })
            }
        }
    }
}

impl EnodeCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match self {
            Self::Show(args) => args.each(cx, |text, cx| {
                let url: NodeUrl =
                    text.parse().map_err(|error: statuskit_core::devp2p::enode::EnodeError| {
                        CliError::new(error.code(), Exit::Malformed, error.to_string())
                    })?;
                cx.emit(&url_record(&url), Record::to_text)
            }),
            Self::Make(args) => {
                let key = read_identity(&args.key, "--key")?;
                let udp = args.udp.unwrap_or(args.tcp);
                let host = Host::Ip(args.ip.to_canonical());
                let enode = Enode { id: key.public_key(), host, tcp: args.tcp, udp };
                let text = enode.to_string();
                cx.emit(&url_record(&NodeUrl::Complete(enode)), |_| text)
            }
        }
    }
}

impl RecordsArgs {
    /// Does something with each text: an error of one does not keep the others from it.
    fn each(
        &self,
        cx: &mut Context,
        mut work: impl FnMut(&str, &mut Context) -> Result<()>,
    ) -> Result<()> {
        if !self.texts.is_empty() {
            return self.texts.iter().try_for_each(|text| work(text, cx));
        }
        let (mut lines, mut any) = (Lines::from_stdin(), false);
        while let Some(line) = lines.next()? {
            let done = match line {
                Err(error) => Err(error.into()),
                Ok(line) if line.trim().is_empty() => continue,
                Ok(line) => work(&text_of(line.trim()), cx),
            };
            any = true;
            absorb(cx, done, lines.number())?;
        }
        if any { Ok(()) } else { Err(empty_input("a node record or a node URL per line")) }
    }
}

/// Returns the text of a line: of a record of ours, the one that the record is about.
fn text_of(line: &str) -> String {
    let members = serde_json::from_str::<Value>(line).ok();
    let text = |name| members.as_ref()?.get(name)?.as_str();
    text("enr").or(text("enode")).unwrap_or(line).to_owned()
}

impl PairArgs {
    fn apply(&self, mut builder: RecordBuilder) -> Result<RecordBuilder> {
        if let Some(ip) = self.ip {
            builder = builder.ip(ip);
        }
        if let Some(port) = self.tcp {
            builder = builder.tcp(port);
        }
        if let Some(port) = self.udp {
            builder = builder.udp(port);
        }
        for pair in &self.pair {
            let wrong = || CliError::usage("expected NAME=HEX").field("--pair");
            let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
            let value = value.strip_prefix("0x").unwrap_or(value);
            if matches!(name, "id" | "secp256k1") {
                let error = CliError::usage(format!("the key says what {name} is"));
                return Err(error.field("--pair").into());
            }
            builder = builder.bytes(name.as_bytes(), &hex::decode(value).map_err(|_| wrong())?);
        }
        Ok(builder)
    }
}

fn record_error(error: &RecordError) -> CliError {
    CliError::new(error.code(), Exit::Malformed, error.to_string())
}

/// Describes a node record.
pub fn enr_record(record: &Enr) -> Record {
    let pairs: Vec<Value> = record
        .pairs()
        .map(|(name, value)| json!({"name": String::from_utf8_lossy(name), "rlp": hex0x(value)}))
        .collect();
    Record::new("enr")
        .with("enr", record.to_string())
        .with("seq", record.seq())
        .with("node_id", hex0x(record.node_id().0))
        .with("public_key", record.key().to_string())
        .with("ip", record.ip().map(|ip| ip.to_string()))
        .with("tcp", record.tcp())
        .with("udp", record.udp())
        .with_some("enode", record.enode().map(|enode| enode.to_string()))
        .with("pairs", pairs)
        .with_raw(record.as_rlp())
}

fn url_record(url: &NodeUrl) -> Record {
    let record = Record::new("enode")
        .with("enode", url.to_string())
        .with("node_id", hex0x(NodeId::from_key(url.key()).0))
        .with("public_key", url.key().to_string());
    match url {
        NodeUrl::Complete(enode) => record
            .with("host", enode.host.to_string())
            .with("tcp", enode.tcp)
            .with("udp", enode.udp),
        NodeUrl::Incomplete(_) => record,
    }
}
