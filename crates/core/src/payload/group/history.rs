//! Histories: events in the order of their clocks, and the group that comes of them.

use std::collections::HashSet;

use super::{Denied, EventType, GroupEvent, GroupState};
use crate::payload::proto::{
    ChatMessage, MembershipUpdateMessage, membership_update_message::ChatEntity,
};

/// The longest history that is kept or replayed. The app lets a group have 10 members.
pub const MAX_EVENTS: usize = 4096;

/// The most events of an update that are read, since each that is new costs the recovery of a key:
/// about as many as fit into the largest envelope. More than are kept, for the sake of groups that
/// other clients have let grow.
pub const MAX_RECEIVED: usize = 4 * MAX_EVENTS;

/// How many bytes of events a history may have before those that change nothing are let go: it
/// travels with every message, once for each device of the recipient. Some 1700 short ones fit.
const ROOM: usize = 128 << 10;

/// Why events don't make a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("there are no events")]
    Empty,
    #[error("a history of {0} events; at most {MAX_EVENTS} are replayed")]
    TooMany(usize),
    #[error("event {index} in the order of their clocks (clock {clock}): {denied}")]
    Denied {
        /// Its place, from 0.
        index: usize,
        /// Its clock.
        clock: u64,
        /// Why it is refused.
        denied: Denied,
    },
    #[error("the first event does not create the group")]
    NotCreated,
    #[error("the chat id does not end with the key of who created the group, after something else")]
    ChatId,
}

impl BuildError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "group.empty",
            Self::TooMany(_) => "group.too_many",
            Self::Denied { denied, .. } => denied.code(),
            Self::NotCreated => "group.not_created",
            Self::ChatId => "group.chat_id",
        }
    }
}

/// A history that was accepted as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    chat_id: String,
    events: Vec<GroupEvent>,
    state: GroupState,
}

impl Group {
    /// Replays `events`, in whatever order they are. One that is refused refuses them all.
    pub fn build(chat_id: &str, events: Vec<GroupEvent>) -> Result<Self, BuildError> {
        let events = sorted(events);
        if events.len() > MAX_EVENTS {
            return Err(BuildError::TooMany(events.len()));
        }
        let (state, _) = state_of(chat_id, &events)?;
        Ok(Self { chat_id: chat_id.to_owned(), events, state })
    }

    /// Replays `events` as [`build`](Self::build) does, and keeps them; if they have more than
    /// 128 KiB, without those that change nothing. See the [module](super).
    pub fn gather(chat_id: &str, events: Vec<GroupEvent>) -> Result<Self, BuildError> {
        let mut events = sorted(events);
        let (state, changes) = state_of(chat_id, &events)?;
        let size: usize = events.iter().map(|event| event.raw().len()).sum();
        if size > ROOM {
            let mut changes = changes.into_iter();
            events.retain(|_| changes.next().unwrap_or(true));
        }
        if events.len() > MAX_EVENTS {
            return Err(BuildError::TooMany(events.len()));
        }
        Ok(Self { chat_id: chat_id.to_owned(), events, state })
    }

    /// This history with the events of another that it does not have, as it is
    /// [kept](Self::gather).
    pub fn merge(&self, others: &[GroupEvent]) -> Result<Self, BuildError> {
        let mut events = self.events.clone();
        events.extend(self.unknown(others).cloned());
        Self::gather(&self.chat_id, events)
    }

    /// The events among `others` that this history does not have.
    pub fn unknown<'a>(&'a self, others: &'a [GroupEvent]) -> impl Iterator<Item = &'a GroupEvent> {
        let mut known: HashSet<_> = self.events.iter().map(GroupEvent::signature).collect();
        others.iter().filter(move |event| known.insert(event.signature()))
    }

    /// The id of the chat: a UUID, a dash, and the key of the creator as text.
    pub fn chat_id(&self) -> &str {
        &self.chat_id
    }

    /// The events in their order.
    pub fn events(&self) -> &[GroupEvent] {
        &self.events
    }

    /// What came of them.
    pub fn state(&self) -> &GroupState {
        &self.state
    }

    /// The highest clock of the events.
    pub fn last_clock(&self) -> u64 {
        self.events.last().map_or(0, GroupEvent::clock)
    }

    /// What travels: always the whole history, perhaps with a message. Its wrapper has type
    /// `MEMBERSHIP_UPDATE_MESSAGE` in either case.
    pub fn update(&self, message: Option<ChatMessage>) -> MembershipUpdateMessage {
        MembershipUpdateMessage {
            chat_id: self.chat_id.clone(),
            events: self.events.iter().map(|event| event.raw().to_vec()).collect(),
            chat_entity: message.map(ChatEntity::Message),
        }
    }
}

/// Replays events that are in their order: what comes of them, and which of them change anything.
fn state_of(chat_id: &str, events: &[GroupEvent]) -> Result<(GroupState, Vec<bool>), BuildError> {
    let mut state = GroupState::default();
    let steps = events.iter().enumerate().map(|(index, event)| {
        let denied = |denied| BuildError::Denied { index, clock: event.clock(), denied };
        state.step(event).map_err(denied)
    });
    let changes = steps.collect::<Result<_, _>>()?;
    check_creation(chat_id, events)?;
    Ok((state, changes))
}

/// The group is the first author's, who created it.
fn check_creation(chat_id: &str, events: &[GroupEvent]) -> Result<(), BuildError> {
    let first = events.first().ok_or(BuildError::Empty)?;
    if first.kind() != Some(EventType::ChatCreated) {
        return Err(BuildError::NotCreated);
    }
    // Compared as texts: capitals in the chat id never match.
    match chat_id.strip_suffix(first.author_text()) {
        None | Some("") => Err(BuildError::ChatId),
        Some(_) => Ok(()),
    }
}

fn sorted(mut events: Vec<GroupEvent>) -> Vec<GroupEvent> {
    events.sort_by(|a, b| a.order().cmp(&b.order()));
    events
}

/// A history, event by event.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The events in their order, each with the reason if it is refused.
    pub events: Vec<(GroupEvent, Result<(), Denied>)>,
    /// What comes of those that are accepted.
    pub state: GroupState,
    /// Whether a client accepts the history, and if not, why.
    pub verdict: Result<(), BuildError>,
}

/// Replays any history: events that are refused are left out, and the rest goes on. A client
/// would refuse the whole; that is the verdict.
pub fn replay(chat_id: &str, events: Vec<GroupEvent>) -> Replayed {
    let mut state = GroupState::default();
    let mut events = sorted(events);
    let too_many = events.len() > MAX_EVENTS;
    let mut verdict = if too_many { Err(BuildError::TooMany(events.len())) } else { Ok(()) };
    events.truncate(MAX_EVENTS);
    verdict = verdict.and(check_creation(chat_id, &events));
    let mut first_denied = None;
    let replayed: Vec<_> = events
        .into_iter()
        .enumerate()
        .map(|(index, event)| {
            let done = state.apply(&event);
            if let (Err(denied), None) = (done, &first_denied) {
                first_denied = Some(BuildError::Denied { index, clock: event.clock(), denied });
            }
            (event, done)
        })
        .collect();
    // As the reference goes about it: events first, then the creation.
    let verdict = first_denied.map_or(verdict, Err);
    Replayed { events: replayed, state, verdict }
}
