//! The rules of a mailserver: every check of a request in order, then the page in packets.
//!
//! Without sockets, clock or threads: a request, the archive and the time go in, packets come out
//! of an [`Answer`]. It reads one piece of the archive at a time, so a page of any size takes the
//! memory of two packets.
//!
//! | # | check | answer |
//! | --: | --- | --- |
//! | 1 | proof of work of the envelope, if one is asked for | `PoW() is too low` |
//! | 2 | opens with the server's key, or with the password | `failed to decrypt p2p request` |
//! | 3 | is signed | `wrong signature of p2p request` |
//! | 4 | can be read, and its range ascends; otherwise it is tried as the raw form | what is wrong with the raw form |
//! | 5 | range, bloom filter, limit; the form of the cursor | `request is invalid: …` |
//! | 6 | the time since the client's last request | `rate limit exceeded` |
//! | 7 | the cursor's envelope | `request is invalid: …` |
//!
//! A plain request begins with the fifth, a sync request with the sixth. Both need no password, so a
//! server with a private one refuses them unless they are allowed: see
//! [`ServerConfig::allow_plain`] and [`ServerConfig::sync_peers`].
//!
//! # Pages, and what a cursor promises
//!
//! Envelopes are ordered by the second they were sent, then by hash. A cursor is the position of
//! the last envelope of a page, and the next page begins behind it. So the pages of a range neither
//! lose nor repeat an envelope that was in the archive when paging began, whatever arrives or is
//! pruned meanwhile. An envelope that arrives meanwhile is seen only if it stands behind the cursor.
//! One that took long to arrive may have been *sent* before: a client that must not miss it asks
//! again for the last minutes.
//!
//! A cursor that is not ours is refused; the reference starts over silently. Ours has 36 bytes and
//! lies in the requested range, and its envelope is in the archive, or was: behind a position before
//! the retention, or before what this server has pruned since its start, everything is still
//! there. (Any other pruning makes a cursor unknown. Its client gets an error, and starts over
//! knowingly.)
//!
//! Source: mailserver specification of Status; checks, their order and texts as in the reference.
//! What goes beyond it can be switched off: see [`ServerConfig::as_reference`]. Two things always
//! differ:
//!
//! - An archive that can't be read is an answer: `the archive can't be read`. The reference does
//!   not answer at all, and its clients wait until their time-out.
//! - After an error, another mailserver is disconnected as by the reference, but not if we dialled
//!   it: the operator named it, perhaps to fill our gaps from it.

mod answer;

use std::{
    collections::HashSet,
    ops::ControlFlow,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use statuskit_core::{
    crypto::SecretKey,
    devp2p::NodeId,
    envelope::{Bloom, Envelope, Opener, SymKey, check::DEFAULT_MAX_MESSAGE_SIZE, seal},
    explain::Explanation,
    mailserver::{
        CursorError, Position, Request, RequestError,
        batch::{Batcher, Packing, Reply},
        request,
        seal::FLEET_PASSWORD,
    },
    time::UnixSeconds,
    wire::{
        Dialect, IntoEncoded, Packet,
        p2p::{P2pRequest, RequestComplete, SyncRequest, SyncResponse},
    },
};
use statuskit_net::node::Time;

use self::answer::To;
pub use self::answer::{Answer, Totals};
use crate::{
    Archive, ArchiveError,
    archive::{Order, Query, Select},
    limit::Intervals,
};

/// The password that every client of Status knows.
static PUBLISHED: LazyLock<SymKey> = LazyLock::new(|| SymKey::from_password(FLEET_PASSWORD));

/// The settings of a [`Server`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The key of the password that clients use.
    pub password: Option<SymKey>,
    /// The private key, for clients that encrypt to the server. Everyone who knows the address of
    /// the server knows its public key.
    pub key: Option<SecretKey>,
    /// Whether plain requests are answered, which need no password. By default only by a server
    /// that is not private: without a password, with a [`key`](Self::key), or with the password
    /// that Status has published.
    pub allow_plain: Option<bool>,
    /// The mailservers that may copy the archive with sync requests, which need no password either.
    /// By default everyone, or nobody if the server is private.
    pub sync_peers: Option<HashSet<NodeId>>,
    /// The minimum proof of work of a request; 0 for any.
    pub min_pow: f64,
    /// The minimum time between two accepted requests of a client; zero for none.
    pub rate_limit: Duration,
    /// The order in which envelopes are sent.
    pub order: Order,
    /// The largest packet, in bytes.
    pub max_message_size: u32,
    /// How long envelopes are kept; `None` or zero for ever. Older ones may be pruned at any time.
    pub retention: Option<Duration>,
    /// Refuses what the reference refuses, and overlooks what it overlooks:
    ///
    /// - Requests with six and with five items are refused, with the texts for the raw form (in
    ///   Waku, which has none, as unreadable).
    /// - A cursor of another length than 36 bytes starts over, as does any cursor of a raw request.
    ///   One that names no envelope of the range loses the next (oldest first).
    /// - A range up to the last second of 32 bits is empty.
    /// - Packets are sized without the header of their list, and envelopes too large for any packet
    ///   are sent.
    pub as_reference: bool,
    /// The protocol.
    pub dialect: Dialect,
}

