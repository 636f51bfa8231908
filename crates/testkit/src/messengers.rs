//! Messengers of several users, on a network that the test controls packet by packet.
//!
//! [`Messengers`] keeps every packet until the test delivers, repeats or loses it. What a device
//! shows to its user is recorded in [`Device`].

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::rngs::ChaCha20Rng;
use statuskit_core::{
    chat::messenger::{ChatError, Incoming, Messenger, MessengerEvent, Post, PostKey},
    crypto::{PublicKey, SecretKey},
    envelope::{Topic, topic},
    payload::{MessageId, matching::Chat},
    secure::{
        EncryptionKind, MemoryStore, Store, StoreError,
        store::{Changes, Record, Visit},
    },
    time::{UnixMillis, UnixSeconds},
};

use crate::World;

/// The stream that all messengers draw from.
const RNG: &str = "messengers";
const MEMORY: &str = "the memory store works";

/// A store that outlives its messenger, and whose next commit can be made to fail.
#[derive(Debug, Clone, Default)]
pub struct SharedStore(Rc<RefCell<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    store: MemoryStore,
    fails: bool,
}

/// Symmetric keys of topics, by the hash of the topic's name. They are the same everywhere, and
/// deriving them would take most of a test's time.
static TOPIC_KEYS: Mutex<BTreeMap<Vec<u8>, Record>> = Mutex::new(BTreeMap::new());
const TOPIC_KEY: &[u8] = b"xn";

impl SharedStore {
    /// Returns a store of its own with the same content.
    fn fork(&self) -> Self {
        let store = self.0.borrow().store.clone();
        Self(Rc::new(RefCell::new(Inner { store, fails: false })))
    }

    /// Sets whether the next commit fails, as on a full disk.
    pub fn set_failing(&self, fails: bool) {
        self.0.borrow_mut().fails = fails;
    }
}

impl Store for SharedStore {
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        if key.starts_with(TOPIC_KEY) {
            return Ok(topic_keys().get(key).cloned());
        }
        self.0.borrow().store.get(key)
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let mut inner = self.0.borrow_mut();
        if std::mem::take(&mut inner.fails) {
            return Err(StoreError::Aborted);
        }
        for (key, record) in changes.iter().filter(|(key, _)| key.starts_with(TOPIC_KEY)) {
            if let Some(record) = record {
                topic_keys().insert(key.to_vec(), record.clone());
            }
        }
        inner.store.commit(changes)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.0.borrow().store.scan(prefix, visit)
    }
}

fn topic_keys() -> MutexGuard<'static, BTreeMap<Vec<u8>, Record>> {
    TOPIC_KEYS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A text that a device has shown to its user.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The message.
    pub id: MessageId,
    /// Its text.
    pub text: String,
    /// The chat it belongs to.
    pub chat: Option<Chat>,
    /// How it was encrypted; `None` in public chats.
    pub how: Option<EncryptionKind>,
    /// Whether it came through data sync.
    pub synced: bool,
}

/// A device: a messenger, and what it has received.
#[derive(Debug)]
pub struct Device {
    /// The user's identity.
    pub identity: SecretKey,
    /// The user's public key.
    pub me: PublicKey,
    /// The messenger under test.
    pub messenger: Messenger<SharedStore>,
    /// Its store.
    pub store: SharedStore,
    listening: BTreeMap<Topic, Option<[u8; 32]>>,
    /// Texts that belong to a chat, in the order of arrival.
    pub shown: Vec<Shown>,
    /// The kinds of all accepted payloads.
    pub payloads: Vec<String>,
    /// The clocks of accepted chat messages.
    pub clocks: Vec<u64>,
    /// The codes of what could not be read.
    pub unread: Vec<String>,
    /// Messages of this device that were acknowledged.
    pub acknowledged: Vec<MessageId>,
}

/// A packet on its way to a device.
#[derive(Debug, Clone)]
struct Packet {
    from: PublicKey,
    to: usize,
    sent: UnixSeconds,
    payload: Rc<Vec<u8>>,
}

/// Devices, and the packets between them.
#[derive(Debug)]
pub struct Messengers {
    /// The clock and the randomness of all devices.
    pub world: World,
    /// The devices, numbered as the methods number them.
    pub devices: Vec<Device>,
    packets: Vec<Packet>,
}

/// Returns the partitioned topic of a key.
pub fn partitioned(key: &PublicKey) -> Topic {
    Topic::from_name(&topic::partitioned_name(key))
}

impl Messengers {
    /// Creates a user with one device for each name.
    pub fn new(world: World, users: &[&str]) -> Self {
        let mut this = Self { world, devices: Vec::new(), packets: Vec::new() };
        for name in users {
            let identity = SecretKey::generate(this.world.rng(name));
            this.add(identity);
        }
        this
    }

