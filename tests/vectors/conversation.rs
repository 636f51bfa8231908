//! The conversations of `double_ratchet`, with our code as every device.
//!
//! Random values come from the vectors. Everything else must match the reference: each payload,
//! state, count and refusal.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use prost::Message as _;
use serde_json::Value;
use statuskit_core::{
    account::InstallationId,
    crypto::{PublicKey, SecretKey, seeded_rng},
    secure::{
        CompressedKey, Confirmation, Decrypted, Device, KeyPair, MemoryStore, SessionId,
        SessionState, Timestamp,
        device::PREKEY_LIFETIME,
        proto,
        ratchet::RatchetKey,
        x3dh::{self, SharedKey},
    },
};

use crate::{
    account::plain_hex,
    case::{Case, is_foreign},
    secure::{Script, assert_message, compressed, public, secret, sent_at},
};

/// One device of a conversation.
struct Player {
    device: Device<MemoryStore>,
    user: String,
    secret: SecretKey,
    key: PublicKey,
    /// Private keys of its future prekeys, by public key.
    pre_keys: BTreeMap<String, SecretKey>,
    /// The sessions after the last event, by the vectors' session ID.
    states: BTreeMap<(CompressedKey, String), SessionState>,
    /// Decrypted payloads, by message.
    read: BTreeMap<u64, Confirmation>,
}

struct Sent {
    from: String,
    wire: Vec<u8>,
}

struct Conversation {
    players: BTreeMap<String, Player>,
    sent: BTreeMap<u64, Sent>,
    /// The key agreements of all sessions, by bundle ID and the initiator's installation.
    shared: BTreeMap<(CompressedKey, String), SharedKey>,
}

pub fn play(case: &Case<'_>) {
    let mut conversation =
        Conversation { players: BTreeMap::new(), sent: BTreeMap::new(), shared: BTreeMap::new() };
    for value in case.list("devices") {
        let inner = Case::new(format!("{}.devices", case.path()), value);
        let name = inner.str("name").to_owned();
        conversation.players.insert(name, player(&inner));
        inner.skip("final_sessions");
        inner.finish();
    }
    for (index, value) in case.list("events").iter().enumerate() {
        let inner = Case::new(format!("{}.events[{index}]", case.path()), value);
        match inner.str("type") {
            "send" => conversation.send(&inner),
            "deliver" => conversation.deliver(&inner),
            "confirm_processed" => conversation.confirm(&inner),
            "pair_enable" => conversation.pair(&inner),
            "note" => inner.skip("text"),
            other => panic!("{inner}: {other}"),
        }
        inner.finish();
    }
    for value in case.list("devices") {
        let player = conversation.players.get_mut(value["name"].as_str().unwrap()).unwrap();
        final_sessions(player, value["final_sessions"].as_array().unwrap(), &conversation.shared);
    }
}

fn player(case: &Case<'_>) -> Player {
    let secret_key = secret(case, "identity_private");
    let key = secret_key.public_key();
    assert_eq!(key.to_string(), case.str("identity_public"), "{case}");
    let id = case.str("installation_id");
    let mut pre_keys = BTreeMap::new();
    for value in case.list("pre_keys") {
        let pre_key = Case::new(format!("{case}.pre_keys"), value);
        let private = secret(&pre_key, "private");
        assert_eq!(private.public_key(), public(&pre_key, "public"), "{case}");
        assert_eq!(pre_key.str("installation_id"), id, "{case}");
        // The bundles prove these versions.
        assert!(pre_key.u32("version") >= 1);
        pre_keys.insert(pre_key.str("public").to_owned(), private);
        pre_key.finish();
    }
    let (store, id) = (MemoryStore::new(), Some(InstallationId::new(id)));
    let device = Device::open(store, secret_key.clone(), id, &mut seeded_rng("")).unwrap();
    Player {
        device,
        user: case.str("user").to_owned(),
        secret: secret_key,
        key,
        pre_keys,
        states: BTreeMap::new(),
        read: BTreeMap::new(),
    }
}

impl Conversation {
    fn player(&mut self, name: &str) -> &mut Player {
        self.players.get_mut(name).unwrap()
    }

