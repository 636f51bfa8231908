//! The records of a device and their keys. States on disk outlive releases, so these forms never
//! change.
//!
//! | key | record |
//! | --- | --- |
//! | `i` | the owner: identity and installation |
//! | `o` | our current prekey |
//! | `k`, prekey | the private key of each prekey we ever had |
//! | `p`, identity | a peer: installations, their prekeys, the sessions to send with |
//! | `s`, identity, bundle id, hash of the installation id | a session |
//! | `c`, the same, number | a chunk of the stored message keys of a session |
//! | `l`, `q`, `w`, … | the queue of strangers: see `strangers.rs` |
//! | `x`, … | records of the layers above |

use super::model::{Installation, OwnPrekey, SessionId, SessionState};
use crate::{
    account::InstallationId,
    crypto::keccak256,
    secure::{
        key::{BundleId, CompressedKey, KeyPair},
        negotiated::NegotiatedSecret,
        ratchet::ActiveRatchet,
        store::{
            Record, StoreError,
            codec::{Reader, Writer},
        },
        stored_keys::StoredKeys,
        time::Timestamp,
    },
};

/// Maximum number of installations per identity. Clients send to three.
pub(super) const MAX_INSTALLATIONS: usize = 64;
/// Maximum number of sessions per installation: those of the last prekeys, theirs and ours.
/// Together with [`MAX_INSTALLATIONS`] and the limit on stored keys, this bounds the state per
/// identity.
pub(super) const MAX_SESSIONS: usize = 64;
/// Maximum length in bytes of the installation id of a peer. Those of clients have 36.
pub(super) const MAX_ID: usize = 128;

/// Key of the owner.
pub(super) const OWNER: &[u8] = b"i";
/// Key of our current prekey.
pub(super) const OWN_PREKEY: &[u8] = b"o";
/// Prefix of our prekeys.
pub(super) const PREKEYS: &[u8] = b"k";
/// Prefix of peers.
pub(super) const PEERS: &[u8] = b"p";
/// Prefix of sessions.
pub(super) const SESSIONS: &[u8] = b"s";

pub(super) fn prekey_key(id: &BundleId) -> Vec<u8> {
    [PREKEYS, id.as_bytes()].concat()
}

pub(super) fn peer_key(identity: &CompressedKey) -> Vec<u8> {
    [PEERS, identity.as_bytes()].concat()
}

pub(super) fn session_key(id: &SessionId) -> Vec<u8> {
    let SessionId { identity, bundle, installation } = id;
    let hash = keccak256(installation.as_str().as_bytes());
    [SESSIONS, identity.as_bytes(), bundle.as_bytes(), &hash].concat()
}

/// Derives the key of a chunk from the key of its session.
pub(super) fn chunk_key(session_key: &[u8], index: u64) -> Vec<u8> {
    let mut key = [session_key, &index.to_be_bytes()].concat();
    key[0] = b'c';
    key
}

/// The owner of a store.
pub(super) struct Owner {
    pub identity: CompressedKey,
    pub installation: InstallationId,
}

impl Owner {
    pub fn write(&self) -> Record {
        let mut writer = Writer::default();
        writer.array(self.identity.as_bytes());
        writer.bytes(self.installation.as_str().as_bytes());
        writer.finish()
    }

    pub fn read(record: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("identity", record);
        let identity = CompressedKey::from(reader.array()?);
        let installation = InstallationId::new(reader.text()?);
        reader.finish()?;
        Ok(Self { identity, installation })
    }
}

impl OwnPrekey {
    pub(super) fn write(&self) -> Record {
        let mut writer = Writer::default();
        self.pair.write(&mut writer);
        writer.u32(self.version);
        writer.i64(self.created.0);
        writer.finish()
    }

    pub(super) fn read(record: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("prekey", record);
        let pair = KeyPair::read(&mut reader)?;
        let version = reader.u32()?;
        let created = Timestamp(reader.i64()?);
        reader.finish()?;
        Ok(Self { pair, version, created })
    }
}

/// The record of an identity, a peer's or our own.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// The negotiated secret, once computed.
    pub secret: Option<NegotiatedSecret>,
    /// The time of the last answer to a sender that does not know this device.
    pub advertised: Option<Timestamp>,
    pub installations: Vec<PeerInstallation>,
}

#[derive(Debug)]
pub(super) struct PeerInstallation {
    pub id: InstallationId,
    /// What bundles announced. `None` if only messages came from it.
    pub known: Option<Known>,
    /// Whether it has agreed to use the negotiated secret.
    pub agreed: bool,
    /// The bundles of the sessions that can send, in the order of registration.
    pub sending: Vec<BundleId>,
    /// The bundles of all sessions, in the same order.
    pub sessions: Vec<BundleId>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub timestamp: Timestamp,
    pub protocol_version: u32,
    pub enabled: bool,
    pub prekey: BundleId,
    pub prekey_version: u32,
    /// The timestamp of the bundle with the prekey.
    pub prekey_timestamp: Timestamp,
}

impl Peer {
    /// Returns an installation, if it is known.
    pub fn installation(&self, id: &InstallationId) -> Option<&PeerInstallation> {
        self.installations.iter().find(|installation| installation.id == *id)
    }

