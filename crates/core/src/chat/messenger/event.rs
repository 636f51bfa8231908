//! What goes into a messenger, and what comes out of it.

use rand::CryptoRng;

use crate::{
    account::InstallationId,
    crypto::{PublicKey, SecretKey},
    envelope::{Draft, Envelope, MessageError, Recipient, SymKey, Topic, seal},
    payload::{
        Message, PayloadError, Wrapper,
        check::Refusal as Refused,
        group,
        matching::{Chat, NoChat},
        transaction::CommandError,
        wrapper::MessageId,
    },
    secure::{BundleError, How, Installation, Refusal, device::Part},
    sync,
};

/// An opened message.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Who signed it.
    pub signer: Option<&'a PublicKey>,
    /// When its envelope was sent: UNIX seconds.
    pub sent: u32,
    /// What it says.
    pub payload: &'a [u8],
}

/// What came of an opened message: in the order in which it was found out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What there is to know.
    pub events: Vec<Event>,
    /// What is to be sent at once. Acknowledgements come with the next tick.
    pub posts: Vec<Post>,
}

/// Something that a message said, or why it could not be read.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "they are not kept in numbers")]
pub enum Event {
    /// A payload of Status clients that passed all checks.
    Message(Received),
    /// The message came before, and nothing was done.
    Repeated(MessageId),
    /// This very message was read before, down to the last byte.
    Again,
    /// The bundle of somebody; with the installations that were not known.
    Bundle {
        /// Who sent the message with it.
        sender: PublicKey,
        /// What is new.
        learned: Vec<Installation>,
    },
    /// From now on there is one more topic to listen to.
    Listen(Listening),
    /// Messages of ours have arrived.
    Acknowledged {
        /// Where.
        peer: PublicKey,
        /// Their ids in data sync, with those of the messages as far as we sent them.
        ids: Vec<(sync::MessageId, Option<MessageId>)>,
    },
    /// It says nothing: an answer of data sync, or the announcement of a device.
    Empty {
        /// From whom.
        sender: PublicKey,
    },
    /// What this very device has sent, or a paired one to somebody else.
    Own,
    /// Nothing that Status clients send: other applications use the same network.
    Foreign,
    /// It could not be read, or was not taken.
    Unread {
        /// From whom, if it was signed.
        sender: Option<PublicKey>,
        /// Why.
        reason: Reason,
        /// How far it was read.
        layers: Layers,
    },
}

/// A payload, and all that is known of it.
#[derive(Debug)]
pub struct Received {
    /// Its id.
    pub id: MessageId,
    /// Who wrote it: whoever signed the payload, else who signed the envelope.
    pub author: PublicKey,
    /// Who signed the envelope.
    pub sender: Option<PublicKey>,
    /// The chat that it belongs to, if it is something to be shown in one.
    pub chat: Option<Chat>,
    /// The payload with its wrapper.
    pub wrapper: Wrapper,
    /// What it says.
    pub message: Message,
    /// What it changed in a group.
    pub group: Option<GroupNews>,
    /// How it came.
    pub layers: Layers,
}

/// What an update says about a group.
#[derive(Debug)]
pub struct GroupNews {
    /// The group as it is now.
    pub group: group::Group,
    /// Whether we had not known it.
    pub is_new: bool,
    /// The events that we had not known.
    pub news: Vec<group::Event>,
}

/// How a payload came.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The sender's installation.
    pub installation: Option<InstallationId>,
    /// How the secure transport had encrypted it; none if it was not used.
    pub secure: Option<How>,
    /// The id in data sync, if that was used.
    pub sync: Option<sync::MessageId>,
}

/// Why a message was not read or not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Reason {
    #[error("the message is not signed, so nobody knows whose session it belongs to")]
    Unsigned,
    #[error("the message is dropped for a bundle in it: {0}")]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Secure(#[from] Refusal),
    #[error("{0} entries of a data sync payload can't be understood")]
    Sync(usize),
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error("a client refuses this message: {0}")]
    Refused(Refused),
    #[error(transparent)]
    Group(#[from] group::UpdateError),
    #[error(transparent)]
    NoChat(#[from] NoChat),
    #[error("the answer to a transaction command is not taken: {0}")]
    Command(#[from] CommandError),
    #[error("there are {0} chats already; no more are made for messages of strangers")]
    TooManyChats(usize),
}

impl Reason {
    /// The stable code of this reason, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsigned => "secure.unsigned",
            Self::Bundle(error) => error.code(),
            Self::Secure(refusal) => refusal.code(),
            Self::Sync(_) => "sync.malformed",
            Self::Payload(error) => error.code(),
            Self::Refused(refusal) => refusal.code(),
            Self::Group(error) => error.code(),
            Self::NoChat(reason) => reason.code(),
            Self::Command(error) => error.code(),
            Self::TooManyChats(_) => "chat.too_many",
        }
    }
}

