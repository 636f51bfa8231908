//! The secure transport: what lets the devices of two users talk so that nobody else can read,
//! not even later, when keys get lost.
//!
//! The last holds for keys that are gone. A device lets go of each message key and of each chain
//! key that was used, but what it keeps them in may remember them for a while: see
//! a store on disk, and [`Store::wipe`] that ends it.
//!
//! | what | where |
//! | --- | --- |
//! | how a device can be written to: signed pre keys | [`bundle`] |
//! | the agreement that a session starts from | [`x3dh`] |
//! | the session: a key of its own for each message | [`ratchet`] |
//! | peers of whom no installation is known | [`dh`] |
//! | what travels | [`message`]; the protobuf code ([`proto`]) is generated from `proto/secure.proto` |
//! | the topic that two identities can use once they have agreed | [`negotiated`] |
//! | a device: all of it put together | [`device`] |
//! | where its state is kept | [`store`] |
//!
//! Source: Status, "Secure transport", with the behaviour of the reference (status-go v0.50.2):
//! keys are secp256k1 throughout, and 33 bytes long.

pub mod bundle;
pub mod device;
pub mod dh;
mod error;
pub mod key;
pub mod message;
pub mod negotiated;
#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod proto;
pub mod ratchet;
#[rustfmt::skip]
#[allow(missing_docs)]
mod schema;
pub mod store;
pub mod time;
pub mod x3dh;

pub use bundle::{BundleError, VerifiedBundle};
pub use device::{
    Confirmation, Content, Device, How, Installation, Outgoing, Part, Received, SessionId,
    SessionState, Work,
};
pub use error::{Refusal, SecureError};
pub use key::{BundleId, CompressedKey, KeyPair};
pub use message::{MessageError, ProtocolMessage};
pub use negotiated::NegotiatedSecret;
pub use store::{MemoryStore, Store, StoreError};
pub use time::Timestamp;
