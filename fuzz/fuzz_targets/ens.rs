//! Any text as a name, and any bytes as the answer of a resolver: a normal form stays as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_eip::eip137::{Name, Rules, readings, resolver::Question, username};

fuzz_target!(|input: &[u8]| {
    for question in Question::PLAIN {
        let _ = question.read(input);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = username::check_username(text);
    for reading in readings(text) {
        let Ok(name) = reading.name else { continue };
        let _ = name.node();
        if reading.rules != Rules::Lowercase {
            assert_eq!(Name::parse_by(name.as_str(), reading.rules), Ok(name));
        }
    }
});
