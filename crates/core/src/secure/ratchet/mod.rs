//! The double ratchet, over secp256k1.
//!
//! Each side of a session has a ratchet key pair, a root key, and a chain for each direction.
//!
//! - **Sending** a message advances the sending chain by one step, which gives the message key.
//! - **Receiving** a message with the known ratchet key advances the receiving chain.
//! - **Receiving** a message with a new ratchet key turns the ratchet. The root key advances twice:
//!   with our old key pair for the new receiving chain, then with a new key pair for the new
//!   sending chain.
//!
//! The initiator of a session is active at once: it knows a ratchet key of the other side, the
//! prekey. The responder is [inactive](InactiveRatchet) until the first message arrives.
//!
//! Messages can be lost or reordered. The keys of skipped messages are stored, and so is the key of
//! a message that was decrypted, until the caller confirms the message. See
//! [`StoredKeys`](super::stored_keys::StoredKeys).
//!
//! A forged message changes nothing: [`ActiveRatchet::receive`] borrows the state and returns the
//! next one in a [`Step`].
//!
//! Source: Status, "Secure transport", "Double ratchet", with the behaviour of the reference
//! (secp256k1 instead of Curve25519, no header encryption).

mod keys;
mod record;

use rand::CryptoRng;

use super::{
    key::{CompressedKey, KeyPair},
    x3dh::SharedKey,
};
use crate::{
    crypto::{KeyError, PublicKey},
    explain::Explanation,
};
pub use keys::{ChainKey, MessageKey, RatchetKey, RatchetKeyPair, RootKey};

/// Maximum number of skipped messages in a chain.
pub const MAX_SKIP: u32 = 1000;

/// Why the ratchet rejects a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RatchetError {
    /// The message key was deleted or never stored.
    #[error("the key of message {n} of this chain is gone: already decrypted, or too old")]
    Old {
        /// The message number in the header.
        n: u32,
    },
    /// The message numbers in the header skip too many keys.
    #[error("{skipped} messages are missing before this one; at most {MAX_SKIP} may be")]
    TooManyMessages {
        /// The number of skipped messages.
        skipped: u32,
    },
    /// The ratchet key in the header is not a point of the curve.
    #[error("invalid ratchet key in the header: {0}")]
    Key(#[from] KeyError),
    /// The MAC does not match: encrypted for another session, or damaged.
    #[error("the MAC does not match: encrypted for another session, or damaged")]
    Mac,
    /// The chain has reached message number 2^32 - 1.
    #[error("the chain has no message numbers left")]
    Exhausted,
}

impl RatchetError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Old { .. } => "ratchet.old_message",
            Self::TooManyMessages { .. } => "ratchet.too_many_messages",
            Self::Key(_) => "ratchet.key",
            Self::Mac => "ratchet.mac",
            Self::Exhausted => "ratchet.exhausted",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "ratchet.old_message",
            rule: "The key of a message is deleted when the message was handled, when 2000 newer keys are kept, or after 3000 further messages.",
            source: "Status specifications, Secure transport, Double ratchet",
            causes: "The message was delivered twice, or came very late.",
        },
        Explanation {
            code: "ratchet.too_many_messages",
            rule: "Before the message that arrives, 1000 may be missing in its chain, and 1000 in the chain before.",
            source: "Status specifications, Secure transport, Double ratchet",
            causes: "Many messages were lost, or a peer claims that they were. A new session starts with the peer's next bundle.",
        },
        Explanation {
            code: "ratchet.key",
            rule: "The ratchet key of a header is a compressed public key: 33 bytes, a point of secp256k1.",
            source: "Status specifications, Secure transport, Double ratchet",
            causes: "A key of another curve, or damaged bytes.",
        },
        Explanation {
            code: "ratchet.mac",
            rule: "The authentication code of a message covers the header, the IV and the ciphertext.",
            source: "Status specifications, Secure transport, Double ratchet",
            causes: "The two states do not belong together: one of them is a copy, or was set back. Or the message was changed.",
        },
        Explanation {
            code: "ratchet.exhausted",
            rule: "Messages of a chain are numbered with 32 bits.",
            source: "Status specifications, Secure transport, Double ratchet",
            causes: "Four billion messages without an answer.",
        },
    ];
}

/// The cleartext header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatchetHeader {
    /// The sender's ratchet key.
    pub key: RatchetKey,
    /// The message number in the chain.
    pub n: u32,
    /// The length of the sender's previous sending chain.
    pub pn: u32,
}

impl RatchetHeader {
    /// Encodes what the MAC covers: `n` and `pn` (little endian), then the ratchet key.
    pub fn associated_data(&self) -> [u8; 41] {
        let mut data = [0; 41];
        data[..4].copy_from_slice(&self.n.to_le_bytes());
        data[4..8].copy_from_slice(&self.pn.to_le_bytes());
        data[8..].copy_from_slice(self.key.as_bytes());
        data
    }
}

