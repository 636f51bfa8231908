//! The Status client protocols, as specified in March 2020: a library, and the tools on top of it.
//!
//! # The map from the specifications to the modules
//!
//! | layer | specification | module |
//! | --- | --- | --- |
//! | a program that talks: peers, messages, history, the state on disk | Status, "Client" | `client` |
//! | mailservers: requests, archives, the service | Status, "Mailserver" | [`mailserver`] |
//! | a running node: peers, pool, forwarding | EIP-627; Status, "Whisper usage" | `node` |
//! | public chats, key rings, messengers | Status, "Client" | [`chat`] |
//! | payloads: wrapper, every message, checks, group chats | Status, "Payloads" | [`payload`] |
//! | secure transport: bundles, X3DH, double ratchet, sessions | Status, "Secure transport" | [`secure`] |
//! | data sync: messages are repeated until they are acknowledged | vac.dev, MVDS | [`sync`] |
//! | packets of the network: Whisper, Waku | EIP-627; Status, "Whisper usage"; Vac, "Waku" | [`wire`] |
//! | envelopes, topics, bloom filters, proof of work | EIP-627; Status, "Whisper usage" | [`envelope`] |
//! | accounts: phrases, key trees, key files, names, identicons | BIP39, BIP32, EIP-1581; Status, "Account" | [`account`] |
//! | Ethereum standards: contract calls, transactions, signed data | EIP-20, EIP-155, EIP-165, EIP-191, EIP-712, EIP-721 | [`eip`] |
//! | RLPx handshake, frames, Hello, node URLs | devp2p, "RLPx", EIP-8, EIP-706 | [`devp2p`] |
//! | discovery at work: finding peers by topic | go-ethereum 1.9 | `finding` |
//! | discovery: packets, node records, topics | go-ethereum 1.9, discv4, EIP-8, EIP-778 | [`discovery`] |
//! | any bytes: what they are, layer by layer | all of the above | `inspect` |
//! | keys and hashes | SEC 1, SEC 2, FIPS 202 | [`crypto`] |
//! | points of time: UNIX seconds and milliseconds | | [`time`] |
//! | recursive length prefix | Ethereum yellow paper, appendix B | [`rlp`] |
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | (none) | the codecs and state machines: no runtime, no sockets, no files |
//! | `eip` | the rest of [`eip`]: contract calls, transactions, typed data |
//! | `net` | `node`, `finding` |
//! | `mailserver` | the service and the client of [`mailserver`]; `lmdb`, `postgres` and `tls` add its archives |
//! | `inspect` | `inspect` |
//! | `client` | `client` |
//! | `tools` (default) | the command-line tools, and all of the above but `tls` |
//!
//! # What holds them together
//!
//! Codecs are pure: bytes in, a typed value or a typed error out, and back to the same bytes.
//! Time and randomness are arguments, never read inside, so that whatever is made can be made
//! again. What comes from outside is bounded, and never makes anything here panic.
//!
//! ```
//! use statuskit::{chat::PublicChat, crypto::seeded_rng, envelope::{Draft, Opener, Recipient, open, seal}, time::UnixSeconds};
//!
//! let chat = PublicChat::new("status");
//! let draft = Draft { topic: chat.topic, now: UnixSeconds(1_585_500_000), ttl: 15, payload: b"hi", signer: None };
//! let envelope = seal(&draft, Recipient::Sym(&chat.key), &mut seeded_rng("docs"))?;
//! let message = open(&envelope, Opener::Sym(&chat.key))?;
//! assert_eq!(message.payload, b"hi");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

/// Accounts: phrases, key trees, chat keys, key files, names.
pub mod account {
    pub use statuskit_core::account::{
        Address, AddressError, Base, Card, ChatKeyError, ChildIndex, ContactCode, DerivationPath,
        Deriver, ExtendedPrivateKey, ExtendedPublicKey, HdError, Identicon, Identity, ImportError,
        Imported, InstallationId, KeyFile, KeyUid, KeystoreError, Language, Limits, LinkError,
        Mnemonic, MnemonicError, Multiaccount, Nonces, OpenedKey, PathError, Qr, QrError,
        ScryptCost, Seed, ShareLink, ThreeWordName, WordCount, mobile_password, parse_chat_key,
    };
}

/// Conversations: public chats, key rings, messengers, and composing without a state.
pub mod chat {
    pub use statuskit_core::chat::{
        ComposeError, ComposeOptions, Composed, Composer, Content, Destination, KeyRing,
        KeyRingError, KeySource, Opened, POW_TARGET, PublicChat, ReceivedMessage, TTL,
        messenger::{
            ChatError, GivenUp, Incoming, Messenger, MessengerEvent, Outcome, Post, PostKind,
            ReceivedPayload, Sent, Subscription, Ticked, UnreadReason,
        },
    };
}

/// Keys and hashes.
pub mod crypto {
    pub use statuskit_core::crypto::{
        KeyError, PublicKey, SecretKey, SharedSecret, Signature, keccak256, seeded_rng,
    };
}

/// devp2p: node URLs, the RLPx handshake, frames, Hello.
pub mod devp2p {
    pub use statuskit_core::devp2p::{
        Capability, DisconnectReason, Enode, Hello, Host, NodeId, Protocol, SharedProtocol,
        handshake::{Initiator, Secrets},
    };
}

