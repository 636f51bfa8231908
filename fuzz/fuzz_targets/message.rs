//! Any plaintext is a message or an error, and so is any payload inside it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    envelope::Message,
    payload::{Wrapper, chat},
};

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = Message::parse(data) {
        assert!(message.payload.len() + message.padding.len() < data.len());
    }
    if let Ok(wrapper) = Wrapper::decode(data) {
        assert_eq!(wrapper.raw(), data);
        if let Ok(message) = chat::decode(wrapper.payload()) {
            let _ = chat::validate(&message, 1_585_500_000);
        }
    }
});
