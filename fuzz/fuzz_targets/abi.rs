//! Any text as a signature or type, and any bytes as data of it: what is taken is written alike,
//! and costs no more than the data is worth.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_eip::abi::{Event, Function, Log, Strictness, Value, decode, encode};

fn count(value: &Value) -> usize {
    match value {
        Value::Array(values) | Value::Tuple(values) => 1 + values.iter().map(count).sum::<usize>(),
        Value::Bytes(bytes) => 1 + bytes.len() / 32,
        Value::String(text) => 1 + text.len() / 32,
        _ => 1,
    }
}

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (text, data) = input.split_at(end);
    let data = data.get(1..).unwrap_or_default();
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Ok(event) = text.parse::<Event>() {
        let topics = data.chunks_exact(32).take(4).map(|word| word.try_into().unwrap()).collect();
        let log = Log { topics, data: data.to_vec() };
        let _ = event.decode_log(&log, Strictness::Lenient);
    }
    let Ok(function) = text.parse::<Function>() else { return };
    assert_eq!(function.to_string().parse::<Function>().unwrap().selector(), function.selector());
    for strictness in [Strictness::Strict, Strictness::Lenient] {
        let Ok(values) = decode(&function.inputs, data, strictness) else { continue };
        let work = values.iter().map(count).sum::<usize>();
        assert!(work <= function.inputs.len() + 4096 + data.len(), "{work}");
        let encoded = encode(&function.inputs, &values).unwrap();
        if strictness == Strictness::Strict {
            assert_eq!(encoded, data);
        }
        for (parameter, value) in function.inputs.iter().zip(&values) {
            let json = value.to_json(&parameter.kind);
            assert_eq!(Value::from_json(&parameter.kind, &json).as_ref(), Ok(value));
        }
    }
});
