//! Decrypts messages: learns their bundles first, then decrypts the message for this device.

use rand::CryptoRng;

use super::{
    DeviceTransaction, Installation, OwnPrekey, SessionId, SessionState,
    records::{self, MAX_ID},
};
use crate::{
    account::InstallationId,
    crypto::{KeyError, PublicKey},
    secure::{
        bundle, dh,
        error::{DecryptError, SecureError},
        key::CompressedKey,
        message::{NO_INSTALLATION, ProtocolMessage},
        negotiated::NegotiatedSecret,
        proto,
        ratchet::{DerivedKey, InactiveRatchet, RatchetError, RatchetHeader, RatchetKey},
        store::{
            Store, StoreError,
            codec::{Reader, Writer},
        },
        stored_keys::{KeyChunk, KeyChunks, StoredKeys},
        x3dh,
    },
};

/// The result of decrypting a message.
#[derive(Debug)]
#[non_exhaustive]
pub struct Decrypted {
    /// The installation id of the sender, as the message gives it.
    pub installation: InstallationId,
    /// The new installations in its bundles.
    pub learned: Vec<Installation>,
    /// The content, or why it could not be decrypted.
    pub content: Result<DecryptedContent, DecryptError>,
}

/// The content of a message.
#[derive(Debug)]
#[non_exhaustive]
pub struct DecryptedContent {
    /// The decrypted payload.
    pub plaintext: Vec<u8>,
    /// How it was encrypted.
    pub encryption: EncryptionKind,
    /// Passed to [`Device::confirm`](super::Device::confirm) once the message is handled. `None` if
    /// no key is stored.
    pub confirmation: Option<Confirmation>,
    /// The negotiated secret, if answers to the sending installation may use it.
    pub secret: Option<NegotiatedSecret>,
}

/// How a message was encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncryptionKind {
    /// Not encrypted.
    Public,
    /// Encrypted to our identity.
    Identity,
    /// Encrypted with a session.
    Session {
        /// The session.
        session: SessionId,
        /// The header of the ratchet.
        header: RatchetHeader,
        /// Whether the message started the session.
        started: bool,
        /// Whether the message turned the ratchet.
        ratcheted: bool,
        /// How many messages were skipped before it.
        missing: u32,
        /// Whether its key was a stored one.
        key_was_stored: bool,
    },
}

/// Identifies the key of a decrypted message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Confirmation {
    pub(super) session: SessionId,
    pub(super) chain: RatchetKey,
    pub(super) n: u32,
}

