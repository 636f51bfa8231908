//! Peers that die, hang, come back, or have another key.

use serde_json::{Value, json};

use super::{
    SYM_KEY, TOPIC, geth,
    harness::Peer,
    message_of, post,
    proxy::Proxy,
    record, records,
    shell::Shell,
    subscribe, text,
    tool::{Tool, signal},
    until,
};

fn send_lines(enodes: &[&str]) -> String {
    let peers: Vec<_> = enodes.iter().map(|enode| format!("--peer {enode}")).collect();
    format!("status-send --sym-key {SYM_KEY} --topic {TOPIC} --lines {}", peers.join(" "))
}

#[test]
fn a_peer_killed_in_mid_stream() {
    let (shell, geth) = (Shell::new(), geth(&[]));
    let line = format!("{} --timeout 3", send_lines(&[geth.enode()]));
    let mut send = Tool::start(&shell, &line);
    send.write("one\n");
    assert_eq!(send.result(|_| true)["written"], 1);
    geth.kill();
    // Reported at once, not with the next message.
    let reason = send.note("peer 127.0.0.1:");
    assert!(["net.eof", "net.io"].contains(&text(&reason, "code")), "{reason}");
    // The tool waits for it, then gives up.
    send.write("two\n");
    assert_eq!(send.error("net.no_peer")["line"], 2);
    send.close_input();
    assert_eq!(send.exit(), (4, vec![]));
}

/// Starts a stream of large envelopes to a peer that stops reading.
fn stuck(shell: &Shell, options: &str) -> (Tool, Peer) {
    let mut geth = geth(&["--min-pow", "0"]);
    subscribe(&mut geth);
    let mut send = Tool::start(shell, &format!("status-send {options} --peer {}", geth.enode()));
    let large = envelopes(shell, LARGE_ENVELOPES, 500_000);
    let (first, rest) = large.split_once('\n').expect("lines");
    send.write(&format!("{first}\n"));
    let sent = send.result(|_| true);
    assert_eq!(sent["written"], 1);
    message_of(&mut geth, &sent["hash"]);
    signal(geth.pid(), "STOP");
    send.write(rest);
    // The tool reads ahead less than these, so all earlier ones are under way by now. They exceed
    // the socket's buffers, so the last ones are still waiting.
    send.write(&envelopes(shell, SMALL_ENVELOPES, 16_000));
    send.close_input();
    (send, geth)
}

/// Every envelope has a result; some were not written.
#[track_caller]
fn some_were_not_written(send: &mut Tool) {
    let (code, results) = send.exit();
    assert_eq!(code, 4);
    let errors = send.errors();
    let count = |code| errors.iter().filter(|error| error["code"] == code).count();
    let not_written = results.iter().filter(|sent| sent["written"] == 0).count();
    assert!(not_written > 0, "{errors:?}");
    assert_eq!(not_written, count("send.not_written"));
    let sent = LARGE_ENVELOPES - 1 + SMALL_ENVELOPES;
    assert_eq!(results.len() + count("net.no_peer"), sent, "{errors:?}");
}

#[test]
fn a_peer_killed_during_a_write() {
    let shell = Shell::new();
    let (mut send, geth) = stuck(&shell, "--confirm-timeout 300 --timeout 5");
    geth.kill();
    send.note("peer 127.0.0.1:");
    some_were_not_written(&mut send);
}

#[test]
fn a_peer_that_stops_reading() {
    let shell = Shell::new();
    let (mut send, _geth) = stuck(&shell, "--confirm-timeout 5");
    some_were_not_written(&mut send);
}

/// Exceeds the buffers of a connection.
const LARGE_ENVELOPES: usize = 40;

/// Exceeds what `status-send` reads ahead (64 envelopes, a pipe and a buffer), but not what it
/// has under way at a time (256).
const SMALL_ENVELOPES: usize = 100;

/// Returns `count` envelopes of at least `size` bytes, in hex.
fn envelopes(shell: &Shell, count: usize, size: usize) -> String {
    let line = format!(
        "head -c {} /dev/urandom | base64 -w 0 > text; for n in $(seq {count}); do \
         status-envelope seal --sym-key {SYM_KEY} --topic {TOPIC} --ttl 300 --output hex < text; \
         done",
        size / 4 * 3,
    );
    shell.ok(&line)
}

