//! A devp2p connection, from Hello on.
//!
//! [`peer`] is sans-IO: bytes and the time go in, bytes and events come out. Only [`stream`] knows
//! a socket, a clock and the runtime. States are types: the handshake's
//! [`Secrets`](statuskit_core::devp2p::handshake::Secrets) become a [`Greeting`](peer::Greeting),
//! and this a [`Connection`].

pub mod peer;
pub mod stream;

pub use peer::{Connection, Incoming, P2pConfig, P2pError, P2pLimits};
pub use stream::{PeerStream, StreamError};
