//! `status-eip contenthash`: EIP-1577.

use clap::{Args, Subcommand};
use statuskit_core::account::Base;
use statuskit_eip::eip1577::{ContentHash, ContentHashError, client};

use crate::{
    context::Context,
    eip::texts::{self, Text},
    error::{CliError, Result},
    output::{Record, hex0x},
};

/// What names point to (EIP-1577): bytes of a resolver to links, and back
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip contenthash encode ipfs://QmRAQB6YaCyidP37UdDnjFY5vQuiBrcqdyoW1CuDgwxkD4 | status-eip contenthash decode
  $ status-eip contenthash encode ipfs://QmRAQB6YaCyidP37UdDnjFY5vQuiBrcqdyoW1CuDgwxkD4")]
pub struct ContentHashCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Decode(DecodeCommand),
    Encode(EncodeCommand),
}

impl ContentHashCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::Decode(command) => command.run(cx),
            Command::Encode(command) => command.run(cx),
        }
    }
}

/// Decode content hashes to links: IPFS, IPNS, Swarm, onion; Skynet and Arweave, which came later
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip contenthash encode ipfs://QmRAQB6YaCyidP37UdDnjFY5vQuiBrcqdyoW1CuDgwxkD4 | status-eip contenthash decode
  $ status-eip contenthash encode bzz://d1de9994b4d039f6548d191eb26786769f580809256b4685ef316805265ea162 | status-eip contenthash decode --client-2020")]
pub struct DecodeCommand {
    /// Content hashes in hex
    #[arg(value_name = "HEX")]
    hashes: Vec<String>,
    /// Decode as the mobile client of 2020, which knows IPFS and Swarm only
    #[arg(long)]
    client_2020: bool,
}

impl DecodeCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let members = ["contenthash", "raw"];
        let expected = "content hashes in hex, one per line";
        texts::each(cx, &self.hashes, "HEX", &members, expected, |cx, text| {
            let bytes = texts::bytes(text)?;
            if !self.client_2020 {
                let hash = ContentHash::from_bytes(&bytes).map_err(|error| failed(text, &error))?;
                return cx.collect(&record(&hash), |_| hash.to_uri());
            }
            let (namespace, content) = client::decode(&bytes).ok_or_else(|| {
                text.error("contenthash.client_2020", "the mobile client of 2020 shows nothing")
            })?;
            let record = Record::new("contenthash")
                .with("kind", namespace)
                .with("content", content.as_str())
                .with("opened", namespace == "ipfs")
                .with_raw(&bytes);
            cx.collect(&record, |_| format!("{namespace} {content}"))
        })
    }
}

/// Encode links, paths and hashes for a resolver
///
/// Links (ipfs://…, ipns://…, bzz://…, onion://…), paths (/ipfs/…), addresses of gateways
/// (https://ipfs.io/ipfs/…), CIDs of both versions in any base, keys of IPNS, hosts behind ipns://,
/// and hashes of Swarm.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip contenthash encode ipfs://QmRAQB6YaCyidP37UdDnjFY5vQuiBrcqdyoW1CuDgwxkD4
  $ status-eip contenthash encode /ipns/docs.status.im --output hex")]
pub struct EncodeCommand {
    /// What the name points to
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// Encode as the mobile client of 2020, without version and codec: other clients can't read it
    #[arg(long)]
    client_2020: bool,
}

impl EncodeCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let members = ["uri", "path", "text"];
        let expected = "links or paths, one per line";
        texts::each(cx, &self.texts, "TEXT", &members, expected, |cx, text| {
            let hash: ContentHash = text.text.parse().map_err(|error| failed(text, &error))?;
            if !self.client_2020 {
                return cx.collect(&record(&hash), |_| hex0x(hash.to_bytes()));
            }
            let bytes = client::encode(hash.kind(), &hash.content()).ok_or_else(|| {
                text.error("contenthash.client_2020", "the mobile client of 2020 can't write it")
            })?;
            let record = Record::new("contenthash")
                .with("kind", hash.kind())
                .with("contenthash", hex0x(&bytes))
                .with("standard", bytes == hash.to_bytes())
                .with_raw(&bytes);
            cx.collect(&record, |_| hex0x(&bytes))
        })
    }
}

fn failed(text: &Text, error: &ContentHashError) -> CliError {
    let converted = text.error(error.code(), error.to_string());
    let converted = match error.offset() {
        Some(offset) => converted.offset(offset),
        None => converted,
    };
    match error {
        ContentHashError::CidVersion { .. } => {
            converted.hint("the mobile client of 2020 left version and codec out")
        }
        _ => converted,
    }
}

/// Returns the record of a content hash.
pub fn record(hash: &ContentHash) -> Record {
    let bytes = hash.to_bytes();
    let mut record = Record::new("contenthash")
        .with("kind", hash.kind())
        .with("uri", hash.to_uri())
        .with("path", hash.to_path())
        .with("content", hash.content());
    if let Some(cid) = hash.cid() {
        record = record
            .with("cid_v0", cid.to_v0())
            .with(
                "cid_v1",
                cid.to_v1(if hash.kind() == "ipns" { Base::BASE36 } else { Base::BASE32 }),
            )
            .with("codec", cid.codec)
            .with("multihash", hex0x(cid.hash.to_bytes()))
            .with_some("peer", cid.peer())
            .with_some("host", cid.host());
    }
    let client = client::decode(&bytes);
    record
        .with("client_2020", client.map(|(_, content)| content))
        .with("contenthash", hex0x(&bytes))
        .with_raw(&bytes)
}