/// Discovery: packets of legacy v5 and of v4, node records, topics, which addresses to believe.
pub mod discovery {
    pub use statuskit_core::discovery::{
        BootnodeUrl, Datagram, DatagramError, Endpoint, Extra, FindNode, MAX_DATAGRAM, MAX_NODES,
        Multiaddr, Neighbors, NodeEntry, NodeKey, NodeUrl, PacketHash, PeerId, Received, Record,
        RecordBuilder, RecordError, RelayError, TopicListHash, TopicName, UnverifiedRecord,
        distance, libp2p, relay, rendezvous, topic, v4, v5,
    };
    #[cfg(feature = "net")]
    pub use statuskit_net::discovery::rendezvous::{
        Agent as RendezvousAgent, AgentConfig as RendezvousConfig, Client as RendezvousClient,
        Server as RendezvousServer, ServerConfig as RendezvousServerConfig,
    };
}

/// Ethereum standards; with the feature `eip`, all of them.
pub mod eip {
    pub use statuskit_core::eip::eip191::{PersonalError, PersonalSignature};
    #[cfg(feature = "eip")]
    pub use statuskit_eip::{
        U256, abi, eip20, eip137, eip155, eip165, eip181, eip191, eip681, eip712, eip831, eip1193,
        eip1577, icap, known, number,
    };
}

/// Envelopes: topics, sealing and opening, proof of work, and what peers check.
pub mod envelope {
    pub use statuskit_core::envelope::{
        Bloom, Draft, Envelope, EnvelopeHash, Message, MessageError, OpenError, Opener, Padding,
        Recipient, Rules, SymKey, Topic, Verdict,
        check::{Check, checks, verdict},
        pow::{MineOptions, MinedEnvelope, TargetError, mine_envelope, target_bits},
        seal::{open, seal, seal_padded},
    };
}

/// Bytes taken apart, layer by layer.
#[cfg(feature = "inspect")]
pub mod inspect {
    pub use statuskit_inspect::{
        Buffer, Candidate, Certainty, Check, Field, InspectError, Inspection, KINDS, Keys, Layer,
        Options, Stop, inspect, inspect_text,
    };
}

/// Mailservers: requests and answers; with the feature `mailserver`, the service, its archives and
/// its client.
pub mod mailserver {
    pub use statuskit_core::mailserver::{
        Access, ArchiveKey, Cursor, CursorError, Form, Position, Reply, Request, RequestError,
        SealError,
    };
    #[cfg(feature = "lmdb")]
    pub use statuskit_mailserver::archive::EmbeddedArchive;
    #[cfg(feature = "postgres")]
    pub use statuskit_mailserver::archive::PostgresArchive;
    #[cfg(feature = "mailserver")]
    pub use statuskit_mailserver::{
        Archive, ArchiveError, Client, ClientConfig, ClientError, Mailserver, MailserverConfig,
        MailserverEvent, MailserverStats, Server, ServerConfig,
        archive::{MemoryArchive, Order, Query, Record, Select},
        client::{History, HistoryItem, HistoryQuery},
    };
}

/// Payloads: the wrapper, every message, the checks, groups.
pub mod payload {
    pub use statuskit_core::payload::{
        MessageId, PayloadError, PayloadMessage, PayloadType, Wrapper,
        check::{Receipt, Rejection, check},
        group::{Change, Group, GroupState},
        matching::Chat,
        proto,
    };
}

/// Bytes as they stand in logs, dumps, documents and sources of programs.
pub mod reader {
    pub use statuskit_core::reader::{
        Content, Encoding, Item, Problem, ReadError, Reader, Reading, Wants, read_all,
    };
}

/// Recursive length prefix.
pub mod rlp {
    pub use statuskit_core::rlp::{
        Item, Reader, RlpError, RlpErrorKind, put_bytes, put_list, put_u64,
    };
}

/// The secure transport: devices, sessions, and where their state is kept.
pub mod secure {
    pub use statuskit_core::secure::{
        BundleError, BundleId, CompressedKey, Confirmation, DecryptError, Decrypted,
        DecryptedContent, Device, DeviceMessage, EncryptedMessage, EncryptionKind, Installation,
        MemoryStore, NegotiatedSecret, ProtocolMessage, SecureError, SessionId, SessionState,
        Store, StoreError, Timestamp, VerifiedBundle,
    };
}

/// Data sync (MVDS).
pub mod sync {
    pub use statuskit_core::sync::{
        GroupId, SyncError, SyncMessage, SyncMessageId, SyncPayload, TICK_MS,
    };
}

/// Points of time.
pub mod time {
    pub use statuskit_core::time::{UnixMillis, UnixSeconds};
}

/// The packets of the network.
pub mod wire {
    pub use statuskit_core::wire::{
        Dialect, Network, Packet, PacketError, RateLimits, Status, waku,
    };
}

/// A running node.
#[cfg(feature = "net")]
pub mod node {
    pub use statuskit_net::node::{
        BridgeConfig, BridgeStats, Clock, ClockOffset, ConnectError, ConnectionId, EndReason,
        Event, Handle, Interest, Node, NodeConfig, NodeLimits, PeerError, PeerInfo, PeerOptions,
        PeerState, PeerSummary, PooledEnvelope, RateLimit, SendError, Sent, Service, ServiceConfig,
        ServiceError, Stats, Subscription, Watch, Watched, Way, WayStats,
    };
}

/// Peers by topic: discovery at work, and the pool of what it finds.
#[cfg(feature = "net")]
pub mod finding {
    pub use statuskit_net::discovery::{Discovery, Finder, FinderConfig, Handle, pool, v4, v5};
}

/// A program that talks: peers, messages, history, and the state on disk.
#[cfg(feature = "client")]
pub mod client {
    pub use statuskit_client::{
        Builder, Client, ClientError, Contents, Delivery, DeliveryError, DeliveryState, Event,
        HistoryEvent, HistorySource, Holder, HolderError, MiningProgress, NoPeer, PeerDelivery,
        Peers, PostInfo, SendFailure, SendId, ShareError, SharedState, StartError, UnreadMessage,
        state::DiskStore,
    };
}

/// The examples of the README are run, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
