//! Requests for historic messages.
//!
//! A request is sent in an envelope (see [`seal`](super::seal)), in one of four layouts:
//!
//! | form | layout | written by |
//! | --- | --- | --- |
//! | [seven items](Form::Seven) | `[lower, upper, bloom, [topic, …], limit, cursor, batch]` | clients of early 2020, and us |
//! | [six](Form::Six) | `[lower, upper, bloom, limit, cursor, batch]` | releases before |
//! | [five](Form::Five) | `[lower, upper, bloom, limit, cursor]` | the specification |
//! | [raw](Form::Raw) | `lower (4) || upper (4) [|| bloom (64) [|| limit (4) [|| cursor (40)]]]` | the first releases |
//!
//! A plain request is the payload of packet 126: `[id, from, to, limit, cursor, bloom]`. Waku adds
//! the topics as a seventh item.
//!
//! The item after the bloom filter tells the lists apart: only the seven items have a list there.
//! Both seconds of a range are inclusive.
//!
//! Source: mailserver specification of Status, "Requesting messages", for five items. The other
//! forms are those of the reference, which rejects five and six items.

use std::time::Duration;

use crate::{
    envelope::{
        Bloom, Topic,
        topic::{put_topics, read_topics},
    },
    explain::Explanation,
    mailserver::{Cursor, DAY},
    rlp::{self, Reader, RlpError},
    time::UnixSeconds,
    wire::{
        cursor_bytes,
        p2p::{MAX_LIMIT, MessagesRequest, SyncRequest},
    },
};

/// Time from the server's present to the end of a range without an end.
const UPPER_MARGIN: Duration = Duration::from_secs(60);
/// The longest range of the raw form, in seconds.
pub const MAX_RAW_RANGE: u32 = DAY;

const WORD: usize = 4;
const BLOOM: usize = 64;
const RAW_RANGE: usize = 2 * WORD;
const RAW_BLOOM: usize = RAW_RANGE + BLOOM;
const RAW_LIMIT: usize = RAW_BLOOM + WORD;
/// Length of an archive key: the cursor and the topic.
const RAW_CURSOR: usize = 40;

/// A request for historic messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The first second, UNIX time, inclusive.
    pub from: UnixSeconds,
    /// The last second, inclusive. 0 for a minute after the server's present.
    pub to: UnixSeconds,
    /// The bloom filter of the topics. Servers refuse a request without one.
    pub bloom: Option<Bloom>,
    /// The topics themselves. Servers do not select by them, and clients send none.
    pub topics: Vec<Topic>,
    /// The most envelopes in the answer. 0 for the server's maximum.
    pub limit: u32,
    /// The cursor of the last page, as the server sent it.
    pub cursor: Option<Cursor>,
    /// Whether the answer may have several envelopes per packet.
    pub batch: bool,
}

/// The layouts of a request in an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `[lower, upper, bloom, [topic, …], limit, cursor, batch]`.
    Seven,
    /// `[lower, upper, bloom, limit, cursor, batch]`.
    Six,
    /// `[lower, upper, bloom, limit, cursor]`. Never answered in batches.
    Five,
    /// Concatenated fields of fixed length. Never answered in batches.
    Raw,
}

/// Why a request can't be read or is refused.
///
/// The texts are those that the reference answers. The last three variants are ours: the reference
/// crashes or ignores these errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The payload is not a list of seven, six or five items of the right types.
    #[error("failed to decode data: {0}")]
    Rlp(#[from] RlpError),
    /// The payload is shorter than the eight bytes of a range.
    #[error("Undersized p2p request")]
    Undersized(usize),
    /// The payload is longer than a range, but shorter than a range and a bloom filter.
    #[error("Undersized bloom filter in p2p request")]
    UndersizedBloom(usize),
    /// The range of a raw request is descending.
    #[error("query range is invalid: from > to ({from} > {to})")]
    RawRange { from: UnixSeconds, to: UnixSeconds },
    /// The range of a raw request is longer than a day.
    #[error("query range too big")]
    RawRangeTooBig { from: UnixSeconds, to: UnixSeconds },
    /// The range is descending.
    #[error("query range is invalid: lower > upper")]
    Range { from: UnixSeconds, to: UnixSeconds },
    /// The request has no bloom filter.
    #[error("bloom filter is empty")]
    NoBloom,
    /// The limit is above [`MAX_LIMIT`].
    #[error("limit exceeds the maximum allowed value")]
    Limit(u32),
    /// The bloom filter does not have 64 bytes.
    #[error("bloom filter has {}, expected 64", crate::text::count(.0, "byte"))]
    BloomLength(usize),
    /// The cursor is not a position in this range.
    #[error("cursor is not of this server: {0}")]
    Cursor(CursorError),
    /// The id of a plain request does not have 32 bytes.
    #[error("request id has {}, expected 32", crate::text::count(.0, "byte"))]
    IdLength(usize),
}

