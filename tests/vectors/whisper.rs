//! Vectors of Whisper: `topics`, `symkey`, `bloom`, `pow`, `envelope_*`, `shh_packets`.

use serde_json::Value;
use statuskit_core::{
    crypto::{PublicKey, SecretKey, Signature, ecies, keccak256},
    envelope::{
        Bloom, Envelope, EnvelopeHash, Message, Opener, Padding, Recipient, Rules, SymKey, Topic,
        Verdict,
        check::{self, future_diff},
        key, message, pow, seal, topic,
    },
    time::UnixSeconds,
    wire::{
        Cursor, Packet, RateLimits, Status,
        p2p::{MessagesRequest, P2pRequest, RequestComplete, SyncRequest, SyncResponse},
        packet::{self, EnvelopeError, MessageResponse, ReadResponse, code},
    },
};

use crate::case::{Case, Set, bytes};

pub fn topics(set: &mut Set) {
    set.each("public_chats", |case| {
        assert_topic(case);
    });
    set.each("contact_code", |case| {
        assert_eq!(topic::contact_code_name(&public_key(case, "public_key")), assert_topic(case));
    });
    set.each("partitioned", |case| {
        let key = public_key(case, "public_key");
        assert_eq!(u64::from(topic::PARTITIONS), case.u64("partitions"));
        assert_eq!(u64::from(topic::partition(&key)), case.u64("partition"));
        assert_eq!(topic::partitioned_name(&key), assert_topic(case), "{}", case.path());
    });
    set.each("personal_discovery", |case| {
        let key = public_key(case, "public_key");
        assert_eq!(topic::personal_discovery_name(&key), assert_topic(case));
    });
    set.each("negotiated", |case| {
        let (a, b) = (secret_key(case, "private_key_a"), secret_key(case, "private_key_b"));
        assert_eq!(a.public_key(), public_key(case, "public_key_a"));
        assert_eq!(b.public_key(), public_key(case, "public_key_b"));
        assert_eq!(a.ecdh(&b.public_key()).as_bytes(), &case.array("shared_secret"));
        let name = assert_topic(case);
        assert_eq!(*topic::negotiated_name(&a, &b.public_key()), name, "{}", case.path());
        assert_eq!(*topic::negotiated_name(&b, &a.public_key()), name, "{}", case.path());
        if case.opt("sym_key_from_name").is_some() {
            let key = SymKey::from_password(&name);
            assert_eq!(key.as_bytes(), &case.array("sym_key_from_name"), "{}", case.path());
        }
    });
}

/// Asserts the topic of a name, and returns the name.
fn assert_topic(case: &Case<'_>) -> String {
    let utf8 = case.hex("name_utf8");
    let name = String::from_utf8(utf8).expect("names are UTF-8");
    assert_eq!(name, case.str("name"));
    assert_eq!(keccak256(name.as_bytes()), case.array("keccak256"), "{}", case.path());
    let topic = Topic::from_name(&name);
    assert_eq!(topic.0, case.array("topic"), "{}", case.path());
    let bloom = Bloom::from_topic(topic);
    assert_eq!(bloom.0, case.array("bloom"), "{}", case.path());
    assert_eq!(set_bits(&bloom), numbers(case.list("bloom_set_bits")), "{}", case.path());
    name
}

pub fn symkey(set: &mut Set) {
    set.one("kdf", |case| {
        assert_eq!(case.str("name"), "PBKDF2-HMAC-SHA256");
        assert_eq!(case.u64("iterations"), u64::from(key::PASSWORD_ROUNDS));
        assert_eq!((case.hex("salt").len(), case.u64("dk_len")), (0, 32));
    });
    set.one("key_id_kdf", |case| {
        assert_eq!(case.str("name"), "PBKDF2-HMAC-SHA256");
        assert_eq!(case.u64("iterations"), 4096);
        assert_eq!((case.hex("salt").len(), case.u64("dk_len")), (0, 32));
        case.skip("input");
    });
    set.each("cases", |case| {
        let password = String::from_utf8(case.hex("password_utf8")).expect("UTF-8");
        assert_eq!(password, case.str("password"));
        let key = SymKey::from_password(&password);
        assert_eq!(key.as_bytes(), &case.array("sym_key"), "{}", case.path());
        assert_eq!(keccak256(key.as_bytes()), case.array("sym_key_hash"));
    });
    set.each("key_pair_ids", |case| {
        let public = public_key(case, "public_key");
        assert_eq!(secret_key(case, "private_key").public_key(), public);
        assert_eq!(key::key_pair_id(&public), case.str("key_id"), "{}", case.path());
    });
}

