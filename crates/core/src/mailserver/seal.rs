//! Seals a request into an envelope that only the mailserver can open.
//!
//! The message is signed, and servers check only that it is. Its topic is four zero bytes, and its
//! time to live 50 seconds. Its proof of work is the one that the server requires of every
//! envelope. It is encrypted with the password of the server's operators, or to the server's own
//! key. The answer refers to the request by the hash of the envelope.
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
    explain::Explanation,
    mailserver::{Form, Request},
    time::UnixSeconds,
};

/// The password of the mailservers that Status runs.
pub const FLEET_PASSWORD: &str = "status-offline-inbox";
/// The topic of every request.
pub const REQUEST_TOPIC: Topic = Topic([0; 4]);

/// The key to which a mailserver accepts requests.
#[derive(Debug, Clone)]
pub enum Access {
    /// The key of the operators' password: see [`SymKey::from_password`].
    Password(SymKey),
    /// The server's public key, which every client may use.
    Key(PublicKey),
}

/// Why a request can't be sealed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The payload is too long, because of its cursor or topics.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The required proof of work is not a possible target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The search for a nonce was stopped before it found one.
    #[error("the proof of work of {target} was not reached; the best is {best}")]
    NotReached { target: f64, best: f64 },
}

impl SealError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Message(error) => error.code(),
            Self::Target(_) => "mailserver.pow",
            Self::NotReached { .. } => "pow.not_reached",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "pow.not_reached",
            rule: "The search ended at its time limit without a nonce for the target. The envelope printed has the best nonce found.",
            source: "EIP-627, Mining",
            causes: "Twice the target, size or ttl takes twice the hashes: see status-pow estimate.",
        },
        Explanation {
            code: "mailserver.pow",
            rule: "The server asks for a proof of work that can be reached.",
            source: "EIP-627, Mining",
            causes: "A server with nonsense in its Status.",
        },
    ];
}

impl Request {
    /// Seals the request at the time `now`, in UNIX seconds.
    ///
    /// The proof of work is at least `min_pow` by the formula of receivers. `options` control the
    /// search for it.
    ///
    /// # Errors
    ///
    /// If the payload is too long, or the proof of work is not reached.
    pub fn seal<R: CryptoRng>(
        &self,
        access: &Access,
        signer: &SecretKey,
        now: UnixSeconds,
        min_pow: f64,
        options: &MineOptions<'_>,
        rng: &mut R,
    ) -> Result<Envelope, SealError> {
        self.seal_as(Form::Seven, access, signer, now, min_pow, options, rng)
    }

    /// Seals the request in another form, for other servers.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal).
    #[expect(clippy::too_many_arguments, reason = "those of `seal`, and the form")]
    pub fn seal_as<R: CryptoRng>(
        &self,
        form: Form,
        access: &Access,
        signer: &SecretKey,
        now: UnixSeconds,
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
