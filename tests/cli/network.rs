//! The network tools against our own node on loopback, as users see them. `tests/interop.rs`
//! proves the bytes against foreign peers.

use std::{
    fs,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    record, records,
    shell::{Background, Shell},
};

/// A running node, its first record, and its enode.
pub struct Node {
    pub enode: String,
    pub ready: Value,
    pub child: Background,
}

impl Node {
    pub fn start(shell: &Shell, options: &str) -> Self {
        Self::of(shell, &format!("status-node --listen 127.0.0.1:0 {options}"))
    }

    /// Starts any tool whose first record holds an enode, or the address of a rendezvous server.
    pub fn of(shell: &Shell, line: &str) -> Self {
        let line = format!("exec {line}");
        let mut child = Background(shell.command(&line).spawn().expect("bash"));
        let mut stdout = BufReader::new(child.0.stdout.take().expect("piped"));
        let mut ready = String::new();
        stdout.read_line(&mut ready).expect("a line");
        let ready = record(&ready);
        let enode = ready.get("enode").or(ready.get("address")).and_then(Value::as_str);
        let enode = enode.expect("an enode").to_owned();
        // Its output must be drained, or it would block on a full pipe.
        thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let mut stderr = child.0.stderr.take().expect("piped");
        thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { enode, ready, child }
    }

    fn address(&self) -> &str {
        self.enode.split('@').nth(1).expect("an address")
    }
}

/// Returns a shell with `me.key`, and a node with its enode in `$ENODE`.
pub fn network(options: &str) -> (Shell, Node) {
    let mut shell = Shell::new();
    let node = Node::start(&shell, options);
    shell.var("ENODE", node.enode.clone());
    shell.ok("statuskit keygen --out me.key");
    (shell, node)
}

#[test]
fn a_message_reaches_present_and_later_receivers() {
    let (shell, _node) = network("");
    let mut listening =
        shell.command("exec status-receive --peer $ENODE --chat status --count 1 --timeout 60");
    let mut listening = Background(listening.spawn().expect("bash"));
    let mut stderr = BufReader::new(listening.0.stderr.take().expect("piped"));
    let mut note = String::new();
    stderr.read_line(&mut note).expect("a note");
    assert!(note.contains("receiving from 1 peer"), "{note}");

    let line = "echo hello | status-send --peer $ENODE --identity me.key --chat status";
    let sent = record(&shell.ok(line));
    assert_eq!(
        (&sent["type"], &sent["written"], &sent["confirmed"]),
        (&"sent".into(), &1.into(), &1.into())
    );

    let mut text = String::new();
    listening.0.stdout.take().expect("piped").read_to_string(&mut text).expect("UTF-8");
    let live = record(&text);
    assert_eq!(live["payload"]["text"], "hello");
    assert_eq!(live["hash"], sent["hash"]);
    assert!(listening.0.wait().expect("a status").success());

    // The node still has the envelope.
    let line = "status-receive --peer $ENODE --topic 0xcd423760 --raw-envelopes --count 1 --timeout 60 \
                | status-envelope open --password status";
    assert_eq!(record(&shell.ok(line))["payload"], live["payload"]);
    // The environment can name the peer.
    shell.ok("STATUS_PEER=$ENODE status-receive --chat status --count 1 --timeout 60");
}

#[test]
fn asymmetric_messages_go_to_the_topic_of_the_recipient() {
    let (mut shell, _node) = network("");
    shell.keygen("BOB");
    shell.ok("status-send secret --peer $ENODE --to-key $BOB --ttl 60");
    let line = "status-receive --peer $ENODE --identity bob.key --count 1 --timeout 60";
    assert_eq!(record(&shell.ok(line))["payload"]["text"], "secret");
}

#[test]
fn an_identity_from_standard_input_is_read_once() {
    let (mut shell, _node) = network("");
    shell.keygen("BOB");
    shell.ok("status-send secret --peer $ENODE --to-key $BOB --ttl 60");
    let line = "status-receive --peer $ENODE --identity - --count 1 --timeout 60 < bob.key";
    assert_eq!(record(&shell.ok(line))["payload"]["text"], "secret");
}

