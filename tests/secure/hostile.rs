//! Misbehaving peers: each message is refused with the reason, at bounded cost, and the
//! conversation goes on.

use rand::rngs::ChaCha20Rng;
use statuskit_core::{
    account::InstallationId,
    crypto::{PublicKey, SecretKey, seeded_rng},
    secure::{
        CompressedKey, DecryptError, Device, KeyPair, MemoryStore, ProtocolMessage, SecureError,
        Timestamp, bundle, proto, ratchet::MAX_SKIP, stored_keys::MAX_STORED_KEYS,
    },
};

const NOW: Timestamp = Timestamp(1_585_500_000_000_000_000);

/// Alice, who misbehaves, and Bob, after a first exchange.
struct Pair {
    alice: Device<MemoryStore>,
    alice_key: SecretKey,
    bob: Device<MemoryStore>,
    bob_key: PublicKey,
    /// Shared, so that no key is drawn twice.
    rng: ChaCha20Rng,
}

impl Pair {
    fn new() -> Self {
        let mut rng = seeded_rng("pair");
        let (alice_key, bob_key) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
        let bob_public = bob_key.public_key();
        let open = |key: SecretKey, name: &str| {
            let id = Some(InstallationId::new(name));
            Device::open(MemoryStore::new(), key, id, &mut seeded_rng(name)).unwrap()
        };
        let (alice, bob) = (open(alice_key.clone(), "alice"), open(bob_key, "bob"));
        let mut pair = Self { alice, alice_key, bob, bob_key: bob_public, rng };
        let code = pair.bob.contact_code(NOW, &mut pair.rng).unwrap();
        pair.alice.decrypt(&bob_public, code.message.raw(), &mut pair.rng).unwrap();
        pair.talk();
        pair
    }

    fn alice_public(&self) -> PublicKey {
        self.alice_key.public_key()
    }

    fn write(&mut self) -> proto::ProtocolMessage {
        let sent = self.alice.encrypt_to(&self.bob_key, b"text", NOW, &mut self.rng).unwrap();
        sent.message.fields().clone()
    }

    fn read(&mut self, fields: proto::ProtocolMessage) -> Result<Vec<u8>, DecryptError> {
        self.try_read(fields).unwrap()
    }

    fn try_read(
        &mut self,
        fields: proto::ProtocolMessage,
    ) -> Result<Result<Vec<u8>, DecryptError>, SecureError> {
        let sender = self.alice_public();
        let raw = ProtocolMessage::new(fields).into_raw();
        let received = self.bob.decrypt(&sender, &raw, &mut self.rng)?;
        Ok(received.content.map(|content| content.plaintext))
    }

    /// Sends a message each way.
    fn talk(&mut self) {
        let message = self.write();
        assert_eq!(self.read(message).unwrap(), b"text");
        let (alice, rng) = (self.alice_public(), &mut self.rng);
        let sent = self.bob.encrypt_to(&alice, b"answer", NOW, rng).unwrap();
        let received = self.alice.decrypt(&self.bob_key, sent.message.raw(), rng).unwrap();
        assert_eq!(received.content.unwrap().plaintext, b"answer");
    }

    fn stored_keys(&self) -> u32 {
        self.bob.sessions().unwrap().iter().map(|session| session.stored_keys.count()).sum()
    }
}

fn part(fields: &mut proto::ProtocolMessage) -> &mut proto::DirectMessage {
    fields.direct_message.get_mut("bob").unwrap()
}

fn header(fields: &mut proto::ProtocolMessage) -> &mut proto::DrHeader {
    part(fields).dr_header.as_mut().unwrap()
}

/// Returns bytes in the form of a key that are not on the curve.
fn off_curve() -> Vec<u8> {
    let mut key = vec![0; 33];
    key[0] = 2;
    key
}

