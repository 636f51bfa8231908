//! The packets of one answer, made as they are asked for: a piece of the archive at a time, so that
//! a page of any size takes the memory of two packets.

use std::{collections::VecDeque, ops::ControlFlow};

use statuskit_core::{
    envelope::EnvelopeHash,
    mailserver::{
        Cursor, Position,
        batch::{Batcher, Reply},
    },
    wire::{
        Packet,
        p2p::{RequestComplete, SyncResponse},
    },
};

use crate::{Archive, ArchiveError, archive::Query, server::reply};

/// How many bytes of finished packets an answer holds at most, beside the one that is open.
const PIECE: usize = 256 << 10;

/// Who gets an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum To {
    /// With the id of the request.
    Client([u8; 32]),
    Mailserver,
}

/// The packets that answer one request, in order: envelopes, then how it ended.
#[derive(Debug)]
pub struct Answer {
    to: To,
    /// What is still to be read.
    query: Query,
    batcher: Batcher,
    ready: VecDeque<Reply>,
    ready_bytes: usize,
    /// The last envelope in a packet.
    last: Option<Position>,
    stage: Stage,
    totals: Totals,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reading,
    Closing,
    Done,
}

/// What is in the packets of an answer so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Envelopes.
    pub envelopes: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Envelopes that no packet has room for. They can't be sent at all.
    pub oversized: u64,
}

impl Answer {
    /// What the query finds, in such packets.
    pub(super) fn new(to: To, query: Query, batcher: Batcher) -> Self {
        Self {
            to,
            query,
            batcher,
            ready: VecDeque::new(),
            ready_bytes: 0,
            last: None,
            stage: Stage::Reading,
            totals: Totals::default(),
        }
    }

    /// The next packet; none after the last. Reads a piece of the archive when it is needed.
    pub fn next(&mut self, archive: &dyn Archive) -> Result<Option<Reply>, ArchiveError> {
        while self.ready.is_empty() && self.stage == Stage::Reading {
            self.read(archive)?;
        }
        let reply = match self.ready.pop_front() {
            Some(reply) => {
                self.ready_bytes -= reply.packet.payload.len();
                reply
            }
            None if self.stage == Stage::Closing => {
                self.stage = Stage::Done;
                self.closing()
            }
            None => return Ok(None),
        };
        self.totals.envelopes += u64::from(reply.envelopes);
        self.totals.packets += 1;
        self.totals.bytes += reply.packet.payload.len() as u64;
        Ok(Some(reply))
    }

    /// Whether the next packet is there without reading the archive.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty() || self.stage != Stage::Reading
    }

    /// What the packets had in them so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Reads on until there is a packet, or nothing more.
    fn read(&mut self, archive: &dyn Archive) -> Result<(), ArchiveError> {
        let Self { query, batcher, ready, ready_bytes, last, totals, .. } = self;
        let (mut stopped, mut at) = (false, query.after);
        let result = archive.read(query, &mut |record| {
            at = Some(record.position);
            if !batcher.fits(record.envelope.len()) {
                totals.oversized += 1;
                return ControlFlow::Continue(());
            }
            if let Some(reply) = batcher.push(record.envelope) {
                *ready_bytes += reply.packet.payload.len();
                ready.push_back(reply);
            }
            *last = Some(record.position);
            // Packets with many envelopes go out one by one, others a good number at a time.
            let enough = ready.back().is_some_and(|reply| reply.envelopes > 1);
            if batcher.is_full() || enough || *ready_bytes >= PIECE {
                stopped = true;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        query.after = at;
        result?;
        if batcher.is_full() || !stopped {
            self.stage = Stage::Closing;
            if let Some(reply) = batcher.close() {
                *ready_bytes += reply.packet.payload.len();
                ready.push_back(reply);
            }
        }
        Ok(())
    }

    /// The packet that ends the answer.
    fn closing(&self) -> Reply {
        let cursor = self.last.filter(|_| self.batcher.is_full()).map(Cursor::from);
        reply(&match self.to {
            To::Client(request) => {
                let last = self.last.map_or(EnvelopeHash([0; 32]), |position| position.hash);
                Packet::RequestComplete(RequestComplete::Success { request, last, cursor })
            }
            To::Mailserver => {
                let (envelopes, error) = (Vec::new(), Vec::new());
                Packet::SyncResponse(SyncResponse { envelopes, cursor, last: true, error })
            }
        })
    }
}
