//! A directory of LevelDB whose files hold anything: the import ends, with entries or an error, and
//! writes nothing to it.
#![no_main]

use std::{fs, ops::ControlFlow, path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use statuskit_mailserver::archive::import::{LevelDb, Source};

/// One directory for all runs, in memory where the system has such a place.
static DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let dir = base.join(format!("statuskit-fuzz-leveldb-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a directory");
    dir
});

fuzz_target!(|data: &[u8]| {
    let Some((shape, data)) = data.split_first() else { return };
    // The files share the input.
    let at = data.len() * usize::from(shape & 7) / 8;
    let (first, second) = data.split_at(at);
    let table = if shape & 8 == 0 { "000005.ldb" } else { "000005.sst" };
    let files = [
        ("CURRENT", &b"MANIFEST-000002\n"[..]),
        ("MANIFEST-000002", if shape & 16 == 0 { first } else { b"" }),
        ("000003.log", second),
        (table, first),
    ];
    for name in ["000005.ldb", "000005.sst"] {
        let _ = fs::remove_file(DIR.join(name));
    }
    for (name, content) in files {
        fs::write(DIR.join(name), content).expect("room");
    }
    let Ok(source) = LevelDb::open(&*DIR) else { return };
    let mut entries = 0;
    let _ = source.read(&mut |_| {
        entries += 1;
        if entries > 10_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    for (name, content) in files {
        assert_eq!(fs::read(DIR.join(name)).expect("it is there"), content);
    }
});
