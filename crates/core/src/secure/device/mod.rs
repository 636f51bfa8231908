//! One device of one user: its prekeys, its sessions, and what it knows of other devices.
//!
//! ```
//! use statuskit_core::{
//!     crypto::{SecretKey, seeded_rng},
//!     secure::{Device, MemoryStore, Timestamp},
//!     time::UnixSeconds,
//! };
//!
//! let (mut rng, now) = (seeded_rng("docs"), Timestamp::from_secs(UnixSeconds(1_585_500_000)));
//! let key = SecretKey::generate(&mut rng);
//! let alice_key = key.public_key();
//! let mut alice = Device::open(MemoryStore::new(), key, None, &mut rng)?;
//! let key = SecretKey::generate(&mut rng);
//! let bob_key = key.public_key();
//! let mut bob = Device::open(MemoryStore::new(), key, None, &mut rng)?;
//!
//! let code = bob.contact_code(now, &mut rng)?;
//! alice.decrypt(&bob_key, code.message.raw(), &mut rng)?;
//! let sent = alice.encrypt_to(&bob_key, b"hi", now, &mut rng)?;
//! let received = bob.decrypt(&alice_key, sent.message.raw(), &mut rng)?;
//! let content = received.content?;
//! assert_eq!(content.plaintext, b"hi");
//! // Once the message is handled, its key is deleted.
//! bob.confirm(content.confirmation.as_ref().ok_or("a session's message")?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each call is one transaction, durable when it returns. [`Device::transaction`] combines several
//! calls: a message and its confirmation, or a batch of messages.
//!
//! State is loaded when a message needs it, so the cost of a message does not depend on the number
//! of peers, sessions or stored keys. The state is bounded: per identity, and in the number of
//! strangers. A new stranger replaces the oldest one ([`MAX_STRANGERS`]). Identities we send to are
//! never replaced.
//!
//! Randomness is drawn in a fixed order, so that messages are reproducible:
//!
//! - Sending draws an ephemeral key and a ratchet key for each installation without a session,
//!   sorted by id. Without installations, it draws an ephemeral key and a nonce of 12 bytes. Then
//!   it draws a prekey, if a new one is due.
//! - Receiving draws a ratchet key if the message turns the ratchet.
//!
//! Source: Status, "Secure transport", with the behaviour of the reference. Unlike the reference,
//! this checks the signature of a bundle before storing it, and does not confuse sessions that
//! share a bundle.

mod bundles;
mod model;
mod receive;
mod records;
mod send;
mod strangers;
#[cfg(test)]
mod tests;
mod transaction;

use std::{fmt, time::Duration};

use rand::CryptoRng;

use self::records::{OWNER, Owner, PEERS, PREKEYS, Peer, SESSIONS};
use super::{
    error::SecureError,
    key::{CompressedKey, KeyPair},
    message::ProtocolMessage,
    proto,
    store::{Changes, Store, StoreError},
    time::Timestamp,
};
use crate::{
    account::InstallationId,
    crypto::{PublicKey, SecretKey},
};
pub use model::{Installation, OwnPrekey, PeerInfo, SessionId, SessionState};
pub use receive::{Confirmation, Decrypted, DecryptedContent, EncryptionKind};
pub use send::{DeviceMessage, EncryptedMessage, encrypt_to_identity};
pub use strangers::MAX_STRANGERS;
pub(crate) use strangers::{forgotten_identities, is_known};
pub use transaction::DeviceTransaction;

/// Maximum number of installations that a message goes to, or that a bundle lists.
pub const MAX_DEVICES: usize = 3;
/// Maximum age of a prekey. The next message after that makes a new one.
pub const PREKEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Minimum time between two advertisements to a sender that does not know this device.
pub const ADVERTISE_COOLDOWN: Duration = Duration::from_secs(7200);
/// Interval at which clients publish their contact code.
pub const CONTACT_CODE_INTERVAL: Duration = Duration::from_secs(21_600);
/// Interval at which clients check whether the contact code is due.
pub const CONTACT_CODE_TICK: Duration = Duration::from_secs(120);
/// The protocol version of our installation: it can use negotiated secrets.
pub const PROTOCOL_VERSION: u32 = 1;

/// A device and its store. See the [module](self).
pub struct Device<S> {
    identity: KeyPair,
    installation: InstallationId,
    prekey_lifetime: Duration,
    max_strangers: u64,
    store: S,
}

impl<S> fmt::Debug for Device<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("identity", &self.identity.public())
            .field("installation", &self.installation)
            .finish_non_exhaustive()
    }
}

