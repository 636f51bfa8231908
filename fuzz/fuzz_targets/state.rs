//! The journal of a state, with any bytes in place of some: it opens with what was committed, or is an
//! error. What opens can be written.
#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use statuskit_client::state::DiskStore;
use statuskit_core::secure::store::{Changes, Store};

struct Template {
    dir: PathBuf,
    journal: Vec<u8>,
    /// The end of the records: the rest is room.
    used: usize,
}

/// A small state, made once, in memory where the system has such a place.
static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let dir = base.join(format!("statuskit-fuzz-state-{}", std::process::id()));
    let mut store = DiskStore::open(&dir, None).expect("a new state");
    for n in 0..8_u8 {
        store.commit(&change(n)).expect("room");
    }
    drop(store);
    let journal = fs::read(dir.join("journal")).expect("it is there");
    let used = journal.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    Template { dir, journal, used }
});

fn change(n: u8) -> Changes {
    let mut changes = Changes::default();
    changes.put(vec![b'k', n], vec![n; 40].into());
    changes.put(b"last".to_vec(), vec![n].into());
    changes
}

fuzz_target!(|data: &[u8]| {
    let Template { dir, journal, used } = &*TEMPLATE;
    let [a, b, cut, rest @ ..] = data else { return };
    let mut journal = journal.clone();
    let at = usize::from(u16::from_be_bytes([*a, *b])) % used;
    for (byte, new) in journal.iter_mut().skip(at).zip(rest) {
        *byte = *new;
    }
    if cut & 1 == 1 {
        journal.truncate(at + rest.len());
    }
    fs::write(dir.join("journal"), &journal).expect("room");
    let Ok(mut store) = DiskStore::open_existing(dir, None) else { return };
    let mut records = 0;
    let read = store.scan(b"", &mut |_, _| {
        records += 1;
        Ok(())
    });
    if read.is_ok() {
        assert!(records <= 9, "{records}");
        store.commit(&change(9)).expect("what opens can be written");
        let last = store.get(b"last").expect("it was written").expect("it is there");
        assert_eq!(last[..], [9]);
    }
});
