//! The double ratchet, over secp256k1.
//!
//! One state per session and side. Sending steps the sending chain. Receiving a message with a new
//! ratchet key steps the root twice: once with the old pair for the receiving chain, once with a
//! new pair, made at once, for the sending chain. Messages may be lost and reordered: the keys of
//! those in between are kept ([`Kept`]), and so is the key of a message that was read, until the
//! layer above says that it is done with it.
//!
//! A state is changed by whole messages only: [`Ratchet::receive`] works on a copy, and gives the
//! next state together with what is to be kept.
//!
//! Source: Status, "Secure transport", "Double ratchet", with the behaviour of the reference
//! (secp256k1 and not Curve25519, no header encryption).

pub mod kept;
pub mod keys;

use rand::CryptoRng;

use super::{
    key::{CompressedKey, KeyPair},
    x3dh::SharedKey,
};
use crate::crypto::{KeyError, PublicKey};
pub use kept::Kept;
pub use keys::{ChainKey, MessageKey, RootKey};

/// How many messages may be missing in a chain before the one that arrives.
pub const MAX_SKIP: u32 = 1000;

/// Why the ratchet refuses a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RatchetError {
    /// Its key was used and given up, or never kept.
    #[error(
        "the key of message {n} of this chain is gone: the message was read before, or is too old"
    )]
    Old {
        /// The number in the header.
        n: u32,
    },
    /// The numbers in the header ask for more keys than anyone keeps.
    #[error("{skipped} messages would be missing before this one; at most {MAX_SKIP} may")]
    TooManyMessages {
        /// How many.
        skipped: u32,
    },
    /// The ratchet key of the header.
    #[error("the ratchet key of the header can't be used: {0}")]
    Key(#[from] KeyError),
    /// Another session, or damaged.
    #[error("the authentication code does not match: another session's key, or damaged bytes")]
    Mac,
    /// 2^32 messages in one chain.
    #[error("the chain has no more numbers for messages")]
    Exhausted,
}

impl RatchetError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Old { .. } => "ratchet.old_message",
            Self::TooManyMessages { .. } => "ratchet.too_many_messages",
            Self::Key(_) => "ratchet.key",
            Self::Mac => "ratchet.mac",
            Self::Exhausted => "ratchet.exhausted",
        }
    }
}

/// What travels in clear beside a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The sender's ratchet key.
    pub key: CompressedKey,
    /// The message's number in the chain.
    pub n: u32,
    /// How many messages the sender's previous chain had.
    pub pn: u32,
}

impl Header {
    /// What the MAC covers of it: `n`, `pn` (little endian), ratchet key.
    pub fn associated_data(&self) -> [u8; 41] {
        let mut data = [0; 41];
        data[..4].copy_from_slice(&self.n.to_le_bytes());
        data[4..8].copy_from_slice(&self.pn.to_le_bytes());
        data[8..].copy_from_slice(self.key.as_bytes());
        data
    }
}

/// A chain: its key, and the number of the next message.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The current key.
    pub key: ChainKey,
    /// How many steps it has made.
    pub n: u32,
}

impl Chain {
    fn new(key: ChainKey) -> Self {
        Self { key, n: 0 }
    }

    fn step(&mut self) -> Result<MessageKey, RatchetError> {
        let n = self.n.checked_add(1).ok_or(RatchetError::Exhausted)?;
        let (next, key) = self.key.step();
        *self = Self { key: next, n };
        Ok(key)
    }
}

/// The state of one session on one side.
#[derive(Debug, Clone)]
pub struct Ratchet {
    /// Our ratchet pair.
    pub own: KeyPair,
    /// The other side's ratchet key; none before a responder's first message.
    pub remote: Option<CompressedKey>,
    /// The root key.
    pub root: RootKey,
    /// The chain of what we send.
    pub send: Chain,
    /// The chain of what we receive.
    pub receive: Chain,
    /// How many messages our previous sending chain had.
    pub pn: u32,
    /// How many keys were made for receiving, ever: what the age of kept keys is counted in.
    pub keys_count: u64,
}

/// A key that was made for receiving and has to be kept.
#[derive(Debug)]
pub struct Made {
    /// The ratchet key of its chain.
    pub chain: CompressedKey,
    /// The message's number in the chain.
    pub n: u32,
    /// Its number among all keys of the session.
    pub number: u64,
    /// The key.
    pub key: MessageKey,
}

