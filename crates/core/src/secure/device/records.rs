//! What a device keeps, and under which keys.
//!
//! | key | record |
//! | --- | --- |
//! | `i` | identity and installation: whose store this is |
//! | `o` | the current pre key of our own |
//! | `k`, pre key | the private part of each pre key that we ever had |
//! | `p`, identity | a peer: installations, their pre keys, which sessions to send with |
//! | `s`, identity, bundle id, hash of the installation id | a session |
//! | `c`, the same, number | a chunk of a session's kept message keys |
//! | `l`, `q`, `w`, … | the line of strangers: see `strangers.rs` |
//! | `x`, … | what the layers above keep |

use super::{Installation, OwnPreKey, SessionId, SessionState};
use crate::{
    account::InstallationId,
    crypto::{SecretKey, keccak256},
    secure::{
        key::{BundleId, CompressedKey, KeyPair},
        negotiated::NegotiatedSecret,
        ratchet::{Chain, ChainKey, Kept, Ratchet, RootKey},
        store::{
            Record, StoreError,
            codec::{Reader, Writer},
        },
        time::Timestamp,
    },
};

/// How many installations of one identity are remembered. Clients write to three.
pub(super) const MAX_REMEMBERED: usize = 64;
/// How many sessions with one installation are kept: those of the last pre keys, theirs and ours.
/// With [`MAX_REMEMBERED`] and the bound on kept keys this bounds what one identity can make us
/// store, whatever it makes up.
pub(super) const MAX_SESSIONS: usize = 64;
/// The longest installation id, in bytes, of somebody else. The app's have 36.
pub(super) const MAX_ID: usize = 128;

/// Key of the record that says whose store it is.
pub(super) const SELF: &[u8] = b"i";
/// Key of the current pre key.
pub(super) const OWN: &[u8] = b"o";
/// Prefix of all pre keys.
pub(super) const PRE_KEYS: &[u8] = b"k";
/// Prefix of peers.
pub(super) const PEERS: &[u8] = b"p";
/// Prefix of sessions.
pub(super) const SESSIONS: &[u8] = b"s";

pub(super) fn pre_key_key(id: &BundleId) -> Vec<u8> {
    [PRE_KEYS, id.as_bytes()].concat()
}

pub(super) fn peer_key(identity: &CompressedKey) -> Vec<u8> {
    [PEERS, identity.as_bytes()].concat()
}

pub(super) fn session_key(id: &SessionId) -> Vec<u8> {
    let SessionId { identity, bundle, installation } = id;
    let hash = keccak256(installation.as_str().as_bytes());
    [SESSIONS, identity.as_bytes(), bundle.as_bytes(), &hash].concat()
}

/// From the key of the session.
pub(super) fn chunk_key(session_key: &[u8], index: u64) -> Vec<u8> {
    let mut key = [session_key, &index.to_be_bytes()].concat();
    key[0] = b'c';
    key
}

/// Whose store this is.
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

impl OwnPreKey {
    pub(super) fn write(&self) -> Record {
        let mut writer = Writer::default();
        write_pair(&mut writer, &self.pair);
        writer.u32(self.version);
        writer.i64(self.created.0);
        writer.finish()
    }

    pub(super) fn read(record: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("pre key", record);
        let pair = read_pair(&mut reader)?;
        let version = reader.u32()?;
        let created = Timestamp(reader.i64()?);
        reader.finish()?;
        Ok(Self { pair, version, created })
    }
}

/// What is known about an identity, be it a peer's or our own.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// The negotiated secret, once it was needed.
    pub secret: Option<NegotiatedSecret>,
    /// When a message that we were not among the recipients of was last answered.
    pub advertised: Option<Timestamp>,
    pub installations: Vec<PeerInstallation>,
}

#[derive(Debug)]
pub(super) struct PeerInstallation {
    pub id: InstallationId,
    /// What bundles said; `None` when only messages came from there.
    pub known: Option<Known>,
    /// Whether a secret may be used with it.
    pub agreed: bool,
    /// The bundles of the sessions there are to send with, in the order in which they were
    /// registered.
    pub entries: Vec<BundleId>,
    /// The bundles of all sessions with it, in the same order.
    pub sessions: Vec<BundleId>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub timestamp: Timestamp,
    pub protocol_version: u32,
    pub enabled: bool,
    pub pre_key: BundleId,
    pub pre_key_version: u32,
    /// The timestamp of the bundle that the pre key came with.
    pub pre_key_timestamp: Timestamp,
}

impl Peer {
    /// An installation, if anything is known of it.
    pub fn installation(&self, id: &InstallationId) -> Option<&PeerInstallation> {
        self.installations.iter().find(|installation| installation.id == *id)
    }

