//! Any bytes as an identity, a key file, a key text or a path: accepted or refused, at low cost.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::account::{
    DerivationPath, ExtendedPrivateKey, ExtendedPublicKey, Imported, KeyFile, Limits,
    parse_chat_key,
};

fuzz_target!(|data: &[u8]| {
    let _ = Imported::parse(data);
    // Low limits, so that every accepted file opens fast.
    let mut limits = Limits::default();
    (limits.memory, limits.work, limits.rounds) = (1 << 16, 1 << 8, 1 << 8);
    if let Ok(file) = KeyFile::parse(data) {
        let _ = file.open(b"password", &limits);
        assert!(KeyFile::parse(file.to_json().as_bytes()).is_ok());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(key) = parse_chat_key(text) {
            assert_eq!(parse_chat_key(&key.to_string()), Ok(key));
        }
        if let Ok(path) = text.parse::<DerivationPath>() {
            assert_eq!(path.to_string().parse(), Ok(path));
        }
        let _ = text.parse::<ExtendedPrivateKey>();
        if let Ok(key) = text.parse::<ExtendedPublicKey>() {
            assert_eq!(key.to_string(), text.trim());
        }
    }
});
