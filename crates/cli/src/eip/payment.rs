//! `status-eip payment`: the last step of a payment in a chat.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use statuskit_core::{
    account::Address,
    crypto::PublicKey,
    eip::eip191::PersonalSignature,
    payload::transaction::{announce, lower_case, proof_material},
    reader::Wants,
};

use crate::{
    account::stream::{each_text, record},
    context::Context,
    error::{CliError, Exit, Result},
    input::{Content, each_item},
    keys::{IdentityArgs, parse_public_key},
    output::{Record, hex0x},
    payload::record::payload_members,
};

/// Payments of a chat: announce a transaction with a proof, and check such a proof
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ KEY=$(status-account show --identity me.key --output hex); status-eip payment announce 0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53 --sender $KEY --identity me.key | status-eip payment verify --sender $KEY")]
pub struct PaymentCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Announce(AnnounceCommand),
    Verify(VerifyCommand),
}

impl PaymentCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::Announce(command) => command.run(cx),
            Command::Verify(command) => command.run(cx),
        }
    }
}

/// Make the command that announces a transaction (send_transaction), for `status-payload encode`
///
/// The wallet that paid signs the chat key of the sender and the hash of the transaction.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip payment announce 0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53 --sender $(status-account show --identity me.key --output hex) --identity me.key | status-payload encode --identity me.key")]
pub struct AnnounceCommand {
    /// Hash of the transaction [default: from a record of `tx sign` on standard input]
    #[arg(value_name = "HASH")]
    hash: Option<String>,
    /// Chat key of the sender of the command, in any form
    #[arg(long, value_name = "KEY")]
    sender: String,
    /// Message id of the request that the transaction fulfils
    #[arg(long, value_name = "ID", default_value = "")]
    request: String,
    // The wallet that paid.
    #[command(flatten)]
    identity: IdentityArgs,
}

impl AnnounceCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let sender = parse_public_key(&self.sender, "--sender")?;
        let wallet = self.identity.require()?;
        let arguments: Vec<String> = self.hash.iter().cloned().collect();
        each_text(cx, &arguments, "the hash of a transaction", |cx, text, is_argument| {
            let exit = if is_argument { Exit::Usage } else { Exit::Malformed };
            let text = text.trim();
            let hash = match text.starts_with('{') {
                true => member(&record(text)?, "hash")?.to_owned(),
                false => text.to_owned(),
            };
            let hash = parse_hash(&hash).map_err(|error| error.exit(exit))?;
            let made = announce(cx.now_ms().0, &self.request, &sender, &hash, &wallet);
            let record = Record::new("send_transaction")
                .with("clock", made.clock)
                .with("id", made.id)
                .with("transaction_hash", made.transaction_hash)
                .with("signature", hex0x(&made.signature));
            cx.collect(&record, Record::to_text)
        })
    }
}

/// Check the proofs of announced transactions; exit 1 if one does not hold
///
/// The signer must be the wallet that the transaction is from: give it with --from, or compare it
/// with the sender that `tx decode` prints. Whether the transaction pays what was asked is for a node to
/// say.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ KEY=$(status-account show --identity me.key --output hex); status-eip payment announce 0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53 --sender $KEY --identity me.key | status-eip payment verify --sender $KEY")]
pub struct VerifyCommand {
    /// Chat key of the sender of the command [default: the author of the payload]
    #[arg(long, value_name = "KEY")]
    sender: Option<String>,
    /// Wallet that must have signed: the sender of the transaction
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
}

impl VerifyCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let sender = self.sender.as_deref().map(|text| parse_public_key(text, "--sender"));
        let sender = sender.transpose()?;
        let from = self.from.as_deref().map(str::parse::<Address>).transpose();
        let from = from.map_err(|error| {
            CliError::new(error.code(), Exit::Usage, error.to_string()).field("--from")
        })?;
        each_item(cx, Wants::any_bytes(), "records of send_transaction", |cx, item| {
            match &item.content {
                Content::Record(members) => {
                    verify(cx, payload_members(members), sender.as_ref(), from)
                }
                Content::Bytes(_) => {
                    let message = "expected a record of send_transaction";
                    let error = CliError::new("record.type", Exit::Malformed, message);
                    Err(error.hint("status-payload decode prints it").into())
                }
            }
        })
    }
}

fn verify(
    cx: &mut Context,
    members: &Map<String, Value>,
    sender: Option<&PublicKey>,
    from: Option<Address>,
) -> Result<()> {
    let author;
    let sender = match sender {
        Some(sender) => sender,
        None => {
            author = crate::keys::public_key(member(members, "author")?)
                .map_err(|error| error.field("author"))?;
            &author
        }
    };
    let hash = parse_hash(member(members, "transaction_hash")?)?;
    let signature: Option<PersonalSignature> = member(members, "signature")?.parse().ok();
    let signer = signature.and_then(|it| it.recover(&proof_material(sender, &hash)).ok());
    let signer = signer.map(|key| Address::from_key(&key));
    let valid = signer.is_some() && from.is_none_or(|from| signer == Some(from));
    if !valid {
        cx.negative();
    }
    let record = Record::new("payment_proof")
        .with("valid", valid)
        .with("transaction_hash", hex0x(hash))
        .with("sender", sender.to_string())
        .with("signer", signer.map(|address| address.to_string()))
        .with("expected", from.as_ref().map(lower_case));
    cx.collect(&record, |_| match (valid, signer) {
        (true, Some(signer)) => format!("valid: signed by {signer}"),
        (_, Some(signer)) => format!("NOT VALID: signed by {signer}"),
        (_, None) => "NOT VALID: no key could have made the signature".to_owned(),
    })
}

fn member<'a>(
    members: &'a Map<String, Value>,
    name: &str,
) -> std::result::Result<&'a str, CliError> {
    members.get(name).and_then(Value::as_str).ok_or_else(|| {
        let message = format!("the record has no text {name:?}");
        CliError::new("record.member", Exit::Malformed, message).field(name)
    })
}

fn parse_hash(text: &str) -> std::result::Result<[u8; 32], CliError> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut hash).map_err(|error| {
        let message = format!("the hash of a transaction is 0x and 64 hex digits: {error}");
        CliError::new("input.hex", Exit::Malformed, message).field("transaction_hash")
    })?;
    Ok(hash)
}