#[test]
fn a_receiver_reconnects() {
    let (shell, proxy) = (Shell::new(), Proxy::new());
    let key = ["--key", &super::hex0x([0x51; 32])];
    let mut peer = geth(&key);
    proxy.set(Some(&peer));
    let line = format!(
        "status-receive --sym-key {SYM_KEY} --count 2 --timeout 100 --peer {}",
        proxy.enode(&peer)
    );
    let mut receive = Tool::start(&shell, &line);
    receive.note("receiving from 1 peer");
    let posted = post(&mut peer, "before", &Value::Null);
    assert_eq!(receive.result(|_| true)["hash"], posted["hash"]);
    proxy.set(None);
    peer.kill();
    receive.note("peer 127.0.0.1:");

    let mut peer = geth(&key);
    proxy.set(Some(&peer));
    let posted = post(&mut peer, "after", &json!({ "ttl": 100 }));
    assert_eq!(receive.result(|_| true)["hash"], posted["hash"]);
    assert_eq!(receive.exit(), (0, vec![]));
}

#[test]
fn one_peer_of_two_is_enough() {
    let shell = Shell::new();
    let [dead, mut alive] = [0, 1].map(|_| geth(&[]));
    subscribe(&mut alive);
    let dead_enode = dead.enode().to_owned();
    dead.kill();
    let line = format!("echo hi | {}", send_lines(&[&dead_enode, alive.enode()]));
    let ended = shell.run(&line);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let sent = record(&ended.stdout);
    assert_eq!(sent["written"], 1);
    let error = record(&ended.stderr);
    assert_eq!(error["code"], "net.dial");
    assert!(text(&error, "message").contains("refused"), "{error}");
    message_of(&mut alive, &sent["hash"]);
}

#[test]
fn one_peer_of_two_dies_in_mid_stream() {
    let shell = Shell::new();
    let [mortal, mut alive] = [0, 1].map(|_| geth(&[]));
    subscribe(&mut alive);
    let mut send = Tool::start(&shell, &send_lines(&[mortal.enode(), alive.enode()]));
    send.write("one\n");
    let sent = send.result(|_| true);
    assert_eq!(sent["written"], 2);
    message_of(&mut alive, &sent["hash"]);
    mortal.kill();
    send.note("peer 127.0.0.1:");
    send.write("two\n");
    let sent = send.result(|_| true);
    assert_eq!(sent["written"], 1);
    message_of(&mut alive, &sent["hash"]);
    send.close_input();
    assert_eq!(send.exit(), (0, vec![]));
}

#[test]
fn a_dead_address() {
    let (shell, geth) = (Shell::new(), geth(&[]));
    let enode = geth.enode().to_owned();
    geth.kill();
    for line in [
        format!("echo hi | {}", send_lines(&[&enode])),
        format!("status-receive --sym-key {SYM_KEY} --timeout 60 --peer {enode}"),
    ] {
        let errors = records(&shell.fails(4, &line));
        assert_eq!(errors[0]["code"], "net.dial");
        assert!(text(&errors[0], "message").contains("refused"), "{errors:?}");
        assert_eq!(errors[1]["code"], "net.no_peer");
    }
}

#[test]
fn another_key_at_the_address() {
    let shell = Shell::new();
    let other = geth(&[]);
    let (key, _) = other.enode().rsplit_once('@').expect("an enode");
    for (peer, code, word) in [
        // A node that can't decrypt the first packet does not answer, so the error is a guess.
        (geth(&[]), "net.eof", "key is another"),
        // The `js` peer does not even close the connection.
        (Peer::start("js", &[]), "p2p.handshake_timeout", "handshake"),
    ] {
        let (_, address) = peer.enode().rsplit_once('@').expect("an enode");
        let wrong = format!("{key}@{address}");
        let errors = records(&shell.fails(4, &format!("echo hi | {}", send_lines(&[&wrong]))));
        assert_eq!(errors[0]["code"], code);
        assert!(text(&errors[0], "message").contains(word), "{errors:?}");
        assert_eq!(errors[1]["code"], "net.no_peer");
        assert!(text(&errors[1], "hint").contains("enode"), "{errors:?}");
    }
}

#[test]
fn a_peer_that_hangs() {
    let (shell, geth) = (Shell::new(), geth(&[]));
    signal(geth.pid(), "STOP");
    let errors = records(&shell.fails(4, &format!("echo hi | {}", send_lines(&[geth.enode()]))));
    assert_eq!(errors[0]["code"], "p2p.handshake_timeout");
    assert_eq!(errors[1]["code"], "net.no_peer");
    // The tool's own time limit, where that is shorter.
    let line = format!("echo hi | {} --timeout 1", send_lines(&[geth.enode()]));
    let error = record(&shell.fails(4, &line));
    assert_eq!(error["code"], "net.no_peer");
    assert!(text(&error, "message").contains("did not answer within 1 s"), "{error}");
    signal(geth.pid(), "CONT");
    until("it hears again", || {
        shell.run(&format!("echo hi | {}", send_lines(&[geth.enode()]))).code == 0
    });
}