    fn send(&mut self, case: &Case<'_>) {
        let at = case.path();
        let from = case.str("from").to_owned();
        let (wire, plaintext) = (plain_hex(case, "wire"), plain_hex(case, "plaintext"));
        let parts = case.opt("parts").map_or(&[][..], |parts| parts.as_array().unwrap());
        // In our order; a map has none.
        let mut parts = parts.to_vec();
        parts.sort_by_key(|part| part["installation_id"].as_str().map(str::to_owned));
        let parts = &parts[..];
        let recipient = case
            .opt("to")
            .and_then(Value::as_str)
            .map(|user| self.players.values().find(|player| player.user == user).unwrap().key);
        self.agreements(&from, recipient, parts);
        let now = sent_at(&wire);

        let player = self.player(&from);
        let mut script = Script::default();
        for value in parts {
            player.catch_up(recipient.as_ref(), value, now);
            player.draws_of_part(value, &wire, &mut script);
        }
        // A new prekey replaces an expired one.
        let known = script.len();
        player.draws_of_bundle(&wire, &mut script);
        if script.len() > known && !player.device.prekeys().unwrap().is_empty() {
            player.device.set_prekey_lifetime(Duration::ZERO);
        }
        let (device, rng) = (&mut player.device, &mut script);
        let sent = match (case.str("kind"), recipient.as_ref()) {
            ("contact_code", None) => device.contact_code(now, rng),
            ("direct", Some(to)) => device.encrypt_to(to, &plaintext, now, rng),
            ("bundle_advertise", Some(to)) => {
                assert_eq!(plaintext, b"", "{at}");
                device.advertise_to(to, now, rng)
            }
            ("pair_installation_style", Some(to)) => {
                assert_eq!(*to, player.key, "{at}");
                device.encrypt_for_pairing(&plaintext, now, rng)
            }
            (kind, _) => panic!("{at}: {kind}"),
        };
        let sent = sent.unwrap();
        script.finish(&at);
        player.device.set_prekey_lifetime(PREKEY_LIFETIME);

        assert_message(sent.message.raw(), &wire, &at);
        for value in parts {
            assert_part(&Case::new(format!("{at}.parts"), value), sent.message.fields());
        }
        let headers = sent
            .device_messages
            .iter()
            .map(|it| (it.session.installation.as_str(), it.header.n, it.x3dh_key.is_some()));
        let headers: Vec<_> = headers.collect();
        let expected = parts.iter().filter(|part| part.get("dr_n").is_some()).map(|part| {
            let n = part["dr_n"].as_u64().unwrap() as u32;
            (part["installation_id"].as_str().unwrap(), n, part.get("x3dh_key").is_some())
        });
        assert_eq!(headers, expected.collect::<Vec<_>>(), "{at}");
        let agreed = sent.secret.filter(|_| sent.agreed).map(|z| hex::encode(z.as_bytes()));
        let expected = case.opt("negotiated_secret_agreed").and_then(Value::as_str);
        assert_eq!(agreed.as_deref(), expected, "{at}");
        player.assert_states(case.opt("sender_state"), &at);
        self.sent.insert(case.u64("message"), Sent { from, wire });
    }

    /// Asserts the key agreements of a message, on both sides.
    fn agreements(&mut self, from: &str, recipient: Option<PublicKey>, parts: &[Value]) {
        let Some(recipient) = recipient else { return };
        let sender = &self.players[from];
        for value in parts.iter().filter(|part| part.get("x3dh_key").is_some()) {
            let part = Case::new(from.to_owned(), value);
            let ephemeral = secret(&part, "x3dh_key_private");
            let bundle = compressed(&part, "x3dh_id");
            let pre_key = bundle.point().unwrap();
            let shared = x3dh::initiate(&sender.secret, &ephemeral, &recipient, &pre_key);
            let hex = hex::encode(bundle.as_bytes());
            let other = self.players.values().find(|player| player.pre_keys.contains_key(&hex));
            let other = other.unwrap();
            let (own, theirs) = (&other.pre_keys[&hex], ephemeral.public_key());
            let theirs = x3dh::respond(&other.secret, own, &sender.key, &theirs);
            assert_eq!(shared.as_bytes(), theirs.as_bytes());
            let initiator = sender.device.installation().to_string();
            self.shared.insert((bundle, initiator), shared);
        }
    }

