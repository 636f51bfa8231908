//! The golden vectors: one test per file of `fixtures/`, named after the file.
//!
//! `STATUSKIT_FIXTURES=DIR cargo test --test vectors` runs another set of the same schema (see
//! `fixtures/README.md`). A missing file fails its test. Missing top-level members, and files that
//! no test reads, are named on standard error beside the counts of assertions.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod account;
mod case;
mod conversation;
mod discovery;
mod eip_names;
mod eips;
mod group;
mod jsonrpc;
mod mailserver;
mod node;
mod payload;
mod rendezvous;
mod rlpx;
mod secure;
mod sync;
mod waku;
mod whisper;

use std::{env, fs, io::Write as _, path::PathBuf};

use case::Set;

/// Returns the directory of the set.
fn directory() -> PathBuf {
    env::var_os("STATUSKIT_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures"), PathBuf::from)
}

/// Loads a file of the set and reports what `run` asserted of it.
fn vectors(file: &str, run: impl FnOnce(&mut Set)) {
    let path = directory().join(file).with_extension("json");
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("can't read the vectors {}: {error}", path.display()));
    let value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{} is not JSON: {error}", path.display()));
    let mut set = Set::new(file, value);
    run(&mut set);
    // Not `eprintln!`: passing tests show the counts, too.
    let _ = writeln!(std::io::stderr(), "{}", set.finish());
}

macro_rules! vector_tests {
    ($($name:ident => $run:path;)*) => {
        $(#[test] fn $name() { vectors(stringify!($name), $run); })*

        /// Names files that no test reads.
        #[test]
        fn unread_files() {
            let known = [$(stringify!($name)),*];
            for file in fs::read_dir(directory()).unwrap() {
                let path = file.unwrap().path();
                let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
                if path.extension().is_some_and(|it| it == "json") && !known.contains(&name) {
                    let _ = writeln!(std::io::stderr(), "vectors {name}: NOT READ, no test for it");
                }
            }
        }
    };
}

vector_tests! {
    topics => whisper::topics;
    symkey => whisper::symkey;
    bloom => whisper::bloom;
    pow => whisper::pow;
    envelope_sym => whisper::envelope_sym;
    envelope_asym => whisper::envelope_asym;
    envelope_invalid => envelope_invalid_members;
    shh_packets => shh_packets_members;
    waku_packets => waku::waku_packets;
    jsonrpc => jsonrpc::jsonrpc;
    rlpx => rlpx_members;
    discovery => discovery::discovery;
    mailserver => mailserver::mailserver;
    accounts => account::accounts;
    keystore => account::keystore;
    alias => account::alias;
    identicon => account::identicon;
    key_compression => account::key_compression;
    contact_code => secure::contact_code;
    bundles => secure::bundles;
    x3dh => secure::x3dh_cases;
    double_ratchet => secure::double_ratchet;
    dh_fallback => secure::dh_fallback;
    protocol_message => secure::protocol_message;
    negotiated_topic => secure::negotiated_topic;
    payloads => payload::payloads;
    mvds => sync::mvds;
    group_events => group::group_events;
    eips => eips::eips;
}

fn rlpx_members(set: &mut Set) {
    let members = ["handshakes", "hello", "capability_offsets", "disconnect_reasons", "eip8"];
    set.group(&members, rlpx::rlpx);
}

/// As codecs read them, and as a node acts on them.
fn envelope_invalid_members(set: &mut Set) {
    set.again(node::envelope_invalid);
    whisper::envelope_invalid(set);
}

/// As codecs read them, and as a node acts on them.
fn shh_packets_members(set: &mut Set) {
    set.again(node::shh_packets);
    whisper::shh_packets(set);
}
