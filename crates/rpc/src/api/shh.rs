//! `shh_*`, and `waku_*` with the same names.
//!
//! Source: go-ethereum's Whisper API, as status-go v0.50.2 serves it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    devp2p::NodeId,
    envelope::{
        Bloom, Draft, Envelope, Recipient, SymKey, Topic, Verdict,
        pow::{self, MineOptions, TargetError},
        seal::{self, DEFAULT_TTL},
    },
    time::UnixSeconds,
    wire::Packet,
};
use statuskit_net::node::{ConnectionId, SendError};

use super::{
    Api, Begun, Outcome, Protocol, Reply, Source, array, blocking, bytes, subscription_id, text,
};
use crate::{
    error::RpcError,
    filters::{Bytes, Criteria, FilterKey},
    goenode,
    json::{
        parts,
        typed::{Place, Typed, hex},
        write,
    },
    keys::{StoredKey, generator},
    request::Params,
};

/// The largest message size that can be set.
const MAX_MESSAGE_SIZE: u32 = 10 << 20;
/// The longest work for one message, in seconds; a client may ask for decades.
const MOST_WORK: u32 = 60;

const NO_OR_BOTH_KEYS: &str = "specify either a symmetric or an asymmetric key";
const NO_TOPICS: &str = "missing topic(s)";
const INVALID_ID: &str = "invalid id";
const NO_KEY: &str = "non-existent key ID";

