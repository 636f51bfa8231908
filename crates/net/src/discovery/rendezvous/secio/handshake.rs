//! The handshake.

use std::cmp::Ordering;

use prost::Message as _;
use rand::CryptoRng;
use statuskit_core::{
    crypto::{PublicKey, SecretKey, hash::sha256},
    discovery::{
        PeerId,
        libp2p::{
            decode_public_key, encode_public_key,
            secio::{Exchange, NONCE, Propose},
        },
    },
};

use super::{
    Channel, MAX_HANDSHAKE_FRAME, SecioError, put_frame, read_frame,
    suite::{CIPHERS, CURVES, Ephemeral, HASHES, Suite},
};

/// The most bytes of a nonce of the other side.
const MAX_NONCE: usize = 64;

/// A handshake that is not finished. Both sides do the same.
#[derive(Debug)]
pub struct Handshake {
    key: SecretKey,
    expected: Option<PeerId>,
    propose: Propose,
    /// As it was sent.
    propose_bytes: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    Proposed,
    Exchanged(Box<Exchanged>),
    /// The keys are there; the nonces show whether they are the same.
    Confirming {
        channel: Box<Channel>,
        peer: PeerId,
    },
    Done,
}

#[derive(Debug)]
struct Exchanged {
    suite: Suite,
    ours_first: bool,
    ephemeral: Ephemeral,
    theirs: PublicKey,
    their_nonce: Vec<u8>,
    their_propose: Vec<u8>,
}

impl Handshake {
    /// Begins, and appends what is to be sent. `expected` is who was dialled.
    pub fn start<R: CryptoRng + ?Sized>(
        key: SecretKey,
        expected: Option<PeerId>,
        rng: &mut R,
        out: &mut Vec<u8>,
    ) -> Self {
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        let propose = Propose {
            nonce: nonce.to_vec(),
            public_key: encode_public_key(&key.public_key()),
            curves: CURVES.into(),
            ciphers: CIPHERS.into(),
            hashes: HASHES.into(),
        };
        Self::start_with(key, expected, propose, out)
    }

    fn start_with(
        key: SecretKey,
        expected: Option<PeerId>,
        propose: Propose,
        out: &mut Vec<u8>,
    ) -> Self {
        let propose_bytes = propose.encode_to_vec();
        put_frame(out, &propose_bytes);
        Self { key, expected, propose, propose_bytes, state: State::Proposed }
    }

    /// Takes the frames at the start of `bytes`, and appends what is to be sent. Returns how many
    /// bytes it took, and at the end the channel and who is at its other end. What follows belongs
    /// to the channel.
    ///
    /// # Errors
    ///
    /// If the other side is not who was dialled, shares no algorithm, or breaks the protocol.
    pub fn receive<R: CryptoRng + ?Sized>(
        &mut self,
        bytes: &[u8],
        rng: &mut R,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<(Channel, PeerId)>), SecioError> {
        let mut at = 0;
        while let Some((frame, used)) = read_frame(&bytes[at..], MAX_HANDSHAKE_FRAME)? {
            // The channel takes the frame itself, with its header.
            let whole = &bytes[at..at + used];
            at += used;
            self.state = match std::mem::replace(&mut self.state, State::Done) {
                State::Proposed => State::Exchanged(Box::new(self.take_propose(frame, rng, out)?)),
                State::Exchanged(exchanged) => self.take_exchange(&exchanged, frame, out)?,
                State::Confirming { mut channel, peer } => {
                    let mut nonce = Vec::new();
                    channel.open(whole, &mut nonce)?;
                    if nonce != self.propose.nonce {
                        return Err(SecioError::Echo);
                    }
                    return Ok((at, Some((*channel, peer))));
                }
                State::Done => State::Done,
            };
        }
        Ok((at, None))
    }

