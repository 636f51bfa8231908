//! Any bytes as a wrapper, and as a message of any type: field tables and typed messages agree, the
//! JSON form round-trips, and no check panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    payload::{
        PayloadMessage, Wrapper,
        check::{Receipt, checks},
        types::TYPES,
    },
    protobuf::{self, Fields, json},
    time::UnixSeconds,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(wrapper) = Wrapper::decode(data) {
        assert_eq!(wrapper.raw(), data);
        let _ = (wrapper.message_id(), wrapper.message());
    }
    let mut end = 0;
    for field in Fields::new(data).map_while(Result::ok) {
        assert_eq!(field.start, end);
        end = field.end;
    }
    let [number, bytes @ ..] = data else { return };
    let kind = &TYPES[usize::from(*number) % TYPES.len()];
    let Some(def) = kind.message else { return };
    let read = json::decode(def, bytes);
    let message = PayloadMessage::decode(kind.number, bytes);
    assert_eq!(read.is_ok(), message.is_ok(), "{read:?} {message:?}");
    let (Ok(read), Ok(message)) = (read, message) else { return };
    // The same through the typed message, encoded and decoded.
    let normal = protobuf::normalise(def, bytes).expect("it was read");
    assert_eq!(json::encode(def, &read).as_ref(), Ok(&normal));
    assert_eq!(json::decode(def, &normal), Ok(read));
    let known = protobuf::known_only(def, bytes).expect("it was read");
    assert_eq!(message.encode(), known);
    for check in checks(&message, &Receipt::at(UnixSeconds(1_585_558_800))) {
        let _ = (check.rejection.code(), check.rejection.to_string());
    }
});
