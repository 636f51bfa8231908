//! Vectors of the secure transport, except conversations: `bundles`, `x3dh`, `dh_fallback`,
//! `protocol_message`, `negotiated_topic`, `contact_code`, and the primitives of `double_ratchet`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use prost::Message as _;
use rand::{TryCryptoRng, TryRng};
use serde_json::Value;
use statuskit_core::{
    account::{ContactCode, InstallationId},
    crypto::{PublicKey, SecretKey, SharedSecret, seeded_rng},
    envelope::{SymKey, Topic, topic},
    protobuf::{Fields, Value as FieldValue},
    secure::{
        BundleError, CompressedKey, Device, KeyPair, MemoryStore, NegotiatedSecret,
        ProtocolMessage, Timestamp, bundle,
        device::{ADVERTISE_COOLDOWN, CONTACT_CODE_INTERVAL, CONTACT_CODE_TICK},
        dh, proto,
        ratchet::{ChainKey, MessageKey, RatchetHeader, RatchetKey, RootKey},
        x3dh,
    },
};

use crate::{
    account::plain_hex,
    case::{Case, Set, is_foreign},
    conversation,
};

/// Returns the given bytes in order, and panics beyond them.
#[derive(Default)]
pub struct Script(VecDeque<Vec<u8>>);

impl Script {
    pub fn push(&mut self, bytes: Vec<u8>) {
        self.0.push_back(bytes);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Asserts that all of it was used.
    pub fn finish(self, at: &str) {
        assert!(self.0.is_empty(), "{at}: {} random values were not asked for", self.0.len());
    }
}

impl TryRng for Script {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        panic!("only bytes are drawn");
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        panic!("only bytes are drawn");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let next = self.0.pop_front().expect("a random value that the vectors don't have");
        bytes.copy_from_slice(&next);
        Ok(())
    }
}

impl TryCryptoRng for Script {}

pub fn secret(case: &Case<'_>, member: &str) -> SecretKey {
    case.str(member).parse().unwrap()
}

pub fn public(case: &Case<'_>, member: &str) -> PublicKey {
    case.str(member).parse().unwrap()
}

pub fn compressed(case: &Case<'_>, member: &str) -> CompressedKey {
    CompressedKey::from_slice(&plain_hex(case, member)).unwrap()
}

fn array<const N: usize>(case: &Case<'_>, member: &str) -> [u8; N] {
    plain_hex(case, member).try_into().unwrap()
}

/// Messages and bundles with maps of several entries have several encodings.
pub fn assert_message(ours: &[u8], theirs: &[u8], at: &str) {
    let fields = ProtocolMessage::decode(theirs).unwrap();
    let fields = fields.fields();
    let sizes = fields.bundles.iter().map(|bundle| bundle.signed_pre_keys.len());
    if sizes.chain([fields.direct_message.len()]).all(|entries| entries <= 1) {
        assert_eq!(hex::encode(ours), hex::encode(theirs), "{at}");
    }
    assert_eq!(ProtocolMessage::decode(ours).unwrap().fields(), fields, "{at}");
    assert_eq!(ours.len(), theirs.len(), "{at}");
}

/// Returns whether an encoder would write these bytes: known fields in order, once unless repeated,
/// none empty, and map entries with different keys.
fn is_plain(bytes: &[u8], what: &str) -> bool {
    // Number, content, whether it is repeated.
    let known: &[(u32, &str, bool)] = match what {
        "message" => {
            &[(2, "", false), (3, "bundle", true), (101, "direct", true), (102, "", false)]
        }
        "bundle" => &[(1, "", false), (2, "pre_keys", true), (4, "", false), (5, "number", false)],
        "pre_keys" => &[(1, "key", false), (2, "pre_key", false)],
        "pre_key" => &[(1, "", false), (2, "number", false), (3, "number", false)],
        "direct" => &[(1, "key", false), (2, "part", false)],
        "part" => {
            &[(1, "header", false), (2, "header", false), (3, "", false), (101, "header", false)]
        }
        "header" => &[(1, "", false), (2, "number", false), (3, "number", false), (4, "", false)],
        _ => return true,
    };
    let (mut last, mut keys) = (0, BTreeSet::new());
    Fields::new(bytes).all(|field| {
        let Ok(field) = field else { return false };
        let Some((number, inner, repeated)) = known.iter().find(|it| it.0 == field.number) else {
            return false;
        };
        let in_order = last < *number || (*repeated && last == *number);
        last = *number;
        // Varints may be longer than necessary.
        let mut shortest = Vec::new();
        field.value.write(field.number, &mut shortest);
        in_order
            && bytes[field.start..field.end] == shortest
            && match (*inner, field.value) {
                ("number", FieldValue::Varint(number)) => number != 0,
                ("number", _) => false,
                ("", FieldValue::Bytes(bytes)) => !bytes.is_empty(),
                ("pre_keys" | "direct", FieldValue::Bytes(entry)) => {
                    is_plain(entry, inner) && key_of(entry).is_some_and(|key| keys.insert(key))
                }
                (inner, FieldValue::Bytes(bytes)) => is_plain(bytes, inner),
                _ => false,
            }
    })
}

