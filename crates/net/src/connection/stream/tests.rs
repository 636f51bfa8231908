use std::net::{IpAddr, Ipv4Addr};

use statuskit_core::{crypto::seeded_rng, devp2p::capability::Protocol};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::TcpListener,
    time::advance,
};

use super::*;
use crate::connection::peer::P2pLimits;

fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap()
}

fn config() -> P2pConfig {
    P2pConfig::new(vec![Protocol::new("shh", 6, 128)])
}

/// Runs a test that must end within 20 seconds.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        timeout(Duration::from_secs(20), test).await.expect("the test hangs");
    });
}

async fn listener(byte: u8) -> (TcpListener, Enode) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let node = Enode::new(key(byte).public_key(), IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    (listener, node)
}

/// Two peers over loopback, the dialling one first.
async fn pair(ours: &P2pConfig, theirs: &P2pConfig) -> (PeerStream, PeerStream) {
    let (listener, node) = listener(2).await;
    let (dialler, listening) = (key(1), key(2));
    let accept = async {
        let (stream, _) = listener.accept().await.unwrap();
        PeerStream::accept(stream, &listening, theirs).await
    };
    let (a, b) = tokio::join!(PeerStream::connect(&node, &dialler, ours), accept);
    (a.unwrap(), b.unwrap())
}

/// Two peers over a pipe that holds `capacity` bytes each way.
async fn piped(
    capacity: usize,
    ours: &P2pConfig,
    theirs: &P2pConfig,
) -> (PeerStream<DuplexStream>, PeerStream<DuplexStream>) {
    let (left, right) = duplex(capacity);
    let (mut rng_a, mut rng_b) = (seeded_rng("left"), seeded_rng("right"));
    let (dialler, listening) = (key(1), key(2));
    let (a, b) = tokio::join!(
        PeerStream::initiate(left, listening.public_key(), &dialler, ours, &mut rng_a),
        PeerStream::respond(right, &listening, theirs, &mut rng_b)
    );
    (a.unwrap(), b.unwrap())
}

fn noise(seed: &str, length: usize) -> Vec<u8> {
    let mut payload = vec![0; length];
    rand::Rng::fill_bytes(&mut seeded_rng(seed), &mut payload);
    payload
}