/// A topic on which messages for us may come, and the key that opens them.
#[derive(Debug, Clone, PartialEq)]
pub struct Listening {
    /// Which topic.
    pub topic: Topic,
    /// The symmetric key; none where messages are encrypted to our identity.
    pub key: Option<SymKey>,
    /// What comes there.
    pub what: Subject,
}

/// What comes on a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Messages of whoever knows our key.
    Partitioned,
    /// The same, of some other clients.
    Personal,
    /// How somebody can be written to.
    ContactCode(PublicKey),
    /// What somebody and we write to each other.
    Negotiated(PublicKey),
    /// A public chat.
    Public(String),
}

/// Something to be sealed and sent.
#[derive(Debug)]
pub struct Post {
    /// On which topic.
    pub topic: Topic,
    /// For whom the envelope is encrypted.
    pub key: PostKey,
    /// What goes into the envelope.
    pub payload: Vec<u8>,
    /// To whom it is; none if to everyone.
    pub to: Option<PublicKey>,
    /// What it is.
    pub kind: PostKind,
    /// The payloads of Status clients in it.
    pub messages: Vec<MessageId>,
    /// How many messages it acknowledges.
    pub acks: usize,
    /// For which installations it is encrypted; none if to an identity, or not at all.
    pub parts: Vec<Part>,
    /// Where the answer may come, of a direct message: to be listened to from now on.
    pub answer: Option<Listening>,
}

/// What a post is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostKind {
    /// To the devices of somebody.
    Direct,
    /// To an identity, without forward secrecy.
    Fallback,
    /// A message of a public chat.
    Public,
    /// Our own bundle.
    ContactCode,
    /// Our own bundle, for somebody who does not know this device.
    Advertisement,
    /// For devices of our own that we are not paired with.
    Pairing,
}

/// With what an envelope is encrypted.
#[derive(Debug, Clone, PartialEq)]
pub enum PostKey {
    /// For whoever has this key.
    Sym(SymKey),
    /// For the owner of this key.
    Asym(PublicKey),
}

impl Post {
    /// Seals it, signed as all messages of conversations are. The envelope is not mined.
    pub fn seal<R: CryptoRng>(
        &self,
        identity: &SecretKey,
        now: u32,
        ttl: u32,
        rng: &mut R,
    ) -> Result<Envelope, MessageError> {
        let draft =
            Draft { topic: self.topic, now, ttl, payload: &self.payload, signer: Some(identity) };
        let recipient = match &self.key {
            PostKey::Sym(key) => Recipient::Sym(key),
            PostKey::Asym(key) => Recipient::Asym(key),
        };
        seal::seal(&draft, recipient, rng)
    }
}

/// What was queued or is to be sent.
#[derive(Debug)]
pub struct Sent {
    /// The id of the message, the same for all who get it.
    pub id: MessageId,
    /// How many people it is for; 1 if to everyone who reads a public chat.
    pub recipients: usize,
    /// What is to be sent at once. With data sync nothing is: the next tick brings it.
    pub posts: Vec<Post>,
}

/// What a tick brought.
#[derive(Debug, Default)]
pub struct Ticked {
    /// What is to be sent.
    pub posts: Vec<Post>,
    /// Messages that are forgotten: they will not arrive.
    pub given_up: Vec<GivenUp>,
}

/// A message that is sent no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// Who has not got it, or has not said so.
    pub peer: PublicKey,
    /// Its id in data sync.
    pub sync_id: sync::MessageId,
    /// Its id, if that is still known.
    pub message: Option<MessageId>,
    /// Why.
    pub why: GiveUp,
}

/// Why a message is sent no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GiveUp {
    #[error("it was sent as often as it may be, and never acknowledged")]
    Unacknowledged,
    #[error(transparent)]
    Oversized(#[from] Oversized),
}

/// Too much for the envelope that would carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message takes {size} bytes; at most {most} fit into a packet{}", with(*copies))]
pub struct Oversized {
    /// How many bytes it has.
    pub size: usize,
    /// How many it may have.
    pub most: usize,
    /// How often it would be in the envelope.
    pub copies: usize,
}

fn with(copies: usize) -> String {
    match copies {
        1 => String::new(),
        more => format!(" with {more} copies, one for each installation"),
    }
}
