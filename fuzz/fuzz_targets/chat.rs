//! Three users and a group on a network driven by the input: loss, repetition, reordering, forged
//! bytes, crashes. Nothing panics, nothing is shown twice, and finally everything arrives.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    chat::messenger::Messenger,
    payload::{group::Change, matching::Chat},
};
use statuskit_testkit::{World, messengers::Messengers};

/// Steps per input: enough to lose and repeat. `tests/chat.rs` has longer schedules.
const STEPS: usize = 16;

/// A group that is new, and its members when all have joined and talked to each other.
struct Beginning {
    group: String,
    new: Messengers,
    settled: Messengers,
}

thread_local! {
    /// Made once: keys and first messages take longest.
    static BEGINNING: Beginning = {
        let mut new = Messengers::new(World::new("fuzz"), &["alice", "bob", "carol"]);
        let members = [new.devices[1].me, new.devices[2].me];
        let group = new.with(0, |it, now, rng| it.create_group("g", &members, now, rng));
        let group = group.expect("a new group").0.chat_id().to_owned();
        let mut settled = new.branch("settled");
        for who in 0..3 {
            settled.settle();
            let to = Chat::OneToOne(settled.devices[(who + 1) % 3].me);
            let done = settled.with(who, |it, now, rng| it.send_text(&to, "hello", now, rng));
            done.expect("a text");
            if who > 0 {
                let join = |it: &mut Messenger<_>, now, rng: &mut _| {
                    it.change_group(&group, Change::Join, now, rng)
                };
                settled.with(who, join).expect("it is invited");
            }
        }
        settled.settle();
        settled.devices.iter_mut().for_each(|device| device.shown.clear());
        Beginning { group, new, settled }
    };
}

fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else { return };
    let (id, mut users) = BEGINNING.with(|it| {
        let users =
            if first % 16 == 0 { it.new.branch("input") } else { it.settled.branch("input") };
        (it.group.clone(), users)
    });
    let mut expected = Vec::new();
    for (at, step) in data.chunks_exact(2).take(STEPS).enumerate() {
        let (who, which) = (usize::from(step[1]) % 3, usize::from(step[1]));
        let text = format!("text {at}");
        match step[0] % 12 {
            0 | 1 => {
                let to = (who + 1 + which / 3 % 2) % 3;
                let chat = Chat::OneToOne(users.devices[to].me);
                if users.with(who, |it, now, rng| it.send_text(&chat, &text, now, rng)).is_ok() {
                    expected.push((to, text));
                }
            }
            2 => _ = users.with(who, |it, now, rng| it.change_group(&id, Change::Join, now, rng)),
            3 => users.tick(who),
            4 | 5 => users.deliver(which, false),
            6 => users.lose(which),
            7 => users.deliver(which, true),
            8 => users.deliver_together(),
            9 => users.restart(who),
            10 => users.devices[who].store.set_failing(true),
            _ => {
                // Arbitrary bytes, signed by anyone.
                let from = users.devices[(who + 1) % 3].me;
                let bytes = &data[at.min(data.len())..];
                users.heal();
                users.feed(who, Some(&from), bytes);
            }
        }
        users.world.advance(Duration::from_millis(300 * u64::from(step[0] / 12)));
    }
    users.heal();
    users.settle();
    expected.sort();
    assert_eq!(users.shown(), expected);
});