impl<S: Store> Device<S> {
    /// Opens the device in a store, or makes a new one in an empty store. Without an installation
    /// id, uses the stored one or generates one.
    ///
    /// # Errors
    ///
    /// If the store belongs to another identity or installation, or fails.
    pub fn open<R: CryptoRng + ?Sized>(
        mut store: S,
        identity: SecretKey,
        installation: Option<InstallationId>,
        rng: &mut R,
    ) -> Result<Self, SecureError> {
        let identity = KeyPair::from(identity);
        let public = identity.public();
        let owner = store.get(OWNER)?.map(|record| Owner::read(&record)).transpose()?;
        let installation = match (owner, installation) {
            (Some(owner), _) if owner.identity != public => {
                return Err(SecureError::OtherIdentity(owner.identity));
            }
            (Some(owner), Some(id)) if owner.installation != id => {
                return Err(SecureError::OtherInstallation(owner.installation));
            }
            (Some(owner), _) => owner.installation,
            (None, installation) => {
                let installation = installation.unwrap_or_else(|| InstallationId::generate(rng));
                let owner = Owner { identity: public, installation };
                let mut changes = Changes::default();
                changes.put(OWNER.to_vec(), owner.write());
                store.commit(&changes)?;
                owner.installation
            }
        };
        let (prekey_lifetime, max_strangers) = (PREKEY_LIFETIME, MAX_STRANGERS);
        Ok(Self { identity, installation, prekey_lifetime, max_strangers, store })
    }

    /// Returns the public identity key.
    pub fn identity(&self) -> CompressedKey {
        self.identity.public()
    }

    /// Returns the id of this installation.
    pub fn installation(&self) -> &InstallationId {
        &self.installation
    }

    /// Sets the maximum age of a prekey, by default [`PREKEY_LIFETIME`]. Not stored.
    pub fn set_prekey_lifetime(&mut self, lifetime: Duration) {
        self.prekey_lifetime = lifetime;
    }

    /// Sets the maximum number of strangers, at least one, by default [`MAX_STRANGERS`]. Not
    /// stored.
    pub fn set_max_strangers(&mut self, max: u64) {
        self.max_strangers = max.max(1);
    }

    /// Returns the store, for records of the layers above. Their keys start with `x`.
    pub(crate) fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Closes the device and returns the store.
    pub fn into_store(self) -> S {
        self.store
    }

    /// Runs several steps as one transaction: `Ok` makes all of their changes durable, `Err` none.
    ///
    /// # Errors
    ///
    /// If `run` fails, or the store does.
    pub fn transaction<T, E: From<StoreError>>(
        &mut self,
        run: impl FnOnce(&mut DeviceTransaction<'_, S>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut transaction = DeviceTransaction::begin(self);
        let result = run(&mut transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Marks an identity as known: it is never replaced by strangers.
    pub(crate) fn mark_known(&mut self, peer: &PublicKey) -> Result<(), SecureError> {
        self.transaction(|it| Ok(it.mark_known(peer)?))
    }

    /// Registers an identity for which the layers above keep records. A new identity becomes a
    /// stranger, which others can replace.
    pub(crate) fn register(&mut self, peer: &PublicKey) -> Result<(), SecureError> {
        self.transaction(|it| Ok(it.register(peer)?))
    }

    /// Encrypts to all enabled installations of `peer`, or to the identity if there are none. For
    /// the own identity, these are the paired devices. Marks `peer` as known.
    ///
    /// # Errors
    ///
    /// If a session can't send any more, or the store fails.
    pub fn encrypt_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<EncryptedMessage, SecureError> {
        self.transaction(|it| it.encrypt_to(peer, plaintext, now, rng))
    }

    /// Encrypts like [`encrypt_to`](Self::encrypt_to), but a stranger stays one. For automatic
    /// answers, such as acknowledgements.
    pub(crate) fn answer_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<EncryptedMessage, SecureError> {
        self.transaction(|it| it.answer_to(peer, plaintext, now, rng))
    }

    /// Encrypts to the own identity, for devices that are not paired yet.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn encrypt_for_pairing<R: CryptoRng + ?Sized>(
        &mut self,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<EncryptedMessage, SecureError> {
        self.transaction(|it| it.encrypt_for_pairing(plaintext, now, rng))
    }

    /// Makes a contact code: a message with only our bundle.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn contact_code<R: CryptoRng + ?Sized>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<EncryptedMessage, SecureError> {
        self.transaction(|it| it.contact_code(now, rng))
    }

    /// Advertises this device to `peer`: an empty payload with our bundle. Marks `peer` as known.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn advertise_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<EncryptedMessage, SecureError> {
        self.transaction(|it| it.advertise_to(peer, now, rng))
    }

    /// Answers a sender that does not know this device, like [`advertise_to`](Self::advertise_to).
    /// `None` within [`ADVERTISE_COOLDOWN`] of the last answer. A stranger stays one.
    pub(crate) fn answer_unknown<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Option<EncryptedMessage>, SecureError> {
        self.transaction(|it| it.answer_unknown(peer, now, rng))
    }

    /// Signs our bundle. Makes a new prekey if the current one is too old.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn bundle<R: CryptoRng + ?Sized>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<proto::Bundle, SecureError> {
        self.transaction(|it| it.bundle(now, rng))
    }

