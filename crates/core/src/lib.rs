//! The Status client protocols as pure code: bytes in, typed values or typed errors out, and back
//! to the same bytes.
//!
//! This crate uses no sockets, clocks, files or runtime. Time and randomness are arguments.
//!
//! A module imports only from the lines above its own (unit tests aside):
//!
//! ```text
//! explain
//! crypto  rlp  protobuf  time
//! eip  envelope  devp2p  sync
//! account  discovery  wire
//! mailserver  payload  secure
//! chat
//! ```

#![deny(unsafe_code)]

pub mod account;
mod bytes;
pub mod chat;
pub mod crypto;
pub mod devp2p;
pub mod discovery;
pub mod eip;
pub mod envelope;
pub mod explain;
#[cfg(test)]
mod foreign;
pub mod mailserver;
pub mod payload;
pub mod protobuf;
pub mod reader;
pub mod rlp;
pub mod secure;
pub mod sync;
pub mod text;
pub mod time;
pub mod wire;

/// Returns what the codes of this crate's errors mean.
pub fn explanations() -> impl Iterator<Item = &'static explain::Explanation> {
    [
        rlp::RlpErrorKind::EXPLANATIONS,
        protobuf::json::JsonError::EXPLANATIONS,
        envelope::Verdict::EXPLANATIONS,
        envelope::MessageError::EXPLANATIONS,
        envelope::OpenError::EXPLANATIONS,
        devp2p::enode::EnodeError::EXPLANATIONS,
        devp2p::handshake::HandshakeError::EXPLANATIONS,
        devp2p::frame::FrameError::EXPLANATIONS,
        devp2p::snappy::SnappyError::EXPLANATIONS,
        devp2p::base::HelloError::EXPLANATIONS,
        wire::PacketError::EXPLANATIONS,
        discovery::DatagramError::EXPLANATIONS,
        discovery::v5::TicketError::EXPLANATIONS,
        discovery::libp2p::MultiaddrError::EXPLANATIONS,
        discovery::libp2p::PeerIdError::EXPLANATIONS,
        discovery::relay::RelayError::EXPLANATIONS,
        discovery::record::RecordError::EXPLANATIONS,
        discovery::rendezvous::RendezvousError::EXPLANATIONS,
        eip::AddressError::EXPLANATIONS,
        eip::eip191::PersonalError::EXPLANATIONS,
        account::ImportError::EXPLANATIONS,
        account::KeyUidError::EXPLANATIONS,
        account::ChatKeyError::EXPLANATIONS,
        account::LinkError::EXPLANATIONS,
        account::HdError::EXPLANATIONS,
        account::KeystoreError::EXPLANATIONS,
        account::MnemonicError::EXPLANATIONS,
        account::PathError::EXPLANATIONS,
        account::QrError::EXPLANATIONS,
        account::sign::SignError::EXPLANATIONS,
        account::vanity::PatternError::EXPLANATIONS,
        mailserver::RequestError::EXPLANATIONS,
        mailserver::SealError::EXPLANATIONS,
        payload::PayloadError::EXPLANATIONS,
        payload::check::Rejection::EXPLANATIONS,
        payload::transaction::CommandError::EXPLANATIONS,
        payload::transaction::Invalid::EXPLANATIONS,
        payload::transaction::Incomparable::EXPLANATIONS,
        payload::group::EventError::EXPLANATIONS,
        payload::group::Denied::EXPLANATIONS,
        payload::group::BuildError::EXPLANATIONS,
        payload::group::UpdateError::EXPLANATIONS,
        payload::group::ChangeError::EXPLANATIONS,
        payload::matching::NoChat::EXPLANATIONS,
        sync::SyncError::<std::convert::Infallible>::EXPLANATIONS,
        secure::BundleError::EXPLANATIONS,
        secure::MessageError::EXPLANATIONS,
        secure::DecryptError::EXPLANATIONS,
        secure::SecureError::EXPLANATIONS,
        secure::ratchet::RatchetError::EXPLANATIONS,
        secure::StoreError::EXPLANATIONS,
        chat::ComposeError::EXPLANATIONS,
        chat::KeyRingError::EXPLANATIONS,
        chat::messenger::ChatError::EXPLANATIONS,
        chat::messenger::UnreadReason::EXPLANATIONS,
        reader::Problem::EXPLANATIONS,
    ]
    .into_iter()
    .flatten()
}
