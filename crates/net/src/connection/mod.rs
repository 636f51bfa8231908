//! A devp2p connection, from Hello on.
//!
//! `peer` is sans-IO: bytes and the time go in, bytes and messages come out. Only `stream` knows a
//! socket, a clock and the runtime. States are types: the handshake's
//! [`Secrets`](statuskit_core::devp2p::handshake::Secrets) become a `Greeting`, and this a
//! `Connection`.

mod peer;
mod stream;

pub use peer::{Incoming, KeyLog, P2pConfig, P2pError, P2pLimits};
pub use stream::{PeerStream, StreamError};
