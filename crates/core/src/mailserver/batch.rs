//! Packs archived envelopes into packets.
//!
//! An envelope is added to the open packet unless it is the last that the page can have, or the
//! envelopes in the packet would reach the largest message. So the envelope that reaches the limit
//! always has a packet of its own: a limit of 10 makes packets of 9 and of 1. Clients of the
//! reference get the same packets from us.
//!
//! There is one difference, unless [`as_reference`](Batcher::as_reference) is set. The reference
//! does not count the header of the list, and clients disconnect when it fills a packet completely.
//! Here the whole payload must fit.
//!
//! Source: the reference. The specification leaves this open.

use crate::{
    rlp,
    wire::{Dialect, Encoded, packet::code},
};

/// A packet for a client.
///
/// It is encoded already: its envelopes are copied from the archive without being decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The packet.
    pub packet: Encoded,
    /// The number of envelopes in it.
    pub envelopes: u32,
}

/// The kind of packets that carry envelopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// One envelope per packet (code 127).
    Single,
    /// Several envelopes per packet (code 127).
    Batch,
    /// Several envelopes per packet, for another mailserver (code 124).
    Sync,
}

/// Collects the envelopes of one page into packets.
#[derive(Debug)]
pub struct Batcher {
    packing: Packing,
    dialect: Dialect,
    /// The largest payload of a packet, in bytes.
    max: usize,
    /// Whether the payload, and not only its envelopes, must fit.
    is_strict: bool,
    limit: u32,
    /// The number of envelopes of the page so far.
    count: u32,
    /// The concatenated RLP of the envelopes in the open packet.
    body: Vec<u8>,
    /// The number of envelopes in the open packet.
    inside: u32,
}

impl Batcher {
    /// Starts a page of at most `limit` envelopes, in packets of at most `max` bytes.
    pub fn new(packing: Packing, dialect: Dialect, max: usize, limit: u32) -> Self {
        let (count, body, inside) = (0, Vec::new(), 0);
        Self { packing, dialect, max, is_strict: true, limit, count, body, inside }
    }

    /// Makes the same packets as the reference, including those that its clients reject.
    #[must_use]
    pub fn as_reference(self) -> Self {
        Self { is_strict: false, ..self }
    }

    /// Returns whether an envelope of this length fits into a packet.
    pub fn fits(&self, length: usize) -> bool {
        !self.is_strict || self.payload_len(length, 1) <= self.max
    }

    /// Adds the next envelope of the page. Returns the packet before it if that is complete.
    #[must_use]
    pub fn push(&mut self, envelope: &[u8]) -> Option<Reply> {
        self.count += 1;
        let length = self.body.len() + envelope.len();
        let joins = self.packing != Packing::Single
            && self.count < self.limit
            && length < self.max
            && (!self.is_strict || self.payload_len(length, self.inside + 1) <= self.max);
        let complete = if joins { None } else { self.close() };
        self.body.extend_from_slice(envelope);
        self.inside += 1;
        complete
    }

    /// Returns whether the page has reached its limit.
    pub fn is_full(&self) -> bool {
        self.count >= self.limit
    }

    /// Closes and returns the open packet. `None` if it is empty.
    #[must_use]
    pub fn close(&mut self) -> Option<Reply> {
        if self.inside == 0 {
            return None;
        }
        let envelopes = std::mem::take(&mut self.inside);
        let body = std::mem::take(&mut self.body);
        let (code, payload) = match self.packing {
            Packing::Sync => {
                let length = self.payload_len(body.len(), envelopes);
                let mut payload = Vec::with_capacity(length);
                rlp::put_list_header(&mut payload, list_len(body.len()) + SYNC_REST.len());
                put_list_of(&mut payload, &body);
                payload.extend_from_slice(&SYNC_REST);
                (code::P2P_SYNC_RESPONSE, payload)
            }
            _ if self.is_bare(envelopes) => (code::P2P_MESSAGE, body),
            _ => {
                let mut payload = Vec::with_capacity(list_len(body.len()));
                put_list_of(&mut payload, &body);
                (code::P2P_MESSAGE, payload)
            }
        };
        Some(Reply { packet: Encoded { code, payload }, envelopes })
    }

