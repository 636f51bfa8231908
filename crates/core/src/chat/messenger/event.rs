//! The input and the output of a messenger.

use rand::CryptoRng;

use crate::{
    account::InstallationId,
    crypto::{PublicKey, SecretKey},
    envelope::{Draft, Envelope, MessageError, Recipient, SymKey, Topic, seal},
    explain::Explanation,
    payload::{
        MessageId, PayloadError, PayloadMessage, Wrapper,
        check::Rejection,
        group::{AppliedUpdate, UpdateError},
        matching::{Chat, NoChat},
        proto::ChatMessage,
        transaction::CommandError,
    },
    secure::{BundleError, DecryptError, DeviceMessage, EncryptionKind, Installation},
    sync::{MAX_ITEMS, SyncMessageId},
    time::UnixSeconds,
};

/// An opened Whisper message.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The key that signed it.
    pub signer: Option<&'a PublicKey>,
    /// When its envelope was sent, in UNIX seconds.
    pub sent: UnixSeconds,
    /// Its payload.
    pub payload: &'a [u8],
}

/// The result of handling a message.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the message contained, in the order in which it was found.
    pub events: Vec<MessengerEvent>,
    /// What to send at once. Acknowledgements follow with the next tick.
    pub posts: Vec<Post>,
}

/// Something that a message contained, or why it could not be read.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "never stored in bulk")]
pub enum MessengerEvent {
    /// A payload that passed all checks.
    Message(ReceivedPayload),
    /// A payload that was received before; nothing was done.
    Repeated(MessageId),
    /// An envelope payload that was received before, byte for byte.
    Again,
    /// A bundle.
    Bundle {
        /// Who sent it.
        sender: PublicKey,
        /// The installations in it that were not known before.
        learned: Vec<Installation>,
    },
    /// A new topic to subscribe to.
    Subscribe(Subscription),
    /// A peer acknowledged messages of ours.
    Acknowledged {
        /// Who acknowledged them.
        peer: PublicKey,
        /// Their ids in data sync; with the message ids of those that this messenger sent.
        ids: Vec<(SyncMessageId, Option<MessageId>)>,
    },
    /// A message without content: a data sync reply, or the announcement of a device.
    Empty {
        /// Who sent it.
        sender: PublicKey,
    },
    /// A message from this device, or one from a paired device to another recipient.
    Own,
    /// Not a message of Status clients: other applications share the network.
    Foreign,
    /// A message that could not be read, or that was rejected.
    Unread {
        /// Who signed it.
        sender: Option<PublicKey>,
        /// Why.
        reason: UnreadReason,
        /// The layers that were read.
        layers: Layers,
    },
}

/// A payload that passed all checks, and what was learned with it.
#[derive(Debug, Clone)]
pub struct ReceivedPayload {
    /// Its message id.
    pub id: MessageId,
    /// Who wrote it: the signer of the payload, else that of the envelope.
    pub author: PublicKey,
    /// Who signed the envelope.
    pub sender: Option<PublicKey>,
    /// The chat to show it in. `None` if it is not shown in one.
    pub chat: Option<Chat>,
    /// The payload as transported.
    pub wrapper: Wrapper,
    /// The decoded payload.
    pub message: PayloadMessage,
    /// Why a client that goes by the envelope alone would still reject it. `None` normally.
    ///
    /// Types without a definition are passed on, though nothing can be done with them. The clocks
    /// of group events have to fit our own time; here they are compared with the envelope's.
    pub rejection: Option<Rejection>,
    /// The group that it updated.
    pub group: Option<AppliedUpdate>,
    /// The layers that it came through.
    pub layers: Layers,
}

impl ReceivedPayload {
    /// Returns the text of a chat message.
    pub fn text(&self) -> Option<&str> {
        self.chat_message().map(|message| message.text.as_str())
    }

    /// Returns the chat message: the payload itself, or the one in a group update.
    pub fn chat_message(&self) -> Option<&ChatMessage> {
        self.message.chat_message()
    }
}

