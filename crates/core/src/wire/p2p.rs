//! The packets between clients and mailservers, and between mailservers (codes 123 to 126).
//!
//! This module has only their layouts. [`mailserver`](crate::mailserver) gives them meaning.
//!
//! Source: the mailserver specification of Status. Where the reference writes and reads another
//! layout, that one is used.

use crate::{
    envelope::{
        Bloom, Envelope, EnvelopeHash, Topic,
        topic::{put_topics, read_topics},
    },
    rlp::{self, Reader},
    time::UnixSeconds,
    wire::{
        cursor::{Cursor, Position, cursor_bytes, cursor_len},
        dialect::Dialect,
        error::PacketError,
        fields::{put_envelopes, read_envelopes},
    },
};

/// The most envelopes that one request can ask for.
pub const MAX_LIMIT: u32 = 1000;

const ERROR_PREFIX: &[u8] = b"ERROR=";
const HASH: usize = 32;

/// A request for historic messages (code 126).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum P2pRequest {
    /// A request in an envelope, the form in use.
    Envelope(Envelope),
    /// A plain request.
    Plain(MessagesRequest),
}

impl P2pRequest {
    /// Reads the payload of the packet: as an envelope, or else as a plain request.
    ///
    /// # Errors
    ///
    /// If it is neither. The error is that of the plain form.
    pub fn decode(dialect: Dialect, payload: &[u8]) -> Result<Self, PacketError> {
        if let Ok(envelope) = Envelope::decode(payload) {
            return Ok(Self::Envelope(envelope));
        }
        MessagesRequest::decode(dialect, payload).map(Self::Plain)
    }

    /// Writes the payload of the packet.
    pub fn encode(&self, dialect: Dialect) -> Vec<u8> {
        match self {
            Self::Envelope(envelope) => envelope.raw().to_vec(),
            Self::Plain(request) => request.encode(dialect),
        }
    }

    /// The bytes that its parts of variable length take.
    pub fn size(&self) -> usize {
        match self {
            Self::Envelope(envelope) => envelope.raw().len(),
            Self::Plain(MessagesRequest { id, cursor, bloom, topics, .. }) => {
                id.len() + cursor_len(cursor) + bloom.len() + size_of_val(topics.as_slice())
            }
        }
    }
}

/// A plain request: `[id, from, to, limit, cursor, bloom]`, and in Waku `topics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagesRequest {
    /// Identifies the request in its answer. It should have 32 bytes, but any length is kept.
    pub id: Vec<u8>,
    /// The first second of the range, UNIX time, inclusive.
    pub from: UnixSeconds,
    /// The last second of the range, inclusive.
    pub to: UnixSeconds,
    /// The most envelopes in the answer. 0 for the server's maximum.
    pub limit: u32,
    /// The cursor of the last page, if there was one.
    pub cursor: Option<Cursor>,
    /// The bloom filter of the topics, 64 bytes in practice.
    pub bloom: Vec<u8>,
    /// The topics. Only Waku has them, and mailservers do not select by them.
    pub topics: Vec<Topic>,
}

impl MessagesRequest {
    fn decode(dialect: Dialect, payload: &[u8]) -> Result<Self, PacketError> {
        let mut reader = Reader::new(payload);
        let mut items = reader.list("messages request")?;
        let request = Self {
            id: items.string("id")?.to_vec(),
            from: UnixSeconds(items.u32("from")?),
            to: UnixSeconds(items.u32("to")?),
            limit: items.u32("limit")?,
            cursor: Cursor::from_bytes(items.string("cursor")?),
            bloom: items.string("bloom filter")?.to_vec(),
            topics: if dialect.is_waku() { read_topics(&mut items)? } else { Vec::new() },
        };
        items.finish()?;
        reader.finish()?;
        Ok(request)
    }

    fn encode(&self, dialect: Dialect) -> Vec<u8> {
        let mut out = Vec::new();
        rlp::put_list(&mut out, |out| {
            rlp::put_bytes(out, &self.id);
            rlp::put_u64(out, self.from.into());
            rlp::put_u64(out, self.to.into());
            rlp::put_u64(out, self.limit.into());
            rlp::put_bytes(out, &cursor_bytes(&self.cursor));
            rlp::put_bytes(out, &self.bloom);
            if dialect.is_waku() {
                put_topics(out, &self.topics);
            }
        });
        out
    }
}

/// The end of the answer to a request for historic messages (code 125).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestComplete {
    /// The whole page was sent.
    Success {
        /// The id of the request.
        request: [u8; HASH],
        /// The last envelope sent, or zeros if there is none.
        last: EnvelopeHash,
        /// The cursor of the next page. `None` after the last.
        cursor: Option<Cursor>,
    },
    /// The server refused the request.
    Failure {
        /// The id of the request.
        request: [u8; HASH],
        /// The reason: untrusted text, usually UTF-8.
        text: Vec<u8>,
    },
}