/// Returns the key of a map entry that has both key and value.
fn key_of(entry: &[u8]) -> Option<&[u8]> {
    let fields: Vec<_> = Fields::new(entry).flatten().map(|field| field.value).collect();
    match fields[..] {
        [FieldValue::Bytes(key @ [_, ..]), FieldValue::Bytes([_, ..])] => Some(key),
        _ => None,
    }
}

pub fn bundles(set: &mut Set) {
    set.each("cases", |case| {
        let at = case.path();
        let encoded = plain_hex(case, "encoded");
        let bundle = bundle::decode(&encoded).unwrap();
        assert_eq!(hex::encode(&bundle.identity), case.str("identity"), "{at}");
        assert_eq!(bundle.timestamp.to_string(), case.str("timestamp"), "{at}");
        assert_eq!(hex::encode(&bundle.signature), case.str("signature"), "{at}");
        assert_pre_keys(&bundle, case.get("signed_pre_keys"), &at);
        let material = bundle::signature_material(&bundle);
        assert_eq!(hex::encode(material), case.str("signature_material"), "{at}");
        assert_eq!(hex::encode(bundle::signing_hash(&bundle)), case.str("signing_hash"), "{at}");
        let identity = secret(case, "identity_private");
        let pre_keys = case.get("pre_key_private").as_object().unwrap();
        for (public, private) in pre_keys {
            let private: SecretKey = private.as_str().unwrap().parse().unwrap();
            assert_eq!(hex::encode(private.public_key().to_compressed()), *public, "{at}");
        }
        let result = bundle::verify(&bundle);
        assert_eq!(result.is_ok(), case.bool("valid"), "{at}");
        assert_eq!(result.is_err(), case.opt("error").is_some(), "{at}");
        match result {
            Ok(verified) => {
                assert_eq!(verified.identity, identity.public_key(), "{at}");
                assert_eq!(verified.timestamp, Timestamp(bundle.timestamp));
                let usable = verified.unusable.is_empty();
                assert!(usable || is_foreign(), "{at}: {:?}", verified.unusable);
                // Signing again gives the same bundle.
                if usable {
                    let identity = KeyPair::from(identity);
                    let again = bundle::sign(&identity, &verified.prekeys, verified.timestamp);
                    assert_eq!(again, bundle, "{at}");
                    if bundle.signed_pre_keys.len() <= 1 && is_plain(&encoded, "bundle") {
                        assert_eq!(again.encode_to_vec(), encoded, "{at}");
                    }
                }
            }
            // Only the failure is checked: the reference distinguishes more errors.
            Err(_) if is_foreign() => {}
            Err(error) => {
                let reason = case.str("error");
                let expected = match error {
                    BundleError::Identity(_) => "invalid public key",
                    BundleError::SignatureFormat if bundle.signature.len() == 65 => {
                        "invalid signature recovery id"
                    }
                    BundleError::SignatureFormat => "invalid signature length",
                    _ => "identity key and signature mismatch",
                };
                assert_eq!(reason, expected, "{at}");
            }
        }
    });
}

