//! A peer over a socket: the thin layer between [`Connection`] and tokio.
//!
//! One task owns one [`PeerStream`]. [`next`](PeerStream::next) writes, reads and keeps the time,
//! all at once: neither side can block the other by not reading. It is cancel-safe, and fits a
//! `select!`:
//!
//! ```no_run
//! # use statuskit_net::connection::{PeerStream, StreamError, Incoming};
//! # async fn run(mut peer: PeerStream, mut outgoing: tokio::sync::mpsc::Receiver<Vec<u8>>)
//! # -> Result<(), StreamError> {
//! loop {
//!     tokio::select! {
//!         event = peer.next() => match event? {
//!             Incoming::Message { code, payload, .. } => println!("{code}: {} bytes", payload.len()),
//!             Incoming::Disconnected(reason) => break println!("{reason}"),
//!         },
//!         // Queues nothing while the peer is slow.
//!         Some(payload) = outgoing.recv(), if peer.queued() < 1 << 20 => {
//!             peer.send("shh", 1, &payload)?;
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod error;
mod wire;

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rand::{
    CryptoRng, SeedableRng,
    rngs::{ChaCha20Rng, SysRng},
};
use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    devp2p::{
        base::{DisconnectReason, Hello},
        capability::SharedProtocol,
        enode::{Enode, Host},
        handshake::{Initiator, Responder, Secrets, Step},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until, timeout, timeout_at},
};

use crate::connection::peer::{
    self, Connection, Greeting, Incoming, P2pConfig, P2pError, Rejected,
};
pub use error::StreamError;
use wire::Wire;

/// Bytes of messages that [`PeerStream::flush`] reads ahead.
const READ_AHEAD: usize = 1 << 20;

/// A connected peer, after both handshakes.
pub struct PeerStream<S = TcpStream> {
    wire: Wire<S>,
    connection: Connection,
    /// Messages that were read before [`next`](Self::next) asked for them.
    ahead: VecDeque<Incoming>,
    ahead_bytes: usize,
    /// The socket was not read for a while, and may still hold input from that time.
    behind: bool,
    /// Hears of the memory of a message that is not complete.
    watch: Option<Box<dyn Fn(usize) + Send>>,
    /// What it has heard last.
    watched: usize,
    sleep: Pin<Box<Sleep>>,
    farewell: Duration,
}

impl PeerStream<TcpStream> {
    /// Dials a node.
    ///
    /// # Errors
    /// If the node can't be reached, or one of the handshakes fails.
    pub async fn connect(
        node: &Enode,
        key: &SecretKey,
        config: &P2pConfig,
    ) -> Result<Self, StreamError> {
        if node.id == key.public_key() {
            return Err(P2pError::ConnectedToSelf.into());
        }
        let limit = config.limits.dial;
        let dialled = match &node.host {
            Host::Ip(ip) => timeout(limit, TcpStream::connect((*ip, node.tcp))).await,
            Host::Name(name) => timeout(limit, TcpStream::connect((&**name, node.tcp))).await,
        };
        let to = || format!("{}:{}", node.host, node.tcp);
        let stream = dialled
            .map_err(|_| StreamError::DialTimeout { to: to(), limit })?
            .map_err(|error| StreamError::Dial { to: to(), error })?;
        let _ = stream.set_nodelay(true);
        Self::initiate(stream, node.id, key, config, &mut os_rng()?).await
    }

