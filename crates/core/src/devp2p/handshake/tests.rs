use proptest::prelude::*;

use super::*;
use crate::crypto::{ecies, seeded_rng};

fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap()
}

/// Reads the given pieces. `Ok(None)` if they end before the packet does.
fn respond(key: &SecretKey, pieces: &[&[u8]]) -> Result<Option<ReceivedAuth>, HandshakeError> {
    let mut state = Responder::new(key);
    for piece in pieces {
        let mut input = *piece;
        match state.read(&mut input)? {
            Step::Done(auth) => return Ok(Some(auth)),
            Step::More { state: next, missing } => {
                assert!(missing > 0 && input.is_empty());
                state = next;
            }
        }
    }
    Ok(None)
}

fn done<S, T>(step: Step<S, T>) -> T {
    match step {
        Step::Done(value) => value,
        Step::More { missing, .. } => panic!("{missing} bytes missing"),
    }
}

#[test]
fn both_sides_agree_in_both_formats() {
    for format in [Format::Plain, Format::Eip8] {
        let mut rng = seeded_rng("handshake");
        let random = Randomness::generate(&mut rng);
        let initiator = Initiator::with(&key(1), key(2).public_key(), format, random);
        let mut sent = initiator.auth().to_vec();
        sent.extend_from_slice(b"next");
        let mut input = &sent[..];
        let auth = done(Responder::new(&key(2)).read(&mut input).unwrap());
        assert_eq!(input, b"next", "bytes after the packet are not consumed");
        assert_eq!(auth.remote(), key(1).public_key());
        assert_eq!(auth.auth().format, format, "the answer has the same format");
        let (mut ack, ours) = auth.accept(&mut rng);
        if format == Format::Plain {
            assert_eq!((sent.len() - 4, ack.len()), (307, 210));
        }
        ack.extend_from_slice(b"more");
        let mut input = &ack[..];
        let theirs = done(initiator.read(&mut input).unwrap());
        assert_eq!(input, b"more");
        assert_eq!(theirs.remote(), key(2).public_key());
        assert_eq!((ours.aes(), ours.mac()), (theirs.aes(), theirs.mac()));
        assert_eq!(ours.egress().digest(), theirs.ingress().digest());
        assert_eq!(ours.ingress().digest(), theirs.egress().digest());
    }
}

#[test]
fn size_prefixes_below_the_plain_size_are_rejected() {
    for size in [0u16, 1, 306] {
        let mut packet = vec![0x55; 400];
        packet[..2].copy_from_slice(&size.to_be_bytes());
        let error = respond(&key(1), &[&packet]).unwrap_err();
        let size = size.into();
        assert_eq!(error, HandshakeError::Size { packet: Packet::Auth, got: size, min: 307 });
        assert_eq!(error.code(), "rlpx.auth");
    }
}

#[test]
fn the_largest_packet_takes_bounded_memory() {
    let mut packet = vec![0xff; MAX_PACKET];
    let mut input = &packet[..307];
    match Responder::new(&key(1)).read(&mut input).unwrap() {
        Step::More { missing, .. } => assert_eq!(missing, MAX_PACKET - 307),
        Step::Done(_) => panic!("not a packet"),
    }
    packet.push(0);
    assert!(matches!(
        respond(&key(1), &[&packet]),
        Err(HandshakeError::Decrypt { packet: Packet::Auth, .. })
    ));
}

/// Makes an EIP-8 packet with any body.
fn packet_with(body: &[u8]) -> Vec<u8> {
    let mut padded = body.to_vec();
    padded.resize(body.len().max(200) + 100, 0);
    seal(Format::Eip8, &key(1).public_key(), &padded, &key(7), &[3; 16])
}