/// The ratchet of a responder that has not received a message yet. It can't send.
#[derive(Debug, Clone)]
pub struct InactiveRatchet {
    pair: RatchetKeyPair,
    root: RootKey,
}

/// A ratchet that can send and receive.
#[derive(Debug, Clone)]
pub struct ActiveRatchet {
    pair: RatchetKeyPair,
    remote: RatchetKey,
    root: RootKey,
    sending: Chain,
    receiving: Chain,
    previous_length: u32,
    keys_count: u64,
}

/// A sending or receiving chain.
#[derive(Debug, Clone)]
pub struct Chain {
    key: ChainKey,
    n: u32,
}

/// The result of receiving a message.
#[derive(Debug)]
#[must_use = "the ratchet advances only if `next` replaces it"]
pub struct Step {
    /// The decrypted message.
    pub plaintext: Vec<u8>,
    /// The state after the message.
    pub next: ActiveRatchet,
    /// The keys to store: those of skipped messages, then the key of this message.
    pub derived: Vec<DerivedKey>,
    /// Whether the message turned the ratchet.
    pub ratcheted: bool,
}

/// A message key derived from a receiving chain.
#[derive(Debug)]
pub struct DerivedKey {
    /// The ratchet key of the chain.
    pub chain: RatchetKey,
    /// The message number in the chain.
    pub n: u32,
    /// The number of the key among all keys the session has derived for receiving.
    pub number: u64,
    /// The message key.
    pub key: MessageKey,
}

impl InactiveRatchet {
    /// Starts the responder's side. The first ratchet key pair is the prekey pair.
    pub fn respond(shared: &SharedKey, prekey: KeyPair) -> Self {
        Self { pair: prekey.into(), root: RootKey::from_bytes(*shared.as_bytes()) }
    }

    /// Decrypts the first message. Draws the new ratchet key pair from `rng`.
    ///
    /// # Errors
    ///
    /// If the header skips too many messages, its key is invalid, or the MAC does not match.
    pub fn receive<R: CryptoRng + ?Sized>(
        &self,
        header: &RatchetHeader,
        payload: &[u8],
        rng: &mut R,
    ) -> Result<Step, RatchetError> {
        check_skip(0, header.pn, header.n)?;
        check_skip(0, header.n, header.n)?;
        let theirs = header.key.point()?;
        // As in the reference, keys of a chain before this one count although none can be asked
        // for.
        let next = turn(&self.root, &self.pair, (header.key, &theirs), 0, header.pn.into(), rng);
        next.open(header, payload, Vec::new(), true)
    }
}

impl ActiveRatchet {
    /// Starts the initiator's side. Draws the first ratchet key pair from `rng`.
    pub fn initiate<R: CryptoRng + ?Sized>(
        shared: &SharedKey,
        their_prekey: &PublicKey,
        rng: &mut R,
    ) -> Self {
        let pair = RatchetKeyPair::generate(rng);
        let root = RootKey::from_bytes(*shared.as_bytes());
        let (root, sending) = root.step(&pair.agree(their_prekey));
        Self {
            pair,
            remote: CompressedKey::from(their_prekey).into(),
            root,
            sending: Chain::new(sending),
            // For a responder that sends before it receives. Status clients never do.
            receiving: Chain::new(ChainKey::from_bytes(*shared.as_bytes())),
            previous_length: 0,
            keys_count: 0,
        }
    }

    /// Encrypts the next message.
    ///
    /// # Errors
    ///
    /// If the sending chain has no message numbers left.
    pub fn encrypt(&mut self, plaintext: &[u8]) -> Result<(RatchetHeader, Vec<u8>), RatchetError> {
        let (n, pn) = (self.sending.n, self.previous_length);
        let header = RatchetHeader { key: self.pair.public(), n, pn };
        let key = self.sending.step()?;
        Ok((header, key.encrypt(plaintext, &header.associated_data())))
    }

    /// Decrypts a message whose key is not among the stored ones. Draws a new ratchet key pair from
    /// `rng` if the message turns the ratchet. Derives at most 2 * [`MAX_SKIP`] keys.
    ///
    /// # Errors
    ///
    /// If the key of the message is gone, the header skips too many messages, its key is invalid,
    /// or the MAC does not match.
    pub fn receive<R: CryptoRng + ?Sized>(
        &self,
        header: &RatchetHeader,
        payload: &[u8],
        rng: &mut R,
    ) -> Result<Step, RatchetError> {
        let mut derived = Vec::new();
        if header.key == self.remote {
            check_skip(self.receiving.n, header.n, header.n)?;
            return self.clone().open(header, payload, derived, false);
        }
        // All cheap checks come before the expensive steps.
        check_skip(self.receiving.n, header.pn, header.n)?;
        check_skip(0, header.n, header.n)?;
        let theirs = header.key.point()?;
        let mut last = self.clone();
        last.skip_to(header.pn, &mut derived)?;
        let theirs = (header.key, &theirs);
        let next = turn(&last.root, &last.pair, theirs, last.sending.n, last.keys_count, rng);
        next.open(header, payload, derived, true)
    }

