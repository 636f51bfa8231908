//! What was received and confirmed, and could not be printed.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _},
    process::{ChildStderr, ChildStdout},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rand::RngExt as _;
use serde_json::Value;
use statuskit_core::{
    chat::PublicChat,
    crypto::seeded_rng,
    envelope::{Draft, Recipient, seal},
    time::UnixSeconds,
};
use statuskit_net::{
    node::{Event, Subscription},
    testing::TestNode,
};

use crate::{
    network::{Node, network},
    record, records,
    shell::{Background, Shell},
};

/// More bytes of records than a pipe holds.
const MANY: usize = 200;

/// A receiver whose output nobody reads.
struct Receiver {
    child: Background,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
}

impl Receiver {
    fn start(shell: &Shell, options: &str) -> Self {
        let line = format!("exec status-receive --peer $ENODE {options}");
        let mut child = Background(shell.command(&line).spawn().expect("bash"));
        let stdout = BufReader::with_capacity(1, child.0.stdout.take().expect("piped"));
        let stderr = child.0.stderr.take().expect("piped");
        Self { child, stdout, stderr }
    }

    /// Waits for a record.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        record(&line)
    }

    fn signal(&self, shell: &Shell, signal: &str) {
        shell.ok(&format!("kill -{signal} {}", self.child.0.id()));
    }

    /// Reads the rest of the output, and returns it with the exit code and standard error.
    fn rest(mut self) -> (Vec<Value>, Option<i32>, String) {
        let (mut text, mut errors) = (String::new(), String::new());
        self.stdout.read_to_string(&mut text).expect("UTF-8");
        self.stderr.read_to_string(&mut errors).expect("UTF-8");
        (records(&text), self.child.0.wait().expect("a status").code(), errors)
    }
}

/// A node that has as many messages of a chat, for one packet.
fn with_messages(count: usize) -> (Shell, Node) {
    let (shell, node) = network("");
    let line = format!("seq {count} | status-send --peer $ENODE --chat c --lines --ttl 600");
    shell.ok(&line);
    (shell, node)
}

fn texts(records: &[Value]) -> Vec<String> {
    let text = |it: &Value| it["payload"]["text"].as_str().expect("a text").to_owned();
    records.iter().map(text).collect()
}

fn numbers(range: std::ops::RangeInclusive<usize>) -> Vec<String> {
    range.map(|it| it.to_string()).collect()
}

#[test]
fn what_was_confirmed_is_printed_before_the_end() {
    let (shell, _node) = with_messages(MANY);
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut receiver = Receiver::start(&shell, "--chat c");
        // The first is there, so the packet was confirmed. The others don't fit into the pipe.
        let first = receiver.next();
        receiver.signal(&shell, signal);
        let (rest, ended, errors) = receiver.rest();
        let all: Vec<_> = std::iter::once(first).chain(rest).collect();
        assert_eq!(texts(&all), numbers(1..=MANY), "{errors}");
        assert_eq!(ended, Some(code), "{errors}");
    }
}

#[test]
fn what_nobody_reads_is_counted() {
    let (shell, _node) = with_messages(MANY);
    let mut receiver = Receiver::start(&shell, "--chat c");
    let _first = receiver.next();
    // The second one ends the waiting for a reader.
    receiver.signal(&shell, "INT");
    let Receiver { mut child, stdout, mut stderr } = receiver;
    while child.0.try_wait().expect("a status").is_none() {
        shell.run(&format!("kill -INT {}", child.0.id()));
    }
    let mut errors = String::new();
    stderr.read_to_string(&mut errors).expect("UTF-8");
    let printed = records(&std::io::read_to_string(stdout).expect("UTF-8")).len();
    let error = records(&errors).into_iter().find(|it| it["code"] == "receive.unprinted");
    let message = error.unwrap_or_else(|| panic!("{errors}"))["message"].to_string();
    let lost = MANY - 1 - printed;
    let is_it = |lost: usize| message.contains(&format!("\"{lost} results were received"));
    // The one that is being written is counted, even if it is in the pipe as a whole.
    assert!(is_it(lost) || is_it(lost + 1), "{lost}: {message}");
}

#[test]
fn a_count_is_exact_and_the_rest_is_named() {
    let (shell, _node) = with_messages(20);
    let ended = shell.run("status-receive --peer $ENODE --chat c --count 3 --timeout 60");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(texts(&records(&ended.stdout)), numbers(1..=3));
    let note = "17 results were received beyond --count, and not printed";
    assert!(ended.stderr.contains(note), "{}", ended.stderr);
}

