//! Difficult peers: slow, rate-limited, temporarily gone, or sending huge packets.
//! Foreign implementations are in `tests/interop/faults.rs`.

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, TcpListener},
    process::{ChildStdin, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    devp2p::{Enode, Protocol},
    envelope::{Envelope, Topic},
    time::UnixSeconds,
    wire::{
        Packet, Status,
        packet::{self, PROTOCOL, PROTOCOL_LENGTH, code},
        status::VERSION,
    },
};
use statuskit_net::{
    connection::{self, Incoming, PeerStream},
    testing::{TestNode, local_config},
};
use tokio::runtime::Runtime;

use crate::{
    network::{Node, network},
    record, records,
    shell::{Background, Shell},
};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A running tool with open input and output.
struct Running {
    child: Background,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(shell: &Shell, line: &str) -> Self {
        let mut command = shell.command(&format!("exec {line} 2> errors"));
        let mut child = Background(command.stdin(Stdio::piped()).spawn().expect("bash"));
        let input = child.0.stdin.take();
        let output = BufReader::new(child.0.stdout.take().expect("piped"));
        Self { child, input, output }
    }

    fn write(&mut self, lines: &str) {
        let input = self.input.as_mut().expect("open");
        input.write_all(lines.as_bytes()).expect("it reads");
        input.flush().expect("it reads");
    }

    fn line(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("UTF-8");
        record(&line)
    }

    /// Closes the input. Returns the exit code, the remaining records and the errors.
    fn end(mut self, shell: &Shell) -> (i32, Vec<serde_json::Value>, Vec<serde_json::Value>) {
        drop(self.input.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("UTF-8");
        let status = self.child.0.wait().expect("a status");
        let errors = std::fs::read_to_string(shell.dir().join("errors")).expect("a file");
        let errors = errors.lines().filter(|line| line.starts_with('{')).collect::<Vec<_>>();
        (status.code().unwrap_or(-1), records(&rest), records(&errors.join("\n")))
    }
}

/// Returns the key, configuration, listener and enode of a hand-written node.
fn by_hand() -> (SecretKey, connection::P2pConfig, TcpListener, Enode) {
    let key = SecretKey::generate(&mut seeded_rng("by hand"));
    let p2p = connection::P2pConfig::new(vec![Protocol::new(PROTOCOL, VERSION, PROTOCOL_LENGTH)]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let enode = Enode::new(key.public_key(), IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    (key, p2p, listener, enode)
}

/// Accepts a connection, and sends Status.
fn accept(
    runtime: &Runtime,
    listener: &TcpListener,
    key: &SecretKey,
    p2p: &connection::P2pConfig,
) -> PeerStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        let mut stream = PeerStream::accept(stream, key, p2p).await.unwrap();
        let status = Status { confirmations: true, ..Status::default() };
        stream.send(PROTOCOL, code::STATUS, &status.encode()).unwrap();
        stream.flush().await.unwrap();
        stream
    })
}

/// A hand-written node: it sends what the test wants.
struct ByHand {
    runtime: Runtime,
    stream: PeerStream,
}

impl ByHand {
    /// Starts a tool with the enode, and waits for its connection.
    fn meet<T>(start: impl FnOnce(Enode) -> T) -> (Self, T) {
        let runtime = runtime();
        let (key, p2p, listener, enode) = by_hand();
        let tool = start(enode);
        let stream = accept(&runtime, &listener, &key, &p2p);
        (Self { runtime, stream }, tool)
    }

    /// Returns the hash of the next packet with envelopes.
    fn batch(&mut self) -> [u8; 32] {
        self.runtime.block_on(async {
            loop {
                match self.stream.next().await.unwrap() {
                    Incoming::Message { code: code::MESSAGES, payload, .. } => {
                        return packet::batch_hash(&payload);
                    }
                    Incoming::Message { .. } => {}
                    Incoming::Disconnected(reason) => panic!("{reason}"),
                }
            }
        })
    }

    fn confirm(&mut self, batch: [u8; 32]) {
        let packet = Packet::BatchAck(batch);
        self.stream.send(PROTOCOL, packet.code(), &packet.encode()).unwrap();
        self.runtime.block_on(self.stream.flush()).unwrap();
    }
}