#[test]
fn each_field_of_a_part_is_checked() {
    type Change = fn(&mut proto::ProtocolMessage);
    let cases: [(Change, &str); 17] = [
        (|m| header(m).n = u32::MAX, "ratchet.too_many_messages"),
        (|m| header(m).n += MAX_SKIP + 1, "ratchet.too_many_messages"),
        (|m| header(m).n += 1, "ratchet.mac"),
        (|m| header(m).pn = u32::MAX, "ratchet.too_many_messages"),
        (|m| header(m).pn += 1, "ratchet.mac"),
        (|m| header(m).key = off_curve(), "ratchet.key"),
        (|m| header(m).key[0] = 7, "ratchet.key"),
        (|m| header(m).key.truncate(32), "secure.key"),
        (|m| header(m).key[0] ^= 1, "ratchet.mac"),
        (|m| header(m).id = off_curve(), "secure.no_session"),
        (|m| header(m).id.clear(), "secure.key"),
        (|m| part(m).payload.clear(), "ratchet.mac"),
        (|m| part(m).payload[3] ^= 1, "ratchet.mac"),
        (|m| *part(m).payload.last_mut().unwrap() ^= 1, "ratchet.mac"),
        (|m| part(m).dr_header = None, "secure.no_header"),
        (|m| m.installation_id = "carol".to_owned(), "secure.no_session"),
        (|m| _ = m.direct_message.remove("bob"), "secure.no_payload"),
    ];
    let mut pair = Pair::new();
    for (index, (change, code)) in cases.into_iter().enumerate() {
        let mut message = pair.write();
        let good = message.clone();
        change(&mut message);
        let stored = pair.stored_keys();
        assert_eq!(pair.read(message).unwrap_err().code(), code, "case {index}");
        assert_eq!(pair.stored_keys(), stored, "case {index}");
        // The genuine message still opens.
        assert_eq!(pair.read(good).unwrap(), b"text", "case {index}");
        pair.talk();
    }
}

#[test]
fn parts_for_others_and_parts_under_none() {
    let mut pair = Pair::new();
    let mut message = pair.write();
    let part = message.direct_message.remove("bob").unwrap();
    message.direct_message.insert("carol".to_owned(), part.clone());
    assert_eq!(pair.read(message.clone()), Err(DecryptError::DeviceNotFound));
    // The same, sent by our own identity.
    let raw =
        ProtocolMessage::new(proto::ProtocolMessage { bundles: Vec::new(), ..message.clone() });
    let own = pair.bob_key;
    let received = pair.bob.decrypt(&own, raw.raw(), &mut seeded_rng("own")).unwrap();
    assert_eq!(received.content.unwrap_err(), DecryptError::NotPaired);
    // A session's part may also be under `none`.
    message.direct_message.insert("none".to_owned(), part);
    assert_eq!(pair.read(message.clone()).unwrap(), b"text");
    let dh = |key: Vec<u8>, payload: Vec<u8>| proto::DirectMessage {
        dh_header: Some(proto::DhHeader { key }),
        payload,
        ..Default::default()
    };
    for (part, code) in [
        (dh(off_curve(), vec![0; 28]), "secure.key"),
        (dh(vec![2; 5], vec![0; 28]), "secure.key"),
        (dh(pair.alice_public().to_compressed().into(), vec![0; 27]), "secure.dh_short"),
        (dh(pair.alice_public().to_compressed().into(), vec![0; 28]), "secure.dh_tag"),
    ] {
        message.direct_message.insert("none".to_owned(), part);
        assert_eq!(pair.read(message.clone()).unwrap_err().code(), code);
    }
    pair.talk();
}

#[test]
fn x3dh_with_an_invalid_key_starts_no_session() {
    let mut pair = Pair::new();
    let mut rng = seeded_rng("stranger");
    let stranger = SecretKey::generate(&mut rng);
    let sender = stranger.public_key();
    let mut device = Device::open(MemoryStore::new(), stranger, None, &mut rng).unwrap();
    device.learn(&pair.bob.bundle(NOW, &mut rng).unwrap()).unwrap();
    let sent = device.encrypt_to(&pair.bob_key, b"hi", NOW, &mut rng).unwrap();
    let good = sent.message.fields().clone();
    let mut read = |fields: proto::ProtocolMessage| {
        let raw = ProtocolMessage::new(fields).into_raw();
        let received = pair.bob.decrypt(&sender, &raw, &mut seeded_rng("bob")).unwrap();
        (received.content.map(|content| content.plaintext), pair.bob.sessions().unwrap().len())
    };
    type Change = fn(&mut proto::DirectMessage);
    let cases: [(Change, &str); 4] = [
        (|part| part.x3dh_header.as_mut().unwrap().key = off_curve(), "secure.key"),
        // Only X coordinates enter an agreement, so a changed sign has no effect.
        (
            |part| {
                let header = part.x3dh_header.as_mut().unwrap();
                header.key = header.id.clone();
            },
            "ratchet.mac",
        ),
        (|part| part.x3dh_header.as_mut().unwrap().id = off_curve(), "secure.no_session"),
        (|part| part.payload[20] ^= 1, "ratchet.mac"),
    ];
    for (change, code) in cases {
        let mut message = good.clone();
        change(message.direct_message.get_mut("bob").unwrap());
        let (content, sessions) = read(message);
        assert_eq!((content.unwrap_err().code(), sessions), (code, 1));
    }
    assert_eq!(read(good), (Ok(b"hi".to_vec()), 2));
}

