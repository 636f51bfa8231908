//! Any bytes as a protocol message, also from a correspondent of the device: accepted or refused, and
//! the conversation goes on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    secure::{Device, MemoryStore, ProtocolMessage, Timestamp},
};

const NOW: Timestamp = Timestamp(1_585_500_000_000_000_000);

fuzz_target!(|data: &[u8]| {
    let Ok(message) = ProtocolMessage::decode(data) else { return };
    // It round-trips.
    let again = ProtocolMessage::new(message.fields().clone());
    let decoded = ProtocolMessage::decode(again.raw()).expect("our own encoding");
    assert_eq!(decoded.fields(), message.fields());

    let mut rng = seeded_rng("fuzz");
    let (alice, bob) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
    let (alice_key, bob_key) = (alice.public_key(), bob.public_key());
    let mut alice = Device::open(MemoryStore::new(), alice, None, &mut rng).expect("empty");
    let mut bob = Device::open(MemoryStore::new(), bob, None, &mut rng).expect("empty");
    let code = bob.contact_code(NOW, &mut rng).expect("a bundle");
    alice.decrypt(&bob_key, code.message.raw(), &mut rng).expect("a good message");

    // Unchanged, and with the parts and IDs that both devices use.
    let _ = bob.decrypt(&alice_key, data, &mut rng);
    let sent = alice.encrypt_to(&bob_key, b"text", NOW, &mut rng).expect("a message");
    let mut mixed = message.fields().clone();
    mixed.bundles.clear();
    mixed.installation_id = sent.message.fields().installation_id.clone();
    let ours = bob.installation().to_string();
    if let Some(mut part) = mixed.direct_message.pop_first().map(|(_, part)| part) {
        let good = &sent.message.fields().direct_message[&ours];
        if let (Some(header), Some(good)) = (&mut part.dr_header, &good.dr_header) {
            header.id = good.id.clone();
        }
        part.x3dh_header = part.x3dh_header.or_else(|| good.x3dh_header.clone());
        mixed.direct_message.insert(ours, part);
    }
    let mixed = ProtocolMessage::new(mixed);
    if let Ok(received) = bob.decrypt(&alice_key, mixed.raw(), &mut rng)
        && !mixed.fields().direct_message.is_empty()
        && mixed.fields().public_message.is_empty()
    {
        assert!(received.content.is_err(), "nobody encrypted this");
    }
    let received = bob.decrypt(&alice_key, sent.message.raw(), &mut rng).expect("a good message");
    assert_eq!(received.content.expect("the session goes on").plaintext, b"text");
});