#[test]
fn results_follow_the_order_of_the_input() {
    let shell = Shell::new();
    let sealed = shell.ok("seq 4 | status-envelope seal --password p --lines --ttl 120 --pow 0.01");
    let sealed: Vec<_> = sealed.lines().collect();
    let (mut peer, mut send) = ByHand::meet(|enode| {
        let line = format!("status-send --peer {enode} --confirm-timeout 100");
        let mut send = Running::start(&shell, &line);
        send.write(&format!("{}\n", sealed[0]));
        send
    });
    // Each in a packet of its own, confirmed from last to first.
    let mut batches = vec![peer.batch()];
    for line in [&["rubbish", sealed[1]][..], &[sealed[2]], &[sealed[3]]] {
        send.write(&format!("{}\n", line.join("\n")));
        batches.push(peer.batch());
    }
    for batch in batches.into_iter().rev() {
        peer.confirm(batch);
    }
    let first = send.line();
    let (exit, mut results, errors) = send.end(&shell);
    results.insert(0, first);
    let lines: Vec<_> = results.iter().map(|result| result["line"].as_u64()).collect();
    assert_eq!(lines, [1, 3, 4, 5].map(Some));
    for (result, sealed) in results.iter().zip(sealed) {
        assert_eq!(result["hash"], record(sealed)["hash"]);
        assert_eq!(result["confirmed"], 1);
    }
    assert_eq!((exit, errors.len(), &errors[0]["line"]), (3, 1, &2.into()));
}

#[test]
fn fail_fast_ends_a_stream_after_earlier_results() {
    let (shell, _node) = network("");
    shell.ok("seq 2 | status-envelope seal --password p --lines --ttl 120 --pow 0.01 > two");
    let line = "(head -1 two; echo rubbish; tail -1 two) | status-send --peer $ENODE --fail-fast";
    let ended = shell.run(line);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert_eq!(record(&ended.stdout)["line"], 1);
    assert_eq!(record(&ended.stderr)["line"], 2);
}

#[test]
fn only_streams_have_line_numbers_and_duplicates_have_results() {
    let (shell, _node) = network("");
    let sent = record(&shell.ok("status-send hi --peer $ENODE --chat c"));
    assert!(sent.get("line").is_none(), "{sent}");
    shell.ok("status-envelope seal hi --password p --ttl 120 --pow 0.01 > one");
    let sent = records(&shell.ok("cat one one one | status-send --peer $ENODE"));
    let lines: Vec<_> = sent.iter().map(|sent| sent["line"].as_u64()).collect();
    assert_eq!(lines, [1, 2, 3].map(Some));
    assert_eq!(sent[0]["confirmed"], 1);
}

#[test]
fn announced_rate_limits_are_kept() {
    // The first packet over the limit would end the connection.
    let (shell, _node) = network("--rate-limit-ip 5 --rate-limit-tolerance 1");
    let line = "seq 60 | status-send --peer $ENODE --password p --lines --ttl 120";
    let sent = records(&shell.ok(line));
    assert_eq!(sent.len(), 60);
    assert!(sent.iter().all(|sent| sent["confirmed"] == 1));
}

#[test]
fn a_peer_lost_before_its_answer_is_4() {
    let shell = Shell::new();
    let (mut peer, mut send) = ByHand::meet(|enode| {
        let line = format!("status-send --peer {enode} --password p --lines --timeout 5");
        let mut send = Running::start(&shell, &line);
        send.write("hi\n");
        send
    });
    peer.batch();
    drop(peer);
    let sent = send.line();
    assert_eq!((&sent["written"], &sent["confirmed"]), (&1.into(), &0.into()));
    let (exit, _, errors) = send.end(&shell);
    assert_eq!((exit, &errors.last().expect("errors")["code"]), (4, &"send.unanswered".into()));
}

#[test]
fn an_expired_envelope_ends_the_wait_for_a_lost_peer() {
    let shell = Shell::new();
    let (mut peer, mut send) = ByHand::meet(|enode| {
        let line = format!("status-send hi --peer {enode} --password p --ttl 20 --timeout 10m");
        Running::start(&shell, &line)
    });
    peer.batch();
    drop(peer);
    let sent = send.line();
    assert_eq!((&sent["written"], &sent["confirmed"]), (&1.into(), &0.into()));
    let (exit, _, errors) = send.end(&shell);
    let error = errors.last().expect("errors");
    assert_eq!((exit, &error["code"]), (4, &"send.unanswered".into()));
    assert!(error["message"].as_str().expect("a text").contains("expired"), "{error}");
    assert!(error["hint"].as_str().expect("a text").contains("--ttl"), "{error}");
}