impl ServerConfig {
    /// The defaults, open to clients with this password.
    pub fn from_password(password: SymKey) -> Self {
        Self { password: Some(password), ..Self::default() }
    }
}

impl Default for ServerConfig {
    /// Has no key yet: see [`ConfigError::NoKey`].
    fn default() -> Self {
        Self {
            password: None,
            key: None,
            allow_plain: None,
            sync_peers: None,
            min_pow: 0.0,
            rate_limit: Duration::ZERO,
            order: Order::OldestFirst,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            retention: None,
            as_reference: false,
            dialect: Dialect::Whisper,
        }
    }
}

/// Why a server can't be set up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Neither a password nor a key.
    #[error("a mailserver needs a password, a key, or both")]
    NoKey,
    /// Not a finite number, or negative.
    #[error("{0} is not a valid minimum proof of work")]
    Pow(f64),
    /// The node ignores requests: see [`Mailserver::prepare`](super::Mailserver::prepare).
    #[error("the node was not started for a mailserver")]
    NotPrepared,
}

impl ConfigError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey => "mailserver.no_key",
            Self::Pow(_) => "mailserver.pow",
            Self::NotPrepared => "mailserver.node",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "mailserver.node",
            rule: "A node that is to be a mailserver takes requests and hears of every envelope.",
            source: "library",
            causes: "Mailserver::prepare was not called on the settings of the node.",
        },
        Explanation {
            code: "mailserver.no_key",
            rule: "Requests are encrypted: with a password that the clients know, or to the mailserver's key.",
            source: "Status specifications, Mailserver",
            causes: "Give the password of the fleet, status-offline-inbox, or one of your own.",
        },
    ];
}

/// Why a request is not answered with envelopes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The proof of work of the envelope is too low.
    #[error("the proof of work is too low")]
    LowPow,
    /// Neither key opens the envelope, or it contains no message.
    #[error("no key opens the request")]
    Undecryptable,
    /// The message is not signed.
    #[error("the request is not signed")]
    Unsigned,
    /// The message contains no request.
    #[error("{0}")]
    Unreadable(RequestError),
    /// The request is invalid.
    #[error("{0}")]
    Invalid(RequestError),
    /// The request is plain, and the server wants its password.
    #[error("plain requests are not allowed")]
    Plain,
    /// The mailserver may not copy the archive.
    #[error("the mailserver is not allowed to copy the archive")]
    NotAllowed,
    /// The last request of the client was too recent.
    #[error("the client asks too often")]
    RateLimited,
    /// Too many requests wait.
    #[error("too many requests wait")]
    Busy,
    /// The request is longer than any real one.
    #[error("a request of {0} bytes")]
    TooLarge(usize),
    /// The archive can't be read.
    #[error("{0}")]
    Archive(#[from] ArchiveError),
}

