//! Typed data.

use serde_json::{Value as Json, json};
use statuskit_core::crypto::SecretKey;
use statuskit_eip::{
    eip191::sign_digest,
    eip712::{Rules, TypedData},
};

use crate::{bytes, each, ensure, none, same, text};

fn hashes(json: &Json) -> Result<statuskit_eip::eip712::Hashes, String> {
    let data = TypedData::from_json(json).map_err(|error| format!("{error:?}"))?;
    data.hash(Rules::Exact).map_err(|error| format!("{error:?}"))
}

#[test]
fn the_example_of_the_standard() {
    each("eip712/eip.json", none, |case| {
        let hashes = hashes(&case["typed_data"])?;
        let message = hashes.message.as_ref().unwrap();
        same(message.type_text.as_str(), text(case, "encode_type"))?;
        same(message.type_hash.to_vec(), bytes(case, "type_hash"))?;
        same(message.encoded.clone(), bytes(case, "encode_data"))?;
        same(message.hash.to_vec(), bytes(case, "struct_hash"))?;
        same(hashes.domain.hash.to_vec(), bytes(case, "domain_separator"))?;
        same(hashes.digest.to_vec(), bytes(case, "digest"))?;
        let key: SecretKey = text(case, "key").parse().unwrap();
        let v = u8::try_from(case["v"].as_u64().unwrap()).unwrap();
        let expected = [bytes(case, "r"), bytes(case, "s"), vec![v]].concat();
        same(sign_digest(&key, &hashes.digest).to_vec(), expected)
    });
}

#[test]
fn random_data_of_ethers() {
    each("eip712/ethers.json", none, |case| {
        let data = json!({
            "types": case["types"], "primaryType": case["primaryType"],
            "domain": case["domain"], "message": case["data"],
        });
        let hashes = hashes(&data)?;
        same(hex::encode(&hashes.message.unwrap().encoded), hex::encode(bytes(case, "encoded")))?;
        same(hashes.digest.to_vec(), bytes(case, "digest"))
    });
}

#[test]
fn files_of_go_ethereum() {
    each("eip712/geth.json", none, |case| {
        let taken = serde_json::from_str(text(case, "file"))
            .map_err(|error| error.to_string())
            .and_then(|json| hashes(&json));
        match text(case, "expect") {
            "accept" => taken.map(|_| ()),
            "refuse" => ensure(taken.is_err(), "taken"),
            _ => Ok(()),
        }
    });
}

/// JavaScript makes something of every value. Here a value has its type.
fn is_lenient(case: &Json) -> Option<&'static str> {
    let (kind, value) = (text(case, "type"), text(case, "value"));
    let digits = value.strip_prefix("0x");
    let byte_count = digits.and_then(|it| hex::decode(it).ok()).map(|bytes| bytes.len());
    match (text(case, "value_js_type"), kind) {
        ("Buffer", _) => Some("JSON has no bytes"),
        ("boolean", "bool") => None,
        (_, "bool") => Some("only true and false are booleans"),
        ("number", "address" | "string") => Some("a number is neither address nor text"),
        ("number", kind) if kind.starts_with("bytes") => Some("a number is no bytes"),
        (_, "address") => (byte_count != Some(20)).then_some("an address has 20 bytes"),
        (_, "bytes") => byte_count.is_none().then_some("bytes are pairs of hex digits"),
        (_, kind) if kind.starts_with("bytes") => {
            let size = kind.strip_prefix("bytes").and_then(|it| it.parse().ok());
            (byte_count != size).then_some("fixed bytes have their length")
        }
        (_, "int8") => {
            let fits = value.parse::<i64>().is_ok_and(|it| i8::try_from(it).is_ok());
            (!fits && value != "0x0").then_some("the number is out of range")
        }
        (_, "uint8") => {
            let fits = value.parse::<i64>().is_ok_and(|it| u8::try_from(it).is_ok());
            (!fits && value != "0x0").then_some("the number is out of range")
        }
        _ => None,
    }
}

#[test]
fn single_values_of_eth_sig_util() {
    each("eip712/eth_sig_util_scalars.json", is_lenient, |case| {
        let value = match text(case, "value_js_type") {
            "number" | "boolean" => serde_json::from_str(text(case, "value")).unwrap(),
            _ => case["value"].clone(),
        };
        let data = json!({
            "types": { "Message": [{ "name": "data", "type": case["type"] }] },
            "primaryType": "Message", "domain": {}, "message": { "data": value },
        });
        let message = hashes(&data)?.message.unwrap();
        let ours = match text(case, "what") {
            "encodeData" => hex::encode(&message.encoded),
            _ => hex::encode(message.hash),
        };
        same(ours, hex::encode(bytes(case, "result")))
    });
}
