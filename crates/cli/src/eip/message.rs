//! `status-eip message`: signed data of EIP-191.

use clap::{Args, Subcommand, ValueEnum};
use statuskit_eip::{
    Address,
    eip191::{SignedData, sign_digest},
};

use crate::{
    context::Context,
    eip::{
        abi::parse_data,
        input::read_all,
        signature::{SignatureArgs, SignerArgs, recover, verify, with_signature},
    },
    error::{CliError, Exit, Result},
    input::MAX_INPUT,
    keys::IdentityArgs,
    output::{Record, hex0x},
};

/// Signed data (EIP-191): personal messages, and the versions 00 and 01
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip message sign hello --identity me.key
  $ status-eip message hash 0x0102 --hex --version-byte 00 --validator 0x3535353535353535353535353535353535353535")]
pub struct MessageCommand {
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

impl MessageCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::Hash(command) => {
                let message = command.message.read()?;
                let digest = message.data().digest();
                let record = message.record().with_raw(&digest);
                cx.emit(&record, |_| hex0x(digest))
            }
            Command::Sign(command) => {
                let key = command.identity.require()?;
                let message = command.message.read()?;
                let signature = sign_digest(&key, &message.data().digest());
                let record = with_signature(message.record(), &signature, &key.public_key());
                cx.emit(&record.with_raw(&signature), |_| hex0x(signature))
            }
            Command::Verify(command) => {
                let message = command.message.read()?;
                let digest = message.data().digest();
                verify(cx, message.record(), &digest, &command.signature, &command.signer)
            }
            Command::Recover(command) => {
                let message = command.message.read()?;
                let digest = message.data().digest();
                recover(cx, message.record(), &digest, &command.signature)
            }
        }
    }
}

/// Show the bytes that are hashed, and the digest
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip message hash hello")]
struct HashCommand {
    #[command(flatten)]
    message: MessageArgs,
}

/// Sign a message with --identity
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip message sign hello --identity me.key --output hex")]
struct SignCommand {
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    identity: IdentityArgs,
}

/// Check that a key signed a message; exit 1 if another one did
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip message verify hello --signature $(status-eip message sign hello --identity me.key --output hex) --key $(status-account show --identity me.key --output hex)")]
struct VerifyCommand {
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    signature: SignatureArgs,
    #[command(flatten)]
    signer: SignerArgs,
}

/// Show who signed a message
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip message recover hello --signature $(status-eip message sign hello --identity me.key --output hex)")]
struct RecoverCommand {
    #[command(flatten)]
    message: MessageArgs,
    #[command(flatten)]
    signature: SignatureArgs,
}

/// The versions of EIP-191.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Version {
    /// Data for a contract that checks the signature: --validator
    #[value(name = "00")]
    Validator,
    /// A domain separator and a struct hash, 64 bytes (EIP-712; see typed-data)
    #[value(name = "01")]
    Typed,
    /// A personal message, as wallets sign it
    #[value(name = "45")]
    Personal,
}

/// The message.
#[derive(Debug, Clone, Args)]
struct MessageArgs {
    /// Message [default: all bytes of standard input]
    #[arg(value_name = "MESSAGE")]
    message: Option<String>,
    /// The message is bytes in hex
    #[arg(long)]
    hex: bool,
    /// Version byte of EIP-191
    #[arg(long, value_name = "VERSION", value_enum, default_value = "45")]
    version_byte: Version,
    /// Address of the contract, with version 00
    #[arg(long, value_name = "ADDRESS")]
    validator: Option<String>,
}

/// A message as it was read.
enum Message {
    Validator(Address, Vec<u8>),
    Typed([u8; 32], [u8; 32]),
    Personal(Vec<u8>),
}

impl MessageArgs {
    fn read(&self) -> Result<Message> {
        let validator = self.validator.as_deref().map(|text| {
            text.parse::<Address>().map_err(|error| {
                CliError::new(error.code(), Exit::Usage, error.to_string()).field("--validator")
            })
        });
        let validator = validator.transpose()?;
        if validator.is_some() != (self.version_byte == Version::Validator) {
            let message = "--validator belongs to --version-byte 00, which needs it";
            return Err(CliError::usage(message).field("--validator").into());
        }
        let bytes = match &self.message {
            Some(text) if self.hex => parse_data(text, "MESSAGE")?,
            Some(text) => text.clone().into_bytes(),
            None => {
                let bytes = read_all(None, MAX_INPUT)?;
                if bytes.is_empty() {
                    return Err(crate::empty_input("a message"));
                }
                if self.hex { from_hex(&bytes)? } else { bytes }
            }
        };
        match (self.version_byte, validator) {
            (Version::Validator, Some(validator)) => Ok(Message::Validator(validator, bytes)),
            (Version::Typed, _) => {
                let (words, rest) = bytes.as_chunks::<32>();
                match (words, rest) {
                    ([domain, message], []) => Ok(Message::Typed(*domain, *message)),
                    _ => {
                        let message = format!(
                            "version 01 signs a domain separator and a struct hash, 64 bytes; \
                             this has {}",
                            bytes.len()
                        );
                        let exit =
                            if self.message.is_some() { Exit::Usage } else { Exit::Malformed };
                        let error = CliError::new("signature.hashes", exit, message);
                        Err(error.hint("--hex, and 0x and 128 hex digits").into())
                    }
                }
            }
            _ => Ok(Message::Personal(bytes)),
        }
    }
}

impl Message {
    fn data(&self) -> SignedData<'_> {
        match self {
            Self::Validator(validator, data) => {
                SignedData::Validator { validator: *validator, data }
            }
            Self::Typed(domain_separator, struct_hash) => {
                SignedData::Typed { domain_separator, struct_hash }
            }
            Self::Personal(message) => SignedData::Personal(message),
        }
    }

    fn record(&self) -> Record {
        let data = self.data();
        let record = Record::new("signed_data").with("version", hex0x([data.version()]));
        let record = match self {
            Self::Validator(validator, data) => {
                record.with("validator", validator.to_string()).with("message", hex0x(data))
            }
            Self::Typed(domain_separator, struct_hash) => record
                .with("domain_separator", hex0x(domain_separator))
                .with("struct_hash", hex0x(struct_hash)),
            Self::Personal(message) => record.with("message", hex0x(message)),
        };
        record.with("hashed", hex0x(data.to_bytes())).with("digest", hex0x(data.digest()))
    }
}

fn from_hex(text: &[u8]) -> Result<Vec<u8>> {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    Ok(hex::decode(digits).map_err(|error| {
        CliError::new("input.hex", Exit::Malformed, format!("not hexadecimal: {error}"))
    })?)
}
