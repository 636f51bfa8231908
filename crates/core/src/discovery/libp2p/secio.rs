//! The two messages of the secio handshake. They are sent in frames: 4 bytes of length, big-endian,
//! and the message.
//!
//! Source: libp2p, "SECIO 1.0.0".

use prost::Message;

/// The name of the protocol.
pub const PROTOCOL: &str = "/secio/1.0.0";
/// The length of a nonce.
pub const NONCE: usize = 16;
/// The length of a frame's header.
pub const FRAME_HEADER: usize = 4;

/// What a side can do, and who it is.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Propose {
    /// 16 random bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub nonce: Vec<u8>,
    /// The message of the public key.
    #[prost(bytes = "vec", tag = "2")]
    pub public_key: Vec<u8>,
    /// Curves, separated by commas, the best first.
    #[prost(string, tag = "3")]
    pub curves: String,
    /// Ciphers.
    #[prost(string, tag = "4")]
    pub ciphers: String,
    /// Hash functions.
    #[prost(string, tag = "5")]
    pub hashes: String,
}

/// An ephemeral key, signed together with both proposals.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Exchange {
    /// An uncompressed point of the chosen curve.
    #[prost(bytes = "vec", tag = "1")]
    pub ephemeral_key: Vec<u8>,
    /// A signature over SHA-256 of the own proposal, the other's, and the ephemeral key. DER.
    #[prost(bytes = "vec", tag = "2")]
    pub signature: Vec<u8>,
}

/// Returns the first of `preferred` that `other` lists, too. Both are separated by commas.
pub fn choose<'a>(preferred: &'a str, other: &str) -> Option<&'a str> {
    preferred.split(',').find(|name| !name.is_empty() && other.split(',').any(|it| it == *name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_round_trip(nonce: [u8; 16], key: Vec<u8>, curves in "[A-Z0-9,-]*") {
            let propose = Propose {
                nonce: nonce.to_vec(),
                public_key: key.clone(),
                curves,
                ciphers: "AES-256".into(),
                hashes: String::new(),
            };
            prop_assert_eq!(Propose::decode(&*propose.encode_to_vec()), Ok(propose));
            let exchange = Exchange { ephemeral_key: key, signature: nonce.to_vec() };
            prop_assert_eq!(Exchange::decode(&*exchange.encode_to_vec()), Ok(exchange));
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes: Vec<u8>) {
            let _ = Propose::decode(&*bytes);
            let _ = Exchange::decode(&*bytes);
        }
    }

    #[test]
    fn the_order_of_the_preferred_list_decides() {
        assert_eq!(choose("P-256,P-384,P-521", "P-521,P-384"), Some("P-384"));
        assert_eq!(choose("AES-256,AES-128", "AES-128"), Some("AES-128"));
        assert_eq!(choose("P-256", "P-2567,P-25"), None);
        assert_eq!(choose("", ""), None);
        assert_eq!(choose(",,", ","), None);
    }
}
