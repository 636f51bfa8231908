//! Hierarchical key trees (BIP32): derivation from private and public keys.
//!
//! ```
//! use statuskit_core::account::{DerivationPath, ExtendedPrivateKey, Mnemonic};
//!
//! let phrase: Mnemonic = "test test test test test test test test test test test junk".parse()?;
//! let master = ExtendedPrivateKey::from_seed(&phrase.to_seed(""))?;
//! let chat = master.derive(&DerivationPath::CHAT)?;
//! assert_eq!(chat.depth(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Deriver`] caches intermediate nodes for callers that need many keys of one tree. The text
//! forms `xprv…` and `xpub…` are in `hd/text.rs`.

mod deriver;
mod error;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{
    path::{ChildIndex, DerivationPath},
    seed::Seed,
};
use crate::crypto::{
    PublicKey, SecretKey, hash,
    kdf::{self, Halves},
    tweak,
};
pub use deriver::Deriver;
pub use error::HdError;

/// The first four bytes of the hash that identifies a key in BIP32; zeros above a master key.
type Fingerprint = [u8; 4];

/// The place of a key in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    depth: u8,
    parent: Fingerprint,
    index: ChildIndex,
}

impl Place {
    const MASTER: Self = Self { depth: 0, parent: [0; 4], index: ChildIndex::from_bits(0) };
}

/// A private key with its chain code and its place in the tree.
///
/// Erased on drop and compared in constant time.
#[derive(Clone)]
pub struct ExtendedPrivateKey {
    place: Place,
    chain_code: ChainCode,
    key: SecretKey,
    origin: Option<Origin>,
}

/// The origin of a plain (not hardened) key: its public key is the parent's plus this multiple of
/// the generator, which is cheaper than a full multiplication.
///
/// Nothing here is more secret than the parent's extended public key.
#[derive(Clone)]
struct Origin {
    parent: PublicKey,
    tweak: ChainCode,
}

impl ExtendedPrivateKey {
    /// Derives the master key of a seed.
    ///
    /// # Errors
    /// If the seed has no master key: one in 2^127.
    pub fn from_seed(seed: &Seed) -> Result<Self, HdError> {
        let node = Node::master(seed)?;
        Ok(Self::new(Place::MASTER, node.chain_code, node.key))
    }

    /// Derives the descendant at `path`, which starts at this key.
    ///
    /// # Errors
    /// If the depth would exceed 255, or if there is no key at an index: one in 2^127.
    pub fn derive(&self, path: &DerivationPath) -> Result<Self, HdError> {
        let [before @ .., last] = path.steps() else { return Ok(self.clone()) };
        let depth = usize::from(self.place.depth) + path.steps().len();
        let depth = u8::try_from(depth).map_err(|_| HdError::TooDeep)?;
        let mut node = Node { chain_code: self.chain_code.clone(), key: self.key.clone() };
        for step in before {
            node = node.child(*step, None)?.0;
        }
        node.leaf(*last, depth, &node.public_key())
    }

    /// Returns the public counterpart, with the same place in the tree.
    pub fn to_public(&self) -> ExtendedPublicKey {
        ExtendedPublicKey {
            place: self.place,
            chain_code: self.chain_code.0,
            key: self.public_key(),
        }
    }

    /// Returns the private key.
    pub fn secret_key(&self) -> &SecretKey {
        &self.key
    }

    /// Computes the public key.
    pub fn public_key(&self) -> PublicKey {
        let origin = self.origin.as_ref();
        let from_parent = origin.and_then(|it| tweak::add_public(&it.parent, &it.tweak.0));
        from_parent.unwrap_or_else(|| self.key.public_key())
    }

    /// Returns the number of steps from the master key.
    pub fn depth(&self) -> u8 {
        self.place.depth
    }

    fn new(place: Place, chain_code: ChainCode, key: SecretKey) -> Self {
        Self { place, chain_code, key, origin: None }
    }
}

impl PartialEq for ExtendedPrivateKey {
    fn eq(&self, other: &Self) -> bool {
        let chain_code = self.chain_code.0.ct_eq(&other.chain_code.0);
        let key = self.key.to_bytes().ct_eq(&*other.key.to_bytes());
        bool::from(chain_code & key) && self.place == other.place
    }
}

impl Eq for ExtendedPrivateKey {}

