//! Any text as the URL of a database, with a password in it: accepted or refused, and no message has
//! the password.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_mailserver::archive::PostgresArchive;

const PASSWORD: &str = "correcthorsebattery";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = PostgresArchive::check_url(text);
    // Where a password can be.
    for (before, after) in [
        ("postgres://user:", "@"),
        ("postgres://host?password=", "&"),
        ("host=h password=", " "),
        ("host=h password='", "'"),
    ] {
        for url in
            [format!("{before}{PASSWORD}{after}{text}"), format!("{text}{before}{PASSWORD}{after}")]
        {
            if let Err(error) = PostgresArchive::check_url(&url) {
                let shown = error.to_string();
                assert!(!shown.contains(PASSWORD), "{shown}");
            }
        }
    }
});
