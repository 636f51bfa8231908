//! The tree of keys (BIP32): derivation from private and from public keys.
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
//! The text forms `xprv…` and `xpub…` are in `hd/text.rs`; [`Deriver`] remembers the nodes on the
//! way for callers that need many keys of one tree.

mod deriver;
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

/// What is wrong with a seed, an extended key, or a step from one to the next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HdError {
    /// BIP32 takes 16 to 64 bytes.
    #[error("a seed has 16 to 64 bytes, not {got}")]
    SeedLength { got: usize },
    /// The seed leads to a master key outside the group: one in 2^127.
    #[error("this seed has no master key; use another one")]
    UnusableSeed,
    /// The index leads to a key outside the group: one in 2^127.
    #[error("there is no key at index {index}; use the next one")]
    UnusableIndex { index: ChildIndex },
    /// A step that only private keys can do.
    #[error("{index} is hardened: that needs the private key (xprv…), not the public one")]
    HardenedFromPublic { index: ChildIndex },
    /// 255 levels are what the format can count.
    #[error("a key at depth 255 has no children: the format can't count further")]
    TooDeep,
    /// A text that is no extended key at all.
    #[error("the extended key is malformed: {0}")]
    Text(&'static str),
    /// A character that base58 does not have.
    #[error("character {at} of the extended key is not of base58")]
    Base58 {
        /// Counted from 1.
        at: usize,
    },
    /// Some character is wrong.
    #[error("the checksum of the extended key does not match: a character is wrong or missing")]
    Checksum,
    /// Another network's, or another scheme's.
    #[error(
        "version {got:#010x} of the extended key is unknown; expected 0x0488ade4 (xprv) or \
         0x0488b21e (xpub)"
    )]
    Version { got: u32 },
    /// The private form where the public one was expected, or the other way round.
    #[error("expected an extended {expected} key, got an extended {got} one")]
    Kind { expected: &'static str, got: &'static str },
    /// A master key that says that it has a parent.
    #[error("the extended key has depth 0 and yet a parent or an index")]
    MasterWithParent,
    /// The key inside is not a key.
    #[error("the key inside the extended key is invalid: {0}")]
    Key(#[from] crate::crypto::KeyError),
}

impl HdError {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SeedLength { .. } => "hd.seed_length",
            Self::UnusableSeed => "hd.seed_unusable",
            Self::UnusableIndex { .. } => "hd.index_unusable",
            Self::HardenedFromPublic { .. } => "hd.hardened_from_public",
            Self::TooDeep => "hd.depth",
            Self::Text(_) => "hd.text",
            Self::Base58 { .. } => "hd.base58",
            Self::Checksum => "hd.checksum",
            Self::Version { .. } => "hd.version",
            Self::Kind { .. } => "hd.kind",
            Self::MasterWithParent => "hd.master",
            Self::Key(_) => "hd.key",
        }
    }
}

/// The first four bytes of the hash by which BIP32 names a key; zeros above a master key.
pub type Fingerprint = [u8; 4];

/// Where a key stands in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    depth: u8,
    parent: Fingerprint,
    index: ChildIndex,
}

impl Place {
    const MASTER: Self = Self { depth: 0, parent: [0; 4], index: ChildIndex::from_bits(0) };
}

/// A private key with its chain code and its place in the tree. Erased on drop; compared in
/// constant time.
#[derive(Clone)]
pub struct ExtendedPrivateKey {
    place: Place,
    chain_code: ChainCode,
    key: SecretKey,
    origin: Option<Origin>,
}

/// Where a plain (not hardened) key came from: its public key is the parent's plus this multiple
/// of the generator, which is cheaper than starting afresh. Nothing here is more secret than the
/// parent's extended public key.
#[derive(Clone)]
struct Origin {
    parent: PublicKey,
    tweak: ChainCode,
}

impl ExtendedPrivateKey {
    /// The master key of a seed.
    pub fn from_seed(seed: &Seed) -> Result<Self, HdError> {
        let node = Node::master(seed)?;
        Ok(Self::new(Place::MASTER, node.chain_code, node.key))
    }