fn assert_pre_keys(bundle: &proto::Bundle, expected: &Value, at: &str) {
    let expected = expected.as_object().unwrap();
    assert_eq!(bundle.signed_pre_keys.len(), expected.len(), "{at}");
    for (id, value) in expected {
        let entry = &bundle.signed_pre_keys[id];
        let case = Case::new(format!("{at}.{id}"), value);
        assert_eq!(hex::encode(&entry.signed_pre_key), case.str("signed_pre_key"), "{at}");
        assert_eq!(entry.version, case.u32("version"), "{at}");
        assert_eq!(entry.protocol_version, case.u32("protocol_version"), "{at}");
        case.finish();
    }
}

pub fn x3dh_cases(set: &mut Set) {
    set.each("cases", |case| {
        let at = case.path();
        let key = |name: &str| {
            let key = secret(case, &format!("{name}_private"));
            assert_eq!(key.public_key(), public(case, &format!("{name}_public")), "{at}");
            key
        };
        let (a, e) = (key("initiator_identity"), key("ephemeral"));
        let (b, s) = (key("responder_identity"), key("responder_pre_key"));
        let dh = |ours: &SecretKey, theirs: &SecretKey, member: &str| {
            for shared in [ours.ecdh(&theirs.public_key()), theirs.ecdh(&ours.public_key())] {
                assert_eq!(hex::encode(shared.as_bytes()), case.str(member), "{at} {member}");
            }
        };
        dh(&a, &s, "dh1");
        dh(&e, &b, "dh2");
        dh(&e, &s, "dh3");
        let initiator = x3dh::initiate(&a, &e, &b.public_key(), &s.public_key());
        let responder = x3dh::respond(&b, &s, &a.public_key(), &e.public_key());
        for shared in [initiator, responder] {
            assert_eq!(hex::encode(shared.as_bytes()), case.str("shared_key"), "{at}");
        }
    });
    set.each("ecdh_leading_zero", |case| {
        let (ours, theirs) = (secret(case, "private"), public(case, "public"));
        assert_eq!(secret(case, "public_private").public_key(), theirs);
        let shared = ours.ecdh(&theirs);
        assert_eq!(hex::encode(shared.as_bytes()), case.str("shared"), "{}", case.path());
        assert_eq!(shared.as_bytes()[0], 0, "{}", case.path());
    });
}

pub fn double_ratchet(set: &mut Set) {
    set.one("primitives", |case| {
        for value in case.list("kdf_root") {
            let case = Case::new("kdf_root".to_owned(), value);
            let root = RootKey::from_bytes(array(&case, "root_key"));
            let (next, chain) = root.step(&SharedSecret::from_bytes(array(&case, "dh_output")));
            assert_eq!(hex::encode(next.as_bytes()), case.str("new_root_key"));
            assert_eq!(hex::encode(chain.as_bytes()), case.str("chain_key"));
            case.skip("header_key_unused");
            case.finish();
        }
        for value in case.list("kdf_chain") {
            let case = Case::new("kdf_chain".to_owned(), value);
            let (next, message) = ChainKey::from_bytes(array(&case, "chain_key")).step();
            assert_eq!(hex::encode(next.as_bytes()), case.str("next_chain_key"));
            assert_eq!(hex::encode(message.as_bytes()), case.str("message_key"));
            case.finish();
        }
        for value in case.list("encrypt") {
            let case = Case::new("encrypt".to_owned(), value);
            let key = RatchetKey::from(compressed(&case, "ratchet_key"));
            let (n, pn) = (case.u32("n"), case.u32("pn"));
            let associated = RatchetHeader { key, n, pn }.associated_data();
            assert_eq!(hex::encode(associated), case.str("associated_data"));
            let key = MessageKey::from_bytes(array(&case, "message_key"));
            let (plaintext, ciphertext) =
                (plain_hex(&case, "plaintext"), plain_hex(&case, "ciphertext"));
            assert_eq!(key.encrypt(&plaintext, &associated), ciphertext);
            assert_eq!(key.decrypt(&ciphertext, &associated), Some(plaintext));
            assert_eq!(key.decrypt(&ciphertext, &[]), None);
            case.finish();
        }
    });
    set.each("conversations", conversation::play);
}

