//! Damage and crashes at every place.

use rand::Rng as _;

use super::{files::OLD, *};

/// Creates a store with this many commits; key `k` holds the number of the last one.
/// Returns the offsets of their ends, too.
fn made(commits: u8) -> (tempfile::TempDir, PathBuf, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = DiskStore::open(dir.path(), None).unwrap();
    let mut ends = vec![store.journal.end as usize];
    for number in 1..=commits {
        store.commit(&change(number)).unwrap();
        ends.push(store.journal.end as usize);
    }
    let path = dir.path().join(JOURNAL);
    (dir, path, ends)
}

fn change(number: u8) -> Changes {
    let mut changes = Changes::default();
    changes.put(b"k".to_vec(), vec![number; 40].into());
    changes.put(vec![b'a', number], vec![number; 100].into());
    changes
}

/// Reads the last commit of a store.
fn last(dir: &Path) -> Result<Option<u8>, StoreError> {
    let store = DiskStore::open(dir, None)?;
    Ok(store.get(b"k")?.map(|record| record[0]))
}

fn assert_damaged(dir: &Path, what: &str) {
    let found = last(dir);
    let code = found.as_ref().map_err(StoreError::code);
    assert_eq!(code.err(), Some("store.corrupt"), "{what}: {found:?}");
    // Opening does not repair it.
    assert!(last(dir).is_err(), "{what}, again");
}

#[test]
fn every_flipped_bit_is_detected_or_in_the_last_entry() {
    let (dir, path, ends) = made(5);
    let good = fs::read(&path).unwrap();
    // All bytes of the heads, and some of the bodies.
    let is_head = |at: usize| [0].iter().chain(&ends).any(|end| (*end..end + 44).contains(&at));
    for at in (0..ends[5]).filter(|at| is_head(*at) || at % 16 == 0) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        if at < ends[4] {
            let error = DiskStore::open(dir.path(), None).unwrap_err();
            assert_eq!(error.code(), "store.corrupt", "byte {at}");
        } else {
            match last(dir.path()) {
                Ok(found) => assert_eq!(found, Some(4), "byte {at}"),
                Err(error) => assert_eq!(error.code(), "store.corrupt", "byte {at}"),
            }
        }
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(last(dir.path()).unwrap(), Some(5));
}

#[test]
fn missing_entries_are_detected() {
    let (dir, path, ends) = made(5);
    let good = fs::read(&path).unwrap();
    for (number, ends) in ends.windows(2).enumerate().take(4) {
        let mut bad = good.clone();
        bad[ends[0]..ends[1]].fill(0);
        fs::write(&path, &bad).unwrap();
        assert_damaged(dir.path(), &format!("without commit {}", number + 1));
        // The entries after it moved to its place.
        let mut bad = good.clone();
        bad.copy_within(ends[1].., ends[0]);
        fs::write(&path, &bad).unwrap();
        assert_damaged(dir.path(), &format!("without commit {}, closed up", number + 1));
    }
    // The last two at once, except for the end of the last.
    let mut bad = good.clone();
    bad[ends[3] + 60..ends[4] + 60].fill(0xff);
    fs::write(&path, &bad).unwrap();
    assert_damaged(dir.path(), "the last two");
    for (what, bytes) in [
        ("all zeros", vec![0; good.len()]),
        ("short", good[..good.len() - 1].to_vec()),
        ("long", [&good[..], &[0]].concat()),
        ("another file", b"hi\n".to_vec()),
        ("empty", Vec::new()),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_damaged(dir.path(), what);
    }
    fs::remove_file(&path).unwrap();
    assert_damaged(dir.path(), "missing");
    assert!(!path.exists());
    fs::write(path.with_file_name(OLD), &good).unwrap();
    assert_damaged(dir.path(), "replaced by nothing");
    fs::write(&path, &good).unwrap();
    assert_eq!(last(dir.path()).unwrap(), Some(5));
}

/// Reads all records as they are stored.
fn records(dir: &Path) -> String {
    let store = DiskStore::open(dir, None).unwrap();
    store.journal.scan(b"").map(|record| format!("{:?}\n", record.unwrap())).collect()
}

#[test]
fn damage_to_records_of_creation_is_never_a_cut_off_commit() {
    let (dir, path, _) = made(5);
    let mut store = DiskStore::open(dir.path(), None).unwrap();
    store.wipe().unwrap();
    let end = store.journal.end as usize;
    drop(store);
    let good = fs::read(&path).unwrap();
    for at in 0..end {
        let mut bad = good.clone();
        bad[at..end].fill(0);
        fs::write(&path, &bad).unwrap();
        assert_damaged(dir.path(), &format!("cut off at {at}"));
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(last(dir.path()).unwrap(), Some(5));
}

#[test]
fn a_store_opens_after_a_crash_during_creation() {
    for steps in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("state");
        if steps > 0 {
            fs::create_dir(&at).unwrap();
        }
        if steps > 1 {
            fs::write(at.join("lock"), b"").unwrap();
        }
        if steps > 2 {
            let bytes = if steps == 3 { vec![7; 1000] } else { Vec::new() };
            fs::write(at.join(NEW), bytes).unwrap();
        }
        let error = DiskStore::open_existing(&at, None).unwrap_err();
        assert_eq!(error.code(), "store.missing");
        if steps == 4 {
            let (_, header) = Seal::create(None, 1).unwrap();
            super::create(&at, &header, [], 0).unwrap();
            DiskStore::open_existing(&at, None).unwrap();
        }
        let mut store = DiskStore::open(&at, None).unwrap();
        store.commit(&change(1)).unwrap();
        drop(store);
        assert_eq!(last(&at).unwrap(), Some(1), "after step {steps}");
        assert_eq!(fs::read_dir(&at).unwrap().count(), 2);
    }
}

