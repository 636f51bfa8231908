//! Mailservers and their clients on loopback, as users type the commands.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use statuskit_core::{
    envelope::{Envelope, Topic},
    time::UnixSeconds,
};

use crate::{
    network::Node,
    record, records,
    shell::{Background, Shell},
};

/// Starts a mailserver, and returns it with a shell that has its enode in `$ENODE`.
fn mailserver(store: &str, options: &str) -> (Shell, Node) {
    let mut shell = Shell::new();
    let node = start(&mut shell, store, options);
    (shell, node)
}

fn start(shell: &mut Shell, store: &str, options: &str) -> Node {
    let line = format!("status-mailserver serve --listen 127.0.0.1:0 --store {store} {options}");
    let node = Node::of(shell, &line);
    shell.var("ENODE", node.enode.clone());
    node
}

const PASSWORD: &str = "--password status-offline-inbox";

/// Waits until a running server's archive has `count` envelopes.
fn wait_until_stored(shell: &Shell, store: &str, count: u64) {
    let began = Instant::now();
    loop {
        let stats = records(&shell.run(&format!("status-mailserver stats --store {store}")).stdout);
        if stats[0]["envelopes"].as_u64() >= Some(count) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{stats:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal, and returns the exit code.
fn end(shell: &Shell, node: &mut Node, signal: &str) -> Option<i32> {
    shell.ok(&format!("kill -{signal} {}", node.child.0.id()));
    let began = Instant::now();
    loop {
        if let Some(status) = node.child.0.try_wait().expect("a status") {
            return status.code();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it does not end");
        thread::sleep(Duration::from_millis(10));
    }
}

fn texts(output: &str) -> Vec<String> {
    let text = |it: &Value| it["payload"]["text"].as_str().expect("a text").to_owned();
    records(output).iter().map(text).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[test]
fn messages_are_delivered_later() {
    let (mut shell, mut node) = mailserver("./archive", PASSWORD);
    assert_eq!(node.ready["store"], "./archive");
    shell.keygen("ME");
    shell.ok("seq 5 | status-send --peer $ENODE --chat status --identity me.key --lines");
    shell.ok("status-send other --peer $ENODE --chat other --identity me.key");
    wait_until_stored(&shell, "archive", 6);
    let line = "status-mailserver query --peer \"$ENODE\" --password status-offline-inbox \
                --chat status --from 24h | status-envelope open --chat status";
    let expected = ["1", "2", "3", "4", "5"];
    assert_eq!(sorted(texts(&shell.ok(line))), expected);
    // Opened at once, with the default password of Status.
    let line = "status-mailserver query --peer $ENODE --chat status --from 1h --open";
    assert_eq!(sorted(texts(&shell.ok(line))), expected);
    let all = records(&shell.ok("status-mailserver query --peer $ENODE --all"));
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|it| it["type"] == "envelope"));
    // Every layout of the request.
    for layout in ["six", "five", "raw", "plain", "raw --silence 2", "seven --pow 0.01"] {
        let line =
            format!("status-mailserver query --peer $ENODE --all --from 3h --layout {layout}");
        assert_eq!(records(&shell.ok(&line)), all, "{layout}");
    }
    // The same order in pages of two.
    let paged = records(&shell.ok("status-mailserver query --peer $ENODE --all --page-size 2"));
    assert_eq!(paged, all);
    // In parts, continued by cursor.
    let first = shell.run("status-mailserver query --peer $ENODE --all --limit 4");
    assert_eq!(records(&first.stdout), all[..4]);
    let note = first.stderr.lines().find(|line| line.contains("--cursor")).expect("a cursor");
    let options = &note[note.find("--cursor").expect("found")..].trim_end_matches("\"}");
    let rest =
        records(&shell.ok(&format!("status-mailserver query --peer $ENODE --all {options}")));
    assert_eq!(rest, all[4..]);
    // Envelopes accepted before SIGTERM are there after a restart.
    shell.ok("status-send last --peer $ENODE --chat status --identity me.key");
    assert_eq!(end(&shell, &mut node, "TERM"), Some(143));
    // Both sides default to the published password.
    let _node = start(&mut shell, "./archive", "");
    let line = "status-mailserver query --peer $ENODE --chat status --open";
    assert_eq!(texts(&shell.ok(line)).len(), 6);
    // A second server on the same directory is refused.
    let line = format!("status-mailserver serve --listen 127.0.0.1:0 --store ./archive {PASSWORD}");
    assert!(shell.fails(5, &line).contains("archive.unusable"));
}

#[test]
fn refusals_and_empty_answers_differ() {
    let (shell, _node) = mailserver("a", "--password sesame --asymmetric --rate-limit 1h");
    let query = "status-mailserver query --peer $ENODE --chat status";
    let code = |exit, line: &str| {
        let errors = shell.fails(exit, line);
        let errors = records(&errors);
        let error = errors.iter().find(|it| it["type"] == "error").expect("an error");
        error["code"].as_str().expect("a code").to_owned()
    };
    assert_eq!(code(4, &format!("{query} --password wrong")), "mailserver.refused");
    // A refusal does not start the rate limit's interval; an empty answer does.
    let keep = "--node-key a.key";
    shell.ok("statuskit keygen --out a.key");
    assert_eq!(code(4, &format!("{query} {keep} --password wrong")), "mailserver.refused");
    assert_eq!(code(1, &format!("{query} {keep} --password sesame")), "mailserver.empty");
    let keep = "--node-key a.key --patience 0";
    assert_eq!(code(4, &format!("{query} {keep} --password sesame")), "mailserver.rate_limited");
    // Other clients are not limited. Passwords from the environment and a file.
    assert_eq!(code(1, &format!("STATUS_MAILSERVER_PASSWORD=sesame {query}")), "mailserver.empty");
    shell.ok("echo sesame > password");
    let file = "--mailserver-password-file password";
    assert_eq!(code(1, &format!("{query} {file}")), "mailserver.empty");
    assert_eq!(code(1, &format!("{query} --asymmetric")), "mailserver.empty");
    // An ordinary node does not answer.
    let relay = Node::start(&shell, "");
    let line = format!(
        "status-mailserver query --peer {} --chat status --timeout 1 --retries 0",
        relay.enode
    );
    assert_eq!(code(4, &line), "mailserver.timeout");
}

#[test]
fn wrong_usage_of_mailservers() {
    let (shell, _node) = mailserver("a", PASSWORD);
    for line in [
        "status-mailserver serve --listen 127.0.0.1:0 --store b --password ''",
        "status-mailserver serve --listen 127.0.0.1:0 --password x",
        "status-mailserver serve --listen 127.0.0.1:0 --store b --password x --request-pow nan",
        "status-mailserver serve --listen 127.0.0.1:0 --store b --password x --request-pow 1e300",
        "status-mailserver serve --listen 127.0.0.1:0 --store b --password x --min-pow 1e300",
        "status-mailserver serve --listen 127.0.0.1:0 --store b --password x --max-message-size 0",
        "status-mailserver serve --listen 127.0.0.1:0 --store b --password x --max-message-size 9",
        "status-mailserver query --peer $ENODE",
        "status-mailserver query --peer $ENODE --all --chat c",
        "status-mailserver query --peer $ENODE --all --limit 0",
        "status-mailserver query --peer $ENODE --all --page-size 1001",
        "status-mailserver query --peer $ENODE --all --cursor xyz",
        "status-mailserver query --peer $ENODE --all --from now --to 1d",
        "status-mailserver query --peer $ENODE --all --open",
        "status-mailserver query --peer $ENODE --all --password x --asymmetric",
        "status-mailserver query --peer $ENODE --all --silence 2",
        "status-mailserver query --peer $ENODE --all --timeout 0",
        "status-mailserver query --peer $ENODE --all --layout raw --silence 0",
        "status-mailserver probe --peer $ENODE --timeout 0",
        "status-mailserver probe --peer $ENODE --output hex",
        "status-mailserver sync --peer $ENODE --store b --timeout 0",
        "status-mailserver sync --peer $ENODE --store b --cursor xyz",
        "status-mailserver sync --peer $ENODE --store b --output hex",
        "status-mailserver query --peer $ENODE --all --pow=-1",
        "status-mailserver query --chat c",
        "status-mailserver query --peer $ENODE --chat ''",
        "status-mailserver query --peer $ENODE --chat c --from 2020-03-01T12:00:00",
        "status-mailserver query --peer $ENODE --chat c --open --output hex",
        "status-receive --chat c --since 1d",
        "status-receive --chat c --mailserver nowhere",
    ] {
        let error = shell.fails(2, line);
        assert!(!error.contains("panicked"), "{line}: {error}");
    }
    let line = "status-mailserver sync --peer $DEAD --store b --timeout 1";
    let dead = "enode://$(echo $ENODE | tail -c +9 | head -c 128)@127.0.0.1:1";
    assert!(shell.fails(4, &line.replace("$DEAD", dead)).contains("net.no_peer"));
    // No archive was created.
    assert!(!shell.dir().join("b").exists());
    // A foreign cursor is refused, not ignored.
    let line = "status-mailserver query --peer $ENODE --all --cursor 0x0102";
    let error = shell.fails(4, line);
    assert!(error.contains("mailserver.refused") && error.contains("cursor"), "{error}");
}

#[test]
fn history_joins_the_live_stream() {
    let (mut shell, mut node) = mailserver("a", PASSWORD);
    shell.keygen("ME");
    let send = |range: &str| {
        let line = format!(
            "seq {range} | status-send --peer $ENODE --chat c --identity me.key --lines --ttl 60"
        );
        shell.ok(&line);
    };
    send("1 20");
    wait_until_stored(&shell, "a", 20);
    // The envelopes are archived and still alive: each is received twice and shown once.
    let line =
        "exec status-receive --mailserver $ENODE --since 1d --chat c --count 30 --timeout 100";
    let mut receive = Background(shell.command(line).spawn().expect("bash"));
    let mut stderr = BufReader::new(receive.0.stderr.take().expect("piped"));
    let mut note = String::new();
    while !note.contains("the history is complete") {
        note.clear();
        assert!(stderr.read_line(&mut note).expect("a line") > 0, "it has ended");
    }
    send("21 30");
    let mut output = String::new();
    receive.0.stdout.take().expect("piped").read_to_string(&mut output).expect("UTF-8");
    assert!(receive.0.wait().expect("a status").success());
    let mut numbers: Vec<u32> = texts(&output).iter().map(|text| text.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=30).collect::<Vec<_>>());

    // The node's pool is empty after a restart; the archive is not.
    assert_eq!(end(&shell, &mut node, "INT"), Some(130));
    let _node = start(&mut shell, "a", PASSWORD);
    let line = "status-receive --mailserver $ENODE --chat c --count 30 --timeout 60";
    assert_eq!(texts(&shell.ok(line)).len(), 30);
    // A failed history is reported; the live stream goes on.
    let line =
        "status-receive --mailserver $ENODE --mailserver-password wrong --chat c --timeout 10";
    let error = shell.fails(4, line);
    assert!(error.contains("mailserver.refused"), "{error}");
}

#[test]
fn an_interrupted_history_is_requested_again() {
    let mut shell = Shell::new();
    shell.keygen("ME");
    shell.ok("statuskit keygen --out server.key");
    let mut node = start(&mut shell, "a", "--node-key server.key --rate-limit 3");
    shell.ok("seq 7 | status-send --peer $ENODE --chat c --identity me.key --lines --ttl 1");
    wait_until_stored(&shell, "a", 7);
    assert_eq!(end(&shell, &mut node, "TERM"), Some(143));

    // The mailserver is down: the missing range is reported. A relay keeps the live stream going.
    let relay = Node::start(&shell, "");
    shell.var("RELAY", relay.enode.clone());
    let receive = "status-receive --peer $RELAY --mailserver $ENODE --chat c";
    let error = shell.fails(4, &format!("{receive} --since 1h --timeout 2"));
    assert!(error.contains("mailserver.disconnected") && error.contains("since 20"), "{error}");

    // The mailserver comes up later, and is asked then.
    let line = format!("exec {receive} --count 7 --timeout 100");
    let mut waiting = Background(shell.command(&line).spawn().expect("bash"));
    let mut stderr = BufReader::new(waiting.0.stderr.take().expect("piped"));
    let mut note = String::new();
    while !note.contains("asked as soon as it is") {
        note.clear();
        assert!(stderr.read_line(&mut note).expect("a line") > 0, "it has ended");
    }
    let address = node.enode.split('@').nth(1).expect("an address").to_owned();
    let line = format!(
        "status-mailserver serve --listen {address} --store a --node-key server.key --rate-limit 3"
    );
    let _node = Node::of(&shell, &line);
    let mut output = String::new();
    waiting.0.stdout.take().expect("piped").read_to_string(&mut output).expect("UTF-8");
    assert!(waiting.0.wait().expect("a status").success());
    assert_eq!(texts(&output).len(), 7);

    // Rate-limited: the client waits, and each message comes once.
    shell.ok("statuskit keygen --out a.key");
    let receive = "status-receive --mailserver $ENODE --chat c --node-key a.key --count 7";
    let line = format!(
        "status-mailserver query --peer $ENODE --chat c --node-key a.key --limit 1 > /dev/null && \
         {receive} --timeout 100"
    );
    assert_eq!(sorted(texts(&shell.ok(&line))), ["1", "2", "3", "4", "5", "6", "7"]);
    // But not beyond the timeout.
    let _node = start(&mut shell, "b", "--rate-limit 1h");
    shell.fails(1, "status-mailserver query --peer $ENODE --chat c --node-key a.key");
    let error = shell.fails(4, &format!("{receive} --timeout 10"));
    assert!(error.contains("mailserver.rate_limited"), "{error}");
    assert!(error.contains("--since"), "{error}");
}

#[test]
fn a_query_ended_by_a_signal_prints_its_cursor() {
    let (mut shell, mut node) = mailserver("a", PASSWORD);
    shell.ok("seq 20 | status-send --peer $ENODE --chat c --lines");
    wait_until_stored(&shell, "a", 20);
    assert_eq!(end(&shell, &mut node, "TERM"), Some(143));
    let _node = start(&mut shell, "a", "--rate-limit 1");
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let line = "exec status-mailserver query --peer $ENODE --chat c --page-size 1";
        let mut query = Background(shell.command(line).spawn().expect("bash"));
        let mut stdout = BufReader::new(query.0.stdout.take().expect("piped"));
        // After the second line it has waited once, so its signal handler is installed.
        for _ in 0..2 {
            assert!(stdout.read_line(&mut String::new()).expect("a line") > 0);
        }
        shell.ok(&format!("kill -{signal} {}", query.0.id()));
        assert_eq!(query.0.wait().expect("a status").code(), Some(code), "{signal}");
        let mut stderr = String::new();
        query.0.stderr.take().expect("piped").read_to_string(&mut stderr).expect("UTF-8");
        assert!(stderr.contains("go on with --cursor"), "{stderr}");
    }
}

#[test]
fn clients_wait_for_the_rate_limit() {
    let (mut shell, mut node) = mailserver("a", PASSWORD);
    shell.ok(
        "seq 7 | status-send --peer $ENODE --topic 01020300 --sym-key $(printf '%064d' 1) --lines",
    );
    shell.ok(
        "seq 3 | status-send --peer $ENODE --topic 02010300 --sym-key $(printf '%064d' 1) --lines",
    );
    wait_until_stored(&shell, "a", 10);
    assert_eq!(end(&shell, &mut node, "TERM"), Some(143));
    let _node = start(&mut shell, "a", "--rate-limit 1");
    let all = records(&shell.ok("status-mailserver query --peer $ENODE --all --page-size 4"));
    assert_eq!(all.len(), 10);
    let whole = shell.run("status-mailserver query --peer $ENODE --all --from 0 --to 4294967295");
    assert_eq!((whole.code, records(&whole.stdout).len()), (0, 10));
    assert!(!whole.stderr.contains("there is more"), "{}", whole.stderr);
    // Bloom filter collisions are not the server's fault.
    for options in ["--send", "--topic 01020300"] {
        let line = format!("status-mailserver probe --peer $ENODE {options}");
        let checks = records(&shell.ok(&line));
        assert!(checks.iter().all(|it| it["pass"] == true), "{checks:?}");
    }
    // If the rate limit exceeds `--patience`, the paging check is skipped.
    let _node = start(&mut shell, "a2", "--rate-limit 1h");
    shell.ok("seq 7 | status-send --peer $ENODE --chat c --lines");
    wait_until_stored(&shell, "a2", 7);
    let checks = records(&shell.ok("status-mailserver probe --peer $ENODE --patience 1"));
    let paging = checks.iter().find(|it| it["check"] == "paging").expect("the check");
    assert_eq!(paging["pass"], Value::Null);
    // An interrupted copy prints its cursor.
    let sync = "status-mailserver sync --peer $ENODE --store copy --patience 0 --node-key a.key";
    shell.ok("statuskit keygen --out a.key");
    shell.ok(sync);
    let cursor = format!("0x{}", "00".repeat(36));
    let ended = shell.run(&format!("{sync} --from 1h --cursor {cursor}"));
    assert_eq!(ended.code, 4);
    assert_eq!(record(&ended.stdout)["cursor"], cursor);
    assert!(ended.stderr.contains("go on with --cursor 0x00"), "{}", ended.stderr);
}

#[test]
fn mailservers_sync_from_each_other() {
    let (shell, _node) = mailserver("a", PASSWORD);
    shell.ok("seq 7 | status-send --peer $ENODE --chat c --lines --ttl 60");
    wait_until_stored(&shell, "a", 7);
    let synced = record(&shell.ok("status-mailserver sync --peer $ENODE --store b --from 1h"));
    let members = ["envelopes", "new", "complete"].map(|name| synced[name].clone());
    assert_eq!(members, [json!(7), json!(7), json!(true)]);
    let synced = record(&shell.ok("status-mailserver sync --peer $ENODE --store b --from 1h"));
    assert_eq!((&synced["envelopes"], &synced["new"]), (&json!(7), &json!(0)));
    let export = |store| shell.ok(&format!("status-mailserver export --store {store}"));
    assert_eq!(export("a"), export("b"));
    let error = shell.fails(
        1,
        "status-mailserver sync --peer $ENODE --store c --from 2020-01-01 --to 2020-01-02",
    );
    assert!(error.contains("mailserver.empty"), "{error}");
}

#[test]
fn a_private_password_protects_plain_and_sync_requests() {
    let (mut shell, _private) = mailserver("a", "--password sesame");
    let key = record(&shell.ok("statuskit keygen --out b.key"));
    let key = key["public_key"].as_str().expect("a key");
    let lines = [
        "status-mailserver query --peer $ENODE --all --layout plain",
        "status-mailserver sync --peer $ENODE --store b --from 1h --node-key b.key",
    ];
    for line in lines {
        let error = shell.fails(4, line);
        assert!(error.contains("mailserver.refused") && error.contains("not allowed"), "{error}");
    }
    let options = format!("--password sesame --allow-plain --sync-peer {key}");
    let _open = start(&mut shell, "c", &options);
    for line in lines {
        let error = shell.fails(1, line);
        assert!(error.contains("mailserver.empty"), "{error}");
    }
    let error = shell.fails(2, "status-mailserver serve --store d --sync-peer somebody");
    assert!(error.contains("--sync-peer"), "{error}");
}

#[test]
fn probes_pass_or_fail() {
    let (shell, _node) = mailserver("a", PASSWORD);
    let verdicts = |output: &str| -> Vec<(String, Value)> {
        let verdict = |it: &Value| (it["check"].as_str().unwrap().to_owned(), it["pass"].clone());
        records(output).iter().map(verdict).collect()
    };
    let of = |pairs: &[(&str, Value)]| -> Vec<(String, Value)> {
        pairs.iter().map(|(name, pass)| ((*name).to_owned(), pass.clone())).collect()
    };
    let (pass, fail, skip) = (json!(true), json!(false), json!(null));
    let probe = "status-mailserver probe --peer $ENODE";
    let empty = [
        ("connect", pass.clone()),
        ("status", pass.clone()),
        ("request", pass.clone()),
        ("answer", skip.clone()),
        ("paging", skip.clone()),
        ("time", skip),
        ("store", pass.clone()),
    ];
    assert_eq!(verdicts(&shell.ok(&format!("{probe} --send"))), of(&empty));
    shell.ok("seq 5 | status-send --peer $ENODE --chat c --lines --ttl 60");
    wait_until_stored(&shell, "a", 6);
    let all = verdicts(&shell.ok(probe));
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|(_, verdict)| *verdict == pass), "{all:?}");

    let ended = shell.run(&format!("{probe} --password wrong"));
    assert_eq!(ended.code, 1);
    assert_eq!(verdicts(&ended.stdout)[2..], of(&[("request", fail.clone())]));
    let relay = Node::start(&shell, "--topic 0x01020304");
    let ended = shell
        .run(&format!("status-mailserver probe --peer {} --timeout 1 --retries 0", relay.enode));
    assert_eq!(ended.code, 1);
    assert_eq!(
        verdicts(&ended.stdout)[1..],
        of(&[("status", fail.clone()), ("request", fail.clone())])
    );
    let dead = relay.enode.clone();
    drop(relay);
    let ended = shell.run(&format!("status-mailserver probe --peer {dead}"));
    assert_eq!((ended.code, verdicts(&ended.stdout)), (1, of(&[("connect", fail)])));
}