    /// Returns our ratchet key pair.
    pub fn pair(&self) -> &RatchetKeyPair {
        &self.pair
    }

    /// Returns the ratchet key of the other side.
    pub fn remote_key(&self) -> RatchetKey {
        self.remote
    }

    /// Returns the root key.
    pub fn root_key(&self) -> &RootKey {
        &self.root
    }

    /// Returns the sending chain.
    pub fn sending(&self) -> &Chain {
        &self.sending
    }

    /// Returns the receiving chain.
    pub fn receiving(&self) -> &Chain {
        &self.receiving
    }

    /// Returns the length of our previous sending chain.
    pub fn previous_length(&self) -> u32 {
        self.previous_length
    }

    /// Returns how many keys the session has derived for receiving. The age of stored keys is
    /// counted in these.
    pub fn keys_count(&self) -> u64 {
        self.keys_count
    }

    /// Decrypts a message of the current receiving chain.
    fn open(
        mut self,
        header: &RatchetHeader,
        payload: &[u8],
        mut derived: Vec<DerivedKey>,
        ratcheted: bool,
    ) -> Result<Step, RatchetError> {
        self.skip_to(header.n, &mut derived)?;
        let key = self.receiving.step()?;
        let plaintext = key.decrypt(payload, &header.associated_data()).ok_or(RatchetError::Mac)?;
        derived.push(DerivedKey { chain: self.remote, n: header.n, number: self.keys_count, key });
        self.keys_count += 1;
        Ok(Step { plaintext, next: self, derived, ratcheted })
    }

    /// Derives the keys of the receiving chain up to number `n`, exclusive.
    fn skip_to(&mut self, n: u32, derived: &mut Vec<DerivedKey>) -> Result<(), RatchetError> {
        while self.receiving.n < n {
            let (chain, n, number) = (self.remote, self.receiving.n, self.keys_count);
            let key = self.receiving.step()?;
            derived.push(DerivedKey { chain, n, number, key });
            self.keys_count += 1;
        }
        Ok(())
    }
}

impl Chain {
    fn new(key: ChainKey) -> Self {
        Self { key, n: 0 }
    }

    /// Returns the current chain key.
    pub fn key(&self) -> &ChainKey {
        &self.key
    }

    /// Returns the number of the next message.
    pub fn n(&self) -> u32 {
        self.n
    }

    fn step(&mut self) -> Result<MessageKey, RatchetError> {
        let n = self.n.checked_add(1).ok_or(RatchetError::Exhausted)?;
        let (next, key) = self.key.step();
        *self = Self { key: next, n };
        Ok(key)
    }
}

/// Turns the Diffie-Hellman ratchet: starts new chains for both directions.
fn turn<R: CryptoRng + ?Sized>(
    root: &RootKey,
    pair: &RatchetKeyPair,
    (remote, theirs): (RatchetKey, &PublicKey),
    previous_length: u32,
    keys_count: u64,
    rng: &mut R,
) -> ActiveRatchet {
    let (root, receiving) = root.step(&pair.agree(theirs));
    let pair = RatchetKeyPair::generate(rng);
    let (root, sending) = root.step(&pair.agree(theirs));
    let (sending, receiving) = (Chain::new(sending), Chain::new(receiving));
    ActiveRatchet { pair, remote, root, sending, receiving, previous_length, keys_count }
}

