//! One device of one user: its pre keys, what it knows of others, its sessions.
//!
//! ```
//! use statuskit_core::{crypto::{SecretKey, seeded_rng}, secure::{Device, MemoryStore, Timestamp}};
//!
//! let (mut rng, now) = (seeded_rng("docs"), Timestamp::from_secs(1_585_500_000));
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
//! // Once the message has been dealt with, its key goes.
//! bob.confirm(content.confirmation.as_ref().ok_or("a session's message")?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each call is one transaction, durable before its result is there. [`Device::transaction`] makes
//! one of several calls: of a message and its confirmation, or of all messages that came at once.
//! State is loaded when a message needs it; the cost of a message does not depend on how many
//! peers, sessions or kept keys there are. How much that can be is bounded: for each identity, and
//! in the number of strangers, of which a new one takes the place of an old one
//! ([`MAX_STRANGERS`]). Those we write to stay.
//!
//! Randomness is drawn in a fixed order, for reproducible messages: sending takes for each
//! installation without a session, in the order of the ids, an ephemeral key and a ratchet pair;
//! without installations an ephemeral key and a nonce of 12 bytes; then, if it is time, a pre key.
//! Receiving takes a ratchet pair if the message has a new ratchet key.
//!
//! Source: Status, "Secure transport", with the behaviour of the reference; where that is careless
//! (bundles stored before their signature is checked, sessions mixed up that only share their
//! bundle) this is not.

mod learn;
mod receive;
mod records;
mod send;
mod strangers;
#[cfg(test)]
mod tests;
mod work;

use std::{fmt, time::Duration};

use rand::CryptoRng;

use self::records::{Owner, PEERS, PRE_KEYS, Peer, SELF, SESSIONS};
use super::{
    error::SecureError,
    key::{BundleId, CompressedKey, KeyPair},
    message::ProtocolMessage,
    negotiated::NegotiatedSecret,
    proto,
    ratchet::{Kept, Ratchet},
    store::{Changes, Store, StoreError},
    time::Timestamp,
};
use crate::{
    account::InstallationId,
    crypto::{PublicKey, SecretKey},
};
pub use receive::{Confirmation, Content, How, Received};
pub(crate) use send::encrypt_to_identity;
pub use send::{Outgoing, Part};
pub use strangers::MAX_STRANGERS;
pub(crate) use strangers::{forgotten, is_known};
pub use work::Work;

/// To how many installations of a user a message goes, and how many a bundle lists.
pub const MAX_DEVICES: usize = 3;
/// How long a pre key is in use; then a new one is made when the next message is built.
pub const PRE_KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a sender that does not know this device is not answered again.
pub const ADVERTISE_COOLDOWN: Duration = Duration::from_secs(7200);
/// How often a contact code is published.
pub const CONTACT_CODE_INTERVAL: Duration = Duration::from_secs(21_600);
/// How often clients look whether it is time to publish the contact code.
pub const CONTACT_CODE_TICK: Duration = Duration::from_secs(120);
/// The protocol version of our own installation: it can use negotiated secrets.
pub const PROTOCOL_VERSION: u32 = 1;

/// Names a session: whose, started from which bundle, with which of their installations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// The peer.
    pub identity: CompressedKey,
    /// The pre key that it was started from, theirs or ours.
    pub bundle: BundleId,
    /// The peer's installation.
    pub installation: InstallationId,
}

/// A session as it is stored. `Debug` shows no secret; the fields of `ratchet` give them.
#[derive(Debug, Clone)]
pub struct SessionState {
    /// Which session.
    pub id: SessionId,
    /// Whether the bundle is ours: we are the responder.
    pub ours: bool,
    /// The ephemeral key of our X3DH header, which goes with every message until an answer comes.
    pub pending: Option<CompressedKey>,
    /// The state of the double ratchet.
    pub ratchet: Ratchet,
    /// Which message keys are kept.
    pub kept: Kept,
}

/// What is known of an installation from bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Whose.
    pub identity: CompressedKey,
    /// Which.
    pub id: InstallationId,
    /// The time of the newest bundle that listed it.
    pub timestamp: Timestamp,
    /// The highest protocol version it ever had.
    pub protocol_version: u32,
    /// Whether messages go to it. Those of others are enabled, our own when the user says so.
    pub enabled: bool,
    /// Whether the negotiated secret may be used with it.
    pub agreed: bool,
    /// Its current pre key.
    pub pre_key: BundleId,
    /// The version of that.
    pub pre_key_version: u32,
}

/// What is known of an identity.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// Who.
    pub identity: CompressedKey,
    /// Their installations.
    pub installations: Vec<Installation>,
    /// The secret of the negotiated topic, if it was ever needed.
    pub secret: Option<NegotiatedSecret>,
}

