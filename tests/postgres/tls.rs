//! The same archive over TLS. The server that `run` starts has a certificate for 127.0.0.1.

use std::{env, path::PathBuf};

use statuskit_mailserver::archive::{Archive as _, Order, PostgresArchive};

use crate::harness::{DAY_ONE, Tables, envelope, everything, raw, read, topic, url};

fn certificate(name: &str) -> PathBuf {
    let dir = env::var_os("STATUSKIT_POSTGRES_CERTIFICATES");
    PathBuf::from(dir.expect("STATUSKIT_POSTGRES_CERTIFICATES: as tests/postgres/run sets it"))
        .join(name)
}

fn with(settings: &str, authority: &str) -> String {
    format!("{}?{settings}&sslrootcert={}", url(), certificate(authority).display())
}

#[test]
#[ignore = "needs a server with TLS: tests/postgres/run"]
fn connections_are_encrypted() {
    for mode in ["require", "verify-full"] {
        let tables = Tables::new();
        let name = tables.options.prefix.clone();
        let settings = format!("sslmode={mode}&application_name={name}");
        let archive = tables.open_at(&with(&settings, "authority.pem"));
        let one = [envelope(DAY_ONE, topic(1), 1)];
        assert_eq!(archive.append(&one).unwrap(), 1);
        assert_eq!(read(&archive, &everything(Order::OldestFirst), 10), [one[0].hash()]);
        // As the server sees it.
        let seen = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                    WHERE application_name = $1";
        let rows = raw().query(seen, &[&name]).unwrap();
        let encrypted: Vec<bool> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(encrypted, [true], "{mode}");
    }
}

#[test]
#[ignore = "needs a server with TLS: tests/postgres/run"]
fn refuses_other_certificates() {
    let other_name = |url: String| url.replace("127.0.0.1", "localhost");
    for (url, words) in [
        (with("sslmode=require", "other.pem"), ["certificate", "UnknownIssuer"]),
        (other_name(with("sslmode=require", "authority.pem")), ["certificate", "localhost"]),
        (with("sslmode=require", "server.key"), ["sslrootcert", "no certificate"]),
        (with("sslmode=require", "missing.pem"), ["sslrootcert", "missing.pem"]),
        // The system does not know the authority.
        (format!("{}?sslmode=require", url()), ["certificate", ""]),
    ] {
        let error = PostgresArchive::open(&url, Tables::new().options.clone()).unwrap_err();
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{url}: {text}");
    }
}