#[test]
fn metrics_and_health() {
    let options = "--password x --metrics 127.0.0.1:0 --retention 1h";
    let (shell, node) = mailserver("a", options);
    let address = node.ready["metrics"].as_str().expect("an address");
    let ask = |request: &[u8]| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
        // The server may answer and close before everything is written.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).expect("UTF-8")
    };
    let get = |path: &str| {
        ask(format!("GET {path} HTTP/1.1\r\nConnection: close\r\nHost: x\r\n\r\n").as_bytes())
    };
    // Older than the retention, but not expired.
    let old = "status-envelope seal old --chat c --ttl 10000 --now $(($(date +%s) - 7200)) \
               --seed old --pow 0.002 | status-send --peer $ENODE";
    shell.ok(old);
    shell.ok("status-send hi --peer $ENODE --chat c");
    wait_until_stored(&shell, "a", 1);
    shell.ok("status-mailserver query --peer $ENODE --password x --chat c");
    shell.fails(4, "status-mailserver query --peer $ENODE --password y --chat c");
    let metrics = get("/metrics");
    for line in [
        "statuskit_mailserver_requests_total{outcome=\"delivered\"} 1",
        "statuskit_mailserver_requests_total{outcome=\"undecryptable\"} 1",
        "statuskit_mailserver_request_duration_seconds_bucket{le=\"+Inf\"} 1",
        "statuskit_mailserver_archived_total 1",
        "statuskit_mailserver_too_old_total 1",
        "statuskit_archive_envelopes 1",
        "# TYPE statuskit_mailserver_request_duration_seconds histogram",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}\n{metrics}");
    }
    let health = get("/health");
    assert!(health.starts_with("HTTP/1.1 200") && health.contains("\"status\":\"ok\""), "{health}");
    assert!(get("/").starts_with("HTTP/1.1 404"));
    assert!(
        ask(b"POST /metrics HTTP/1.1\r\nConnection: close\r\nHost: x\r\n\r\n")
            .starts_with("HTTP/1.1 405")
    );
    // Malformed and oversized requests.
    assert!(!ask(b"\x16\x03\x01 what?\r\n\r\n").starts_with("HTTP/1.1 200"));
    let endless = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 1 << 20]].concat();
    assert!(!ask(&endless).starts_with("HTTP/1.1 200"));
    assert!(get("/health").starts_with("HTTP/1.1 200"));
    let taken = format!(
        "status-mailserver serve --listen 127.0.0.1:0 --store b --password x --metrics {address}"
    );
    assert!(shell.fails(4, &taken).contains("--metrics"));
    let listens = node.ready["listen"].as_str().expect("an address");
    let taken = format!("status-mailserver serve --listen {listens} --store b --password x");
    assert!(shell.fails(4, &taken).contains("net.listen"));
    let line = "status-mailserver serve --listen 127.0.0.1:0 --store b --password x --enode-file";
    for file in ["no/such/directory", "."] {
        assert!(shell.fails(5, &format!("{line} {file}")).contains("--enode-file"));
    }
    assert!(!shell.dir().join("b").exists(), "the archive is made last");
}