    /// Returns a copy that goes on by itself, with restarted devices and randomness of this name.
    #[must_use]
    pub fn branch(&self, name: &str) -> Self {
        let mut world = self.world.branch(name);
        let devices = self.devices.iter().map(|device| {
            let store = device.store.fork();
            Device {
                identity: device.identity.clone(),
                me: device.me,
                messenger: open(&store, &device.identity, &mut world),
                store,
                listening: device.listening.clone(),
                shown: device.shown.clone(),
                payloads: device.payloads.clone(),
                clocks: device.clocks.clone(),
                unread: device.unread.clone(),
                acknowledged: device.acknowledged.clone(),
            }
        });
        let devices = devices.collect();
        Self { world, devices, packets: self.packets.clone() }
    }

    /// Adds a device of the same user as another device.
    pub fn add_device(&mut self, of: usize) -> usize {
        let identity = self.devices[of].identity.clone();
        self.add(identity)
    }

    fn add(&mut self, identity: SecretKey) -> usize {
        let store = SharedStore::default();
        let messenger = open(&store, &identity, &mut self.world);
        let me = identity.public_key();
        self.devices.push(Device {
            identity,
            me,
            messenger,
            store,
            listening: BTreeMap::new(),
            shown: Vec::new(),
            payloads: Vec::new(),
            clocks: Vec::new(),
            unread: Vec::new(),
            acknowledged: Vec::new(),
        });
        let at = self.devices.len() - 1;
        self.listen(at);
        at
    }

    fn listen(&mut self, at: usize) {
        let device = &mut self.devices[at];
        for it in device.messenger.subscriptions().expect(MEMORY) {
            device.listening.insert(it.topic, it.key.map(|key| *key.as_bytes()));
        }
    }

    /// Updates the topics that every device listens on.
    pub fn listen_all(&mut self) {
        (0..self.devices.len()).for_each(|at| self.listen(at));
    }

    /// Makes a device listen to another user's contact codes.
    pub fn look_at(&mut self, who: usize, other: usize) {
        let other = self.devices[other].me;
        let device = &mut self.devices[who];
        let it = device.messenger.contact_code(&other).expect(MEMORY);
        device.listening.insert(it.topic, it.key.map(|key| *key.as_bytes()));
    }

    /// Runs something on a device's messenger, with the time in milliseconds.
    ///
    /// # Errors
    /// As `run`.
    pub fn with<T>(
        &mut self,
        who: usize,
        run: impl FnOnce(
            &mut Messenger<SharedStore>,
            UnixMillis,
            &mut ChaCha20Rng,
        ) -> Result<T, ChatError>,
    ) -> Result<T, ChatError> {
        let now = self.world.now_ms();
        run(&mut self.devices[who].messenger, now, self.world.rng(RNG))
    }

    /// Sends a packet to every other device that listens and has the key.
    pub fn post(&mut self, from: usize, post: Post) {
        let device = &mut self.devices[from];
        let sender = device.me;
        if let Some(it) = post.answer {
            device.listening.insert(it.topic, it.key.map(|key| *key.as_bytes()));
        }
        let payload = Rc::new(post.payload);
        for (to, device) in self.devices.iter().enumerate() {
            let opens = match (&post.key, device.listening.get(&post.topic)) {
                (_, None) => false,
                (PostKey::Sym(key), Some(known)) => *known == Some(*key.as_bytes()),
                (PostKey::Asym(key), Some(_)) => *key == device.me,
            };
            if opens && to != from {
                let (sent, payload) = (self.world.now_secs(), payload.clone());
                self.packets.push(Packet { from: sender, to, sent, payload });
            }
        }
    }

    /// Runs a device's tick, and sends what it returns.
    pub fn tick(&mut self, who: usize) {
        // After a failed commit there is nothing to send.
        let Ok(ticked) = self.with(who, |it, now, rng| it.tick(now, rng)) else {
            return;
        };
        assert!(ticked.given_up.is_empty());
        ticked.posts.into_iter().for_each(|post| self.post(who, post));
    }

    /// Delivers one of the packets. It stays in flight if it is to arrive `again`.
    pub fn deliver(&mut self, which: usize, again: bool) {
        if self.packets.is_empty() {
            return;
        }
        let at = which % self.packets.len();
        let packet = self.packets.remove(at);
        let Packet { from, to, sent, payload } = &packet;
        let incoming = Incoming { signer: Some(from), sent: *sent, payload };
        let now = self.world.now_ms();
        let done = self.devices[*to].messenger.receive(&incoming, now, self.world.rng(RNG));
        match done {
            Ok(outcome) => {
                self.note(*to, outcome.events);
                outcome.posts.into_iter().for_each(|post| self.post(packet.to, post));
                if again {
                    self.packets.push(packet);
                }
            }
            // A failed commit: the packet arrives again later.
            Err(_) => self.packets.push(packet),
        }
    }

