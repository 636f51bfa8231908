//! Conversations between devices: rules that the vectors don't cover.

use rand::rngs::ChaCha20Rng;

use super::*;
use crate::{
    crypto::{keccak256, seeded_rng},
    secure::{
        MemoryStore,
        bundle::{self, Prekey},
        error::DecryptError,
        store::{Record, Visit},
    },
};

const NOW: Timestamp = Timestamp(1_585_500_000_000_000_000);

struct TestDevice<S = MemoryStore> {
    device: Device<S>,
    key: PublicKey,
    secret: SecretKey,
    rng: ChaCha20Rng,
}

/// The device `id` of a user.
fn device(user: &str, id: &str) -> TestDevice {
    let secret = SecretKey::generate(&mut seeded_rng(user));
    let mut rng = seeded_rng(&format!("{user} {id}"));
    let id = Some(InstallationId::new(id));
    let device = Device::open(MemoryStore::new(), secret.clone(), id, &mut rng).unwrap();
    TestDevice { key: secret.public_key(), device, secret, rng }
}

impl TestDevice {
    fn contact_code(&mut self, now: Timestamp) -> Vec<u8> {
        self.device.contact_code(now, &mut self.rng).unwrap().message.into_raw()
    }

    fn write(&mut self, to: &TestDevice, now: Timestamp) -> EncryptedMessage {
        self.device.encrypt_to(&to.key, b"text", now, &mut self.rng).unwrap()
    }

    fn read(&mut self, from: &TestDevice, raw: &[u8]) -> Decrypted {
        self.device.decrypt(&from.key, raw, &mut self.rng).unwrap()
    }

    /// Signs a bundle with any content.
    fn bundle(&self, id: &str, key: u8, version: u32, now: Timestamp) -> proto::Bundle {
        let key = SecretKey::from_bytes(&[key; 32]).unwrap().public_key();
        let key = CompressedKey::from(&key);
        let prekeys =
            [(InstallationId::new(id), Prekey { key, version, protocol_version: version })].into();
        bundle::sign(&KeyPair::from(self.secret.clone()), &prekeys, now)
    }
}

fn later(hours: i64) -> Timestamp {
    Timestamp(NOW.0 + hours * 3_600_000_000_000)
}

/// Returns a digest of all records of a device.
fn stored(one: &TestDevice) -> String {
    let mut all = Vec::new();
    let mut visit = |key: &[u8], record: &[u8]| {
        for bytes in [key, record] {
            all.extend((bytes.len() as u32).to_be_bytes());
            all.extend(bytes);
        }
        Ok(())
    };
    one.device.store.scan(b"", &mut visit).unwrap();
    hex::encode(&keccak256(&all)[..8])
}

/// The digests are from a release in which the ratchet was a single type.
#[test]
fn states_are_written_as_by_earlier_releases() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let code = bob.contact_code(NOW);
    alice.read(&bob, &code);
    let mut digests = Vec::new();
    // Not answered yet; with keys of skipped messages; after a turn of the ratchet.
    let first = alice.write(&bob, NOW);
    alice.write(&bob, NOW);
    let third = alice.write(&bob, NOW);
    digests.push(stored(&alice));
    let content = bob.read(&alice, third.message.raw()).content.unwrap();
    digests.push(stored(&bob));
    bob.device.confirm(content.confirmation.as_ref().unwrap()).unwrap();
    let answer = bob.write(&alice, NOW);
    alice.read(&bob, answer.message.raw()).content.unwrap();
    digests.extend([stored(&alice), stored(&bob)]);
    let late = alice.write(&bob, NOW);
    bob.read(&alice, late.message.raw()).content.unwrap();
    bob.read(&alice, first.message.raw()).content.unwrap();
    // A paired device, and a stranger.
    let mut second = device("alice", "a2");
    let code = second.contact_code(later(25));
    alice.read(&second, &code);
    let key = alice.key;
    alice.device.set_enabled(&key, &InstallationId::new("a2"), true).unwrap();
    let sent = alice.write(&second, later(26));
    second.read(&alice, sent.message.raw()).content.unwrap();
    alice.device.answer_unknown(&device("carol", "c1").key, later(27), &mut alice.rng).unwrap();
    digests.extend([stored(&alice), stored(&bob), stored(&second)]);
    let expected = [
        "a3817b083502fa48",
        "bf7cdd910a0b231f",
        "d4b34558c2f467ad",
        "4135fcc1bbbaa431",
        "11ba2ad931ab71f6",
        "b8b99f9820766e8a",
        "a64d194f08aa44c7",
    ];
    assert_eq!(digests, expected);
}