/// What receiving a message gives.
#[derive(Debug)]
pub struct Step {
    /// The message.
    pub plaintext: Vec<u8>,
    /// The state after it.
    pub next: Ratchet,
    /// The keys to keep, in the order of their numbers: those of messages that are missing, and
    /// at the end the one of this message.
    pub made: Vec<Made>,
    /// Whether the ratchet key was new.
    pub ratcheted: bool,
}

impl Ratchet {
    /// The initiator's state: the remote ratchet key is the pre key, and a first pair comes from
    /// `rng`.
    pub fn initiate<R: CryptoRng + ?Sized>(
        shared: &SharedKey,
        their_pre_key: &PublicKey,
        rng: &mut R,
    ) -> Self {
        let own = KeyPair::generate(rng);
        let (root, send) =
            RootKey::from_bytes(*shared.as_bytes()).step(&own.secret().ecdh(their_pre_key));
        Self {
            own,
            remote: Some(CompressedKey::from(their_pre_key)),
            root,
            send: Chain::new(send),
            // Never used: the responder's first message comes with a new ratchet key.
            receive: Chain::new(ChainKey::from_bytes(*shared.as_bytes())),
            pn: 0,
            keys_count: 0,
        }
    }

    /// The responder's state: the first ratchet pair is the pre key.
    pub fn respond(shared: &SharedKey, pre_key: KeyPair) -> Self {
        Self {
            own: pre_key,
            remote: None,
            root: RootKey::from_bytes(*shared.as_bytes()),
            send: Chain::new(ChainKey::from_bytes(*shared.as_bytes())),
            receive: Chain::new(ChainKey::from_bytes(*shared.as_bytes())),
            pn: 0,
            keys_count: 0,
        }
    }

    /// Encrypts the next message.
    pub fn encrypt(&mut self, plaintext: &[u8]) -> Result<(Header, Vec<u8>), RatchetError> {
        let header = Header { key: self.own.public(), n: self.send.n, pn: self.pn };
        let key = self.send.step()?;
        Ok((header, key.encrypt(plaintext, &header.associated_data())))
    }

    /// Reads a message whose key is not among those kept. A new pair comes from `rng` if the
    /// ratchet key is new. Makes at most two times [`MAX_SKIP`] keys.
    pub fn receive<R: CryptoRng + ?Sized>(
        &self,
        header: &Header,
        payload: &[u8],
        rng: &mut R,
    ) -> Result<Step, RatchetError> {
        let mut next = self.clone();
        let mut made = Vec::new();
        let ratcheted = self.remote != Some(header.key);
        if ratcheted {
            // All that could refuse the message cheaply comes before the expensive steps.
            skipped(self.receive.n, header.pn, header.n)?;
            skipped(0, header.n, header.n)?;
            let theirs = header.key.point()?;
            next.skip(header.pn, &mut made)?;
            next.turn(header.key, &theirs, rng);
        } else {
            skipped(self.receive.n, header.n, header.n)?;
        }
        next.skip(header.n, &mut made)?;
        let key = next.receive.step()?;
        let plaintext = key.decrypt(payload, &header.associated_data()).ok_or(RatchetError::Mac)?;
        made.push(Made { chain: header.key, n: header.n, number: next.keys_count, key });
        next.keys_count += 1;
        Ok(Step { plaintext, next, made, ratcheted })
    }

    /// Makes the keys of the receiving chain up to number `until`, exclusive.
    fn skip(&mut self, until: u32, made: &mut Vec<Made>) -> Result<(), RatchetError> {
        while self.receive.n < until {
            let n = self.receive.n;
            let key = self.receive.step()?;
            // Without a ratchet key of the other side no message could ask for it; it counts.
            if let Some(chain) = self.remote {
                made.push(Made { chain, n, number: self.keys_count, key });
            }
            self.keys_count += 1;
        }
        Ok(())
    }

    /// The Diffie-Hellman ratchet: new chains for both directions.
    fn turn<R: CryptoRng + ?Sized>(&mut self, key: CompressedKey, theirs: &PublicKey, rng: &mut R) {
        self.pn = self.send.n;
        self.remote = Some(key);
        let (root, receive) = self.root.step(&self.own.secret().ecdh(theirs));
        self.own = KeyPair::generate(rng);
        let (root, send) = root.step(&self.own.secret().ecdh(theirs));
        self.root = root;
        self.receive = Chain::new(receive);
        self.send = Chain::new(send);
    }
}

