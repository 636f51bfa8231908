//! Tests of typed data.

use serde_json::json;

use super::*;

fn mail() -> Json {
    json!({
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],
            "Mail": [
                {"name": "from", "type": "Person"},
                {"name": "to", "type": "Person"},
                {"name": "contents", "type": "string"},
            ],
        },
        "primaryType": "Mail",
        "domain": {
            "name": "Ether Mail", "version": "1", "chainId": 1,
            "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
        },
        "message": {
            "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
            "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
            "contents": "Hello, Bob!",
        },
    })
}

fn hash(json: &Json) -> Result<Hashes, TypedDataError> {
    let data = TypedData::from_json(json)?;
    let with_parts = data.hash_with_parts(Rules::Exact);
    let without = data.hash(Rules::Exact);
    assert_eq!(with_parts.as_ref().map(|it| it.digest), without.as_ref().map(|it| it.digest));
    with_parts
}

fn code(json: &Json) -> (&'static str, String) {
    let error = hash(json).unwrap_err();
    (error.kind.code(), error.path)
}

#[test]
fn the_published_example() {
    let hashes = hash(&mail()).unwrap();
    let message = hashes.message.as_ref().unwrap();
    assert_eq!(
        message.type_text,
        "Mail(Person from,Person to,string contents)Person(string name,address wallet)"
    );
    assert_eq!(
        hex::encode(message.hash),
        "c52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e"
    );
    assert_eq!(
        hex::encode(hashes.domain.hash),
        "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f"
    );
    assert_eq!(
        hex::encode(hashes.digest),
        "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
    );
    let paths: Vec<_> = message.parts.iter().map(|part| part.path.as_str()).collect();
    assert_eq!(
        paths,
        ["from", "from.name", "from.wallet", "to", "to.name", "to.wallet", "contents"]
    );
    assert_eq!(message.parts[6].word, message.encoded[96..]);
    // The type of the domain may be missing.
    let mut short = mail();
    short["types"].as_object_mut().unwrap().remove(DOMAIN);
    assert_eq!(hash(&short).unwrap(), hashes);
    let data = TypedData::from_json(&mail()).unwrap();
    assert_eq!(Json::from(&data), mail());
}

#[test]
fn arrays_and_recursive_types() {
    let mut data = mail();
    data["types"]["Person"] = json!([
        {"name": "name", "type": "string"},
        {"name": "parent", "type": "Person"},
        {"name": "wallets", "type": "address[2][]"},
    ]);
    let wallet = "0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    let person =
        |parent: Json| json!({"name": "x", "parent": parent, "wallets": [[wallet, wallet]]});
    data["message"] =
        json!({"from": person(person(Json::Null)), "to": person(Json::Null), "contents": ""});
    let with_null = hash(&data).unwrap();
    let message = with_null.message.unwrap();
    assert_eq!(message.type_text.matches("Person(").count(), 1);
    let paths: Vec<_> = message.parts.iter().map(|part| part.path.as_str()).collect();
    assert!(paths.contains(&"from.parent.wallets[0][1]"), "{paths:?}");
    let part = message.parts.iter().find(|part| part.path == "to.wallets[0]").unwrap();
    assert_eq!(part.kind, "address[2]");
    // Without the member it is the same.
    data["message"]["to"].as_object_mut().unwrap().remove("parent");
    assert_eq!(hash(&data).unwrap().digest, with_null.digest);

    data["message"]["from"]["parent"]["wallets"][0] = json!([wallet]);
    assert_eq!(code(&data), ("abi.count", "message.from.parent.wallets[0]".to_owned()));
    data["message"]["from"]["parent"]["wallets"] = json!([[wallet, "0x12"]]);
    assert_eq!(code(&data), ("abi.value", "message.from.parent.wallets[0][1]".to_owned()));
    let mut deep = json!(null);
    for _ in 0..100 {
        deep = person(deep);
    }
    data["message"]["from"] = deep;
    assert_eq!(code(&data).0, "typed_data.depth");
}