pub fn dh_fallback(set: &mut Set) {
    set.each("cases", |case| {
        let at = case.path();
        let (recipient, sender) =
            (secret(case, "recipient_identity_private"), secret(case, "sender_identity_private"));
        let recipient_key = public(case, "recipient_identity_public");
        assert_eq!(recipient.public_key(), recipient_key, "{at}");
        let ephemeral = secret(case, "ephemeral_private");
        assert_eq!(ephemeral.public_key(), public(case, "ephemeral_public"), "{at}");
        let key = ephemeral.ecdh(&recipient_key);
        assert_eq!(hex::encode(key.as_bytes()), case.str("aes_key"), "{at}");
        let (plaintext, payload) = (plain_hex(case, "plaintext"), plain_hex(case, "payload"));
        let wire = plain_hex(case, "wire");

        let [pre_key] = case.list("sender_pre_keys") else { panic!("{at}: one pre key") };
        let pre_key = Case::new(format!("{at}.sender_pre_keys"), pre_key);
        assert_eq!(pre_key.str("installation_id"), case.str("sender_installation_id"));
        let pre_key_private = secret(&pre_key, "private");
        assert_eq!(pre_key_private.public_key(), public(&pre_key, "public"));
        assert_eq!(pre_key.u32("version"), 1);
        pre_key.finish();

        let draws = || {
            let mut script = Script::default();
            script.push(ephemeral.to_bytes().to_vec());
            script.push(plain_hex(case, "nonce"));
            script
        };
        let mut script = draws();
        let (header, ours) = dh::encrypt(&recipient_key, &plaintext, &mut script);
        script.finish(&at);
        assert_eq!(hex::encode(&ours), hex::encode(&payload), "{at}");
        assert_eq!(header, CompressedKey::from(&ephemeral.public_key()), "{at}");
        assert_eq!(dh::decrypt(&recipient, &header, &payload), Ok(plaintext.clone()), "{at}");

        // The whole message, written and read by a device.
        let id = InstallationId::new(case.str("sender_installation_id"));
        let store = MemoryStore::new();
        let sender_key = sender.public_key();
        let mut rng = seeded_rng("recipient");
        let mut device = Device::open(store, sender, Some(id.clone()), &mut rng).unwrap();
        let mut script = draws();
        script.push(pre_key_private.to_bytes().to_vec());
        let sent = device.encrypt_to(&recipient_key, &plaintext, sent_at(&wire), &mut script);
        script.finish(&at);
        assert_message(sent.unwrap().message.raw(), &wire, &at);
        let mut device = Device::open(MemoryStore::new(), recipient, None, &mut rng).unwrap();
        let received = device.decrypt(&sender_key, &wire, &mut rng).unwrap();
        assert_eq!(received.content.unwrap().plaintext, plaintext, "{at}");
        assert_eq!(received.learned[0].id, id, "{at}");
    });
}

/// Returns a message's time: that of its bundle.
pub fn sent_at(wire: &[u8]) -> Timestamp {
    Timestamp(ProtocolMessage::decode(wire).unwrap().fields().bundles[0].timestamp)
}

pub fn protocol_message(set: &mut Set) {
    set.each("cases", |case| {
        let at = case.path();
        let encoded = plain_hex(case, "encoded");
        let decoded = ProtocolMessage::decode(&encoded);
        let error = case.opt("error").is_some();
        assert_eq!(decoded.is_err(), error, "{at}: {decoded:?}");
        case.skip("decoded");
        let Ok(decoded) = decoded else { return };
        assert_eq!(decoded.raw(), encoded, "{at}");
        let value = Case::new(format!("{at}.decoded"), case.get("decoded"));
        assert_decoded(decoded.fields(), &value);
        value.finish();
        // Round-trips, unless no encoder would write it.
        let again = ProtocolMessage::new(decoded.fields().clone());
        if is_plain(&encoded, "message") {
            assert_message(again.raw(), &encoded, &at);
        }
        let read = ProtocolMessage::decode(again.raw()).unwrap();
        assert_eq!(read.fields(), decoded.fields(), "{at}");
    });
    set.each("application_wrapper_read_as_protocol_message", |case| {
        let at = case.path();
        let wrapper = plain_hex(case, "application_wrapper");
        let refused = case.opt("unmarshal_error").is_some();
        let decoded = ProtocolMessage::decode(&wrapper);
        assert_eq!(decoded.is_err(), refused, "{at}");
        if let Ok(message) = decoded {
            // Or it is empty.
            let mut rng = seeded_rng("wrapper");
            let key = SecretKey::generate(&mut rng);
            let sender = key.public_key();
            let mut device = Device::open(MemoryStore::new(), key, None, &mut rng).unwrap();
            let received = device.decrypt(&sender, message.raw(), &mut rng).unwrap();
            assert_eq!(received.content.unwrap_err().code(), "secure.no_payload", "{at}");
        }
    });
}

