//! Devices and the network between them.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Mutex};

use rand::rngs::ChaCha20Rng;
use statuskit_core::{
    chat::messenger::{ChatError, Incoming, Messenger, MessengerEvent, Post, PostKey},
    crypto::{PublicKey, SecretKey, seeded_rng},
    envelope::{Topic, topic},
    payload::{matching::Chat, wrapper::MessageId},
    secure::{
        EncryptionKind, MemoryStore, Store, StoreError,
        store::{Changes, Record, Visit},
    },
};

/// A store that survives its messenger, and may fail once.
#[derive(Clone, Default)]
pub struct Shared(Rc<RefCell<(MemoryStore, bool)>>);

/// Symmetric keys of topics, by the hash of the topic's name: the same everywhere, and what takes
/// most of the time of a test.
static TOPIC_KEYS: Mutex<BTreeMap<Vec<u8>, Record>> = Mutex::new(BTreeMap::new());
const TOPIC_KEY: &[u8] = b"xn";

impl Store for Shared {
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        if key.starts_with(TOPIC_KEY) {
            return Ok(TOPIC_KEYS.lock().unwrap().get(key).cloned());
        }
        self.0.borrow().0.get(key)
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let mut inner = self.0.borrow_mut();
        if std::mem::take(&mut inner.1) {
            return Err(StoreError::Aborted);
        }
        let topic_keys = changes.iter().filter(|(key, _)| key.starts_with(TOPIC_KEY));
        for (key, record) in topic_keys {
            if let Some(record) = record {
                TOPIC_KEYS.lock().unwrap().insert(key.to_vec(), record.clone());
            }
        }
        inner.0.commit(changes)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.0.borrow().0.scan(prefix, visit)
    }
}

/// What a device has shown to its user.
#[derive(Debug)]
pub struct Shown {
    pub id: MessageId,
    pub text: String,
    pub chat: Option<Chat>,
    pub how: Option<EncryptionKind>,
    pub synced: bool,
}

pub struct Device {
    pub identity: SecretKey,
    pub me: PublicKey,
    pub messenger: Messenger<Shared>,
    store: Shared,
    listening: BTreeMap<Topic, Option<[u8; 32]>>,
    pub shown: Vec<Shown>,
    pub payloads: Vec<String>,
    /// Of chat messages.
    pub clocks: Vec<u64>,
    pub unread: Vec<String>,
    pub acknowledged: Vec<MessageId>,
}

/// Something on its way to a device.
struct Packet {
    from: PublicKey,
    to: usize,
    sent: u32,
    payload: Rc<Vec<u8>>,
}

pub struct World {
    pub devices: Vec<Device>,
    pub now: u64,
    pub rng: ChaCha20Rng,
    packets: Vec<Packet>,
}

pub fn partitioned(key: &PublicKey) -> Topic {
    Topic::from_name(&topic::partitioned_name(key))
}

impl World {
    pub fn new(seed: &str, users: &[&str]) -> Self {
        let mut world = Self {
            devices: Vec::new(),
            now: 1_585_500_000_000,
            rng: seeded_rng(seed),
            packets: Vec::new(),
        };
        for _ in users {
            let identity = SecretKey::generate(&mut world.rng);
            world.add(identity);
        }
        world
    }

    /// One more device of the owner of another.
    pub fn add_device(&mut self, of: usize) -> usize {
        let identity = self.devices[of].identity.clone();
        self.add(identity)
    }

    fn add(&mut self, identity: SecretKey) -> usize {
        let store = Shared::default();
        let messenger =
            Messenger::open(store.clone(), identity.clone(), None, &mut self.rng).unwrap();
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
        for it in device.messenger.subscriptions().unwrap() {
            device.listening.insert(it.topic, it.key.map(|key| *key.as_bytes()));
        }
    }

    pub fn listen_all(&mut self) {
        (0..self.devices.len()).for_each(|at| self.listen(at));
    }

    /// A device wants to know how to write to somebody.
    pub fn look_at(&mut self, who: usize, other: usize) {
        let other = self.devices[other].me;
        let device = &mut self.devices[who];
        let it = device.messenger.contact_code(&other).unwrap();
        device.listening.insert(it.topic, it.key.map(|key| *key.as_bytes()));
    }

