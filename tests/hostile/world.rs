//! Nodes under attack, and peers that speak the protocol well enough to misbehave.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    devp2p::{Enode, Protocol},
    envelope::{Envelope, EnvelopeHash, Topic},
    rlp::Reader,
    time::UnixSeconds,
    wire::{
        Dialect, Packet, Status,
        packet::{PROTOCOL_LENGTH, code, read_envelopes},
    },
};
use statuskit_net::{
    connection::{Incoming, P2pConfig, PeerStream},
    node::ServiceConfig,
};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// How long something may take that will come for certain.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The number of hostile connections.
pub fn strangers() -> usize {
    std::env::var("STATUSKIT_HOSTILE").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// An address of this machine; 0 is not 127.0.0.1, where the nodes are.
pub fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x7f00_0002 + number as u32)
}

/// The clock of nodes that have the system's.
pub fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32
}

/// An envelope like no other, sent at a time in UNIX seconds.
pub fn envelope(sent: u32, ttl: u32, number: u64) -> Envelope {
    Envelope::new(UnixSeconds(sent + ttl), ttl, Topic([1, 2, 3, 4]), &[7; 40], number)
}

pub fn p2p(dialect: Dialect) -> P2pConfig {
    P2pConfig::new(vec![Protocol::new(dialect.protocol(), dialect.version(), PROTOCOL_LENGTH)])
}

/// What attacks are made in, and the part of the rounds that each gets.
pub const DIALECTS: [(Dialect, usize); 2] = [(Dialect::Whisper, 1), (Dialect::Waku1, 4)];

/// Makes a node speak this, and confirm what it gets.
pub fn speak(config: &mut ServiceConfig, dialect: Dialect) {
    config.dialects = vec![dialect];
    config.node.waku_confirmations = true;
}

/// The options of a tool for the same.
pub fn speaking(dialect: Dialect) -> &'static [&'static str] {
    if dialect.is_waku() { &["--waku-only", "--waku-confirmations"] } else { &[] }
}

pub fn key(name: &str) -> SecretKey {
    SecretKey::generate(&mut seeded_rng(name))
}

/// Where a node listens.
pub fn addr_of(enode: &Enode) -> SocketAddr {
    let addr = format!("{}:{}", enode.host, enode.tcp);
    addr.parse().expect("an address")
}

