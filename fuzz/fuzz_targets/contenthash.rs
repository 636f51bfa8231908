//! Any bytes and any text as a content hash: what is read is written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_eip::eip1577::{ContentHash, client};

fuzz_target!(|input: &[u8]| {
    let _ = client::decode(input);
    if let Ok(hash) = ContentHash::from_bytes(input) {
        assert_eq!(hash.to_bytes(), input);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(hash) = text.parse::<ContentHash>() {
        assert_eq!(ContentHash::from_bytes(&hash.to_bytes()).as_ref(), Ok(&hash));
        assert_eq!(hash.to_path().parse(), Ok(hash));
    }
});