fn message(event: Incoming) -> (u64, Vec<u8>) {
    match event {
        Incoming::Message { code, payload, .. } => (code, payload),
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_peers_over_loopback() {
    run(async {
        let (mut a, mut b) = pair(&config(), &config()).await;
        assert_eq!(a.remote(), key(2).public_key());
        assert_eq!(b.remote(), key(1).public_key());
        assert!(a.hello().client.starts_with("statuskit/v"));
        assert_eq!(a.shared()[0].offset, 16);
        a.send("shh", 1, b"question").unwrap();
        a.flush().await.unwrap();
        assert_eq!(a.queued(), 0);
        assert_eq!(message(b.next().await.unwrap()), (1, b"question".to_vec()));
        b.send("shh", 127, b"answer").unwrap();
        let (answer, ()) = tokio::join!(a.next(), async { b.flush().await.unwrap() });
        assert_eq!(message(answer.unwrap()), (127, b"answer".to_vec()));
        // What is queued goes out before the Disconnect.
        b.send("shh", 2, b"last").unwrap();
        let reader = async {
            assert_eq!(message(a.next().await.unwrap()), (2, b"last".to_vec()));
            let event = a.next().await.unwrap();
            assert_eq!(event, Incoming::Disconnected(DisconnectReason::Quitting));
            assert_eq!(a.next().await.unwrap_err().code(), "p2p.closed");
            drop(a);
        };
        tokio::join!(b.close(DisconnectReason::Quitting), reader);
    });
}

/// Both sides send more than all buffers hold before either wants to read.
#[test]
fn full_buffers_do_not_lock_up() {
    run(async {
        let (mut a, mut b) = piped(1000, &config(), &config()).await;
        let (from_a, from_b) = (noise("a", 100_000), noise("b", 100_000));
        for _ in 0..4 {
            a.send("shh", 1, &from_a).unwrap();
            b.send("shh", 1, &from_b).unwrap();
        }
        async fn receive(peer: &mut PeerStream<DuplexStream>, expected: &[u8]) {
            for _ in 0..4 {
                assert!(message(peer.next().await.unwrap()).1 == expected);
            }
            peer.flush().await.unwrap();
        }
        tokio::join!(receive(&mut a, &from_b), receive(&mut b, &from_a));
    });
}

/// `flush` of both sides at once: each must read what the other writes.
#[test]
fn flush_reads_meanwhile() {
    run(async {
        let (mut a, mut b) = piped(64, &config(), &config()).await;
        for n in 0..100 {
            a.send("shh", n, &[1; 500]).unwrap();
            b.send("shh", n, &[2; 500]).unwrap();
        }
        // Some events are read ahead by `flush`, others come after.
        async fn exchange(mut peer: PeerStream<DuplexStream>, expected: u8) {
            peer.flush().await.unwrap();
            for n in 0..100 {
                assert_eq!(message(peer.next().await.unwrap()), (n, vec![expected; 500]));
            }
        }
        tokio::join!(exchange(a, 2), exchange(b, 1));
    });
}

#[test]
fn next_may_be_dropped_at_any_time() {
    run(async {
        let (mut a, mut b) = pair(&config(), &config()).await;
        let sender = async {
            for n in 0..200u64 {
                a.send("shh", n % 128, &vec![n as u8; 2000]).unwrap();
                let _ = timeout(Duration::from_micros(50), a.next()).await;
            }
            a.flush().await.unwrap();
        };
        let receiver = async {
            let mut received = 0;
            while received < 200 {
                if let Ok(event) = timeout(Duration::from_micros(30), b.next()).await {
                    let expected = (received % 128, vec![received as u8; 2000]);
                    assert_eq!(message(event.unwrap()), expected);
                    received += 1;
                }
            }
        };
        tokio::join!(sender, receiver);
    });
}

/// Nothing comes from outside, so that the paused clock moves by itself.
#[tokio::test(start_paused = true)]
async fn pings_keep_the_connection() {
    let (mut a, mut b) = piped(1000, &config(), &config()).await;
    let hour = Duration::from_secs(3600);
    let (a_event, b_event) = tokio::join!(timeout(hour, a.next()), timeout(hour, b.next()));
    assert!(a_event.is_err() && b_event.is_err(), "pongs came, nothing else");
    // Without answers, the idle limit ends the connection.
    let error = a.next().await.unwrap_err();
    assert_eq!(error.code(), "p2p.idle");
}

/// What was read before is still decoded, up to a message: the ping behind the first one here.
#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_nothing_is_read() {
    let [second, day] = [1, 86_400].map(Duration::from_secs);
    let limits = P2pLimits { ping: day, ..P2pLimits::default() };
    let silent = P2pConfig { limits, ..config() };
    let limits = P2pLimits { idle: 100 * second, ..P2pLimits::default() };
    let patient = P2pConfig { limits, ..config() };
    let (mut a, mut b) = piped(1000, &silent, &patient).await;
    let began = Instant::now();
    advance(16 * second).await;
    b.send("shh", 1, b"first").unwrap();
    assert!(timeout(Duration::ZERO, b.next()).await.is_err(), "writes both");
    let first = a.step(true, false).await.unwrap().unwrap();
    assert_eq!(message(first), (1, b"first".to_vec()));
    advance(10 * second).await;
    assert!(timeout(second, a.step(false, false)).await.is_err());
    assert_eq!(b.next().await.unwrap_err().code(), "p2p.idle");
    assert!(began.elapsed() > 120 * second, "the pong has moved the limit");
}

#[test]
fn rejections_reach_the_other_side() {
    run(async {
        let (listener, node) = listener(2).await;
        let other = P2pConfig::new(vec![Protocol::new("waku", 0, 128)]);
        let (dialler, listening, ours) = (key(1), key(2), config());
        let accept = async {
            let (stream, _) = listener.accept().await.unwrap();
            PeerStream::accept(stream, &listening, &other).await
        };
        let (a, b) = tokio::join!(PeerStream::connect(&node, &dialler, &ours), accept);
        assert_eq!(a.unwrap_err().code(), "p2p.useless");
        assert_eq!(b.unwrap_err().code(), "p2p.useless");

        // A peer that sends Disconnect instead of Hello.
        let accept = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut wire = Wire::new(stream, Duration::from_secs(1));
            let mut responder = Responder::new(&listening);
            let auth = loop {
                wire.fill("").await.unwrap();
                match wire.consume(|input| responder.read(input)).unwrap() {
                    Step::Done(auth) => break auth,
                    Step::More { state, .. } => responder = state,
                }
            };
            let (ack, secrets) = auth.accept(&mut seeded_rng("full"));
            let mut output = ack;
            let payload = DisconnectReason::TooManyPeers.encode();
            secrets.into_frames(100).0.encode(1, &payload, &mut output).unwrap();
            wire.push(&output);
            wire.finish(Duration::from_secs(1)).await;
        };
        let (a, ()) = tokio::join!(PeerStream::connect(&node, &dialler, &ours), accept);
        let error = a.unwrap_err();
        assert_eq!(error.disconnect_reason(), Some(DisconnectReason::TooManyPeers));
    });
}

