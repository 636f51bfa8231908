//! The encryption handshake: authenticates the other side and agrees on secret keys.
//!
//! ```text
//! Initiator            auth ->            Responder
//!     |                                   ReceivedAuth
//!  Secrets             <- ack              Secrets
//! ```
//!
//! The initiator must know the responder's static key. Both packets have two formats: the plain one
//! of fixed size, and that of EIP-8, which can grow. The receiver tells them apart, and the
//! responder answers in the format that it received.
//!
//! Every step consumes its state, so no step can be done twice or too early. All randomness is an
//! argument ([`Randomness`]): the same values give the same bytes.
//!
//! Source: devp2p `rlpx.md`, "Initial Handshake"; EIP-8.

mod packet;
mod secrets;

use std::fmt;

use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    crypto::{KeyError, PublicKey, SecretKey, SharedSecret, ecies::EciesError},
    explain::Explanation,
    rlp::RlpError,
};
pub use packet::{Ack, Auth};
use packet::{Incoming, seal};
#[cfg(test)]
pub(crate) use secrets::Exchange;
pub use secrets::{Secrets, SessionKeys};

/// The longest handshake packet, in bytes.
pub const MAX_PACKET: usize = 2 + u16::MAX as usize;

/// The version that both packets announce. Other versions are accepted and make no difference.
pub const VERSION: u64 = 4;

/// The format of a handshake packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Fixed size: 307 bytes of auth, 210 of ack.
    Plain,
    /// A size prefix, RLP, and padding.
    Eip8,
}

/// The two packets of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet {
    /// The initiator's.
    Auth,
    /// The responder's.
    Ack,
}

/// Why the handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The packet is not a plain packet for us, and its size prefix is too small for EIP-8.
    #[error(
        "{packet}: not a plain packet, and its size prefix is {got}; EIP-8 packets have at least {min}"
    )]
    Size { packet: Packet, got: usize, min: usize },
    /// The packet is for another key, or damaged.
    #[error("{packet}: {error}")]
    Decrypt { packet: Packet, error: EciesError },
    /// The decrypted body is not the expected list.
    #[error("{packet}: the body is malformed, {error}")]
    Body { packet: Packet, error: RlpError },
    /// A key in the body is not a point of the curve.
    #[error("{packet}: {what}: {error}")]
    Key { packet: Packet, what: &'static str, error: KeyError },
    /// No ephemeral key can be recovered from the signature.
    #[error("auth: {0}")]
    Signature(KeyError),
}

impl HandshakeError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        let packet = match self {
            Self::Size { packet, .. }
            | Self::Decrypt { packet, .. }
            | Self::Body { packet, .. }
            | Self::Key { packet, .. } => *packet,
            Self::Signature(_) => return "rlpx.auth_signature",
        };
        match packet {
            Packet::Auth => "rlpx.auth",
            Packet::Ack => "rlpx.ack",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "rlpx.auth",
            rule: "The first packet of the handshake is encrypted to the receiver's key; plain (307 bytes) or EIP-8 (with a size in front).",
            source: "devp2p, RLPx; EIP-8",
            causes: "The peer has another key than its enode says, or it is not an Ethereum node.",
        },
        Explanation {
            code: "rlpx.auth_signature",
            rule: "The first packet is signed with the initiator's ephemeral key, which is recovered from the signature.",
            source: "devp2p, RLPx",
            causes: "A faulty client.",
        },
        Explanation {
            code: "rlpx.ack",
            rule: "The answer of the handshake is encrypted to our key; plain (210 bytes) or EIP-8.",
            source: "devp2p, RLPx; EIP-8",
            causes: "Something that is not an Ethereum node answers on this port.",
        },
    ];
}

/// The random values of one side of a handshake.
pub struct Randomness {
    /// The ephemeral key of the session.
    pub ephemeral: SecretKey,
    /// The nonce of the session.
    pub nonce: [u8; 32],
    /// The ephemeral key that encrypts the packet.
    pub ecies_ephemeral: SecretKey,
    /// The IV that encrypts the packet.
    pub ecies_iv: [u8; 16],
    /// The number of zero bytes after the body of an EIP-8 packet: 100 to 299.
    pub padding: u16,
}

impl std::fmt::Debug for Randomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Randomness(…)")
    }
}

impl Randomness {
    /// Generates values from `rng`.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let ephemeral = SecretKey::generate(rng);
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let ecies_ephemeral = SecretKey::generate(rng);
        let mut ecies_iv = [0; 16];
        rng.fill_bytes(&mut ecies_iv);
        let padding = 100 + (rng.next_u32() % 200) as u16;
        Self { ephemeral, nonce, ecies_ephemeral, ecies_iv, padding }
    }
}

/// The result of reading a part of a packet.
#[derive(Debug)]
pub enum Step<S, T> {
    /// All input is consumed. The state needs at least `missing` more bytes.
    More { state: S, missing: usize },
    /// The packet is complete. Input after it is not consumed.
    Done(T),
}

/// The dialling side, waiting for the ack.
pub struct Initiator {
    key: SecretKey,
    remote: PublicKey,
    ephemeral: SecretKey,
    nonce: [u8; 32],
    auth: Vec<u8>,
    ack: Incoming,
}

