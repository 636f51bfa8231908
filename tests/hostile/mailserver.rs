//! Attacks on a mailserver: requests without end, and its port for health checks.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use statuskit_core::{
    crypto::seeded_rng,
    envelope::{Envelope, Topic},
    time::UnixSeconds,
    wire::packet::code,
};
use tokio::time::timeout;

use crate::{
    queues::MEMORY,
    world::{Good, Peer, Process, address, now, strangers},
};

/// Requests of 120 KB that nobody can open, as fast as they are read, and silent connections to the
/// port for health checks.
#[tokio::test]
async fn requests_exhaust_no_memory_and_health_is_told() {
    let store = tempfile::tempdir().unwrap();
    let store = store.path().join("archive").display().to_string();
    let server = Process::start(&[
        "status-mailserver",
        "serve",
        "--store",
        &store,
        "--min-pow",
        "0",
        "--metrics",
        "127.0.0.1:0",
    ]);
    let mut good = Good::join(&server.enode).await;
    let rounds = strangers();
    let floods = (0..20).map(|number| {
        let enode = server.enode.clone();
        tokio::spawn(async move {
            let name = format!("asking {number}");
            let mut peer = Peer::join(&enode, address(number), &name).await.unwrap();
            let mut data = vec![0; 120_000];
            rand::Rng::fill_bytes(&mut seeded_rng(&name), &mut data);
            for round in 0..rounds as u64 {
                let request =
                    Envelope::new(UnixSeconds(now() + 50), 50, Topic([0; 4]), &data, round);
                let sent = peer.send(code::P2P_REQUEST, request.raw());
                // A peer that asks too much is not read any more, or disconnected.
                if !timeout(Duration::from_secs(1), sent).await.unwrap_or(false) {
                    break;
                }
            }
            peer
        })
    });
    let floods: Vec<_> = floods.collect();
    let port = server.ready["metrics"].as_str().unwrap().to_owned();
    let mut idle = Vec::new();
    for _ in 0..5 {
        idle.extend((0..20).map(|_| TcpStream::connect(&port).unwrap()));
        let port = port.clone();
        let health = tokio::task::spawn_blocking(move || {
            let mut asking = TcpStream::connect(port).unwrap();
            asking.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            asking.write_all(b"GET /health HTTP/1.0\r\n\r\n").unwrap();
            let mut answer = String::new();
            asking.read_to_string(&mut answer).map(|_| answer)
        });
        let answer = health.await.unwrap().expect("an answer");
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        good.exchange(now()).await;
    }
    let mut peers = Vec::new();
    for flood in floods {
        peers.push(flood.await.unwrap());
    }
    let memory = server.memory();
    assert!(memory < MEMORY, "{memory} bytes");
    good.exchange(now()).await;
}
