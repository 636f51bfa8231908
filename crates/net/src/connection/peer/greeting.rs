//! The exchange of Hello.

use std::{fmt, time::Instant};

use statuskit_core::{
    crypto::PublicKey,
    devp2p::{
        base::{self, DisconnectReason, HELLO, Hello, MAX_HELLO},
        capability::shared_protocols,
        frame::{FrameReader, FrameWriter},
        handshake::{Secrets, Step},
        snappy,
    },
};

use crate::connection::peer::{Connection, P2pConfig, P2pError, after};

/// A connection whose Hello is in the output, and whose peer's Hello is still to come.
pub(crate) struct Greeting {
    config: P2pConfig,
    remote: PublicKey,
    writer: FrameWriter,
    reader: FrameReader,
    output: Vec<u8>,
    /// When the exchange must be done.
    pub(super) deadline: Instant,
}

/// A peer that was rejected.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Rejected {
    /// Why.
    pub error: P2pError,
    /// The rest of the output, and Disconnect where one is sent. May be empty.
    pub farewell: Vec<u8>,
}

impl Greeting {
    /// Starts with the secrets of the handshake. `id` is our own static key. `started` is when
    /// the encryption handshake began: both handshakes share one time limit.
    pub fn new(
        secrets: Secrets,
        id: &PublicKey,
        config: &P2pConfig,
        started: Instant,
    ) -> Result<Self, Rejected> {
        let remote = secrets.remote();
        // Hello has a message code of one byte.
        let (writer, reader) = secrets.into_frames(1 + MAX_HELLO);
        let mut greeting = Self {
            config: config.clone(),
            remote,
            writer,
            reader,
            output: Vec::new(),
            deadline: after(started, config.limits.handshake),
        };
        if remote == *id {
            return Err(greeting.reject(P2pError::ConnectedToSelf, false));
        }
        let hello = config.hello(id).encode();
        match greeting.writer.encode(HELLO, &hello, &mut greeting.output) {
            Ok(()) => Ok(greeting),
            Err(error) => Err(greeting.reject(error.into(), false)),
        }
    }

    /// Takes the output.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Reads the peer's Hello, or a part of it. Input behind it is left in place.
    pub fn read(
        mut self,
        input: &mut &[u8],
        now: Instant,
    ) -> Result<Step<Self, Connection>, Rejected> {
        if now >= self.deadline {
            let limit = self.config.limits.handshake;
            return Err(self.reject(P2pError::HandshakeTimeout(limit), false));
        }
        let frame = match self.reader.read(input) {
            Ok(None) => return Ok(Step::More { state: self, missing: 1 }),
            Ok(Some(frame)) => frame,
            Err(error) => return Err(self.reject(error.into(), false)),
        };
        let hello = match Hello::from_first_message(frame.code, &frame.payload) {
            Ok(hello) => hello,
            Err(error) => return Err(self.reject(error.into(), false)),
        };
        // From here on the reference compresses, even Disconnect.
        let snappy = hello.snappy(self.config.version);
        if hello.id != self.remote.to_xy() {
            return Err(self.reject(P2pError::UnexpectedIdentity, snappy));
        }
        let shared = shared_protocols(&self.config.protocols, &hello.capabilities);
        if shared.is_empty() {
            let theirs = hello.capabilities;
            return Err(self.reject(P2pError::Useless { theirs }, snappy));
        }
        let Self { config, remote, writer, mut reader, output, .. } = self;
        reader.set_max_body(max_body(config.limits.message, snappy));
        let halves = (writer, reader);
        let peer = (remote, hello, shared);
        Ok(Step::Done(Connection::new(config.limits, peer, halves, snappy, output, now)))
    }

    /// Ends the connection: returns the rest of the output, with Disconnect where the error has one.
    fn reject(mut self, error: P2pError, snappy: bool) -> Rejected {
        let mut farewell = std::mem::take(&mut self.output);
        if let Some(reason) = error.answer() {
            put_disconnect(&mut self.writer, reason, snappy, &mut farewell);
        }
        Rejected { error, farewell }
    }
}

/// Appends the frame of Disconnect.
pub(super) fn put_disconnect(
    writer: &mut FrameWriter,
    reason: DisconnectReason,
    snappy: bool,
    output: &mut Vec<u8>,
) {
    let mut payload = reason.encode();
    if snappy && let Ok(block) = snappy::compress(&payload) {
        payload = block;
    }
    // A dozen bytes always fit.
    let _ = writer.encode(base::DISCONNECT, &payload, output);
}

/// Returns the size of the largest frame body for a payload of `message` bytes.
fn max_body(message: usize, compressed: bool) -> usize {
    let payload = if compressed { snappy::max_compressed(message) } else { message };
    payload.saturating_add(9)
}

impl fmt::Debug for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Greeting").field("remote", &self.remote).finish_non_exhaustive()
    }
}