    /// Returns whether the packet is an envelope without a list. Whisper has no lists of one.
    fn is_bare(&self, envelopes: u32) -> bool {
        envelopes == 1 && !self.dialect.is_waku()
    }

    fn payload_len(&self, body: usize, envelopes: u32) -> usize {
        match self.packing {
            Packing::Sync => list_len(list_len(body) + SYNC_REST.len()),
            _ if self.is_bare(envelopes) => body,
            _ => list_len(body),
        }
    }
}

/// The end of a sync response other than the last: no cursor, not final, no error.
const SYNC_REST: [u8; 3] = [0x80; 3];

fn list_len(content: usize) -> usize {
    rlp::header_len(content) + content
}

fn put_list_of(out: &mut Vec<u8>, content: &[u8]) {
    rlp::put_list_header(out, content.len());
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        envelope::{Envelope, Topic},
        time::UnixSeconds,
        wire::Packet,
    };

    fn packing() -> impl Strategy<Value = Packing> {
        prop_oneof![Just(Packing::Single), Just(Packing::Batch), Just(Packing::Sync)]
    }

    proptest! {
        #[test]
        fn every_packet_fits_and_nothing_is_lost(
            packing in packing(),
            lengths in prop::collection::vec(0usize..400, 0..40),
            max in 450usize..2000,
            limit in 1u32..50,
        ) {
            let envelopes: Vec<Envelope> = (0..)
                .zip(lengths)
                .map(|(i, length)| Envelope::new(UnixSeconds(9), 1, Topic([1; 4]), &vec![7; length], i))
                .collect();
            let mut batcher = Batcher::new(packing, Dialect::Whisper, max, limit);
            let mut replies = Vec::new();
            let mut taken = 0;
            for envelope in &envelopes {
                prop_assert!(batcher.fits(envelope.raw().len()));
                replies.extend(batcher.push(envelope.raw()));
                taken += 1;
                if batcher.is_full() {
                    break;
                }
            }
            prop_assert_eq!(batcher.is_full(), taken == limit as usize);
            replies.extend(batcher.close());
            if taken == limit as usize {
                prop_assert_eq!(replies.last().map(|reply| reply.envelopes), Some(1));
            }
            let mut got = Vec::new();
            for Reply { packet, envelopes } in replies {
                prop_assert!(packet.payload.len() <= max);
                let inside = match Packet::decode(packet.code, &packet.payload).unwrap() {
                    Packet::P2pMessage(inside) => inside,
                    Packet::SyncResponse(response) => {
                        prop_assert!(!response.last && response.error.is_empty());
                        response.envelopes
                    }
                    other => panic!("{other:?}"),
                };
                prop_assert_eq!(inside.len(), envelopes as usize);
                prop_assert!(packing != Packing::Single || inside.len() == 1);
                got.extend(inside);
            }
            prop_assert_eq!(&got[..], &envelopes[..taken]);
        }
    }

    #[test]
    fn the_header_of_the_list_counts() {
        // The lengths of two envelopes add up to just below the largest message. With the header
        // of their list they are above it.
        let envelope = Envelope::new(UnixSeconds(9), 1, Topic([1; 4]), &[7; 300], 0).raw().to_vec();
        let max = 2 * envelope.len() + 1;
        let mut batcher = Batcher::new(Packing::Batch, Dialect::Whisper, max, 100);
        let payload = |reply: Option<Reply>| reply.map(|reply| reply.packet.payload);
        assert_eq!(batcher.push(&envelope), None);
        assert_eq!(payload(batcher.push(&envelope)), Some(envelope.clone()));
        // The reference does not count it.
        let mut batcher = Batcher::new(Packing::Batch, Dialect::Whisper, max, 100).as_reference();
        assert_eq!((batcher.push(&envelope), batcher.push(&envelope)), (None, None));
        assert_eq!(payload(batcher.push(&envelope)).map(|it| it.len()), Some(max + 2));
        let mut batcher = Batcher::new(Packing::Batch, Dialect::Whisper, 100, 100).as_reference();
        assert!(batcher.fits(envelope.len()) && batcher.push(&envelope).is_none());
        assert_eq!(payload(batcher.close()), Some(envelope));
    }
}
