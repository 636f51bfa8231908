//! The end of the socket at a program that is attached.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncWriteExt as _, BufReader, BufWriter},
    net::UnixStream,
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

use super::{
    GREETING, Holder, Reach, SOCKET, ShareError, VERSION, frame,
    frame::Body,
    greeting, is_ours,
    message::{Reply, Request},
    parse_greeting,
};

/// Replies that wait to be handled. The rest waits in the socket.
const READ_AHEAD: usize = 4;

/// The largest reply: an envelope of the largest size, as it came and opened.
const MAX_REPLY: usize = 32 << 20;

/// How long the holder may take to read what was sent.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A connection to the holder of a state.
#[derive(Debug)]
pub(crate) struct Link {
    holder: Holder,
    requests: mpsc::UnboundedSender<Body>,
    replies: mpsc::Receiver<Reply>,
    reader: JoinHandle<()>,
    writer: Option<JoinHandle<()>>,
}

impl Link {
    /// Connects to the holder of a state. `None` if nobody serves it.
    pub async fn connect(dir: &Path) -> Result<Option<Self>, ShareError> {
        let Ok(stream) = connect(dir).await else { return Ok(None) };
        match is_ours(&stream) {
            Ok(true) => {}
            Ok(false) => return Err(ShareError::Foreign),
            Err(_) => return Ok(None),
        }
        let (read, write) = stream.into_split();
        let (mut read, mut write) = (BufReader::new(read), BufWriter::new(write));
        let greeted = async {
            write.write_all(greeting().as_bytes()).await?;
            write.flush().await?;
            frame::read_line(&mut read).await
        };
        let line = match timeout(GREETING, greeted).await {
            Ok(Ok(Some(line))) => line,
            // It is ending.
            Ok(_) => return Ok(None),
            Err(_) => return Err(ShareError::Garbled),
        };
        let (version, holder) = parse_greeting(&line).ok_or(ShareError::Garbled)?;
        if version != VERSION {
            return Err(ShareError::Version { holder });
        }
        let (requests, mut waiting) = mpsc::unbounded_channel::<Body>();
        let writer = tokio::spawn(async move {
            while let Some(body) = waiting.recv().await {
                if frame::write(&mut write, &body).await.is_err() {
                    break;
                }
            }
        });
        let (send, replies) = mpsc::channel(READ_AHEAD);
        let reader = tokio::spawn(async move {
            while let Ok(Some(body)) = frame::read(&mut read, MAX_REPLY).await {
                let Ok(reply) = Reply::decode(&body) else { break };
                if send.send(reply).await.is_err() {
                    break;
                }
            }
        });
        Ok(Some(Self { holder, requests, replies, reader, writer: Some(writer) }))
    }

    /// Returns the other side.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Sends a request, in its turn.
    pub fn send(&self, request: &Request) {
        // If the holder is gone, the replies end.
        let _ = self.requests.send(request.encode());
    }

    /// Returns the next reply; `None` when the holder is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Reply> {
        self.replies.recv().await
    }

    /// Ends the connection once the holder has what was sent, in bounded time.
    pub async fn close(mut self) {
        let writer = self.writer.take();
        drop(self);
        if let Some(writer) = writer {
            let _ = timeout(LAST_WORDS, writer).await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The other half closes once it has written what waits.
        self.reader.abort();
    }
}

async fn connect(dir: &Path) -> io::Result<UnixStream> {
    let reach = Reach::new(dir, SOCKET)?;
    UnixStream::connect(&reach.path).await
}
