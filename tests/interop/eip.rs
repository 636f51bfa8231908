//! Contract calls, transactions and typed data against another implementation, ethers, on random
//! inputs. See `tests/interop/account/README.md`.

use rand::{Rng as _, RngExt as _, rngs::ChaCha20Rng};
use serde_json::{Map, Value as Json, json};
use statuskit_core::crypto::SecretKey;
use statuskit_eip::{
    Address, U256,
    abi::{Event, Function, Parameter, Strictness, Type, Value, decode, encode, values_to_json},
    eip155::{Decoded, Fee, SignedTransaction, Transaction},
    eip191::{recover_digest, sign_digest},
    eip712::{Rules, TypedData},
};

use crate::account::{Ethers, hex0x, rng, secret};

fn random_bytes(rng: &mut ChaCha20Rng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// Often small, sometimes at the end of the range.
fn random_number(rng: &mut ChaCha20Rng, bits: u32) -> U256 {
    let number = U256::from_be_bytes(rng.random());
    match rng.random_range(0..4) {
        0 => U256::ZERO,
        1 => U256::MAX.low_bits(bits),
        _ => number.low_bits(rng.random_range(0..=bits)),
    }
}

fn random_text(rng: &mut ChaCha20Rng) -> String {
    let letters = ['a', 'Z', '0', ' ', '"', '\\', 'é', '🚀', '\u{0}', '\n'];
    (0..rng.random_range(0..70)).map(|_| letters[rng.random_range(0..letters.len())]).collect()
}

fn random_elementary(rng: &mut ChaCha20Rng) -> Type {
    match rng.random_range(0..8) {
        0 => Type::Uint(8 * rng.random_range(1..=32)),
        1 => Type::Int(8 * rng.random_range(1..=32)),
        2 => Type::Address,
        3 => Type::Bool,
        4 => Type::FixedBytes(rng.random_range(1..=32)),
        5 => Type::Bytes,
        6 => Type::String,
        _ => Type::Uint(256),
    }
}

fn random_type(rng: &mut ChaCha20Rng, depth: usize) -> Type {
    match rng.random_range(0..if depth > 3 { 5 } else { 9 }) {
        5 => Type::Array(Box::new(random_type(rng, depth + 1))),
        6 => Type::FixedArray(Box::new(random_type(rng, depth + 1)), rng.random_range(1..4)),
        7 => Type::Tuple(random_parameters(rng, 1, depth + 1)),
        _ => random_elementary(rng),
    }
}

fn random_parameters(rng: &mut ChaCha20Rng, least: usize, depth: usize) -> Vec<Parameter> {
    let parameter = |rng: &mut ChaCha20Rng| {
        let kind = random_type(rng, depth);
        Parameter { name: String::new(), kind, is_indexed: false }
    };
    (0..rng.random_range(least..5)).map(|_| parameter(rng)).collect()
}

fn random_value(rng: &mut ChaCha20Rng, kind: &Type) -> Value {
    match kind {
        Type::Uint(bits) => Value::Uint(random_number(rng, u32::from(*bits))),
        Type::Int(bits) => {
            let bits = u32::from(*bits);
            Value::Int(random_number(rng, bits).sign_extended(bits))
        }
        Type::Address => Value::Address(Address(rng.random())),
        Type::Bool => Value::Bool(rng.random()),
        Type::FixedBytes(size) => Value::FixedBytes(random_bytes(rng, usize::from(*size))),
        Type::Bytes => {
            let length = rng.random_range(0..70);
            Value::Bytes(random_bytes(rng, length))
        }
        Type::String => Value::String(random_text(rng)),
        Type::Array(item) => {
            let count = rng.random_range(0..4);
            Value::Array((0..count).map(|_| random_value(rng, item)).collect())
        }
        Type::FixedArray(item, count) => {
            Value::Array((0..*count).map(|_| random_value(rng, item)).collect())
        }
        Type::Tuple(members) => {
            Value::Tuple(members.iter().map(|it| random_value(rng, &it.kind)).collect())
        }
        other => panic!("{other} is not made"),
    }
}

fn kinds(parameters: &[Parameter]) -> Vec<String> {
    parameters.iter().map(|parameter| parameter.kind.to_string()).collect()
}

#[test]
fn calls_and_answers() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("abi"));
    for _ in 0..400 {
        let parameters = random_parameters(&mut rng, 0, 0);
        let values: Vec<_> = parameters.iter().map(|it| random_value(&mut rng, &it.kind)).collect();
        let ours = encode(&parameters, &values).unwrap();
        let shown = match values_to_json(&parameters, &values) {
            list @ Json::Array(_) => list,
            other => panic!("{other}"),
        };
        let types = kinds(&parameters);
        let theirs = ethers.call(&json!({ "cmd": "abi_encode", "types": types, "values": shown }));
        assert_eq!(theirs, hex0x(&ours), "{types:?} {shown}");
        assert_eq!(decode(&parameters, &ours, Strictness::Strict).unwrap(), values);
        let theirs =
            ethers.call(&json!({ "cmd": "abi_decode", "types": types, "data": hex0x(&ours) }));
        assert_eq!(theirs, shown, "{types:?}");
        let function = Function { name: "f".to_owned(), inputs: parameters, outputs: Vec::new() };
        let question = json!({ "cmd": "abi_selector", "signature": function.to_string() });
        assert_eq!(ethers.call(&question), hex0x(&function.selector()));
    }
}

