//! Finding nodes by topic, without knowing more than a bootnode.
//!
//! | part | where |
//! | --- | --- |
//! | legacy discovery v5, the state machine | [`v5`] |
//! | discovery v4, as a client | [`v4`] |
//! | its parts: the table of nodes, the registrar's topics, the radius | [`table`], [`topics`], [`radius`] |
//! | limits per subnet and address | [`limit`] |
//! | a socket around the machine | [`Discovery`] |
//! | which found nodes become peers | [`pool`] |
//! | rendezvous: the other way to find peers | [`rendezvous`] |
//! | peers for a node: all of it | [`Finder`] |

mod finder;
pub mod limit;
pub mod pool;
pub mod radius;
pub mod rendezvous;
mod service;
pub mod table;
pub mod topics;
pub mod v4;
pub mod v5;

pub use finder::{Finder, FinderConfig, RendezvousConfig};
pub use service::{Discovery, Handle};
