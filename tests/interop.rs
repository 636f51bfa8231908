//! Conversations with live peers of independent implementations: go-ethereum's `whisperv6` and
//! EthereumJS' devp2p. `tests/interop/run` builds the peers and runs these tests.
//!
//! Each test starts its own peers on the loopback interface. Every wait is bounded. To show that
//! something does *not* arrive, tests send something later that does, instead of waiting. They
//! compare what both sides read from the same bytes.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "interop/account.rs"]
mod account;
#[path = "interop/discovery.rs"]
mod discovery;
#[path = "interop/eip.rs"]
mod eip;
#[path = "interop/faults.rs"]
mod faults;
#[path = "interop/fixtures.rs"]
mod fixtures;
#[path = "interop/harness.rs"]
mod harness;
#[path = "interop/leveldb.rs"]
mod leveldb;
#[path = "interop/mailserver.rs"]
mod mailserver;
#[path = "interop/names.rs"]
mod names;
#[path = "interop/packets.rs"]
mod packets;
#[path = "interop/proxy.rs"]
mod proxy;
#[path = "interop/receiving.rs"]
mod receiving;
#[path = "interop/relaying.rs"]
mod relaying;
#[path = "interop/rendezvous.rs"]
mod rendezvous;
#[path = "interop/sending.rs"]
mod sending;
#[allow(dead_code, reason = "the other tests of the tools use the rest")]
#[path = "cli/shell.rs"]
mod shell;
#[path = "interop/sizes.rs"]
mod sizes;
#[path = "interop/tool.rs"]
mod tool;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use harness::Peer;
use shell::Shell;

/// Time limit for immediate events on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// A symmetric key, without 0x.
const SYM_KEY: &str = "4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b";
const TOPIC: &str = "0x5a4ea131";
const OTHER_TOPIC: &str = "0x0badc0de";

/// Starts a geth peer.
fn geth(args: &[&str]) -> Peer {
    Peer::start("geth", args)
}

/// Parses output that is a single record.
#[track_caller]
fn record(output: &str) -> Value {
    let mut records = records(output);
    assert_eq!(records.len(), 1, "{output}");
    records.remove(0)
}

/// Parses output into records, one per line.
#[track_caller]
fn records(output: &str) -> Vec<Value> {
    output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no record: {line}")))
        .collect()
}

/// Returns a string member.
#[track_caller]
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name:?} in {value}"))
}

/// Returns the bytes of a `0x` hex member.
#[track_caller]
fn bytes(value: &Value, name: &str) -> Vec<u8> {
    let digits = text(value, name).strip_prefix("0x").expect("0x");
    hex::decode(digits).expect("hexadecimal digits")
}

fn hex0x(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// A key pair: its file in the shell's directory, and both keys in `0x` hex.
struct Keys {
    file: String,
    private: String,
    public: String,
}

impl Keys {
    fn new(shell: &Shell, name: &str) -> Self {
        let file = format!("{name}.key");
        let made = record(&shell.ok(&format!("statuskit keygen --out {file} --show-secret")));
        let member = |name| text(&made, name).to_owned();
        Self { file, private: member("private_key"), public: member("public_key") }
    }
}

/// Writes a file into the shell's directory.
fn write(shell: &Shell, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(Path::join(shell.dir(), name), content).expect("a file");
}

/// Subscribes a geth peer to a symmetric key, on all topics.
fn subscribe(peer: &mut Peer) -> String {
    let answer = peer.call(json!({ "cmd": "subscribe", "sym_key": format!("0x{SYM_KEY}") }));
    text(&answer, "subscription").to_owned()
}

/// Waits for the next message that a geth peer opened.
#[track_caller]
fn message(peer: &mut Peer) -> Value {
    peer.wait_event(|event| event["event"] == "message", SOON)
}

/// Waits for the message that a geth peer opened from the envelope with this hash.
#[track_caller]
fn message_of(peer: &mut Peer, hash: &Value) -> Value {
    peer.wait_event(|event| event["event"] == "message" && event["hash"] == *hash, SOON)
}

/// Makes a geth peer seal, mine and send with the symmetric key. `more` overrides parameters.
#[track_caller]
fn post(peer: &mut Peer, payload: &str, more: &Value) -> Value {
    let mut command = json!({
        "cmd": "post", "sym_key": format!("0x{SYM_KEY}"), "topic": TOPIC,
        "payload": hex0x(payload), "pow_time": 60,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        command[name] = value.clone();
    }
    if !more["public_key"].is_null() || !more["password"].is_null() {
        command.as_object_mut().expect("an object").remove("sym_key");
    }
    peer.call(command)
}

/// Returns the hashes of the envelopes that a geth peer holds.
fn pool(peer: &mut Peer) -> Vec<String> {
    let answer = peer.call(json!({ "cmd": "pool" }));
    let hashes = answer["envelopes"].as_array().expect("hashes");
    hashes.iter().map(|hash| hash.as_str().expect("a hash").to_owned()).collect()
}

/// Polls until `done` returns true.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