/// Asserts the decoded form of a message, member by member.
fn assert_decoded(fields: &proto::ProtocolMessage, case: &Case<'_>) {
    let at = case.path();
    assert_eq!(fields.installation_id, case.str("installation_id"), "{at}");
    assert_eq!(fields.public_message, plain_hex(case, "public_message"), "{at}");
    let bundles = case.opt("bundles").map(|list| list.as_array().unwrap().as_slice());
    let bundles = bundles.unwrap_or_default();
    assert_eq!(fields.bundles.len(), bundles.len(), "{at}");
    for (bundle, value) in fields.bundles.iter().zip(bundles) {
        let case = Case::new(format!("{at}.bundles"), value);
        assert_eq!(hex::encode(&bundle.identity), case.str("identity"), "{at}");
        assert_eq!(hex::encode(&bundle.signature), case.str("signature"), "{at}");
        assert_eq!(bundle.timestamp.to_string(), case.str("timestamp"), "{at}");
        assert_pre_keys(bundle, case.get("signed_pre_keys"), &at);
        let encoded = plain_hex(&case, "encoded");
        assert_eq!(*bundle, bundle::decode(&encoded).unwrap(), "{at}");
        case.finish();
    }
    let direct = case.get("direct_message").as_object().unwrap();
    assert_eq!(fields.direct_message.len(), direct.len(), "{at}");
    for (id, value) in direct {
        let part = &fields.direct_message[id];
        let case = Case::new(format!("{at}.{id}"), value);
        assert_eq!(hex::encode(&part.payload), case.str("payload"), "{at}");
        let header = |member: &str, there: bool, check: &dyn Fn(&Case<'_>)| {
            assert_eq!(there, case.opt(member).is_some(), "{at}.{id}.{member}");
            if there {
                case.inner(member, |case| check(case));
            }
        };
        header("X3DH_header", part.x3dh_header.is_some(), &|case| {
            let header = part.x3dh_header.as_ref().unwrap();
            assert_eq!(hex::encode(&header.key), case.str("key"), "{at}");
            assert_eq!(hex::encode(&header.id), case.str("id"), "{at}");
        });
        header("DR_header", part.dr_header.is_some(), &|case| {
            let header = part.dr_header.as_ref().unwrap();
            assert_eq!(hex::encode(&header.key), case.str("key"), "{at}");
            assert_eq!(hex::encode(&header.id), case.str("id"), "{at}");
            assert_eq!((header.n, header.pn), (case.u32("n"), case.u32("pn")), "{at}");
        });
        header("DH_header", part.dh_header.is_some(), &|case| {
            let header = part.dh_header.as_ref().unwrap();
            assert_eq!(hex::encode(&header.key), case.str("key"), "{at}");
        });
        case.finish();
    }
}

