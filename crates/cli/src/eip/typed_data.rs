//! `status-eip typed-data`: typed data of EIP-712.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use statuskit_eip::{
    eip191::sign_digest,
    eip712::{Hashed, Hashes, Rules, TypedData, TypedDataError},
};

use crate::{
    context::Context,
    eip::{
        input::read_json,
        signature::{SignatureArgs, SignerArgs, recover, verify, with_signature},
    },
    error::{CliError, Exit, Result},
    keys::IdentityArgs,
    output::{Record, hex0x},
};

/// Typed data (EIP-712): hash, sign, verify, recover the signer
///
/// Typed data is the JSON of eth_signTypedData: types, primaryType, domain and message.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ printf %s '{\"types\":{\"Ping\":[{\"name\":\"n\",\"type\":\"uint8\"}]},' '\"primaryType\":\"Ping\",\"domain\":{\"chainId\":1},' '\"message\":{\"n\":7}}' | status-eip typed-data hash --parts
  $ printf %s '{\"types\":{\"Ping\":[{\"name\":\"n\",\"type\":\"uint8\"}]},' '\"primaryType\":\"Ping\",\"domain\":{\"chainId\":1},' '\"message\":{\"n\":7}}' | status-eip typed-data sign --identity me.key")]
pub struct TypedDataCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Hash(HashCommand),
    Sign(SignCommand),
    Verify(VerifyCommand),
    Recover(RecoverCommand),
}

impl TypedDataCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::Hash(command) => {
                let hashes = command.data.read()?;
                let record = command.data.record(&hashes).with_raw(&hashes.1.digest);
                cx.emit(&record, Record::to_text)
            }
            Command::Sign(command) => {
                let key = command.identity.require()?;
                let hashes = command.data.read()?;
                let signature = sign_digest(&key, &hashes.1.digest);
                let record = command.data.record(&hashes);
                let record = with_signature(record, &signature, &key.public_key());
                cx.emit(&record.with_raw(&signature), |_| hex0x(signature))
            }
            Command::Verify(command) => {
                let hashes = command.data.read()?;
                let record = command.data.record(&hashes);
                verify(cx, record, &hashes.1.digest, &command.signature, &command.signer)
            }
            Command::Recover(command) => {
                let hashes = command.data.read()?;
                let record = command.data.record(&hashes);
                recover(cx, record, &hashes.1.digest, &command.signature)
            }
        }
    }
}

/// Show the hashes of typed data
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ printf %s '{\"types\":{\"Ping\":[{\"name\":\"n\",\"type\":\"uint8\"}]},' '\"primaryType\":\"Ping\",\"domain\":{\"chainId\":1},' '\"message\":{\"n\":7}}' | status-eip typed-data hash")]
struct HashCommand {
    #[command(flatten)]
    data: DataArgs,
}

/// Sign typed data with --identity
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ printf %s '{\"types\":{\"Ping\":[{\"name\":\"n\",\"type\":\"uint8\"}]},' '\"primaryType\":\"Ping\",\"domain\":{\"chainId\":1},' '\"message\":{\"n\":7}}' | status-eip typed-data sign --identity me.key --like-reference --chain-id 1")]
struct SignCommand {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    identity: IdentityArgs,
}

/// Check that a key signed typed data; exit 1 if another one did
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ printf %s '{\"types\":{\"Ping\":[]},\"primaryType\":\"Ping\",' '\"domain\":{},\"message\":{}}' > made.json; status-eip typed-data verify made.json --signature $(status-eip typed-data sign made.json --identity me.key --output hex) --key $(status-account show --identity me.key --output hex)")]
struct VerifyCommand {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    signature: SignatureArgs,
    #[command(flatten)]
    signer: SignerArgs,
}

/// Show who signed typed data
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ printf %s '{\"types\":{\"Ping\":[]},\"primaryType\":\"Ping\",' '\"domain\":{},\"message\":{}}' > made.json; status-eip typed-data recover made.json --signature $(status-eip typed-data sign made.json --identity me.key --output hex)")]
struct RecoverCommand {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    signature: SignatureArgs,
}

/// The typed data.
#[derive(Debug, Clone, Args)]
struct DataArgs {
    /// File with the JSON [default: standard input]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Accept what the reference accepts: no arrays, and a chainId that equals --chain-id
    #[arg(long, requires = "chain_id")]
    like_reference: bool,
    /// The selected chain, with --like-reference
    #[arg(long, value_name = "ID", requires = "like_reference")]
    chain_id: Option<u64>,
    /// Show each value with its type and its word, and the bytes that are hashed
    #[arg(long)]
    parts: bool,
}

impl DataArgs {
    fn read(&self) -> Result<(TypedData, Hashes)> {
        let json = read_json(self.file.as_ref(), "typed data in JSON")?;
        let rules = match self.chain_id {
            Some(chain_id) => Rules::Reference { chain_id },
            None => Rules::Exact,
        };
        let hashed = TypedData::from_json(&json).and_then(|data| {
            let hashes = match self.parts {
                true => data.hash_with_parts(rules)?,
                false => data.hash(rules)?,
            };
            Ok((data, hashes))
        });
        Ok(hashed.map_err(|error| typed_data_error(&error))?)
    }

    fn record(&self, (data, hashes): &(TypedData, Hashes)) -> Record {
        let message = hashes.message.as_ref();
        let record = Record::new("typed_data")
            .with("primary_type", data.primary.as_str())
            .with("type_text", message.map(|it| it.type_text.as_str()))
            .with("type_hash", message.map(|it| hex0x(it.type_hash)))
            .with("domain_type_text", hashes.domain.type_text.as_str())
            .with("domain_separator", hex0x(hashes.domain.hash))
            .with("struct_hash", message.map(|it| hex0x(it.hash)));
        let record = match self.parts {
            true => record
                .with("domain_parts", parts(&hashes.domain))
                .with("message_parts", message.map(parts)),
            false => record,
        };
        record.with("digest", hex0x(hashes.digest))
    }
}

fn parts(hashed: &Hashed) -> Json {
    let parts: Json = hashed
        .parts
        .iter()
        .map(|part| json!({ "path": part.path, "type": part.kind, "word": hex0x(part.word) }))
        .collect();
    json!({
        "type_hash": hex0x(hashed.type_hash),
        "encoded": hex0x(&hashed.encoded),
        "hash": hex0x(hashed.hash),
        "values": parts,
    })
}

fn typed_data_error(error: &TypedDataError) -> CliError {
    let converted = CliError::new(error.kind.code(), Exit::Malformed, error.to_string());
    match &*error.path {
        "" => converted,
        path => converted.field(path),
    }
}