impl RequestComplete {
    /// Reads the content of the packet's string.
    ///
    /// # Errors
    ///
    /// If there are less than 32 or more than 100 bytes, and they are no failure.
    pub fn decode(bytes: &[u8]) -> Result<Self, PacketError> {
        let length = || PacketError::CompleteLength(bytes.len());
        if bytes.len() < HASH {
            return Err(length());
        }
        if let Some(rest) = bytes.strip_prefix(ERROR_PREFIX)
            && let Some((request, text)) = rest.split_first_chunk()
        {
            return Ok(Self::Failure { request: *request, text: text.to_vec() });
        }
        if bytes.len() > 2 * HASH + Position::LEN {
            return Err(length());
        }
        let (request, rest) = bytes.split_first_chunk().ok_or_else(length)?;
        let (last, rest) = match rest.split_first_chunk() {
            Some((last, rest)) => (*last, rest),
            None => ([0; HASH], rest),
        };
        let cursor = rest.get(..Position::LEN).and_then(Cursor::from_bytes);
        Ok(Self::Success { request: *request, last: EnvelopeHash(last), cursor })
    }

    /// Writes the content of the packet's string.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Success { request, last, cursor } => {
                [&request[..], &last.0, &cursor_bytes(cursor)].concat()
            }
            Self::Failure { request, text } => [ERROR_PREFIX, request, text].concat(),
        }
    }
}

/// A request of one mailserver for the archive of another: `[lower, upper, bloom, limit, cursor]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    /// The first second of the range, UNIX time, inclusive.
    pub lower: UnixSeconds,
    /// The last second of the range, inclusive.
    pub upper: UnixSeconds,
    /// The bloom filter of the topics.
    pub bloom: Vec<u8>,
    /// The most envelopes in the answer: 1 to [`MAX_LIMIT`].
    pub limit: u32,
    /// The cursor of the last page, if there was one.
    pub cursor: Option<Cursor>,
}

impl SyncRequest {
    /// Makes a request for all topics in a range of time.
    pub fn all(lower: UnixSeconds, upper: UnixSeconds) -> Self {
        let bloom = Bloom::FULL.0.to_vec();
        Self { lower, upper, bloom, limit: MAX_LIMIT, cursor: None }
    }

    /// The bytes that its parts of variable length take.
    pub fn size(&self) -> usize {
        cursor_len(&self.cursor) + self.bloom.len()
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        let mut items = reader.list("sync request")?;
        let request = Self {
            lower: UnixSeconds(items.u32("lower")?),
            upper: UnixSeconds(items.u32("upper")?),
            bloom: items.string("bloom filter")?.to_vec(),
            limit: items.u32("limit")?,
            cursor: Cursor::from_bytes(items.string("cursor")?),
        };
        items.finish()?;
        if request.limit == 0 || request.limit > MAX_LIMIT {
            return Err(PacketError::SyncLimit(request.limit));
        }
        if request.lower > request.upper {
            let Self { lower, upper, .. } = request;
            return Err(PacketError::SyncRange { lower, upper });
        }
        Ok(request)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        rlp::put_list(out, |out| {
            rlp::put_u64(out, self.lower.into());
            rlp::put_u64(out, self.upper.into());
            rlp::put_bytes(out, &self.bloom);
            rlp::put_u64(out, self.limit.into());
            rlp::put_bytes(out, &cursor_bytes(&self.cursor));
        });
    }
}

/// The answer to a [`SyncRequest`]: `[[envelope, …], cursor, final, error]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncResponse {
    /// A part of the archive.
    pub envelopes: Vec<Envelope>,
    /// The cursor of the next page. `None` in all parts but the last.
    pub cursor: Option<Cursor>,
    /// Whether this is the last part.
    pub last: bool,
    /// The reason for a refusal, or empty. Untrusted text.
    pub error: Vec<u8>,
}

impl SyncResponse {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        let mut items = reader.list("sync response")?;
        let response = Self {
            envelopes: read_envelopes(&mut items)?,
            cursor: Cursor::from_bytes(items.string("cursor")?),
            last: items.bool("final flag")?,
            error: items.string("error")?.to_vec(),
        };
        items.finish()?;
        Ok(response)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        rlp::put_list(out, |out| {
            put_envelopes(out, &self.envelopes);
            rlp::put_bytes(out, &cursor_bytes(&self.cursor));
            rlp::put_bool(out, self.last);
            rlp::put_bytes(out, &self.error);
        });
    }
}
