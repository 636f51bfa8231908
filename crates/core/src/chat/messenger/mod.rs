//! A messenger: one identity on one device, with all its conversations.
//!
//! It joins the layers and knows no network: opened Whisper messages go in ([`Incoming`]),
//! [`MessengerEvent`]s and [`Post`]s come out. A message to send passes these layers:
//!
//! | layer | one-to-one, groups, own devices | public chats | contact codes | pairing |
//! | --- | --- | --- | --- | --- |
//! | payload with wrapper | yes | yes | - | yes |
//! | data sync | if it is on | - | - | - |
//! | secure transport | sessions, else to the identity | - | bundle only | to the identity |
//! | topic and key | negotiated if agreed, else partitioned | the name's | the code's | partitioned |
//!
//! A received one passes them in the other direction. The content decides, never the topic: what is
//! no protocol message, or an empty one, may be a wrapper by itself, and decrypted bytes may be data
//! sync or not.
//!
//! What strangers can make us store is bounded: see [`MAX_CHATS`], and [`MAX_STRANGERS`] for the
//! device and data sync.
//!
//! Each call is one transaction: ratchet, data sync, clocks and groups are durable together when it
//! returns, and nothing has changed if it fails. [`Messenger::receive_all`] handles many messages in
//! one. Time and randomness are arguments.
//!
//! ```
//! use statuskit_core::{
//!     chat::messenger::{Incoming, Messenger, MessengerEvent},
//!     crypto::{SecretKey, seeded_rng},
//!     payload::matching::Chat,
//!     secure::MemoryStore,
//!     time::UnixMillis,
//! };
//!
//! let (mut rng, now) = (seeded_rng("docs"), UnixMillis(1_585_500_000_000));
//! let [alice_key, bob_key] = [(); 2].map(|()| SecretKey::generate(&mut rng));
//! let (alice_id, bob_id) = (alice_key.public_key(), bob_key.public_key());
//! let mut alice = Messenger::open(MemoryStore::new(), alice_key, None, &mut rng)?;
//! let mut bob = Messenger::open(MemoryStore::new(), bob_key, None, &mut rng)?;
//!
//! alice.send_text(&Chat::OneToOne(bob_id), "hi", now, &mut rng)?;
//! for post in alice.tick(now, &mut rng)?.posts {
//!     let sent = now.to_seconds();
//!     let incoming = Incoming { signer: Some(&alice_id), sent, payload: &post.payload };
//!     for event in bob.receive(&incoming, now, &mut rng)?.events {
//!         if let MessengerEvent::Message(received) = event {
//!             assert_eq!(received.text(), Some("hi"));
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Source: Status, "Secure transport", "Payloads", "Client", with the behaviour of the reference
//! (status-go v0.50.2). It differs in this:
//!
//! - a repeated message of data sync is acknowledged again;
//! - nothing empty is sent;
//! - a sender that does not know this device gets its bundle;
//! - a contact update from the far future does not advance the clock of its chat;
//! - the time of the last contact code is stored, since tools start more often than apps: the
//!   reference publishes one at each start.

mod event;
mod kept;
mod pending;
mod receive;
mod records;
mod rows;
mod send;
#[cfg(test)]
mod strangers;
mod topics;

use std::{collections::BTreeSet, fmt, sync::Arc};

use rand::CryptoRng;

use self::{
    pending::Pending,
    records::{KnownChat, KnownChats},
    rows::{Live, Rows},
};
pub use crate::secure::device::MAX_STRANGERS;
use crate::{
    account::InstallationId,
    crypto::{PublicKey, SecretKey},
    explain::Explanation,
    payload::{
        check::Rejection,
        clock,
        group::{ChangeError, Group},
        matching::Chat,
    },
    secure::{
        CompressedKey, Device, Installation, SecureError,
        device::PeerInfo,
        store::{Store, StoreError},
    },
    sync::{DataSync, SyncError},
    time::UnixMillis,
};
pub use event::{
    GiveUp, GivenUp, Incoming, Layers, MessengerEvent, Outcome, Oversized, Post, PostKey, PostKind,
    ReceivedPayload, Sent, Subscription, Ticked, TopicKind, UnreadReason,
};
pub use kept::{Kept, KeptMessages, Unreceived};
pub use send::without_state;

