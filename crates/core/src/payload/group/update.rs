//! What happens when an update of a group comes from somebody.

use std::collections::HashMap;

use super::{BuildError, EventError, Group, GroupEvent, MAX_RECEIVED};
use crate::{
    crypto::PublicKey,
    payload::{
        check::{self, Rejection},
        proto::{ChatMessage, MembershipUpdateMessage, membership_update_message::ChatEntity},
    },
};

/// Why an update is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    #[error("event {index} of the update: {error}")]
    Event {
        /// Its place in the update, from 0.
        index: usize,
        /// What is wrong with it.
        error: EventError,
    },
    #[error("an update with {0} events; at most {MAX_RECEIVED} are read")]
    TooMany(usize),
    #[error("{0}")]
    Clock(Rejection),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("the update makes a group that we are not a member of")]
    NotForUs,
}

impl UpdateError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Event { error, .. } => error.code(),
            Self::TooMany(_) => "group.too_many",
            Self::Clock(rejection) => rejection.code(),
            Self::Build(error) => error.code(),
            Self::NotForUs => "group.not_for_us",
        }
    }
}

/// What came of an update.
#[derive(Debug, Clone, PartialEq)]
pub struct AppliedUpdate {
    /// The group now.
    pub group: Group,
    /// Whether we had not known it.
    pub is_new: bool,
    /// The events that we had not known, of those that are [kept](Group::gather): each is shown in
    /// the chat, under its [`system_message_id`](GroupEvent::system_message_id).
    pub new_events: Vec<GroupEvent>,
    /// The highest clock of the update's events, known or not.
    pub last_clock: u64,
}

/// Takes an update of a group that is `known` or not; only of events that are not known the author
/// is recovered, which is what takes time. The update must be valid by itself. What else it carries is checked as any
/// message, and shown if its author [may write](super::GroupState::may_write) and we may, too.
pub fn receive(
    known: Option<&Group>,
    update: &MembershipUpdateMessage,
    me: &PublicKey,
    now_ms: u64,
) -> Result<AppliedUpdate, UpdateError> {
    let known = known.filter(|known| known.chat_id() == update.chat_id);
    let events = decode_events(update, known)?;
    check::first_failure(&check::event_clocks(&events, now_ms)).map_err(UpdateError::Clock)?;
    let received = Group::gather(&update.chat_id, events.clone())?;
    let last_clock = events.iter().map(GroupEvent::clock).max().unwrap_or(0);
    let (group, new_events) = match known {
        None if !received.state().members.contains(&me.to_string()) => {
            return Err(UpdateError::NotForUs);
        }
        None => {
            let new_events = received.events().to_vec();
            (received, new_events)
        }
        Some(known) => {
            let group = known.merge(&events)?;
            let new_events = known.unknown(group.events()).cloned().collect();
            (group, new_events)
        }
    };
    Ok(AppliedUpdate { group, is_new: known.is_none(), new_events, last_clock })
}

/// The events of an update, with their authors.
fn decode_events(
    update: &MembershipUpdateMessage,
    known: Option<&Group>,
) -> Result<Vec<GroupEvent>, UpdateError> {
    if update.events.len() > MAX_RECEIVED {
        return Err(UpdateError::TooMany(update.events.len()));
    }
    let known = known.map(Group::events).unwrap_or_default();
    let known: HashMap<_, _> = known.iter().map(|event| (event.raw(), event)).collect();
    let decode = |(index, raw): (usize, &Vec<u8>)| match known.get(&raw[..]) {
        Some(event) => Ok((*event).clone()),
        None => GroupEvent::decode(&update.chat_id, raw)
            .map_err(|error| UpdateError::Event { index, error }),
    };
    update.events.iter().enumerate().map(decode).collect()
}

impl MembershipUpdateMessage {
    /// The chat message that an update carries, if it carries one.
    pub fn chat_message(&self) -> Option<&ChatMessage> {
        match &self.chat_entity {
            Some(ChatEntity::Message(message)) => Some(message),
            _ => None,
        }
    }
}