/// Starts a node that can be restarted at its address with the returned command.
fn mortal(shell: &Shell) -> (Node, String) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    shell.ok("statuskit keygen --out node.key");
    let line = format!("status-node --listen {free} --node-key node.key");
    (Node::of(shell, &line), line)
}

#[test]
fn a_sender_waits_for_a_peer_that_comes_back() {
    let mut shell = Shell::new();
    let (mut node, again) = mortal(&shell);
    shell.var("ENODE", node.enode.clone());
    let line = "status-send --peer $ENODE --password p --lines --ttl 300 --timeout 100";
    let mut send = Running::start(&shell, line);
    send.write("one\n");
    assert_eq!(send.line()["confirmed"], 1);
    node.child.0.kill().unwrap();
    // The sender reports the loss.
    let began = Instant::now();
    while std::fs::read_to_string(shell.dir().join("errors")).unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not notice");
        std::thread::sleep(Duration::from_millis(10));
    }
    send.write("two\nthree\n");
    let _node = Node::of(&shell, &again);
    let (exit, sent, _) = send.end(&shell);
    assert_eq!(exit, 0);
    let lines: Vec<_> = sent.iter().map(|it| (it["line"].as_u64(), &it["confirmed"])).collect();
    assert_eq!(lines, [(Some(2), &1.into()), (Some(3), &1.into())]);
}

#[test]
fn a_sender_gives_up_on_a_peer_that_does_not_come_back() {
    let mut shell = Shell::new();
    let (mut node, _) = mortal(&shell);
    shell.var("ENODE", node.enode.clone());
    let line = "status-send --peer $ENODE --password p --lines --ttl 300 --timeout 5";
    let mut send = Running::start(&shell, line);
    send.write("one\n");
    assert_eq!(send.line()["confirmed"], 1);
    node.child.0.kill().unwrap();
    send.write("two\nthree\n");
    let (exit, sent, errors) = send.end(&shell);
    assert_eq!(exit, 4);
    // Lost after being written, before being written, or never tried.
    assert!(sent.iter().all(|sent| sent["confirmed"] == 0), "{sent:?}");
    let lost = ["send.unanswered", "send.not_written", "net.no_peer"];
    let lost = errors.iter().filter(|error| lost.iter().any(|code| error["code"] == *code));
    assert_eq!(lost.map(|error| error["line"].as_u64()).collect::<Vec<_>>(), [Some(2), Some(3)]);
}

/// Starts a node that writes its whole pool into one packet, as the reference does.
fn generous(envelopes: u64) -> TestNode {
    let mut config = local_config("generous");
    config.node.limits.batch_bytes = 4 << 20;
    let node = TestNode::start_with(config).unwrap();
    // The length before compression counts.
    let data = vec![7; 500_000];
    for nonce in 0..envelopes {
        let now = node.handle().now().as_secs() as u32;
        let envelope =
            Envelope::new(UnixSeconds(now + 600), 600, Topic([1, 2, 3, 4]), &data, nonce);
        node.handle().send(envelope).unwrap();
    }
    node
}

#[test]
fn a_pool_in_one_packet_is_received() {
    let shell = Shell::new();
    let node = generous(3);
    let enode = node.enode();
    let line = format!(
        "status-receive --peer {enode} --all --raw-envelopes --count 3 --timeout 100 | wc -l"
    );
    assert_eq!(shell.ok(&line).trim(), "3");
}

/// The peer's packets are malformed: it is lost after each reconnect.
#[test]
fn a_peer_that_keeps_getting_lost_is_4() {
    let shell = Shell::new();
    let (key, p2p, listener, enode) = by_hand();
    std::thread::spawn(move || {
        let runtime = runtime();
        loop {
            let mut stream = accept(&runtime, &listener, &key, &p2p);
            stream.send(PROTOCOL, code::MESSAGES, b"rubbish").unwrap();
            let _ = runtime.block_on(stream.flush());
        }
    });
    let line = format!("status-receive --peer {enode} --chat c --timeout 8");
    let errors = records(&shell.fails(4, &line));
    let (last, before) = errors.split_last().expect("errors");
    assert_eq!(last["code"], "net.no_peer");
    let said = before.iter().rfind(|error| error["code"].as_str().is_some());
    let message = said.expect("an error")["message"].as_str().unwrap();
    assert!(last["message"].as_str().unwrap().ends_with(message), "{errors:?}");
}