#[test]
fn with_a_state_the_next_receiver_prints_the_rest() {
    let (mut shell, node) = with_messages(20);
    let line = "status-receive --peer $ENODE --identity me.key --state s --chat c";
    let ended = shell.run(&format!("{line} --count 3 --timeout 60"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(texts(&records(&ended.stdout)), numbers(1..=3));
    assert!(ended.stderr.contains("17 results were not printed"), "{}", ended.stderr);
    // No other node has them.
    drop(node);
    let other = Node::start(&shell, "");
    shell.var("ENODE", other.enode.clone());
    // One that does not listen to the chat leaves them where they are.
    shell.run("status-receive --peer $ENODE --identity me.key --state s --chat d --timeout 1");
    let first = records(&shell.ok(&format!("{line} --count 5 --timeout 60")));
    let rest = records(&shell.ok(&format!("{line} --count 12 --timeout 60")));
    assert_eq!(texts(&first), numbers(4..=8));
    assert_eq!(texts(&rest), numbers(9..=20));
    assert!(first.iter().chain(&rest).all(|it| it.get("repeated").is_none()));
    // They are not printed again.
    shell.fails(1, &format!("{line} --timeout 1"));
}

/// Two users, and a burst from one to the other, in few envelopes.
fn burst() -> (Shell, Node) {
    let (mut shell, node) = network("");
    shell.keygen("ALICE");
    shell.keygen("BOB");
    let line = "seq 20 | status-send --peer $ENODE --identity alice.key --state a --to $BOB --lines \
                --ttl 600";
    shell.ok(line);
    (shell, node)
}

const BOB: &str = "status-receive --peer $ENODE --identity bob.key --state b";

#[test]
fn a_reader_that_ends_early_takes_nothing_with_it() {
    let (shell, _node) = burst();
    for reader in ["head -n 1", "grep -m1 type", "(read line; echo \"$line\")"] {
        let state = format!("rm -rf b; {BOB} | {reader}");
        let first = records(&shell.ok(&state));
        assert_eq!(texts(&first), ["1"], "{reader}");
        let rest = records(&shell.ok(&format!("{BOB} --count 19 --timeout 60")));
        assert_eq!(texts(&rest), numbers(2..=20), "{reader}");
        assert!(rest.iter().all(|it| it.get("repeated").is_none()), "{reader}");
    }
}

#[test]
fn after_a_kill_nothing_is_missing_and_what_may_be_known_is_marked() {
    let (shell, _node) = burst();
    let mut receiver = Receiver::start(&shell, "--identity bob.key --state b");
    assert_eq!(texts(&[receiver.next()]), ["1"]);
    receiver.signal(&shell, "KILL");
    let (printed, ..) = receiver.rest();
    let printed: Vec<_> = std::iter::once("1".to_owned()).chain(texts(&printed)).collect();
    let mut missing = numbers(1..=20);
    missing.retain(|it| !printed.contains(it));
    // Some come from the state, and some from the node.
    let mut next = Receiver::start(&shell, "--identity bob.key --state b");
    while !missing.is_empty() {
        let record = next.next();
        let text = record["payload"]["text"].as_str().unwrap().to_owned();
        assert!(!printed.contains(&text) || record["repeated"] == true, "{text}");
        missing.retain(|it| *it != text);
    }
    // An orderly end, and nothing comes twice.
    next.signal(&shell, "TERM");
    assert_eq!(next.rest().1, Some(143));
    shell.fails(1, &format!("{BOB} --timeout 1"));
}

/// Notes which envelopes were confirmed, until some more are, or the receiver has left.
fn note_confirmed(
    node: &TestNode,
    events: &mut Subscription,
    confirmed: &mut BTreeSet<String>,
    more: Option<usize>,
) {
    let mut left = more;
    let wait = async {
        while left != Some(0) {
            match &*events.next().await.expect("the node goes on") {
                Event::BatchAcknowledged { envelopes, .. } => {
                    confirmed.extend(envelopes.iter().map(ToString::to_string));
                    left = left.map(|left| left.saturating_sub(envelopes.len()));
                }
                Event::Disconnected { .. } => return assert_eq!(more, None, "it left"),
                _ => {}
            }
        }
    };
    node.runtime().block_on(async {
        tokio::time::timeout(Duration::from_secs(120), wait).await.expect("confirmations")
    });
}

#[test]
fn public_messages_survive_kills_once_they_are_confirmed() {
    const EACH: usize = 120;
    let rounds = if std::env::var_os("STATUSKIT_NIGHTLY").is_some() { 100 } else { 5 };
    let (mut shell, other) = network("");
    drop(other);
    let (chat, mut rng) = (PublicChat::new("c"), seeded_rng("kills"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as u32;
    let (mut confirmed, mut printed) = (BTreeSet::new(), BTreeSet::new());
    let note_printed = |record: &Value, printed: &mut BTreeSet<String>| {
        let hash = record["hash"].as_str().expect("a hash").to_owned();
        let is_repeated = record["repeated"] == true;
        assert!(printed.insert(hash) || is_repeated, "it comes again, and does not say so");
    };
    let mut node = None;
    for round in 0..rounds {
        // Every other time the node is the same: it sends again what it has.
        let node = match &mut node {
            Some(node) if round % 2 == 1 => node,
            node => node.insert(TestNode::start(&format!("round {round}")).expect("a node")),
        };
        shell.var("ENODE", node.enode().to_string());
        let mut events = node.handle().subscribe();
        let mut receiver = Receiver::start(&shell, "--identity me.key --state s --chat c");
        for number in 0..EACH {
            let payload = format!("{round} {number}");
            let draft = Draft {
                topic: chat.topic,
                now: UnixSeconds(now),
                ttl: 3600,
                payload: payload.as_bytes(),
                signer: None,
            };
            let recipient = Recipient::Sym(&chat.key);
            let sealed = seal::seal(&draft, recipient, &mut rng).expect("an envelope");
            node.handle().send(sealed).expect("room");
        }
        let wanted = rng.random_range(1..EACH);
        note_confirmed(node, &mut events, &mut confirmed, Some(wanted));
        // At least these come.
        let missing = confirmed.difference(&printed).count();
        for _ in 0..rng.random_range(0..=missing) {
            note_printed(&receiver.next(), &mut printed);
        }
        receiver.signal(&shell, "KILL");
        receiver.rest().0.iter().for_each(|record| note_printed(record, &mut printed));
        note_confirmed(node, &mut events, &mut confirmed, None);
    }
    assert!(confirmed.difference(&printed).count() > 0, "something is left to print");
    drop(node);
    let other = Node::start(&shell, "");
    shell.var("ENODE", other.enode.clone());
    let options = "--identity me.key --state s --chat c --timeout 100s";
    let mut last = Receiver::start(&shell, options);
    while confirmed.difference(&printed).next().is_some() {
        note_printed(&last.next(), &mut printed);
    }
    last.signal(&shell, "TERM");
    assert_eq!(last.rest().1, Some(143));
}
