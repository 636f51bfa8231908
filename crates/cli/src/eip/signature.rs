//! Signatures over digests: what `message` and `typed-data` have in common.

use clap::Args;
use statuskit_core::{
    account::{Address, ThreeWordName},
    crypto::PublicKey,
};
use statuskit_eip::eip191::recover_digest;

use crate::{
    account::{Signer, signature_of},
    context::Context,
    error::{CliError, Exit, Result},
    output::{Record, hex0x},
};

/// The signature to check.
#[derive(Debug, Clone, Args)]
pub struct SignatureArgs {
    /// Signature in hex: r, s, and v of 27 or 28
    #[arg(long, value_name = "HEX")]
    signature: String,
}

impl SignatureArgs {
    pub fn read(&self) -> Result<[u8; 65]> {
        Ok(signature_of(&self.signature)
            .map_err(|error| error.exit(Exit::Usage).field("--signature"))?)
    }
}

/// The expected signer.
#[derive(Debug, Clone, Args)]
pub struct SignerArgs {
    /// Expected signer: a public key in any form, or an address
    #[arg(long, value_name = "KEY")]
    key: String,
}

/// Adds the signature and its key.
pub fn with_signature(record: Record, signature: &[u8; 65], by: &PublicKey) -> Record {
    record
        .with("signature", hex0x(signature))
        .with("public_key", by.to_string())
        .with("address", Address::from_key(by).to_string())
        .with("name", ThreeWordName::from_key(by).to_string())
}

/// Shows whether the expected key signed a digest; another one is a negative answer.
pub fn verify(
    cx: &mut Context,
    record: Record,
    digest: &[u8; 32],
    signature: &SignatureArgs,
    signer: &SignerArgs,
) -> Result<()> {
    let expected = Signer::parse(&signer.key)?;
    let signature = signature.read()?;
    let by = recovered(&signature, digest)?;
    let valid = expected.is(&by);
    let record = with_signature(record, &signature, &by).with("valid", valid).with_raw(&signature);
    cx.emit(&record, |_| {
        let verdict = if valid { "valid" } else { "NOT VALID" };
        format!("{verdict}: signed by {}", Address::from_key(&by))
    })?;
    if valid {
        return Ok(());
    }
    let message = format!("the signature was made by another key: {by}");
    Err(CliError::new("signature.other_key", Exit::Negative, message).into())
}

/// Shows who signed a digest.
pub fn recover(
    cx: &mut Context,
    record: Record,
    digest: &[u8; 32],
    signature: &SignatureArgs,
) -> Result<()> {
    let signature = signature.read()?;
    let by = recovered(&signature, digest)?;
    let record = with_signature(record, &signature, &by).with_raw(&by.to_uncompressed());
    cx.emit(&record, |_| Address::from_key(&by).to_string())
}

fn recovered(signature: &[u8; 65], digest: &[u8; 32]) -> Result<PublicKey> {
    Ok(recover_digest(signature, digest)
        .map_err(|error| CliError::new(error.code(), Exit::Negative, error.to_string()))?)
}
