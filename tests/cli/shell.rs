//! Runs command lines as users type them, in a temporary directory, with a time limit.

#[path = "conforms.rs"]
pub mod conforms;

use std::{
    env,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Longer than any command line here takes, even on a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A shell in its own directory.
pub struct Shell {
    dir: tempfile::TempDir,
    vars: Vec<(String, String)>,
}

/// The result of a command line.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Shell {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory"), vars: Vec::new() }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Sets an environment variable for later commands.
    pub fn var(&mut self, name: &str, value: impl Into<String>) {
        self.vars.push((name.to_owned(), value.into()));
    }

    /// Runs a line of bash with `pipefail`. Records that it prints must be as their schema says.
    pub fn run(&self, line: &str) -> Ended {
        let mut child = self.command(line).spawn().expect("bash");
        let pipes = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = (drain(pipes.0), drain(pipes.1));
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("a status") {
                break status;
            }
            if began.elapsed() > LIMIT {
                let _ = child.kill();
                panic!("still running after {LIMIT:?}: {line}");
            }
            thread::sleep(Duration::from_millis(2));
        };
        let text = |thread: thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&thread.join().expect("a reader")).into_owned()
        };
        let code = status.code().unwrap_or(-1);
        let ended = Ended { code, stdout: text(stdout), stderr: text(stderr) };
        ended.stdout.lines().chain(ended.stderr.lines()).for_each(conforms::check);
        ended
    }

    /// Returns the command of [`run`](Self::run), not yet started.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        let path = env::var("PATH").unwrap_or_default();
        command
            .args(["-o", "pipefail", "-c", line])
            .current_dir(self.dir.path())
            // The user's own configuration must not matter.
            .env("HOME", self.dir.path())
            .env_remove("XDG_CONFIG_HOME")
            .env("PATH", format!("{}:{path}", bin_dir().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("STATUS_")) {
            command.env_remove(name);
        }
        command.envs(self.vars.iter().cloned());
        command
    }

    /// Runs a line that must succeed, and returns its output.
    pub fn ok(&self, line: &str) -> String {
        let ended = self.run(line);
        assert_eq!(ended.code, 0, "{line}\n{}", ended.stderr);
        ended.stdout
    }

    /// Runs a line that must print one record, and returns a member of it.
    pub fn member(&self, line: &str, name: &str) -> String {
        let record = crate::record(&self.ok(line));
        match &record[name] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// Creates a key file, and sets `$NAME` to its public key, which it returns.
    pub fn keygen(&mut self, name: &str) -> String {
        let file = name.to_lowercase();
        let key = self.member(&format!("statuskit keygen --out {file}.key"), "public_key");
        self.var(name, key.clone());
        key
    }

    /// Runs a line that must fail with `code`, and returns its standard error.
    pub fn fails(&self, code: i32, line: &str) -> String {
        let ended = self.run(line);
        assert_eq!(ended.code, code, "{line}\n{}{}", ended.stdout, ended.stderr);
        ended.stderr
    }
}

/// Returns the directory of the built tools.
pub fn bin_dir() -> PathBuf {
    let umbrella = Path::new(env!("CARGO_BIN_EXE_statuskit"));
    umbrella.parent().expect("a directory").to_owned()
}

/// A process that is killed on drop.
pub struct Background(pub Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}
