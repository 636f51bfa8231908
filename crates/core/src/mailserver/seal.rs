//! A request on its way: sealed into an envelope that only the mailserver can open.
//!
//! The message is signed (servers only look whether it is), its topic is four zero bytes, its
//! time to live 50 seconds, and its proof of work what the server asks of every envelope. It is
//! encrypted with the password of the server's operators, or to the server's own key; the request
//! is named, in its answer, by the hash of the envelope.
//!
//! Source: mailserver specification of Status, "Requesting messages".

use rand::CryptoRng;

use crate::{
    crypto::{PublicKey, SecretKey},
    envelope::{
        Draft, Envelope, MessageError, Recipient, SymKey, Topic,
        pow::{self, MineOptions, TargetError},
        seal::{self, DEFAULT_TTL},
    },
    mailserver::{Form, Request},
};

/// The password of the mailservers that Status runs.
pub const FLEET_PASSWORD: &str = "status-offline-inbox";
/// The topic of a request.
pub const REQUEST_TOPIC: Topic = Topic([0; 4]);

/// What opens the door of a mailserver.
#[derive(Debug, Clone)]
pub enum Access {
    /// The key of its operators' password: see [`SymKey::from_password`].
    Password(SymKey),
    /// Its public key: every client may ask.
    Key(PublicKey),
}

/// Why a request can't be sealed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SealError {
    /// The payload is too long; only a cursor or topics can make it so.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The server asks for a proof of work that makes no sense.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The search for a nonce was ended before it found one.
    #[error("the proof of work of {target} was not reached; the best is {best}")]
    NotReached { target: f64, best: f64 },
}

impl SealError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Message(error) => error.code(),
            Self::Target(_) => "mailserver.pow",
            Self::NotReached { .. } => "pow.not_reached",
        }
    }
}

impl Request {
    /// Seals the request. `now` is in UNIX seconds; the proof of work is at least `min_pow` by the
    /// formula of those who check it, and the search for it ends as the options say.
    pub fn seal<R: CryptoRng>(
        &self,
        access: &Access,
        signer: &SecretKey,
        now: u32,
        min_pow: f64,
        options: &MineOptions<'_>,
        rng: &mut R,
    ) -> Result<Envelope, SealError> {
        self.seal_as(Form::Seven, access, signer, now, min_pow, options, rng)
    }

    /// The same in another form, for other servers.
    #[expect(clippy::too_many_arguments, reason = "those of `seal`, and the form")]
    pub fn seal_as<R: CryptoRng>(
        &self,
        form: Form,
        access: &Access,
        signer: &SecretKey,
        now: u32,
        min_pow: f64,
        options: &MineOptions<'_>,
        rng: &mut R,
    ) -> Result<Envelope, SealError> {
        let recipient = match access {
            Access::Password(key) => Recipient::Sym(key),
            Access::Key(key) => Recipient::Asym(key),
        };
        let payload = self.encode_as(form);
        let draft = Draft {
            topic: REQUEST_TOPIC,
            now,
            ttl: DEFAULT_TTL,
            payload: &payload,
            signer: Some(signer),
        };
        mined(&seal::seal(&draft, recipient, rng)?, min_pow, options)
    }
}

fn mined(
    envelope: &Envelope,
    target: f64,
    options: &MineOptions<'_>,
) -> Result<Envelope, SealError> {
    let mined = pow::mine_envelope(envelope, target, options)?;
    if mined.reached {
        return Ok(mined.envelope);
    }
    Err(SealError::NotReached { target, best: mined.envelope.pow(0) })
}
