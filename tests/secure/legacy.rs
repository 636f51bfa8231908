//! States that version 0.1 wrote (`fixtures/state-0.1`) open, and their conversations go on.

use std::{fs, path::PathBuf};

use statuskit_client::state::DiskStore;
use statuskit_core::{
    chat::messenger::{Incoming, Messenger, MessengerEvent},
    crypto::{SecretKey, seeded_rng},
    time::{UnixMillis, UnixSeconds},
};

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures", "state-0.1", name].iter().collect()
}

fn open(who: &str, password: Option<&[u8]>) -> (tempfile::TempDir, Messenger<DiskStore>) {
    let dir = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixture(who)).unwrap() {
        let file = file.unwrap();
        fs::write(dir.path().join(file.file_name()), fs::read(file.path()).unwrap()).unwrap();
    }
    let store = DiskStore::open_existing(dir.path(), password).unwrap();
    let key = fs::read_to_string(fixture(&format!("{who}.key"))).unwrap();
    let identity: SecretKey = key.trim().parse().unwrap();
    (dir, Messenger::open(store, identity, None, &mut seeded_rng(who)).unwrap())
}

#[test]
fn messages_that_were_not_acknowledged_are_sent_again_and_arrive() {
    let password = fs::read(fixture("password")).unwrap();
    let (_alices, mut alice) = open("alice", None);
    let (_bobs, mut bob) = open("bob", Some(&password));
    let written = fs::read_to_string(fixture("now")).unwrap();
    let now = (written.trim().parse::<u64>().unwrap() + 3600) * 1000;
    let mut rng = seeded_rng("legacy");
    let (me, to) = (*alice.me(), *bob.me());
    assert_eq!(alice.waiting(&to).unwrap(), 3);
    let (mut texts, mut groups) = (Vec::new(), Vec::new());
    let posts = alice.tick(UnixMillis(now), &mut rng).unwrap().posts;
    for post in &posts {
        let incoming = Incoming {
            signer: Some(&me),
            sent: UnixSeconds((now / 1000) as u32),
            payload: &post.payload,
        };
        for event in bob.receive(&incoming, UnixMillis(now), &mut rng).unwrap().events {
            if let MessengerEvent::Message(message) = event {
                texts.extend(message.text().map(str::to_owned));
                groups.extend(message.group.map(|update| update.group.state().name.clone()));
            }
        }
    }
    // He has not joined the group, so its text is not shown.
    assert_eq!(texts, ["a long text, ".repeat(400)]);
    assert!(!groups.is_empty() && groups.iter().all(|name| name == "team"), "{groups:?}");
    for post in bob.tick(UnixMillis(now + 1000), &mut rng).unwrap().posts {
        let incoming = Incoming {
            signer: Some(&to),
            sent: UnixSeconds((now / 1000) as u32),
            payload: &post.payload,
        };
        alice.receive(&incoming, UnixMillis(now + 1000), &mut rng).unwrap();
    }
    assert_eq!(alice.waiting(&to).unwrap(), 0);
}
