//! Tests of values and encodings.

use proptest::prelude::*;

use super::*;
use crate::U256;

fn parameter(kind: &str) -> Vec<Parameter> {
    vec![Parameter { name: String::new(), kind: kind.parse().unwrap(), is_indexed: false }]
}

fn hex_words(words: &[&str]) -> Vec<u8> {
    hex::decode(words.iter().map(|word| format!("{word:0>64}")).collect::<String>()).unwrap()
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(values) | Value::Tuple(values) => 1 + values.iter().map(count).sum::<usize>(),
        Value::Bytes(bytes) => 1 + bytes.len(),
        _ => 1,
    }
}

fn fails(kind: &str, data: &[u8]) -> (&'static str, Option<usize>) {
    let error = decode(&parameter(kind), data, Strictness::Strict).unwrap_err();
    (error.kind.code(), error.at)
}

#[test]
fn only_one_encoding_is_taken() {
    let text = |tail: &str| {
        let mut data = hex_words(&["20", "3"]);
        data.extend(hex::decode(tail).unwrap());
        data
    };
    let whole = text(&format!("616263{}", "00".repeat(29)));
    assert!(decode(&parameter("string"), &whole, Strictness::Strict).is_ok());
    let dirty = text(&format!("61626301{}", "00".repeat(28)));
    assert_eq!(fails("string", &dirty), ("abi.padding", Some(67)));
    assert!(decode(&parameter("string"), &dirty, Strictness::Lenient).is_ok());
    assert_eq!(fails("string", &text("616263")), ("abi.truncated", Some(64)));
    assert!(decode(&parameter("string"), &text("616263"), Strictness::Lenient).is_ok());
    assert_eq!(fails("string", &text("6162")), ("abi.truncated", Some(64)));
    assert_eq!(
        fails("string", &text(&format!("61ff63{}", "00".repeat(29)))),
        ("abi.utf8", Some(65))
    );

    // A gap before the value; contracts read it.
    let gap = hex_words(&["40", "0", "0"]);
    assert_eq!(fails("bytes", &gap), ("abi.offset", Some(0)));
    assert!(decode(&parameter("bytes"), &gap, Strictness::Lenient).is_ok());
    assert_eq!(fails("bytes", &hex_words(&["41", "0", "0"])), ("abi.offset", Some(0)));
    assert_eq!(fails("bytes", &hex_words(&["61", "0", "0"])), ("abi.beyond", Some(0)));
    let all_bits = "f".repeat(64);
    assert_eq!(fails("bytes", &hex_words(&[&all_bits])), ("abi.beyond", Some(0)));
    assert_eq!(fails("bytes", &hex_words(&["20", &all_bits])), ("abi.beyond", Some(32)));
    for (kind, word) in [
        ("uint8", "100"),
        ("int8", "80"),
        ("bool", "2"),
        ("address", "10000000000000000000000000000000000000000"),
        ("bytes31", "1"),
        ("function", "1"),
    ] {
        assert_eq!(fails(kind, &hex_words(&[word])), ("abi.padding", Some(0)), "{kind}");
        let lenient = decode(&parameter(kind), &hex_words(&[word]), Strictness::Lenient).unwrap();
        assert!(encode(&parameter(kind), &lenient).is_ok(), "{kind}");
    }
}

#[test]
fn hostile_encodings_cost_little() {
    // Each level names the same bytes several times.
    for strictness in [Strictness::Strict, Strictness::Lenient] {
        for (kind, words) in [
            ("uint8[][][][][][][][][][]", &["20", "4", "0", "0", "0", "0"][..]),
            ("bytes[][][][][][]", &["20", "3", "0", "0", "0", "0"]),
            ("()[]", &["20", "40"]),
            ("()[][]", &["20", "2", "20", "20", "40"]),
            ("bool[0][]", &["20", "40"]),
            ("()[1000000000]", &[]),
            ("()[65536][65536][]", &["20", "1"]),
            ("(()[65536],uint8)[]", &["20", "1", "1"]),
            ("uint8[18446744073709551615]", &["1"]),
            ("uint8[4294967296][4294967296]", &["1"]),
            ("string[4294967296][4294967296]", &["20", "20"]),
        ] {
            let mut data = hex_words(words);
            // As many more words as fit into a kilobyte.
            data.resize(1024, 0);
            if kind.ends_with("[]") && words.len() == 2 {
                data[62..64].copy_from_slice(&[4, 0]);
            }
            let read = decode(&parameter(kind), &data, strictness);
            let count = read.iter().flatten().map(count).sum::<usize>();
            assert!(count < 4096, "{kind}: {count}");
        }
    }
    // Sharing in bounds is read in lenient mode.
    let shared = hex_words(&["20", "2", "40", "40", "1", "7"]);
    assert_eq!(fails("uint8[][]", &shared), ("abi.offset", Some(96)));
    assert!(decode(&parameter("uint8[][]"), &shared, Strictness::Lenient).is_ok());
}