pub fn negotiated_topic(set: &mut Set) {
    let topic_of = |name: &str, case: &Case<'_>, member: &str| {
        assert_eq!(hex::encode(Topic::from_name(name).0), case.str(member), "{}", case.path());
    };
    let key_of = |name: &str, case: &Case<'_>| {
        let key = SymKey::from_password(name);
        assert_eq!(hex::encode(key.as_bytes()), case.str("symmetric_key"), "{}", case.path());
    };
    set.each("negotiated", |case| {
        let (a, b) = (secret(case, "private_a"), secret(case, "private_b"));
        let (public_a, public_b) = (public(case, "public_a"), public(case, "public_b"));
        assert_eq!((a.public_key(), b.public_key()), (public_a, public_b), "{}", case.path());
        let at_a = NegotiatedSecret::agree(&a, &public_b);
        assert_eq!(at_a.as_bytes(), NegotiatedSecret::agree(&b, &public_a).as_bytes());
        assert_eq!(hex::encode(at_a.as_bytes()), case.str("secret"), "{}", case.path());
        let name = at_a.topic_name();
        assert_eq!(*name, case.str("topic_string"), "{}", case.path());
        assert_eq!(name, topic::negotiated_name(&a, &public_b));
        topic_of(&name, case, "topic");
        key_of(&name, case);
        // The reference's name of its filter; not on the wire.
        assert_eq!(format!("{public_b}-negotiated"), case.str("filter_name_at_a"));
    });
    set.each("per_key", |case| {
        let key = public(case, "public_key");
        for (name, member) in [
            (topic::contact_code_name(&key), "contact_code"),
            (topic::partitioned_name(&key), "partitioned"),
            (topic::personal_discovery_name(&key), "personal_discovery"),
        ] {
            assert_eq!(name, case.str(member), "{}", case.path());
            topic_of(&name, case, &format!("{member}_topic"));
        }
    });
    set.each("public_chats", |case| {
        topic_of(case.str("name"), case, "topic");
        key_of(case.str("name"), case);
    });
    set.one("discovery_topic", |case| topic_of(case.str("name"), case, "topic"));
    let mut agreement = Agreement::new();
    set.each("agreement", |case| agreement.step(case));
}

/// A correspondent with three installations who writes to us, step by step.
struct Agreement {
    us: Device<MemoryStore>,
    our_key: PublicKey,
    their_key: PublicKey,
    theirs: BTreeMap<String, Device<MemoryStore>>,
    installations: Vec<String>,
    heard: BTreeSet<String>,
}

impl Agreement {
    const NOW: Timestamp = Timestamp(1_585_500_000_000_000_000);

    fn new() -> Self {
        let mut rng = seeded_rng("agreement");
        let (ours, theirs) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
        let (our_key, their_key) = (ours.public_key(), theirs.public_key());
        let us = Device::open(MemoryStore::new(), ours, None, &mut rng).unwrap();
        let (theirs, installations) = (BTreeMap::new(), Vec::new());
        Self { us, our_key, their_key, theirs, installations, heard: BTreeSet::new() }
    }

    fn step(&mut self, case: &Case<'_>) {
        let at = case.path();
        let mut rng = seeded_rng(&at);
        let ids = case.list("target_installations").iter().map(|id| id.as_str().unwrap());
        let targets: Vec<String> = ids.map(str::to_owned).collect();
        let identity = SecretKey::generate(&mut seeded_rng("agreement, theirs"));
        self.their_key = identity.public_key();
        for id in &targets {
            if !self.theirs.contains_key(id) {
                let installation = Some(InstallationId::new(id));
                let device =
                    Device::open(MemoryStore::new(), identity.clone(), installation, &mut rng);
                let mut device = device.unwrap();
                self.us.learn(&device.bundle(Self::NOW, &mut rng).unwrap()).unwrap();
                self.theirs.insert(id.clone(), device);
                self.installations.push(id.clone());
            }
        }
        // The installations that have written so far, if the text counts them. In a foreign set, at
        // least all recipients, if the secret is negotiated.
        let op = case.str("op");
        let counted = op.strip_prefix("message received from installation").map(|rest| {
            let words = rest.split(|c: char| !c.is_ascii_digit());
            words.filter_map(|word| word.parse::<usize>().ok()).collect::<Vec<_>>()
        });
        let mut heard: Vec<_> = match counted {
            Some(counted) => {
                counted.iter().filter_map(|at| self.installations.get(*at).cloned()).collect()
            }
            None => Vec::new(),
        };
        if is_foreign() && case.bool("agreed") {
            heard.extend(targets.iter().cloned());
        }
        for id in &heard {
            if !self.heard.insert(id.clone()) {
                continue;
            }
            let device = self.theirs.get_mut(id).unwrap();
            let sent = device.encrypt_to(&self.our_key, b"", Self::NOW, &mut rng).unwrap();
            let read = self.us.decrypt(&self.their_key, sent.message.raw(), &mut rng).unwrap();
            assert!(read.content.unwrap().secret.is_some(), "{at}");
        }
        // The recipients.
        for id in &self.installations {
            let enabled = targets.contains(id);
            let id = InstallationId::new(id);
            assert!(self.us.set_enabled(&self.their_key, &id, enabled).unwrap());
        }
        let sent = self.us.encrypt_to(&self.their_key, b"", Self::NOW, &mut rng).unwrap();
        let mut sorted = targets.clone();
        sorted.sort();
        let parts = sent.device_messages.iter().map(|part| part.session.installation.to_string());
        assert_eq!(parts.collect::<Vec<_>>(), sorted, "{at}");
        assert_eq!(sent.agreed, case.bool("agreed"), "{at}");
    }
}

