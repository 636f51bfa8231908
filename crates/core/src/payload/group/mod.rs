//! Group chats: who is in a group follows from a history of signed events.
//!
//! A group has no key and no topic of its own: its messages are sent to each member one by one,
//! always with the whole history ([`Group::update`]). Each receiver replays it:
//!
//! - [`GroupEvent`]: one change, signed by who made it; the author is recovered, never stated;
//! - [`GroupState`]: name, members, joined members, admins, and the rules by which events change them;
//! - [`Group`]: a history that was accepted as a whole, and what may be added to it ([`Change`]);
//! - [`replay`]: any history, event by event, with the reason for each that is refused;
//! - [`receive`]: an update from somebody else, with all its checks.
//!
//! Events are replayed in the order of their clocks; of equal clocks, in the order of their types
//! (a group is created, then renamed, then filled, then joined), then of their signatures: so the
//! order in which they came makes no difference. The reference leaves that open, so nothing here
//! makes equal clocks.
//!
//! # What is kept
//!
//! Normally every event that came. The reference takes events that change nothing, such as that
//! somebody joins who has joined, and in any number: one member could make a history too long to be
//! sent or replayed, and nobody could change the group any more. So a history that gets larger
//! than 128 KiB (1700 events or fewer) is kept without the events that change nothing
//! ([`Group::gather`], which [`Group::merge`], [`Group::change`] and [`receive`] go through). Those
//! that are not admins can add two events that change something for each time that an admin invites
//! them: what is left is what admins have decided.
//!
//! That leaves name, members, joined members and admins exactly as they were, so clients that keep
//! all events agree with those that don't. Where an event that was let go here does change
//! something (between others that have not come yet), it is kept by whoever has these, and comes
//! back with the next message, which carries the whole history.
//!
//! Source: Status, "Payloads", Membership updates. Where the reference (status-go v0.50.2) is more
//! lenient than the document, events are accepted as the reference does, and made so that both
//! agree; where it is stricter (one bad event refuses the whole update), it is followed.

mod change;
mod event;
mod history;
mod members;
mod state;
mod update;

pub use change::{Change, ChangeError, Changed};
pub use event::{EventError, EventType, GroupEvent};
pub use history::{BuildError, Group, MAX_EVENTS, MAX_RECEIVED, Replayed, replay};
pub use members::Members;
pub use state::{Denied, GroupState};
pub use update::{AppliedUpdate, UpdateError, receive};

#[cfg(test)]
mod tests;
