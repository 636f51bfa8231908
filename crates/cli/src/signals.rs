//! Ctrl-C and SIGTERM, for tools that wait for several things; and how the process was started.

use std::{
    sync::{
        LazyLock, Once,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Returns at a time; never, if there is none.
pub async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Returns when the user presses Ctrl-C, or has pressed it since this was first waited for.
pub async fn interrupted() {
    INTERRUPTS.wait(SignalKind::interrupt(), 1).await;
}

/// Returns when the user has pressed Ctrl-C twice.
pub async fn interrupted_again() {
    INTERRUPTS.wait(SignalKind::interrupt(), 2).await;
}

/// Returns when the system asks the tool to end, or has asked since this was first waited for.
pub async fn terminated() {
    static SEEN: Seen = Seen::new();
    SEEN.wait(SignalKind::terminate(), 1).await;
}

static INTERRUPTS: Seen = Seen::new();

/// Counts a signal: one that comes while nobody waits must not get lost.
struct Seen {
    watch: Once,
    seen: LazyLock<watch::Sender<u32>>,
}

impl Seen {
    const fn new() -> Self {
        Self { watch: Once::new(), seen: LazyLock::new(|| watch::channel(0).0) }
    }

    async fn wait(&'static self, kind: SignalKind, times: u32) {
        self.watch.call_once(|| {
            // Where signals can't be watched, they end the tool in the ordinary way.
            if let Ok(mut signals) = signal(kind) {
                tokio::spawn(async move {
                    while signals.recv().await.is_some() {
                        self.seen.send_modify(|seen| *seen += 1);
                    }
                });
            }
        });
        // The sender is never dropped.
        let _ = self.seen.subscribe().wait_for(|seen| *seen >= times).await;
    }
}

/// Whether standard output was closed when the process started.
pub fn was_stdout_closed() -> bool {
    STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
}

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Looks before `main`: the standard library opens /dev/null in place of what is closed, and results
/// would be lost without an error.
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn look() {
        let is_closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err();
        STDOUT_WAS_CLOSED.store(is_closed, Ordering::Relaxed);
    }
    look
};