    fn deliver(&mut self, case: &Case<'_>) {
        let at = case.path();
        let Sent { from, wire } = &self.sent[&case.u64("message")];
        let (sender, wire) = (self.players[from].key, wire.clone());
        let player = self.player(case.str("to"));
        let mut script = Script::default();
        player.draws_of_states(case.opt("receiver_state"), &mut script);
        let Decrypted { learned, content, installation, .. } =
            player.device.decrypt(&sender, &wire, &mut script).unwrap();
        script.finish(&at);
        assert!(!installation.as_str().is_empty());

        let learned = learned.iter().map(|new| {
            let identity = new.identity.point().unwrap().to_string();
            (identity, new.id.to_string(), u64::from(new.protocol_version))
        });
        let expected = case
            .opt("new_installations")
            .map_or(&[][..], |list| list.as_array().unwrap().as_slice());
        let expected = expected.iter().map(|value| {
            let new = Case::new(format!("{at}.new_installations"), value);
            let (identity, id) = (new.str("identity"), new.str("installation_id"));
            let result = (identity.to_owned(), id.to_owned(), new.u64("version"));
            new.finish();
            result
        });
        let learned: BTreeSet<_> = learned.collect();
        assert_eq!(learned, expected.collect::<BTreeSet<_>>(), "{at}");

        let secret = case.opt("negotiated_secret").and_then(Value::as_str);
        let plaintext = case.opt("plaintext").map(|_| plain_hex(case, "plaintext"));
        match content {
            Ok(content) => {
                assert_eq!(Some(content.plaintext), plaintext, "{at}");
                assert!(case.opt("error").is_none(), "{at}");
                let ours = content.secret.map(|secret| hex::encode(secret.as_bytes()));
                assert_eq!(ours.as_deref(), secret, "{at}");
                if let Some(confirmation) = content.confirmation {
                    player.read.insert(case.u64("message"), confirmation);
                }
            }
            Err(refusal) => {
                assert_eq!((plaintext, secret), (None, None), "{at}: {refusal}");
                let expected = match case.str("error") {
                    "no payload" => "secure.no_payload",
                    "device not found" => "secure.device_not_found",
                    error if error.contains("not paired device") => "secure.not_paired",
                    error if error.contains("session not found") => "secure.no_session",
                    error if error.contains("too many messages") => "ratchet.too_many_messages",
                    error if error.contains("bad until") => "ratchet.old_message",
                    // Only the failure is checked.
                    _ if is_foreign() => refusal.code(),
                    error => panic!("{at}: a reason that is not known here: {error}"),
                };
                assert_eq!(refusal.code(), expected, "{at}");
            }
        }
        player.assert_states(case.opt("receiver_state"), &at);
        assert_eq!(player.kept(), case.u64("receiver_stored_message_keys"), "{at}");
    }

    fn confirm(&mut self, case: &Case<'_>) {
        let player = self.player(case.str("device"));
        let confirmation = player.read[&case.u64("message")].clone();
        let removed = player.device.confirm(&confirmation).unwrap();
        assert_eq!(removed, case.opt("error").is_none(), "{case}");
        assert_eq!(player.kept(), case.u64("stored_message_keys"), "{case}");
        player.remember();
    }

    fn pair(&mut self, case: &Case<'_>) {
        let at = case.path();
        let encoded = plain_hex(case, "bundle");
        let bundle = proto::Bundle::decode(&*encoded).unwrap();
        let other = case.str("other_installation");
        let maker = self.players.values_mut();
        let maker = maker.into_iter().find(|player| player.device.installation().as_str() == other);
        let maker = maker.unwrap();
        let mut script = Script::default();
        maker.draws_of_own_bundle(&bundle, &mut script);
        let made = maker.device.bundle(Timestamp(bundle.timestamp), &mut script).unwrap();
        script.finish(&at);
        assert_eq!(made, bundle, "{at}");
        let key = maker.key;
        let device = &mut self.player(case.str("device")).device;
        let learned = device.learn(&bundle).unwrap();
        assert!(learned.iter().all(|new| !new.enabled), "{at}: own ones wait for the user");
        assert!(device.set_enabled(&key, &InstallationId::new(other), true).unwrap(), "{at}");
    }
}

