//! `status-eip tx`: transactions.

mod fields;
pub mod record;

use clap::{Args, Subcommand};
use statuskit_core::{account::ThreeWordName, reader::Wants};
use statuskit_eip::{
    Address,
    eip155::{Decoded, Problem, SignedTransaction, Transaction, TxError},
};

use crate::{
    context::Context,
    eip::{input::each_bytes, tx::fields::FieldArgs},
    error::{CliError, Exit, Result},
    input::{Content, each_item},
    keys::IdentityArgs,
    output::{Record, hex0x},
    records::hex_member,
};

/// Transactions (EIP-155): build, sign, decode, recover the sender
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip tx sign --identity me.key --chain-id 1 --nonce 9 --gas-price 20gwei --gas 21000 --to 0x3535353535353535353535353535353535353535 --value 1ether | status-eip tx decode
  $ status-eip tx build --nonce 9 --gas-price 20gwei --gas 60000 --to 0x3535353535353535353535353535353535353535 --data $(status-eip abi encode transfer 0x8e23ee67d1332ad560396262c48ffbb01f93d052 1 --output hex) --chain-id 1 | status-eip tx sign --identity me.key --output hex")]
pub struct TxCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(BuildCommand),
    Sign(SignCommand),
    Decode(DecodeCommand),
    Recover(RecoverCommand),
    Hash(HashCommand),
}

impl TxCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::Build(command) => command.run(cx),
            Command::Sign(command) => command.run(cx),
            Command::Decode(command) => command.run(cx),
            Command::Recover(command) => command.run(cx),
            Command::Hash(command) => command.run(cx),
        }
    }
}

/// Build the transaction to sign, with the hash that is signed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip tx build --chain-id 1 --nonce 9 --gas-price 20gwei --gas 21000 --to 0x3535353535353535353535353535353535353535 --value 1ether")]
struct BuildCommand {
    #[command(flatten)]
    fields: FieldArgs,
}

impl BuildCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let transaction = self.fields.transaction()?;
        warn(cx, &transaction);
        cx.emit(&record::unsigned(&transaction), Record::to_text)
    }
}

/// Sign a transaction with --identity
///
/// Without --nonce, transactions of `build` are read from standard input. A phrase or account file
/// signs with its chat key unless --path says otherwise: the wallet is --path wallet.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip tx sign --identity me.key --chain-id 1 --nonce 9 --gas-price 20gwei --gas 21000 --to 0x3535353535353535353535353535353535353535 --value 1ether
  $ status-account new --seed 1 --show-secret > made.json; status-eip tx sign --identity made.json --path wallet --chain-id 3 --nonce 0 --gas-price 1gwei --gas 21000 --to 0x3535353535353535353535353535353535353535 --output hex")]
struct SignCommand {
    #[command(flatten)]
    fields: FieldArgs,
    #[command(flatten)]
    identity: IdentityArgs,
}

impl SignCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let key = self.identity.require()?;
        let sign = |cx: &mut Context, transaction: Transaction, exit| {
            warn(cx, &transaction);
            let signed = transaction.sign(&key).map_err(|error| tx_error(&error, exit))?;
            let record = record::signed(&signed, &key.public_key(), None);
            cx.emit(&record, |_| hex0x(signed.encode()))
        };
        if self.fields.is_given() {
            return sign(cx, self.fields.transaction()?, Exit::Usage);
        }
        each_item(cx, Wants::any_bytes(), "a transaction of `build`", |cx, item| {
            let data = match &item.content {
                Content::Bytes(bytes) => bytes.clone(),
                Content::Record(record) => hex_member(record, "raw")?,
            };
            match decode(&data)? {
                Decoded::Unsigned(transaction) => sign(cx, transaction, Exit::Malformed),
                Decoded::Typed(typed) => Err(unsupported(typed.kind).into()),
                Decoded::Signed(_) => {
                    let message = "the transaction is signed already";
                    Err(CliError::new("tx.signed", Exit::Malformed, message).into())
                }
            }
        })
    }
}

/// Notes what is easily overlooked.
fn warn(cx: &Context, transaction: &Transaction) {
    if transaction.chain_id.is_none() {
        cx.note("without --chain-id the transaction is valid on every chain");
    }
    for problem in transaction.problems(transaction.chain_id) {
        cx.note(&format!("{}: {problem}", problem.code()));
    }
}

/// Decode transactions of any type, signed or not
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip tx sign --identity me.key --chain-id 1 --nonce 9 --gas-price 20gwei --gas 21000 --to 0x3535353535353535353535353535353535353535 --value 1ether | status-eip tx decode --check --chain-id 1")]
struct DecodeCommand {
    /// Transaction [default: hex, binary or records on standard input]
    #[arg(value_name = "RAW")]
    raw: Vec<String>,
    /// Chain that the transaction should be for
    #[arg(long, value_name = "ID")]
    chain_id: Option<u64>,
    /// End with 1 if nodes would refuse it: problems is not empty, or it is not signed
    #[arg(long)]
    check: bool,
}

