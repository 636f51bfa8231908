//! Devices of several users on a schedule: messages are sent, delivered, lost, repeated, reordered
//! and confirmed; devices crash and restart.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::secure::MemoryStore;
use statuskit_testkit::sessions;

fuzz_target!(|data: &[u8]| {
    // Long enough to reach every state, short enough for many runs.
    let data = &data[..data.len().min(600)];
    sessions::play(data, &mut |_, last| last.unwrap_or_else(|| Box::new(MemoryStore::new())));
});
