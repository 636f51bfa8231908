//! Subscriptions: each has a queue of its own, bounded in bytes.
//!
//! A [`Subscription`] loses nothing. While one is over its limit, the node neither reads packets nor
//! makes connections: at most the events of one packet per connection come on top. Each peer has
//! its part of the limit, and is not read while more of its events wait: one that floods stops
//! only itself. A [`Watch`] skips events instead.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};

use crate::node::{ConnectionId, Event};

/// All events since [`Handle::subscribe`](super::Handle::subscribe).
///
/// While more than [`event_bytes`](super::ServiceConfig::event_bytes) wait, the node does not read
/// from its peers. So drop a subscription that is not needed any more, and use
/// [`Handle::watch`](super::Handle::watch) where losses don't matter.
#[derive(Debug)]
pub struct Subscription(Receiver);

impl Subscription {
    /// Returns the next event; `None` when the service has ended and every event was returned.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        self.0.next(Backlog::pop).await
    }

    /// Returns the bytes of the events that wait, by [`Event::size`].
    pub fn queued_bytes(&self) -> usize {
        self.0.queue.lock().bytes
    }
}

/// The events since [`Handle::watch`](super::Handle::watch), without those that came too fast.
#[derive(Debug)]
pub struct Watch(Receiver);

/// What a [`Watch`] returns.
#[derive(Debug, Clone)]
pub enum Watched {
    /// The next event.
    Event(Arc<Event>),
    /// This many events were skipped here.
    Skipped(u64),
}

impl Watch {
    /// Returns the next event, or how many were skipped before it; `None` when the service has
    /// ended and every event was returned. Cancel-safe.
    pub async fn next(&mut self) -> Option<Watched> {
        self.0
            .next(|backlog| match std::mem::take(&mut backlog.skipped) {
                0 => backlog.pop().map(Watched::Event),
                skipped => Some(Watched::Skipped(skipped)),
            })
            .await
    }
}

/// Passes events on to all subscribers.
#[derive(Debug)]
pub(super) struct Hub {
    limit: usize,
    /// `None` once closed.
    queues: Mutex<Option<Vec<Arc<Queue>>>>,
    /// How many lossless queues are over the limit.
    full: watch::Sender<usize>,
    /// For each connected peer, in how many lossless queues it has more than its part.
    peers: Mutex<HashMap<ConnectionId, watch::Sender<usize>>>,
}

impl Hub {
    /// Creates a hub whose queues hold this many bytes each.
    pub fn new(limit: usize) -> Arc<Self> {
        let queues = Mutex::new(Some(Vec::new()));
        Arc::new(Self { limit, queues, full: watch::Sender::new(0), peers: Mutex::default() })
    }

    pub fn subscribe(self: &Arc<Self>) -> Subscription {
        Subscription(self.receiver(false))
    }

    pub fn watch(self: &Arc<Self>) -> Watch {
        Watch(self.receiver(true))
    }

    pub fn publish(&self, event: Event) {
        if let Some(queues) = &*self.lock()
            && !queues.is_empty()
        {
            let (size, event) = (event.size(), Arc::new(event));
            queues.iter().for_each(|queue| queue.push(size, event.clone(), self));
        }
    }

    /// Watches whether there is room: whether no lossless queue is over the limit.
    pub fn room(&self) -> Room {
        Room { all: self.full.subscribe(), own: Vec::new() }
    }

    /// Tells whether there is room for the events of a connection, in all networks.
    pub fn room_of(&self, peers: impl IntoIterator<Item = ConnectionId>) -> Room {
        let known = self.peers();
        let own = peers.into_iter().filter_map(|peer| known.get(&peer));
        Room { all: self.full.subscribe(), own: own.map(watch::Sender::subscribe).collect() }
    }

    /// A peer has come: each peer's part is smaller now.
    pub fn add_peer(&self, peer: ConnectionId) {
        self.peers().insert(peer, watch::Sender::new(0));
    }

    pub fn remove_peer(&self, peer: ConnectionId) {
        self.peers().remove(&peer);
    }

    /// The bytes that may wait of each peer.
    fn part(&self) -> usize {
        self.limit / self.peers().len().max(1)
    }