impl Api {
    pub(super) fn shh(
        self: &Arc<Self>,
        protocol: &Arc<Protocol>,
        name: &str,
        mut params: Params<'_>,
    ) -> Result<Reply, RpcError> {
        let keys = &protocol.keys;
        Ok(match name {
            "version" => {
                params.end()?;
                Ok(write::string(protocol.version())).into()
            }
            "info" => {
                params.end()?;
                self.info(protocol).into()
            }
            "setMaxMessageSize" => {
                let size = params.next(uint32)?;
                params.end()?;
                if size > MAX_MESSAGE_SIZE {
                    let text = format!("message size too large [{size}>{MAX_MESSAGE_SIZE}]");
                    return Err(RpcError::failed(text));
                }
                protocol.handle.with(|node, _| node.set_max_message_size(size));
                yes()
            }
            "setMinPoW" => {
                let min_pow = params.next(float64)?;
                params.end()?;
                if min_pow < 0.0 {
                    return Err(RpcError::failed(format!("invalid PoW: {min_pow:.6}")));
                }
                protocol.handle.set_min_pow(min_pow);
                yes()
            }
            "setBloomFilter" => {
                let bits = params.next(bytes)?;
                params.end()?;
                let Ok(bits) = <[u8; 64]>::try_from(&bits[..]) else {
                    let text = format!("invalid bloom filter size: {}", bits.len());
                    return Err(RpcError::failed(text));
                };
                protocol.handle.set_bloom(Some(Bloom(bits)));
                yes()
            }
            "markTrustedPeer" => {
                let node = params.next(text)?;
                params.end()?;
                let node = goenode::read(&node).map_err(RpcError::failed)?;
                let peer = self.peer(protocol, &node.id)?;
                protocol.handle.mark_trusted(peer);
                yes()
            }
            "makeLightClient" | "cancelLightClient" => {
                params.end()?;
                protocol.handle.with(|node, _| node.set_light(name == "makeLightClient"));
                yes()
            }
            "newKeyPair" => {
                params.end()?;
                let protocol = protocol.clone();
                Reply::later(blocking(move || {
                    let key = SecretKey::generate(&mut generator()?);
                    protocol.keys.add_pair(key).map(|id| write::string(&id))
                }))
            }
            "addPrivateKey" => {
                let key = zeroize::Zeroizing::new(params.next(bytes)?);
                params.end()?;
                let key = secret_key(&key)?;
                let protocol = protocol.clone();
                Reply::later(blocking(move || {
                    protocol.keys.add_pair(key).map(|id| write::string(&id))
                }))
            }
            "deleteKeyPair" => {
                let id = params.next(text)?;
                params.end()?;
                if !keys.remove_pair(&id) {
                    return Err(RpcError::failed(format!("key pair {id} not found")));
                }
                yes()
            }
            "hasKeyPair" => boolean(keys.pair(&one_text(params)?).is_some()),
            "getPublicKey" => {
                let key = pair(protocol, &one_text(params)?)?;
                Ok(write::string(&key.public_key().to_string())).into()
            }
            "getPrivateKey" => {
                let key = pair(protocol, &one_text(params)?)?;
                Ok(write::string(&key.to_hex())).into()
            }
            "newSymKey" => {
                params.end()?;
                let key = StoredKey::Usable(SymKey::generate(&mut generator()?));
                keys.add_symmetric(key).map(|id| write::string(&id)).into()
            }
            "addSymKey" => {
                let key = zeroize::Zeroizing::new(params.next(bytes)?);
                params.end()?;
                let Ok(key) = <[u8; 32]>::try_from(&key[..]) else {
                    return Err(RpcError::failed(format!("wrong key size: {}", key.len())));
                };
                let key = SymKey::from_bytes(key).map_or(StoredKey::Zeros, StoredKey::Usable);
                keys.add_symmetric(key).map(|id| write::string(&id)).into()
            }
            "generateSymKeyFromPassword" => {
                let password = zeroize::Zeroizing::new(one_text(params)?);
                let protocol = protocol.clone();
                Reply::later(blocking(move || {
                    let key = StoredKey::Usable(SymKey::from_password(&password));
                    protocol.keys.add_symmetric(key).map(|id| write::string(&id))
                }))
            }
            "hasSymKey" => boolean(keys.symmetric(&one_text(params)?).is_some()),
            "getSymKey" => {
                let key = symmetric(protocol, &one_text(params)?)?;
                Ok(write::hex(key.bytes())).into()
            }
            "deleteSymKey" => boolean(keys.remove_symmetric(&one_text(params)?)),
            "post" => {
                let message = params.next(|value| NewMessage::read(value, protocol))?;
                params.end()?;
                self.post(protocol, message)?
            }
            "newMessageFilter" => {
                let criteria = params.next(|value| NewCriteria::read(value, protocol))?;
                params.end()?;
                let criteria = criteria.check(protocol, false)?;
                let (id, _) = self.add_filter(protocol, criteria)?;
                Ok(write::string(&id)).into()
            }
            "getFilterMessages" => {
                let id = one_text(params)?;
                let waiting = protocol.filters.take(&id);
                let waiting = waiting.ok_or_else(|| RpcError::failed("filter not found"))?;
                let messages = waiting.messages.iter().map(|message| {
                    let mut out = String::new();
                    let infinite = "json: unsupported value: +Inf";
                    let put = message.put(&mut out, protocol.bytes, protocol.is_waku());
                    put.map(|()| out).ok_or_else(|| RpcError::failed(infinite))
                });
                messages.collect::<Result<Vec<_>, _>>().map(|messages| array(&messages)).into()
            }
            "deleteMessageFilter" => {
                if !protocol.filters.remove(&one_text(params)?) {
                    return Err(RpcError::failed("Unsubscribe: Invalid ID"));
                }
                self.filters_changed(protocol);
                yes()
            }
            "uninstallFilter" => {
                protocol.filters.remove(&one_text(params)?);
                self.filters_changed(protocol);
                Ok("null".to_owned()).into()
            }
            _ => Err(RpcError::no_method(&format!("{}_{name}", protocol.namespace))).into(),
        })
    }

    fn info(&self, protocol: &Protocol) -> Outcome {
        let stats = protocol.handle.stats();
        let (min_pow, size) = protocol.handle.with(|node, _| {
            let config = node.config();
            (config.min_pow, config.max_message_size)
        });
        let mut out = String::from("{");
        if !protocol.is_waku() {
            out.push_str(&format!("\"memory\":{},", stats.pooled_bytes));
        }
        out.push_str(&format!("\"messages\":{},\"minPow\":", stats.pooled));
        write::put_float(&mut out, min_pow).unwrap_or_default();
        out.push_str(&format!(",\"maxMessageSize\":{size}}}"));
        Ok(out)
    }

