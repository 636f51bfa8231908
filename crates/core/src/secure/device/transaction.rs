//! A transaction: the records it has loaded, and its changes.
//!
//! A record is read when a step needs it, changed in memory, and written at the commit. A step
//! changes nothing until it can't fail any more. If a read fails in the middle of a step, the whole
//! transaction fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use super::{
    Device, OwnPrekey, SessionId, SessionState,
    records::{self, MAX_SESSIONS, OWN_PREKEY, Peer, PeerInstallation},
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

/// Several steps of a device that commit together. See [`Device::transaction`].
pub struct DeviceTransaction<'a, S> {
    pub(super) identity: &'a KeyPair,
    pub(super) public: CompressedKey,
    pub(super) installation: &'a InstallationId,
    pub(super) prekey_lifetime: Duration,
    pub(super) max_strangers: u64,
    store: &'a mut S,
    /// The loaded records. Changed ones are marked.
    peers: BTreeMap<CompressedKey, Loaded<Peer>>,
    sessions: BTreeMap<SessionId, Loaded<Option<SessionState>>>,
    /// Identities without a stored record. Those with one at the commit become strangers.
    new: BTreeSet<CompressedKey>,
    /// Our current prekey, once loaded.
    pub(super) own: Option<Option<OwnPrekey>>,
    pub(super) changes: Changes,
    /// A read has failed, so nothing may be written.
    failed: bool,
}

struct Loaded<T> {
    value: T,
    changed: bool,
}

impl<S> fmt::Debug for DeviceTransaction<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceTransaction").field("identity", &self.public).finish_non_exhaustive()
    }
}

impl<'a, S: Store> DeviceTransaction<'a, S> {
    pub(super) fn begin(device: &'a mut Device<S>) -> Self {
        Self {
            identity: &device.identity,
            public: device.identity.public(),
            installation: &device.installation,
            prekey_lifetime: device.prekey_lifetime,
            max_strangers: device.max_strangers,
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
            // An earlier one in this loop may have replaced it.
            if self.peers.get(&identity).is_some_and(|peer| peer.changed) {
                self.register_identity(&identity)?;
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

    /// Reads a record, with the changes of this transaction.
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

    /// Returns the record of an identity.
    pub(super) fn peer(&mut self, identity: &CompressedKey) -> Result<&Peer, StoreError> {
        self.loaded_peer(identity).map(|peer| &peer.value)
    }

    /// Returns the record of an identity, and marks it as changed.
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
        // It was inserted above, so the default is never used.
        Ok(self
            .peers
            .entry(*identity)
            .or_insert_with(|| Loaded { value: Peer::default(), changed: false }))
    }

    /// Returns whether an identity has no stored record.
    pub(super) fn is_new(&mut self, identity: &CompressedKey) -> Result<bool, StoreError> {
        self.loaded_peer(identity)?;
        Ok(self.new.contains(identity))
    }

    /// Makes a record of an identity that does not make it a stranger.
    pub(super) fn ensure_known(&mut self, identity: &CompressedKey) -> Result<(), StoreError> {
        if self.is_new(identity)? {
            self.peer_mut(identity)?;
            self.new.remove(identity);
        }
        Ok(())
    }

    /// Deletes the record of an identity, and its sessions.
    pub(super) fn drop_peer(&mut self, identity: &CompressedKey) -> Result<(), StoreError> {
        for gone in std::mem::take(&mut self.peer_mut(identity)?.installations) {
            self.drop_sessions(identity, gone)?;
        }
        self.peers.remove(identity);
        self.new.remove(identity);
        self.changes.delete(records::peer_key(identity));
        Ok(())
    }

    /// Returns a session.
    pub(super) fn session(&mut self, id: &SessionId) -> Result<Option<&SessionState>, StoreError> {
        if !self.sessions.contains_key(id) {
            let value = self.record(&records::session_key(id), SessionState::read)?;
            self.sessions.insert(id.clone(), Loaded { value, changed: false });
        }
        Ok(self.sessions.get(id).and_then(|session| session.value.as_ref()))
    }

    /// Replaces the state of a session.
    pub(super) fn set_session(&mut self, state: SessionState) {
        let id = state.id.clone();
        self.sessions.insert(id, Loaded { value: Some(state), changed: true });
    }

    /// Returns our current prekey, however old it is.
    pub(super) fn own(&mut self) -> Result<Option<&OwnPrekey>, StoreError> {
        if self.own.is_none() {
            self.own = Some(self.record(OWN_PREKEY, OwnPrekey::read)?);
        }
        Ok(self.own.as_ref().and_then(Option::as_ref))
    }

    /// Returns an installation, and marks it as changed. If there are too many, deletes others and
    /// their sessions.
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

    /// Lists a session as the last of those that can send to an installation. If there are too many
    /// sessions, deletes the oldest, preferring one that can't send.
    pub(super) fn register_session(&mut self, id: &SessionId) -> Result<(), StoreError> {
        let own = self.own()?.map(|own| own.pair.public());
        let known = self.peer(&id.identity)?.installation(&id.installation);
        if known.is_some_and(|known| known.sending.last() == Some(&id.bundle)) {
            return Ok(());
        }
        let installation = self.installation_mut(&id.identity, &id.installation)?;
        let theirs = installation.known.as_ref().map(|known| known.prekey);
        installation.sending.retain(|bundle| {
            *bundle != id.bundle && (Some(*bundle) == own || Some(*bundle) == theirs)
        });
        installation.sending.push(id.bundle);
        installation.sessions.retain(|bundle| *bundle != id.bundle);
        installation.sessions.push(id.bundle);
        let mut gone = Vec::new();
        while installation.sessions.len() > MAX_SESSIONS {
            let is_unused = |bundle| !installation.sending.contains(bundle);
            let oldest = installation.sessions.iter().position(is_unused).unwrap_or(0);
            gone.push(installation.sessions.remove(oldest));
        }
        installation.sending.retain(|bundle| !gone.contains(bundle));
        for bundle in gone {
            self.drop_session(&SessionId { bundle, ..id.clone() })?;
        }
        Ok(())
    }

    /// See [`Device::set_enabled`].
    pub(super) fn set_enabled(
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
        self.mark_identity_known(&identity)?;
        let installation = self.installation_mut(&identity, installation)?;
        if let Some(known) = &mut installation.known {
            known.enabled = enabled;
        }
        Ok(true)
    }

    /// See [`Device::forget`].
    pub(super) fn forget(&mut self, id: &SessionId) -> Result<bool, SecureError> {
        if !self.drop_session(id)? {
            return Ok(false);
        }
        let peer = self.peer_mut(&id.identity)?;
        for installation in &mut peer.installations {
            if installation.id == id.installation {
                installation.sending.retain(|bundle| *bundle != id.bundle);
                installation.sessions.retain(|bundle| *bundle != id.bundle);
            }
        }
        Ok(true)
    }

    /// Deletes the sessions of a removed installation.
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

    /// Deletes a session and its stored keys. Returns whether it existed.
    fn drop_session(&mut self, id: &SessionId) -> Result<bool, StoreError> {
        let Some(mut state) = self.session(id)?.cloned() else { return Ok(false) };
        state.stored_keys.clear(&mut self.chunks(id))?;
        self.sessions.insert(id.clone(), Loaded { value: None, changed: true });
        Ok(true)
    }
}
