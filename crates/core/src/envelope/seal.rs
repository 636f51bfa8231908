//! Seals messages into envelopes, and opens them.
//!
//! | | key | `data` of the envelope |
//! | --- | --- | --- |
//! | symmetric | 32 bytes | AES-256-GCM: `ciphertext || tag (16) || salt (12)` |
//! | asymmetric | secp256k1 | ECIES: `R (65) || iv (16) || ciphertext || tag (32)` |
//!
//! Source: EIP-627, "Payload Encryption".

use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    crypto::{
        PublicKey, SecretKey,
        aes::{self, GCM_TAG},
        ecies::{self, EciesError},
    },
    envelope::{
        Envelope, Message, MessageError, Padding, SymKey, Topic,
        message::{self, MAX_PAYLOAD},
    },
    explain::Explanation,
    time::UnixSeconds,
};

/// Length of the nonce at the end of symmetric messages, in bytes.
pub const SALT: usize = 12;
/// The default time to live of an envelope, in seconds.
pub const DEFAULT_TTL: u32 = 50;

/// Who can open an envelope.
#[derive(Debug, Clone, Copy)]
pub enum Recipient<'a> {
    /// Everyone with this symmetric key.
    Sym(&'a SymKey),
    /// The owner of this public key.
    Asym(&'a PublicKey),
}

/// The key that opens an envelope.
#[derive(Debug, Clone, Copy)]
pub enum Opener<'a> {
    /// A symmetric key.
    Sym(&'a SymKey),
    /// A private key.
    Asym(&'a SecretKey),
}

/// Why an envelope could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The data is too short for a tag, a salt and at least one byte.
    #[error("the data has {}; a symmetric message has at least 29", crate::text::count(.0, "byte"))]
    Short(usize),
    /// The message is for another key, or damaged.
    #[error("the key does not open this envelope (GCM tag mismatch)")]
    SymKey,
    /// The message is for another recipient, or not asymmetric.
    #[error("the key does not open this envelope: {0}")]
    Asym(#[from] EciesError),
    /// The key fits, but the plaintext is not a Whisper message.
    #[error("decrypted, but not a Whisper message: {0}")]
    Message(#[from] MessageError),
}

impl OpenError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Short(_) | Self::SymKey | Self::Asym(_) => "envelope.wrong_key",
            Self::Message(error) => error.code(),
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[Explanation {
        code: "envelope.wrong_key",
        rule: "The authentication tag of the encrypted data does not fit the key.",
        source: "EIP-627, Payload Encryption",
        causes: "Another chat or recipient, a password with other spelling, or a symmetric message tried with a private key.",
    }];
}

/// The content of an envelope to be sealed.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// The topic, visible to everyone.
    pub topic: Topic,
    /// The time of sending.
    pub now: UnixSeconds,
    /// The time to live, in seconds. The expiry is `now + ttl`.
    pub ttl: u32,
    /// The payload of the message.
    pub payload: &'a [u8],
    /// The key that signs the message, if any.
    pub signer: Option<&'a SecretKey>,
}

/// Seals a message with automatic padding. The envelope has nonce 0 and is not mined yet.
///
/// # Errors
///
/// If the payload is longer than [`MAX_PAYLOAD`].
pub fn seal<R: CryptoRng>(
    draft: &Draft<'_>,
    recipient: Recipient<'_>,
    rng: &mut R,
) -> Result<Envelope, MessageError> {
    seal_padded(draft, recipient, None, rng)
}

/// The longest time to live with which an expiry may wrap: some 68 years.
const MAX_WRAPPING: u32 = i32::MAX as u32;

/// Seals a message with the given padding, or automatic padding if `None`.
///
/// # Errors
///
/// If the payload or the padding is longer than [`MAX_PAYLOAD`], or the time to live is decades
/// long and ends after the last second of 32 bits.
pub fn seal_padded<R: CryptoRng>(
    draft: &Draft<'_>,
    recipient: Recipient<'_>,
    padding: Option<&[u8]>,
    rng: &mut R,
) -> Result<Envelope, MessageError> {
    let padding = match padding {
        Some(bytes) if bytes.len() > MAX_PAYLOAD => {
            return Err(MessageError::PayloadTooLong(bytes.len()));
        }
        Some(bytes) => Padding::Custom(bytes),
        None => Padding::Auto(rng),
    };
    // Near the year 2106 it wraps, for peers as well. Any other time to live that wraps makes an
    // envelope that is expired from the start.
    let Draft { now, ttl, .. } = *draft;
    let expiry = match now.0.checked_add(ttl) {
        None if ttl > MAX_WRAPPING => return Err(MessageError::Ttl { now, ttl }),
        _ => now.wrapping_add(ttl),
    };
    let plaintext = message::build(draft.payload, padding, draft.signer)?;
    let data = match recipient {
        Recipient::Sym(key) => {
            let mut salt = [0; SALT];
            rng.fill_bytes(&mut salt);
            encrypt_in_place(key, plaintext, &salt)
        }
        Recipient::Asym(key) => ecies::encrypt(key, &plaintext, &[], rng),
    };
    Ok(Envelope::new(expiry, draft.ttl, draft.topic, &data, 0))
}

/// Opens an envelope.
///
/// # Errors
///
/// If the key does not fit, or the plaintext is not a Whisper message.
pub fn open(envelope: &Envelope, opener: Opener<'_>) -> Result<Message, OpenError> {
    let plaintext = match opener {
        Opener::Sym(key) => decrypt_sym(key, envelope.data())?,
        Opener::Asym(key) => ecies::decrypt(key, envelope.data(), &[])?,
    };
    Ok(Message::parse(&plaintext)?)
}

/// Encrypts a plaintext with a symmetric key. Never use a salt twice with the same key.
pub fn encrypt_sym(key: &SymKey, plaintext: &[u8], salt: &[u8; SALT]) -> Vec<u8> {
    let mut data = Zeroizing::new(Vec::with_capacity(plaintext.len() + GCM_TAG + SALT));
    data.extend_from_slice(plaintext);
    encrypt_in_place(key, data, salt)
}

/// Turns the plaintext into the data, so that there is no second copy to erase.
///
/// The vector must have [`message::ROOM`] bytes of spare capacity. Otherwise it would leave a copy
/// of the plaintext behind when it grows.
fn encrypt_in_place(key: &SymKey, mut plaintext: Zeroizing<Vec<u8>>, salt: &[u8; SALT]) -> Vec<u8> {
    let mut data = std::mem::take(&mut *plaintext);
    debug_assert!(data.capacity() - data.len() >= GCM_TAG + SALT);
    let tag = aes::gcm_seal(key.as_bytes(), salt, &mut data);
    data.extend_from_slice(&tag);
    data.extend_from_slice(salt);
    data
}

/// Decrypts the data of an envelope with a symmetric key.
///
/// # Errors
///
/// If the data is too short, or the key does not fit.
pub fn decrypt_sym(key: &SymKey, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let short = || OpenError::Short(data.len());
    let (rest, salt) = data.split_last_chunk::<SALT>().ok_or_else(short)?;
    let (ciphertext, tag) = rest.split_last_chunk::<GCM_TAG>().ok_or_else(short)?;
    if ciphertext.is_empty() {
        return Err(short());
    }
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    if aes::gcm_open(key.as_bytes(), salt, &mut plaintext, tag) {
        Ok(plaintext)
    } else {
        Err(OpenError::SymKey)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::seeded_rng;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn only_the_right_key_opens(
            payload in prop::collection::vec(any::<u8>(), 0..600), asym: bool, sign: bool,
        ) {
            let mut rng = seeded_rng("seal");
            let (sym, pair, author) =
                (SymKey::generate(&mut rng), SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
            let public = pair.public_key();
            let draft = Draft {
                topic: Topic([1, 2, 3, 4]),
                now: UnixSeconds(1_585_500_000),
                ttl: 15,
                payload: &payload,
                signer: sign.then_some(&author),
            };
            let (recipient, opener) = if asym {
                (Recipient::Asym(&public), Opener::Asym(&pair))
            } else {
                (Recipient::Sym(&sym), Opener::Sym(&sym))
            };
            let envelope = seal(&draft, recipient, &mut rng).unwrap();
            let message = open(&envelope, opener).unwrap();
            prop_assert_eq!(&message.payload, &payload);
            prop_assert_eq!(message.signer().copied(), sign.then(|| author.public_key()));
            prop_assert_eq!((envelope.sent(), envelope.expiry()), (UnixSeconds(1_585_500_000), UnixSeconds(1_585_500_015)));
            prop_assert!(open(&envelope, Opener::Asym(&author)).is_err());
            let other = SymKey::generate(&mut rng);
            prop_assert!(open(&envelope, Opener::Sym(&other)).is_err());
        }
    }
}
