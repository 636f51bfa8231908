//! Takes texts and keys out of records and bytes, and keeps their form.
//!
//! Letters become `x`, digits `0`; lengths, punctuation and controls stay, so a text breaks where it
//! broke before. Bytes and hex become others of the same length, the same ones for the same value, so
//! one author stays one author. Names of types, codes, numbers and times stay.

use std::collections::HashSet;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use statuskit_core::{
    payload::types::TYPES,
    protobuf::{FieldType, MessageDef},
};

use crate::{
    layer::Field,
    peel::{Inspection, Options, inspect},
};

/// What can't be promised. Tools print it.
pub const LIMITS: [&str; 4] = [
    "ciphertext stays unless it is asked for: whoever has the key, or guesses the name of a public \
     chat, still reads it",
    "keys and texts in a form that is not known, such as inside a name of a member, may stay",
    "lengths, times, counts and proof of work stay, and may tell who wrote and when",
    "signatures no longer hold, and hashes no longer fit",
];

/// How a value is redacted.
#[derive(Debug)]
pub struct Redactor {
    /// Ties the stand-ins of this run together. Nobody can find a value by trying without it.
    key: [u8; 32],
    takes_ciphertext: bool,
    /// The members that are enumerations, with the names of their values.
    constants: HashSet<(&'static str, &'static str)>,
}

/// Bytes that were redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redacted {
    /// The bytes, as many as before.
    pub bytes: Vec<u8>,
    /// What they were. `None` if unknown.
    pub kind: Option<String>,
    /// Whether they still are of that kind.
    pub is_readable: bool,
}

/// Members that are kept as they are.
const KEPT: [&str; 10] = [
    "type",
    "kind",
    "code",
    "certainty",
    "rule",
    "why",
    "layer",
    "field",
    "incidental",
    "severity",
];

/// Kinds that are nothing without a key.
const CIPHERTEXT: [&str; 8] = [
    "whisper.envelope",
    "shh.messages",
    "shh.p2p_message",
    "waku.messages",
    "waku.p2p_message",
    "rlpx.auth",
    "rlpx.ack",
    "rlpx.frame",
];

/// How often bytes are tried until they can be read again: half of all random bytes are no point.
const TRIES: u32 = 32;

impl Redactor {
    /// Makes one. `key` is random, and forgotten. Ciphertext is kept unless it is taken as well.
    pub fn new(key: [u8; 32], takes_ciphertext: bool) -> Self {
        let mut constants = HashSet::new();
        for def in TYPES.iter().filter_map(|it| it.message) {
            collect_constants(def, 0, &mut constants);
        }
        Self { key, takes_ciphertext, constants }
    }

    /// Redacts a record.
    pub fn record(&self, members: &Map<String, Value>) -> Map<String, Value> {
        self.object(members)
    }

