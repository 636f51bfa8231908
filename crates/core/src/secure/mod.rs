//! The secure transport: end-to-end encryption between the devices of users, with forward secrecy.
//!
//! Forward secrecy holds for deleted keys. A device deletes each used chain key, and each message
//! key once the message is confirmed. A store on disk may still hold remains of them for a while;
//! [`Store::wipe`] overwrites these.
//!
//! | what | where |
//! | --- | --- |
//! | signed prekeys, which others need to start sessions | [`bundle`] |
//! | the key agreement that starts a session | [`x3dh`] |
//! | the double ratchet: a new key for each message | [`ratchet`] |
//! | keys of messages that were skipped, or not confirmed yet | [`stored_keys`] |
//! | the fallback without a session | [`dh`] |
//! | the wire format | `message`; [`proto`] is generated from `proto/secure.proto` |
//! | the topic of two identities that have agreed on it | `negotiated` |
//! | a device: all of the above together | [`device`] |
//! | its storage | [`store`] |
//!
//! Source: Status, "Secure transport", with the behaviour of the reference (status-go v0.50.2):
//! all keys are secp256k1, and public keys have 33 bytes.

pub mod bundle;
pub mod device;
pub mod dh;
mod error;
mod key;
mod message;
mod negotiated;
#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod proto;
pub mod ratchet;
#[rustfmt::skip]
#[allow(missing_docs)]
pub mod schema;
pub mod store;
pub mod stored_keys;
mod time;
pub mod x3dh;

pub use bundle::{BundleError, VerifiedBundle};
pub use device::{
    Confirmation, Decrypted, DecryptedContent, Device, DeviceMessage, DeviceTransaction,
    EncryptedMessage, EncryptionKind, Installation, SessionId, SessionState, encrypt_to_identity,
};
pub use error::{DecryptError, SecureError};
pub use key::{BundleId, CompressedKey, KeyPair};
pub use message::{MessageError, ProtocolMessage};
pub use negotiated::NegotiatedSecret;
pub use store::{MemoryStore, Store, StoreError};
pub use time::Timestamp;
