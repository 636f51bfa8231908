//! Packets that have begun and not ended: what peers that dialled us may hold of our memory.
//!
//! A packet is kept until its last byte has come. Peers that begin large ones and never end them
//! share a budget. When it is exceeded, the peer whose packet began first is disconnected: honest
//! ones are soon complete.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// What is not counted: less than this per peer.
const SMALL: usize = 32 << 10;

/// The budget.
#[derive(Debug)]
pub(super) struct Unfinished {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Without those that are about to leave.
    bytes: usize,
    held: HashMap<u64, Held>,
    next: u64,
}

#[derive(Debug)]
struct Held {
    bytes: usize,
    /// Orders packets by their beginning.
    began: u64,
    /// Wakes the connection's task when it must end.
    end: Arc<Notify>,
}

/// The part of one peer, which is given back when dropped.
#[derive(Debug)]
pub(super) struct Part {
    all: Arc<Unfinished>,
    number: u64,
    end: Arc<Notify>,
}

impl Unfinished {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::default() })
    }

    /// Adds a peer.
    pub fn enter(self: &Arc<Self>) -> Part {
        let end = Arc::new(Notify::new());
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.held.insert(number, Held { bytes: 0, began: 0, end: end.clone() });
        drop(state);
        Part { all: self.clone(), number, end }
    }

    /// Returns the bytes that peers hold.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set(&mut self, number: u64, bytes: usize) {
        if let Some(held) = self.held.get_mut(&number) {
            if held.bytes == 0 {
                held.began = self.next;
                self.next += 1;
            }
            self.bytes = self.bytes - held.bytes + bytes;
            held.bytes = bytes;
        }
    }

    fn remove(&mut self, number: u64) -> Option<Held> {
        let held = self.held.remove(&number)?;
        self.bytes -= held.bytes;
        Some(held)
    }

    /// Returns whose packet began first.
    fn oldest(&self) -> Option<u64> {
        let begun = self.held.iter().filter(|(_, held)| held.bytes > 0);
        begun.min_by_key(|(_, held)| held.began).map(|(number, _)| *number)
    }
}

impl Part {
    /// Notes how much the peer holds. Someone may have to leave.
    pub fn set(&self, bytes: usize) {
        let mut state = self.all.lock();
        state.set(self.number, if bytes < SMALL { 0 } else { bytes });
        while state.bytes > self.all.limit
            && let Some(oldest) = state.oldest()
            && let Some(held) = state.remove(oldest)
        {
            held.end.notify_one();
        }
    }

    /// Resolves when the peer must leave.
    pub async fn ended(&self) {
        self.end.notified().await;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.all.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn has_ended(part: &Part) -> bool {
        let mut ended = pin!(part.ended());
        let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
        ended.as_mut().poll(cx).is_ready()
    }

    #[test]
    fn who_began_first_leaves_and_the_budget_is_kept() {
        let all = Unfinished::new(10 << 20);
        let parts: Vec<_> = (0..50).map(|_| all.enter()).collect();
        for bytes in (0..=2 << 20).step_by(16 << 10) {
            if bytes == 128 << 10 {
                // An honest one in between.
                parts[20].set(1 << 20);
            }
            for part in parts.iter().take(20).chain(&parts[21..]) {
                part.set(bytes);
                assert!(all.bytes() <= 10 << 20, "{}", all.bytes());
            }
        }
        assert!(!has_ended(&parts[20]));
        let left = parts.iter().filter(|part| !has_ended(part)).count();
        assert_eq!(left, 1 + 4);
        parts[20].set(0);
        assert_eq!(all.bytes(), 4 * (2 << 20));
        drop(parts);
        assert_eq!(all.bytes(), 0);
        assert!(all.lock().held.is_empty());
    }
}