    fn object(&self, members: &Map<String, Value>) -> Map<String, Value> {
        // The name of a field of a layer, in an inspection.
        let is_field = members.contains_key("offset") && members.contains_key("length");
        let field = members.get("name").and_then(Value::as_str).filter(|_| is_field);
        let redacted = members.iter().map(|(name, value)| {
            let is_kept = value.as_str().is_some_and(|text| {
                let member = if name == "value" { field.unwrap_or(name) } else { name };
                KEPT.contains(&name.as_str())
                    || is_field && name == "name"
                    || self.constants.contains(&(member, text))
            });
            (name.clone(), if is_kept { value.clone() } else { self.value(value) })
        });
        redacted.collect()
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Array(items) => items.iter().map(|it| self.value(it)).collect(),
            Value::Object(members) => self.object(members).into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// Redacts a text: hex as bytes, all else letter by letter.
    pub fn text(&self, text: &str) -> String {
        let bytes = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
        match bytes {
            Some(bytes) => format!("0x{}", hex::encode(self.bytes(&bytes).bytes)),
            None => blank(text),
        }
    }

    /// Redacts bytes: what can be read is put together again with redacted fields.
    pub fn bytes(&self, bytes: &[u8]) -> Redacted {
        let Ok(inspection) = inspect(bytes, &Options::default()) else {
            return Redacted { bytes: self.replace(bytes, 0), kind: None, is_readable: false };
        };
        let kind = Some(inspection.kind().to_owned());
        if is_text(bytes) {
            // A link, a key, JSON: what is in it can be anywhere.
            return Redacted { bytes: self.replace(bytes, 0), kind, is_readable: false };
        }
        if !self.takes_ciphertext && CIPHERTEXT.contains(&inspection.kind()) {
            return Redacted { bytes: bytes.to_vec(), kind, is_readable: true };
        }
        let mut redacted = Vec::new();
        for attempt in 0..TRIES {
            redacted = self.fields(&inspection, attempt);
            let again = inspect(&redacted, &Options::default());
            if again.is_ok_and(|it| it.kind() == inspection.kind()) {
                return Redacted { bytes: redacted, kind, is_readable: true };
            }
        }
        Redacted { bytes: redacted, kind, is_readable: false }
    }

    fn fields(&self, inspection: &Inspection, attempt: u32) -> Vec<u8> {
        let mut bytes = inspection.buffers[0].bytes.clone();
        // A layer inside a field says more about it than the field: the innermost are the last.
        let mut done = vec![false; bytes.len()];
        for layer in inspection.layers.iter().rev().filter(|it| it.buffer == 0) {
            for field in &layer.fields {
                self.field(field, &mut bytes, &mut done, attempt);
            }
        }
        bytes
    }

    fn field(&self, field: &Field, bytes: &mut [u8], done: &mut [bool], attempt: u32) {
        let range = field.offset..field.offset + field.length;
        if !field.fields.is_empty() {
            for inner in &field.fields {
                self.field(inner, bytes, done, attempt);
            }
            done[range].fill(true);
            return;
        }
        let old = &bytes[range.clone()];
        let content = match &field.value {
            // The content is what is left behind the header of the field.
            Value::String(value) => match value.strip_prefix("0x").map(hex::decode) {
                Some(Ok(content)) if old.ends_with(&content) => content.len(),
                _ if old.ends_with(value.as_bytes()) => value.len(),
                // The name of a number, or a text that is shown in another way.
                _ if is_text(old) => old.len(),
                _ => 0,
            },
            Value::Array(_) | Value::Object(_) => old.len(),
            _ if is_text(old) || field.name == "unread" => old.len(),
            // Numbers, and lengths of lists.
            _ => 0,
        };
        let start = range.end - content;
        let new = self.replace(&bytes[start..range.end], attempt);
        for (at, byte) in (start..range.end).zip(new) {
            if !done[at] {
                bytes[at] = byte;
            }
        }
        done[range].fill(true);
    }

    /// Returns other bytes of the same length: of a text one of the same form.
    fn replace(&self, bytes: &[u8], attempt: u32) -> Vec<u8> {
        match std::str::from_utf8(bytes) {
            Ok(text) if is_text(bytes) => blank(text).into_bytes(),
            _ => self.stand_in(bytes, attempt),
        }
    }

    /// Returns other bytes of the same length, the same for the same value. What tells the form of a
    /// key or a signature stays: the first byte of a point, the last of a signature.
    fn stand_in(&self, bytes: &[u8], attempt: u32) -> Vec<u8> {
        let mut seed = Sha256::new();
        seed.update(self.key);
        seed.update(attempt.to_be_bytes());
        seed.update(bytes);
        let seed = seed.finalize();
        let mut out = Vec::with_capacity(bytes.len());
        for counter in 0_u32.. {
            if out.len() >= bytes.len() {
                break;
            }
            let block = Sha256::new().chain_update(seed).chain_update(counter.to_be_bytes());
            out.extend_from_slice(&block.finalize());
        }
        out.truncate(bytes.len());
        match bytes {
            [first @ (2 | 3), ..] if bytes.len() == 33 => out[0] = *first,
            [first @ 4, ..] if bytes.len() == 65 => out[0] = *first,
            [.., last] if bytes.len() == 65 => out[64] = *last,
            _ => {}
        }
        out
    }
}

/// Whether bytes are a text of at least four bytes: fewer may be numbers.
fn is_text(bytes: &[u8]) -> bool {
    let is_shown = |c: char| !c.is_control() || c.is_whitespace();
    bytes.len() >= 4 && std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_shown))
}

