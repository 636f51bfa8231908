//! `status-account sign`, `verify` and `recover`.

use std::io::{self, Read as _};

use clap::{Args, ValueEnum};
use statuskit_core::{
    account::{
        Address, ThreeWordName,
        sign::{self, SignError, Signed},
    },
    crypto::{PublicKey, keccak256},
    eip::eip191::personal_digest,
};

use crate::{
    account::stream,
    context::{Context, announce_terminal},
    error::{CliError, Exit, Result},
    input::MAX_INPUT,
    keys::{IdentityArgs, parse_public_key},
    output::{Record, hex0x},
};

/// How a message is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// As a personal message, like wallets (EIP-191); v is 27 or 28
    Personal,
    /// By its Keccak-256, like the Status protocols; v is 0 or 1
    Keccak,
    /// As a digest: the message is 32 bytes in hex; v is 0 or 1
    Digest,
}

/// The message of a signature.
#[derive(Debug, Clone, Args)]
struct MessageArgs {
    /// Message [default: all bytes of standard input]
    #[arg(value_name = "MESSAGE")]
    message: Option<String>,
    /// How the message is signed
    #[arg(long = "as", value_name = "KIND", value_enum, default_value = "personal")]
    kind: Kind,
}

/// A message, or a digest of 32 bytes.
enum Message {
    Bytes(Kind, Vec<u8>),
    Digest([u8; 32]),
}

impl MessageArgs {
    fn read(&self) -> Result<Message> {
        let bytes = match &self.message {
            Some(text) => text.clone().into_bytes(),
            None => read_stdin("the message; end with Ctrl-D")?,
        };
        if self.kind != Kind::Digest {
            return Ok(Message::Bytes(self.kind, bytes));
        }
        if let (None, Ok(digest)) = (&self.message, <[u8; 32]>::try_from(&*bytes)) {
            return Ok(Message::Digest(digest));
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        let mut digest = [0; 32];
        let digits = text.strip_prefix("0x").unwrap_or(text);
        hex::decode_to_slice(digits, &mut digest).map_err(|error| {
            let exit = if self.message.is_some() { Exit::Usage } else { Exit::Malformed };
            let message = format!("a digest is 32 bytes, 0x and 64 hex digits: {error}");
            CliError::new("signature.digest", exit, message)
        })?;
        Ok(Message::Digest(digest))
    }
}

impl Message {
    fn signed(&self) -> Signed<'_> {
        match self {
            Self::Bytes(Kind::Personal, bytes) => Signed::Personal(bytes),
            Self::Bytes(_, bytes) => Signed::Keccak(bytes),
            Self::Digest(digest) => Signed::Digest(digest),
        }
    }

    /// Whether a shell may have added its last byte.
    fn ends_with_line_feed(&self) -> bool {
        matches!(self, Self::Bytes(_, bytes) if bytes.ends_with(b"\n"))
    }

    fn kind(&self) -> &'static str {
        match self.signed() {
            Signed::Personal(_) => "personal",
            Signed::Keccak(_) => "keccak",
            Signed::Digest(_) => "digest",
        }
    }

    fn digest(&self) -> [u8; 32] {
        match self.signed() {
            Signed::Personal(message) => personal_digest(message),
            Signed::Keccak(data) => keccak256(data),
            Signed::Digest(digest) => *digest,
        }
    }

    fn record(&self, signature: &[u8; 65], by: &PublicKey) -> Record {
        Record::new("signature")
            .with("kind", self.kind())
            .with("digest", hex0x(self.digest()))
            .with("signature", hex0x(signature))
            .with("public_key", by.to_string())
            .with("address", Address::from_key(by).to_string())
            .with("name", ThreeWordName::from_key(by).to_string())
    }
}

fn read_stdin(announced: &str) -> Result<Vec<u8>> {
    announce_terminal(announced);
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(MAX_INPUT as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| {
        CliError::new("file.read", Exit::Local, format!("can't read the input: {error}"))
    })?;
    if bytes.is_empty() {
        return Err(super::super::empty_input("a message"));
    }
    if bytes.len() > MAX_INPUT {
        let message = format!("a message of more than {} MiB", MAX_INPUT >> 20);
        return Err(CliError::new("input.too_long", Exit::Malformed, message).into());
    }
    Ok(bytes)
}

/// Sign a message with --identity
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account sign hello --identity me.key
  $ printf hello | status-account sign --as keccak --identity me.key --output hex")]
pub struct SignCommand {
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    identity: IdentityArgs,
}

impl SignCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let key = self.identity.require()?;
        let message = self.message.read()?;
        let signature = sign::sign(&key, message.signed());
        let record = message.record(&signature, &key.public_key()).with_raw(&signature);
        cx.emit(&record, |_| hex0x(signature))
    }
}

/// The signature to check.
#[derive(Debug, Clone, Args)]
struct SignatureArgs {
    /// Signature (r, s, v) in hex, or the compact one of EIP-2098 [default: a record of `sign`, or hex, on standard input]
    #[arg(long, value_name = "HEX")]
    signature: Option<String>,
}