#[test]
fn lines_and_finished_envelopes_are_sent_in_order() {
    let (shell, _node) = network("");
    let line = "seq 40 | status-send --peer $ENODE --identity me.key --chat c --lines --ttl 120";
    let sent = records(&shell.ok(line));
    assert_eq!(sent.len(), 40);
    assert!(sent.iter().all(|sent| sent["confirmed"] == 1));
    let line = "status-receive --peer $ENODE --chat c --count 40 --timeout 60";
    let mut texts: Vec<u32> = records(&shell.ok(line))
        .iter()
        .map(|message| message["payload"]["text"].as_str().unwrap().parse().unwrap())
        .collect();
    texts.sort_unstable();
    assert_eq!(texts, (1..=40).collect::<Vec<_>>());

    shell.ok("seq 30 | status-envelope seal --password p --lines --ttl 120 --pow 0.01 > envelopes");
    for (file, format) in [("json", "json"), ("hex", "hex"), ("bin", "raw")] {
        // As records, hex and binary; the node knows them from the second time on.
        shell.ok(&format!("status-envelope show --output {format} < envelopes > e.{file}"));
        let sent = records(&shell.ok(&format!("status-send --peer $ENODE < e.{file}")));
        assert_eq!(sent.len(), 30, "{file}");
    }
}

#[test]
fn an_envelope_that_no_peer_wants_is_4() {
    let (shell, _node) = network("--min-pow 1000000 --topic 0x01020304");
    let error = shell.fails(4, "status-send hi --peer $ENODE --chat c --pow 0.01 --output json");
    assert!(error.contains("send.unwanted"), "{error}");
    let (shell, _node) = network("");
    // Unmined envelopes from a pipe are refused locally. The long TTL keeps them from having enough
    // PoW by chance.
    shell.ok("status-envelope seal hi --password p --ttl 1d > unmined");
    let error = shell.fails(4, "status-send --peer $ENODE < unmined");
    assert!(error.contains("send.unwanted"), "{error}");
    let error = shell.fails(
        1,
        "status-envelope seal hi --password p --now 1585500000 --pow 0.1 | status-send --peer $ENODE",
    );
    assert!(error.contains("envelope.very_old"), "{error}");
    // An unwanted one does not hold back the others.
    shell.ok("status-envelope seal hi --password p --ttl 100 --pow 0.1 > mined");
    let ended = shell.run("cat unmined mined | status-send --peer $ENODE");
    assert_eq!((ended.code, records(&ended.stdout).len()), (4, 1));
}

#[test]
fn a_peer_that_asks_for_too_much_work_keeps_nobody_else_from_a_message() {
    let (mut shell, node) = network("--min-pow 1e12");
    let line = "status-send hi --peer $ENODE --chat c --output json";
    let errors = records(&shell.fails(4, line));
    let error = errors.iter().find(|it| it["code"] == "send.too_much_work").expect("an error");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("1000000000000") && message.contains("limit of 15 s"), "{message}");
    assert!(message.contains("years"), "{message}");
    let error = shell.fails(4, &format!("{line} --mine-timeout 1s"));
    assert!(error.contains("limit of 1 s"), "{error}");
    // Others get it.
    let other = Node::start(&shell, "");
    shell.var("OTHER", other.enode.clone());
    let ended = shell.run("status-send hi --peer $ENODE --peer $OTHER --chat c");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let sent = record(&ended.stdout);
    assert_eq!((&sent["written"], &sent["confirmed"]), (&1.into(), &1.into()));
    let address = sent["peers"][0]["address"].as_str().unwrap();
    assert!(other.enode.ends_with(&format!("@{address}")), "{sent}");
    assert!(ended.stderr.contains("a peer that asks for it gets nothing"), "{}", ended.stderr);
    // A receiver that can't acknowledge prints all the same.
    shell.keygen("BOB");
    let line = "seq 3 | status-send --peer $OTHER --identity me.key --state a --to $BOB --lines";
    shell.ok(&format!("{line} --ttl 600"));
    let line = "status-receive --peer $ENODE --peer $OTHER --identity bob.key --state b --count 3";
    assert_eq!(records(&shell.ok(&format!("{line} --timeout 60"))).len(), 3);
    drop(node);
}