#[test]
fn what_ethers_refuses_is_refused() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("wrong data"));
    let mut refused = 0;
    for _ in 0..300 {
        let parameters = random_parameters(&mut rng, 1, 0);
        let values: Vec<_> = parameters.iter().map(|it| random_value(&mut rng, &it.kind)).collect();
        let mut data = encode(&parameters, &values).unwrap();
        if data.is_empty() {
            continue;
        }
        let at = rng.random_range(0..data.len());
        data[at] ^= 1_u8 << rng.random_range(0..8);
        let question =
            json!({ "cmd": "abi_decode", "types": kinds(&parameters), "data": hex0x(&data) });
        let theirs = ethers.ask(&question);
        // Where both read something, it is the same: they ignore what our lenient mode ignores.
        match decode(&parameters, &data, Strictness::Lenient) {
            Ok(values) => {
                if let Ok(theirs) = theirs {
                    assert_eq!(theirs, values_to_json(&parameters, &values), "{question}");
                }
            }
            Err(_) => refused += 1,
        }
        if let Ok(values) = decode(&parameters, &data, Strictness::Strict) {
            let theirs = ethers.ask(&question);
            assert_eq!(theirs, Ok(values_to_json(&parameters, &values)), "{question}");
        }
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn logs() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("logs"));
    for _ in 0..100 {
        let mut inputs = random_parameters(&mut rng, 0, 0);
        let mut indexed = 0;
        for input in &mut inputs {
            // ethers does not hash arrays and tuples.
            let is_simple =
                !matches!(input.kind, Type::Array(_) | Type::FixedArray(..) | Type::Tuple(_));
            input.is_indexed = is_simple && indexed < 3 && rng.random();
            indexed += usize::from(input.is_indexed);
        }
        let values: Vec<_> = inputs.iter().map(|it| random_value(&mut rng, &it.kind)).collect();
        let texts: Vec<_> = inputs
            .iter()
            .map(|it| format!("{}{}", it.kind, if it.is_indexed { " indexed" } else { "" }))
            .collect();
        let text = format!("E({})", texts.join(","));
        let event: Event = text.parse().unwrap();
        let log = event.encode_log(&values).unwrap();
        let question =
            json!({ "cmd": "abi_log", "event": text, "values": values_to_json(&inputs, &values) });
        let theirs = ethers.call(&question);
        let topics: Vec<_> = log.topics.iter().map(|topic| hex0x(topic)).collect();
        assert_eq!(theirs["topics"], json!(topics), "{question}");
        assert_eq!(theirs["data"], hex0x(&log.data), "{question}");
        assert!(event.decode_log(&log, Strictness::Strict).is_ok());
    }
}