#[test]
fn what_is_refused() {
    let with = |change: &dyn Fn(&mut Json)| {
        let mut data = mail();
        change(&mut data);
        code(&data)
    };
    let at = |path: &str| path.to_owned();
    let types = |name: &'static str, definition: Json| {
        with(&move |data| data["types"][name] = definition.clone())
    };
    assert_eq!(with(&|it| it["message"]["bcc"] = json!("x")), ("typed_data.extra", at("message")));
    assert_eq!(with(&|it| it["domain"]["salt"] = json!("0x")), ("typed_data.extra", at("domain")));
    assert_eq!(
        with(&|it| {
            it["message"].as_object_mut().unwrap().remove("contents");
        }),
        ("typed_data.missing", at(concat!("message", ".contents")))
    );
    assert_eq!(with(&|it| it["message"]["contents"] = json!(null)).0, "abi.value");
    assert_eq!(
        with(&|it| it["message"]["to"] = json!([])),
        ("abi.value", at(concat!("message", ".to")))
    );
    assert_eq!(with(&|it| it["domain"]["chainId"] = json!("1e2")).0, "number.format");
    assert_eq!(with(&|it| it["domain"]["chainId"] = json!(-1)).0, "abi.range");
    assert_eq!(with(&|it| it["domain"]["chainId"] = json!(1.5)).0, "number.fraction");
    assert_eq!(with(&|it| it["domain"]["chainId"] = json!(1e300)).0, "number.inexact");
    assert_eq!(with(&|it| it["primaryType"] = json!("Nail")).0, "typed_data.unknown_type");
    assert_eq!(with(&|it| it["primaryType"] = json!(1)).0, "typed_data.structure");
    assert_eq!(with(&|it| it["domain"] = json!(1)).0, "typed_data.structure");
    assert_eq!(with(&|it| it["types"] = json!([])).0, "typed_data.structure");
    assert_eq!(types("Mail", json!({})).0, "typed_data.definition");
    assert_eq!(types("Mail", json!([{"name": "x"}])).0, "typed_data.definition");
    assert_eq!(types("Person[]", json!([])).0, "typed_data.name");
    assert_eq!(types("uint8", json!([])).0, "typed_data.name");
    assert_eq!(types("Mail", json!([{"name": "a b", "type": "bool"}])).0, "typed_data.name");
    for kind in ["Foo", "uint7", "bool[", "bool]", "bool[x]", "bool[1", "bool[]x", "", "[]", "a(b)"]
    {
        let found = types("Mail", json!([{"name": "x", "type": kind}]));
        assert_eq!(found.0, "typed_data.unknown_type", "{kind}");
    }
    assert_eq!(
        types("Mail", json!([{"name": "x", "type": "function"}])).0,
        "typed_data.unsupported"
    );
    let twice = json!([{"name": "x", "type": "bool"}, {"name": "x", "type": "bool"}]);
    assert_eq!(types("Mail", twice).0, "typed_data.duplicate");
    let levels = format!("bool{}", "[]".repeat(33));
    assert_eq!(types("Mail", json!([{"name": "x", "type": levels}])).0, "typed_data.depth");
    let mut many = mail();
    for number in 0..600 {
        many["types"][format!("T{number}")] = json!([]);
    }
    assert_eq!(code(&many).0, "typed_data.too_many");
}

#[test]
fn parts_take_bounded_room() {
    let mut data = mail();
    let name = "n".repeat(200);
    data["types"]["Mail"] = json!([{"name": name, "type": "uint8[]"}]);
    data["message"] = json!({ name: vec![1; 100_000] });
    let data = TypedData::from_json(&data).unwrap();
    assert!(data.hash(Rules::Exact).unwrap().message.unwrap().parts.is_empty());
    let error = data.hash_with_parts(Rules::Exact).unwrap_err();
    assert_eq!(error.kind, TypedDataErrorKind::TooManyParts);
    let long = "n".repeat(300);
    assert_eq!(Field::new(&long, "bool").unwrap_err().kind.code(), "typed_data.name");
}

#[test]
fn limits_of_the_reference() {
    let rules = Rules::Reference { chain_id: 1 };
    let with = |change: &dyn Fn(&mut Json)| {
        let mut data = mail();
        change(&mut data);
        TypedData::from_json(&data).unwrap().hash(rules).map_err(|error| error.kind.code())
    };
    assert_eq!(with(&|_| ()).unwrap().digest, hash(&mail()).unwrap().digest);
    assert_eq!(with(&|it| it["domain"]["chainId"] = json!(3)), Err("typed_data.chain"));
    assert_eq!(with(&|it| it["domain"]["chainId"] = json!("1")), Err("typed_data.chain"));
    assert_eq!(
        with(&|it| {
            it["domain"].as_object_mut().unwrap().remove("chainId");
        }),
        Err("typed_data.no_chain")
    );
    let contents = |kind: &'static str, value: Json| {
        with(&move |it| {
            it["types"]["Mail"][2]["type"] = json!(kind);
            it["message"]["contents"] = value.clone();
        })
        .map(|hashes| hex::encode(&hashes.message.unwrap().encoded[96..]))
    };
    assert_eq!(contents("bool[]", json!([])), Err("typed_data.unsupported"));
    assert_eq!(contents("uint8", json!(-1)), Ok("f".repeat(64)));
    assert_eq!(contents("bytes4", json!("0x0102030405")), Ok(format!("{:0<64}", "0102030405")));
}

#[test]
fn a_primary_type_that_is_the_domain() {
    let mut data = mail();
    data["primaryType"] = json!(DOMAIN);
    let hashes = hash(&data).unwrap();
    assert!(hashes.message.is_none());
    let bytes = [b"\x19\x01", &hashes.domain.hash[..]].concat();
    assert_eq!(hashes.digest, statuskit_core::crypto::keccak256(&bytes));
}
