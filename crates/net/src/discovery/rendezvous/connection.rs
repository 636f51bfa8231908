//! A connection of libp2p: bytes in, bytes and events out.
//!
//! multistream-select in the clear, secio, multistream-select inside it, yamux, and
//! multistream-select on each stream.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
};

use rand::CryptoRng;
use statuskit_core::{
    crypto::SecretKey,
    discovery::{
        PeerId,
        libp2p::{secio, yamux},
    },
};

use super::{
    negotiation::{Negotiation, NegotiationError},
    secio::{Channel, Handshake, SecioError},
    yamux::{Session, YamuxError, YamuxEvent},
};

/// Why a connection must be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// There is no agreement on encryption or streams.
    #[error("{0}")]
    Negotiation(#[from] NegotiationError),
    /// The encryption failed.
    #[error("{0}")]
    Secio(#[from] SecioError),
    /// The peer breaks the rules of streams.
    #[error("{0}")]
    Yamux(#[from] YamuxError),
}

/// What happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Streams can be opened. The peer has proved who it is.
    Ready(PeerId),
    /// A stream stands: one that we opened, or one of a protocol that we speak.
    Opened(u32),
    /// Bytes arrived on a stream.
    Data(u32, Vec<u8>),
    /// No more bytes will arrive on a stream.
    Finished(u32),
    /// A stream is over: the peer has ended it, or there is no agreement on its protocol.
    Closed(u32, Option<NegotiationError>),
    /// The peer ends the connection.
    GoAway,
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    dialler: bool,
    spoken: &'static [&'static str],
    phase: Phase,
    /// What arrived and is not a whole frame or line yet.
    input: Vec<u8>,
    /// What is to be sent, as it is.
    out: Vec<u8>,
    /// What is to be encrypted and sent after it.
    plain_out: Vec<u8>,
    channel: Option<Channel>,
    /// Streams whose protocol is not settled, and what arrived on them.
    negotiating: BTreeMap<u32, (Negotiation, Vec<u8>)>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
enum Phase {
    Security { negotiation: Negotiation, key: SecretKey, expected: Option<PeerId> },
    Handshake(Box<Handshake>),
    Muxer { negotiation: Negotiation, plain: Vec<u8> },
    Open(Session),
    Failed,
}

impl Connection {
    /// Begins as the side that connected, to a known peer. On streams, it answers to nothing.
    pub fn dial(key: SecretKey, expected: PeerId) -> Self {
        let mut out = Vec::new();
        let negotiation = Negotiation::ask(secio::PROTOCOL, &mut out);
        Self::new(true, &[], Phase::Security { negotiation, key, expected: Some(expected) }, out)
    }

    /// Begins as the side that was connected to. `spoken` are the protocols on streams.
    pub fn accept(key: SecretKey, spoken: &'static [&'static str]) -> Self {
        let negotiation = Negotiation::answer(&[secio::PROTOCOL]);
        let phase = Phase::Security { negotiation, key, expected: None };
        Self::new(false, spoken, phase, Vec::new())
    }

    fn new(dialler: bool, spoken: &'static [&'static str], phase: Phase, out: Vec<u8>) -> Self {
        Self {
            dialler,
            spoken,
            phase,
            input: Vec::new(),
            out,
            plain_out: Vec::new(),
            channel: None,
            negotiating: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes the bytes that are to be sent. Call this after each call of another method, also after
    /// an error.
    pub fn take_output(&mut self) -> Vec<u8> {
        if let Some(channel) = &mut self.channel {
            channel.seal(&mem::take(&mut self.plain_out), &mut self.out);
        }
        mem::take(&mut self.out)
    }

    /// Returns how many bytes wait for [`take_output`](Self::take_output).
    pub fn pending(&self) -> usize {
        self.out.len() + self.plain_out.len()
    }

    /// Returns what happened next.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes bytes that arrived.
    ///
    /// # Errors
    ///
    /// If the connection must be closed, after what is to be sent was sent.
    pub fn receive<R: CryptoRng + ?Sized>(
        &mut self,
        bytes: &[u8],
        rng: &mut R,
    ) -> Result<(), ConnectionError> {
        if matches!(self.phase, Phase::Failed) {
            return Ok(());
        }
        self.input.extend_from_slice(bytes);
        let result = self.advance(rng);
        if result.is_err() {
            self.phase = Phase::Failed;
            self.input = Vec::new();
        }
        result
    }

    fn advance<R: CryptoRng + ?Sized>(&mut self, rng: &mut R) -> Result<(), ConnectionError> {
        loop {
            match mem::replace(&mut self.phase, Phase::Failed) {
                Phase::Security { mut negotiation, key, expected } => {
                    let (used, protocol) = negotiation.receive(&self.input, &mut self.out)?;
                    self.input.drain(..used);
                    if protocol.is_none() {
                        self.phase = Phase::Security { negotiation, key, expected };
                        return Ok(());
                    }
                    let handshake = Handshake::start(key, expected, rng, &mut self.out);
                    self.phase = Phase::Handshake(Box::new(handshake));
                }
                Phase::Handshake(mut handshake) => {
                    let (used, done) = handshake.receive(&self.input, rng, &mut self.out)?;
                    self.input.drain(..used);
                    let Some((channel, peer)) = done else {
                        self.phase = Phase::Handshake(handshake);
                        return Ok(());
                    };
                    self.channel = Some(channel);
                    self.events.push_back(Event::Ready(peer));
                    let negotiation = match self.dialler {
                        true => Negotiation::ask(yamux::PROTOCOL, &mut self.plain_out),
                        false => Negotiation::answer(&[yamux::PROTOCOL]),
                    };
                    self.phase = Phase::Muxer { negotiation, plain: Vec::new() };
                }
                Phase::Muxer { mut negotiation, mut plain } => {
                    self.decrypt(&mut plain)?;
                    let (used, protocol) = negotiation.receive(&plain, &mut self.plain_out)?;
                    plain.drain(..used);
                    if protocol.is_none() {
                        self.phase = Phase::Muxer { negotiation, plain };
                        return Ok(());
                    }
                    let mut session = Session::new(self.dialler);
                    let result = session.receive(&plain, &mut self.plain_out);
                    self.take_events(&mut session);
                    self.phase = Phase::Open(session);
                    result?;
                }
                Phase::Open(mut session) => {
                    let mut plain = Vec::new();
                    let decrypted = self.decrypt(&mut plain);
                    // What came before the damage counts.
                    let result = session.receive(&plain, &mut self.plain_out);
                    self.take_events(&mut session);
                    self.phase = Phase::Open(session);
                    decrypted?;
                    return Ok(result?);
                }
                Phase::Failed => return Ok(()),
            }
        }
    }

    fn decrypt(&mut self, plain: &mut Vec<u8>) -> Result<(), SecioError> {
        if let Some(channel) = &mut self.channel {
            let used = channel.open(&self.input, plain)?;
            self.input.drain(..used);
        }
        Ok(())
    }

    /// Turns what happened on streams into events, once their protocol is settled.
    fn take_events(&mut self, session: &mut Session) {
        while let Some(event) = session.next_event() {
            match event {
                YamuxEvent::Opened(id) => {
                    self.negotiating.insert(id, (Negotiation::answer(self.spoken), Vec::new()));
                }
                YamuxEvent::Data(id, bytes) => match self.negotiating.remove(&id) {
                    None => self.events.push_back(Event::Data(id, bytes)),
                    Some((negotiation, mut input)) => {
                        input.extend(bytes);
                        self.negotiate(session, id, negotiation, input);
                    }
                },
                YamuxEvent::Finished(id) => match self.negotiating.remove(&id) {
                    None => self.events.push_back(Event::Finished(id)),
                    Some(_) => {
                        session.reset(id, &mut self.plain_out);
                        self.events.push_back(Event::Closed(id, None));
                    }
                },
                YamuxEvent::Reset(id) => {
                    self.negotiating.remove(&id);
                    self.events.push_back(Event::Closed(id, None));
                }
                YamuxEvent::GoAway(_) => self.events.push_back(Event::GoAway),
            }
        }
    }

    fn negotiate(
        &mut self,
        session: &mut Session,
        id: u32,
        mut negotiation: Negotiation,
        mut input: Vec<u8>,
    ) {
        let mut lines = Vec::new();
        let result = negotiation.receive(&input, &mut lines);
        session.send(id, &lines, &mut self.plain_out);
        match result {
            Ok((used, None)) => {
                input.drain(..used);
                self.negotiating.insert(id, (negotiation, input));
            }
            Ok((used, Some(_))) => {
                self.events.push_back(Event::Opened(id));
                input.drain(..used);
                if !input.is_empty() {
                    self.events.push_back(Event::Data(id, input));
                }
            }
            Err(error) => {
                session.reset(id, &mut self.plain_out);
                self.events.push_back(Event::Closed(id, Some(error)));
            }
        }
    }

    /// Opens a stream for a protocol. [`Event::Opened`] or [`Event::Closed`] follows. `None` if the
    /// connection is not ready, or has no numbers left.
    pub fn open(&mut self, protocol: &'static str) -> Option<u32> {
        let Phase::Open(session) = &mut self.phase else { return None };
        let id = session.open(&mut self.plain_out)?;
        let mut lines = Vec::new();
        let negotiation = Negotiation::ask(protocol, &mut lines);
        session.send(id, &lines, &mut self.plain_out);
        self.negotiating.insert(id, (negotiation, Vec::new()));
        Some(id)
    }

    /// Sends bytes on a stream. Returns `false`, and ends the stream, if the peer does not take what
    /// was sent before.
    pub fn send(&mut self, id: u32, bytes: &[u8]) -> bool {
        match &mut self.phase {
            Phase::Open(session) => session.send(id, bytes, &mut self.plain_out),
            _ => true,
        }
    }

    /// Says that no more bytes follow on a stream.
    pub fn finish(&mut self, id: u32) {
        if let Phase::Open(session) = &mut self.phase {
            session.finish(id, &mut self.plain_out);
        }
    }

    /// Ends a stream at once.
    pub fn reset(&mut self, id: u32) {
        self.negotiating.remove(&id);
        if let Phase::Open(session) = &mut self.phase {
            session.reset(id, &mut self.plain_out);
        }
    }

    /// Sends bytes to the muxer of the other side, past our own. For tests of what faulty peers send.
    #[doc(hidden)]
    pub fn send_raw(&mut self, frames: &[u8]) {
        self.plain_out.extend_from_slice(frames);
    }

    /// Returns whether streams can be opened.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use statuskit_core::crypto::seeded_rng;

    use super::*;

    const SPOKEN: &[&str] = &["/echo"];

    pub fn key(byte: u8) -> SecretKey {
        SecretKey::from_bytes(&[byte; 32]).unwrap()
    }

    pub fn id(byte: u8) -> PeerId {
        PeerId::from_key(&key(byte).public_key())
    }

    fn events(connection: &mut Connection) -> Vec<Event> {
        std::iter::from_fn(|| connection.next_event()).collect()
    }

    /// Carries bytes until both sides are silent. `piece` bounds how many go at once.
    fn settle(a: &mut Connection, b: &mut Connection, piece: usize) {
        let mut rng = seeded_rng("settle");
        let (mut to_a, mut to_b) = (VecDeque::new(), VecDeque::new());
        loop {
            to_b.extend(a.take_output());
            to_a.extend(b.take_output());
            if to_a.is_empty() && to_b.is_empty() {
                return;
            }
            let now: Vec<u8> = to_a.drain(..piece.min(to_a.len())).collect();
            a.receive(&now, &mut rng).unwrap();
            let now: Vec<u8> = to_b.drain(..piece.min(to_b.len())).collect();
            b.receive(&now, &mut rng).unwrap();
        }
    }

    /// Returns two connected ends.
    pub fn connected(spoken: &'static [&'static str]) -> (Connection, Connection) {
        let (mut a, mut b) = (Connection::dial(key(1), id(2)), Connection::accept(key(2), spoken));
        settle(&mut a, &mut b, usize::MAX);
        assert_eq!(events(&mut a), [Event::Ready(id(2))]);
        assert_eq!(events(&mut b), [Event::Ready(id(1))]);
        (a, b)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn a_stream_carries_bytes_whatever_the_pieces(piece in 1..400usize, bytes: Vec<u8>) {
            let (mut a, mut b) =
                (Connection::dial(key(1), id(2)), Connection::accept(key(2), SPOKEN));
            settle(&mut a, &mut b, piece);
            let stream = a.open("/echo").unwrap();
            settle(&mut a, &mut b, piece);
            a.send(stream, &bytes);
            a.finish(stream);
            settle(&mut a, &mut b, piece);
            prop_assert_eq!(events(&mut a), [Event::Ready(id(2)), Event::Opened(stream)]);
            let mut got = Vec::new();
            let mut others = Vec::new();
            for event in events(&mut b) {
                match event {
                    Event::Data(1, bytes) => got.extend(bytes),
                    other => others.push(other),
                }
            }
            prop_assert_eq!(got, bytes);
            prop_assert_eq!(others, [Event::Ready(id(1)), Event::Opened(1), Event::Finished(1)]);
        }

        /// A byte changed anywhere ends the connection, or leaves it waiting. It never passes.
        #[test]
        fn a_changed_byte_never_passes(at in any::<prop::sample::Index>(), bit in 0..8u32) {
            let mut rng = seeded_rng("change");
            let (mut a, mut b) =
                (Connection::dial(key(1), id(2)), Connection::accept(key(2), SPOKEN));
            // All that A says in an undisturbed run has about 900 bytes.
            let at = at.index(600);
            let mut seen = 0;
            for _ in 0..8 {
                let mut to_b = a.take_output();
                if (seen..seen + to_b.len()).contains(&at) {
                    to_b[at - seen] ^= 1u8 << bit;
                }
                seen += to_b.len();
                let failed = b.receive(&to_b, &mut rng).is_err();
                let failed = a.receive(&b.take_output(), &mut rng).is_err() || failed;
                if failed {
                    break;
                }
            }
            prop_assert!(seen <= at || !b.is_open(), "byte {} of {}", at, seen);
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes: Vec<u8>, dialler: bool, seed: String) {
            let mut rng = seeded_rng(&seed);
            let mut connection = match dialler {
                true => Connection::dial(key(1), id(2)),
                false => Connection::accept(key(2), SPOKEN),
            };
            let _ = connection.receive(&bytes, &mut rng);
            // Behind a good start, too.
            let (mut a, mut b) = connected(SPOKEN);
            let mut noise = [0; 100];
            rng.fill_bytes(&mut noise);
            let _ = a.receive(&noise, &mut rng);
            let mut sealed = Vec::new();
            a.channel.as_mut().unwrap().seal(&bytes, &mut sealed);
            let _ = b.receive(&sealed, &mut rng);
        }
    }

    #[test]
    fn protocols_that_are_not_spoken() {
        let (mut a, mut b) = connected(SPOKEN);
        let stream = a.open("/other").unwrap();
        settle(&mut a, &mut b, usize::MAX);
        let events = events(&mut a);
        let [Event::Closed(closed, Some(error))] = &events[..] else { panic!("{events:?}") };
        assert_eq!(*closed, stream);
        assert!(matches!(error, NegotiationError::NotAvailable { protocol: "/other", .. }));
        // A server that asks the client for its identity does not get it.
        let stream = b.open("/ipfs/id/1.0.0").unwrap();
        assert_eq!(stream, 2);
        settle(&mut a, &mut b, usize::MAX);
        assert!(matches!(b.next_event(), Some(Event::Closed(1, _))));
        assert!(matches!(b.next_event(), Some(Event::Closed(2, Some(_)))));
    }

    #[test]
    fn connected_to_itself() {
        let mut rng = seeded_rng("self");
        let mut a = Connection::accept(key(1), SPOKEN);
        let mut hello = Vec::new();
        statuskit_core::discovery::libp2p::multistream::put_line(&mut hello, "/multistream/1.0.0");
        statuskit_core::discovery::libp2p::multistream::put_line(&mut hello, secio::PROTOCOL);
        let answer = hello.len();
        a.receive(&hello, &mut rng).unwrap();
        // What it sends after that comes back.
        let own = a.take_output().split_off(answer);
        let error = a.receive(&own, &mut rng).unwrap_err();
        assert_eq!(error, ConnectionError::Secio(SecioError::Itself));
        assert!(a.receive(&[1; 100_000], &mut rng).is_ok());
        assert!(a.input.is_empty(), "nothing is kept of what follows");
    }

    #[test]
    fn nothing_can_be_opened_before_the_connection_stands() {
        let mut a = Connection::dial(key(1), id(2));
        assert!(a.open("/echo").is_none() && !a.is_open());
    }
}
