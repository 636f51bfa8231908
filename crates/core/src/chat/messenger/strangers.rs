//! The bounds on what is stored of strangers.

use rand::rngs::ChaCha20Rng;

use super::*;
use crate::{
    crypto::seeded_rng,
    payload::group::Change,
    secure::{EncryptionKind, MemoryStore},
    time::{UnixMillis, UnixSeconds},
};

const NOW: u64 = 1_585_500_000_000;
/// The number of remembered strangers.
const STRANGERS: usize = 4;

struct World {
    alice: Messenger<MemoryStore>,
    now: u64,
    rng: ChaCha20Rng,
}

fn secret(name: &str) -> SecretKey {
    SecretKey::generate(&mut seeded_rng(name))
}

impl World {
    fn new() -> Self {
        let mut world =
            Self { alice: open(MemoryStore::new(), "alice"), now: NOW, rng: seeded_rng("world") };
        world.restart();
        world
    }

    /// Restarts Alice with her store.
    fn restart(&mut self) {
        let gone = std::mem::replace(&mut self.alice, open(MemoryStore::new(), "nobody"));
        self.alice = open(gone.into_store(), "alice");
        self.alice.set_max_strangers(STRANGERS as u64);
    }

    /// Delivers posts of one user to another. Returns how they were encrypted.
    fn deliver(
        &mut self,
        posts: &[Post],
        from: &PublicKey,
        to: Option<&mut Messenger<MemoryStore>>,
    ) -> Vec<EncryptionKind> {
        let mut hows = Vec::new();
        let to = to.unwrap_or(&mut self.alice);
        for post in posts {
            let sent = (self.now / 1000) as u32;
            let incoming =
                Incoming { signer: Some(from), sent: UnixSeconds(sent), payload: &post.payload };
            for event in to.receive(&incoming, UnixMillis(self.now), &mut self.rng).unwrap().events
            {
                if let MessengerEvent::Message(ReceivedPayload { layers, .. }) = event {
                    hows.extend(layers.secure);
                }
            }
        }
        hows
    }

    /// Sends a text to Alice, who acknowledges it.
    fn text_alice(&mut self, from: &mut Messenger<MemoryStore>) -> Vec<EncryptionKind> {
        self.now += 10_000;
        let (me, alice) = (*from.me(), *self.alice.me());
        from.send_text(&Chat::OneToOne(alice), "hi", UnixMillis(self.now), &mut self.rng).unwrap();
        let posts = from.tick(UnixMillis(self.now), &mut self.rng).unwrap().posts;
        let hows = self.deliver(&posts, &me, None);
        self.deliver_from_alice(from);
        hows
    }

    /// Delivers what Alice has to send to one other user.
    fn deliver_from_alice(&mut self, to: &mut Messenger<MemoryStore>) {
        self.now += 10_000;
        let posts = self.alice.tick(UnixMillis(self.now), &mut self.rng).unwrap().posts;
        let posts: Vec<_> = posts.into_iter().filter(|it| it.to == Some(*to.me())).collect();
        self.deliver(&posts, &secret("alice").public_key(), Some(to));
    }

    /// Counts the records with a prefix.
    fn count(&mut self, prefix: &[u8]) -> usize {
        let mut count = 0;
        let mut visit = |_: &[u8], _: &[u8]| {
            count += 1;
            Ok(())
        };
        self.alice.store().scan(prefix, &mut visit).unwrap();
        count
    }

    /// Counts peers, sessions, negotiated topics, keys of topics, peers of data sync, and their
    /// messages.
    fn counts(&mut self) -> [usize; 6] {
        [&b"p"[..], b"s", b"xk", b"xn", b"xsp", b"xsr"].map(|prefix| self.count(prefix))
    }
}

fn open(store: MemoryStore, name: &str) -> Messenger<MemoryStore> {
    Messenger::open(store, secret(name), None, &mut seeded_rng(&format!("device {name}"))).unwrap()
}

/// Creates a user who knows Alice's bundle, and has not written to her yet.
fn stranger(world: &mut World, name: &str) -> Messenger<MemoryStore> {
    let mut stranger = open(MemoryStore::new(), name);
    let code = world.alice.publish_contact_code(UnixMillis(world.now), &mut world.rng).unwrap();
    let alice = secret("alice").public_key();
    world.deliver(&[code], &alice, Some(&mut stranger));
    stranger
}

