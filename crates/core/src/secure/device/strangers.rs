//! Strangers: identities of which we have only heard.
//!
//! Whoever writes to us is remembered, and so is whoever signed a bundle that comes along. Keys cost
//! nothing, so there is no end to those who could be. They stand in a line of limited length; where
//! it is full, the first in it is forgotten for the next that comes: installations, sessions with
//! their keys, the secret. Who is heard of again moves to the end, once it is in the older half.
//!
//! Whom we write to, or learn of by hand, is no stranger any more, and is never forgotten. So it is
//! with everybody whom a state knew before there was a line.
//!
//! | key | record |
//! | --- | --- |
//! | `l` | the line: its first place, its next one, how many stand in it |
//! | `q`, place | who stands there; places that were left have no record, and are passed over once |
//! | `w`, identity | the place of a stranger |

use super::{
    Work,
    records::{self, PEERS},
};
use crate::{
    crypto::PublicKey,
    secure::{
        key::CompressedKey,
        store::{
            Changes, Record, Store, StoreError,
            codec::{Reader, Writer},
        },
    },
};

/// How many strangers are remembered: identities that we have neither written to nor learned of by
/// hand. Then the one that was not heard of for longest makes room for the next.
pub const MAX_STRANGERS: u64 = 10_000;

const LINE: &[u8] = b"l";

fn place_key(place: u64) -> Vec<u8> {
    [b"q", &place.to_be_bytes()[..]].concat()
}

fn stranger_key(identity: &CompressedKey) -> Vec<u8> {
    [b"w", &identity.as_bytes()[..]].concat()
}

/// Where the line begins and ends, and how many are left in it.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    first: u64,
    next: u64,
    count: u64,
}

impl Line {
    fn write(self) -> Record {
        let mut writer = Writer::default();
        [self.first, self.next, self.count].into_iter().for_each(|number| writer.u64(number));
        writer.finish()
    }

    fn read(record: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("line of strangers", record);
        let line = Self { first: reader.u64()?, next: reader.u64()?, count: reader.u64()? };
        let length = line.next.checked_sub(line.first);
        if length.is_none_or(|length| length < line.count) || line.next == u64::MAX {
            return Err(reader.corrupt());
        }
        reader.finish()?;
        Ok(line)
    }
}

fn read_place(record: &[u8]) -> Result<u64, StoreError> {
    let corrupt = |_| StoreError::Corrupt { what: "place of a stranger" };
    record.try_into().map(u64::from_be_bytes).map_err(corrupt)
}

fn read_identity(record: &[u8]) -> Result<CompressedKey, StoreError> {
    CompressedKey::from_slice(record).map_err(|_| StoreError::Corrupt { what: "stranger" })
}

/// Whether a device remembers an identity, be it a stranger's or not.
pub(crate) fn is_known<S: Store>(store: &S, identity: &CompressedKey) -> Result<bool, StoreError> {
    let has = |key: Vec<u8>| store.get(&key).map(|record| record.is_some());
    Ok(has(records::peer_key(identity))? || has(stranger_key(identity))?)
}

/// Whom a device forgets with these changes of its own.
pub(crate) fn forgotten(changes: &Changes) -> impl Iterator<Item = CompressedKey> {
    let deleted = changes.iter().filter(|(_, record)| record.is_none());
    deleted.filter_map(|(key, _)| {
        let identity: [u8; 33] = key.strip_prefix(PEERS)?.try_into().ok()?;
        Some(identity.into())
    })
}

impl<S: Store> Work<'_, S> {
    fn line(&mut self) -> Result<Line, StoreError> {
        Ok(self.record(LINE, Line::read)?.unwrap_or_default())
    }

    fn set_line(&mut self, line: Line) {
        self.changes.put(LINE.to_vec(), line.write());
    }

    fn place(&mut self, identity: &CompressedKey) -> Result<Option<u64>, StoreError> {
        self.record(&stranger_key(identity), read_place)
    }

    /// See [`Device::keep`](super::Device::keep).
    pub fn keep(&mut self, peer: &PublicKey) -> Result<(), StoreError> {
        self.keep_identity(&peer.into())
    }

    /// See [`Device::meet`](super::Device::meet).
    pub fn meet(&mut self, peer: &PublicKey) -> Result<(), StoreError> {
        self.meet_identity(&peer.into())
    }

    /// Remembers an identity for good: it is no stranger.
    pub(super) fn keep_identity(&mut self, identity: &CompressedKey) -> Result<(), StoreError> {
        if *identity == self.public {
            return Ok(());
        }
        if let Some(place) = self.place(identity)? {
            let line = self.line()?;
            self.changes.delete(place_key(place));
            self.changes.delete(stranger_key(identity));
            self.set_line(Line { count: line.count.saturating_sub(1), ..line });
        }
        self.set_known(identity)
    }

    /// Takes note that an identity was heard of: one that is new is a stranger.
    pub(super) fn meet_identity(&mut self, identity: &CompressedKey) -> Result<(), StoreError> {
        if self.place(identity)?.is_some() {
            return self.hear_of(identity);
        }
        if *identity == self.public || !self.is_new(identity)? {
            return Ok(());
        }
        let line = self.line()?;
        self.stand_last(identity, Line { count: line.count + 1, ..line });
        while let Some(first) = self.take_first()? {
            self.drop_peer(&first)?;
        }
        Ok(())
    }

    /// Moves a stranger in the older half of the line to its end.
    pub(super) fn hear_of(&mut self, identity: &CompressedKey) -> Result<(), StoreError> {
        let Some(place) = self.place(identity)? else { return Ok(()) };
        let line = self.line()?;
        if line.next.saturating_sub(place) > self.most_strangers / 2 {
            self.changes.delete(place_key(place));
            self.stand_last(identity, line);
        }
        Ok(())
    }

    fn stand_last(&mut self, identity: &CompressedKey, line: Line) {
        let place = line.next;
        self.changes.put(place_key(place), identity.as_bytes().to_vec().into());
        self.changes.put(stranger_key(identity), place.to_be_bytes().to_vec().into());
        self.set_line(Line { next: place + 1, ..line });
    }

    /// Takes the first out of a line that is too long.
    fn take_first(&mut self) -> Result<Option<CompressedKey>, StoreError> {
        let mut line = self.line()?;
        if line.count <= self.most_strangers {
            return Ok(None);
        }
        while line.first < line.next {
            let place = place_key(line.first);
            line.first += 1;
            if let Some(identity) = self.record(&place, read_identity)? {
                line.count -= 1;
                self.changes.delete(place);
                self.changes.delete(stranger_key(&identity));
                self.set_line(line);
                return Ok(Some(identity));
            }
        }
        Err(StoreError::Corrupt { what: "line of strangers" })
    }
}
