//! What a mailserver reports to its operator.

use std::{sync::Arc, time::Duration};

use statuskit_net::node::ConnectionId;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{ArchiveError, server::Totals};
use statuskit_core::time::UnixSeconds;

/// An event of a mailserver.
#[derive(Debug)]
#[non_exhaustive]
pub enum MailserverEvent {
    /// A request ended.
    Answered(Box<Answered>),
    /// Envelopes could not be archived. They wait for a retry.
    ArchiveFailed {
        /// Why.
        error: ArchiveError,
        /// How many envelopes wait.
        waiting: usize,
        /// When it is retried; `None` if this was the last attempt, and they are lost.
        retry_in: Option<Duration>,
    },
    /// Envelopes can be archived again.
    ArchiveRecovered,
    /// The archive could not be read for a request, for the first time since it last could. Each
    /// further failure is only reported as the request's [`Outcome::ArchiveFailed`].
    ReadFailed(ArchiveError),
    /// The archive can be read again.
    ReadRecovered,
    /// Too many envelopes wait: new ones are left out. They are archived later, if they are still
    /// alive by then.
    IngestFull {
        /// How many wait.
        waiting: usize,
    },
    /// Envelopes older than the retention were removed.
    Pruned {
        /// Everything sent before this second.
        before: UnixSeconds,
        /// How many envelopes.
        removed: u64,
    },
    /// Pruning failed. It is retried every minute, and reported once until it succeeds.
    PruneFailed(ArchiveError),
    /// The clock moved by this many seconds (negative for backwards) more than time has passed.
    /// Nothing is pruned until it goes steadily for one interval.
    ClockJumped(i64),
}

/// A request that ended.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The peer that sent it.
    pub peer: ConnectionId,
    /// Whether it was a sync request of another mailserver.
    pub sync: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// What was sent.
    pub totals: Totals,
    /// The time from its arrival to the last packet.
    pub elapsed: Duration,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// All envelopes of the page were sent.
    Delivered,
    /// There were no envelopes.
    Empty,
    /// It was refused: the label, and the reason.
    Refused(&'static str, String),
    /// The archive could not be read, or not to the end. Clients don't get the reason.
    ArchiveFailed(String),
    /// The client did not read for a minute.
    Stalled,
    /// The client left.
    Left,
}

impl Outcome {
    /// Returns one word, for counters.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Empty => "empty",
            Self::Refused(label, _) => label,
            Self::ArchiveFailed(_) => "archive",
            Self::Stalled => "stalled",
            Self::Left => "left",
        }
    }
}

/// The events from the [subscription](super::Mailserver::subscribe) on.
#[derive(Debug)]
pub struct MailserverNews(pub(super) broadcast::Receiver<Arc<MailserverEvent>>);

impl MailserverNews {
    /// Returns the next event; `None` when the mailserver is gone. A slow subscriber misses some.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Arc<MailserverEvent>> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
