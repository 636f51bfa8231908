//! One connection of a server: bytes in, bytes out, and when to look again.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use rand::CryptoRng;
use statuskit_core::{
    crypto::SecretKey,
    discovery::rendezvous::{
        Frame, MAX_REQUEST, PROTOCOL, RendezvousError, Request, Response, Status, kind,
    },
};

use super::{
    connection::{Connection, ConnectionError, Event},
    registry::Registry,
};

/// How long a handshake can take, and a request to arrive.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection can stand without a request.
const IDLE_LIMIT: Duration = Duration::from_secs(120);
/// The most bytes of requests that wait on a stream.
const MAX_INPUT: usize = 16 * 1024;
/// No request is handled while this many bytes wait to be sent.
const MAX_OUTPUT: usize = 64 * 1024;
/// Requests of a connection: at once, and per second.
const BURST: u32 = 100;
const PER_SECOND: u32 = 20;

/// A request that a server has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    pub request: Request,
    pub status: Status,
    /// How many records the answer has.
    pub records: usize,
}

/// A connection that a stranger opened.
#[derive(Debug)]
pub(super) struct Serving {
    connection: Connection,
    from: IpAddr,
    streams: BTreeMap<u32, Stream>,
    ready: bool,
    /// When the connection is closed if nothing happens.
    idle: Instant,
    budget: Budget,
    answered: Vec<Answered>,
}

#[derive(Debug)]
struct Stream {
    input: Vec<u8>,
    /// When the next request must be there.
    due: Instant,
    finished: bool,
}

impl Serving {
    pub fn new(key: SecretKey, from: IpAddr, now: Instant) -> Self {
        Self {
            connection: Connection::accept(key, &[PROTOCOL]),
            from,
            streams: BTreeMap::new(),
            ready: false,
            idle: now + READ_LIMIT,
            budget: Budget { left: BURST, since: now },
            answered: Vec::new(),
        }
    }

    /// Takes bytes that arrived. After an error, what is to be sent is the last.
    pub fn receive<R: CryptoRng + ?Sized>(
        &mut self,
        bytes: &[u8],
        now: Instant,
        registry: &mut Registry,
        rng: &mut R,
    ) -> Result<(), ConnectionError> {
        let result = self.connection.receive(bytes, rng);
        while let Some(event) = self.connection.next_event() {
            match event {
                Event::Ready(_) => {
                    self.ready = true;
                    self.idle = now + IDLE_LIMIT;
                }
                Event::Opened(id) => {
                    let due = now + READ_LIMIT;
                    self.streams.insert(id, Stream { input: Vec::new(), due, finished: false });
                }
                Event::Data(id, bytes) => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.input.extend(bytes);
                        if stream.input.len() > MAX_INPUT {
                            self.end(id);
                        }
                    }
                }
                Event::Finished(id) => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.finished = true;
                    }
                }
                Event::Closed(id, _) => drop(self.streams.remove(&id)),
                // It will close the connection when it has its answers.
                Event::GoAway => {}
            }
        }
        self.resume(now, registry, rng);
        result
    }

    /// Handles the requests that wait, as far as their answers can be sent.
    pub fn resume<R: CryptoRng + ?Sized>(
        &mut self,
        now: Instant,
        registry: &mut Registry,
        rng: &mut R,
    ) {
        let ids: Vec<_> = self.streams.keys().copied().collect();
        for id in ids {
            self.handle(id, now, registry, rng);
        }
    }

    fn handle<R: CryptoRng + ?Sized>(
        &mut self,
        id: u32,
        now: Instant,
        registry: &mut Registry,
        rng: &mut R,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let mut at = 0;
        loop {
            if self.connection.pending() > MAX_OUTPUT {
                break;
            }
            let (frame, used) = match Frame::read(&stream.input[at..], MAX_REQUEST) {
                Ok(Some(found)) => found,
                Ok(None) => {
                    if stream.finished {
                        self.streams.remove(&id);
                        self.connection.finish(id);
                        return;
                    }
                    break;
                }
                Err(_) => return self.end(id),
            };
            if !self.budget.take(now) {
                break;
            }
            let request = Request::decode(frame);
            let kind = frame.kind;
            at += used;
            stream.due = now + READ_LIMIT;
            self.idle = now + IDLE_LIMIT;
            let response = match &request {
                Ok(Request::Register(it)) => Response::registered(registry.register(
                    &it.topic,
                    it.record.clone(),
                    it.ttl,
                    self.from,
                    now,
                )),
                Ok(Request::Discover(it)) => Response::discovered(
                    Status::Ok,
                    registry.discover(&it.topic, it.limit, now, rng),
                ),
                Err(RendezvousError::Type { .. }) => return self.end(id),
                Err(_) => match kind {
                    kind::REGISTER => Response::registered(Status::Undecodable),
                    kind::DISCOVER => Response::discovered(Status::Undecodable, []),
                    _ => return self.end(id),
                },
                Ok(_) => return self.end(id),
            };
            if let Ok(request) = request {
                let records = response.records.as_ref().map_or(0, Vec::len);
                self.answered.push(Answered { request, status: response.status, records });
            }
            if !self.connection.send(id, &response.encode()) {
                self.streams.remove(&id);
                return;
            }
        }
        stream.input.drain(..at);
    }

    fn end(&mut self, id: u32) {
        self.streams.remove(&id);
        self.connection.reset(id);
    }

    /// Returns what is to be sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.connection.take_output()
    }

    /// Returns the requests answered since the last call.
    pub fn take_answered(&mut self) -> Vec<Answered> {
        std::mem::take(&mut self.answered)
    }

    /// Returns when to call [`expire`](Self::expire).
    pub fn deadline(&self) -> Instant {
        let due = self.streams.values().map(|stream| stream.due).min();
        let waiting = self.streams.values().any(|stream| !stream.input.is_empty());
        let refill = (waiting && self.budget.left == 0).then(|| self.budget.refill());
        due.into_iter().chain(refill).fold(self.idle, Instant::min)
    }

    /// Ends streams on which no request has come, and goes on with what had to wait. Returns
    /// `false` if the connection is to be closed.
    pub fn expire<R: CryptoRng + ?Sized>(
        &mut self,
        now: Instant,
        registry: &mut Registry,
        rng: &mut R,
    ) -> bool {
        self.resume(now, registry, rng);
        let late = self.streams.iter().filter(|(_, stream)| stream.due <= now);
        let late: Vec<_> = late.map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.end(id));
        self.idle > now
    }
}