pub fn bloom(set: &mut Set) {
    set.each("single_topic", |case| {
        let bloom = Bloom::from_topic(Topic(case.array("topic")));
        assert_eq!(bloom.0, case.array("bloom"), "{}", case.path());
        assert_eq!(set_bits(&bloom), numbers(case.list("set_bits")), "{}", case.path());
    });
    set.each("aggregate", |case| {
        let topics = case.list("topics").iter().map(|topic| array(topic, &case.path()));
        let bloom = Bloom::from_topics(topics.map(Topic));
        assert_eq!(bloom.0, case.array("bloom"), "{}", case.path());
        assert_eq!(bloom.set_bits().count() as u64, case.u64("set_bit_count"));
        assert_eq!(bloom.is_full(), case.bool("is_full_node"));
    });
    set.each("match", |case| {
        let filter = case.opt_hex("filter").map(|bytes| Bloom(bytes.try_into().unwrap()));
        let (topic, sample) = (Topic(case.array("topic")), Bloom(case.array("sample")));
        assert_eq!(Bloom::from_topic(topic), sample, "{}", case.path());
        let expected = case.bool("match");
        assert_eq!(filter.is_none_or(|filter| filter.contains(&sample)), expected);
        assert_eq!(filter.is_none_or(|filter| filter.matches(topic)), expected);
    });
    set.each("full_node", |case| {
        let bloom = case.opt_hex("bloom").unwrap_or_default();
        let bloom = (!bloom.is_empty()).then(|| Bloom(bloom.try_into().unwrap()));
        let status = Status { bloom, ..Status::default() };
        assert_eq!(status.is_full_node(), case.bool("full"), "{}", case.path());
        // Its wire form decodes to the same value.
        assert_eq!(Status::decode(&status.encode()).unwrap(), status);
    });
}

pub fn pow(set: &mut Set) {
    set.each("cases", |case| {
        assert_envelope(case);
    });
    set.one("ttl_zero", |case| {
        assert_envelope(case);
    });
    set.each("target_bits", |case| {
        let length = case.u64("data_len") as usize;
        assert_eq!(case.u64("size") as usize, length + 20);
        let bits = pow::target_bits(case.f64("pow"), length, case.u32("ttl"));
        assert_eq!(bits.map(u64::from), Ok(case.u64("target_bits")), "{}", case.path());
    });
    set.each("future_adjusted", |case| {
        let envelope = Envelope::decode(&case.hex("rlp")).unwrap();
        assert_eq!(envelope.ttl(), case.u32("ttl"));
        let diff = case.u32("diff");
        assert_bits(case, "pow_plain", envelope.pow(0));
        assert_bits(case, "pow_adjusted", envelope.pow(diff));
        // `diff` results from a clock that is `diff - 1` seconds behind, within the tolerance.
        if diff - 1 <= check::SYNC_ALLOWANCE {
            let now = envelope.sent().wrapping_sub(diff - 1);
            assert_eq!(future_diff(envelope.sent(), now), if diff == 1 { 0 } else { diff });
        }
    });
    set.each("sealed", |case| {
        let envelope = assert_envelope(case);
        let target = case.f64("pow_target");
        let length = envelope.data().len();
        let bits = pow::target_bits(target, length, envelope.ttl()).unwrap();
        assert_eq!(u64::from(bits), case.u64("target_bits"), "{}", case.path());
        assert_eq!(mine(&envelope, target), envelope, "{}", case.path());
        assert!(envelope.pow(0) >= target);
    });
}