/// A pre key of our own.
#[derive(Debug, Clone)]
pub struct OwnPreKey {
    /// Both keys.
    pub pair: KeyPair,
    /// From 1.
    pub version: u32,
    /// When it was made.
    pub created: Timestamp,
}

/// A device.
pub struct Device<S> {
    identity: KeyPair,
    installation: InstallationId,
    lifetime: Duration,
    most_strangers: u64,
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
    /// Opens the device that a store holds, or makes a new one in an empty store. Without an
    /// installation id the stored one is used, or a new one made.
    pub fn open<R: CryptoRng + ?Sized>(
        mut store: S,
        identity: SecretKey,
        installation: Option<InstallationId>,
        rng: &mut R,
    ) -> Result<Self, SecureError> {
        let identity = KeyPair::from(identity);
        let public = identity.public();
        let owner = store.get(SELF)?.map(|record| Owner::read(&record)).transpose()?;
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
                changes.put(SELF.to_vec(), owner.write());
                store.commit(&changes)?;
                owner.installation
            }
        };
        let (lifetime, most_strangers) = (PRE_KEY_LIFETIME, MAX_STRANGERS);
        Ok(Self { identity, installation, lifetime, most_strangers, store })
    }

    /// The public identity key.
    pub fn identity(&self) -> CompressedKey {
        self.identity.public()
    }

    /// The id of this installation.
    pub fn installation(&self) -> &InstallationId {
        &self.installation
    }

    /// Changes how long pre keys are in use; [`PRE_KEY_LIFETIME`] at first. Not stored.
    pub fn set_pre_key_lifetime(&mut self, lifetime: Duration) {
        self.lifetime = lifetime;
    }

    /// Changes how many strangers are remembered, at least one; [`MAX_STRANGERS`] at first. Not
    /// stored.
    pub fn set_max_strangers(&mut self, most: u64) {
        self.most_strangers = most.max(1);
    }

    /// The store, for what the layers above keep beside the device. Their keys begin with `x`.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Gives the store back.
    pub fn into_store(self) -> S {
        self.store
    }

    /// Runs several steps as one: all of what they change is durable when this returns `Ok`, and
    /// nothing of it is there when it returns `Err`.
    pub fn transaction<T, E: From<StoreError>>(
        &mut self,
        run: impl FnOnce(&mut Work<'_, S>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut work = Work::begin(self);
        let result = run(&mut work)?;
        work.commit()?;
        Ok(result)
    }

    /// Remembers somebody for good, however many strangers come: whom we talk with, or will.
    pub fn keep(&mut self, peer: &PublicKey) -> Result<(), SecureError> {
        self.transaction(|work| Ok(work.keep(peer)?))
    }

    /// Takes note of somebody of whom the layers above keep something. Who is new is a stranger, and
    /// one day makes room for others, at most [`MAX_STRANGERS`].
    pub fn meet(&mut self, peer: &PublicKey) -> Result<(), SecureError> {
        self.transaction(|work| Ok(work.meet(peer)?))
    }

    /// Encrypts to all enabled installations of `peer`, or to the identity if there are none.
    /// With the own identity: to the paired devices. Who is written to is [kept](Self::keep).
    pub fn encrypt_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        self.transaction(|work| work.encrypt_to(peer, plaintext, now, rng))
    }

    /// [`encrypt_to`](Self::encrypt_to), for what says nothing of our own, such as acknowledgements:
    /// a stranger stays one.
    pub fn answer_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        self.transaction(|work| work.answer_to(peer, plaintext, now, rng))
    }

    /// Encrypts to the own identity, for devices that are not paired yet.
    pub fn pairing<R: CryptoRng + ?Sized>(
        &mut self,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        self.transaction(|work| work.pairing(plaintext, now, rng))
    }

    /// The own bundle and nothing else.
    pub fn contact_code<R: CryptoRng + ?Sized>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        self.transaction(|work| work.contact_code(now, rng))
    }

    /// Tells `peer` about this device: an empty payload, and the bundle. `peer` is
    /// [kept](Self::keep).
    pub fn advertise_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        self.transaction(|work| work.advertise_to(peer, now, rng))
    }

    /// The answer to a sender that does not know this device: as
    /// [`advertise_to`](Self::advertise_to), but not again within [`ADVERTISE_COOLDOWN`], and a
    /// stranger stays one.
    pub fn answer_unknown<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Option<Outgoing>, SecureError> {
        self.transaction(|work| work.answer_unknown(peer, now, rng))
    }

    /// A payload in clear, with the own bundle, as older clients sent to public chats.
    pub fn public_message<R: CryptoRng + ?Sized>(
        &mut self,
        payload: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        self.transaction(|work| work.public_message(payload, now, rng))
    }

    /// The own bundle, signed anew. Makes a pre key if there is none, or the last one is too old.
    pub fn bundle<R: CryptoRng + ?Sized>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<proto::Bundle, SecureError> {
        self.transaction(|work| work.bundle(now, rng))
    }

    /// Learns of installations from a bundle that came by another way than in a message. Whose it is
    /// is [kept](Self::keep).
    pub fn learn(&mut self, bundle: &proto::Bundle) -> Result<Vec<Installation>, SecureError> {
        self.transaction(|work| work.learn(bundle))
    }

    /// Reads a message of `sender`, who is the signer of its envelope.
    pub fn decrypt<R: CryptoRng + ?Sized>(
        &mut self,
        sender: &PublicKey,
        message: &[u8],
        rng: &mut R,
    ) -> Result<Received, SecureError> {
        let message = ProtocolMessage::decode(message)?;
        self.transaction(|work| work.decrypt(sender, &message, rng))
    }

    /// Says that a message has been dealt with: its key goes, and it can't be opened again.
    /// Whether the key was still there.
    pub fn confirm(&mut self, confirmation: &Confirmation) -> Result<bool, SecureError> {
        self.transaction(|work| work.confirm(confirmation))
    }

    /// Enables or disables an installation. Whether it is known; then whose it is is
    /// [kept](Self::keep).
    pub fn set_enabled(
        &mut self,
        identity: &PublicKey,
        installation: &InstallationId,
        enabled: bool,
    ) -> Result<bool, SecureError> {
        self.transaction(|work| work.set_enabled(identity, installation, enabled))
    }

    /// The installations of an identity, those with the newest bundles first.
    pub fn installations(&mut self, identity: &PublicKey) -> Result<Vec<Installation>, StoreError> {
        let identity = CompressedKey::from(identity);
        let mut work = Work::begin(self);
        let peer = work.peer(&identity)?;
        let mut all: Vec<_> =
            peer.installations.iter().filter_map(|known| known.to_public(&identity)).collect();
        all.sort_by_key(|installation| std::cmp::Reverse(installation.timestamp));
        Ok(all)
    }

    /// How many copies a message to `peer` has: one for each installation that it goes to.
    pub fn copies_for(&mut self, peer: &PublicKey) -> Result<usize, StoreError> {
        let targets = Work::begin(self).targets(&CompressedKey::from(peer))?;
        Ok(targets.len().max(1))
    }

    /// All identities that anything is known of, the own one included.
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

    /// All sessions, in the order of their ids.
    pub fn sessions(&self) -> Result<Vec<SessionState>, StoreError> {
        let mut sessions = Vec::new();
        self.store.scan(SESSIONS, &mut |_, record| {
            sessions.push(SessionState::read(record)?);
            Ok(())
        })?;
        sessions.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(sessions)
    }

    /// One session.
    pub fn session(&mut self, id: &SessionId) -> Result<Option<SessionState>, StoreError> {
        Ok(Work::begin(self).session(id)?.cloned())
    }

    /// Forgets sessions with all their keys, also those that the store still held of before: see
    /// [`Store::wipe`]. Whether any was there.
    pub fn forget(&mut self, ids: &[SessionId]) -> Result<bool, SecureError> {
        let mut any = false;
        self.transaction::<_, SecureError>(|work| {
            for id in ids {
                any |= work.forget(id)?;
            }
            Ok(())
        })?;
        if any {
            self.store.wipe()?;
        }
        Ok(any)
    }

    /// All pre keys of our own, oldest first; those but the last open late messages only.
    pub fn pre_keys(&self) -> Result<Vec<OwnPreKey>, StoreError> {
        let mut pre_keys = Vec::new();
        self.store.scan(PRE_KEYS, &mut |_, record| {
            pre_keys.push(OwnPreKey::read(record)?);
            Ok(())
        })?;
        pre_keys.sort_by_key(|pre_key| pre_key.version);
        Ok(pre_keys)
    }

    /// Whether the bundle of a session is still in use, so that the session may be used to send.
    pub fn in_use(&mut self, id: &SessionId) -> Result<bool, StoreError> {
        let mut work = Work::begin(self);
        if work.own()?.is_some_and(|own| own.pair.public() == id.bundle) {
            return Ok(true);
        }
        let known = work.peer(&id.identity)?.installation(&id.installation);
        Ok(known.and_then(|i| i.known.as_ref()).is_some_and(|known| known.pre_key == id.bundle))
    }
}