    /// The child at `index`.
    pub fn child(&self, index: ChildIndex) -> Result<Self, HdError> {
        self.derive_steps(&[index])
    }

    /// The descendant at the end of `path`, which starts at this key.
    pub fn derive(&self, path: &DerivationPath) -> Result<Self, HdError> {
        self.derive_steps(path.steps())
    }

    /// The public counterpart, with the same place in the tree.
    pub fn to_public(&self) -> ExtendedPublicKey {
        ExtendedPublicKey {
            place: self.place,
            chain_code: self.chain_code.0,
            key: self.public_key(),
        }
    }

    /// The private key.
    pub fn secret_key(&self) -> &SecretKey {
        &self.key
    }

    /// The public key. Computed at every call.
    pub fn public_key(&self) -> PublicKey {
        let origin = self.origin.as_ref();
        let from_parent = origin.and_then(|it| tweak::add_public(&it.parent, &it.tweak.0));
        from_parent.unwrap_or_else(|| self.key.public_key())
    }

    /// Steps from the master key.
    pub fn depth(&self) -> u8 {
        self.place.depth
    }

    /// The last step.
    pub fn index(&self) -> ChildIndex {
        self.place.index
    }

    /// The parent's fingerprint; zeros for a master key.
    pub fn parent_fingerprint(&self) -> Fingerprint {
        self.place.parent
    }

    /// The fingerprint of this key.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.public_key())
    }

    fn new(place: Place, chain_code: ChainCode, key: SecretKey) -> Self {
        Self { place, chain_code, key, origin: None }
    }

    fn derive_steps(&self, steps: &[ChildIndex]) -> Result<Self, HdError> {
        let [before @ .., last] = steps else { return Ok(self.clone()) };
        let depth = usize::from(self.place.depth) + steps.len();
        let depth = u8::try_from(depth).map_err(|_| HdError::TooDeep)?;
        let mut node = Node { chain_code: self.chain_code.clone(), key: self.key.clone() };
        for step in before {
            node = node.child(*step, None)?.0;
        }
        node.leaf(*last, depth, &node.public_key())
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

/// A public key with its chain code and its place in the tree. Together with the private key of
/// any of its plain (not hardened) descendants it gives its own private key away.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExtendedPublicKey {
    place: Place,
    chain_code: [u8; 32],
    key: PublicKey,
}

impl ExtendedPublicKey {
    /// The child at `index`, which must not be hardened.
    pub fn child(&self, index: ChildIndex) -> Result<Self, HdError> {
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

    /// The descendant at the end of `path`, which starts at this key and has no hardened step.
    pub fn derive(&self, path: &DerivationPath) -> Result<Self, HdError> {
        path.steps().iter().try_fold(*self, |key, step| key.child(*step))
    }

    /// The public key.
    pub fn public_key(&self) -> PublicKey {
        self.key
    }

    /// Steps from the master key.
    pub fn depth(&self) -> u8 {
        self.place.depth
    }

    /// The last step.
    pub fn index(&self) -> ChildIndex {
        self.place.index
    }

    /// The parent's fingerprint; zeros for a master key.
    pub fn parent_fingerprint(&self) -> Fingerprint {
        self.place.parent
    }

    /// The fingerprint of this key.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.key)
    }
}

impl fmt::Debug for ExtendedPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtendedPublicKey({self})")
    }
}

/// 32 bytes from the HMAC, erased on drop: a chain code is half of what the children are made of.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
struct ChainCode([u8; 32]);

/// What derivation needs of a key; the place in the tree is added where it is asked for, since a
/// fingerprint costs a multiplication on the curve.
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

    /// One step, and by how much the key went up. `public` is this node's own public key, for
    /// callers that know it already; plain steps compute it otherwise.
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

    /// The last step, to a key that knows its place. `public` is this node's own public key.
    fn leaf(
        &self,
        index: ChildIndex,
        depth: u8,
        public: &PublicKey,
    ) -> Result<ExtendedPrivateKey, HdError> {
        let (Self { chain_code, key }, tweak) = self.child(index, Some(public))?;
        let place = Place { depth, parent: fingerprint(public), index };
        // A hardened step's tweak is a secret: it stays out of arithmetic that takes more or
        // less time depending on it.
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