impl Player {
    /// Sends messages that the vectors leave out, without delivering them.
    fn catch_up(&mut self, to: Option<&PublicKey>, part: &Value, now: Timestamp) {
        let Some(n) = part.get("dr_n").and_then(Value::as_u64) else { return };
        let id = self.session_of(part);
        while let Some(state) = self.states.get(&id)
            && u64::from(state.ratchet.sending().n()) < n
            && hex::encode(state.ratchet.pair().public().as_bytes())
                == part["dr_key"].as_str().unwrap()
        {
            self.device.encrypt_to(to.unwrap(), b"", now, &mut Script::default()).unwrap();
            self.remember();
        }
    }

    fn session_of(&self, part: &Value) -> (CompressedKey, String) {
        let bundle = hex::decode(part["dr_id"].as_str().unwrap()).unwrap();
        let installation = part["installation_id"].as_str().unwrap().to_owned();
        (CompressedKey::from_slice(&bundle).unwrap(), installation)
    }

    /// Supplies the ephemeral key and ratchet pair of a new session, and the key and nonce of a part
    /// encrypted to the identity.
    fn draws_of_part(&self, value: &Value, wire: &[u8], script: &mut Script) {
        let part = Case::new("part".to_owned(), value);
        if part.has("dh_key") {
            script.push(plain_hex(&part, "dh_key_private"));
            let message = proto::ProtocolMessage::decode(wire).unwrap();
            let payload = &message.direct_message["none"].payload;
            script.push(payload[payload.len() - 12..].to_vec());
        } else if !self.states.contains_key(&self.session_of(value)) {
            script.push(plain_hex(&part, "x3dh_key_private"));
            script.push(plain_hex(&part, "dr_key_private"));
        }
    }

    fn draws_of_bundle(&self, wire: &[u8], script: &mut Script) {
        let message = proto::ProtocolMessage::decode(wire).unwrap();
        self.draws_of_own_bundle(&message.bundles[0], script);
    }

    /// Supplies a prekey that appears in this bundle first.
    fn draws_of_own_bundle(&self, bundle: &proto::Bundle, script: &mut Script) {
        let own = &bundle.signed_pre_keys[self.device.installation().as_str()].signed_pre_key;
        let known = self.device.prekeys().unwrap();
        if known.iter().all(|known| known.pair.public().as_bytes() != own.as_slice()) {
            script.push(self.pre_keys[&hex::encode(own)].to_bytes().to_vec());
        }
    }

    /// Supplies the new pair when a session's ratchet turns.
    fn draws_of_states(&self, states: Option<&Value>, script: &mut Script) {
        for value in states.map_or(&[][..], |states| states.as_array().unwrap()) {
            let state = Case::new("state".to_owned(), value);
            let own = state.str("own_ratchet_key");
            let before = self.states.get(&session_id(&state));
            let before = before.map(|state| hex::encode(state.ratchet.pair().public().as_bytes()));
            if before.as_deref() != Some(own) {
                script.push(plain_hex(&state, "own_ratchet_private"));
            }
        }
    }

    fn remember(&mut self) {
        let sessions = self.device.sessions().unwrap().into_iter();
        let id = |state: &SessionState| (state.id.bundle, state.id.installation.to_string());
        self.states = sessions.map(|state| (id(&state), state)).collect();
    }

    /// Asserts the state of the listed sessions, and that the others have not changed.
    fn assert_states(&mut self, states: Option<&Value>, at: &str) {
        let before = std::mem::take(&mut self.states);
        self.remember();
        let mut changed = BTreeSet::new();
        for value in states.map_or(&[][..], |states| states.as_array().unwrap()) {
            let case = Case::new(format!("{at}.state"), value);
            let id = session_id(&case);
            assert_state(&case, &self.states[&id]);
            changed.insert(id);
            case.finish();
        }
        for (id, state) in &self.states {
            if !changed.contains(id) {
                let before = before.get(id).unwrap_or_else(|| panic!("{at}: {id:?} is new"));
                assert_eq!(numbers(before), numbers(state), "{at}: {id:?}");
            }
        }
    }

    fn kept(&self) -> u64 {
        let sessions = self.device.sessions().unwrap();
        sessions.iter().map(|session| u64::from(session.stored_keys.count())).sum()
    }
}

/// The observable state of a session.
fn numbers(state: &SessionState) -> (RatchetKey, u32, u32, u64, [u8; 32]) {
    let ratchet = &state.ratchet;
    let root = *ratchet.root_key().as_bytes();
    let (sent, received) = (ratchet.sending().n(), ratchet.receiving().n());
    (ratchet.pair().public(), sent, received, ratchet.keys_count(), root)
}

