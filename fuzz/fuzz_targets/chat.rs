//! Three users and a group on a network driven by the input: loss, repetition, reordering, forged
//! bytes, crashes. Nothing panics, nothing is shown twice, and finally everything arrives.

#![no_main]
#![allow(dead_code)]

#[path = "../../tests/chat/world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;
use statuskit_core::payload::{group::Change, matching::Chat};

use world::World;

fuzz_target!(|data: &[u8]| {
    let mut world = World::new("fuzz", &["alice", "bob", "carol"]);
    let members = [world.devices[1].me, world.devices[2].me];
    let group = world.with(0, |it, now, rng| it.create_group("g", &members, now, rng));
    let id = group.expect("a new group").0.chat_id().to_owned();
    let mut expected = Vec::new();
    for (at, step) in data.chunks_exact(2).take(200).enumerate() {
        let (who, which) = (usize::from(step[1]) % 3, usize::from(step[1]));
        let text = format!("text {at}");
        match step[0] % 12 {
            0 | 1 => {
                let to = (who + 1 + which / 3 % 2) % 3;
                let chat = Chat::OneToOne(world.devices[to].me);
                if world.with(who, |it, now, rng| it.send_text(&chat, &text, now, rng)).is_ok() {
                    expected.push((to, text));
                }
            }
            2 => _ = world.with(who, |it, now, rng| it.change_group(&id, Change::Join, now, rng)),
            3 => world.tick(who),
            4 | 5 => world.deliver(which, false),
            6 => world.lose(which),
            7 => world.deliver(which, true),
            8 => world.deliver_together(),
            9 => world.restart(who),
            10 => world.fail_next(who),
            _ => {
                // Arbitrary bytes, signed by anyone.
                let from = world.devices[(who + 1) % 3].me;
                let bytes = &data[at.min(data.len())..];
                world.heal();
                world.feed(who, Some(&from), bytes);
            }
        }
        world.now += 300 * u64::from(step[0] / 12);
    }
    world.heal();
    world.settle();
    expected.sort();
    assert_eq!(world.shown(), expected);
});
