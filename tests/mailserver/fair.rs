//! Many clients, some of them hostile: turns, memory, rates, and clients that leave.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, mpsc},
    time::Instant,
};

use statuskit_core::{
    envelope::{Bloom, Envelope, Topic},
    mailserver::{Cursor, Position, Request},
    time::UnixSeconds,
    wire::{
        Packet,
        p2p::{P2pRequest, RequestComplete},
        packet::{PROTOCOL, code},
    },
};
use statuskit_mailserver::{
    Archive, ArchiveError, MailserverEvent,
    archive::{Budget, Count, MemoryArchive, Query, Record, Step, Summary},
    service::Outcome,
};
use statuskit_net::connection::PeerStream;
use tokio::net::TcpStream;

use crate::world::*;

/// A query that begins with this second blocks until the test goes on.
const BLOCKED: u32 = 7;
/// A query that begins with this second finds nothing, and never ends.
const ENDLESS: u32 = 8;

/// An archive that notes each step by the first second of its query.
#[derive(Debug)]
struct Watched {
    inner: MemoryArchive,
    steps: Mutex<Vec<u32>>,
    gate: Mutex<mpsc::Receiver<()>>,
}

impl Watched {
    fn new(envelopes: &[Envelope]) -> (Arc<Self>, mpsc::Sender<()>) {
        let (open, gate) = mpsc::channel();
        let inner = MemoryArchive::new();
        inner.append(envelopes).unwrap();
        (Arc::new(Self { inner, steps: Mutex::default(), gate: Mutex::new(gate) }), open)
    }

    fn steps(&self) -> Vec<u32> {
        self.steps.lock().unwrap().clone()
    }

    fn count(&self, from: u32) -> usize {
        self.steps().iter().filter(|it| **it == from).count()
    }
}

impl Archive for Watched {
    fn append(&self, envelopes: &[Envelope]) -> Result<usize, ArchiveError> {
        self.inner.append(envelopes)
    }

