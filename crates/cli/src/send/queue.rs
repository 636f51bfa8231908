//! The order in which results are shown: that of the input.
//!
//! Peers answer in any order; scripts want the outcome of line 7 after that of line 6. So a result
//! waits for those before it, and so do errors. What waits is bounded by the caller, which reads no
//! more input while the queue is [full](Queue::is_full).

use std::collections::VecDeque;

use statuskit_client::{Delivery, SendId};
use statuskit_core::payload::MessageId;

use crate::error::CliError;

/// Results that are awaited at a time.
const MAX_PENDING: usize = 256;

/// Oldest first.
#[derive(Default)]
pub struct Queue(VecDeque<Entry>);

/// The place of a result.
struct Entry {
    /// Its line in the input; 0 if it has none.
    line: u64,
    state: State,
}

enum State {
    /// The outcome of this envelope is awaited.
    Sent(SendId),
    /// A message of a conversation, which goes into some envelope.
    Said,
    Done(Outcome),
}

/// What became of a line.
pub enum Outcome {
    /// An envelope, and those of its messages that this result is about. The first of the results
    /// of one envelope has its bytes.
    Delivered { delivery: Box<Delivery>, messages: Vec<MessageId>, has_raw: bool },
    /// An error about this line only, or one that ends the tool.
    Failed(CliError),
}

impl Queue {
    /// Whether no more input should be read.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX_PENDING
    }

    /// Whether all results were shown.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps a place for the outcome of an envelope.
    pub fn await_envelope(&mut self, id: SendId, line: u64) {
        self.0.push_back(Entry { line, state: State::Sent(id) });
    }

    /// Keeps a place for the outcome of a message.
    pub fn await_message(&mut self, line: u64) {
        self.0.push_back(Entry { line, state: State::Said });
    }

    /// Returns the line of an envelope whose outcome is awaited.
    pub fn line_of(&self, id: SendId) -> Option<u64> {
        let is_it = |entry: &&Entry| matches!(entry.state, State::Sent(other) if other == id);
        self.0.iter().find(is_it).map(|entry| entry.line)
    }

    /// Puts the outcome of an envelope in its place.
    pub fn settle(&mut self, id: SendId, outcome: Outcome) {
        let is_it = |entry: &&mut Entry| matches!(entry.state, State::Sent(other) if other == id);
        if let Some(entry) = self.0.iter_mut().find(is_it) {
            entry.state = State::Done(outcome);
        }
    }

    /// Puts an outcome in the place of its line, behind what that place holds already.
    pub fn place(&mut self, line: u64, outcome: Outcome) {
        let entry = Entry { line, state: State::Done(outcome) };
        match self.0.iter().rposition(|other| line > 0 && other.line == line) {
            Some(at) if matches!(self.0[at].state, State::Said) => self.0[at] = entry,
            Some(at) => self.0.insert(at + 1, entry),
            None => self.0.push_back(entry),
        }
    }

    /// Keeps no more places for messages: nothing will be sent.
    pub fn stop_waiting(&mut self) {
        self.0.retain(|entry| !matches!(entry.state, State::Said));
    }

    /// Adds an error; it is shown in its turn.
    pub fn fail(&mut self, error: CliError) {
        let line = error.line.unwrap_or(0);
        self.0.push_back(Entry { line, state: State::Done(Outcome::Failed(error)) });
    }

    /// Returns the next result and its line, if its outcome is known.
    pub fn pop(&mut self) -> Option<(u64, Outcome)> {
        match self.0.pop_front()? {
            Entry { line, state: State::Done(outcome) } => Some((line, outcome)),
            waiting => {
                self.0.push_front(waiting);
                None
            }
        }
    }
}