    fn note(&self, peer: ConnectionId, is_over: bool) {
        if let Some(queues) = self.peers().get(&peer) {
            queues.send_modify(|queues| *queues = if is_over { *queues + 1 } else { *queues - 1 });
        }
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<ConnectionId, watch::Sender<usize>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all subscriptions, once the events that wait were returned.
    pub fn close(&self) {
        for queue in self.lock().take().unwrap_or_default() {
            queue.lock().closed = true;
            queue.ready.notify_one();
        }
    }

    fn receiver(self: &Arc<Self>, lossy: bool) -> Receiver {
        let queue = Arc::new(Queue { lossy, ..Queue::default() });
        match &mut *self.lock() {
            Some(queues) => queues.push(queue.clone()),
            None => queue.lock().closed = true,
        }
        Receiver { queue, hub: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Arc<Queue>>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the node may read more packets, of all peers or of one.
#[derive(Debug, Clone)]
pub(super) struct Room {
    all: watch::Receiver<usize>,
    /// Of each network of the connection: at most two.
    own: Vec<watch::Receiver<usize>>,
}

impl Room {
    /// Whether there is room now.
    pub fn is_there(&self) -> bool {
        self.own.iter().chain([&self.all]).all(|queues| *queues.borrow() == 0)
    }

    /// Resolves when there is room. Cancel-safe.
    pub async fn wait(&mut self) {
        while !self.is_there() {
            self.changed(false).await;
        }
    }

    /// Does some work as soon as there is room. Cancel-safe if the work is.
    pub async fn then<F: Future>(&mut self, work: F) -> F::Output {
        self.wait().await;
        work.await
    }

    /// Resolves when there is room where there was none `before`, or the other way round.
    /// Cancel-safe.
    pub async fn changed(&mut self, before: bool) {
        while self.is_there() == before {
            let (mut first, mut second) = (None, None);
            for (place, own) in [&mut first, &mut second].into_iter().zip(&mut self.own) {
                *place = Some(own);
            }
            tokio::select! {
                () = changed(Some(&mut self.all)) => {}
                () = changed(first) => {}
                () = changed(second) => {}
            }
        }
    }
}

/// Resolves at a change; never when there can be none any more.
async fn changed(of: Option<&mut watch::Receiver<usize>>) {
    let Some(of) = of else { return std::future::pending().await };
    if of.changed().await.is_err() {
        std::future::pending().await
    }
}

/// The subscriber's end of a queue.
#[derive(Debug)]
struct Receiver {
    queue: Arc<Queue>,
    hub: Arc<Hub>,
}

impl Receiver {
    async fn next<T>(&mut self, mut take: impl FnMut(&mut Backlog) -> Option<T>) -> Option<T> {
        // A subscriber with many events must not keep its thread from others.
        tokio::task::consume_budget().await;
        loop {
            {
                let mut backlog = self.queue.lock();
                let taken = take(&mut backlog);
                if backlog.full && backlog.bytes <= self.hub.limit / 2 {
                    backlog.full = false;
                    self.hub.full.send_modify(|full| *full -= 1);
                }
                for peer in backlog.below.drain(..) {
                    self.hub.note(peer, false);
                }
                if taken.is_some() || backlog.closed {
                    return taken;
                }
            }
            // An event that comes in between leaves a permit.
            self.queue.ready.notified().await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(queues) = &mut *self.hub.lock() {
            queues.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        }
        let mut backlog = self.queue.lock();
        if backlog.full {
            self.hub.full.send_modify(|full| *full -= 1);
        }
        for (peer, waiting) in std::mem::take(&mut backlog.by_peer) {
            if waiting.resumes_at.is_some() {
                self.hub.note(peer, false);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    lossy: bool,
    backlog: Mutex<Backlog>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Backlog {
    events: VecDeque<(usize, Arc<Event>)>,
    bytes: usize,
    /// What waits of each peer, if the queue is lossless.
    by_peer: HashMap<ConnectionId, Waiting>,
    /// Peers that may be read again: little of theirs waits.
    below: Vec<ConnectionId>,
    /// Whether a lossless queue has been over the limit, and not been at half of it since.
    full: bool,
    /// Events skipped since the last one that was returned.
    skipped: u64,
    closed: bool,
}

/// What waits of one peer.
#[derive(Debug, Default)]
struct Waiting {
    bytes: usize,
    /// The peer had more than its part, and is read again when no more than this waits.
    resumes_at: Option<usize>,
}

impl Queue {
    fn push(&self, size: usize, event: Arc<Event>, hub: &Hub) {
        let mut backlog = self.lock();
        backlog.bytes += size;
        if let Some(peer) = event.source()
            && !self.lossy
        {
            let part = hub.part();
            let waiting = backlog.by_peer.entry(peer).or_default();
            waiting.bytes += size;
            if waiting.bytes > part && waiting.resumes_at.is_none() {
                waiting.resumes_at = Some(part / 2);
                hub.note(peer, true);
            }
        }
        backlog.events.push_back((size, event));
        if backlog.bytes > hub.limit {
            if self.lossy {
                backlog.skip(hub.limit);
            } else if !std::mem::replace(&mut backlog.full, true) {
                hub.full.send_modify(|full| *full += 1);
            }
        }
        drop(backlog);
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog {
    fn pop(&mut self) -> Option<Arc<Event>> {
        let (size, event) = self.events.pop_front()?;
        self.bytes -= size;
        if let Some(peer) = event.source()
            && let Some(waiting) = self.by_peer.get_mut(&peer)
        {
            waiting.bytes -= size;
            if waiting.resumes_at.is_some_and(|most| waiting.bytes <= most) {
                waiting.resumes_at = None;
                self.below.push(peer);
            }
            if waiting.bytes == 0 {
                self.by_peer.remove(&peer);
            }
        }
        Some(event)
    }

    /// Skips the oldest events until the others are within the limit.
    fn skip(&mut self, limit: usize) {
        while self.bytes > limit && self.pop().is_some() {
            self.skipped += 1;
        }
    }
}
