//! The hashes of a packet's envelopes, several at a time.

use statuskit_core::{
    crypto::keccak::{Parts, keccak256_many_parts},
    envelope::{Envelope, EnvelopeHash},
    rlp::Header,
};

/// The hashes of a packet, of its envelopes, and of their proofs of work, all at once.
///
/// The packet's hash can only be had in one piece; it keeps one lane of the vector unit busy for
/// so long that all the others, done beside it, cost nothing more.
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

/// The hash of each envelope.
pub(super) fn hashes(envelopes: &[Envelope]) -> Vec<EnvelopeHash> {
    let inputs: Vec<Parts<'_>> = envelopes.iter().map(Envelope::raw).map(Parts::from).collect();
    keccak256_many_parts(&inputs).into_iter().map(EnvelopeHash).collect()
}

/// The hash of each envelope's proof of work.
pub(super) fn pow_hashes<'a>(envelopes: impl Iterator<Item = &'a Envelope>) -> Vec<[u8; 32]> {
    let pieces: Vec<Pieces<'_>> = envelopes.map(Pieces::of).collect();
    let inputs: Vec<Parts<'_>> = pieces.iter().map(Pieces::parts).collect();
    keccak256_many_parts(&inputs)
}

/// What the hash of a proof of work is taken of.
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
