//! Messages that were received and not handled yet, in the store of the device.
//!
//! A message can be decrypted once. So what a program does with it, such as printing it, must not be
//! the only place where it is: its payloads are stored in the transaction that decrypts it, and
//! deleted once the program has handled them.
//!
//! | key | record |
//! | --- | --- |
//! | `xi`, place | an envelope: what the program needs to know of it, and its payloads |
//! | `xj`, place | how many of its payloads were handled |
//! | `xo` | exists while a program handles messages; left behind by one that was killed |
//! | `xe`, place | the hashes of envelopes that were kept at once, and the second of the last expiry |
//!
//! Deletions are not worth a write of their own: they go with the next one.

use std::collections::{BTreeMap, VecDeque};

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::{Incoming, Layers, Messenger, MessengerEvent, Outcome, ReceivedPayload, Result};
use crate::{
    account::InstallationId,
    crypto::PublicKey,
    envelope::EnvelopeHash,
    payload::{
        Wrapper,
        check::Rejection,
        group::{AppliedUpdate, Group, GroupEvent},
        matching::Chat,
    },
    secure::{
        CompressedKey, EncryptionKind, SessionId,
        ratchet::{RatchetHeader, RatchetKey},
        store::{
            Store, StoreError,
            codec::{Reader, Writer},
        },
    },
    sync::SyncMessageId,
    time::{UnixMillis, UnixSeconds},
};

const KEPT: &[u8] = b"xi";
const HANDLED: &[u8] = b"xj";
const IN_USE: &[u8] = b"xo";
const SHOWN: &[u8] = b"xe";

/// Hashes of envelopes that are remembered until they expire. The oldest are forgotten beyond.
const MAX_SHOWN: usize = 1 << 16;

/// An envelope that the messenger has not received, to be kept.
#[derive(Debug)]
pub struct Unreceived {
    /// Its place in the order in which envelopes came.
    pub place: u64,
    /// Its hash.
    pub hash: EnvelopeHash,
    /// When peers stop sending it.
    pub expiry: UnixSeconds,
    /// What the program stores with it.
    pub context: Vec<u8>,
}

/// An envelope with payloads that are not handled yet.
#[derive(Debug)]
pub struct Kept {
    /// Its place in the order in which envelopes came.
    pub place: u64,
    /// What the program stored with it.
    pub context: Vec<u8>,
    /// Its payloads, handled ones included. Empty if the messenger has not received it yet.
    pub payloads: Vec<ReceivedPayload>,
    /// The number of payloads that were handled.
    pub handled: usize,
}

/// What is kept, when a program starts.
#[derive(Debug, Default)]
pub struct KeptMessages {
    /// The envelopes, in their order.
    pub envelopes: Vec<Kept>,
    /// Whether the program before did not end by itself: it may have handled some of them.
    pub was_interrupted: bool,
    /// Hashes of envelopes that were [kept](Messenger::keep) and may have been handled. Peers may
    /// send them again until they expire.
    pub shown: Vec<EnvelopeHash>,
}

/// Changes that wait for the next write.
#[derive(Debug, Default)]
pub(super) struct Released {
    /// How many payloads of an envelope were handled; `None` for all.
    changes: BTreeMap<u64, Option<u64>>,
    /// Whether the store says that it is in use.
    is_in_use: bool,
    /// The records of hashes, oldest first: the place, the last expiry, and how many.
    shown: VecDeque<(u64, UnixSeconds, usize)>,
    shown_hashes: usize,
}

impl<S: Store> Messenger<S> {
    /// Handles an opened message as [`receive`](Self::receive) does. Keeps its payloads under
    /// `place` until they are [released](Self::release), together with a `context`. Returns the
    /// number of payloads too; nothing is kept if there are none.
    ///
    /// # Errors
    /// If the store fails.
    pub fn receive_and_keep<R: CryptoRng + ?Sized>(
        &mut self,
        incoming: &Incoming<'_>,
        place: u64,
        context: &[u8],
        now: UnixMillis,
        rng: &mut R,
    ) -> Result<(Outcome, usize)> {
        self.atomically(|it| {
            let outcome = it.handle(incoming, now, rng)?;
            let payloads: Vec<_> = outcome
                .events
                .iter()
                .filter_map(|event| match event {
                    MessengerEvent::Message(payload) => Some(payload),
                    _ => None,
                })
                .collect();
            let count = payloads.len();
            if count == 0 {
                it.released.changes.insert(place, None);
            } else {
                it.put_kept(place, context, &payloads);
            }
            Ok((outcome, count))
        })
    }