    /// The connection with a node.
    pub(super) fn peer(
        &self,
        protocol: &Protocol,
        id: &PublicKey,
    ) -> Result<ConnectionId, RpcError> {
        let peer = protocol.handle.peer_by_id(id);
        // Before its Status, it is no peer of the protocol.
        let peer =
            peer.filter(|&peer| peer.network() == protocol.handle.network()).filter(|&peer| {
                protocol.handle.peer_state(peer).is_some_and(|state| state.status.is_some())
            });
        peer.ok_or_else(|| {
            let first = if protocol.is_waku() { 'c' } else { 'C' };
            let id = hex::encode(NodeId::from_key(id).0);
            RpcError::failed(format!("{first}ould not find peer with ID: {id}"))
        })
    }

    fn add_filter(
        &self,
        protocol: &Protocol,
        criteria: Criteria,
    ) -> Result<(String, Arc<tokio::sync::Notify>), RpcError> {
        let topics = criteria.topics.clone();
        let added = protocol.filters.add(criteria)?;
        protocol.handle.add_topics(topics);
        self.filters_changed(protocol);
        Ok(added)
    }

    pub(super) fn subscribe_messages(
        &self,
        protocol: &Arc<Protocol>,
        mut params: Params<'_>,
    ) -> Result<Begun, RpcError> {
        let criteria = params.next(|value| NewCriteria::read(value, protocol))?;
        params.end()?;
        let criteria = criteria.check(protocol, true)?;
        let id = subscription_id()?;
        let (filter, ready) = self.add_filter(protocol, criteria)?;
        let source = Source::Filter { protocol: protocol.clone(), filter, ready };
        Ok(Begun { id, namespace: protocol.namespace, source })
    }

    fn post(
        self: &Arc<Self>,
        protocol: &Arc<Protocol>,
        message: NewMessage,
    ) -> Result<Reply, RpcError> {
        let NewMessage { sym_key_id, public_key, sig, topic, .. } = &message;
        if sym_key_id.is_empty() == public_key.is_empty() {
            return Err(RpcError::failed(NO_OR_BOTH_KEYS));
        }
        let signer = if sig.is_empty() { None } else { Some(pair(protocol, sig)?) };
        let recipient = if sym_key_id.is_empty() {
            let invalid = || RpcError::failed("invalid public key");
            To::Public(uncompressed(public_key).ok_or_else(invalid)?)
        } else {
            if *topic == Topic([0; 4]) {
                return Err(RpcError::failed(NO_TOPICS));
            }
            let key = symmetric(protocol, sym_key_id)?;
            match &*key {
                StoredKey::Usable(_) => To::Symmetric(key),
                StoredKey::Zeros => return Err(RpcError::failed("invalid symmetric key")),
            }
        };
        let (api, protocol) = (self.clone(), protocol.clone());
        let now = UnixSeconds::from_since_epoch(protocol.handle.now());
        Ok(Reply::later(async move {
            let sealing = blocking(move || {
                let envelope = sealed(&message, &recipient, signer.as_deref(), now)?;
                Ok((envelope, message))
            });
            let (envelope, message) = sealing.await?;
            let hash = envelope.hash();
            if !message.target_peer.is_empty() {
                api.send_directly(&protocol, &message.target_peer, envelope).await?;
            } else {
                let min_pow = protocol.handle.with(|node, _| node.config().min_pow);
                if message.pow_target < min_pow {
                    return Err(RpcError::failed("message rejected, PoW too low"));
                }
                let sent = protocol.handle.send(envelope.clone());
                sent.map_err(|error| refusal(&error, &envelope))?;
            }
            Ok(write::hex(&hash.0))
        }))
    }

    async fn send_directly(
        &self,
        protocol: &Protocol,
        node: &str,
        envelope: Envelope,
    ) -> Result<(), RpcError> {
        let named = goenode::read(node);
        let failed = |error| RpcError::failed(format!("failed to parse target peer: {error}"));
        let peer = self.peer(protocol, &named.map_err(failed)?.id)?;
        let packet = Packet::P2pMessage(vec![envelope]);
        let sent = protocol.handle.try_send_packet(peer, &packet);
        sent.map_err(|error| RpcError::failed(error.to_string()))
    }
}

