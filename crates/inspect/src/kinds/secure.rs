//! The secure transport and data sync.

use statuskit_core::{
    secure::{CompressedKey, ProtocolMessage, bundle, dh, schema},
    sync::{self, SyncPayload},
};

use super::Place;
use crate::{
    layer::{Certainty, Child, Node},
    peel::Context,
    proto,
};

/// Field numbers of a protocol message.
const BUNDLES: u32 = 3;
const PUBLIC_MESSAGE: u32 = 102;

/// The prekeys of an identity, with its signature.
pub(super) fn bundle(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let decoded = bundle::decode(bytes).ok()?;
    let message = proto::read(&schema::BUNDLE, bytes, at)?;
    // One of the two keys may be missing or too short, but not both.
    let fits = decoded.identity.len() == 33 || decoded.signature.len() == 65;
    if !fits || message.unknown > 0 || !context.curve() {
        return None;
    }
    let mut node = Node::new("secure.bundle", bytes, at).with_fields(message.fields);
    match bundle::verify(&decoded) {
        Ok(verified) => {
            let found = format!("signed by {}", verified.identity);
            node.check("signature", "bundle.signature", true, found);
            Some(node.certain("the signature verifies"))
        }
        Err(error) => {
            node.check("signature", error.code(), false, error.to_string());
            Some(node.possible("the fields fit, the signature does not verify"))
        }
    }
}

/// Bundles, and a message in clear or one per installation.
pub(super) fn protocol_message(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let message = ProtocolMessage::decode(bytes).ok()?;
    let read = proto::read(&schema::PROTOCOL_MESSAGE, bytes, at)?;
    let fields = message.fields();
    let has_content = !fields.public_message.is_empty() || !fields.direct_message.is_empty();
    if !has_content && fields.bundles.is_empty() {
        let is_all = read.unknown == 0 && !fields.installation_id.is_empty();
        let node = Node::new("secure.protocol_message", bytes, at).with_fields(read.fields);
        return is_all.then(|| node.possible("nothing but an installation id"));
    }
    let mut node = Node::new("secure.protocol_message", bytes, at).with_fields(read.fields);
    node = match (read.unknown, fields.installation_id.is_empty()) {
        (0, false) => node,
        _ => node.possible("some fields fit"),
    };
    for (content, start) in proto::contents(bytes, at, BUNDLES) {
        node.here(bundle(context, content, start));
    }
    let held = |child: &Child| match child {
        Child::Here(inner) => inner.certainty == Certainty::Certain,
        Child::Buffer { .. } => false,
    };
    if node.children.iter().any(held) {
        node = node.certain("the signature of a bundle verifies");
    }
    for (content, start) in proto::contents(bytes, at, PUBLIC_MESSAGE) {
        node.here(context.inside(content, start, Place::Secure));
    }
    direct(context, &message, bytes, &mut node);
    Some(node)
}

/// Opens what is encrypted to an identity, and says what sessions would be needed for the rest.
fn direct(context: &Context<'_>, message: &ProtocolMessage, bytes: &[u8], node: &mut Node) {
    if message.fields().direct_message.is_empty() {
        return;
    }
    let mut problem = None;
    for state in &context.options.keys.states {
        if !context.curve() {
            break;
        }
        match state.decrypt(context.sender().as_ref(), bytes) {
            Ok((plaintext, key)) => {
                *node = node.clone().certain("a key opened it");
                add_plaintext(
                    context,
                    node,
                    plaintext,
                    key,
                    "decrypted with a session of the state",
                );
                return;
            }
            Err(error) => problem = Some(error),
        }
    }
    for (installation, direct) in &message.fields().direct_message {
        let Some(header) = &direct.dh_header else {
            let kind =
                if direct.x3dh_header.is_some() { "starts a session" } else { "is in a session" };
            node.stop(
                "inspect.no_session",
                match &problem {
                    Some(problem) => format!("the state does not read it: {problem}"),
                    None => format!("the message to installation {installation:?} {kind}"),
                },
                "give the recipient's state (--state)",
            );
            continue;
        };
        let ephemeral = CompressedKey::from_slice(&header.key).ok();
        let opened = ephemeral.and_then(|ephemeral| {
            let mut identities = context.options.keys.ring.identities();
            identities.find_map(|identity| {
                let plaintext =
                    context.curve().then(|| dh::decrypt(identity, &ephemeral, &direct.payload));
                Some((plaintext?.ok()?, identity.public_key()))
            })
        });
        let Some((plaintext, identity)) = opened else {
            node.stop(
                "inspect.no_key",
                "the message is encrypted to an identity",
                "give the recipient's key (--identity)",
            );
            continue;
        };
        node.certainty = Certainty::Certain;
        node.why = "a key opened it".into();
        let key = format!("identity {identity}");
        add_plaintext(context, node, plaintext, key, "decrypted with the key of the recipient");
    }
}

fn add_plaintext(
    context: &Context<'_>,
    node: &mut Node,
    plaintext: Vec<u8>,
    key: String,
    method: &str,
) {
    match context.inside(&plaintext, 0, Place::Secure) {
        Some(inner) => {
            let inner = Node { opened_with: Some(key), ..inner };
            let method = method.to_owned();
            node.children.push(Child::Buffer { bytes: plaintext, method, node: inner });
        }
        None if plaintext.is_empty() => {
            node.opened_with = Some(key);
            node.stop("inspect.padding_only", "the payload is empty", "");
        }
        None => {
            node.opened_with = Some(key);
            let message = format!("{} bytes of plaintext, of no known form", plaintext.len());
            node.stop("inspect.application", message, "");
        }
    }
}

/// Field numbers of data sync.
const MESSAGES: u32 = 5004;
const BODY: u32 = 6003;

/// Messages, offers, requests and acknowledgements.
pub(super) fn sync_payload(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let payload = SyncPayload::detect(bytes)?;
    let read = proto::read(&sync::schema::PAYLOAD, bytes, at)?;
    let mut node = Node::new("sync.payload", bytes, at).with_fields(read.fields);
    if read.unknown > 0 || payload.malformed > 0 {
        node = node.possible("some fields fit");
    }
    let mut ids = payload.messages.iter().map(|message| message.id());
    for (message, start) in proto::contents(bytes, at, MESSAGES) {
        if let Some(id) = ids.next() {
            node.check("message id", "", true, format!("0x{}", hex::encode(id.0)));
        }
        for (body, start) in proto::contents(message, start, BODY) {
            node.here(context.inside(body, start, Place::Body));
        }
    }
    Some(node)
}
