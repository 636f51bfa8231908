//! Strangers that misbehave, against nodes that must go on serving others.
//!
//! Each test is an attack, with its bound in bytes, counts or CPU time, never in time on the wall.
//! Beside each, good peers exchange envelopes, and lose none. Strangers come from several addresses
//! of the loopback interface. `STATUSKIT_HOSTILE=1000 cargo test --release --test hostile` runs them
//! with that many connections; by default there are few, for CI. Attacks on what each network has of
//! its own are made in Whisper, and with fewer rounds in Waku.
//!
//! | attack | bound | test |
//! | --- | --- | --- |
//! | connections that say nothing, or garbage | CPU each, lines of the log | `strangers` |
//! | coming and going | bytes left behind, CPU each | `queues::coming_and_going_leaves_nothing_behind` |
//! | all places taken, from one address or many | places of each address | `places` |
//! | events faster than they are read | bytes that wait | `queues::a_flood_of_events_stops_only_those_who_flood` |
//! | packets that never end | bytes | `queues::packets_that_never_end_are_bounded` |
//! | a pool that is filled | envelopes of others that are lost: none | `pool::a_full_pool_is_the_problem_of_those_who_fill_it` |
//! | endless changes of requirements | looks at the pool | `pool::endless_changes_of_requirements_cost_little` |
//! | requests without end, idle connections to the port for health checks | bytes | `mailserver` |
//!
//! Elsewhere, where what is attacked can be driven step by step:
//!
//! | attack | bound | test |
//! | --- | --- | --- |
//! | the largest envelope, of any shape | CPU; recovered keys | `tests/secure/costs.rs`; `chat::messenger::receive` in core |
//! | more messages than a payload may have | messages handled | `sync::tests` in core |
//! | strangers that fill a state | records | `chat::messenger::strangers` in core |
//! | queries that scan an archive | steps between two of another address; requests each | `tests/mailserver/fair.rs` |
//! | requests without a private password | none is answered | `tests/mailserver/rules.rs` |
//! | a hostile mailserver: cursors in circles, pages of nothing | requests | `tests/mailserver/client.rs`, the fuzz target `answers` |
//! | a peer that asks for endless work | time; others get the envelope | `tests/cli/network.rs` |
//! | text that drives a terminal, or breaks lines | characters | `untrusted_text_is_escaped` in `tests/cli/payload.rs` |
//! | long headers in a handshake, skipped message keys | bytes; keys | `tests/secure/hostile.rs` |

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod mailserver;
mod places;
mod pool;
mod queues;
mod strangers;
mod world;
