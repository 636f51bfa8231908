//! Receiving: bundles first, then the part that is for us.

use rand::CryptoRng;

use super::{
    Installation, SessionId, SessionState, Work,
    records::{self, MAX_ID},
};
use crate::{
    account::InstallationId,
    crypto::PublicKey,
    secure::{
        bundle, dh,
        error::{Refusal, SecureError},
        key::CompressedKey,
        message::{NO_INSTALLATION, ProtocolMessage},
        negotiated::NegotiatedSecret,
        proto,
        ratchet::{
            Header, Kept, Ratchet, RatchetError,
            kept::{Chunk, Chunks},
        },
        store::{
            Store, StoreError,
            codec::{Reader, Writer},
        },
        x3dh,
    },
};

/// What a message gave.
#[derive(Debug)]
pub struct Received {
    /// The sender's installation, as the message names it.
    pub installation: InstallationId,
    /// Installations that its bundles made known.
    pub learned: Vec<Installation>,
    /// Its content, or why there is none to be had.
    pub content: Result<Content, Refusal>,
}

/// The content of a message.
#[derive(Debug)]
pub struct Content {
    /// What the sender encrypted.
    pub plaintext: Vec<u8>,
    /// How.
    pub how: How,
    /// What to give to [`Device::confirm`](super::Device::confirm) once the message has been dealt
    /// with; `None` if there is no key to let go of.
    pub confirmation: Option<Confirmation>,
    /// The secret of both sides, if the sending installation may now be answered with it.
    pub secret: Option<NegotiatedSecret>,
}

/// How a content was encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Not at all.
    Public,
    /// To our identity.
    Identity,
    /// With a session.
    Session {
        /// Which.
        session: SessionId,
        /// The ratchet's header.
        header: Header,
        /// Whether the session was started by this message.
        started: bool,
        /// Whether the ratchet turned.
        ratcheted: bool,
        /// How many messages before it are missing since the last one.
        missing: u32,
        /// Whether the key was one that had been kept.
        kept: bool,
    },
}

/// Names the key of a message that was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Confirmation {
    /// The session.
    pub session: SessionId,
    /// The ratchet key of the chain.
    pub key: CompressedKey,
    /// The number in the chain.
    pub n: u32,
}

