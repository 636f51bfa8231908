//! RLPx handshakes, and the packets of the base protocol.

use statuskit_core::{
    crypto::PublicKey,
    devp2p::{
        DisconnectReason, Hello,
        handshake::{Ack, Auth},
    },
};

use crate::{
    layer::{Field, Node, hex0x},
    peel::Context,
    rlp::List,
};

/// A point, the IV and the tag around an encrypted body.
const OVERHEAD: usize = 65 + 16 + 32;
/// The lengths of the bodies without EIP-8.
const AUTH: usize = 194;
const ACK: usize = 97;
/// The lengths of the packets without EIP-8.
pub(super) const PLAIN_AUTH: usize = AUTH + OVERHEAD;
pub(super) const PLAIN_ACK: usize = ACK + OVERHEAD;

/// Returns whether these 65 bytes are a public key.
pub(super) fn is_point(bytes: &[u8]) -> bool {
    PublicKey::from_slice(bytes).is_ok()
}

/// The start of a handshake.
pub(super) fn auth(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let mut node = handshake(context, "rlpx.auth", AUTH, bytes, at)?;
    let keys = &context.options.keys;
    for key in keys.nodes.iter().chain(keys.ring.identities()) {
        let Ok(auth) = Auth::open(key, bytes) else { continue };
        node.check("initiator", "", true, auth.key.to_string());
        node.check("nonce", "", true, format!("0x{}", hex::encode(auth.nonce)));
        node.check("version", "", true, auth.version.to_string());
        let ephemeral = auth.ephemeral(key).map_or_else(|it| it.to_string(), |it| it.to_string());
        node.check("ephemeral key", "", true, ephemeral);
        node.opened_with = Some(format!("the key of node {}", key.public_key()));
        return Some(node.certain("the tag held"));
    }
    Some(node)
}

/// The answer.
pub(super) fn ack(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let mut node = handshake(context, "rlpx.ack", ACK, bytes, at)?;
    let keys = &context.options.keys;
    for key in keys.nodes.iter().chain(keys.ring.identities()) {
        let Ok(ack) = Ack::open(key, bytes) else { continue };
        node.check("ephemeral key", "", true, ack.ephemeral.to_string());
        node.check("nonce", "", true, format!("0x{}", hex::encode(ack.nonce)));
        node.check("version", "", true, ack.version.to_string());
        node.opened_with = Some(format!("the key of node {}", key.public_key()));
        return Some(node.certain("the tag held"));
    }
    Some(node)
}

/// The parts of a packet: a length (EIP-8 only), a point, IV, ciphertext and tag.
fn handshake(
    context: &Context<'_>,
    kind: &'static str,
    body: usize,
    bytes: &[u8],
    at: usize,
) -> Option<Node> {
    let plain = bytes.len() == body + OVERHEAD;
    let prefixed = bytes.len() >= body + OVERHEAD + 2
        && usize::from(u16::from_be_bytes([bytes[0], bytes[1]])) == bytes.len() - 2;
    let start = match (plain, prefixed) {
        (_, true) => 2,
        (true, false) => 0,
        _ => return None,
    };
    if bytes[start] != 4 || !context.curve() {
        return None;
    }
    PublicKey::from_slice(&bytes[start..start + 65]).ok()?;
    let tag = bytes.len() - 32;
    let mut fields = Vec::new();
    if prefixed {
        fields.push(Field::new("length", at, 2, bytes.len() - 2));
    }
    let parts = [
        ("ephemeral key of ECIES", start, start + 65),
        ("iv", start + 65, start + 81),
        ("ciphertext", start + 81, tag),
        ("tag", tag, bytes.len()),
    ];
    for (name, from, to) in parts {
        fields.push(Field::new(name, at + from, to - from, hex0x(&bytes[from..to])));
    }
    let mut node = Node::new(kind, bytes, at).with_fields(fields);
    node.stop(
        "inspect.no_key",
        "the body is encrypted to a node",
        "give the recipient's node key (--node-key)",
    );
    Some(if prefixed {
        node.possible("length and point fit; auth and ack look alike")
    } else {
        node
    })
}

/// `[version, client, [[name, version], …], port, id]`.
pub(super) fn hello(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let hello = Hello::decode(bytes).ok()?;
    let mut list = List::open_prefix(bytes, at)?;
    list.u64("version")?;
    list.text("client")?;
    let (raw, start) = list.list("capabilities")?;
    let mut capabilities = List::open(raw, start)?;
    while !capabilities.is_empty() {
        let (raw, start) = capabilities.list("capability")?;
        let mut capability = List::open(raw, start)?;
        capability.text("name")?;
        capability.u64("version")?;
        capabilities.inside(capability.finish()?);
    }
    list.inside(capabilities.finish()?);
    list.u64("listen port")?;
    list.sized("node id", &[64])?;
    let mut node = Node::new("p2p.hello", bytes, at);
    let on_curve = PublicKey::from_slice(&hello.id).is_ok();
    node.check("node id", "devp2p.id", on_curve, "a point of the curve");
    node.fields = list.fields();
    Some(if on_curve { node.certain("the id is a point of the curve") } else { node })
}

/// `[reason]`.
pub(super) fn disconnect(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let mut list = List::open(bytes, at)?;
    let code = list.u64("reason").filter(|code| *code <= 16)?;
    let fields = list.finish()?;
    let mut node = Node::new("p2p.disconnect", bytes, at).with_fields(fields);
    node.check("reason", "", true, DisconnectReason::from_code(code).to_string());
    Some(node.possible("a list of one small number"))
}

/// An empty list.
pub(super) fn ping(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    empty("p2p.ping", bytes, at)
}

/// An empty list.
pub(super) fn pong(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    empty("p2p.pong", bytes, at)
}

fn empty(kind: &'static str, bytes: &[u8], at: usize) -> Option<Node> {
    let fields = List::open(bytes, at).filter(List::is_empty)?.fields();
    Some(Node::new(kind, bytes, at).with_fields(fields).possible("an empty list"))
}