    /// Keeps envelopes that the messenger has not received, each under its place, in one write.
    ///
    /// # Errors
    /// If the store fails.
    pub fn keep(&mut self, envelopes: &[Unreceived], now: UnixSeconds) -> Result<()> {
        let Some(first) = envelopes.first() else { return Ok(()) };
        self.atomically(|it| {
            let mut hashes = Writer::default();
            let last = envelopes.iter().map(|it| it.expiry).max().unwrap_or(now);
            hashes.u32(last.0);
            hashes.u32(envelopes.len() as u32);
            for envelope in envelopes {
                hashes.array(&envelope.hash.0);
                it.put_kept(envelope.place, &envelope.context, &[]);
            }
            it.store().put(key(SHOWN, first.place), hashes.finish());
            it.released.shown.push_back((first.place, last, envelopes.len()));
            it.released.shown_hashes += envelopes.len();
            while let Some(&(place, expiry, count)) = it.released.shown.front()
                && (expiry < now || it.released.shown_hashes > MAX_SHOWN)
            {
                it.released.shown.pop_front();
                it.released.shown_hashes -= count;
                it.store().delete(key(SHOWN, place));
            }
            Ok(())
        })
    }

    fn put_kept(&mut self, place: u64, context: &[u8], payloads: &[&ReceivedPayload]) {
        let mut writer = Writer::default();
        writer.bytes(context);
        writer.u32(payloads.len() as u32);
        payloads.iter().for_each(|payload| payload.write(&mut writer));
        self.released.changes.remove(&place);
        self.released.is_in_use = true;
        let store = self.store();
        store.put(key(KEPT, place), writer.finish());
        store.put(IN_USE.to_vec(), Zeroizing::new(vec![1]));
    }

    /// Returns what is kept, and marks the store as used by a program that handles it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn kept(&mut self) -> Result<KeptMessages> {
        self.atomically(|it| {
            let shown = it.read_shown()?;
            let store = it.store();
            let mut handled = BTreeMap::new();
            store.scan(HANDLED, &mut |key, record| {
                let mut reader = Reader::new("number of handled messages", record);
                handled.insert(place_of(HANDLED, key)?, reader.u64()? as usize);
                reader.finish()
            })?;
            let mut envelopes = Vec::new();
            store.scan(KEPT, &mut |key, record| {
                let place = place_of(KEPT, key)?;
                let mut reader = Reader::new("kept message", record);
                let context = reader.bytes()?.to_vec();
                let count = reader.u32()?;
                let payloads: std::result::Result<_, _> =
                    (0..count).map(|_| ReceivedPayload::read(&mut reader)).collect();
                let handled = handled.get(&place).copied().unwrap_or(0);
                envelopes.push(Kept { place, context, payloads: payloads?, handled });
                reader.finish()
            })?;
            envelopes.sort_by_key(|kept| kept.place);
            let was_interrupted = store.get(IN_USE)?.is_some();
            it.released.is_in_use = was_interrupted || !envelopes.is_empty();
            if it.released.is_in_use {
                it.store().put(IN_USE.to_vec(), Zeroizing::new(vec![1]));
            }
            Ok(KeptMessages { envelopes, was_interrupted, shown })
        })
    }

    /// Returns the last place that is taken, or 0.
    ///
    /// # Errors
    /// If the store fails.
    pub fn last_place(&mut self) -> Result<u64> {
        let mut last = 0;
        for prefix in [KEPT, SHOWN] {
            self.store().scan(prefix, &mut |key, _| {
                last = last.max(place_of(prefix, key)?);
                Ok(())
            })?;
        }
        Ok(last)
    }

    fn read_shown(&mut self) -> Result<Vec<EnvelopeHash>> {
        let (mut hashes, mut records) = (Vec::new(), Vec::new());
        self.store().scan(SHOWN, &mut |key, record| {
            let mut reader = Reader::new("hashes of envelopes", record);
            let (place, expiry) = (place_of(SHOWN, key)?, UnixSeconds(reader.u32()?));
            let count = reader.u32()?;
            for _ in 0..count {
                hashes.push(EnvelopeHash(reader.array()?));
            }
            records.push((place, expiry, count as usize));
            reader.finish()
        })?;
        records.sort_unstable();
        self.released.shown_hashes = hashes.len();
        self.released.shown = records.into();
        Ok(hashes)
    }

    /// Notes that the first `handled` payloads of an envelope need not be kept any longer; `None`
    /// for all of them. Takes effect with the next write.
    pub fn release(&mut self, place: u64, handled: Option<u64>) {
        self.released.changes.insert(place, handled);
    }

    /// Writes what was released, when the program ends by itself: what is still kept was not
    /// handled.
    ///
    /// # Errors
    /// If the store fails.
    pub fn settle_kept(&mut self) -> Result<()> {
        if !self.released.is_in_use {
            return Ok(());
        }
        self.atomically(|it| {
            it.store().delete(IN_USE.to_vec());
            Ok(())
        })?;
        self.released.is_in_use = false;
        Ok(())
    }

    /// Adds what was released to a write that is to be made anyway.
    pub(super) fn write_released(&mut self) {
        if !self.store().is_changed() {
            return;
        }
        for (place, handled) in self.released.changes.clone() {
            let store = self.store();
            match handled {
                Some(count) => {
                    let record = Zeroizing::new(count.to_be_bytes().to_vec());
                    store.put(key(HANDLED, place), record);
                }
                None => {
                    store.delete(key(KEPT, place));
                    store.delete(key(HANDLED, place));
                }
            }
        }
    }

    pub(super) fn has_written_released(&mut self) {
        self.released.changes.clear();
    }
}

