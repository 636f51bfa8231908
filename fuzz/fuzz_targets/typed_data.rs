//! Any JSON as typed data: hashed or refused, and the same after it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_eip::eip712::{Rules, TypedData};

fuzz_target!(|input: &[u8]| {
    let Ok(json) = serde_json::from_slice(input) else { return };
    let Ok(data) = TypedData::from_json(&json) else { return };
    let again = TypedData::from_json(&(&data).into()).unwrap();
    for rules in [Rules::Exact, Rules::Reference { chain_id: 1 }] {
        let hashes = data.hash(rules);
        assert_eq!(again.hash(rules), hashes);
        if let Ok(hashes) = hashes {
            let message = hashes.message.as_ref();
            assert!(message.is_none_or(|message| message.encoded.len() % 32 == 0));
        }
    }
});
