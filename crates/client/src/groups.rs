//! Changes of groups that the state knows.

use statuskit_core::{crypto::PublicKey, payload::group::Change};

/// A change of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupChange {
    /// Rename it.
    Rename(String),
    /// Invite members.
    Add(Vec<PublicKey>),
    /// Accept our invitation.
    Join,
    /// Remove another member.
    Remove(PublicKey),
    /// Make members admins.
    Promote(Vec<PublicKey>),
    /// Give up our own rights as an admin.
    Resign,
    /// Leave it.
    Leave,
}

impl GroupChange {
    pub(crate) fn as_change(&self) -> Change<'_> {
        match self {
            Self::Rename(name) => Change::Rename(name),
            Self::Add(keys) => Change::Add(keys),
            Self::Join => Change::Join,
            Self::Remove(key) => Change::Remove(key),
            Self::Promote(keys) => Change::Promote(keys),
            Self::Resign => Change::Resign,
            Self::Leave => Change::Leave,
        }
    }
}
