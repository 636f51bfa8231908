//! Encrypted sessions between devices of several users, on a schedule of faults.
//!
//! [`play`] reads from bytes what happens: messages are sent, lost, repeated, reordered and
//! confirmed; devices crash within transactions and restart. It checks after every step that
//! messages open until they are confirmed, and never afterwards. So it serves property tests and
//! fuzzing, and any [`Store`] can be tested with it.

use std::{collections::BTreeMap, time::Duration};

use statuskit_core::{
    account::InstallationId,
    crypto::{PublicKey, SecretKey},
    secure::{
        Confirmation, DecryptError, Device, EncryptionKind, SecureError, Store, StoreError,
        Timestamp, device::MAX_DEVICES, stored_keys::MAX_STORED_KEYS,
    },
};

use crate::{World, key};

/// The stream that all devices draw from.
const RNG: &str = "sessions";
/// The number of devices of each user, by the first byte of a schedule.
const USERS: [&[usize]; 5] = [&[1, 1], &[1, 2], &[2, 2], &[1, 1, 2], &[1, 1, 1, 1]];

/// A store of any kind.
pub type AnyStore = Box<dyn Store>;

/// Returns the store of a device that starts. After a restart it gets the device's last store.
pub type Stores<'a> = dyn FnMut(usize, Option<AnyStore>) -> AnyStore + 'a;

struct Player {
    user: usize,
    device: Option<Device<AnyStore>>,
    installation: InstallationId,
    /// By message: the confirmation, and whether it was used.
    read: BTreeMap<usize, (Option<Confirmation>, bool)>,
}

struct Sent {
    from: usize,
    to: Option<usize>,
    text: Vec<u8>,
    wire: Vec<u8>,
    /// The installations with a part. Empty if it is encrypted to the identity.
    parts: Vec<InstallationId>,
}

/// Counts what a schedule reached.
#[derive(Debug, Default)]
pub struct Tally {
    /// Messages opened for the first time.
    pub opened: usize,
    /// Messages opened again before their confirmation.
    pub again: usize,
    /// Messages refused after their confirmation.
    pub refused: usize,
    /// Messages for other devices.
    pub not_for_us: usize,
}

struct Sessions<'a> {
    world: World,
    keys: Vec<SecretKey>,
    players: Vec<Player>,
    sent: Vec<Sent>,
    stores: &'a mut Stores<'a>,
    tally: Tally,
}

/// Aborts a transaction.
#[derive(Debug)]
enum Crash {
    Here,
    Other(SecureError),
}

impl From<StoreError> for Crash {
    fn from(error: StoreError) -> Self {
        Self::Other(error.into())
    }
}

impl From<SecureError> for Crash {
    fn from(error: SecureError) -> Self {
        Self::Other(error)
    }
}

/// Plays a schedule: the first byte chooses the users, each three of the rest a step.
///
/// # Panics
/// If a promise is broken: a message opens too often or too rarely, a refusal, crash or restart
/// changes a session, or keys are left at the end.
pub fn play<'a>(schedule: &[u8], stores: &'a mut Stores<'a>) -> Tally {
    let Some((first, rest)) = schedule.split_first() else { return Tally::default() };
    let mut sessions = Sessions::new(USERS[usize::from(*first) % USERS.len()], stores);
    for step in rest.chunks_exact(3) {
        sessions.step(step[0], usize::from(step[1]), usize::from(step[2]));
    }
    sessions.finish();
    sessions.tally
}

impl<'a> Sessions<'a> {
    fn new(users: &[usize], stores: &'a mut Stores<'a>) -> Self {
        let mut keys = Vec::new();
        let mut players = Vec::new();
        for (user, devices) in users.iter().enumerate() {
            keys.push(key(&format!("user {user}")));
            for device in 0..*devices {
                let installation = InstallationId::new(format!("{user}-{device}"));
                players.push(Player { user, device: None, installation, read: BTreeMap::new() });
            }
        }
        let (world, sent, tally) = (World::new("sessions"), Vec::new(), Tally::default());
        let mut this = Self { world, keys, players, sent, stores, tally };
        for index in 0..this.players.len() {
            this.start(index);
        }
        this
    }

