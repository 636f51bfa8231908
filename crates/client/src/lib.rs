//! What programs that talk over the Status network need: peers, conversations, history, and the
//! state on disk.
//!
//! A [`Client`] is driven by its owner: [`Client::next`] does all the work there is to do and
//! returns the next [`Event`]. It can be dropped and called again at any time, so it fits a
//! `select!`. While nobody calls it, the node reads no more than it may hold from its peers:
//! nothing that was read is lost. With a store, that holds for the end of the program as well: what
//! it has not handled is returned by the next client.
//!
//! ```no_run
//! use statuskit_client::{Client, Event};
//! use statuskit_core::chat::Destination;
//!
//! # async fn run(peer: statuskit_core::devp2p::Enode) -> Result<(), Box<dyn std::error::Error>> {
//! let chat = Destination::public("status");
//! let mut client = Client::builder().peer(peer).join(&chat).start().await?;
//! client.connect().await?;
//! let id = client.send_text(&chat, "hello").await?;
//! client.written(id).await?;
//! while let Some(event) = client.next().await {
//!     if let Event::Message { message, .. } = event {
//!         println!("{:?}: {:?}", message.author(), message.text());
//!     }
//! }
//! client.close().await?;
//! # Ok(())
//! # }
//! ```

#![deny(unsafe_code)]

mod attached;
mod builder;
mod client;
mod compose;
mod conversations;
mod delivery;
mod engine;
mod error;
mod event;
mod groups;
mod history;
mod inbox;
mod miner;
mod peers;
mod probe;
mod progress;
pub mod share;
pub mod state;

use std::time::Instant;

pub use builder::Builder;
pub use client::Client;
pub use delivery::{
    Contents, Delivery, DeliveryError, DeliveryState, PeerDelivery, PostInfo, SendId,
};
pub use error::{ClientError, NoPeer, SendFailure, StartError, TooMuchWork};
pub use event::{Event, UnreadMessage};
pub use groups::GroupChange;
pub use history::{HistoryEvent, HistorySource};
pub use inbox::{Claim, Unhandled};
pub use miner::MiningProgress;
pub use peers::Peers;
pub use share::{Holder, HolderError, ShareError, SharedState};

/// Returns at a time; never, if there is none.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Returns what the codes of this crate's errors mean.
pub fn explanations() -> impl Iterator<Item = &'static statuskit_core::explain::Explanation> {
    [
        ClientError::EXPLANATIONS,
        SendFailure::EXPLANATIONS,
        StartError::EXPLANATIONS,
        DeliveryError::EXPLANATIONS,
        share::ShareError::EXPLANATIONS,
    ]
    .into_iter()
    .flatten()
}