    /// Loses one of the packets.
    pub fn lose(&mut self, which: usize) {
        if !self.packets.is_empty() {
            let at = which % self.packets.len();
            self.packets.swap_remove(at);
        }
    }

    /// Delivers all packets, those of a device in one transaction.
    pub fn deliver_together(&mut self) {
        for to in 0..self.devices.len() {
            let (mine, rest): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.packets).into_iter().partition(|it| it.to == to);
            self.packets = rest;
            let incoming: Vec<_> = mine
                .iter()
                .map(|it| Incoming { signer: Some(&it.from), sent: it.sent, payload: &it.payload })
                .collect();
            let now = self.world.now_ms();
            let messenger = &mut self.devices[to].messenger;
            let done = messenger.receive_all(&incoming, now, self.world.rng(RNG));
            match done {
                Ok(outcomes) => {
                    for outcome in outcomes {
                        self.note(to, outcome.events);
                        outcome.posts.into_iter().for_each(|post| self.post(to, post));
                    }
                }
                Err(_) => self.packets.extend(mine),
            }
        }
    }

    /// Delivers packets until none is in flight.
    pub fn deliver_all(&mut self) {
        while !self.packets.is_empty() {
            self.deliver(0, false);
        }
    }

    /// Delivers a payload as an envelope with this signer.
    ///
    /// # Panics
    /// If the commit fails.
    pub fn feed(
        &mut self,
        to: usize,
        signer: Option<&PublicKey>,
        payload: &[u8],
    ) -> Vec<MessengerEvent> {
        let incoming = Incoming { signer, sent: self.world.now_secs(), payload };
        let now = self.world.now_ms();
        let device = &mut self.devices[to];
        let outcome = device.messenger.receive(&incoming, now, self.world.rng(RNG));
        let outcome = outcome.expect(MEMORY);
        for event in &outcome.events {
            show(device, event);
        }
        outcome.events
    }

    fn note(&mut self, to: usize, events: Vec<MessengerEvent>) {
        let device = &mut self.devices[to];
        for event in &events {
            show(device, event);
        }
    }

    /// Restarts a device from its store.
    pub fn restart(&mut self, who: usize) {
        let device = &mut self.devices[who];
        let before = device.messenger.installation().clone();
        device.messenger = open(&device.store, &device.identity, &mut self.world);
        assert_eq!(*device.messenger.installation(), before);
        self.listen(who);
    }

    /// Lets the commits of all devices succeed again.
    pub fn heal(&mut self) {
        self.devices.iter().for_each(|device| device.store.set_failing(false));
    }

    /// Returns all shown texts with the number of their device, sorted.
    pub fn shown(&self) -> Vec<(usize, String)> {
        let of = |(at, device): (usize, &Device)| {
            device.shown.iter().map(move |it| (at, it.text.clone())).collect::<Vec<_>>()
        };
        let mut shown: Vec<_> = self.devices.iter().enumerate().flat_map(of).collect();
        shown.sort();
        shown
    }

    /// Lets time pass until no device has anything left to send.
    ///
    /// # Panics
    /// If this does not end.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            self.listen_all();
            self.deliver_all();
            let busy = self.devices.iter_mut().any(|it| !it.messenger.is_idle().expect(MEMORY));
            if !busy {
                return;
            }
            self.world.advance(Duration::from_secs(20));
            (0..self.devices.len()).for_each(|who| self.tick(who));
        }
        panic!("it never ends");
    }
}

fn open(store: &SharedStore, identity: &SecretKey, world: &mut World) -> Messenger<SharedStore> {
    Messenger::open(store.clone(), identity.clone(), None, world.rng(RNG)).expect(MEMORY)
}

fn show(device: &mut Device, event: &MessengerEvent) {
    match event {
        MessengerEvent::Message(received) => {
            device.payloads.push(received.wrapper.kind_name());
            device.clocks.extend(received.chat_message().map(|message| message.clock));
            if let (Some(text), true) = (received.text(), received.chat.is_some()) {
                device.shown.push(Shown {
                    id: received.id,
                    text: text.to_owned(),
                    chat: received.chat.clone(),
                    how: received.layers.secure.clone(),
                    synced: received.layers.sync.is_some(),
                });
            }
        }
        MessengerEvent::Unread { reason, .. } => device.unread.push(reason.code().to_owned()),
        MessengerEvent::Acknowledged { ids, .. } => {
            device.acknowledged.extend(ids.iter().filter_map(|(_, id)| *id));
        }
        MessengerEvent::Subscribe(it) => {
            device.listening.insert(it.topic, it.key.clone().map(|key| *key.as_bytes()));
        }
        _ => {}
    }
}