#[test]
fn a_closed_pipe_ends_a_query() {
    let (shell, _node) = mailserver("a", PASSWORD);
    shell.ok("seq 50 | status-envelope seal --chat c --pow 0 --lines > e.json");
    shell.ok("status-mailserver import --store b < e.json");
    // A server of its own for the imported archive.
    let mut shell = shell;
    let _node = start(&mut shell, "b", PASSWORD);
    let line = "status-mailserver query --peer $ENODE --chat c --page-size 5 | head -3 > first; \
                echo ${PIPESTATUS[0]}";
    assert_eq!(shell.ok(line), "0\n");
    let first = fs::read_to_string(shell.dir().join("first")).expect("a file");
    assert_eq!(records(&first).len(), 3);
}

/// Signals are handled while output is pending.
#[test]
fn a_signal_ends_a_query_with_a_slow_reader() {
    let shell = Shell::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs() as u32;
    let envelopes =
        (0..1000).map(|nonce| Envelope::new(UnixSeconds(now), 60, Topic([1; 4]), &[2; 500], nonce));
    let lines: String = envelopes.map(|it| hex::encode(it.raw()) + "\n").collect();
    fs::write(shell.dir().join("lines"), lines).expect("a file");
    shell.ok("status-mailserver import --store a < lines");
    let mut shell = shell;
    let _node = start(&mut shell, "a", PASSWORD);
    let line = "exec status-mailserver query --peer $ENODE --topic 01010101";
    let mut query = Background(shell.command(line).spawn().expect("bash"));
    let stdout = BufReader::new(query.0.stdout.take().expect("piped"));
    let mut count = 0;
    for line in stdout.lines() {
        line.expect("UTF-8");
        count += 1;
        if count == 1 {
            shell.ok(&format!("kill -INT {}", query.0.id()));
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(query.0.wait().expect("a status").code(), Some(130));
    assert!(count < 1000);
}
