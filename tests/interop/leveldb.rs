//! Archives in the format of status-go's mailserver: a LevelDB written by goleveldb.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Write as _,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use statuskit_core::time::UnixSeconds;
use statuskit_core::{
    envelope::{Envelope, Topic},
    mailserver::Position,
};
use statuskit_mailserver::{
    Intake,
    archive::{
        Archive, MemoryArchive,
        import::{Entry, LevelDb, Source, import},
    },
};

/// Generates puts, repeated puts and deletions that fill tables of several levels, and finally a
/// log.
fn commands(count: u32) -> (String, BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut rng = ChaCha8Rng::seed_from_u64(count.into());
    let (mut text, mut left) = (String::new(), BTreeMap::new());
    for n in 0..count {
        let expiry = 1_585_440_000 + rng.random_range(0..90_000);
        // Repeated, so that it compresses.
        let data = rng.random::<[u8; 4]>().repeat(rng.random_range(1..60));
        let envelope =
            Envelope::new(UnixSeconds(expiry), 10, Topic([1, 2, 3, n as u8]), &data, n.into());
        let key =
            [&Position::from_envelope(&envelope).to_bytes()[..], &envelope.topic().0].concat();
        for _ in 0..=n % 2 {
            let (key, value) = (hex::encode(&key), hex::encode(envelope.raw()));
            writeln!(text, "put {key} {value}").unwrap();
        }
        left.insert(key, envelope.raw().to_vec());
        if n % 4 == 3 {
            let victim = left.keys().nth(rng.random_range(0..left.len())).unwrap().clone();
            writeln!(text, "delete {}", hex::encode(&victim)).unwrap();
            left.remove(&victim);
        }
        match n * 8 / count {
            2 if (n + 1) * 8 / count == 3 => text.push_str("compact\n"),
            6 if (n + 1) * 8 / count == 7 => text.push_str("reopen\n"),
            _ => {}
        }
    }
    (text, left)
}

fn write(dir: &Path, commands: &str) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/go/bin/leveldb");
    assert!(program.exists(), "it is not built; run: tests/interop/build");
    let mut child = Command::new(program).arg(dir).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn every_remaining_envelope_is_read() {
    for count in [0, 1, 30, 400, 9_000] {
        let dir = tempfile::tempdir().unwrap();
        let (commands, left) = commands(count);
        write(dir.path(), &commands);
        let files = |ending: &str| -> Vec<PathBuf> {
            let files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
            files.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
        };
        assert!(count < 400 || files("ldb").len() > 5, "several tables");
        let before = std::fs::metadata(&files("log")[0]).unwrap().modified().unwrap();

        let mut found = Vec::new();
        let db = LevelDb::open(dir.path()).unwrap();
        db.read(&mut |entry| {
            match entry {
                Entry::Pair(key, value) => found.push((key.to_vec(), value.to_vec())),
                Entry::Unreadable(what) => panic!("{what}"),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        let expected: Vec<_> = left.clone().into_iter().collect();
        assert!(found == expected, "{} instead of {}", found.len(), expected.len());

        let archive = MemoryArchive::new();
        let done = import(&db, &archive, Intake::ALL, &mut |_| ()).unwrap();
        assert_eq!((done.new, done.bad), (left.len() as u64, 0));
        assert_eq!(archive.summary().unwrap().envelopes, left.len() as u64);
        assert_eq!(std::fs::metadata(&files("log")[0]).unwrap().modified().unwrap(), before);
    }
}

/// `fixtures/leveldb/commands.txt` generated the database beside it. Set
/// `STATUSKIT_WRITE_FIXTURES` to regenerate both.
#[test]
fn the_fixture_is_reproducible() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/leveldb");
    let (commands, _) = commands(120);
    if std::env::var_os("STATUSKIT_WRITE_FIXTURES").is_some() {
        let db = dir.join("db");
        let _ = std::fs::remove_dir_all(&db);
        std::fs::create_dir_all(&db).unwrap();
        std::fs::write(dir.join("commands.txt"), &commands).unwrap();
        write(&db, &commands);
        for name in ["LOG", "LOCK", "CURRENT.bak"] {
            let _ = std::fs::remove_file(db.join(name));
        }
    }
    assert_eq!(std::fs::read_to_string(dir.join("commands.txt")).unwrap(), commands);
}
