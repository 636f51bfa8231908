//! A messenger: one identity on one device, with all its conversations.
//!
//! It puts the layers together and knows no network: opened Whisper messages go in
//! ([`Incoming`]), [`MessengerEvent`]s and [`Post`]s come out. Sending goes through
//!
//! | layer | one-to-one, groups, own devices | public chats | contact codes | pairing |
//! | --- | --- | --- | --- | --- |
//! | payload with wrapper | yes | yes | - | yes |
//! | data sync | if it is on | - | - | - |
//! | secure transport | sessions, else to the identity | - | bundle only | to the identity |
//! | topic and key | negotiated if agreed, else partitioned | the name's | the code's | partitioned |
//!
//! and receiving through the same in the other order, where the content decides, never the topic:
//! what is no protocol message, or carries nothing, may be a wrapper by itself, and what was
//! decrypted may be data sync or not.
//!
//! What comes from strangers is bounded: see [`MAX_CHATS`], and [`MAX_STRANGERS`] for what the device
//! and data sync keep of each of them.
//!
//! Each call is one transaction: ratchet, data sync, clocks and groups are durable together when
//! it returns, and nothing has changed when it fails. [`Messenger::receive_all`] makes one of all
//! messages that came together. Time and randomness are arguments.
//!
//! ```
//! use statuskit_core::{
//!     chat::messenger::{MessengerEvent, Incoming, Messenger},
//!     crypto::{SecretKey, seeded_rng},
//!     payload::matching::Chat,
//!     secure::MemoryStore,
//! };
//!
//! let (mut rng, now) = (seeded_rng("docs"), 1_585_500_000_000);
//! let [alice_key, bob_key] = [(); 2].map(|()| SecretKey::generate(&mut rng));
//! let (alice_id, bob_id) = (alice_key.public_key(), bob_key.public_key());
//! let mut alice = Messenger::open(MemoryStore::new(), alice_key, None, &mut rng)?;
//! let mut bob = Messenger::open(MemoryStore::new(), bob_key, None, &mut rng)?;
//!
//! alice.send_text(&Chat::OneToOne(bob_id), "hi", now, &mut rng)?;
//! for post in alice.tick(now, &mut rng)?.posts {
//!     let sent = (now / 1000) as u32;
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
//! (status-go v0.50.2). In this it differs: a repeated message of data sync is acknowledged again,
//! nothing empty is sent, a sender that does not know this device is told of it, a contact
//! update from the far future does not move the clock of its chat, and when the contact code was
//! published is remembered across restarts, since tools start more often than apps: there it is
//! published after each start.

mod event;
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
};
pub use event::{
    GiveUp, GivenUp, Incoming, Layers, MessengerEvent, Outcome, Oversized, Post, PostKey, PostKind,
    ReceivedPayload, Sent, Subscription, Ticked, TopicKind, UnreadReason,
};
pub use send::without_state;

/// How many chats there may be before a new one that a stranger makes takes the place of another
/// stranger's. Chats that we have written to stay, and groups that we have joined or made; if there
/// are only these, no more are made.
pub const MAX_CHATS: usize = 10_000;

