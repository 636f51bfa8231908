//! What rendezvous runs over: addresses, identities, and the messages of each layer.
//!
//! | layer | where | source |
//! | --- | --- | --- |
//! | where a server is | [`Multiaddr`] | multiformats, "multiaddr" |
//! | who a peer is | [`PeerId`] | libp2p, "Peer Ids and Keys" |
//! | choosing a protocol | [`multistream`] | multiformats, "multistream-select" 1.0.0 |
//! | encryption | [`secio`] | libp2p, "SECIO 1.0.0" |
//! | several streams on a connection | [`yamux`] | HashiCorp, "yamux" |
//!
//! Only messages and frames are here. The state machines belong to the connection.

mod multiaddr;
pub mod multistream;
mod peer_id;
pub mod secio;
pub mod yamux;

pub use multiaddr::{Multiaddr, MultiaddrError};
pub use peer_id::{PeerId, PeerIdError, decode_public_key, encode_public_key};

/// Reads an unsigned variable-length integer of at most 32 bits: the value, and how many bytes it
/// takes. `Ok(None)` if more bytes are needed.
///
/// # Errors
///
/// If it is longer, or not in the shortest form.
pub(crate) fn read_varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, VarintError> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return Err(VarintError);
            }
            let value = u32::try_from(value).map_err(|_| VarintError)?;
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < 5 { Ok(None) } else { Err(VarintError) }
}

/// Appends an unsigned variable-length integer.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The bytes are not an unsigned variable-length integer of at most 32 bits in its shortest form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VarintError;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_round_trip(value: u32) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(read_varint(&bytes), Ok(Some((value, bytes.len()))));
            prop_assert_eq!(read_varint(&bytes[..bytes.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn long_varints_are_refused() {
        for bytes in [&[0x80, 0][..], &[0xff, 0xff, 0xff, 0xff, 0x10], &[0xff; 5]] {
            assert_eq!(read_varint(bytes), Err(VarintError), "{bytes:x?}");
        }
    }
}
