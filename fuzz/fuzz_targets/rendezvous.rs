//! Any bytes as what arrives on a connection of rendezvous: in the clear, during the handshake of
//! secio, and on its streams. Nothing panics; what decodes encodes to the same meaning.
#![no_main]

use std::{sync::LazyLock, time::Instant};

use libfuzzer_sys::fuzz_target;
use rand::{SeedableRng as _, rngs::ChaCha20Rng};
use statuskit_core::{
    crypto::SecretKey,
    discovery::{
        Multiaddr, PeerId,
        libp2p::{
            multistream::{put_line, read_line},
            secio,
            yamux::{self, Header},
        },
        rendezvous::{Frame, MAX_REQUEST, MAX_RESPONSE, PROTOCOL, Request, Response},
    },
};
use statuskit_net::discovery::rendezvous::{Connection, Event, Registry};

static KEYS: LazyLock<[SecretKey; 2]> =
    LazyLock::new(|| [1, 2].map(|byte| SecretKey::from_bytes(&[byte; 32]).expect("a private key")));

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    match choice % 4 {
        0 => codecs(data),
        1 => clear(data),
        2 => handshake(data),
        _ => streams(data),
    }
});

fn codecs(data: &[u8]) {
    let _ = read_line(data);
    if let Some(header) = data.first_chunk::<{ yamux::HEADER }>() {
        let _ = Header::decode(header).map(|it| assert_eq!(it.encode(), *header));
    }
    if let Ok(address) = Multiaddr::from_bytes(data) {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
    if let Ok(Some((frame, used))) = Frame::read(data, MAX_RESPONSE) {
        if let Ok(request) = Request::decode(frame) {
            assert_eq!(request.encode(), data[..used]);
        }
        if let Ok(response) = Response::decode(frame, frame.kind) {
            let _ = response.records().count();
        }
    }
    if let Ok(Some((frame, _))) = Frame::read(data, MAX_REQUEST)
        && let Ok(Request::Register(it)) = Request::decode(frame)
    {
        let mut registry = Registry::default();
        registry.register(&it.topic, it.record, it.ttl, [127, 0, 0, 1].into(), Instant::now());
    }
}

/// As the first bytes, to either side.
fn clear(data: &[u8]) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let [ours, theirs] = KEYS.clone();
    let _ = Connection::dial(ours, PeerId::from_key(&theirs.public_key())).receive(data, &mut rng);
    let _ = Connection::accept(theirs, &[PROTOCOL]).receive(data, &mut rng);
}

/// Behind the choice of secio.
fn handshake(data: &[u8]) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut lines = Vec::new();
    put_line(&mut lines, "/multistream/1.0.0");
    put_line(&mut lines, secio::PROTOCOL);
    let mut connection = Connection::accept(KEYS[1].clone(), &[PROTOCOL]);
    let _ = connection.receive(&[&lines, data].concat(), &mut rng);
}

/// As what an honest peer would encrypt.
fn streams(data: &[u8]) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let [ours, theirs] = KEYS.clone();
    let mut a = Connection::dial(ours, PeerId::from_key(&theirs.public_key()));
    let mut b = Connection::accept(theirs, &[PROTOCOL]);
    while !(a.is_open() && b.is_open()) {
        let output = a.take_output();
        b.receive(&output, &mut rng).expect("an honest peer");
        let output = b.take_output();
        a.receive(&output, &mut rng).expect("an honest peer");
    }
    let stream = a.open(PROTOCOL).expect("open");
    // Requests, or frames of a muxer that follows no rules.
    a.send(stream, data);
    let _ = b.receive(&a.take_output(), &mut rng);
    a.send_raw(data);
    let _ = b.receive(&a.take_output(), &mut rng);
    while let Some(event) = b.next_event() {
        if let Event::Opened(stream) = event {
            b.send(stream, data);
        }
    }
    let _ = a.receive(&b.take_output(), &mut rng);
}
