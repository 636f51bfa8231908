//! Streams on one connection.
//!
//! What arrives is handed on at once, and as many bytes are granted again: the reader must bound
//! what it keeps. What is sent waits until the other side grants it.

use std::collections::{BTreeMap, VecDeque};

use statuskit_core::discovery::libp2p::yamux::{
    Flags, HEADER, Header, HeaderError, INITIAL_WINDOW, Kind,
};

/// The most streams that the other side can have open.
pub const MAX_INBOUND: usize = 16;
/// The most bytes that wait to be granted, on one stream.
pub const MAX_WAITING: usize = 64 * 1024;
/// The most bytes of a data frame of ours.
const MAX_FRAME: usize = 16 * 1024;

/// The reason of a [`Kind::GoAway`] after a fault.
const PROTOCOL_ERROR: u32 = 1;

/// A fault that ends the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum YamuxError {
    /// A header is malformed.
    #[error("yamux: {0}")]
    Header(#[from] HeaderError),
    /// A stream is opened under a number of ours, under 0, or under one that is open.
    #[error("yamux: the peer opened stream {0}, which is not its to open")]
    StreamId(u32),
    /// More data than was granted.
    #[error("yamux: {got} bytes on stream {stream}, which was granted {granted}")]
    Window { stream: u32, got: u32, granted: u32 },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum YamuxEvent {
    /// The other side opened a stream.
    Opened(u32),
    /// Bytes arrived.
    Data(u32, Vec<u8>),
    /// No more bytes will arrive.
    Finished(u32),
    /// The stream is over.
    Reset(u32),
    /// The other side ends the connection.
    GoAway(u32),
}

/// The streams of a connection.
#[derive(Debug)]
pub struct Session {
    dialler: bool,
    next: u32,
    streams: BTreeMap<u32, Stream>,
    /// A header that is not complete.
    header: Vec<u8>,
    /// The data frame that is arriving.
    arriving: Option<Arriving>,
    events: VecDeque<YamuxEvent>,
}

#[derive(Debug)]
struct Stream {
    /// How many bytes the other side can still send.
    granted: u32,
    /// How many we can still send.
    window: u32,
    /// What waits for the window.
    waiting: VecDeque<u8>,
    /// Nothing more will be added to `waiting`; then, that is said.
    finishing: bool,
    finished: bool,
    their_end: bool,
}

#[derive(Debug)]
struct Arriving {
    stream: u32,
    left: u32,
    fin: bool,
}

impl Session {
    /// Starts on a new connection.
    pub fn new(dialler: bool) -> Self {
        Self {
            dialler,
            next: if dialler { 1 } else { 2 },
            streams: BTreeMap::new(),
            header: Vec::with_capacity(HEADER),
            arriving: None,
            events: VecDeque::new(),
        }
    }

    /// Returns what happened next.
    pub fn next_event(&mut self) -> Option<YamuxEvent> {
        self.events.pop_front()
    }

    /// Opens a stream. `None` when all numbers are used.
    pub fn open(&mut self, out: &mut Vec<u8>) -> Option<u32> {
        let id = self.next;
        self.next = self.next.checked_add(2)?;
        self.streams.insert(id, Stream::new());
        put(out, Kind::WindowUpdate, Flags::SYN, id, 0);
        Some(id)
    }

    /// Sends bytes as soon as they are granted. Returns `false`, and resets the stream, if too many
    /// wait already; nothing happens if the stream is gone.
    pub fn send(&mut self, id: u32, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        if stream.finishing {
            return true;
        }
        stream.waiting.extend(bytes);
        self.pump(id, out);
        match self.streams.get(&id) {
            Some(stream) if stream.waiting.len() > MAX_WAITING => {
                self.reset(id, out);
                false
            }
            _ => true,
        }
    }

    /// Says that no more bytes will follow.
    pub fn finish(&mut self, id: u32, out: &mut Vec<u8>) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.finishing = true;
            self.pump(id, out);
        }
    }

    /// Ends a stream at once.
    pub fn reset(&mut self, id: u32, out: &mut Vec<u8>) {
        if self.streams.remove(&id).is_some() {
            put(out, Kind::WindowUpdate, Flags::RST, id, 0);
        }
    }

    /// Takes bytes, and appends what is to be sent.
    ///
    /// # Errors
    ///
    /// If the other side breaks the protocol. The connection must be closed, after `out` was sent.
    pub fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), YamuxError> {
        let result = self.take(bytes, out);
        if result.is_err() {
            put(out, Kind::GoAway, Flags::NONE, 0, PROTOCOL_ERROR);
        }
        result
    }

    fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), YamuxError> {
        while !bytes.is_empty() {
            if let Some(arriving) = &mut self.arriving {
                let length = bytes.len().min(arriving.left as usize);
                let (data, rest) = bytes.split_at(length);
                arriving.left -= length as u32;
                bytes = rest;
                self.take_data(data, out);
                continue;
            }
            let missing = HEADER - self.header.len();
            let (head, rest) = bytes.split_at(missing.min(bytes.len()));
            self.header.extend_from_slice(head);
            bytes = rest;
            let Ok(header) = <&[u8; HEADER]>::try_from(&self.header[..]) else { break };
            let header = Header::decode(header)?;
            self.header.clear();
            self.take_header(header, out)?;
        }
        Ok(())
    }

    fn take_header(&mut self, header: Header, out: &mut Vec<u8>) -> Result<(), YamuxError> {
        let Header { kind, flags, stream: id, length } = header;
        match kind {
            Kind::Ping => {
                if flags.has(Flags::SYN) {
                    put(out, Kind::Ping, Flags::ACK, 0, length);
                }
                return Ok(());
            }
            Kind::GoAway => {
                self.events.push_back(YamuxEvent::GoAway(length));
                return Ok(());
            }
            Kind::Data | Kind::WindowUpdate => {}
        }
        if flags.has(Flags::SYN) {
            self.accept(id, out)?;
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            if kind == Kind::WindowUpdate {
                stream.window = stream.window.saturating_add(length);
            } else if length > stream.granted {
                let granted = stream.granted;
                return Err(YamuxError::Window { stream: id, got: length, granted });
            } else {
                stream.granted -= length;
            }
            if flags.has(Flags::RST) {
                self.streams.remove(&id);
                self.events.push_back(YamuxEvent::Reset(id));
            }
        }
        let fin = flags.has(Flags::FIN);
        if kind == Kind::Data && length > 0 {
            // That of an unknown stream, too: it has to be skipped.
            self.arriving = Some(Arriving { stream: id, left: length, fin });
        } else if fin {
            self.take_end(id);
        }
        self.pump(id, out);
        Ok(())
    }

    fn accept(&mut self, id: u32, out: &mut Vec<u8>) -> Result<(), YamuxError> {
        let theirs = id != 0 && (id % 2 == 1) != self.dialler;
        if !theirs || self.streams.contains_key(&id) {
            return Err(YamuxError::StreamId(id));
        }
        let inbound = self.streams.keys().filter(|other| *other % 2 == id % 2).count();
        if inbound >= MAX_INBOUND {
            put(out, Kind::WindowUpdate, Flags::RST, id, 0);
            return Ok(());
        }
        self.streams.insert(id, Stream::new());
        put(out, Kind::WindowUpdate, Flags::ACK, id, 0);
        self.events.push_back(YamuxEvent::Opened(id));
        Ok(())
    }

    /// Takes bytes of the frame that is arriving.
    fn take_data(&mut self, data: &[u8], out: &mut Vec<u8>) {
        let Some(Arriving { stream: id, left, fin }) = self.arriving else { return };
        if left == 0 {
            self.arriving = None;
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            if stream.their_end {
                self.reset(id, out);
                self.events.push_back(YamuxEvent::Reset(id));
                return;
            }
            self.events.push_back(YamuxEvent::Data(id, data.to_vec()));
            // Half a window at a time: a grant for each frame would double the packets.
            if stream.granted < INITIAL_WINDOW / 2 && left == 0 {
                put(out, Kind::WindowUpdate, Flags::NONE, id, INITIAL_WINDOW - stream.granted);
                stream.granted = INITIAL_WINDOW;
            }
        }
        if left == 0 && fin {
            self.take_end(id);
            self.pump(id, out);
        }
    }

    fn take_end(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.their_end
        {
            stream.their_end = true;
            self.events.push_back(YamuxEvent::Finished(id));
        }
    }

    /// Sends what a stream is granted, and forgets it when both sides have finished.
    fn pump(&mut self, id: u32, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        while stream.window > 0 && !stream.waiting.is_empty() {
            let length = stream.waiting.len().min(MAX_FRAME).min(stream.window as usize);
            put(out, Kind::Data, Flags::NONE, id, length as u32);
            out.extend(stream.waiting.drain(..length));
            stream.window -= length as u32;
        }
        if stream.finishing && !stream.finished && stream.waiting.is_empty() {
            stream.finished = true;
            put(out, Kind::WindowUpdate, Flags::FIN, id, 0);
        }
        if stream.finished && stream.their_end {
            self.streams.remove(&id);
        }
    }
}

