//! Any bytes are an envelope that encodes to the same bytes, or an error at an offset inside them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::envelope::{
    Envelope, Rules,
    check::{checks, future_diff, verdict},
};
use statuskit_core::time::UnixSeconds;

fuzz_target!(|data: &[u8]| match Envelope::decode(data) {
    Err(error) => assert!(error.at <= data.len()),
    Ok(envelope) => {
        assert_eq!(envelope.raw(), data);
        assert_eq!(envelope.with_nonce(envelope.nonce()), envelope);
        let rules = Rules::new(UnixSeconds(1_585_500_000));
        let pow = envelope.pow(future_diff(envelope.sent(), rules.now));
        let first = checks(&envelope, pow, &rules).into_iter().find(|check| !check.pass);
        let expected = verdict(&envelope, pow, &rules);
        assert!(first.is_none_or(|check| check.verdict == expected));
    }
});
