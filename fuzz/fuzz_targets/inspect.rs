//! Any bytes, taken apart: the fields of each layer are exactly the layer, in every buffer.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use statuskit_core::{chat::PublicChat, crypto::SecretKey};
use statuskit_inspect::{Options, inspect};

static OPTIONS: LazyLock<Options> = LazyLock::new(|| {
    let mut options = Options::default();
    options.keys.ring.add_chat(&PublicChat::new("status"));
    let key = SecretKey::from_bytes(&[1; 32]).expect("a key");
    options.keys.ring.add_identity(key);
    options
});

fuzz_target!(|data: &[u8]| {
    let Ok(inspection) = inspect(data, &OPTIONS) else { return };
    for layer in &inspection.layers {
        let mut at = layer.offset;
        for field in &layer.fields {
            assert_eq!(field.offset, at, "{}: {}", layer.kind, field.name);
            at += field.length;
        }
        assert_eq!(at, layer.offset + layer.length, "{}", layer.kind);
        assert!(at <= inspection.buffers[layer.buffer].bytes.len(), "{}", layer.kind);
    }
    let _ = (inspection.to_json(), inspection.to_string());
});
