//! What damage does, and what a crash does, at every place.

use std::{fs, path::PathBuf};

use super::*;

/// A store with these many commits: the last one of key `k` says how many.
fn made(commits: u8) -> (tempfile::TempDir, PathBuf, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = DiskStore::open(dir.path(), None).unwrap();
    let mut ends = vec![store.journal.end()];
    for number in 1..=commits {
        store.commit(&change(number)).unwrap();
        ends.push(store.journal.end());
    }
    let path = dir.path().join("journal");
    (dir, path, ends)
}

fn change(number: u8) -> Changes {
    let mut changes = Changes::default();
    changes.put(b"k".to_vec(), vec![number; 40].into());
    changes.put(vec![b'a', number], vec![number; 100].into());
    changes
}

/// The last commit of a store that opens, or why it does not.
fn last(dir: &Path) -> Result<Option<u8>, StoreError> {
    let store = DiskStore::open(dir, None)?;
    Ok(store.get(b"k")?.map(|record| record[0]))
}

fn assert_damaged(dir: &Path, what: &str) {
    let found = last(dir);
    let code = found.as_ref().map_err(StoreError::code);
    assert_eq!(code.err(), Some("store.corrupt"), "{what}: {found:?}");
    // Looking does not heal it.
    assert!(last(dir).is_err(), "{what}, again");
}

#[test]
fn every_flipped_bit_is_noticed_or_of_the_last_record() {
    let (dir, path, ends) = made(5);
    let good = fs::read(&path).unwrap();
    // All of the heads; of the rest, some.
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
fn lost_records_are_noticed() {
    let (dir, path, ends) = made(5);
    let good = fs::read(&path).unwrap();
    for (number, ends) in ends.windows(2).enumerate().take(4) {
        let mut bad = good.clone();
        bad[ends[0]..ends[1]].fill(0);
        fs::write(&path, &bad).unwrap();
        assert_damaged(dir.path(), &format!("without commit {}", number + 1));
        // Those behind it moved to its place.
        let mut bad = good.clone();
        bad.copy_within(ends[1].., ends[0]);
        fs::write(&path, &bad).unwrap();
        assert_damaged(dir.path(), &format!("without commit {}, closed up", number + 1));
    }
    // Two at once, the last among them but for its end.
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
    // Of another store, and of before the last checkpoint.
    let (_other, theirs, _) = made(5);
    fs::copy(theirs, &path).unwrap();
    assert_damaged(dir.path(), "another's");
    fs::write(&path, &good).unwrap();
    let mut store = DiskStore::open(dir.path(), None).unwrap();
    store.checkpoint(&Stored::new()).unwrap();
    drop(store);
    fs::write(&path, &good).unwrap();
    assert_damaged(dir.path(), "an older one");
}

#[test]
fn a_journal_without_its_database_is_noticed() {
    let (dir, ..) = made(2);
    fs::remove_file(dir.path().join(DATA)).unwrap();
    assert_damaged(dir.path(), "no database");
}

#[test]
fn a_crash_while_a_store_is_made_leaves_one_that_opens() {
    let journals: [Option<Vec<u8>>; 5] = [
        None,
        Some(Vec::new()),
        Some(vec![0; 1000]),
        Some(vec![0; journal::SIZE]),
        Some([vec![7; 5000], vec![0; journal::SIZE - 5000]].concat()),
    ];
    for (steps, bytes) in (0..4).map(|steps| (steps, None)).chain(journals.map(|it| (4, it))) {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("state");
        if steps > 0 {
            fs::create_dir(&at).unwrap();
        }
        if steps > 1 {
            fs::write(at.join("lock"), b"").unwrap();
        }
        if steps > 2 {
            let table = Table::open(&at).unwrap();
            if steps > 3 {
                let (_, header) = Seal::create(None, 1).unwrap();
                table.create(&header, next_journal().unwrap()).unwrap();
            } else {
                // Nothing that could be called a state.
                drop(table);
                let error = DiskStore::open_existing(&at, None).unwrap_err();
                assert_eq!(error.code(), "store.missing");
            }
        }
        if let Some(bytes) = bytes {
            fs::write(at.join("journal"), bytes).unwrap();
        }
        let mut store = DiskStore::open(&at, None).unwrap();
        store.commit(&change(1)).unwrap();
        drop(store);
        assert_eq!(last(&at).unwrap(), Some(1), "after step {steps}");
    }
}

/// Killed, or without room, before anything was written.
#[test]
fn a_store_that_was_only_begun_begins_again() {
    let (dir, ..) = made(1);
    let first_page = fs::read(dir.path().join(DATA)).unwrap()[..4096].to_vec();
    for data in [Vec::new(), first_page.clone()] {
        let dir = tempfile::tempdir().unwrap();
        for (file, bytes) in [(DATA, &data[..]), ("lock.mdb", &[]), ("lock", &[])] {
            fs::write(dir.path().join(file), bytes).unwrap();
            let error = DiskStore::open_existing(dir.path(), None).unwrap_err();
            assert_eq!(error.code(), "store.missing");
        }
        DiskStore::open(dir.path(), None).unwrap().commit(&change(1)).unwrap();
        assert_eq!(last(dir.path()).unwrap(), Some(1));
    }
    // With a journal it was more than begun, and what the engine has not made is not ours.
    fs::write(dir.path().join(DATA), &first_page).unwrap();
    assert!(DiskStore::open(dir.path(), None).is_err());
    fs::remove_file(dir.path().join("journal")).unwrap();
    fs::write(dir.path().join(DATA), [7; 4096]).unwrap();
    assert!(DiskStore::open(dir.path(), None).is_err());
    assert_eq!(fs::read(dir.path().join(DATA)).unwrap(), [7; 4096]);
}

/// What could not be made leaves nothing that is taken for damage.
#[test]
fn a_store_that_could_not_be_made_is_made_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let error = making::make(dir.path(), table::READERS, io_error("write", dir.path()), || {
        fs::write(dir.path().join(DATA), [7; 4096]).unwrap();
        Err::<(), _>(StoreError::Failed)
    });
    assert_eq!(error.unwrap_err().code(), "store.failed");
    DiskStore::open(dir.path(), None).unwrap().commit(&change(1)).unwrap();
    assert_eq!(last(dir.path()).unwrap(), Some(1));
}

