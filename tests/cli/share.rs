//! One state and several programs: a holder, and those that are attached to it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixListener, net::UnixStream},
    process::{ChildStdin, ChildStdout, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    network::{Node, network},
    record, records,
    shell::{Background, Shell},
};

/// Longer than anything takes here, even on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A tool in the background that prints records.
pub struct Tool {
    child: Background,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    notes: mpsc::Receiver<String>,
}

impl Tool {
    pub fn start(shell: &Shell, line: &str) -> Self {
        let mut command = shell.command(&format!("exec {line}"));
        let mut child = Background(command.stdin(Stdio::piped()).spawn().expect("bash"));
        let stdin = child.0.stdin.take();
        let stdout = BufReader::new(child.0.stdout.take().expect("piped"));
        let stderr = BufReader::new(child.0.stderr.take().expect("piped"));
        let (send, notes) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        Self { child, stdin, stdout, notes }
    }

    /// Starts a receiver, and waits until it has its peers.
    pub fn receiving(shell: &Shell, options: &str) -> Self {
        let tool = Self::start(shell, &format!("status-receive {options}"));
        tool.note("receiving from 1 peer");
        tool
    }

    /// Waits for a line on standard error.
    pub fn note(&self, part: &str) -> String {
        let (deadline, mut seen) = (Instant::now() + PATIENCE, String::new());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.notes.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("{part:?} is not in: {seen}"));
            if line.contains(part) {
                return line;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
    }

    pub fn write(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("open");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("written");
    }

    pub fn next(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        record(&line)
    }

    /// Returns the next record of a type.
    pub fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let next = self.next();
            if next["type"] == kind {
                return next;
            }
        }
    }

    pub fn text(&mut self) -> String {
        text_of(&self.next_of("message"))
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Sends a signal, and waits for the end. Returns the rest of the records, and the exit code.
    pub fn end(mut self, shell: &Shell, signal: &str) -> (Vec<Value>, Option<i32>) {
        shell.ok(&format!("kill -{signal} {}", self.pid()));
        // The end of its input must not come before the signal.
        let _input = self.stdin.take();
        self.rest()
    }

    pub fn rest(&mut self) -> (Vec<Value>, Option<i32>) {
        drop(self.stdin.take());
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).expect("UTF-8");
        (records(&text), self.child.0.wait().expect("a status").code())
    }
}

pub fn text_of(record: &Value) -> String {
    record["payload"]["text"].as_str().unwrap_or_else(|| panic!("{record}")).to_owned()
}

/// Sets `$ENODE`, and `$ALICE` and `$BOB` for `alice.key` and `bob.key`.
fn two() -> (Shell, Node) {
    let (mut shell, node) = network("");
    shell.keygen("ALICE");
    shell.keygen("BOB");
    (shell, node)
}

const BOB: &str = "--peer $ENODE --identity bob.key --state b";

/// Sends a text from Alice to Bob, and waits for the acknowledgement.
fn from_alice(shell: &Shell, text: &str) {
    let alice = "--peer $ENODE --identity alice.key --state a --to $BOB --ttl 120";
    shell.ok(&format!("status-send '{text}' {alice} --wait-ack 60s"));
}

#[test]
fn a_bot_receives_while_a_person_sends() {
    let (shell, _node) = two();
    let mut bot = Tool::receiving(&shell, BOB);
    let mut alice = Tool::receiving(&shell, "--peer $ENODE --identity alice.key --state a");
    from_bob_and_back(&shell, &mut bot, &mut alice);
    let socket = fs::metadata(shell.dir().join("b/socket")).expect("a socket");
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    // The holder ends as it would alone, and takes the socket with it.
    assert_eq!(bot.end(&shell, "TERM"), (vec![], Some(143)));
    assert!(!shell.dir().join("b/socket").exists());
    // Alone, the same line works.
    shell.ok(&format!("status-send alone {BOB} --to $ALICE"));
    assert_eq!(alice.text(), "alone");
}