    fn take_propose<R: CryptoRng + ?Sized>(
        &self,
        frame: &[u8],
        rng: &mut R,
        out: &mut Vec<u8>,
    ) -> Result<Exchanged, SecioError> {
        let propose =
            Propose::decode(frame).map_err(|_| SecioError::Message { what: "proposal" })?;
        if !(NONCE..=MAX_NONCE).contains(&propose.nonce.len()) {
            return Err(SecioError::Nonce(propose.nonce.len()));
        }
        let theirs = decode_public_key(&propose.public_key).map_err(SecioError::Key)?;
        let got = PeerId::from_key(&theirs);
        if let Some(expected) = self.expected.filter(|expected| *expected != got) {
            let [expected, got] = [expected, got].map(|peer| peer.to_string());
            return Err(SecioError::WrongPeer { expected, got });
        }
        let order = |key: &[u8], nonce: &[u8]| sha256(&[key, nonce].concat());
        let ours_first = match order(&propose.public_key, &self.propose.nonce)
            .cmp(&order(&self.propose.public_key, &propose.nonce))
        {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => return Err(SecioError::Itself),
        };
        let suite = Suite::choose(&self.propose, &propose, ours_first)?;
        let ephemeral = Ephemeral::generate(suite.curve, rng);
        let ephemeral_key = ephemeral.public_key();
        let signed = sha256(&[&self.propose_bytes, frame, &ephemeral_key].concat());
        let signature = self.key.sign_digest(&signed).to_der().expect("our own is well-formed");
        put_frame(out, &Exchange { ephemeral_key, signature }.encode_to_vec());
        Ok(Exchanged {
            suite,
            ours_first,
            ephemeral,
            theirs,
            their_nonce: propose.nonce,
            their_propose: frame.to_vec(),
        })
    }