impl<S: Store> DeviceTransaction<'_, S> {
    /// See [`Device::decrypt`](super::Device::decrypt).
    ///
    /// # Errors
    ///
    /// If a bundle is invalid, or the store fails.
    pub fn decrypt<R: CryptoRng + ?Sized>(
        &mut self,
        sender: &PublicKey,
        message: &ProtocolMessage,
        rng: &mut R,
    ) -> Result<Decrypted, SecureError> {
        let fields = message.fields();
        // All of them are verified before the first one is learned.
        let bundles: Vec<_> =
            fields.bundles.iter().map(bundle::verify).collect::<Result<_, _>>()?;
        let mut learned = Vec::new();
        for bundle in &bundles {
            learned.extend(self.learn_verified(bundle)?);
        }
        self.refresh_stranger(&sender.into())?;
        let installation = InstallationId::new(&fields.installation_id);
        let content = match self.content(sender, &installation, message, rng) {
            Ok(content) => Ok(content),
            Err(Failure::Decrypt(error)) => Err(error),
            Err(Failure::Store(error)) => return Err(error.into()),
        };
        Ok(Decrypted { installation, learned, content })
    }

    fn content<R: CryptoRng + ?Sized>(
        &mut self,
        sender: &PublicKey,
        installation: &InstallationId,
        message: &ProtocolMessage,
        rng: &mut R,
    ) -> Result<DecryptedContent, Failure> {
        let fields = message.fields();
        if !fields.public_message.is_empty() {
            return Ok(DecryptedContent::new(
                fields.public_message.clone(),
                EncryptionKind::Public,
            ));
        }
        if fields.direct_message.is_empty() {
            return Err(DecryptError::NoPayload.into());
        }
        let identity = CompressedKey::from(sender);
        let direct = &fields.direct_message;
        let ours = direct.get(self.installation.as_str()).or_else(|| direct.get(NO_INSTALLATION));
        let ours = match ours {
            Some(ours) => ours,
            None if identity == self.public => return Err(DecryptError::NotPaired.into()),
            None => return Err(DecryptError::DeviceNotFound.into()),
        };
        let mut content = if let Some(header) = &ours.dr_header {
            let (header, bundle) = header.parts().map_err(key_error("ratchet key or bundle id"))?;
            let id = SessionId { identity, bundle, installation: installation.clone() };
            self.decrypt_in_session(sender, id, &header, ours, rng)?
        } else if let Some(header) = &ours.dh_header {
            let key = CompressedKey::from_slice(&header.key);
            let key = key.map_err(key_error("ephemeral key"))?;
            let plaintext = dh::decrypt(self.identity.secret(), &key, &ours.payload)
                .map_err(DecryptError::Dh)?;
            DecryptedContent::new(plaintext, EncryptionKind::Identity)
        } else {
            return Err(DecryptError::NoHeader.into());
        };
        // Too long an id is not stored.
        if message.sender_version() >= 1 && installation.as_str().len() <= MAX_ID {
            content.secret = Some(self.agree(sender, &identity, installation)?);
        }
        Ok(content)
    }

    /// Decrypts a message of a session: a stored one, or one that the message starts.
    fn decrypt_in_session<R: CryptoRng + ?Sized>(
        &mut self,
        sender: &PublicKey,
        id: SessionId,
        header: &RatchetHeader,
        message: &proto::DirectMessage,
        rng: &mut R,
    ) -> Result<DecryptedContent, Failure> {
        // No session is stored for too long an id.
        if id.installation.as_str().len() > MAX_ID {
            return Err(DecryptError::NoSession { bundle: id.bundle }.into());
        }
        // An X3DH header of another bundle would start another session.
        let x3dh = message.x3dh_header.as_ref().filter(|x3dh| x3dh.id == id.bundle.as_bytes());
        let ephemeral = x3dh
            .map(|header| CompressedKey::from_slice(&header.key).and_then(|key| key.point()))
            .transpose()
            .map_err(key_error("ephemeral key"))?;
        let payload = &message.payload;
        let opened = match (self.session(&id)?.cloned(), &ephemeral) {
            (Some(state), _) => self.decrypt_stored(state, header, payload, rng)?,
            (None, Some(key)) => self.decrypt_first(sender, &id, key, header, payload, rng)?,
            (None, None) => return Err(DecryptError::NoSession { bundle: id.bundle }.into()),
        };
        if ephemeral.is_some() {
            self.register_session(&id)?;
        }
        let confirmation = Confirmation { session: id.clone(), chain: header.key, n: header.n };
        let SessionPlaintext { plaintext, started, ratcheted, missing, key_was_stored } = opened;
        let (session, header) = (id, *header);
        let encryption = EncryptionKind::Session {
            session,
            header,
            started,
            ratcheted,
            missing,
            key_was_stored,
        };
        Ok(DecryptedContent {
            confirmation: Some(confirmation),
            ..DecryptedContent::new(plaintext, encryption)
        })
    }

    /// Decrypts a message of a stored session.
    fn decrypt_stored<R: CryptoRng + ?Sized>(
        &mut self,
        mut state: SessionState,
        header: &RatchetHeader,
        payload: &[u8],
        rng: &mut R,
    ) -> Result<SessionPlaintext, Failure> {
        // Even a message that can't be decrypted shows that the other side has the session, and
        // needs our X3DH header no more.
        if state.x3dh_key.take().is_some() {
            self.set_session(state.clone());
        }
        let mut chunks = self.chunks(&state.id);
        if let Some(key) = state.stored_keys.find(&header.key, header.n, &mut chunks)? {
            let plaintext = key.decrypt(payload, &header.associated_data());
            let plaintext = plaintext.ok_or(DecryptError::Ratchet(RatchetError::Mac))?;
            let (started, ratcheted, missing, key_was_stored) = (false, false, 0, true);
            return Ok(SessionPlaintext { plaintext, started, ratcheted, missing, key_was_stored });
        }
        let step = state.ratchet.receive(header, payload, rng).map_err(DecryptError::Ratchet)?;
        let keys_before = state.ratchet.keys_count();
        state.ratchet = step.next;
        let keys_made = state.ratchet.keys_count() - keys_before;
        self.store_session(state, step.derived)?;
        Ok(SessionPlaintext::new(step.plaintext, false, step.ratcheted, keys_made))
    }

    /// Decrypts the first message of a session that a peer starts from one of our prekeys.
    fn decrypt_first<R: CryptoRng + ?Sized>(
        &mut self,
        sender: &PublicKey,
        id: &SessionId,
        ephemeral: &PublicKey,
        header: &RatchetHeader,
        payload: &[u8],
        rng: &mut R,
    ) -> Result<SessionPlaintext, Failure> {
        let own = self.record(&records::prekey_key(&id.bundle), OwnPrekey::read)?;
        let own = own.ok_or(DecryptError::NoSession { bundle: id.bundle })?;
        let shared = x3dh::respond(self.identity.secret(), own.pair.secret(), sender, ephemeral);
        let ratchet = InactiveRatchet::respond(&shared, own.pair);
        let step = ratchet.receive(header, payload, rng).map_err(DecryptError::Ratchet)?;
        let keys_made = step.next.keys_count();
        let state = SessionState {
            id: id.clone(),
            is_responder: true,
            x3dh_key: None,
            ratchet: step.next,
            stored_keys: StoredKeys::default(),
        };
        self.store_session(state, step.derived)?;
        Ok(SessionPlaintext::new(step.plaintext, true, step.ratcheted, keys_made))
    }

    /// Stores the state after a message, and the keys that the message has derived.
    fn store_session(
        &mut self,
        mut state: SessionState,
        derived: Vec<DerivedKey>,
    ) -> Result<(), StoreError> {
        let keys_count = state.ratchet.keys_count();
        state.stored_keys.insert(derived, keys_count, &mut self.chunks(&state.id))?;
        self.set_session(state);
        Ok(())
    }

    /// Stores that an installation has agreed to use the negotiated secret.
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
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn confirm(&mut self, confirmation: &Confirmation) -> Result<bool, SecureError> {
        let Confirmation { session, chain, n } = confirmation;
        let Some(mut state) = self.session(session)?.cloned() else { return Ok(false) };
        let removed = state.stored_keys.remove(chain, *n, &mut self.chunks(session))?;
        if removed {
            self.set_session(state);
        }
        Ok(removed)
    }

    /// Returns access to the key chunks of a session.
    pub(super) fn chunks<'w>(&'w mut self, id: &SessionId) -> SessionChunks<'w, Self> {
        SessionChunks { session: records::session_key(id), transaction: self }
    }
}

