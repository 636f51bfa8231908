//! The secure transport as a whole: random schedules, hostile peers, secrets that stay secret.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod costs;
mod hostile;
mod legacy;
mod secrets;

use proptest::prelude::*;
use statuskit_client::state::DiskStore;
use statuskit_core::secure::MemoryStore;
use statuskit_testkit::{rounds, sessions};

fn schedules(steps: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..steps * 3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: rounds(48, 2000), failure_persistence: None, ..Default::default() })]

    /// Messages open until they are confirmed, and never afterwards. Crashes before a commit, and
    /// restarts, change nothing.
    #[test]
    fn schedules_in_memory(schedule in schedules(150)) {
        sessions::play(&schedule, &mut |_, last| last.unwrap_or_else(|| Box::new(MemoryStore::new())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: rounds(6, 100), failure_persistence: None, ..Default::default() })]

    /// The same on disk, where each restart opens the files again.
    #[test]
    fn schedules_on_disk(schedule in schedules(80), encrypted: bool) {
        let dir = tempfile::tempdir().unwrap();
        let password = encrypted.then_some(&b"password"[..]);
        sessions::play(&schedule, &mut |who, last| {
            drop(last);
            let path = dir.path().join(who.to_string());
            Box::new(DiskStore::open_with_cost(&path, password, 2).unwrap())
        });
    }
}

/// A fixed schedule reaches every outcome.
#[test]
fn schedules_reach_everything() {
    let mut random = 7_u32;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 24) as u8
    };
    let mut schedule = vec![2];
    schedule.extend((0..1500).map(|_| next()));
    let tally = sessions::play(&schedule, &mut |_, last| {
        last.unwrap_or_else(|| Box::new(MemoryStore::new()))
    });
    let sessions::Tally { opened, again, refused, not_for_us } = tally;
    assert!(opened > 100 && again > 20 && refused > 5 && not_for_us > 5, "{tally:?}");
}