#[test]
fn an_invalid_bundle_drops_the_message_and_changes_nothing() {
    let mut pair = Pair::new();
    let before = pair.bob.peers().unwrap().len();
    let mut rng = seeded_rng("mallory");
    let mallory = KeyPair::generate(&mut rng);
    let prekey = bundle::Prekey {
        key: CompressedKey::from(&SecretKey::generate(&mut rng).public_key()),
        version: 1,
        protocol_version: 1,
    };
    let prekeys = [(InstallationId::new("mallory"), prekey)].into();
    let good = bundle::sign(&mallory, &prekeys, NOW);
    // Signed in Alice's name.
    let mut forged = good.clone();
    forged.identity = pair.alice_public().to_compressed().to_vec();
    // The valid bundle comes first, and is dropped, too.
    let message = pair.write();
    let mut with = message.clone();
    with.bundles.extend([good, forged]);
    let error = pair.try_read(with).unwrap_err();
    assert_eq!(error.code(), "bundle.signature");
    assert_eq!(pair.bob.peers().unwrap().len(), before);
    let alice = pair.alice_public();
    assert_eq!(pair.bob.installations(&alice).unwrap().len(), 1);
    assert_eq!(pair.read(message).unwrap(), b"text");
    pair.talk();
}

#[test]
fn floods_of_missing_messages_stay_within_the_limits() {
    let mut pair = Pair::new();
    // Alice keeps skipping the maximum, with and without answers.
    for round in 0..8 {
        for _ in 0..MAX_SKIP {
            pair.write();
        }
        let message = pair.write();
        assert_eq!(pair.read(message).unwrap(), b"text", "round {round}");
        assert!(pair.stored_keys() <= MAX_STORED_KEYS);
        if round % 2 == 1 {
            pair.talk();
        }
    }
    assert_eq!(pair.stored_keys(), MAX_STORED_KEYS);
    // Forged numbers keep no keys.
    for n in 0..50 {
        let mut message = pair.write();
        header(&mut message).n += n + 1;
        header(&mut message).pn += n;
        assert_eq!(pair.read(message).unwrap_err().code(), "ratchet.mac");
    }
    assert_eq!(pair.stored_keys(), MAX_STORED_KEYS);
    pair.talk();
}

#[test]
fn repeated_messages_open_until_confirmed() {
    let mut pair = Pair::new();
    let sender = pair.alice_public();
    let raw = ProtocolMessage::new(pair.write()).into_raw();
    let mut rng = seeded_rng("repeat");
    let mut confirmation = None;
    for _ in 0..5 {
        let content = pair.bob.decrypt(&sender, &raw, &mut rng).unwrap().content.unwrap();
        assert_eq!(content.plaintext, b"text");
        confirmation = content.confirmation;
    }
    let confirmation = confirmation.unwrap();
    assert!(pair.bob.confirm(&confirmation).unwrap());
    assert!(!pair.bob.confirm(&confirmation).unwrap());
    let error = pair.bob.decrypt(&sender, &raw, &mut rng).unwrap().content.unwrap_err();
    assert_eq!(error.code(), "ratchet.old_message");
    pair.talk();
}

#[test]
fn endless_installations_evict_the_oldest() {
    let mut pair = Pair::new();
    let (alice, mut rng) = (pair.alice_public(), seeded_rng("many"));
    let key = CompressedKey::from(&SecretKey::generate(&mut rng).public_key());
    for n in 0..200_i64 {
        let prekey = bundle::Prekey { key, version: 1, protocol_version: 1 };
        let prekeys = [(InstallationId::new(format!("fake {n}")), prekey)].into();
        let bundle =
            bundle::sign(&KeyPair::from(pair.alice_key.clone()), &prekeys, Timestamp(NOW.0 + n));
        assert_eq!(pair.bob.learn(&bundle).unwrap().len(), 1);
    }
    let known = pair.bob.installations(&alice).unwrap();
    assert_eq!(known.len(), 64);
    assert_eq!(known[0].id.as_str(), "fake 199");
    // Messages go to three installations; a message from the real one brings it back.
    let sent = pair.bob.encrypt_to(&alice, b"", NOW, &mut rng).unwrap();
    assert_eq!(sent.device_messages.len(), 3);
    let message = pair.write();
    assert_eq!(pair.read(message).unwrap(), b"text");
}
