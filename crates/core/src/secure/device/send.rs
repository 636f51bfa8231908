//! Encrypts messages: chooses the installations, the sessions and the form.

use std::collections::BTreeMap;

use rand::CryptoRng;

use super::{ADVERTISE_COOLDOWN, DeviceTransaction, MAX_DEVICES, SessionId, SessionState};
use crate::{
    account::InstallationId,
    crypto::PublicKey,
    secure::{
        dh,
        error::SecureError,
        key::{BundleId, CompressedKey, KeyPair},
        message::{NO_INSTALLATION, ProtocolMessage},
        negotiated::NegotiatedSecret,
        proto,
        ratchet::{ActiveRatchet, RatchetHeader},
        store::{Store, StoreError},
        stored_keys::StoredKeys,
        time::Timestamp,
        x3dh,
    },
};

/// A message to send.
#[derive(Debug)]
#[non_exhaustive]
pub struct EncryptedMessage {
    /// The payload of the envelope.
    pub message: ProtocolMessage,
    /// The per-device messages, sorted by installation id. Empty if the message is encrypted to the
    /// identity or in clear.
    pub device_messages: Vec<DeviceMessage>,
    /// The negotiated secret of sender and recipient, if it is a direct message.
    pub secret: Option<NegotiatedSecret>,
    /// Whether the message goes to the negotiated topic: all its installations have agreed to use
    /// the secret. Otherwise it goes to the partitioned topic.
    pub agreed: bool,
}

/// How the message for one installation was encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceMessage {
    /// The session.
    pub session: SessionId,
    /// The header of the ratchet.
    pub header: RatchetHeader,
    /// The ephemeral key of the X3DH header, until the session is answered.
    pub x3dh_key: Option<CompressedKey>,
}

