//! What a mailserver reports to its operator.

use std::{sync::Arc, time::Duration};

use statuskit_net::node::ConnectionId;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{ArchiveError, server::Totals};

/// News of a mailserver.
#[derive(Debug)]
#[non_exhaustive]
pub enum MailserverEvent {
    /// A request has ended.
    Answered(Box<Answered>),
    /// Envelopes could not be archived. They wait, and it is tried again.
    ArchiveFailed {
        /// Why.
        error: ArchiveError,
        /// How many envelopes wait.
        waiting: usize,
        /// When it is tried again; none if this was the last time, and they are lost.
        retry_in: Option<Duration>,
    },
    /// Envelopes can be archived again.
    ArchiveRecovered,
    /// The archive could not be read for a request, for the first time since it last could. What
    /// follows is told with each request: [`Outcome::ArchiveFailed`].
    ReadFailed(ArchiveError),
    /// Requests are answered from the archive again.
    ReadRecovered,
    /// More envelopes wait than are held: from here on, new ones are left out. They are taken up
    /// later, if they are still alive by then.
    IngestFull {
        /// How many wait.
        waiting: usize,
    },
    /// What was older than the retention is gone.
    Pruned {
        /// Everything sent before this second.
        before: u32,
        /// How many envelopes.
        removed: u64,
    },
    /// It could not be pruned. It is tried again every minute; this is told once, until it could.
    PruneFailed(ArchiveError),
    /// The clock has moved by so many seconds (negative for backwards) more than time has passed:
    /// nothing is pruned until it has gone steadily from one time to the next.
    ClockJumped(i64),
}

/// How a request has ended.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Whose it was.
    pub peer: ConnectionId,
    /// Whether it was that of another mailserver.
    pub sync: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// What was sent.
    pub totals: Totals,
    /// From its arrival to the last packet.
    pub elapsed: Duration,
}

/// How a request has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Envelopes were sent, to the end of the page.
    Delivered,
    /// There were none.
    Empty,
    /// It was refused: a word for counters, and the reason.
    Refused(&'static str, String),
    /// The archive could not be read, or not to the end: the reason, which clients don't hear.
    ArchiveFailed(String),
    /// The client did not read for a minute.
    Stalled,
    /// The client left.
    Left,
}

impl Outcome {
    /// One word, for counters.
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

/// The news from the moment of [subscription](super::Mailserver::subscribe) on.
#[derive(Debug)]
pub struct MailserverNews(pub(super) broadcast::Receiver<Arc<MailserverEvent>>);

impl MailserverNews {
    /// The next piece of news, none when the mailserver is gone. Who is slow misses some.
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