fn key(prefix: &[u8], place: u64) -> Vec<u8> {
    [prefix, &place.to_be_bytes()].concat()
}

fn place_of(prefix: &[u8], key: &[u8]) -> std::result::Result<u64, StoreError> {
    let place = key.get(prefix.len()..).and_then(|place| place.try_into().ok());
    place.map(u64::from_be_bytes).ok_or(StoreError::Corrupt { what: "place of a message" })
}

impl ReceivedPayload {
    /// Writes it as stores keep it, and programs that share a state tell it.
    pub fn write(&self, writer: &mut Writer) {
        let Self { sender, chat, wrapper, rejection, group, layers, .. } = self;
        writer.bytes(wrapper.raw());
        writer.opt(sender.as_ref(), |writer, key| writer.array(&key.to_compressed()));
        writer.opt(chat.as_ref(), |writer, chat| {
            writer.u8(match chat {
                Chat::Public(_) => 0,
                Chat::OneToOne(_) => 1,
                Chat::Group(_) => 2,
            });
            writer.bytes(chat.id().as_bytes());
        });
        writer.opt(*rejection, |writer, rejection| writer.bytes(rejection.code().as_bytes()));
        writer.opt(group.as_ref(), write_group);
        layers.write(writer);
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read(reader: &mut Reader<'_>) -> std::result::Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt { what: "kept message" };
        let wrapper = Wrapper::decode(reader.bytes()?).map_err(|_| corrupt())?;
        let sender = reader.opt(|reader| {
            PublicKey::from_slice(&reader.array::<33>()?).map_err(|_| reader.corrupt())
        })?;
        let chat = reader.opt(|reader| {
            let (kind, id) = (reader.u8()?, reader.text()?.to_owned());
            Ok(match kind {
                0 => Chat::Public(id),
                1 => Chat::OneToOne(id.parse().map_err(|_| reader.corrupt())?),
                2 => Chat::Group(id),
                _ => return Err(reader.corrupt()),
            })
        })?;
        // A later release may know more reasons.
        let rejection = reader.opt(Reader::text)?.and_then(Rejection::from_code);
        let group = reader.opt(read_group)?;
        let layers = Layers::read(reader)?;
        let author = wrapper.author().or(sender.as_ref()).copied().ok_or_else(corrupt)?;
        let (id, message) = (wrapper.message_id(), wrapper.message().map_err(|_| corrupt())?);
        Ok(Self { id, author, sender, chat, wrapper, message, rejection, group, layers })
    }
}

impl Layers {
    /// Writes them as stores keep them.
    pub fn write(&self, writer: &mut Writer) {
        writer.opt(self.installation.as_ref(), |writer, id| writer.bytes(id.as_str().as_bytes()));
        writer.opt(self.secure.as_ref(), write_encryption);
        writer.opt(self.sync, |writer, id| writer.array(&id.0));
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read(reader: &mut Reader<'_>) -> std::result::Result<Self, StoreError> {
        let installation = reader.opt(Reader::text)?.map(InstallationId::new);
        let secure = reader.opt(read_encryption)?;
        let sync = reader.opt(|reader| reader.array().map(SyncMessageId))?;
        Ok(Self { installation, secure, sync })
    }
}

fn write_group(writer: &mut Writer, update: &AppliedUpdate) {
    let AppliedUpdate { group, is_new, new_events, last_clock } = update;
    writer.bytes(group.chat_id().as_bytes());
    writer.flag(*is_new);
    writer.u64(*last_clock);
    let new: std::collections::HashSet<_> = new_events.iter().map(GroupEvent::raw).collect();
    writer.u32(group.events().len() as u32);
    for event in group.events() {
        writer.bytes(event.raw());
        writer.flag(new.contains(event.raw()));
    }
}

fn read_group(reader: &mut Reader<'_>) -> std::result::Result<AppliedUpdate, StoreError> {
    let chat_id = reader.text()?;
    let (is_new, last_clock) = (reader.flag()?, reader.u64()?);
    let (mut events, mut new_events) = (Vec::new(), Vec::new());
    for _ in 0..reader.u32()? {
        let event = GroupEvent::decode(chat_id, reader.bytes()?).map_err(|_| reader.corrupt())?;
        if reader.flag()? {
            new_events.push(event.clone());
        }
        events.push(event);
    }
    let group = Group::build(chat_id, events).map_err(|_| reader.corrupt())?;
    Ok(AppliedUpdate { group, is_new, new_events, last_clock })
}

fn write_encryption(writer: &mut Writer, kind: &EncryptionKind) {
    match kind {
        EncryptionKind::Public => writer.u8(0),
        EncryptionKind::Identity => writer.u8(1),
        EncryptionKind::Session {
            session,
            header,
            started,
            ratcheted,
            missing,
            key_was_stored,
        } => {
            writer.u8(2);
            writer.array(session.identity.as_bytes());
            writer.array(session.bundle.as_bytes());
            writer.bytes(session.installation.as_str().as_bytes());
            writer.array(header.key.as_bytes());
            writer.u32(header.n);
            writer.u32(header.pn);
            writer.flag(*started);
            writer.flag(*ratcheted);
            writer.u32(*missing);
            writer.flag(*key_was_stored);
        }
    }
}

fn read_encryption(reader: &mut Reader<'_>) -> std::result::Result<EncryptionKind, StoreError> {
    Ok(match reader.u8()? {
        0 => EncryptionKind::Public,
        1 => EncryptionKind::Identity,
        2 => EncryptionKind::Session {
            session: SessionId {
                identity: CompressedKey::from(reader.array()?),
                bundle: CompressedKey::from(reader.array()?),
                installation: InstallationId::new(reader.text()?),
            },
            header: RatchetHeader {
                key: RatchetKey::from(reader.array::<33>()?),
                n: reader.u32()?,
                pn: reader.u32()?,
            },
            started: reader.flag()?,
            ratcheted: reader.flag()?,
            missing: reader.u32()?,
            key_was_stored: reader.flag()?,
        },
        _ => return Err(reader.corrupt()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chat::messenger::Post,
        crypto::{SecretKey, seeded_rng},
        secure::MemoryStore,
        time::UnixSeconds,
    };

    const NOW: u64 = 1_585_500_000_000;

    fn open(store: MemoryStore, name: &str) -> Messenger<MemoryStore> {
        let key = SecretKey::generate(&mut seeded_rng(name));
        Messenger::open(store, key, None, &mut seeded_rng(&format!("device {name}"))).unwrap()
    }

    /// Two users; Bob has a post for Alice with texts and a group.
    fn world() -> (Messenger<MemoryStore>, PublicKey, Post) {
        let (alice, mut bob) = (open(MemoryStore::new(), "alice"), open(MemoryStore::new(), "bob"));
        let mut rng = seeded_rng("world");
        let chat = Chat::OneToOne(*alice.me());
        bob.send_text(&chat, "one", UnixMillis(NOW), &mut rng).unwrap();
        bob.create_group("g", &[*alice.me()], UnixMillis(NOW + 1), &mut rng).unwrap();
        bob.send_text(&chat, "two", UnixMillis(NOW + 1000), &mut rng).unwrap();
        let post = bob.tick(UnixMillis(NOW + 1000), &mut rng).unwrap().posts.remove(0);
        (alice, *bob.me(), post)
    }

    fn described(payloads: &[ReceivedPayload]) -> Vec<String> {
        payloads.iter().map(|payload| format!("{payload:?}")).collect()
    }

    #[test]
    fn what_was_received_is_kept_until_it_is_released() {
        let (mut alice, bob, post) = world();
        let mut rng = seeded_rng("receive");
        let incoming = Incoming {
            signer: Some(&bob),
            sent: UnixSeconds((NOW / 1000) as u32),
            payload: &post.payload,
        };
        let (outcome, count) =
            alice.receive_and_keep(&incoming, 7, b"context", UnixMillis(NOW), &mut rng).unwrap();
        let payloads: Vec<_> = outcome
            .events
            .into_iter()
            .filter_map(|event| match event {
                MessengerEvent::Message(payload) => Some(payload),
                _ => None,
            })
            .collect();
        assert_eq!((payloads.len(), count), (3, 3));
        assert!(payloads.iter().any(|it| it.group.is_some()));
        let envelope = |place: u64, expiry| Unreceived {
            place,
            hash: EnvelopeHash([place as u8; 32]),
            expiry: UnixSeconds(expiry),
            context: b"later".to_vec(),
        };
        alice.keep(&[envelope(9, 100)], UnixSeconds(90)).unwrap();
        // The program is killed after it has handled one: nobody can know.
        alice.release(7, Some(1));
        let mut alice = open(alice.into_store(), "alice");
        let kept = alice.kept().unwrap();
        assert!(kept.was_interrupted);
        let [first, later] = &kept.envelopes[..] else { panic!("{kept:?}") };
        assert_eq!((first.place, &first.context[..], first.handled), (7, &b"context"[..], 0));
        assert_eq!(described(&first.payloads), described(&payloads));
        assert_eq!((later.place, &later.context[..], later.payloads.len()), (9, &b"later"[..], 0));
        // What is released goes with the next write.
        alice.release(7, Some(2));
        alice.set_enabled(&bob, &InstallationId::new("none"), true).unwrap();
        alice.tick(UnixMillis(NOW + 2000), &mut rng).unwrap().posts.clear();
        let mut alice = open(alice.into_store(), "alice");
        let kept = alice.kept().unwrap();
        assert!(kept.was_interrupted);
        assert_eq!(kept.envelopes[0].handled, 2);
        // An orderly end.
        alice.release(7, None);
        alice.settle_kept().unwrap();
        let mut alice = open(alice.into_store(), "alice");
        let kept = alice.kept().unwrap();
        assert!(!kept.was_interrupted);
        assert_eq!(kept.envelopes.iter().map(|it| it.place).collect::<Vec<_>>(), [9]);
        alice.release(9, None);
        alice.settle_kept().unwrap();
        let mut alice = open(alice.into_store(), "alice");
        let kept = alice.kept().unwrap();
        assert!(!kept.was_interrupted && kept.envelopes.is_empty());
        // Its hash is known until it expires.
        assert_eq!(kept.shown, [EnvelopeHash([9; 32])]);
        alice.keep(&[envelope(10, 120), envelope(11, 110)], UnixSeconds(100)).unwrap();
        let shown = alice.kept().unwrap().shown;
        assert_eq!(shown, [9, 10, 11].map(|byte| EnvelopeHash([byte; 32])));
        alice.keep(&[envelope(12, 130)], UnixSeconds(101)).unwrap();
        let shown = alice.kept().unwrap().shown;
        assert_eq!(shown, [10, 11, 12].map(|byte| EnvelopeHash([byte; 32])));
        // And no more than many.
        for place in 13..17 {
            let many: Vec<_> = (0..MAX_SHOWN / 2).map(|_| envelope(place, 130)).collect();
            alice.keep(&many, UnixSeconds(101)).unwrap();
        }
        assert_eq!(alice.kept().unwrap().shown.len(), MAX_SHOWN);
    }
}
