//! Envelopes under way, and the order in which their results are shown: that of the input.
//!
//! Peers answer in any order; scripts want the fate of line 7 after that of line 6. So a result
//! waits for those before it, and errors wait as results do. What waits is bounded by the caller,
//! which reads no more input while the queue is [full](Queue::is_full): a slow envelope at the
//! front holds back at most so many others, and no longer than until it is late itself.
//!
//! When all peers are gone, an envelope that none of them has is *stranded*: it still lies in the
//! node's pool, and gets to the peer that comes back. Its fate is decided when one does, or when
//! the time for that is over, or when it has expired: then it lies in the pool no more.

use std::{collections::VecDeque, rc::Rc, time::Instant};

use serde_json::Value;
use statuskit_core::{
    envelope::{Envelope, EnvelopeHash},
    wire::packet::EnvelopeError,
};
use statuskit_net::node::{ConnectionId, Sent};

use crate::{error::CliError, output::Record};

/// Results that are awaited at a time.
const MAX_PENDING: usize = 256;

/// Oldest first.
#[derive(Default)]
pub struct Queue(VecDeque<Entry>);

/// What becomes a result.
pub enum Entry {
    Pending(Box<Pending>),
    Failed(CliError),
    /// The place of a line that was read, but not sent yet.
    Waiting(u64),
}

/// An envelope under way.
pub struct Pending {
    pub envelope: Rc<Envelope>,
    /// Whether the result shows its bytes: once, if several lines share it.
    pub shows_raw: bool,
    pub hash: EnvelopeHash,
    pub line: u64,
    pub fates: Vec<Fate>,
    /// What else the result says.
    pub about: Record,
    /// Whether it had been sent before.
    known: bool,
    until: Instant,
    /// From when on nobody gets it any more.
    expires: Instant,
}

/// What is known of an envelope and a peer.
#[derive(Clone)]
pub struct Fate {
    key: ConnectionId,
    /// Id, address and client, for the result.
    pub peer: Value,
    pub state: State,
}

/// How far an envelope got with a peer.
#[derive(Clone)]
pub enum State {
    Queued,
    /// Written; the peer is going to answer, or not.
    Written {
        confirms: bool,
    },
    Confirmed,
    Refused(EnvelopeError),
    /// The peer was gone before anything was written.
    Gone,
    /// It was written, and the peer was gone before it answered.
    Unanswered,
}

impl Pending {
    /// An envelope that was handed to the node, which has it until it `expires`; `peer` describes
    /// those that are to get it.
    pub fn new(
        envelope: Rc<Envelope>,
        sent: Sent,
        peer: impl Fn(ConnectionId) -> Value,
        about: Record,
        line: u64,
        [until, expires]: [Instant; 2],
    ) -> Self {
        let fate = |key| Fate { key, peer: peer(key), state: State::Queued };
        let fates = sent.peers.into_iter().map(fate).collect();
        let (hash, known) = (sent.hash, sent.known);
        Self { envelope, shows_raw: true, hash, line, fates, about, known, until, expires }
    }

    /// Whether it had been sent before, and nothing more is known.
    pub fn is_known(&self) -> bool {
        self.known && self.fates.is_empty()
    }

    /// Whether a peer may yet get it or answer.
    fn is_open(&self) -> bool {
        let is_open =
            |fate: &Fate| matches!(fate.state, State::Queued | State::Written { confirms: true });
        self.fates.iter().any(is_open)
    }

    /// Whether all who might have it are gone.
    fn is_stranded(&self) -> bool {
        let is_gone = |fate: &Fate| matches!(fate.state, State::Gone | State::Unanswered);
        self.fates.iter().all(is_gone) && !self.is_known()
    }

    /// Whether all who might have it were gone until it expired.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.is_stranded() && self.expires <= now
    }

    /// From when on its result is shown as it is; none for at once.
    fn late_at(&self, give_up: Option<Instant>) -> Option<Instant> {
        match (self.is_stranded(), self.is_open()) {
            (true, _) => Some(give_up.unwrap_or(self.until).min(self.expires)),
            (_, true) => Some(self.until),
            _ => None,
        }
    }

    fn set(&mut self, key: ConnectionId, new: State, peer: impl FnOnce() -> Value) {
        if let Some(fate) = self.fates.iter_mut().find(|fate| fate.key == key) {
            fate.set(new);
            return;
        }
        // It came while the envelope was under way, or has come back.
        let fate = Fate { key, peer: peer(), state: new };
        let earlier = self.fates.iter_mut().find(|it| {
            matches!(it.state, State::Gone | State::Unanswered) && it.peer["id"] == fate.peer["id"]
        });
        match earlier {
            Some(earlier) => *earlier = fate,
            None => self.fates.push(fate),
        }
    }
}

