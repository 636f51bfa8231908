//! Any bytes as a transaction: what is taken is written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_eip::{
    eip155::{Decoded, SignedTransaction},
    number::{parse_amount, parse_decimal},
};

fuzz_target!(|raw: &[u8]| {
    match Decoded::decode(raw) {
        Ok(Decoded::Signed(signed)) => {
            assert_eq!(signed.encode(), raw);
            assert_eq!(SignedTransaction::decode(raw), Ok(signed.clone()));
            let _ = (signed.recover(), signed.problems(Some(1)));
        }
        Ok(Decoded::Unsigned(transaction)) => assert_eq!(transaction.signing_data(), raw),
        Ok(Decoded::Typed(typed)) => {
            let _ = typed.recover();
        }
        Err(error) => assert!(error.offset().is_none_or(|at| at <= raw.len())),
    }
    if let Ok(text) = std::str::from_utf8(raw) {
        if let Ok(number) = parse_amount(text) {
            assert_eq!(parse_amount(&number.to_string()), Ok(number));
        }
        if let Ok(number) = parse_decimal(text, 0) {
            assert_eq!(number.to_string().parse(), Ok(number));
        }
    }
});
