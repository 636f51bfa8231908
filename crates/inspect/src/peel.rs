//! What bytes are, and what is inside.

use std::{borrow::Cow, cell::Cell, collections::HashMap, fmt};

use statuskit_core::{
    account::ContactCode,
    chat::{
        KeyRing,
        messenger::{Subscription, TopicKind},
    },
    crypto::{PublicKey, SecretKey},
    devp2p::handshake::SessionKeys,
    envelope::{SymKey, Topic},
    explain::Explanation,
    time::UnixSeconds,
};

use crate::{
    KINDS,
    kinds::{self, Place},
    layer::{Certainty, Check, Child, Field, Node, Stop},
    state::State,
};

/// The most layers of one inspection. What is deeper or further is named, but not opened.
pub(crate) const MAX_LAYERS: u32 = 2048;

/// The deepest nesting of layers.
const MAX_DEPTH: u32 = 24;

/// The most operations on curves: signatures, agreements, points.
const MAX_CURVE: u32 = 256;

/// How to inspect.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// The keys at hand.
    pub keys: Keys,
    /// Reads the bytes as this kind only, one of [`KINDS`].
    pub kind: Option<String>,
    /// The time by which envelopes are checked. `None`: when they were sent.
    pub now: Option<UnixSeconds>,
}

/// Keys that open layers.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Keys {
    /// Chats, passwords, symmetric keys and identities, for envelopes.
    pub ring: KeyRing,
    /// Keys of nodes, for RLPx handshakes.
    pub nodes: Vec<SecretKey>,
    /// Sessions of a key log, for the frames of RLPx connections.
    pub frames: Vec<SessionKeys>,
    /// States of devices, for messages of their sessions.
    pub states: Vec<State>,
    /// People by the topics of their contact codes.
    contacts: HashMap<Topic, PublicKey>,
}

impl Keys {
    /// Adds a person, whose contact codes are then opened. Their keys are derived when one is there.
    pub fn add_contact(&mut self, key: PublicKey) {
        self.contacts.insert(ContactCode::from_key(&key).topic, key);
    }

    /// Returns a ring with the key of a contact code's topic.
    pub(crate) fn contact_code(&self, topic: Topic) -> Option<KeyRing> {
        let key = self.contacts.get(&topic)?;
        let name = ContactCode::from_key(key).name;
        let mut ring = KeyRing::new();
        ring.add_subscription(&Subscription {
            topic,
            key: Some(SymKey::from_password(&name)),
            kind: TopicKind::ContactCode(*key),
        });
        Some(ring)
    }
}

/// What bytes are, with all layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The layers, depth first; the outermost first.
    pub layers: Vec<Layer>,
    /// The buffers that layers count in. The first is the input.
    pub buffers: Vec<Buffer>,
    /// Other readings of the input, the most certain first.
    pub candidates: Vec<Candidate>,
}

impl Inspection {
    /// Returns the kind of the outermost layer.
    pub fn kind(&self) -> &str {
        &self.layers[0].kind
    }

    /// Returns how sure the reading of the outermost layer is.
    pub fn certainty(&self) -> Certainty {
        self.layers[0].certainty
    }
}

/// A layer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Layer {
    /// What it is, one of [`KINDS`].
    pub kind: Cow<'static, str>,
    /// The index of the layer around it.
    pub parent: Option<usize>,
    /// The index of the buffer that offsets count in.
    pub buffer: usize,
    /// Where it begins.
    pub offset: usize,
    /// Its length in bytes.
    pub length: usize,
    /// Its parts, in order. Together they are the layer.
    pub fields: Vec<Field>,
    /// What a receiver checks.
    pub checks: Vec<Check>,
    /// Why nothing inside was opened.
    pub stopped: Option<Stop>,
    /// The name of the key that opened it.
    pub opened_with: Option<String>,
    /// How sure the reading is.
    pub certainty: Certainty,
    /// Why it is that sure.
    pub why: Cow<'static, str>,
}

/// Bytes that layers count in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Buffer {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The layer that they were made of. `None` for the input.
    pub layer: Option<usize>,
    /// How they were made, such as `decrypted with chat status`.
    pub method: String,
}

/// Another reading.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// The kind.
    pub kind: Cow<'static, str>,
    /// How sure it is.
    pub certainty: Certainty,
    /// Why.
    pub why: Cow<'static, str>,
}

/// Why bytes were not read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InspectError {
    /// There are no bytes.
    Empty,
    /// Nothing that is known has this form.
    Unknown {
        /// The number of bytes.
        length: usize,
    },
    /// They are not of the kind that was asked for.
    NotOfKind {
        /// The kind.
        kind: String,
    },
    /// There is no such kind.
    NoSuchKind(String),
}