pub fn contact_code(set: &mut Set) {
    set.one("publisher", |case| {
        let seconds = |member| std::time::Duration::from_secs(case.u64(member));
        assert_eq!(seconds("advertise_cooldown_seconds"), ADVERTISE_COOLDOWN);
        assert_eq!(seconds("publish_interval_seconds"), CONTACT_CODE_INTERVAL);
        assert_eq!(seconds("tick_seconds"), CONTACT_CODE_TICK);
    });
    set.each("cases", |case| {
        let at = case.path();
        let key = secret(case, "identity_private");
        let public = public(case, "identity_public");
        assert_eq!(key.public_key(), public, "{at}");
        let code = ContactCode::from_key(&public);
        assert_eq!(code.name, case.str("contact_code"), "{at}");
        assert_eq!(hex::encode(code.topic.0), case.str("topic"), "{at}");
        assert_eq!(hex::encode(code.sym_key().as_bytes()), case.str("symmetric_key"));

        let wire = plain_hex(case, "wire");
        let decoded = ProtocolMessage::decode(&wire).unwrap();
        case.inner("decoded", |inner| assert_decoded(decoded.fields(), inner));
        let id = InstallationId::new(case.str("installation_id"));
        let mut rng = seeded_rng("reader");
        let now = sent_at(&wire);
        let pre_keys = case.get("pre_key_private").as_object().unwrap();
        // An installation's prekey is drawn with its first bundle.
        let script = |installation: &str| {
            let bundle = &decoded.fields().bundles[0];
            let public = hex::encode(&bundle.signed_pre_keys[installation].signed_pre_key);
            let mut script = Script::default();
            script.push(hex::decode(pre_keys[&public].as_str().unwrap()).unwrap());
            script
        };
        let device = |id: &InstallationId| {
            let (store, id) = (MemoryStore::new(), Some(id.clone()));
            Device::open(store, key.clone(), id, &mut seeded_rng("contact code")).unwrap()
        };
        let mut publisher = device(&id);
        let installations = decoded.fields().bundles[0].signed_pre_keys.keys();
        let paired: Vec<_> = installations.map(InstallationId::new).filter(|i| *i != id).collect();
        for paired in &paired {
            let made = device(paired).bundle(now, &mut script(paired.as_str())).unwrap();
            publisher.learn(&made).unwrap();
            assert!(publisher.set_enabled(&public, paired, true).unwrap(), "{at}");
        }
        let mut draws = script(id.as_str());
        let sent = publisher.contact_code(now, &mut draws).unwrap();
        draws.finish(&at);
        assert_message(sent.message.raw(), &wire, &at);
        assert_eq!(pre_keys.len(), paired.len() + 1, "{at}");

        let other = SecretKey::generate(&mut rng);
        let mut reader = Device::open(MemoryStore::new(), other, None, &mut rng).unwrap();
        let received = reader.decrypt(&public, &wire, &mut rng).unwrap();
        assert_eq!(case.str("receiver_result"), "no payload", "{at}");
        assert_eq!(received.content.unwrap_err().code(), "secure.no_payload", "{at}");
        assert_eq!(received.learned.len(), pre_keys.len(), "{at}");
        assert!(received.learned.iter().any(|new| new.id == id), "{at}");
    });
}
