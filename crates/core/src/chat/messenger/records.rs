//! The records of conversations, in the store of the device.
//!
//! | key | record |
//! | --- | --- |
//! | `xc`, hash of the chat id | a chat: its kind, id and last clock; whether we wrote to it or joined it |
//! | `xg`, hash of the chat id | the events of a group |
//! | `xm`, bucket | ids of known messages, hashes of read payloads |
//! | `xn`, hash of the name | the symmetric key of a topic, which takes time to derive |
//! | `xk`, identity | the hash of the name of the negotiated topic |
//! | `xv` | exists once correspondents are known to the device |
//! | `xa`, id in data sync | the id of an unacknowledged message |
//! | `xu`, contact | the clock of its last contact update |
//! | `xt`, id of a message | a transaction command: its peer and its state |
//! | `xp` | when the contact code was last published |
//! | `xs`, … | rows of data sync |
//! | `xi`, `xj`, `xo`, … | messages that are not handled yet: see `kept.rs` |

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::pending::Pending;
use crate::{
    crypto::{PublicKey, keccak256},
    envelope::SymKey,
    payload::{
        MessageId,
        group::{Group, GroupEvent},
        matching::Chat,
        transaction::{CommandState, StoredCommand},
    },
    secure::{
        CompressedKey,
        store::{
            Record, Store, StoreError,
            codec::{Reader, Writer},
        },
    },
    sync::SyncMessageId,
    time::UnixMillis,
};

const CHATS: &[u8] = b"xc";
const GROUPS: &[u8] = b"xg";
const SEEN: &[u8] = b"xm";
const KEYS: &[u8] = b"xn";
pub(super) const TOPICS: &[u8] = b"xk";
const TALKING: &[u8] = b"xv";
const AWAITED: &[u8] = b"xa";
const UPDATED: &[u8] = b"xu";
const COMMANDS: &[u8] = b"xt";
const PUBLISHED: &[u8] = b"xp";

/// The number of buckets for message ids. A secret hash selects the bucket: an attacker who could
/// aim at one could push out the ids in it.
const BUCKETS: u16 = 4096;
/// The number of ids per bucket. The oldest are dropped.
const BUCKET: usize = 32;

/// All chats.
pub(super) type KnownChats = BTreeMap<Chat, KnownChat>;

/// The state of a chat.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KnownChat {
    /// Its last clock.
    pub clock: u64,
    /// Whether we wrote to it, or created or joined it.
    pub ours: bool,
}

fn from_text(prefix: &[u8], text: &str) -> Vec<u8> {
    [prefix, &keccak256(text.as_bytes())].concat()
}

fn from_key(prefix: &[u8], key: &CompressedKey) -> Vec<u8> {
    [prefix, key.as_bytes()].concat()
}

fn number(value: u64) -> Record {
    Zeroizing::new(value.to_be_bytes().to_vec())
}

fn read_number(what: &'static str, record: &[u8]) -> Result<u64, StoreError> {
    record.try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Corrupt { what })
}

impl<S: Store> Pending<S> {
    fn seen_key(&self, id: &[u8; 32]) -> Vec<u8> {
        let hash = self.secret_hash(&[b"seen", id]);
        let bucket = u16::from_be_bytes([hash[0], hash[1]]) % BUCKETS;
        [SEEN, &bucket.to_be_bytes()].concat()
    }

    pub fn load_chats(&self) -> Result<KnownChats, StoreError> {
        let mut chats = KnownChats::new();
        self.scan(CHATS, &mut |_, record| {
            let mut reader = Reader::new("chat", record);
            let (kind, id) = (reader.u8()?, reader.text()?.to_owned());
            let known = KnownChat { clock: reader.u64()?, ours: reader.flag()? };
            let chat = match kind {
                0 => Chat::Public(id),
                1 => Chat::OneToOne(id.parse().map_err(|_| reader.corrupt())?),
                2 => Chat::Group(id),
                _ => return Err(reader.corrupt()),
            };
            reader.finish()?;
            chats.insert(chat, known);
            Ok(())
        })?;
        Ok(chats)
    }

    pub fn put_chat(&mut self, chat: &Chat, known: KnownChat) {
        let mut writer = Writer::default();
        writer.u8(match chat {
            Chat::Public(_) => 0,
            Chat::OneToOne(_) => 1,
            Chat::Group(_) => 2,
        });
        let id = chat.id();
        writer.bytes(id.as_bytes());
        writer.u64(known.clock);
        writer.flag(known.ours);
        self.put(from_text(CHATS, &id), writer.finish());
    }

    /// Deletes a chat created by strangers.
    pub fn delete_strangers(&mut self, chat: &Chat) {
        self.delete(from_text(CHATS, &chat.id()));
        match chat {
            Chat::OneToOne(key) => self.delete(from_key(UPDATED, &key.into())),
            Chat::Group(id) => self.delete(from_text(GROUPS, id)),
            Chat::Public(_) => {}
        }
    }

    pub fn group(&self, chat_id: &str) -> Result<Option<Group>, StoreError> {
        let Some(record) = self.get(&from_text(GROUPS, chat_id))? else { return Ok(None) };
        let mut reader = Reader::new("group", &record);
        let mut events = Vec::new();
        for _ in 0..reader.u32()? {
            let event = GroupEvent::decode(chat_id, reader.bytes()?);
            events.push(event.map_err(|_| reader.corrupt())?);
        }
        let group = Group::build(chat_id, events).map_err(|_| reader.corrupt())?;
        reader.finish()?;
        Ok(Some(group))
    }