/// Mines like a sender: the lowest nonce with the target's bits; nothing for target 0.
fn mine(envelope: &Envelope, target: f64) -> Envelope {
    if target == 0.0 {
        return envelope.with_nonce(0);
    }
    let bits = pow::target_bits(target, envelope.data().len(), envelope.ttl()).unwrap();
    match pow::mine(&envelope.rlp4(), bits, &pow::MineOptions::default()) {
        pow::MineResult::Found { nonce, .. } => envelope.with_nonce(nonce),
        stopped => panic!("nothing stops this search: {stopped:?}"),
    }
}

pub fn envelope_sym(set: &mut Set) {
    set.each("cases", |case| {
        let key = SymKey::from_bytes(case.array("sym_key")).expect("not all zeros");
        if let Some(password) = case.opt("password") {
            assert_eq!(SymKey::from_password(password.as_str().unwrap()), key, "{}", case.path());
        }
        let plaintext = assert_plaintext(case);
        let data = seal::encrypt_sym(&key, &plaintext, &case.array("salt"));
        let tag = &data[data.len() - 28..data.len() - 12];
        assert_eq!(tag, case.hex("gcm_tag"), "{}", case.path());
        let envelope = assert_sealed(case, &data);
        assert_opens(case, &envelope, Opener::Sym(&key));
    });
    set.each("parse_cases", |case| {
        let key = SymKey::from_bytes(case.array("sym_key")).expect("not all zeros");
        let envelope = Envelope::decode(&case.hex("envelope_rlp")).unwrap();
        let plaintext = case.hex("plaintext");
        assert_eq!(*seal::decrypt_sym(&key, envelope.data()).unwrap(), plaintext);
        let parsed = seal::open(&envelope, Opener::Sym(&key)).ok();
        assert_eq!(parsed.is_some(), case.bool("parses"), "{}", case.path());
        if let Some(message) = parsed {
            assert_eq!(message.payload, case.hex("payload"), "{}", case.path());
            assert_eq!(message.padding, case.hex("padding"), "{}", case.path());
            let signer =
                case.opt("signer_public_key").map(|_| public_key(case, "signer_public_key"));
            assert_eq!(message.signer().copied(), signer, "{}", case.path());
        }
    });
}

pub fn envelope_asym(set: &mut Set) {
    set.each("cases", |case| {
        let recipient = secret_key(case, "recipient_private_key");
        let public = public_key(case, "recipient_public_key");
        assert_eq!(recipient.public_key(), public);
        let plaintext = assert_plaintext(case);
        case.inner("ecies", |ecies_case| {
            let ephemeral = secret_key(ecies_case, "ephemeral_private_key");
            assert_eq!(ephemeral.public_key(), public_key(ecies_case, "ephemeral_public_key"));
            let shared = ephemeral.ecdh(&public);
            assert_eq!(shared.as_bytes(), &ecies_case.array("shared_secret"));
            assert_eq!(recipient.ecdh(&ephemeral.public_key()).as_bytes(), shared.as_bytes());
            let iv = ecies_case.array("iv");
            let data = ecies::encrypt_with(&public, &plaintext, &[], &ephemeral, &iv);
            assert!(data.ends_with(&ecies_case.hex("mac")), "{}", case.path());
            let envelope = assert_sealed(case, &data);
            assert_opens(case, &envelope, Opener::Asym(&recipient));
            assert!(seal::open(&envelope, Opener::Asym(&ephemeral)).is_err());
        });
    });
}