impl Refusal {
    /// Returns one word, for counters.
    pub fn label(&self) -> &'static str {
        match self {
            Self::LowPow => "low_pow",
            Self::Undecryptable => "undecryptable",
            Self::Unsigned => "unsigned",
            Self::Unreadable(_) => "unreadable",
            Self::Invalid(RequestError::Cursor(_)) => "cursor",
            Self::Invalid(_) => "invalid",
            Self::Plain => "plain",
            Self::NotAllowed => "not_allowed",
            Self::RateLimited => "rate_limited",
            Self::Busy => "busy",
            Self::TooLarge(_) => "too_large",
            Self::Archive(_) => "archive",
        }
    }

    /// The text for the client. Not always UTF-8: one contains its raw node id.
    fn text(&self, client: &NodeId, dialect: Dialect, sync: bool) -> Vec<u8> {
        let waku = dialect.is_waku();
        match self {
            Self::LowPow if waku => "PoW too low".into(),
            Self::LowPow => "PoW() is too low".into(),
            Self::Undecryptable => "failed to decrypt p2p request".into(),
            Self::Unsigned if waku => {
                "check message signature failed: wrong signature of p2p request".into()
            }
            Self::Unsigned => "wrong signature of p2p request".into(),
            Self::Unreadable(error @ RequestError::RawRangeTooBig { .. }) => {
                [format!("{error} for peer ").as_bytes(), &client.0].concat()
            }
            Self::Unreadable(error) => error.to_string().into(),
            Self::Invalid(error) => format!("request is invalid: {error}").into(),
            Self::Plain => "plain requests are not allowed".into(),
            Self::NotAllowed => "not allowed".into(),
            Self::RateLimited if sync => "requests per seconds limit exceeded".into(),
            Self::RateLimited => "rate limit exceeded".into(),
            Self::Busy => "too many requests".into(),
            Self::TooLarge(_) => "the request is too large".into(),
            // Reveals nothing about our disks.
            Self::Archive(_) => "the archive can't be read".into(),
        }
    }
}

/// A refusal, and the packet for the client.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The packet for the client.
    pub reply: Reply,
}

/// The rules of a mailserver, and what it remembers about its clients. Threads can share it.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    /// Whether only those who know the password may ask.
    is_private: bool,
    intervals: Arc<Mutex<Intervals>>,
    /// This server has pruned everything sent before this second.
    pruned_before: Arc<AtomicU32>,
}

/// A request that passed the checks.
#[derive(Debug)]
struct Accepted {
    request: Request,
    bloom: Bloom,
    after: Option<Position>,
}

impl Server {
    /// Makes a server with these rules.
    ///
    /// # Errors
    /// If it has no key, or an invalid minimum proof of work.
    pub fn new(mut config: ServerConfig) -> Result<Self, ConfigError> {
        if config.password.is_none() && config.key.is_none() {
            return Err(ConfigError::NoKey);
        }
        if !(config.min_pow >= 0.0 && config.min_pow.is_finite()) {
            return Err(ConfigError::Pow(config.min_pow));
        }
        config.retention = config.retention.filter(|kept| !kept.is_zero());
        let intervals = Arc::new(Mutex::new(Intervals::new(config.rate_limit)));
        let is_private = config.key.is_none() && config.password.as_ref() != Some(&*PUBLISHED);
        Ok(Self { config, is_private, intervals, pruned_before: Arc::default() })
    }

    /// Returns the same server in another dialect: the rules and the memory of clients are shared.
    #[must_use]
    pub fn with_dialect(&self, dialect: Dialect) -> Self {
        let Self { config, is_private, intervals, pruned_before } = self;
        Self {
            config: ServerConfig { dialect, ..config.clone() },
            is_private: *is_private,
            intervals: intervals.clone(),
            pruned_before: pruned_before.clone(),
        }
    }

    /// Returns the rules.
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Whether a mailserver is one of [`sync_peers`](ServerConfig::sync_peers).
    pub(super) fn is_named(&self, id: &NodeId) -> bool {
        self.config.sync_peers.as_ref().is_some_and(|peers| peers.contains(id))
    }

    /// Notes that envelopes sent before this second are going to be pruned: positions before it
    /// remain valid cursors.
    pub fn prunes(&self, before: UnixSeconds) {
        self.pruned_before.fetch_max(before.0, Ordering::Relaxed);
    }

    /// Checks a request for historic messages (code 126) of the client with this node id.
    ///
    /// Costs a decryption, the recovery of a key, and at most one lookup in the archive.
    ///
    /// # Errors
    /// If the request is refused.
    pub fn request(
        &self,
        client: NodeId,
        request: &P2pRequest,
        archive: &dyn Archive,
        now: Time,
    ) -> Result<Answer, Refused> {
        let accepted = self.open(request, now).and_then(|request| {
            let accepted = self.check(request, now)?;
            self.charge(client, now)?;
            self.look_up(accepted, archive, now).inspect_err(|_| self.release(&client))
        });
        match accepted {
            Ok(accepted) => Ok(self.answer(To::Client(request_id(request)), accepted)),
            Err(refusal) => Err(self.refuse(client, request, refusal)),
        }
    }

