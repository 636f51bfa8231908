//! What needs no server. The rest is in `tests/postgres.rs`.

use super::*;

#[test]
fn what_can_not_be_opened() {
    for (url, word) in [
        ("postgres://", "host"),
        ("http://example.org", "not a PostgreSQL URL"),
        (
            "postgres://u@127.0.0.1:1/x?sslmode=require",
            if cfg!(feature = "tls") { "127.0.0.1:1" } else { "--features tls" },
        ),
        ("postgres://u:secret@127.0.0.1:1/x", "127.0.0.1:1"),
        ("PostgreSQL://u:secret@127.0.0.1:1/x", "127.0.0.1:1"),
        // What the client would take for the server's name is a part of the password.
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