/// Builds the plaintext of a case from its parts, and asserts every member about it.
fn assert_plaintext(case: &Case<'_>) -> Vec<u8> {
    let payload = case.hex("payload");
    let padding = case.hex("padding");
    if let Some(text) = case.opt("payload_text") {
        assert_eq!(text.as_str().map(str::as_bytes), Some(&payload[..]), "{}", case.path());
    }
    assert_eq!(payload.len() as u64, case.u64("payload_len"));
    assert_eq!(padding.len() as u64, case.u64("padding_len"));

    let signer = case.opt("signer_private_key").map(|_| secret_key(case, "signer_private_key"));
    if let Some(signer) = &signer {
        assert_eq!(signer.public_key(), public_key(case, "signer_public_key"));
    }
    let plaintext = message::build(&payload, Padding::Custom(&padding), signer.as_ref()).unwrap();
    assert_eq!(plaintext.len() as u64, case.u64("plaintext_len"), "{}", case.path());
    assert_eq!(keccak256(&plaintext), case.array("plaintext_keccak256"), "{}", case.path());
    if let Some(expected) = case.opt_hex("plaintext") {
        assert_eq!(*plaintext, expected, "{}", case.path());
    }
    assert_eq!([plaintext[0]], *case.hex("flags"));
    let field = case.hex("payload_size_field");
    assert_eq!(plaintext[1..=field.len()], *field);

    let message = Message::parse(&plaintext).unwrap();
    match case.opt_hex("signature") {
        Some(signature) => {
            let signature = Signature::from_bytes(signature.try_into().unwrap());
            assert_eq!(message.signed.map(|(signature, _)| signature), Some(signature));
            let digest = case.array("signed_hash");
            assert_eq!(keccak256(&plaintext[..plaintext.len() - 65]), digest);
            assert_eq!(signature.recover(&digest).ok(), signer.map(|key| key.public_key()));
        }
        None => assert_eq!((message.signed, signer), (None, None)),
    }
    // Automatic padding has the reference's length.
    if !case.bool("custom_padding") {
        let mut rng = statuskit_core::crypto::seeded_rng("any");
        let signer = case.opt("signer_private_key").map(|_| secret_key(case, "signer_private_key"));
        let auto = message::build(&payload, Padding::Auto(&mut rng), signer.as_ref()).unwrap();
        assert_eq!(auto.len(), plaintext.len(), "{}", case.path());
    }
    plaintext.to_vec()
}

/// Asserts the envelope of a case against the data that was just encrypted.
fn assert_sealed(case: &Case<'_>, data: &[u8]) -> Envelope {
    let mut sealed = None;
    case.inner("envelope", |inner| sealed = Some(assert_envelope(inner)));
    let sealed = sealed.expect("set above");
    assert_eq!(sealed.data(), data, "{}", case.path());
    assert_eq!(sealed.sent(), UnixSeconds(case.u32("now")), "{}", case.path());
    assert_eq!(mine(&sealed, case.f64("pow_target")), sealed, "{}", case.path());
    sealed
}

fn assert_opens(case: &Case<'_>, envelope: &Envelope, opener: Opener<'_>) {
    let message = seal::open(envelope, opener).unwrap();
    assert_eq!(message.payload, case.hex("payload"), "{}", case.path());
    let recipient_takes_it = match opener {
        Opener::Sym(key) => Recipient::Sym(key),
        Opener::Asym(_) => return,
    };
    // A new seal for the same recipient opens, too.
    let draft = seal::Draft {
        topic: envelope.topic(),
        now: envelope.sent(),
        ttl: envelope.ttl(),
        payload: &message.payload,
        signer: None,
    };
    let again =
        seal::seal(&draft, recipient_takes_it, &mut statuskit_core::crypto::seeded_rng("any"));
    assert_eq!(seal::open(&again.unwrap(), opener).unwrap().payload, message.payload);
}

