//! Vectors of payloads: `payloads`.

use serde_json::{Map, Value};
use statuskit_core::{
    account::Address,
    crypto::{PublicKey, SecretKey},
    eip::eip191::PersonalSignature,
    payload::{
        PayloadMessage, PayloadType, Wrapper,
        check::{self, Receipt},
        clock,
        transaction::{self, Asked, Invalid, Transaction, TransactionStatus, Verdict},
        types::type_name,
    },
    protobuf::{FieldType, MessageDef, json},
    time::UnixMillis,
};

use crate::case::{Case, Set, is_foreign};

pub fn payloads(set: &mut Set) {
    set.each("cases", a_case);
    set.each("wrapper_oddities", an_oddity);
    set.each("validation", a_validation);
    set.each("clock", |case| {
        let made = clock::next(case.u64("last_clock"), UnixMillis(case.u64("now_ms")));
        assert_eq!(made, case.u64("clock"), "{case}");
        assert_eq!(case.u64("timestamp"), case.u64("now_ms"), "{case}");
    });
    set.each("transaction_proofs", a_proof);
}

fn a_case(case: &Case<'_>) {
    let number = case.u64("type") as i32;
    let kind = PayloadType::from_number(number).unwrap();
    assert_eq!(kind.name, case.str("type_name").to_lowercase(), "{case}");
    let def = kind.message.unwrap();
    assert!(case.bool("handled_by_parser"), "{case}");

    // Fields to bytes, and back.
    let members = our_json(def, case.get("fields").as_object().unwrap());
    let payload = case.plain_hex("payload");
    assert_eq!(json::encode(def, &members).as_ref(), Ok(&payload), "{case}");
    assert_eq!(json::decode(def, &payload), Ok(filled(def, members)), "{case}");
    let message = PayloadMessage::decode(number, &payload).unwrap();
    assert_eq!((message.number(), message.encode()), (number, payload.clone()), "{case}");

    // Signing.
    let signer: SecretKey = case.str("signer_private").parse().unwrap();
    let made = Wrapper::sign(number, payload.clone(), &signer);
    assert_eq!(made.raw(), case.plain_hex("wrapped"), "{case}");
    let read = Wrapper::decode(made.raw()).unwrap();
    assert_eq!(read, made, "{case}");
    assert_eq!(read.signature().unwrap().as_bytes()[..], case.plain_hex("signature"), "{case}");
    assert_eq!(read.author().unwrap().to_string(), case.str("signer_public"), "{case}");
    assert_eq!(read.message_id().to_string(), case.str("message_id"), "{case}");
    assert_eq!((read.kind(), read.payload()), (number, &*payload));
    assert_eq!(read.message().unwrap(), message);

    // The wallet's signature inside.
    if let PayloadMessage::SendTransaction(message) = message {
        let wallet: SecretKey = case.str("wallet_private").parse().unwrap();
        let address = Address::from_key(&wallet.public_key());
        assert_eq!(address.to_string(), case.str("wallet_address"), "{case}");
        let mut hash = [0; 32];
        hex::decode_to_slice(&message.transaction_hash[2..], &mut hash).unwrap();
        let author = signer.public_key();
        let made = transaction::announce(message.clock, &message.id, &author, &hash, &wallet);
        assert_eq!(made, message, "{case}");
    }
}

fn an_oddity(case: &Case<'_>) {
    let wrapped = case.plain_hex("wrapped");
    let wrapper = Wrapper::decode(&wrapped);
    if case.value("error").is_string() {
        assert!(wrapper.is_err(), "{case}: {wrapper:?}");
        return;
    }
    let wrapper = wrapper.unwrap();
    assert_eq!(wrapper.raw(), wrapped, "{case}");
    assert_eq!(case.get("type").as_i64(), Some(wrapper.kind().into()), "{case}");
    let author = wrapper.author().map(ToString::to_string);
    assert_eq!(author.as_deref(), case.opt("signer_public").and_then(Value::as_str), "{case}");
    assert_eq!(wrapper.message_id().to_string(), case.str("message_id"), "{case}");
    let parsed = matches!(wrapper.message(), Ok(message) if !matches!(message, PayloadMessage::Other { .. }));
    assert_eq!(parsed, case.bool("parsed"), "{case}: {}", type_name(wrapper.kind()));
}

