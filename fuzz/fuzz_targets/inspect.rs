//! Any bytes, taken apart: the fields of each layer are exactly the layer, in every buffer, and what is
//! shown is bounded by what there is.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    chat::PublicChat,
    crypto::{SecretKey, seeded_rng},
    devp2p::handshake::{Initiator, Responder, SessionKeys, Step},
    secure::MemoryStore,
};
use statuskit_inspect::{Field, Inspection, Options, State, inspect, inspect_text};

static OPTIONS: LazyLock<Options> = LazyLock::new(|| {
    let mut options = Options::default();
    options.keys.ring.add_chat(&PublicChat::new("status"));
    let key = SecretKey::from_bytes(&[1; 32]).expect("a key");
    options.keys.ring.add_identity(key.clone());
    options.keys.frames.push(session());
    options.keys.states.push(State::new(key, MemoryStore::new()));
    options
});

/// The keys of a connection that is the same each time.
fn session() -> SessionKeys {
    let mut rng = seeded_rng("fuzz");
    let (one, other) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
    let initiator = Initiator::new(&one, other.public_key(), &mut rng);
    let auth = initiator.auth().to_vec();
    let Ok(Step::Done(received)) = Responder::new(&other).read(&mut &auth[..]) else {
        unreachable!("an auth for this key")
    };
    received.accept(&mut rng).1.session_keys()
}

/// Asserts that fields adjoin, and that those inside are inside.
fn adjoin(fields: &[Field], kind: &str, start: usize) -> usize {
    let mut at = start;
    for field in fields {
        assert_eq!(field.offset, at, "{kind}: {}", field.name);
        at += field.length;
        for inner in &field.fields {
            assert!(inner.offset >= field.offset, "{kind}: {}", inner.name);
            assert!(inner.offset + inner.length <= at, "{kind}: {}", inner.name);
        }
    }
    at
}

fn check(inspection: &Inspection) {
    for layer in &inspection.layers {
        let end = adjoin(&layer.fields, &layer.kind, layer.offset);
        assert_eq!(end, layer.offset + layer.length, "{}", layer.kind);
        assert!(end <= inspection.buffers[layer.buffer].bytes.len(), "{}", layer.kind);
    }
    let _ = (inspection.to_json(), inspection.to_string(), inspection.to_hexdump(false));
}

fuzz_target!(|data: &[u8]| {
    if let Ok(inspection) = inspect(data, &OPTIONS) {
        check(&inspection);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(inspection) = inspect_text(text, &OPTIONS)
    {
        check(&inspection);
    }
});
