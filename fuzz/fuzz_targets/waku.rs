//! Any code with any payload as a packet of Waku decodes or fails; what decodes keeps its meaning.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::wire::{
    Dialect, Packet, Status,
    packet::code,
    waku::{Accepts, max_topics},
};

fuzz_target!(|data: &[u8]| {
    let Some((&first, payload)) = data.split_first() else { return };
    for dialect in [Dialect::Waku0, Dialect::Waku1] {
        let mut settings = Status::silent(dialect);
        let Ok(packet) = Packet::decode_as(dialect, first.into(), payload) else { continue };
        assert_eq!(packet.code(), u64::from(first));
        let encoded = packet.encode_as(dialect);
        if matches!(u64::from(first), code::MESSAGES | code::P2P_MESSAGE | code::P2P_REQUEST) {
            assert_eq!(encoded, payload);
        }
        // An answer whose request id begins like a failure is read as one.
        if !matches!(packet, Packet::MessageResponse(_) | Packet::RequestComplete(_)) {
            let again = Packet::decode_as(dialect, first.into(), &encoded);
            assert_eq!(again.as_ref(), Ok(&packet));
        }
        if let Packet::WakuStatus(options) | Packet::StatusUpdate(options) = packet {
            if let Some(Accepts::Topics(topics)) = &options.accepts {
                assert!(topics.len() <= max_topics(dialect));
            }
            settings.apply(options);
            assert!(settings.min_pow >= 0.0);
        }
    }
});
