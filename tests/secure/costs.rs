//! The largest envelopes of each shape that a stranger can send, and the CPU time that the messenger
//! needs for one of them: less than half a second where everything is optimised. Counts of work are
//! asserted where the work is done.

use std::time::Duration;

use prost::Message as _;
use statuskit_core::{
    account::Uuid,
    chat::messenger::{Incoming, Messenger, MessengerEvent},
    crypto::{PublicKey, SecretKey, keccak256, seeded_rng},
    payload::{
        Wrapper,
        group::{Group, GroupEvent, MAX_RECEIVED},
        proto::{ChatMessage, MembershipUpdateEvent, MembershipUpdateMessage},
    },
    secure::{MemoryStore, encrypt_to_identity, proto},
    sync::{GroupId, SyncMessage, SyncMessageId, SyncPayload},
    time::UnixMillis,
};

const NOW: UnixMillis = UnixMillis(1_585_500_000_000);
/// What fits into an envelope, with room for the layers around it.
const ROOM: usize = (1 << 20) - 2048;

/// The CPU time of this thread so far.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

struct World {
    mallory: SecretKey,
    bob: SecretKey,
}

impl World {
    /// A payload of data sync with these bodies, as many as fit.
    fn synced(&self, bodies: impl IntoIterator<Item = Vec<u8>>) -> SyncPayload {
        let group = GroupId::from_pair(&self.mallory.public_key(), &self.bob.public_key());
        let mut left = ROOM;
        let fits = |body: &Vec<u8>| {
            let size = body.len() + 60;
            let has_room = size <= left;
            left = left.saturating_sub(size);
            has_room
        };
        let bodies = bodies.into_iter().take_while(fits).enumerate();
        let messages = bodies.map(|(at, body)| SyncMessage::new(group, at as i64, body)).collect();
        SyncPayload { messages, ..SyncPayload::default() }
    }

    fn text(&self, number: usize, signed: bool) -> Vec<u8> {
        let id = self.mallory.public_key().to_string();
        let text = ChatMessage {
            text: number.to_string(),
            chat_id: id,
            clock: NOW.0 + number as u64,
            timestamp: NOW.0,
            content_type: 1,
            message_type: 1,
            ..ChatMessage::default()
        };
        match signed {
            true => Wrapper::sign(1, text.encode_to_vec(), &self.mallory).raw().to_vec(),
            false => Wrapper::unsigned(1, text.encode_to_vec()).raw().to_vec(),
        }
    }

    fn update(&self, chat_id: &str, events: Vec<Vec<u8>>) -> Vec<u8> {
        let update = MembershipUpdateMessage {
            chat_id: chat_id.to_owned(),
            events,
            ..MembershipUpdateMessage::default()
        };
        Wrapper::sign(3, update.encode_to_vec(), &self.mallory).raw().to_vec()
    }

    /// A new group, and events that rename it.
    fn group(&self, number: u8) -> Group {
        let (id, members) = (Uuid::from_bytes([number; 16]), [self.bob.public_key()]);
        Group::create(id, "g", &members, &self.mallory, NOW).unwrap().group
    }

    fn rename(&self, group: &Group, number: u64) -> Vec<u8> {
        let clock = group.last_clock() + 1 + number;
        let fields = MembershipUpdateEvent {
            clock,
            name: "n".to_owned(),
            r#type: 2,
            ..MembershipUpdateEvent::default()
        };
        GroupEvent::sign(group.chat_id(), fields, &self.mallory).raw().to_vec()
    }

    /// Receives a payload in an envelope of its own. Returns how many messages it brought.
    fn receive(&self, to: &mut Messenger<MemoryStore>, payload: &[u8]) -> (usize, Duration) {
        let (from, rng) = (self.mallory.public_key(), &mut seeded_rng("receive"));
        let incoming = Incoming { signer: Some(&from), sent: NOW.to_seconds(), payload };
        let before = cpu();
        let outcome = to.receive_and_keep(&incoming, 1, b"", NOW, rng).unwrap().0;
        let is_message = |event: &&MessengerEvent| matches!(event, MessengerEvent::Message(_));
        (outcome.events.iter().filter(is_message).count(), cpu() - before)
    }
}

fn to_bob(bob: &PublicKey, plaintext: &[u8]) -> Vec<u8> {
    encrypt_to_identity(bob, plaintext, &mut seeded_rng("seal")).into_raw()
}