#[test]
fn hostile_sockets() {
    run(async {
        let (listener, node) = listener(2).await;
        let (dialler, ours) = (key(1), config());
        // Closes at once.
        let close = async { drop(listener.accept().await.unwrap()) };
        let (error, ()) = tokio::join!(PeerStream::connect(&node, &dialler, &ours), close);
        assert!(matches!(error.unwrap_err().code(), "net.eof" | "net.io"));
        // Answers in another protocol.
        let http = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(&b"HTTP/1.1 400 Bad Request\r\n".repeat(3000)).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let (error, ()) = tokio::join!(PeerStream::connect(&node, &dialler, &ours), http);
        assert_eq!(error.unwrap_err().code(), "rlpx.ack");
        // Sends nothing.
        let limits = P2pLimits { handshake: Duration::from_millis(100), ..P2pLimits::default() };
        let short = P2pConfig { limits, ..config() };
        let (error, _open) =
            tokio::join!(PeerStream::connect(&node, &dialler, &short), listener.accept());
        assert_eq!(error.unwrap_err().code(), "p2p.handshake_timeout");
        // Our own key, a closed port, and a name that does not exist.
        let error = PeerStream::connect(&node, &key(2), &ours).await.unwrap_err();
        assert_eq!(error.code(), "p2p.self");
        drop(listener);
        let error = PeerStream::connect(&node, &dialler, &ours).await.unwrap_err();
        assert_eq!(error.code(), "net.dial");
        let nowhere = Enode { host: Host::Name("name.invalid".into()), ..node };
        let error = PeerStream::connect(&nowhere, &dialler, &ours).await.unwrap_err();
        assert!(matches!(error.code(), "net.dial" | "net.dial_timeout"));
    });
}

#[test]
fn a_peer_that_does_not_read_is_disconnected() {
    run(async {
        let limits = P2pLimits { write: Duration::from_millis(200), ..P2pLimits::default() };
        let quick = P2pConfig { limits, ..config() };
        let (mut a, _b) = piped(1000, &quick, &config()).await;
        a.send("shh", 1, &noise("noise", 5000)).unwrap();
        assert_eq!(a.next().await.unwrap_err().code(), "net.write_timeout");
        assert!(a.queued() > 0);
        // Closing is bounded too.
        timeout(Duration::from_secs(3), a.close(DisconnectReason::Quitting)).await.unwrap();
    });
}

#[test]
fn a_peer_that_vanishes_ends_the_stream() {
    run(async {
        let (mut a, b) = pair(&config(), &config()).await;
        drop(b);
        assert!(matches!(a.next().await.unwrap_err().code(), "net.eof" | "net.io"));
    });
}

#[test]
fn futures_can_be_spawned() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    run(async {
        let (mut a, b) = pair(&config(), &config()).await;
        drop(send(a.next()));
        drop(send(a.flush()));
        let (dialler, ours) = (key(1), config());
        let (_, node) = listener(2).await;
        drop(send(PeerStream::connect(&node, &dialler, &ours)));
        send(b.close(DisconnectReason::Quitting)).await;
    });
}
