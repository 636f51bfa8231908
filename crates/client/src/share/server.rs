//! The end of the socket at the holder of a state.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt as _, BufReader, BufWriter},
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};

use super::{
    GREETING, HolderError, MAX_PROGRAMS, SOCKET, VERSION, frame,
    frame::Body,
    greeting, is_ours, listen,
    message::{Attach, Reply, Request},
    parse_greeting,
};

/// Requests of all programs that wait to be handled.
const READ_AHEAD: usize = 8;

/// The largest request: an envelope, or the history of a group.
const MAX_REQUEST: usize = 4 << 20;

/// How long a program that is parted with may take to read the rest.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long to wait after a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(200);

/// The number of an attached program. Never used again for another.
pub(crate) type ProgramId = u64;

/// What comes from programs.
#[derive(Debug)]
pub(crate) enum FromProgram {
    /// A program attaches.
    Joined(ProgramId, Outgoing, Box<Attach>),
    /// It asks for something.
    Asked(ProgramId, Request),
    /// It is gone.
    Left(ProgramId),
}

/// Serves a state. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct Server {
    socket: PathBuf,
    incoming: mpsc::Receiver<FromProgram>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves the state of a directory, whose lock this process has.
    pub fn start(dir: &Path) -> io::Result<Self> {
        let listener = listen(dir)?;
        let (send, incoming) = mpsc::channel(READ_AHEAD);
        let accepting = tokio::spawn(accept(listener, send));
        Ok(Self { socket: dir.join(SOCKET), incoming, accepting })
    }

    /// Returns what has come already.
    pub fn try_next(&mut self) -> Option<FromProgram> {
        self.incoming.try_recv().ok()
    }

    /// Returns what comes next; never, if nothing can. Cancel-safe.
    pub async fn next(&mut self) -> FromProgram {
        match self.incoming.recv().await {
            Some(next) => next,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        // The lock of the state is still held: this is no other's.
        let _ = fs::remove_file(&self.socket);
    }
}

/// What goes to a program.
#[derive(Debug)]
pub(crate) struct Outgoing {
    send: mpsc::UnboundedSender<Body>,
    queued: Arc<AtomicUsize>,
    reader: tokio::task::AbortHandle,
}

impl Outgoing {
    pub fn send(&self, reply: &Reply) {
        self.send_encoded(reply.encode());
    }

    pub fn send_encoded(&self, body: Body) {
        self.queued.fetch_add(body.len(), Relaxed);
        // If it is gone, that is told by the reader.
        let _ = self.send.send(body);
    }

    /// Returns the bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.queued.load(Relaxed)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn accept(listener: UnixListener, send: mpsc::Sender<FromProgram>) {
    let room = Arc::new(Semaphore::new(MAX_PROGRAMS));
    let mut next: ProgramId = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if !matches!(is_ours(&stream), Ok(true)) {
            continue;
        }
        next += 1;
        let (id, send) = (next, send.clone());
        match room.clone().try_acquire_owned() {
            Ok(place) => {
                tokio::spawn(async move { serve(stream, id, send, place).await });
            }
            Err(_) => {
                tokio::spawn(turn_away(stream));
            }
        }
    }
}

/// Says that there are too many.
async fn turn_away(stream: UnixStream) {
    let (_read, write) = stream.into_split();
    let mut write = BufWriter::new(write);
    let error =
        HolderError::new("share.full", format!("{MAX_PROGRAMS} programs are attached already"));
    let said = async {
        write.write_all(greeting().as_bytes()).await?;
        frame::write(&mut write, &Reply::Refused(error).encode()).await
    };
    let _ = timeout(LAST_WORDS, said).await;
}

async fn serve(
    stream: UnixStream,
    id: ProgramId,
    send: mpsc::Sender<FromProgram>,
    place: OwnedSemaphorePermit,
) {
    let (read, write) = stream.into_split();
    let (mut read, mut write) = (BufReader::new(read), BufWriter::new(write));
    let greeted = async {
        write.write_all(greeting().as_bytes()).await.ok()?;
        write.flush().await.ok()?;
        let line = frame::read_line(&mut read).await.ok()??;
        let (version, _) = parse_greeting(&line)?;
        if version != VERSION {
            return None;
        }
        let body = frame::read(&mut read, MAX_REQUEST).await.ok()??;
        match Request::decode(&body) {
            Ok(Request::Attach(attach)) => Some(attach),
            _ => None,
        }
    };
    let Ok(Some(attach)) = timeout(GREETING, greeted).await else { return };
    let (replies, waiting) = mpsc::unbounded_channel();
    let queued = Arc::<AtomicUsize>::default();
    tokio::spawn(write_all(write, waiting, queued.clone(), place));
    let (begin, begun) = tokio::sync::oneshot::channel::<()>();
    let asked = send.clone();
    let reader = tokio::spawn(async move {
        if begun.await.is_err() {
            return;
        }
        while let Ok(Some(body)) = frame::read(&mut read, MAX_REQUEST).await {
            let Ok(request) = Request::decode(&body) else { break };
            if asked.send(FromProgram::Asked(id, request)).await.is_err() {
                return;
            }
        }
        let _ = asked.send(FromProgram::Left(id)).await;
    });
    let out = Outgoing { send: replies, queued, reader: reader.abort_handle() };
    if send.send(FromProgram::Joined(id, out, attach)).await.is_ok() {
        let _ = begin.send(());
    }
}

/// Writes what goes to a program, until it is parted with. Its place is free then.
async fn write_all(
    mut write: BufWriter<OwnedWriteHalf>,
    mut waiting: mpsc::UnboundedReceiver<Body>,
    queued: Arc<AtomicUsize>,
    _place: OwnedSemaphorePermit,
) {
    loop {
        let body = match waiting.recv().await {
            Some(body) => body,
            None => return,
        };
        // Once nothing more can come, it has to be fast.
        let written = async {
            let writing = frame::write(&mut write, &body);
            tokio::pin!(writing);
            loop {
                tokio::select! {
                    done = &mut writing => return done.is_ok(),
                    () = tokio::time::sleep(LAST_WORDS) => {
                        if waiting.is_closed() {
                            return false;
                        }
                    }
                }
            }
        };
        if !written.await {
            return;
        }
        queued.fetch_sub(body.len(), Relaxed);
    }
}
