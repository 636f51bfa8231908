//! What a device knows of sessions, installations and identities.

use super::super::{
    key::{BundleId, CompressedKey, KeyPair},
    negotiated::NegotiatedSecret,
    ratchet::ActiveRatchet,
    store::{
        StoreError,
        codec::{Reader, Writer},
    },
    stored_keys::StoredKeys,
    time::Timestamp,
};
use crate::account::InstallationId;

/// Identifies a session: the peer, the bundle it was started from, and the peer's installation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// The identity of the peer.
    pub identity: CompressedKey,
    /// The prekey that the session was started from, theirs or ours.
    pub bundle: BundleId,
    /// The installation of the peer.
    pub installation: InstallationId,
}

/// A session as it is stored. `Debug` redacts secrets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionState {
    /// The id of the session.
    pub id: SessionId,
    /// Whether we are the responder: the bundle is ours.
    pub is_responder: bool,
    /// The ephemeral key of our X3DH header. Each message carries it until the first answer.
    pub x3dh_key: Option<CompressedKey>,
    /// The state of the double ratchet.
    pub ratchet: ActiveRatchet,
    /// The directory of stored message keys.
    pub stored_keys: StoredKeys,
}

/// An installation, as bundles describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Installation {
    /// The identity it belongs to.
    pub identity: CompressedKey,
    /// The id of the installation.
    pub id: InstallationId,
    /// The time of the newest bundle that listed it.
    pub timestamp: Timestamp,
    /// The highest protocol version it ever announced.
    pub protocol_version: u32,
    /// Whether messages go to it. Our own installations are disabled until the user enables them.
    pub enabled: bool,
    /// Whether it has agreed to use the negotiated secret.
    pub agreed: bool,
    /// Its current prekey.
    pub prekey: BundleId,
    /// The version of its current prekey.
    pub prekey_version: u32,
}

impl Installation {
    /// Writes it, for programs that share a state.
    pub fn write(&self, writer: &mut Writer) {
        writer.array(self.identity.as_bytes());
        writer.bytes(self.id.as_str().as_bytes());
        writer.i64(self.timestamp.0);
        writer.u32(self.protocol_version);
        writer.flag(self.enabled);
        writer.flag(self.agreed);
        writer.array(self.prekey.as_bytes());
        writer.u32(self.prekey_version);
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            identity: CompressedKey::from(reader.array()?),
            id: InstallationId::new(reader.text()?),
            timestamp: Timestamp(reader.i64()?),
            protocol_version: reader.u32()?,
            enabled: reader.flag()?,
            agreed: reader.flag()?,
            prekey: CompressedKey::from(reader.array()?),
            prekey_version: reader.u32()?,
        })
    }
}

/// What a device knows of an identity.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PeerInfo {
    /// The identity key.
    pub identity: CompressedKey,
    /// The known installations.
    pub installations: Vec<Installation>,
    /// The negotiated secret, if it was computed.
    pub secret: Option<NegotiatedSecret>,
}

/// A prekey of our own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OwnPrekey {
    /// The key pair.
    pub pair: KeyPair,
    /// The version, from 1.
    pub version: u32,
    /// The time it was made.
    pub created: Timestamp,
}