/// The layers that a payload came through.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The sender's installation.
    pub installation: Option<InstallationId>,
    /// How the secure transport encrypted it. `None` if it was not used.
    pub secure: Option<EncryptionKind>,
    /// Its id in data sync. `None` if that was not used.
    pub sync: Option<SyncMessageId>,
}

/// Why a message was not read, or was rejected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadReason {
    /// No signature, so no sender.
    #[error("the message is not signed, so the session it belongs to is unknown")]
    Unsigned,
    /// A bad bundle spoils the whole message.
    #[error("the message is dropped for a bundle in it: {0}")]
    Bundle(#[from] BundleError),
    /// The secure transport.
    #[error(transparent)]
    Secure(#[from] DecryptError),
    /// Data sync.
    #[error("{0} entries of a data sync payload are malformed")]
    Sync(usize),
    /// A data sync payload has too many messages, offers or acknowledgements.
    #[error(
        "{0} messages, offers and acknowledgements are too many for one payload, and not \
         acknowledged; at most {MAX_ITEMS} of each are handled"
    )]
    TooManyItems(usize),
    /// The groups in the messages before took all the work that is allowed for one envelope.
    #[error(
        "{0} messages were not handled and not acknowledged, as the group updates before them in the \
         same envelope took too much work"
    )]
    TooMuchWork(usize),
    /// The wrapper or the payload is malformed.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The payload breaks a rule.
    #[error("a client refuses this message: {0}")]
    Rejected(Rejection),
    /// The group update was refused.
    #[error(transparent)]
    Group(#[from] UpdateError),
    /// The message belongs to no chat.
    #[error(transparent)]
    NoChat(#[from] NoChat),
    /// The transaction command does not fit the conversation.
    #[error("the answer to a transaction command is refused: {0}")]
    Command(#[from] CommandError),
    /// The message would make a chat too many.
    #[error("there are {0} chats already; messages of strangers make no more")]
    TooManyChats(usize),
}

impl UnreadReason {
    /// Returns the stable code of this reason, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsigned => "secure.unsigned",
            Self::Bundle(error) => error.code(),
            Self::Secure(refusal) => refusal.code(),
            Self::Sync(_) => "sync.malformed",
            Self::TooManyItems(_) => "sync.too_many",
            Self::TooMuchWork(_) => "sync.too_much_work",
            Self::Payload(error) => error.code(),
            Self::Rejected(rejection) => rejection.code(),
            Self::Group(error) => error.code(),
            Self::NoChat(reason) => reason.code(),
            Self::Command(error) => error.code(),
            Self::TooManyChats(_) => "chat.too_many",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "secure.unsigned",
            rule: "Sessions belong to the signer of the envelope, so a message of the secure transport must be signed.",
            source: "Status, Secure transport",
            causes: "The sender sealed the protocol message without --identity.",
        },
        Explanation {
            code: "sync.malformed",
            rule: "Acknowledgements, offers and requests of data sync are ids of 32 bytes.",
            source: "MVDS, Payloads",
            causes: "Something that only looks like data sync. The other entries of the payload were read.",
        },
        Explanation {
            code: "sync.too_many",
            rule: "Of one payload of data sync, at most 1000 messages, 1000 offers and 1000 acknowledgements are handled.",
            source: "this implementation; MVDS sets no limit",
            causes: "A flood, or a sender that puts very much into one envelope. What is beyond is not acknowledged, so the sender repeats it.",
        },
        Explanation {
            code: "sync.too_much_work",
            rule: "The group updates in one envelope may take about 50 ms of work. Then the messages behind them are not handled.",
            source: "this implementation",
            causes: "A flood of updates of a group with a long history. What is not handled is not acknowledged, so the sender repeats it.",
        },
        Explanation {
            code: "chat.too_many",
            rule: "At most 10,000 chats are kept; then a new one replaces that of a stranger we never wrote to, or of a group we have not joined. If there is none, messages of strangers make no new chats.",
            source: "tools",
            causes: "A flood of messages by many identities.",
        },
    ];
}