impl fmt::Debug for ExtendedPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtendedPrivateKey(depth {}, …)", self.place.depth)
    }
}

/// A public key with its chain code and its place in the tree.
///
/// Together with the private key of any plain (not hardened) descendant it reveals its own
/// private key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExtendedPublicKey {
    place: Place,
    chain_code: [u8; 32],
    key: PublicKey,
}

impl ExtendedPublicKey {
    /// Derives the descendant at `path`, which starts at this key.
    ///
    /// # Errors
    /// If a step is hardened, if the depth would exceed 255, or if there is no key at an index:
    /// one in 2^127.
    pub fn derive(&self, path: &DerivationPath) -> Result<Self, HdError> {
        path.steps().iter().try_fold(*self, |key, step| key.child(*step))
    }

    /// Returns the public key.
    pub fn public_key(&self) -> PublicKey {
        self.key
    }

    fn child(&self, index: ChildIndex) -> Result<Self, HdError> {
        if index.is_hardened() {
            return Err(HdError::HardenedFromPublic { index });
        }
        let depth = self.place.depth.checked_add(1).ok_or(HdError::TooDeep)?;
        let halves = kdf::hmac_sha512(
            &self.chain_code,
            &[&self.key.to_compressed(), &index.to_bits().to_be_bytes()],
        );
        let key =
            tweak::add_public(&self.key, &halves.left).ok_or(HdError::UnusableIndex { index })?;
        let place = Place { depth, parent: fingerprint(&self.key), index };
        Ok(Self { place, chain_code: halves.right, key })
    }
}

impl fmt::Debug for ExtendedPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtendedPublicKey({self})")
    }
}

/// 32 bytes from the HMAC, erased on drop: children are derived from the chain code and the key.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
struct ChainCode([u8; 32]);

/// The part of a key that derivation needs. The place in the tree is added only at the end of a
/// path, since a fingerprint costs a multiplication on the curve.
#[derive(Clone)]
struct Node {
    chain_code: ChainCode,
    key: SecretKey,
}

impl Node {
    fn master(seed: &Seed) -> Result<Self, HdError> {
        let halves = kdf::hmac_sha512(b"Bitcoin seed", &[seed.as_bytes()]);
        let key = SecretKey::from_bytes(&halves.left).map_err(|_| HdError::UnusableSeed)?;
        Ok(Self { chain_code: ChainCode(halves.right), key })
    }

    fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// Derives one step, and returns the tweak that was added to the key. `public` is the public
    /// key of this node, if it is known; plain steps compute it otherwise.
    fn child(
        &self,
        index: ChildIndex,
        public: Option<&PublicKey>,
    ) -> Result<(Self, ChainCode), HdError> {
        let halves = if index.is_hardened() {
            let mut data = Zeroizing::new([0; 33]);
            data[1..].copy_from_slice(&*self.key.to_bytes());
            self.hmac(&data, index)
        } else {
            let public = public.copied().unwrap_or_else(|| self.public_key());
            self.hmac(&public.to_compressed(), index)
        };
        let key =
            tweak::add_secret(&self.key, &halves.left).ok_or(HdError::UnusableIndex { index })?;
        Ok((Self { chain_code: ChainCode(halves.right), key }, ChainCode(halves.left)))
    }

    /// Derives the last step of a path, with its place. `public` is the public key of this node.
    fn leaf(
        &self,
        index: ChildIndex,
        depth: u8,
        public: &PublicKey,
    ) -> Result<ExtendedPrivateKey, HdError> {
        let (Self { chain_code, key }, tweak) = self.child(index, Some(public))?;
        let place = Place { depth, parent: fingerprint(public), index };
        // The tweak of a hardened step is secret: it must not enter variable-time arithmetic.
        let origin = (!index.is_hardened()).then_some(Origin { parent: *public, tweak });
        Ok(ExtendedPrivateKey { place, chain_code, key, origin })
    }

    fn hmac(&self, key: &[u8; 33], index: ChildIndex) -> Halves {
        kdf::hmac_sha512(&self.chain_code.0, &[key, &index.to_bits().to_be_bytes()])
    }
}

fn fingerprint(key: &PublicKey) -> Fingerprint {
    let [a, b, c, d, ..] = hash::hash160(&key.to_compressed());
    [a, b, c, d]
}
