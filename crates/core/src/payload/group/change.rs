//! Changes of a group.
//!
//! A change must be valid for both the document and the reference. For example, every new admin
//! must be a member, though the reference is content with one of them.

use super::{BuildError, Denied, EventType, Group, GroupEvent};
use crate::{
    account::Uuid,
    crypto::{PublicKey, SecretKey},
    explain::Explanation,
    payload::{clock, proto::MembershipUpdateEvent},
    time::UnixMillis,
};

/// A change of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Rename the group.
    Rename(&'a str),
    /// Invite members.
    Add(&'a [PublicKey]),
    /// Accept our invitation.
    Join,
    /// Remove another member.
    Remove(&'a PublicKey),
    /// Make members admins.
    Promote(&'a [PublicKey]),
    /// Give up our own rights as an admin.
    Resign,
    /// Leave the group.
    Leave,
}

/// Why a change can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The group's rules forbid it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The history would be invalid.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The change is about a stranger.
    #[error("{0} is not a member")]
    NotAMember(PublicKey),
    /// The group is like that already.
    #[error("the change changes nothing")]
    NoChange,
    /// Other members would refuse the next clock.
    #[error("the clock of the group is more than two minutes ahead: others would refuse the event")]
    ClockAhead,
}

impl ChangeError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Build(error) => error.code(),
            Self::NotAMember(_) => "group.not_a_member",
            Self::NoChange => "group.no_change",
            Self::ClockAhead => "group.clock_ahead",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "group.not_a_member",
            rule: "Only members are removed, leave, or become admins.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "Add them first: status-group add.",
        },
        Explanation {
            code: "group.no_change",
            rule: "An event changes something.",
            source: "tools",
            causes: "They are members, or admins, or have joined, or the group has this name already.",
        },
        Explanation {
            code: "group.clock_ahead",
            rule: "An event whose clock is more than 120 seconds ahead would be refused by the others.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "A message has pushed the clock of the chat ahead; wait, or see --now.",
        },
    ];
}

/// A changed group.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// The group after the change.
    pub group: Group,
    /// Who must get the update: after a removal the members before it, otherwise the members
    /// after the change. Skips texts that are no keys.
    pub recipients: Vec<PublicKey>,
}

impl Group {
    /// Creates a group, and invites `members` if there are any.
    ///
    /// # Errors
    /// If the name is empty.
    pub fn create(
        id: Uuid,
        name: &str,
        members: &[PublicKey],
        creator: &SecretKey,
        now: UnixMillis,
    ) -> Result<Changed, ChangeError> {
        if name.is_empty() {
            return Err(Denied::NameEmpty.into());
        }
        let chat_id = format!("{id}-{}", creator.public_key());
        let clock = clock::next(0, now).max(1);
        let fields = fields(EventType::ChatCreated, clock, name, Vec::new());
        let group = Self::build(&chat_id, vec![GroupEvent::sign(&chat_id, fields, creator)])?;
        if members.is_empty() {
            return Ok(Changed { recipients: group.state().member_keys(), group });
        }
        group.change(Change::Add(members), creator, 0, now)
    }

    /// Changes the group at `now` (UNIX milliseconds). `last_clock` is that of the chat, which
    /// messages advance, too; 0 if only the events are known.
    ///
    /// # Errors
    /// If other members would refuse the change, or it changes nothing.
    pub fn change(
        &self,
        change: Change<'_>,
        author: &SecretKey,
        last_clock: u64,
        now: UnixMillis,
    ) -> Result<Changed, ChangeError> {
        let me = author.public_key();
        let change = match change {
            Change::Remove(key) if *key == me => Change::Leave,
            change => change,
        };
        let (kind, name, members) = self.check(change, &me)?;
        let clock = clock::next(self.last_clock().max(last_clock), now);
        if clock::is_ahead(clock, now) {
            return Err(ChangeError::ClockAhead);
        }
        let event = GroupEvent::sign(self.chat_id(), fields(kind, clock, name, members), author);
        let mut events = self.events().to_vec();
        events.push(event);
        let group = Self::gather(self.chat_id(), events).map_err(|error| match error {
            BuildError::Denied { denied, .. } => denied.into(),
            other => ChangeError::Build(other),
        })?;
        let audience = if let Change::Remove(_) = change { self } else { &group };
        Ok(Changed { recipients: audience.state().member_keys(), group })
    }

    /// Checks what the replay of the event does not. Returns its type, name and members.
    fn check<'a>(
        &self,
        change: Change<'a>,
        me: &PublicKey,
    ) -> Result<(EventType, &'a str, Vec<String>), ChangeError> {
        let state = self.state();
        let my_text = me.to_string();
        let is_member = |key: &PublicKey| state.members.contains(&key.to_string());
        let texts = |keys: &[PublicKey]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
        let admin = || {
            let is_admin = state.admins.contains(&my_text);
            if is_admin { Ok(()) } else { Err(Denied::NotAdmin) }
        };
        let some = |texts: Vec<String>| {
            if texts.is_empty() { Err(ChangeError::NoChange) } else { Ok(texts) }
        };
        Ok(match change {
            Change::Rename(name) => {
                admin()?;
                if name == state.name {
                    return Err(ChangeError::NoChange);
                }
                (EventType::NameChanged, name, Vec::new())
            }
            Change::Add(keys) => {
                admin()?;
                let mut added = texts(keys);
                added.retain(|text| !state.members.contains(text));
                dedup(&mut added);
                (EventType::MembersAdded, "", some(added)?)
            }
            Change::Join => {
                if state.joined.contains(&my_text) {
                    return Err(ChangeError::NoChange);
                }
                (EventType::MemberJoined, "", Vec::new())
            }
            Change::Remove(key) => {
                admin()?;
                if !is_member(key) {
                    return Err(ChangeError::NotAMember(*key));
                }
                (EventType::MemberRemoved, "", vec![key.to_string()])
            }
            Change::Promote(keys) => {
                admin()?;
                if let Some(stranger) = keys.iter().find(|key| !is_member(key)) {
                    return Err(ChangeError::NotAMember(*stranger));
                }
                let mut admins = texts(keys);
                admins.retain(|text| !state.admins.contains(text));
                dedup(&mut admins);
                (EventType::AdminsAdded, "", some(admins)?)
            }
            Change::Resign => {
                admin()?;
                (EventType::AdminRemoved, "", vec![my_text])
            }
            Change::Leave => {
                if !is_member(me) {
                    return Err(ChangeError::NotAMember(*me));
                }
                (EventType::MemberRemoved, "", vec![my_text])
            }
        })
    }
}

fn fields(kind: EventType, clock: u64, name: &str, members: Vec<String>) -> MembershipUpdateEvent {
    MembershipUpdateEvent { clock, members, name: name.to_owned(), r#type: kind.into() }
}

/// Removes duplicates.
fn dedup(texts: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    texts.retain(|text| seen.insert(text.clone()));
}