impl<S: Store> Work<'_, S> {
    /// See [`Device::decrypt`](super::Device::decrypt).
    pub fn decrypt<R: CryptoRng + ?Sized>(
        &mut self,
        sender: &PublicKey,
        message: &ProtocolMessage,
        rng: &mut R,
    ) -> Result<Received, SecureError> {
        let fields = message.fields();
        let mut bundles = Vec::new();
        for bundle in &fields.bundles {
            bundles.push(bundle::verify(bundle)?);
        }
        let mut learned = Vec::new();
        for bundle in &bundles {
            learned.extend(self.learn_verified(bundle)?);
        }
        self.hear_of(&sender.into())?;
        let installation = InstallationId::new(&fields.installation_id);
        let content = match self.content(sender, &installation, message, rng) {
            Ok(content) => Ok(content),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(Failure::Store(error)) => return Err(error.into()),
        };
        Ok(Received { installation, learned, content })
    }

    fn content<R: CryptoRng + ?Sized>(
        &mut self,
        sender: &PublicKey,
        installation: &InstallationId,
        message: &ProtocolMessage,
        rng: &mut R,
    ) -> Result<Content, Failure> {
        let fields = message.fields();
        if !fields.public_message.is_empty() {
            let plaintext = fields.public_message.clone();
            return Ok(Content { plaintext, how: How::Public, confirmation: None, secret: None });
        }
        if fields.direct_message.is_empty() {
            return Err(Refusal::NoPayload.into());
        }
        let identity = CompressedKey::from(sender);
        let parts = &fields.direct_message;
        let part = parts.get(self.installation.as_str()).or_else(|| parts.get(NO_INSTALLATION));
        let part = match part {
            Some(part) => part,
            None if identity == self.public => return Err(Refusal::NotPaired.into()),
            None => return Err(Refusal::DeviceNotFound.into()),
        };
        let mut content = if let Some(header) = &part.dr_header {
            let (header, bundle) = header.parts().map_err(key_error("the ratchet key or id"))?;
            let id = SessionId { identity, bundle, installation: installation.clone() };
            self.with_session(sender, id, &header, part, rng)?
        } else if let Some(header) = &part.dh_header {
            let key = CompressedKey::from_slice(&header.key);
            let key = key.map_err(key_error("the ephemeral key"))?;
            let plaintext =
                dh::decrypt(self.identity.secret(), &key, &part.payload).map_err(Refusal::Dh)?;
            Content { plaintext, how: How::Identity, confirmation: None, secret: None }
        } else {
            return Err(Refusal::NoHeader.into());
        };
        // An id that is too long is not remembered.
        if message.sender_version() >= 1 && installation.as_str().len() <= MAX_ID {
            content.secret = Some(self.agree(sender, &identity, installation)?);
        }
        Ok(content)
    }

    /// Opens a part of a session: one that is there, or the one that the part starts.
    fn with_session<R: CryptoRng + ?Sized>(
        &mut self,
        sender: &PublicKey,
        id: SessionId,
        header: &Header,
        part: &proto::DirectMessage,
        rng: &mut R,
    ) -> Result<Content, Failure> {
        // With an id that nobody's installation has, there is none and none is started.
        if id.installation.as_str().len() > MAX_ID {
            return Err(Refusal::NoSession { bundle: id.bundle }.into());
        }
        // Of another bundle it would start another session than the one the message is of.
        let x3dh = part.x3dh_header.as_ref().filter(|x3dh| x3dh.id == id.bundle.as_bytes());
        let ephemeral = x3dh
            .map(|header| CompressedKey::from_slice(&header.key).and_then(|key| key.point()))
            .transpose()
            .map_err(key_error("the ephemeral key"))?;
        let stored = self.session(&id)?.cloned();
        let started = stored.is_none();
        let mut state = match (stored, &ephemeral) {
            (Some(state), _) => state,
            (None, Some(ephemeral)) => self.respond(sender, &id, ephemeral)?,
            (None, None) => return Err(Refusal::NoSession { bundle: id.bundle }.into()),
        };

        // Whether it can be read or not: the other side has the session, so it needs our header no
        // more.
        if state.pending.take().is_some() {
            self.set_session(state.clone());
        }

        let kept_key = state.kept.find(&header.key, header.n, &mut self.chunks(&id))?;
        let kept = kept_key.is_some();
        let (mut ratcheted, mut missing) = (false, 0);
        let plaintext = match kept_key {
            Some(key) => key
                .decrypt(&part.payload, &header.associated_data())
                .ok_or(Refusal::Ratchet(RatchetError::Mac))?,
            None => {
                let step = state.ratchet.receive(header, &part.payload, rng);
                let step = step.map_err(Refusal::Ratchet)?;
                ratcheted = step.ratcheted;
                missing = (step.next.keys_count - state.ratchet.keys_count - 1) as u32;
                state.ratchet = step.next;
                let count = state.ratchet.keys_count;
                state.kept.insert(step.made, count, &mut self.chunks(&id))?;
                step.plaintext
            }
        };
        if !kept {
            self.set_session(state);
        }
        if ephemeral.is_some() {
            self.register(&id)?;
        }
        let confirmation = Confirmation { session: id.clone(), key: header.key, n: header.n };
        let how = How::Session { session: id, header: *header, started, ratcheted, missing, kept };
        Ok(Content { plaintext, how, confirmation: Some(confirmation), secret: None })
    }

    /// The state of a session that a peer starts from one of our pre keys.
    fn respond(
        &mut self,
        sender: &PublicKey,
        id: &SessionId,
        ephemeral: &PublicKey,
    ) -> Result<SessionState, Failure> {
        let key = records::pre_key_key(&id.bundle);
        let own = self.record(&key, super::OwnPreKey::read)?;
        let own = own.ok_or(Refusal::NoSession { bundle: id.bundle })?;
        let shared = x3dh::respond(self.identity.secret(), own.pair.secret(), sender, ephemeral);
        Ok(SessionState {
            id: id.clone(),
            ours: true,
            pending: None,
            ratchet: Ratchet::respond(&shared, own.pair),
            kept: Kept::default(),
        })
    }

    /// Remembers that an installation has agreed to the secret.
    fn agree(
        &mut self,
        sender: &PublicKey,
        identity: &CompressedKey,
        installation: &InstallationId,
    ) -> Result<NegotiatedSecret, StoreError> {
        let known = self.peer(identity)?.installation(installation);
        if known.is_none_or(|known| !known.agreed) {
            self.installation_mut(identity, installation)?.agreed = true;
        }
        self.secret(sender, identity)
    }

    /// See [`Device::confirm`](super::Device::confirm).
    pub fn confirm(&mut self, confirmation: &Confirmation) -> Result<bool, SecureError> {
        let Confirmation { session, key, n } = confirmation;
        let Some(mut state) = self.session(session)?.cloned() else { return Ok(false) };
        let removed = state.kept.remove(key, *n, &mut self.chunks(session))?;
        if removed {
            self.set_session(state);
        }
        Ok(removed)
    }

    /// The chunks of kept keys of a session.
    pub(super) fn chunks<'w>(&'w mut self, id: &SessionId) -> SessionChunks<'w, Self> {
        SessionChunks { session: records::session_key(id), work: self }
    }
}

fn key_error(what: &'static str) -> impl Fn(crate::crypto::KeyError) -> Refusal {
    move |error| Refusal::Key { what, error }
}

/// Why there is no content: for a reason to tell, or because the store fails.
enum Failure {
    Refused(Refusal),
    Store(StoreError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The chunks of one session, in a transaction.
pub(super) struct SessionChunks<'w, W> {
    session: Vec<u8>,
    work: &'w mut W,
}

impl<S: Store> Chunks for SessionChunks<'_, Work<'_, S>> {
    fn load(&mut self, index: u64) -> Result<Chunk, StoreError> {
        let key = records::chunk_key(&self.session, index);
        let read = |record: &[u8]| {
            let mut reader = Reader::new("message keys", record);
            let chunk = Chunk::read(&mut reader)?;
            reader.finish()?;
            Ok(chunk)
        };
        Ok(self.work.record(&key, read)?.unwrap_or_default())
    }

    fn save(&mut self, index: u64, chunk: &Chunk) -> Result<(), StoreError> {
        let key = records::chunk_key(&self.session, index);
        if chunk.is_empty() {
            self.work.changes.delete(key);
        } else {
            let mut writer = Writer::default();
            chunk.write(&mut writer);
            self.work.changes.put(key, writer.finish());
        }
        Ok(())
    }
}