fn from_bob_and_back(shell: &Shell, bot: &mut Tool, alice: &mut Tool) {
    // Without a peer: those of the holder are used.
    let line =
        "status-send hi --identity bob.key --state b --to $ALICE --wait-ack 60s --output json";
    let ended = shell.run(line);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let holder = format!("process {} (status-receive) holds the state", bot.pid());
    assert!(ended.stderr.contains(&holder), "{}", ended.stderr);
    let printed = records(&ended.stdout);
    let sent = printed.iter().find(|it| it["type"] == "sent").expect("sent");
    assert_eq!((&sent["written"], &sent["confirmed"]), (&1.into(), &1.into()));
    let acknowledged = printed.iter().find(|it| it["type"] == "acknowledged").expect("one");
    assert_eq!(acknowledged["message_id"], sent["message_ids"][0]);
    let got = alice.next_of("message");
    assert_eq!((text_of(&got), &got["message_id"]), ("hi".to_owned(), &sent["message_ids"][0]));
    // The bot sees what comes, and nothing of what the person did.
    shell.ok("status-send back --identity alice.key --state a --to $BOB");
    // A public message needs nothing of the state but the peers of who holds it.
    let sent = shell.ok("status-send aloud --identity alice.key --state a --chat c --output json");
    assert_eq!(record(&sent)["written"], 1);
    assert_eq!(bot.text(), "back");
}

#[test]
fn each_gets_what_it_asked_for_once() {
    let (shell, _node) = two();
    let mut holder = Tool::receiving(&shell, &format!("{BOB} --contains x"));
    let mut other = Tool::receiving(&shell, &format!("{BOB} --contains y --chat c"));
    for text in ["x1", "y1", "xy", "z"] {
        from_alice(&shell, text);
    }
    assert_eq!((holder.text(), holder.text()), ("x1".to_owned(), "xy".to_owned()));
    assert_eq!((other.text(), other.text()), ("y1".to_owned(), "xy".to_owned()));
    // The chat is asked for by one of them.
    shell.ok(
        "printf 'public y\\n' | status-send --lines --peer $ENODE --identity alice.key --chat c",
    );
    assert_eq!(other.text(), "public y");
    from_alice(&shell, "last x y");
    assert_eq!((holder.text(), other.text()), ("last x y".to_owned(), "last x y".to_owned()));
    assert_eq!(other.end(&shell, "INT"), (vec![], Some(130)));
    assert_eq!(holder.end(&shell, "INT"), (vec![], Some(130)));
    // All of them were printed, so nothing is left.
    shell.fails(1, &format!("status-receive {BOB} --timeout 2s"));
}

#[test]
fn when_the_holder_is_killed_another_goes_on() {
    let (shell, _node) = two();
    for signal in ["KILL", "TERM"] {
        let mut holder = Tool::receiving(&shell, BOB);
        let mut second = Tool::receiving(&shell, BOB);
        let mut third = Tool::receiving(&shell, BOB);
        from_alice(&shell, "one");
        for tool in [&mut holder, &mut second, &mut third] {
            assert_eq!(tool.text(), "one", "{signal}");
        }
        let (rest, _) = holder.end(&shell, signal);
        assert_eq!(rest, Vec::<Value>::new());
        let notes = [second.note(" now"), third.note(" now")];
        let (own, others): (Vec<_>, Vec<_>) =
            notes.iter().partition(|note| note.contains("this one holds it now"));
        assert_eq!((own.len(), others.len()), (1, 1), "{notes:?}");
        from_alice(&shell, "two");
        // What was printed before is not printed again.
        assert_eq!((second.text(), third.text()), ("two".to_owned(), "two".to_owned()), "{signal}");
        let line = "status-send three --identity bob.key --state b --to $ALICE";
        assert_eq!(record(&shell.ok(line))["confirmed"], 1);
        assert_eq!(second.end(&shell, "INT"), (vec![], Some(130)), "{signal}");
        assert_eq!(third.end(&shell, "INT"), (vec![], Some(130)), "{signal}");
    }
}

