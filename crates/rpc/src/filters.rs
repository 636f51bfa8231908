//! Filters: each opens the envelopes that its key fits, and keeps the messages until they are fetched.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
};

use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    envelope::{Envelope, EnvelopeHash, Message, Opener, Topic, seal},
};
use tokio::sync::Notify;

use crate::{
    error::RpcError,
    json::write::{put_float, put_hex},
    keys::{StoredKey, lock, random},
};

/// The most filters of one protocol.
const MOST: usize = 4096;
/// The bytes that may wait in one filter. Beyond, its oldest messages go.
const MOST_BYTES: usize = 8 << 20;
/// The bytes that may wait in all filters of one protocol.
const MOST_BYTES_OF_ALL: usize = 128 << 20;

/// What a filter wants.
#[derive(Clone)]
pub struct Criteria {
    pub key: FilterKey,
    /// The key that must have signed; any, or none, without it.
    pub signer: Option<PublicKey>,
    pub min_pow: f64,
    /// All topics, if empty.
    pub topics: Vec<Topic>,
    /// Whether direct messages are taken.
    pub direct: bool,
}

/// The key that opens the messages of a filter.
#[derive(Clone)]
pub enum FilterKey {
    Symmetric(Arc<StoredKey>),
    Private(Arc<SecretKey>),
}

/// A message that a filter has opened.
pub struct Received {
    envelope: Envelope,
    hash: EnvelopeHash,
    pow: f64,
    message: Message,
    recipient: Option<PublicKey>,
    is_direct: bool,
}

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// Hex digits after `0x`.
    Hex,
    /// Base64, as `waku_*` of status-go v0.50.2 has it.
    Base64,
}

impl Bytes {
    pub fn put(self, out: &mut String, bytes: &[u8]) {
        match self {
            Self::Hex => put_hex(out, bytes),
            Self::Base64 => {
                out.push('"');
                data_encoding::BASE64.encode_append(bytes, out);
                out.push('"');
            }
        }
    }
}

impl Received {
    fn size(&self) -> usize {
        let Message { payload, padding, .. } = &self.message;
        size_of::<Self>() + self.envelope.raw().len() + payload.len() + padding.len()
    }

    /// Appends the message object. `None` if JSON has no number for its proof of work.
    pub fn put(&self, out: &mut String, bytes: Bytes, is_waku: bool) -> Option<()> {
        let field = |out: &mut String, name: &str, value: &[u8]| {
            out.push_str(name);
            bytes.put(out, value);
        };
        out.push('{');
        if let Some(signer) = self.message.signer() {
            field(out, "\"sig\":", &signer.to_uncompressed());
            out.push(',');
        }
        let (ttl, sent) = (self.envelope.ttl(), self.envelope.sent().0);
        out.push_str(&format!("\"ttl\":{ttl},\"timestamp\":{sent},\"topic\":"));
        put_hex(out, &self.envelope.topic().0);
        field(out, ",\"payload\":", &self.message.payload);
        field(out, ",\"padding\":", &self.message.padding);
        out.push_str(",\"pow\":");
        put_float(out, self.pow)?;
        field(out, ",\"hash\":", &self.hash.0);
        if let Some(recipient) = &self.recipient {
            field(out, ",\"recipientPublicKey\":", &recipient.to_uncompressed());
        }
        if is_waku && self.is_direct {
            out.push_str(",\"bool\":true");
        }
        out.push('}');
        Some(())
    }
}

/// The filters of one protocol.
#[derive(Default)]
pub struct Filters {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_id: HashMap<String, Filter>,
    bytes: usize,
}

struct Filter {
    criteria: Criteria,
    messages: VecDeque<Arc<Received>>,
    held: HashSet<EnvelopeHash>,
    bytes: usize,
    /// Messages that went because too many waited.
    lost: u64,
    ready: Arc<Notify>,
}

/// What waits in a filter.
#[derive(Default)]
pub struct Waiting {
    pub messages: VecDeque<Arc<Received>>,
    /// Messages that went before, because too many waited.
    pub lost: u64,
}

impl Filters {
    /// Adds a filter. Returns its id, and what tells that a message has come.
    pub fn add(&self, criteria: Criteria) -> Result<(String, Arc<Notify>), RpcError> {
        let id = hex::encode(random::<32>()?);
        let ready = Arc::new(Notify::new());
        let filter = Filter {
            criteria,
            messages: VecDeque::new(),
            held: HashSet::new(),
            bytes: 0,
            lost: 0,
            ready: ready.clone(),
        };
        let mut inner = lock(&self.inner);
        if inner.by_id.len() >= MOST {
            return Err(RpcError::failed(format!("too many filters, at most {MOST}")));
        }
        inner.by_id.insert(id.clone(), filter);
        Ok((id, ready))
    }

