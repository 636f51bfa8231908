//! A transaction: what it has loaded, and what it changes.
//!
//! A record is read when a step needs it, changed in memory, and written when all steps are done.
//! Steps change nothing before they are sure to succeed; where reading fails in the middle of one,
//! the whole transaction can only fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use super::{
    Device, OwnPreKey, SessionId, SessionState,
    records::{self, MAX_SESSIONS, OWN, Peer, PeerInstallation},
};
use crate::{
    account::InstallationId,
    crypto::PublicKey,
    secure::{
        error::SecureError,
        key::{CompressedKey, KeyPair},
        store::{Changes, Record, Store, StoreError},
    },
};

/// Several steps of a device that become durable together. See [`Device::transaction`].
pub struct Work<'a, S> {
    pub(super) identity: &'a KeyPair,
    pub(super) public: CompressedKey,
    pub(super) installation: &'a InstallationId,
    pub(super) lifetime: Duration,
    pub(super) most_strangers: u64,
    store: &'a mut S,
    /// Records that were loaded; those that changed are marked.
    peers: BTreeMap<CompressedKey, Loaded<Peer>>,
    sessions: BTreeMap<SessionId, Loaded<Option<SessionState>>>,
    /// Identities that there was no record of: strangers, if there is one in the end.
    new: BTreeSet<CompressedKey>,
    pub(super) own: Option<Option<OwnPreKey>>,
    pub(super) changes: Changes,
    /// Something could not be read: nothing may be written any more.
    failed: bool,
}

struct Loaded<T> {
    value: T,
    changed: bool,
}

impl<S> fmt::Debug for Work<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("identity", &self.public).finish_non_exhaustive()
    }
}

impl<'a, S: Store> Work<'a, S> {
    pub(super) fn begin(device: &'a mut Device<S>) -> Self {
        Self {
            identity: &device.identity,
            public: device.identity.public(),
            installation: &device.installation,
            lifetime: device.lifetime,
            most_strangers: device.most_strangers,
            store: &mut device.store,
            peers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            new: BTreeSet::new(),
            own: None,
            changes: Changes::default(),
            failed: false,
        }
    }

