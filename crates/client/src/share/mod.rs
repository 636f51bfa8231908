//! One state, several programs.
//!
//! The program that has a state open holds it: it serves it on a Unix socket in the directory of the
//! state. Another one that opens the state attaches to it: what it sends goes through the holder and
//! its peers, and what it asked for comes to it as well. When the holder ends, the lock of the state
//! decides which of the others holds it from then on; the rest attach to that one.
//!
//! | on the socket | content |
//! | --- | --- |
//! | a line each way | `MAGIC`, the version of this protocol, the release, the process id, the program |
//! | frames | length (4 bytes, big-endian), then a `Request` or `Reply` |
//!
//! The encodings are those of the store. What a program received and has not reported as handled is
//! bounded in bytes: the holder reads no more from its peers meanwhile, and parts with a program
//! that doesn't go on for `PATIENCE`. What that one has not handled stays in the state.
//!
//! The socket has mode 0600, and both sides check that the other is a process of the same user. So
//! the password of an encrypted state is that of the holder's start.

mod frame;
mod link;
pub(crate) mod message;
mod server;

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use statuskit_core::{devp2p::Enode, explain::Explanation, secure::StoreError};
use tokio::net::{UnixListener, UnixStream};
use zeroize::Zeroizing;

use self::message::{Reply, Request};
pub(crate) use self::{
    link::Link,
    server::{FromProgram, Outgoing, ProgramId, Server},
};
use crate::{error::StartError, state::DiskStore};

/// The version of this protocol. Any change of a message makes it another one.
pub(crate) const VERSION: u32 = 1;

/// The start of the line that each side sends.
const MAGIC: &str = "statuskit-share";

/// The socket in the directory of a state.
const SOCKET: &str = "socket";

/// The directory in which the next socket is created, for its owner only.
const NEW: &str = "socket.new";

/// Programs that are attached at a time.
const MAX_PROGRAMS: usize = 16;

/// Bytes that a program may have received and not handled.
pub(crate) const MAX_UNHANDLED: usize = 4 << 20;

/// Bytes that may wait to be written to a program.
pub(crate) const MAX_QUEUED: usize = 32 << 20;

/// How long a program may take to go on.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long the other side may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);

/// How long a state may be locked by a program that does not serve it.
const LOCKED: Duration = Duration::from_secs(3);

/// How long a holder that ends may take to do so.
const MOVING: Duration = Duration::from_secs(30);

/// How often a locked state is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// The longest path that every system takes for a socket.
const MAX_PATH: usize = 100;

/// The process that holds a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// The name of the program.
    pub program: String,
    /// The release of this library in it.
    pub release: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.program)
    }
}

/// Why a state can't be shared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// The holder speaks another version of this protocol.
    #[error(
        "the state is held by {holder} of statuskit {}, and this is statuskit {}: they share no \
         states",
        holder.release,
        env!("CARGO_PKG_VERSION")
    )]
    Version {
        /// The holder.
        holder: Holder,
    },
    /// The holder refuses.
    #[error("the state is held by {holder}: {error}")]
    Refused {
        /// The holder.
        holder: Holder,
        /// Why.
        error: HolderError,
    },
    /// What came from the socket is nothing that a holder sends.
    #[error("what listens on the socket of the state is no program of statuskit")]
    Garbled,
    /// The other process has another user.
    #[error("the socket of the state belongs to a process of another user")]
    Foreign,
}

impl ShareError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Version { .. } => "share.version",
            Self::Refused { error, .. } => error.code,
            Self::Garbled => "share.garbled",
            Self::Foreign => "share.foreign",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "share.version",
            rule: "Programs share a state if they speak the same version of its protocol.",
            source: "tools",
            causes: "Two releases of statuskit are installed. End the program that holds the state, or use its release.",
        },
        Explanation {
            code: "share.full",
            rule: "At most 16 programs are attached to the one that holds a state.",
            source: "tools",
            causes: "End some of them.",
        },
        Explanation {
            code: "share.ended",
            rule: "A program that holds a state answers what others ask of it before it ends.",
            source: "tools",
            causes: "It was killed, or crashed. Whether the message was sent is unknown: ask again, or wait for its acknowledgement.",
        },
        Explanation {
            code: "share.refused",
            rule: "The program that holds a state serves others with the same identity, as long as its state works.",
            source: "tools",
            causes: "Its messages tell more.",
        },
        Explanation {
            code: "share.garbled",
            rule: "On the socket of a state listens a program of statuskit.",
            source: "tools",
            causes: "Another program has made a socket of that name. Remove it.",
        },
        Explanation {
            code: "share.foreign",
            rule: "Programs share a state with those of the same user.",
            source: "tools",
            causes: "The program that holds the state runs as another user. Use the same one, or another --state.",
        },
    ];
}