    /// Removes a filter. Returns whether it was there.
    pub fn remove(&self, id: &str) -> bool {
        let mut inner = lock(&self.inner);
        let filter = inner.by_id.remove(id);
        inner.bytes -= filter.as_ref().map_or(0, |filter| filter.bytes);
        filter.is_some()
    }

    /// Takes what waits in a filter; `None` if there is no such filter.
    pub fn take(&self, id: &str) -> Option<Waiting> {
        let mut inner = lock(&self.inner);
        let filter = inner.by_id.get_mut(id)?;
        filter.held.clear();
        let bytes = std::mem::take(&mut filter.bytes);
        let lost = std::mem::take(&mut filter.lost);
        let messages = std::mem::take(&mut filter.messages);
        inner.bytes -= bytes;
        Some(Waiting { messages, lost })
    }

    /// The topics of all filters; `None` for all topics.
    pub fn topics(&self) -> Option<HashSet<Topic>> {
        let mut topics = HashSet::new();
        for filter in lock(&self.inner).by_id.values() {
            if filter.criteria.topics.is_empty() {
                return None;
            }
            topics.extend(&filter.criteria.topics);
        }
        Some(topics)
    }

    /// Hands an envelope to the filters that want it.
    pub fn offer(&self, offered: &Offered<'_>) {
        let Offered { envelope, pow, is_direct, is_light, .. } = *offered;
        let topic = envelope.topic();
        let wants = |filter: &Filter| {
            let Criteria { topics, min_pow, direct, .. } = &filter.criteria;
            (topics.is_empty() || topics.contains(&topic))
                && (*direct || !is_direct && !is_light)
                && (*min_pow <= 0.0 || pow >= *min_pow)
        };
        let candidates: Vec<(String, Criteria)> = {
            let inner = lock(&self.inner);
            let wanting = inner.by_id.iter().filter(|(_, filter)| wants(filter));
            wanting.map(|(id, filter)| (id.clone(), filter.criteria.clone())).collect()
        };
        // Filters often share a key: each key is tried once.
        let mut opened: Vec<(FilterKey, Option<Arc<Received>>)> = Vec::new();
        for (id, criteria) in candidates {
            let known = opened.iter().find(|(key, _)| key.is(&criteria.key));
            let received = match known {
                Some((_, received)) => received.clone(),
                None => {
                    let received = offered.open(&criteria.key).map(Arc::new);
                    opened.push((criteria.key, received.clone()));
                    received
                }
            };
            let Some(received) = received else { continue };
            if criteria.signer.is_none_or(|key| received.message.signer() == Some(&key)) {
                self.keep(&id, received);
            }
        }
    }

    fn keep(&self, id: &str, received: Arc<Received>) {
        let mut inner = lock(&self.inner);
        let all = inner.bytes;
        let Some(filter) = inner.by_id.get_mut(id) else { return };
        if !filter.held.insert(received.hash) {
            return;
        }
        let (before, size) = (filter.bytes, received.size());
        while filter.bytes + size > MOST_BYTES
            || all - before + filter.bytes + size > MOST_BYTES_OF_ALL
        {
            let Some(oldest) = filter.messages.pop_front() else { break };
            filter.held.remove(&oldest.hash);
            filter.bytes -= oldest.size();
            filter.lost += 1;
        }
        filter.bytes += size;
        filter.messages.push_back(received);
        filter.ready.notify_one();
        let after = filter.bytes;
        inner.bytes = all - before + after;
    }
}

/// An envelope for the filters.
#[derive(Clone, Copy)]
pub struct Offered<'a> {
    pub envelope: &'a Envelope,
    pub hash: EnvelopeHash,
    pub pow: f64,
    pub is_direct: bool,
    /// Whether the node is a light client: only filters for direct messages get anything.
    pub is_light: bool,
}

impl Offered<'_> {
    fn open(&self, key: &FilterKey) -> Option<Received> {
        let opener = match key {
            FilterKey::Symmetric(key) => match &**key {
                StoredKey::Usable(key) => Opener::Sym(key),
                StoredKey::Zeros => return None,
            },
            FilterKey::Private(key) => Opener::Asym(key),
        };
        let message = seal::open(self.envelope, opener).ok()?;
        let recipient = match key {
            FilterKey::Private(key) => Some(key.public_key()),
            FilterKey::Symmetric(_) => None,
        };
        let Self { hash, pow, is_direct, .. } = *self;
        Some(Received { envelope: self.envelope.clone(), hash, pow, message, recipient, is_direct })
    }
}

impl FilterKey {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Symmetric(ours), Self::Symmetric(theirs)) => Arc::ptr_eq(ours, theirs),
            (Self::Private(ours), Self::Private(theirs)) => Arc::ptr_eq(ours, theirs),
            _ => false,
        }
    }
}
