//! How archived envelopes are put into packets.
//!
//! An envelope joins the packet before it while it is not the last that the page may have, and
//! while the envelopes in the packet stay below the largest message. So the envelope that reaches
//! the limit always travels alone, and a limit of 10 makes packets of 9 and of 1: clients of the
//! reference see the same packets from us.
//!
//! One thing differs, unless it is to be [as the reference](Batcher::as_reference): that reckons
//! without the header of the list, and when it fills a packet to the brim the client hangs up. Here
//! the packet itself must fit, too.
//!
//! Source: the reference; the specification leaves it open.

use crate::{
    rlp,
    wire::{Dialect, Packet, packet::code},
};

/// A packet for a client, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The code of the packet.
    pub code: u64,
    /// Its payload.
    pub payload: Vec<u8>,
    /// How many envelopes are in it.
    pub envelopes: u32,
}

impl Reply {
    /// For a node. The envelopes in it are not
    /// read again: they are copied as they lie in the archive.
    pub fn into_packet(self) -> Packet {
        Packet::Unknown { code: self.code, payload: self.payload }
    }
}

/// In which packets envelopes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Each alone (code 127).
    Single,
    /// Several together (code 127).
    Batch,
    /// Several together, to another mailserver (code 124).
    Sync,
}

/// Collects the envelopes of one page into packets.
#[derive(Debug)]
pub struct Batcher {
    packing: Packing,
    dialect: Dialect,
    /// The largest payload of a packet, in bytes.
    max: usize,
    /// Whether the packet itself must fit.
    is_strict: bool,
    limit: u32,
    /// Envelopes of the page so far.
    count: u32,
    /// The RLP of the envelopes of the open packet, one after the other; and their number.
    body: Vec<u8>,
    inside: u32,
}

impl Batcher {
    /// For a page of at most `limit` envelopes, in packets of at most `max` bytes.
    pub fn new(packing: Packing, dialect: Dialect, max: usize, limit: u32) -> Self {
        let (count, body, inside) = (0, Vec::new(), 0);
        Self { packing, dialect, max, is_strict: true, limit, count, body, inside }
    }

    /// The same packets as the reference's, also those that its clients don't take.
    pub fn as_reference(self) -> Self {
        Self { is_strict: false, ..self }
    }

    /// Whether any packet has room for an envelope of this length.
    pub fn fits(&self, length: usize) -> bool {
        !self.is_strict || self.payload_len(length, 1) <= self.max
    }

    /// Takes the next envelope of the page, and gives the packet before it if that is complete.
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

    /// Whether the page has all the envelopes that it may have.
    pub fn is_full(&self) -> bool {
        self.count >= self.limit
    }

    /// The open packet, if there is anything in it.
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
        Some(Reply { code, payload, envelopes })
    }

    /// Whisper has no list of one.
    fn is_bare(&self, envelopes: u32) -> bool {
        envelopes == 1 && self.dialect == Dialect::Whisper
    }

    fn payload_len(&self, body: usize, envelopes: u32) -> usize {
        match self.packing {
            Packing::Sync => list_len(list_len(body) + SYNC_REST.len()),
            _ if self.is_bare(envelopes) => body,
            _ => list_len(body),
        }
    }
}

/// The rest of a sync response that is not the last: no cursor, not final, no error.
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
    use crate::envelope::{Envelope, Topic};

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
                .map(|(i, length)| Envelope::new(9, 1, Topic([1; 4]), &vec![7; length], i))
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
            for reply in replies {
                prop_assert!(reply.payload.len() <= max);
                let inside = match Packet::decode(reply.code, &reply.payload).unwrap() {
                    Packet::P2pMessage(inside) => inside,
                    Packet::SyncResponse(response) => {
                        prop_assert!(!response.last && response.error.is_empty());
                        response.envelopes
                    }
                    other => panic!("{other:?}"),
                };
                prop_assert_eq!(inside.len(), reply.envelopes as usize);
                prop_assert!(packing != Packing::Single || inside.len() == 1);
                got.extend(inside);
            }
            prop_assert_eq!(&got[..], &envelopes[..taken]);
        }
    }

    #[test]
    fn a_packet_filled_to_the_brim_is_still_taken() {
        // Two envelopes whose lengths add up to just below the largest message: with the header
        // of their list they would be above it.
        let envelope = Envelope::new(9, 1, Topic([1; 4]), &[7; 300], 0).raw().to_vec();
        let max = 2 * envelope.len() + 1;
        let mut batcher = Batcher::new(Packing::Batch, Dialect::Whisper, max, 100);
        assert_eq!(batcher.push(&envelope), None);
        assert_eq!(batcher.push(&envelope).map(|reply| reply.payload), Some(envelope.clone()));
        // The reference does so.
        let mut batcher = Batcher::new(Packing::Batch, Dialect::Whisper, max, 100).as_reference();
        assert_eq!((batcher.push(&envelope), batcher.push(&envelope)), (None, None));
        assert_eq!(batcher.push(&envelope).map(|reply| reply.payload.len()), Some(max + 2));
        let mut batcher = Batcher::new(Packing::Batch, Dialect::Whisper, 100, 100).as_reference();
        assert!(batcher.fits(envelope.len()) && batcher.push(&envelope).is_none());
        assert_eq!(batcher.close().map(|reply| reply.payload), Some(envelope));
    }
}