/// What the holder of a state could not do for this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HolderError {
    /// The stable code, as the tools print it.
    pub code: &'static str,
    /// What was wrong.
    pub message: String,
}

impl HolderError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The holder has ended.
    pub(crate) fn ended() -> Self {
        Self::new("share.ended", "the program that held the state ended before it was done")
    }
}

/// A state in a directory, for programs that share it.
pub struct SharedState {
    path: PathBuf,
    password: Option<Zeroizing<Vec<u8>>>,
    store: Option<DiskStore>,
}

impl fmt::Debug for SharedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedState").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SharedState {
    /// Names the state of a directory; the directory is created if it is missing. A password
    /// encrypts a new state.
    pub fn new(path: impl Into<PathBuf>, password: Option<&[u8]>) -> Self {
        let password = password.map(|it| Zeroizing::new(it.to_vec()));
        Self { path: path.into(), password, store: None }
    }

    /// Uses a store that is open already.
    #[must_use]
    pub fn with_store(mut self, store: DiskStore) -> Self {
        self.store = Some(store);
        self
    }

    /// Whether the state is open here already.
    pub fn is_open(&self) -> bool {
        self.store.is_some()
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the state, or attaches to the program that holds it.
    pub(crate) async fn open(&mut self, attach: &Request) -> Result<Opened, StartError> {
        match self.store.take() {
            Some(store) => Ok(Opened::Own(Box::new(store))),
            None => self.open_within(attach, LOCKED).await,
        }
    }

    /// The same after the end of a holder, which may take time.
    pub(crate) async fn reopen(&mut self, attach: &Request) -> Result<Opened, StartError> {
        self.open_within(attach, MOVING).await
    }

    async fn open_within(
        &mut self,
        attach: &Request,
        limit: Duration,
    ) -> Result<Opened, StartError> {
        let deadline = Instant::now() + limit;
        loop {
            let password = self.password.as_ref().map(|it| &it[..]);
            match DiskStore::open(&self.path, password) {
                Ok(store) => return Ok(Opened::Own(Box::new(store))),
                Err(StoreError::Locked { .. }) if Instant::now() < deadline => {}
                // It is locked for too long by what does not serve it.
                Err(error) => return Err(StartError::Chat(error.into())),
            }
            if let Some(link) = Link::connect(&self.path).await?
                && let Some(held) = welcome(link, attach).await?
            {
                return Ok(Opened::Held(Box::new(held)));
            }
            // The holder is about to serve it, or to end.
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Attaches to a holder. `None` if it ends.
async fn welcome(mut link: Link, attach: &Request) -> Result<Option<Held>, ShareError> {
    link.send(attach);
    match tokio::time::timeout(GREETING, link.next()).await {
        Ok(Some(Reply::Welcome { peers, failure, named })) => {
            Ok(Some(Held { link, peers, failure, named }))
        }
        Ok(Some(Reply::Refused(error))) => {
            Err(ShareError::Refused { holder: link.holder().clone(), error })
        }
        Ok(Some(Reply::Ending) | None) => Ok(None),
        // It may be busy.
        Err(_) => Ok(None),
        Ok(Some(_)) => Err(ShareError::Garbled),
    }
}

/// A state that is ours, or that another program holds.
pub(crate) enum Opened {
    Own(Box<DiskStore>),
    Held(Box<Held>),
}

/// A holder that this program is attached to.
#[derive(Debug)]
pub(crate) struct Held {
    pub link: Link,
    /// The number of its peers, and why none can be relied on.
    pub peers: usize,
    pub failure: Option<String>,
    pub named: Vec<Enode>,
}

/// Returns who holds the state of a directory; `None` if nobody serves it.
///
/// # Errors
/// If what listens there is no holder.
pub async fn holder(path: &Path) -> Result<Option<Holder>, ShareError> {
    match Link::connect(path).await {
        Ok(link) => Ok(link.map(|link| link.holder().clone())),
        Err(ShareError::Version { holder }) => Ok(Some(holder)),
        Err(error) => Err(error),
    }
}

/// The line with which a side says who it is.
fn greeting() -> String {
    let program = program();
    let (release, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
    format!("{MAGIC} {VERSION} {release} {pid} {program}\n")
}

/// The name of this program.
pub(crate) fn program() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
    program.chars().map(plain).take(32).collect()
}

/// Replaces characters that mean something in a line or on a terminal.
pub(crate) fn plain(character: char) -> char {
    let is_plain = character.is_ascii_alphanumeric() || "-_.+".contains(character);
    if is_plain { character } else { '?' }
}

/// Reads a greeting: the version, and who it is.
fn parse_greeting(line: &str) -> Option<(u32, Holder)> {
    let mut parts = line.trim_end().splitn(5, ' ');
    if parts.next() != Some(MAGIC) {
        return None;
    }
    let version = parts.next()?.parse().ok()?;
    let release: String = parts.next()?.chars().map(plain).collect();
    let pid = parts.next()?.parse().ok()?;
    let program: String = parts.next()?.chars().map(plain).collect();
    Some((version, Holder { pid, program, release }))
}

/// Whether the other side is a process of the same user.
fn is_ours(stream: &UnixStream) -> io::Result<bool> {
    // Both ends of a pair are this process.
    let (one, _other) = UnixStream::pair()?;
    Ok(stream.peer_cred()?.uid() == one.peer_cred()?.uid())
}

/// A file in a directory, by a path that is short enough for a socket whatever that of the directory
/// is.
struct Reach {
    path: PathBuf,
    _dir: Option<File>,
}

impl Reach {
    fn new(dir: &Path, name: &str) -> io::Result<Self> {
        let path = dir.join(name);
        if path.as_os_str().len() <= MAX_PATH {
            return Ok(Self { path, _dir: None });
        }
        // The directory of the whole process must not change, and a link in a public directory could
        // be replaced.
        let open = File::open(dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", open.as_raw_fd()));
        Ok(Self { path, _dir: Some(open) })
    }
}

/// Listens on the socket of a state, whose lock this process has. One that is left behind is
/// replaced.
fn listen(dir: &Path) -> io::Result<UnixListener> {
    let new = dir.join(NEW);
    let socket = new.join(SOCKET);
    let tidy = || {
        let _ = fs::remove_file(&socket);
        let _ = fs::remove_dir(&new);
    };
    tidy();
    // Nobody else reaches it before it has its mode.
    DirBuilder::new().mode(0o700).create(&new)?;
    let listener = (|| {
        let listener = UnixListener::bind(&Reach::new(&new, SOCKET)?.path)?;
        fs::set_permissions(&socket, Permissions::from_mode(0o600))?;
        fs::rename(&socket, dir.join(SOCKET))?;
        Ok(listener)
    })();
    tidy();
    listener
}

/// Returns a code as the texts of errors are: for good. Those of a holder are a few hundred.
fn intern(code: &str) -> &'static str {
    const MOST: usize = 1024;
    static CODES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let is_code =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte);
    let Ok(mut codes) = CODES.lock() else { return "share.refused" };
    match codes.get(code) {
        Some(known) => known,
        None if code.len() > 64 || codes.len() >= MOST || !code.bytes().all(is_code) => {
            "share.refused"
        }
        None => {
            let code: &'static str = Box::leak(code.to_owned().into_boxed_str());
            codes.insert(code);
            code
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_says_who_it_is() {
        let (version, holder) = parse_greeting(&greeting()).unwrap();
        assert_eq!((version, holder.pid), (VERSION, std::process::id()));
        assert_eq!(holder.release, env!("CARGO_PKG_VERSION"));
        assert!(!holder.program.is_empty());
        let foreign = parse_greeting("statuskit-share 7 9.9\u{1b} 12 a b\n").unwrap();
        assert_eq!(foreign.0, 7);
        assert_eq!((&*foreign.1.release, &*foreign.1.program), ("9.9?", "a?b"));
        for bad in ["", "hello", "statuskit-share", "statuskit-share x 1 2 a", "GET / HTTP/1.1"] {
            assert!(parse_greeting(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn codes_are_kept_once_and_strange_ones_not_at_all() {
        let code = intern("chat.some_code");
        assert!(std::ptr::eq(code, intern("chat.some_code")));
        assert_eq!(intern("no code"), "share.refused");
        assert_eq!(intern(&"a".repeat(65)), "share.refused");
    }
}
