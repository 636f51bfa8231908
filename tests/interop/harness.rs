//! Live peers: starts a program of `tests/interop/` and speaks its line protocol (see the README
//! there).
//!
//! Failures panic with the expected and the actual event. Every wait is bounded, so that a test can
//! fail but never hang.

// Each test target uses some of it.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Time limit for a peer to start, or to answer a command.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A running peer. Killed when dropped.
pub struct Peer {
    flavour: String,
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<Value>,
    /// Events that arrived during other waits, oldest first.
    backlog: VecDeque<Value>,
    ready: Value,
    last_id: u64,
}

impl Peer {
    /// Starts a peer, and waits until it listens. `flavour` is `"js"`, `"rendezvous"` or the name of
    /// a program in `go/bin` (`"geth"`); `args` are its flags.
    pub fn start(flavour: &str, args: &[&str]) -> Peer {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
        let (program, script, needed) = if ["js", "rendezvous"].contains(&flavour) {
            let folder = here.join(flavour);
            ("node".into(), Some(folder.join("peer.mjs")), folder.join("node_modules"))
        } else {
            let binary = here.join("go/bin").join(flavour);
            (binary.clone(), None, binary)
        };
        assert!(
            needed.exists(),
            "the {flavour} peer is not built ({} is missing); run: tests/interop/build",
            needed.display()
        );
        let mut child = Command::new(&program)
            .args(script)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| {
                panic!("can't start the {flavour} peer ({}): {e}", program.display())
            });
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, lines) = mpsc::channel();
        // A thread, because a pipe can't be read with a timeout. It ends with the child's output,
        // and closes the channel.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                let value = serde_json::from_str(&line)
                    .unwrap_or_else(|e| serde_json::json!({ "event": "not JSON", "line": line, "message": e.to_string() }));
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let mut peer = Peer {
            flavour: flavour.into(),
            child,
            stdin,
            lines,
            backlog: VecDeque::new(),
            ready: Value::Null,
            last_id: 0,
        };
        peer.ready = peer.wait_event(|v| v["event"] == "ready", ANSWER_TIMEOUT);
        peer
    }

    /// Returns its address: `enode://...@127.0.0.1:PORT`.
    pub fn enode(&self) -> &str {
        self.ready["enode"].as_str().expect("ready has an enode")
    }

    /// Returns its address: `/ip4/127.0.0.1/tcp/PORT/ethv4/16Uiu2HA…`.
    pub fn multiaddr(&self) -> &str {
        self.ready["multiaddr"].as_str().expect("ready has a multiaddr")
    }

    /// Returns its node ID (Keccak-256 of the public key), which other peers' events name.
    pub fn id(&self) -> &str {
        self.ready["id"].as_str().expect("ready has an id")
    }

    /// Returns the process ID, for signals.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, without a Disconnect.
    pub fn kill(mut self) {
        self.child.kill().expect("a running peer");
        self.child.wait().expect("its end");
    }

    /// Sends a command (`{"cmd": ...}`, the `"id"` is added) and returns the answer.
    ///
    /// # Panics
    /// If the answer is an error, or none comes.
    pub fn call(&mut self, command: Value) -> Value {
        self.try_call(command.clone())
            .unwrap_or_else(|e| panic!("{} peer refused {command}: {e}", self.flavour))
    }

    /// Like [`Peer::call`], for commands that may be refused.
    pub fn try_call(&mut self, mut command: Value) -> Result<Value, String> {
        self.last_id += 1;
        let id = self.last_id;
        command["id"] = id.into();
        if let Err(e) = writeln!(self.stdin, "{command}") {
            panic!("{} peer is gone, can't send {command}: {e}", self.flavour);
        }
        let answer = self.wait_event(
            |v| v["id"] == id && (v["event"] == "ok" || v["event"] == "error"),
            ANSWER_TIMEOUT,
        );
        if answer["event"] == "ok" {
            Ok(answer)
        } else {
            Err(answer["message"].as_str().unwrap_or("no reason given").into())
        }
    }

    /// Returns the first unread event for which `wanted` holds.
    ///
    /// # Panics
    /// If none comes in time.
    pub fn wait_event(&mut self, wanted: impl Fn(&Value) -> bool, timeout: Duration) -> Value {
        match self.next_event(&wanted, timeout) {
            Ok(event) => event,
            Err(why) => {
                panic!("{} peer: {why}; events not taken: {:#?}", self.flavour, self.backlog)
            }
        }
    }

    /// Asserts that no `unwanted` event comes during `time`.
    ///
    /// # Panics
    /// If such an event comes, or the peer ends.
    pub fn expect_no_event(&mut self, unwanted: impl Fn(&Value) -> bool, time: Duration) {
        match self.next_event(&unwanted, time) {
            Ok(event) => panic!("{} peer: unexpected {event}", self.flavour),
            Err(Missing::Timeout) => {}
            Err(why) => panic!("{} peer: {why}", self.flavour),
        }
    }

    fn next_event(
        &mut self,
        wanted: &impl Fn(&Value) -> bool,
        timeout: Duration,
    ) -> Result<Value, Missing> {
        if let Some(at) = self.backlog.iter().position(wanted) {
            return Ok(self.backlog.remove(at).expect("the position was just found"));
        }
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(event) if wanted(&event) => return Ok(event),
                Ok(event) => self.backlog.push_back(event),
                Err(RecvTimeoutError::Timeout) => return Err(Missing::Timeout),
                Err(RecvTimeoutError::Disconnected) => return Err(Missing::Ended),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

enum Missing {
    Timeout,
    Ended,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Missing::Timeout => "no such event in time",
            Missing::Ended => "the process ended (its standard error says why)",
        })
    }
}
