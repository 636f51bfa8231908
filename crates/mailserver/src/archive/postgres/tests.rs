//! Tests without a server. The others are in `tests/postgres.rs`.

use super::*;

#[test]
fn refuses_what_it_can_not_open() {
    for (url, word) in [
        ("postgres://", "host"),
        ("http://example.org", "not a PostgreSQL URL"),
        (
            "postgres://u@127.0.0.1:1/x?sslmode=require",
            if cfg!(feature = "tls") { "127.0.0.1:1" } else { "--features tls" },
        ),
        ("postgres://u:secret@127.0.0.1:1/x", "127.0.0.1:1"),
        ("PostgreSQL://u:secret@127.0.0.1:1/x", "127.0.0.1:1"),
        // The client would take a part of the password for the server's name.
        ("postgres://u:p@secret@127.0.0.1:1/x", "%40"),
        ("postgres://127.0.0.1:1/x?user=u&password=p@secret", "%40"),
        ("postgres://u:p?x@secret", "%40"),
    ] {
        let error = PostgresArchive::open(url, Options::default()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(word), "{url}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
