//! Group chats: a history of signed events decides who is a member.
//!
//! A group has no key and no topic of its own. Its messages are sent to each member separately,
//! always with the whole history ([`Group::update`]), and each receiver replays it:
//!
//! - [`GroupEvent`]: one change, signed by its author; the author is recovered, never stated;
//! - [`GroupState`]: name, members, joined members, admins, and the rules of the events;
//! - [`Group`]: a history that is valid as a whole, and the changes it allows ([`Change`]);
//! - [`replay`]: any history, event by event, with the reason for each refused event;
//! - [`receive`]: an update from another member, with all its checks.
//!
//! Events are replayed in the order of their clocks; for equal clocks, in the order of their types
//! (a group is created, then renamed, then filled, then joined), then of their signatures. So the
//! order of arrival does not matter. The reference leaves equal clocks open, so nothing here makes
//! any.
//!
//! # Limits
//!
//! Normally, every event is kept. The reference accepts events that change nothing, such as joining
//! again, in any number: one member could make a history too long to send or to replay, and nobody
//! could change the group any more. So a history over 128 KiB (1700 events or fewer) is kept
//! without the events that change nothing ([`Group::gather`], used by [`Group::merge`],
//! [`Group::change`] and [`receive`]). A member that is no admin can add two effective events per
//! invitation by an admin, so the rest is what admins decided.
//!
//! Name, members, joined members and admins stay exactly the same, so clients that keep all events
//! agree with those that don't. An event dropped here may turn out effective between others that
//! have not arrived yet. Then it is kept by the members who have those, and returns with their next
//! message, which carries the whole history.
//!
//! Source: Status, "Payloads", Membership updates. Where the reference (status-go v0.50.2) is more
//! lenient than the document, events are accepted as in the reference, and made so that both agree.
//! Where it is stricter (one bad event refuses the whole update), the reference is followed.

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
pub(crate) use update::cost;
pub use update::{AppliedUpdate, UpdateError, receive};

#[cfg(test)]
mod tests;
