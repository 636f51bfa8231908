//! What is confirmed to a sender is in the archive, whatever ends the process.
//!
//! The processes that are killed run this test program again, with the test [`child`] and a
//! directory in the environment.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rand::RngExt;
use statuskit_core::{
    crypto::seeded_rng,
    devp2p::Enode,
    envelope::{Bloom, Envelope},
    mailserver::{Cursor, Position, Request},
    time::UnixSeconds,
    wire::{
        Packet,
        p2p::P2pRequest,
        packet::{MessageResponse, PROTOCOL, ReadResponse, batch_hash, code},
    },
};
use statuskit_mailserver::{
    Archive, MailserverEvent,
    archive::{EmbeddedArchive, MemoryArchive},
};
use statuskit_net::connection::PeerStream;
use statuskit_testkit::rounds;
use tokio::net::TcpStream;

use crate::world::*;

const DIRECTORY: &str = "MAILSERVER_TEST_CHILD";

/// Not a test itself: the mailserver that is killed.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let archive = Arc::new(EmbeddedArchive::open(Path::new(&dir)).unwrap());
    let server = start_server("server", archive).await;
    println!("enode {}", server.node.handle().enode().unwrap());
    std::io::stdout().flush().unwrap();
    std::future::pending::<()>().await;
}

/// Sends batches of envelopes until the server is killed in the middle, and returns the positions
/// of those that it confirmed.
async fn send_and_kill(dir: &Path, round: u32) -> Vec<Position> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "durable::child", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // The line may begin with what the test harness prints.
    let enode: Enode = lines
        .find_map(|line| Some(line.split_once("enode ")?.1.parse().unwrap()))
        .expect("the server starts");
    let mut stranger = stranger_at("sender", &enode, [127, 0, 0, 1]).await;
    let mut rng = seeded_rng(&format!("round {round}"));
    let kill_after = rng.random_range(5..60);
    let (mut sent, mut confirmed) = (BTreeMap::new(), BTreeSet::new());
    let mut number = u64::from(round) << 32;
    loop {
        while sent.len() < confirmed.len() + 8 {
            let batch: Vec<Envelope> = (0..rng.random_range(1..20u64))
                .map(|at| envelope(NOW, TOPICS[0], number + at))
                .collect();
            number += batch.len() as u64;
            let payload = Packet::Messages(batch.clone()).encode();
            let positions: Vec<_> = batch.iter().map(Position::from_envelope).collect();
            sent.insert(batch_hash(&payload), positions);
            stranger.send(PROTOCOL, code::MESSAGES, &payload).unwrap();
        }
        stranger.flush().await.unwrap();
        confirmed.extend(confirmation(&mut stranger).await);
        if confirmed.len() >= kill_after {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What is in the socket counts, too.
    while let Some(batch) = confirmation(&mut stranger).await {
        confirmed.insert(batch);
    }
    confirmed.iter().flat_map(|batch| sent[batch].clone()).collect()
}

/// Returns the next batch that is confirmed; `None` at the end.
async fn confirmation(stranger: &mut PeerStream<TcpStream>) -> Option<[u8; 32]> {
    loop {
        let (code, payload) = packet(stranger).await?;
        match Packet::decode(code, &payload).unwrap() {
            Packet::BatchAck(batch) => return Some(batch),
            Packet::MessageResponse(ReadResponse::V1(MessageResponse { batch, errors })) => {
                assert_eq!(errors, []);
                return Some(batch);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn what_is_confirmed_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for round in 0..rounds(5, 100) {
        all.extend(within(send_and_kill(dir.path(), round)).await);
        let archive = EmbeddedArchive::open_read_only(dir.path()).unwrap();
        let lost = all.iter().filter(|it| !archive.contains(it).unwrap()).count();
        assert_eq!(lost, 0, "round {round}: lost {lost} of {}", all.len());
    }
    assert!(all.len() > 5 * 5);
}

/// Sends envelopes in one packet, and returns its hash.
async fn send(stranger: &mut PeerStream<TcpStream>, envelopes: &[Envelope]) -> [u8; 32] {
    let payload = Packet::Messages(envelopes.to_vec()).encode();
    stranger.send(PROTOCOL, code::MESSAGES, &payload).unwrap();
    stranger.flush().await.unwrap();
    batch_hash(&payload)
}

/// Whether a confirmation has come so far. A request that the server refuses at once marks the
/// place in the stream of packets.
async fn is_confirmed(stranger: &mut PeerStream<TcpStream>) -> bool {
    let cursor = Cursor::from_bytes(&[1; 100_000]);
    let giant =
        Request { cursor, ..Request::from_bloom(UnixSeconds(1), UnixSeconds(NOW), Bloom::FULL) };
    let plain = P2pRequest::Plain(giant.to_plain(&[4; 32]).unwrap());
    stranger.send(PROTOCOL, code::P2P_REQUEST, &Packet::P2pRequest(plain).encode()).unwrap();
    stranger.flush().await.unwrap();
    let mut confirmed = false;
    loop {
        let (code, _) = packet(stranger).await.expect("stays connected");
        match code {
            code::P2P_REQUEST_COMPLETE => return confirmed,
            code::BATCH_ACK | code::MESSAGE_RESPONSE => confirmed = true,
            _ => {}
        }
    }
}

#[tokio::test]
async fn nothing_is_confirmed_while_the_archive_fails() {
    let archive = Arc::new(Moody::default());
    archive.fails.store(true, Ordering::SeqCst);
    let mut server = start_server("server", archive.clone()).await;
    let (mut one, mut other) =
        (stranger("one", &server.node).await, stranger("other", &server.node).await);
    let batch = [envelope(NOW, TOPICS[0], 1)];
    let hash = send(&mut one, &batch).await;
    server
        .wait_for(|event| matches!(event, MailserverEvent::ArchiveFailed { .. }).then_some(()))
        .await;
    assert!(!is_confirmed(&mut one).await);
    // Neither to a peer that sends the same.
    assert_eq!(send(&mut other, &batch).await, hash);
    assert!(!is_confirmed(&mut other).await);
    archive.fails.store(false, Ordering::SeqCst);
    for stranger in [&mut one, &mut other] {
        assert_eq!(within(confirmation(stranger)).await, Some(hash));
    }
    assert_eq!(all_of(&archive.inner), batch);
    server.stop().await;
}

#[tokio::test]
async fn what_was_left_out_is_confirmed_when_it_is_sent_again() {
    let archive = Arc::new(Moody::default());
    archive.fails.store(true, Ordering::SeqCst);
    let mut server = start_server_with("server", archive.clone(), |_, config| {
        (config.waiting_envelopes, config.commit_envelopes) = (1, 1);
    })
    .await;
    let mut stranger = stranger("stranger", &server.node).await;
    let first = send(&mut stranger, &[envelope(NOW, TOPICS[0], 0)]).await;
    let rest: Vec<_> = (1..10).map(|i| envelope(NOW, TOPICS[0], i)).collect();
    let rest_hash = send(&mut stranger, &rest).await;
    server
        .wait_for(|event| matches!(event, MailserverEvent::IngestFull { .. }).then_some(()))
        .await;
    archive.fails.store(false, Ordering::SeqCst);
    // It was never forgotten.
    assert_eq!(within(confirmation(&mut stranger)).await, Some(first));
    // These may have expired before they were looked for, so they must be sent again.
    until(|| server.mailserver.stats().archived == 10).await;
    loop {
        send(&mut stranger, &rest).await;
        if within(confirmation(&mut stranger)).await == Some(rest_hash) {
            break;
        }
    }
    assert_eq!(all_of(&archive.inner).len(), 10);
    server.stop().await;
}

#[tokio::test]
async fn confirms_what_is_too_old_to_be_kept() {
    let server = start_server_with("server", Arc::new(MemoryArchive::new()), |_, config| {
        config.max_age = Some(Duration::from_secs(60));
    })
    .await;
    let mut stranger = stranger("stranger", &server.node).await;
    let old = Envelope::new(UnixSeconds(NOW + 10), 100, TOPICS[0], b"old", 0);
    let hash = send(&mut stranger, &[old]).await;
    assert_eq!(within(confirmation(&mut stranger)).await, Some(hash));
    assert_eq!(server.mailserver.stats().passed_over.too_old, 1);
    server.stop().await;
}

#[tokio::test]
async fn confirms_at_once_if_asked_to() {
    let archive = Arc::new(Moody::default());
    archive.fails.store(true, Ordering::SeqCst);
    let server = start_server_with("server", archive.clone(), |node, _| {
        node.node.confirm_stored = false;
    })
    .await;
    let mut stranger = stranger("stranger", &server.node).await;
    let hash = send(&mut stranger, &[envelope(NOW, TOPICS[0], 1)]).await;
    assert_eq!(within(confirmation(&mut stranger)).await, Some(hash));
    archive.fails.store(false, Ordering::SeqCst);
    server.stop().await;
}
