//! Documents in JSON: records of our tools, and messages of JSON-RPC.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Map, Value};
use statuskit_core::payload::PayloadType;

use super::Place;
use crate::{
    layer::{Certainty, Child, Node},
    peel::Context,
    spans::{self, Document, Text},
};

/// The longest document that is read.
const MAX_DOCUMENT: usize = 8 << 20;
/// Shorter bytes are not looked into: they are topics and numbers.
const LEAST: usize = 8;
/// The most calls of a batch that are listed.
const MAX_CALLS: usize = 64;

/// Namespaces of nodes that speak Whisper or Waku.
const NAMESPACES: [&str; 9] =
    ["shh", "shhext", "waku", "wakuext", "eth", "net", "web3", "admin", "mailservers"];

/// Types of our records, beside those of payloads.
const RECORDS: &[&str] = &[
    "abi_call",
    "abi_selector",
    "abi_topic",
    "abi_values",
    "account",
    "acknowledged",
    "address",
    "archive",
    "archive_check",
    "archive_day",
    "archive_topic",
    "bench",
    "bloom",
    "bundle",
    "bytes",
    "check",
    "config",
    "config_check",
    "contact_code",
    "contenthash",
    "data_sync",
    "decrypted",
    "device",
    "diff",
    "empty",
    "ens_answer",
    "ens_call",
    "ens_label",
    "ens_name",
    "ens_verification",
    "envelope",
    "envelope_part",
    "error",
    "estimate",
    "explanation",
    "forgotten",
    "group",
    "group_event",
    "health",
    "identicon",
    "imported",
    "inspection",
    "installation",
    "interface",
    "key",
    "keystore",
    "kind",
    "legacy",
    "listed",
    "log",
    "match",
    "message",
    "message_id",
    "name",
    "note",
    "payload_fields",
    "payload_type",
    "payment_link",
    "payment_proof",
    "peer",
    "pow",
    "pre_key",
    "probe",
    "protocol_message",
    "provider_error",
    "provider_message",
    "pruned",
    "qr",
    "qr_text",
    "ratchet_step",
    "ready",
    "redacted",
    "repeated",
    "request",
    "request_transaction",
    "send_transaction",
    "sent",
    "serving",
    "session",
    "setting",
    "signature",
    "signed_data",
    "signer",
    "standard",
    "stats",
    "step",
    "synced",
    "text",
    "token_transfer",
    "topic",
    "transaction",
    "transaction_hash",
    "typed_data",
    "verification",
];

/// A message of JSON-RPC, or a record.
pub(super) fn document(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace())?;
    if !matches!(first, b'{' | b'[') || bytes.len() > MAX_DOCUMENT {
        return None;
    }
    let value: Value = serde_json::from_slice(bytes).ok()?;
    rpc(context, &value, bytes, at).or_else(|| record(context, &value, bytes, at))
}

/// Members whose values stay hidden in every document.
fn is_secret(name: &str) -> bool {
    const PARTS: [&str; 8] =
        ["private", "secret", "phrase", "mnemonic", "xprv", "seed", "password", "sym_key"];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}

fn record(context: &Context<'_>, value: &Value, bytes: &[u8], at: usize) -> Option<Node> {
    let members = value.as_object()?;
    let kind = members.get("type")?.as_str()?;
    let is_ours = RECORDS.contains(&kind) || PayloadType::from_name(kind).is_some();
    let has_bytes =
        members.get("raw").and_then(Value::as_str).is_some_and(|raw| hex(raw).is_some());
    // Other programs have types as well: then the bytes make the difference.
    if !(is_ours || has_bytes && kind.starts_with("unknown")) {
        return None;
    }
    let document = spans::read(bytes, at, &|_, name| is_secret(name))?;
    let mut node = Node::new("statuskit.record", bytes, at);
    node.check("type", "", true, kind);
    node = match has_bytes {
        true => node.because(Certainty::Likely, "the type of a record, and its bytes"),
        false => node.because(Certainty::Likely, "the type of a record"),
    };
    peel(context, &mut node, &document);
    Some(node.with_fields(document.fields))
}

fn rpc(context: &Context<'_>, value: &Value, bytes: &[u8], at: usize) -> Option<Node> {
    let calls = match value {
        Value::Object(members) => vec![members],
        Value::Array(items) => items.iter().map(Value::as_object).collect::<Option<_>>()?,
        _ => return None,
    };
    let certainties: Option<Vec<_>> = calls.iter().map(|call| certainty(call)).collect();
    let certainty = certainties?.into_iter().min()?;
    let takes_secrets = calls.iter().any(|call| {
        let method = call.get("method").and_then(Value::as_str).unwrap_or_default();
        let name = method.split_once('_').map_or("", |(_, name)| name);
        matches!(name, "addPrivateKey" | "addSymKey" | "generateSymKeyFromPassword")
    });
    let hides =
        |path: &str, name: &str| is_secret(name) || takes_secrets && path.contains(".params");
    let document = spans::read(bytes, at, &hides)?;
    let why = match certainty {
        Certainty::Certain => "the version of JSON-RPC",
        _ => "a method of a node",
    };
    let mut node = Node::new("rpc.message", bytes, at).because(certainty, why);
    for call in calls.iter().take(MAX_CALLS) {
        if let Some(method) = call.get("method").and_then(Value::as_str) {
            node.check("method", "", true, method);
        } else if let Some(error) = call.get("error").and_then(Value::as_object) {
            let text = error.get("message").and_then(Value::as_str).unwrap_or_default();
            let code = error.get("code").map(Value::to_string).unwrap_or_default();
            node.check("answer", "", false, format!("error {code}: {text}"));
        } else {
            node.check("answer", "", true, "a result");
        }
    }
    peel(context, &mut node, &document);
    Some(node.with_fields(document.fields))
}

fn certainty(call: &Map<String, Value>) -> Option<Certainty> {
    let method = call.get("method").and_then(Value::as_str);
    let is_whole = method.is_some() || call.contains_key("result") || call.contains_key("error");
    if call.get("jsonrpc").and_then(Value::as_str) == Some("2.0") && is_whole {
        return Some(Certainty::Certain);
    }
    let (namespace, _) = method?.split_once('_')?;
    let is_known = NAMESPACES.contains(&namespace) && call.contains_key("params");
    is_known.then_some(Certainty::Likely)
}

/// Opens the bytes in the texts.
fn peel(context: &Context<'_>, node: &mut Node, document: &Document) {
    for text in &document.texts {
        let Some((spelling, bytes)) = bytes_of(text) else { continue };
        let inner = context.inside(&bytes, 0, Place::Member);
        // A part that merely might be something says nothing, unless it is all there is.
        let Some(inner) =
            inner.filter(|it| it.certainty > Certainty::Possible || text.name == "raw")
        else {
            continue;
        };
        let method = format!("{spelling} of {}", text.path);
        node.children.push(Child::Buffer { bytes, method, node: inner });
    }
}

fn bytes_of(text: &Text) -> Option<(&'static str, Vec<u8>)> {
    if let Some(bytes) = hex(&text.content) {
        return Some(("hex", bytes));
    }
    // Nodes of 2020 write the payloads of Waku so.
    if !matches!(&*text.name, "payload" | "data" | "message") {
        return None;
    }
    let content = text.content.as_bytes();
    let bytes = BASE64.decode(content).or_else(|_| BASE64URL_NOPAD.decode(content)).ok()?;
    (bytes.len() >= LEAST).then_some(("base64", bytes))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let bytes = hex::decode(text.strip_prefix("0x")?).ok()?;
    (bytes.len() >= LEAST).then_some(bytes)
}
