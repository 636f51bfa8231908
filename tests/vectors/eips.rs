//! Vectors of the Ethereum and Bitcoin standards: `eips`.

use serde_json::{Value, json};
use statuskit_core::{
    account::{DerivationPath, ExtendedPrivateKey, Language, Mnemonic, Multiaccount, Seed},
    crypto::SecretKey,
};
use statuskit_eip::{
    Address, U256,
    abi::{Event, Function, Strictness, values_from_json},
    eip155::{SignedTransaction, Transaction},
    eip165::interface_id,
    eip191::{SignedData, recover_digest, sign_digest},
    eip712::{Rules, TypedData},
    known,
};

use crate::{
    case::{Case, Set},
    eip_names,
};

pub fn eips(set: &mut Set) {
    set.each("bip32", bip32);
    set.each("bip39", bip39);
    set.one("eip1581", eip1581);
    set.each("eip55", eip55);
    set.each("calldata", calldata);
    set.one("selectors", selectors);
    set.each("eip155", eip155);
    set.each("eip191", eip191);
    set.one("eip712", eip712);
    set.one("eip137", eip_names::eip137);
    set.one("eip181", eip_names::eip181);
    set.each("eip1577", eip_names::eip1577);
    set.each("eip681", eip_names::eip681);
    set.each("eip67", eip_names::eip67);
    set.one("eip681_mobile_client", eip_names::eip681_mobile_client);
}

fn bip32(case: &Case<'_>) {
    let seed = Seed::from_bytes(&case.plain_hex("seed")).unwrap();
    let path: DerivationPath = case.str("path").parse().unwrap();
    let key = ExtendedPrivateKey::from_seed(&seed).unwrap().derive(&path).unwrap();
    assert_eq!(*key.to_xprv(), case.str("xprv"), "{case}");
    assert_eq!(key.to_public().to_string(), case.str("xpub"), "{case}");
}

fn bip39(case: &Case<'_>) {
    let phrase = Mnemonic::from_entropy(&case.plain_hex("entropy"), Language::ENGLISH).unwrap();
    assert_eq!(*phrase.phrase(), case.str("mnemonic"), "{case}");
    let seed = phrase.to_seed(case.str("passphrase"));
    assert_eq!(hex::encode(seed.as_bytes()), case.str("seed"), "{case}");
    let master = ExtendedPrivateKey::from_seed(&seed).unwrap();
    assert_eq!(*master.to_xprv(), case.str("xprv"), "{case}");
}

fn eip1581(case: &Case<'_>) {
    let phrase = case.str("mnemonic").replace("x11", &["abandon"; 10].join(" "));
    let phrase = Mnemonic::parse(&phrase).unwrap();
    let mut account = Multiaccount::from_seed(&phrase.to_seed("")).unwrap();
    each(case, "cases", |case| {
        let key = account.derive(&case.str("path").parse().unwrap()).unwrap();
        assert_eq!(hex::encode(*key.secret_key().to_bytes()), case.str("private_key"), "{case}");
        let address = Address::from_key(&key.public_key()).to_string();
        assert_eq!(address, case.str("address"), "{case}");
    });
}

fn eip55(case: &Case<'_>) {
    case.skip("published");
    let address: Address = case.str("lower").parse().unwrap();
    assert_eq!(address.to_string(), case.str("checksum"), "{case}");
    assert_eq!(case.str("checksum").parse(), Ok(address));
}

fn calldata(case: &Case<'_>) {
    let function: Function = case.str("function").parse().unwrap();
    let arguments: Value = case
        .list("args")
        .iter()
        .map(|it| Value::from(format!("0x{}", it.as_str().unwrap())))
        .collect();
    let values = values_from_json(&function.inputs, &arguments).unwrap();
    let data = case.plain_hex("data");
    assert_eq!(function.encode_call(&values).unwrap(), data, "{case}");
    assert_eq!(function.decode_call(&data, Strictness::Strict), Ok(values), "{case}");
}

fn selectors(case: &Case<'_>) {
    for standard in ["eip165", "eip20", "eip721", "ens"] {
        for (signature, expected) in case.get(standard).as_object().unwrap() {
            let expected = expected.as_str().unwrap();
            if let Some(signature) = signature.strip_prefix("topic ") {
                let event: Event = signature.parse().unwrap();
                assert_eq!(format!("0x{}", hex::encode(event.topic())), expected, "{signature}");
                assert!(known::events_by_topic(event.topic()).next().is_some(), "{signature}");
                continue;
            }
            let function: Function = signature.parse().unwrap();
            let selector = function.selector();
            assert_eq!(format!("0x{}", hex::encode(selector)), expected, "{signature}");
            assert!(known::functions_by_selector(selector).next().is_some(), "{signature}");
        }
    }
    for (name, expected) in case.get("interface_ids").as_object().unwrap() {
        // The names of the set are in snake case.
        let snake = |name: &str| match name {
            "ERC721TokenReceiver" => "erc721_receiver".to_owned(),
            _ => name
                .replace("ERC721", "erc721_")
                .trim_end_matches('_')
                .replace(' ', "_")
                .to_lowercase(),
        };
        let interface = known::interfaces().iter().find(|it| snake(it.name) == *name);
        let interface = interface.unwrap_or_else(|| panic!("{name}"));
        assert_eq!(
            format!("0x{}", hex::encode(interface.id)),
            expected.as_str().unwrap(),
            "{name}"
        );
        let functions: Vec<Function> =
            interface.functions.iter().map(|it| it.parse().unwrap()).collect();
        assert_eq!(interface_id(&functions), interface.id, "{name}");
    }
}

