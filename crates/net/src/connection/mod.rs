//! A devp2p connection, from Hello on.
//!
//! [`peer`] is sans-IO: bytes and the time go in, bytes and events come out. Only [`stream`] knows
//! a socket, a clock and the runtime. States are types: the handshake's
//! [`Secrets`](statuskit_core::devp2p::handshake::Secrets) become a [`Greeting`](peer::Greeting),
//! and this a [`Connection`].

pub mod peer;
pub mod stream;

pub use peer::{Config, Connection, Event, Limits, PeerError};
pub use stream::{PeerStream, StreamError};