/// Whom a message is for.
enum To {
    Symmetric(Arc<StoredKey>),
    Public(PublicKey),
}

/// Seals a message and works for it.
fn sealed(
    message: &NewMessage,
    to: &To,
    signer: Option<&SecretKey>,
    now: UnixSeconds,
) -> Result<Envelope, RpcError> {
    let failed = |error: &dyn std::fmt::Display| RpcError::failed(error.to_string());
    let ttl = if message.ttl == 0 { DEFAULT_TTL } else { message.ttl };
    let target = message.pow_target;
    // Without a target, time is what is given; it counts from the end of the work.
    let sent = if target < 0.0 { now.wrapping_add(message.pow_time) } else { now };
    let draft = Draft { topic: message.topic, now: sent, ttl, payload: &message.payload, signer };
    let recipient = match to {
        To::Symmetric(key) => match &**key {
            StoredKey::Usable(key) => Recipient::Sym(key),
            StoredKey::Zeros => return Err(RpcError::failed("invalid symmetric key")),
        },
        To::Public(key) => Recipient::Asym(key),
    };
    let padding = (!message.padding.is_empty()).then_some(&message.padding[..]);
    let envelope = seal::seal_padded(&draft, recipient, padding, &mut generator()?);
    let envelope = envelope.map_err(|error| failed(&error))?;
    let missed = || {
        let seconds = message.pow_time;
        RpcError::failed(format!(
            "failed to reach the PoW target, specified pow time ({seconds} seconds) was insufficient"
        ))
    };
    if target > 0.0 && message.pow_time == 0 {
        return Err(missed());
    }
    let until = Instant::now() + Duration::from_secs(message.pow_time.min(MOST_WORK).into());
    let stop = || Instant::now() >= until;
    // One thread each: others want to post as well.
    let threads = std::num::NonZeroUsize::new(1);
    let options = MineOptions { threads, stop: Some(&stop), ..MineOptions::default() };
    match pow::mine_envelope(&envelope, target, &options) {
        Ok(mined) if mined.reached => Ok(mined.envelope),
        Ok(_) | Err(TargetError::Unreachable { .. }) => Err(missed()),
        Err(error) => Err(failed(&error)),
    }
}

/// Why the node does not send an envelope, in the words of the reference.
fn refusal(error: &SendError, envelope: &Envelope) -> RpcError {
    let hash = envelope.hash();
    RpcError::failed(match error {
        SendError::Oversized { .. } | SendError::Refused(Verdict::Oversized) => {
            format!("huge messages are not allowed [{}]", hex::encode(hash.0))
        }
        SendError::Refused(Verdict::LowPow) => {
            let pow = envelope.pow(0);
            format!("envelope with low PoW received: PoW={pow:.6}, hash=[{hash}]")
        }
        SendError::Refused(verdict @ (Verdict::NoBloomMatch | Verdict::NoTopicMatch)) => {
            let what = match verdict {
                Verdict::NoBloomMatch => "bloom filter",
                _ => "topic interest",
            };
            let bloom = hex::encode(Bloom::from_topic(envelope.topic()).0);
            let topic = hex::encode(envelope.topic().0);
            format!("envelope does not match {what}, hash=[{hash}], bloom: \n{bloom} \n{topic}")
        }
        SendError::Refused(Verdict::FromFuture) => format!("envelope from future: {hash}"),
        SendError::Refused(Verdict::VeryOld | Verdict::Expired) => {
            format!("very old envelope: {hash}")
        }
        other => other.to_string(),
    })
}

/// The parameter of `post`.
struct NewMessage {
    sym_key_id: String,
    public_key: Vec<u8>,
    sig: String,
    ttl: u32,
    topic: Topic,
    payload: Vec<u8>,
    padding: Vec<u8>,
    pow_time: u32,
    pow_target: f64,
    target_peer: String,
}

