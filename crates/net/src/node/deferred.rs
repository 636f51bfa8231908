//! Confirmations that wait until the envelopes they confirm are stored.
//!
//! Envelopes are numbered as they enter the pool. An answer waits for the last envelope that had become
//! an event when its packet had been handled, so it also covers envelopes that another peer has
//! just sent. One who stores them in this order only reports how far it is.

use std::collections::VecDeque;

use statuskit_core::wire::packet::EnvelopeError;

use super::{ConnectionId, Node};

/// The most answers that wait.
const MAX_ANSWERS: usize = 1 << 16;
/// The most bytes of the errors in them.
const MAX_BYTES: usize = 16 << 20;

/// Answers in the order of their packets.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    answers: VecDeque<Answer>,
    bytes: usize,
    /// The number of the last envelope that became an event.
    pub reported: u64,
    /// Envelopes up to this number are stored.
    stored: u64,
}

/// The answer to a Messages packet.
#[derive(Debug)]
struct Answer {
    /// The number of the last envelope that it waits for.
    through: u64,
    peer: ConnectionId,
    batch: [u8; 32],
    errors: Vec<EnvelopeError>,
}

impl Answer {
    fn bytes(&self) -> usize {
        let of = |it: &EnvelopeError| size_of::<EnvelopeError>() + it.description.len();
        self.errors.iter().map(of).sum()
    }
}

impl Deferred {
    /// Returns an answer whose envelopes are stored.
    fn pop_stored(&mut self) -> Option<Answer> {
        let answer = match self.answers.front() {
            Some(first) if first.through <= self.stored => self.answers.pop_front()?,
            _ => return None,
        };
        self.bytes -= answer.bytes();
        Some(answer)
    }

    /// Forgets the answers that wait for this number or a later one, and returns how many.
    fn forget(&mut self, from: u64) -> usize {
        let kept = self.answers.partition_point(|answer| answer.through < from);
        let forgotten = self.answers.split_off(kept);
        self.bytes -= forgotten.iter().map(Answer::bytes).sum::<usize>();
        forgotten.len()
    }
}

impl Node {
    /// Answers a Messages packet, at once or when what is in the pool now is stored.
    pub(super) fn confirm(
        &mut self,
        peer: ConnectionId,
        batch: [u8; 32],
        errors: Vec<EnvelopeError>,
    ) {
        let through = self.deferred.reported;
        if !self.config.confirm_stored || through <= self.deferred.stored {
            return self.answer(peer, batch, errors);
        }
        let answer = Answer { through, peer, batch, errors };
        let bytes = self.deferred.bytes + answer.bytes();
        if self.deferred.answers.len() >= MAX_ANSWERS || bytes > MAX_BYTES {
            self.stats.answers_dropped += 1;
            return;
        }
        self.deferred.bytes = bytes;
        self.deferred.answers.push_back(answer);
    }

    /// Returns the number of the last envelope that entered the pool.
    pub fn last_number(&self) -> u64 {
        self.last
    }

    /// Goes on after this number: the nodes of a service share their numbers.
    pub(super) fn number_after(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    /// Confirms envelopes up to this number to their senders. Only with
    /// [`confirm_stored`](super::NodeConfig::confirm_stored).
    pub fn stored(&mut self, through: u64) {
        self.deferred.stored = self.deferred.stored.max(through);
        while let Some(Answer { peer, batch, errors, .. }) = self.deferred.pop_stored() {
            self.answer(peer, batch, errors);
        }
    }

    /// Forgets the confirmations that wait for envelopes from this number on, because one of them
    /// may never be stored. Their senders can send them again.
    pub fn not_stored(&mut self, from: u64) {
        self.stats.answers_dropped += self.deferred.forget(from) as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use statuskit_core::{
        envelope::{Envelope, Topic},
        time::UnixSeconds,
        wire::{Packet, Status, packet::code},
    };

    use crate::node::{Interest, Node, NodeConfig, PeerInfo};

    #[test]
    fn answers_wait_for_envelopes_that_became_events_and_for_no_others() {
        let now = Duration::from_secs(1_585_700_000);
        let (ours, other) = (Topic([1; 4]), Topic([2; 4]));
        let mut config = NodeConfig::with_min_pow(0.0);
        (config.confirm_stored, config.interest) = (true, Interest::Topics(HashSet::from([ours])));
        let mut node = Node::new(config, 1, now);
        let peer = node.add_peer(PeerInfo::default(), now).unwrap();
        node.handle_packet(peer, code::STATUS, &Status::default().encode(), now);
        let mut number = 0;
        let mut send = |node: &mut Node, topic| {
            number += 1;
            let expiry = UnixSeconds(now.as_secs() as u32 + 10);
            let envelope = Envelope::new(expiry, 10, topic, &[7; 100], number);
            let packet = Packet::Messages(vec![envelope]).encode();
            node.handle_packet(peer, code::MESSAGES, &packet, now);
        };
        let answers = |node: &mut Node| {
            let packets = std::iter::from_fn(|| node.poll_peer(peer, now));
            packets.filter(|packet| packet.code == code::BATCH_ACK).count()
        };
        send(&mut node, other);
        assert_eq!(answers(&mut node), 1);
        send(&mut node, ours);
        send(&mut node, other);
        assert_eq!(answers(&mut node), 0);
        // The first and the third never become events.
        node.stored(2);
        assert_eq!(answers(&mut node), 2);
        send(&mut node, other);
        assert_eq!(answers(&mut node), 1);
    }
}