    fn take_exchange(
        &self,
        exchanged: &Exchanged,
        frame: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<State, SecioError> {
        let Exchanged { suite, ours_first, ephemeral, theirs, their_nonce, their_propose } =
            exchanged;
        let exchange =
            Exchange::decode(frame).map_err(|_| SecioError::Message { what: "exchange" })?;
        let signed =
            sha256(&[&their_propose[..], &self.propose_bytes, &exchange.ephemeral_key].concat());
        if !theirs.verify_der(&signed, &exchange.signature) {
            return Err(SecioError::Signature);
        }
        let secret = ephemeral.agree(&exchange.ephemeral_key)?;
        let (first, second) = suite.derive(&secret);
        let mut channel = match ours_first {
            true => Channel::new(first, second),
            false => Channel::new(second, first),
        };
        channel.seal(their_nonce, out);
        Ok(State::Confirming { channel: Box::new(channel), peer: PeerId::from_key(theirs) })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;
    use rand::rngs::ChaCha20Rng;
    use statuskit_core::crypto::seeded_rng;

    use super::*;

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn id(byte: u8) -> PeerId {
        PeerId::from_key(&key(byte).public_key())
    }

    fn propose(byte: u8, nonce: &[u8]) -> Propose {
        Propose {
            nonce: nonce.to_vec(),
            public_key: encode_public_key(&key(byte).public_key()),
            curves: CURVES.into(),
            ciphers: CIPHERS.into(),
            hashes: HASHES.into(),
        }
    }

    type End = Result<(Channel, PeerId), SecioError>;

    fn step(
        end: &mut Option<End>,
        side: &mut Handshake,
        input: &mut Vec<u8>,
        output: &mut Vec<u8>,
        rng: &mut ChaCha20Rng,
    ) {
        if end.is_some() {
            return;
        }
        match side.receive(input, rng, output) {
            Ok((used, channel)) => {
                input.drain(..used);
                *end = channel.map(Ok);
            }
            Err(error) => *end = Some(Err(error)),
        }
    }

    /// Runs a handshake. `change` can change what the second side sends, by number of message.
    fn run(
        seed: &str,
        mut ours: Propose,
        theirs: Propose,
        change: impl Fn(usize, &mut Vec<u8>),
    ) -> [End; 2] {
        let mut rng = seeded_rng(seed);
        let [mut to_b, mut to_a] = [Vec::new(), Vec::new()];
        ours.public_key = encode_public_key(&key(1).public_key());
        let mut a = Handshake::start_with(key(1), None, ours, &mut to_b);
        let mut b = Handshake::start_with(key(2), Some(id(1)), theirs, &mut to_a);
        let (mut end_a, mut end_b) = (None, None);
        for round in 0..4 {
            change(round, &mut to_a);
            step(&mut end_a, &mut a, &mut to_a, &mut to_b, &mut rng);
            step(&mut end_b, &mut b, &mut to_b, &mut to_a, &mut rng);
        }
        [end_a, end_b].map(|end| end.unwrap_or(Err(SecioError::Echo)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn two_sides_understand_each_other(
            seed: String, nonces: [[u8; 16]; 2], curve in 0..3usize, small: bool,
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5),
        ) {
            let ours = propose(1, &nonces[0]);
            let mut theirs = propose(2, &nonces[1]);
            theirs.curves = CURVES.split(',').nth(curve).unwrap().into();
            if small {
                theirs.ciphers = "AES-128".into();
                theirs.hashes = "SHA512".into();
            }
            let [a, b] = run(&seed, ours, theirs, |_, _| {});
            let ((mut a, peer_b), (mut b, peer_a)) = (a.unwrap(), b.unwrap());
            prop_assert_eq!((peer_a, peer_b), (id(1), id(2)));
            for message in messages {
                let (mut sealed, mut opened) = (Vec::new(), Vec::new());
                a.seal(&message, &mut sealed);
                // Whatever the pieces.
                let cut = sealed.len() / 2;
                let used = b.open(&sealed[..cut], &mut opened).unwrap();
                prop_assert_eq!(b.open(&sealed[used..], &mut opened), Ok(sealed.len() - used));
                prop_assert_eq!(&opened, &message);
                let (mut sealed, mut opened) = (Vec::new(), Vec::new());
                b.seal(&message, &mut sealed);
                prop_assert_eq!(a.open(&sealed, &mut opened), Ok(sealed.len()));
                prop_assert_eq!(&opened, &message);
            }
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes: Vec<u8>, length in 0..200u32) {
            let mut rng = seeded_rng("any");
            let mut handshake = Handshake::start(key(1), None, &mut rng, &mut Vec::new());
            let framed = [&length.to_be_bytes()[..], &bytes].concat();
            let _ = handshake.receive(&framed, &mut rng, &mut Vec::new());
            let _ = handshake.receive(&bytes, &mut rng, &mut Vec::new());
        }
    }

    fn error(end: End) -> SecioError {
        end.map(|_| ()).unwrap_err()
    }

    #[test]
    fn every_changed_byte_of_the_handshake_ends_it() {
        let (ours, theirs) = (propose(1, &[1; 16]), propose(2, &[2; 16]));
        let lengths = Cell::new([0; 2]);
        let _ = run("bits", ours.clone(), theirs.clone(), |round, bytes| {
            let mut seen = lengths.get();
            if let Some(length) = seen.get_mut(round) {
                *length = bytes.len();
            }
            lengths.set(seen);
        });
        let lengths = lengths.get();
        assert!(lengths.iter().all(|length| *length > 100), "{lengths:?}");
        for (round, length) in lengths.into_iter().enumerate() {
            for at in (4..length).step_by(7) {
                let [a, _] = run("bits", ours.clone(), theirs.clone(), |now, bytes| {
                    if now == round {
                        bytes[at] ^= 0x10;
                    }
                });
                assert!(a.is_err(), "message {round}, byte {at}");
            }
        }
    }

    #[test]
    fn the_echo_of_our_own_proposal_is_ourselves() {
        let mut rng = seeded_rng("echo");
        let mut sent = Vec::new();
        let mut handshake = Handshake::start(key(1), None, &mut rng, &mut sent);
        let result = handshake.receive(&sent, &mut rng, &mut Vec::new());
        assert_eq!(result.map(|_| ()).unwrap_err(), SecioError::Itself);
    }

    #[test]
    fn proposals_that_are_refused() {
        let good = propose(2, &[2; 16]);
        let refused = |change: &dyn Fn(&mut Propose)| {
            let mut theirs = good.clone();
            change(&mut theirs);
            error(
                run("refused", propose(1, &[1; 16]), theirs, |_, _| {}).into_iter().next().unwrap(),
            )
        };
        assert_eq!(refused(&|it| it.nonce.truncate(15)), SecioError::Nonce(15));
        assert_eq!(refused(&|it| it.nonce = vec![1; 65]), SecioError::Nonce(65));
        assert!(matches!(refused(&|it| it.public_key[1] = 1), SecioError::Key(_)));
        assert!(matches!(refused(&|it| it.curves = "P-224".into()), SecioError::NoCommon { .. }));
        // The key of another peer, whose signature is missing then.
        let other = encode_public_key(&key(3).public_key());
        assert_eq!(refused(&|it| it.public_key = other.clone()), SecioError::Signature);
    }

    #[test]
    fn who_was_dialled_must_answer() {
        let mut rng = seeded_rng("wrong");
        let mut theirs = Vec::new();
        Handshake::start(key(2), None, &mut rng, &mut theirs);
        let mut handshake = Handshake::start(key(1), Some(id(3)), &mut rng, &mut Vec::new());
        let result = handshake.receive(&theirs, &mut rng, &mut Vec::new());
        let wrong = SecioError::WrongPeer { expected: id(3).to_string(), got: id(2).to_string() };
        assert_eq!(result.map(|_| ()).unwrap_err(), wrong);
    }

    #[test]
    fn frames_are_bounded_before_they_are_there() {
        let mut rng = seeded_rng("huge");
        let mut handshake = Handshake::start(key(1), None, &mut rng, &mut Vec::new());
        let result = handshake.receive(&4097u32.to_be_bytes(), &mut rng, &mut Vec::new());
        assert!(matches!(result, Err(SecioError::TooLong { got: 4097, max: 4096 })));
        let [a, _] = run("huge", propose(1, &[1; 16]), propose(2, &[2; 16]), |_, _| {});
        let (mut channel, _) = a.unwrap();
        let result = channel.open(&[0xff; 4], &mut Vec::new());
        assert!(matches!(result, Err(SecioError::TooLong { .. })));
        assert_eq!(channel.open(&[0, 0, 0, 31], &mut Vec::new()), Ok(0));
        let short = [&[0, 0, 0, 31][..], &[0; 31]].concat();
        assert_eq!(channel.open(&short, &mut Vec::new()), Err(SecioError::Tag));
    }

    #[test]
    fn a_changed_frame_gives_nothing() {
        let [a, b] = run("flip", propose(1, &[1; 16]), propose(2, &[2; 16]), |_, _| {});
        let ((mut a, _), (mut b, _)) = (a.unwrap(), b.unwrap());
        let mut sealed = Vec::new();
        a.seal(b"hello", &mut sealed);
        for at in 4..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            let mut plain = Vec::new();
            assert_eq!(b.open(&changed, &mut plain), Err(SecioError::Tag), "byte {at}");
            assert!(plain.is_empty());
        }
        let mut plain = Vec::new();
        assert_eq!(b.open(&sealed, &mut plain), Ok(sealed.len()));
        assert_eq!(plain, b"hello");
        // A frame that comes twice is decrypted with another part of the key stream.
        plain.clear();
        let _ = b.open(&sealed, &mut plain);
        assert_ne!(plain, b"hello");
    }
}