#[test]
fn one_that_is_killed_keeps_nothing_from_the_others() {
    let (shell, _node) = two();
    let mut holder = Tool::receiving(&shell, BOB);
    let mut other = Tool::receiving(&shell, BOB);
    from_alice(&shell, "one");
    assert_eq!((holder.text(), other.text()), ("one".to_owned(), "one".to_owned()));
    let (rest, _) = other.end(&shell, "KILL");
    assert_eq!(rest, Vec::<Value>::new());
    from_alice(&shell, "two");
    assert_eq!(holder.text(), "two");
    let mut again = Tool::receiving(&shell, BOB);
    from_alice(&shell, "three");
    assert_eq!((holder.text(), again.text()), ("three".to_owned(), "three".to_owned()));
}

#[test]
fn one_that_hangs_does_not_stop_the_holder() {
    let (shell, _node) = two();
    let mut holder = Tool::receiving(&shell, BOB);
    let other = Tool::receiving(&shell, BOB);
    shell.ok(&format!("kill -STOP {}", other.pid()));
    for at in 0..3 {
        from_alice(&shell, &format!("text {at}"));
        assert_eq!(holder.text(), format!("text {at}"));
    }
    shell.ok(&format!("kill -CONT {}", other.pid()));
    let mut other = other;
    for at in 0..3 {
        assert_eq!(other.text(), format!("text {at}"));
    }
}

#[test]
fn a_long_path_is_shared_as_well() {
    let (mut shell, _node) = two();
    let long = format!("{}/b", ["d".repeat(60), "e".repeat(60)].join("/"));
    fs::create_dir_all(shell.dir().join(&long).parent().expect("one")).expect("directories");
    let full = shell.dir().join(&long).display().to_string();
    assert!(full.len() > 108);
    shell.var("LONG", full);
    let mut holder = Tool::receiving(&shell, "--peer $ENODE --identity bob.key --state $LONG");
    let mut alice = Tool::receiving(&shell, "--peer $ENODE --identity alice.key --state a");
    let line = format!("status-send hi --identity bob.key --state {long} --to $ALICE");
    assert_eq!(record(&shell.ok(&line))["confirmed"], 1);
    assert_eq!(alice.text(), "hi");
    shell.ok("status-send back --identity alice.key --state a --to $BOB");
    assert_eq!(holder.text(), "back");
}

#[test]
fn garbage_on_the_socket_is_refused() {
    let (shell, _node) = two();
    let mut holder = Tool::receiving(&shell, BOB);
    let path = shell.dir().join("b/socket");
    let greeting = "statuskit-share 1 0.1.0 1 test\n";
    for garbage in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 5000],
        [greeting.as_bytes(), &[0xff; 64]].concat(),
        [greeting.as_bytes(), &[0, 0, 0, 4, 9, 9, 9, 9]].concat(),
        // A list of four billion topics.
        [greeting.as_bytes(), &[0, 0, 0, 10, 0, 0, 1, 0, 1, 1, 0xff, 0xff, 0xff, 0xff]].concat(),
        b"statuskit-share 999 9.9.9 1 other\n".to_vec(),
    ] {
        let mut socket = UnixStream::connect(&path).expect("connected");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        // It may be closed before all is written.
        let _ = socket.write_all(&garbage);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("statuskit-share 1 "), "{text:?}");
        assert_eq!(text.lines().count(), 1, "{text:?}");
    }
    from_alice(&shell, "still here");
    assert_eq!(holder.text(), "still here");
}