/// A TCP connection from an address.
pub async fn dial(to: SocketAddr, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::V4(from), 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// A peer that sends what it likes.
pub struct Peer {
    pub stream: PeerStream<TcpStream>,
    /// The envelopes that came.
    pub received: Vec<EnvelopeHash>,
    dialect: Dialect,
    answers: usize,
}

impl Peer {
    /// Connects from an address, with a key of this name, and sends a Status. `None` if the node
    /// does not want the peer.
    pub async fn join(to: &Enode, from: Ipv4Addr, name: &str) -> Option<Self> {
        Self::join_in(Dialect::Whisper, to, from, name).await
    }

    pub async fn join_in(dialect: Dialect, to: &Enode, from: Ipv4Addr, name: &str) -> Option<Self> {
        Self::join_as(dialect, to, from, name, &Status::default()).await
    }

    pub async fn join_as(
        dialect: Dialect,
        to: &Enode,
        from: Ipv4Addr,
        name: &str,
        status: &Status,
    ) -> Option<Self> {
        let socket = dial(addr_of(to), from).await;
        let rng = &mut seeded_rng(name);
        let (key, p2p) = (key(name), p2p(dialect));
        let stream = PeerStream::initiate(socket, to.id, &key, &p2p, rng);
        let stream = timeout(PATIENCE, stream).await.expect("an answer").ok()?;
        let mut peer = Self { stream, received: Vec::new(), dialect, answers: 0 };
        match timeout(PATIENCE, peer.stream.next()).await.expect("an answer") {
            Ok(Incoming::Message { code: code::STATUS, .. }) => {}
            _ => return None,
        }
        peer.send(code::STATUS, &status.encode_as(dialect)).await.then_some(peer)
    }

    /// Sends a packet. Returns whether the node still reads.
    pub async fn send(&mut self, code: u64, payload: &[u8]) -> bool {
        self.stream.send(self.dialect.protocol(), code, payload).is_ok()
            && matches!(timeout(PATIENCE, self.stream.flush()).await, Ok(Ok(())))
    }

    /// Reads a packet, and takes note of it. Returns whether the connection lives.
    pub async fn read(&mut self) -> bool {
        match self.stream.next().await {
            Ok(Incoming::Message { code: code::MESSAGES, payload, .. }) => {
                let envelopes = read_envelopes(&mut Reader::new(&payload)).unwrap();
                self.received.extend(envelopes.iter().map(Envelope::hash));
                true
            }
            Ok(Incoming::Message { code: code::BATCH_ACK, .. }) => {
                self.answers += 1;
                true
            }
            Ok(Incoming::Message { .. }) => true,
            Ok(Incoming::Disconnected(_)) | Err(_) => false,
        }
    }

    /// Sends envelopes, and reads until they are confirmed. Returns whether they were.
    pub async fn send_confirmed(&mut self, envelopes: &[Envelope]) -> bool {
        let answers = self.answers;
        if !self.send(code::MESSAGES, &Packet::Messages(envelopes.to_vec()).encode()).await {
            return false;
        }
        while self.answers == answers {
            if !self.read().await {
                return false;
            }
        }
        true
    }

    /// Reads until an envelope has come.
    pub async fn expect(&mut self, hash: EnvelopeHash) {
        let read = async {
            while !self.received.contains(&hash) {
                assert!(self.read().await, "good peers stay connected");
            }
        };
        timeout(PATIENCE, read).await.expect("the envelope comes");
    }
}

/// Two good peers.
pub struct Good {
    pub a: Peer,
    pub b: Peer,
    number: u64,
    pub sent: Vec<EnvelopeHash>,
}

impl Good {
    pub async fn join(to: &Enode) -> Self {
        Self::join_in(Dialect::Whisper, to).await
    }

    pub async fn join_in(dialect: Dialect, to: &Enode) -> Self {
        let join = |number, name| Peer::join_in(dialect, to, address(number), name);
        let a = join(250, "good a").await.expect("good peers are welcome");
        let b = join(251, "good b").await.expect("good peers are welcome");
        Self { a, b, number: 1 << 50, sent: Vec::new() }
    }

    /// Each sends an envelope, at this time, that the other gets.
    pub async fn exchange(&mut self, now: u32) {
        for turn in [false, true] {
            let (from, to) =
                if turn { (&mut self.a, &mut self.b) } else { (&mut self.b, &mut self.a) };
            self.number += 1;
            let envelope = envelope(now, 60, self.number);
            let confirmed = from.send_confirmed(std::slice::from_ref(&envelope));
            assert!(timeout(PATIENCE, confirmed).await.expect("an answer"));
            to.expect(envelope.hash()).await;
            self.sent.push(envelope.hash());
        }
    }
}

/// A tool of ours as a process, whose CPU time and memory are its own.
pub struct Process {
    child: Child,
    pub enode: Enode,
    /// The record of type "ready".
    pub ready: Value,
    notes: mpsc::Receiver<String>,
}

impl Process {
    /// Starts a tool that listens. The first argument names it.
    pub fn start(line: &[&str]) -> Self {
        let tool = match line[0] {
            "status-node" => env!("CARGO_BIN_EXE_status-node"),
            "status-mailserver" => env!("CARGO_BIN_EXE_status-mailserver"),
            other => panic!("{other}"),
        };
        let mut child = Command::new(tool)
            .args(&line[1..])
            .args(["--listen", "127.0.0.1:0", "--output", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (say, notes) = mpsc::channel();
        thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|it| drop(say.send(it)))
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        thread::spawn(move || std::io::copy(&mut stdout.take(u64::MAX), &mut std::io::sink()));
        let ready: Value = serde_json::from_str(&first).expect("a record");
        let enode = ready["enode"].as_str().unwrap().parse().unwrap();
        Self { child, enode, ready, notes }
    }

    /// Its CPU time so far.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // Linux tells hundredths of a second, whatever the kernel counts in.
        Duration::from_millis(ticks * 10)
    }

    /// Its memory that no file backs, in bytes.
    pub fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
    }

    /// Ends it with SIGTERM, and returns its notes.
    pub fn stop(mut self) -> Vec<String> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(143));
        self.notes.iter().collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