    pub(super) fn commit(mut self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Aborted);
        }
        for identity in self.new.clone() {
            // It may have had to make room for one before it.
            if self.peers.get(&identity).is_some_and(|peer| peer.changed) {
                self.meet_identity(&identity)?;
            }
        }
        for (identity, peer) in std::mem::take(&mut self.peers) {
            if peer.changed {
                self.changes.put(records::peer_key(&identity), peer.value.write());
            }
        }
        for (id, session) in std::mem::take(&mut self.sessions) {
            if session.changed {
                match session.value {
                    Some(state) => self.changes.put(records::session_key(&id), state.write()),
                    None => self.changes.delete(records::session_key(&id)),
                }
            }
        }
        if self.changes.is_empty() { Ok(()) } else { self.store.commit(&self.changes) }
    }

    /// Reads a record: as this transaction changed it, or from the store.
    pub(super) fn record<T>(
        &mut self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let record: Result<Option<Record>, _> = match self.changes.get(key) {
            Some(changed) => Ok(changed.cloned()),
            None => self.store.get(key),
        };
        let value = record.and_then(|record| record.map(|record| read(&record)).transpose());
        self.failed |= value.is_err();
        value
    }

    /// What is known of an identity, to be looked at.
    pub(super) fn peer(&mut self, identity: &CompressedKey) -> Result<&Peer, StoreError> {
        self.loaded_peer(identity).map(|peer| &peer.value)
    }

    /// What is known of an identity, to be changed.
    pub(super) fn peer_mut(&mut self, identity: &CompressedKey) -> Result<&mut Peer, StoreError> {
        let peer = self.loaded_peer(identity)?;
        peer.changed = true;
        Ok(&mut peer.value)
    }

    fn loaded_peer(&mut self, identity: &CompressedKey) -> Result<&mut Loaded<Peer>, StoreError> {
        if !self.peers.contains_key(identity) {
            let value = self.record(&records::peer_key(identity), Peer::read)?;
            if value.is_none() {
                self.new.insert(*identity);
            }
            let value = value.unwrap_or_default();
            self.peers.insert(*identity, Loaded { value, changed: false });
        }
        // It is there, see above; the alternative is never made.
        Ok(self
            .peers
            .entry(*identity)
            .or_insert_with(|| Loaded { value: Peer::default(), changed: false }))
    }

    /// Whether there was no record of an identity.
    pub(super) fn is_new(&mut self, identity: &CompressedKey) -> Result<bool, StoreError> {
        self.loaded_peer(identity)?;
        Ok(self.new.contains(identity))
    }

    /// Makes a record of an identity, if there is none, which makes no stranger of it.
    pub(super) fn set_known(&mut self, identity: &CompressedKey) -> Result<(), StoreError> {
        if self.is_new(identity)? {
            self.peer_mut(identity)?;
            self.new.remove(identity);
        }
        Ok(())
    }

    /// Removes the record of an identity, and its sessions.
    pub(super) fn drop_peer(&mut self, identity: &CompressedKey) -> Result<(), StoreError> {
        for gone in std::mem::take(&mut self.peer_mut(identity)?.installations) {
            self.drop_sessions(identity, gone)?;
        }
        self.peers.remove(identity);
        self.new.remove(identity);
        self.changes.delete(records::peer_key(identity));
        Ok(())
    }

    /// A session, to be looked at.
    pub(super) fn session(&mut self, id: &SessionId) -> Result<Option<&SessionState>, StoreError> {
        if !self.sessions.contains_key(id) {
            let value = self.record(&records::session_key(id), SessionState::read)?;
            self.sessions.insert(id.clone(), Loaded { value, changed: false });
        }
        Ok(self.sessions.get(id).and_then(|session| session.value.as_ref()))
    }

    /// Puts a session's new state in place of the old one.
    pub(super) fn set_session(&mut self, state: SessionState) {
        let id = state.id.clone();
        self.sessions.insert(id, Loaded { value: Some(state), changed: true });
    }

    /// The current pre key of our own, however old it is.
    pub(super) fn own(&mut self) -> Result<Option<&OwnPreKey>, StoreError> {
        if self.own.is_none() {
            self.own = Some(self.record(OWN, OwnPreKey::read)?);
        }
        Ok(self.own.as_ref().and_then(Option::as_ref))
    }

    /// What is known of an installation, to be changed. Where there are too many of them, others
    /// go, with their sessions.
    pub(super) fn installation_mut(
        &mut self,
        identity: &CompressedKey,
        id: &InstallationId,
    ) -> Result<&mut PeerInstallation, StoreError> {
        let is_own = *identity == self.public;
        for gone in self.peer_mut(identity)?.make_room(id, is_own) {
            self.drop_sessions(identity, gone)?;
        }
        Ok(self.peer_mut(identity)?.installation_mut(id))
    }

    /// Writes down that a session with an installation may be used to send, as the last in the
    /// order of those that may. Where there are too many sessions with it, the oldest goes, one
    /// that may not be used any more before others.
    pub(super) fn register(&mut self, id: &SessionId) -> Result<(), StoreError> {
        let own = self.own()?.map(|own| own.pair.public());
        let known = self.peer(&id.identity)?.installation(&id.installation);
        if known.is_some_and(|known| known.entries.last() == Some(&id.bundle)) {
            return Ok(());
        }
        let installation = self.installation_mut(&id.identity, &id.installation)?;
        let theirs = installation.known.as_ref().map(|known| known.pre_key);
        installation.entries.retain(|bundle| {
            *bundle != id.bundle && (Some(*bundle) == own || Some(*bundle) == theirs)
        });
        installation.entries.push(id.bundle);
        installation.sessions.retain(|bundle| *bundle != id.bundle);
        installation.sessions.push(id.bundle);
        let mut gone = Vec::new();
        while installation.sessions.len() > MAX_SESSIONS {
            let is_unused = |bundle| !installation.entries.contains(bundle);
            let oldest = installation.sessions.iter().position(is_unused).unwrap_or(0);
            gone.push(installation.sessions.remove(oldest));
        }
        installation.entries.retain(|bundle| !gone.contains(bundle));
        for bundle in gone {
            self.drop_session(&SessionId { bundle, ..id.clone() })?;
        }
        Ok(())
    }

    /// See [`Device::set_enabled`].
    pub fn set_enabled(
        &mut self,
        identity: &PublicKey,
        installation: &InstallationId,
        enabled: bool,
    ) -> Result<bool, SecureError> {
        let identity = CompressedKey::from(identity);
        let known = self.peer(&identity)?.installation(installation);
        if known.is_none_or(|known| known.known.is_none()) {
            return Ok(false);
        }
        self.keep_identity(&identity)?;
        let installation = self.installation_mut(&identity, installation)?;
        if let Some(known) = &mut installation.known {
            known.enabled = enabled;
        }
        Ok(true)
    }

    /// See [`Device::forget`].
    pub fn forget(&mut self, id: &SessionId) -> Result<bool, SecureError> {
        if !self.drop_session(id)? {
            return Ok(false);
        }
        let peer = self.peer_mut(&id.identity)?;
        for installation in &mut peer.installations {
            if installation.id == id.installation {
                installation.entries.retain(|bundle| *bundle != id.bundle);
                installation.sessions.retain(|bundle| *bundle != id.bundle);
            }
        }
        Ok(true)
    }

    /// Removes the sessions with an installation that is gone.
    fn drop_sessions(
        &mut self,
        identity: &CompressedKey,
        gone: PeerInstallation,
    ) -> Result<(), StoreError> {
        for bundle in gone.sessions {
            let (identity, installation) = (*identity, gone.id.clone());
            self.drop_session(&SessionId { identity, bundle, installation })?;
        }
        Ok(())
    }

    /// Removes a session with the keys that it keeps. Whether there was one.
    fn drop_session(&mut self, id: &SessionId) -> Result<bool, StoreError> {
        let Some(state) = self.session(id)?.cloned() else { return Ok(false) };
        let mut kept = state.kept;
        kept.clear(&mut self.chunks(id))?;
        self.sessions.insert(id.clone(), Loaded { value: None, changed: true });
        Ok(true)
    }
}
