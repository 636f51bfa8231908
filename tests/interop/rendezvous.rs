//! Rendezvous with the JavaScript libp2p of 2020: secio, multistream-select, yamux, and identities
//! of another implementation, in both roles.

use std::{net::Ipv4Addr, time::Duration};

use serde_json::json;
use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    discovery::{Multiaddr, Record, RecordBuilder, TopicName},
};
use statuskit_net::discovery::rendezvous::{
    Client, ClientError, ConnectionError, Server, ServerConfig,
};

use crate::{harness::Peer, hex0x};

const TTL: Duration = Duration::from_secs(10);
/// The libraries keep the leading zero bytes of the shared secret, which the reference removes. So
/// one handshake in 256 fails.
const ATTEMPTS: usize = 3;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn record(seed: &str) -> Record {
    let key = SecretKey::generate(&mut seeded_rng(seed));
    let builder = RecordBuilder::new(0).ip(Ipv4Addr::LOCALHOST.into()).tcp(30303).udp(30303);
    builder.sign(&key).unwrap()
}

/// Returns the error unless it is the one of a short secret.
fn unless_short_secret(error: ClientError) {
    assert!(
        matches!(
            error,
            ClientError::HungUp { .. }
                | ClientError::Io { .. }
                | ClientError::Connection { error: ConnectionError::Secio(_), .. }
        ),
        "{error}"
    );
}

#[test]
fn our_client_at_their_server() {
    let mut server = Peer::start("rendezvous", &[]);
    let address: Multiaddr = server.multiaddr().parse().unwrap();
    let topic = TopicName::from("whisper");
    let (first, second) = (record("first"), record("second"));
    let found = runtime().block_on(async {
        for _ in 0..ATTEMPTS {
            // A new key and a new connection each time.
            let client = Client::start(&[address]).unwrap();
            let result = async {
                client.register(&topic, &first, TTL).await?;
                client.register(&topic, &second, TTL).await?;
                client.discover(&topic, 10).await
            };
            match result.await {
                Ok(found) => return found,
                Err(error) => unless_short_secret(error),
            }
        }
        panic!("no handshake out of {ATTEMPTS}");
    });
    assert_eq!(found.invalid, 0);
    assert!(found.records.contains(&first) && found.records.contains(&second));
    let event = server.wait_event(|it| it["event"] == "registered", crate::SOON);
    assert_eq!(event["topic"], "whisper");
    // 10^10 nanoseconds.
    assert_eq!(event["ttl"], "0x02540be400");
}

#[test]
fn their_client_at_our_server() {
    let mut client = Peer::start("rendezvous", &["--identify"]);
    let runtime = runtime();
    let key = SecretKey::generate(&mut seeded_rng("rendezvous server"));
    let config = ServerConfig::new(key, (Ipv4Addr::LOCALHOST, 0).into());
    let server = runtime.block_on(Server::start(config)).unwrap();
    let address = server.address();
    let (answered, stop) = (std::sync::mpsc::channel(), tokio::sync::oneshot::channel::<()>());
    // The server runs on a thread of its own: the peer is asked in blocking calls.
    let thread = std::thread::spawn(move || {
        runtime.block_on(async {
            let _ = stop.1.await;
            answered.0.send(server.records()).unwrap();
            server.shutdown().await;
        });
    });
    let record = record("theirs");
    let mut ask = |command: serde_json::Value| {
        (0..ATTEMPTS)
            .find_map(|_| client.try_call(command.clone()).ok())
            .unwrap_or_else(|| panic!("no answer to {command}"))
    };
    let mut register = |topic: &str, ttl: &str| {
        ask(json!({
            "cmd": "register", "address": address.to_string(), "topic": topic,
            "record": hex0x(record.as_rlp()), "ttl": ttl,
        }))
    };
    let answer = register("whisper", "10000000000");
    assert_eq!((&answer["type"], &answer["status"]), (&json!(2), &json!("0x")));
    // 102: too long by a nanosecond.
    assert_eq!(register("whisper", "20000000001")["status"], "0x66");
    // 100: no topic.
    assert_eq!(register("", "10000000000")["status"], "0x64");
    let discover = |topic| {
        json!({
            "cmd": "discover", "address": address.to_string(), "topic": topic, "limit": 10,
        })
    };
    let answer = ask(discover("whisper"));
    assert_eq!(answer["records"], json!([hex0x(record.as_rlp())]));
    assert_eq!(ask(discover("other"))["records"], json!([]));
    // Our server has no identity to tell, and says so.
    let event = client.wait_event(|it| it["event"] == "not_identified", crate::SOON);
    assert_eq!(event["message"], "protocol selection failed");
    stop.0.send(()).unwrap();
    assert_eq!(answered.1.recv().unwrap(), 1);
    thread.join().unwrap();
}