/// The number of chats above which a stranger's new chat replaces that of another stranger.
///
/// Chats that we have written to are kept, and groups that we have joined or created. If all are of
/// these kinds, strangers can make no more.
pub const MAX_CHATS: usize = 10_000;

/// Why a messenger failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The secure transport or the store failed.
    #[error(transparent)]
    Secure(#[from] SecureError),
    /// Data sync failed.
    #[error(transparent)]
    Sync(SyncError<StoreError>),
    /// The group can't be changed like this.
    #[error(transparent)]
    Group(#[from] ChangeError),
    /// Clients would refuse the message.
    #[error("clients refuse this message: {0}")]
    Rejected(Rejection),
    /// The group is unknown.
    #[error("the group {0:?} is not known here")]
    UnknownGroup(String),
    /// Only members that joined may write.
    #[error("we have not joined this group")]
    NotJoined,
    /// Groups take chat messages only.
    #[error("a payload of type {0} can't be sent to a group")]
    NotForGroups(i32),
    /// The message does not fit into an envelope.
    #[error(transparent)]
    Oversized(#[from] Oversized),
}

impl ChatError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Secure(error) => error.code(),
            Self::Sync(SyncError::Store(error)) => error.code(),
            Self::Sync(error) => error.code(),
            Self::Group(error) => error.code(),
            Self::Rejected(rejection) => rejection.code(),
            Self::UnknownGroup(_) => "chat.unknown_group",
            Self::NotJoined => "chat.we_not_joined",
            Self::NotForGroups(_) => "chat.not_for_groups",
            Self::Oversized(_) => "envelope.oversized",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "chat.unknown_group",
            rule: "A message for a group that one does not know is dropped.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The membership update was lost.",
        },
        Explanation {
            code: "chat.we_not_joined",
            rule: "Messages of a group are shown when one has joined it.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "status-group join.",
        },
        Explanation {
            code: "chat.not_for_groups",
            rule: "In a group, chat messages are sent inside membership updates; other payloads are not.",
            source: "Status, Payloads, Membership updates",
            causes: "Send it to each member with --to.",
        },
    ];
}

impl From<StoreError> for ChatError {
    fn from(error: StoreError) -> Self {
        Self::Secure(error.into())
    }
}

impl From<SyncError<StoreError>> for ChatError {
    fn from(error: SyncError<StoreError>) -> Self {
        Self::Sync(error)
    }
}

type Result<T> = std::result::Result<T, ChatError>;

/// One identity on one device. See the [module](self).
pub struct Messenger<S> {
    identity: SecretKey,
    me: PublicKey,
    device: Device<Pending<S>>,
    memory: Option<Memory>,
    public_chats: BTreeSet<String>,
    data_sync: bool,
    /// The epoch of the last tick, which is not stored if there was nothing to send.
    last_epoch: u64,
    /// What the groups in the envelope in hand have cost.
    work: usize,
    released: kept::Released,
}

/// What is cached of the store. Read again after a failure.
struct Memory {
    chats: KnownChats,
    live: Live,
    /// The groups used last, since recovering the authors of their events takes time.
    groups: Vec<Arc<Group>>,
}

/// What the groups in one envelope may cost before the rest of its messages has to come again, in
/// replayed events: about 50 ms.
const MAX_WORK: usize = 32 << 10;

/// The number of cached groups.
const MAX_GROUPS: usize = 8;

impl<S> fmt::Debug for Messenger<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messenger")
            .field("device", &self.device)
            .field("data_sync", &self.data_sync)
            .finish_non_exhaustive()
    }
}

