//! Contacts: what people, and one's own other devices, say about who somebody is.
//!
//! Source: Status, "Payloads", Contact updates, with the handling of the reference (status-go
//! v0.50.2).

use std::collections::BTreeSet;

use super::proto::{ContactUpdate, SyncInstallationContact};

/// We have added them.
pub const ADDED: &str = ":contact/added";
/// We have blocked them: their messages are ignored.
pub const BLOCKED: &str = ":contact/blocked";
/// They have sent us an update.
pub const REQUEST_RECEIVED: &str = ":contact/request-received";

/// What is known about the owner of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// The ENS name that they claim.
    pub ens_name: String,
    /// Whether that name was looked up and is theirs.
    pub is_name_verified: bool,
    /// A data URI.
    pub profile_image: String,
    /// The clock of what is known.
    pub last_updated: u64,
    /// Such as [`ADDED`].
    pub tags: BTreeSet<String>,
}

impl Contact {
    /// Takes an update that they sent; false if it says nothing newer. Nobody asks oneself
    /// (`is_me`) to become a contact.
    pub fn update(&mut self, update: &ContactUpdate, is_me: bool) -> bool {
        let tag = (!is_me).then_some(REQUEST_RECEIVED);
        self.learn(update.clock, &update.ens_name, &update.profile_image, tag)
    }

    /// Takes what another device of ours says about them; false if it says nothing newer.
    pub fn sync(&mut self, sync: &SyncInstallationContact) -> bool {
        self.learn(sync.clock, &sync.ens_name, &sync.profile_image, Some(ADDED))
    }

    /// Whether their messages are ignored.
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
    fn only_what_is_newer_counts() {
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