impl InspectError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "inspect.empty",
            Self::Unknown { .. } => "inspect.unknown",
            Self::NotOfKind { .. } => "inspect.not_of_kind",
            Self::NoSuchKind(_) => "inspect.no_such_kind",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "payload.unsigned",
            rule: "A payload without a signature is accepted: its author is then the signer of the envelope. It proves nothing by itself.",
            source: "Status specifications, Payloads; as in the reference",
            causes: "status-payload sign --identity FILE signs it.",
        },
        Explanation {
            code: "inspect.empty",
            rule: "There must be bytes to inspect.",
            source: "tools",
            causes: "An empty member or file.",
        },
        Explanation {
            code: "inspect.no_such_kind",
            rule: "Kinds have fixed names, such as whisper.envelope.",
            source: "tools",
            causes: "A typing error: `status-inspect kinds` lists them.",
        },
        Explanation {
            code: "inspect.unknown",
            rule: "What is named has a known form: a packet, an envelope, a message, a key, a link.",
            source: "tools",
            causes: "The bytes are random or encrypted, are cut at their beginning, or belong to another protocol.",
        },
        Explanation {
            code: "inspect.not_of_kind",
            rule: "With --as, the bytes are read as that kind only.",
            source: "tools",
            causes: "Another kind: leave --as out to see all readings.",
        },
        Explanation {
            code: "inspect.no_key",
            rule: "An envelope or a handshake opens with the key that it is encrypted to.",
            source: "tools",
            causes: "Name the chat (--chat), the password (--password), the recipient's key (--identity), the node's key (--node-key) or the key log (--key-log).",
        },
        Explanation {
            code: "inspect.bad_tag",
            rule: "The tag of an encrypted message fails if one bit of it or of the key is wrong.",
            source: "tools",
            causes: "The key fits the topic, but the bytes are damaged, or another key has the same topic.",
        },
        Explanation {
            code: "inspect.malformed",
            rule: "A key opened the envelope, but its content is no Whisper message.",
            source: "tools",
            causes: "The sender has a fault.",
        },
        Explanation {
            code: "inspect.no_session",
            rule: "Messages of the secure transport open with the session of the installation.",
            source: "tools",
            causes: "The state of the recipient is needed (--state), as it was before the message: keys of messages that were read are deleted.",
        },
        Explanation {
            code: "inspect.padding_only",
            rule: "A message may have an empty payload.",
            source: "tools",
            causes: "Cover traffic, or a fault of the sender.",
        },
        Explanation {
            code: "inspect.application",
            rule: "The payload of a message is for an application: any bytes.",
            source: "tools",
            causes: "No client of Status made it, or it is plain text.",
        },
        Explanation {
            code: "inspect.truncated",
            rule: "A list says how long it is.",
            source: "tools",
            causes: "The rest of the bytes was lost, for example where a log cuts its lines.",
        },
        Explanation {
            code: "inspect.unknown_type",
            rule: "A payload says its type with a number.",
            source: "tools",
            causes: "A newer client, or another application.",
        },
        Explanation {
            code: "inspect.password",
            rule: "A key file is encrypted with a password.",
            source: "tools",
            causes: "`status-account keystore open` opens it.",
        },
        Explanation {
            code: "inspect.old_client",
            rule: "Clients before 2020 sent JSON in transit format.",
            source: "tools",
            causes: "The message is from such a client. Later ones ignore it.",
        },
        Explanation {
            code: "inspect.gap",
            rule: "A stream of TCP is put together up to the first byte that is not in the capture.",
            source: "tools",
            causes: "The capture began late, lost packets, or cut them (`tcpdump -s 0` takes them whole).",
        },
        Explanation {
            code: "inspect.unsigned",
            rule: "A transaction without a signature is what is signed, and does nothing by itself.",
            source: "EIP-155",
            causes: "It is the input of a signer.",
        },
        Explanation {
            code: "inspect.limit",
            rule: "An inspection opens a bounded number of envelopes and layers.",
            source: "tools",
            causes: "Pass a part of the input alone.",
        },
    ];
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there are no bytes to inspect"),
            Self::Unknown { length } => {
                write!(f, "nothing known has the form of these {length} bytes")
            }
            Self::NotOfKind { kind } => write!(f, "the bytes can't be read as {kind}"),
            Self::NoSuchKind(kind) => {
                write!(f, "there is no kind {kind:?}; `status-inspect kinds` lists them")
            }
        }
    }
}

impl std::error::Error for InspectError {}

/// Finds out what bytes are, and opens what is inside.
///
/// # Errors
/// If nothing known has their form.
pub fn inspect(bytes: &[u8], options: &Options) -> Result<Inspection, InspectError> {
    read(bytes, options, Place::Input)
}

/// Finds out what a text is by itself: a link, a key, a node URL, a key file. Bytes that it may
/// spell are not looked at.
///
/// # Errors
/// If it is none of these.
pub fn inspect_text(text: &str, options: &Options) -> Result<Inspection, InspectError> {
    read(text.as_bytes(), options, Place::Text)
}

