//! Why a client can't do what it should.

use std::time::Duration;

use statuskit_core::{
    chat::{ComposeError, messenger::ChatError},
    envelope::{EnvelopeHash, MessageError, Topic, pow::TargetError},
    explain::Explanation,
    payload::MessageId,
};
use statuskit_net::node::{SendError, ServiceError};

use crate::{
    delivery::DeliveryError,
    share::{HolderError, ShareError},
};

/// Why a client can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The node can't start.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The state can't be used.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// The program that holds the state can't be attached to.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The system gives no randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

impl StartError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Service(error) => error.code(),
            Self::Chat(error) => error.code(),
            Self::Share(error) => error.code(),
            Self::Random(_) => "system.randomness",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[Explanation {
        code: "system.randomness",
        rule: "The system gave no random bytes.",
        source: "tools",
        causes: "A sandbox without getrandom.",
    }];
}

/// No peer could be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPeer {
    /// All have failed.
    #[error("none of {0} peers could be reached")]
    Unreachable(usize),
    /// Some have not answered.
    #[error("{waiting} of {named} peers did not answer within {} s", limit.as_secs_f64())]
    TimedOut {
        /// Peers that have not answered.
        waiting: usize,
        /// Peers that were named.
        named: usize,
        /// How long they had.
        limit: Duration,
    },
    /// Discovery has found none.
    #[error("discovery found no peer within {} s", limit.as_secs_f64())]
    NotFound {
        /// How long it had.
        limit: Duration,
    },
}

/// Why an operation of a client failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No peer could be reached.
    #[error(transparent)]
    NoPeer(#[from] NoPeer),
    /// The message can't be composed.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The messenger refuses, or its state fails.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// This needs an identity.
    #[error("private conversations need an identity")]
    NoIdentity,
    /// The envelope was not sent.
    #[error(transparent)]
    Send(#[from] SendFailure),
    /// The envelope did not arrive.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// The message is sent no more: it was never acknowledged.
    #[error("the message was given up: {0}")]
    GivenUp(String),
    /// The message is not known, or no more.
    #[error("message {0} is none of those that were sent last")]
    UnknownMessage(MessageId),
    /// More events wait to be read than a client holds.
    #[error("too many events wait to be read; call next() meanwhile")]
    Backlog,
    /// The program that holds the state could not do it.
    #[error(transparent)]
    Holder(HolderError),
    /// The node has ended.
    #[error("the node has ended")]
    Ended,
}

impl ClientError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoPeer(_) => "net.no_peer",
            Self::Compose(error) => error.code(),
            Self::Chat(error) => error.code(),
            Self::NoIdentity => "usage",
            Self::Send(error) => error.code(),
            Self::Delivery(error) => error.code(),
            Self::GivenUp(_) => "send.given_up",
            Self::UnknownMessage(_) => "client.unknown_message",
            Self::Backlog => "client.backlog",
            Self::Holder(error) => error.code,
            Self::Ended => "client.ended",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "net.no_peer",
            rule: "No peer is connected, so nothing can be sent or received.",
            source: "tools",
            causes: "See the errors before, one for each peer.",
        },
        Explanation {
            code: "send.given_up",
            rule: "A message in a conversation is repeated until it is acknowledged, 64 times in about two days; then it is forgotten. One that fits into no packet, with a copy for each installation of the recipient, is forgotten at once.",
            source: "MVDS; tools",
            causes: "The other side was not there, or has data sync turned off; or it has more devices than when the message was queued. Send it again, in parts if it is long.",
        },
        Explanation {
            code: "client.backlog",
            rule: "Events that a program does not read wait in memory, up to a limit.",
            source: "the client library",
            causes: "A program waits for the outcome of a message while many others come in.",
        },
        Explanation {
            code: "client.ended",
            rule: "A client works while its node runs.",
            source: "the client library",
            causes: "The node was shut down.",
        },
        Explanation {
            code: "client.unknown_message",
            rule: "The outcomes of the latest messages are kept.",
            source: "the client library",
            causes: "The id of another client's message, or of one that was sent thousands of messages ago.",
        },
    ];
}

/// A proof of work that takes longer than the program allows.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "a proof of work of {target} takes about {} here, more than the limit of {} s",
    duration(*estimate),
    limit.as_secs_f64()
)]
pub struct TooMuchWork {
    /// The proof of work.
    pub target: f64,
    /// How long it takes on average, in seconds. Infinite if no hash has it.
    pub estimate: f64,
    /// How long it may take.
    pub limit: Duration,
}

impl TooMuchWork {
    /// Tells targets apart.
    pub(crate) fn bits(&self) -> u64 {
        self.target.to_bits()
    }
}

/// Describes a time that may be very long.
fn duration(seconds: f64) -> String {
    const YEAR: f64 = 365.25 * 86400.0;
    match seconds {
        _ if seconds.is_infinite() => "for ever".to_owned(),
        YEAR.. => format!("{:.3e} years", seconds / YEAR),
        86400.0.. => format!("{:.1} days", seconds / 86400.0),
        _ => format!("{seconds:.1} s"),
    }
}

/// Why an envelope was not handed to the peers.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SendFailure {
    /// The message does not fit into an envelope.
    #[error(transparent)]
    Seal(#[from] MessageError),
    /// No hash has the proof of work that is asked for.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The work that the peers ask for, or the program, takes too long.
    #[error(transparent)]
    TooMuchWork(#[from] TooMuchWork),
    /// Mining was cancelled.
    #[error("mining was cancelled")]
    Cancelled,
    /// Our own node refuses it, as peers would.
    #[error("envelope {hash}: {error}")]
    Refused {
        /// The envelope.
        hash: EnvelopeHash,
        /// Why.
        error: SendError,
    },
    /// No connected peer asks for it.
    #[error(
        "no peer wants the envelope with topic {topic} and proof of work {pow}; they ask for: \
         {requirements}"
    )]
    Unwanted {
        /// Its topic.
        topic: Topic,
        /// Its proof of work.
        pow: f64,
        /// What the peers ask for.
        requirements: String,
        /// Whether the proof of work suffices for a peer, so that its topic is what it lacks.
        is_topic: bool,
    },
    /// All peers are lost.
    #[error("all peers are gone, and none has come back in time")]
    NoPeer,
    /// The program that holds the state could not send it.
    #[error(transparent)]
    Holder(HolderError),
}

impl SendFailure {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Seal(error) => error.code(),
            Self::Target(_) => "usage",
            Self::TooMuchWork(_) => "send.too_much_work",
            Self::Cancelled => "send.cancelled",
            Self::Refused { error, .. } => error.code(),
            Self::Unwanted { .. } => "send.unwanted",
            Self::Holder(error) => error.code,
            Self::NoPeer => "net.no_peer",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "send.unwanted",
            rule: "A peer is sent only what its proof-of-work requirement and its bloom filter let pass.",
            source: "EIP-627, PoW Requirement and Bloom Filter",
            causes: "Omit --pow, so that the tool mines what the peers ask for; or the peer is a light node that does not want the topic.",
        },
        Explanation {
            code: "send.too_much_work",
            rule: "The work for an envelope is limited in time (--mine-timeout).",
            source: "tools",
            causes: "A peer asks for a proof of work that this machine can't do in time, or --pow does; the error has an estimate.",
        },
        Explanation {
            code: "send.cancelled",
            rule: "An envelope is sent once it has its proof of work.",
            source: "the client library",
            causes: "The client was closed while it was mining.",
        },
    ];
}
