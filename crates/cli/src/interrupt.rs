//! Ctrl-C: while a tool works on something worth keeping, it becomes a flag; else it ends the tool.

use std::{
    process,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::error::Exit;

static BUSY: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static WATCH: Once = Once::new();

/// While this lives, Ctrl-C only sets the flag. A second Ctrl-C ends the tool at once.
pub struct Guard(());

impl Guard {
    /// Begins to watch.
    pub fn new() -> Self {
        WATCH.call_once(|| {
            thread::spawn(watch);
        });
        BUSY.store(true, Ordering::SeqCst);
        Self(())
    }

    /// Set once the user has pressed Ctrl-C.
    pub fn flag(&self) -> &'static AtomicBool {
        &INTERRUPTED
    }

    /// Whether the user has pressed Ctrl-C.
    pub fn is_set(&self) -> bool {
        INTERRUPTED.load(Ordering::SeqCst)
    }
}

/// From here on, Ctrl-C ends the tool at once: for its end, which may have to wait.
pub fn end_at_once() {
    INTERRUPTED.store(true, Ordering::SeqCst);
    WATCH.call_once(|| {
        thread::spawn(watch);
    });
}

impl Drop for Guard {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::SeqCst);
    }
}

fn watch() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
        // Then Ctrl-C ends the tool in the ordinary way.
        return;
    };
    runtime.block_on(async {
        while tokio::signal::ctrl_c().await.is_ok() {
            let second = INTERRUPTED.swap(true, Ordering::SeqCst);
            if second || !BUSY.load(Ordering::SeqCst) {
                process::exit(Exit::Interrupted as i32);
            }
        }
    });
}
