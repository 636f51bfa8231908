//! Ethereum: transactions, calls of contracts, links and content hashes.

use std::{collections::HashMap, sync::LazyLock};

use statuskit_core::{
    account::Address,
    rlp::{self, Reader},
};
use statuskit_eip::{
    abi::{Function, Strictness, Value as AbiValue},
    eip155::{Decoded, TxType},
    eip681::{LinkError, PaymentLink},
    eip1577::ContentHash,
    known::{self, Known},
};

use super::account::Whole;
use crate::{
    layer::{Certainty, Field, Node, hex0x},
    peel::Context,
    shape::{self, Shape},
};

type Items = &'static [(&'static str, Shape)];

const LEGACY: Items = &[
    ("nonce", Shape::Number),
    ("gas price", Shape::Number),
    ("gas", Shape::Number),
    ("to", Shape::Any),
    ("value", Shape::Any),
    ("data", Shape::Any),
    ("v", Shape::Number),
    ("r", Shape::Any),
    ("s", Shape::Any),
];
const ACCESS: Shape = Shape::Each(
    "account",
    &Shape::Named(&[("address", Shape::Any), ("keys", Shape::Each("key", &Shape::Any))]),
);
const ACCESS_LIST: Items = &[
    ("chain id", Shape::Number),
    ("nonce", Shape::Number),
    ("gas price", Shape::Number),
    ("gas", Shape::Number),
    ("to", Shape::Any),
    ("value", Shape::Any),
    ("data", Shape::Any),
    ("access list", ACCESS),
    ("parity", Shape::Number),
    ("r", Shape::Any),
    ("s", Shape::Any),
];
const DYNAMIC_FEE: Items = &[
    ("chain id", Shape::Number),
    ("nonce", Shape::Number),
    ("priority fee", Shape::Number),
    ("fee", Shape::Number),
    ("gas", Shape::Number),
    ("to", Shape::Any),
    ("value", Shape::Any),
    ("data", Shape::Any),
    ("access list", ACCESS),
    ("parity", Shape::Number),
    ("r", Shape::Any),
    ("s", Shape::Any),
];
const BLOB: Items = &[
    ("chain id", Shape::Number),
    ("nonce", Shape::Number),
    ("priority fee", Shape::Number),
    ("fee", Shape::Number),
    ("gas", Shape::Number),
    ("to", Shape::Any),
    ("value", Shape::Any),
    ("data", Shape::Any),
    ("access list", ACCESS),
    ("blob fee", Shape::Number),
    ("blob hashes", Shape::Each("hash", &Shape::Any)),
    ("parity", Shape::Number),
    ("r", Shape::Any),
    ("s", Shape::Any),
];
const SET_CODE: Items = &[
    ("chain id", Shape::Number),
    ("nonce", Shape::Number),
    ("priority fee", Shape::Number),
    ("fee", Shape::Number),
    ("gas", Shape::Number),
    ("to", Shape::Any),
    ("value", Shape::Any),
    ("data", Shape::Any),
    ("access list", ACCESS),
    ("authorizations", Shape::Each("authorization", &Shape::Any)),
    ("parity", Shape::Number),
    ("r", Shape::Any),
    ("s", Shape::Any),
];

/// A transaction of any form, signed or not.
pub(super) fn transaction(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let first = *bytes.first()?;
    let (header, layout) = match TxType::from_number(first) {
        None if first >= 0xc0 => (0, LEGACY),
        Some(TxType::AccessList) => (1, ACCESS_LIST),
        Some(TxType::DynamicFee) => (1, DYNAMIC_FEE),
        Some(TxType::Blob) => (1, BLOB),
        Some(TxType::SetCode) => (1, SET_CODE),
        _ => return None,
    };
    let rlp = &bytes[header..];
    if rlp::list_size(rlp.get(..rlp::header_size(*rlp.first()?))?) != Some(rlp.len()) {
        return None;
    }
    let decoded = Decoded::decode(bytes).ok()?;
    let list = Reader::new(rlp).list("the transaction").ok()?;
    let within = bytes.len() - list.remaining().len();
    let mut fields = Vec::new();
    if let Some(kind) = TxType::from_number(first) {
        fields.push(Field::new("type", at, 1, format!("{first} ({})", kind.standard())));
    }
    fields.push(Field::new("list header", at + header, within - header, bytes.len() - within));
    fields.extend(shape::items(list, at + within, layout)?);
    let mut node = Node::new("eip.transaction", bytes, at).with_fields(fields);
    let (to, data, signed, sender) = match &decoded {
        Decoded::Unsigned(it) => (it.to, &it.data, false, None),
        Decoded::Signed(it) => {
            let sender = context.curve().then(|| it.recover());
            (it.transaction().to, &it.transaction().data, true, sender)
        }
        Decoded::Typed(it) => {
            let signed = it.signature.is_some();
            let sender = (signed && context.curve()).then(|| it.recover());
            (it.to, &it.data, signed, sender)
        }
    };
    match sender {
        Some(Ok(key)) => {
            let from = Address::from_key(&key);
            node.check("signature", "tx.signature", true, format!("signed by {from}"));
        }
        Some(Err(error)) => node.check("signature", error.code(), false, error.to_string()),
        None if signed => {}
        None => node.stop("inspect.unsigned", "the transaction is not signed", ""),
    }
    // Six small items with an address, or a contract without one: other lists may be that as well.
    if !signed && to.is_none() {
        node = node.possible("the items of a transaction that creates a contract");
    } else if !signed {
        node = node.because(Certainty::Likely, "the items of a transaction, with an address");
    }
    if !data.is_empty()
        && let Some(start) = place(bytes, data)
    {
        node.here(context.nested(|context| calldata(context, data, at + start)));
    }
    Some(node)
}