    /// Checks the request of another mailserver (code 123).
    ///
    /// # Errors
    /// If the request is refused. Then the mailserver should be disconnected.
    pub fn sync_request(
        &self,
        client: NodeId,
        request: &SyncRequest,
        archive: &dyn Archive,
        now: Time,
    ) -> Result<Answer, Refused> {
        let is_allowed = match &self.config.sync_peers {
            Some(peers) => peers.contains(&client),
            None => !self.is_private,
        };
        let allowed = if is_allowed { Ok(()) } else { Err(Refusal::NotAllowed) };
        let accepted = allowed.and_then(|()| self.charge(client, now)).and_then(|()| {
            let request = Request::from_sync(request).map_err(Refusal::Invalid)?;
            self.look_up(self.check(request, now)?, archive, now)
        });
        match accepted {
            Ok(accepted) => Ok(self.answer(To::Mailserver, accepted)),
            Err(refusal) => Err(self.refuse_sync(client, refusal)),
        }
    }

    /// Refuses a request for another reason than its contents.
    pub fn refuse(&self, client: NodeId, request: &P2pRequest, refusal: Refusal) -> Refused {
        let text = refusal.text(&client, self.config.dialect, false);
        let complete = RequestComplete::Failure { request: request_id(request), text };
        Refused { refusal, reply: reply(&Packet::RequestComplete(complete)) }
    }

    /// Refuses a sync request for another reason than its contents.
    pub fn refuse_sync(&self, client: NodeId, refusal: Refusal) -> Refused {
        let error = refusal.text(&client, self.config.dialect, true);
        let response = SyncResponse { envelopes: Vec::new(), cursor: None, last: false, error };
        Refused { refusal, reply: reply(&Packet::SyncResponse(response)) }
    }

    /// Checks 1 to 4: reads what the client asks for.
    fn open(&self, request: &P2pRequest, now: Time) -> Result<Request, Refusal> {
        match request {
            P2pRequest::Plain(_) if !self.config.allow_plain.unwrap_or(!self.is_private) => {
                Err(Refusal::Plain)
            }
            P2pRequest::Plain(plain) => {
                Request::from_plain(plain).map(|(request, _)| request).map_err(Refusal::Invalid)
            }
            P2pRequest::Envelope(envelope) => {
                if self.config.min_pow > 0.0 && envelope.pow(0) < self.config.min_pow {
                    return Err(Refusal::LowPow);
                }
                let message = self.decrypt(envelope).ok_or(Refusal::Undecryptable)?;
                if message.signer().is_none() {
                    return Err(Refusal::Unsigned);
                }
                self.read(&message.payload, now)
            }
        }
    }

    fn decrypt(&self, envelope: &Envelope) -> Option<statuskit_core::envelope::Message> {
        let ServerConfig { key, password, .. } = &self.config;
        let openers = [key.as_ref().map(Opener::Asym), password.as_ref().map(Opener::Sym)];
        openers.into_iter().flatten().find_map(|opener| seal::open(envelope, opener).ok())
    }

    fn read(&self, payload: &[u8], now: Time) -> Result<Request, Refusal> {
        let decoded = match self.config.as_reference {
            true => Request::decode_seven(payload),
            false => Request::decode(payload).map(|(request, _)| request),
        };
        let listed = decoded.and_then(|request| {
            let request = request.with_server_defaults(UnixSeconds::from_since_epoch(now));
            let range = RequestError::Range { from: request.from, to: request.to };
            if request.from > request.to { Err(range) } else { Ok(request) }
        });
        match listed {
            Ok(request) => Ok(request),
            // The reference crashes here.
            Err(error @ RequestError::BloomLength(_)) => Err(Refusal::Invalid(error)),
            Err(error) if self.config.dialect.is_waku() => Err(Refusal::Unreadable(error)),
            Err(_) => {
                let mut request = Request::decode_raw(payload).map_err(Refusal::Unreadable)?;
                if self.config.as_reference {
                    request.cursor = None;
                }
                Ok(request)
            }
        }
    }

    /// Check 5.
    fn check(&self, request: Request, now: Time) -> Result<Accepted, Refusal> {
        let request = request.with_server_defaults(UnixSeconds::from_since_epoch(now));
        request.validate().map_err(Refusal::Invalid)?;
        let bloom = request.bloom.ok_or(Refusal::Invalid(RequestError::NoBloom))?;
        let after =
            self.cursor(&request).map_err(RequestError::Cursor).map_err(Refusal::Invalid)?;
        Ok(Accepted { request, bloom, after })
    }

