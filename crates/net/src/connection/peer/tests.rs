use std::time::{Duration, Instant};

use proptest::prelude::*;
use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    devp2p::{
        base,
        frame::{Frame, FrameReader, FrameWriter, MAX_BODY},
        handshake::{Initiator, Responder, Secrets, Step},
        snappy,
    },
};

use super::*;

fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap()
}

fn config() -> P2pConfig {
    P2pConfig::new(vec![Protocol::new("shh", 6, 128)])
}

/// The secrets of a dialling side with key `a` and a listening side with key `b`.
fn secrets(a: u8, b: u8) -> (Secrets, Secrets) {
    let mut rng = seeded_rng("peer");
    let initiator = Initiator::new(&key(a), key(b).public_key(), &mut rng);
    let Ok(Step::Done(auth)) = Responder::new(&key(b)).read(&mut initiator.auth()) else {
        panic!("auth");
    };
    let (ack, ours) = auth.accept(&mut rng);
    let Ok(Step::Done(theirs)) = initiator.read(&mut &ack[..]) else { panic!("ack") };
    (theirs, ours)
}

/// A greeting of ours, and the frame codec of its peer.
fn against(config: &P2pConfig, start: Instant) -> (Greeting, FrameWriter, FrameReader) {
    let (ours, theirs) = secrets(1, 2);
    let greeting = Greeting::new(ours, &key(1).public_key(), config, start).unwrap();
    let (writer, reader) = theirs.into_frames(MAX_BODY);
    (greeting, writer, reader)
}

fn peer_hello(version: u64) -> Hello {
    Hello { version, ..config().hello(&key(2).public_key()) }
}

fn frame(writer: &mut FrameWriter, code: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    writer.encode(code, payload, &mut out).unwrap();
    out
}

fn packed(writer: &mut FrameWriter, code: u64, payload: &[u8]) -> Vec<u8> {
    frame(writer, code, &snappy::compress(payload).unwrap())
}

/// All frames of some output.
fn frames(reader: &mut FrameReader, mut output: &[u8]) -> Vec<Frame> {
    std::iter::from_fn(|| reader.read(&mut output).unwrap()).collect()
}

/// An open connection with the peer's halves. Our Hello has been read.
fn connected(config: &P2pConfig, version: u64) -> (Connection, FrameWriter, FrameReader, Instant) {
    let start = Instant::now();
    let (mut greeting, mut writer, mut reader) = against(config, start);
    let hello = frames(&mut reader, &greeting.take_output());
    assert_eq!(Hello::decode(&hello[0].payload).unwrap(), config.hello(&key(1).public_key()));
    let input = frame(&mut writer, base::HELLO, &peer_hello(version).encode());
    match greeting.read(&mut &input[..], start) {
        Ok(Step::Done(connection)) => (connection, writer, reader, start),
        other => panic!("{other:?}"),
    }
}

fn rejected(input: &[u8], config: &P2pConfig) -> (Rejected, Vec<Frame>) {
    let start = Instant::now();
    let (greeting, _, mut reader) = against(config, start);
    let rejected = match greeting.read(&mut &input[..], start) {
        Err(rejected) => rejected,
        other => panic!("{other:?}"),
    };
    // Our Hello, which is still in the output, comes first.
    let mut said = frames(&mut reader, &rejected.farewell);
    assert_eq!(said.remove(0).code, base::HELLO);
    (rejected, said)
}

/// A first frame of a peer.
fn first(code: u64, payload: &[u8]) -> Vec<u8> {
    let (_, mut writer, _) = against(&config(), Instant::now());
    frame(&mut writer, code, payload)
}

