//! Connections that are lost, servers that go away and come back.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    ops::ControlFlow,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use statuskit_core::mailserver::Position;
use statuskit_mailserver::archive::{Archive, Order};

use crate::harness::{
    AtEnd, DAY, DAY_ONE, Tables, envelope, everything, from_topic, raw, read, topic, url,
};

/// Ends all connections of an archive.
fn kill(application: &str) -> usize {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    raw().query(sql, &[&application]).unwrap().len()
}

fn named(application: &str) -> String {
    let join = if url().contains('?') { '&' } else { '?' };
    format!("{}{join}application_name={application}", url())
}

#[test]
fn connections_are_killed_between_calls() {
    let tables = Tables::new();
    let name = tables.table("between");
    let archive = tables.open_at(&named(&name));
    for n in 0..5_u32 {
        assert_eq!(archive.append(&[envelope(DAY_ONE + n, topic(n), n.into())]).unwrap(), 1);
        assert!(kill(&name) > 0);
        assert_eq!(read(&archive, &everything(Order::OldestFirst), 100).len(), n as usize + 1);
        assert!(kill(&name) > 0);
        assert_eq!(archive.summary().unwrap().envelopes, u64::from(n) + 1);
        assert!(kill(&name) > 0);
    }
}

#[test]
fn connections_are_killed_while_reading() {
    let tables = Tables::new();
    let name = tables.table("reading");
    let archive = tables.open_at(&named(&name));
    let all: Vec<_> =
        (0..6000_u32).map(|n| envelope(DAY_ONE + n * 40, topic(n % 200), n.into())).collect();
    archive.append(&all).unwrap();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut found: Vec<Position> = Vec::new();
        archive
            .read(&everything(order), &mut |record| {
                found.push(record.position);
                if found.len().is_multiple_of(1500) {
                    assert!(kill(&name) > 0);
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        let mut expected: Vec<_> = all.iter().map(Position::from_envelope).collect();
        expected.sort_unstable();
        if order == Order::NewestFirst {
            expected.reverse();
        }
        assert_eq!(found, expected);
    }
}

/// What was counted as appended is there, whatever happens to the connections.
#[test]
fn connections_are_killed_while_appending() {
    let mut tables = Tables::new();
    tables.options.patience = Duration::from_secs(60);
    let name = tables.table("writing");
    let archive = tables.open_at(&named(&name));
    let begun = AtomicU32::new(0);
    let kills = thread::scope(|scope| {
        let begun = &begun;
        let _all = AtEnd(|| begun.store(u32::MAX, Ordering::SeqCst));
        let killer = scope.spawn(move || {
            let mut kills = 0;
            // Once in each round, each time after another pause.
            for round in 1..=60 {
                while begun.load(Ordering::SeqCst) < round {
                    thread::yield_now();
                }
                thread::sleep(Duration::from_micros(u64::from(round) * 137 % 6_000));
                kills += kill(&name);
            }
            kills
        });
        for round in 0..60_u32 {
            begun.store(round + 1, Ordering::SeqCst);
            let batch: Vec<_> = (0..100_u32)
                .map(|n| {
                    let number = u64::from(round * 100 + n);
                    envelope(DAY_ONE + round * 3_000 + n, topic(n % 30), number)
                })
                .collect();
            archive.append(&batch).unwrap();
        }
        killer.join().unwrap()
    });
    assert!(kills > 0);
    assert_eq!(read(&archive, &everything(Order::OldestFirst), usize::MAX).len(), 6000);
    assert_eq!(archive.summary().unwrap().envelopes, 6000, "counts are exact");
}

/// A proxy to the server that can be cut.
struct Way {
    url: String,
    open: Arc<AtomicBool>,
    links: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    /// `None` if the server isn't reached by TCP.
    fn new() -> Option<Self> {
        let config: postgres::Config = url().parse().unwrap();
        let [postgres::config::Host::Tcp(host)] = config.get_hosts() else { return None };
        let target = (host.clone(), config.get_ports().first().copied().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let old = format!("{}:{}", target.0, target.1);
        let url = url().replacen(&old, &format!("127.0.0.1:{port}"), 1);
        assert!(url.contains(&port.to_string()), "a URL with host:port, please");
        let open = Arc::new(AtomicBool::new(true));
        let links = Arc::new(Mutex::new(Vec::new()));
        let way = Self { url, open: Arc::clone(&open), links: Arc::clone(&links) };
        thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                let far = TcpStream::connect((target.0.as_str(), target.1)).unwrap();
                let ends = [near.try_clone().unwrap(), far.try_clone().unwrap()];
                links.lock().unwrap().extend(ends);
                for (mut from, mut to) in
                    [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)]
                {
                    thread::spawn(move || {
                        let mut buffer = [0; 65_536];
                        while let Ok(count @ 1..) = from.read(&mut buffer) {
                            if to.write_all(&buffer[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Some(way)
    }

    fn cut(&self) {
        self.open.store(false, Ordering::SeqCst);
        for link in self.links.lock().unwrap().drain(..) {
            let _ = link.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

#[test]
fn survives_a_cut_connection() {
    let Some(way) = Way::new() else { return };
    let mut tables = Tables::new();
    tables.options.patience = Duration::from_secs(60);
    let archive = tables.open_at(&way.url);
    archive.append(&[envelope(DAY_ONE, topic(1), 1)]).unwrap();
    way.cut();
    thread::scope(|scope| {
        let append = scope.spawn(|| archive.append(&[envelope(DAY_ONE + DAY, topic(1), 2)]));
        let reading =
            scope.spawn(|| read(&archive, &from_topic(topic(1), Order::OldestFirst), 1).len());
        thread::sleep(Duration::from_millis(300));
        assert!(!append.is_finished() && !reading.is_finished(), "they wait");
        way.mend();
        assert_eq!(append.join().unwrap().unwrap(), 1);
        assert_eq!(reading.join().unwrap(), 1);
    });
    assert_eq!(archive.summary().unwrap().envelopes, 2);
}

#[test]
fn patience_ends() {
    let Some(way) = Way::new() else { return };
    let mut tables = Tables::new();
    tables.options.patience = Duration::from_millis(200);
    let archive = tables.open_at(&way.url);
    way.cut();
    let error = archive.append(&[envelope(DAY_ONE, topic(1), 1)]).unwrap_err();
    assert_eq!(error.code(), "archive.io", "{error}");
    way.mend();
    assert_eq!(archive.append(&[envelope(DAY_ONE, topic(1), 1)]).unwrap(), 1);
}

/// Only if there is a command that restarts the server: it disturbs all other tests.
#[test]
#[ignore = "restarts the server with the command in STATUSKIT_POSTGRES_RESTART"]
fn the_server_restarts() {
    let restart = std::env::var("STATUSKIT_POSTGRES_RESTART").unwrap();
    let tables = Tables::new();
    let archive = tables.open();
    let batch = |round: u32| -> Vec<_> {
        (0..200_u32)
            .map(|n| envelope(DAY_ONE + n * 500, topic(n % 20), u64::from(round * 200 + n)))
            .collect()
    };
    archive.append(&batch(0)).unwrap();
    thread::scope(|scope| {
        let server = scope.spawn(|| Command::new("sh").args(["-c", &restart]).status().unwrap());
        let mut round = 1;
        while !server.is_finished() || round < 5 {
            archive.append(&batch(round)).unwrap();
            round += 1;
        }
        assert!(server.join().unwrap().success());
        archive.append(&batch(round)).unwrap();
        let expected = 200 * (round as usize + 1);
        let found = read(&archive, &everything(Order::NewestFirst), usize::MAX);
        assert_eq!(found.len(), expected);
        assert_eq!(archive.summary().unwrap().envelopes, expected as u64);
    });
}