/// Checks that `to` is neither before `from` nor too far after it.
fn check_skip(from: u32, to: u32, n: u32) -> Result<(), RatchetError> {
    match to.checked_sub(from) {
        None => Err(RatchetError::Old { n }),
        Some(skipped) if skipped > MAX_SKIP => Err(RatchetError::TooManyMessages { skipped }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{SecretKey, seeded_rng};

    fn pair() -> (ActiveRatchet, InactiveRatchet) {
        let mut rng = seeded_rng("ratchet");
        let shared = SharedKey::from_bytes([7; 32]);
        let prekey = KeyPair::generate(&mut rng);
        let alice = ActiveRatchet::initiate(&shared, &prekey.public().point().unwrap(), &mut rng);
        (alice, InactiveRatchet::respond(&shared, prekey))
    }

    /// Two sides after the first message.
    fn active_pair() -> (ActiveRatchet, ActiveRatchet) {
        let (mut alice, bob) = pair();
        let (header, payload) = alice.encrypt(b"first").unwrap();
        let step = bob.receive(&header, &payload, &mut seeded_rng("first")).unwrap();
        assert_eq!((&*step.plaintext, step.ratcheted), (&b"first"[..], true));
        (alice, step.next)
    }

    #[test]
    fn a_conversation_turns_the_ratchet() {
        let mut rng = seeded_rng("turns");
        let (mut alice, mut bob) = active_pair();
        for round in 0..5_u8 {
            for text in [[round, 0], [round, 1]] {
                let (header, payload) = alice.encrypt(&text).unwrap();
                let step = bob.receive(&header, &payload, &mut rng).unwrap();
                let turns = text[1] == 0 && round > 0;
                assert_eq!((step.plaintext, step.ratcheted), (text.to_vec(), turns));
                bob = step.next;
            }
            std::mem::swap(&mut alice, &mut bob);
        }
        // After five swaps, `alice` has received the first message and three rounds of two.
        assert_eq!((alice.keys_count, bob.keys_count), (7, 4));
    }

    #[test]
    fn the_first_message_can_be_any_of_its_chain() {
        let mut rng = seeded_rng("late");
        let (mut alice, bob) = pair();
        alice.encrypt(b"lost").unwrap();
        let (header, payload) = alice.encrypt(b"text").unwrap();
        assert_eq!(bob.receive(&header, &[0; 64], &mut rng).unwrap_err(), RatchetError::Mac);
        let step = bob.receive(&header, &payload, &mut rng).unwrap();
        let numbers: Vec<_> = step.derived.iter().map(|key| (key.n, key.number)).collect();
        assert_eq!((&*step.plaintext, numbers), (&b"text"[..], vec![(0, 0), (1, 1)]));
        // The keys of an earlier chain are counted, and none is derived.
        alice.previous_length = 5;
        let (header, payload) = alice.encrypt(b"text").unwrap();
        let step = bob.receive(&header, &payload, &mut rng).unwrap();
        assert_eq!((step.next.keys_count, step.derived.len()), (8, 3));
        alice.previous_length = MAX_SKIP + 1;
        let (header, payload) = alice.encrypt(b"text").unwrap();
        let error = bob.receive(&header, &payload, &mut rng).unwrap_err();
        assert_eq!(error, RatchetError::TooManyMessages { skipped: MAX_SKIP + 1 });
    }

    #[test]
    fn numbers_out_of_range_are_rejected_and_change_nothing() {
        let mut rng = seeded_rng("range");
        let (mut alice, bob) = pair();
        let (first, payload) = alice.encrypt(b"1").unwrap();
        let bob = bob.receive(&first, &payload, &mut rng).unwrap().next;
        let mut reject = |header: RatchetHeader| bob.receive(&header, b"", &mut rng).unwrap_err();
        assert_eq!(reject(first), RatchetError::Old { n: 0 });
        let far = RatchetHeader { n: 1002, ..first };
        assert_eq!(reject(far), RatchetError::TooManyMessages { skipped: 1001 });
        let last = RatchetHeader { n: u32::MAX, ..first };
        assert_eq!(reject(last), RatchetError::TooManyMessages { skipped: u32::MAX - 1 });
        let new = SecretKey::generate(&mut seeded_rng("new")).public_key();
        let new = RatchetKey::from(CompressedKey::from(&new));
        for (n, pn) in [(u32::MAX, 1), (0, u32::MAX), (1001, 1), (0, 1002)] {
            let header = RatchetHeader { key: new, n, pn };
            assert_eq!(reject(header).code(), "ratchet.too_many_messages");
        }
        let old = RatchetHeader { key: new, n: 0, pn: 0 };
        assert_eq!(reject(old), RatchetError::Old { n: 0 });
        // No point has the X coordinate 0.
        let mut zero = [0; 33];
        zero[0] = 2;
        let off_curve = RatchetHeader { key: zero.into(), n: 0, pn: 1 };
        assert_eq!(reject(off_curve), RatchetError::Key(KeyError::NotOnCurve));
        assert_eq!(reject(RatchetHeader { n: 1, ..first }), RatchetError::Mac);
    }

    #[test]
    fn a_chain_ends_at_the_last_number() {
        let (mut alice, _) = pair();
        alice.sending.n = u32::MAX;
        assert_eq!(alice.encrypt(b""), Err(RatchetError::Exhausted));
    }

    #[test]
    fn debug_shows_counters_and_no_key() {
        let (alice, bob) = pair();
        let text = format!("{alice:?} {bob:?}");
        assert!(text.contains("n: 0") && text.contains("ChainKey(…)"), "{text}");
        for secret in [
            hex::encode(*alice.pair.secret().to_bytes()),
            hex::encode(*bob.pair.secret().to_bytes()),
            hex::encode(alice.root.as_bytes()),
            hex::encode(alice.sending.key.as_bytes()),
            hex::encode([7; 32]),
        ] {
            assert!(!text.contains(&secret), "{text}");
        }
    }
}