impl DecryptedContent {
    fn new(plaintext: Vec<u8>, encryption: EncryptionKind) -> Self {
        Self { plaintext, encryption, confirmation: None, secret: None }
    }
}

/// A message that was decrypted in a session. See [`EncryptionKind::Session`].
struct SessionPlaintext {
    plaintext: Vec<u8>,
    started: bool,
    ratcheted: bool,
    missing: u32,
    key_was_stored: bool,
}

impl SessionPlaintext {
    /// `keys_made` is how many keys the ratchet has derived for the message.
    fn new(plaintext: Vec<u8>, started: bool, ratcheted: bool, keys_made: u64) -> Self {
        let missing = (keys_made - 1) as u32;
        Self { plaintext, started, ratcheted, missing, key_was_stored: false }
    }
}

fn key_error(what: &'static str) -> impl Fn(KeyError) -> DecryptError {
    move |error| DecryptError::Key { what, error }
}

/// Why there is no content: the message can't be decrypted, or the store fails.
enum Failure {
    Decrypt(DecryptError),
    Store(StoreError),
}

impl From<DecryptError> for Failure {
    fn from(error: DecryptError) -> Self {
        Self::Decrypt(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The key chunks of one session, in a transaction.
pub(super) struct SessionChunks<'w, W> {
    session: Vec<u8>,
    transaction: &'w mut W,
}

impl<S: Store> KeyChunks for SessionChunks<'_, DeviceTransaction<'_, S>> {
    fn load(&mut self, index: u64) -> Result<KeyChunk, StoreError> {
        let key = records::chunk_key(&self.session, index);
        let read = |record: &[u8]| {
            let mut reader = Reader::new("message keys", record);
            let chunk = KeyChunk::read(&mut reader)?;
            reader.finish()?;
            Ok(chunk)
        };
        Ok(self.transaction.record(&key, read)?.unwrap_or_default())
    }

    fn save(&mut self, index: u64, chunk: &KeyChunk) -> Result<(), StoreError> {
        let key = records::chunk_key(&self.session, index);
        if chunk.is_empty() {
            self.transaction.changes.delete(key);
        } else {
            let mut writer = Writer::default();
            chunk.write(&mut writer);
            self.transaction.changes.put(key, writer.finish());
        }
        Ok(())
    }
}