#[test]
fn values_from_texts() {
    for (kind, text, shown) in [
        ("uint8", "255", "\"255\""),
        ("uint256", "1e18", "\"1000000000000000000\""),
        ("int16", "-0x8000", "\"-32768\""),
        ("int256", "-1", "\"-1\""),
        ("bool", "true", "true"),
        ("bytes3", "0x010203", "\"0x010203\""),
        ("bytes", "0x", "\"0x\""),
        ("string", "[1]", "\"[1]\""),
        ("uint8[]", "[1, 2]", "[\"1\",\"2\"]"),
        ("uint8[]", "[]", "[]"),
        ("bytes2[2]", "[0x0102,0x0304]", "[\"0x0102\",\"0x0304\"]"),
        ("(bool,string)[]", "[(true,\"a,)\"),(false,b c)]", "[[true,\"a,)\"],[false,\"b c\"]]"),
        ("(uint8 a,bool b)", "{\"b\":false,\"a\":7.0}", "{\"a\":\"7\",\"b\":false}"),
        ("(uint8 a,bool a)", "[1,false]", "[\"1\",false]"),
    ] {
        let kind: Type = kind.parse().unwrap();
        let value = Value::from_text(&kind, text).unwrap();
        assert_eq!(value.to_json(&kind).to_string(), shown, "{kind} {text}");
    }
    for (kind, text, code) in [
        ("uint8", "256", "abi.range"),
        ("uint8", "-1", "abi.range"),
        ("uint8", "1.5", "number.fraction"),
        ("uint8", "one", "number.format"),
        ("uint8", "", "number.format"),
        ("uint8[]", "[1e400]", "number.too_large"),
        ("uint64[]", "[9007199254740993.0]", "number.inexact"),
        ("int8", "128", "abi.range"),
        ("int8", "-129", "abi.range"),
        ("int8", "--1", "number.format"),
        (
            "int256",
            "57896044618658097711785492504343953926634992332820282019728792003956564819968",
            "abi.range",
        ),
        ("bool", "1", "abi.value"),
        ("address", "0x1234", "address.format"),
        ("address", "0xFB6916095ca1df60bB79Ce92cE3Ea74c37c5d359", "address.checksum"),
        ("address", "fb6916095ca1df60bb79ce92ce3ea74c37c5d359", "abi.value"),
        ("bytes3", "0x0102", "abi.range"),
        ("bytes3", "010203", "abi.value"),
        ("bytes", "0x1", "abi.value"),
        ("function", "0x01", "abi.value"),
        ("uint8[2]", "[1]", "abi.count"),
        ("uint8[]", "1", "abi.value"),
        ("uint8[]", "[1", "abi.value"),
        ("uint8[]", "[1]]", "abi.value"),
        ("(uint8 a,bool b)", "{\"a\":1}", "abi.member"),
        ("(uint8 a,bool b)", "{\"a\":1,\"b\":true,\"c\":1}", "abi.member"),
        ("(uint8,bool b)", "{\"b\":true}", "abi.member"),
        ("(uint8)", "[1,2]", "abi.count"),
        ("string[]", "[1]", "abi.value"),
    ] {
        let kind: Type = kind.parse().unwrap();
        let error = Value::from_text(&kind, text).unwrap_err();
        assert_eq!(error.kind.code(), code, "{kind} {text}: {error}");
    }
    let kind: Type = "(uint8 a,(bool,uint8[])[] b)".parse().unwrap();
    let error = Value::from_text(&kind, "{\"a\":1,\"b\":[[true,[1]],[true,[1,256]]]}").unwrap_err();
    assert_eq!(error.argument, "b[1].1[1]");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Value::from_text(&"uint8[]".parse().unwrap(), &deep).is_err());
}

