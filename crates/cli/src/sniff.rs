//! What bytes are that are not what a tool reads.

use statuskit_core::{
    crypto::PublicKey,
    envelope::Envelope,
    payload::{PayloadType, types::type_name},
    protobuf::{Fields, Value},
    rlp::Reader,
    sync::SyncPayload,
};

/// Whether bytes are a wrapper with nothing that is unknown, or data sync.
pub fn is_payload(bytes: &[u8]) -> bool {
    wrapper_type(bytes).is_some() || is_data_sync(bytes)
}

/// What bytes are, and what reads them, if they are no envelope.
pub fn other_than_envelope(bytes: &[u8]) -> Option<(String, &'static str)> {
    if is_old_envelope(bytes) {
        let what = "an envelope of Whisper v5 (it has a version and an AES nonce)";
        return Some((
            what.to_owned(),
            "Status clients of 2020 speak Whisper v6, whose envelopes have 5 fields",
        ));
    }
    if let Some(kind) = wrapper_type(bytes) {
        let what = format!("a payload ({})", type_name(kind));
        return Some((what, "status-payload decode; status-envelope seal makes an envelope of it"));
    }
    other(bytes)
}

/// What bytes are, and what reads them, if they are no payload.
pub fn other_than_payload(bytes: &[u8]) -> Option<(String, &'static str)> {
    if is_old_envelope(bytes) {
        return other_than_envelope(bytes);
    }
    if Envelope::decode(bytes).is_ok() {
        return Some((
            "an envelope".to_owned(),
            "status-envelope open --chat NAME, or another key",
        ));
    }
    other(bytes)
}

fn other(bytes: &[u8]) -> Option<(String, &'static str)> {
    if matches!(bytes.len(), 33 | 65) && PublicKey::from_slice(bytes).is_ok() {
        return Some(("a public key".to_owned(), "status-account show"));
    }
    if is_transit(bytes) {
        let what = "a message of Status clients before 2020 (transit JSON)";
        return Some((what.to_owned(), "clients of 2020 send protobuf payloads"));
    }
    None
}

/// The type of a wrapper that has only what the definition says.
fn wrapper_type(bytes: &[u8]) -> Option<i32> {
    let (mut kind, mut has_payload) = (0, false);
    for field in Fields::new(bytes) {
        let field = field.ok()?;
        match (field.number, field.value) {
            (1, Value::Bytes(signature)) if matches!(signature.len(), 0 | 65) => {}
            (2, Value::Bytes(_)) => has_payload = true,
            (3, Value::Varint(number)) => kind = i32::try_from(number).ok()?,
            _ => return None,
        }
    }
    (has_payload && PayloadType::from_number(kind).is_some()).then_some(kind)
}

fn is_data_sync(bytes: &[u8]) -> bool {
    SyncPayload::detect(bytes).is_some_and(|payload| payload.malformed == 0)
}

/// `[version, expiry, ttl, topic, AES nonce, data, nonce]`.
fn is_old_envelope(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    let Ok(mut fields) = reader.list("envelope") else { return false };
    let mut lengths = Vec::new();
    while !fields.is_empty() && lengths.len() < 8 {
        let Ok(field) = fields.string("field") else { return false };
        lengths.push(field.len());
    }
    matches!(lengths[..], [1, 4, 0..=4, 4, 12, _, _])
}

fn is_transit(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"[\"~#")
}

#[cfg(test)]
mod tests {
    use statuskit_core::time::UnixSeconds;

    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let envelope =
            Envelope::new(UnixSeconds(1_585_500_015), 15, Default::default(), &[1; 70], 3);
        assert_eq!(other_than_envelope(envelope.raw()), None);
        assert_eq!(other_than_payload(envelope.raw()).unwrap().0, "an envelope");
        let payload = [&[0x12, 2, 8, 1][..], &[0x18, 1]].concat();
        assert!(is_payload(&payload) && other_than_payload(&payload).is_none());
        assert_eq!(other_than_envelope(&payload).unwrap().0, "a payload (chat_message)");
        assert!(!is_payload(&payload[..3]) && !is_payload(&[0x18, 1]) && !is_payload(&[]));
        assert_eq!(
            other_than_envelope(b"[\"~#c4\",[1]]").unwrap().1,
            "clients of 2020 send protobuf payloads"
        );
        for bytes in [&b""[..], b"hello", &[0xc0], &[4; 65], &[0xf8, 1, 5]] {
            assert_eq!(other_than_envelope(bytes), None);
        }
    }
}
