//! The plaintext inside an envelope: `flags || size || payload || padding || signature`.
//!
//! | part | bytes | rule |
//! | --- | --- | --- |
//! | flags | 1 | bits 0-1: length of the size field; bit 2: signed; the rest 0 |
//! | size | 0-3 | length of the payload, little-endian |
//! | payload | size | |
//! | padding | any | brings the whole to a multiple of 256, at least one byte |
//! | signature | 0 or 65 | over the Keccak-256 of everything before it |
//!
//! Source: EIP-627, "Contents of Data Field of the Message". The padding rule is the reference's.

use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    crypto::{PublicKey, SecretKey, Signature, keccak256},
    explain::Explanation,
    time::UnixSeconds,
};

/// Messages are padded to a multiple of this many bytes.
pub const PADDING_BLOCK: usize = 256;
/// The longest payload that the size field can express, in bytes.
pub const MAX_PAYLOAD: usize = 0xff_ffff;

/// Spare capacity after a plaintext from [`build`], in bytes. Symmetric encryption in place appends
/// a tag (16) and a salt (12).
pub(super) const ROOM: usize = 28;

const SIZE_MASK: u8 = 0b011;
const SIGNED: u8 = 0b100;
const SIGNATURE: usize = 65;

/// Why a plaintext is not a Whisper message, or a payload can't become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The plaintext is empty.
    #[error("the plaintext is empty; expected at least a flags byte")]
    Empty,
    /// The signed flag is set, but there is no room for a signature and content.
    #[error("the signed flag is set, but {} can't hold flags, content and a signature", crate::text::count(.0, "byte"))]
    NoRoomForSignature(usize),
    /// The size field runs past the end.
    #[error("byte 1: the size field takes {}, and {have} are left", crate::text::count(.need, "byte"))]
    SizeField { need: usize, have: usize },
    /// The payload runs past the end (or into the signature).
    #[error("byte {at}: the payload takes {}, and {have} are left", crate::text::count(.need, "byte"))]
    Payload { at: usize, need: usize, have: usize },
    /// No key can be recovered from the signature.
    #[error("no public key can be recovered from the signature (byte {at})")]
    Signature { at: usize },
    /// The payload is longer than the size field can express.
    #[error("the payload has {}, at most {MAX_PAYLOAD} fit", crate::text::count(.0, "byte"))]
    PayloadTooLong(usize),
    /// The time of expiry has more than 32 bits.
    #[error(
        "a time to live of {ttl} s from {now} on ends after the last second that an envelope can \
         name; at most {} s fit", u32::MAX - now.0
    )]
    Ttl { now: UnixSeconds, ttl: u32 },
}

impl MessageError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "message.empty",
            Self::Ttl { .. } => "envelope.ttl",
            Self::NoRoomForSignature(_) | Self::Signature { .. } => "message.signature",
            Self::SizeField { .. } | Self::Payload { .. } => "message.size",
            Self::PayloadTooLong(_) => "message.payload_too_long",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "envelope.ttl",
            rule: "An envelope names the last second in which it is valid with 32 bits: now plus the time to live must fit.",
            source: "EIP-627, Whisper Envelope; peers compute with 32 bits and wrap",
            causes: "A --ttl near 2^32. The envelope would be born expired.",
        },
        Explanation {
            code: "message.empty",
            rule: "A decrypted message has at least one byte, the flags.",
            source: "EIP-627, Contents of Data Field of the Message",
            causes: "Made by something that is not a Whisper client.",
        },
        Explanation {
            code: "message.signature",
            rule: "If bit 2 of the flags is set, the last 65 bytes are a signature r, s, v over the Keccak-256 of everything before, and must recover a public key.",
            source: "EIP-627, Contents of Data Field of the Message",
            causes: "v is 27 or 28 instead of 0 or 1, or the message was changed after signing.",
        },
        Explanation {
            code: "message.size",
            rule: "Bits 0 and 1 of the flags are the length of the little-endian size field; the payload of that size must end before the signature.",
            source: "EIP-627, Contents of Data Field of the Message",
            causes: "A big-endian size field, or a payload that was cut.",
        },
        Explanation {
            code: "message.payload_too_long",
            rule: "The size field has at most three bytes: a payload has less than 16 MiB.",
            source: "EIP-627, Contents of Data Field of the Message",
            causes: "Peers take 1 MiB unless they were set otherwise, so the practical limit is lower.",
        },
    ];
}

/// A parsed message. Building it again from its parts gives the same plaintext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The flags byte as received.
    pub flags: u8,
    /// The payload.
    pub payload: Vec<u8>,
    /// The padding.
    pub padding: Vec<u8>,
    /// The signature and the signer's key, if the message is signed.
    pub signed: Option<(Signature, PublicKey)>,
}