/// A topic on which messages for us may arrive, and the key that opens them.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// The topic.
    pub topic: Topic,
    /// The symmetric key. `None` where messages are encrypted to our identity.
    pub key: Option<SymKey>,
    /// What the topic is used for.
    pub kind: TopicKind,
}

/// What a topic is used for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicKind {
    /// First messages from anyone who knows our key.
    Partitioned,
    /// The same, from some other clients.
    Personal,
    /// The bundles of the owner of a key.
    ContactCode(PublicKey),
    /// The conversation with a peer.
    Negotiated(PublicKey),
    /// A public chat.
    Public(String),
}

/// A message to seal and send.
#[derive(Debug)]
pub struct Post {
    /// The topic of the envelope.
    pub topic: Topic,
    /// The key of the envelope.
    pub key: PostKey,
    /// The payload of the envelope.
    pub payload: Vec<u8>,
    /// The recipient. `None` if anyone may read it.
    pub to: Option<PublicKey>,
    /// What it is.
    pub kind: PostKind,
    /// The ids of the messages in it.
    pub messages: Vec<MessageId>,
    /// How many messages it acknowledges.
    pub acks: usize,
    /// The installations that it is encrypted for. Empty if it is for an identity or public.
    pub parts: Vec<DeviceMessage>,
    /// Where the reply to a direct message may arrive: to be subscribed to from now on.
    pub answer: Option<Subscription>,
}

/// What a post is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostKind {
    /// For the devices of a peer.
    Direct,
    /// For an identity, without forward secrecy.
    Fallback,
    /// A message to a public chat.
    Public,
    /// Our own bundle.
    ContactCode,
    /// Our own bundle, for a peer that does not know this device.
    Advertisement,
    /// For our own devices that are not paired yet.
    Pairing,
}

/// The key that an envelope is encrypted with.
#[derive(Debug, Clone, PartialEq)]
pub enum PostKey {
    /// A symmetric key.
    Sym(SymKey),
    /// The public key of the recipient.
    Asym(PublicKey),
}

impl Post {
    /// Seals the post, signed by `identity`. The envelope is not mined.
    ///
    /// # Errors
    /// If the payload is too long for a message.
    pub fn seal<R: CryptoRng>(
        &self,
        identity: &SecretKey,
        now: UnixSeconds,
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

/// A message that was queued or is ready to send.
#[derive(Debug)]
pub struct Sent {
    /// Its id, the same for all recipients.
    pub id: MessageId,
    /// The number of recipients; 1 for a public chat.
    pub recipients: usize,
    /// What to send at once. Empty with data sync: the next tick returns it.
    pub posts: Vec<Post>,
}

/// The result of a tick.
#[derive(Debug, Default)]
#[must_use = "the posts have to be sent"]
pub struct Ticked {
    /// What to send.
    pub posts: Vec<Post>,
    /// Messages that are sent no more.
    pub given_up: Vec<GivenUp>,
}

/// A message that is sent no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The recipient that has not acknowledged it.
    pub peer: PublicKey,
    /// Its id in data sync.
    pub sync_id: SyncMessageId,
    /// Its message id, if that is still known.
    pub message: Option<MessageId>,
    /// Why.
    pub why: GiveUp,
}

/// Why a message is sent no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GiveUp {
    /// The peer never answered.
    #[error("it was sent the maximum number of times, and never acknowledged")]
    Unacknowledged,
    /// The peer has more devices than when the message was queued.
    #[error(transparent)]
    Oversized(#[from] Oversized),
}

/// A message is too large for its envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message takes {size} bytes; at most {most} fit into a packet{}", with(*copies))]
pub struct Oversized {
    /// Its size in bytes.
    pub size: usize,
    /// The largest possible size.
    pub most: usize,
    /// How many copies of it the envelope would hold.
    pub copies: usize,
}

fn with(copies: usize) -> String {
    match copies {
        1 => String::new(),
        more => format!(" with {more} copies, one for each installation"),
    }
}