#[test]
fn a_store_belongs_to_one_device() {
    let alice = device("alice", "a1");
    let store = alice.device.into_store();
    let open = |secret: &SecretKey, id: Option<&str>| {
        let id = id.map(InstallationId::new);
        Device::open(store.clone(), secret.clone(), id, &mut seeded_rng("open"))
    };
    assert_eq!(open(&alice.secret, None).unwrap().installation().as_str(), "a1");
    assert!(open(&alice.secret, Some("a1")).is_ok());
    let error = open(&alice.secret, Some("a2")).unwrap_err();
    assert_eq!(error.code(), "store.other_installation");
    let error = open(&device("bob", "b1").secret, None).unwrap_err();
    assert_eq!(error.code(), "store.other_identity");
}

#[test]
fn the_prekey_with_the_highest_version_and_newest_bundle_is_current() {
    let (mut alice, bob) = (device("alice", "a1"), device("bob", "b1"));
    let mut learn = |key: u8, version: u32, hours: i64| {
        alice.device.learn(&bob.bundle("b1", key, version, later(hours))).unwrap();
        let known = alice.device.installations(&bob.key).unwrap().remove(0);
        let keys = (1..9).map(|key| SecretKey::from_bytes(&[key; 32]).unwrap().public_key());
        let at = keys.map(|key| CompressedKey::from(&key)).position(|key| key == known.prekey);
        (at.unwrap() as u8 + 1, known.prekey_version, known.timestamp, known.protocol_version)
    };
    assert_eq!(learn(1, 2, 0), (1, 2, later(0), 2));
    // Older bundle, lower version: no change.
    assert_eq!(learn(2, 1, -1), (1, 2, later(0), 2));
    // Newer bundle, lower version: only the time changes.
    assert_eq!(learn(3, 1, 1), (1, 2, later(1), 2));
    // Same version, from an older bundle, then from a newer one.
    assert_eq!(learn(4, 2, -1), (1, 2, later(1), 2));
    assert_eq!(learn(5, 2, 2), (5, 2, later(2), 2));
    // Older bundle, higher version: only the prekey changes.
    assert_eq!(learn(6, 3, 1), (6, 3, later(2), 2));
    assert_eq!(learn(6, 3, 3), (6, 3, later(3), 3));
}