#[test]
fn another_version_says_so() {
    let (shell, _node) = two();
    shell.ok("status-session bundle new --identity bob.key --state b");
    // What holds the state is a later release.
    let lock = fs::File::open(shell.dir().join("b/lock")).expect("a lock");
    lock.lock().expect("locked");
    let listener = UnixListener::bind(shell.dir().join("b/socket")).expect("bound");
    let serving = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a program");
        socket.write_all(b"statuskit-share 2 7.0.0 4711 status-later\n").expect("written");
        let mut text = String::new();
        let _ = BufReader::new(socket).read_line(&mut text);
        text
    });
    let line =
        "status-send hi --peer $ENODE --identity bob.key --state b --to $ALICE --output json";
    let error = shell.fails(5, line);
    assert!(
        error.contains("share.version") && error.contains("process 4711 (status-later)"),
        "{error}"
    );
    assert!(error.contains("7.0.0") && error.contains("same release"), "{error}");
    assert!(serving.join().expect("served").starts_with("statuskit-share 1 "));
}

#[test]
fn lines_print_what_comes_from_the_start() {
    let (shell, _node) = two();
    let mut alice = Tool::receiving(&shell, "--peer $ENODE --identity alice.key --state a");
    for wait in ["", "--wait-ack 60s"] {
        let options = "--identity bob.key --state b --to $ALICE --lines --ttl 120 --output json";
        let mut talk = Tool::start(&shell, &format!("status-send --peer $ENODE {options} {wait}"));
        // Before a line is read, it receives and acknowledges.
        from_alice(&shell, "first");
        assert_eq!(talk.text(), "first", "{wait}");
        talk.write("answer");
        let sent = loop {
            let sent = talk.next_of("sent");
            if sent["line"] == 1 {
                break sent;
            }
        };
        assert_eq!(sent["confirmed"], 1);
        assert_eq!(alice.text(), "answer", "{wait}");
        from_alice(&shell, "second");
        assert_eq!(talk.text(), "second", "{wait}");
        let (_, code) = talk.rest();
        assert_eq!(code, Some(0), "{wait}");
    }
}

/// The commands of the cookbook under this comment.
fn recipe(title: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cookbook.md");
    let text = fs::read_to_string(path).expect("the cookbook");
    let at = text.find(title).unwrap_or_else(|| panic!("no {title:?}"));
    let (_, rest) = text[at..].split_once('\n').expect("commands");
    rest.split("\n\n").next().expect("commands").to_owned()
}

/// A shell and all that it started, killed on drop.
struct Session(std::process::Child);

impl Drop for Session {
    fn drop(&mut self) {
        let _ = std::process::Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", self.0.id())])
            .status();
        let _ = self.0.wait();
    }
}

#[test]
fn the_bots_of_the_cookbook_answer_while_a_person_writes() {
    use std::os::unix::process::CommandExt as _;
    for (title, answers) in [
        ("# A bot. ", ["pong", "you said: who are you?"]),
        ("# A bot of two programs", ["you said: ping", "you said: who are you?"]),
    ] {
        let commands = recipe(title);
        assert!(commands.lines().count() <= 10, "{commands}");
        let (mut shell, _node) = two();
        let bot_key = shell.member("statuskit keygen --out bot.json", "public_key");
        shell.var("BOT", bot_key);
        let bot = shell.command(&commands).process_group(0).spawn();
        let bot = Session(bot.expect("bash"));
        let mut alice = Tool::receiving(&shell, "--peer $ENODE --identity alice.key --state a");
        for (text, answer) in ["ping", "who are you?"].into_iter().zip(answers) {
            let line = format!(
                "status-send '{text}' --identity alice.key --state a --to $BOT --wait-ack 60s"
            );
            shell.ok(&line);
            assert_eq!(alice.text(), answer, "{title}");
        }
        // The person writes as the bot.
        shell.ok("status-send 'a person' --identity bot.json --state bot.state --to $ALICE");
        assert_eq!(alice.text(), "a person");
        drop(bot);
    }
}
