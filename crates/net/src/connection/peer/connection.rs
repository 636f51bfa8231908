//! The connection once both Hellos are exchanged.

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

/// Messages both ways, until one side ends it.
///
/// Output grows by what is sent through [`send`](Self::send) and by at most one ping and one
/// pong: a peer that doesn't read can't make it grow. [`queued`](Self::queued) tells its size.
pub struct Connection {
    limits: P2pLimits,
    remote: PublicKey,
    hello: Hello,
    shared: Vec<SharedProtocol>,
    writer: FrameWriter,
    reader: FrameReader,
    snappy: bool,
    output: Vec<u8>,
    ping_waits: bool,
    pong_waits: bool,
    heard: Instant,
    /// Input is held back on purpose.
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

    /// The peer's static key.
    pub fn remote(&self) -> PublicKey {
        self.remote
    }

    /// What the peer said of itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The protocols that both sides speak; at least one.
    pub fn shared(&self) -> &[SharedProtocol] {
        &self.shared
    }

    /// Whether payloads are compressed.
    pub fn snappy(&self) -> bool {
        self.snappy
    }

    /// Whether messages can still be sent and received.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Takes input up to the next event; `None` when all input is consumed without one.
    ///
    /// After an error, and after [`Incoming::Disconnected`], nothing more can be read or sent;
    /// what is left of the output may be written before closing.
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

    /// Ends the connection from our side: Disconnect is queued, except for a network error,
    /// which is not told.
    pub fn disconnect(&mut self, reason: DisconnectReason) {
        if self.open && reason != DisconnectReason::NetworkError {
            put_disconnect(&mut self.writer, reason, self.snappy, &mut self.output);
        }
        self.open = false;
    }

    /// Says whether input is held back on purpose. Meanwhile there is no idle limit; afterwards it
    /// starts anew.
    pub fn set_paused(&mut self, paused: bool, now: Instant) {
        if self.paused && !paused {
            self.heard = now;
        }
        self.paused = paused;
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; `None` once closed.
    pub fn next_wakeup(&self) -> Option<Instant> {
        let ping = after(self.pinged, self.limits.ping);
        self.open.then(|| self.idle_at().map_or(ping, |idle| ping.min(idle)))
    }

    /// Pings when it is time to, and fails when nothing came from the peer for too long.
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

    /// How many bytes wait to be taken.
    pub fn queued(&self) -> usize {
        self.output.len()
    }

    /// Takes what is to be sent: whole frames, in order.
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
        // Also here: where input never ends, timeouts may never be looked at.
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

    /// Pings when it is time to, unless a ping still waits to be taken.
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
            // A peer that failed on our Hello has not turned compression on, and some never do
            // for Disconnect. No block looks like an uncompressed reason, so both can be told
            // apart.
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
            // Pong, a second Hello and the codes without a meaning are dropped.
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