#[test]
fn messages_go_to_the_newest_three_enabled_installations() {
    let (mut alice, bob) = (device("alice", "a1"), device("bob", "b1"));
    for (n, id) in ["b1", "b2", "b3", "b4"].into_iter().enumerate() {
        alice.device.learn(&bob.bundle(id, n as u8 + 1, 1, later(n as i64))).unwrap();
    }
    let targets = |alice: &mut TestDevice| {
        let parts = alice.write(&bob, NOW).device_messages;
        parts.into_iter().map(|part| part.session.installation.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(targets(&mut alice), ["b2", "b3", "b4"]);
    let id = InstallationId::new("b3");
    assert!(alice.device.set_enabled(&bob.key, &id, false).unwrap());
    assert_eq!(targets(&mut alice), ["b1", "b2", "b4"]);
    assert!(!alice.device.set_enabled(&bob.key, &InstallationId::new("b9"), true).unwrap());
    // A newer bundle does not enable a disabled installation.
    alice.device.learn(&bob.bundle("b3", 3, 1, later(9))).unwrap();
    assert_eq!(targets(&mut alice), ["b1", "b2", "b4"]);
}

#[test]
fn own_devices_are_in_the_bundle_once_the_user_enables_them() {
    let (mut one, mut two) = (device("alice", "a1"), device("alice", "a2"));
    let code = two.contact_code(NOW);
    let received = one.read(&two, &code);
    assert!(received.learned.iter().all(|new| !new.enabled));
    let key = one.key;
    assert!(
        one.write(&two, NOW).device_messages.is_empty(),
        "not paired: encrypted to the identity"
    );
    let bundle = |one: &mut TestDevice| {
        let bundle = one.device.bundle(later(1), &mut one.rng).unwrap();
        bundle.signed_pre_keys.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(bundle(&mut one), ["a1"]);
    assert!(one.device.set_enabled(&key, &InstallationId::new("a2"), true).unwrap());
    assert_eq!(bundle(&mut one), ["a1", "a2"]);
    assert_eq!(one.write(&two, NOW).device_messages.len(), 1);
    // A device ignores its own entry in a bundle.
    let own = one.device.bundle(later(2), &mut one.rng).unwrap();
    two.device.learn(&own).unwrap();
    assert_eq!(two.device.installations(&key).unwrap().len(), 1);
}

#[test]
fn prekeys_are_renewed_after_a_day_and_old_ones_still_decrypt() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let code = bob.contact_code(NOW);
    alice.read(&bob, &code);
    let late = alice.write(&bob, NOW).message.into_raw();
    // Exactly one day is not too old.
    bob.contact_code(later(24));
    assert_eq!(bob.device.prekeys().unwrap().len(), 1);
    let code = bob.contact_code(later(25));
    let versions: Vec<_> = bob.device.prekeys().unwrap().iter().map(|own| own.version).collect();
    assert_eq!(versions, [1, 2]);
    assert_eq!(bob.read(&alice, &late).content.unwrap().plaintext, b"text");
    // Neither side sends with the session of the old prekey.
    let sent = bob.write(&alice, later(25));
    assert!(sent.device_messages[0].x3dh_key.is_some());
    alice.read(&bob, &code);
    let sent = alice.write(&bob, later(25));
    assert_eq!(
        sent.device_messages[0].session.bundle,
        bob.device.prekeys().unwrap()[1].pair.public()
    );
}

#[test]
fn messages_carry_the_x3dh_header_until_the_first_answer() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let code = bob.contact_code(NOW);
    alice.read(&bob, &code);
    let first = alice.write(&bob, NOW);
    let second = alice.write(&bob, NOW);
    assert!(
        first.device_messages[0].x3dh_key.is_some()
            && first.device_messages[0].x3dh_key == second.device_messages[0].x3dh_key
    );
    // The second message arrives first.
    let content = bob.read(&alice, second.message.raw()).content.unwrap();
    assert!(matches!(
        content.encryption,
        EncryptionKind::Session { started: true, missing: 1, .. }
    ));
    let answer = bob.write(&alice, NOW);
    assert_eq!(answer.device_messages[0].x3dh_key, None, "a responder has no X3DH header");
    alice.read(&bob, answer.message.raw()).content.unwrap();
    assert_eq!(alice.write(&bob, NOW).device_messages[0].x3dh_key, None);
    let content = bob.read(&alice, first.message.raw()).content.unwrap();
    assert!(matches!(
        content.encryption,
        EncryptionKind::Session { started: false, key_was_stored: true, .. }
    ));
}

#[test]
fn an_answer_that_can_not_be_decrypted_ends_the_x3dh_header() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let code = bob.contact_code(NOW);
    alice.read(&bob, &code);
    let first = alice.write(&bob, NOW);
    bob.read(&alice, first.message.raw()).content.unwrap();
    let mut answer = bob.write(&alice, NOW).message.fields().clone();
    answer.direct_message.get_mut("a1").unwrap().payload[0] ^= 1;
    let before = alice.device.sessions().unwrap();
    let received = alice.read(&bob, ProtocolMessage::new(answer).raw());
    assert_eq!(received.content.unwrap_err().code(), "ratchet.mac");
    // Bob has the session, so he does not need the header. Nothing else has changed.
    let after = alice.device.sessions().unwrap();
    assert!(before[0].x3dh_key.is_some() && after[0].x3dh_key.is_none());
    assert_eq!(before[0].ratchet.root_key().as_bytes(), after[0].ratchet.root_key().as_bytes());
    let next = alice.write(&bob, NOW);
    assert_eq!((next.device_messages[0].x3dh_key, next.device_messages[0].header.n), (None, 1));
    bob.read(&alice, next.message.raw()).content.unwrap();
}

