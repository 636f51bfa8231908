//! Any code with any payload decodes or fails; what decodes as a strict packet encodes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::wire::{Packet, packet::code};

fuzz_target!(|data: &[u8]| {
    let Some((&first, payload)) = data.split_first() else { return };
    if let Ok(packet) = Packet::decode(first.into(), payload) {
        assert_eq!(packet.code(), u64::from(first));
        let encoded = packet.encode();
        if matches!(u64::from(first), code::MESSAGES | code::POW_REQUIREMENT | code::BLOOM_FILTER) {
            assert_eq!(encoded, payload);
        }
        // Two packets are read leniently in ways that can't be written again: an unreadable
        // response, and an answer whose request id begins as a failure does.
        if !matches!(packet, Packet::MessageResponse(_) | Packet::RequestComplete(_)) {
            assert_eq!(Packet::decode(first.into(), &encoded).as_ref(), Ok(&packet));
        }
    }
});
