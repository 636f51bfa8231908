//! Histories: events in the order of their clocks, and the group that results.

use std::collections::HashSet;

use super::{Denied, EventType, GroupEvent, GroupState};
use crate::{
    explain::Explanation,
    payload::proto::{ChatMessage, MembershipUpdateMessage, membership_update_message::ChatEntity},
};

/// The maximum number of events in a history that is kept or replayed. The app allows 10 members.
pub const MAX_EVENTS: usize = 4096;

/// The maximum number of events in an update, since each new one costs the recovery of a key: as many
/// take less than 0.4 s. The largest envelope has room for twice as many. More than are kept: other
/// clients let groups grow.
pub const MAX_RECEIVED: usize = MAX_EVENTS + MAX_EVENTS / 2;

/// The size of a history in bytes above which events that change nothing are dropped. It travels
/// with every message, once per device of the recipient. Some 1700 short events fit.
const ROOM: usize = 128 << 10;

/// Why events don't make a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A history of no events.
    #[error("there are no events")]
    Empty,
    /// The history is too long.
    #[error("a history of {0} events; at most {MAX_EVENTS} are replayed")]
    TooMany(usize),
    /// An event breaks a rule.
    #[error("event {index} in the order of their clocks (clock {clock}): {denied}")]
    Denied {
        /// Its position, from 0.
        index: usize,
        /// Its clock.
        clock: u64,
        /// Why it is refused.
        denied: Denied,
    },
    /// The history has no beginning.
    #[error("the first event does not create the group")]
    NotCreated,
    /// The chat id belongs to another creator.
    #[error("the chat id does not end with the key of who created the group, after something else")]
    ChatId,
}

impl BuildError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "group.empty",
            Self::TooMany(_) => "group.too_many",
            Self::Denied { denied, .. } => denied.code(),
            Self::NotCreated => "group.not_created",
            Self::ChatId => "group.chat_id",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "group.empty",
            rule: "A history has at least the event that creates the group.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "An update without events: every update carries the whole history.",
        },
        Explanation {
            code: "group.too_many",
            rule: "A history has at most 4096 events that change something; beyond 128 KiB, those that change nothing are left out. An update of more than 6144 events is not read, since each costs the recovery of a key.",
            source: "tools",
            causes: "Admins who changed the group that often, or a flood: status-group replay shows who sent what.",
        },
        Explanation {
            code: "group.not_created",
            rule: "The first event in the order of the clocks creates the group.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "The beginning of the history is missing.",
        },
        Explanation {
            code: "group.chat_id",
            rule: "The chat id is a UUID, a dash and the 0x04… text of who created the group, in lower case. Compared are the texts.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "Another chat id than the one that the events were signed for, or capitals.",
        },
    ];
}

/// A history that is valid as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    chat_id: String,
    events: Vec<GroupEvent>,
    state: GroupState,
}

impl Group {
    /// Replays `events`, given in any order.
    ///
    /// # Errors
    /// If one event is refused, or there are too many.
    pub fn build(chat_id: &str, events: Vec<GroupEvent>) -> Result<Self, BuildError> {
        let events = sorted(events);
        if events.len() > MAX_EVENTS {
            return Err(BuildError::TooMany(events.len()));
        }
        let (state, _) = state_of(chat_id, &events)?;
        Ok(Self { chat_id: chat_id.to_owned(), events, state })
    }

    /// Replays `events` as [`build`](Self::build) does. Above 128 KiB, drops those that change
    /// nothing: see the [module](super).
    ///
    /// # Errors
    /// If one event is refused, or there are too many.
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

    /// Adds the events that this history does not have, within its [limits](Self::gather).
    ///
    /// # Errors
    /// If one event is refused, or there are too many.
    pub fn merge(&self, others: &[GroupEvent]) -> Result<Self, BuildError> {
        let mut events = self.events.clone();
        events.extend(self.unknown(others).cloned());
        Self::gather(&self.chat_id, events)
    }

    /// Returns the events among `others` that this history does not have.
    pub fn unknown<'a>(&'a self, others: &'a [GroupEvent]) -> impl Iterator<Item = &'a GroupEvent> {
        let mut known: HashSet<_> = self.events.iter().map(GroupEvent::signature).collect();
        others.iter().filter(move |event| known.insert(event.signature()))
    }

    /// Returns the id of the chat: a UUID, a dash, and the key of the creator as text.
    pub fn chat_id(&self) -> &str {
        &self.chat_id
    }

    /// Returns the events in their order.
    pub fn events(&self) -> &[GroupEvent] {
        &self.events
    }

    /// Returns the resulting state.
    pub fn state(&self) -> &GroupState {
        &self.state
    }

    /// Returns the highest clock of the events.
    pub fn last_clock(&self) -> u64 {
        self.events.last().map_or(0, GroupEvent::clock)
    }

    /// Returns the update to send: the whole history, and a message if one is given.
    pub fn update(&self, message: Option<ChatMessage>) -> MembershipUpdateMessage {
        MembershipUpdateMessage {
            chat_id: self.chat_id.clone(),
            events: self.events.iter().map(|event| event.raw().to_vec()).collect(),
            chat_entity: message.map(ChatEntity::Message),
        }
    }
}

/// Replays sorted events. Returns the state, and which events changed it.
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

/// Checks that the first event creates the group, and that the chat id names its author.
fn check_creation(chat_id: &str, events: &[GroupEvent]) -> Result<(), BuildError> {
    let first = events.first().ok_or(BuildError::Empty)?;
    if first.kind() != Some(EventType::ChatCreated) {
        return Err(BuildError::NotCreated);
    }
    // Compared as texts: upper case in the chat id never matches.
    match chat_id.strip_suffix(first.author_text()) {
        None | Some("") => Err(BuildError::ChatId),
        Some(_) => Ok(()),
    }
}

fn sorted(mut events: Vec<GroupEvent>) -> Vec<GroupEvent> {
    events.sort_by(|a, b| a.order().cmp(&b.order()));
    events
}

/// The result of replaying a history event by event.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The events in their order, each with the reason if it was refused.
    pub events: Vec<(GroupEvent, Result<(), Denied>)>,
    /// The state that results from the accepted events.
    pub state: GroupState,
    /// Whether a client accepts the whole history, and if not, why.
    pub verdict: Result<(), BuildError>,
}

/// Replays any history, and skips refused events. A client would refuse the whole history, which
/// is the verdict.
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
    // As in the reference: events first, then the creation.
    let verdict = first_denied.map_or(verdict, Err);
    Replayed { events: replayed, state, verdict }
}
