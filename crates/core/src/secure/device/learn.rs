//! Bundles: making our own, and learning from others'.

use std::collections::{BTreeMap, btree_map::Entry};

use rand::CryptoRng;

use super::{
    Installation, MAX_DEVICES, OwnPreKey, PROTOCOL_VERSION, Work,
    records::{self, Known, MAX_ID, OWN},
};
use crate::{
    account::InstallationId,
    secure::{
        bundle::{self, PreKey, VerifiedBundle},
        error::SecureError,
        key::{CompressedKey, KeyPair},
        proto,
        store::{Store, StoreError},
        time::Timestamp,
    },
};

impl<S: Store> Work<'_, S> {
    /// See [`Device::bundle`](super::Device::bundle).
    pub fn bundle<R: CryptoRng + ?Sized>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<proto::Bundle, SecureError> {
        let own = self.fresh_pre_key(now, rng)?;
        let mut pre_keys: BTreeMap<InstallationId, PreKey> =
            BTreeMap::from([(self.installation.clone(), own)]);
        let public = self.public;
        // The other devices, as they were last heard of.
        for installation in self.peer(&public)?.active(MAX_DEVICES - 1) {
            let Some(known) = &installation.known else { continue };
            if let Entry::Vacant(place) = pre_keys.entry(installation.id.clone()) {
                place.insert(PreKey {
                    key: known.pre_key,
                    version: known.pre_key_version,
                    protocol_version: known.protocol_version,
                });
            }
        }
        Ok(bundle::sign(self.identity, &pre_keys, now))
    }

    /// The current pre key; a new one if there is none, or it is too old. Private parts of old
    /// ones are kept, for messages that come late.
    fn fresh_pre_key<R: CryptoRng + ?Sized>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<PreKey, StoreError> {
        let lifetime = self.lifetime;
        let public = |own: &OwnPreKey| PreKey {
            key: own.pair.public(),
            version: own.version,
            protocol_version: PROTOCOL_VERSION,
        };
        let version = match self.own()? {
            Some(own) if !own.created.is_older_than(lifetime, now) => return Ok(public(own)),
            Some(own) => own.version.saturating_add(1),
            None => 1,
        };
        let own = OwnPreKey { pair: KeyPair::generate(rng), version, created: now };
        self.changes.put(OWN.to_vec(), own.write());
        self.changes.put(records::pre_key_key(&own.pair.public()), own.write());
        let pre_key = public(&own);
        self.own = Some(Some(own));
        Ok(pre_key)
    }

    /// See [`Device::learn`](super::Device::learn).
    pub fn learn(&mut self, bundle: &proto::Bundle) -> Result<Vec<Installation>, SecureError> {
        let bundle = bundle::verify(bundle)?.all_usable()?;
        self.keep(&bundle.identity)?;
        Ok(self.learn_verified(&bundle)?)
    }

    /// Takes what a bundle says; gives the installations that were not known before.
    pub(super) fn learn_verified(
        &mut self,
        bundle: &VerifiedBundle,
    ) -> Result<Vec<Installation>, StoreError> {
        let identity = CompressedKey::from(&bundle.identity);
        let is_own = identity == self.public;
        let is_long = |id: &InstallationId| id.as_str().len() > MAX_ID;
        let mut learned = Vec::new();
        for (id, pre_key) in &bundle.pre_keys {
            if id == self.installation
                || is_long(id)
                || !news(self.peer(&identity)?, id, pre_key, bundle)
            {
                continue;
            }
            let installation = self.installation_mut(&identity, id)?;
            match &mut installation.known {
                Some(known) => update(known, pre_key, bundle.timestamp),
                none => {
                    *none = Some(Known {
                        timestamp: bundle.timestamp,
                        protocol_version: pre_key.protocol_version,
                        enabled: !is_own,
                        pre_key: pre_key.key,
                        pre_key_version: pre_key.version,
                        pre_key_timestamp: bundle.timestamp,
                    });
                    learned.extend(installation.to_public(&identity));
                }
            }
        }
        Ok(learned)
    }
}

/// Whether a bundle says anything new of an installation.
fn news(
    peer: &records::Peer,
    id: &InstallationId,
    pre_key: &PreKey,
    bundle: &VerifiedBundle,
) -> bool {
    peer.installation(id).and_then(|installation| installation.known.as_ref()).is_none_or(|known| {
        bundle.timestamp > known.timestamp || pre_key.version > known.pre_key_version
    })
}

/// The pre key with the highest version counts; of the same version, the one of the newest bundle.
fn update(known: &mut Known, pre_key: &PreKey, timestamp: Timestamp) {
    let version = pre_key.version.cmp(&known.pre_key_version);
    if version.then(timestamp.cmp(&known.pre_key_timestamp)).is_gt() {
        known.pre_key = pre_key.key;
        known.pre_key_version = pre_key.version;
        known.pre_key_timestamp = timestamp;
    }
    if timestamp > known.timestamp {
        known.timestamp = timestamp;
        known.protocol_version = known.protocol_version.max(pre_key.protocol_version);
    }
}
