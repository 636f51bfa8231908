//! Node ids: what rate limits know a node by.

use std::fmt;

use crate::crypto::{PublicKey, keccak256};

/// The Keccak-256 of a node's public key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 32]);

impl NodeId {
    /// The id of the node with this key.
    pub fn from_key(key: &PublicKey) -> Self {
        Self(keccak256(&key.to_xy()))
    }
}

/// 64 hex digits.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