impl SignatureArgs {
    fn read(&self, message: &MessageArgs) -> Result<[u8; 65]> {
        if let Some(text) = &self.signature {
            return Ok(signature_as(text, message.kind)
                .map_err(|error| error.exit(Exit::Usage).field("--signature"))?);
        }
        if message.message.is_none() {
            let message = "signature and message can't both come from standard input";
            let error = CliError::usage(message);
            return Err(error.field("--signature").into());
        }
        let bytes = read_stdin("a record of `sign`, or hex; end with Ctrl-D")?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        if !text.starts_with('{') {
            return Ok(signature_as(text, message.kind)?);
        }
        let members = stream::record(text)?;
        let found = members.get("signature").and_then(|value| value.as_str());
        let no_signature = || {
            CliError::new("record.member", Exit::Malformed, "the record has no signature")
                .field("signature")
        };
        Ok(signature_as(found.ok_or_else(no_signature)?, message.kind)?)
    }
}

/// Reads 65 bytes in hex, or the 64 of EIP-2098.
fn signature_as(text: &str, kind: Kind) -> std::result::Result<[u8; 65], CliError> {
    let digits = text.trim();
    let mut compact = [0; 64];
    if hex::decode_to_slice(digits.strip_prefix("0x").unwrap_or(digits), &mut compact).is_ok() {
        return Ok(from_compact(&compact, kind));
    }
    signature_of(text)
}

/// Reads 65 bytes in hex.
pub fn signature_of(text: &str) -> std::result::Result<[u8; 65], CliError> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut signature = [0; 65];
    hex::decode_to_slice(digits, &mut signature).map_err(|error| {
        let message = format!("a signature is 65 bytes, 0x and 130 hex digits: {error}");
        CliError::new("signature.text", Exit::Malformed, message)
    })?;
    Ok(signature)
}

/// Expands a signature of EIP-2098: the highest bit of `s` is the parity of `v`.
fn from_compact(compact: &[u8; 64], kind: Kind) -> [u8; 65] {
    let mut signature = [0; 65];
    signature[..64].copy_from_slice(compact);
    let parity = compact[32] >> 7;
    signature[32] &= 0x7f;
    signature[64] = if kind == Kind::Personal { 27 + parity } else { parity };
    signature
}

/// Returns the error of a wrong signature: a negative answer.
fn rejected(error: &SignError) -> CliError {
    CliError::new(error.code(), Exit::Negative, error.to_string())
}

/// Check that a key signed a message; exit 1 if another one did
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account sign hello --identity me.key | status-account verify hello --key $(status-account show --identity me.key --output hex)")]
pub struct VerifyCommand {
    #[command(flatten)]
    message: MessageArgs,
    /// Expected signer: a public key in any form, or an address
    #[arg(long, value_name = "KEY")]
    key: String,
    #[command(flatten)]
    signature: SignatureArgs,
}

impl VerifyCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let signer = Signer::parse(&self.key)?;
        let signature = self.signature.read(&self.message)?;
        let message = self.message.read()?;
        let by = sign::recover(message.signed(), &signature).map_err(|error| rejected(&error))?;
        let valid = signer.is(&by);
        let record = message.record(&signature, &by).with("valid", valid).with_raw(&signature);
        cx.emit(&record, |_| {
            let verdict = if valid { "valid" } else { "NOT VALID" };
            format!("{verdict}: signed by {by}")
        })?;
        if valid {
            return Ok(());
        }
        let error = rejected(&SignError::OtherKey { by });
        Err(match self.message.message {
            None if message.ends_with_line_feed() => error.hint(
                "standard input ends with a line feed, which was checked, too: printf %s TEXT",
            ),
            _ => error,
        }
        .into())
    }
}

/// The expected signer of a signature.
pub enum Signer {
    Key(PublicKey),
    Address(Address),
}

impl Signer {
    pub fn parse(text: &str) -> Result<Self> {
        if text.strip_prefix("0x").unwrap_or(text).len() == 40 {
            let address = text.parse::<Address>().map_err(|error| {
                CliError::new(error.code(), Exit::Usage, error.to_string()).field("--key")
            })?;
            return Ok(Self::Address(address));
        }
        Ok(Self::Key(parse_public_key(text, "--key")?))
    }

    pub fn is(&self, key: &PublicKey) -> bool {
        match self {
            Self::Key(expected) => expected == key,
            Self::Address(expected) => *expected == Address::from_key(key),
        }
    }
}

/// Show who signed a message
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-account sign hello --identity me.key | status-account recover hello")]
pub struct RecoverCommand {
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    signature: SignatureArgs,
}

impl RecoverCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let signature = self.signature.read(&self.message)?;
        let message = self.message.read()?;
        let by = sign::recover(message.signed(), &signature).map_err(|error| rejected(&error))?;
        let record = message.record(&signature, &by).with_raw(&by.to_uncompressed());
        cx.emit(&record, |_| by.to_string())
    }
}
