//! Texts of any kind: nothing panics, and no more comes out than went in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    account::{Imported, ShareLink, parse_chat_key},
    envelope::Envelope,
    reader::{Content, Wants, read_all},
    text::{describe_secret, quote},
};

fuzz_target!(|data: &[u8]| {
    let whole = |bytes: &[u8]| Envelope::decode(bytes).is_ok();
    for wants in [Wants::any_bytes(), Wants::whole(whole)] {
        for item in read_all(data, wants).into_iter().flatten() {
            if let Content::Bytes(reading) = item.content {
                assert!(!reading.describe().is_empty());
                // Only `*` in a dump stands for more than is there.
                assert!(reading.bytes.len() <= data.len() || data.contains(&b'*'));
            }
        }
    }
    let _ = Imported::parse_cleaned(data);
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(
            describe_secret(text).is_none_or(|what| !quote(text).is_empty() && !what.is_empty())
        );
        let _ = (text.parse::<ShareLink>(), parse_chat_key(text));
    }
});
