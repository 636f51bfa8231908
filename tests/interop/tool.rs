//! Our side: a tool in the background, or a node of the library.

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Instant,
};

use serde_json::Value;
use statuskit_net::node::{Handle, Service, ServiceConfig};
use tokio::sync::oneshot;

use super::{SOON, shell::Shell, text};

/// A running tool with its pipes. Killed on drop.
pub struct Tool {
    line: String,
    child: Child,
    stdin: Option<ChildStdin>,
    results: Lines,
    notes: Lines,
}

impl Tool {
    /// Starts a single command.
    pub fn start(shell: &Shell, line: &str) -> Self {
        let mut child =
            shell.command(&format!("exec {line}")).stdin(Stdio::piped()).spawn().expect("bash");
        Self {
            line: line.to_owned(),
            stdin: child.stdin.take(),
            results: Lines::of(child.stdout.take().expect("a pipe")),
            notes: Lines::of(child.stderr.take().expect("a pipe")),
            child,
        }
    }

    /// Starts `status-node` on a free port, and returns its enode.
    pub fn node(shell: &Shell, args: &str) -> (Self, String) {
        let mut node = Self::start(shell, &format!("status-node --listen 127.0.0.1:0 {args}"));
        let ready = node.result(|record| record["type"] == "ready");
        let enode = text(&ready, "enode").to_owned();
        (node, enode)
    }

    /// Returns the next wanted result, skipping others.
    #[track_caller]
    pub fn result(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.results.find(&self.line, "result", wanted)
    }

    /// Returns the next note on standard error that contains `part`, skipping others.
    #[track_caller]
    pub fn note(&mut self, part: &str) -> Value {
        let wanted =
            |note: &Value| note["message"].as_str().is_some_and(|text| text.contains(part));
        self.notes.find(&self.line, part, wanted)
    }

    /// Returns the next error record with this code.
    #[track_caller]
    pub fn error(&mut self, code: &str) -> Value {
        self.notes.find(&self.line, code, |note| note["code"] == code)
    }

    /// Returns the remaining error records, once it has ended.
    pub fn errors(&mut self) -> Vec<Value> {
        let notes = std::mem::take(&mut self.notes.seen).into_iter().chain(self.notes.rest());
        notes.filter(|note| note["type"] == "error").collect()
    }

    /// Writes to its standard input.
    #[track_caller]
    pub fn write(&mut self, input: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        stdin.write_all(input.as_bytes()).expect("it reads");
    }

    /// Closes its standard input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal to it.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits until it ends, and returns the exit code and the remaining results.
    #[track_caller]
    pub fn exit(&mut self) -> (i32, Vec<Value>) {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return (status.code().unwrap_or(-1), self.results.rest());
            }
            assert!(Instant::now() < deadline, "still running: {}", self.line);
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that a test started.
pub fn signal(pid: u32, name: &str) {
    let done = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(done.is_ok_and(|status| status.success()), "kill -s {name} {pid}");
}

/// The lines of a pipe, as they arrive.
struct Lines {
    lines: Receiver<Value>,
    /// Skipped lines, shown on failure.
    seen: Vec<Value>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if send.send(value).is_err() {
                    return;
                }
            }
        });
        Self { lines, seen: Vec::new() }
    }

    #[track_caller]
    fn find(&mut self, line: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + SOON;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(value) if wanted(&value) => return value,
                Ok(value) => self.seen.push(value),
                Err(why) => {
                    let why = match why {
                        RecvTimeoutError::Timeout => "not in time",
                        RecvTimeoutError::Disconnected => "not before the end",
                    };
                    panic!("{line}: {what} came {why}; before: {:#?}", self.seen);
                }
            }
        }
    }

    /// Returns the remaining lines, once the process has ended.
    fn rest(&mut self) -> Vec<Value> {
        self.lines.iter().collect()
    }
}

/// A node of the library on its own thread, for what the tools' options can't do.
pub struct OurNode {
    pub handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OurNode {
    /// Starts it on a free port.
    pub fn start(mut config: ServiceConfig) -> Self {
        config.listen = Some(([127, 0, 0, 1], 0).into());
        let (send, handle) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let service = Service::start(config).await.expect("a node");
                send.send(service.handle().clone()).expect("the test waits");
                // An error means that the test is over.
                let _ = stopped.await;
                service.shutdown().await;
            });
        });
        let handle = handle.recv_timeout(SOON).expect("a node");
        Self { handle, stop: Some(stop), thread: Some(thread) }
    }

    pub fn enode(&self) -> String {
        self.handle.enode().expect("it listens").to_string()
    }
}

impl Drop for OurNode {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