#[test]
fn senders_that_do_not_know_us_are_answered_after_the_cooldown() {
    let (mut alice, bob) = (device("alice", "a1"), device("bob", "b1"));
    let mut answer = |seconds: i64| {
        let now = Timestamp(NOW.0 + seconds * 1_000_000_000);
        let answer = alice.device.answer_unknown(&bob.key, now, &mut alice.rng).unwrap();
        answer.map(|answer| answer.message.into_raw())
    };
    let first = answer(0).unwrap();
    assert_eq!((answer(1), answer(7200)), (None, None));
    assert!(answer(7201).is_some());
    let (alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let received = bob.read(&alice, &first);
    assert_eq!(received.learned.len(), 1);
    let content = received.content.unwrap();
    assert_eq!((content.plaintext, content.encryption), (Vec::new(), EncryptionKind::Identity));
}

#[test]
fn forget_deletes_a_session_and_its_keys() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let code = bob.contact_code(NOW);
    alice.read(&bob, &code);
    alice.device.mark_known(&bob.key).unwrap();
    alice.contact_code(NOW);
    let records = alice.device.store.len();
    for _ in 0..100 {
        alice.write(&bob, NOW);
    }
    let sent = alice.write(&bob, NOW).message;
    let content = bob.read(&alice, sent.raw()).content.unwrap();
    let session = bob.device.sessions().unwrap().remove(0);
    assert_eq!(session.stored_keys.count(), 101);
    let before = bob.device.store.len();
    assert!(bob.device.forget(std::slice::from_ref(&session.id)).unwrap());
    assert!(!bob.device.forget(std::slice::from_ref(&session.id)).unwrap());
    // The session and four chunks.
    assert_eq!(bob.device.store.len(), before - 5);
    assert!(!bob.device.confirm(content.confirmation.as_ref().unwrap()).unwrap());
    // The X3DH header starts the session again.
    assert!(bob.read(&alice, sent.raw()).content.is_ok());
    let id = alice.device.sessions().unwrap().remove(0).id;
    assert!(alice.device.forget(&[id]).unwrap());
    assert_eq!(alice.device.store.len(), records);
}

/// Returns the number of session records, and of key chunks.
fn session_records(one: &TestDevice) -> (usize, usize) {
    let count = |prefix: &[u8]| {
        let mut count = 0;
        one.device
            .store
            .scan(prefix, &mut |_, _| {
                count += 1;
                Ok(())
            })
            .unwrap();
        count
    };
    (count(SESSIONS), count(b"c"))
}

#[test]
fn removed_installations_lose_their_sessions() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let code = alice.contact_code(NOW);
    bob.read(&alice, &code);
    let sent = bob.write(&alice, later(1));
    alice.read(&bob, sent.message.raw()).content.unwrap();
    for n in 0..75 {
        let mut mallory = device("mallory", &format!("m{n}"));
        mallory.read(&alice, &code);
        // Two messages are skipped, so their keys are stored.
        mallory.write(&alice, later(n));
        mallory.write(&alice, later(n));
        let sent = mallory.write(&alice, later(n));
        alice.read(&mallory, sent.message.raw()).content.unwrap();
    }
    let limit = records::MAX_INSTALLATIONS;
    assert_eq!(session_records(&alice), (limit + 1, limit + 1), "Mallory's and Bob's");
    let mallory = device("mallory", "m").key;
    let known = alice.device.installations(&mallory).unwrap();
    let sessions = alice.device.sessions().unwrap();
    let has_session = |id| sessions.iter().any(|session| session.id.installation == id);
    assert!(known.len() == limit && known.into_iter().all(|known| has_session(known.id)));
    assert!(has_session(InstallationId::new("b1")));
}

/// The maximum number of strangers in these tests.
const STRANGERS: usize = 8;

/// Reopens the store of a device.
fn restarted(one: TestDevice) -> TestDevice {
    let TestDevice { device, key, secret, mut rng } = one;
    let mut device = Device::open(device.into_store(), secret.clone(), None, &mut rng).unwrap();
    device.set_max_strangers(STRANGERS as u64);
    TestDevice { device, key, secret, rng }
}

/// A new identity sends to a device, in a session with two skipped messages.
fn stranger_sends(to: &mut TestDevice, code: &[u8], name: &str) -> TestDevice {
    let mut stranger = device(name, "x");
    stranger.read(to, code);
    stranger.write(to, NOW);
    stranger.write(to, NOW);
    let sent = stranger.write(to, NOW);
    let content = to.read(&stranger, sent.message.raw()).content.unwrap();
    assert!(to.device.confirm(content.confirmation.as_ref().unwrap()).unwrap());
    stranger
}

/// Counts the records with an identity in them.
fn traces(of: &TestDevice, at: &TestDevice) -> usize {
    let identity = CompressedKey::from(&of.key);
    let mut found = 0;
    let mut look = |key: &[u8], record: &[u8]| {
        let is_there = |bytes: &[u8]| bytes.windows(33).any(|it| it == identity.as_bytes());
        found += usize::from(is_there(key) || is_there(record));
        Ok(())
    };
    at.device.store.scan(b"", &mut look).unwrap();
    found
}

