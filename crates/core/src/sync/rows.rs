//! The rows of data sync and their keys. States on disk outlive releases, so these forms never
//! change.
//!
//! | key | value |
//! | --- | --- |
//! | `e` | epoch |
//! | `p`, peer | [`Peer`]: counters |
//! | `m`, peer, message id | a message that is not acknowledged yet |
//! | `s`, peer, message id | its [`Schedule`] |
//! | `w`, peer, message id | the [`Schedule`] of the request for an offered message |
//! | `r`, peer, message id | the place of a received message in the order of arrival |
//! | `q`, peer, place | the id of that message |
//! | `a`, peer, message id | the same place, while an acknowledgement is due |
//!
//! A peer has 33 bytes, a message id 32, and a number 8 (big endian).

use super::{SyncError, SyncMessageId, SyncStore};
use crate::crypto::PublicKey;

/// The kinds of rows with a message id in their key.
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

pub(super) fn key(kind: Kind, peer: &PublicKey, id: &SyncMessageId) -> Vec<u8> {
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

/// The counters of a peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Peer {
    /// The number of messages ever appended for it.
    pub appended: u64,
    /// The number of messages to it that are not acknowledged yet.
    pub waiting: u64,
    /// The place of the oldest remembered message from it.
    pub oldest: u64,
    /// The place of the next message from it.
    pub next: u64,
}

/// When a message or request is sent next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Schedule {
    /// Its place in the order of sending.
    pub place: u64,
    /// The number of times it was sent.
    pub sends: u64,
    /// The epoch in which it is sent next.
    pub due: u64,
}

/// Decodes a value of `N` numbers.
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

fn encode(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Typed access to the rows of a store.
pub(super) struct Rows<S>(pub S);

type RowResult<T, S> = Result<T, SyncError<<S as SyncStore>::Error>>;

impl<S: SyncStore> Rows<S> {
    pub fn get(&self, key: &[u8]) -> RowResult<Option<Vec<u8>>, S> {
        self.0.get(key).map_err(SyncError::Store)
    }

    pub fn put(&mut self, key: &[u8], value: &[u8]) -> RowResult<(), S> {
        self.0.put(key, value).map_err(SyncError::Store)
    }

    pub fn remove(&mut self, key: &[u8]) -> RowResult<(), S> {
        self.0.remove(key).map_err(SyncError::Store)
    }

    pub fn number(&self, key: &[u8]) -> RowResult<Option<u64>, S> {
        let found = self.get(key)?;
        found.map(|bytes| numbers(&bytes).map(|[number]| number)).transpose()
    }

    pub fn put_number(&mut self, key: &[u8], number: u64) -> RowResult<(), S> {
        self.put(key, &number.to_be_bytes())
    }

    pub fn peer(&self, peer: &PublicKey) -> RowResult<Peer, S> {
        let Some(bytes) = self.get(&peer_key(peer))? else { return Ok(Peer::default()) };
        let [appended, waiting, oldest, next] = numbers(&bytes)?;
        Ok(Peer { appended, waiting, oldest, next })
    }

    pub fn put_peer(&mut self, peer: &PublicKey, value: &Peer) -> RowResult<(), S> {
        let numbers = [value.appended, value.waiting, value.oldest, value.next];
        self.put(&peer_key(peer), &encode(&numbers))
    }

    pub fn schedule(&self, key: &[u8]) -> RowResult<Option<Schedule>, S> {
        self.get(key)?.map(|bytes| read_schedule(&bytes)).transpose()
    }

    pub fn put_schedule(&mut self, key: &[u8], value: &Schedule) -> RowResult<(), S> {
        self.put(key, &encode(&[value.place, value.sends, value.due]))
    }

    /// Reads all schedules of a kind.
    pub fn schedules(&self, kind: Kind) -> RowResult<Vec<(PublicKey, SyncMessageId, Schedule)>, S> {
        self.all(kind, read_schedule)
    }

    /// Reads all rows of a kind that hold a place.
    pub fn places(&self, kind: Kind) -> RowResult<Vec<(PublicKey, SyncMessageId, u64)>, S> {
        self.all(kind, |bytes| numbers(bytes).map(|[number]| number))
    }

    /// Reads the message ids of all rows of a kind and peer.
    pub fn ids<C: FromIterator<SyncMessageId>>(
        &self,
        kind: Kind,
        peer: &PublicKey,
    ) -> RowResult<C, S> {
        let mut ids = Vec::new();
        let mut visit = |key: &[u8], _: &[u8]| ids.push(message_id(key));
        self.0.scan(&prefix(kind, peer), &mut visit).map_err(SyncError::Store)?;
        ids.into_iter().collect()
    }

    fn all<T>(
        &self,
        kind: Kind,
        read: impl Fn(&[u8]) -> RowResult<T, S>,
    ) -> RowResult<Vec<(PublicKey, SyncMessageId, T)>, S> {
        let mut found = Vec::new();
        // Rows are sorted by peer, so each key is decompressed once.
        let mut last = None;
        let mut visit = |key: &[u8], value: &[u8]| {
            let row = peer_of(key, &mut last);
            found.push(row.and_then(|peer| Ok((peer, message_id(key)?, read(value)?))));
        };
        self.0.scan(&[kind as u8], &mut visit).map_err(SyncError::Store)?;
        found.into_iter().collect()
    }
}

/// Reads the peer of a key. `last` is the peer of the row before.
fn peer_of<E>(
    key: &[u8],
    last: &mut Option<([u8; 33], PublicKey)>,
) -> Result<PublicKey, SyncError<E>> {
    let bytes = *key.get(1..).and_then(<[u8]>::first_chunk).ok_or(SyncError::Damaged)?;
    if let Some((_, peer)) = last.filter(|(known, _)| *known == bytes) {
        return Ok(peer);
    }
    let peer = PublicKey::from_slice(&bytes).map_err(|_| SyncError::Damaged)?;
    *last = Some((bytes, peer));
    Ok(peer)
}

/// Reads the message id of a key.
fn message_id<E>(key: &[u8]) -> Result<SyncMessageId, SyncError<E>> {
    let id = key.get(34..).and_then(|id| id.try_into().ok());
    id.map(SyncMessageId).ok_or(SyncError::Damaged)
}

fn read_schedule<E>(bytes: &[u8]) -> Result<Schedule, SyncError<E>> {
    let [place, sends, due] = numbers(bytes)?;
    Ok(Schedule { place, sends, due })
}
