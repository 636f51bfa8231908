//! The fuzz targets of `fuzz/`, each with its kept inputs and mutations of them.
//!
//! Without instrumentation these find less than libFuzzer does in `.ci/nightly`, but they share the
//! build of the other tests, on any toolchain. Each target gets a number of inputs, always the same;
//! with `STATUSKIT_FUZZ=SECONDS`, as many as fit into that time. An input that fails is kept in
//! `fuzz/artifacts`.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]
// `no_main` is for libFuzzer.
#![allow(unused_attributes)]

mod mutations;

use std::{
    env, fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mutations::Mutations;

// The targets know this crate as the one that they are built with for libFuzzer.
extern crate self as libfuzzer_sys;

/// Not in scope by itself, so that targets import it as they do for libFuzzer.
mod import {
    /// Makes a function of a target.
    macro_rules! fuzz_target {
        (|$data:ident: &[u8]| $body:expr) => {
            pub fn run($data: &[u8]) {
                $body
            }
        };
        (|$text:ident: &str| $body:expr) => {
            pub fn run(data: &[u8]) {
                let valid = data.utf8_chunks().next().map_or("", |chunk| chunk.valid());
                let run = |$text: &str| $body;
                run(valid);
            }
        };
    }
    pub(crate) use fuzz_target;
}
pub(crate) use import::fuzz_target;

#[path = "../../fuzz/fuzz_targets/abi.rs"]
mod abi;
#[path = "../../fuzz/fuzz_targets/account.rs"]
mod account;
#[path = "../../fuzz/fuzz_targets/answers.rs"]
mod answers;
#[path = "../../fuzz/fuzz_targets/chat.rs"]
mod chat;
#[path = "../../fuzz/fuzz_targets/connection.rs"]
mod connection;
#[path = "../../fuzz/fuzz_targets/contenthash.rs"]
mod contenthash;
#[path = "../../fuzz/fuzz_targets/database_url.rs"]
mod database_url;
#[path = "../../fuzz/fuzz_targets/discovery.rs"]
mod discovery;
#[path = "../../fuzz/fuzz_targets/ens.rs"]
mod ens;
#[path = "../../fuzz/fuzz_targets/envelope.rs"]
mod envelope;
#[path = "../../fuzz/fuzz_targets/group.rs"]
mod group;
#[path = "../../fuzz/fuzz_targets/inspect.rs"]
mod inspect;
#[path = "../../fuzz/fuzz_targets/leveldb.rs"]
mod leveldb;
#[path = "../../fuzz/fuzz_targets/link.rs"]
mod link;
#[path = "../../fuzz/fuzz_targets/mailserver.rs"]
mod mailserver;
#[path = "../../fuzz/fuzz_targets/message.rs"]
mod message;
#[path = "../../fuzz/fuzz_targets/node.rs"]
mod node;
#[path = "../../fuzz/fuzz_targets/packet.rs"]
mod packet;
#[path = "../../fuzz/fuzz_targets/payload.rs"]
mod payload;
#[path = "../../fuzz/fuzz_targets/protocol_message.rs"]
mod protocol_message;
#[path = "../../fuzz/fuzz_targets/provider.rs"]
mod provider;
#[path = "../../fuzz/fuzz_targets/ratchet.rs"]
mod ratchet;
#[path = "../../fuzz/fuzz_targets/reader.rs"]
mod reader;
#[path = "../../fuzz/fuzz_targets/rendezvous.rs"]
mod rendezvous;
#[path = "../../fuzz/fuzz_targets/rpc.rs"]
mod rpc;
#[path = "../../fuzz/fuzz_targets/state.rs"]
mod state;
#[path = "../../fuzz/fuzz_targets/sync.rs"]
mod sync;
#[path = "../../fuzz/fuzz_targets/text.rs"]
mod text;
#[path = "../../fuzz/fuzz_targets/tx.rs"]
mod tx;
#[path = "../../fuzz/fuzz_targets/typed_data.rs"]
mod typed_data;
#[path = "../../fuzz/fuzz_targets/waku.rs"]
mod waku;

macro_rules! tests {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        mod inputs {
            $(#[test] fn $name() { super::play(stringify!($name), super::$name::run); })*
        }
    };
}

tests! {
    abi account answers chat connection contenthash database_url discovery ens envelope group inspect leveldb link mailserver message node packet payload protocol_message provider ratchet reader rendezvous rpc state sync text tx typed_data waku
}

/// The inputs of each target without a time.
const INPUTS: usize = 60;
/// The time for one input above which it is kept, to look at it.
const SLOW: Duration = Duration::from_secs(1);

fn fuzz_dir(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder)
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let Ok(files) = fs::read_dir(fuzz_dir("seeds").join(name)) else { return Vec::new() };
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Writes an input to a file.
fn keep(name: &str, what: &str, input: &[u8]) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let dir = fuzz_dir("artifacts").join(name);
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join(format!("{what}-{:016x}", hasher.finish()));
    fs::write(&path, input).unwrap();
    path
}

/// Runs a target on its kept inputs, and on mutations of them.
fn play(name: &str, target: fn(&[u8])) {
    let time = env::var("STATUSKIT_FUZZ").ok().map(|text| text.parse().unwrap());
    let until = time.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let seeds = seeds(name);
    let kept = seeds.len();
    let mut mutations = Mutations::new(name, seeds);
    let (began, mut count, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    loop {
        let is_over = until.map_or(count >= INPUTS, |until| Instant::now() >= until);
        if count >= kept && is_over {
            break;
        }
        let input = mutations.next();
        let at = Instant::now();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&input))) {
            eprintln!("{name} fails with {}", keep(name, "crash", &input).display());
            resume_unwind(panic);
        }
        if at.elapsed() > SLOW {
            eprintln!("{name} is slow with {}", keep(name, "slow", &input).display());
        }
        slowest = slowest.max(at.elapsed());
        count += 1;
    }
    let each_second = count as f64 / began.elapsed().as_secs_f64();
    println!("{name}: {count} inputs, {each_second:.0}/s, slowest {slowest:?}");
}

/// A target that is not run by both is run by nobody.
#[test]
fn each_target_is_listed() {
    let files = fs::read_dir(fuzz_dir("fuzz_targets")).unwrap();
    let mut targets: Vec<_> = files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    targets.sort();
    assert_eq!(NAMES, targets);
    let manifest = fs::read_to_string(fuzz_dir("Cargo.toml")).unwrap();
    for name in targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        assert!(!seeds(&name).is_empty(), "{name} has no kept input");
    }
}