    /// Removes installations until there is room for a new one. The caller deletes their sessions.
    /// Starts with those without a session, oldest bundle first. Our own enabled ones come last.
    pub fn make_room(&mut self, id: &InstallationId, own: bool) -> Vec<PeerInstallation> {
        let mut removed = Vec::new();
        if self.installation(id).is_some() {
            return removed;
        }
        while self.installations.len() >= MAX_INSTALLATIONS {
            let age = |(_, installation): &(usize, &PeerInstallation)| {
                let known = installation.known.as_ref();
                let is_paired = own && known.is_some_and(|known| known.enabled);
                (is_paired, !installation.sessions.is_empty(), known.map(|k| k.timestamp))
            };
            let oldest = self.installations.iter().enumerate().min_by_key(age);
            let Some((oldest, _)) = oldest else { break };
            removed.push(self.installations.remove(oldest));
        }
        removed
    }

    /// Returns an installation. Adds it if it is unknown.
    pub fn installation_mut(&mut self, id: &InstallationId) -> &mut PeerInstallation {
        let at = self.installations.iter().position(|installation| installation.id == *id);
        let at = at.unwrap_or_else(|| {
            self.installations.push(PeerInstallation::new(id));
            self.installations.len() - 1
        });
        &mut self.installations[at]
    }

    /// Returns at most `limit` enabled installations, newest bundle first.
    pub fn active(&self, limit: usize) -> Vec<&PeerInstallation> {
        let enabled = |installation: &&PeerInstallation| {
            installation.known.as_ref().is_some_and(|known| known.enabled)
        };
        let mut active: Vec<_> = self.installations.iter().filter(enabled).collect();
        active.sort_by(|a, b| {
            let time = |i: &PeerInstallation| i.known.as_ref().map(|known| known.timestamp);
            time(b).cmp(&time(a)).then_with(|| a.id.cmp(&b.id))
        });
        active.truncate(limit);
        active
    }

    pub fn write(&self) -> Record {
        let mut writer = Writer::default();
        writer.opt(self.secret.as_ref(), |writer, secret| writer.array(secret.as_bytes()));
        writer.opt(self.advertised, |writer, time| writer.i64(time.0));
        writer.u32(self.installations.len() as u32);
        for installation in &self.installations {
            installation.write(&mut writer);
        }
        writer.finish()
    }

    pub fn read(record: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("peer", record);
        let secret = reader.opt(Reader::array)?.map(NegotiatedSecret::from_bytes);
        let advertised = reader.opt(Reader::i64)?.map(Timestamp);
        let mut installations = Vec::new();
        for _ in 0..reader.u32()? {
            installations.push(PeerInstallation::read(&mut reader)?);
        }
        reader.finish()?;
        Ok(Self { secret, advertised, installations })
    }
}

impl PeerInstallation {
    fn new(id: &InstallationId) -> Self {
        let (sending, sessions) = (Vec::new(), Vec::new());
        Self { id: id.clone(), known: None, agreed: false, sending, sessions }
    }

    fn write(&self, writer: &mut Writer) {
        writer.bytes(self.id.as_str().as_bytes());
        writer.opt(self.known.as_ref(), |writer, known| {
            writer.i64(known.timestamp.0);
            writer.u32(known.protocol_version);
            writer.flag(known.enabled);
            writer.array(known.prekey.as_bytes());
            writer.u32(known.prekey_version);
            writer.i64(known.prekey_timestamp.0);
        });
        writer.flag(self.agreed);
        for bundles in [&self.sending, &self.sessions] {
            writer.u32(bundles.len() as u32);
            for bundle in bundles {
                writer.array(bundle.as_bytes());
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
        let id = InstallationId::new(reader.text()?);
        let known = reader.opt(|reader| {
            Ok(Known {
                timestamp: Timestamp(reader.i64()?),
                protocol_version: reader.u32()?,
                enabled: reader.flag()?,
                prekey: reader.array()?.into(),
                prekey_version: reader.u32()?,
                prekey_timestamp: Timestamp(reader.i64()?),
            })
        })?;
        let agreed = reader.flag()?;
        let mut bundles = || {
            let mut bundles = Vec::new();
            for _ in 0..reader.u32()? {
                bundles.push(reader.array()?.into());
            }
            Ok::<_, StoreError>(bundles)
        };
        let (sending, sessions) = (bundles()?, bundles()?);
        Ok(Self { id, known, agreed, sending, sessions })
    }

    /// Returns the public view. `None` if no bundle announced it.
    pub fn to_public(&self, identity: &CompressedKey) -> Option<Installation> {
        let known = self.known.as_ref()?;
        Some(Installation {
            identity: *identity,
            id: self.id.clone(),
            timestamp: known.timestamp,
            protocol_version: known.protocol_version,
            enabled: known.enabled,
            agreed: self.agreed,
            prekey: known.prekey,
            prekey_version: known.prekey_version,
        })
    }
}

impl SessionState {
    pub(super) fn write(&self) -> Record {
        let mut writer = Writer::default();
        writer.array(self.id.identity.as_bytes());
        writer.array(self.id.bundle.as_bytes());
        writer.bytes(self.id.installation.as_str().as_bytes());
        writer.flag(self.is_responder);
        writer.opt(self.x3dh_key, |writer, key| writer.array(key.as_bytes()));
        self.ratchet.write(&mut writer);
        self.stored_keys.write(&mut writer);
        writer.finish()
    }

    pub(super) fn read(record: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("session", record);
        let id = SessionId {
            identity: reader.array()?.into(),
            bundle: reader.array()?.into(),
            installation: InstallationId::new(reader.text()?),
        };
        let is_responder = reader.flag()?;
        let x3dh_key = reader.opt(Reader::array)?.map(CompressedKey::from);
        let ratchet = ActiveRatchet::read(&mut reader)?;
        let stored_keys = StoredKeys::read(&mut reader)?;
        reader.finish()?;
        Ok(Self { id, is_responder, x3dh_key, ratchet, stored_keys })
    }
}