fn read(bytes: &[u8], options: &Options, place: Place) -> Result<Inspection, InspectError> {
    if bytes.is_empty() {
        return Err(InspectError::Empty);
    }
    let context = Context::new(options);
    let mut readings = kinds::readings(&context, bytes, 0, place);
    if let Some(kind) = &options.kind {
        if !KINDS.iter().any(|(known, _)| known == kind || is_payload(known, kind)) {
            return Err(InspectError::NoSuchKind(kind.clone()));
        }
        readings.retain(|reading| reading.kind == *kind);
        if readings.is_empty() {
            return Err(InspectError::NotOfKind { kind: kind.clone() });
        }
    }
    let mut readings = readings.into_iter();
    let mut first = readings.next().ok_or(InspectError::Unknown { length: bytes.len() })?;
    if context.is_limited.get() && first.stopped.is_none() {
        let message = format!("more than {MAX_LAYERS} layers, or {MAX_DEPTH} in one another");
        first.stop("inspect.limit", message, "inspect a part of it alone");
    }
    first.cover();
    let candidates = readings
        .map(|it| Candidate { kind: it.kind, certainty: it.certainty, why: it.why })
        .collect();
    let input = Buffer { bytes: bytes.to_vec(), layer: None, method: "input".to_owned() };
    let mut inspection = Inspection { layers: Vec::new(), buffers: vec![input], candidates };
    inspection.add(first, None, 0);
    Ok(inspection)
}

/// `payload.*` stands for every type of payload.
fn is_payload(known: &str, kind: &str) -> bool {
    known == "payload.*" && kind.starts_with("payload.")
}

impl Inspection {
    fn add(&mut self, node: Node, parent: Option<usize>, buffer: usize) {
        let index = self.layers.len();
        self.layers.push(Layer {
            kind: node.kind,
            parent,
            buffer,
            offset: node.offset,
            length: node.length,
            fields: node.fields,
            checks: node.checks,
            stopped: node.stopped,
            opened_with: node.opened_with,
            certainty: node.certainty,
            why: node.why,
        });
        for child in node.children {
            match child {
                Child::Here(node) => self.add(node, Some(index), buffer),
                Child::Buffer { bytes, method, node } => {
                    self.buffers.push(Buffer { bytes, layer: Some(index), method });
                    self.add(node, Some(index), self.buffers.len() - 1);
                }
            }
        }
    }
}

/// What readers of layers share.
pub(crate) struct Context<'a> {
    pub options: &'a Options,
    depth: Cell<u32>,
    layers: Cell<u32>,
    curve: Cell<u32>,
    sender: Cell<Option<PublicKey>>,
    /// Whether something was left closed because of the limits.
    is_limited: Cell<bool>,
    /// How many keys of passwords may still be derived.
    derivations: Cell<u32>,
}

/// The most keys of passwords that are derived: each takes some milliseconds.
const MAX_DERIVATIONS: u32 = 16;

impl<'a> Context<'a> {
    fn new(options: &'a Options) -> Self {
        let (depth, layers) = (Cell::new(0), Cell::new(0));
        let (curve, sender) = (Cell::new(MAX_CURVE), Cell::new(None));
        let (is_limited, derivations) = (Cell::new(false), Cell::new(MAX_DERIVATIONS));
        Self { options, depth, layers, curve, sender, is_limited, derivations }
    }

    /// Reads what a sender has signed.
    pub fn signed_by<T>(&self, sender: Option<PublicKey>, read: impl FnOnce(&Self) -> T) -> T {
        let before = self.sender.replace(sender);
        let found = read(self);
        self.sender.set(before);
        found
    }

    /// Returns who has signed the message around, if it is known.
    pub fn sender(&self) -> Option<PublicKey> {
        self.sender.get()
    }

    /// Reads what is inside a layer: the most certain reading. `None` if nothing fits, or the
    /// limits are reached.
    pub fn inside(&self, bytes: &[u8], at: usize, place: Place) -> Option<Node> {
        if bytes.is_empty() {
            return None;
        }
        self.nested(|context| kinds::readings(context, bytes, at, place).into_iter().next())
    }

    /// Returns whether one more layer may be read here.
    pub fn has_room(&self) -> bool {
        self.depth.get() < MAX_DEPTH && self.layers.get() < MAX_LAYERS
    }

    /// Reads a layer of a known kind inside of another, within the limits.
    pub fn nested(&self, read: impl FnOnce(&Self) -> Option<Node>) -> Option<Node> {
        if !self.has_room() {
            self.is_limited.set(true);
            return None;
        }
        self.layers.set(self.layers.get() + 1);
        self.depth.set(self.depth.get() + 1);
        let found = read(self);
        self.depth.set(self.depth.get() - 1);
        found
    }

    /// Returns whether the bytes are to be read as this kind only: what fits badly is then read, too.
    pub fn is_forced(&self, kind: &str) -> bool {
        self.depth.get() == 0 && self.options.kind.as_deref() == Some(kind)
    }

    /// Returns whether this is the outermost layer.
    pub fn is_outermost(&self) -> bool {
        self.depth.get() == 0
    }

    /// Returns the key of a contact's topic, within the limits.
    pub fn contact_code(&self, topic: Topic) -> Option<KeyRing> {
        let left = self.derivations.get().checked_sub(1)?;
        let ring = self.options.keys.contact_code(topic)?;
        self.derivations.set(left);
        Some(ring)
    }

    /// Counts an operation on the curve. Returns whether it may be done.
    pub fn curve(&self) -> bool {
        let left = self.curve.get();
        self.curve.set(left.saturating_sub(1));
        left > 0
    }
}
