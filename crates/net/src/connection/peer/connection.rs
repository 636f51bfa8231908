//! A connection after both Hellos.

use std::{fmt, time::Instant};

use statuskit_core::{
    crypto::PublicKey,
    devp2p::{
        base::{self, DisconnectReason, Hello},
        capability::{BASE_LENGTH, SharedProtocol, find_code},
        frame::{Frame, FrameReader, FrameWriter},
        snappy,
    },
};

use crate::connection::peer::{Incoming, P2pError, P2pLimits, after, greeting::put_disconnect};

/// A connection that carries messages both ways, until one side ends it.
///
/// Output grows by what [`send`](Self::send) queues, and by at most one ping and one pong: a peer
/// that does not read can't make it grow.
pub(crate) struct Connection {
    limits: P2pLimits,
    remote: PublicKey,
    hello: Hello,
    shared: Vec<SharedProtocol>,
    writer: FrameWriter,
    reader: FrameReader,
    /// Whether payloads are compressed.
    pub(super) snappy: bool,
    output: Vec<u8>,
    ping_waits: bool,
    pong_waits: bool,
    heard: Instant,
    /// We hold back input on purpose.
    paused: bool,
    pinged: Instant,
    open: bool,
}

impl Connection {
    pub(super) fn new(
        limits: P2pLimits,
        (remote, hello, shared): (PublicKey, Hello, Vec<SharedProtocol>),
        (writer, reader): (FrameWriter, FrameReader),
        snappy: bool,
        output: Vec<u8>,
        now: Instant,
    ) -> Self {
        Self {
            limits,
            remote,
            hello,
            shared,
            writer,
            reader,
            snappy,
            output,
            ping_waits: false,
            pong_waits: false,
            heard: now,
            paused: false,
            pinged: now,
            open: true,
        }
    }

    /// Returns the peer's static key.
    pub fn remote(&self) -> PublicKey {
        self.remote
    }

    /// Returns the peer's Hello.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Returns the protocols that both sides speak; at least one.
    pub fn shared(&self) -> &[SharedProtocol] {
        &self.shared
    }

    /// Returns whether messages can still be sent and received.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Reads up to the next message; `None` if the input ends before.
    ///
    /// After an error, and after [`Incoming::Disconnected`], nothing can be read or sent any more.
    /// The rest of the output may be written before closing.
    pub fn read(&mut self, input: &mut &[u8], now: Instant) -> Result<Option<Incoming>, P2pError> {
        if !self.open {
            return Err(P2pError::Closed);
        }
        let result = self.next_event(input, now);
        if matches!(result, Err(_) | Ok(Some(Incoming::Disconnected(_)))) {
            self.open = false;
        }
        result
    }

    /// Returns the memory of the message that is not complete, in bytes.
    pub fn unfinished(&self) -> usize {
        self.reader.buffered()
    }

    /// Queues a message of the shared protocol with this name.
    pub fn send(&mut self, name: &str, code: u64, payload: &[u8]) -> Result<(), P2pError> {
        if !self.open {
            return Err(P2pError::Closed);
        }
        let protocol = self
            .shared
            .iter()
            .find(|shared| *shared.capability.name == *name)
            .ok_or_else(|| P2pError::NotShared(name.to_owned()))?;
        if code >= protocol.length {
            return Err(P2pError::CodeRange {
                capability: protocol.capability.clone(),
                code,
                length: protocol.length,
            });
        }
        let wire = protocol.offset.saturating_add(code);
        self.put(wire, payload)
    }

    /// Ends the connection from our side. Disconnect is queued, except for a network error.
    pub fn disconnect(&mut self, reason: DisconnectReason) {
        if self.open && reason != DisconnectReason::NetworkError {
            put_disconnect(&mut self.writer, reason, self.snappy, &mut self.output);
        }
        self.open = false;
    }

