//! Errors of opening.

use statuskit_core::time::UnixSeconds;
use statuskit_mailserver::archive::{Archive, Order, PostgresArchive, postgres::Options};

use crate::harness::{DAY_ONE, Tables, envelope, everything, raw, read, topic, url};

fn refusal(url: &str, options: &Options) -> String {
    let error = PostgresArchive::open(url, options.clone()).unwrap_err();
    assert_eq!(error.code(), "archive.unusable", "{error}");
    error.to_string()
}

/// Returns the URL with another user, password or other setting.
fn with(url: &str, setting: &str) -> String {
    let join = if url.contains('?') { '&' } else { '?' };
    format!("{url}{join}{setting}")
}

#[test]
fn another_version() {
    let tables = Tables::new();
    tables.open();
    let table = tables.table("version");
    raw().batch_execute(&format!("UPDATE {table} SET version = 7")).unwrap();
    let text = refusal(&url(), &tables.options);
    assert!(text.contains("version 7") && text.contains("knows 1"), "{text}");
}

#[test]
fn read_only() {
    let tables = Tables::new();
    let mut options = tables.options.clone();
    options.read_only = true;
    let text = refusal(&url(), &options);
    assert!(text.contains("no archive"), "{text}");
    assert!(raw().query(&format!("SELECT 1 FROM {}", tables.table("periods")), &[]).is_err());

    let one = [envelope(DAY_ONE, topic(1), 1)];
    tables.open().append(&one).unwrap();
    let reader = PostgresArchive::open(&url(), options).unwrap();
    assert_eq!(read(&reader, &everything(Order::OldestFirst), 10), [one[0].hash()]);
    for error in [reader.append(&one).unwrap_err(), reader.prune(UnixSeconds::MAX).unwrap_err()] {
        assert!(error.to_string().contains("for reading"), "{error}");
    }
}

/// A user who may only select can read, and gets an error when writing.
#[test]
fn a_user_who_may_only_read() {
    let tables = Tables::new();
    let one = [envelope(DAY_ONE, topic(1), 1)];
    tables.open().append(&one).unwrap();
    let user = tables.table("reader");
    let mut admin = raw();
    admin.batch_execute(&format!("CREATE ROLE {user} LOGIN")).unwrap();
    for table in ["version", "periods", "topics", "counts", "day_18350_1"] {
        let table = tables.table(table);
        admin.batch_execute(&format!("GRANT SELECT ON {table} TO {user}")).unwrap();
    }
    let url = with(&url(), &format!("user={user}"));
    let mut options = tables.options.clone();
    options.read_only = true;
    let reader = PostgresArchive::open(&url, options).unwrap();
    assert_eq!(read(&reader, &everything(Order::OldestFirst), 10), [one[0].hash()]);
    assert_eq!(reader.summary().unwrap().envelopes, 1);
    let writer = PostgresArchive::open(&url, tables.options.clone()).unwrap();
    let error = writer.append(&[envelope(DAY_ONE, topic(1), 2)]).unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
    drop((reader, writer));
    admin.batch_execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).unwrap();
}

#[test]
fn unreachable_servers_and_unknown_users() {
    let options = Tables::new().options.clone();
    let error = PostgresArchive::open("postgres://u@127.0.0.1:1/x", options.clone()).unwrap_err();
    assert_eq!(error.code(), "archive.io");
    assert!(error.to_string().contains("127.0.0.1:1/x"), "{error}");
    let text = refusal(&with(&url(), "user=nobody_of_this_name"), &options);
    assert!(text.contains("nobody_of_this_name"), "{text}");
    let text = refusal(&with(&url(), "dbname=nothing_of_this_name"), &options);
    assert!(text.contains("nothing_of_this_name"), "{text}");
}

/// Calls block, so an async program gives them a thread; dropping may happen anywhere.
#[test]
fn dropped_in_an_async_program() {
    let tables = Tables::new();
    let archive = std::sync::Arc::new(tables.open());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let summary = runtime.block_on(async move {
        let calling = std::sync::Arc::clone(&archive);
        let summary = tokio::task::spawn_blocking(move || calling.summary().unwrap()).await;
        drop(archive);
        summary.unwrap()
    });
    assert_eq!(summary.envelopes, 0);
}