/// Why a cursor is not one of the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// The cursor does not have 36 bytes.
    #[error("{}, expected 36", crate::text::count(.0, "byte"))]
    Length(usize),
    /// Its second is not in the requested range.
    #[error("outside of the range")]
    OutOfRange,
    /// No envelope has this position.
    #[error("no such envelope")]
    Unknown,
}

impl RequestError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rlp(_) | Self::Undersized(_) | Self::UndersizedBloom(_) => "mailserver.payload",
            Self::RawRange { .. } | Self::RawRangeTooBig { .. } | Self::Range { .. } => {
                "mailserver.range"
            }
            Self::NoBloom | Self::BloomLength(_) => "mailserver.bloom",
            Self::Limit(_) => "mailserver.limit",
            Self::Cursor(_) => "mailserver.cursor",
            Self::IdLength(_) => "mailserver.request_id",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "mailserver.payload",
            rule: "A request inside an envelope is an RLP list of seven items (or six, or five), or at least eight raw bytes.",
            source: "Status specifications, Mailserver; the layouts are those of the reference",
            causes: "Another layout. The reference takes the seven items only: [lower, upper, bloom, [], limit, cursor, batch].",
        },
        Explanation {
            code: "mailserver.range",
            rule: "The first second of a request is not after its last; in the raw form they are at most a day apart.",
            source: "Status specifications, Mailserver",
            causes: "From and to are swapped, or in milliseconds.",
        },
        Explanation {
            code: "mailserver.bloom",
            rule: "A request names its topics by a bloom filter of 64 bytes.",
            source: "Status specifications, Mailserver",
            causes: "Only the list of topics was given, by which no server selects.",
        },
        Explanation {
            code: "mailserver.limit",
            rule: "One page has at most 1000 envelopes.",
            source: "Status specifications, Mailserver",
            causes: "Ask for the next page with the cursor.",
        },
        Explanation {
            code: "mailserver.cursor",
            rule: "A cursor is 36 bytes: the second and the hash of the last envelope of a page, for the same range and the same server.",
            source: "Status specifications, Mailserver; the reference starts over in silence",
            causes: "The cursor is of another server, or of another range. Ask again without it.",
        },
        Explanation {
            code: "mailserver.request_id",
            rule: "The id of a plain request has 32 bytes.",
            source: "the reference implementation",
            causes: "A shortened id.",
        },
    ];
}

impl Request {
    /// Requests the envelopes of some topics, in batches and with the server's maximum per page.
    pub fn from_topics(
        from: UnixSeconds,
        to: UnixSeconds,
        topics: impl IntoIterator<Item = Topic>,
    ) -> Self {
        Self::from_bloom(from, to, Bloom::from_topics(topics))
    }

    /// Requests the envelopes whose topics match a bloom filter.
    pub fn from_bloom(from: UnixSeconds, to: UnixSeconds, bloom: Bloom) -> Self {
        Self {
            from,
            to,
            bloom: Some(bloom),
            topics: Vec::new(),
            limit: 0,
            cursor: None,
            batch: true,
        }
    }