#[test]
fn strangers_replace_strangers_and_known_identities_stay() {
    let mut alice = restarted(device("alice", "a1"));
    let code = alice.contact_code(NOW);
    // We send to Bob, learn Carol by hand, and answer Dave. Dave and Eve are strangers.
    let mut bob = stranger_sends(&mut alice, &code, "bob");
    alice.write(&bob, NOW);
    let mut carol = device("carol", "c1");
    alice.device.learn(&carol.device.bundle(NOW, &mut carol.rng).unwrap()).unwrap();
    let mut dave = stranger_sends(&mut alice, &code, "dave");
    alice.device.answer_to(&dave.key, b"", NOW, &mut alice.rng).unwrap();
    let eve = stranger_sends(&mut alice, &code, "eve");
    let mut records = Vec::new();
    for number in 0..5 * STRANGERS {
        stranger_sends(&mut alice, &code, &format!("flood {number}"));
        // Dave keeps sending, so he is never the oldest.
        let sent = dave.write(&alice, NOW);
        alice.read(&dave, sent.message.raw()).content.unwrap();
        if number % STRANGERS == 3 {
            alice = restarted(alice);
        }
        assert!(
            alice.device.peers().unwrap().len() <= STRANGERS + 3,
            "strangers, and us, Bob, Carol"
        );
        records.push(alice.device.store.len());
    }
    let (first, last) = (records[2 * STRANGERS], records[5 * STRANGERS - 1]);
    // The keys of Dave's messages are stored.
    assert!(last <= first + 3 * STRANGERS, "{records:?}");
    assert_eq!(session_records(&alice).0, STRANGERS + 1, "strangers' and Bob's");
    assert_eq!(traces(&eve, &alice), 0);
    let gone = device("flood 0", "x");
    assert_eq!(traces(&gone, &alice), 0);
    assert!(traces(&carol, &alice) > 0);
    let sent = bob.write(&alice, NOW);
    let how = alice.read(&bob, sent.message.raw()).content.unwrap().encryption;
    assert!(matches!(how, EncryptionKind::Session { started: false, .. }), "{how:?}");
    assert_eq!(alice.write(&carol, NOW).device_messages.len(), 1);
    assert_eq!(alice.write(&bob, NOW).device_messages.len(), 1);
}

#[test]
fn signers_of_attached_bundles_are_strangers_too() {
    let mut alice = restarted(device("alice", "a1"));
    let mut bob = device("bob", "b1");
    let code = bob.contact_code(NOW);
    let mut fields = ProtocolMessage::decode(&code).unwrap().fields().clone();
    let strangers: Vec<_> = (0..STRANGERS + 4).map(|n| device(&format!("s{n}"), "x")).collect();
    fields.bundles.extend(strangers.iter().map(|it| it.bundle("x", 9, 1, NOW)));
    let message = ProtocolMessage::new(fields);
    for _ in 0..2 {
        alice.read(&bob, message.raw());
        let known = alice.device.peers().unwrap().len();
        assert_eq!(known, STRANGERS);
        alice = restarted(alice);
    }
    // A smaller limit removes the excess.
    alice.device.set_max_strangers(2);
    let code = alice.contact_code(NOW);
    stranger_sends(&mut alice, &code, "another");
    assert_eq!(alice.device.peers().unwrap().len(), 2);
}

#[test]
fn the_default_limit_of_strangers_holds() {
    let mut alice = device("alice", "a1");
    let most = strangers::MAX_STRANGERS as u32;
    let identity = |number: u32| {
        let mut bytes = [2; 33];
        bytes[1..5].copy_from_slice(&number.to_be_bytes());
        CompressedKey::from(bytes)
    };
    for numbers in [0..most, most..most + 500, 0..most + 1] {
        let register = |it: &mut DeviceTransaction<'_, _>| {
            numbers.clone().try_for_each(|number| it.register_identity(&identity(number)))
        };
        alice.device.transaction::<_, StoreError>(register).unwrap();
        // Two records per stranger, the queue, and the owner.
        assert_eq!(alice.device.store.len(), 2 * most as usize + 2);
    }
    let known = |number| is_known(&alice.device.store, &identity(number)).unwrap();
    assert!(!known(0) && known(1) && known(most) && !known(most + 1));
}