#[test]
fn two_connections_talk() {
    let start = Instant::now();
    let (a, b) = secrets(1, 2);
    let two = P2pConfig::new(vec![Protocol::new("waku", 0, 128), Protocol::new("shh", 6, 128)]);
    let mut a = Greeting::new(a, &key(1).public_key(), &two, start).unwrap();
    let mut b = Greeting::new(b, &key(2).public_key(), &two, start).unwrap();
    let (to_b, to_a) = (a.take_output(), b.take_output());
    let Ok(Step::Done(mut a)) = a.read(&mut &to_a[..], start) else { panic!() };
    let Ok(Step::Done(mut b)) = b.read(&mut &to_b[..], start) else { panic!() };
    assert_eq!(a.hello().client, two.client);
    assert_eq!(a.shared(), b.shared());
    assert!(a.snappy && b.snappy);

    for n in 0..50u8 {
        let (name, code) = if n % 2 == 0 { ("shh", 127) } else { ("waku", 0) };
        a.send(name, code, &vec![n; usize::from(n) * 100]).unwrap();
        b.send("shh", 1, &[n]).unwrap();
    }
    assert!(a.queued() > 0);
    let (to_b, to_a) = (a.take_output(), b.take_output());
    assert_eq!(a.queued(), 0);
    let mut received = 0;
    // Byte by byte.
    for byte in to_b.chunks(1) {
        if let Some(event) = b.read(&mut &*byte, start).unwrap() {
            let n = received as u8;
            let (capability, code) = if n.is_multiple_of(2) {
                (Capability::new("shh", 6), 127)
            } else {
                (Capability::new("waku", 0), 0)
            };
            let payload = vec![n; usize::from(n) * 100];
            assert_eq!(event, Incoming::Message { capability, code, payload });
            received += 1;
        }
    }
    assert_eq!(received, 50);
    let mut input = &to_a[..];
    let mut received = 0;
    while let Some(Incoming::Message { code: 1, .. }) = a.read(&mut input, start).unwrap() {
        received += 1;
    }
    assert_eq!(received, 50);

    b.disconnect(DisconnectReason::TooManyPeers);
    assert_eq!(b.send("shh", 1, &[]), Err(P2pError::Closed));
    let last = b.take_output();
    let event = a.read(&mut &last[..], start).unwrap();
    assert_eq!(event, Some(Incoming::Disconnected(DisconnectReason::TooManyPeers)));
    assert_eq!(a.read(&mut &last[..], start), Err(P2pError::Closed));
    assert_eq!(a.next_wakeup(), None);
}

#[test]
fn what_cannot_be_sent() {
    let (mut connection, ..) = connected(&config(), 5);
    let error = connection.send("waku", 0, &[]).unwrap_err();
    assert_eq!(error, P2pError::NotShared("waku".into()));
    let error = connection.send("shh", 128, &[]).unwrap_err();
    assert_eq!(error.code(), "p2p.code_range");
    let large = vec![0; snappy::MAX_LENGTH + 1];
    let error = connection.send("shh", 0, &large).unwrap_err();
    assert_eq!(error.code(), "rlpx.snappy_size");
    assert_eq!(connection.queued(), 0);
    assert!(connection.send("shh", 127, &large[1..]).is_ok(), "and the connection lives on");

    let (mut connection, ..) = connected(&config(), 4);
    assert_eq!(connection.send("shh", 0, &large).unwrap_err().code(), "rlpx.frame_size");
}

#[test]
fn version_4_is_not_compressed() {
    let (mut connection, mut writer, mut reader, now) = connected(&config(), 4);
    assert!(!connection.snappy);
    connection.send("shh", 1, b"plain").unwrap();
    let sent = frames(&mut reader, &connection.take_output());
    assert_eq!(sent, [Frame { code: 17, payload: b"plain".to_vec() }]);
    let input = frame(&mut writer, 17, b"answer");
    let event = connection.read(&mut &input[..], now).unwrap().unwrap();
    let capability = Capability::new("shh", 6);
    assert_eq!(event, Incoming::Message { capability, code: 1, payload: b"answer".to_vec() });
    // The same if we announce version 4.
    let old = P2pConfig { version: 4, ..config() };
    assert!(!connected(&old, 5).0.snappy);
}

