//! What was received and not handled by the program yet.
//!
//! Events wait in memory. A program that ends, or is killed, must not take them with it: private
//! messages can't be decrypted again, and all have been confirmed to their senders. So with a state,
//! private messages are kept in it from their reception on, and the others at the end.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use statuskit_core::{
    chat::{KeySource, Opened},
    crypto::{PublicKey, Signature},
    envelope::{Envelope, EnvelopeHash, Message},
    secure::store::{
        StoreError,
        codec::{Reader, Writer},
    },
};

use crate::event::Event;

/// A message by its envelope and its number in it, from 1.
pub(crate) type MessageKey = (EnvelopeHash, usize);

/// Bytes of envelopes that a client adds to a state when it ends.
pub(crate) const MAX_KEPT: usize = 64 << 20;

/// Where the content of an event comes from, if it must not get lost.
#[derive(Debug, Clone)]
pub(crate) enum Ticket {
    /// The state has it.
    Kept {
        /// The place of its envelope.
        place: u64,
        /// The number of messages of the envelope up to this one.
        number: usize,
        /// The number of messages in the envelope.
        of: usize,
    },
    /// Only the event has it.
    Live {
        /// The place of its envelope.
        place: u64,
        /// The envelope.
        envelope: Arc<Envelope>,
    },
    /// The program that held the state has it, or had it.
    Held(MessageKey),
}

/// A claim on an event that its program is going to handle later.
#[derive(Debug)]
#[must_use = "the event counts as handled when the client gets it back"]
pub struct Claim(pub(crate) Ticket);

/// What became of the messages and envelopes that a client received and its program did not
/// handle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unhandled {
    /// How many the state has for the next client.
    pub kept: usize,
    /// How many are lost, because there is no state, or no room in it.
    pub lost: usize,
}

/// The events that wait for the program.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    ready: VecDeque<(Event, Option<Ticket>)>,
    bytes: usize,
    /// The place of the next envelope.
    next_place: u64,
    /// What the event that was returned last holds.
    returned: Option<Ticket>,
    /// What the program could not handle.
    put_back: Vec<Ticket>,
    /// The messages of an envelope that were handled: those up to a number, and others.
    handled: HashMap<u64, (usize, BTreeSet<usize>)>,
    /// The first message of an envelope that this client has, unless it has all.
    first: HashMap<u64, usize>,
}

impl Inbox {
    pub fn push(&mut self, event: Event, ticket: Option<Ticket>) {
        self.bytes += event.size();
        self.ready.push_back((event, ticket));
    }

    /// Returns the next event.
    pub fn pop(&mut self) -> Option<Event> {
        let (event, ticket) = self.ready.pop_front()?;
        self.bytes -= event.size();
        self.returned = ticket;
        Some(event)
    }

    /// Puts what an earlier client had before what this one has.
    pub fn put_before(&mut self, earlier: Self) {
        let later = std::mem::replace(&mut self.ready, earlier.ready);
        self.ready.extend(later);
        self.bytes += earlier.bytes;
        self.returned = earlier.returned.or(self.returned.take());
        self.put_back.extend(earlier.put_back);
    }

    /// Takes events out of their order.
    pub fn take_all<T>(&mut self, take: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        let mut taken = Vec::new();
        let bytes = &mut self.bytes;
        self.ready.retain(|(event, _)| match take(event) {
            Some(it) => {
                *bytes -= event.size();
                taken.push(it);
                false
            }
            None => true,
        });
        taken
    }

    /// Takes the ticket of the event that was returned last: the program has handled it.
    pub fn handled(&mut self) -> Option<Ticket> {
        self.returned.take()
    }

    pub fn give_back(&mut self, ticket: Ticket) {
        self.put_back.push(ticket);
    }

    /// Counts a message as handled. Returns the place of its envelope, and how many of the messages
    /// in it were handled without a gap; `None` for all.
    pub fn count_handled(&mut self, ticket: &Ticket) -> Option<(u64, Option<u64>)> {
        let Ticket::Kept { place, number, of } = *ticket else { return None };
        // Messages are handled in any order, and those before the first may be from before.
        let (upto, others) = self.handled.entry(place).or_insert_with(|| {
            let first = self.first.get(&place).copied().unwrap_or(1);
            (first - 1, BTreeSet::new())
        });
        others.insert(number);
        while others.remove(&(*upto + 1)) {
            *upto += 1;
        }
        let upto = *upto;
        if upto >= of {
            self.handled.remove(&place);
            self.first.remove(&place);
            return Some((place, None));
        }
        Some((place, Some(upto as u64)))
    }

    /// The messages of an envelope before this one were handled before.
    pub fn begin_at(&mut self, place: u64, number: usize) {
        self.first.insert(place, number);
    }

