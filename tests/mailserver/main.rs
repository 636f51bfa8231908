//! Mailservers: their rules, a service on a node, clients, and misbehaving peers.
//!
//! All over the loopback interface, or without any. Waits are for events, with generous limits.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod client;
mod durable;
mod fair;
mod intake;
mod rules;
mod service;
mod world;
