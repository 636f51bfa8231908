//! Signs our own bundle, and learns installations from the bundles of others.

use std::collections::{BTreeMap, btree_map::Entry};

use rand::CryptoRng;

use super::{
    DeviceTransaction, Installation, MAX_DEVICES, OwnPrekey, PROTOCOL_VERSION,
    records::{self, Known, MAX_ID, OWN_PREKEY},
};
use crate::{
    account::InstallationId,
    secure::{
        bundle::{self, Prekey, VerifiedBundle},
        error::SecureError,
        key::{CompressedKey, KeyPair},
        proto,
        store::{Store, StoreError},
        time::Timestamp,
    },
};

impl<S: Store> DeviceTransaction<'_, S> {
    /// See [`Device::bundle`](super::Device::bundle).
    pub(super) fn bundle<R: CryptoRng + ?Sized>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<proto::Bundle, SecureError> {
        let own = self.fresh_prekey(now, rng)?;
        let mut prekeys: BTreeMap<InstallationId, Prekey> =
            BTreeMap::from([(self.installation.clone(), own)]);
        let public = self.public;
        // Our other devices, from their last bundles.
        for installation in self.peer(&public)?.active(MAX_DEVICES - 1) {
            let Some(known) = &installation.known else { continue };
            if let Entry::Vacant(place) = prekeys.entry(installation.id.clone()) {
                place.insert(Prekey {
                    key: known.prekey,
                    version: known.prekey_version,
                    protocol_version: known.protocol_version,
                });
            }
        }
        Ok(bundle::sign(self.identity, &prekeys, now))
    }

    /// Returns the current prekey, or a new one if it is too old. The private keys of old ones stay
    /// stored for late messages.
    fn fresh_prekey<R: CryptoRng + ?Sized>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Prekey, StoreError> {
        let lifetime = self.prekey_lifetime;
        let public = |own: &OwnPrekey| Prekey {
            key: own.pair.public(),
            version: own.version,
            protocol_version: PROTOCOL_VERSION,
        };
        let version = match self.own()? {
            Some(own) if !own.created.is_older_than(lifetime, now) => return Ok(public(own)),
            Some(own) => own.version.saturating_add(1),
            None => 1,
        };
        let own = OwnPrekey { pair: KeyPair::generate(rng), version, created: now };
        self.changes.put(OWN_PREKEY.to_vec(), own.write());
        self.changes.put(records::prekey_key(&own.pair.public()), own.write());
        let prekey = public(&own);
        self.own = Some(Some(own));
        Ok(prekey)
    }

    /// See [`Device::learn`](super::Device::learn).
    pub(super) fn learn(
        &mut self,
        bundle: &proto::Bundle,
    ) -> Result<Vec<Installation>, SecureError> {
        let bundle = bundle::verify(bundle)?.all_usable()?;
        self.mark_known(&bundle.identity)?;
        Ok(self.learn_verified(&bundle)?)
    }

    /// Learns the installations of a verified bundle. Returns the new ones.
    pub(super) fn learn_verified(
        &mut self,
        bundle: &VerifiedBundle,
    ) -> Result<Vec<Installation>, StoreError> {
        let identity = CompressedKey::from(&bundle.identity);
        let is_own = identity == self.public;
        let is_long = |id: &InstallationId| id.as_str().len() > MAX_ID;
        let mut learned = Vec::new();
        for (id, prekey) in &bundle.prekeys {
            if id == self.installation
                || is_long(id)
                || !is_news(self.peer(&identity)?, id, prekey, bundle)
            {
                continue;
            }
            let installation = self.installation_mut(&identity, id)?;
            match &mut installation.known {
                Some(known) => update(known, prekey, bundle.timestamp),
                none => {
                    *none = Some(Known {
                        timestamp: bundle.timestamp,
                        protocol_version: prekey.protocol_version,
                        enabled: !is_own,
                        prekey: prekey.key,
                        prekey_version: prekey.version,
                        prekey_timestamp: bundle.timestamp,
                    });
                    learned.extend(installation.to_public(&identity));
                }
            }
        }
        Ok(learned)
    }
}

/// Returns whether a bundle has news of an installation.
fn is_news(
    peer: &records::Peer,
    id: &InstallationId,
    prekey: &Prekey,
    bundle: &VerifiedBundle,
) -> bool {
    peer.installation(id).and_then(|installation| installation.known.as_ref()).is_none_or(|known| {
        bundle.timestamp > known.timestamp || prekey.version > known.prekey_version
    })
}

/// Updates an installation. The prekey with the highest version is current; for the same version,
/// the one from the newest bundle.
fn update(known: &mut Known, prekey: &Prekey, timestamp: Timestamp) {
    let version = prekey.version.cmp(&known.prekey_version);
    if version.then(timestamp.cmp(&known.prekey_timestamp)).is_gt() {
        known.prekey = prekey.key;
        known.prekey_version = prekey.version;
        known.prekey_timestamp = timestamp;
    }
    if timestamp > known.timestamp {
        known.timestamp = timestamp;
        known.protocol_version = known.protocol_version.max(prekey.protocol_version);
    }
}