fn session_id(case: &Case<'_>) -> (CompressedKey, String) {
    let bytes = plain_hex(case, "session_id");
    let (bundle, installation) = bytes.split_at(33);
    let installation = String::from_utf8(installation.to_vec()).unwrap();
    (CompressedKey::from_slice(bundle).unwrap(), installation)
}

fn assert_state(case: &Case<'_>, state: &SessionState) {
    let ratchet = &state.ratchet;
    assert_eq!(ratchet.remote_key(), compressed(case, "remote_ratchet_key").into(), "{case}");
    assert_eq!(ratchet.pair().public(), compressed(case, "own_ratchet_key").into(), "{case}");
    let pair = KeyPair::from(secret(case, "own_ratchet_private"));
    assert_eq!(*ratchet.pair(), pair.into(), "{case}");
    for (key, member) in [
        (ratchet.root_key().as_bytes(), "root_key"),
        (ratchet.sending().key().as_bytes(), "send_chain_key"),
        (ratchet.receiving().key().as_bytes(), "recv_chain_key"),
    ] {
        assert_eq!(hex::encode(key), case.str(member), "{case}.{member}");
    }
    assert_eq!(ratchet.sending().n(), case.u32("send_n"), "{case}");
    assert_eq!(ratchet.receiving().n(), case.u32("recv_n"), "{case}");
    assert_eq!(ratchet.previous_length(), case.u32("pn"), "{case}");
    assert_eq!(ratchet.keys_count(), case.u64("keys_count"), "{case}");
}

/// Asserts that the public and private members of a part match, and are in the message.
fn assert_part(case: &Case<'_>, message: &proto::ProtocolMessage) {
    let part = &message.direct_message[case.str("installation_id")];
    let pair = |member: &str| {
        let key = compressed(case, member);
        let private = case.opt(&format!("{member}_private")).and_then(Value::as_str);
        if let Some(private) = private.filter(|text| !text.is_empty()) {
            assert_eq!(
                KeyPair::from(private.parse::<SecretKey>().unwrap()).public(),
                key,
                "{case}"
            );
        }
        key.as_bytes().to_vec()
    };
    if let Some(header) = &part.x3dh_header {
        assert_eq!(header.key, pair("x3dh_key"), "{case}");
        assert_eq!(header.id, plain_hex(case, "x3dh_id"), "{case}");
    }
    if let Some(header) = &part.dr_header {
        assert_eq!(header.key, pair("dr_key"), "{case}");
        assert_eq!(header.id, plain_hex(case, "dr_id"), "{case}");
        assert_eq!((header.n, header.pn), (case.u32("dr_n"), case.u32("dr_pn")), "{case}");
    }
    if let Some(header) = &part.dh_header {
        assert_eq!(header.key, pair("dh_key"), "{case}");
    }
}

/// Asserts the final sessions, and the key agreements that started them.
fn final_sessions(
    player: &mut Player,
    expected: &[Value],
    shared: &BTreeMap<(CompressedKey, String), SharedKey>,
) {
    let sessions = player.device.sessions().unwrap();
    assert_eq!(sessions.len(), expected.len());
    for value in expected {
        let case = Case::new(format!("{:?}.final_sessions", player.device), value);
        let id = SessionId {
            identity: compressed(&case, "their_identity"),
            bundle: compressed(&case, "bundle_id"),
            installation: InstallationId::new(case.str("their_installation_id")),
        };
        let session = player.device.session(&id).unwrap().unwrap_or_else(|| panic!("{case}"));
        assert_eq!(session.is_responder, case.bool("bundle_is_ours"), "{case}");
        assert_eq!(player.device.in_use(&id).unwrap(), !case.bool("bundle_expired"), "{case}");
        let pending = session.x3dh_key.map(|key| hex::encode(key.as_bytes()));
        let expected = case.opt("pending_x3dh_ephemeral").and_then(Value::as_str);
        assert_eq!(pending.as_deref(), expected, "{case}");
        let own = player.device.installation();
        let initiator = if session.is_responder { &id.installation } else { own };
        let shared = &shared[&(id.bundle, initiator.to_string())];
        assert_eq!(hex::encode(shared.as_bytes()), case.str("shared_key"), "{case}");
        case.finish();
    }
}