    pub fn with<T>(
        &mut self,
        who: usize,
        run: impl FnOnce(&mut Messenger<Shared>, u64, &mut ChaCha20Rng) -> Result<T, ChatError>,
    ) -> Result<T, ChatError> {
        run(&mut self.devices[who].messenger, self.now, &mut self.rng)
    }

    /// Puts something on the network: for every other device that listens and has the key.
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
                let (sent, payload) = ((self.now / 1000) as u32, payload.clone());
                self.packets.push(Packet { from: sender, to, sent, payload });
            }
        }
    }

    pub fn tick(&mut self, who: usize) {
        // A failed write is as good as no tick.
        let Ok(ticked) = self.with(who, |it, now, rng| it.tick(now, rng)) else { return };
        assert!(ticked.given_up.is_empty());
        ticked.posts.into_iter().for_each(|post| self.post(who, post));
    }

    /// Delivers a packet, and keeps it on the way if it is to come again.
    pub fn deliver(&mut self, which: usize, again: bool) {
        if self.packets.is_empty() {
            return;
        }
        let at = which % self.packets.len();
        let packet = self.packets.remove(at);
        let Packet { from, to, sent, payload } = &packet;
        let incoming = Incoming { signer: Some(from), sent: *sent, payload };
        let done = self.devices[*to].messenger.receive(&incoming, self.now, &mut self.rng);
        match done {
            Ok(outcome) => {
                self.note(*to, outcome.events);
                outcome.posts.into_iter().for_each(|post| self.post(packet.to, post));
                if again {
                    self.packets.push(packet);
                }
            }
            // The network repeats what nobody took.
            Err(_) => self.packets.push(packet),
        }
    }

    pub fn lose(&mut self, which: usize) {
        if !self.packets.is_empty() {
            let at = which % self.packets.len();
            self.packets.swap_remove(at);
        }
    }

    /// All packets of a device in one transaction.
    pub fn deliver_together(&mut self) {
        for to in 0..self.devices.len() {
            let (mine, rest): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.packets).into_iter().partition(|it| it.to == to);
            self.packets = rest;
            let incoming: Vec<_> = mine
                .iter()
                .map(|it| Incoming { signer: Some(&it.from), sent: it.sent, payload: &it.payload })
                .collect();
            let done = self.devices[to].messenger.receive_all(&incoming, self.now, &mut self.rng);
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

    pub fn deliver_all(&mut self) {
        while !self.packets.is_empty() {
            self.deliver(0, false);
        }
    }

    /// Feeds a device with bytes.
    pub fn feed(
        &mut self,
        to: usize,
        signer: Option<&PublicKey>,
        payload: &[u8],
    ) -> Vec<MessengerEvent> {
        let incoming = Incoming { signer, sent: (self.now / 1000) as u32, payload };
        let device = &mut self.devices[to];
        let outcome = device.messenger.receive(&incoming, self.now, &mut self.rng).unwrap();
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

    pub fn restart(&mut self, who: usize) {
        let device = &mut self.devices[who];
        let (store, identity) = (device.store.clone(), device.identity.clone());
        let before = device.messenger.installation().clone();
        device.messenger = Messenger::open(store, identity, None, &mut self.rng).unwrap();
        assert_eq!(*device.messenger.installation(), before);
        self.listen(who);
    }

    pub fn fail_next(&mut self, who: usize) {
        self.devices[who].store.0.borrow_mut().1 = true;
    }

    pub fn heal(&mut self) {
        for device in &self.devices {
            device.store.0.borrow_mut().1 = false;
        }
    }

    /// All texts that were shown, and to whom by number, sorted.
    pub fn shown(&self) -> Vec<(usize, String)> {
        let of = |(at, device): (usize, &Device)| {
            device.shown.iter().map(move |it| (at, it.text.clone())).collect::<Vec<_>>()
        };
        let mut shown: Vec<_> = self.devices.iter().enumerate().flat_map(of).collect();
        shown.sort();
        shown
    }

    /// Time goes on until nobody has anything left to say.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            self.listen_all();
            self.deliver_all();
            let busy = self.devices.iter_mut().any(|it| !it.messenger.is_idle().unwrap());
            if !busy {
                return;
            }
            self.now += 20_000;
            (0..self.devices.len()).for_each(|who| self.tick(who));
        }
        panic!("it never ends");
    }
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
