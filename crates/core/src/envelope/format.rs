//! Envelopes, the unit that travels from node to node.
//!
//! An envelope is the RLP list `[expiry, ttl, topic, data, nonce]`. It keeps the exact bytes it was
//! read from. Only canonical RLP is accepted, so fields and bytes determine each other.
//!
//! Source: EIP-627, "Packet Codes" and "Whisper Envelope". The nonce is a plain integer without
//! padding, despite the prose of EIP-627.

use std::fmt;

use crate::{
    bytes::fixed_bytes,
    crypto::keccak256,
    envelope::{Topic, pow},
    rlp::{self, Header, Reader, RlpError, RlpErrorKind},
    time::UnixSeconds,
};

fixed_bytes! {
    /// The identity of an envelope in the network: the Keccak-256 of its five-field RLP.
    pub struct EnvelopeHash([u8; 32]);
}

/// The difference between [`Envelope::size`] and the length of the data.
const FIXED_SIZE: usize = 20;

/// A well-formed envelope. It is not checked against any clock or limit.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    raw: Box<[u8]>,
    expiry: UnixSeconds,
    ttl: u32,
    nonce: u64,
    topic: Topic,
    /// The offset of the data in `raw`.
    data_at: u32,
    data_len: u32,
}

impl Envelope {
    /// Makes an envelope of its fields.
    pub fn new(expiry: UnixSeconds, ttl: u32, topic: Topic, data: &[u8], nonce: u64) -> Self {
        let mut before = Vec::with_capacity(32);
        rlp::put_u64(&mut before, expiry.into());
        rlp::put_u64(&mut before, ttl.into());
        rlp::put_bytes(&mut before, &topic.0);
        // A single small byte is its own encoding.
        if data.len() != 1 || data[0] >= 0x80 {
            before.extend_from_slice(Header::from_string(data.len()).as_bytes());
        }
        let mut after = Vec::with_capacity(9);
        rlp::put_u64(&mut after, nonce);

        let length = before.len() + data.len() + after.len();
        let header = Header::from_list(length);
        let mut raw = Vec::with_capacity(header.as_bytes().len() + length);
        raw.extend_from_slice(header.as_bytes());
        raw.extend_from_slice(&before);
        let data_at = raw.len();
        raw.extend_from_slice(data);
        raw.extend_from_slice(&after);
        Self {
            raw: raw.into(),
            expiry,
            ttl,
            nonce,
            topic,
            data_at: data_at as u32,
            data_len: data.len() as u32,
        }
    }

    /// Reads all of `raw` as one envelope.
    ///
    /// # Errors
    ///
    /// If the bytes are not the canonical RLP of one envelope.
    pub fn decode(raw: &[u8]) -> Result<Self, RlpError> {
        let mut reader = Reader::new(raw);
        let envelope = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(envelope)
    }

    /// Reads the next item of `reader` as an envelope.
    ///
    /// # Errors
    ///
    /// If the item is not the canonical RLP of an envelope.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, RlpError> {
        let start = reader.clone();
        let mut fields = reader.list("envelope")?;
        let raw = &start.remaining()[..reader.offset() - start.offset()];

