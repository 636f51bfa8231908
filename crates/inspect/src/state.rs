//! Sessions of a device, tried on copies: nothing is advanced.

use std::{collections::BTreeMap, fmt};

use statuskit_core::{
    crypto::{PublicKey, SecretKey, seeded_rng},
    secure::{
        CompressedKey, Device, MemoryStore, ProtocolMessage, Store, StoreError, proto,
        store::{Changes, Record, Visit},
    },
};

/// The most senders that are tried for a message whose signer is not known.
const MAX_SENDERS: usize = 16;

/// The state of a device, to read messages of its sessions with.
pub struct State {
    identity: SecretKey,
    store: MemoryStore,
}

impl State {
    /// Takes the identity of the device, and its records.
    pub fn new(identity: SecretKey, store: MemoryStore) -> Self {
        Self { identity, store }
    }

    /// Decrypts a message of the secure transport, by this sender or any that is known. The state
    /// stays as it is: the same message can be read again, and later ones in any order.
    ///
    /// Returns the plaintext and how it was encrypted, or why it can't be read.
    pub(crate) fn decrypt(
        &self,
        sender: Option<&PublicKey>,
        message: &[u8],
    ) -> Result<(Vec<u8>, String), String> {
        let senders = match sender {
            Some(sender) => vec![*sender],
            None => {
                // Whoever is named by the message itself comes first.
                let mut senders = named(message);
                senders.extend(self.peers()?);
                senders
            }
        };
        let mut problem = "no sender of it is known to the state".to_owned();
        for sender in senders.iter().take(MAX_SENDERS) {
            let mut device = self.device()?;
            // What it decides is only kept in the copy.
            let mut rng = seeded_rng("inspect");
            let read = device.decrypt(sender, message, &mut rng);
            match read.map_err(|error| error.to_string())?.content {
                Ok(content) => {
                    let installation = device.installation();
                    let key = format!("the session of installation {installation} with {sender}");
                    return Ok((content.plaintext, key));
                }
                Err(error) => problem = error.to_string(),
            }
        }
        Err(problem)
    }

    fn device(&self) -> Result<Device<Copy<'_>>, String> {
        let copy = Copy { base: &self.store, changes: BTreeMap::new() };
        let mut rng = seeded_rng("inspect");
        let device = Device::open(copy, self.identity.clone(), None, &mut rng);
        device.map_err(|error| error.to_string())
    }

    fn peers(&self) -> Result<Vec<PublicKey>, String> {
        let peers = self.device()?.peers().map_err(|error| error.to_string())?;
        Ok(peers.iter().filter_map(|peer| peer.identity.point().ok()).collect())
    }
}

/// Returns the identities of the bundles in a message: its sender, as a rule.
fn named(message: &[u8]) -> Vec<PublicKey> {
    let Ok(message) = ProtocolMessage::decode(message) else { return Vec::new() };
    let bundles = message.fields().bundles.iter().take(MAX_SENDERS);
    let key =
        |bundle: &proto::Bundle| CompressedKey::from_slice(&bundle.identity).ok()?.point().ok();
    bundles.filter_map(key).collect()
}

/// Shows whose it is only: the records are secret.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("identity", &self.identity.public_key())
            .finish_non_exhaustive()
    }
}

/// A store whose changes are kept beside it.
struct Copy<'a> {
    base: &'a MemoryStore,
    changes: BTreeMap<Vec<u8>, Option<Record>>,
}

impl Store for Copy<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        match self.changes.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.base.get(key),
        }
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        for (key, record) in changes.iter() {
            self.changes.insert(key.to_vec(), record.cloned());
        }
        Ok(())
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.base.scan(prefix, &mut |key, record| match self.changes.contains_key(key) {
            true => Ok(()),
            false => visit(key, record),
        })?;
        let changed = self.changes.iter().filter(|(key, _)| key.starts_with(prefix));
        for (key, record) in changed {
            if let Some(record) = record {
                visit(key, record)?;
            }
        }
        Ok(())
    }
}
