//! The state of a group, and the effect of each event on it.

use super::{EventType, GroupEvent, Members};
use crate::{crypto::PublicKey, explain::Explanation};

/// The name and the members of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupState {
    /// Its name.
    pub name: String,
    /// Its members, including invited ones.
    pub members: Members,
    /// The members that accepted their invitation. Only they may write.
    pub joined: Members,
    /// The members that may change it.
    pub admins: Members,
}

/// Why an event is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    #[error("the group has been created already")]
    CreatedTwice,
    #[error("the author is not an admin")]
    NotAdmin,
    #[error("the new name is empty")]
    NameEmpty,
    #[error("the author was not invited")]
    NotInvited,
    #[error("the event must name exactly one member")]
    NotOne,
    #[error("an admin can't be removed by others")]
    TargetIsAdmin,
    #[error("none of those who are to be admins is a member")]
    NoMemberAmong,
    #[error("admins can give up their own rights only")]
    NotOneself,
    #[error("there is no such event")]
    UnknownEvent,
}

impl Denied {
    /// Returns the stable code of this refusal, as the tools print it.
    pub fn code(self) -> &'static str {
        match self {
            Self::CreatedTwice => "group.created_twice",
            Self::NotAdmin => "group.not_admin",
            Self::NameEmpty => "group.name_empty",
            Self::NotInvited => "group.not_invited",
            Self::NotOne => "group.not_one",
            Self::TargetIsAdmin => "group.target_is_admin",
            Self::NoMemberAmong => "group.no_member_among",
            Self::NotOneself => "group.not_oneself",
            Self::UnknownEvent => "group.unknown_event",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "group.created_twice",
            rule: "A group is created when it has neither members nor admins.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "Histories of two groups in one.",
        },
        Explanation {
            code: "group.not_admin",
            rule: "Only an admin renames a group, adds and removes members, and makes admins.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "An event of someone else, or a signature for another chat id: both recover another author.",
        },
        Explanation {
            code: "group.name_empty",
            rule: "A group has a name.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "An empty variable.",
        },
        Explanation {
            code: "group.not_invited",
            rule: "Only members join.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "The invitation is missing from the history, or was withdrawn.",
        },
        Explanation {
            code: "group.not_one",
            rule: "Events that remove name exactly one member.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "A list where one event for each is needed.",
        },
        Explanation {
            code: "group.target_is_admin",
            rule: "An admin cannot be removed by others.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "Rights must be given up first; by their owner.",
        },
        Explanation {
            code: "group.no_member_among",
            rule: "Of those who become admins, at least one must be a member (for the reference; for the document, all).",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "The invitation is missing from the history.",
        },
        Explanation {
            code: "group.not_oneself",
            rule: "Admins give up their own rights only.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "An event that names someone else.",
        },
        Explanation {
            code: "group.unknown_event",
            rule: "Events have types 1 to 7.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "A newer client.",
        },
    ];
}

impl GroupState {
    /// Returns whether `author` may write: whether they joined.
    pub fn may_write(&self, author: &str) -> bool {
        self.joined.contains(author)
    }

    /// Returns the keys of the members. Skips texts that are no keys.
    pub(crate) fn member_keys(&self) -> Vec<PublicKey> {
        self.members.to_vec().into_iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Applies an event.
    ///
    /// # Errors
    /// If the event breaks a rule: then the state does not change.
    pub fn apply(&mut self, event: &GroupEvent) -> Result<(), Denied> {
        self.step(event).map(|_| ())
    }

    /// Applies an event. Returns whether it changed anything.
    pub(super) fn step(&mut self, event: &GroupEvent) -> Result<bool, Denied> {
        let author = event.author_text();
        let is_admin = self.admins.contains(author);
        let admin = if is_admin { Ok(()) } else { Err(Denied::NotAdmin) };
        let mut changed = false;
        match event.kind() {
            Some(EventType::ChatCreated) => {
                if !self.admins.is_empty() || !self.members.is_empty() {
                    return Err(Denied::CreatedTwice);
                }
                self.name = event.name().to_owned();
                for set in [&mut self.members, &mut self.joined, &mut self.admins] {
                    set.insert(author);
                }
                changed = true;
            }
            Some(EventType::NameChanged) => {
                admin?;
                if event.name().is_empty() {
                    return Err(Denied::NameEmpty);
                }
                changed = self.name != event.name();
                self.name = event.name().to_owned();
            }
            Some(EventType::MembersAdded) => {
                admin?;
                event.members().iter().for_each(|member| changed |= self.members.insert(member));
            }
            Some(EventType::MemberJoined) => {
                if !self.members.contains(author) {
                    return Err(Denied::NotInvited);
                }
                changed = self.joined.insert(author);
            }
            Some(EventType::MemberRemoved) => {
                let [target] = event.members() else { return Err(Denied::NotOne) };
                // Anyone may leave, member or not.
                if target != author {
                    admin?;
                    if self.admins.contains(target) {
                        return Err(Denied::TargetIsAdmin);
                    }
                }
                for set in [&mut self.members, &mut self.joined, &mut self.admins] {
                    changed |= set.remove(target);
                }
            }
            Some(EventType::AdminsAdded) => {
                admin?;
                if !event.members().iter().any(|member| self.members.contains(member)) {
                    return Err(Denied::NoMemberAmong);
                }
                event.members().iter().for_each(|member| changed |= self.admins.insert(member));
            }
            Some(EventType::AdminRemoved) => {
                let [target] = event.members() else { return Err(Denied::NotOne) };
                admin?;
                if target != author {
                    return Err(Denied::NotOneself);
                }
                changed = self.admins.remove(author);
            }
            Some(EventType::Unknown) | None => return Err(Denied::UnknownEvent),
        }
        Ok(changed)
    }
}
