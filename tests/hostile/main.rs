//! Strangers that misbehave, against nodes that must go on serving others.
//!
//! Each test is an attack, with its bound in bytes, counts or CPU time, never in time on the wall.
//! Beside each, good peers exchange envelopes, and lose none. Strangers come from several addresses
//! of the loopback interface. `STATUSKIT_HOSTILE=1000 cargo test --release --test hostile` runs them
//! with that many connections; by default there are few, for CI.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod mailserver;
mod places;
mod pool;
mod queues;
mod strangers;
mod world;