impl<S: Store> Messenger<S> {
    /// Opens a store, or initialises an empty one. Without an installation id, uses the stored one
    /// or generates one.
    ///
    /// # Errors
    /// If the store fails, or belongs to another identity.
    pub fn open<R: CryptoRng + ?Sized>(
        store: S,
        identity: SecretKey,
        installation: Option<InstallationId>,
        rng: &mut R,
    ) -> Result<Self> {
        let me = identity.public_key();
        let store = Pending::new(store, &*identity.to_bytes());
        let device = Device::open(store, identity.clone(), installation, rng)?;
        let mut messenger = Self {
            identity,
            me,
            device,
            memory: None,
            public_chats: BTreeSet::new(),
            data_sync: true,
            last_epoch: 0,
            work: 0,
            released: kept::Released::default(),
        };
        messenger.atomically(Self::keep_correspondents)?;
        Ok(messenger)
    }

    /// Sets whether messages are repeated until they are acknowledged, as in the app. The default
    /// is `true`. Received messages are acknowledged in either case. Not stored.
    pub fn set_data_sync(&mut self, on: bool) {
        self.data_sync = on;
    }

    /// Sets the number of remembered strangers: see [`Device::set_max_strangers`]. Not stored.
    pub fn set_max_strangers(&mut self, most: u64) {
        self.device.set_max_strangers(most);
    }

    /// Returns our public key.
    pub fn me(&self) -> &PublicKey {
        &self.me
    }

    /// Returns our private key.
    pub fn identity(&self) -> &SecretKey {
        &self.identity
    }

    /// Returns the id of this installation.
    pub fn installation(&self) -> &InstallationId {
        self.device.installation()
    }

    /// Accepts messages of a public chat from now on. Not stored.
    pub fn join_public(&mut self, name: &str) {
        self.public_chats.insert(name.to_owned());
    }

    /// Returns the store.
    pub fn into_store(self) -> S {
        self.device.into_store().into_inner()
    }

    /// Returns all chats with messages.
    ///
    /// # Errors
    /// If the store fails.
    pub fn chats(&mut self) -> Result<Vec<Chat>> {
        self.atomically(|it| Ok(it.memory()?.chats.keys().cloned().collect()))
    }

    /// Returns a group by its chat id.
    ///
    /// # Errors
    /// If the store fails.
    pub fn group(&mut self, chat_id: &str) -> Result<Option<Group>> {
        self.atomically(|it| Ok(it.stored_group(chat_id)?.map(Arc::unwrap_or_clone)))
    }

    /// Returns the known installations of an identity, ours or another.
    ///
    /// # Errors
    /// If the store fails.
    pub fn installations(&mut self, identity: &PublicKey) -> Result<Vec<Installation>> {
        Ok(self.device.installations(identity)?)
    }