impl<S: Store> DeviceTransaction<'_, S> {
    /// See [`Device::encrypt_to`](super::Device::encrypt_to).
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
        self.mark_known(peer)?;
        self.answer_to(peer, plaintext, now, rng)
    }

    /// See [`Device::answer_to`](super::Device::answer_to).
    pub(super) fn answer_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<EncryptedMessage, SecureError> {
        let identity = CompressedKey::from(peer);
        let mut device_messages = Vec::new();
        let mut direct = BTreeMap::new();
        for target in self.targets(&identity)? {
            let Some(mut state) = self.session_to(peer, &identity, &target, rng)? else { continue };
            let (header, payload) = state.ratchet.encrypt(plaintext)?;
            let bundle = state.id.bundle;
            let message = proto::DirectMessage {
                x3dh_header: state.x3dh_key.map(|key| proto::X3dhHeader {
                    key: key.as_bytes().to_vec(),
                    id: bundle.as_bytes().to_vec(),
                }),
                dr_header: Some(proto::DrHeader::new(&header, &bundle)),
                payload,
                dh_header: None,
            };
            direct.insert(target.as_str().to_owned(), message);
            let (session, x3dh_key) = (state.id.clone(), state.x3dh_key);
            device_messages.push(DeviceMessage { session, header, x3dh_key });
            self.set_session(state);
        }
        if device_messages.is_empty() {
            direct.insert(NO_INSTALLATION.to_owned(), identity_message(peer, plaintext, rng));
        }
        let message = self.message(direct, Vec::new(), now, rng)?;
        let secret = self.secret(peer, &identity)?;
        let known = self.peer(&identity)?;
        let agreed = |message: &DeviceMessage| {
            known.installation(&message.session.installation).is_some_and(|known| known.agreed)
        };
        let agreed = !device_messages.is_empty() && device_messages.iter().all(agreed);
        Ok(EncryptedMessage { message, device_messages, secret: Some(secret), agreed })
    }

    /// See [`Device::encrypt_for_pairing`](super::Device::encrypt_for_pairing).
    pub(super) fn encrypt_for_pairing<R: CryptoRng + ?Sized>(
        &mut self,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<EncryptedMessage, SecureError> {
        let own = self.identity.secret().public_key();
        self.message_to_identity(&own, plaintext, now, rng)
    }

    /// See [`Device::advertise_to`](super::Device::advertise_to).
    pub(super) fn advertise_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<EncryptedMessage, SecureError> {
        self.mark_known(peer)?;
        self.message_to_identity(peer, b"", now, rng)
    }

    /// See [`Device::answer_unknown`](super::Device::answer_unknown).
    pub(super) fn answer_unknown<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Option<EncryptedMessage>, SecureError> {
        let identity = CompressedKey::from(peer);
        let last = self.peer(&identity)?.advertised;
        if last.is_some_and(|last| !last.is_older_than(ADVERTISE_COOLDOWN, now)) {
            return Ok(None);
        }
        self.peer_mut(&identity)?.advertised = Some(now);
        self.message_to_identity(peer, b"", now, rng).map(Some)
    }

    /// See [`Device::contact_code`](super::Device::contact_code).
    pub(super) fn contact_code<R: CryptoRng + ?Sized>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<EncryptedMessage, SecureError> {
        self.public_message(b"", now, rng)
    }

    /// Makes a cleartext message with our bundle, as older clients sent to public chats.
    pub(super) fn public_message<R: CryptoRng + ?Sized>(
        &mut self,
        payload: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<EncryptedMessage, SecureError> {
        let message = self.message(BTreeMap::new(), payload.to_vec(), now, rng)?;
        let device_messages = Vec::new();
        Ok(EncryptedMessage { message, device_messages, secret: None, agreed: false })
    }

    /// Makes a message that is encrypted to the identity.
    fn message_to_identity<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<EncryptedMessage, SecureError> {
        let encrypted = identity_message(peer, plaintext, rng);
        let direct = [(NO_INSTALLATION.to_owned(), encrypted)].into();
        let message = self.message(direct, Vec::new(), now, rng)?;
        let secret = self.secret(peer, &CompressedKey::from(peer))?;
        let device_messages = Vec::new();
        Ok(EncryptedMessage { message, device_messages, secret: Some(secret), agreed: false })
    }

    /// Builds a message with our bundle. The payload is encrypted before, since the bundle may have
    /// a new prekey, and the message belongs to the session of the old one.
    fn message<R: CryptoRng + ?Sized>(
        &mut self,
        direct_message: BTreeMap<String, proto::DirectMessage>,
        public_message: Vec<u8>,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<ProtocolMessage, SecureError> {
        let bundle = self.bundle(now, rng)?;
        Ok(ProtocolMessage::new(proto::ProtocolMessage {
            installation_id: self.installation.as_str().to_owned(),
            bundles: vec![bundle],
            direct_message,
            public_message,
        }))
    }

    /// Returns the installations that a message goes to, sorted by id.
    pub(super) fn targets(
        &mut self,
        identity: &CompressedKey,
    ) -> Result<Vec<InstallationId>, StoreError> {
        let own = self.installation;
        let active = self.peer(identity)?.active(MAX_DEVICES);
        let mut targets: Vec<_> = active
            .iter()
            .map(|installation| installation.id.clone())
            .filter(|id| id != own)
            .collect();
        targets.sort();
        Ok(targets)
    }

    /// Returns the session to send with: the first registered one with a current bundle, or a new
    /// one. `None` if there is no valid prekey to start one from.
    fn session_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        identity: &CompressedKey,
        installation: &InstallationId,
        rng: &mut R,
    ) -> Result<Option<SessionState>, SecureError> {
        let own = self.own()?.map(|own| own.pair.public());
        let Some(known) = self.peer(identity)?.installation(installation) else { return Ok(None) };
        let theirs = known.known.as_ref().map(|known| known.prekey);
        let usable = |bundle: &BundleId| Some(*bundle) == own || Some(*bundle) == theirs;
        let bundles: Vec<_> = known.sending.iter().copied().filter(usable).collect();
        let id =
            |bundle| SessionId { identity: *identity, bundle, installation: installation.clone() };
        for bundle in bundles {
            if let Some(state) = self.session(&id(bundle))? {
                return Ok(Some(state.clone()));
            }
        }
        let Some(bundle) = theirs else { return Ok(None) };
        // Prekeys are checked when they are learned.
        let Ok(prekey) = bundle.point() else { return Ok(None) };
        let ephemeral = KeyPair::generate(rng);
        let shared = x3dh::initiate(self.identity.secret(), ephemeral.secret(), peer, &prekey);
        let state = SessionState {
            id: id(bundle),
            is_responder: false,
            x3dh_key: Some(ephemeral.public()),
            ratchet: ActiveRatchet::initiate(&shared, &prekey, rng),
            stored_keys: StoredKeys::default(),
        };
        self.register_session(&state.id)?;
        Ok(Some(state))
    }

    /// Returns the negotiated secret with an identity. Computes it once.
    pub(super) fn secret(
        &mut self,
        peer: &PublicKey,
        identity: &CompressedKey,
    ) -> Result<NegotiatedSecret, StoreError> {
        if let Some(secret) = &self.peer(identity)?.secret {
            return Ok(secret.clone());
        }
        let secret = NegotiatedSecret::agree(self.identity.secret(), peer);
        self.peer_mut(identity)?.secret = Some(secret.clone());
        Ok(secret)
    }
}

/// Encrypts a message to an identity without a state: it names no installation and has no bundle.
pub fn encrypt_to_identity<R: CryptoRng + ?Sized>(
    peer: &PublicKey,
    plaintext: &[u8],
    rng: &mut R,
) -> ProtocolMessage {
    let message = identity_message(peer, plaintext, rng);
    ProtocolMessage::new(proto::ProtocolMessage {
        direct_message: [(NO_INSTALLATION.to_owned(), message)].into(),
        ..Default::default()
    })
}

fn identity_message<R: CryptoRng + ?Sized>(
    peer: &PublicKey,
    plaintext: &[u8],
    rng: &mut R,
) -> proto::DirectMessage {
    let (key, payload) = dh::encrypt(peer, plaintext, rng);
    let dh_header = Some(proto::DhHeader { key: key.as_bytes().to_vec() });
    proto::DirectMessage { dh_header, payload, ..Default::default() }
}