/// How many requests are allowed.
#[derive(Debug)]
struct Budget {
    left: u32,
    since: Instant,
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.since).as_millis() as u64
            * u64::from(PER_SECOND)
            / 1000;
        if earned > 0 {
            self.left = u64::from(self.left).saturating_add(earned).min(u64::from(BURST)) as u32;
            self.since = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Returns when the next request is allowed.
    fn refill(&self) -> Instant {
        self.since + Duration::from_secs(1) / PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha20Rng;
    use statuskit_core::{
        crypto::seeded_rng,
        discovery::{
            Record, RecordBuilder, TopicName,
            rendezvous::{Discover, MAX_TTL, Register},
        },
    };

    use super::{
        super::connection::tests::{id, key},
        *,
    };

    struct World {
        client: Connection,
        serving: Serving,
        registry: Registry,
        now: Instant,
        rng: ChaCha20Rng,
        events: Vec<Event>,
    }

    impl World {
        fn new() -> Self {
            let now = Instant::now();
            let mut world = Self {
                client: Connection::dial(key(1), id(2)),
                serving: Serving::new(key(2), [10, 0, 0, 1].into(), now),
                registry: Registry::default(),
                now,
                rng: seeded_rng("world"),
                events: Vec::new(),
            };
            world.settle();
            world
        }

        fn settle(&mut self) {
            let Self { client, serving, registry, now, rng, events } = self;
            loop {
                let (to_server, to_client) = (client.take_output(), serving.take_output());
                if to_server.is_empty() && to_client.is_empty() {
                    return;
                }
                serving.receive(&to_server, *now, registry, rng).unwrap();
                client.receive(&to_client, rng).unwrap();
                events.extend(std::iter::from_fn(|| client.next_event()));
                serving.resume(*now, registry, rng);
            }
        }

        fn open(&mut self) -> u32 {
            let stream = self.client.open(PROTOCOL).unwrap();
            self.settle();
            self.events.clear();
            stream
        }

        /// Sends bytes and returns what comes back. `None` if the stream ends.
        fn ask(&mut self, stream: u32, bytes: &[u8]) -> Option<Vec<u8>> {
            self.client.send(stream, bytes);
            self.settle();
            let mut got = Vec::new();
            for event in self.events.drain(..) {
                match event {
                    Event::Data(_, bytes) => got.extend(bytes),
                    Event::Closed(..) => return None,
                    other => panic!("{other:?}"),
                }
            }
            Some(got)
        }

        fn pass(&mut self, time: Duration) -> bool {
            self.now += time;
            self.serving.expire(self.now, &mut self.registry, &mut self.rng)
        }
    }

    fn record(node: u8) -> Record {
        RecordBuilder::new(0).sign(&key(node)).unwrap()
    }

    fn register(topic: &str, record: &Record, ttl: Duration) -> Vec<u8> {
        let record = record.to_unverified();
        Request::Register(Register { topic: topic.into(), record, ttl }).encode()
    }

    fn discover(topic: &str) -> Vec<u8> {
        Request::Discover(Discover { limit: 10, topic: topic.into() }).encode()
    }

    fn response(bytes: &[u8]) -> Response {
        let (frame, used) = Frame::read(bytes, 4096).unwrap().unwrap();
        assert_eq!(used, bytes.len());
        Response::decode(frame, frame.kind).unwrap()
    }

    #[test]
    fn register_and_discover_on_one_stream() {
        let mut world = World::new();
        let stream = world.open();
        let answer = world.ask(stream, &register("whisper", &record(7), MAX_TTL)).unwrap();
        assert_eq!(answer, [2, 0xc2, 0x80, 0x80]);
        let answer = world.ask(stream, &discover("whisper")).unwrap();
        let found: Vec<_> = response(&answer).records().map(Result::unwrap).collect();
        assert_eq!(found, [record(7)]);
        let answered = world.serving.take_answered();
        assert_eq!(answered.len(), 2);
        assert_eq!((answered[1].status, answered[1].records), (Status::Ok, 1));
    }

    #[test]
    fn faults_are_answered_and_the_stream_goes_on() {
        let mut world = World::new();
        let stream = world.open();
        let late = MAX_TTL + Duration::from_nanos(1);
        for (request, status) in [
            (register("", &record(7), MAX_TTL), Status::BadTopic),
            (register("whisper", &record(7), late), Status::BadTtl),
            (vec![1, 0xc2, 0x80, 0x80], Status::Undecodable),
            (vec![3, 0xc0], Status::Undecodable),
        ] {
            let answer = world.ask(stream, &request).unwrap();
            assert_eq!(response(&answer).status, status);
            assert_eq!(answer[0], request[0] + 1);
        }
        assert!(world.registry.is_empty());
    }

    #[test]
    fn other_messages_end_the_stream_only() {
        for bad in [vec![5, 0xc0], vec![2, 0xc2, 0x80, 0x80], vec![0], vec![1, 0xff, 0xff]] {
            let mut world = World::new();
            let (bad_stream, good) = (world.open(), world.open());
            let bad = if bad.len() == 3 { [bad, vec![0xff; 7]].concat() } else { bad };
            assert_eq!(world.ask(bad_stream, &bad), None, "{bad:x?}");
            assert_eq!(world.ask(good, &discover("x")).unwrap(), [4, 0xc3, 0x80, 0x80, 0xc0]);
        }
    }

    #[test]
    fn a_stream_without_requests_ends_after_ten_seconds() {
        let mut world = World::new();
        let stream = world.open();
        assert_eq!(world.ask(stream, &discover("x")[..3]), Some(vec![]));
        assert_eq!(world.serving.deadline(), world.now + READ_LIMIT);
        assert!(world.pass(READ_LIMIT), "the connection stands");
        assert_eq!(world.ask(stream, &[]), None);
        assert_eq!(world.serving.deadline(), world.now - READ_LIMIT + IDLE_LIMIT);
        assert!(!world.pass(IDLE_LIMIT));
    }

    #[test]
    fn a_slow_handshake_ends_after_ten_seconds() {
        let now = Instant::now();
        let mut serving = Serving::new(key(2), [10, 0, 0, 1].into(), now);
        let mut registry = Registry::default();
        let mut rng = seeded_rng("slow");
        // A byte now and then does not help.
        let hello = Connection::dial(key(1), id(2)).take_output();
        for (second, byte) in (0..9).zip(hello) {
            let now = now + Duration::from_secs(second);
            serving.receive(&[byte], now, &mut registry, &mut rng).unwrap();
            assert!(serving.expire(now, &mut registry, &mut rng));
        }
        assert_eq!(serving.deadline(), now + READ_LIMIT);
        assert!(!serving.expire(now + READ_LIMIT, &mut registry, &mut rng));
    }

    #[test]
    fn a_flood_of_requests_is_answered_at_a_bounded_rate() {
        let mut world = World::new();
        let stream = world.open();
        let flood = discover("x").repeat(1000);
        assert!(flood.len() < MAX_INPUT);
        let answers = world.ask(stream, &flood).unwrap().len() / 5;
        assert_eq!(answers as u32, BURST);
        let mut answers = 0;
        for _ in 0..10 {
            assert_eq!(world.serving.deadline(), world.now + Duration::from_millis(50));
            let now = world.serving.deadline();
            assert!(world.pass(now - world.now));
            answers += world.ask(stream, &[]).unwrap().len() / 5;
        }
        assert_eq!(answers, 10);
        // More than can wait ends the stream.
        assert_eq!(world.ask(stream, &discover("x").repeat(5000)), None);
    }

    #[test]
    fn who_reads_nothing_gets_a_bounded_amount() {
        let mut world = World::new();
        for node in 1..=20 {
            let stream = world.open();
            let large = RecordBuilder::new(0).bytes(b"x", &[1; 150]).sign(&key(node)).unwrap();
            let answer = world.ask(stream, &register("x", &large, MAX_TTL)).unwrap();
            assert_eq!(response(&answer).status, Status::Ok);
            world.client.finish(stream);
            world.settle();
            world.events.clear();
        }
        let stream = world.open();
        world.now += Duration::from_secs(10);
        world.client.send(stream, &discover("x").repeat(200));
        let bytes = world.client.take_output();
        let World { serving, registry, now, rng, .. } = &mut world;
        serving.receive(&bytes, *now, registry, rng).unwrap();
        assert!(serving.connection.pending() <= MAX_OUTPUT + 4096);
        let found = TopicName::from("x");
        assert_eq!(registry.discover(&found, 10, *now, rng).len(), 10);
    }
}