#[test]
fn a_first_message_that_is_not_hello_is_rejected() {
    for (code, payload, error, answer) in [
        (0, vec![0xc0], "p2p.hello", None),
        (0, vec![0; 2049], "rlpx.frame_size", None),
        (2, vec![0xc0], "p2p.hello_expected", None),
        (1, vec![0xc1, 4], "p2p.disconnected", None),
        (0, Hello { id: [0; 64], ..peer_hello(5) }.encode(), "p2p.hello_id", Some(7)),
        (0, Hello { id: [9; 64], ..peer_hello(4) }.encode(), "p2p.unexpected_identity", Some(9)),
    ] {
        let (rejection, said) = rejected(&first(code, &payload), &config());
        assert_eq!(rejection.error.code(), error);
        // Nothing is compressed yet.
        let expected: Vec<_> =
            answer.map(|n| Frame { code: 1, payload: vec![0xc1, n] }).into_iter().collect();
        assert_eq!(said, expected, "{error}");
    }
    let (rejection, _) = rejected(&first(1, &[0xc1, 4]), &config());
    let reason = HelloError::Disconnected(DisconnectReason::TooManyPeers);
    assert_eq!(rejection.error, P2pError::Hello(reason));
}

#[test]
fn rejections_after_a_good_hello_are_compressed() {
    let useless = P2pConfig::new(vec![Protocol::new("shh", 5, 128), Protocol::new("waku", 0, 128)]);
    let (rejection, said) = rejected(&first(0, &peer_hello(5).encode()), &useless);
    assert_eq!(rejection.error, P2pError::Useless { theirs: vec![Capability::new("shh", 6)] });
    assert_eq!(rejection.to_string(), "no protocol in common; the peer has [shh/6]");
    assert_eq!(said.len(), 1);
    assert_eq!(snappy::decompress(&said[0].payload, 10).unwrap(), [0xc1, 3]);

    let other = Hello { id: key(3).public_key().to_xy(), ..peer_hello(5) };
    let (_, said) = rejected(&first(0, &other.encode()), &config());
    assert_eq!(snappy::decompress(&said[0].payload, 10).unwrap(), [0xc1, 9]);
}

#[test]
fn our_own_node_is_rejected() {
    let (ours, theirs) = secrets(1, 1);
    let start = Instant::now();
    let rejected = Greeting::new(ours, &key(1).public_key(), &config(), start).unwrap_err();
    assert_eq!(rejected.error, P2pError::ConnectedToSelf);
    let (_, mut reader) = theirs.into_frames(MAX_BODY);
    let said = frames(&mut reader, &rejected.farewell);
    assert_eq!(said, [Frame { code: 1, payload: vec![0xc1, 10] }]);
}

#[test]
fn hello_must_come_in_time() {
    let start = Instant::now();
    let (greeting, mut writer, _) = against(&config(), start);
    assert_eq!(greeting.deadline, start + Duration::from_secs(5));
    let input = frame(&mut writer, 0, &peer_hello(5).encode());
    let (mut front, mut back) = input.split_at(40);
    let late = start + Duration::from_secs(5);
    let Ok(Step::More { state, .. }) = greeting.read(&mut front, start) else { panic!() };
    let rejected = state.read(&mut back, late).unwrap_err();
    assert_eq!(rejected.error.code(), "p2p.handshake_timeout");
}

#[test]
fn base_messages() {
    let (mut connection, mut writer, mut reader, now) = connected(&config(), 5);
    let mut input = Vec::new();
    for code in [0, 2, 3, 4, 15, 2, 2] {
        input.extend(packed(&mut writer, code, &[0xc0]));
    }
    assert_eq!(connection.read(&mut &input[..], now), Ok(None));
    // One pong, however many pings: the output can't be made to grow.
    let said = frames(&mut reader, &connection.take_output());
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].code, base::PONG);
    assert_eq!(snappy::decompress(&said[0].payload, 10).unwrap(), [0xc0]);
    let input = packed(&mut writer, 2, &[]);
    assert_eq!(connection.read(&mut &input[..], now), Ok(None));
    assert_eq!(frames(&mut reader, &connection.take_output()).len(), 1);
}