#[test]
fn times_to_live_that_no_peer_takes_are_refused() {
    let (shell, _node) = network("");
    for ttl in ["4294967295", "4000000000"] {
        let line = format!("status-send hi --peer $ENODE --chat c --ttl {ttl} --output json");
        let error = shell.fails(3, &line);
        assert!(error.contains("envelope.ttl"), "{error}");
        let line = format!("status-envelope seal hi --chat c --ttl {ttl} --output json");
        assert!(shell.fails(3, &line).contains("envelope.ttl"));
    }
    let ended = shell.run("status-envelope seal hi --chat c --ttl 0");
    assert_eq!(ended.code, 0);
    assert!(ended.stderr.contains("a time to live of 0"), "{}", ended.stderr);
}

#[test]
fn unreachable_and_strange_peers_are_4() {
    let (shell, node) = network("");
    let id = "enode://".len()..node.enode.find('@').expect("an address");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = format!("enode://{}@{free}", &node.enode[id.clone()]);
    let other = shell.member("statuskit keygen --seed o --show-secret", "public_key");
    let other = &other[4..];
    let error = shell.fails(4, &format!("status-send hi --peer {dead} --chat c --output json"));
    assert!(error.contains("net.dial") && error.contains("net.no_peer"), "{error}");
    shell.fails(4, &format!("status-receive --peer {dead} --chat c --timeout 30"));

    // Another key at the right address.
    let wrong = format!("enode://{other}@{}", node.address());
    shell.fails(4, &format!("status-send hi --peer {wrong} --chat c"));

    // With one of two peers dead, the message is sent.
    let dead = format!("enode://{other}@{free}");
    let sent = record(&shell.ok(&format!("status-send hi --peer {dead} --peer $ENODE --chat c")));
    assert_eq!(sent["written"], 1);

    // Servers that accept and stay silent, or send nonsense.
    for nonsense in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", &[0xff; 4096]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            if let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.write_all(nonsense);
                let _ = stream.read(&mut [0; 1024]);
                thread::sleep(Duration::from_secs(10));
            }
        });
        let strange = format!("enode://{}@{address}", &node.enode[id.clone()]);
        let error = shell.fails(4, &format!("status-send hi --peer {strange} --chat c"));
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn wrong_usage_of_the_network_tools() {
    let shell = Shell::new();
    for line in [
        "status-send hi --chat c",
        "status-send hi --chat c --peer http://example.org",
        "status-send hi --peer enode://00@127.0.0.1:1",
        "status-receive --chat c",
        "status-receive --peer $E",
        "status-receive --peer $E --chat c --timeout soon",
        "status-receive --peer $E --chat c --min-pow -1",
        "status-node --listen nowhere",
        "status-node --min-pow nan",
        "status-node --max-message-size 99999999999",
        "status-node --max-message-size 99999999",
        "status-node --topic status",
    ] {
        shell.fails(2, &format!("E=enode://$(printf '1%.0s' {{1..128}})@127.0.0.1:1; {line}"));
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = shell.fails(4, &format!("status-node --listen {address}"));
    assert!(error.contains("net.listen"), "{error}");
    shell.fails(5, "status-node --listen 127.0.0.1:0 --node-key no-such.key");
}

#[test]
fn empty_input_sends_nothing() {
    let (shell, _node) = network("");
    for line in ["status-send --peer $ENODE --chat c", "status-send --peer $ENODE"] {
        let ended = shell.run(&format!(": | {line}"));
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{line}");
        assert!(ended.stderr.contains("input.empty"), "{}", ended.stderr);
    }
    assert_eq!(shell.run("status-receive --peer $ENODE --chat c --timeout 1").code, 1);
}

#[test]
fn relays_forward_across_nodes() {
    let (shell, first) = network("");
    let second = Node::start(&shell, &format!("--peer {}", first.enode));
    let third = Node::start(&shell, &format!("--peer {}", second.enode));
    let mut listening = shell.command(&format!(
        "exec status-receive --peer {} --chat far --count 1 --timeout 60",
        third.enode
    ));
    let mut listening = Background(listening.spawn().expect("bash"));
    shell.ok("status-send hi --peer $ENODE --identity me.key --chat far --ttl 60");
    let mut text = String::new();
    listening.0.stdout.take().expect("piped").read_to_string(&mut text).expect("UTF-8");
    assert_eq!(record(&text)["payload"]["text"], "hi");
}

#[test]
fn a_node_survives_garbage_at_every_stage() {
    let (shell, node) = network("");
    let mut junk: Vec<TcpStream> = Vec::new();
    for length in [0, 1, 2, 100, 306, 307, 308, 65_537, 200_000] {
        for byte in [0x00, 0x04, 0x01, 0xff] {
            let mut stream = TcpStream::connect(node.address()).expect("a connection");
            stream.set_write_timeout(Some(Duration::from_secs(5))).expect("a time limit");
            // The node may close before everything is written.
            let _ = stream.write_all(&vec![byte; length]);
            junk.push(stream);
        }
    }
    // While some of the connections are still open.
    let sent = record(&shell.ok("status-send hi --peer $ENODE --chat c --ttl 60"));
    assert_eq!(sent["confirmed"], 1);
    // No connection outlives the handshake timeout.
    for mut stream in junk {
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
        let end = stream.read_to_end(&mut Vec::new());
        let timed_out = end.as_ref().is_err_and(|error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        });
        assert!(!timed_out, "a stranger is still connected");
    }
    shell.ok("status-send again --peer $ENODE --chat c");
}