    /// Learns installations from a bundle that did not come in a message. Returns the new ones.
    /// Marks the identity as known.
    ///
    /// # Errors
    ///
    /// If the bundle is invalid or has an unusable prekey, or the store fails.
    pub fn learn(&mut self, bundle: &proto::Bundle) -> Result<Vec<Installation>, SecureError> {
        self.transaction(|it| it.learn(bundle))
    }

    /// Decrypts a message of `sender`, the signer of its envelope.
    ///
    /// # Errors
    ///
    /// If the bytes are not a protocol message, a bundle in it is invalid, or the store fails. A
    /// message that can't be decrypted is no error here: see [`Decrypted::content`].
    pub fn decrypt<R: CryptoRng + ?Sized>(
        &mut self,
        sender: &PublicKey,
        message: &[u8],
        rng: &mut R,
    ) -> Result<Decrypted, SecureError> {
        let message = ProtocolMessage::decode(message)?;
        self.transaction(|it| it.decrypt(sender, &message, rng))
    }

    /// Confirms that a message was handled: deletes its key, so it can't be decrypted again.
    /// Returns whether the key was still stored.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn confirm(&mut self, confirmation: &Confirmation) -> Result<bool, SecureError> {
        self.transaction(|it| it.confirm(confirmation))
    }

    /// Enables or disables an installation, and marks its identity as known.
    /// Returns false if the installation is unknown.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn set_enabled(
        &mut self,
        identity: &PublicKey,
        installation: &InstallationId,
        enabled: bool,
    ) -> Result<bool, SecureError> {
        self.transaction(|it| it.set_enabled(identity, installation, enabled))
    }

    /// Returns the installations of an identity, newest bundle first.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn installations(&mut self, identity: &PublicKey) -> Result<Vec<Installation>, StoreError> {
        let identity = CompressedKey::from(identity);
        let mut transaction = DeviceTransaction::begin(self);
        let peer = transaction.peer(&identity)?;
        let mut all: Vec<_> =
            peer.installations.iter().filter_map(|known| known.to_public(&identity)).collect();
        all.sort_by_key(|installation| std::cmp::Reverse(installation.timestamp));
        Ok(all)
    }

    /// Returns how many copies a message to `peer` has: one per installation, at least one.
    pub(crate) fn copies_for(&mut self, peer: &PublicKey) -> Result<usize, StoreError> {
        let targets = DeviceTransaction::begin(self).targets(&CompressedKey::from(peer))?;
        Ok(targets.len().max(1))
    }

    /// Returns all identities with a record, including the own one.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn peers(&self) -> Result<Vec<PeerInfo>, StoreError> {
        let mut peers = Vec::new();
        self.store.scan(PEERS, &mut |key, record| {
            let identity = CompressedKey::from_slice(&key[PEERS.len()..]);
            let identity = identity.map_err(|_| StoreError::Corrupt { what: "peer" })?;
            let Peer { secret, installations, .. } = Peer::read(record)?;
            let installations =
                installations.iter().filter_map(|known| known.to_public(&identity)).collect();
            peers.push(PeerInfo { identity, installations, secret });
            Ok(())
        })?;
        peers.sort_by_key(|peer| peer.identity);
        Ok(peers)
    }

    /// Returns all sessions, sorted by id.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn sessions(&self) -> Result<Vec<SessionState>, StoreError> {
        let mut sessions = Vec::new();
        self.store.scan(SESSIONS, &mut |_, record| {
            sessions.push(SessionState::read(record)?);
            Ok(())
        })?;
        sessions.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(sessions)
    }

    /// Returns a session. `None` if there is none with this id.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn session(&mut self, id: &SessionId) -> Result<Option<SessionState>, StoreError> {
        Ok(DeviceTransaction::begin(self).session(id)?.cloned())
    }

    /// Deletes sessions and their keys, including remains of earlier keys: see [`Store::wipe`].
    /// Returns whether any of the sessions existed.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn forget(&mut self, ids: &[SessionId]) -> Result<bool, SecureError> {
        let mut any = false;
        self.transaction::<_, SecureError>(|it| {
            for id in ids {
                any |= it.forget(id)?;
            }
            Ok(())
        })?;
        if any {
            self.store.wipe()?;
        }
        Ok(any)
    }

    /// Returns our prekeys, oldest first. All but the last are only for late messages.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn prekeys(&self) -> Result<Vec<OwnPrekey>, StoreError> {
        let mut prekeys = Vec::new();
        self.store.scan(PREKEYS, &mut |_, record| {
            prekeys.push(OwnPrekey::read(record)?);
            Ok(())
        })?;
        prekeys.sort_by_key(|prekey| prekey.version);
        Ok(prekeys)
    }

    /// Returns whether the bundle of a session is current, so that the session can send.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn in_use(&mut self, id: &SessionId) -> Result<bool, StoreError> {
        let mut transaction = DeviceTransaction::begin(self);
        if transaction.own()?.is_some_and(|own| own.pair.public() == id.bundle) {
            return Ok(true);
        }
        let known = transaction.peer(&id.identity)?.installation(&id.installation);
        Ok(known.and_then(|i| i.known.as_ref()).is_some_and(|known| known.prekey == id.bundle))
    }
}
