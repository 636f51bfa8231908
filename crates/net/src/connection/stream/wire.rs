//! A byte stream with a buffer on each side, polled in both directions at once.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, timeout},
};

use crate::connection::stream::{StreamError, after};

/// How much is read at once.
const READ: usize = 16 * 1024;
/// The write limit starts anew whenever so much has gone out.
const WRITE_STEP: usize = 64 * 1024;

pub(super) struct Wire<S> {
    io: S,
    input: Box<[u8]>,
    /// What of `input` was read and not consumed.
    unread: std::ops::Range<usize>,
    output: Vec<u8>,
    written: usize,
    write_limit: Duration,
    /// When the current step of the output must have gone out.
    deadline: Option<Instant>,
    /// How much of the step has.
    step: usize,
    /// Writing failed. Told when there is nothing more to read: the peer may have said why.
    error: Option<StreamError>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(io: S, write_limit: Duration) -> Self {
        Self {
            io,
            input: vec![0; READ].into(),
            unread: 0..0,
            output: Vec::new(),
            written: 0,
            write_limit,
            deadline: None,
            step: 0,
            error: None,
        }
    }

    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// How many bytes of output the socket has not taken.
    pub fn pending(&self) -> usize {
        self.output.len() - self.written
    }

    /// Queues output behind what is queued.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.pending() == 0 {
            self.replace(Vec::new());
        }
        self.output.extend_from_slice(bytes);
    }

    /// New output, when all before was written.
    pub fn replace(&mut self, bytes: Vec<u8>) {
        debug_assert_eq!(self.pending(), 0);
        self.output = bytes;
        self.written = 0;
    }

    /// When the peer must have taken more.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub fn check_deadline(&self, now: Instant) -> Result<(), StreamError> {
        match self.deadline {
            Some(deadline) if now >= deadline => Err(StreamError::WriteTimeout(self.write_limit)),
            _ => Ok(()),
        }
    }

    /// Whether writing has failed: what is to be written since is thrown away.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// The error of writing, if there was one.
    pub fn take_error(&mut self) -> Option<StreamError> {
        self.error.take()
    }

    /// Lets `read` take from the front of the input.
    pub fn consume<T>(&mut self, read: impl FnOnce(&mut &[u8]) -> T) -> T {
        let mut input = self.input.get(self.unread.clone()).unwrap_or_default();
        let result = read(&mut input);
        self.unread.start = self.unread.end - input.len();
        result
    }

    /// Writes what is pending and waits for input; `when` tells the time in errors.
    pub async fn fill(&mut self, when: &'static str) -> Result<(), StreamError> {
        poll_fn(|cx| {
            let _ = self.poll_write(cx);
            self.poll_fill(cx, when)
        })
        .await
    }

    /// Writes what is pending, without reading.
    pub async fn flush(&mut self) -> Result<(), StreamError> {
        poll_fn(|cx| self.poll_write(cx)).await;
        self.error.take().map_or(Ok(()), Err)
    }

    /// Ready when there is input. The input must have been consumed before.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        when: &'static str,
    ) -> Poll<Result<(), StreamError>> {
        if !self.unread.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut buffer = ReadBuf::new(&mut self.input);
        let result = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer));
        let read = buffer.filled().len();
        Poll::Ready(match (result, self.error.take()) {
            (Ok(()), error) if read > 0 => {
                self.unread = 0..read;
                self.error = error;
                Ok(())
            }
            (_, Some(error)) => Err(error),
            (Ok(()), None) => Err(StreamError::Eof(when)),
            (Err(error), None) => Err(StreamError::Io { doing: "reading", error }),
        })
    }

    /// Ready when all output is written, or can't be.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            if self.error.is_some() {
                self.written = self.output.len();
                break;
            }
            if self.deadline.is_none() {
                self.deadline = Some(after(Instant::now(), self.write_limit));
            }
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest)) {
                Ok(0) => self.error = Some(write_error(std::io::ErrorKind::WriteZero.into())),
                Err(error) => self.error = Some(write_error(error)),
                Ok(written) => {
                    self.written += written;
                    self.step += written;
                    if self.step >= WRITE_STEP {
                        self.step = 0;
                        self.deadline = None;
                    }
                }
            }
        }
        self.deadline = None;
        self.step = 0;
        Poll::Ready(())
    }

    /// Writes what is pending, closes our direction, and waits for the peer to close its own,
    /// all within `limit`. Closing with unread input would make the peer lose what we wrote.
    pub async fn finish(&mut self, limit: Duration) {
        let finish = async {
            poll_fn(|cx| {
                let written = self.poll_write(cx);
                // The peer may have to be read from before it reads.
                let _ = self.drain(cx);
                written
            })
            .await;
            let _ = poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await;
            poll_fn(|cx| self.drain(cx)).await;
        };
        let _ = timeout(limit, finish).await;
    }

    /// Throws input away; ready when there will be no more.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut buffer = ReadBuf::new(&mut self.input);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

fn write_error(error: std::io::Error) -> StreamError {
    StreamError::Io { doing: "writing", error }
}
