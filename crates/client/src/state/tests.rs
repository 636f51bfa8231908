//! Stores without damage.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

const LOG_N: u8 = 4;

fn open(dir: &Path, password: Option<&[u8]>) -> Result<DiskStore, StoreError> {
    DiskStore::open_with_cost(dir, password, LOG_N)
}

fn change(pairs: &[(&str, Option<&str>)]) -> Changes {
    let mut changes = Changes::default();
    for (key, record) in pairs {
        match record {
            Some(record) => changes.put(key.as_bytes().into(), record.as_bytes().to_vec().into()),
            None => changes.delete(key.as_bytes().into()),
        }
    }
    changes
}

fn all(store: &DiskStore, prefix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    store
        .scan(prefix.as_bytes(), &mut |key, record| {
            found.push((text(key), text(record)));
            Ok(())
        })
        .unwrap();
    found.sort();
    found
}

#[test]
fn commits_survive_reopening() {
    for password in [None, Some(&b"password"[..])] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path(), password).unwrap();
        store
            .commit(&change(&[("a1", Some("one")), ("a2", Some("two")), ("b", Some("x"))]))
            .unwrap();
        store.wipe().unwrap();
        store.commit(&change(&[("a1", Some("new")), ("b", None), ("c", Some("y"))])).unwrap();
        for reopened in [false, true] {
            if reopened {
                drop(store);
                store = open(dir.path(), password).unwrap();
            }
            let get = |key: &str| store.get(key.as_bytes()).unwrap().map(|r| r.to_vec());
            assert_eq!(get("a1").as_deref(), Some(&b"new"[..]));
            assert_eq!(get("a2").as_deref(), Some(&b"two"[..]));
            assert_eq!((get("b"), get("d")), (None, None));
            let pairs = |of: &[(&str, &str)]| -> Vec<(String, String)> {
                of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
            };
            assert_eq!(all(&store, "a"), pairs(&[("a1", "new"), ("a2", "two")]));
            assert_eq!(all(&store, "").len(), 3);
        }
        assert_eq!(store.seal.is_encrypted(), password.is_some());
    }
}

#[test]
fn a_full_journal_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), None).unwrap();
    let journal = dir.path().join(JOURNAL);
    let begin = |dir: &Path| fs::read(dir).unwrap()[..16].to_vec();
    let (first, long) = (begin(&journal), "x".repeat(100_000));
    for n in 0..40 {
        let key = format!("k{n}");
        store.commit(&change(&[(&key, Some(&long)), ("last", Some(&key))])).unwrap();
    }
    assert_ne!(begin(&journal), first);
    // Larger than the room of a journal.
    let huge = "y".repeat(20 << 20);
    store.commit(&change(&[("huge", Some(&huge)), ("k0", None)])).unwrap();
    for reopened in [false, true] {
        if reopened {
            drop(store);
            store = open(dir.path(), None).unwrap();
        }
        assert_eq!(all(&store, "k").len(), 39);
        assert_eq!(store.get(b"last").unwrap().unwrap().as_slice(), b"k39");
        assert_eq!(store.get(b"huge").unwrap().unwrap().len(), huge.len());
    }
    // Deleted records take no room.
    store.commit(&change(&[("huge", None)])).unwrap();
    store.wipe().unwrap();
    assert!(fs::metadata(&journal).unwrap().len() < 10 << 20);
    assert_eq!(all(&store, "").len(), 40);
}

#[test]
fn a_cut_off_commit_is_dropped_and_those_before_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut store = open(dir.path(), None).unwrap();
    store.commit(&change(&[("a", Some("1"))])).unwrap();
    let before = fs::read(&path).unwrap();
    store.commit(&change(&[("a", Some("2")), ("b", Some("2"))])).unwrap();
    drop(store);
    let after = fs::read(&path).unwrap();
    let from = before.iter().zip(&after).position(|(a, b)| a != b).unwrap();
    let to = before.iter().zip(&after).rposition(|(a, b)| a != b).unwrap();
    // Later parts of the second entry without earlier ones.
    for hole in from..=to {
        let mut torn = after.clone();
        torn[from..=hole].fill(0);
        fs::write(&path, &torn).unwrap();
        let store = open(dir.path(), None).unwrap();
        assert_eq!(store.get(b"a").unwrap().unwrap().as_slice(), b"1", "hole to {hole}");
        drop(store);
        assert_eq!(fs::read(&path).unwrap(), before, "the torn entry is overwritten");
    }
    // Any part of the second entry missing at its end.
    for cut in from..=to {
        let mut torn = after.clone();
        torn[cut..].fill(0);
        fs::write(&path, &torn).unwrap();
        let mut store = open(dir.path(), None).unwrap();
        assert_eq!(store.get(b"a").unwrap().unwrap().as_slice(), b"1", "cut at {cut}");
        assert!(store.get(b"b").unwrap().is_none());
        // Later commits work.
        store.commit(&change(&[("c", Some("3"))])).unwrap();
        drop(store);
        let store = open(dir.path(), None).unwrap();
        assert!(store.get(b"c").unwrap().is_some(), "cut at {cut}");
    }
    fs::write(&path, &after).unwrap();
    assert_eq!(open(dir.path(), None).unwrap().get(b"a").unwrap().unwrap().as_slice(), b"2");
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), None).unwrap();
    assert_eq!(open(dir.path(), None).unwrap_err().code(), "state.in_use");
    drop(store);
    assert!(open(dir.path(), None).is_ok());
}

#[test]
fn passwords() {
    let dir = tempfile::tempdir().unwrap();
    let code = |password: Option<&[u8]>| open(dir.path(), password).unwrap_err().code();
    drop(open(dir.path(), Some(b"password")).unwrap());
    assert_eq!(code(Some(b"Password")), "store.wrong_password");
    assert_eq!(code(None), "store.password_needed");
    assert!(open(dir.path(), Some(b"password")).is_ok());
    let plain = tempfile::tempdir().unwrap();
    drop(open(plain.path(), None).unwrap());
    let error = open(plain.path(), Some(b"password")).unwrap_err();
    assert_eq!(error.code(), "store.not_encrypted");
}

#[test]
fn encrypted_files_reveal_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), Some(b"password")).unwrap();
    let secret = "a secret text of a record";
    store.commit(&change(&[("the key of a record", Some(secret))])).unwrap();
    store.wipe().unwrap();
    store.commit(&change(&[("the key of a record", Some(secret))])).unwrap();
    assert!(!format!("{store:?}").contains("secret"));
    drop(store);
    for file in fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        let bytes = fs::read(file.path()).unwrap();
        for text in [secret, "the key of", "password"] {
            let there = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!there, "{file:?} holds {text:?}");
        }
    }
}

#[test]
fn swapped_or_changed_records_are_detected() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), Some(b"password")).unwrap();
    store.commit(&change(&[("a", Some("1")), ("b", Some("2"))])).unwrap();
    let (a, b) = (store.seal.name(b"a"), store.seal.name(b"b"));
    let moved = store.journal.get(&b).unwrap().unwrap();
    for bad in [&moved[..], &[0; 5]] {
        let entry = journal::draft_changes([(&a[..], Some(bad))].into_iter());
        store.journal.put(entry, true).unwrap();
        assert_eq!(store.get(b"a").unwrap_err().code(), "store.corrupt");
        assert!(store.scan(b"", &mut |_, _| Ok(())).is_err());
    }
    assert!(store.get(b"b").unwrap().is_some());
}