    fn read_step(
        &self,
        query: &Query,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<Step, ArchiveError> {
        self.steps.lock().unwrap().push(query.from.0);
        match query.from {
            UnixSeconds(BLOCKED) => drop(self.gate.lock().unwrap().recv()),
            UnixSeconds(ENDLESS) => {
                let sent = query.after.map_or(ENDLESS, |after| after.sent.0 + 1);
                return Ok(Step::Paused(Position::first_of(UnixSeconds(sent))));
            }
            _ => {}
        }
        self.inner.read_step(query, budget, visit)
    }

    fn contains(&self, position: &Position) -> Result<bool, ArchiveError> {
        self.inner.contains(position)
    }

    fn prune(&self, before: UnixSeconds) -> Result<u64, ArchiveError> {
        self.inner.prune(UnixSeconds(before.0))
    }

    fn summary(&self) -> Result<Summary, ArchiveError> {
        self.inner.summary()
    }

    fn counts(&self, visit: &mut dyn FnMut(Count)) -> Result<(), ArchiveError> {
        self.inner.counts(visit)
    }
}

/// Sends plain requests for this range, with a cursor of this length.
async fn ask(stranger: &mut PeerStream<TcpStream>, from: u32, cursor: usize, times: usize) {
    // No envelope has this topic.
    let bloom = Bloom::from_topic(Topic([9; 4]));
    let cursor = Cursor::from_bytes(&vec![1; cursor]);
    let request =
        Request { cursor, ..Request::from_bloom(UnixSeconds(from), UnixSeconds(NOW), bloom) };
    let plain = P2pRequest::Plain(request.to_plain(&[1; 32]).unwrap());
    let payload = Packet::P2pRequest(plain).encode();
    for _ in 0..times {
        stranger.send(PROTOCOL, code::P2P_REQUEST, &payload).unwrap();
    }
    stranger.flush().await.unwrap();
}

/// Returns the error of the next answer; `None` if it is none.
async fn answer(stranger: &mut PeerStream<TcpStream>) -> Option<String> {
    loop {
        let (code, payload) = packet(stranger).await.expect("stays connected");
        match Packet::decode(code, &payload).unwrap() {
            Packet::RequestComplete(RequestComplete::Success { .. }) => return None,
            Packet::RequestComplete(RequestComplete::Failure { text, .. }) => {
                return Some(String::from_utf8(text).unwrap());
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_query_waits_for_one_step_of_each_other_address() {
    let all: Vec<_> =
        (0..60_000).map(|i| Envelope::new(UnixSeconds(NOW - i), 0, TOPICS[0], &[], 0)).collect();
    let (archive, _open) = Watched::new(&all);
    let server = start_server_with("server", archive.clone(), |_, config| config.readers = 1).await;
    let enode = server.node.handle().enode().unwrap();
    // Three clients at each of two addresses ask for everything, as often as they may.
    let mut scanners = Vec::new();
    for (n, address) in [2, 2, 2, 3, 3, 3].into_iter().enumerate() {
        let from = [127, 0, 0, address];
        let mut scanner = stranger_at(&format!("scanner {n}"), &enode, from).await;
        ask(&mut scanner, 100 + u32::from(address), 0, 9).await;
        scanners.push(scanner);
    }
    until(|| archive.count(102) > 1 && archive.count(103) > 1).await;
    let mut honest = stranger("honest", &server.node).await;
    for query in 0..3 {
        ask(&mut honest, 1000 + query, 0, 1).await;
        assert_eq!(answer(&mut honest).await, None);
    }
    let steps = archive.steps();
    let mut in_between = 0;
    for query in 0..3 {
        let own: Vec<usize> = (0..steps.len()).filter(|at| steps[*at] == 1000 + query).collect();
        assert!(own.len() >= 4, "{own:?}");
        for pair in own.windows(2) {
            let others = &steps[pair[0] + 1..pair[1]];
            for address in [102, 103] {
                let count = others.iter().filter(|it| **it == address).count();
                assert!(count <= 1, "{count} steps of {address} in a row");
                in_between += count;
            }
        }
    }
    assert!(in_between > 0, "they were not there at the same time");
    drop(scanners);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_ends_when_its_client_leaves() {
    let (archive, _open) = Watched::new(&envelopes(10));
    let mut server = start_server("server", archive.clone()).await;
    let mut leaver = stranger("leaver", &server.node).await;
    ask(&mut leaver, ENDLESS, 0, 1).await;
    until(|| archive.count(ENDLESS) > 3).await;
    drop(leaver);
    server
        .wait_for(|event| match event {
            MailserverEvent::Answered(answered) => {
                (answered.outcome == Outcome::Left).then_some(())
            }
            _ => None,
        })
        .await;
    // A step may be under way, and its end begins no other.
    let steps = archive.count(ENDLESS);
    let mut other = stranger("other", &server.node).await;
    for _ in 0..5 {
        ask(&mut other, 1, 0, 1).await;
        assert_eq!(answer(&mut other).await, None);
    }
    assert!(archive.count(ENDLESS) <= steps + 1);
    server.stop().await;
}

#[tokio::test]
async fn waiting_requests_are_bounded_in_bytes() {
    let (archive, open) = Watched::new(&envelopes(10));
    let server = start_server_with("server", archive.clone(), |_, config| {
        config.queue_bytes_per_peer = 10_000;
        config.queue_bytes = 20_000;
    })
    .await;
    // All at one address, so that they wait for the first one.
    let mut blocker = stranger("blocker", &server.node).await;
    ask(&mut blocker, BLOCKED, 0, 1).await;
    until(|| archive.count(BLOCKED) == 1).await;
    let mut flooders = Vec::new();
    for (name, accepted) in [("one", 2), ("two", 2), ("three", 0)] {
        let mut flooder = stranger(name, &server.node).await;
        // One of 4,000 bytes is next, another one waits behind it.
        ask(&mut flooder, 1, 4000, 6).await;
        for _ in accepted..6 {
            assert_eq!(answer(&mut flooder).await.as_deref(), Some("too many requests"), "{name}");
        }
        flooders.push((flooder, accepted));
    }
    open.send(()).unwrap();
    for (flooder, accepted) in &mut flooders {
        for _ in 0..*accepted {
            let text = answer(flooder).await.expect("a cursor of 4,000 bytes");
            assert!(text.contains("cursor"), "{text}");
        }
    }
    // All of it is free again.
    let (mut last, _) = flooders.pop().unwrap();
    ask(&mut last, 1, 4000, 1).await;
    assert!(answer(&mut last).await.unwrap().contains("cursor"));
    server.stop().await;
}

#[tokio::test]
async fn an_address_has_a_rate() {
    let server = start_server_with("server", archive_of(&envelopes(10)), |_, config| {
        (config.address_rate, config.address_burst, config.limits_loopback) = (1, 3, true);
        config.queue_per_peer = 100;
    })
    .await;
    let began = Instant::now();
    let mut accepted = 0;
    // A new key does not help.
    for name in ["one", "two"] {
        let mut stranger = stranger(name, &server.node).await;
        ask(&mut stranger, 1, 0, 10).await;
        for _ in 0..10 {
            match answer(&mut stranger).await {
                None => accepted += 1,
                Some(text) => assert_eq!(text, "rate limit exceeded"),
            }
        }
    }
    let most = 3 + began.elapsed().as_secs() + 1;
    assert!((3..=most).contains(&accepted), "{accepted} of {most}");
    server.stop().await;
}
