//! A process that is killed wherever it is, most often while one journal replaces another.

#![allow(clippy::print_stdout, reason = "the child reports to its parent")]

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rand::RngExt as _;
use statuskit_core::crypto::seeded_rng;

use super::*;

/// Bytes of a record: some commits fill a journal.
const LARGE: usize = 200_000;

fn rounds() -> usize {
    if std::env::var_os("STATUSKIT_NIGHTLY").is_some() { 100 } else { 5 }
}

/// Returns the number in a record.
fn number(store: &DiskStore, key: &[u8]) -> u64 {
    let record = store.get(key).unwrap();
    record.map_or(0, |record| u64::from_be_bytes(record[..8].try_into().unwrap()))
}

/// Not a test itself: what the other process does. Commits for ever, and prints each commit.
#[test]
fn child() {
    let Some(dir) = std::env::var_os("STATE_TEST_CHILD") else { return };
    let mut store = DiskStore::open_with_cost(Path::new(&dir), Some(b"password"), 4).unwrap();
    let first = number(&store, b"a") + 1;
    for n in first.. {
        let mut changes = Changes::default();
        for key in [&b"a"[..], b"b"] {
            let record = [&n.to_be_bytes()[..], &vec![n as u8; LARGE]].concat();
            changes.put(key.into(), record.into());
        }
        store.commit(&changes).unwrap();
        println!("\ncommitted {n}");
        if n % 3 == 0 {
            store.wipe().unwrap();
        }
    }
}

#[test]
fn a_state_that_is_killed_again_and_again_loses_no_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = seeded_rng("kills");
    for round in 0..rounds() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "state::kills::child", "--nocapture", "--test-threads", "1"])
            .env("STATE_TEST_CHILD", dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let committed = lines.filter_map(|line| line.strip_prefix("committed ")?.parse().ok());
        let mut last: u64 = 0;
        let after = rng.random_range(1..12);
        for (at, n) in committed.enumerate() {
            last = n;
            if at == after {
                // The child goes on, and is killed wherever it is.
                thread::sleep(Duration::from_micros(rng.random_range(0..3000)));
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let store = DiskStore::open_existing(dir.path(), Some(b"password")).unwrap();
        let (a, b) = (number(&store, b"a"), number(&store, b"b"));
        assert!(a >= last && a <= last + 1, "round {round}: {a}, committed were {last}");
        assert_eq!(a, b, "round {round}: half of a commit");
        assert!(!dir.path().join(NEW).exists() && !dir.path().join("journal.old").exists());
    }
}
