//! The records of bundles, protocol messages and sessions.

use serde_json::{Value, json};
use statuskit_core::secure::{ProtocolMessage, SessionId, SessionState, proto};

use crate::output::{Record, hex0x};

/// Makes the record of a bundle, without checking it.
pub fn bundle_record(bundle: &proto::Bundle, raw: &[u8]) -> Record {
    Record::new("bundle")
        .with("identity", hex0x(&bundle.identity))
        .with("timestamp", bundle.timestamp.to_string())
        .with("pre_keys", pre_keys(bundle))
        .with("signature", hex0x(&bundle.signature))
        .with_raw(raw)
}

fn pre_keys(bundle: &proto::Bundle) -> Vec<Value> {
    let entry = |(id, pre_key): (&String, &proto::SignedPreKey)| {
        json!({
            "installation": id,
            "signed_pre_key": hex0x(&pre_key.signed_pre_key),
            "version": pre_key.version,
            "protocol_version": pre_key.protocol_version,
        })
    };
    bundle.signed_pre_keys.iter().map(entry).collect()
}

/// Makes the record of a protocol message.
pub fn message_record(message: &ProtocolMessage) -> Record {
    let fields = message.fields();
    let bundles: Vec<_> = fields
        .bundles
        .iter()
        .map(|bundle| {
            json!({
                "identity": hex0x(&bundle.identity),
                "timestamp": bundle.timestamp.to_string(),
                "pre_keys": pre_keys(bundle),
            })
        })
        .collect();
    let direct: Vec<_> =
        fields.direct_message.iter().map(|(id, message)| device_message(id, message)).collect();
    Record::new("protocol_message")
        .with("installation_id", fields.installation_id.as_str())
        .with("bundles", bundles)
        .with("direct_message", direct)
        .with("public_message", hex0x(&fields.public_message))
        .with_raw(message.raw())
}

fn device_message(id: &str, message: &proto::DirectMessage) -> Value {
    let mut value = json!({ "installation": id, "size": message.payload.len() });
    if let Some(header) = &message.x3dh_header {
        value["x3dh"] = json!({ "key": hex0x(&header.key), "bundle": hex0x(&header.id) });
    }
    if let Some(header) = &message.dr_header {
        value["ratchet"] = json!({
            "key": hex0x(&header.key),
            "n": header.n,
            "pn": header.pn,
            "bundle": hex0x(&header.id),
        });
    }
    if let Some(header) = &message.dh_header {
        value["dh"] = json!({ "key": hex0x(&header.key) });
    }
    value
}

/// Makes the JSON of a session id.
pub fn session_id(id: &SessionId) -> Value {
    json!({
        "identity": id.identity.to_string(),
        "installation": id.installation.as_str(),
        "bundle": id.bundle.to_string(),
    })
}

/// Makes the JSON of a session state, with its secret keys if `subtle`.
pub fn state_value(state: &SessionState, subtle: bool) -> Value {
    let ratchet = &state.ratchet;
    let mut value = json!({
        "own_key": ratchet.pair().public().to_string(),
        "remote_key": ratchet.remote_key().to_string(),
        "send_n": ratchet.sending().n(),
        "receive_n": ratchet.receiving().n(),
        "pn": ratchet.previous_length(),
        "keys_count": ratchet.keys_count(),
        "kept": state.stored_keys.count(),
        "ours": state.is_responder,
        "x3dh_key": state.x3dh_key.map(|key| key.to_string()),
    });
    if subtle {
        value["own_private_key"] = hex0x(*ratchet.pair().secret().to_bytes()).into();
        value["root_key"] = hex0x(ratchet.root_key().as_bytes()).into();
        value["send_chain_key"] = hex0x(ratchet.sending().key().as_bytes()).into();
        value["receive_chain_key"] = hex0x(ratchet.receiving().key().as_bytes()).into();
    }
    value
}

/// Makes the record of a session.
pub fn session_record(state: &SessionState, in_use: bool, subtle: bool) -> Record {
    Record::new("session")
        .with("session", session_id(&state.id))
        .with("in_use", in_use)
        .with("state", state_value(state, subtle))
}
