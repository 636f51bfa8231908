//! Updates of a group from other members.

use std::collections::{HashMap, HashSet};

use super::{BuildError, EventError, Group, GroupEvent, MAX_RECEIVED};
use crate::{
    crypto::PublicKey,
    explain::Explanation,
    payload::{
        check::rejection::{Rejection, event_clocks, first_failure},
        proto::{ChatMessage, MembershipUpdateMessage, membership_update_message::ChatEntity},
    },
    time::UnixMillis,
};

/// Why an update is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// An event is malformed.
    #[error("event {index} of the update: {error}")]
    Event {
        /// Its position in the update, from 0.
        index: usize,
        /// What is wrong with it.
        error: EventError,
    },
    /// The update is too long.
    #[error("an update with {0} events; at most {MAX_RECEIVED} are read")]
    TooMany(usize),
    /// The clock of an event is 0, or in the future.
    #[error("{0}")]
    Clock(Rejection),
    /// The events make no valid history.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A new group without us.
    #[error("the update makes a group that we are not a member of")]
    NotForUs,
}

impl UpdateError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Event { error, .. } => error.code(),
            Self::TooMany(_) => "group.too_many",
            Self::Clock(rejection) => rejection.code(),
            Self::Build(error) => error.code(),
            Self::NotForUs => "group.not_for_us",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[Explanation {
        code: "group.not_for_us",
        rule: "Only members accept an update of an unknown group.",
        source: "Status specifications, Payloads, Membership updates; as in the reference",
        causes: "You are not invited, or not any more.",
    }];
}

/// The result of an update.
#[derive(Debug, Clone, PartialEq)]
pub struct AppliedUpdate {
    /// The group after the update.
    pub group: Group,
    /// Whether the group is new to us.
    pub is_new: bool,
    /// The events that are new to us and [kept](Group::gather). A client shows each in the chat,
    /// under its [`system_message_id`](GroupEvent::system_message_id).
    pub new_events: Vec<GroupEvent>,
    /// The highest clock of the update's events, new or not.
    pub last_clock: u64,
}

/// Applies an update to a `known` or a new group. Recovers the authors of new events only, since
/// that takes time.
///
/// A message in the update still has to be checked. It is shown if its author and we
/// [may write](super::GroupState::may_write).
///
/// # Errors
/// If the update is not valid by itself, or together with the known history.
pub fn receive(
    known: Option<&Group>,
    update: &MembershipUpdateMessage,
    me: &PublicKey,
    now: UnixMillis,
) -> Result<AppliedUpdate, UpdateError> {
    let known = known.filter(|known| known.chat_id() == update.chat_id);
    let events = decode_events(update, known)?;
    let clocks = events.iter().map(GroupEvent::clock);
    first_failure(&event_clocks(clocks.clone(), now)).map_err(UpdateError::Clock)?;
    let last_clock = clocks.max().unwrap_or(0);
    let received = Group::gather(&update.chat_id, events.clone())?;
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

/// What the recovery of a key costs, where replaying an event costs 1.
const RECOVERY: usize = 32;

/// Returns what it costs to [`receive`] an update.
pub(crate) fn cost(known: Option<&Group>, update: &MembershipUpdateMessage) -> usize {
    let known = known.filter(|known| known.chat_id() == update.chat_id);
    let events = known.map(Group::events).unwrap_or_default();
    let members = known.map_or(0, |known| known.state().members.len());
    let mut seen: HashSet<_> = events.iter().map(GroupEvent::raw).collect();
    let replayed = update.events.len() + events.len() + members;
    if update.events.len() > MAX_RECEIVED {
        return replayed;
    }
    let new = update.events.iter().filter(|raw| seen.insert(raw)).count();
    replayed + RECOVERY * new
}

/// Decodes the events of an update, and recovers their authors, of each once.
fn decode_events(
    update: &MembershipUpdateMessage,
    known: Option<&Group>,
) -> Result<Vec<GroupEvent>, UpdateError> {
    if update.events.len() > MAX_RECEIVED {
        return Err(UpdateError::TooMany(update.events.len()));
    }
    let known = known.map(Group::events).unwrap_or_default();
    let known: HashMap<_, _> = known.iter().map(|event| (event.raw(), event)).collect();
    let mut events: Vec<GroupEvent> = Vec::with_capacity(update.events.len());
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    for (index, raw) in update.events.iter().enumerate() {
        let earlier = places.get(&raw[..]).and_then(|place| events.get(*place));
        let event = match known.get(&raw[..]).copied().or(earlier) {
            Some(event) => event.clone(),
            None => GroupEvent::decode(&update.chat_id, raw)
                .map_err(|error| UpdateError::Event { index, error })?,
        };
        places.insert(raw, index);
        events.push(event);
    }
    Ok(events)
}

impl MembershipUpdateMessage {
    /// Returns the chat message in the update.
    pub fn chat_message(&self) -> Option<&ChatMessage> {
        match &self.chat_entity {
            Some(ChatEntity::Message(message)) => Some(message),
            _ => None,
        }
    }
}
