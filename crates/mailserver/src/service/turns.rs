//! Turns to read the archive, fair between addresses.
//!
//! Every step of every answer takes a turn. Addresses take theirs in order, and each has one reader
//! at a time. So an answer waits for at most one step of each other address, however many clients
//! connect from it and whatever they ask for.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use statuskit_net::node::source;
use tokio::sync::oneshot;

/// An address that clients share: one of IPv4, or a /64 of IPv6, which one subscriber has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Address(IpAddr);

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        Self(source(ip))
    }
}

/// Who reads, and who waits.
#[derive(Debug)]
pub(super) struct Turns(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Turns that are not taken.
    free: usize,
    lines: HashMap<Address, Line>,
    /// The addresses whose turn it is, next first: those that wait and do not read.
    order: VecDeque<Address>,
}

/// Those who wait at one address.
#[derive(Debug, Default)]
struct Line {
    reads: bool,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// The right to read. Dropping it passes it on.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    address: Address,
}

/// A turn that comes. Dropping it gives up the place.
pub(super) type NextTurn = oneshot::Receiver<Turn>;

impl Turns {
    /// Allows this many readers at once.
    pub(super) fn new(readers: usize) -> Arc<Self> {
        let (lines, order) = (HashMap::new(), VecDeque::new());
        Arc::new(Self(Mutex::new(State { free: readers.max(1), lines, order })))
    }

    /// Queues for a turn.
    pub(super) fn queue(self: &Arc<Self>, address: Address) -> NextTurn {
        let turn = self.lock().queue(address);
        self.grant();
        turn
    }

    fn grant(self: &Arc<Self>) {
        loop {
            let Some((address, waiting)) = self.lock().next() else { return };
            let turn = Turn { turns: self.clone(), address };
            // Who gives up just now returns the turn, which passes it on.
            let _ = waiting.send(turn);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Ends the turn and queues for the next one, behind all addresses that wait now.
    pub(super) fn again(self) -> NextTurn {
        self.turns.lock().queue(self.address)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.lock().release(self.address);
        self.turns.grant();
    }
}

impl State {
    fn queue(&mut self, address: Address) -> NextTurn {
        let (turn, next) = oneshot::channel();
        let line = self.lines.entry(address).or_default();
        line.waiting.push_back(turn);
        if !line.reads && line.waiting.len() == 1 {
            self.order.push_back(address);
        }
        next
    }

    fn release(&mut self, address: Address) {
        self.free += 1;
        if let Some(line) = self.lines.get_mut(&address) {
            line.reads = false;
            if line.waiting.is_empty() {
                self.lines.remove(&address);
            } else {
                self.order.push_back(address);
            }
        }
    }

    /// Returns the next reader, if there is a turn and one waits.
    fn next(&mut self) -> Option<(Address, oneshot::Sender<Turn>)> {
        while self.free > 0 {
            let address = self.order.pop_front()?;
            let line = self.lines.get_mut(&address)?;
            let next = std::iter::from_fn(|| line.waiting.pop_front()).find(|it| !it.is_closed());
            match next {
                Some(next) => {
                    line.reads = true;
                    self.free -= 1;
                    return Some((address, next));
                }
                None => drop(self.lines.remove(&address)),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Address {
        IpAddr::from([127, 0, 0, last]).into()
    }

    fn is_next(turn: &mut NextTurn) -> Option<Turn> {
        turn.try_recv().ok()
    }

    #[test]
    fn an_address_waits_for_one_step_of_each_other() {
        let turns = Turns::new(1);
        let first = is_next(&mut turns.queue(address(1))).unwrap();
        // Twenty clients of one address, and one each of two others.
        let mut many: Vec<_> = (0..20).map(|_| turns.queue(address(2))).collect();
        let mut honest = turns.queue(address(3));
        let mut other = turns.queue(address(4));
        drop(first);
        for waiting in &mut many {
            let one_of_many = is_next(waiting).expect("their turn");
            assert!(is_next(&mut honest).is_none());
            drop(one_of_many);
            let turn = is_next(&mut honest).expect("one step later");
            honest = turn.again();
            drop(is_next(&mut other).expect("after the honest one"));
            other = turns.queue(address(4));
        }
    }

    #[test]
    fn an_address_has_one_reader() {
        let turns = Turns::new(3);
        let mut all = [1, 1, 2, 2].map(|last| turns.queue(address(last)));
        let reading: Vec<_> = all.iter_mut().map(is_next).collect();
        assert_eq!(
            reading.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, false, true, false]
        );
        drop(reading);
        assert!(is_next(&mut all[1]).is_some() && is_next(&mut all[3]).is_some());
    }

    #[test]
    fn those_who_leave_hold_nothing_up() {
        let turns = Turns::new(1);
        let mut first = turns.queue(address(1));
        let leavers: Vec<_> = (2..10).map(|last| turns.queue(address(last))).collect();
        let mut last = turns.queue(address(20));
        drop(leavers);
        drop(is_next(&mut first).unwrap());
        drop(is_next(&mut last).unwrap());
        // A turn that nobody took.
        drop(turns.queue(address(1)));
        assert!(is_next(&mut turns.queue(address(2))).is_some());
        let state = turns.lock();
        assert!(state.lines.is_empty() && state.order.is_empty() && state.free == 1);
    }
}