impl DecodeCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        each_bytes(cx, &self.raw, &["raw"], "transactions", |cx, raw| {
            let (record, problems, is_signed) = match decode(raw)? {
                Decoded::Unsigned(transaction) => {
                    let problems = transaction.problems(self.chain_id);
                    (record::unsigned(&transaction), problems, false)
                }
                Decoded::Signed(signed) => {
                    let by = recover(&signed)?;
                    let record = record::signed(&signed, &by, self.chain_id);
                    (record, signed.problems(self.chain_id), true)
                }
                Decoded::Typed(typed) => {
                    let other = self.chain_id.is_some_and(|id| id != typed.chain_id);
                    let problems = if other { vec![Problem::OtherChain] } else { Vec::new() };
                    (record::typed(&typed, raw)?, problems, typed.signature.is_some())
                }
            };
            cx.emit(&record, Record::to_text)?;
            let Some(problem) = problems.first().filter(|_| self.check) else {
                if self.check && !is_signed {
                    return Err(tx_error(&TxError::Unsigned, Exit::Negative).into());
                }
                return Ok(());
            };
            Err(CliError::new(problem.code(), Exit::Negative, problem.to_string()).into())
        })
    }
}

/// Show who signed a transaction
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip tx sign --identity me.key --chain-id 1 --nonce 9 --gas-price 20gwei --gas 21000 --to 0x3535353535353535353535353535353535353535 --value 1ether | status-eip tx recover")]
struct RecoverCommand {
    /// Transaction [default: hex, binary or records on standard input]
    #[arg(value_name = "RAW")]
    raw: Vec<String>,
}

impl RecoverCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        each_bytes(cx, &self.raw, &["raw"], "transactions", |cx, raw| {
            let by = match decode(raw)? {
                Decoded::Signed(signed) => recover(&signed)?,
                Decoded::Typed(typed) => {
                    typed.recover().map_err(|error| tx_error(&error, Exit::Negative))?
                }
                Decoded::Unsigned(_) => {
                    return Err(tx_error(&TxError::Unsigned, Exit::Negative).into());
                }
            };
            let address = Address::from_key(&by).to_string();
            let record = Record::new("signer")
                .with("from", address.as_str())
                .with("public_key", by.to_string())
                .with("name", ThreeWordName::from_key(&by).to_string())
                .with_raw(&by.to_uncompressed());
            cx.emit(&record, |_| address)
        })
    }
}

/// Show the id of a signed transaction, or the hash to sign of another
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip tx build --chain-id 1 --nonce 9 --gas-price 20gwei --gas 21000 --to 0x3535353535353535353535353535353535353535 --value 1ether | status-eip tx hash")]
struct HashCommand {
    /// Transaction [default: hex, binary or records on standard input]
    #[arg(value_name = "RAW")]
    raw: Vec<String>,
}

impl HashCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        each_bytes(cx, &self.raw, &["raw"], "transactions", |cx, raw| {
            let (hash, signing_hash) = match decode(raw)? {
                Decoded::Signed(signed) => {
                    (Some(signed.hash()), signed.transaction().signing_hash())
                }
                Decoded::Typed(typed) => (typed.signature.map(|_| typed.hash), typed.signing_hash),
                Decoded::Unsigned(transaction) => (None, transaction.signing_hash()),
            };
            let record = Record::new("transaction_hash")
                .with("hash", hash.map(hex0x))
                .with("signing_hash", hex0x(signing_hash))
                .with_raw(&hash.unwrap_or(signing_hash));
            cx.emit(&record, |_| hex0x(hash.unwrap_or(signing_hash)))
        })
    }
}

fn decode(raw: &[u8]) -> Result<Decoded> {
    Ok(Decoded::decode(raw).map_err(|error| tx_error(&error, Exit::Malformed))?)
}

fn recover(signed: &SignedTransaction) -> Result<statuskit_core::crypto::PublicKey> {
    Ok(signed.recover().map_err(|error| tx_error(&error, Exit::Negative))?)
}

fn tx_error(error: &TxError, exit: Exit) -> CliError {
    let converted = CliError::new(error.code(), exit, error.to_string());
    match error.offset() {
        Some(at) => converted.offset(at),
        None => converted,
    }
}

fn unsupported(kind: statuskit_eip::eip155::TxType) -> CliError {
    let message = format!(
        "a transaction of type {} ({}) is newer than the client of 2020, and is not signed",
        kind.number(),
        kind.standard()
    );
    CliError::new("tx.typed", Exit::Malformed, message)
}