fn eip155(case: &Case<'_>) {
    case.skip("published");
    let key: SecretKey = case.str("private_key").parse().unwrap();
    let transaction = Transaction {
        nonce: case.u64("nonce"),
        gas_price: case.str("gas_price").parse().unwrap(),
        gas: case.u64("gas"),
        to: case
            .opt("to")
            .and_then(Value::as_str)
            .filter(|it| !it.is_empty())
            .map(|it| it.parse().unwrap()),
        value: case.str("value").parse().unwrap(),
        data: case.plain_hex("data"),
        // 0 stands for none.
        chain_id: case.opt("chain_id").and_then(Value::as_u64).filter(|id| *id != 0),
    };
    assert_eq!(hex::encode(transaction.signing_data()), case.str("signing_data"), "{case}");
    assert_eq!(hex::encode(transaction.signing_hash()), case.str("signing_hash"), "{case}");
    let signed = transaction.sign(&key).unwrap();
    assert_eq!(hex::encode(signed.encode()), case.str("raw"), "{case}");
    assert_eq!(hex::encode(signed.hash()), case.str("tx_hash"), "{case}");
    let number = |member| case.str(member).parse::<U256>().unwrap();
    assert_eq!([signed.v(), signed.r(), signed.s()], ["v", "r", "s"].map(number), "{case}");
    let read = SignedTransaction::decode(&case.plain_hex("raw")).unwrap();
    let from = Address::from_key(&read.recover().unwrap());
    assert_eq!(from.to_string(), case.str("from"), "{case}");
    assert_eq!(read, signed, "{case}");
}

fn eip191(case: &Case<'_>) {
    assert_eq!(case.str("version"), "0x45", "{case}");
    let key: SecretKey = case.str("private_key").parse().unwrap();
    let message = case.plain_hex("message");
    let digest = SignedData::Personal(&message).digest();
    assert_eq!(hex::encode(digest), case.str("hash"), "{case}");
    let signature = sign_digest(&key, &digest);
    assert_eq!(hex::encode(signature), case.str("signature"), "{case}");
    let signer = recover_digest(&signature, &digest).unwrap();
    assert_eq!(Address::from_key(&signer).to_string(), case.str("address"), "{case}");
}

fn eip712(case: &Case<'_>) {
    let mut published = json!(null);
    each(case, "cases", |case| {
        let rules = Rules::Reference { chain_id: case.u64("chain") };
        let hashes = TypedData::from_json(case.get("typed_data")).and_then(|data| data.hash(rules));
        // The reference's words; success or failure is compared.
        if case.opt("error").is_some() {
            assert!(hashes.is_err(), "{case}");
            case.skip("published");
            return;
        }
        let digest = hashes.unwrap().digest;
        assert_eq!(hex::encode(digest), case.str("digest"), "{case}");
        let key: SecretKey = case.str("private_key").parse().unwrap();
        let signature = sign_digest(&key, &digest);
        assert_eq!(hex::encode(signature), case.str("signature"), "{case}");
        let signer = recover_digest(&signature, &digest).unwrap();
        assert_eq!(Address::from_key(&signer).to_string(), case.str("address"), "{case}");
        if case.bool("published") {
            published = case.get("typed_data").clone();
        }
    });
    if !case.has("mail_published") {
        return;
    }
    case.inner("mail_published", |mail| {
        let hashes = TypedData::from_json(&published).unwrap().hash(Rules::Exact).unwrap();
        let message = hashes.message.unwrap();
        assert_eq!(message.type_text, mail.str("encode_type_mail"));
        assert_eq!(hex::encode(message.type_hash), mail.str("type_hash_mail"));
        assert_eq!(hex::encode(message.hash), mail.str("struct_hash_mail"));
        assert_eq!(hex::encode(hashes.domain.hash), mail.str("domain_separator"));
        assert_eq!(hex::encode(hashes.digest), mail.str("digest"));
        // The key of the standard is the Keccak-256 of "cow".
        let key = SecretKey::from_bytes(&statuskit_core::crypto::keccak256(b"cow")).unwrap();
        let signature = hex::encode(sign_digest(&key, &hashes.digest));
        let expected = format!("{}{}{:02x}", mail.str("r"), mail.str("s"), mail.u64("v"));
        assert_eq!(signature, expected);
    });
}

/// Runs `assert` over each case of an inner list.
pub fn each(outer: &Case<'_>, member: &str, mut assert: impl FnMut(&Case<'_>)) {
    for (index, value) in outer.list(member).iter().enumerate() {
        let case = Case::new(format!("{}.{member}[{index}]", outer.path()), value);
        assert(&case);
        case.finish();
    }
}