    /// Takes the tickets of all that was not handled, in order.
    pub fn take_tickets(&mut self) -> Vec<Ticket> {
        let ready = self.ready.iter_mut().filter_map(|(_, ticket)| ticket.take());
        self.put_back.drain(..).chain(ready).collect()
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Returns the bytes of the events that wait, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the place of an envelope that has come.
    pub fn next_place(&mut self) -> u64 {
        self.next_place += 1;
        self.next_place
    }

    /// Places from before are taken.
    pub fn follow(&mut self, place: u64) {
        self.next_place = self.next_place.max(place);
    }
}

/// An envelope as a state keeps it.
#[derive(Debug)]
pub(crate) struct Saved {
    pub envelope: Envelope,
    /// `None` if it was not opened yet.
    pub opened: Option<Opened>,
}

impl Saved {
    pub fn encode(envelope: &Envelope, opened: Option<&Opened>) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(envelope.raw());
        writer.opt(opened, |writer, Opened { source, message }| {
            write_source(writer, source);
            let Message { flags, payload, padding, signed } = message;
            writer.u8(*flags);
            writer.bytes(payload);
            writer.bytes(padding);
            writer.opt(signed.as_ref(), |writer, (signature, key)| {
                writer.array(signature.as_bytes());
                writer.array(&key.to_compressed());
            });
        });
        writer.finish().to_vec()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("kept envelope", bytes);
        let envelope = Envelope::decode(reader.bytes()?).map_err(|_| reader.corrupt())?;
        let opened = reader.opt(|reader| {
            let source = read_source(reader)?;
            let (flags, payload, padding) =
                (reader.u8()?, reader.bytes()?.to_vec(), reader.bytes()?.to_vec());
            let signed = reader
                .opt(|reader| Ok((Signature::from_bytes(reader.array()?), read_key(reader)?)))?;
            Ok(Opened { source, message: Message { flags, payload, padding, signed } })
        })?;
        reader.finish()?;
        Ok(Self { envelope, opened })
    }
}

fn read_key(reader: &mut Reader<'_>) -> Result<PublicKey, StoreError> {
    PublicKey::from_slice(&reader.array::<33>()?).map_err(|_| reader.corrupt())
}

fn write_source(writer: &mut Writer, source: &KeySource) {
    let (kind, key) = match source {
        KeySource::Identity(key) => (0, Some(key)),
        KeySource::ContactCode(key) => (1, Some(key)),
        KeySource::Negotiated(key) => (2, Some(key)),
        KeySource::PublicChat(name) => {
            writer.u8(3);
            return writer.bytes(name.as_bytes());
        }
        KeySource::Password => (4, None),
        _ => (5, None),
    };
    writer.u8(kind);
    key.into_iter().for_each(|key| writer.array(&key.to_compressed()));
}

fn read_source(reader: &mut Reader<'_>) -> Result<KeySource, StoreError> {
    Ok(match reader.u8()? {
        0 => KeySource::Identity(read_key(reader)?),
        1 => KeySource::ContactCode(read_key(reader)?),
        2 => KeySource::Negotiated(read_key(reader)?),
        3 => KeySource::PublicChat(reader.text()?.to_owned()),
        4 => KeySource::Password,
        5 => KeySource::SymKey,
        _ => return Err(reader.corrupt()),
    })
}

#[cfg(test)]
mod tests {
    use statuskit_core::{
        crypto::{SecretKey, seeded_rng},
        envelope::{Draft, Opener, Recipient, SymKey, Topic, seal},
    };

    use super::*;
    use statuskit_core::time::UnixSeconds;

    #[test]
    fn messages_are_handled_in_any_order_without_a_gap() {
        let mut inbox = Inbox::default();
        let mut handle =
            |place, number| inbox.count_handled(&Ticket::Kept { place, number, of: 4 });
        assert_eq!(handle(1, 3), Some((1, Some(0))));
        assert_eq!(handle(1, 1), Some((1, Some(1))));
        assert_eq!(handle(2, 1), Some((2, Some(1))));
        assert_eq!(handle(1, 2), Some((1, Some(3))));
        assert_eq!(handle(1, 4), Some((1, None)));
        inbox.begin_at(3, 3);
        let mut handle =
            |place, number| inbox.count_handled(&Ticket::Kept { place, number, of: 4 });
        assert_eq!(handle(3, 4), Some((3, Some(2))));
        assert_eq!(handle(3, 3), Some((3, None)));
    }

    #[test]
    fn an_envelope_is_saved_with_all_that_is_known_of_it() {
        let mut rng = seeded_rng("saved");
        let (key, sym) = (SecretKey::generate(&mut rng), SymKey::generate(&mut rng));
        let me = key.public_key();
        let sources = [
            KeySource::Identity(me),
            KeySource::ContactCode(me),
            KeySource::Negotiated(me),
            KeySource::PublicChat("status".to_owned()),
            KeySource::Password,
            KeySource::SymKey,
        ];
        for (at, source) in sources.into_iter().enumerate() {
            let signer = (at % 2 == 0).then_some(&key);
            let draft = Draft {
                topic: Topic([1; 4]),
                now: UnixSeconds(100),
                ttl: 10,
                payload: b"payload",
                signer,
            };
            let envelope = seal::seal(&draft, Recipient::Sym(&sym), &mut rng).unwrap();
            let message = seal::open(&envelope, Opener::Sym(&sym)).unwrap();
            let opened = Opened { source, message };
            let bytes = Saved::encode(&envelope, Some(&opened));
            let saved = Saved::decode(&bytes).unwrap();
            assert_eq!((&saved.envelope, saved.opened.as_ref()), (&envelope, Some(&opened)));
            for length in 0..bytes.len() {
                assert!(Saved::decode(&bytes[..length]).is_err(), "{length}");
            }
            let unopened = Saved::decode(&Saved::encode(&envelope, None)).unwrap();
            assert!(unopened.envelope == envelope && unopened.opened.is_none());
        }
    }
}