fn collect_constants(
    def: &MessageDef,
    depth: usize,
    found: &mut HashSet<(&'static str, &'static str)>,
) {
    for field in def.fields {
        match &field.kind {
            FieldType::Enum(values) => {
                found.extend(values.values.iter().map(|(_, name)| (field.name, *name)));
            }
            FieldType::Message(inner) if depth < 8 => collect_constants(inner, depth + 1, found),
            _ => {}
        }
    }
}

/// Replaces letters and digits by others of as many bytes.
fn blank(text: &str) -> String {
    let blank = |c: char| match (c, c.len_utf8()) {
        ('0'..='9', _) => '0',
        ('A'..='Z', _) => 'X',
        ('a'..='z', _) => 'x',
        (_, 2) if c.is_alphanumeric() => 'é',
        (_, 3) if c.is_alphanumeric() => '字',
        // Pictures, and letters of rare scripts.
        (_, 4) => '🙂',
        _ => c,
    };
    text.chars().map(blank).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use statuskit_core::{
        chat::{ComposeOptions, Composer, Destination, KeyRing, PublicChat},
        crypto::{SecretKey, seeded_rng},
        time::UnixMillis,
    };

    use super::*;

    fn redactor() -> Redactor {
        Redactor::new([7; 32], false)
    }

    /// The payload of a message to a public chat, and its envelope.
    fn message(text: &str) -> (Vec<u8>, Vec<u8>, SecretKey) {
        let key = SecretKey::generate(&mut seeded_rng("author"));
        let mut composer = Composer::new(Destination::public("status"), Some(key.clone()));
        let options = ComposeOptions::default();
        let mut rng = seeded_rng("redact");
        let composed =
            composer.text(text, &options, UnixMillis(1_585_500_000_000), &mut rng).unwrap();
        let mut ring = KeyRing::new();
        ring.add_chat(&PublicChat::new("status"));
        let opened = ring.open(&composed.envelope).unwrap();
        (opened.message.payload.to_vec(), composed.envelope.raw().to_vec(), key)
    }

    #[test]
    fn texts_keep_their_form() {
        for (text, redacted) in [
            ("Hello, Anna 42!\n\tżó 字 🎉 \u{202e}a", "Xxxxx, Xxxx 00!\n\téé 字 🙂 \u{202e}x"),
            ("", ""),
            ("0x", "0x"),
            ("public_group", "xxxxxx_xxxxx"),
        ] {
            let found = redactor().text(text);
            assert_eq!(found, redacted);
            assert_eq!(found.len(), text.len());
        }
    }

    #[test]
    fn a_payload_stays_one_and_says_nothing() {
        let (payload, envelope, key) = message("meet me at noon");
        let redacted = redactor().bytes(&payload);
        assert_eq!(redacted.kind.as_deref(), Some("payload.wrapper"));
        assert!(redacted.is_readable);
        assert_eq!(redacted.bytes.len(), payload.len());
        let again = inspect(&redacted.bytes, &Options::default()).unwrap();
        assert_eq!(again.layers[1].kind, "payload.chat_message");
        let of = |name: &str| {
            again.layers[1].fields.iter().find(|it| it.name == name).unwrap().value.clone()
        };
        assert_eq!(of("text"), "xxxx xx xx xxxx");
        assert_eq!(of("chat_id"), "xxxxxx");
        assert_eq!(of("message_type"), "public_group");
        assert_eq!(of("clock"), 1_585_500_000_000_u64);
        // Neither the author nor the signature is left.
        let shown = again.to_json().to_string();
        assert!(!shown.contains(&key.public_key().to_string()[2..]));
        let signature = payload.windows(65).find(|it| shown.contains(&hex::encode(it)));
        assert_eq!(signature, None);
        // Ciphertext stays, unless asked.
        assert_eq!(redactor().bytes(&envelope).bytes, envelope);
        let taken = Redactor::new([7; 32], true).bytes(&envelope);
        assert_eq!(taken.bytes.len(), envelope.len());
        assert_eq!(
            taken
                .bytes
                .windows(32)
                .filter(|it| envelope[30..].windows(32).any(|of| of == *it))
                .count(),
            0
        );
    }

    #[test]
    fn nothing_of_a_text_is_left_however_it_is_shown() {
        let xprv = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";
        let transit = "[\"~#c4\",[\"meet Anna\",\"text/plain\",\"~:public-group-user-message\"]]";
        let note = "Anna's note, of no known form";
        for text in [xprv, transit, note, "status-im://chat/public/anna"] {
            let redacted = redactor().bytes(text.as_bytes());
            assert_eq!(redacted.bytes.len(), text.len());
            let shown = String::from_utf8(redacted.bytes).unwrap();
            assert!(shown.chars().all(|c| !c.is_alphanumeric() || "xX0".contains(c)), "{shown}");
        }
        // The same inside of a message.
        let mut plaintext = vec![1, transit.len() as u8];
        plaintext.extend_from_slice(transit.as_bytes());
        plaintext.resize(256, 0x80);
        let redacted = redactor().bytes(&plaintext);
        assert_eq!(redacted.bytes.len(), 256);
        assert!(!redacted.bytes.windows(4).any(|it| it == b"Anna" || it == b"meet"));
    }

    #[test]
    fn records_keep_types_codes_and_numbers_and_one_author_stays_one() {
        let key = "0x04".to_owned() + &"ab".repeat(64);
        let record = json!({
            "type": "message", "sent": 7, "author": key, "other": { "signer": key, "name": "Anna" },
            "payload": { "type": "chat_message", "text": "hi Anna", "message_type": "public_group", "chat_id": "public_group", "list": ["secret", true, null] },
            "checks": [{ "rule": "signature", "code": "a.b", "pass": true, "found": "by Anna" }],
            "fields": [{ "name": "text", "offset": 1, "length": 2, "value": "hi" }],
        });
        let Value::Object(members) = &record else { unreachable!() };
        let redacted = Value::Object(redactor().record(members));
        assert_eq!(redacted["type"], "message");
        assert_eq!(redacted["sent"], 7);
        assert_eq!(redacted["author"], redacted["other"]["signer"]);
        assert_eq!(redacted["author"].as_str().unwrap().len(), key.len());
        assert_ne!(redacted["author"], record["author"]);
        assert_eq!(redacted["payload"]["list"], json!(["xxxxxx", true, null]));
        assert_eq!(redacted["payload"]["message_type"], "public_group");
        assert_eq!(redacted["payload"]["chat_id"], "xxxxxx_xxxxx");
        assert_eq!(redacted["checks"][0]["code"], "a.b");
        assert_eq!(
            redacted["fields"][0],
            json!({ "name": "text", "offset": 1, "length": 2, "value": "xx" })
        );
        let shown = redacted.to_string();
        assert!(!shown.contains("Anna") && !shown.contains("hi"), "{shown}");
        // Another run gives others.
        let other = Redactor::new([8; 32], false).record(members);
        assert_ne!(other["author"], redacted["author"]);
    }

    proptest::proptest! {
        #[test]
        fn lengths_stay(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), text in ".{0,40}") {
            let redactor = Redactor::new([1; 32], true);
            proptest::prop_assert_eq!(redactor.bytes(&bytes).bytes.len(), bytes.len());
            proptest::prop_assert_eq!(redactor.text(&text).len(), text.len());
        }
    }
}