fn a_validation(case: &Case<'_>) {
    let kind = case.str("kind");
    let kind = statuskit_core::payload::types::TYPES
        .iter()
        .find(|it| it.message.is_some_and(|def| def.name == kind))
        .unwrap();
    let def = kind.message.unwrap();
    let members = our_json(def, case.get("fields").as_object().unwrap());
    let message =
        PayloadMessage::decode(kind.number, &json::encode(def, &members).unwrap()).unwrap();
    let sent = UnixMillis(case.u64("transport_timestamp_ms"));
    let receipt = Receipt { sent, now: sent, ..Receipt::default() };
    let verdict = check::check(&message, &receipt);
    assert_eq!(verdict.is_ok(), case.bool("valid"), "{case}: {verdict:?}");
    assert_eq!(case.value("error").is_null(), case.bool("valid"), "{case}");
    if let (Err(refusal), Some(error)) = (verdict, case.opt("error").and_then(Value::as_str)) {
        // The protocol does not say which of several reasons comes first.
        let failed = check::checks(&message, &receipt).into_iter().filter(|check| !check.pass);
        let only = failed.count() == 1;
        match code_of(error) {
            // We distinguish more kinds than the reference.
            Some(code) if only || !is_foreign() => {
                assert!(refusal.code().starts_with(code), "{case}: {error}: {refusal:?}");
            }
            code => assert!(code.is_some() || is_foreign(), "{case}: a new reason: {error}"),
        }
    }
}

/// Maps our refusals to the reference's.
fn code_of(error: &str) -> Option<&'static str> {
    let code = match error {
        "clock can't be 0" => "payload.clock_zero",
        "clock value too high" => "payload.clock_ahead",
        "timestamp can't be 0" => "payload.timestamp_zero",
        "text can't be empty" => "payload.text_blank",
        "chatId can't be empty" => "payload.chat_id_empty",
        "unknown content type" => "payload.content_type",
        "can't receive request address for transaction from others" => "payload.content_type_local",
        "unknown message type" => "payload.message_type",
        "no sticker content" => "payload.sticker_missing",
        "sticker hash not set" => "payload.sticker_hash",
        "name can't be empty" => "payload.name_blank",
        "device type can't be empty" => "payload.device_type_blank",
        "installationId can't be empty" => "payload.installation_id_blank",
        "value can't be empty" => "payload.value_blank",
        "address can't be empty" => "payload.address_blank",
        "messageID can't be empty" => "payload.id_empty",
        "transaction hash can't be empty" => "payload.transaction_hash_blank",
        "signature can't be nil" => "payload.proof_missing",
        _ if error.starts_with("strconv.ParseFloat") => "payload.value_number",
        _ => return None,
    };
    Some(code)
}