impl NewMessage {
    fn read(value: &[u8], protocol: &Protocol) -> Result<Self, String> {
        let mut it = Self {
            sym_key_id: String::new(),
            public_key: Vec::new(),
            sig: String::new(),
            ttl: 0,
            topic: Topic([0; 4]),
            payload: Vec::new(),
            padding: Vec::new(),
            pow_time: 0,
            pow_target: 0.0,
            target_peer: String::new(),
        };
        let types = Types::of(protocol);
        let mut typed = Typed::default();
        for (name, value) in object(value, &mut typed, types.message) {
            let is = |known| parts::is_name(&name, known);
            let place = |name| Place::field("NewMessage", name);
            let keeps = types.keeps(value);
            if is("symKeyID") && !keeps {
                it.sym_key_id = typed.string(value, place("symKeyID"), "string");
            } else if is("pubKey") {
                it.public_key = types.bytes(&mut typed, value, place("pubKey"))?;
            } else if is("sig") && !keeps {
                it.sig = typed.string(value, place("sig"), "string");
            } else if is("ttl") && !keeps {
                it.ttl = typed.uint32(value, place("ttl"));
            } else if is("topic") && !keeps {
                it.topic = typed.topic(value, place("topic"), types.one_topic)?;
            } else if is("payload") {
                it.payload = types.bytes(&mut typed, value, place("payload"))?;
            } else if is("padding") {
                it.padding = types.bytes(&mut typed, value, place("padding"))?;
            } else if is("powTime") && !keeps {
                it.pow_time = typed.uint32(value, place("powTime"));
            } else if is("powTarget") && !keeps {
                it.pow_target = typed.float64(value, place("powTarget"));
            } else if is("targetPeer") && !keeps {
                it.target_peer = typed.string(value, place("targetPeer"), "string");
            }
        }
        typed.done(it)
    }
}

/// The parameter of `newMessageFilter` and `subscribe`.
#[derive(Default)]
struct NewCriteria {
    sym_key_id: String,
    private_key_id: String,
    sig: Vec<u8>,
    min_pow: f64,
    topics: Vec<Topic>,
    direct: bool,
}

impl NewCriteria {
    fn read(value: &[u8], protocol: &Protocol) -> Result<Self, String> {
        let mut it = Self::default();
        let types = Types::of(protocol);
        let mut typed = Typed::default();
        for (name, value) in object(value, &mut typed, types.criteria) {
            let is = |known| parts::is_name(&name, known);
            let place = |name| Place::field("Criteria", name);
            let keeps = types.keeps(value);
            if is("symKeyID") && !keeps {
                it.sym_key_id = typed.string(value, place("symKeyID"), "string");
            } else if is("privateKeyID") && !keeps {
                it.private_key_id = typed.string(value, place("privateKeyID"), "string");
            } else if is("sig") {
                it.sig = types.bytes(&mut typed, value, place("sig"))?;
            } else if is("minPow") && !keeps {
                it.min_pow = typed.float64(value, place("minPow"));
            } else if is("topics") {
                let topics = typed.elements(value, place("topics"), types.topics);
                it.topics = topics
                    .map(|topic| typed.topic(topic, place("topics"), types.topic))
                    .collect::<Result<_, _>>()?;
            } else if is("allowP2P") && !keeps {
                it.direct = typed.bool(value, place("allowP2P"));
            }
        }
        typed.done(it)
    }

    fn check(self, protocol: &Protocol, is_subscription: bool) -> Result<Criteria, RpcError> {
        let Self { sym_key_id, private_key_id, sig, min_pow, topics, direct } = self;
        if sym_key_id.is_empty() == private_key_id.is_empty() {
            return Err(RpcError::failed(NO_OR_BOTH_KEYS));
        }
        let signer = match sig.is_empty() {
            true => None,
            false => {
                let invalid = || RpcError::failed("invalid signing public key");
                Some(uncompressed(&sig).ok_or_else(invalid)?)
            }
        };
        let key = if private_key_id.is_empty() {
            if is_subscription && topics.is_empty() {
                return Err(RpcError::failed(NO_TOPICS));
            }
            let key = symmetric(protocol, &sym_key_id)?;
            if matches!(*key, StoredKey::Zeros) {
                return Err(RpcError::failed("invalid symmetric key"));
            }
            FilterKey::Symmetric(key)
        } else {
            let key = pair(protocol, &private_key_id);
            let invalid = |_| RpcError::failed("invalid public key");
            FilterKey::Private(if is_subscription { key.map_err(invalid)? } else { key? })
        };
        Ok(Criteria { key, signer, min_pow, topics, direct })
    }
}