#[test]
fn transactions() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("transactions"));
    for round in 0..200 {
        let key = SecretKey::generate(&mut rng);
        let length = rng.random_range(0..100);
        let transaction = Transaction {
            // They hold it as a number.
            nonce: rng.random_range(0..1 << 53),
            gas_price: random_number(&mut rng, 256),
            gas: rng.next_u64() >> rng.random_range(0..64),
            to: rng.random_bool(0.8).then(|| Address(rng.random())),
            value: random_number(&mut rng, 256),
            data: random_bytes(&mut rng, length),
            chain_id: (round % 4 != 0).then(|| 1 + (rng.next_u64() >> rng.random_range(12..63))),
        };
        let fields = json!({
            "type": 0, "nonce": transaction.nonce, "gasPrice": transaction.gas_price.to_string(),
            "gasLimit": transaction.gas.to_string(), "to": transaction.to.map(|to| to.to_string()),
            "value": transaction.value.to_string(), "data": hex0x(&transaction.data),
            "chainId": transaction.chain_id.unwrap_or_default().to_string(),
        });
        let signed = transaction.clone().sign(&key).unwrap();
        let theirs = ethers.call(&json!({
            "cmd": "sign_transaction", "private_key": secret(&key), "fields": fields,
        }));
        assert_eq!(theirs["signing_hash"], hex0x(&transaction.signing_hash()), "{fields}");
        assert_eq!(theirs["raw"], hex0x(&signed.encode()), "{fields}");
        assert_eq!(theirs["hash"], hex0x(&signed.hash()));
        let raw = hex0x(&signed.encode());
        let theirs = ethers.call(&json!({ "cmd": "read_transaction", "raw": raw }));
        assert_eq!(theirs["from"], Address::from_key(&key.public_key()).to_string());
        assert_eq!(theirs["value"], transaction.value.to_string());
        assert_eq!(theirs["chain_id"], transaction.chain_id.unwrap_or_default().to_string());
        let read = SignedTransaction::decode(&signed.encode()).unwrap();
        assert_eq!(read.recover().unwrap(), key.public_key());
    }
}

#[test]
fn transactions_with_types() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("typed transactions"));
    for round in 0..100 {
        let key = SecretKey::generate(&mut rng);
        let (kind, chain_id) = (1 + round % 2, rng.random_range(1..1_u64 << 50));
        let keys: Vec<_> =
            (0..rng.random_range(0..3)).map(|_| hex0x(&random_bytes(&mut rng, 32))).collect();
        let address = Address(rng.random());
        let length = rng.random_range(0..100);
        let mut fields = json!({
            "type": kind, "nonce": rng.random_range(0..1_u64 << 50),
            "gasLimit": rng.next_u64().to_string(), "to": Address(rng.random()).to_string(),
            "value": random_number(&mut rng, 256).to_string(), "chainId": chain_id.to_string(),
            "data": hex0x(&random_bytes(&mut rng, length)),
            "accessList": [{ "address": address.to_string(), "storageKeys": keys }],
        });
        if kind == 1 {
            fields["gasPrice"] = random_number(&mut rng, 256).to_string().into();
        } else {
            let least = random_number(&mut rng, 128);
            fields["maxPriorityFeePerGas"] = least.to_string().into();
            fields["maxFeePerGas"] = least.checked_add(5_u64.into()).unwrap().to_string().into();
        }
        let theirs = ethers.call(&json!({
            "cmd": "sign_transaction", "private_key": secret(&key), "fields": fields,
        }));
        let raw = hex::decode(&theirs["raw"].as_str().unwrap()[2..]).unwrap();
        let Decoded::Typed(ours) = Decoded::decode(&raw).unwrap() else { panic!("{theirs}") };
        assert_eq!(ours.kind.number(), kind);
        assert_eq!(ours.chain_id, chain_id);
        assert_eq!(theirs["nonce"], ours.nonce);
        assert_eq!(theirs["gas"], ours.gas.to_string());
        assert_eq!(theirs["to"], ours.to.unwrap().to_string());
        assert_eq!(theirs["value"], ours.value.to_string());
        assert_eq!(theirs["data"], hex0x(&ours.data));
        match ours.fee {
            Fee::GasPrice(price) => assert_eq!(theirs["gas_price"], price.to_string()),
            Fee::Dynamic { max_priority_fee, max_fee } => {
                assert_eq!(theirs["max_fee"], max_fee.to_string());
                assert_eq!(theirs["max_priority_fee"], max_priority_fee.to_string());
            }
        }
        assert_eq!(ours.access_list[0].address, address);
        let ours_keys: Vec<_> = ours.access_list[0].keys.iter().map(|key| hex0x(key)).collect();
        assert_eq!(ours_keys, keys);
        assert_eq!(theirs["signing_hash"], hex0x(&ours.signing_hash));
        assert_eq!(theirs["hash"], hex0x(&ours.hash));
        assert_eq!(ours.recover().unwrap(), key.public_key());
    }
}