#[test]
fn signals_end_the_tools_cleanly() {
    let (shell, mut node) = network("");
    let wait = |child: &mut Background| {
        let began = Instant::now();
        loop {
            if let Some(status) = child.0.try_wait().expect("a status") {
                return status.code();
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it does not end");
            thread::sleep(Duration::from_millis(20));
        }
    };
    let signal = |child: &Background, name: &str| {
        shell.ok(&format!("kill -{name} {}", child.0.id()));
    };
    let mut receive = shell.command("exec status-receive --peer $ENODE --chat c");
    let mut receive = Background(receive.spawn().expect("bash"));
    let mut note = String::new();
    let mut stderr = BufReader::new(receive.0.stderr.take().expect("piped"));
    stderr.read_line(&mut note).expect("a note");
    signal(&receive, "INT");
    assert_eq!(wait(&mut receive), Some(130));
    signal(&node.child, "TERM");
    assert_eq!(wait(&mut node.child), Some(143));
}

#[test]
fn a_closed_pipe_ends_a_stream_with_success() {
    let (shell, _node) = network("");
    shell.ok("seq 5 | status-send --peer $ENODE --chat c --lines --ttl 120");
    let line = "status-receive --peer $ENODE --chat c | head -1 > first; echo ${PIPESTATUS[0]}";
    // The tool notices the closed pipe when it writes the next message.
    let mut child = Background(shell.command(line).spawn().expect("bash"));
    let began = Instant::now();
    let code = loop {
        if child.0.try_wait().expect("a status").is_some() {
            let mut text = String::new();
            child.0.stdout.take().expect("piped").read_to_string(&mut text).expect("UTF-8");
            break text;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it goes on");
        shell.ok("status-send more --peer $ENODE --chat c");
    };
    assert_eq!(code, "0\n");
    assert_eq!(records(&fs::read_to_string(shell.dir().join("first")).unwrap()).len(), 1);
}

#[test]
fn the_demo_shows_a_message_arrive() {
    let shell = Shell::new();
    let steps = records(&shell.ok("statuskit demo"));
    let (message, steps) = steps.split_last().expect("steps");
    assert_eq!(steps.len(), 9);
    assert!(steps.iter().all(|step| step["command"].is_string()));
    assert_eq!(message["payload"]["text"], "hello from statuskit");
    assert_eq!(message["payload"]["author"], steps[0]["alice"]);
    let text = shell.ok("statuskit demo --text 'good day' --chat other --output text");
    assert!(text.contains("good day") && text.contains("0x"), "{text}");
    let first = shell.ok("statuskit demo --seed s --now 1585500000 | head -1");
    assert_eq!(
        record(&first)["alice"],
        record(&shell.ok("statuskit demo --seed s | head -1"))["alice"]
    );
    shell.fails(3, "statuskit demo --text ' '");
    let error = shell.fails(2, "statuskit demo --chat ''");
    assert!(error.contains("--chat"), "{error}");
    // The shown commands work as typed, whatever the text.
    let steps =
        records(&shell.ok("statuskit demo --exact-name --chat 'a b' --text \"it's \\$HOME\""));
    let command = steps[3]["command"].as_str().expect("a command");
    let seal = command.split(" | ").take(2).collect::<Vec<_>>().join(" | ");
    shell.ok("statuskit keygen --out alice.key");
    let line = format!("{seal} | status-envelope open --exact-name --chat 'a b'");
    assert_eq!(record(&shell.ok(&line))["payload"]["text"], "it's $HOME");
    // Near the end of 32-bit time.
    shell.ok("statuskit demo --now 4294967270");
}

#[test]
fn envelopes_and_statistics_of_a_node_are_records() {
    let mut shell = Shell::new();
    let line = "exec status-node --listen 127.0.0.1:0 --envelopes --stats 1";
    let mut child = Background(shell.command(line).stderr(Stdio::null()).spawn().expect("bash"));
    let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let mut next = move || -> Value {
        serde_json::from_str(&lines.next().expect("a line").expect("UTF-8")).expect("a record")
    };
    let ready = next();
    assert_eq!(ready["type"], "ready");
    shell.var("ENODE", ready["enode"].as_str().expect("an enode"));
    let sent = record(&shell.ok("status-send hi --peer $ENODE --chat c --ttl 60"));
    let (mut envelope, mut stats) = (None, None);
    while envelope.is_none() || stats.is_none() {
        let record = next();
        match record["type"].as_str() {
            Some("envelope") => envelope = Some(record),
            Some("stats") if record["pooled"] == 1 => stats = Some(record),
            Some("stats") => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(envelope.expect("set")["hash"], sent["hash"]);
    assert_eq!(stats.expect("set")["new"], 1);
}

#[test]
fn a_sender_whose_clock_is_behind_is_told_that_nobody_takes_it() {
    let (shell, _node) = network("");
    let send = |seconds: i64| {
        let now = format!("$(($(date +%s) + {seconds}))");
        shell.run(&format!("status-send hi --peer $ENODE --chat c --now {now}"))
    };
    // The node would confirm all of them.
    for behind in [20, 25, 28] {
        let output = send(-behind);
        let sent = record(&output.stdout);
        assert_eq!((output.code, &sent["confirmed"]), (4, &0.into()), "{behind}: {output:?}");
        assert_eq!(sent["peers"][0]["confirmed"], false);
        assert!(output.stderr.contains("send.expired"), "{}", output.stderr);
        assert!(output.stderr.contains("clock.skewed"), "{}", output.stderr);
    }
    let output = send(-3);
    assert!(output.code == 0 && !output.stderr.contains("clock"), "{output:?}");
    // Whoever lives longer gets through.
    let now = "--ttl 300 --now $(($(date +%s) - 30))";
    let output = shell.run(&format!("status-send hi --peer $ENODE --chat c {now}"));
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("clock.skewed"), "{}", output.stderr);
}

#[test]
fn a_receiver_whose_clock_is_wrong_says_what_it_dropped() {
    let (shell, _node) = network("");
    let line = "(while sleep 0.2; do echo hi; done) | status-send --lines --peer $ENODE --chat c > /dev/null 2>&1";
    // A group of its own: all of the pipe must end.
    let sending = Background(shell.command(line).process_group(0).spawn().expect("bash"));
    for (seconds, side, dropped) in
        [(30, "ahead of", "0 from the future"), (-30, "behind", "0 expired")]
    {
        let line = format!(
            "exec status-receive --peer $ENODE --chat c --timeout 300 --now $(($(date +%s) + {seconds}))"
        );
        let mut receiving = Background(shell.command(&line).spawn().expect("bash"));
        let mut stderr = BufReader::new(receiving.0.stderr.take().expect("piped"));
        let mut skewed = String::new();
        while !skewed.contains("clock.skewed") {
            skewed.clear();
            assert_ne!(stderr.read_line(&mut skewed).expect("a line"), 0);
        }
        assert!(skewed.contains(side), "{skewed}");
        shell.ok(&format!("kill -INT {}", receiving.0.id()));
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).expect("UTF-8");
        let told = rest.lines().find(|line| line.contains("dropped")).expect("a note");
        assert!(told.contains(dropped) && told.contains(side), "{told}");
    }
    shell.ok(&format!("kill -KILL -- -{}", sending.0.id()));
}