/// Returns where a part is that was copied out of the bytes.
fn place(bytes: &[u8], part: &[u8]) -> Option<usize> {
    let mut list = match bytes.first()? {
        0..0x80 => Reader::new(&bytes[1..]).list("list").ok()?,
        _ => Reader::new(bytes).list("list").ok()?,
    };
    while !list.is_empty() {
        let item = list.raw_item("item").ok()?;
        if let Ok(content) = Reader::new(item).string("item")
            && content == part
        {
            return Some(bytes.len() - list.remaining().len() - content.len());
        }
    }
    None
}

static FUNCTIONS: LazyLock<HashMap<[u8; 4], Vec<&'static Known<Function>>>> = LazyLock::new(|| {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for function in known::functions() {
        found.entry(function.item.selector()).or_default().push(function);
    }
    found
});

/// A call of a known function.
pub(super) fn calldata(_: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let selector: [u8; 4] = *bytes.first_chunk()?;
    let known = FUNCTIONS.get(&selector)?;
    let strict = known
        .iter()
        .find_map(|it| Some((it, it.item.decode_call(bytes, Strictness::Strict).ok()?)));
    let lenient = || {
        known
            .iter()
            .find_map(|it| Some((it, it.item.decode_call(bytes, Strictness::Lenient).ok()?)))
    };
    let is_strict = strict.is_some();
    let (function, values) = strict.or_else(lenient)?;
    let mut fields = vec![Field::new("selector", at, 4, function.item.to_string())];
    fields.extend(words(&function.item, &values, bytes, at));
    let mut node = Node::new("eip.calldata", bytes, at).with_fields(fields);
    node.check("function", "", true, format!("{} of {}", function.item, function.standard));
    Some(match (is_strict, bytes.len()) {
        (true, 5..) => node.because(Certainty::Likely, "a known selector, and exact arguments"),
        (true, _) => node.possible("a known selector"),
        (false, _) => node.possible("a known selector, and arguments that contracts accept"),
    })
}

/// Fields of the head: one per parameter. What they point to follows.
fn words(function: &Function, values: &[AbiValue], bytes: &[u8], at: usize) -> Vec<Field> {
    let mut start = 4_usize;
    let mut fields = Vec::new();
    for (number, (parameter, value)) in function.inputs.iter().zip(values).enumerate() {
        let size = match parameter.kind.is_dynamic() {
            true => 32,
            false => usize::try_from(parameter.kind.head_size()).unwrap_or(usize::MAX),
        };
        let end = start.checked_add(size).filter(|end| *end <= bytes.len());
        let Some(end) = end else { break };
        let name = match parameter.name.is_empty() {
            true => format!("argument {}", number + 1),
            false => parameter.name.clone(),
        };
        fields.push(Field::new(name, at + start, size, value.to_json(&parameter.kind)));
        start = end;
    }
    if start < bytes.len() {
        let rest = &bytes[start..];
        fields.push(Field::new("contents of arguments", at + start, rest.len(), hex0x(rest)));
    }
    fields.retain(|field| field.length > 0);
    fields
}

/// What a name of ENS points to.
pub(super) fn contenthash(context: &Context<'_>, bytes: &[u8], at: usize) -> Option<Node> {
    let hash = ContentHash::from_bytes(bytes).ok()?;
    // What other programs write with more bytes than needed is read only when told to.
    if hash.to_bytes() != bytes && !context.is_forced("eip.contenthash") {
        return None;
    }
    let namespace = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let fields = vec![
        Field::new("namespace", at, namespace, hash.kind()),
        Field::new("content", at + namespace, bytes.len() - namespace, hash.content()),
    ];
    let mut node = Node::new("eip.contenthash", bytes, at).with_fields(fields);
    node.check("link", "", true, hash.to_uri());
    Some(node.because(Certainty::Likely, "a namespace, and a hash of the length that it says"))
}

/// A link of EIP-681.
pub(super) fn link(text: &str, whole: Whole, bytes: &[u8], at: usize) -> Option<Node> {
    let scheme = text.get(..9)?;
    if !scheme.eq_ignore_ascii_case("ethereum:") {
        return None;
    }
    let mut node = Node::new("eip.link", bytes, at).with_fields(whole("link", text, bytes, at));
    let link: Result<PaymentLink, LinkError> = text.parse();
    match link {
        Ok(link) => {
            node.check("target", "", true, link.target());
            if let Some(chain) = link.chain_id() {
                node.check("chain", "", true, chain.to_string());
            }
            if let Some(function) = link.function() {
                node.check("function", "", true, function);
            }
            for parameter in link.parameters() {
                let found = format!("{}={}", parameter.key, parameter.value);
                node.check("parameter", "", true, found);
            }
            for warning in link.warnings() {
                node.check("warning", "", false, warning.name());
            }
            Some(node.certain("the scheme of EIP-681"))
        }
        Err(error) => {
            node.stop(error.code(), error.to_string(), "wallets refuse such a link");
            Some(node.because(Certainty::Likely, "the scheme of EIP-681"))
        }
    }
}
