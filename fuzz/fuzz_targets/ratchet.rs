//! Devices of several users on a schedule: messages are sent, delivered, lost, repeated, reordered
//! and confirmed; devices crash and restart.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::secure::MemoryStore;
use statuskit_testkit::sessions;

/// Steps per input.
const STEPS: usize = 24;

fuzz_target!(|data: &[u8]| {
    // Enough to lose, repeat and crash. `tests/secure` has longer schedules.
    let data = &data[..data.len().min(1 + 3 * STEPS)];
    sessions::play(data, &mut |_, last| last.unwrap_or_else(|| Box::new(MemoryStore::new())));
});
