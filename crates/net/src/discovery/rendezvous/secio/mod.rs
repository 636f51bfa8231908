//! secio, the encryption of libp2p connections until 2020.
//!
//! **Deprecated. Do not use it for anything new.** It is here because the rendezvous servers of
//! 2020 speak nothing else. libp2p removed it in 2020 and 2021 in favour of TLS 1.3 and Noise. It
//! was never proven: its key derivation is its own, an attacker on the path chooses among the
//! offered algorithms until the signatures are checked, the keys of both sides are sent in the
//! clear, and the length of each frame is not authenticated before it is used. What rendezvous sends
//! is public, and signed where it matters: the records.
//!
//! No primitive is of our own making. Both sides:
//!
//! 1. send a proposal: nonce, key, and lists of curves, ciphers and hash functions;
//! 2. compare two hashes of keys and nonces. The side with the higher one has precedence: of each of
//!    its lists, the first entry that the other lists too is taken;
//! 3. send an ephemeral key, signed together with both proposals;
//! 4. derive keys from the X coordinate that both compute, **without its leading zero bytes**;
//! 5. send the other's nonce, encrypted, and check their own.
//!
//! A frame is 4 bytes of length, an AES-CTR ciphertext whose key stream goes on from frame to frame,
//! and the HMAC of the ciphertext.
//!
//! Source: libp2p, "SECIO 1.0.0"; the reference where it says nothing.

mod channel;
mod handshake;
mod suite;

pub use channel::Channel;
pub use handshake::Handshake;

use statuskit_core::discovery::libp2p::{PeerIdError, secio::FRAME_HEADER};

/// The most bytes of a frame of the handshake.
const MAX_HANDSHAKE_FRAME: usize = 4096;
/// The most bytes of a frame after it, tag included. What rendezvous sends has some kilobytes.
const MAX_FRAME: usize = 128 * 1024;

/// Why a connection can't be encrypted, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecioError {
    /// A frame is longer than allowed.
    #[error("secio: a frame of {got} bytes; expected at most {max}")]
    TooLong { got: usize, max: usize },
    /// A message of the handshake is malformed.
    #[error("secio: the {what} is malformed")]
    Message { what: &'static str },
    /// The nonce is too short or too long.
    #[error("secio: a nonce of {0} bytes; expected 16")]
    Nonce(usize),
    /// The key is not one of secp256k1.
    #[error("secio: the key of the peer: {0}")]
    Key(PeerIdError),
    /// The peer is another one than was dialled.
    #[error("secio: the peer is {got}; expected {expected}")]
    WrongPeer { expected: String, got: String },
    /// The peer is this node itself.
    #[error("secio: connected to itself")]
    Itself,
    /// The lists have no common entry.
    #[error("secio: no common {what}; the peer offers {offered:?}")]
    NoCommon { what: &'static str, offered: String },
    /// The ephemeral key is not a point of the curve.
    #[error("secio: the ephemeral key is not a point of the curve")]
    EphemeralKey,
    /// The signature over the exchange is wrong.
    #[error("secio: the signature of the peer is wrong")]
    Signature,
    /// The tag of a frame is wrong: the frame was changed on its way, or the keys differ.
    #[error("secio: the tag of a frame is wrong")]
    Tag,
    /// The peer returned another nonce.
    #[error("secio: the peer returned another nonce")]
    Echo,
}

/// Returns the body of the first frame, and how many bytes it takes. `Ok(None)` if more are needed.
///
/// # Errors
///
/// If the body is longer than `max`.
fn read_frame(bytes: &[u8], max: usize) -> Result<Option<(&[u8], usize)>, SecioError> {
    let Some((header, rest)) = bytes.split_first_chunk::<FRAME_HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes(*header) as usize;
    if length > max {
        return Err(SecioError::TooLong { got: length, max });
    }
    Ok(rest.get(..length).map(|body| (body, FRAME_HEADER + length)))
}

fn put_frame(out: &mut Vec<u8>, body: &[u8]) {
    out.extend_from_slice(&(body.len() as u32).to_be_bytes());
    out.extend_from_slice(body);
}
