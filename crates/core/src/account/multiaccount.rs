//! An account as the app keeps it: one seed, the keys that grow from it, and what the public
//! sees of them.

use std::fmt;

use rand::CryptoRng;

use super::{
    Address, DerivationPath, Deriver, ExtendedPrivateKey, HdError, Identicon, KeyUid, Language,
    Mnemonic, Seed, ShareLink, ThreeWordName, WordCount, chat_key, multibase::Base,
};
use crate::crypto::{PublicKey, SecretKey};

/// How many candidates the app offers when an account is made.
pub const CANDIDATES: usize = 5;

/// What everybody may know about a chat key. Everything is computed from the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    pub public_key: PublicKey,
    pub name: ThreeWordName,
    pub identicon: Identicon,
    pub address: Address,
    pub key_uid: KeyUid,
    /// `zQ3sh…`.
    pub compact: String,
}

impl Card {
    /// The card of a chat key.
    pub fn from_key(key: &PublicKey) -> Self {
        Self {
            public_key: *key,
            name: ThreeWordName::from_key(key),
            identicon: Identicon::from_key(key),
            address: Address::from_key(key),
            key_uid: KeyUid::from_key(key),
            compact: chat_key::to_compact(key, Base::BASE58),
        }
    }

    /// The link that leads to the owner of the key.
    pub fn link(&self) -> ShareLink {
        ShareLink::user(&self.public_key)
    }
}

/// An account with a seed.
#[derive(Clone)]
pub struct Multiaccount {
    deriver: Deriver,
}

impl Multiaccount {
    /// The account of a seed.
    pub fn from_seed(seed: &Seed) -> Result<Self, HdError> {
        Ok(Self::from_master(ExtendedPrivateKey::from_seed(seed)?))
    }

    /// The account of a master key.
    pub fn from_master(master: ExtendedPrivateKey) -> Self {
        Self { deriver: Deriver::new(master) }
    }

    /// `count` phrases with their accounts, for the user to choose one by its name. The app makes
    /// [`CANDIDATES`] of 12 English words, without a passphrase.
    pub fn candidates<R: CryptoRng + ?Sized>(
        rng: &mut R,
        count: usize,
        words: WordCount,
        language: Language,
    ) -> Vec<(Mnemonic, Self)> {
        let mut candidates = Vec::new();
        while candidates.len() < count {
            let phrase = Mnemonic::generate(rng, words, language);
            // A seed without a master key turns up once in 2^127.
            if let Ok(account) = Self::from_seed(&phrase.to_seed("")) {
                candidates.push((phrase, account));
            }
        }
        candidates
    }

    /// The master key.
    pub fn master(&self) -> &ExtendedPrivateKey {
        self.deriver.root()
    }

    /// The account's address: of the master key.
    pub fn address(&self) -> Address {
        Address::from_key(&self.master().public_key())
    }

    /// The account's key UID: of the master key.
    pub fn key_uid(&self) -> KeyUid {
        KeyUid::from_key(&self.master().public_key())
    }

    /// The key at a path.
    pub fn derive(&mut self, path: &DerivationPath) -> Result<ExtendedPrivateKey, HdError> {
        self.deriver.derive(path)
    }

    /// The chat key.
    pub fn chat_key(&mut self) -> Result<SecretKey, HdError> {
        Ok(self.derive(&DerivationPath::CHAT)?.secret_key().clone())
    }

    /// What the public sees: the card of the chat key.
    pub fn card(&mut self) -> Result<Card, HdError> {
        Ok(Card::from_key(&self.chat_key()?.public_key()))
    }

    /// The address of the EIP-1581 root as old apps stored it (`eip1581-address`): that of
    /// `m/43'/60'`, because of the reference's path parser.
    pub fn reference_eip1581_address(&mut self) -> Result<Address, HdError> {
        let key = self.derive(&DerivationPath::EIP1581_ROOT_OF_REFERENCE)?;
        Ok(Address::from_key(&key.public_key()))
    }

    /// The paths whose keys the app stores when an account is made: wallet root, EIP-1581 root
    /// (with the reference's defect, `m/43'/60'`), chat key, first wallet account. The master
    /// key is not stored.
    pub fn stored_paths(like_reference: bool) -> [DerivationPath; 4] {
        let root = if like_reference {
            DerivationPath::EIP1581_ROOT_OF_REFERENCE
        } else {
            DerivationPath::EIP1581_ROOT
        };
        [DerivationPath::WALLET_ROOT, root, DerivationPath::CHAT, DerivationPath::WALLET]
    }
}

impl fmt::Debug for Multiaccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Multiaccount(…)")
    }
}