    /// Sets whether we hold back input on purpose. The idle limit is off meanwhile, and starts
    /// again afterwards.
    pub fn set_paused(&mut self, paused: bool, now: Instant) {
        if self.paused && !paused {
            self.heard = now;
        }
        self.paused = paused;
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout); `None` once closed.
    pub fn next_wakeup(&self) -> Option<Instant> {
        let ping = after(self.pinged, self.limits.ping);
        self.open.then(|| self.idle_at().map_or(ping, |idle| ping.min(idle)))
    }

    /// Pings when it is time, and fails if the peer was silent for too long.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), P2pError> {
        if !self.open {
            return Ok(());
        }
        if self.idle_at().is_some_and(|idle| idle <= now) {
            self.open = false;
            return Err(P2pError::Idle(self.limits.idle));
        }
        self.ping(now)
    }

    /// Returns the size of the output in bytes.
    pub fn queued(&self) -> usize {
        self.output.len()
    }

    /// Takes the output: whole frames, in order.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.ping_waits = false;
        self.pong_waits = false;
        std::mem::take(&mut self.output)
    }

    fn next_event(
        &mut self,
        input: &mut &[u8],
        now: Instant,
    ) -> Result<Option<Incoming>, P2pError> {
        // Also here: while input keeps coming, no timeout may be handled.
        self.ping(now)?;
        while let Some(frame) = self.reader.read(input)? {
            self.heard = now;
            if let Some(event) = self.handle(frame)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn idle_at(&self) -> Option<Instant> {
        (!self.paused).then(|| after(self.heard, self.limits.idle))
    }

    /// Pings when it is time, unless the last ping is still in the output.
    fn ping(&mut self, now: Instant) -> Result<(), P2pError> {
        if now < after(self.pinged, self.limits.ping) {
            return Ok(());
        }
        self.pinged = now;
        if !std::mem::replace(&mut self.ping_waits, true) {
            self.put(base::PING, &base::EMPTY)?;
        }
        Ok(())
    }

    fn handle(&mut self, frame: Frame) -> Result<Option<Incoming>, P2pError> {
        let code = frame.code;
        if code == base::DISCONNECT {
            // A peer that failed on our Hello does not compress, and some never compress
            // Disconnect. No compressed block is a valid uncompressed reason, so that both can be
            // read.
            let reason = match snappy::decompress(&frame.payload, base::MAX_HELLO) {
                Ok(payload) if self.snappy => DisconnectReason::decode_any(&payload),
                _ => DisconnectReason::decode_any(&frame.payload),
            };
            return Ok(Some(Incoming::Disconnected(reason)));
        }
        let payload = self.payload(frame)?;
        if code < BASE_LENGTH {
            if code == base::PING && !self.pong_waits {
                self.pong_waits = true;
                self.put(base::PONG, &base::EMPTY)?;
            }
            // Pong, a second Hello and unknown codes are dropped.
            return Ok(None);
        }
        let (protocol, code) = find_code(&self.shared, code).ok_or(P2pError::UnknownCode(code))?;
        let capability = protocol.capability.clone();
        Ok(Some(Incoming::Message { capability, code, payload }))
    }

    fn payload(&self, Frame { code, payload }: Frame) -> Result<Vec<u8>, P2pError> {
        let max = self.limits.message;
        if self.snappy {
            return snappy::decompress(&payload, max)
                .map_err(|error| P2pError::Snappy { code, error });
        }
        if payload.len() > max {
            return Err(P2pError::TooLarge { code, got: payload.len(), max });
        }
        Ok(payload)
    }

    fn put(&mut self, code: u64, payload: &[u8]) -> Result<(), P2pError> {
        if self.snappy {
            let block =
                snappy::compress(payload).map_err(|error| P2pError::Snappy { code, error })?;
            self.writer.encode(code, &block, &mut self.output)?;
        } else {
            self.writer.encode(code, payload, &mut self.output)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("remote", &self.remote)
            .field("client", &self.hello.client)
            .field("shared", &self.shared)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
