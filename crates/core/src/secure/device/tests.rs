//! Devices among themselves: rules that no vector shows.

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

struct One<S = MemoryStore> {
    device: Device<S>,
    key: PublicKey,
    secret: SecretKey,
    rng: ChaCha20Rng,
}

/// The device `id` of a user.
fn device(user: &str, id: &str) -> One {
    let secret = SecretKey::generate(&mut seeded_rng(user));
    let mut rng = seeded_rng(&format!("{user} {id}"));
    let id = Some(InstallationId::new(id));
    let device = Device::open(MemoryStore::new(), secret.clone(), id, &mut rng).unwrap();
    One { key: secret.public_key(), device, secret, rng }
}

impl One {
    fn contact_code(&mut self, now: Timestamp) -> Vec<u8> {
        self.device.contact_code(now, &mut self.rng).unwrap().message.into_raw()
    }

    fn write(&mut self, to: &One, now: Timestamp) -> EncryptedMessage {
        self.device.encrypt_to(&to.key, b"text", now, &mut self.rng).unwrap()
    }

    fn read(&mut self, from: &One, raw: &[u8]) -> Decrypted {
        self.device.decrypt(&from.key, raw, &mut self.rng).unwrap()
    }

    /// A bundle signed by this identity, saying whatever it should.
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

/// A digest of everything in the store of a device.
fn stored(one: &One) -> String {
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

/// The digests were taken before the ratchet had types for its states.
#[test]
fn states_are_written_as_by_earlier_releases() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let code = bob.contact_code(NOW);
    alice.read(&bob, &code);
    let mut digests = Vec::new();
    // Not answered yet; then with keys of skipped messages; then with a turn of the ratchet.
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
    // A second device, and strangers whom we answer.
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
fn the_pre_key_of_the_highest_version_counts_and_of_the_newest_bundle() {
    let (mut alice, bob) = (device("alice", "a1"), device("bob", "b1"));
    let mut learn = |key: u8, version: u32, hours: i64| {
        alice.device.learn(&bob.bundle("b1", key, version, later(hours))).unwrap();
        let known = alice.device.installations(&bob.key).unwrap().remove(0);
        let keys = (1..9).map(|key| SecretKey::from_bytes(&[key; 32]).unwrap().public_key());
        let at = keys.map(|key| CompressedKey::from(&key)).position(|key| key == known.prekey);
        (at.unwrap() as u8 + 1, known.prekey_version, known.timestamp, known.protocol_version)
    };
    assert_eq!(learn(1, 2, 0), (1, 2, later(0), 2));
    // Older and lower: nothing.
    assert_eq!(learn(2, 1, -1), (1, 2, later(0), 2));
    // Newer and lower: the time alone.
    assert_eq!(learn(3, 1, 1), (1, 2, later(1), 2));
    // The same version, from an older bundle, then from a newer one.
    assert_eq!(learn(4, 2, -1), (1, 2, later(1), 2));
    assert_eq!(learn(5, 2, 2), (5, 2, later(2), 2));
    // Older, and yet of a higher version: the pre key alone.
    assert_eq!(learn(6, 3, 1), (6, 3, later(2), 2));
    assert_eq!(learn(6, 3, 3), (6, 3, later(3), 3));
}

#[test]
fn only_those_that_are_enabled_are_written_to_and_the_newest_three() {
    let (mut alice, bob) = (device("alice", "a1"), device("bob", "b1"));
    for (n, id) in ["b1", "b2", "b3", "b4"].into_iter().enumerate() {
        alice.device.learn(&bob.bundle(id, n as u8 + 1, 1, later(n as i64))).unwrap();
    }
    let targets = |alice: &mut One| {
        let parts = alice.write(&bob, NOW).device_messages;
        parts.into_iter().map(|part| part.session.installation.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(targets(&mut alice), ["b2", "b3", "b4"]);
    let id = InstallationId::new("b3");
    assert!(alice.device.set_enabled(&bob.key, &id, false).unwrap());
    assert_eq!(targets(&mut alice), ["b1", "b2", "b4"]);
    assert!(!alice.device.set_enabled(&bob.key, &InstallationId::new("b9"), true).unwrap());
    // A newer bundle does not enable what the user disabled.
    alice.device.learn(&bob.bundle("b3", 3, 1, later(9))).unwrap();
    assert_eq!(targets(&mut alice), ["b1", "b2", "b4"]);
}

#[test]
fn own_devices_wait_for_the_user_and_are_then_in_the_bundle() {
    let (mut one, mut two) = (device("alice", "a1"), device("alice", "a2"));
    let code = two.contact_code(NOW);
    let received = one.read(&two, &code);
    assert!(received.learned.iter().all(|new| !new.enabled));
    let key = one.key;
    assert!(one.write(&two, NOW).device_messages.is_empty(), "not paired: to the identity");
    let bundle = |one: &mut One| {
        let bundle = one.device.bundle(later(1), &mut one.rng).unwrap();
        bundle.signed_pre_keys.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(bundle(&mut one), ["a1"]);
    assert!(one.device.set_enabled(&key, &InstallationId::new("a2"), true).unwrap());
    assert_eq!(bundle(&mut one), ["a1", "a2"]);
    assert_eq!(one.write(&two, NOW).device_messages.len(), 1);
    // What comes back about ourselves is left out.
    let own = one.device.bundle(later(2), &mut one.rng).unwrap();
    two.device.learn(&own).unwrap();
    assert_eq!(two.device.installations(&key).unwrap().len(), 1);
}

#[test]
fn prekeys_are_renewed_after_a_day_and_the_old_ones_still_open() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let code = bob.contact_code(NOW);
    alice.read(&bob, &code);
    let late = alice.write(&bob, NOW).message.into_raw();
    // Not yet: exactly a day is not more than a day.
    bob.contact_code(later(24));
    assert_eq!(bob.device.prekeys().unwrap().len(), 1);
    let code = bob.contact_code(later(25));
    let versions: Vec<_> = bob.device.prekeys().unwrap().iter().map(|own| own.version).collect();
    assert_eq!(versions, [1, 2]);
    assert_eq!(bob.read(&alice, &late).content.unwrap().plaintext, b"text");
    // The session of the old one is not used to send any more, on either side.
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
fn the_header_of_the_agreement_goes_until_an_answer_comes() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let code = bob.contact_code(NOW);
    alice.read(&bob, &code);
    let first = alice.write(&bob, NOW);
    let second = alice.write(&bob, NOW);
    assert!(
        first.device_messages[0].x3dh_key.is_some()
            && first.device_messages[0].x3dh_key == second.device_messages[0].x3dh_key
    );
    // The second is the one that arrives.
    let content = bob.read(&alice, second.message.raw()).content.unwrap();
    assert!(matches!(
        content.encryption,
        EncryptionKind::Session { started: true, missing: 1, .. }
    ));
    let answer = bob.write(&alice, NOW);
    assert_eq!(answer.device_messages[0].x3dh_key, None, "the responder has none");
    alice.read(&bob, answer.message.raw()).content.unwrap();
    assert_eq!(alice.write(&bob, NOW).device_messages[0].x3dh_key, None);
    let content = bob.read(&alice, first.message.raw()).content.unwrap();
    assert!(matches!(
        content.encryption,
        EncryptionKind::Session { started: false, key_was_stored: true, .. }
    ));
}

#[test]
fn an_answer_that_can_not_be_read_is_one() {
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
    // Bob has the session: he needs the header no more. But for that, nothing has changed.
    let after = alice.device.sessions().unwrap();
    assert!(before[0].x3dh_key.is_some() && after[0].x3dh_key.is_none());
    assert_eq!(before[0].ratchet.root_key().as_bytes(), after[0].ratchet.root_key().as_bytes());
    let next = alice.write(&bob, NOW);
    assert_eq!((next.device_messages[0].x3dh_key, next.device_messages[0].header.n), (None, 1));
    bob.read(&alice, next.message.raw()).content.unwrap();
}

#[test]
fn senders_that_do_not_know_us_are_answered_now_and_then() {
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
fn a_session_that_is_forgotten_leaves_nothing() {
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
    // The session itself, and four chunks.
    assert_eq!(bob.device.store.len(), before - 5);
    assert!(!bob.device.confirm(content.confirmation.as_ref().unwrap()).unwrap());
    // The header starts it anew, from the beginning of the chain.
    assert!(bob.read(&alice, sent.raw()).content.is_ok());
    let id = alice.device.sessions().unwrap().remove(0).id;
    assert!(alice.device.forget(&[id]).unwrap());
    assert_eq!(alice.device.store.len(), records);
}

/// How many records there are of sessions, and of kept keys.
fn session_records(one: &One) -> (usize, usize) {
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
fn an_installation_that_goes_takes_its_sessions_with_it() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let code = alice.contact_code(NOW);
    bob.read(&alice, &code);
    let sent = bob.write(&alice, later(1));
    alice.read(&bob, sent.message.raw()).content.unwrap();
    for n in 0..75 {
        let mut mallory = device("mallory", &format!("m{n}"));
        mallory.read(&alice, &code);
        // Two are missing, so their keys are kept.
        mallory.write(&alice, later(n));
        mallory.write(&alice, later(n));
        let sent = mallory.write(&alice, later(n));
        alice.read(&mallory, sent.message.raw()).content.unwrap();
    }
    let limit = records::MAX_INSTALLATIONS;
    assert_eq!(session_records(&alice), (limit + 1, limit + 1), "and Bob's");
    let mallory = device("mallory", "m").key;
    let known = alice.device.installations(&mallory).unwrap();
    let sessions = alice.device.sessions().unwrap();
    let has_session = |id| sessions.iter().any(|session| session.id.installation == id);
    assert!(known.len() == limit && known.into_iter().all(|known| has_session(known.id)));
    assert!(has_session(InstallationId::new("b1")));
}

/// How many strangers a device is told to remember.
const STRANGERS: usize = 8;

/// Opens what a device has stored again.
fn restarted(one: One) -> One {
    let One { device, key, secret, mut rng } = one;
    let mut device = Device::open(device.into_store(), secret.clone(), None, &mut rng).unwrap();
    device.set_max_strangers(STRANGERS as u64);
    One { device, key, secret, rng }
}

/// Somebody new writes to a device, with a session in which two messages are missing.
fn somebody_writes(to: &mut One, code: &[u8], name: &str) -> One {
    let mut stranger = device(name, "x");
    stranger.read(to, code);
    stranger.write(to, NOW);
    stranger.write(to, NOW);
    let sent = stranger.write(to, NOW);
    let content = to.read(&stranger, sent.message.raw()).content.unwrap();
    assert!(to.device.confirm(content.confirmation.as_ref().unwrap()).unwrap());
    stranger
}

/// Whether anything in a device's store is about an identity.
fn traces(of: &One, at: &One) -> usize {
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
fn strangers_make_room_for_strangers_and_those_we_know_stay() {
    let mut alice = restarted(device("alice", "a1"));
    let code = alice.contact_code(NOW);
    // Written to; learned by hand; a stranger who is answered; one who is still one.
    let mut bob = somebody_writes(&mut alice, &code, "bob");
    alice.write(&bob, NOW);
    let mut carol = device("carol", "c1");
    alice.device.learn(&carol.device.bundle(NOW, &mut carol.rng).unwrap()).unwrap();
    let mut dave = somebody_writes(&mut alice, &code, "dave");
    alice.device.answer_to(&dave.key, b"", NOW, &mut alice.rng).unwrap();
    let eve = somebody_writes(&mut alice, &code, "eve");
    let mut records = Vec::new();
    for number in 0..5 * STRANGERS {
        somebody_writes(&mut alice, &code, &format!("flood {number}"));
        // Who goes on writing is not the oldest.
        let sent = dave.write(&alice, NOW);
        alice.read(&dave, sent.message.raw()).content.unwrap();
        if number % STRANGERS == 3 {
            alice = restarted(alice);
        }
        assert!(alice.device.peers().unwrap().len() <= STRANGERS + 3, "with us, Bob, Carol");
        records.push(alice.device.store.len());
    }
    let (first, last) = (records[2 * STRANGERS], records[5 * STRANGERS - 1]);
    // Of Dave's messages, the keys are kept.
    assert!(last <= first + 3 * STRANGERS, "{records:?}");
    assert_eq!(session_records(&alice).0, STRANGERS + 1, "and Bob's");
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
fn bundles_that_come_along_make_no_more_strangers_than_others() {
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
    // A smaller line lets those go that are too many.
    alice.device.set_max_strangers(2);
    let code = alice.contact_code(NOW);
    somebody_writes(&mut alice, &code, "another");
    assert_eq!(alice.device.peers().unwrap().len(), 2);
}

#[test]
fn there_are_no_more_strangers_than_the_documentation_says() {
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
        // Each, and its place; the line; who we are.
        assert_eq!(alice.device.store.len(), 2 * most as usize + 2);
    }
    let known = |number| is_known(&alice.device.store, &identity(number)).unwrap();
    assert!(!known(0) && known(1) && known(most) && !known(most + 1));
}

/// Whom a state knew before strangers stood in a line stays.
#[test]
fn those_of_an_older_state_are_kept() {
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
        somebody_writes(&mut alice, &code, &format!("flood {number}"));
    }
    assert_eq!(alice.device.peers().unwrap().len(), STRANGERS + 1);
    assert_eq!(alice.device.installations(&bob.key).unwrap().len(), 1);
}

#[test]
fn sessions_with_one_installation_are_bounded_and_the_last_ones_stay() {
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
fn ids_that_are_too_long_are_not_remembered() {
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
fn public_messages_carry_bundle_and_payload() {
    let (mut alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let sent = alice.device.public_message(b"all", NOW, &mut alice.rng).unwrap();
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

/// Fails to read what it is told to.
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
fn what_could_not_be_read_is_not_written_over() {
    let (alice, mut bob) = (device("alice", "a1"), device("bob", "b1"));
    let code = bob.contact_code(NOW);
    let store = Failing { inner: alice.device.into_store(), fail: true };
    let mut rng = seeded_rng("failing");
    let mut device = Device::open(store, alice.secret, None, &mut rng).unwrap();
    device.decrypt(&bob.key, &code, &mut rng).unwrap();
    // The caller goes on after the error, and the transaction still fails.
    let mut failed = false;
    let result: Result<(), SecureError> = device.transaction(|it| {
        failed = it.encrypt_to(&bob.key, b"text", NOW, &mut rng).is_err();
        it.contact_code(NOW, &mut rng).map(|_| ())
    });
    // A new session is not looked up before it is made: nothing to fail at.
    assert!(!failed && result.is_ok());
    let result: Result<(), SecureError> = device.transaction(|it| {
        failed = it.encrypt_to(&bob.key, b"text", NOW, &mut rng).is_err();
        it.contact_code(NOW, &mut rng).map(|_| ())
    });
    assert!(failed);
    assert_eq!(result.unwrap_err().code(), "store.aborted");
}