/// Asserts an envelope object, and that its fields encode to its bytes.
fn assert_envelope(case: &Case<'_>) -> Envelope {
    let raw = case.hex("rlp");
    let envelope = Envelope::decode(&raw).unwrap();
    assert_eq!(envelope.raw(), raw);
    let rebuilt = Envelope::new(
        UnixSeconds(case.u32("expiry")),
        case.u32("ttl"),
        Topic(case.array("topic")),
        envelope.data(),
        case.u64("nonce"),
    );
    assert_eq!(rebuilt, envelope, "{}", case.path());
    assert_eq!(envelope.hash().0, case.array("hash"), "{}", case.path());
    assert_eq!(envelope.data().len() as u64, case.u64("data_len"));
    assert_eq!(envelope.size() as u64, case.u64("size"));
    assert_eq!(envelope.raw().len() as u64, case.u64("rlp_len"));
    assert_eq!(envelope.rlp4_len() as u64, case.u64("rlp_without_nonce_len"));
    assert_eq!(u64::from(envelope.leading_zero_bits()), case.u64("leading_zero_bits"));
    assert_eq!(envelope.sent(), UnixSeconds(case.u32("sent")));
    assert_bits(case, "pow", envelope.pow(0));
    envelope
}

/// Asserts a float to the last bit, and the decimal beside it.
fn assert_bits(case: &Case<'_>, member: &str, value: f64) {
    let bits = case.array(&format!("{member}_float64_bits"));
    assert_eq!(value.to_bits(), u64::from_be_bytes(bits), "{}", case.path());
    assert_eq!(value, case.f64(member), "{}", case.path());
}

pub fn envelope_invalid(set: &mut Set) {
    set.each("checks", |case| {
        let mut checked = None;
        case.inner("envelope", |inner| checked = Some(assert_envelope(inner)));
        let envelope = checked.expect("set above");
        let bloom = |member| case.opt_hex(member).map(|bytes| Bloom(bytes.try_into().unwrap()));
        let rules = Rules {
            now: UnixSeconds(case.u32("now")),
            max_message_size: case.u32("max_message_size"),
            min_pow: case.f64("min_pow"),
            min_pow_tolerance: case.f64("min_pow_tolerance"),
            bloom: bloom("bloom_filter"),
            bloom_tolerance: bloom("bloom_filter_tolerance"),
            topics: None,
            topics_tolerance: None,
        };
        let pow = envelope.pow(future_diff(envelope.sent(), rules.now));
        assert_eq!(pow, case.f64("pow_used"), "{}", case.path());
        let verdict = check::verdict(&envelope, pow, &rules);
        assert_eq!(verdict.name(), case.str("class"), "{}", case.path());
        assert_eq!(verdict == Verdict::Accepted, case.bool("cached"), "{}", case.path());
        assert_eq!(verdict.is_error(), case.opt("error").is_some(), "{}", case.path());
        let first = check::checks(&envelope, pow, &rules).into_iter().find(|check| !check.pass);
        assert_eq!(first.map_or(Verdict::Accepted, |check| check.verdict), verdict);
        // `node.rs` asserts a node's answers.
        case.skip("packet");
    });
    set.one("envelope_error_codes", |case| {
        // The numbers differ between releases, and all mean "not accepted".
        case.skip("time_not_synced");
        case.skip("other");
    });
    set.each("malformed_packets", |case| {
        let decoded = Packet::decode(case.u64("code"), &case.hex("payload"));
        assert_eq!(decoded.is_ok(), case.bool("decodes"), "{}: {decoded:?}", case.path());
        // Some packets are read from trusted peers only.
        let ignored = case.u64("code") != code::MESSAGES && !case.bool("disconnects");
        assert!(decoded.is_err() == case.bool("disconnects") || ignored, "{}", case.path());
        assert_eq!(decoded.is_err(), case.opt("decode_error").is_some());
        for member in ["disconnect_error", "replies"] {
            case.skip(member);
        }
    });
    set.one("mixed_batch", |case| {
        let payload = case.hex("payload");
        assert_eq!(packet::batch_hash(&payload), case.array("batch_hash"));
        let Ok(Packet::Messages(envelopes)) = Packet::decode(code::MESSAGES, &payload) else {
            panic!("{}: not a list of envelopes", case.path());
        };
        let hashes: Vec<_> = envelopes.iter().map(|envelope| envelope.hash().0).collect();
        let expected = case.list("envelope_hashes").iter().map(|hash| array(hash, &case.path()));
        assert_eq!(hashes, expected.collect::<Vec<_>>());
        for member in
            ["now", "min_pow", "min_pow_tolerance", "disconnects", "disconnect_error", "replies"]
        {
            case.skip(member);
        }
    });
    set.each("oversize_packets", |case| {
        assert!(case.u64("payload_len") > case.u64("max_message_size"), "{}", case.path());
        for member in ["code", "disconnects", "disconnect_error"] {
            case.skip(member);
        }
    });
}