#[test]
fn values_of_other_types_are_refused() {
    let kinds = [
        "uint8", "int8", "address", "bool", "bytes1", "function", "bytes", "string", "uint8[]",
        "uint8[1]", "bytes[1]", "(uint8)", "(bytes)",
    ];
    let values = [
        Value::Uint(U256::MAX),
        Value::Int(U256::from(128_u64)),
        Value::FixedBytes(vec![]),
        Value::FixedBytes(vec![0; 33]),
        Value::Array(vec![]),
        Value::Array(vec![Value::Bool(true), Value::Bool(true)]),
        Value::Tuple(vec![]),
        Value::Tuple(vec![Value::Tuple(vec![])]),
    ];
    for kind in kinds {
        for value in &values {
            if kind == "uint8[]" && *value == Value::Array(vec![]) {
                continue;
            }
            assert!(
                encode(&parameter(kind), std::slice::from_ref(value)).is_err(),
                "{kind} {value:?}"
            );
            assert!(topic_of(&parameter(kind)[0].kind, value).is_err(), "{kind} {value:?}");
        }
    }
    // No room is made for what is not there.
    let huge = parameter("uint8[4294967296][4294967296]");
    let values = [Value::Array(vec![Value::Array(vec![])])];
    assert_eq!(encode(&huge, &values).unwrap_err().kind.code(), "abi.count");
}

/// Any type, and a value of it.
fn typed() -> impl Strategy<Value = (Type, Value)> {
    let bits = (1..=32_u16).prop_map(|bytes| 8 * bytes);
    let number = any::<[u8; 32]>().prop_map(U256::from_be_bytes);
    let leaf = prop_oneof![
        (bits.clone(), number.clone())
            .prop_map(|(bits, it)| (Type::Uint(bits), Value::Uint(it.low_bits(bits.into())))),
        (bits, number)
            .prop_map(|(bits, it)| (Type::Int(bits), Value::Int(it.sign_extended(bits.into())))),
        any::<[u8; 20]>().prop_map(|it| (Type::Address, Value::Address(crate::Address(it)))),
        any::<bool>().prop_map(|it| (Type::Bool, Value::Bool(it))),
        prop::collection::vec(any::<u8>(), 1..=32)
            .prop_map(|it| (Type::FixedBytes(it.len() as u8), Value::FixedBytes(it))),
        any::<[u8; 24]>().prop_map(|it| (Type::Function, Value::Function(it))),
        prop::collection::vec(any::<u8>(), 0..70).prop_map(|it| (Type::Bytes, Value::Bytes(it))),
        ".{0,20}".prop_map(|it| (Type::String, Value::String(it))),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0..4_usize).prop_map(|((kind, value), count)| {
                (Type::Array(Box::new(kind)), Value::Array(vec![value; count]))
            }),
            (inner.clone(), 0..4_usize).prop_map(|((kind, value), count)| {
                let kind = Type::FixedArray(Box::new(kind), count as u64);
                (kind, Value::Array(vec![value; count]))
            }),
            prop::collection::vec((inner, "[a-c]{0,2}"), 0..4).prop_map(|members| {
                let (kinds, values) = members
                    .into_iter()
                    .map(|((kind, value), name)| {
                        (Parameter { name, kind, is_indexed: false }, value)
                    })
                    .unzip();
                (Type::Tuple(kinds), Value::Tuple(values))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn values_come_back(list in prop::collection::vec(typed(), 0..4), cut: prop::sample::Index) {
        let (kinds, values): (Vec<_>, Vec<_>) = list.into_iter().unzip();
        let parameters: Vec<_> = kinds
            .into_iter()
            .map(|kind| Parameter { name: String::new(), kind, is_indexed: false })
            .collect();
        let data = encode(&parameters, &values).unwrap();
        for strictness in [Strictness::Strict, Strictness::Lenient] {
            let read = decode(&parameters, &data, strictness);
            prop_assert_eq!(read.as_ref(), Ok(&values));
        }
        for (parameter, value) in parameters.iter().zip(&values) {
            let json = value.to_json(&parameter.kind);
            let text = json.to_string();
            let json = serde_json::from_str(&text).unwrap();
            let read = Value::from_json(&parameter.kind, &json);
            prop_assert_eq!(read.as_ref(), Ok(value));
            let written: Type = parameter.kind.to_string().parse().unwrap();
            prop_assert_eq!(written.to_string(), parameter.kind.to_string());
            prop_assert_eq!(written.head_size(), parameter.kind.head_size());
        }
        // A part of an encoding is none.
        if !data.is_empty() {
            let part = &data[..cut.index(data.len())];
            prop_assert!(decode(&parameters, part, Strictness::Strict).is_err());
        }
    }

    #[test]
    fn what_is_taken_strictly_is_written_alike((kind, value) in typed(), at: prop::sample::Index, bit in 0..8_u32) {
        let parameters = [Parameter { name: String::new(), kind, is_indexed: false }];
        let mut data = encode(&parameters, &[value]).unwrap();
        if !data.is_empty() {
            let at = at.index(data.len());
            data[at] ^= 1_u8 << bit;
        }
        if let Ok(values) = decode(&parameters, &data, Strictness::Strict) {
            prop_assert_eq!(encode(&parameters, &values), Ok(data));
        }
    }
}
