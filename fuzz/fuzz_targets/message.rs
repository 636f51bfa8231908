//! Any plaintext is a message or an error, and so is any payload inside it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    envelope::Message,
    payload::{
        Wrapper,
        check::{Receipt, check},
    },
    time::UnixSeconds,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = Message::parse(data) {
        assert!(message.payload.len() + message.padding.len() < data.len());
    }
    if let Ok(wrapper) = Wrapper::decode(data) {
        assert_eq!(wrapper.raw(), data);
        if let Ok(message) = wrapper.message() {
            let _ = check(&message, &Receipt::at(UnixSeconds(1_585_500_000)));
        }
    }
});
