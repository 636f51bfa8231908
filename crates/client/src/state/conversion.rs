//! Conversion of states of version 0.1, with crashes and damage.

use std::{collections::BTreeMap, fs, path::PathBuf};

use rand::Rng as _;
use statuskit_core::crypto::seeded_rng;
use statuskit_lmdb::making::{DATA, READING};

use super::{files::OLD, *};

/// The password of Bob's state; Alice's has none.
const PASSWORD: &[u8] = b"a password of fixtures";

type Records = BTreeMap<Vec<u8>, Record>;

fn fixture(who: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/state-0.1").join(who)
}

fn copy(who: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in [DATA, READING, JOURNAL, "lock"] {
        fs::write(dir.path().join(file), fs::read(fixture(who).join(file)).unwrap()).unwrap();
    }
    dir
}

/// Reads the records of a state of version 0.1.
fn stored(dir: &Path) -> Result<Records, StoreError> {
    legacy::read(dir).map(|legacy| legacy.unwrap().records)
}

/// Opens a store, which converts it, and reads its records.
fn converted(dir: &Path, password: Option<&[u8]>) -> Result<Records, StoreError> {
    DiskStore::open_existing(dir, password)?.journal.scan(b"").collect()
}

fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn plain_and_encrypted_states_are_converted() {
    for (who, password) in [("alice", None), ("bob", Some(PASSWORD))] {
        let dir = copy(who);
        let before = stored(dir.path()).unwrap();
        assert!(before.len() > 5, "{who} has {} records", before.len());
        for wrong in [None, Some(&b"another"[..])].into_iter().filter(|it| *it != password) {
            assert!(DiskStore::open(dir.path(), wrong).is_err());
            assert_eq!(stored(dir.path()).unwrap(), before, "nothing has changed");
        }
        for _ in 0..2 {
            assert_eq!(converted(dir.path(), password).unwrap(), before);
            assert_eq!(files(dir.path()), [JOURNAL, "lock"]);
        }
        let mut store = DiskStore::open(dir.path(), password).unwrap();
        let mut count = 0;
        let mut visit = |_: &[u8], _: &[u8]| {
            count += 1;
            Ok(())
        };
        store.scan(b"", &mut visit).unwrap();
        assert_eq!(count, before.len());
        let mut changes = Changes::default();
        changes.put(b"key".to_vec(), b"record".to_vec().into());
        store.commit(&changes).unwrap();
        drop(store);
        let store = DiskStore::open(dir.path(), password).unwrap();
        assert_eq!(store.get(b"key").unwrap().unwrap().as_slice(), b"record");
    }
}

/// Stops after each step, with a part of the next one done.
#[test]
fn a_crash_while_a_state_is_converted_loses_nothing() {
    for step in 0..8 {
        let dir = copy("alice");
        let [data, journal, new, old] = [DATA, JOURNAL, NEW, OLD].map(|name| dir.path().join(name));
        let before = stored(dir.path()).unwrap();
        let Legacy { header, records } = legacy::read(dir.path()).unwrap().unwrap();
        Journal::create(dir.path(), &header, records.into_iter().map(Ok), 0).unwrap();
        let shorten = |path: &Path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 3]).unwrap();
        };
        let overwrite = |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[..5000].fill(0);
            fs::write(path, bytes).unwrap();
        };
        match step {
            0 => shorten(&new),
            1 => {}
            _ => {
                fs::rename(&journal, &old).unwrap();
                if step > 2 {
                    fs::rename(&new, &journal).unwrap();
                }
                match step {
                    2 | 3 => {}
                    4 => overwrite(&old),
                    _ => fs::remove_file(&old).unwrap(),
                }
                match step {
                    6 => overwrite(&data),
                    7 => fs::remove_file(&data).unwrap(),
                    _ => {}
                }
            }
        }
        assert_eq!(converted(dir.path(), None).unwrap(), before, "after step {step}");
        assert_eq!(files(dir.path()), [JOURNAL, "lock"], "after step {step}");
    }
}

#[test]
fn the_old_files_are_overwritten() {
    let dir = copy("alice");
    // A second name keeps the blocks.
    let kept = tempfile::tempdir_in(dir.path().parent().unwrap()).unwrap();
    for file in [DATA, JOURNAL] {
        fs::hard_link(dir.path().join(file), kept.path().join(file)).unwrap();
    }
    converted(dir.path(), None).unwrap();
    for file in [DATA, JOURNAL] {
        let bytes = fs::read(kept.path().join(file)).unwrap();
        assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == 0), "{file}");
    }
}

