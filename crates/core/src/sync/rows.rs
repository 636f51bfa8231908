//! The rows of a node: what each key holds.
//!
//! | key | value |
//! | --- | --- |
//! | `e` | epoch |
//! | `p`, peer | [`Peer`]: counters |
//! | `m`, peer, message id | a message that waits for its acknowledgement |
//! | `s`, peer, message id | its [`Schedule`] |
//! | `w`, peer, message id | the [`Schedule`] of a request for what was offered |
//! | `r`, peer, message id | a received message: its place in the order of arrival |
//! | `q`, peer, place | the id of that message |
//! | `a`, peer, message id | an acknowledgement to be sent: the same place |
//!
//! A peer is 33 bytes, a message id 32, a number 8, big endian.

use super::{MessageId, Store, SyncError};
use crate::crypto::PublicKey;

/// The kinds of rows that belong to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Message = b'm',
    Sending = b's',
    Wanted = b'w',
    Received = b'r',
    Ack = b'a',
}

pub(super) const EPOCH: &[u8] = b"e";

pub(super) fn key(kind: Kind, peer: &PublicKey, id: &MessageId) -> Vec<u8> {
    [&[kind as u8], &peer.to_compressed()[..], &id.0].concat()
}

pub(super) fn prefix(kind: Kind, peer: &PublicKey) -> Vec<u8> {
    [&[kind as u8], &peer.to_compressed()[..]].concat()
}

pub(super) fn peer_key(peer: &PublicKey) -> Vec<u8> {
    [b"p", &peer.to_compressed()[..]].concat()
}

pub(super) fn place_key(peer: &PublicKey, place: u64) -> Vec<u8> {
    [b"q", &peer.to_compressed()[..], &place.to_be_bytes()].concat()
}

/// Peer and message of a key.
fn split<E>(key: &[u8]) -> Result<(PublicKey, MessageId), SyncError<E>> {
    let damaged = |_| SyncError::Damaged;
    let (peer, id) =
        key.get(1..).and_then(|key| key.split_at_checked(33)).ok_or(SyncError::Damaged)?;
    let peer = PublicKey::from_slice(peer).map_err(|_| SyncError::Damaged)?;
    Ok((peer, MessageId(id.try_into().map_err(damaged)?)))
}

/// Counters of a peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Peer {
    /// Messages to it, ever.
    pub appended: u64,
    /// Messages to it that wait.
    pub waiting: u64,
    /// The place of the oldest message from it that we remember.
    pub oldest: u64,
    /// The place of the next message from it.
    pub next: u64,
}

/// When something is sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Schedule {
    /// Its place in the order of sending.
    pub place: u64,
    /// How often it was sent.
    pub sends: u64,
    /// The epoch at which it is sent.
    pub due: u64,
}

/// A value of so many numbers.
fn numbers<const N: usize, E>(bytes: &[u8]) -> Result<[u64; N], SyncError<E>> {
    let mut numbers = [0; N];
    if bytes.len() != 8 * N {
        return Err(SyncError::Damaged);
    }
    for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *number = u64::from_be_bytes(*bytes);
    }
    Ok(numbers)
}

fn bytes_of(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Typed access to the rows of a store.
pub(super) struct Rows<S>(pub S);

type Found<T, S> = Result<T, SyncError<<S as Store>::Error>>;

impl<S: Store> Rows<S> {
    pub fn get(&self, key: &[u8]) -> Found<Option<Vec<u8>>, S> {
        self.0.get(key).map_err(SyncError::Store)
    }

    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Found<(), S> {
        self.0.put(key, value).map_err(SyncError::Store)
    }

    pub fn remove(&mut self, key: &[u8]) -> Found<(), S> {
        self.0.remove(key).map_err(SyncError::Store)
    }

    pub fn number(&self, key: &[u8]) -> Found<Option<u64>, S> {
        let found = self.get(key)?;
        found.map(|bytes| numbers(&bytes).map(|[number]| number)).transpose()
    }

    pub fn put_number(&mut self, key: &[u8], number: u64) -> Found<(), S> {
        self.put(key, &number.to_be_bytes())
    }

    pub fn peer(&self, peer: &PublicKey) -> Found<Peer, S> {
        let Some(bytes) = self.get(&peer_key(peer))? else { return Ok(Peer::default()) };
        let [appended, waiting, oldest, next] = numbers(&bytes)?;
        Ok(Peer { appended, waiting, oldest, next })
    }

    pub fn put_peer(&mut self, peer: &PublicKey, value: &Peer) -> Found<(), S> {
        let numbers = [value.appended, value.waiting, value.oldest, value.next];
        self.put(&peer_key(peer), &bytes_of(&numbers))
    }

    pub fn schedule(&self, key: &[u8]) -> Found<Option<Schedule>, S> {
        self.get(key)?.map(|bytes| read_schedule(&bytes)).transpose()
    }

    pub fn put_schedule(&mut self, key: &[u8], value: &Schedule) -> Found<(), S> {
        self.put(key, &bytes_of(&[value.place, value.sends, value.due]))
    }

    /// All schedules of a kind.
    pub fn schedules(&self, kind: Kind) -> Found<Vec<(PublicKey, MessageId, Schedule)>, S> {
        self.all(&[kind as u8], read_schedule)
    }

    /// All rows of a kind that hold a place.
    pub fn places(&self, kind: Kind) -> Found<Vec<(PublicKey, MessageId, u64)>, S> {
        self.all(&[kind as u8], |bytes| numbers(bytes).map(|[number]| number))
    }

    /// How many rows of a kind a peer has.
    pub fn count(&self, kind: Kind, peer: &PublicKey) -> Found<usize, S> {
        let mut count = 0;
        self.0.scan(&prefix(kind, peer), &mut |_, _| count += 1).map_err(SyncError::Store)?;
        Ok(count)
    }

    /// The messages of the rows of a kind that a peer has.
    pub fn ids(&self, kind: Kind, peer: &PublicKey) -> Found<Vec<MessageId>, S> {
        let found = self.all(&prefix(kind, peer), |_| Ok(()))?;
        Ok(found.into_iter().map(|(_, id, ())| id).collect())
    }

    fn all<T>(
        &self,
        prefix: &[u8],
        read: impl Fn(&[u8]) -> Found<T, S>,
    ) -> Found<Vec<(PublicKey, MessageId, T)>, S> {
        let mut found = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            found.push(split(key).and_then(|(peer, id)| Ok((peer, id, read(value)?))));
        };
        self.0.scan(prefix, &mut visit).map_err(SyncError::Store)?;
        found.into_iter().collect()
    }
}

fn read_schedule<E>(bytes: &[u8]) -> Result<Schedule, SyncError<E>> {
    let [place, sends, due] = numbers(bytes)?;
    Ok(Schedule { place, sends, due })
}
