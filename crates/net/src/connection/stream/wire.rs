//! A byte stream with buffers, polled in both directions at once.

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

/// Bytes that are read at once.
const READ: usize = 16 * 1024;
/// Bytes after which the time limit for writing starts again.
const WRITE_STEP: usize = 64 * 1024;

pub(super) struct Wire<S> {
    io: S,
    input: Box<[u8]>,
    /// The part of `input` that was read and not consumed.
    unread: std::ops::Range<usize>,
    output: Vec<u8>,
    written: usize,
    write_limit: Duration,
    /// When the current step of the output must be written.
    deadline: Option<Instant>,
    /// How many bytes of the step are written.
    step: usize,
    /// Why writing failed. Reported when there is nothing more to read: the peer may have given a
    /// reason.
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

    /// Returns the number of bytes that the socket has not accepted.
    pub fn pending(&self) -> usize {
        self.output.len() - self.written
    }

    /// Appends output.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.pending() == 0 {
            self.replace(Vec::new());
        }
        self.output.extend_from_slice(bytes);
    }

    /// Sets the output, once the one before was written.
    pub fn replace(&mut self, bytes: Vec<u8>) {
        debug_assert_eq!(self.pending(), 0);
        self.output = bytes;
        self.written = 0;
    }

    /// Returns when the peer must have read more.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub fn check_deadline(&self, now: Instant) -> Result<(), StreamError> {
        match self.deadline {
            Some(deadline) if now >= deadline => Err(StreamError::WriteTimeout(self.write_limit)),
            _ => Ok(()),
        }
    }

    /// Returns whether writing has failed. Output is discarded from then on.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Takes the error of writing, if there was one.
    pub fn take_error(&mut self) -> Option<StreamError> {
        self.error.take()
    }

    /// Lets `read` consume the front of the input.
    pub fn consume<T>(&mut self, read: impl FnOnce(&mut &[u8]) -> T) -> T {
        let mut input = self.input.get(self.unread.clone()).unwrap_or_default();
        let result = read(&mut input);
        self.unread.start = self.unread.end - input.len();
        result
    }

    /// Writes what is pending and waits for input. Errors say `when` the connection ended.
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

    /// Ready when there is input. What was read before must be consumed.
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

    /// Writes what is pending, closes our direction, and waits for the peer to close the other,
    /// all within `limit`. Closing with unread input would make the peer lose what we wrote.
    pub async fn finish(&mut self, limit: Duration) {
        let finish = async {
            poll_fn(|cx| {
                let written = self.poll_write(cx);
                // The peer may not read before it is read.
                let _ = self.drain(cx);
                written
            })
            .await;
            let _ = poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await;
            poll_fn(|cx| self.drain(cx)).await;
        };
        let _ = timeout(limit, finish).await;
    }

    /// Discards input. Ready when there is no more to come.
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
