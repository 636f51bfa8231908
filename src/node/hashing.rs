//! The hashes of a packet's envelopes, several at a time.

use crate::{
    crypto::keccak::{Parts, keccak256_many_parts},
    whisper::{Envelope, EnvelopeHash},
};

/// The hash of the packet (zeros if it is not asked for) and of each of its envelopes.
pub(super) fn hashes(
    packet: Option<&[u8]>,
    envelopes: &[Envelope],
) -> ([u8; 32], Vec<EnvelopeHash>) {
    // The packet is the longest by far: it goes first, and its lane is busy to the end while the
    // envelopes share the others.
    let inputs: Vec<Parts<'_>> = packet
        .into_iter()
        .chain(envelopes.iter().map(Envelope::raw))
        .map(|whole| Parts(whole, &[], &[]))
        .collect();
    let mut hashes = keccak256_many_parts(&inputs).into_iter();
    let packet = packet.and_then(|_| hashes.next()).unwrap_or_default();
    (packet, hashes.map(EnvelopeHash).collect())
}

/// The proof-of-work hash of each envelope.
pub(super) fn pow_hashes<'a>(envelopes: impl Iterator<Item = &'a Envelope>) -> Vec<[u8; 32]> {
    let pieces: Vec<_> =
        envelopes.map(|envelope| (envelope.rlp4_parts(), envelope.nonce().to_be_bytes())).collect();
    let inputs: Vec<Parts<'_>> = pieces
        .iter()
        .map(|((header, fields), nonce)| Parts(header.as_bytes(), fields, nonce))
        .collect();
    keccak256_many_parts(&inputs)
}