impl Message {
    /// Parses a plaintext.
    ///
    /// # Errors
    ///
    /// If a part runs past the end, or no key can be recovered from the signature.
    pub fn parse(plaintext: &[u8]) -> Result<Self, MessageError> {
        let (&flags, rest) = plaintext.split_first().ok_or(MessageError::Empty)?;
        let (rest, signed) = if flags & SIGNED != 0 {
            // The reference also rejects a signature after the flags byte alone.
            let (body, signature) = match rest.split_last_chunk::<SIGNATURE>() {
                Some((body, signature)) if !body.is_empty() => (body, signature),
                _ => return Err(MessageError::NoRoomForSignature(plaintext.len())),
            };
            let signature = Signature::from_bytes(*signature);
            let at = plaintext.len() - SIGNATURE;
            let signer = signature
                .recover(&keccak256(&plaintext[..at]))
                .map_err(|_| MessageError::Signature { at })?;
            (body, Some((signature, signer)))
        } else {
            (rest, None)
        };

        let need = usize::from(flags & SIZE_MASK);
        let (size, rest) = rest
            .split_at_checked(need)
            .ok_or(MessageError::SizeField { need, have: rest.len() })?;
        let size = size.iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte));
        let (payload, padding) = rest.split_at_checked(size).ok_or(MessageError::Payload {
            at: 1 + need,
            need: size,
            have: rest.len(),
        })?;
        Ok(Self { flags, payload: payload.to_vec(), padding: padding.to_vec(), signed })
    }

    /// Returns the key that signed the message.
    pub fn signer(&self) -> Option<&PublicKey> {
        self.signed.as_ref().map(|(_, key)| key)
    }
}

/// The padding of a message to be built.
pub enum Padding<'a> {
    /// Random bytes up to the next multiple of [`PADDING_BLOCK`], at least one.
    Auto(&'a mut dyn CryptoRng),
    /// These bytes, of any length.
    Custom(&'a [u8]),
}

impl std::fmt::Debug for Padding<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto(_) => f.write_str("Auto"),
            Self::Custom(bytes) => write!(f, "Custom({} bytes)", bytes.len()),
        }
    }
}

/// Builds the plaintext of a message, signed if there is a key.
///
/// # Errors
///
/// If the payload is longer than [`MAX_PAYLOAD`].
pub fn build(
    payload: &[u8],
    padding: Padding<'_>,
    signer: Option<&SecretKey>,
) -> Result<Zeroizing<Vec<u8>>, MessageError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(MessageError::PayloadTooLong(payload.len()));
    }
    let size = (payload.len() as u32).to_le_bytes();
    let size = &size[..size_field_len(payload.len())];
    let signature = if signer.is_some() { SIGNATURE } else { 0 };
    let content = 1 + size.len() + payload.len();
    let fill = match &padding {
        Padding::Custom(bytes) => bytes.len(),
        Padding::Auto(_) => PADDING_BLOCK - (content + signature) % PADDING_BLOCK,
    };

    let mut out = Zeroizing::new(Vec::with_capacity(content + fill + signature + ROOM));
    out.push(size.len() as u8 | if signer.is_some() { SIGNED } else { 0 });
    out.extend_from_slice(size);
    out.extend_from_slice(payload);
    match padding {
        Padding::Custom(bytes) => out.extend_from_slice(bytes),
        Padding::Auto(rng) => {
            out.resize(content + fill, 0);
            rng.fill_bytes(&mut out[content..]);
        }
    }
    if let Some(key) = signer {
        let signature = key.sign_digest(&keccak256(&out));
        out.extend_from_slice(signature.as_bytes());
    }
    Ok(out)
}

/// Returns the length of the size field: as few bytes as the size needs, at least one.
fn size_field_len(length: usize) -> usize {
    match length {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::seeded_rng;

    fn key() -> SecretKey {
        SecretKey::from_bytes(&[5; 32]).unwrap()
    }

    #[test]
    fn errors_name_the_place() {
        assert_eq!(Message::parse(&[]), Err(MessageError::Empty));
        assert_eq!(Message::parse(&[0b100; 66]), Err(MessageError::NoRoomForSignature(66)));
        assert_eq!(Message::parse(&[3, 1, 0]), Err(MessageError::SizeField { need: 3, have: 2 }));
        assert_eq!(
            Message::parse(&[1, 3, 0, 0]),
            Err(MessageError::Payload { at: 2, need: 3, have: 2 })
        );
        assert_eq!(Message::parse(&[0b100; 67]), Err(MessageError::Signature { at: 2 }));
        let long = vec![0; MAX_PAYLOAD + 1];
        assert!(build(&long, Padding::Custom(&[]), None).is_err());
    }

    #[test]
    fn without_a_size_field_all_is_padding() {
        let message = Message::parse(&[0, 7, 8]).unwrap();
        assert_eq!((message.payload.len(), message.padding), (0, vec![7, 8]));
    }

    proptest! {
        #[test]
        fn round_trip(payload in prop::collection::vec(any::<u8>(), 0..700), sign: bool) {
            let key = sign.then(key);
            let built =
                build(&payload, Padding::Auto(&mut seeded_rng("padding")), key.as_ref()).unwrap();
            prop_assert_eq!(built.len() % PADDING_BLOCK, 0);
            let message = Message::parse(&built).unwrap();
            prop_assert_eq!(&message.payload, &payload);
            prop_assert!(!message.padding.is_empty());
            prop_assert_eq!(message.signer().copied(), key.as_ref().map(SecretKey::public_key));
            let again = build(&payload, Padding::Custom(&message.padding), key.as_ref()).unwrap();
            prop_assert_eq!(again, built);
        }

        #[test]
        fn any_bytes_parse_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(message) = Message::parse(&bytes) {
                prop_assert!(message.payload.len() + message.padding.len() < bytes.len());
            }
        }
    }
}