fn a_proof(case: &Case<'_>) {
    let chat: SecretKey = case.str("chat_private").parse().unwrap();
    let sender = chat.public_key();
    assert_eq!(sender, case.str("chat_public").parse::<PublicKey>().unwrap(), "{case}");
    let wallet: SecretKey = case.str("wallet_private").parse().unwrap();
    let address = Address::from_key(&wallet.public_key());
    assert_eq!(address.to_string(), case.str("wallet_address"), "{case}");

    let mut transaction = None;
    let data = case.get("transaction")["data"].as_str().unwrap();
    let data = hex::decode(data).unwrap();
    case.inner("transaction", |inner| {
        inner.skip("data");
        transaction = Some(Transaction {
            hash: inner.array("hash"),
            from: inner.str("from").parse().unwrap(),
            to: inner.str("to").parse().unwrap(),
            value: big_endian(inner.get("value")),
            data: &data,
            status: match inner.u64("status") {
                0 => TransactionStatus::Failed,
                1 => TransactionStatus::Mined,
                _ => TransactionStatus::Pending,
            },
        });
    });
    let transaction = transaction.unwrap();
    let material = transaction::proof_material(&sender, &transaction.hash);
    assert_eq!(material[..], case.plain_hex("signature_material"), "{case}");
    let proof = case.plain_hex("signature");
    let made = transaction::prove(&sender, &transaction.hash, &wallet);
    // A valid proof matches ours byte for byte.
    let is_right = <[u8; 65]>::try_from(&*proof).is_ok_and(|proof| {
        PersonalSignature::from_bytes(proof)
            .is_ok_and(|signature| signature.verify(&material, &wallet.public_key()))
    });
    assert_eq!(made.as_bytes()[..] == proof, is_right, "{case}");

    let ours: Vec<Address> = case
        .list("receiver_addresses")
        .iter()
        .map(|text| text.as_str().unwrap().parse().unwrap())
        .collect();
    case.inner("request", |request| {
        let asked = Asked {
            value: request.str("value"),
            contract: request.str("contract"),
            address: request.str("address"),
        };
        let verdict = transaction::validate(&transaction, &proof, &sender, &asked, &ours);
        if case.value("error").is_string() {
            // An unreadable proof proves nothing, which is not an error.
            let unread = verdict == Ok(Verdict::Invalid(Invalid::Proof)) && !is_right;
            assert!(verdict.is_err() || (unread && is_foreign()), "{case}: {verdict:?}");
            return;
        }
        let verdict = verdict.unwrap();
        case.inner("result", |result| {
            assert_eq!(result.bool("pending"), verdict == Verdict::Pending, "{case}");
            let valid = matches!(verdict, Verdict::Valid { .. });
            assert_eq!(result.bool("valid"), valid, "{case}: {verdict:?}");
            let found = match verdict {
                Verdict::Valid { as_asked, to, contract, value } => (
                    as_asked,
                    transaction::lower_case(&to),
                    contract.map(|it| transaction::lower_case(&it)).unwrap_or_default(),
                    value,
                ),
                _ => Default::default(),
            };
            let texts = ["address", "contract", "value"].map(|name| result.str(name).to_owned());
            let [to, contract, value] = texts;
            let expected = (result.bool("according_to_spec"), to, contract, value);
            assert_eq!(found, expected, "{case}");
        });
    });
}

/// Reads a 256-bit amount from a number or a decimal string.
fn big_endian(value: &Value) -> [u8; 32] {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut bytes = [0; 32];
    for digit in text.chars() {
        let mut carry = digit.to_digit(10).unwrap();
        for byte in bytes.iter_mut().rev() {
            let value = u32::from(*byte) * 10 + carry;
            (*byte, carry) = (value as u8, value >> 8);
        }
        assert_eq!(carry, 0, "{text}: more than 256 bits");
    }
    bytes
}

/// Converts a vector's fields to our JSON form: bytes with `0x`.
fn our_json(def: &MessageDef, fields: &Map<String, Value>) -> Map<String, Value> {
    let members = fields.iter().map(|(name, value)| {
        let field = def.named(name).unwrap_or_else(|| panic!("{} has no {name}", def.name));
        let one = |value: &Value| match (&field.kind, value) {
            (FieldType::Bytes, Value::String(text)) => format!("0x{text}").into(),
            (FieldType::Message(inner), Value::Object(members)) => our_json(inner, members).into(),
            _ => value.clone(),
        };
        let value = match value {
            Value::Array(items) => items.iter().map(one).collect(),
            value => one(value),
        };
        (name.clone(), value)
    });
    members.collect()
}

/// Returns the expected decoded form: every field, JSON numbers where they fit, names of values.
fn filled(def: &MessageDef, members: Map<String, Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for field in def.fields {
        let one = |value: Value| match (&field.kind, value) {
            (FieldType::Uint64, Value::String(text)) => {
                let number: u64 = text.parse().unwrap();
                if number <= 1 << 53 { number.into() } else { text.into() }
            }
            (FieldType::Enum(values), Value::Number(number)) => {
                let name = number.as_i64().and_then(|number| values.name_of(number as i32));
                name.map_or(Value::Number(number), Into::into)
            }
            (FieldType::Message(inner), Value::Object(members)) => filled(inner, members).into(),
            (_, value) => value,
        };
        let value = match members.get(field.name).cloned() {
            Some(Value::Null) | None => match json::decode(def, &[]).unwrap().get(field.name) {
                Some(empty) => empty.clone(),
                None => continue,
            },
            Some(Value::Array(items)) => items.into_iter().map(one).collect(),
            Some(value) => one(value),
        };
        all.insert(field.name.to_owned(), value);
    }
    all
}