    /// Removes installations until there is room for this one; the caller removes their sessions.
    /// Those go first that there is no session with, and of them those whose bundle is the oldest;
    /// those that the user enabled among our own last.
    pub fn make_room(&mut self, id: &InstallationId, own: bool) -> Vec<PeerInstallation> {
        let mut removed = Vec::new();
        if self.installation(id).is_some() {
            return removed;
        }
        while self.installations.len() >= MAX_REMEMBERED {
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

    /// An installation, made if nothing is known of it.
    pub fn installation_mut(&mut self, id: &InstallationId) -> &mut PeerInstallation {
        let at = self.installations.iter().position(|installation| installation.id == *id);
        let at = at.unwrap_or_else(|| {
            let (id, agreed) = (id.clone(), false);
            let (entries, sessions) = (Vec::new(), Vec::new());
            self.installations.push(PeerInstallation {
                id,
                known: None,
                agreed,
                entries,
                sessions,
            });
            self.installations.len() - 1
        });
        &mut self.installations[at]
    }

    /// The installations that are enabled, those with the newest bundles first, at most `limit`.
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
    fn write(&self, writer: &mut Writer) {
        writer.bytes(self.id.as_str().as_bytes());
        writer.opt(self.known.as_ref(), |writer, known| {
            writer.i64(known.timestamp.0);
            writer.u32(known.protocol_version);
            writer.flag(known.enabled);
            writer.array(known.pre_key.as_bytes());
            writer.u32(known.pre_key_version);
            writer.i64(known.pre_key_timestamp.0);
        });
        writer.flag(self.agreed);
        for bundles in [&self.entries, &self.sessions] {
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
                pre_key: reader.array()?.into(),
                pre_key_version: reader.u32()?,
                pre_key_timestamp: Timestamp(reader.i64()?),
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
        let (entries, sessions) = (bundles()?, bundles()?);
        Ok(Self { id, known, agreed, entries, sessions })
    }

    /// How it is shown.
    pub fn to_public(&self, identity: &CompressedKey) -> Option<Installation> {
        let known = self.known.as_ref()?;
        Some(Installation {
            identity: *identity,
            id: self.id.clone(),
            timestamp: known.timestamp,
            protocol_version: known.protocol_version,
            enabled: known.enabled,
            agreed: self.agreed,
            pre_key: known.pre_key,
            pre_key_version: known.pre_key_version,
        })
    }
}

impl SessionState {
    pub(super) fn write(&self) -> Record {
        let mut writer = Writer::default();
        writer.array(self.id.identity.as_bytes());
        writer.array(self.id.bundle.as_bytes());
        writer.bytes(self.id.installation.as_str().as_bytes());
        writer.flag(self.ours);
        writer.opt(self.pending, |writer, key| writer.array(key.as_bytes()));
        let Ratchet { own, remote, root, send, receive, pn, keys_count } = &self.ratchet;
        write_pair(&mut writer, own);
        writer.opt(remote.as_ref(), |writer, key| writer.array(key.as_bytes()));
        writer.array(root.as_bytes());
        for chain in [send, receive] {
            writer.array(chain.key.as_bytes());
            writer.u32(chain.n);
        }
        writer.u32(*pn);
        writer.u64(*keys_count);
        self.kept.write(&mut writer);
        writer.finish()
    }

    pub(super) fn read(record: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new("session", record);
        let id = SessionId {
            identity: reader.array()?.into(),
            bundle: reader.array()?.into(),
            installation: InstallationId::new(reader.text()?),
        };
        let ours = reader.flag()?;
        let pending = reader.opt(Reader::array)?.map(CompressedKey::from);
        let own = read_pair(&mut reader)?;
        let remote = reader.opt(Reader::array)?.map(CompressedKey::from);
        let root = RootKey::from_bytes(reader.array()?);
        let mut chain = || {
            Ok::<_, StoreError>(Chain {
                key: ChainKey::from_bytes(reader.array()?),
                n: reader.u32()?,
            })
        };
        let (send, receive) = (chain()?, chain()?);
        let pn = reader.u32()?;
        let keys_count = reader.u64()?;
        let kept = Kept::read(&mut reader)?;
        reader.finish()?;
        let ratchet = Ratchet { own, remote, root, send, receive, pn, keys_count };
        Ok(Self { id, ours, pending, ratchet, kept })
    }
}

fn write_pair(writer: &mut Writer, pair: &KeyPair) {
    writer.array(&pair.secret().to_bytes());
    writer.array(pair.public().as_bytes());
}

fn read_pair(reader: &mut Reader<'_>) -> Result<KeyPair, StoreError> {
    let secret = zeroize::Zeroizing::new(reader.array()?);
    let secret = SecretKey::from_bytes(&secret).map_err(|_| reader.corrupt())?;
    Ok(KeyPair::from_parts(secret, reader.array()?.into()))
}