    /// Enables or disables an installation: messages are sent to enabled ones. Returns whether it
    /// is known.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_enabled(
        &mut self,
        identity: &PublicKey,
        installation: &InstallationId,
        enabled: bool,
    ) -> Result<bool> {
        self.atomically(|it| Ok(it.device.set_enabled(identity, installation, enabled)?))
    }

    /// Returns the number of messages that `peer` has not acknowledged.
    ///
    /// # Errors
    /// If the store fails.
    pub fn waiting(&mut self, peer: &PublicKey) -> Result<u64> {
        let peer = *peer;
        self.atomically(|it| Ok(it.sync()?.waiting(&peer)?))
    }

    /// Returns whether there is nothing to send, now or later. Then no tick is needed.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_idle(&mut self) -> Result<bool> {
        self.atomically(|it| Ok(it.memory()?.live.is_empty()))
    }

    /// Runs a transaction: it is written as a whole, or not at all.
    fn atomically<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let done = run(self).and_then(|value| {
            self.clear_forgotten()?;
            self.write_released();
            if self.store().is_changed() {
                self.store().write()?;
                self.has_written_released();
            }
            Ok(value)
        });
        if done.is_err() {
            self.store().discard();
            self.memory = None;
        }
        done
    }

    fn store(&mut self) -> &mut Pending<S> {
        self.device.store_mut()
    }

    fn memory(&mut self) -> Result<&mut Memory> {
        let (_, memory) = self.parts()?;
        Ok(memory)
    }

    fn parts(&mut self) -> Result<(&mut Pending<S>, &mut Memory)> {
        let store = self.device.store_mut();
        let memory = match self.memory.take() {
            Some(memory) => memory,
            None => {
                let (mut live, mut owners) = rows::load(store)?;
                owners.remove(&CompressedKey::from(&self.me));
                rows::forget_unknown(store, &mut live, owners)?;
                Memory { chats: store.load_chats()?, live, groups: Vec::new() }
            }
        };
        Ok((store, self.memory.insert(memory)))
    }

    /// Returns a group from the cache or the store.
    fn stored_group(&mut self, chat_id: &str) -> Result<Option<Arc<Group>>> {
        let (store, memory) = self.parts()?;
        if let Some(known) = memory.groups.iter().find(|it| it.chat_id() == chat_id) {
            return Ok(Some(known.clone()));
        }
        let group = store.group(chat_id)?.map(Arc::new);
        if let Some(group) = &group {
            memory.hold(group.clone());
        }
        Ok(group)
    }

    /// Stores a group. It is `ours` if we create or change it, or have joined it.
    fn keep_group(&mut self, group: Arc<Group>, ours: bool) -> Result<()> {
        let chat = Chat::Group(group.chat_id().to_owned());
        let clock = group.last_clock();
        let ours = ours || group.state().may_write(&self.me.to_string());
        if ours {
            let members = group.state().member_keys();
            self.device
                .transaction(|work| members.iter().try_for_each(|it| work.mark_known(it)))?;
        }
        let (store, memory) = self.parts()?;
        store.put_group(&group);
        memory.hold(group);
        self.touch(&chat, clock, ours)
    }

    fn sync(&mut self) -> Result<DataSync<Rows<'_, S>>> {
        let (store, memory) = self.parts()?;
        Ok(DataSync::new(Rows { store, live: &mut memory.live }))
    }

    /// Marks correspondents as known to the device. Done once per store, since earlier releases did
    /// not.
    fn keep_correspondents(&mut self) -> Result<()> {
        if !self.store().is_talking()? {
            let all = self.correspondents()?;
            self.device.transaction(|work| all.iter().try_for_each(|it| work.mark_known(it)))?;
            self.store().set_talking();
        }
        Ok(())
    }

    /// Deletes what is stored of identities that the device has forgotten.
    fn clear_forgotten(&mut self) -> Result<()> {
        while let Some(identity) = self.store().take_forgotten() {
            let (store, memory) = self.parts()?;
            rows::forget(store, &mut memory.live, &identity)?;
        }
        Ok(())
    }

    fn peers(&self) -> Result<Vec<PeerInfo>> {
        Ok(self.device.peers()?)
    }

    /// Returns the last clock of a chat, which the next one follows.
    ///
    /// Resets a clock so far ahead that others would refuse the next one. Not all received clocks
    /// are checked, and none of them must silence us.
    fn clock(&mut self, chat: &Chat, now: UnixMillis) -> Result<u64> {
        let (store, memory) = self.parts()?;
        let Some(known) = memory.chats.get_mut(chat) else { return Ok(0) };
        let sent = now.to_seconds().to_millis();
        if clock::is_ahead(known.clock.saturating_add(1), sent) {
            known.clock = 0;
            store.put_chat(chat, *known);
        }
        Ok(known.clock)
    }

    /// Creates a chat if it is new, and advances its clock. It is `ours` if we write to it.
    fn touch(&mut self, chat: &Chat, clock: u64, ours: bool) -> Result<()> {
        let (store, memory) = self.parts()?;
        let last = memory.chats.get(chat).copied();
        if last.is_some_and(|last| last.clock >= clock && (last.ours || !ours)) {
            return Ok(());
        }
        let last = last.unwrap_or_default();
        let clock = clock::after(last.clock, clock);
        let known = KnownChat { clock, ours: ours || last.ours };
        store.put_chat(chat, known);
        memory.chats.insert(chat.clone(), known);
        Ok(())
    }

    /// Makes room for a chat that a message to us creates. Returns whether there is any.
    ///
    /// Evicts a one-to-one chat of a stranger, or a group that strangers added us to. The choice
    /// can't be predicted or influenced, and does not depend on age.
    fn make_room(&mut self, chat: &Chat) -> Result<bool> {
        let (store, memory) = self.parts()?;
        if memory.chats.contains_key(chat) || memory.chats.len() < MAX_CHATS {
            return Ok(true);
        }
        let new = chat.id();
        let is_strangers = |chat: &Chat, known: &KnownChat| {
            matches!(chat, Chat::OneToOne(_) | Chat::Group(_)) && !known.ours
        };
        let strangers = memory.chats.iter().filter(|(chat, known)| is_strangers(chat, known));
        let place =
            |chat: &&Chat| store.secret_hash(&[b"room", new.as_bytes(), chat.id().as_bytes()]);
        let gone = strangers.map(|(chat, _)| chat).min_by_key(place);
        let Some(gone) = gone.cloned() else { return Ok(false) };
        store.delete_strangers(&gone);
        memory.chats.remove(&gone);
        memory.groups.retain(|group| group.chat_id() != gone.id());
        Ok(true)
    }
}

