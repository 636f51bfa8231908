//! The fixture was written by goleveldb, from the commands beside it (`tests/interop/leveldb.rs`).

use super::*;
use crate::{
    Intake,
    archive::{Archive, MemoryArchive, import::import},
};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/leveldb")
}

/// What the commands leave, and everything that was ever put.
fn expected() -> [BTreeMap<Vec<u8>, Vec<u8>>; 2] {
    let (mut left, mut all) = (BTreeMap::new(), BTreeMap::new());
    for line in fs::read_to_string(fixture().join("commands.txt")).unwrap().lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["put", key, value] => {
                let (key, value) = (hex::decode(key).unwrap(), hex::decode(value).unwrap());
                left.insert(key.clone(), value.clone());
                all.insert(key, value);
            }
            ["delete", key] => drop(left.remove(&hex::decode(key).unwrap())),
            _ => {}
        }
    }
    [left, all]
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads a directory; also returns what could not be read.
fn read(dir: &Path) -> (Pairs, Vec<String>) {
    let (mut pairs, mut unreadable) = (Vec::new(), Vec::new());
    LevelDb::open(dir)
        .unwrap()
        .read(&mut |entry| {
            match entry {
                Entry::Pair(key, value) => pairs.push((key.to_vec(), value.to_vec())),
                Entry::Unreadable(what) => unreadable.push(what),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    (pairs, unreadable)
}

fn copy() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture().join("db")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    dir
}

/// The files of a directory whose path contains this.
fn files(dir: &Path, part: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().contains(part))
        .collect();
    files.sort();
    files
}

#[test]
fn reads_what_goleveldb_wrote() {
    let dir = fixture().join("db");
    assert!(files(&dir, ".ldb").len() > 2, "several tables");
    assert!(fs::metadata(&files(&dir, ".log")[0]).unwrap().len() > 0, "and a log");
    let (pairs, unreadable) = read(&dir);
    assert_eq!(unreadable, Vec::<String>::new());
    let [left, _] = expected();
    assert!(left.len() > 80);
    assert_eq!(pairs, left.into_iter().collect::<Vec<_>>());
}

#[test]
fn is_imported() {
    let archive = MemoryArchive::new();
    let db = LevelDb::open(fixture().join("db")).unwrap();
    let done = import(&db, &archive, Intake::ALL, &mut |_| ()).unwrap();
    let [left, _] = expected();
    assert_eq!((done.good, done.new, done.bad), (left.len() as u64, left.len() as u64, 0));
    assert_eq!(archive.summary().unwrap().envelopes, left.len() as u64);
}

#[test]
fn refuses_other_directories() {
    let dir = tempfile::tempdir().unwrap();
    let error = LevelDb::open(dir.path()).unwrap_err();
    assert_eq!(error.code(), "archive.unusable");
    assert!(error.to_string().contains("CURRENT"), "{error}");
}

#[test]
fn without_a_manifest_all_files_are_read() {
    let [left, all] = expected();
    for content in [&b"MANIFEST-999999\n"[..], b"../MANIFEST-000001\n", b"", b"\xff"] {
        let dir = copy();
        fs::write(dir.path().join("CURRENT"), content).unwrap();
        let (pairs, unreadable) = read(dir.path());
        assert_eq!(unreadable.len(), 1, "{unreadable:?}");
        assert!(unreadable[0].contains("manifest"), "{unreadable:?}");
        assert!(pairs.iter().all(|(key, value)| all.get(key) == Some(value)));
        let found: BTreeMap<_, _> = pairs.into_iter().collect();
        assert!(left.keys().all(|key| found.contains_key(key)), "nothing is missing");
    }
}

#[test]
fn reports_a_missing_table() {
    let dir = copy();
    let [left, all] = expected();
    for table in files(dir.path(), ".ldb") {
        fs::remove_file(table).unwrap();
    }
    let (pairs, unreadable) = read(dir.path());
    assert!(unreadable.iter().all(|what| what.contains("missing")), "{unreadable:?}");
    assert!(!unreadable.is_empty() && !pairs.is_empty() && pairs.len() < left.len());
    assert!(pairs.iter().all(|(key, value)| all.get(key) == Some(value)));
}

#[test]
fn reads_a_log_that_is_cut_off() {
    let [left, all] = expected();
    let whole = fs::read(&files(&fixture().join("db"), ".log")[0]).unwrap();
    for length in (0..whole.len()).step_by(13) {
        let dir = copy();
        let log = files(dir.path(), ".log").remove(0);
        fs::write(&log, &whole[..length]).unwrap();
        let (pairs, unreadable) = read(dir.path());
        assert!(unreadable.len() <= 1, "{unreadable:?}");
        assert!(unreadable.iter().all(|what| what.contains("cut off")), "{unreadable:?}");
        assert!(pairs.len() < left.len() + 20);
        assert!(pairs.iter().all(|(key, value)| all.get(key) == Some(value)));
    }
}

/// A damaged byte loses a block or a record, which is reported. All else is read, and nothing that
/// was never written.
#[test]
fn reports_damaged_bytes() {
    let [left, all] = expected();
    for name in [".ldb", ".log", "MANIFEST", "CURRENT"] {
        for (number, path) in files(&fixture().join("db"), name).into_iter().enumerate() {
            let whole = fs::read(&path).unwrap();
            let dir = copy();
            let damaged = dir.path().join(path.file_name().unwrap());
            for at in (number..whole.len()).step_by(37) {
                let mut bytes = whole.clone();
                bytes[at] ^= 0x55;
                fs::write(&damaged, &bytes).unwrap();
                let (pairs, unreadable) = read(dir.path());
                assert!(pairs.iter().all(|(key, value)| all.get(key) == Some(value)));
                let keys: std::collections::BTreeSet<_> =
                    pairs.iter().map(|(key, _)| key).collect();
                assert_eq!(keys.len(), pairs.len(), "no key twice");
                let lost = left.keys().filter(|key| !keys.contains(key)).count();
                assert!(
                    lost == 0 || !unreadable.is_empty(),
                    "{name} at {at}: {lost} lost silently"
                );
            }
            fs::write(&damaged, &whole).unwrap();
        }
    }
}

#[test]
fn checksums_are_masked() {
    // The check value of CRC-32C, masked as LevelDB does.
    let masked = 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8);
    assert!(checksum_fits(masked, &[b"1234", b"56789"]));
    assert!(!checksum_fits(masked ^ 1, &[b"123456789"]));
}
