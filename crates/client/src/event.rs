//! What a client tells its program.

use std::sync::Arc;

use statuskit_core::{
    chat::{
        KeyRingError, ReceivedMessage,
        messenger::{ChatError, GivenUp, Layers},
    },
    crypto::PublicKey,
    envelope::{Envelope, EnvelopeHash},
    payload::MessageId,
    secure::Installation,
    sync::SyncMessageId,
};
use statuskit_net::node::Event as NodeEvent;

use crate::{
    delivery::{Contents, Delivery, SendId},
    error::{SendFailure, StartError, TooMuchWork},
    history::HistoryEvent,
    share::Holder,
};

/// What a client tells its program.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message was opened.
    Message {
        /// The message.
        message: Box<ReceivedMessage>,
        /// Whether it is the first message of its envelope.
        is_first: bool,
        /// Whether it may have been an event of the client before, whose process was killed.
        is_repeated: bool,
    },
    /// An envelope that was asked for as it is, or that no key opens.
    Envelope {
        /// The envelope.
        envelope: Arc<Envelope>,
        /// Why it was not opened; `None` if that was not tried.
        error: Option<KeyRingError>,
        /// Whether it may have been an event of the client before, whose process was killed.
        is_repeated: bool,
    },
    /// A message of a private conversation could not be read, or was rejected.
    Unread(Box<UnreadMessage>),
    /// The bundle of a contact has come.
    Bundle {
        /// Its envelope.
        envelope: Arc<Envelope>,
        /// Its sender.
        sender: PublicKey,
        /// The installations that were not known.
        learned: Vec<Installation>,
    },
    /// Messages of ours were acknowledged.
    Acknowledged {
        /// By this peer.
        peer: PublicKey,
        /// Their ids in data sync, with the ids of the messages as far as we sent them.
        ids: Vec<(SyncMessageId, Option<MessageId>)>,
    },
    /// A message came again.
    Repeated {
        /// Its envelope.
        envelope: EnvelopeHash,
        /// Its id.
        id: MessageId,
    },
    /// A message without contents: an acknowledgement, or the announcement of a device.
    Empty {
        /// Its envelope.
        envelope: EnvelopeHash,
        /// Its sender.
        sender: PublicKey,
    },
    /// The outcome of an envelope of ours is known.
    Delivered(Box<Delivery>),
    /// An envelope of ours was not sent.
    NotSent {
        /// Its number.
        id: SendId,
        /// What it holds.
        contents: Contents,
        /// Why.
        error: SendFailure,
    },
    /// A peer asks for work that takes too long. It gets none of the envelopes; others do.
    TooMuchWork(TooMuchWork),
    /// A message is sent no more.
    GivenUp(GivenUp),
    /// A peer is ready, was lost, or can't be reached; or our clock is wrong.
    Network(Arc<NodeEvent>),
    /// News of the history.
    History(HistoryEvent),
    /// The state fails. Private conversations have ended.
    Broken(ChatError),
    /// The program that held the state has ended. `None` if this one holds it from now on.
    Moved(Option<Holder>),
    /// The state is held by a program that this one can't attach to, or that has dropped it.
    Detached(StartError),
}

/// A message of a private conversation that could not be read, or was rejected.
#[derive(Debug, Clone)]
pub struct UnreadMessage {
    /// Its envelope.
    pub envelope: EnvelopeHash,
    /// Its sender, if it was signed.
    pub sender: Option<PublicKey>,
    /// The stable code of the reason, as the tools print it.
    pub code: &'static str,
    /// Why.
    pub reason: String,
    /// Whether the session that it belongs to is unknown, or its key.
    pub is_of_session: bool,
    /// The layers that were read.
    pub layers: Layers,
}

impl Event {
    /// Returns the bytes that it keeps busy, about.
    pub(crate) fn size(&self) -> usize {
        const BASE: usize = 512;
        match self {
            Self::Message { message, .. } => BASE + 3 * message.envelope().size(),
            Self::Envelope { envelope, .. } | Self::Bundle { envelope, .. } => {
                BASE + envelope.size()
            }
            Self::Delivered(delivery) => BASE + delivery.envelope.size(),
            _ => BASE,
        }
    }
}
