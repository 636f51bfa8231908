//! Accounts as the app stores them: a seed, its keys, and their public part.

use std::fmt;

use rand::CryptoRng;

use super::{
    Address, DerivationPath, Deriver, ExtendedPrivateKey, HdError, Identicon, KeyUid, Language,
    Mnemonic, Seed, ShareLink, ThreeWordName, WordCount, chat_key, multibase::Base,
};
use crate::crypto::{PublicKey, SecretKey};

/// The public part of a chat key: everything that is computed from it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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
    /// Computes the card of a chat key.
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

    /// Returns a share link to the owner of the key.
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
    /// Derives the account of a seed.
    ///
    /// # Errors
    /// If the seed has no master key: one in 2^127.
    pub fn from_seed(seed: &Seed) -> Result<Self, HdError> {
        Ok(Self { deriver: Deriver::new(ExtendedPrivateKey::from_seed(seed)?) })
    }

    /// Generates `count` phrases with their accounts, for the user to choose one by its name.
    ///
    /// The app offers five, of 12 English words and without a passphrase.
    pub fn candidates<R: CryptoRng + ?Sized>(
        rng: &mut R,
        count: usize,
        words: WordCount,
        language: Language,
    ) -> Vec<(Mnemonic, Self)> {
        let mut candidates = Vec::new();
        while candidates.len() < count {
            let phrase = Mnemonic::generate(rng, words, language);
            // One seed in 2^127 has no master key.
            if let Ok(account) = Self::from_seed(&phrase.to_seed("")) {
                candidates.push((phrase, account));
            }
        }
        candidates
    }

    /// Returns the master key.
    pub fn master(&self) -> &ExtendedPrivateKey {
        self.deriver.root()
    }

    /// Returns the account's address, which is that of the master key.
    pub fn address(&self) -> Address {
        Address::from_key(&self.master().public_key())
    }

    /// Returns the account's key UID, which is that of the master key.
    pub fn key_uid(&self) -> KeyUid {
        KeyUid::from_key(&self.master().public_key())
    }

    /// Derives the key at a path.
    ///
    /// # Errors
    /// If there is no key at an index: one in 2^127.
    pub fn derive(&mut self, path: &DerivationPath) -> Result<ExtendedPrivateKey, HdError> {
        self.deriver.derive(path)
    }

    /// Derives the chat key.
    ///
    /// # Errors
    /// If there is no key at an index: one in 2^127.
    pub fn chat_key(&mut self) -> Result<SecretKey, HdError> {
        Ok(self.derive(&DerivationPath::CHAT)?.secret_key().clone())
    }

    /// Computes the card of the chat key.
    ///
    /// # Errors
    /// If there is no key at an index: one in 2^127.
    pub fn card(&mut self) -> Result<Card, HdError> {
        Ok(Card::from_key(&self.chat_key()?.public_key()))
    }

    /// Returns the paths of the keys that the app stores for a new account: wallet root, EIP-1581
    /// root, chat key and first wallet account. The master key is not stored.
    ///
    /// `like_reference`: the EIP-1581 root is `m/43'/60'`, because of the reference's path parser.
    pub fn stored_paths(like_reference: bool) -> [DerivationPath; 4] {
        let root = if like_reference {
            DerivationPath::EIP1581_ROOT_OF_REFERENCE
        } else {
            DerivationPath::EIP1581_ROOT
        };
        [DerivationPath::WALLET_ROOT, root, DerivationPath::CHAT, DerivationPath::WALLET]
    }

    /// Returns the address of the EIP-1581 root as old apps stored it (`eip1581-address`): that of
    /// `m/43'/60'`, because of the reference's path parser.
    ///
    /// # Errors
    /// If there is no key at an index: one in 2^127.
    pub fn reference_eip1581_address(&mut self) -> Result<Address, HdError> {
        let key = self.derive(&DerivationPath::EIP1581_ROOT_OF_REFERENCE)?;
        Ok(Address::from_key(&key.public_key()))
    }
}

impl fmt::Debug for Multiaccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Multiaccount(…)")
    }
}
