//! Records of transactions.

use serde_json::{Value as Json, json};
use statuskit_core::crypto::PublicKey;
use statuskit_eip::{
    Address,
    eip155::{CHAINS, Fee, Problem, SignedTransaction, Transaction, TypedTransaction},
};

use crate::{
    eip::{abi::known_call_json, tx::tx_error},
    error::{Exit, Result},
    output::{Record, hex0x},
};

/// The record of a transaction to sign.
pub fn unsigned(transaction: &Transaction) -> Record {
    let data = transaction.signing_data();
    fields(transaction)
        .with("signed", false)
        .with("signing_hash", hex0x(transaction.signing_hash()))
        .with("problems", problems(&transaction.problems(transaction.chain_id)))
        .with_raw(&data)
}

/// The record of a signed transaction.
pub fn signed(signed: &SignedTransaction, by: &PublicKey, chain_id: Option<u64>) -> Record {
    let transaction = signed.transaction();
    fields(transaction)
        .with("signed", true)
        .with("signing_hash", hex0x(transaction.signing_hash()))
        .with("v", signed.v().to_string())
        .with("r", hex0x(signed.r().to_be_bytes()))
        .with("s", hex0x(signed.s().to_be_bytes()))
        .with("hash", hex0x(signed.hash()))
        .with("from", Address::from_key(by).to_string())
        .with("public_key", by.to_string())
        .with("problems", problems(&signed.problems(chain_id)))
        .with_raw(&signed.encode())
}

/// The record of a transaction of a later year.
pub fn typed(transaction: &TypedTransaction, raw: &[u8]) -> Result<Record> {
    let kind = transaction.kind;
    let note = format!("{} is newer than the client of 2020, which can't read it", kind.standard());
    let record = Record::new("transaction")
        .with("kind", kind.number())
        .with("standard", kind.standard())
        .with("supported", false)
        .with("note", note)
        .with("chain_id", transaction.chain_id)
        .with("chain", chain(Some(transaction.chain_id)))
        .with("nonce", transaction.nonce);
    let record = match transaction.fee {
        Fee::GasPrice(price) => record.with("gas_price", price.to_string()),
        Fee::Dynamic { max_priority_fee, max_fee } => record
            .with("max_priority_fee_per_gas", max_priority_fee.to_string())
            .with("max_fee_per_gas", max_fee.to_string()),
    };
    let access_list: Json = transaction
        .access_list
        .iter()
        .map(|item| {
            let keys: Vec<_> = item.keys.iter().map(hex0x).collect();
            json!({ "address": item.address.to_string(), "storage_keys": keys })
        })
        .collect();
    let mut record = record
        .with("gas", transaction.gas)
        .with("to", transaction.to.map(|to| to.to_string()))
        .with("value", transaction.value.to_string())
        .with("data", hex0x(&transaction.data))
        .with_some("call", known_call_json(&transaction.data))
        .with("access_list", access_list);
    if let Some((fee, hashes)) = &transaction.blobs {
        let hashes: Vec<_> = hashes.iter().map(hex0x).collect();
        record = record
            .with("max_fee_per_blob_gas", fee.to_string())
            .with("blob_versioned_hashes", hashes);
    }
    let authorizations = transaction.authorizations.as_ref().map(hex0x);
    record = record
        .with_some("authorization_list", authorizations)
        .with("signed", transaction.signature.is_some())
        .with("signing_hash", hex0x(transaction.signing_hash));
    if let Some((parity, r, s)) = transaction.signature {
        let by = transaction.recover().map_err(|error| tx_error(&error, Exit::Negative))?;
        record = record
            .with("v", parity.to_string())
            .with("r", hex0x(r.to_be_bytes()))
            .with("s", hex0x(s.to_be_bytes()))
            .with("hash", hex0x(transaction.hash))
            .with("from", Address::from_key(&by).to_string())
            .with("public_key", by.to_string());
    }
    Ok(record.with("problems", Json::Array(Vec::new())).with_raw(raw))
}

fn fields(transaction: &Transaction) -> Record {
    Record::new("transaction")
        .with("kind", Json::Null)
        .with("standard", transaction.chain_id.map(|_| "EIP-155"))
        .with("supported", true)
        .with("chain_id", transaction.chain_id)
        .with("chain", chain(transaction.chain_id))
        .with("nonce", transaction.nonce)
        .with("gas_price", transaction.gas_price.to_string())
        .with("gas", transaction.gas)
        .with("to", transaction.to.map(|to| to.to_string()))
        .with("value", transaction.value.to_string())
        .with("data", hex0x(&transaction.data))
        .with_some("call", known_call_json(&transaction.data))
}

fn chain(id: Option<u64>) -> Option<&'static str> {
    CHAINS.iter().find(|(known, _)| Some(*known) == id).map(|(_, name)| *name)
}

fn problems(problems: &[Problem]) -> Vec<&'static str> {
    problems.iter().map(|problem| problem.code()).collect()
}