    pub fn put_group(&mut self, group: &Group) {
        let mut writer = Writer::default();
        writer.u32(group.events().len() as u32);
        group.events().iter().for_each(|event| writer.bytes(event.raw()));
        self.put(from_text(GROUPS, group.chat_id()), writer.finish());
    }

    /// Returns whether a message id or the hash of an envelope's payload is known.
    pub fn has_seen(&self, id: &[u8; 32]) -> Result<bool, StoreError> {
        let ids = self.get(&self.seen_key(id))?.unwrap_or_default();
        Ok(ids.as_chunks::<32>().0.contains(id))
    }

    /// Stores a message id or a hash. Returns whether it is new.
    pub fn see(&mut self, id: &[u8; 32]) -> Result<bool, StoreError> {
        let key = self.seen_key(id);
        let mut ids = self.get(&key)?.unwrap_or_default();
        if ids.as_chunks::<32>().0.contains(id) {
            return Ok(false);
        }
        let full = BUCKET * 32;
        if ids.len() >= full {
            let from = ids.len() - full + 32;
            ids.drain(..from);
        }
        ids.extend_from_slice(id);
        self.put(key, ids);
        Ok(true)
    }

    /// Returns the symmetric key of a topic's name. Derives it once.
    pub fn key_of_name(&mut self, name: &str) -> Result<SymKey, StoreError> {
        let place = from_text(KEYS, name);
        let Some(record) = self.get(&place)? else {
            let key = SymKey::from_password(name);
            self.put(place, Zeroizing::new(key.as_bytes().to_vec()));
            return Ok(key);
        };
        let bytes = record.as_slice().try_into().ok().map(Zeroizing::new);
        let key = bytes.and_then(|bytes| SymKey::from_bytes(*bytes));
        key.ok_or(StoreError::Corrupt { what: "key of a topic" })
    }

    /// Returns the symmetric key of a negotiated topic. It is deleted with the identity.
    pub fn key_of_negotiated(
        &mut self,
        identity: &CompressedKey,
        name: &str,
    ) -> Result<SymKey, StoreError> {
        let place = from_key(TOPICS, identity);
        if self.get(&place)?.is_none() {
            self.put(place, Zeroizing::new(keccak256(name.as_bytes()).to_vec()));
        }
        self.key_of_name(name)
    }

    /// Deletes the negotiated topic of an identity.
    pub fn forget_topic(&mut self, identity: &CompressedKey) -> Result<(), StoreError> {
        let place = from_key(TOPICS, identity);
        if let Some(hash) = self.get(&place)? {
            self.delete([KEYS, &hash].concat());
            self.delete(place);
        }
        Ok(())
    }

    /// Returns whether correspondents are known to the device, which earlier releases did not do.
    pub fn is_talking(&self) -> Result<bool, StoreError> {
        Ok(self.get(TALKING)?.is_some())
    }

    pub fn set_talking(&mut self) {
        self.put(TALKING.to_vec(), Zeroizing::new(vec![1]));
    }

    pub fn put_awaited(&mut self, id: &SyncMessageId, message: &MessageId) {
        self.put([AWAITED, &id.0].concat(), Zeroizing::new(message.0.to_vec()));
    }

    /// Removes and returns the message id of an unacknowledged message in data sync.
    pub fn take_awaited(&mut self, id: &SyncMessageId) -> Result<Option<MessageId>, StoreError> {
        let key = [AWAITED, &id.0].concat();
        let Some(record) = self.get(&key)? else { return Ok(None) };
        self.delete(key);
        Ok(record.as_slice().try_into().ok().map(MessageId))
    }

    /// Returns the clock of a contact's last update, 0 if there was none.
    pub fn updated(&self, contact: &PublicKey) -> Result<u64, StoreError> {
        let record = self.get(&from_key(UPDATED, &contact.into()))?;
        record.map_or(Ok(0), |record| read_number("contact", &record))
    }

    pub fn put_updated(&mut self, contact: &PublicKey, clock: u64) {
        self.put(from_key(UPDATED, &contact.into()), number(clock));
    }

    /// Returns a transaction command that was sent or received.
    pub fn command(&self, id: &MessageId) -> Result<Option<StoredCommand>, StoreError> {
        let Some(record) = self.get(&[COMMANDS, &id.0].concat())? else { return Ok(None) };
        let mut reader = Reader::new("command", &record);
        let peer = reader.text()?.parse().map_err(|_| reader.corrupt())?;
        let is_ours = reader.flag()?;
        let state =
            CommandState::from_number(reader.u8()?.into()).ok_or_else(|| reader.corrupt())?;
        reader.finish()?;
        Ok(Some(StoredCommand { peer, is_ours, state }))
    }

    pub fn put_command(&mut self, id: &MessageId, command: &StoredCommand) {
        let mut writer = Writer::default();
        writer.bytes(command.peer.to_string().as_bytes());
        writer.flag(command.is_ours);
        writer.u8(command.state as u8);
        self.put([COMMANDS, &id.0].concat(), writer.finish());
    }

    /// Returns when the contact code was last published.
    pub fn published(&self) -> Result<Option<UnixMillis>, StoreError> {
        let record = self.get(PUBLISHED)?;
        record
            .map(|record| read_number("time of the contact code", &record).map(UnixMillis))
            .transpose()
    }

    pub fn put_published(&mut self, now: UnixMillis) {
        self.put(PUBLISHED.to_vec(), number(now.0));
    }
}