impl Stream {
    fn new() -> Self {
        Self {
            granted: INITIAL_WINDOW,
            window: INITIAL_WINDOW,
            waiting: VecDeque::new(),
            finishing: false,
            finished: false,
            their_end: false,
        }
    }
}

fn put(out: &mut Vec<u8>, kind: Kind, flags: Flags, stream: u32, length: u32) {
    out.extend_from_slice(&Header { kind, flags, stream, length }.encode());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: Kind, flags: u16, stream: u32, length: u32) -> Vec<u8> {
        Header { kind, flags: Flags(flags), stream, length }.encode().to_vec()
    }

    fn data(flags: u16, stream: u32, bytes: &[u8]) -> Vec<u8> {
        [&frame(Kind::Data, flags, stream, bytes.len() as u32)[..], bytes].concat()
    }

    fn events(session: &mut Session) -> Vec<YamuxEvent> {
        std::iter::from_fn(|| session.next_event()).collect()
    }

    fn headers(mut bytes: &[u8]) -> Vec<Header> {
        let mut headers = Vec::new();
        while let Some((head, rest)) = bytes.split_first_chunk() {
            let header = Header::decode(head).unwrap();
            let skip = if header.kind == Kind::Data { header.length as usize } else { 0 };
            bytes = &rest[skip..];
            headers.push(header);
        }
        headers
    }

    proptest! {
        /// Two sessions, with any data in any pieces, deliver it in order and end together.
        #[test]
        fn streams_carry_bytes_both_ways(
            sizes in prop::collection::vec(0..90_000usize, 1..5), piece in 1..5000usize,
        ) {
            let (mut a, mut b) = (Session::new(true), Session::new(false));
            let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
            let id = a.open(&mut to_b).unwrap();
            let mut sent = Vec::new();
            let mut got = Vec::new();
            for (index, size) in sizes.iter().enumerate() {
                let bytes = vec![index as u8; *size];
                prop_assert!(a.send(id, &bytes, &mut to_b));
                sent.extend(bytes);
                while !to_a.is_empty() || !to_b.is_empty() {
                    let now: Vec<_> = to_b.drain(..piece.min(to_b.len())).collect();
                    b.receive(&now, &mut to_a).unwrap();
                    let now: Vec<_> = to_a.drain(..piece.min(to_a.len())).collect();
                    a.receive(&now, &mut to_b).unwrap();
                    for event in events(&mut b) {
                        if let YamuxEvent::Data(stream, bytes) = event {
                            prop_assert_eq!(stream, id);
                            got.extend(bytes);
                        }
                    }
                }
            }
            prop_assert_eq!(got, sent);
            a.finish(id, &mut to_b);
            b.receive(&to_b, &mut to_a).unwrap();
            prop_assert_eq!(events(&mut b), [YamuxEvent::Finished(id)]);
            to_b.clear();
            b.finish(id, &mut to_a);
            a.receive(&to_a, &mut to_b).unwrap();
            prop_assert_eq!(events(&mut a), [YamuxEvent::Finished(id)]);
            prop_assert!(a.streams.is_empty() && b.streams.is_empty());
        }

        #[test]
        fn any_frames_are_taken_or_refused(
            frames in prop::collection::vec((0u8..5, 0u16..16, 0u32..6, 0u32..300_000), 0..50),
            rest: Vec<u8>,
        ) {
            let mut session = Session::new(false);
            let mut out = Vec::new();
            for (kind, flags, stream, length) in frames {
                let mut bytes = vec![0, kind];
                bytes.extend(flags.to_be_bytes());
                bytes.extend(stream.to_be_bytes());
                bytes.extend(length.to_be_bytes());
                if session.receive(&[&bytes[..], &rest].concat(), &mut out).is_err() {
                    break;
                }
                prop_assert!(session.streams.len() <= MAX_INBOUND);
            }
        }
    }

    #[test]
    fn more_than_the_window_ends_the_connection() {
        let mut session = Session::new(false);
        let mut out = Vec::new();
        let open = frame(Kind::Data, Flags::SYN.0, 1, INITIAL_WINDOW + 1);
        let error = session.receive(&open, &mut out).unwrap_err();
        let (got, granted) = (INITIAL_WINDOW + 1, INITIAL_WINDOW);
        assert_eq!(error, YamuxError::Window { stream: 1, got, granted });
        let last = headers(&out).pop().unwrap();
        assert_eq!((last.kind, last.length), (Kind::GoAway, PROTOCOL_ERROR));
    }

    #[test]
    fn what_was_taken_is_granted_again() {
        let mut session = Session::new(false);
        let mut out = Vec::new();
        let bytes = vec![7; 100_000];
        session.receive(&data(Flags::SYN.0, 1, &bytes), &mut out).unwrap();
        for _ in 0..50 {
            session.receive(&data(0, 1, &bytes), &mut out).unwrap();
        }
        let granted: u64 = headers(&out).iter().map(|header| u64::from(header.length)).sum();
        assert!((4_800_000..=5_100_000).contains(&granted), "{granted}");
    }

    #[test]
    fn we_wait_for_the_window_and_bound_what_waits() {
        let mut session = Session::new(true);
        let mut out = Vec::new();
        let id = session.open(&mut out).unwrap();
        assert!(session.send(id, &vec![1; INITIAL_WINDOW as usize + 5], &mut out));
        let sent: u32 = headers(&out).iter().map(|header| header.length).sum();
        assert_eq!(sent, INITIAL_WINDOW);
        out.clear();
        session.receive(&frame(Kind::WindowUpdate, 0, id, 3), &mut out).unwrap();
        session.finish(id, &mut out);
        assert_eq!(out, data(0, id, &[1; 3]), "the end waits, too");
        out.clear();
        session.receive(&frame(Kind::WindowUpdate, 0, id, u32::MAX), &mut out).unwrap();
        let fin = frame(Kind::WindowUpdate, Flags::FIN.0, id, 0);
        assert_eq!(out, [data(0, id, &[1; 2]), fin].concat());

        let id = session.open(&mut out).unwrap();
        out.clear();
        assert!(session.send(id, &vec![1; INITIAL_WINDOW as usize + MAX_WAITING], &mut out));
        assert!(!session.send(id, &[1], &mut out));
        assert_eq!(headers(&out).pop().unwrap().flags, Flags::RST);
    }

    #[test]
    fn a_flood_of_streams_gets_as_many_as_are_allowed() {
        let mut session = Session::new(false);
        let mut out = Vec::new();
        for id in (1..20_001).step_by(2) {
            session.receive(&frame(Kind::WindowUpdate, Flags::SYN.0, id, 0), &mut out).unwrap();
        }
        assert_eq!(events(&mut session).len(), MAX_INBOUND);
        let accepted = headers(&out).iter().filter(|header| header.flags == Flags::ACK).count();
        assert_eq!((accepted, session.streams.len()), (MAX_INBOUND, MAX_INBOUND));
        // Data of refused streams is skipped, and a stream that ends makes room.
        session.receive(&data(0, 1001, b"lost"), &mut out).unwrap();
        session.receive(&frame(Kind::Data, Flags::RST.0, 1, 0), &mut out).unwrap();
        session.receive(&frame(Kind::Data, Flags::SYN.0, 20_001, 0), &mut out).unwrap();
        assert_eq!(events(&mut session), [YamuxEvent::Reset(1), YamuxEvent::Opened(20_001)]);
    }

    #[test]
    fn streams_that_are_not_theirs_to_open() {
        for id in [0, 2] {
            let mut session = Session::new(false);
            let syn = frame(Kind::WindowUpdate, Flags::SYN.0, id, 0);
            assert_eq!(session.receive(&syn, &mut Vec::new()), Err(YamuxError::StreamId(id)));
        }
        let mut session = Session::new(false);
        let syn = frame(Kind::WindowUpdate, Flags::SYN.0, 1, 0);
        session.receive(&syn, &mut Vec::new()).unwrap();
        assert_eq!(session.receive(&syn, &mut Vec::new()), Err(YamuxError::StreamId(1)));
    }

    #[test]
    fn pings_are_answered() {
        let mut session = Session::new(true);
        let mut out = Vec::new();
        session.receive(&frame(Kind::Ping, Flags::SYN.0, 0, 42), &mut out).unwrap();
        session.receive(&frame(Kind::Ping, Flags::ACK.0, 0, 42), &mut out).unwrap();
        assert_eq!(out, frame(Kind::Ping, Flags::ACK.0, 0, 42));
        session.receive(&frame(Kind::GoAway, 0, 0, 0), &mut out).unwrap();
        assert_eq!(events(&mut session), [YamuxEvent::GoAway(0)]);
    }

    #[test]
    fn data_after_the_end_resets_the_stream() {
        let mut session = Session::new(false);
        let mut out = Vec::new();
        session.receive(&data(Flags::SYN.0 | Flags::FIN.0, 1, b"all"), &mut out).unwrap();
        session.receive(&data(0, 1, b"more"), &mut out).unwrap();
        let [opened, bytes, end, reset] = [
            YamuxEvent::Opened(1),
            YamuxEvent::Data(1, b"all".to_vec()),
            YamuxEvent::Finished(1),
            YamuxEvent::Reset(1),
        ];
        assert_eq!(events(&mut session), [opened, bytes, end, reset]);
    }
}