impl Memory {
    fn hold(&mut self, group: Arc<Group>) {
        self.groups.retain(|it| it.chat_id() != group.chat_id());
        self.groups.truncate(MAX_GROUPS - 1);
        self.groups.insert(0, group);
    }
}

/// Returns the public key of an identity given by its 33 bytes.
fn point(identity: &CompressedKey) -> Option<PublicKey> {
    identity.point().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crypto::seeded_rng, payload::group::Change, secure::MemoryStore};

    #[test]
    fn a_new_chat_evicts_a_strangers_chat_and_never_ours() {
        let mut rng = seeded_rng("chats");
        let mut key = || SecretKey::generate(&mut rng);
        let (friend, strangers, new) = (key(), [key(), key()], [key(), key(), key()]);
        let [identity, maker] = [key(), key()];
        let me = identity.public_key();
        let chat = |key: &SecretKey| Chat::OneToOne(key.public_key());
        let mut messenger = Messenger::open(MemoryStore::new(), identity, None, &mut rng).unwrap();
        messenger.touch(&chat(&friend), 1, true).unwrap();
        for stranger in &strangers {
            messenger.touch(&chat(stranger), 1, false).unwrap();
        }
        // Two groups that we were added to; we join one of them.
        let groups = [1, 2].map(|byte| {
            let id = crate::account::Uuid::from_bytes([byte; 16]);
            Group::create(id, "group", &[me], &maker, UnixMillis(5)).unwrap().group
        });
        let joined =
            groups[1].change(Change::Join, &messenger.identity, 0, UnixMillis(9)).unwrap().group;
        for group in [&groups[0], &joined] {
            messenger.keep_group(Arc::new(group.clone()), false).unwrap();
        }
        let memory = messenger.memory().unwrap();
        for number in memory.chats.len()..MAX_CHATS {
            let ours = KnownChat { ours: true, ..KnownChat::default() };
            memory.chats.insert(Chat::Group(number.to_string()), ours);
        }
        for chat in new.iter().map(chat) {
            assert!(messenger.make_room(&chat).unwrap());
            messenger.touch(&chat, 1, false).unwrap();
            assert_eq!(messenger.memory().unwrap().chats.len(), MAX_CHATS);
        }
        messenger.store().write().unwrap();
        let stored = messenger.store().load_chats().unwrap();
        assert_eq!(stored.len(), 5, "three strangers, the friend, and the group that we joined");
        let joined = joined.chat_id();
        for chat in [chat(&friend), Chat::Group(joined.to_owned())] {
            assert!(stored.contains_key(&chat), "{chat:?}");
        }
        // The group is evicted with its chat.
        let first = groups[0].chat_id();
        let is_there = stored.contains_key(&Chat::Group(first.to_owned()));
        assert_eq!(messenger.group(first).unwrap().is_some(), is_there);
        assert!(messenger.group(joined).unwrap().is_some());
        // No chat can be evicted.
        for known in messenger.memory().unwrap().chats.values_mut() {
            known.ours = true;
        }
        assert!(!messenger.make_room(&chat(&maker)).unwrap());
        assert!(messenger.make_room(&chat(&friend)).unwrap());
    }
}
