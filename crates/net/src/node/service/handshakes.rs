//! Limits of inbound handshakes in progress.
//!
//! A stranger that connects and sends nothing holds a place until the handshake times out. So there
//! is a limit in all, and a lower one per source. When no place is free, a new handshake takes the
//! place of the oldest: of its own source if that has reached its limit, else of the source with
//! the most. An honest peer needs a few round trips, and is done before it is the oldest.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;

use crate::node::source::source;

/// The handshakes in progress, by source.
#[derive(Debug)]
pub(crate) struct Handshakes {
    most: usize,
    most_per_source: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first. Sources without handshakes are removed.
    by_source: HashMap<IpAddr, VecDeque<Place>>,
    next: u64,
}

#[derive(Debug)]
struct Place {
    number: u64,
    /// Dropped to revoke the place.
    _held: oneshot::Sender<()>,
}

/// A place for a handshake, free again when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    handshakes: Arc<Handshakes>,
    source: IpAddr,
    number: u64,
    lost: oneshot::Receiver<()>,
}

impl Handshakes {
    pub fn new(most: usize, most_per_source: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            most_per_source: most_per_source.max(1),
            state: Mutex::default(),
        })
    }

    /// Takes a place. Another handshake may lose its own.
    pub fn enter(self: &Arc<Self>, ip: IpAddr) -> Ticket {
        let source = source(ip);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.by_source.get(&source).is_some_and(|own| own.len() >= self.most_per_source) {
            state.remove_oldest(source);
        } else if state.by_source.values().map(VecDeque::len).sum::<usize>() >= self.most
            && let Some(largest) = state.largest()
        {
            state.remove_oldest(largest);
        }
        let number = state.next;
        state.next += 1;
        let (held, lost) = oneshot::channel();
        state.by_source.entry(source).or_default().push_back(Place { number, _held: held });
        Ticket { handshakes: self.clone(), source, number, lost }
    }
}

impl State {
    /// Returns the source with the most handshakes; of several, that with the oldest.
    fn largest(&self) -> Option<IpAddr> {
        let oldest = |places: &VecDeque<Place>| places.front().map_or(0, |place| place.number);
        let rank = |places: &VecDeque<Place>| (places.len(), std::cmp::Reverse(oldest(places)));
        self.by_source.iter().max_by_key(|(_, places)| rank(places)).map(|(source, _)| *source)
    }

    fn remove_oldest(&mut self, source: IpAddr) {
        self.edit(source, |places| drop(places.pop_front()));
    }

    fn edit(&mut self, source: IpAddr, edit: impl FnOnce(&mut VecDeque<Place>)) {
        if let Some(places) = self.by_source.get_mut(&source) {
            edit(places);
            if places.is_empty() {
                self.by_source.remove(&source);
            }
        }
    }
}

impl Ticket {
    /// Resolves when the place is lost.
    pub async fn lost(&mut self) {
        // Nothing is ever sent: the other end is dropped.
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.handshakes.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.edit(self.source, |places| places.retain(|place| place.number != self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn has_lost(ticket: &mut Ticket) -> bool {
        matches!(ticket.lost.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }

    #[test]
    fn the_oldest_of_its_own_source_goes_first() {
        let handshakes = Handshakes::new(10, 2);
        let mut other = handshakes.enter(ip(2));
        let mut own: Vec<_> = (0..4).map(|_| handshakes.enter(ip(1))).collect();
        let lost: Vec<_> = own.iter_mut().map(has_lost).collect();
        assert_eq!(lost, [true, true, false, false]);
        assert!(!has_lost(&mut other));
        // Handshakes that have lost their place free none.
        own.drain(..2);
        assert_eq!(handshakes.state.lock().unwrap().by_source[&ip(1)].len(), 2);
        drop(own);
        drop(other);
        assert!(handshakes.state.lock().unwrap().by_source.is_empty());
    }

    #[test]
    fn when_all_places_are_taken_the_source_with_the_most_loses_one() {
        let handshakes = Handshakes::new(4, 3);
        let mut first = handshakes.enter(ip(1));
        let mut greedy: Vec<_> = (0..3).map(|_| handshakes.enter(ip(2))).collect();
        let mut third = handshakes.enter(ip(3));
        let mut fourth = handshakes.enter(ip(4));
        let lost: Vec<_> = greedy.iter_mut().map(has_lost).collect();
        assert_eq!(lost, [true, true, false]);
        assert!([&mut first, &mut third, &mut fourth].into_iter().all(|it| !has_lost(it)));
        // If all have as many, the oldest loses its place.
        let _fifth = handshakes.enter(ip(5));
        assert!(has_lost(&mut first) && !has_lost(&mut third));
    }
}