pub fn shh_packets(set: &mut Set) {
    set.one("capability", |case| {
        assert_eq!((case.str("name"), case.u64("version")), (packet::PROTOCOL, 6));
        assert_eq!(case.u64("length"), packet::PROTOCOL_LENGTH);
    });
    set.each("sent", |case| {
        let code = case.u64("code");
        let payload = case.hex("payload");
        let expected = sent_packet(case, code);
        let decoded = Packet::decode(code, &payload);
        assert_eq!(decoded.as_ref(), Ok(&expected), "{}", case.path());
        assert_eq!(expected.encode(), payload, "{}", case.path());
        assert_eq!(expected.code(), code);
    });
    // Here they are only decoded; `node.rs` asserts a node's behaviour.
    set.each("status_accept", |case| {
        let light = case.bool("local_light_mode");
        let accepted = case.bool("accepted");
        let status = Status::decode(&case.hex("payload"));
        let is_status = case.u64("code") == code::STATUS;
        let taken = is_status && status.as_ref().is_ok_and(|status| !(light && status.light));
        assert_eq!(taken, accepted, "{}: {status:?}", case.path());
        assert_eq!(!accepted, case.opt("error").is_some(), "{}", case.path());
        if accepted {
            case.inner("peer_state", |state| assert_state(state, &status.unwrap()));
        } else {
            assert!(case.opt("peer_state").is_none());
        }
    });
    for member in ["receive", "broadcast"] {
        let _ = set.take(member);
    }
}

/// Asserts a peer's requirements after its Status packet.
fn assert_state(state: &Case<'_>, status: &Status) {
    let bloom = status.bloom.map_or(Vec::new(), |bloom| bloom.0.to_vec());
    assert_eq!(bloom, state.hex("bloom"), "{}", state.path());
    assert_eq!(status.confirmations, state.bool("confirmations_enabled"), "{}", state.path());
    assert_eq!(status.is_full_node(), state.bool("full_node"), "{}", state.path());
    assert_eq!(status.min_pow, state.f64("pow_requirement"), "{}", state.path());
    assert_eq!(limits(state.get("rate_limits")), status.rate_limits, "{}", state.path());
    assert!(!state.bool("trusted"), "nobody is trusted for a Status packet");
}

