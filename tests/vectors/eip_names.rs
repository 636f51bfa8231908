//! Of the vectors `eips`: names, content hashes, links.

use serde_json::Value;
use statuskit_eip::{
    Address,
    eip137::{Name, labelhash, resolver::REGISTRY},
    eip181::{reverse_name, reverse_node},
    eip681::{PaymentLink, client::ClientLink},
    eip1577::ContentHash,
};

use crate::{case::Case, eips::each};

pub fn eip137(case: &Case<'_>) {
    assert_eq!(case.str("registry_mainnet"), REGISTRY);
    each(case, "cases", |case| {
        let name = case.str("name").parse::<Name>();
        // The texts of errors are the reference's own.
        case.skip("normalize_error");
        if case.opt("error").is_some() {
            case.skip("normalized");
            assert!(name.is_err(), "{case}");
            return;
        }
        let name = name.unwrap();
        assert_eq!(name.as_str(), case.str("normalized"), "{case}");
        assert_eq!(hex::encode(name.node()), case.str("namehash"), "{case}");
        if let Some(expected) = case.opt("labelhash") {
            let hash = labelhash(name.as_str());
            assert_eq!(hex::encode(hash), expected.as_str().unwrap(), "{case}");
        }
    });
}

pub fn eip181(case: &Case<'_>) {
    let node = case.str("reverse_node");
    let name: Name = "addr.reverse".parse().unwrap();
    assert_eq!(hex::encode(name.node()), node);
    each(case, "cases", |case| {
        let address: Address = case.str("address").parse().unwrap();
        assert_eq!(reverse_name(&address), case.str("name"), "{case}");
        assert_eq!(hex::encode(reverse_node(&address)), case.str("namehash"), "{case}");
    });
}

pub fn eip1577(case: &Case<'_>) {
    let hash = case.str("text").parse::<ContentHash>();
    // The texts of errors are the reference's own.
    if case.opt("error").is_some() {
        assert!(hash.is_err(), "{case}");
        return;
    }
    let hash = hash.unwrap();
    let bytes = case.plain_hex("contenthash");
    assert_eq!(hex::encode(hash.to_bytes()), hex::encode(&bytes), "{case}");
    assert!(case.opt("decode_error").is_none(), "{case}");
    let decoded = ContentHash::from_bytes(&bytes).unwrap();
    assert_eq!(decoded.to_path(), case.str("decoded"), "{case}");
    assert_eq!(decoded.to_uri().parse(), Ok(decoded), "{case}");
}

pub fn eip681(case: &Case<'_>) {
    case.skip("published");
    let link: PaymentLink = case.str("uri").parse().unwrap();
    let parsed = case.get("parsed").as_object().unwrap();
    for (key, value) in parsed {
        let value = value.as_str();
        match key.as_str() {
            "address" => assert_eq!(Some(link.target()), value, "{case}"),
            "function" => assert_eq!(link.function(), value, "{case}"),
            "arguments" => {
                let arguments = parsed[key].as_object().unwrap();
                assert_eq!(link.arguments().count(), arguments.len(), "{case}");
                for (kind, value) in arguments {
                    assert_eq!(link.text(kind), value.as_str(), "{case}");
                }
            }
            "data" => assert_eq!(link.text("data"), value, "{case}"),
            _ => {
                let number = link.number(key).map(|number| number.to_string());
                assert_eq!(number.as_deref(), value, "{case}: {key}");
            }
        }
    }
    assert_eq!(link.to_string(), case.str("uri"), "{case}");
}

pub fn eip67(case: &Case<'_>) {
    case.skip("note");
    let link: PaymentLink = case.str("uri").parse().unwrap();
    assert!(link.is_eip67(), "{case}");
    let call = link.call(|_| None).unwrap();
    for (key, value) in case.get("parsed").as_object().unwrap() {
        let value = value.as_str().unwrap();
        let found = match key.as_str() {
            "address" => link.target().to_owned(),
            "value" => call.value.to_string(),
            "gas" => call.gas.unwrap().to_string(),
            "data" => format!("0x{}", hex::encode(&call.data)),
            other => panic!("{case}: {other}"),
        };
        assert_eq!(found, value, "{case}: {key}");
    }
}

pub fn eip681_mobile_client(case: &Case<'_>) {
    case.skip("note");
    each(case, "cases", |case| {
        let link = ClientLink::parse(case.str("uri"));
        let Some(parsed) = case.opt("parsed").and_then(Value::as_object) else {
            assert!(link.is_err(), "{case}");
            return;
        };
        let link = link.unwrap();
        let mut arguments = 0;
        for (key, value) in parsed {
            match key.as_str() {
                "address" => assert_eq!(value, &link.target, "{case}"),
                "chain_id" => assert_eq!(value.as_u64(), Some(link.chain_id), "{case}"),
                "function" => assert_eq!(value.as_str(), link.function.as_deref(), "{case}"),
                "arguments" => {
                    arguments = value.as_object().unwrap().len();
                    for (kind, text) in &link.arguments {
                        assert_eq!(value[kind], **text, "{case}");
                    }
                }
                // The client calls it as the link does.
                "gas_price" => assert_eq!(value.as_str(), link.amount("gasPrice"), "{case}"),
                other => assert_eq!(value.as_str(), link.amount(other), "{case}"),
            }
        }
        assert_eq!(link.arguments.len(), arguments, "{case}");
        for (key, _) in &link.amounts {
            assert!(parsed.contains_key(key) || key == "gasPrice", "{case}: {key}");
        }
    });
}
