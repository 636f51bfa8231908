//! Any text as a node URL, a link, a topic, an envelope of hex or the JSON of a message: accepted
//! texts come back as they are shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    account::ShareLink,
    devp2p::Enode,
    envelope::{Bloom, Topic},
    payload::types::TYPES,
    protobuf::json,
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(enode) = text.parse::<Enode>() {
        assert_eq!(enode.to_string().parse(), Ok(enode));
    }
    if let Ok(link) = text.parse::<ShareLink>() {
        assert_eq!(link.to_app().parse(), Ok(link));
    }
    if let Ok(topic) = text.parse::<Topic>() {
        assert_eq!(topic.to_string().parse(), Ok(topic));
    }
    let _ = text.parse::<Bloom>();
    if let Ok(serde_json::Value::Object(members)) = serde_json::from_str(text) {
        for def in TYPES.iter().filter_map(|kind| kind.message) {
            if let Ok(bytes) = json::encode(def, &members) {
                let again = json::decode(def, &bytes).expect("it was made from its definition");
                assert_eq!(json::encode(def, &again).as_ref(), Ok(&bytes));
            }
        }
    }
});