/// The names of the reference's types, and what is special about them.
struct Types {
    message: &'static str,
    criteria: &'static str,
    one_topic: &'static str,
    topic: &'static str,
    topics: &'static str,
    bytes: Bytes,
    /// Whether bytes in hex may be in base64 as well.
    is_lenient: bool,
}

impl Types {
    fn of(protocol: &Protocol) -> Self {
        let (bytes, is_lenient) = (protocol.bytes, protocol.is_waku());
        match protocol.is_waku() {
            false => Self {
                message: "whisper.NewMessage",
                criteria: "whisper.Criteria",
                one_topic: "*whisper.TopicType",
                topic: "whisper.TopicType",
                topics: "[]whisper.TopicType",
                bytes,
                is_lenient,
            },
            true => Self {
                message: "waku.NewMessage",
                criteria: "waku.Criteria",
                one_topic: "waku.TopicType",
                topic: "waku.TopicType",
                topics: "[]waku.TopicType",
                bytes,
                is_lenient,
            },
        }
    }

    /// Whether a null leaves what an earlier member of the same name has set.
    fn keeps(&self, value: &[u8]) -> bool {
        self.bytes == Bytes::Base64 && value == b"null"
    }

    fn bytes(&self, typed: &mut Typed, value: &[u8], place: Place) -> Result<Vec<u8>, String> {
        let is_base64 = || {
            let text = parts::string(value);
            text.is_some_and(|text| !text.starts_with("0x") && !text.starts_with("0X"))
        };
        match self.bytes {
            Bytes::Base64 => Ok(typed.base64(value, place)),
            Bytes::Hex if value == b"null" => Ok(Vec::new()),
            Bytes::Hex if self.is_lenient && is_base64() => Ok(typed.base64(value, place)),
            Bytes::Hex => hex(value, place, "hexutil.Bytes"),
        }
    }
}

/// Returns the members of an object. A null has none.
fn object<'a>(
    value: &'a [u8],
    typed: &mut Typed,
    of: &str,
) -> impl Iterator<Item = (std::borrow::Cow<'a, str>, &'a [u8])> + use<'a> {
    if !value.starts_with(b"{") && value != b"null" {
        typed.mismatch(value, Place::default(), of);
    }
    parts::members(value)
}

fn one_text(mut params: Params<'_>) -> Result<String, RpcError> {
    let value = params.next(text)?;
    params.end()?;
    Ok(value)
}

fn uint32(value: &[u8]) -> Result<u32, String> {
    let mut typed = Typed::default();
    let number = typed.uint32(value, Place::default());
    typed.done(number)
}

fn float64(value: &[u8]) -> Result<f64, String> {
    let mut typed = Typed::default();
    let number = typed.float64(value, Place::default());
    typed.done(number)
}

fn yes() -> Reply {
    boolean(true)
}

fn boolean(value: bool) -> Reply {
    Ok(value.to_string()).into()
}

fn pair(protocol: &Protocol, id: &str) -> Result<Arc<SecretKey>, RpcError> {
    protocol.keys.pair(id).ok_or_else(|| RpcError::failed(INVALID_ID))
}

pub(super) fn symmetric(protocol: &Protocol, id: &str) -> Result<Arc<StoredKey>, RpcError> {
    protocol.keys.symmetric(id).ok_or_else(|| RpcError::failed(NO_KEY))
}

fn uncompressed(bytes: &[u8]) -> Option<PublicKey> {
    if bytes.len() == 65 { PublicKey::from_slice(bytes).ok() } else { None }
}

/// Reads a private key, with the errors of go-ethereum.
fn secret_key(bytes: &[u8]) -> Result<SecretKey, RpcError> {
    let Ok(bytes) = <&[u8; 32]>::try_from(bytes) else {
        return Err(RpcError::failed("invalid length, need 256 bits"));
    };
    SecretKey::from_bytes(bytes).map_err(|_| {
        let is_zero = bytes.iter().all(|&byte| byte == 0);
        let why = if is_zero { "zero or negative" } else { ">=N" };
        RpcError::failed(format!("invalid private key, {why}"))
    })
}
