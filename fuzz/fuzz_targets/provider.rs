//! Any text as a message of a provider: what is read is written so that it means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_eip::eip1193::{Edition, Message};

fuzz_target!(|text: &str| {
    let Ok(message) = Message::parse(text) else { return };
    let _ = (message.explain(), message.notes(), message.standard());
    for edition in [Edition::Final, Edition::Draft] {
        let written = message.to_json(edition);
        assert!(Message::from_json(&written).is_ok(), "{written}");
    }
});