    /// Writes the payload with seven items.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_as(Form::Seven)
    }

    /// Writes the payload in another form. Some forms have no topics or no `batch`.
    pub fn encode_as(&self, form: Form) -> Vec<u8> {
        let mut out = Vec::new();
        if form == Form::Raw {
            self.put_raw(&mut out);
            return out;
        }
        rlp::put_list(&mut out, |out| {
            rlp::put_u64(out, self.from.into());
            rlp::put_u64(out, self.to.into());
            rlp::put_bytes(out, self.bloom_bytes());
            if form == Form::Seven {
                put_topics(out, &self.topics);
            }
            rlp::put_u64(out, self.limit.into());
            rlp::put_bytes(out, &cursor_bytes(&self.cursor));
            if form != Form::Five {
                rlp::put_bool(out, self.batch);
            }
        });
        out
    }

    /// Reads a payload with seven, six or five items.
    ///
    /// # Errors
    ///
    /// If the payload is not such a list, or its bloom filter has a wrong length.
    pub fn decode(payload: &[u8]) -> Result<(Self, Form), RequestError> {
        let mut reader = Reader::new(payload);
        let mut items = reader.list("request")?;
        let (from, to) = (UnixSeconds(items.u32("lower")?), UnixSeconds(items.u32("upper")?));
        let bits = items.string("bloom filter")?;
        let (mut form, mut topics) = (Form::Six, Vec::new());
        if items.clone().list("topics").is_ok() {
            (form, topics) = (Form::Seven, read_topics(&mut items)?);
        }
        let limit = items.u32("limit")?;
        let cursor = Cursor::from_bytes(items.string("cursor")?);
        if form == Form::Six && items.is_empty() {
            form = Form::Five;
        }
        let batch = form != Form::Five && items.bool("batch")?;
        items.finish()?;
        reader.finish()?;
        let bloom = bloom(bits)?;
        Ok((Self { from, to, bloom, topics, limit, cursor, batch }, form))
    }

    /// Reads a payload with seven items, as the reference does.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode). The error for five or six items is at the place of the topics.
    pub fn decode_seven(payload: &[u8]) -> Result<Self, RequestError> {
        let mut items = Reader::new(payload).list("request")?;
        let _ = (items.u32("lower")?, items.u32("upper")?, items.string("bloom filter")?);
        items.list("topics")?;
        Ok(Self::decode(payload)?.0)
    }

    /// Reads a payload of the raw form.
    ///
    /// # Errors
    ///
    /// If the payload is too short, or its first eight bytes are not a range of at most a day.
    pub fn decode_raw(payload: &[u8]) -> Result<Self, RequestError> {
        let (Some(from), Some(to)) = (word(payload, 0), word(payload, WORD)) else {
            return Err(RequestError::Undersized(payload.len()));
        };
        let (from, to) = (UnixSeconds(from), UnixSeconds(to));
        let bloom = match payload.get(RAW_RANGE..RAW_BLOOM) {
            Some(bytes) => bloom(bytes)?,
            None if payload.len() == RAW_RANGE => Some(Bloom::FULL),
            None => return Err(RequestError::UndersizedBloom(payload.len())),
        };
        if from > to {
            return Err(RequestError::RawRange { from, to });
        }
        if to.0 - from.0 > MAX_RAW_RANGE {
            return Err(RequestError::RawRangeTooBig { from, to });
        }
        let limit = word(payload, RAW_BLOOM).unwrap_or_default();
        let mut cursor = payload.get(RAW_LIMIT..).unwrap_or_default();
        if cursor.len() == RAW_CURSOR {
            cursor = &cursor[..RAW_CURSOR - WORD];
        }
        let (topics, cursor) = (Vec::new(), Cursor::from_bytes(cursor));
        Ok(Self { from, to, bloom, topics, limit, cursor, batch: false })
    }

    /// Takes over a plain request (packet 126). Also returns its id.
    ///
    /// # Errors
    ///
    /// If the bloom filter has a wrong length.
    pub fn from_plain(request: &MessagesRequest) -> Result<(Self, [u8; 32]), RequestError> {
        let MessagesRequest { id, from, to, limit, cursor, bloom: bits, topics } = request;
        let request = Self {
            from: *from,
            to: *to,
            bloom: bloom(bits)?,
            topics: topics.clone(),
            limit: *limit,
            cursor: cursor.clone(),
            batch: true,
        };
        Ok((request, plain_id(id)))
    }

    /// Makes a plain request (packet 126), after the checks that senders make.
    ///
    /// # Errors
    ///
    /// If the id does not have 32 bytes, or the request is not [valid](Self::validate).
    pub fn to_plain(&self, id: &[u8]) -> Result<MessagesRequest, RequestError> {
        if id.len() != 32 {
            return Err(RequestError::IdLength(id.len()));
        }
        self.validate()?;
        Ok(MessagesRequest {
            id: id.to_vec(),
            from: self.from,
            to: self.to,
            limit: self.limit,
            cursor: self.cursor.clone(),
            bloom: self.bloom_bytes().to_vec(),
            topics: self.topics.clone(),
        })
    }

    /// Takes over a request of another mailserver.
    ///
    /// # Errors
    ///
    /// If the bloom filter has a wrong length.
    pub fn from_sync(request: &SyncRequest) -> Result<Self, RequestError> {
        Ok(Self {
            from: request.lower,
            to: request.upper,
            bloom: bloom(&request.bloom)?,
            topics: Vec::new(),
            limit: request.limit,
            cursor: request.cursor.clone(),
            batch: true,
        })
    }

    /// Replaces zeros as a server does: the limit by the maximum, the end by a minute from `now`.
    #[must_use]
    pub fn with_server_defaults(mut self, now: UnixSeconds) -> Self {
        if self.limit == 0 {
            self.limit = MAX_LIMIT;
        }
        if self.to == UnixSeconds::EPOCH {
            self.to = now.saturating_add(UPPER_MARGIN);
        }
        self
    }

    /// Makes the checks of every server.
    ///
    /// # Errors
    ///
    /// If the range is descending, there is no bloom filter, or the limit is above [`MAX_LIMIT`].
    pub fn validate(&self) -> Result<(), RequestError> {
        if self.from > self.to {
            return Err(RequestError::Range { from: self.from, to: self.to });
        }
        if self.bloom.is_none() {
            return Err(RequestError::NoBloom);
        }
        if self.limit > MAX_LIMIT {
            return Err(RequestError::Limit(self.limit));
        }
        Ok(())
    }

    fn bloom_bytes(&self) -> &[u8] {
        self.bloom.as_ref().map_or(&[], |bloom| &bloom.0[..])
    }

    /// Appends the raw form. Every field requires all fields before it.
    fn put_raw(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.from.0.to_be_bytes());
        out.extend_from_slice(&self.to.0.to_be_bytes());
        let full = self.bloom.is_none_or(|bloom| bloom.is_full());
        if full && self.limit == 0 && self.cursor.is_none() {
            return;
        }
        out.extend_from_slice(&self.bloom.unwrap_or(Bloom::FULL).0);
        if self.limit == 0 && self.cursor.is_none() {
            return;
        }
        out.extend_from_slice(&self.limit.to_be_bytes());
        out.extend_from_slice(&cursor_bytes(&self.cursor));
        if self.cursor.as_ref().is_some_and(|cursor| cursor.len() == RAW_CURSOR - WORD) {
            // The topic, which no server reads.
            out.extend_from_slice(&[0; WORD]);
        }
    }
}