#[test]
fn bodies_of_later_versions_are_read() {
    let auth = Auth {
        signature: key(3).sign_digest(&signed(&key(2).ecdh(&key(1).public_key()), &[5; 32])),
        key: key(2).public_key(),
        nonce: [5; 32],
        version: 56,
        format: Format::Eip8,
    };
    let mut items = Vec::new();
    crate::rlp::put_bytes(&mut items, auth.signature.as_bytes());
    crate::rlp::put_bytes(&mut items, &auth.key.to_xy());
    crate::rlp::put_bytes(&mut items, &auth.nonce);
    crate::rlp::put_u64(&mut items, 56);
    items.extend_from_slice(&[0xc2, 1, 2, 0x83, 1, 2, 3]);
    let list = |items: &[u8]| {
        let mut body = Vec::new();
        crate::rlp::put_list(&mut body, |out| out.extend_from_slice(items));
        body.extend_from_slice(b"bytes after the list");
        packet_with(&body)
    };
    let received = respond(&key(1), &[&list(&items)]).unwrap().unwrap();
    assert_eq!(received.auth().version, 56);
    assert_eq!(received.ephemeral, key(3).public_key());

    let short = &items[..items.len() - 8]; // without the version
    let error = respond(&key(1), &[&list(short)]).unwrap_err();
    assert!(matches!(error, HandshakeError::Body { packet: Packet::Auth, .. }), "{error}");
    let mut bad = items.clone();
    bad[70] ^= 1; // the static key
    let error = respond(&key(1), &[&list(&bad)]).unwrap_err();
    assert!(matches!(error, HandshakeError::Key { what: "the static key", .. }), "{error}");
    let mut bad = items;
    bad[66] = 9; // the recovery id
    let error = respond(&key(1), &[&list(&bad)]).unwrap_err();
    assert_eq!(error.code(), "rlpx.auth_signature");
}

#[test]
fn debug_shows_no_secret() {
    let mut rng = seeded_rng("debug");
    let initiator = Initiator::new(&key(1), key(2).public_key(), &mut rng);
    assert!(format!("{initiator:?}").ends_with(", .. }"));
    assert_eq!(format!("{:?}", Responder::new(&key(1))), "Responder { .. }");
    let received = respond(&key(2), &[initiator.auth()]).unwrap().unwrap();
    let (_, secrets) = received.accept(&mut rng);
    assert!(!format!("{secrets:?}").contains(&hex::encode(secrets.aes())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        prop_assert!(!matches!(respond(&key(1), &[&bytes]), Ok(Some(_))));
        let mut input = &bytes[..];
        let mut rng = seeded_rng("any");
        let initiator = Initiator::new(&key(1), key(2).public_key(), &mut rng);
        prop_assert!(!matches!(initiator.read(&mut input), Ok(Step::Done(_))));
    }

    #[test]
    fn any_body(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = respond(&key(1), &[&packet_with(&body)]);
        let _ = Ack::open(&key(1), &packet_with(&body));
        let plain = ecies::encrypt_with(&key(1).public_key(), &[&body[..], &[0; 194]].concat()[..194], &[], &key(7), &[3; 16]);
        let _ = respond(&key(1), &[&plain]);
    }

    #[test]
    fn cut_anywhere(cut in 0usize..600, plain: bool) {
        let format = if plain { Format::Plain } else { Format::Eip8 };
        let random = Randomness::generate(&mut seeded_rng("cut"));
        let initiator = Initiator::with(&key(1), key(2).public_key(), format, random);
        let auth = initiator.auth();
        let cut = cut.min(auth.len());
        let (front, back) = auth.split_at(cut);
        prop_assert!(respond(&key(2), &[front, &[], back]).unwrap().is_some());
        let missing_one = &auth[..auth.len() - 1];
        prop_assert!(respond(&key(2), &[missing_one]).unwrap().is_none());
    }

    #[test]
    fn flipped_bits_are_detected(at in 0usize..10_000, bit in 0u8..8) {
        let initiator = Initiator::new(&key(1), key(2).public_key(), &mut seeded_rng("flip"));
        let mut auth = initiator.auth().to_vec();
        let at = at % auth.len();
        auth[at] ^= 1 << bit;
        prop_assert!(!matches!(respond(&key(2), &[&auth]), Ok(Some(_))));
    }
}
