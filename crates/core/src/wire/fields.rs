//! Fields that several packets have.

use super::error::PacketError;
use crate::{
    envelope::Envelope,
    rlp::{self, Reader, RlpError},
};

/// Appends a list of envelopes.
pub(crate) fn put_envelopes<'a>(
    out: &mut Vec<u8>,
    envelopes: impl IntoIterator<Item = &'a Envelope> + Clone,
) {
    let length = envelopes.clone().into_iter().map(|envelope| envelope.raw().len()).sum();
    out.reserve(length + 9);
    rlp::put_list_header(out, length);
    envelopes.into_iter().for_each(|envelope| out.extend_from_slice(envelope.raw()));
}

/// Reads a list of envelopes.
///
/// # Errors
///
/// If any of the envelopes is malformed.
pub fn read_envelopes(reader: &mut Reader<'_>) -> Result<Vec<Envelope>, RlpError> {
    let mut list = reader.list("list of envelopes")?;
    let mut envelopes = Vec::new();
    while !list.is_empty() {
        envelopes.push(Envelope::read(&mut list)?);
    }
    Ok(envelopes)
}

/// Reads a proof-of-work requirement from the bits of a float.
pub(crate) fn float_bits(bits: u64) -> Result<f64, PacketError> {
    let value = f64::from_bits(bits);
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(PacketError::Pow(value)) }
}

/// Appends a float as the integer with its bits.
pub(crate) fn put_float(out: &mut Vec<u8>, value: f64) {
    rlp::put_u64(out, value.to_bits());
}