#[test]
fn a_flood_of_strangers_does_not_affect_correspondents() {
    let mut world = World::new();
    let mut bob = stranger(&mut world, "bob");
    world.text_alice(&mut bob);
    let friend = Chat::OneToOne(*bob.me());
    world.alice.send_text(&friend, "hello", UnixMillis(world.now), &mut world.rng).unwrap();
    world.deliver_from_alice(&mut bob);
    // A silent member of a group, and a user whom Alice looks up.
    let member = secret("member").public_key();
    let (group, _) = {
        let World { alice, now, rng } = &mut world;
        alice.create_group("group", &[member], UnixMillis(*now), rng).unwrap()
    };
    let looked_up = secret("looked up").public_key();
    world.alice.contact_code(&looked_up).unwrap();
    let mut first = stranger(&mut world, "first");
    world.text_alice(&mut first);
    let (kept, extra) = (3, STRANGERS);
    for number in 0..3 * STRANGERS {
        let mut one = stranger(&mut world, &format!("flood {number}"));
        let hows = world.text_alice(&mut one);
        assert!(matches!(hows[..], [EncryptionKind::Session { started: true, .. }]), "{hows:?}");
        if number % STRANGERS == 1 {
            world.restart();
        }
    }
    // Those of Bob and of strangers; the topic of the member; the contact codes of Alice and of the
    // user whom she looked up.
    let full = [kept + extra, 1 + extra, 2 + extra, 4 + extra, 2 + extra, 1 + extra];
    assert_eq!(world.counts(), full);
    let first = CompressedKey::from(first.me());
    assert!(!crate::secure::device::is_known(world.alice.store(), &first).unwrap());
    // Conversations continue.
    let hows = world.text_alice(&mut bob);
    assert!(matches!(hows[..], [EncryptionKind::Session { started: false, .. }]), "{hows:?}");
    assert_eq!(bob.waiting(&secret("alice").public_key()).unwrap(), 0, "acknowledged");
    assert_eq!(world.alice.waiting(&member).unwrap(), 1);
    let add = Change::Rename("other");
    let World { alice, now, rng } = &mut world;
    alice.change_group(group.chat_id(), add, UnixMillis(*now), rng).unwrap();
    assert_eq!(alice.waiting(&member).unwrap(), 2);
}

/// A tool that uses only the device leaves the records of the layers above.
#[test]
fn records_of_forgotten_identities_are_deleted_at_the_next_start() {
    let mut world = World::new();
    for number in 0..STRANGERS {
        let mut one = stranger(&mut world, &format!("stranger {number}"));
        world.text_alice(&mut one);
    }
    let [.., topics, _, rows, _] = world.counts();
    assert_eq!((topics, rows), (STRANGERS, STRANGERS));
    world.alice.device.set_max_strangers(1);
    let mut store = world.alice.into_store();
    let mut rng = seeded_rng("alone");
    let mut device = Device::open(store, secret("alice"), None, &mut rng).unwrap();
    device.set_max_strangers(1);
    device.register(&secret("another").public_key()).unwrap();
    store = device.into_store();
    world.alice = open(store, "alice");
    assert_eq!(world.alice.chats().unwrap().len(), STRANGERS);
    assert_eq!(world.counts(), [0, 0, 0, 1, 0, 0]);
}

/// Earlier releases did not mark correspondents as known to the device.
#[test]
fn members_of_groups_in_an_older_state_are_known() {
    let mut world = World::new();
    let member = secret("member").public_key();
    let World { alice, now, rng } = &mut world;
    alice.create_group("group", &[member], UnixMillis(*now), rng).unwrap();
    for key in [&b"xv"[..], &[b"p", &member.to_compressed()[..]].concat()] {
        alice.store().delete(key.to_vec());
    }
    alice.store().write().unwrap();
    world.restart();
    let known = crate::secure::device::is_known(world.alice.store(), &(&member).into());
    assert!(known.unwrap());
    assert_eq!(world.alice.waiting(&member).unwrap(), 1);
}