/// Checks that `until` is neither behind a chain that is at `from` nor too far ahead of it.
fn skipped(from: u32, until: u32, n: u32) -> Result<(), RatchetError> {
    match until.checked_sub(from) {
        None => Err(RatchetError::Old { n }),
        Some(skipped) if skipped > MAX_SKIP => Err(RatchetError::TooManyMessages { skipped }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{SecretKey, seeded_rng};

    fn pair() -> (Ratchet, Ratchet) {
        let mut rng = seeded_rng("ratchet");
        let shared = SharedKey::from_bytes([7; 32]);
        let pre_key = KeyPair::generate(&mut rng);
        let alice = Ratchet::initiate(&shared, &pre_key.public().point().unwrap(), &mut rng);
        (alice, Ratchet::respond(&shared, pre_key))
    }

    #[test]
    fn a_conversation_turns_the_ratchet() {
        let mut rng = seeded_rng("turns");
        let (mut alice, mut bob) = pair();
        for round in 0..5_u8 {
            for text in [[round, 0], [round, 1]] {
                let (header, payload) = alice.encrypt(&text).unwrap();
                let step = bob.receive(&header, &payload, &mut rng).unwrap();
                assert_eq!((step.plaintext, step.ratcheted), (text.to_vec(), text[1] == 0));
                bob = step.next;
            }
            std::mem::swap(&mut alice, &mut bob);
        }
        // The sides were swapped five times: the first `bob` read three rounds of two.
        assert_eq!((alice.keys_count, bob.keys_count), (6, 4));
    }

    #[test]
    fn numbers_out_of_range_cost_nothing_and_change_nothing() {
        let mut rng = seeded_rng("range");
        let (mut alice, bob) = pair();
        let (first, payload) = alice.encrypt(b"1").unwrap();
        let bob = bob.receive(&first, &payload, &mut rng).unwrap().next;
        let refuse = |header: Header, rng: &mut _| bob.receive(&header, b"", rng).unwrap_err();
        assert_eq!(refuse(first, &mut rng), RatchetError::Old { n: 0 });
        let far = Header { n: 1002, ..first };
        assert_eq!(refuse(far, &mut rng), RatchetError::TooManyMessages { skipped: 1001 });
        let last = Header { n: u32::MAX, ..first };
        assert_eq!(refuse(last, &mut rng), RatchetError::TooManyMessages { skipped: u32::MAX - 1 });
        let new = CompressedKey::from(&SecretKey::generate(&mut rng).public_key());
        for (n, pn) in [(u32::MAX, 1), (0, u32::MAX), (1001, 1), (0, 1002)] {
            let header = Header { key: new, n, pn };
            assert_eq!(refuse(header, &mut rng).code(), "ratchet.too_many_messages");
        }
        assert_eq!(refuse(Header { key: new, n: 0, pn: 0 }, &mut rng), RatchetError::Old { n: 0 });
        // No point has the X coordinate 0.
        let mut zero = [0; 33];
        zero[0] = 2;
        let off_curve = Header { key: zero.into(), n: 0, pn: 1 };
        assert_eq!(refuse(off_curve, &mut rng), RatchetError::Key(KeyError::NotOnCurve));
        assert_eq!(refuse(Header { n: 1, ..first }, &mut rng), RatchetError::Mac);
    }

    #[test]
    fn a_chain_ends_at_the_last_number() {
        let (mut alice, _) = pair();
        alice.send.n = u32::MAX;
        assert_eq!(alice.encrypt(b""), Err(RatchetError::Exhausted));
    }

    #[test]
    fn debug_shows_counters_and_no_key() {
        let (alice, _) = pair();
        let text = format!("{alice:?}");
        assert!(text.contains("n: 0") && text.contains("ChainKey(…)"), "{text}");
        for secret in [
            hex::encode(*alice.own.secret().to_bytes()),
            hex::encode(alice.root.as_bytes()),
            hex::encode(alice.send.key.as_bytes()),
            hex::encode([7; 32]),
        ] {
            assert!(!text.contains(&secret), "{text}");
        }
    }
}
