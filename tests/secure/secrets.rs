//! `Debug`, `Display` and errors show no keys.

use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    secure::{Device, MemoryStore, NegotiatedSecret, Timestamp, x3dh},
    time::UnixSeconds,
};

#[test]
fn debug_output_holds_no_key() {
    let (mut rng, now) = (seeded_rng("secrets"), Timestamp::from_secs(UnixSeconds(1_585_500_000)));
    let (alice_key, bob_key) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
    let (alice_public, bob_public) = (alice_key.public_key(), bob_key.public_key());
    let mut alice = Device::open(MemoryStore::new(), alice_key.clone(), None, &mut rng).unwrap();
    let mut bob = Device::open(MemoryStore::new(), bob_key.clone(), None, &mut rng).unwrap();

    let mut shown = vec![format!("{alice:?} {bob:?}")];
    let code = bob.contact_code(now, &mut rng).unwrap();
    shown.push(format!("{code:?}"));
    shown.push(format!("{:?}", alice.decrypt(&bob_public, code.message.raw(), &mut rng).unwrap()));
    // Two messages are lost, so that their keys are kept.
    for _ in 0..3 {
        let sent = alice.encrypt_to(&bob_public, b"text", now, &mut rng).unwrap();
        shown.push(format!("{sent:?}"));
        if sent.device_messages[0].header.n == 2 {
            let received = bob.decrypt(&alice_public, sent.message.raw(), &mut rng).unwrap();
            shown.push(format!("{received:?}"));
            let answer = bob.encrypt_to(&alice_public, b"answer", now, &mut rng).unwrap();
            shown.push(format!("{answer:?}"));
            assert!(answer.agreed && answer.secret.is_some());
        }
    }
    let shared = x3dh::initiate(&alice_key, &bob_key, &bob_public, &bob_public);
    let secret = NegotiatedSecret::agree(&alice_key, &bob_public);
    shown.push(format!("{shared:?} {secret:?}"));

    let mut keys =
        vec![*alice_key.to_bytes(), *bob_key.to_bytes(), *shared.as_bytes(), *secret.as_bytes()];
    for device in [&alice, &bob] {
        shown.push(format!("{:?} {:?}", device.peers().unwrap(), device.prekeys().unwrap()));
        keys.extend(device.prekeys().unwrap().iter().map(|own| *own.pair.secret().to_bytes()));
        for session in device.sessions().unwrap() {
            shown.push(format!("{session:?}"));
            let ratchet = &session.ratchet;
            keys.push(*ratchet.pair().secret().to_bytes());
            keys.push(*ratchet.root_key().as_bytes());
            for chain in [ratchet.sending(), ratchet.receiving()] {
                let (next, message) = chain.key().step();
                keys.extend([*chain.key().as_bytes(), *next.as_bytes(), *message.as_bytes()]);
            }
        }
    }
    for device in [alice, bob] {
        shown.push(format!("{:?}", device.into_store()));
    }
    assert!(keys.len() > 10);
    let shown = shown.join("\n").to_lowercase();
    for key in keys {
        let forms = [hex::encode(key), hex::encode_upper(key).to_lowercase(), format!("{key:?}")];
        for form in forms {
            assert!(!shown.contains(&form), "a key is shown");
        }
        // Not even the beginning of a key.
        assert!(!shown.contains(&hex::encode(&key[..8])), "a part of a key is shown");
    }
}