/// What a messenger can't do.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The device or its store.
    #[error(transparent)]
    Secure(#[from] SecureError),
    /// Data sync.
    #[error(transparent)]
    Sync(SyncError<StoreError>),
    /// A change of a group.
    #[error(transparent)]
    Group(#[from] ChangeError),
    /// The others would refuse the message.
    #[error("clients refuse this message: {0}")]
    Rejected(Rejection),
    /// A group that we have never heard of.
    #[error("the group {0:?} is not known here")]
    UnknownGroup(String),
    /// One has to join a group before one writes.
    #[error("we have not joined this group")]
    NotJoined,
    /// In groups there is text only.
    #[error("a payload of type {0} can't be sent to a group")]
    NotForGroups(i32),
    /// No envelope could carry it.
    #[error(transparent)]
    Oversized(#[from] Oversized),
}

impl ChatError {
    /// The stable code of this error, as the tools print it.
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
    /// That of the last tick, which the store does not know if there was nothing to send.
    last_epoch: u64,
}

/// What is held in memory of the store; read again after a failure.
struct Memory {
    chats: KnownChats,
    live: Live,
    /// Groups that were used last, since it takes time to recover who signed their events.
    groups: Vec<Arc<Group>>,
}

/// How many groups are held in memory.
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
    /// Opens what a store holds, or begins anew in an empty one. Without an installation id the
    /// stored one is used, or a new one made.
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
        };
        messenger.atomically(Self::keep_correspondents)?;
        Ok(messenger)
    }

    /// Whether messages are repeated until they are acknowledged, as in the app; at first they
    /// are. What comes is understood and acknowledged in either case. Not stored.
    pub fn set_data_sync(&mut self, on: bool) {
        self.data_sync = on;
    }

    /// Changes how many strangers are remembered: see [`Device::set_max_strangers`]. Not stored.
    pub fn set_max_strangers(&mut self, most: u64) {
        self.device.set_max_strangers(most);
    }

    /// Our public key.
    pub fn me(&self) -> &PublicKey {
        &self.me
    }

    /// Our private key.
    pub fn identity(&self) -> &SecretKey {
        &self.identity
    }

    /// The id of this installation.
    pub fn installation(&self) -> &InstallationId {
        self.device.installation()
    }

    /// Takes messages of a public chat from now on. Not stored.
    pub fn join_public(&mut self, name: &str) {
        self.public_chats.insert(name.to_owned());
    }

    /// Gives the store back.
    pub fn into_store(self) -> S {
        self.device.into_store().into_inner()
    }

    /// All chats that messages came from or went to.
    pub fn chats(&mut self) -> Result<Vec<Chat>> {
        self.atomically(|it| Ok(it.memory()?.chats.keys().cloned().collect()))
    }

    /// A group.
    pub fn group(&mut self, chat_id: &str) -> Result<Option<Group>> {
        self.atomically(|it| Ok(it.stored_group(chat_id)?.map(Arc::unwrap_or_clone)))
    }

    /// The installations of somebody, or of our own.
    pub fn installations(&mut self, identity: &PublicKey) -> Result<Vec<Installation>> {
        Ok(self.device.installations(identity)?)
    }

    /// Enables or disables an installation: messages go to those that are enabled. Whether it is
    /// known.
    pub fn set_enabled(
        &mut self,
        identity: &PublicKey,
        installation: &InstallationId,
        enabled: bool,
    ) -> Result<bool> {
        self.atomically(|it| Ok(it.device.set_enabled(identity, installation, enabled)?))
    }

    /// How many messages wait for their acknowledgement by `peer`.
    pub fn waiting(&mut self, peer: &PublicKey) -> Result<u64> {
        let peer = *peer;
        self.atomically(|it| Ok(it.sync()?.waiting(&peer)?))
    }

    /// Whether there is nothing to send, now or later: then no tick is needed.
    pub fn is_idle(&mut self) -> Result<bool> {
        self.atomically(|it| Ok(it.memory()?.live.is_empty()))
    }

    /// Runs something that is written as a whole, or not at all.
    fn atomically<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let done = run(self).and_then(|value| {
            self.clear_forgotten()?;
            self.store().write()?;
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

    /// A group as it is kept.
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

    /// Keeps the new state of a group; `ours` if we make or change it. It is ours, too, once we
    /// have joined it.
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

    /// Everyone we talk with is no stranger to the device. To be done once, since earlier releases
    /// did not.
    fn keep_correspondents(&mut self) -> Result<()> {
        if !self.store().is_talking()? {
            let all = self.correspondents()?;
            self.device.transaction(|work| all.iter().try_for_each(|it| work.mark_known(it)))?;
            self.store().set_talking();
        }
        Ok(())
    }

    /// Forgets what is kept of those whom the device has forgotten.
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

    /// The last clock of a chat, from which the next is made. One that is so far ahead that nobody
    /// would take the next counts for nothing, and is forgotten: not all clocks that come are
    /// checked, and one of them must not silence us.
    fn clock(&mut self, chat: &Chat, now_ms: u64) -> Result<u64> {
        let (store, memory) = self.parts()?;
        let Some(known) = memory.chats.get_mut(chat) else { return Ok(0) };
        let sent_ms = now_ms / 1000 * 1000;
        if clock::is_ahead(known.clock.saturating_add(1), sent_ms) {
            known.clock = 0;
            store.put_chat(chat, *known);
        }
        Ok(known.clock)
    }

    /// Makes a chat if it is new, and moves its clock forward; `ours` if we write to it.
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

    /// Whether there is room for one more chat, which somebody else makes. Where there is none, a
    /// one-to-one chat of a stranger goes, or a group that strangers have put us into; nobody can
    /// aim at one, or keep his own by its age.
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

/// The public key of an identity that is known by its 33 bytes.
fn point(identity: &CompressedKey) -> Option<PublicKey> {
    identity.point().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crypto::seeded_rng, payload::group::Change, secure::MemoryStore};

    #[test]
    fn a_new_chat_takes_the_place_of_a_strangers_and_never_of_ours() {
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
        // Two groups that somebody has put us into; we have joined one of them.
        let groups = [1, 2].map(|byte| {
            let id = crate::account::Uuid::from_bytes([byte; 16]);
            Group::create(id, "group", &[me], &maker, 5).unwrap().group
        });
        let joined = groups[1].change(Change::Join, &messenger.identity, 0, 9).unwrap().group;
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
        // With a chat goes what it holds.
        let first = groups[0].chat_id();
        let is_there = stored.contains_key(&Chat::Group(first.to_owned()));
        assert_eq!(messenger.group(first).unwrap().is_some(), is_there);
        assert!(messenger.group(joined).unwrap().is_some());
        // Nobody left who could go.
        for known in messenger.memory().unwrap().chats.values_mut() {
            known.ours = true;
        }
        assert!(!messenger.make_room(&chat(&maker)).unwrap());
        assert!(messenger.make_room(&chat(&friend)).unwrap());
    }
}
