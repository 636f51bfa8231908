//! Client and server over loopback.

use std::{net::SocketAddr, time::Duration};

use rand::{SeedableRng as _, rngs::ChaCha20Rng};
use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    discovery::{
        Multiaddr, PeerId, Record, RecordBuilder, TopicName,
        rendezvous::{MAX_TTL, Request, Status},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{
    Agent, AgentConfig, AgentEvent, Client, ClientError, ConnectionError, Server, ServerConfig,
    secio::SecioError,
};

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap()
}

fn record(node: u8) -> Record {
    let builder = RecordBuilder::new(0).ip([127, 0, 0, 1].into()).tcp(30303);
    builder.sign(&key(node)).unwrap()
}

async fn server() -> Server {
    Server::start(ServerConfig::new(key(2), LOCAL)).await.unwrap()
}

#[tokio::test]
async fn what_is_registered_is_found() {
    let mut server = server().await;
    let client = Client::start(&[server.address()]).unwrap();
    let topic = TopicName::from("whisper");
    assert_eq!(client.discover(&topic, 10).await.unwrap().records, []);
    for node in 3..6 {
        assert_eq!(
            client.register(&topic, &record(node), MAX_TTL).await.unwrap(),
            server.address()
        );
    }
    assert_eq!(server.records(), 3);
    let other = Client::start(&[server.address()]).unwrap();
    let found = other.discover(&topic, 10).await.unwrap();
    assert_eq!((found.records.len(), found.invalid), (3, 0));
    assert!((3..6).all(|node| found.records.contains(&record(node))));
    assert!(client.discover(&"other".into(), 10).await.unwrap().records.is_empty());
    let event = server.next().await.unwrap();
    assert!(matches!(event.request, Request::Discover(_)) && event.status == Status::Ok);
}

#[tokio::test]
async fn refusals_have_their_status() {
    let server = server().await;
    let client = Client::start(&[server.address()]).unwrap();
    let topic = TopicName(vec![b'a'; 51]);
    let error = client.register(&topic, &record(3), MAX_TTL).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: Status::BadTopic, .. }), "{error}");
    let error = client
        .register(&"a".into(), &record(3), MAX_TTL + Duration::from_nanos(1))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: Status::BadTtl, .. }), "{error}");
}

#[tokio::test]
async fn a_client_connects_again() {
    let first = server().await;
    let address = first.address();
    let client = Client::start(&[address]).unwrap();
    let topic = TopicName::from("whisper");
    client.register(&topic, &record(3), MAX_TTL).await.unwrap();
    first.shutdown().await;
    let error = client.discover(&topic, 10).await.unwrap_err();
    assert!(matches!(error, ClientError::Io { .. } | ClientError::HungUp { .. }), "{error}");
    let mut config = ServerConfig::new(key(2), address.address);
    config.max_connections = 1;
    let _second = Server::start(config).await.unwrap();
    // The first request after the loss may meet what is left of the old connection.
    let mut again = client.discover(&topic, 10).await;
    if again.is_err() {
        again = client.discover(&topic, 10).await;
    }
    assert_eq!(again.unwrap().records, []);
}

#[tokio::test]
async fn another_server_under_the_address_is_refused() {
    let server = server().await;
    let other = Multiaddr { peer: PeerId::from_key(&key(9).public_key()), ..server.address() };
    let client = Client::start(&[other]).unwrap();
    let error = client.discover(&"a".into(), 10).await.unwrap_err();
    let [expected, got] = [other.peer, server.address().peer].map(|peer| peer.to_string());
    let wrong = SecioError::WrongPeer { expected, got };
    match error {
        ClientError::Connection { error: ConnectionError::Secio(error), .. } => {
            assert_eq!(error, wrong);
        }
        other => panic!("{other}"),
    }
    assert!(matches!(Client::start(&[]), Err(ClientError::NoServer)));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_times_out() {
    let listener = TcpListener::bind(LOCAL).await.unwrap();
    let peer = PeerId::from_key(&key(2).public_key());
    let silent = Multiaddr { address: listener.local_addr().unwrap(), peer };
    let rng = ChaCha20Rng::from_rng(&mut seeded_rng("silent"));
    let client = Client::start_with(&[silent], key(1), rng).unwrap();
    let error = client.discover(&"a".into(), 10).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn connections_are_bounded_and_the_oldest_makes_room() {
    let mut config = ServerConfig::new(key(2), LOCAL);
    config.max_connections_per_source = 3;
    let server = Server::start(config).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(TcpStream::connect(server.address().address).await.unwrap());
    }
    // The first one is closed, the last one still served.
    let mut byte = [0];
    assert!(matches!(held[0].read(&mut byte).await, Ok(0) | Err(_)));
    held[3].write_all(b"\x13/multistream/1.0.0\n").await.unwrap();
    assert_eq!(held[3].read(&mut byte).await.unwrap(), 1);
    let client = Client::start(&[server.address()]).unwrap();
    assert!(client.discover(&"a".into(), 10).await.is_ok());
}

#[tokio::test]
async fn garbage_and_endless_lines_are_hung_up_on() {
    let server = server().await;
    for garbage in [&[b'G'; 100][..], &[0xff; 64], &[0x80; 64], &[0; 64]] {
        let mut stream = TcpStream::connect(server.address().address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
    }
    let client = Client::start(&[server.address()]).unwrap();
    assert!(client.discover(&"a".into(), 10).await.is_ok());
}

#[tokio::test]
async fn agents_find_each_other() {
    let server = server().await;
    let topic = TopicName::from("whispermail");
    let mut registrant = AgentConfig::new(vec![server.address()]);
    registrant.register = Some((record(3), vec![topic.clone(), "whisper".into()]));
    let mut registrant = Agent::start(registrant).unwrap();
    for _ in 0..2 {
        let event = registrant.next().await;
        assert!(matches!(event, Some(AgentEvent::Registered { .. })), "{event:?}");
    }
    // One that could not be dialled is not told.
    let client = Client::start(&[server.address()]).unwrap();
    let unreachable = RecordBuilder::new(0).tcp(1).sign(&key(4)).unwrap();
    client.register(&topic, &unreachable, MAX_TTL).await.unwrap();
    let mut searcher = AgentConfig::new(vec![server.address()]);
    searcher.search = vec![(topic.clone(), Duration::from_millis(10))];
    let mut searcher = Agent::start(searcher).unwrap();
    for _ in 0..3 {
        match searcher.next().await {
            Some(AgentEvent::Found { topic: of, node }) => {
                assert_eq!((of, node), (topic.clone(), record(3).enode().unwrap()));
            }
            other => panic!("{other:?}"),
        }
    }
}
