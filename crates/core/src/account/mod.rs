//! Accounts and identities: everything that a Status account is, and the forms it travels in.
//!
//! ```text
//! phrase ── seed ── master key ─┬─ m/43'/60'/1581'/0'/0 ── chat key ─┬─ 0x04…, zQ3sh…, link, QR
//! (BIP39)   (PBKDF2)  (BIP32)   ├─ m/44'/60'/0'/0/… ── wallets       ├─ three-word name
//!                               └─ key UID, address                  ├─ identicon
//!                                        key files (web3 v3)         └─ contact code
//! ```
//!
//! | what | where | source |
//! | --- | --- | --- |
//! | phrases | [`mnemonic`], [`seed`] | BIP39 |
//! | keys and paths | [`hd`], [`path`] | BIP32, BIP44, EIP-1581 |
//! | addresses, key UIDs | [`address`] | EIP-55; Status, "Account" |
//! | texts of chat keys | [`chat_key`], [`multibase`], [`link`] | Status, "Account"; multicodec |
//! | key files | [`keystore`] | web3 secret storage |
//! | names and pictures | [`name`], [`identicon`], [`qr`] | Status, "Account" |
//! | the record of an account | [`multiaccount`], [`installation`], [`contact`] | Status, "Account" |
//! | telling inputs apart | [`import`] | |
//! | signatures | [`sign`] | EIP-191 |
//! | searching for a name or key | [`vanity`] | |
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

pub mod address;
pub mod chat_key;
pub mod contact;
pub mod hd;
pub mod identicon;
pub mod import;
pub mod installation;
pub mod keystore;
pub mod link;
pub mod mnemonic;
pub mod multiaccount;
pub mod multibase;
pub mod name;
mod nearest;
pub mod path;
pub mod qr;
pub mod seed;
pub mod sign;
pub mod vanity;

pub use address::{Address, AddressError, KeyUid};
pub use chat_key::{ChatKeyError, parse_chat_key};
pub use contact::ContactCode;
pub use hd::{Deriver, ExtendedPrivateKey, ExtendedPublicKey, HdError};
pub use identicon::Identicon;
pub use import::{ImportError, Imported, Unlocked};
pub use installation::{InstallationId, Uuid};
pub use keystore::{
    KeyFile, KeystoreError, Limits, Nonces, OpenedKey, ScryptCost, mobile_password,
};
pub use link::{LinkError, ShareLink};
pub use mnemonic::{Language, Mnemonic, MnemonicError, WordCount};
pub use multiaccount::{Card, Multiaccount};
pub use multibase::Base;
pub use name::ThreeWordName;
pub use path::{ChildIndex, DerivationPath, PathError};
pub use qr::{Qr, QrError};
pub use seed::Seed;

/// The beginning of a text, for messages.
fn excerpt(text: &str) -> String {
    const MOST: usize = 48;
    let mut chars = text.chars();
    let mut excerpt: String = chars.by_ref().take(MOST).collect();
    if chars.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}
