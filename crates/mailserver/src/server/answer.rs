//! The packets of one answer, made on demand: it reads one piece of the archive at a time, so a page
//! of any size takes the memory of two packets.

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

use crate::{
    Archive, ArchiveError,
    archive::{Budget, Query, Step},
    server::reply,
};

/// The most bytes of finished packets that an answer holds, besides the open one.
const PIECE: usize = 256 << 10;

/// The recipient of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum To {
    /// A client, with the id of its request.
    Client([u8; 32]),
    Mailserver,
}

/// The packets that answer one request, in order: envelopes, then the end.
#[derive(Debug)]
pub struct Answer {
    to: To,
    /// The rest of the query.
    query: Query,
    batcher: Batcher,
    ready: VecDeque<Reply>,
    ready_bytes: usize,
    /// The position of the last envelope in a packet.
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

/// What the packets of an answer contain so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Totals {
    /// Envelopes.
    pub envelopes: u64,
    /// Packets.
    pub packets: u64,
    /// The sum of their payloads in bytes.
    pub bytes: u64,
    /// Envelopes that are too large for any packet. They can't be sent.
    pub oversized: u64,
}

impl Answer {
    /// Answers with what the query finds.
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

    /// Returns the next packet; `None` after the last. Reads the archive if necessary, however long
    /// that takes.
    ///
    /// # Errors
    /// If the archive fails. The next call continues where it was.
    pub fn next(&mut self, archive: &dyn Archive) -> Result<Option<Reply>, ArchiveError> {
        while !self.is_ready() {
            self.step(archive, &mut Budget::unlimited())?;
        }
        Ok(self.pop())
    }

    /// Returns the next packet of those that are ready. `None` after the last one, and while the
    /// answer is not [ready](Self::is_ready).
    pub(crate) fn pop(&mut self) -> Option<Reply> {
        let reply = match self.ready.pop_front() {
            Some(reply) => {
                self.ready_bytes -= reply.packet.payload.len();
                reply
            }
            None if self.stage == Stage::Closing => {
                self.stage = Stage::Done;
                self.closing()
            }
            None => return None,
        };
        self.totals.envelopes += u64::from(reply.envelopes);
        self.totals.packets += 1;
        self.totals.bytes += reply.packet.payload.len() as u64;
        Some(reply)
    }

    /// Whether the next packet needs no reading of the archive.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty() || self.stage != Stage::Reading
    }

    /// Returns what the packets so far contained.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Reads until there is a packet, or nothing more, or the budget is spent.
    ///
    /// # Errors
    /// If the archive fails. The next call continues where it was.
    pub(crate) fn step(
        &mut self,
        archive: &dyn Archive,
        budget: &mut Budget,
    ) -> Result<(), ArchiveError> {
        if self.is_ready() {
            return Ok(());
        }
        let Self { query, batcher, ready, ready_bytes, last, totals, .. } = self;
        let (mut stopped, mut at) = (false, query.after);
        let result = archive.read_step(query, budget, &mut |record| {
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
            // Returns packets with many envelopes one by one, others in larger numbers.
            let enough = ready.back().is_some_and(|reply| reply.envelopes > 1);
            if batcher.is_full() || enough || *ready_bytes >= PIECE {
                stopped = true;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        query.after = at;
        if let Step::Paused(position) = result? {
            query.after = Some(position);
            return Ok(());
        }
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