        let expiry = UnixSeconds(fields.u32("expiry")?);
        let ttl = fields.u32("ttl")?;
        let topic = Topic(fields.bytes("topic")?);
        let data = fields.string("data")?;
        let data_end = fields.offset();
        let nonce = fields.u64("nonce")?;
        fields.finish()?;
        // Packets are below 16 MiB, so only bytes from elsewhere can be this long.
        if raw.len() > u32::MAX as usize {
            let kind = RlpErrorKind::IntegerTooLarge { got: 8, max: 4 };
            return Err(start.error(kind));
        }
        Ok(Self {
            raw: raw.into(),
            expiry,
            ttl,
            nonce,
            topic,
            data_at: (data_end - data.len() - start.offset()) as u32,
            data_len: data.len() as u32,
        })
    }

    /// Returns this envelope with another nonce.
    #[must_use]
    pub fn with_nonce(&self, nonce: u64) -> Self {
        Self::new(self.expiry, self.ttl, self.topic, self.data(), nonce)
    }

    /// Returns the RLP of all five fields, which is sent and hashed.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Returns the last second in which the envelope is valid.
    pub fn expiry(&self) -> UnixSeconds {
        self.expiry
    }

    /// Returns the time to live, in seconds.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// Returns the topic.
    pub fn topic(&self) -> Topic {
        self.topic
    }

    /// Returns the encrypted message.
    pub fn data(&self) -> &[u8] {
        &self.raw[self.data_at as usize..][..self.data_len as usize]
    }

    /// Returns the proof-of-work nonce.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Returns the time at which the envelope was made: `expiry - ttl`, wrapping at 32 bits as
    /// peers compute it.
    pub fn sent(&self) -> UnixSeconds {
        self.expiry.wrapping_sub(self.ttl)
    }

    /// Returns 20 plus the length of the data. This size, not the length of the RLP, counts for
    /// limits and proof-of-work targets.
    pub fn size(&self) -> usize {
        FIXED_SIZE + self.data_len as usize
    }

    /// Returns the length of a Messages packet with only this envelope.
    ///
    /// It is a few bytes more than the [`size`](Self::size), but peers apply the same limit to both.
    pub fn packet_len(&self) -> usize {
        rlp::header_len(self.raw.len()) + self.raw.len()
    }

    /// Computes the identity of the envelope. Every call hashes `raw` again.
    pub fn hash(&self) -> EnvelopeHash {
        EnvelopeHash(keccak256(&self.raw))
    }

    /// Returns header and content of the RLP list of the four fields before the nonce.
    pub fn rlp4_parts(&self) -> (Header, &[u8]) {
        let fields = &self.raw[self.fields_at()..self.fields_end()];
        (Header::from_list(fields.len()), fields)
    }

    /// Returns the RLP list of the four fields before the nonce, over which proof of work is done.
    pub fn rlp4(&self) -> Vec<u8> {
        let (header, fields) = self.rlp4_parts();
        [header.as_bytes(), fields].concat()
    }

    /// Returns the length of [`rlp4`](Self::rlp4), by which the proof of work is divided.
    pub fn rlp4_len(&self) -> usize {
        let fields = self.fields_end() - self.fields_at();
        rlp::header_len(fields) + fields
    }

    /// Computes the proof of work as a peer does.
    ///
    /// `diff` is the result of [`future_diff`](crate::envelope::check::future_diff).
    pub fn pow(&self, diff: u32) -> f64 {
        pow::pow_value(self.leading_zero_bits(), self.rlp4_len(), self.ttl.wrapping_add(diff))
    }

    /// Computes the leading zero bits of the proof-of-work hash, 0 to 256.
    pub fn leading_zero_bits(&self) -> u32 {
        pow::leading_zero_bits(&pow::pow_hash(&self.rlp4(), self.nonce))
    }

    fn fields_at(&self) -> usize {
        match self.raw[0] {
            long @ 0xf8.. => 1 + usize::from(long - 0xf7),
            _ => 1,
        }
    }

    fn fields_end(&self) -> usize {
        self.data_at as usize + self.data_len as usize
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("expiry", &self.expiry)
            .field("ttl", &self.ttl)
            .field("topic", &self.topic)
            .field("data_len", &self.data_len)
            .field("nonce", &self.nonce)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(
            expiry: u32, ttl: u32, topic: [u8; 4], nonce: u64,
            data in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let envelope = Envelope::new(UnixSeconds(expiry), ttl, Topic(topic), &data, nonce);
            let decoded = Envelope::decode(envelope.raw()).unwrap();
            prop_assert_eq!(&decoded, &envelope);
            prop_assert_eq!(decoded.data(), &data[..]);
            prop_assert_eq!((decoded.expiry(), decoded.ttl()), (UnixSeconds(expiry), ttl));
            prop_assert_eq!((decoded.topic(), decoded.nonce()), (Topic(topic), nonce));
            prop_assert_eq!(decoded.rlp4_len(), decoded.rlp4().len());
            let packet = crate::wire::Packet::Messages(vec![decoded.clone()]).encode();
            prop_assert_eq!(decoded.packet_len(), packet.len());
            prop_assert_eq!(decoded.with_nonce(nonce), envelope);
            let mut four = Reader::new(&decoded.rlp4()).list("rlp4").unwrap().remaining().to_vec();
            rlp::put_u64(&mut four, nonce);
            prop_assert!(decoded.raw().ends_with(&four));
        }

        #[test]
        fn damage_is_rejected_or_stays_canonical(
            flip in 0usize..60, bit in 0u8..8, data in prop::collection::vec(any::<u8>(), 40),
        ) {
            let mut raw = Envelope::new(UnixSeconds(7), 8, Topic([1; 4]), &data, 9).raw().to_vec();
            let at = flip % raw.len();
            raw[at] ^= 1 << bit;
            if let Ok(envelope) = Envelope::decode(&raw) {
                let rebuilt = envelope.with_nonce(envelope.nonce());
                prop_assert_eq!(rebuilt.raw(), &raw[..]);
            }
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(envelope) = Envelope::decode(&bytes) {
                prop_assert_eq!(envelope.raw(), &bytes[..]);
            }
        }
    }

    #[test]
    fn single_bytes_of_data_are_canonical() {
        for data in [&[][..], &[0], &[0x7f], &[0x80], &[0xff]] {
            let envelope = Envelope::new(UnixSeconds(7), 8, Topic([1; 4]), data, 9);
            assert_eq!(Envelope::decode(envelope.raw()).unwrap().data(), data);
        }
    }

    #[test]
    fn every_truncation_is_an_error_inside_the_input() {
        let raw = Envelope::new(UnixSeconds(1_585_500_010), 10, Topic([1; 4]), &[3; 300], 9)
            .raw()
            .to_vec();
        for length in 0..raw.len() {
            let error = Envelope::decode(&raw[..length]).unwrap_err();
            assert!(error.at <= length);
        }
    }
}
