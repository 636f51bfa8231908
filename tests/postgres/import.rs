//! The archive of a status-go mailserver in PostgreSQL.

use statuskit_core::mailserver::Position;
use statuskit_mailserver::{
    Intake,
    archive::{
        Archive, MemoryArchive,
        import::{Event, StatusGoPostgres, import},
    },
};

use crate::harness::{DAY_ONE, Tables, envelope, raw, topic, url};

/// A schema with the table of the reference.
struct Reference(String);

impl Reference {
    fn new() -> Self {
        let Tables { options } = &Tables::new();
        let name = format!("{}_reference", options.prefix);
        raw()
            .batch_execute(&format!(
                "CREATE SCHEMA {name};
                CREATE TABLE {name}.envelopes (id BYTEA NOT NULL UNIQUE, data BYTEA NOT NULL,
                    topic BYTEA NOT NULL, bloom BIT(512) NOT NULL);
                CREATE INDEX id_bloom_idx ON {name}.envelopes (id DESC, bloom);
                CREATE INDEX id_topic_idx ON {name}.envelopes (id DESC, topic);"
            ))
            .unwrap();
        Self(name)
    }

    fn url(&self) -> String {
        let join = if url().contains('?') { '&' } else { '?' };
        format!("{}{join}options=-csearch_path%3D{}", url(), self.0)
    }

    fn insert(&self, id: &[u8], data: &[u8]) {
        let name = &self.0;
        let zeros = "0".repeat(512);
        let sql = format!("INSERT INTO {name}.envelopes VALUES ($1, $2, '\\x00', B'{zeros}')");
        raw().execute(&sql, &[&id, &data]).unwrap();
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        raw().batch_execute(&format!("DROP SCHEMA {} CASCADE", self.0)).unwrap();
    }
}

#[test]
fn imports_the_table_of_the_reference() {
    let reference = Reference::new();
    let model = MemoryArchive::new();
    // More than two pages.
    let envelopes: Vec<_> =
        (0..1_203_u32).map(|n| envelope(DAY_ONE + n * 100, topic(n % 9), n.into())).collect();
    let mut client = raw();
    let sql = format!(
        "INSERT INTO {}.envelopes SELECT id, data, topic, B'0'::BIT(512)
        FROM UNNEST($1::BYTEA[], $2::BYTEA[], $3::BYTEA[]) AS n (id, data, topic)",
        reference.0
    );
    let keys: Vec<Vec<u8>> = (envelopes.iter())
        .map(|e| [&Position::from_envelope(e).to_bytes()[..], &e.topic().0].concat())
        .collect();
    let data: Vec<&[u8]> = envelopes.iter().map(|e| e.raw()).collect();
    let topics: Vec<Vec<u8>> = envelopes.iter().map(|e| e.topic().0.to_vec()).collect();
    client.execute(&sql, &[&keys, &data, &topics]).unwrap();
    reference.insert(b"short", b"");
    reference.insert(&[7; 40], envelopes[0].raw());
    model.append(&envelopes).unwrap();

    let tables = Tables::new();
    let archive = tables.open();
    let source = StatusGoPostgres::open(&reference.url()).unwrap();
    let mut bad = Vec::new();
    let mut tell = |event: Event<'_>| {
        if let Event::Bad(entry) = event {
            bad.push(entry.key().unwrap().to_vec());
        }
    };
    let done = import(&source, &archive, Intake::ALL, &mut tell).unwrap();
    assert_eq!((done.good, done.new, done.bad), (1_203, 1_203, 2));
    assert_eq!(bad, [vec![7; 40], b"short".to_vec()]);
    assert_eq!(archive.summary().unwrap(), model.summary().unwrap());
    let again = import(&source, &archive, Intake::ALL, &mut |_| ()).unwrap();
    assert_eq!((again.good, again.new, again.bad), (1_203, 0, 2));
}

#[test]
fn refuses_a_database_without_it() {
    let tables = Tables::new();
    let join = if url().contains('?') { '&' } else { '?' };
    let nowhere = format!("{}{join}options=-csearch_path%3D{}", url(), tables.options.prefix);
    let error = StatusGoPostgres::open(&nowhere).unwrap_err();
    assert_eq!(error.code(), "archive.unusable");
    assert!(error.to_string().contains("envelopes"), "{error}");
}
