//! Sending: which installations, which sessions, which form.

use rand::CryptoRng;

use super::{ADVERTISE_COOLDOWN, MAX_DEVICES, SessionId, SessionState, Work};
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
        ratchet::{Header, Kept, Ratchet},
        store::{Store, StoreError},
        time::Timestamp,
        x3dh,
    },
};

/// A message to send.
#[derive(Debug)]
pub struct Outgoing {
    /// What goes into the envelope.
    pub message: ProtocolMessage,
    /// Its parts for installations, in the order of their ids; none if it is encrypted to the
    /// identity, or not at all.
    pub parts: Vec<Part>,
    /// The secret of sender and recipient, if it is a direct message.
    pub secret: Option<NegotiatedSecret>,
    /// Whether all its installations have agreed to use the secret: then the message goes to the
    /// negotiated topic, otherwise to the partitioned one.
    pub agreed: bool,
}

/// How the part for one installation was encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// With which session.
    pub session: SessionId,
    /// The ratchet's header.
    pub header: Header,
    /// The ephemeral key, while the session was not answered yet.
    pub x3dh: Option<CompressedKey>,
}

impl<S: Store> Work<'_, S> {
    /// See [`Device::encrypt_to`](super::Device::encrypt_to).
    pub fn encrypt_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        self.keep(peer)?;
        self.answer_to(peer, plaintext, now, rng)
    }

    /// See [`Device::answer_to`](super::Device::answer_to).
    pub fn answer_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        let identity = CompressedKey::from(peer);
        let mut parts = Vec::new();
        let mut direct = std::collections::BTreeMap::new();
        for target in self.targets(&identity)? {
            let Some(mut state) = self.session_to(peer, &identity, &target, rng)? else { continue };
            let (header, payload) = state.ratchet.encrypt(plaintext)?;
            let bundle = state.id.bundle;
            let part = proto::DirectMessage {
                x3dh_header: state.pending.map(|key| proto::X3dhHeader {
                    key: key.as_bytes().to_vec(),
                    id: bundle.as_bytes().to_vec(),
                }),
                dr_header: Some(proto::DrHeader::new(&header, &bundle)),
                payload,
                dh_header: None,
            };
            direct.insert(target.as_str().to_owned(), part);
            parts.push(Part { session: state.id.clone(), header, x3dh: state.pending });
            self.set_session(state);
        }
        if parts.is_empty() {
            direct.insert(NO_INSTALLATION.to_owned(), encrypt_to_identity(peer, plaintext, rng));
        }
        let message = self.message(direct, Vec::new(), now, rng)?;
        let secret = self.secret(peer, &identity)?;
        let known = self.peer(&identity)?;
        let agreed = |part: &Part| {
            known.installation(&part.session.installation).is_some_and(|known| known.agreed)
        };
        let agreed = !parts.is_empty() && parts.iter().all(agreed);
        Ok(Outgoing { message, parts, secret: Some(secret), agreed })
    }

    /// See [`Device::pairing`](super::Device::pairing).
    pub fn pairing<R: CryptoRng + ?Sized>(
        &mut self,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        let own = self.identity.secret().public_key();
        self.sealed_to_identity(&own, plaintext, now, rng)
    }

    /// See [`Device::advertise_to`](super::Device::advertise_to).
    pub fn advertise_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        self.keep(peer)?;
        self.sealed_to_identity(peer, b"", now, rng)
    }

    /// See [`Device::answer_unknown`](super::Device::answer_unknown).
    pub fn answer_unknown<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Option<Outgoing>, SecureError> {
        let identity = CompressedKey::from(peer);
        let last = self.peer(&identity)?.advertised;
        if last.is_some_and(|last| !last.is_older_than(ADVERTISE_COOLDOWN, now)) {
            return Ok(None);
        }
        self.peer_mut(&identity)?.advertised = Some(now);
        self.sealed_to_identity(peer, b"", now, rng).map(Some)
    }

    /// See [`Device::contact_code`](super::Device::contact_code).
    pub fn contact_code<R: CryptoRng + ?Sized>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        let message = self.message(Default::default(), Vec::new(), now, rng)?;
        Ok(Outgoing { message, parts: Vec::new(), secret: None, agreed: false })
    }

    /// See [`Device::public_message`](super::Device::public_message).
    pub fn public_message<R: CryptoRng + ?Sized>(
        &mut self,
        payload: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        let message = self.message(Default::default(), payload.to_vec(), now, rng)?;
        Ok(Outgoing { message, parts: Vec::new(), secret: None, agreed: false })
    }

    /// A message that whoever has the identity can open.
    fn sealed_to_identity<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Outgoing, SecureError> {
        let part = encrypt_to_identity(peer, plaintext, rng);
        let direct = [(NO_INSTALLATION.to_owned(), part)].into();
        let message = self.message(direct, Vec::new(), now, rng)?;
        let secret = self.secret(peer, &CompressedKey::from(peer))?;
        Ok(Outgoing { message, parts: Vec::new(), secret: Some(secret), agreed: false })
    }

    /// Puts a message together. The payload is encrypted before: the bundle may bring a new pre
    /// key, the message still belongs to the old one.
    fn message<R: CryptoRng + ?Sized>(
        &mut self,
        direct_message: std::collections::BTreeMap<String, proto::DirectMessage>,
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

    /// The installations that a message goes to, in the order of their ids.
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

    /// The session to send with: of those whose bundle is in use, the one registered first; a new
    /// one if there is none. `None` if none can be started.
    fn session_to<R: CryptoRng + ?Sized>(
        &mut self,
        peer: &PublicKey,
        identity: &CompressedKey,
        installation: &InstallationId,
        rng: &mut R,
    ) -> Result<Option<SessionState>, SecureError> {
        let own = self.own()?.map(|own| own.pair.public());
        let Some(known) = self.peer(identity)?.installation(installation) else { return Ok(None) };
        let theirs = known.known.as_ref().map(|known| known.pre_key);
        let usable = |bundle: &BundleId| Some(*bundle) == own || Some(*bundle) == theirs;
        let bundles: Vec<_> = known.entries.iter().copied().filter(usable).collect();
        let id =
            |bundle| SessionId { identity: *identity, bundle, installation: installation.clone() };
        for bundle in bundles {
            if let Some(state) = self.session(&id(bundle))? {
                return Ok(Some(state.clone()));
            }
        }
        let Some(bundle) = theirs else { return Ok(None) };
        // Learned with their point checked.
        let Ok(pre_key) = bundle.point() else { return Ok(None) };
        let ephemeral = KeyPair::generate(rng);
        let shared = x3dh::initiate(self.identity.secret(), ephemeral.secret(), peer, &pre_key);
        let state = SessionState {
            id: id(bundle),
            ours: false,
            pending: Some(ephemeral.public()),
            ratchet: Ratchet::initiate(&shared, &pre_key, rng),
            kept: Kept::default(),
        };
        self.register(&state.id)?;
        Ok(Some(state))
    }

    /// The secret that we share with an identity; computed once.
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

/// The part of a message for whoever has an identity.
pub(crate) fn encrypt_to_identity<R: CryptoRng + ?Sized>(
    peer: &PublicKey,
    plaintext: &[u8],
    rng: &mut R,
) -> proto::DirectMessage {
    let (key, payload) = dh::encrypt(peer, plaintext, rng);
    let dh_header = Some(proto::DhHeader { key: key.as_bytes().to_vec() });
    proto::DirectMessage { dh_header, payload, ..Default::default() }
}