/// Stops after each step, with a part of the next one done.
#[test]
fn a_crash_while_a_journal_is_replaced_loses_nothing() {
    for step in 0..6 {
        let (dir, path, _) = made(5);
        let before = records(dir.path());
        let [new, old] = [NEW, OLD].map(|name| dir.path().join(name));
        let store = DiskStore::open(dir.path(), None).unwrap();
        Journal::create(dir.path(), &store.journal.header, store.journal.scan(b""), 0).unwrap();
        drop(store);
        let bytes = fs::read(&new).unwrap();
        if step == 0 {
            fs::write(&new, &bytes[..1000]).unwrap();
        }
        if step > 1 {
            fs::rename(&path, &old).unwrap();
        }
        if step > 2 {
            fs::rename(&new, &path).unwrap();
        }
        if step > 3 {
            fs::write(&old, vec![0; 1000 * (step - 3)]).unwrap();
        }
        if step > 4 {
            fs::remove_file(&old).unwrap();
        }
        assert_eq!(records(dir.path()), before, "after step {step}");
        assert!(!new.exists() && !old.exists());
        let mut store = DiskStore::open(dir.path(), None).unwrap();
        store.commit(&change(6)).unwrap();
        drop(store);
        assert_eq!(last(dir.path()).unwrap(), Some(6));
    }
}

#[test]
fn a_failed_creation_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let in_the_way = dir.path().join(NEW).join("file");
    fs::create_dir_all(&in_the_way).unwrap();
    for _ in 0..2 {
        assert_eq!(DiskStore::open(dir.path(), None).unwrap_err().code(), "store.io");
    }
    fs::remove_dir_all(dir.path().join(NEW)).unwrap();
    DiskStore::open(dir.path(), None).unwrap().commit(&change(1)).unwrap();
    assert_eq!(last(dir.path()).unwrap(), Some(1));
}

#[test]
fn a_failed_write_stops_all_others() {
    let (dir, ..) = made(1);
    let mut store = DiskStore::open(dir.path(), None).unwrap();
    let in_the_way = dir.path().join(NEW);
    fs::create_dir(&in_the_way).unwrap();
    assert_eq!(store.wipe().unwrap_err().code(), "store.io");
    assert_eq!(store.commit(&change(2)).unwrap_err().code(), "store.failed");
    assert_eq!(store.wipe().unwrap_err().code(), "store.failed");
    drop(store);
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(last(dir.path()).unwrap(), Some(1));
}

#[test]
fn open_existing_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("state");
    assert_eq!(DiskStore::open_existing(&at, None).unwrap_err().code(), "store.missing");
    assert!(!at.exists());
    assert_eq!(DiskStore::open_existing(dir.path(), None).unwrap_err().code(), "store.missing");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    drop(DiskStore::open(&at, None).unwrap());
    assert!(DiskStore::open_existing(&at, None).is_ok());
}

/// Counts the files that hold a text.
fn count(dir: &Path, text: &[u8]) -> usize {
    let files = fs::read_dir(dir).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    files.filter(|bytes| bytes.windows(text.len()).any(|window| window == text)).count()
}

#[test]
fn wipe_overwrites_old_records() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = DiskStore::open(dir.path(), None).unwrap();
    let put = |store: &mut DiskStore, key: u16, record: Option<&[u8]>| {
        let mut changes = Changes::default();
        match record {
            Some(record) => changes.put(key.to_be_bytes().to_vec(), record.to_vec().into()),
            None => changes.delete(key.to_be_bytes().to_vec()),
        }
        store.commit(&changes).unwrap();
    };
    let (secret, other) = (b"a chain key that was used", b"another, in the journal only");
    let long = [&secret[..], &[b'x'; 20_000]].concat();
    for key in 0..400 {
        put(&mut store, key, Some(&[&[b'y'; 300][..], secret].concat()));
    }
    put(&mut store, 400, Some(&long));
    store.wipe().unwrap();
    for key in 0..400 {
        // Shorter, longer, as long, and deleted.
        let new = [&b"z"[..], &[b'z'; 600], &[b'z'; 325]].get(usize::from(key) % 4).copied();
        put(&mut store, key, new);
    }
    put(&mut store, 400, None);
    put(&mut store, 401, Some(other));
    put(&mut store, 401, Some(b"and what came then"));
    assert!(count(dir.path(), secret) > 0 && count(dir.path(), other) > 0);
    store.wipe().unwrap();
    assert_eq!((count(dir.path(), secret), count(dir.path(), other)), (0, 0));
    // The current records stay.
    let mut found = 0;
    store
        .scan(b"", &mut |_, _| {
            found += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(found, 301);
    drop(store);
    let store = DiskStore::open(dir.path(), None).unwrap();
    let record = store.get(&401_u16.to_be_bytes()).unwrap().unwrap();
    assert_eq!(record.as_slice(), b"and what came then");
}

#[test]
fn a_garbled_journal_is_an_error() {
    let (dir, path, ends) = made(200);
    let good = fs::read(&path).unwrap();
    let before = records(dir.path());
    let mut rng = statuskit_core::crypto::seeded_rng("garbled");
    for _ in 0..200 {
        let mut bad = good.clone();
        let at = rng.next_u32() as usize % ends[199];
        rng.fill_bytes(&mut bad[at..at + 8]);
        fs::write(&path, &bad).unwrap();
        if bad == good {
            assert_eq!(records(dir.path()), before);
        } else {
            assert_damaged(dir.path(), &format!("garbled at {at}"));
        }
    }
    for length in (0..good.len()).step_by(2048) {
        fs::write(&path, &good[..length]).unwrap();
        assert_damaged(dir.path(), &format!("{length} bytes"));
    }
}