/// Completes a range as clients do: a missing end is now, a missing start is a day before the end.
pub fn default_range(
    from: UnixSeconds,
    to: UnixSeconds,
    now: UnixSeconds,
) -> (UnixSeconds, UnixSeconds) {
    let to = if to == UnixSeconds::EPOCH { now } else { to };
    let from = if from == UnixSeconds::EPOCH {
        to.saturating_sub(Duration::from_secs(DAY.into()))
    } else {
        from
    };
    (from, to)
}

/// Returns the id by which a plain request is answered: its last 32 bytes, padded with zeros in
/// front.
pub fn plain_id(id: &[u8]) -> [u8; 32] {
    let id = &id[id.len().saturating_sub(32)..];
    let mut padded = [0; 32];
    padded[32 - id.len()..].copy_from_slice(id);
    padded
}

fn bloom(bytes: &[u8]) -> Result<Option<Bloom>, RequestError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let bits = bytes.try_into().map_err(|_| RequestError::BloomLength(bytes.len()))?;
    Ok(Some(Bloom(bits)))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + WORD)?.try_into().ok()?;
    Some(u32::from_be_bytes(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> impl Strategy<Value = Request> {
        let bloom = prop_oneof![
            Just(None),
            Just(Some(Bloom::FULL)),
            prop::collection::vec(any::<u8>(), 64)
                .prop_map(|bits| Some(Bloom(bits.try_into().unwrap()))),
        ];
        let topics = prop::collection::vec(any::<[u8; 4]>().prop_map(Topic), 0..4);
        let cursor =
            prop::collection::vec(any::<u8>(), 0..50).prop_map(|bytes| Cursor::from_bytes(&bytes));
        let numbers: [BoxedStrategy<u32>; 3] = [(); 3].map(|()| any::<u32>().boxed());
        (numbers, bloom, topics, cursor, any::<bool>()).prop_map(
            |([from, to, limit], bloom, topics, cursor, batch)| Request {
                from: UnixSeconds(from),
                to: UnixSeconds(to),
                bloom,
                topics,
                limit,
                cursor,
                batch,
            },
        )
    }

    proptest! {
        #[test]
        fn lists_round_trip(request in request()) {
            let seven = Request::decode(&request.encode()).unwrap();
            prop_assert_eq!(seven, (request.clone(), Form::Seven));
            let without = Request { topics: Vec::new(), ..request };
            let six = Request::decode(&without.encode_as(Form::Six)).unwrap();
            prop_assert_eq!(six, (without.clone(), Form::Six));
            let without = Request { batch: false, ..without };
            let five = Request::decode(&without.encode_as(Form::Five)).unwrap();
            prop_assert_eq!(five, (without, Form::Five));
        }

        #[test]
        fn raw_round_trips(mut request in request(), from: u16, length in 0..=DAY) {
            request.from = UnixSeconds(from.into());
            request.to = request.from.wrapping_add(length);
            request.topics.clear();
            request.batch = false;
            if request.bloom.is_none() || request.cursor.as_ref().is_some_and(|it| it.len() == 40) {
                (request.bloom, request.cursor) = (Some(Bloom::FULL), Cursor::from_bytes(&[3; 36]));
            }
            prop_assert_eq!(Request::decode_raw(&request.encode_as(Form::Raw)), Ok(request));
        }

        #[test]
        fn any_bytes_are_read_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((request, form)) = Request::decode(&bytes) {
                prop_assert_eq!(request.encode_as(form), bytes.clone());
            }
            let _ = Request::decode_raw(&bytes);
        }
    }

    #[test]
    fn errors_name_the_cause() {
        let eight = {
            let mut list =
                Request::from_bloom(UnixSeconds(1), UnixSeconds(2), Bloom::FULL).encode();
            list.push(1);
            list[1] += 1;
            list
        };
        assert!(matches!(Request::decode(&eight), Err(RequestError::Rlp(_))));
        let short =
            Request { bloom: None, ..Request::from_topics(UnixSeconds(1), UnixSeconds(2), []) }
                .encode();
        assert_eq!(Request::decode(&short).unwrap().0.validate(), Err(RequestError::NoBloom));
        let mut long_bloom = Vec::new();
        rlp::put_list(&mut long_bloom, |out| {
            [1, 2].into_iter().for_each(|second| rlp::put_u64(out, second));
            rlp::put_bytes(out, &[0xff; 63]);
            (0..2).for_each(|_| rlp::put_bytes(out, &[]));
        });
        assert_eq!(Request::decode(&long_bloom).unwrap_err(), RequestError::BloomLength(63));
        for (length, error) in [
            (0, RequestError::Undersized(0)),
            (7, RequestError::Undersized(7)),
            (9, RequestError::UndersizedBloom(9)),
            (71, RequestError::UndersizedBloom(71)),
        ] {
            assert_eq!(Request::decode_raw(&vec![0; length]), Err(error));
        }
        let request =
            Request { limit: 1001, ..Request::from_topics(UnixSeconds(5), UnixSeconds(4), []) };
        assert_eq!(
            request.validate(),
            Err(RequestError::Range { from: UnixSeconds(5), to: UnixSeconds(4) })
        );
        let request = Request { to: UnixSeconds(5), ..request };
        assert_eq!(request.validate(), Err(RequestError::Limit(1001)));
        assert_eq!(request.to_plain(&[1; 31]), Err(RequestError::IdLength(31)));
    }
}