/// The file that is mapped for those who read has all its room from the beginning: a disk that is
/// full must not end them with a signal.
#[cfg(target_os = "linux")]
#[test]
fn the_room_of_those_who_read_is_there_before_they_are() {
    use std::os::linux::fs::MetadataExt as _;

    let (dir, ..) = made(0);
    let found = fs::metadata(dir.path().join("lock.mdb")).unwrap();
    let room = u64::from(table::READERS) * 64;
    assert!(found.st_size() >= room && found.st_blocks() * 512 >= found.st_size(), "{found:?}");
}

#[test]
fn a_crash_in_a_checkpoint_loses_nothing() {
    // Any part of the old journal may have been overwritten, the new one may be there or not.
    for (wiped, new) in [(0, false), (300, false), (journal::SIZE, false), (journal::SIZE, true)] {
        let (dir, path, _) = made(5);
        let mut store = DiskStore::open(dir.path(), None).unwrap();
        let next = next_journal().unwrap();
        store.table().unwrap().write([&store.recent, &Stored::new()], next).unwrap();
        if new {
            store.journal.restart(next.id).unwrap();
        }
        drop(store);
        if !new {
            let mut bytes = fs::read(&path).unwrap();
            bytes[..wiped].fill(0);
            fs::write(&path, bytes).unwrap();
        }
        assert_eq!(last(dir.path()).unwrap(), Some(5), "{wiped} bytes, {new}");
        let mut store = DiskStore::open(dir.path(), None).unwrap();
        store.commit(&change(6)).unwrap();
        drop(store);
        assert_eq!(last(dir.path()).unwrap(), Some(6));
    }
}

#[test]
fn an_existing_store_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("state");
    assert_eq!(DiskStore::open_existing(&at, None).unwrap_err().code(), "store.missing");
    assert!(!at.exists());
    assert_eq!(DiskStore::open_existing(dir.path(), None).unwrap_err().code(), "store.missing");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    drop(DiskStore::open(&at, None).unwrap());
    assert!(DiskStore::open_existing(&at, None).is_ok());
}

/// In how many files a text stands.
fn count(dir: &Path, text: &[u8]) -> usize {
    let files = fs::read_dir(dir).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    files.filter(|bytes| bytes.windows(text.len()).any(|window| window == text)).count()
}

#[test]
fn what_is_gone_is_overwritten() {
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
    store.checkpoint(&Stored::new()).unwrap();
    for key in 0..400 {
        // Shorter, longer, as long, not at all.
        let new = [&b"z"[..], &[b'z'; 600], &[b'z'; 325]].get(usize::from(key) % 4).copied();
        put(&mut store, key, new);
    }
    put(&mut store, 400, None);
    put(&mut store, 401, Some(other));
    put(&mut store, 401, Some(b"and what came then"));
    assert!(count(dir.path(), secret) > 0 && count(dir.path(), other) > 0);
    // In the same process, with its buffers.
    store.wipe().unwrap();
    assert_eq!((count(dir.path(), secret), count(dir.path(), other)), (0, 0));
    // Nothing else has changed.
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

/// Reads everything, if it opens.
fn everything(dir: &Path) -> Result<usize, StoreError> {
    let store = DiskStore::open(dir, None)?;
    let mut count = 0;
    store.scan(b"", &mut |_, _| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

#[test]
fn a_damaged_database_never_gets_to_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = DiskStore::open(dir.path(), None).unwrap();
    let mut changes = Changes::default();
    for number in 0..200 {
        changes.put(vec![b'a', number], vec![number; 100].into());
    }
    changes.put(b"long".to_vec(), vec![7; 20_000].into());
    store.commit(&changes).unwrap();
    store.checkpoint(&Stored::new()).unwrap();
    drop(store);
    let files = ["journal", DATA].map(|name| dir.path().join(name));
    let good = files.each_ref().map(|path| fs::read(path).unwrap());
    let with_database = |bytes: &[u8]| {
        fs::write(&files[0], &good[0]).unwrap();
        fs::write(&files[1], bytes).unwrap();
        everything(dir.path())
    };
    assert_eq!(with_database(&good[1]).unwrap(), 201);
    // Cut off anywhere: the engine would read pages that are not there, which ends the process.
    let mut damaged = 0;
    for length in (0..good[1].len()).step_by(2048) {
        match with_database(&good[1][..length]) {
            // Pages that nobody uses may be missing.
            Ok(count) => assert_eq!(count, 201, "{length} bytes"),
            Err(error) => {
                assert_eq!(error.code(), "store.corrupt", "{length} bytes: {error}");
                damaged += 1;
            }
        }
    }
    assert!(damaged > 10, "{damaged}");
    // Garbled anywhere.
    let mut rng = statuskit_core::crypto::seeded_rng("garbled");
    for _ in 0..200 {
        let mut bad = good[1].clone();
        let at = rng.next_u32() as usize % (bad.len() - 8);
        rng.fill_bytes(&mut bad[at..at + 8]);
        if let Err(error) = with_database(&bad) {
            assert!(error.code().starts_with("store."), "{error}");
        }
    }
}