#[test]
fn the_largest_envelope_of_each_shape_costs_little() {
    let key = |name: &str| SecretKey::generate(&mut seeded_rng(name));
    let world = World { mallory: key("mallory"), bob: key("bob") };
    let bob = world.bob.public_key();
    let ids = || (0..ROOM / 36).map(id);
    let none = SyncPayload::default;
    let flood = |fields: SyncPayload| to_bob(&bob, &fields.encode());
    let group = world.group(0);
    let founding: Vec<_> = group.events().iter().map(|it| it.raw().to_vec()).collect();
    let most = MAX_RECEIVED - group.events().len();
    let renames: Vec<_> = (0..most as u64).map(|n| world.rename(&group, n)).collect();
    let many_events =
        |count: usize| founding.iter().chain(&renames[..count]).cloned().collect::<Vec<_>>();
    let many_groups = (0..250).map(|number| {
        let group = world.group(number);
        let events = group.events().iter().map(|it| it.raw().to_vec());
        world.update(group.chat_id(), events.collect())
    });
    // Nearly all of the work that is allowed, and then the largest update.
    let in_steps = (1..19).map(|n| world.update(group.chat_id(), many_events(n * 35)));
    let in_steps = in_steps.chain([world.update(group.chat_id(), many_events(most))]);
    // Fields that nobody knows, and messages of nothing.
    let unknown: Vec<u8> = [0xf8, 0x07, 0x01].repeat(ROOM / 3);
    let empty: Vec<u8> = [0x22, 0x00].repeat(ROOM / 2);
    let nested = |levels: usize| {
        (0..levels).fold(Vec::new(), |inner, _| {
            let mut outer = vec![0x22];
            prost::encoding::encode_varint(inner.len() as u64, &mut outer);
            [outer, inner].concat()
        })
    };
    let pre_keys = {
        let pre_key = key("pre").public_key().to_compressed();
        let keys = (0..ROOM / 64).map(|n| {
            (
                format!("{n}"),
                proto::SignedPreKey {
                    signed_pre_key: pre_key.to_vec(),
                    version: 1,
                    ..proto::SignedPreKey::default()
                },
            )
        });
        let bundle = proto::Bundle { signed_pre_keys: keys.collect(), ..Default::default() };
        proto::ProtocolMessage { bundles: vec![bundle], ..Default::default() }.encode_to_vec()
    };
    let devices = {
        let parts = (0..ROOM / 12).map(|n| (format!("{n}"), Default::default()));
        proto::ProtocolMessage { direct_message: parts.collect(), ..Default::default() }
            .encode_to_vec()
    };
    let shapes = [
        ("texts", flood(world.synced((0..20_000).map(|n| world.text(n, false))))),
        ("signed texts", flood(world.synced((0..1_200).map(|n| world.text(n, true))))),
        ("tiny messages", flood(world.synced((0..70_000).map(|_| vec![0])))),
        ("empty messages", to_bob(&bob, &empty)),
        ("unknown fields", to_bob(&bob, &unknown)),
        ("nested messages", to_bob(&bob, &nested(5000))),
        ("acknowledgements", flood(SyncPayload { acks: ids().collect(), ..none() })),
        ("offers", flood(SyncPayload { offers: ids().collect(), ..none() })),
        ("requests", flood(SyncPayload { requests: ids().collect(), ..none() })),
        ("new groups", flood(world.synced(many_groups))),
        ("one group", flood(world.synced([world.update(group.chat_id(), many_events(most))]))),
        ("a group, in steps", flood(world.synced(in_steps))),
        ("pre-keys", pre_keys),
        ("devices", devices),
        ("unknown fields, bare", unknown),
        (
            "wrapped unknown fields",
            Wrapper::sign(1, [0xf8, 0x07, 0x01].repeat(ROOM / 3), &world.mallory).raw().to_vec(),
        ),
    ];
    for (name, payload) in shapes {
        assert!(payload.len() <= ROOM + 2048, "{name}: {}", payload.len());
        let store = MemoryStore::new();
        let mut messenger =
            Messenger::open(store, world.bob.clone(), None, &mut seeded_rng("device")).unwrap();
        let (messages, first) = world.receive(&mut messenger, &payload);
        // What was not acknowledged comes again, in another envelope.
        let (more, again) = world.receive(&mut messenger, &payload);
        println!(
            "{name}: {} bytes, {messages} messages in {first:?}, {more} in {again:?}",
            payload.len()
        );
        // Some dependencies are not optimised in tests, and other programs use the same cores.
        let most = if cfg!(debug_assertions) { 2000 } else { 500 };
        assert!(first.max(again) < Duration::from_millis(most), "{name}: {first:?}, {again:?}");
    }
}

fn id(n: usize) -> SyncMessageId {
    SyncMessageId(keccak256(&n.to_be_bytes()))
}
