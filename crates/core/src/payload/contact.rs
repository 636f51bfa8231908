//! Contacts: the profiles that people publish, and that our own devices synchronise.
//!
//! Source: Status, "Payloads", Contact updates, with the handling of the reference (status-go
//! v0.50.2).

use std::collections::BTreeSet;

use super::proto::{ContactUpdate, SyncInstallationContact};

/// Tag of a contact that we added.
pub const ADDED: &str = ":contact/added";
/// Tag of a contact that we blocked: its messages are ignored.
pub const BLOCKED: &str = ":contact/blocked";
/// Tag of a contact that sent us an update.
pub const REQUEST_RECEIVED: &str = ":contact/request-received";

/// The known profile of the owner of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// The claimed ENS name.
    pub ens_name: String,
    /// Whether a lookup confirmed that name.
    pub is_name_verified: bool,
    /// The picture as a data URI.
    pub profile_image: String,
    /// The clock of the last update.
    pub last_updated: u64,
    /// Tags such as [`ADDED`].
    pub tags: BTreeSet<String>,
}

impl Contact {
    /// Applies an update from the contact. Returns `false` if it is not newer.
    ///
    /// An update from ourselves (`is_me`) is no contact request.
    pub fn update(&mut self, update: &ContactUpdate, is_me: bool) -> bool {
        let tag = (!is_me).then_some(REQUEST_RECEIVED);
        self.learn(update.clock, &update.ens_name, &update.profile_image, tag)
    }

    /// Applies what another device of ours knows of the contact. Returns `false` if it is not newer.
    pub fn sync(&mut self, sync: &SyncInstallationContact) -> bool {
        self.learn(sync.clock, &sync.ens_name, &sync.profile_image, Some(ADDED))
    }

    /// Returns whether messages of the contact are ignored.
    pub fn is_blocked(&self) -> bool {
        self.tags.contains(BLOCKED)
    }

    fn learn(&mut self, clock: u64, name: &str, image: &str, tag: Option<&str>) -> bool {
        if clock <= self.last_updated {
            return false;
        }
        self.tags.extend(tag.map(str::to_owned));
        if self.ens_name != name {
            name.clone_into(&mut self.ens_name);
            self.is_name_verified = false;
        }
        image.clone_into(&mut self.profile_image);
        self.last_updated = clock;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_updates_change_nothing() {
        let mut bob = Contact::default();
        let update = |clock, name: &str| ContactUpdate {
            clock,
            ens_name: name.to_owned(),
            profile_image: "data:".to_owned(),
        };
        assert!(bob.update(&update(5, "bob.eth"), false));
        assert!(bob.tags.contains(REQUEST_RECEIVED) && !bob.tags.contains(ADDED));
        bob.is_name_verified = true;
        let before = bob.clone();
        assert!(!bob.update(&update(5, "eve.eth"), false) && !bob.update(&update(4, "x"), false));
        assert_eq!(bob, before);
        assert!(bob.update(&update(6, "bob.eth"), false) && bob.is_name_verified);
        assert!(bob.update(&update(7, "other.eth"), false) && !bob.is_name_verified);
        let sync = SyncInstallationContact { clock: 8, ..Default::default() };
        assert!(bob.sync(&sync) && bob.tags.contains(ADDED) && bob.ens_name.is_empty());
        let mut me = Contact::default();
        assert!(me.update(&update(1, "me.eth"), true) && me.tags.is_empty());
    }
}
