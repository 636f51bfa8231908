//! Results on standard output, written beside everything else: a reader that does not read must not
//! keep a tool from its signals and its time limit.

use std::{
    io,
    os::fd::AsFd as _,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, fstat},
    io::ioctl_fionread,
};
use tokio::sync::mpsc as tokio_mpsc;

use crate::{
    error::{Result, Stop},
    output::write_stdout,
    signals::{interrupted, interrupted_again, terminated, until},
};

/// How long results are printed after a signal or the end of the time.
pub const LAST_RESULTS: Duration = Duration::from_secs(10);
/// How long a reader may take for a result before the next one is written.
const PATIENCE: Duration = Duration::from_secs(2);
/// The waits between two looks at a pipe.
const WAITS: std::ops::RangeInclusive<Duration> =
    Duration::from_micros(50)..=Duration::from_millis(5);

/// Writes results on a thread of its own, one at a time.
pub struct Printer {
    jobs: mpsc::Sender<Vec<u8>>,
    done: tokio_mpsc::UnboundedReceiver<io::Result<()>>,
    /// When the tool is to end; `None` for not yet.
    deadline: Option<Instant>,
    /// Until when results are printed, once the tool is to end.
    until: Option<Instant>,
}

impl Printer {
    /// Starts the thread. If it `waits`, a result in a pipe counts as printed once its reader has
    /// taken it, or does not for a while.
    pub fn start(waits: bool, deadline: Option<Instant>) -> Self {
        let (jobs, queue) = mpsc::channel();
        let (finished, done) = tokio_mpsc::unbounded_channel();
        thread::spawn(move || work(&queue, &finished, waits));
        Self { jobs, done, deadline, until: None }
    }

    /// The tool is to end: from now on the time for printing is limited.
    pub fn end(&mut self) {
        self.until.get_or_insert_with(|| Instant::now() + LAST_RESULTS);
    }

    /// Prints a result while other `work` goes on. Returns whether it was printed in time.
    ///
    /// # Errors
    /// If the output is closed, or can't be written.
    pub async fn print(&mut self, bytes: Vec<u8>, work: impl Future<Output = ()>) -> Result<bool> {
        let gone = || Stop::from(io::Error::from(io::ErrorKind::BrokenPipe));
        self.jobs.send(bytes).map_err(|_| gone())?;
        let (end, limit) = (self.deadline, self.until);
        tokio::select! {
            biased;
            done = self.done.recv() => {
                done.unwrap_or(Ok(())).map_err(Stop::from)?;
                Ok(true)
            }
            () = late(end, limit) => Ok(false),
            () = work => Ok(false),
        }
    }

    /// Returns when the time for printing is over; never, while the tool is not to end.
    pub async fn late(&self) {
        match self.until {
            Some(_) => late(None, self.until).await,
            None => std::future::pending().await,
        }
    }
}

async fn late(end: Option<Instant>, limit: Option<Instant>) {
    let limit = match limit {
        Some(limit) => limit,
        None => {
            tokio::select! {
                () = until(end) => {}
                () = interrupted() => {}
                () = terminated() => {}
            }
            Instant::now() + LAST_RESULTS
        }
    };
    tokio::select! {
        () = until(Some(limit)) => {}
        () = interrupted_again() => {}
    }
}

fn work(
    jobs: &mpsc::Receiver<Vec<u8>>,
    finished: &tokio_mpsc::UnboundedSender<io::Result<()>>,
    waits: bool,
) {
    // Whether the reader is slow: then the pipe holds several results.
    let mut is_slow = false;
    while let Ok(bytes) = jobs.recv() {
        let done = write_stdout(&bytes).and_then(|()| {
            let limit = if is_slow { Duration::ZERO } else { PATIENCE };
            is_slow = waits && !is_taken(limit)?;
            Ok(())
        });
        if finished.send(done).is_err() {
            return;
        }
    }
}

/// Waits until the reader of a pipe has taken what was written. Returns whether it has in time.
///
/// The next result is written after that, so a reader that ends after one result, such as `head`,
/// does not take the next one with it.
fn is_taken(limit: Duration) -> io::Result<bool> {
    let began = Instant::now();
    let stdout = io::stdout();
    let pipe = stdout.as_fd();
    if FileType::from_raw_mode(fstat(pipe)?.st_mode) != FileType::Fifo {
        return Ok(true);
    }
    let mut wait = *WAITS.start();
    while ioctl_fionread(pipe)? > 0 {
        let mut fds = [PollFd::new(&pipe, PollFlags::empty())];
        let timeout = Timespec::try_from(wait).unwrap_or_default();
        // Without events to wait for, this is a sleep that ends with the reader.
        poll(&mut fds, Some(&timeout))?;
        if fds[0].revents().contains(PollFlags::ERR) && ioctl_fionread(pipe)? > 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if began.elapsed() >= limit {
            return Ok(false);
        }
        wait = (wait * 2).min(*WAITS.end());
    }
    Ok(true)
}