    /// Answers a node that dialled us.
    ///
    /// # Errors
    /// If one of the handshakes fails.
    pub async fn accept(
        stream: TcpStream,
        key: &SecretKey,
        config: &P2pConfig,
    ) -> Result<Self, StreamError> {
        let _ = stream.set_nodelay(true);
        Self::respond(stream, key, config, &mut os_rng()?).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> PeerStream<S> {
    /// Does both handshakes as the dialling side, over any byte stream without a write buffer.
    ///
    /// # Errors
    /// If one of the handshakes fails.
    pub async fn initiate<R: CryptoRng + ?Sized>(
        io: S,
        remote: PublicKey,
        key: &SecretKey,
        config: &P2pConfig,
        rng: &mut R,
    ) -> Result<Self, StreamError> {
        let started = Instant::now();
        let mut wire = Wire::new(io, config.limits.write);
        let mut initiator = Initiator::new(key, remote, rng);
        wire.push(initiator.auth());
        let secrets = within(started, config, async {
            loop {
                wire.fill("before its ack, as nodes do whose key is another than the one dialled")
                    .await?;
                match wire.consume(|input| initiator.read(input))? {
                    Step::Done(secrets) => return Ok(secrets),
                    Step::More { state, .. } => initiator = state,
                }
            }
        });
        let secrets = secrets.await?;
        Self::greet(wire, secrets, key, config, started).await
    }

    /// Does both handshakes as the dialled side, over any byte stream without a write buffer.
    ///
    /// # Errors
    /// If one of the handshakes fails.
    pub async fn respond<R: CryptoRng + ?Sized>(
        io: S,
        key: &SecretKey,
        config: &P2pConfig,
        rng: &mut R,
    ) -> Result<Self, StreamError> {
        let started = Instant::now();
        let mut wire = Wire::new(io, config.limits.write);
        let mut responder = Responder::new(key);
        let auth = within(started, config, async {
            loop {
                wire.fill("before its auth").await?;
                match wire.consume(|input| responder.read(input))? {
                    Step::Done(auth) => return Ok(auth),
                    Step::More { state, .. } => responder = state,
                }
            }
        });
        let (ack, secrets) = auth.await?.accept(rng);
        wire.push(&ack);
        Self::greet(wire, secrets, key, config, started).await
    }

    async fn greet(
        mut wire: Wire<S>,
        secrets: Secrets,
        key: &SecretKey,
        config: &P2pConfig,
        started: Instant,
    ) -> Result<Self, StreamError> {
        let farewell = config.limits.farewell;
        if let Some(log) = &config.key_log {
            log.take(&secrets.session_keys());
        }
        let greeting = Greeting::new(secrets, &key.public_key(), config, started.into_std());
        let mut greeting = match greeting {
            Ok(greeting) => greeting,
            Err(rejected) => return Err(reject(wire, rejected, farewell).await),
        };
        wire.push(&greeting.take_output());
        let connection = loop {
            let now = Instant::now().into_std();
            match wire.consume(|input| greeting.read(input, now)) {
                Ok(Step::Done(connection)) => break connection,
                Ok(Step::More { state, .. }) => greeting = state,
                Err(rejected) => return Err(reject(wire, rejected, farewell).await),
            }
            within(started, config, wire.fill("before its Hello")).await?;
        };
        // The peer's Hello may have come before ours was written. The peer waits for ours, too.
        within(started, config, wire.flush()).await?;
        Ok(Self {
            wire,
            connection,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            behind: false,
            watch: None,
            watched: 0,
            sleep: Box::pin(sleep_until(after(Instant::now(), config.limits.ping))),
            farewell,
        })
    }

    /// Returns the next message, and writes what is queued meanwhile. Cancel-safe.
    ///
    /// # Errors
    /// If the connection has failed. After an error, and after [`Incoming::Disconnected`], the
    /// peer is lost.
    pub async fn next(&mut self) -> Result<Incoming, StreamError> {
        loop {
            if let Some(event) = self.step(true, false).await? {
                return Ok(event);
            }
        }
    }

    /// Returns the next message. With `flushes`, returns `None` once all that is queued was
    /// written. Cancel-safe.
    ///
    /// Without `reads`, the socket is not read, and at most one message of what was already read is
    /// decoded. Pings go on, and there is no idle limit.
    pub(crate) async fn step(
        &mut self,
        reads: bool,
        flushes: bool,
    ) -> Result<Option<Incoming>, StreamError> {
        if reads && let Some(event) = self.ahead.pop_front() {
            self.ahead_bytes -= size(&event);
            return Ok(Some(event));
        }
        poll_fn(|cx| self.poll_step(cx, reads, flushes)).await
    }

    /// Returns whether the socket was not read for a while, and may still hold input from then.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Sets what hears of the memory of a message that is not complete, in bytes, as it changes.
    pub(crate) fn watch_unfinished(&mut self, watch: impl Fn(usize) + Send + 'static) {
        self.watch = Some(Box::new(watch));
    }

    /// Queues a message of the shared protocol with this name. [`next`](Self::next) and
    /// [`flush`](Self::flush) write it.
    ///
    /// # Errors
    /// If the peer does not speak the protocol, the code or the payload is out of range, or the
    /// connection has ended.
    pub fn send(&mut self, name: &str, code: u64, payload: &[u8]) -> Result<(), P2pError> {
        self.connection.send(name, code, payload)
    }

    /// Returns the number of bytes that the socket has not accepted yet. Senders that wait while
    /// it is high keep the memory for slow peers bounded.
    pub fn queued(&self) -> usize {
        self.connection.queued() + self.wire.pending()
    }

    /// Writes all that is queued. Messages that come meanwhile wait for [`next`](Self::next), up to
    /// a bound. Cancel-safe.
    ///
    /// # Errors
    /// If the connection has failed or ended.
    pub async fn flush(&mut self) -> Result<(), StreamError> {
        loop {
            let reads = self.ahead_bytes < READ_AHEAD;
            let step = poll_fn(|cx| {
                let step = self.poll_step(cx, reads, true);
                // While nothing is read, only this can report a failure to write.
                let fails = step.is_pending() && !reads;
                let error = if fails { self.wire.take_error() } else { None };
                error.map_or(step, |error| Poll::Ready(Err(error)))
            });
            match step.await? {
                Some(event) => self.keep(event),
                None => return Ok(()),
            }
        }
    }

    /// Sends Disconnect with this reason and closes, in bounded time
    /// (`P2pLimits::farewell`). What is queued goes first, as far as the time allows.
    pub async fn close(mut self, reason: DisconnectReason) {
        self.connection.disconnect(reason);
        if reason != DisconnectReason::NetworkError {
            self.wire.push(&self.connection.take_output());
            self.wire.finish(self.farewell).await;
        }
    }

    /// Returns the peer's static key.
    pub fn remote(&self) -> PublicKey {
        self.connection.remote()
    }

    /// Returns the peer's Hello.
    pub fn hello(&self) -> &Hello {
        self.connection.hello()
    }

    /// Returns the protocols that both sides speak; at least one.
    pub fn shared(&self) -> &[SharedProtocol] {
        self.connection.shared()
    }

    /// Returns the socket, for its addresses.
    pub fn get_ref(&self) -> &S {
        self.wire.get_ref()
    }

    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        reads: bool,
        flushes: bool,
    ) -> Poll<Result<Option<Incoming>, StreamError>> {
        self.behind |= !reads;
        self.connection.set_paused(!reads, Instant::now().into_std());
        loop {
            self.poll_output(cx);
            if flushes && self.queued() == 0 && !self.wire.has_failed() {
                return Poll::Ready(Ok(None));
            }
            if !self.connection.is_open() {
                return Poll::Ready(Err(P2pError::Closed.into()));
            }
            if reads || self.ahead.is_empty() {
                let now = Instant::now().into_std();
                let connection = &mut self.connection;
                let read = self.wire.consume(|input| connection.read(input, now));
                let unfinished = self.connection.unfinished();
                if unfinished != std::mem::replace(&mut self.watched, unfinished)
                    && let Some(watch) = &self.watch
                {
                    watch(unfinished);
                }
                match read? {
                    Some(event @ Incoming::Message { .. }) if !reads => self.keep(event),
                    Some(event) => return Poll::Ready(Ok(Some(event))),
                    None => {}
                }
            }
            if reads {
                match self.wire.poll_fill(cx, "without a Disconnect") {
                    Poll::Ready(result) => {
                        result?;
                        continue;
                    }
                    Poll::Pending => self.behind = false,
                }
            }
            // Reading may have queued a pong, which nothing else would wake us for.
            if self.connection.queued() == 0 || self.wire.pending() > 0 {
                ready!(self.poll_time(cx))?;
            }
        }
    }

    fn keep(&mut self, event: Incoming) {
        self.ahead_bytes += size(&event);
        self.ahead.push_back(event);
    }

    /// Hands output to the socket until it accepts no more.
    fn poll_output(&mut self, cx: &mut Context<'_>) {
        while self.wire.poll_write(cx).is_ready() && self.connection.queued() > 0 {
            self.wire.replace(self.connection.take_output());
        }
    }

    /// Ready when a timer has fired and was handled.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        loop {
            let wakeup = self.connection.next_wakeup().map(Instant::from_std);
            let wakeup = [wakeup, self.wire.deadline()].into_iter().flatten().min();
            let Some(wakeup) = wakeup else { return Poll::Pending };
            // A timer that is too early is not reset: most deadlines move before they are reached.
            if wakeup < self.sleep.deadline() {
                self.sleep.as_mut().reset(wakeup);
            }
            ready!(self.sleep.as_mut().poll(cx));
            let now = Instant::now();
            // Reset in any case: a timer that has fired must not be polled again.
            self.sleep.as_mut().reset(wakeup.max(now + Duration::from_millis(1)));
            if now >= wakeup {
                self.wire.check_deadline(now)?;
                self.connection.handle_timeout(now.into_std())?;
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S> std::fmt::Debug for PeerStream<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerStream").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// Sends the rejection before closing.
async fn reject<S: AsyncRead + AsyncWrite + Unpin>(
    mut wire: Wire<S>,
    rejected: Rejected,
    farewell: Duration,
) -> StreamError {
    if rejected.error.answer().is_some() {
        wire.push(&rejected.farewell);
        wire.finish(farewell).await;
    }
    rejected.error.into()
}

/// Limits a part of the handshakes to what remains of their time.
async fn within<T>(
    started: Instant,
    config: &P2pConfig,
    future: impl Future<Output = Result<T, StreamError>>,
) -> Result<T, StreamError> {
    let limit = config.limits.handshake;
    timeout_at(after(started, limit), future)
        .await
        .unwrap_or_else(|_| Err(P2pError::HandshakeTimeout(limit).into()))
}

/// Returns `start + time`, also if that is out of range.
fn after(start: Instant, time: Duration) -> Instant {
    Instant::from_std(peer::after(start.into_std(), time))
}

fn size(event: &Incoming) -> usize {
    match event {
        Incoming::Message { payload, .. } => payload.len() + size_of::<Incoming>(),
        Incoming::Disconnected(_) => size_of::<Incoming>(),
    }
}

fn os_rng() -> Result<ChaCha20Rng, StreamError> {
    ChaCha20Rng::try_from_rng(&mut SysRng)
        .map_err(|error| StreamError::Io { doing: "asking for randomness", error: error.into() })
}

#[cfg(test)]
mod tests;