    fn cursor(&self, request: &Request) -> Result<Option<Position>, CursorError> {
        let Request { cursor, from, to, .. } = request;
        let Some(cursor) = cursor else { return Ok(None) };
        match cursor.position() {
            None if self.config.as_reference => Ok(None),
            None => Err(CursorError::Length(cursor.len())),
            Some(position) if self.config.as_reference => Ok(Some(position)),
            Some(position) if (*from..=*to).contains(&position.sent) => Ok(Some(position)),
            Some(_) => Err(CursorError::OutOfRange),
        }
    }

    /// Check 6. Begins a new interval.
    fn charge(&self, client: NodeId, now: Time) -> Result<(), Refusal> {
        let mut intervals = self.intervals.lock().unwrap_or_else(PoisonError::into_inner);
        if !intervals.allows(&client, now) {
            return Err(Refusal::RateLimited);
        }
        intervals.note(client, now);
        Ok(())
    }

    /// Revokes a charge: a refused request begins no interval.
    pub(super) fn release(&self, client: &NodeId) {
        self.intervals.lock().unwrap_or_else(PoisonError::into_inner).forget(client);
    }

    /// Check 7.
    fn look_up(
        &self,
        mut accepted: Accepted,
        archive: &dyn Archive,
        now: Time,
    ) -> Result<Accepted, Refusal> {
        let Some(position) = accepted.after else { return Ok(accepted) };
        if self.config.as_reference {
            accepted.after = Some(self.sought(position, &accepted.request, archive)?);
        } else if position.sent >= self.horizon(now) && !archive.contains(&position)? {
            return Err(Refusal::Invalid(RequestError::Cursor(CursorError::Unknown)));
        }
        Ok(accepted)
    }

    /// Finds the envelope behind which the reference continues: the first one of the range, of any
    /// topic, that is not before the cursor. Newest first, it compares instead.
    fn sought(
        &self,
        cursor: Position,
        request: &Request,
        archive: &dyn Archive,
    ) -> Result<Position, ArchiveError> {
        let Request { from, to, .. } = *request;
        let is_there = (from..=to).contains(&cursor.sent) && archive.contains(&cursor)?;
        if is_there || self.config.order == Order::NewestFirst {
            return Ok(cursor);
        }
        let (order, select) = (self.config.order, Select::Bloom(Bloom::FULL));
        let mut sought = cursor;
        archive.read(&Query { from, to, select, order, after: Some(cursor) }, &mut |record| {
            sought = record.position;
            ControlFlow::Break(())
        })?;
        Ok(sought)
    }

    /// Envelopes sent before this second may have been pruned since the cursor was sent.
    fn horizon(&self, now: Time) -> UnixSeconds {
        let kept = self.config.retention.map_or(UnixSeconds::EPOCH, |kept| {
            UnixSeconds::from_since_epoch(now.saturating_sub(kept))
        });
        kept.max(UnixSeconds(self.pruned_before.load(Ordering::Relaxed)))
    }

    fn answer(&self, asker: To, accepted: Accepted) -> Answer {
        let Accepted { request, bloom, after } = accepted;
        let packing = match asker {
            To::Mailserver => Packing::Sync,
            To::Client(_) if request.batch => Packing::Batch,
            To::Client(_) => Packing::Single,
        };
        let ServerConfig { dialect, max_message_size, order, as_reference, .. } = self.config;
        // The reference computes the end of a range in 32 bits: it wraps to second 0.
        let (from, to) = match request.to {
            UnixSeconds::MAX if as_reference => (UnixSeconds(1), UnixSeconds::EPOCH),
            to => (request.from, to),
        };
        let query = Query { from, to, select: Select::Bloom(bloom), order, after };
        let mut batcher = Batcher::new(packing, dialect, max_message_size as usize, request.limit);
        if as_reference {
            batcher = batcher.as_reference();
        }
        Answer::new(asker, query, batcher)
    }
}

/// Returns the id that the answer to a request carries.
pub fn request_id(request: &P2pRequest) -> [u8; 32] {
    match request {
        P2pRequest::Envelope(envelope) => envelope.hash().0,
        P2pRequest::Plain(plain) => request::plain_id(&plain.id),
    }
}

fn reply(packet: &Packet) -> Reply {
    // They are the same in all dialects.
    Reply { packet: packet.into_encoded(Dialect::Whisper), envelopes: 0 }
}
