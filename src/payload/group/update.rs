//! What happens when an update of a group comes from somebody.

use super::{BuildError, Event, EventError, Group, MAX_EVENTS};
use crate::{
    crypto::PublicKey,
    payload::{
        check::Refusal,
        clock,
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
    #[error("{0}")]
    Clock(Refusal),
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
            Self::Clock(refusal) => refusal.code(),
            Self::Build(error) => error.code(),
            Self::NotForUs => "group.not_for_us",
        }
    }
}

/// What came of an update.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The group now.
    pub group: Group,
    /// Whether we had not known it.
    pub is_new: bool,
    /// The events that we had not known: each is shown in the chat, under its
    /// [`system_message_id`](Event::system_message_id).
    pub news: Vec<Event>,
}

/// Takes an update of a group that is `known` or not. What else it carries is checked as any
/// message, and shown if its author [may write](super::State::may_write) and we may, too.
pub fn receive(
    known: Option<&Group>,
    update: &MembershipUpdateMessage,
    me: &PublicKey,
    now_ms: u64,
) -> Result<Received, UpdateError> {
    let events = decode_events(update, now_ms)?;
    let received = Group::build(&update.chat_id, events)?;
    match known.filter(|known| known.chat_id() == update.chat_id) {
        None if !received.state().members.contains(&me.to_string()) => Err(UpdateError::NotForUs),
        None => Ok(Received { news: received.events().to_vec(), group: received, is_new: true }),
        Some(known) => {
            let group = known.merge(received.events())?;
            let news = known.unknown(received.events()).cloned().collect();
            Ok(Received { group, is_new: false, news })
        }
    }
}

/// The events of an update, with their authors; their clocks are measured by our own time.
fn decode_events(update: &MembershipUpdateMessage, now_ms: u64) -> Result<Vec<Event>, UpdateError> {
    // Before the work of recovering keys.
    if update.events.len() > MAX_EVENTS {
        return Err(BuildError::TooMany(update.events.len()).into());
    }
    let events = update.events.iter().enumerate().map(|(index, raw)| {
        Event::decode(&update.chat_id, raw).map_err(|error| UpdateError::Event { index, error })
    });
    let events = events.collect::<Result<Vec<_>, _>>()?;
    if events.iter().any(|event| event.clock() == 0) {
        return Err(UpdateError::Clock(Refusal::EventClockZero));
    }
    if events.iter().any(|event| clock::is_ahead(event.clock(), now_ms)) {
        return Err(UpdateError::Clock(Refusal::EventClockAhead));
    }
    Ok(events)
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