impl Entry {
    /// Its line in the input; 0 if it has none.
    fn line(&self) -> u64 {
        match self {
            Self::Pending(pending) => pending.line,
            Self::Failed(error) => error.line.unwrap_or(0),
            Self::Waiting(line) => *line,
        }
    }
}

impl Fate {
    fn set(&mut self, new: State) {
        self.state = match (std::mem::replace(&mut self.state, State::Gone), new) {
            (State::Queued, new) => new,
            (State::Written { confirms: true }, State::Gone) => State::Unanswered,
            // What was written stays written, whatever becomes of the peer.
            (State::Written { confirms: false }, State::Gone) => State::Written { confirms: false },
            (State::Written { .. }, new) => new,
            (settled, _) => settled,
        };
    }
}

impl Queue {
    /// Whether no more input should be taken.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX_PENDING
    }

    /// Whether all results were shown.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an envelope. One that is under way already shares the fates of the first.
    pub fn push(&mut self, pending: Pending) {
        let entry = self.entry(pending);
        self.0.push_back(entry);
    }

    /// Keeps a place for what becomes of a line.
    pub fn wait(&mut self, line: u64) {
        self.0.push_back(Entry::Waiting(line));
    }

    /// Adds an envelope in the place of its line, behind what that place holds already.
    pub fn place(&mut self, pending: Pending) {
        let entry = self.entry(pending);
        self.put(entry);
    }

    /// Adds an error in the place of its line.
    pub fn place_error(&mut self, error: CliError) {
        self.put(Entry::Failed(error));
    }

    /// Keeps no more places: nothing will be sent.
    pub fn stop_waiting(&mut self) {
        self.0.retain(|entry| !matches!(entry, Entry::Waiting(_)));
    }

    fn entry(&self, mut pending: Pending) -> Entry {
        let same = self.pending().rev().find(|earlier| earlier.hash == pending.hash);
        if let Some(earlier) = same {
            pending.fates.clone_from(&earlier.fates);
        }
        Entry::Pending(Box::new(pending))
    }

    fn put(&mut self, entry: Entry) {
        let line = entry.line();
        match self.0.iter().rposition(|other| line > 0 && other.line() == line) {
            Some(at) if matches!(self.0[at], Entry::Waiting(_)) => self.0[at] = entry,
            Some(at) => self.0.insert(at + 1, entry),
            None => self.0.push_back(entry),
        }
    }

    /// Adds an error; it is shown in its turn.
    pub fn fail(&mut self, error: CliError) {
        self.0.push_back(Entry::Failed(error));
    }

    /// Takes note of how far an envelope got with a peer. `peer` describes it.
    pub fn set(
        &mut self,
        hash: &EnvelopeHash,
        key: ConnectionId,
        state: &State,
        peer: impl Fn() -> Value,
    ) {
        for pending in self.pending_mut().filter(|pending| pending.hash == *hash) {
            pending.set(key, state.clone(), &peer);
        }
    }

    /// A peer is gone.
    pub fn lose(&mut self, key: ConnectionId) {
        for pending in self.pending_mut() {
            if let Some(fate) = pending.fates.iter_mut().find(|fate| fate.key == key) {
                fate.set(State::Gone);
            }
        }
    }

    /// A peer has come: what was stranded has until then.
    pub fn revive(&mut self, until: Instant) {
        for pending in self.pending_mut().filter(|pending| pending.is_stranded()) {
            pending.until = pending.until.max(until);
        }
    }

    /// The next result, if it can be shown. While there is no peer, what is stranded waits until
    /// `give_up`.
    pub fn pop(&mut self, now: Instant, give_up: Option<Instant>) -> Option<Entry> {
        let waits = match self.0.front()? {
            Entry::Failed(_) => false,
            Entry::Waiting(_) => true,
            Entry::Pending(pending) => pending.late_at(give_up).is_some_and(|at| now < at),
        };
        if waits { None } else { self.0.pop_front() }
    }

    /// When [`pop`](Self::pop) has something to give at the latest.
    pub fn late_at(&self, give_up: Option<Instant>) -> Option<Instant> {
        match self.0.front()? {
            Entry::Failed(_) | Entry::Waiting(_) => None,
            Entry::Pending(pending) => pending.late_at(give_up),
        }
    }

    fn pending(&self) -> impl DoubleEndedIterator<Item = &Pending> {
        self.0.iter().filter_map(|entry| match entry {
            Entry::Pending(pending) => Some(&**pending),
            Entry::Failed(_) | Entry::Waiting(_) => None,
        })
    }

    fn pending_mut(&mut self) -> impl Iterator<Item = &mut Pending> {
        self.0.iter_mut().filter_map(|entry| match entry {
            Entry::Pending(pending) => Some(&mut **pending),
            Entry::Failed(_) | Entry::Waiting(_) => None,
        })
    }
}