    fn step(&mut self, what: u8, who: usize, with: usize) {
        let who = who % self.players.len();
        let some = (!self.sent.is_empty()).then(|| with % self.sent.len().max(1));
        let recent = self.sent.len().saturating_sub(1 + with % 8);
        match what % 16 {
            0..=3 => self.send(who, with % self.keys.len(), false),
            4 => self.send(who, with % self.keys.len(), true),
            5 => self.contact_code(who),
            6..=9 if recent < self.sent.len() => self.deliver(who, recent, false),
            10 if recent < self.sent.len() => self.deliver(who, recent, true),
            11 => some.into_iter().for_each(|message| self.deliver(who, message, false)),
            12..=13 => {
                let read: Vec<usize> = self.players[who].read.keys().copied().collect();
                if !read.is_empty() {
                    self.confirm(who, read[with % read.len()]);
                }
            }
            14 => self.restart(who),
            15 if with < 64 => self.world.advance(Duration::from_secs(with as u64 * 3600)),
            15 => self.pair(who),
            _ => {}
        }
        self.world.advance(Duration::from_secs(1));
    }

    fn public(&self, user: usize) -> PublicKey {
        self.keys[user].public_key()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.world.now_secs())
    }

    fn device(&mut self, who: usize) -> &mut Device<AnyStore> {
        self.players[who].device.as_mut().expect("started")
    }

    fn start(&mut self, who: usize) {
        let last = self.players[who].device.take().map(Device::into_store);
        let store = (self.stores)(who, last);
        let Player { user, installation, .. } = &self.players[who];
        let (key, installation) = (self.keys[*user].clone(), Some(installation.clone()));
        let device = Device::open(store, key, installation, self.world.rng(RNG));
        self.players[who].device = Some(device.expect("a sound store"));
    }

    fn restart(&mut self, who: usize) {
        let before = self.sessions(who);
        self.start(who);
        assert_eq!(self.sessions(who), before, "a restart changes nothing");
    }

    /// Returns the stored counters of all sessions.
    fn sessions(&mut self, who: usize) -> Vec<(String, u32, u32, u64, u32)> {
        let sessions = self.device(who).sessions().expect("readable");
        let numbers = sessions.iter().map(|session| {
            let ratchet = &session.ratchet;
            assert!(session.stored_keys.count() <= MAX_STORED_KEYS);
            let name = format!("{:?}", session.id);
            (
                name,
                ratchet.sending().n(),
                ratchet.receiving().n(),
                ratchet.keys_count(),
                session.stored_keys.count(),
            )
        });
        numbers.collect()
    }

    /// Sends a message, perhaps after a crash before it was durable.
    fn send(&mut self, from: usize, to: usize, crash: bool) {
        let (peer, now) = (self.public(to), self.now());
        let text = format!("message {}", self.sent.len()).into_bytes();
        if crash {
            let (before, mut rng) = (self.sessions(from), self.world.fork(RNG));
            let result = self.device(from).transaction(|work| {
                work.encrypt_to(&peer, &text, now, &mut rng)?;
                Err(Crash::Here)
            });
            assert_crashed(result);
            assert_eq!(self.sessions(from), before);
        }
        let mut rng = self.world.fork(RNG);
        let sent = self.device(from).encrypt_to(&peer, &text, now, &mut rng).expect("sends");
        assert!(sent.device_messages.len() <= MAX_DEVICES);
        let parts =
            sent.device_messages.into_iter().map(|part| part.session.installation).collect();
        let wire = sent.message.into_raw();
        self.sent.push(Sent { from, to: Some(to), text, wire, parts });
    }

    fn contact_code(&mut self, from: usize) {
        let (now, mut rng) = (self.now(), self.world.fork(RNG));
        let sent = self.device(from).contact_code(now, &mut rng).expect("makes a bundle");
        let wire = sent.message.into_raw();
        self.sent.push(Sent { from, to: None, text: Vec::new(), wire, parts: Vec::new() });
    }

    /// Pairs with all known devices of the same user.
    fn pair(&mut self, who: usize) {
        let key = self.public(self.players[who].user);
        for installation in self.device(who).installations(&key).expect("readable") {
            assert!(self.device(who).set_enabled(&key, &installation.id, true).expect("known"));
        }
    }

    /// Delivers a message, perhaps after a crash before its effect was durable.
    fn deliver(&mut self, who: usize, message: usize, crash: bool) {
        let Sent { from, to, text, wire, parts } = &self.sent[message];
        let (from_user, to, text, wire, parts) =
            (self.players[*from].user, *to, text.clone(), wire.clone(), parts.clone());
        let sender = self.public(from_user);
        let user = self.players[who].user;
        if crash {
            let (before, mut rng) = (self.sessions(who), self.world.fork(RNG));
            let decoded = statuskit_core::secure::ProtocolMessage::decode(&wire).expect("ours");
            let result = self.device(who).transaction(|work| {
                work.decrypt(&sender, &decoded, &mut rng)?;
                Err(Crash::Here)
            });
            assert_crashed(result);
            assert_eq!(self.sessions(who), before);
        }
        let before = self.sessions(who);
        let mut rng = self.world.fork(RNG);
        let received = self.device(who).decrypt(&sender, &wire, &mut rng).expect("a good message");
        let ours = parts.contains(&self.players[who].installation);
        let confirmed = self.players[who].read.get(&message).is_some_and(|(_, done)| *done);
        match received.content {
            Ok(content) if parts.is_empty() => {
                assert_eq!((to, content.text()), (Some(user), text), "opened by another identity");
                assert_eq!(content.encryption, EncryptionKind::Identity);
            }
            Ok(content) => {
                assert!(ours && !confirmed, "opened, and must not be");
                assert_eq!(content.text(), text);
                let again = self.players[who].read.contains_key(&message);
                *(if again { &mut self.tally.again } else { &mut self.tally.opened }) += 1;
                self.players[who].read.insert(message, (content.confirmation, false));
            }
            Err(refusal) => {
                assert_eq!(self.sessions(who), before, "a refusal changes nothing");
                match refusal {
                    DecryptError::NoPayload => assert_eq!(to, None),
                    DecryptError::Ratchet(_) => {
                        assert!(ours && confirmed, "{refusal}: message {message} to {who}");
                        self.tally.refused += 1;
                    }
                    DecryptError::DeviceNotFound => {
                        assert!(!ours && !parts.is_empty() && user != from_user);
                        self.tally.not_for_us += 1;
                    }
                    DecryptError::NotPaired => {
                        assert!(!ours && !parts.is_empty() && user == from_user);
                        self.tally.not_for_us += 1;
                    }
                    DecryptError::Dh(_) => assert!(parts.is_empty() && to != Some(user)),
                    other => panic!("{other}: message {message} to {who}"),
                }
            }
        }
    }

    /// Confirms a message that was opened.
    fn confirm(&mut self, who: usize, message: usize) {
        let Some((Some(confirmation), done)) = self.players[who].read.get(&message).cloned() else {
            return;
        };
        let removed = self.device(who).confirm(&confirmation).expect("writable");
        assert_eq!(removed, !done, "a key goes once");
        self.players[who].read.insert(message, (Some(confirmation), true));
    }

    /// Delivers everything everywhere, and confirms it.
    fn finish(&mut self) {
        for message in (0..self.sent.len()).rev() {
            for who in 0..self.players.len() {
                self.deliver(who, message, false);
                self.confirm(who, message);
            }
        }
        for who in 0..self.players.len() {
            for (name, .., kept) in self.sessions(who) {
                assert_eq!(kept, 0, "keys are left in {name}");
            }
        }
    }
}

fn assert_crashed(result: Result<(), Crash>) {
    match result {
        Err(Crash::Here) => {}
        Err(Crash::Other(error)) => panic!("{error}"),
        Ok(()) => panic!("the transaction went on"),
    }
}

trait Text {
    fn text(&self) -> Vec<u8>;
}

impl Text for statuskit_core::secure::DecryptedContent {
    fn text(&self) -> Vec<u8> {
        self.plaintext.clone()
    }
}
