//! The Status client protocols, as specified in March 2020: a library, and the tools on top of it.
//!
//! # The map from the specifications to the modules
//!
//! | layer | specification | module |
//! | --- | --- | --- |
//! | a program that talks: peers, conversations, states on disk | Status, "Client" | `client` |
//! | mailservers: archives, the service, asking them | Status, "Mailserver" | [`mailserver`] |
//! | a running node: peers, pool, forwarding | EIP-627; Status, "Whisper usage" | `net` |
//! | public chats, key rings, messengers | Status, "Client" | [`chat`] |
//! | payloads: wrapper, every message, checks, group chats | Status, "Payloads" | [`payload`] |
//! | secure transport: bundles, X3DH, double ratchet, sessions | Status, "Secure transport" | [`secure`] |
//! | data sync: messages are repeated until they are acknowledged | vac.dev, MVDS | [`sync`] |
//! | packets of the network | EIP-627; Status, "Whisper usage" | [`wire`] |
//! | envelopes, topics, bloom filters, proof of work | EIP-627; Status, "Whisper usage" | [`envelope`] |
//! | accounts: phrases, key trees, key files, names, identicons | BIP39, BIP32, EIP-1581; Status, "Account" | [`account`] |
//! | Ethereum standards | EIP-55, EIP-191, EIP-1581 | [`eip`] |
//! | RLPx handshake, frames, Hello, capabilities | devp2p, "RLPx", EIP-8, EIP-706 | [`devp2p`] |
//! | keys, ECIES, Keccak, key derivation | SEC 1, SEC 2, RFC 8018, FIPS 197 | [`crypto`] |
//! | recursive length prefix | Ethereum yellow paper, appendix B | [`rlp`] |
//!
//! # What holds them together
//!
//! Codecs are pure: bytes in, a typed value or a typed error out, and back to the same bytes.
//! Time and randomness are arguments, never read inside, so that whatever is made can be made
//! again. What comes from outside is bounded, and never makes anything here panic.
//!
//! ```
//! use statuskit::{chat::PublicChat, crypto::seeded_rng, envelope::{Draft, Opener, Recipient, seal}};
//!
//! let chat = PublicChat::new("status");
//! let draft = Draft { topic: chat.topic, now: 1_585_500_000, ttl: 15, payload: b"hi", signer: None };
//! let envelope = seal::seal(&draft, Recipient::Sym(&chat.key), &mut seeded_rng("docs"))?;
//! let message = seal::open(&envelope, Opener::Sym(&chat.key))?;
//! assert_eq!(message.payload, b"hi");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

pub use statuskit_core::*;

#[cfg(feature = "client")]
pub use statuskit_client as client;
#[cfg(feature = "net")]
pub use statuskit_net as net;

/// The example of the README is run, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