/// States that are older than the queue of strangers.
#[test]
fn identities_of_older_states_are_known() {
    let mut alice = device("alice", "a1");
    let mut bob = device("bob", "b1");
    let code = bob.contact_code(NOW);
    alice.read(&bob, &code);
    let mut changes = Changes::default();
    alice
        .device
        .store
        .scan(b"", &mut |key, _| {
            if matches!(key[0], b'l' | b'q' | b'w') {
                changes.delete(key.to_vec());
            }
            Ok(())
        })
        .unwrap();
    alice.device.store.commit(&changes).unwrap();
    let mut alice = restarted(alice);
    let code = alice.contact_code(NOW);
    for number in 0..2 * STRANGERS {
        stranger_sends(&mut alice, &code, &format!("flood {number}"));
    }
    assert_eq!(alice.device.peers().unwrap().len(), STRANGERS + 1);
    assert_eq!(alice.device.installations(&bob.key).unwrap().len(), 1);
}

#[test]
fn sessions_per_installation_are_bounded_and_the_newest_stay() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let mut last = None;
    for day in 0..records::MAX_SESSIONS as i64 + 12 {
        let now = later(25 * day);
        let code = alice.contact_code(now);
        bob.read(&alice, &code);
        bob.write(&alice, now);
        let sent = bob.write(&alice, now);
        alice.read(&bob, sent.message.raw()).content.unwrap();
        last = Some(sent.device_messages[0].session.bundle);
    }
    assert_eq!(session_records(&alice), (records::MAX_SESSIONS, records::MAX_SESSIONS));
    let sessions = alice.device.sessions().unwrap();
    assert!(sessions.iter().any(|session| Some(session.id.bundle) == last));
    assert_eq!(session_records(&bob).0, records::MAX_SESSIONS);
}

#[test]
fn too_long_installation_ids_are_not_stored() {
    let mut alice = device("alice", "a1");
    let code = alice.contact_code(NOW);
    let length = records::MAX_ID;
    for (length, count) in [(length, 1), (length + 1, 0)] {
        let mut mallory = device(&format!("mallory {length}"), &"m".repeat(length));
        mallory.read(&alice, &code);
        let sent = mallory.write(&alice, NOW);
        let received = alice.read(&mallory, sent.message.raw());
        assert_eq!((received.learned.len(), received.content.is_ok()), (count, count == 1));
        assert_eq!(session_records(&alice), (1, 1));
    }
}

#[test]
fn public_messages_have_bundle_and_payload() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let TestDevice { device, rng, .. } = &mut alice;
    let sent = device.transaction(|it| it.public_message(b"all", NOW, rng)).unwrap();
    let received = bob.read(&alice, sent.message.raw());
    assert_eq!((received.learned.len(), received.installation.as_str()), (1, "a1"));
    let content = received.content.unwrap();
    assert_eq!(
        (content.plaintext.as_slice(), content.encryption),
        (&b"all"[..], EncryptionKind::Public)
    );
    assert!(content.confirmation.is_none() && content.secret.is_none());
    let code = alice.contact_code(NOW);
    assert_eq!(bob.read(&alice, &code).content.unwrap_err(), DecryptError::NoPayload);
}

/// A store that fails to read sessions.
struct Failing {
    inner: MemoryStore,
    fail: bool,
}

impl Store for Failing {
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        if self.fail && key.starts_with(b"s") {
            return Err(StoreError::Corrupt { what: "session" });
        }
        self.inner.get(key)
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.inner.commit(changes)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.inner.scan(prefix, visit)
    }
}

#[test]
fn a_failed_read_aborts_the_transaction() {
    let (alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let code = bob.contact_code(NOW);
    let store = Failing { inner: alice.device.into_store(), fail: true };
    let mut rng = seeded_rng("failing");
    let mut device = Device::open(store, alice.secret, None, &mut rng).unwrap();
    device.decrypt(&bob.key, &code, &mut rng).unwrap();
    // The caller ignores the error, and the transaction fails nevertheless.
    let mut failed = false;
    let result: Result<(), SecureError> = device.transaction(|it| {
        failed = it.encrypt_to(&bob.key, b"text", NOW, &mut rng).is_err();
        it.contact_code(NOW, &mut rng).map(|_| ())
    });
    // A new session is not read before it is made.
    assert!(!failed && result.is_ok());
    let result: Result<(), SecureError> = device.transaction(|it| {
        failed = it.encrypt_to(&bob.key, b"text", NOW, &mut rng).is_err();
        it.contact_code(NOW, &mut rng).map(|_| ())
    });
    assert!(failed);
    assert_eq!(result.unwrap_err().code(), "store.aborted");
}