fn assert_damaged(dir: &Path, what: &str) {
    for _ in 0..2 {
        let error = DiskStore::open(dir, None).unwrap_err();
        assert_eq!(error.code(), "store.corrupt", "{what}: {error}");
    }
}

#[test]
fn a_damaged_database_is_not_converted() {
    let good = fs::read(fixture("alice").join(DATA)).unwrap();
    let before = stored(&fixture("alice")).unwrap();
    let mut damaged = 0;
    for length in (4096 * 3..good.len()).step_by(4096 * 5 - 2048) {
        let dir = copy("alice");
        fs::write(dir.path().join(DATA), &good[..length]).unwrap();
        match converted(dir.path(), None) {
            // Free pages may be missing.
            Ok(records) => assert_eq!(records, before, "{length} bytes"),
            Err(error) => {
                assert_eq!(error.code(), "store.corrupt", "{length} bytes: {error}");
                assert!(dir.path().join(DATA).exists() && dir.path().join(JOURNAL).exists());
                damaged += 1;
            }
        }
    }
    assert!(damaged > 5, "{damaged}");
    let mut rng = seeded_rng("garbled");
    for _ in 0..60 {
        let dir = copy("alice");
        let mut bad = good.clone();
        let at = rng.next_u32() as usize % (bad.len() - 8);
        rng.fill_bytes(&mut bad[at..at + 8]);
        fs::write(dir.path().join(DATA), bad).unwrap();
        // Values have no checksums there.
        if let Err(error) = converted(dir.path(), None) {
            assert!(error.code().starts_with("store."), "{error}");
        }
    }
}

#[test]
fn a_damaged_journal_is_not_converted() {
    let dir = copy("alice");
    let path = dir.path().join(JOURNAL);
    let good = fs::read(&path).unwrap();
    let end = good.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for (what, bytes) in [
        ("zeros", vec![0; good.len()]),
        ("short", good[..good.len() - 1].to_vec()),
        ("long", [&good[..], &[0]].concat()),
        ("empty", Vec::new()),
        ("another", fs::read(fixture("bob").join(JOURNAL)).unwrap()),
        ("its first entry", [&[good[0] ^ 1], &good[1..]].concat()),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_damaged(dir.path(), what);
    }
    fs::remove_file(&path).unwrap();
    assert_damaged(dir.path(), "missing");
    // The last commit, cut off.
    let before = stored(&fixture("alice")).unwrap();
    let mut torn = good.clone();
    torn[end - 100..].fill(0);
    fs::write(&path, torn).unwrap();
    let records = converted(dir.path(), None).unwrap();
    assert!(records != before && records.keys().all(|name| before.contains_key(name)));
    // A journal without its database.
    let dir = copy("alice");
    fs::remove_file(dir.path().join(DATA)).unwrap();
    assert_damaged(dir.path(), "no database");
}

/// Version 0.1 was killed, or the disk was full, before it wrote a record.
#[test]
fn an_unfinished_creation_is_repeated() {
    let first_page = fs::read(fixture("alice").join(DATA)).unwrap()[..4096].to_vec();
    for data in [Vec::new(), first_page.clone()] {
        let dir = tempfile::tempdir().unwrap();
        for (file, bytes) in [(DATA, &data[..]), (READING, &[]), ("lock", &[])] {
            fs::write(dir.path().join(file), bytes).unwrap();
            let error = DiskStore::open_existing(dir.path(), None).unwrap_err();
            assert_eq!(error.code(), "store.missing");
        }
        drop(DiskStore::open(dir.path(), None).unwrap());
        assert_eq!(files(dir.path()), [JOURNAL, "lock"]);
    }
    // Not with a journal, and not with a file that is not LMDB's.
    let dir = copy("alice");
    fs::write(dir.path().join(DATA), &first_page).unwrap();
    assert_damaged(dir.path(), "the first page");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(DATA), [7; 4096]).unwrap();
    assert_damaged(dir.path(), "another file");
    assert_eq!(fs::read(dir.path().join(DATA)).unwrap(), [7; 4096]);
}
