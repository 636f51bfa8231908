//! Any bytes as a datagram of discovery or as a node record; what decodes encodes to the same
//! meaning.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    crypto::{SecretKey, keccak256},
    discovery::{MAX_DATAGRAM, Record, UnverifiedRecord, relay, v4, v5},
};

static KEY: LazyLock<SecretKey> =
    LazyLock::new(|| SecretKey::from_bytes(&[7; 32]).expect("a private key"));

fuzz_target!(|data: &[u8]| {
    let _ = v4::Packet::decode(data);
    let _ = v5::Packet::decode(data);

    // Behind a good head, for no mutation finds one. What is beyond a datagram is lost.
    let data = &data[..data.len().min(MAX_DATAGRAM - 32 - 65)];
    let signature = KEY.sign_digest(&keccak256(data));
    let signed = [signature.as_bytes(), data].concat();
    if let Ok(received) = v5::Packet::decode(&[&v5::PREFIX[..], &signed].concat()) {
        assert_eq!(received.sender, KEY.public_key());
        let again = received.packet.encode(&KEY).expect("not longer than what was read");
        assert_eq!(v5::Packet::decode(&again.bytes).map(|it| it.packet), Ok(received.packet));
    }
    if let Ok(received) = v4::Packet::decode(&[&keccak256(&signed)[..], &signed].concat()) {
        assert_eq!(received.sender, KEY.public_key());
        let again = received.packet.encode(&KEY).expect("not longer than what was read");
        assert_eq!(v4::Packet::decode(&again.bytes).map(|it| it.packet), Ok(received.packet));
    }

    if let Ok(record) = UnverifiedRecord::decode(data) {
        assert_eq!(record.as_rlp(), data);
        if let Ok(record) = record.verify() {
            assert_eq!(record.to_string().parse::<Record>(), Ok(record));
        }
    }
    let _ = std::str::from_utf8(data).map(str::parse::<Record>);
    if let Some((sender, address)) = data.split_first_chunk::<4>() {
        let _ = relay::check_address((*sender).into(), address);
    }
});
