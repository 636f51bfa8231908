//! JSON-RPC of a node, as status-go v0.50.2 speaks it, over HTTP, WebSocket and IPC.
//!
//! | what | where |
//! | --- | --- |
//! | the table of methods | [`methods`](fn@methods), [`MISSING`] |
//! | a server beside a running node | [`Server`] |
//! | JSON as Go reads and writes it | `json` |
//! | requests taken apart, answers put together | `request` |
//! | keys and filters of clients, in memory only | `keys`, `filters` |
//! | what the methods do | `api` |
//! | HTTP, WebSocket, IPC, and their limits | `serve` |

#![deny(unsafe_code)]

mod api;
mod client;
mod error;
mod filters;
mod goenode;
mod json;
mod keys;
mod methods;
mod request;
mod serve;
mod server;

pub use api::{Flavour, REFERENCE_NAME};
pub use client::{Client, ClientError, Notification, Target};
pub use error::RpcError;
pub use methods::{MISSING, Method, Missing, NAMESPACES, methods};
pub use serve::{ServeError, Token};
pub use server::{Server, Settings};

/// Returns what the codes of this crate's errors mean.
pub fn explanations() -> impl Iterator<Item = &'static statuskit_core::explain::Explanation> {
    [ClientError::EXPLANATIONS, ServeError::EXPLANATIONS].into_iter().flatten()
}

/// Reads a request as the server does, for fuzzing: returns the number of its messages.
#[doc(hidden)]
pub fn read_request(text: &[u8]) -> usize {
    let Ok(json::scan::First::Value(value)) = json::scan::first(text) else { return 0 };
    let count = |message: request::Message<'_>| {
        let params = request::Params::new(message.params);
        let _ = (message.kind(), message.id(), params.map(request::Params::end));
    };
    match request::batch(value) {
        Some(messages) => messages.map(count).count(),
        None => {
            count(request::Message::read(value));
            1
        }
    }
}