impl Initiator {
    /// Starts in the format of EIP-8, as all nodes of these networks do.
    pub fn new<R: CryptoRng + ?Sized>(key: &SecretKey, remote: PublicKey, rng: &mut R) -> Self {
        Self::with(key, remote, Format::Eip8, Randomness::generate(rng))
    }

    /// Starts in the given format with the given random values.
    pub fn with(key: &SecretKey, remote: PublicKey, format: Format, random: Randomness) -> Self {
        let Randomness { ephemeral, nonce, .. } = &random;
        let signature = ephemeral.sign_digest(&signed(&key.ecdh(&remote), nonce));
        let auth =
            Auth { signature, key: key.public_key(), nonce: *nonce, version: VERSION, format };
        let body = auth.body(&ephemeral.public_key(), random.padding.into());
        let auth = seal(format, &remote, &body, &random.ecies_ephemeral, &random.ecies_iv);
        let Randomness { ephemeral, nonce, .. } = random;
        let ack = Incoming::new(Packet::Ack);
        Self { key: key.clone(), remote, ephemeral, nonce, auth, ack }
    }

    /// Returns the auth packet, which must be sent first.
    pub fn auth(&self) -> &[u8] {
        &self.auth
    }

    /// Reads the ack or a part of it, and consumes it from the front of `input`.
    ///
    /// # Errors
    ///
    /// If the packet is not an ack for this key.
    pub fn read(mut self, input: &mut &[u8]) -> Result<Step<Self, Secrets>, HandshakeError> {
        let Some(opened) = self.ack.read(&self.key, input)? else {
            let missing = self.ack.missing();
            return Ok(Step::More { state: self, missing });
        };
        let ack = Ack::parse(opened.format, &opened.body)?;
        let shared = self.ephemeral.ecdh(&ack.ephemeral);
        let exchange = secrets::Exchange {
            initiator_nonce: &self.nonce,
            responder_nonce: &ack.nonce,
            auth: &self.auth,
            ack: &opened.packet,
        };
        Ok(Step::Done(exchange.initiator(&shared, self.remote)))
    }
}

/// The listening side, waiting for an auth.
pub struct Responder {
    key: SecretKey,
    auth: Incoming,
}

impl Responder {
    /// Starts to wait.
    pub fn new(key: &SecretKey) -> Self {
        Self { key: key.clone(), auth: Incoming::new(Packet::Auth) }
    }

    /// Reads the auth or a part of it, and consumes it from the front of `input`.
    ///
    /// # Errors
    ///
    /// If the packet is not an auth for this key, or its signature gives no ephemeral key.
    pub fn read(mut self, input: &mut &[u8]) -> Result<Step<Self, ReceivedAuth>, HandshakeError> {
        let Some(opened) = self.auth.read(&self.key, input)? else {
            let missing = self.auth.missing();
            return Ok(Step::More { state: self, missing });
        };
        let auth = Auth::parse(opened.format, &opened.body)?;
        let ephemeral = auth.ephemeral(&self.key)?;
        Ok(Step::Done(ReceivedAuth { auth, ephemeral, packet: opened.packet }))
    }
}

/// The listening side, which has received the auth and not answered yet.
pub struct ReceivedAuth {
    auth: Auth,
    ephemeral: PublicKey,
    packet: Vec<u8>,
}

impl ReceivedAuth {
    /// Returns the initiator's static key, proven by the signature.
    pub fn remote(&self) -> PublicKey {
        self.auth.key
    }

    /// Returns the content of the packet.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Answers. Returns the ack packet to send, and the session's secrets.
    #[must_use]
    pub fn accept<R: CryptoRng + ?Sized>(self, rng: &mut R) -> (Vec<u8>, Secrets) {
        self.accept_with(Randomness::generate(rng))
    }

    /// Answers with the given random values.
    #[must_use]
    pub fn accept_with(self, random: Randomness) -> (Vec<u8>, Secrets) {
        let ack = Ack {
            ephemeral: random.ephemeral.public_key(),
            nonce: random.nonce,
            version: VERSION,
            format: self.auth.format,
        };
        let body = ack.body(random.padding.into());
        let packet = seal(
            self.auth.format,
            &self.auth.key,
            &body,
            &random.ecies_ephemeral,
            &random.ecies_iv,
        );
        let exchange = secrets::Exchange {
            initiator_nonce: &self.auth.nonce,
            responder_nonce: &random.nonce,
            auth: &self.packet,
            ack: &packet,
        };
        let secrets = exchange.responder(&random.ephemeral.ecdh(&self.ephemeral), self.auth.key);
        (packet, secrets)
    }
}

/// Returns the digest that the initiator's ephemeral key signs: the static shared secret xor the
/// nonce.
fn signed(shared: &SharedSecret, nonce: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(xor(shared.as_bytes(), nonce))
}

fn xor(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|i| a[i] ^ b[i])
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auth => "auth",
            Self::Ack => "ack",
        })
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initiator").field("remote", &self.remote).finish_non_exhaustive()
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}

impl fmt::Debug for ReceivedAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedAuth").field("remote", &self.auth.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
