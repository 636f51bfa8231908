//! Encodings, selectors and interface ids.

use serde_json::{Value as Json, json};
use statuskit_eip::{
    abi::{Function, Parameter, Strictness, Type, Value, decode, encode, values_from_json},
    eip165::interface_id,
    known,
};

use crate::{Outcome, bytes, each, ensure, none, same, text};

fn unnamed(kind: &str) -> Parameter {
    Parameter { name: String::new(), kind: kind.parse().unwrap(), is_indexed: false }
}

/// Values to bytes, and back.
fn both_ways(parameters: &[Parameter], values: &Json, encoded: &[u8]) -> Outcome {
    let values = values_from_json(parameters, values).map_err(|error| error.to_string())?;
    same(hex::encode(encode(parameters, &values).unwrap()), hex::encode(encoded))?;
    for strictness in [Strictness::Strict, Strictness::Lenient] {
        same(decode(parameters, encoded, strictness).as_ref(), Ok(&values))?;
    }
    Ok(())
}

/// Removes the types that ethers writes beside each value.
fn plain(verbose: &Json) -> Json {
    match &verbose["value"] {
        Json::Array(values) => values.iter().map(plain).collect(),
        value => value.clone(),
    }
}

#[test]
fn random_encodings_of_ethers() {
    each("abi/ethers_abi.json", none, |case| {
        let parameters = [unnamed(text(case, "type"))];
        both_ways(&parameters, &json!([plain(&case["value"])]), &bytes(case, "encoded"))
    });
}

#[test]
fn encodings_of_the_specification() {
    each("abi/basic_abi_tests.json", none, |case| {
        let kinds = case["types"].as_array().unwrap();
        let parameters: Vec<_> = kinds.iter().map(|it| unnamed(it.as_str().unwrap())).collect();
        let mut values = case["args"].clone();
        text_as_bytes(&parameters, &mut values);
        both_ways(&parameters, &values, &bytes(case, "result"))
    });
}

/// Replaces texts that stand for their bytes.
fn text_as_bytes(parameters: &[Parameter], values: &mut Json) {
    fn replace(kind: &Type, value: &mut Json) {
        match (kind, value) {
            (Type::Array(item) | Type::FixedArray(item, _), Json::Array(values)) => {
                values.iter_mut().for_each(|value| replace(item, value));
            }
            (Type::Bytes | Type::FixedBytes(_), value) => {
                let text = value.as_str().unwrap();
                if !text.starts_with("0x") {
                    *value = format!("0x{}", hex::encode(text)).into();
                }
            }
            _ => {}
        }
    }
    for (parameter, value) in parameters.iter().zip(values.as_array_mut().unwrap()) {
        replace(&parameter.kind, value);
    }
}

#[test]
fn selectors_and_interfaces() {
    each("abi/selectors.json", none, |case| {
        if let Some(signature) = case["signature"].as_str() {
            let selector = bytes(case, "selector");
            let function: Function = signature.parse().map_err(|it| format!("{it:?}"))?;
            same(function.selector().to_vec(), selector.clone())?;
            let selector = selector.try_into().unwrap();
            return ensure(known::functions_by_selector(selector).next().is_some(), "not known");
        }
        let name = text(case, "interface");
        let interface = known::interfaces().iter().find(|it| it.name == name);
        let interface = interface.ok_or("no such interface")?;
        let functions: Vec<Function> =
            interface.functions.iter().map(|it| it.parse().unwrap()).collect();
        same(interface_id(&functions).to_vec(), bytes(case, "interface_id"))
    });
}

/// The app hashes `uint` as it stands; everybody else hashes `uint256`.
fn hashes_short_names(case: &Json) -> Option<&'static str> {
    let signature = case["signature"].as_str()?;
    let canonical: Function = signature.parse().ok()?;
    (canonical.to_string() != signature).then_some("the selector is that of Solidity")
}

#[test]
fn calls_of_the_app() {
    each("status_react/abi.json", hashes_short_names, |case| {
        if let Some(signature) = case["signature"].as_str() {
            let function: Function = signature.parse().map_err(|it| format!("{it:?}"))?;
            let mut arguments = case["arguments"].clone();
            text_as_bytes(&function.inputs, &mut arguments);
            let values = values_from_json(&function.inputs, &arguments);
            let values = values.map_err(|error| error.to_string())?;
            return same(function.encode_call(&values).unwrap(), bytes(case, "call"));
        }
        let kinds = case["types"].as_array().unwrap();
        let parameters: Vec<_> = kinds.iter().map(|it| unnamed(it.as_str().unwrap())).collect();
        let values = decode(&parameters, &bytes(case, "data"), Strictness::Strict)
            .or_else(|_| decode(&parameters, &bytes(case, "data"), Strictness::Lenient))
            .map_err(|error| error.to_string())?;
        let expected = case["values"].as_array().unwrap();
        ensure(values.len() == expected.len(), "another number of values")?;
        for ((parameter, value), expected) in parameters.iter().zip(&values).zip(expected) {
            ensure(is_shown(parameter, value, expected), format!("{value:?}, not {expected}"))?;
        }
        Ok(())
    });
}

/// Compares as the app shows values: bytes as they are, numbers as numbers.
fn is_shown(parameter: &Parameter, value: &Value, expected: &Json) -> bool {
    let ours = value.to_json(&parameter.kind);
    match (&ours, expected) {
        (Json::Array(ours), Json::Array(theirs)) => {
            let text = |json: &Json| json.to_string().replace('"', "");
            ours.iter().map(text).eq(theirs.iter().map(text))
        }
        (Json::String(ours), theirs) => {
            let theirs = theirs.as_str().map_or_else(|| theirs.to_string(), str::to_owned);
            let digits = ours.strip_prefix("0x").unwrap_or(ours);
            ours.eq_ignore_ascii_case(&theirs)
                || digits.eq_ignore_ascii_case(theirs.strip_prefix("0x").unwrap_or(&theirs))
                || hex::encode(&theirs) == digits
        }
        _ => ours == *expected,
    }
}
