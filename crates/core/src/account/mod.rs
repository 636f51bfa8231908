//! Accounts and identities: what a Status account consists of, and the forms it is stored in.
//!
//! ```text
//! phrase ── seed ── master key ─┬─ m/43'/60'/1581'/0'/0 ── chat key ─┬─ 0x04…, zQ3sh…, link, QR
//! (BIP39)   (PBKDF2)  (BIP32)   ├─ m/44'/60'/0'/0/… ── wallets       ├─ three-word name
//!                               └─ key UID, address                  ├─ identicon
//!                                        key files (web3 v3)         └─ contact code
//! ```
//!
//! | what | types | source |
//! | --- | --- | --- |
//! | phrases | [`Mnemonic`], [`Seed`] | BIP39 |
//! | keys and paths | [`ExtendedPrivateKey`], [`DerivationPath`] | BIP32, BIP44, EIP-1581 |
//! | addresses, key UIDs | [`Address`], [`KeyUid`] | EIP-55; Status, "Account" |
//! | texts of chat keys | [`parse_chat_key`], [`Base`], [`ShareLink`] | Status, "Account"; multicodec |
//! | key files | [`KeyFile`] | web3 secret storage |
//! | names and pictures (as PNG files with the feature `png`) | [`ThreeWordName`], [`Identicon`], [`Qr`] | Status, "Account" |
//! | accounts | [`Multiaccount`], [`Card`], [`InstallationId`], [`ContactCode`] | Status, "Account" |
//! | identities of any form | [`Imported`], [`Identity`] | |
//! | signatures | [`sign`] | EIP-191 |
//! | search for a name or key | [`vanity`] | |
//!
//! ```
//! use statuskit_core::account::{Card, Mnemonic, Multiaccount};
//!
//! let phrase: Mnemonic =
//!     "time spirit very trade door safe dragon rabbit position before garbage evidence".parse()?;
//! let card = Multiaccount::from_seed(&phrase.to_seed(""))?.card()?;
//! println!("{} {}", card.name, card.compact);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chat_key;
mod contact;
mod hd;
mod identicon;
mod import;
mod installation;
mod key_uid;
mod keystore;
mod link;
mod mnemonic;
mod multiaccount;
mod multibase;
mod name;
mod nearest;
mod path;
#[cfg(feature = "png")]
mod png;
mod qr;
mod seed;
pub mod sign;
pub mod vanity;

pub use crate::eip::{Address, AddressError};
pub use chat_key::{ChatKeyError, parse_chat_key, parse_compact, to_compact, to_multicodec};
pub use contact::ContactCode;
pub use hd::{Deriver, ExtendedPrivateKey, ExtendedPublicKey, HdError};
pub use identicon::Identicon;
pub use import::{AccountRecord, Form, Identity, ImportError, Imported, MAX_IMPORT};
pub use installation::{InstallationId, Uuid};
pub use key_uid::{KeyUid, KeyUidError};
pub use keystore::{
    Kdf, KeyFile, KeystoreError, Limits, Nonces, OpenedKey, ScryptCost, Version, file_name,
    mobile_password,
};
pub use link::{LinkError, ShareLink};
pub use mnemonic::{Language, Mnemonic, MnemonicError, WordCount};
pub use multiaccount::{Card, Multiaccount};
pub use multibase::Base;
pub use name::ThreeWordName;
pub use path::{ChildIndex, DerivationPath, PathError};
pub use qr::{Qr, QrError};
pub use seed::Seed;
