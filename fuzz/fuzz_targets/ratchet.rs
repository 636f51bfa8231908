//! Devices of several users, and a schedule of what happens to their messages: sent, delivered,
//! lost, repeated, reordered, confirmed; and to the devices: crashed, started again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::secure::MemoryStore;

#[path = "../../tests/secure/world.rs"]
mod world;

fuzz_target!(|data: &[u8]| {
    // Long enough for all there is, and short enough for many.
    let data = &data[..data.len().min(600)];
    world::play(data, &mut |_, last| last.unwrap_or_else(|| Box::new(MemoryStore::new())));
});