#[test]
fn unknown_codes_close_silently() {
    for code in [144, 1 << 40, u64::MAX] {
        let (mut connection, mut writer, _, now) = connected(&config(), 5);
        let input = packed(&mut writer, code, &[0xc0]);
        let error = connection.read(&mut &input[..], now).unwrap_err();
        assert_eq!((error.answer(), error.clone()), (None, P2pError::UnknownCode(code)));
        assert!(!connection.is_open());
        assert_eq!(connection.queued(), 0);
    }
}

#[test]
fn disconnect_is_read_compressed_or_not() {
    for (payload, code) in [
        (snappy::compress(&[0xc1, 16]).unwrap(), 16),
        (vec![0xc1, 7], 7), // from a peer that failed on our Hello
        (snappy::compress(&[4]).unwrap(), 4),
        (vec![4], 4), // from EthereumJS
        (vec![0x80], 0),
        (vec![], 0),
        (vec![0xff; 3000], 0),
    ] {
        let (mut connection, mut writer, _, now) = connected(&config(), 5);
        let input = frame(&mut writer, base::DISCONNECT, &payload);
        let event = connection.read(&mut &input[..], now).unwrap();
        assert_eq!(event, Some(Incoming::Disconnected(DisconnectReason::from_code(code))));
    }
}

#[test]
fn message_sizes_are_bounded() {
    let limits = P2pLimits { message: 1000, ..P2pLimits::default() };
    let small = P2pConfig { limits, ..config() };
    for (version, length, expected) in [
        (5, 1000, Ok(())),
        (5, 1001, Err("rlpx.snappy_size")),
        (4, 1000, Ok(())),
        (4, 1001, Err("p2p.message_size")),
        (4, 1100, Err("rlpx.frame_size")),
    ] {
        let (mut connection, mut writer, _, now) = connected(&small, version);
        let mut payload = vec![0; length];
        if version == 5 {
            payload = snappy::compress(&payload).unwrap();
        }
        let input = frame(&mut writer, 17, &payload);
        let result = connection.read(&mut &input[..], now).map(|_| ()).map_err(|e| e.code());
        assert_eq!(result, expected);
    }
    let (mut connection, mut writer, _, now) = connected(&small, 5);
    let input = frame(&mut writer, 2, b"no snappy block");
    let error = connection.read(&mut &input[..], now).unwrap_err();
    assert_eq!(error.code(), "rlpx.snappy");
}

#[test]
fn pings_and_idle_limit() {
    let second = Duration::from_secs(1);
    let (mut connection, mut writer, mut reader, start) = connected(&config(), 5);
    assert_eq!(connection.next_wakeup(), Some(start + 15 * second));
    connection.handle_timeout(start + 14 * second).unwrap();
    assert_eq!(connection.queued(), 0);
    connection.handle_timeout(start + 15 * second).unwrap();
    let said = frames(&mut reader, &connection.take_output());
    assert_eq!((said.len(), said[0].code), (1, base::PING));
    // Any message moves the limit. Pings go on regardless.
    let pong = packed(&mut writer, base::PONG, &[0xc0]);
    assert_eq!(connection.read(&mut &pong[..], start + 20 * second), Ok(None));
    assert_eq!(connection.next_wakeup(), Some(start + 30 * second));
    connection.handle_timeout(start + 30 * second).unwrap();
    connection.handle_timeout(start + 45 * second).unwrap();
    let said = frames(&mut reader, &connection.take_output());
    assert_eq!(said.len(), 1, "nobody took the first");
    // A part of a message does not.
    let message = packed(&mut writer, 17, &[0; 100]);
    assert_eq!(connection.read(&mut &message[..20], start + 49 * second), Ok(None));
    let error = connection.handle_timeout(start + 50 * second).unwrap_err();
    assert_eq!(error, P2pError::Idle(30 * second));
    assert_eq!(connection.queued(), 0, "closed silently");
    assert_eq!(connection.read(&mut &[][..], start), Err(P2pError::Closed));
}