/// Returns the packet that a case describes.
fn sent_packet(case: &Case<'_>, code: u64) -> Packet {
    let envelopes = |member| -> Vec<_> {
        let raw = case.list(member).iter().map(|value| bytes(value, &case.path()));
        raw.map(|raw| Envelope::decode(&raw).unwrap()).collect()
    };
    match code {
        code::STATUS => {
            let mut status = None;
            case.inner("fields", |fields| {
                status = Some(Status {
                    min_pow: fields.f64("pow"),
                    bloom: fields.opt_hex("bloom").map(|bytes| Bloom(bytes.try_into().unwrap())),
                    light: fields.bool("light"),
                    confirmations: fields.bool("confirmations"),
                    rate_limits: limits(fields.get("rate_limits")),
                    topics: None,
                });
            });
            Packet::Status(status.expect("set above"))
        }
        code::MESSAGES => Packet::Messages(envelopes("envelopes")),
        code::P2P_MESSAGE => Packet::P2pMessage(envelopes("envelopes")),
        code::POW_REQUIREMENT => Packet::PowRequirement(case.f64("pow")),
        code::BLOOM_FILTER => Packet::BloomFilter(Bloom(case.array("bloom"))),
        code::RATE_LIMITS => Packet::RateLimits(limits(case.get("rate_limits"))),
        code::BATCH_ACK => Packet::BatchAck(batch(case)),
        code::MESSAGE_RESPONSE => {
            let errors = case.list("errors").iter().map(|value| {
                let entry = Case::new(format!("{}.errors", case.path()), value);
                EnvelopeError {
                    hash: EnvelopeHash(entry.array("hash")),
                    code: entry.u64("code"),
                    description: entry.str("description").to_owned(),
                }
            });
            let errors = errors.collect();
            Packet::MessageResponse(ReadResponse::V1(MessageResponse {
                batch: batch(case),
                errors,
            }))
        }
        code::P2P_REQUEST => p2p_request(case, |_| Vec::new()),
        code::P2P_REQUEST_COMPLETE => {
            let inner = case.hex("inner");
            let complete = RequestComplete::decode(&inner).unwrap();
            assert_eq!(complete.encode(), inner, "{}", case.path());
            Packet::RequestComplete(complete)
        }
        code::P2P_SYNC_REQUEST => Packet::SyncRequest(SyncRequest {
            lower: UnixSeconds(case.u32("lower")),
            upper: UnixSeconds(case.u32("upper")),
            bloom: case.hex("bloom"),
            limit: case.u32("limit"),
            cursor: Cursor::from_bytes(&case.hex("cursor")),
        }),
        code::P2P_SYNC_RESPONSE => Packet::SyncResponse(SyncResponse {
            envelopes: envelopes("envelopes"),
            cursor: Cursor::from_bytes(&case.hex("cursor")),
            last: case.bool("final"),
            error: case.str("error").as_bytes().to_vec(),
        }),
        other => panic!("{}: no packet has code {other}", case.path()),
    }
}

/// Returns the batch hash of a confirmation, asserted if the batch is there.
fn batch(case: &Case<'_>) -> [u8; 32] {
    let hash = case.array("batch_hash");
    assert_eq!(packet::batch_hash(&case.hex("batch")), hash, "{}", case.path());
    hash
}

fn limits(value: &Value) -> RateLimits {
    let [ip, peer_id, topic] = [0, 1, 2].map(|i| value[i].as_u64().expect("a number"));
    RateLimits { ip, peer_id, topic }
}

fn secret_key(case: &Case<'_>, member: &str) -> SecretKey {
    SecretKey::from_bytes(&case.array(member)).expect("a private key")
}

fn public_key(case: &Case<'_>, member: &str) -> PublicKey {
    PublicKey::from_slice(&case.hex(member)).expect("a public key")
}

fn array<const N: usize>(value: &Value, path: &str) -> [u8; N] {
    bytes(value, path).try_into().expect("another length")
}

fn set_bits(bloom: &Bloom) -> Vec<u64> {
    bloom.set_bits().map(u64::from).collect()
}

fn numbers(values: &[Value]) -> Vec<u64> {
    values.iter().map(|value| value.as_u64().expect("a number")).collect()
}

/// Returns the request that a case describes: in an envelope, or plain, with its topics.
pub fn p2p_request(case: &Case<'_>, topics: impl FnOnce(&Case<'_>) -> Vec<Topic>) -> Packet {
    Packet::P2pRequest(match case.has("envelope") {
        true => P2pRequest::Envelope(Envelope::decode(&case.hex("envelope")).unwrap()),
        false => P2pRequest::Plain(MessagesRequest {
            id: case.hex("id"),
            from: UnixSeconds(case.u32("from")),
            to: UnixSeconds(case.u32("to")),
            limit: case.u32("limit"),
            cursor: Cursor::from_bytes(&case.hex("cursor")),
            bloom: case.hex("bloom"),
            topics: topics(case),
        }),
    })
}
