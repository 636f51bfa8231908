//! The hashes of a packet's envelopes, several at a time.

use statuskit_core::{
    crypto::keccak::{Parts, keccak256_many_parts},
    envelope::{Envelope, EnvelopeHash},
    rlp::Header,
};

/// Hashes a packet, its envelopes, and their proofs of work, all at once.
///
/// The hash of the packet keeps one lane of the vector unit busy. It takes so long that the others,
/// in the other lanes, are free.
pub(super) fn packet_hashes(
    packet: &[u8],
    envelopes: &[Envelope],
) -> ([u8; 32], Vec<EnvelopeHash>, Vec<[u8; 32]>) {
    let pieces: Vec<Pieces<'_>> = envelopes.iter().map(Pieces::of).collect();
    let whole = [packet].into_iter().chain(envelopes.iter().map(Envelope::raw)).map(Parts::from);
    let inputs: Vec<Parts<'_>> = whole.chain(pieces.iter().map(Pieces::parts)).collect();
    let mut hashes = keccak256_many_parts(&inputs).into_iter();
    let packet = hashes.next().unwrap_or_default();
    let identities = hashes.by_ref().take(envelopes.len()).map(EnvelopeHash).collect();
    (packet, identities, hashes.collect())
}

/// Hashes each envelope.
pub(super) fn hashes(envelopes: &[Envelope]) -> Vec<EnvelopeHash> {
    let inputs: Vec<Parts<'_>> = envelopes.iter().map(Envelope::raw).map(Parts::from).collect();
    keccak256_many_parts(&inputs).into_iter().map(EnvelopeHash).collect()
}

/// Hashes the proof of work of each envelope.
pub(super) fn pow_hashes<'a>(envelopes: impl Iterator<Item = &'a Envelope>) -> Vec<[u8; 32]> {
    let pieces: Vec<Pieces<'_>> = envelopes.map(Pieces::of).collect();
    let inputs: Vec<Parts<'_>> = pieces.iter().map(Pieces::parts).collect();
    keccak256_many_parts(&inputs)
}

/// The input of the hash of a proof of work.
struct Pieces<'a> {
    header: Header,
    fields: &'a [u8],
    nonce: [u8; 8],
}

impl<'a> Pieces<'a> {
    fn of(envelope: &'a Envelope) -> Self {
        let (header, fields) = envelope.rlp4_parts();
        Self { header, fields, nonce: envelope.nonce().to_be_bytes() }
    }

    fn parts(&self) -> Parts<'_> {
        Parts(self.header.as_bytes(), self.fields, &self.nonce)
    }
}