#[test]
fn network_errors_are_not_told() {
    let (mut connection, ..) = connected(&config(), 5);
    connection.disconnect(DisconnectReason::NetworkError);
    assert_eq!(connection.queued(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Frames with correct MACs, cut anywhere.
    #[test]
    fn any_messages(
        messages in proptest::collection::vec((0u64..150, proptest::collection::vec(any::<u8>(), 0..60), any::<bool>()), 0..20),
        cut in 1usize..100,
    ) {
        let (mut connection, mut writer, _, now) = connected(&config(), 5);
        let mut input = Vec::new();
        for (code, payload, compress) in &messages {
            let payload = if *compress { snappy::compress(payload).unwrap() } else { payload.clone() };
            input.extend(frame(&mut writer, *code, &payload));
        }
        'all: for mut piece in input.chunks(cut) {
            loop {
                match connection.read(&mut piece, now) {
                    Ok(Some(Incoming::Message { code, .. })) => prop_assert!(code < 128),
                    Ok(Some(Incoming::Disconnected(_))) => break 'all,
                    Ok(None) => break,
                    Err(_) => break 'all,
                }
                prop_assert!(connection.queued() <= 64);
            }
        }
    }

    #[test]
    fn any_first_message(code in 0u64..3, payload in proptest::collection::vec(any::<u8>(), 0..100)) {
        let start = Instant::now();
        let (greeting, mut writer, _) = against(&config(), start);
        let input = frame(&mut writer, code, &payload);
        prop_assert!(greeting.read(&mut &input[..], start).is_err());
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 32..200)) {
        let (mut connection, _, _, now) = connected(&config(), 5);
        let error = connection.read(&mut &bytes[..], now).unwrap_err();
        prop_assert_eq!(error.code(), "rlpx.mac");
    }

    /// Two sides send, transfer bytes and let time pass, in any order. Everything arrives once and
    /// in order, and no connection times out while pings get through.
    #[test]
    fn any_interleaving(ops in proptest::collection::vec((0u8..5, 1usize..300), 1..80)) {
        let mut now = Instant::now();
        let (a, b) = secrets(1, 2);
        let mut a = Greeting::new(a, &key(1).public_key(), &config(), now).unwrap();
        let mut b = Greeting::new(b, &key(2).public_key(), &config(), now).unwrap();
        let (to_b, to_a) = (a.take_output(), b.take_output());
        let Ok(Step::Done(a)) = a.read(&mut &to_a[..], now) else { panic!() };
        let Ok(Step::Done(b)) = b.read(&mut &to_b[..], now) else { panic!() };
        let mut sides = [a, b];
        // Bytes in transit to each side, and what it must still receive.
        let mut on_way = [Vec::new(), Vec::new()];
        let mut expected = [Vec::new(), Vec::new()];
        let end = [(2, usize::MAX), (3, usize::MAX)].repeat(3);
        for (op, n) in ops.into_iter().chain(end) {
            let to = usize::from(op % 2);
            match op {
                0 | 1 => {
                    sides[1 - to].send("shh", n as u64 % 128, &vec![op; n]).unwrap();
                    expected[to].insert(0, vec![op; n]);
                }
                2 | 3 => {
                    on_way[to].extend(sides[1 - to].take_output());
                    let n = n.min(on_way[to].len());
                    let arrived: Vec<u8> = on_way[to].drain(..n).collect();
                    let mut input = &arrived[..];
                    while let Some(event) = sides[to].read(&mut input, now).unwrap() {
                        let Incoming::Message { payload, .. } = event else { panic!("{event:?}") };
                        prop_assert_eq!(Some(payload), expected[to].pop());
                    }
                }
                _ => {
                    now += Duration::from_millis(300);
                    for side in &mut sides {
                        side.handle_timeout(now).unwrap();
                    }
                }
            }
        }
        prop_assert!(expected.iter().all(Vec::is_empty));
        prop_assert!(on_way.iter().all(Vec::is_empty) && sides.iter().all(|s| s.queued() == 0));
    }
}
