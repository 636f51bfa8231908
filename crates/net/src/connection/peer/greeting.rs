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

/// Our Hello is in the output, the peer's has not come yet.
pub struct Greeting {
    config: P2pConfig,
    remote: PublicKey,
    writer: FrameWriter,
    reader: FrameReader,
    output: Vec<u8>,
    deadline: Instant,
}

/// The peer is not taken. `farewell` is what may still be sent before closing.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// Why.
    pub error: P2pError,
    /// Output that was not taken, and Disconnect where the peer is told. May be empty.
    pub farewell: Vec<u8>,
}

impl Greeting {
    /// Begins with the secrets of the handshake. `id` is our own static key, `started` is
    /// when the encryption handshake began: both handshakes share one time limit.
    pub fn new(
        secrets: Secrets,
        id: &PublicKey,
        config: &P2pConfig,
        started: Instant,
    ) -> Result<Self, Refusal> {
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
            return Err(greeting.refuse(P2pError::ConnectedToSelf, false));
        }
        let hello = config.hello(id).encode();
        match greeting.writer.encode(HELLO, &hello, &mut greeting.output) {
            Ok(()) => Ok(greeting),
            Err(error) => Err(greeting.refuse(error.into(), false)),
        }
    }

    /// Takes what is to be sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// When the exchange must be done.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Reads (a part of) the peer's Hello; input behind it is left alone.
    pub fn read(
        mut self,
        input: &mut &[u8],
        now: Instant,
    ) -> Result<Step<Self, Connection>, Refusal> {
        if now >= self.deadline {
            let limit = self.config.limits.handshake;
            return Err(self.refuse(P2pError::HandshakeTimeout(limit), false));
        }
        let frame = match self.reader.read(input) {
            Ok(None) => return Ok(Step::More { state: self, missing: 1 }),
            Ok(Some(frame)) => frame,
            Err(error) => return Err(self.refuse(error.into(), false)),
        };
        let hello = match Hello::from_first_message(frame.code, &frame.payload) {
            Ok(hello) => hello,
            Err(error) => return Err(self.refuse(error.into(), false)),
        };
        // From here on the reference compresses, Disconnect included.
        let snappy = hello.snappy(self.config.version);
        if hello.id != self.remote.to_xy() {
            return Err(self.refuse(P2pError::UnexpectedIdentity, snappy));
        }
        let shared = shared_protocols(&self.config.protocols, &hello.capabilities);
        if shared.is_empty() {
            let theirs = hello.capabilities;
            return Err(self.refuse(P2pError::Useless { theirs }, snappy));
        }
        let Self { config, remote, writer, mut reader, output, .. } = self;
        reader.set_max_body(max_body(config.limits.message, snappy));
        let halves = (writer, reader);
        let peer = (remote, hello, shared);
        Ok(Step::Done(Connection::new(config.limits, peer, halves, snappy, output, now)))
    }

    /// The end: what is left to send, and Disconnect where the error has one.
    fn refuse(mut self, error: P2pError, snappy: bool) -> Refusal {
        let mut farewell = std::mem::take(&mut self.output);
        if let Some(reason) = error.answer() {
            put_disconnect(&mut self.writer, reason, snappy, &mut farewell);
        }
        Refusal { error, farewell }
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

/// The largest frame body that a payload of `message` bytes can need.
fn max_body(message: usize, compressed: bool) -> usize {
    let payload = if compressed { snappy::max_compressed(message) } else { message };
    payload.saturating_add(9)
}

impl fmt::Debug for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Greeting").field("remote", &self.remote).finish_non_exhaustive()
    }
}