/// A type of a member: its text, and a value.
fn random_member(
    rng: &mut ChaCha20Rng,
    structs: &[(String, Json)],
    depth: usize,
) -> (String, Json) {
    match rng.random_range(0..if depth > 2 { 4 } else { 6 }) {
        4 if !structs.is_empty() => structs[rng.random_range(0..structs.len())].clone(),
        5 => {
            let (text, value) = random_member(rng, structs, depth + 1);
            let count = rng.random_range(1..4);
            let length = if rng.random() { count.to_string() } else { String::new() };
            (format!("{text}[{length}]"), Json::Array(vec![value; count]))
        }
        _ => {
            let kind = random_elementary(rng);
            let value = random_value(rng, &kind).to_json(&kind);
            (kind.to_string(), value)
        }
    }
}

#[test]
fn typed_data() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("typed data"));
    for _ in 0..200 {
        // From the innermost to the primary type; each uses the one before.
        let (mut types, mut structs) = (Map::new(), Vec::<(String, Json)>::new());
        for number in 0..rng.random_range(1..5) {
            let (mut fields, mut value) = (Vec::new(), Map::new());
            let mut members: Vec<_> =
                (0..rng.random_range(1..5)).map(|_| random_member(&mut rng, &structs, 0)).collect();
            members.extend(structs.last().cloned());
            for (at, (kind, member)) in members.into_iter().enumerate() {
                let name = format!("m{at}");
                fields.push(json!({ "name": name, "type": kind }));
                value.insert(name, member);
            }
            let name = format!("{}{number}", ['T', 'a', 'Z', '_'][number % 4]);
            types.insert(name.clone(), fields.into());
            structs.push((name, value.into()));
        }
        let (primary, message) = structs.pop().unwrap();
        let mut domain = Map::new();
        for (name, value) in [
            ("name", json!(random_text(&mut rng))),
            ("version", json!("1")),
            ("chainId", json!(rng.random_range(0..1_u64 << 50))),
            ("verifyingContract", json!(Address(rng.random()).to_string())),
            ("salt", json!(hex0x(&random_bytes(&mut rng, 32)))),
        ] {
            if rng.random() {
                domain.insert(name.to_owned(), value);
            }
        }
        let data = json!({
            "types": types, "primaryType": primary, "domain": domain, "message": message,
        });
        let hashes = TypedData::from_json(&data).unwrap().hash(Rules::Exact);
        let hashes = hashes.unwrap_or_else(|error| panic!("{data}: {error:?}"));
        let key = SecretKey::generate(&mut rng);
        let mut question = data.clone();
        question["cmd"] = "typed_data".into();
        question["private_key"] = secret(&key).into();
        let theirs = ethers.call(&question);
        let ours = hashes.message.unwrap();
        assert_eq!(theirs["type_text"], ours.type_text, "{data}");
        assert_eq!(theirs["struct_hash"], hex0x(&ours.hash), "{data}");
        assert_eq!(theirs["domain_separator"], hex0x(&hashes.domain.hash), "{data}");
        assert_eq!(theirs["digest"], hex0x(&hashes.digest), "{data}");
        let signature = sign_digest(&key, &hashes.digest);
        assert_eq!(theirs["signature"], hex0x(&signature));
        assert_eq!(recover_digest(&signature, &hashes.digest).unwrap(), key.public_key());
        question["cmd"] = "verify_typed_data".into();
        question["signature"] = hex0x(&signature).into();
        let signer = ethers.call(&question);
        assert_eq!(signer, Address::from_key(&key.public_key()).to_string());
    }
}
