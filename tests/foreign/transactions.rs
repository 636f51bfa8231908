//! Transactions.

use serde_json::Value as Json;
use statuskit_core::crypto::{SecretKey, keccak256};
use statuskit_eip::{
    Address, U256,
    eip155::{SignedTransaction, Transaction},
};

use crate::{Outcome, bytes, each, ensure, none, same, text, unhex};

/// As a node of the main net takes it, by the rules of Istanbul: those of March 2020.
fn is_taken(raw: &[u8]) -> Result<SignedTransaction, String> {
    let signed = SignedTransaction::decode(raw).map_err(|error| error.to_string())?;
    signed.recover().map_err(|error| error.to_string())?;
    match &signed.problems(Some(1))[..] {
        [] => Ok(signed),
        problems => Err(format!("{problems:?}")),
    }
}

#[test]
fn transactions_of_the_ethereum_tests() {
    each("eip155/ethereum_tests.json", none, |case| {
        let raw = bytes(case, "txbytes");
        let expected = &case["results"]["Istanbul"];
        let taken = is_taken(&raw);
        if let Some(reason) = expected["refused"].as_str() {
            return ensure(taken.is_err(), format!("taken, in spite of {reason}"));
        }
        let signed = taken?;
        let sender = Address::from_key(&signed.recover().unwrap());
        same(sender.to_plain_hex(), text(expected, "sender").to_owned())?;
        same(signed.hash().to_vec(), bytes(expected, "hash"))?;
        same(signed.encode(), raw)
    });
}

fn number(case: &Json, member: &str) -> U256 {
    case[member].as_str().map_or(U256::ZERO, |text| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.is_empty() { U256::ZERO } else { format!("0x{digits}").parse().unwrap() }
    })
}

#[test]
fn random_transactions_of_ethers() {
    each("eip155/ethers_legacy.json", none, |case| {
        let key: SecretKey = text(case, "key").parse().unwrap();
        let mut transaction = Transaction {
            nonce: case["nonce"].as_u64().unwrap_or_default(),
            gas_price: number(case, "gas_price"),
            gas: number(case, "gas").to_u64().unwrap(),
            to: case["to"].as_str().filter(|it| !it.is_empty()).map(|it| it.parse().unwrap()),
            value: number(case, "value"),
            data: case["data"].as_str().map(unhex).unwrap_or_default(),
            chain_id: None,
        };
        signs_as(
            &transaction,
            &key,
            &bytes(case, "unsigned_legacy"),
            &bytes(case, "signed_legacy"),
        )?;
        let expected = bytes(case, "signed_eip155");
        if expected.is_empty() {
            return Ok(());
        }
        transaction.chain_id = number(case, "chain_id").to_u64();
        signs_as(&transaction, &key, &bytes(case, "unsigned_eip155"), &expected)
    });
}

fn signs_as(transaction: &Transaction, key: &SecretKey, unsigned: &[u8], signed: &[u8]) -> Outcome {
    same(hex::encode(transaction.signing_data()), hex::encode(unsigned))?;
    same(transaction.signing_hash(), keccak256(unsigned))?;
    let made = transaction.clone().sign(key).map_err(|error| error.to_string())?;
    same(hex::encode(made.encode()), hex::encode(signed))?;
    let read = SignedTransaction::decode(signed).map_err(|error| error.to_string())?;
    same(read.recover().ok(), Some(key.public_key()))?;
    same(read, made)
}

#[test]
fn published_transactions() {
    each("eip155/published.json", none, |case| {
        let raw = bytes(case, "signed");
        let signed = SignedTransaction::decode(&raw).map_err(|error| error.to_string())?;
        same(signed.transaction().chain_id, case["chain_id"].as_u64())?;
        same(signed.encode(), raw)?;
        let sender = Address::from_key(&signed.recover().map_err(|error| error.to_string())?);
        if let Some(from) = case["from"].as_str() {
            return same(sender.to_plain_hex(), from.to_owned());
        }
        let key: SecretKey = text(case, "key").parse().unwrap();
        let transaction = signed.transaction();
        same(transaction.nonce, case["nonce"].as_u64().unwrap())?;
        same(transaction.gas, case["gas"].as_u64().unwrap())?;
        same(transaction.gas_price.to_string(), text(case, "gas_price").to_owned())?;
        same(transaction.value.to_string(), text(case, "value").to_owned())?;
        same(transaction.to.map(|to| to.0.to_vec()), Some(bytes(case, "to")))?;
        same(transaction.data.clone(), bytes(case, "data"))?;
        same(transaction.signing_data(), bytes(case, "signing_data"))?;
        same(transaction.signing_hash().to_vec(), bytes(case, "signing_hash"))?;
        same(transaction.clone().sign(&key).unwrap(), signed)
    });
}
