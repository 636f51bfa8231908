//! Texts and keys: links, node URLs, key files, chat keys, messages of old clients.

use serde_json::Value;
use statuskit_core::{
    account::{
        Address, ExtendedPrivateKey, ExtendedPublicKey, KeyFile, ShareLink, parse_chat_key,
        parse_compact,
    },
    crypto::PublicKey,
    devp2p::Enode,
};

use super::{discovery, eip, json};
use crate::{
    layer::{Field, Node, hex0x},
    peel::Context,
};

/// The longest text that is read.
const MAX_TEXT: usize = 1 << 20;

/// What stands as text.
pub(super) fn text(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    if bytes.len() > MAX_TEXT {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.trim();
    let readers = [enode, link, extended_key, key_file, chat_key];
    let found = readers.iter().find_map(|read| read(text, bytes, at));
    let found = found.or_else(|| eip::link(text, whole, bytes, at));
    let found = found.or_else(|| discovery::record_text(context, text, whole, bytes, at));
    found.or_else(|| transit(context, bytes, at)).or_else(|| json::document(context, bytes, at))
}

/// Makes the fields of a text.
pub(super) type Whole = fn(&str, &str, &[u8], usize) -> Vec<Field>;

/// Fields of a text: what is around it, and the text itself.
fn whole(name: &str, text: &str, bytes: &[u8], at: usize) -> Vec<Field> {
    let start = bytes.windows(text.len().max(1)).position(|it| it == text.as_bytes()).unwrap_or(0);
    let mut fields = Vec::new();
    if start > 0 {
        fields.push(Field::new("white space", at, start, Value::Null));
    }
    fields.push(Field::new(name, at + start, text.len(), text));
    let end = start + text.len();
    if end < bytes.len() {
        fields.push(Field::new("white space", at + end, bytes.len() - end, Value::Null));
    }
    fields
}

fn enode(text: &str, bytes: &[u8], at: usize) -> Option<Node> {
    let enode: Enode = text.parse().ok()?;
    let mut node = Node::new("devp2p.enode", bytes, at).with_fields(whole("url", text, bytes, at));
    node.check("node id", "enode.id", true, enode.id.to_string());
    node.check("host", "enode.host", true, enode.host.to_string());
    node.check("ports", "enode.port", true, format!("TCP {}, UDP {}", enode.tcp, enode.udp));
    Some(node.certain("the scheme, and an id that is a point of the curve"))
}

fn link(text: &str, bytes: &[u8], at: usize) -> Option<Node> {
    let link: ShareLink = text.parse().ok()?;
    let mut node = Node::new("account.share_link", bytes, at);
    node.fields = whole("link", text, bytes, at);
    let (kind, target) = match &link {
        ShareLink::User(target) => ("user", target),
        ShareLink::PublicChat(target) => ("public chat", target),
        ShareLink::Browse(target) => ("page", target),
    };
    node.check(kind, "", true, target.clone());
    Some(node.certain("the scheme of a Status link"))
}

fn extended_key(text: &str, bytes: &[u8], at: usize) -> Option<Node> {
    let (kind, public): (_, ExtendedPublicKey) = if text.starts_with("xprv") {
        ("private", text.parse::<ExtendedPrivateKey>().ok()?.to_public())
    } else {
        ("public", text.parse().ok()?)
    };
    // The text of a private key is a secret: only its place is shown.
    let mut fields = whole("text", text, bytes, at);
    if kind == "private" {
        fields.iter_mut().for_each(|field| field.value = Value::Null);
    }
    let mut node = Node::new("account.extended_key", bytes, at).with_fields(fields);
    node.check("form", "", true, kind);
    node.check("public part", "", true, public.to_string());
    let address = Address::from_key(&public.public_key()).to_string();
    node.check("address", "", true, address);
    Some(node.certain("the checksum holds"))
}

fn key_file(text: &str, bytes: &[u8], at: usize) -> Option<Node> {
    if !text.starts_with('{') {
        return None;
    }
    let file = KeyFile::parse(text.as_bytes()).ok()?;
    let fields = vec![Field::new("json", at, bytes.len(), Value::Null)];
    let mut node = Node::new("account.key_file", bytes, at).with_fields(fields);
    node.check("version", "", true, format!("{:?}", file.version()));
    if let Some(address) = &file.address {
        node.check("address", "", true, address.to_string());
    }
    node.check("id", "", true, file.id.clone());
    node.stop(
        "inspect.password",
        "the key is encrypted",
        "`status-account keystore open` opens it with its password",
    );
    Some(node.certain("the members of a key file"))
}

fn chat_key(text: &str, bytes: &[u8], at: usize) -> Option<Node> {
    let key = parse_chat_key(text).ok().or_else(|| parse_compact(text).ok().map(|(key, _)| key))?;
    let fields = whole("key", text, bytes, at);
    Some(public_key(Node::new("account.chat_key", bytes, at).with_fields(fields), &key))
}

/// A public key as bytes.
pub(super) fn key(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    if !matches!(bytes.len(), 33 | 65) || !context.curve() {
        return None;
    }
    let key = PublicKey::from_slice(bytes).ok()?;
    let fields = vec![Field::new("key", at, bytes.len(), hex0x(bytes))];
    Some(public_key(Node::new("account.chat_key", bytes, at).with_fields(fields), &key))
}

fn public_key(mut node: Node, key: &PublicKey) -> Node {
    node.check("key", "", true, key.to_string());
    node.check("address", "", true, Address::from_key(key).to_string());
    let name = statuskit_core::account::ThreeWordName::from_key(key).to_string();
    node.check("name", "", true, name);
    // Half of all compressed keys are points; a full one is by chance once in 2^256.
    if node.length == 33 {
        return node.because(crate::Certainty::Likely, "a point of the curve");
    }
    node.certain("a point of the curve")
}

/// Messages of clients before 2020: `["~#c4",["text","text/plain","~:public-group-user-message",…]]`.
pub(super) fn transit(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let start = bytes.get(..2)?;
    if start != b"[\"" || bytes.len() > MAX_TEXT {
        return None;
    }
    let Value::Array(items) = serde_json::from_slice(bytes).ok()? else { return None };
    let tag = items.first()?.as_str().filter(|tag| tag.starts_with("~#"))?;
    let mut field = Field::new("transit", at, bytes.len(), Value::Null);
    field.value = items.get(1).cloned().unwrap_or(Value::Null);
    let mut node = Node::new("transit.message", bytes, at).with_fields(vec![field]);
    node.check("tag", "", true, tag);
    let name = match tag {
        "~#c1" => "contact request",
        "~#c2" => "confirmed contact request",
        "~#c3" => "seen",
        "~#c4" => "message",
        "~#c5" => "group membership update",
        "~#c6" => "contact update",
        _ => "unknown",
    };
    node.check("form", "", true, name);
    let message = "clients of 2020 and later do not read it";
    node.stop("inspect.old_client", message, "");
    Some(node.certain("the tag of a record in transit"))
}
