//! Rendezvous, as Status has it: a server keeps records of nodes by topic for some seconds.
//!
//! A message is an RLP integer, its type, and a list. Requests and answers alternate on a stream of
//! the protocol [`PROTOCOL`]. This is not the rendezvous of libp2p, although it runs over libp2p.
//!
//! | type | message | list |
//! | --- | --- | --- |
//! | 1 | [`Register`] | `[topic, record, ttl]`, the time to live in nanoseconds |
//! | 2 | [`Response`] to it | `[status, message]` |
//! | 3 | [`Discover`] | `[limit, topic]` |
//! | 4 | [`Response`] to it | `[status, message, [record, …]]` |
//!
//! Source: Status, "Rendezvous"; the reference's server.

use std::{fmt, time::Duration};

use super::{Record, RecordError, TopicName, UnverifiedRecord};
use crate::{
    explain::Explanation,
    rlp::{self, Reader, RlpError, RlpErrorKind},
};

/// The name of the protocol.
pub const PROTOCOL: &str = "/rend/0.1.0";
/// The most bytes of a topic.
pub const MAX_TOPIC: usize = 50;
/// The longest time to live.
pub const MAX_TTL: Duration = Duration::from_secs(20);
/// How much longer a record is kept.
pub const GRACE: Duration = Duration::from_millis(500);
/// The most records in an answer.
pub const MAX_RECORDS: usize = 10;
/// The most bytes of a request.
pub const MAX_REQUEST: usize = 1024;
/// The most bytes of an answer: ten records, and a message of some hundred bytes.
pub const MAX_RESPONSE: usize = 4096;

/// The numbers of the messages.
pub mod kind {
    #![allow(missing_docs, reason = "the names say it")]

    pub const REGISTER: u8 = 1;
    pub const REGISTER_RESPONSE: u8 = 2;
    pub const DISCOVER: u8 = 3;
    pub const DISCOVER_RESPONSE: u8 = 4;
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RendezvousError {
    /// The protocol has no such message, or not in this direction.
    #[error("{got} is not the type of a rendezvous {expected}")]
    Type { got: u8, expected: &'static str },
    /// The message is too large.
    #[error("a rendezvous message of {got} bytes; expected at most {max}")]
    TooLarge { got: usize, max: usize },
    /// The bytes are not the RLP of the message. Offsets count from after the type.
    #[error("{0}")]
    Rlp(#[from] RlpError),
    /// The record in the message is malformed.
    #[error("the record in the message: {0}")]
    Record(RecordError),
}

impl RendezvousError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Type { .. } => "rendezvous.type",
            Self::TooLarge { .. } => "rendezvous.too_large",
            Self::Rlp(error) => error.kind.code(),
            Self::Record(error) => error.code(),
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "rendezvous.type",
            rule: "Rendezvous has the types 1 and 3 of requests, 2 and 4 of answers.",
            source: "Status, \"Rendezvous\"",
            causes: "Another protocol, or an answer to another request.",
        },
        Explanation {
            code: "rendezvous.too_large",
            rule: "A request has at most 1024 bytes, an answer at most 4096.",
            source: "this implementation",
            causes: "A server that sends more than ten records.",
        },
    ];
}

/// How a server answers. Numbers that nobody defined are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Done.
    Ok,
    /// The topic is empty, too long, or has the byte `ff`.
    BadTopic,
    /// The record is not signed by its key.
    BadRecord,
    /// The time to live is too long.
    BadTtl,
    /// Defined, but sent by no server.
    BadLimit,
    /// The request could not be decoded.
    Undecodable,
    /// Defined, but sent by no server.
    Unauthorized,
    /// The server failed, or has no room.
    Internal,
    /// Another number.
    Unknown(u64),
}

impl Status {
    /// Returns the number.
    pub fn number(self) -> u64 {
        match self {
            Self::Ok => 0,
            Self::BadTopic => 100,
            Self::BadRecord => 101,
            Self::BadTtl => 102,
            Self::BadLimit => 103,
            Self::Undecodable => 104,
            Self::Unauthorized => 200,
            Self::Internal => 300,
            Self::Unknown(number) => number,
        }
    }

    /// Returns the status with a number.
    pub fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Ok,
            100 => Self::BadTopic,
            101 => Self::BadRecord,
            102 => Self::BadTtl,
            103 => Self::BadLimit,
            104 => Self::Undecodable,
            200 => Self::Unauthorized,
            300 => Self::Internal,
            number => Self::Unknown(number),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::BadTopic => f.write_str("bad topic"),
            Self::BadRecord => f.write_str("bad record"),
            Self::BadTtl => f.write_str("bad time to live"),
            Self::BadLimit => f.write_str("bad limit"),
            Self::Undecodable => f.write_str("undecodable request"),
            Self::Unauthorized => f.write_str("unauthorized"),
            Self::Internal => f.write_str("internal error"),
            Self::Unknown(number) => write!(f, "status {number}"),
        }
    }
}

/// A message as it is delimited on a stream: its type, and its list undecoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// One of [`kind`], or a number that nobody defined.
    pub kind: u8,
    /// The list with its header.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the first message of a stream: itself, and how many bytes it takes. `Ok(None)` if more
    /// are needed.
    ///
    /// # Errors
    ///
    /// If the bytes can't become a message, or not one of at most `max` bytes.
    pub fn read(bytes: &'a [u8], max: usize) -> Result<Option<(Self, usize)>, RendezvousError> {
        let Some((&kind, body)) = bytes.split_first() else { return Ok(None) };
        // Types of more than one byte are unknown, too.
        if kind == 0 || kind >= 0x80 {
            return Err(RendezvousError::Type { got: kind, expected: "message" });
        }
        let Some(&first) = body.first() else { return Ok(None) };
        let header = &body[..body.len().min(rlp::header_size(first))];
        let Some(size) = rlp::list_size(header) else {
            if first >= 0xc0 && header.len() < rlp::header_size(first) {
                return Ok(None);
            }
            // This tells what is wrong.
            Reader::new(body).list("list")?;
            return Err(Reader::new(body).error(RlpErrorKind::ExpectedList).into());
        };
        if size >= max {
            return Err(RendezvousError::TooLarge { got: size.saturating_add(1), max });
        }
        Ok(body.get(..size).map(|body| (Self { kind, body }, 1 + size)))
    }
}

/// A wish to be found under a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// 1 to [`MAX_TOPIC`] bytes without `ff`.
    pub topic: TopicName,
    /// Who wants to be found.
    pub record: UnverifiedRecord,
    /// For how long, at most [`MAX_TTL`]. The protocol has nanoseconds.
    pub ttl: Duration,
}

/// A question for records of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discover {
    /// How many are wanted. Servers send at most [`MAX_RECORDS`].
    pub limit: u64,
    /// The topic.
    pub topic: TopicName,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Type 1.
    Register(Register),
    /// Type 3.
    Discover(Discover),
}

impl Request {
    /// Returns the bytes. A time to live above 584 years is cut.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Register(Register { topic, record, ttl }) => {
                let mut out = vec![kind::REGISTER];
                rlp::put_list(&mut out, |out| {
                    rlp::put_bytes(out, &topic.0);
                    out.extend_from_slice(record.as_rlp());
                    rlp::put_u64(out, u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX));
                });
                out
            }
            Self::Discover(Discover { limit, topic }) => {
                let mut out = vec![kind::DISCOVER];
                rlp::put_list(&mut out, |out| {
                    rlp::put_u64(out, *limit);
                    rlp::put_bytes(out, &topic.0);
                });
                out
            }
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    ///
    /// If it has another type, or its list is malformed.
    pub fn decode(frame: Frame<'_>) -> Result<Self, RendezvousError> {
        let mut reader = Reader::new(frame.body);
        let mut items = reader.list("request")?;
        reader.finish()?;
        let request = match frame.kind {
            kind::REGISTER => {
                let topic = TopicName(items.string("topic")?.to_vec());
                let record = items.raw_item("record")?;
                let record = UnverifiedRecord::decode(record).map_err(RendezvousError::Record)?;
                let ttl = Duration::from_nanos(items.u64("time to live")?);
                Self::Register(Register { topic, record, ttl })
            }
            kind::DISCOVER => {
                let limit = items.u64("limit")?;
                Self::Discover(Discover {
                    limit,
                    topic: TopicName(items.string("topic")?.to_vec()),
                })
            }
            got => return Err(RendezvousError::Type { got, expected: "request" }),
        };
        items.finish()?;
        Ok(request)
    }

    /// Returns the type of its answer.
    pub fn response_kind(&self) -> u8 {
        match self {
            Self::Register(_) => kind::REGISTER_RESPONSE,
            Self::Discover(_) => kind::DISCOVER_RESPONSE,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// How it went.
    pub status: Status,
    /// For people. Servers leave it empty.
    pub message: String,
    /// The records found, each in RLP, unchecked: a bad one doesn't spoil the others. `None` in
    /// the answer to [`Register`].
    pub records: Option<Vec<Vec<u8>>>,
}

impl Response {
    /// Makes the answer to a registration.
    pub fn registered(status: Status) -> Self {
        Self { status, message: String::new(), records: None }
    }

    /// Makes the answer to a question.
    pub fn discovered<'a>(status: Status, records: impl IntoIterator<Item = &'a Record>) -> Self {
        let records = records.into_iter().map(|record| record.as_rlp().to_vec()).collect();
        Self { status, message: String::new(), records: Some(records) }
    }

    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let kind =
            if self.records.is_some() { kind::DISCOVER_RESPONSE } else { kind::REGISTER_RESPONSE };
        let mut out = vec![kind];
        rlp::put_list(&mut out, |out| {
            rlp::put_u64(out, self.status.number());
            rlp::put_bytes(out, self.message.as_bytes());
            if let Some(records) = &self.records {
                rlp::put_list(out, |out| records.iter().for_each(|it| out.extend_from_slice(it)));
            }
        });
        out
    }

    /// Reads an answer of the type `expected`. Text that is not UTF-8 is replaced.
    ///
    /// # Errors
    ///
    /// If it has another type, or its list is malformed.
    pub fn decode(frame: Frame<'_>, expected: u8) -> Result<Self, RendezvousError> {
        if frame.kind != expected {
            return Err(RendezvousError::Type { got: frame.kind, expected: "answer" });
        }
        let mut reader = Reader::new(frame.body);
        let mut items = reader.list("answer")?;
        reader.finish()?;
        let status = Status::from_number(items.u64("status")?);
        let message = String::from_utf8_lossy(items.string("message")?).into_owned();
        let records = if expected == kind::DISCOVER_RESPONSE {
            let mut list = items.list("records")?;
            let mut records = Vec::new();
            while !list.is_empty() {
                records.push(list.raw_item("record")?.to_vec());
            }
            Some(records)
        } else {
            None
        };
        items.finish()?;
        Ok(Self { status, message, records })
    }

    /// Decodes and checks the records, each by itself.
    pub fn records(&self) -> impl Iterator<Item = Result<Record, RecordError>> {
        self.records.iter().flatten().map(|record| Record::decode(record))
    }
}

/// Returns whether servers accept a topic.
pub fn topic_is_valid(topic: &TopicName) -> bool {
    (1..=MAX_TOPIC).contains(&topic.0.len()) && !topic.0.contains(&0xff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{crypto::SecretKey, discovery::RecordBuilder};

    fn record(seq: u64) -> Record {
        RecordBuilder::new(seq).tcp(1).sign(&SecretKey::from_bytes(&[7; 32]).unwrap()).unwrap()
    }

    /// Reads a message that may be cut anywhere.
    fn read(bytes: &[u8], max: usize) -> Frame<'_> {
        for end in 0..bytes.len() {
            assert_eq!(Frame::read(&bytes[..end], max), Ok(None), "{end}");
        }
        let (frame, used) = Frame::read(bytes, max).unwrap().unwrap();
        assert_eq!(used, bytes.len());
        frame
    }

    proptest! {
        #[test]
        fn requests_round_trip(topic in prop::collection::vec(any::<u8>(), 0..60), number: u64) {
            let topic = TopicName(topic);
            let ttl = Duration::from_nanos(number);
            let record = record(number).to_unverified();
            let register = Register { topic: topic.clone(), record, ttl };
            for request in [
                Request::Register(register),
                Request::Discover(Discover { limit: number, topic }),
            ] {
                let bytes = request.encode();
                prop_assert_eq!(Request::decode(read(&bytes, MAX_REQUEST)), Ok(request));
            }
        }

        #[test]
        fn responses_round_trip(status: u64, message in ".{0,50}", seqs: Option<Vec<u64>>) {
            let records: Option<Vec<_>> = seqs
                .map(|seqs| seqs.iter().take(10).map(|seq| record(*seq).as_rlp().to_vec()).collect());
            let kind = if records.is_some() { 4 } else { 2 };
            let response = Response { status: Status::from_number(status), message, records };
            let bytes = response.encode();
            let decoded = Response::decode(read(&bytes, MAX_RESPONSE), kind);
            prop_assert_eq!(decoded.as_ref(), Ok(&response));
            prop_assert!(response.records().all(|record| record.is_ok()));
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(kind in 0u8..6, bytes: Vec<u8>) {
            let bytes = [&[kind][..], &bytes].concat();
            if let Ok(Some((frame, used))) = Frame::read(&bytes, MAX_REQUEST) {
                prop_assert!(used <= bytes.len() && used <= MAX_REQUEST);
                let _ = Request::decode(frame);
                let _ = Response::decode(frame, frame.kind);
            }
        }
    }

    #[test]
    fn a_bad_record_does_not_spoil_the_others() {
        let good = record(1);
        let mut forged = good.as_rlp().to_vec();
        forged[10] ^= 1;
        let records = vec![forged, good.as_rlp().to_vec(), vec![0x80], vec![0xc1, 1]];
        let response =
            Response { status: Status::Ok, message: String::new(), records: Some(records) };
        let bytes = response.encode();
        let decoded = Response::decode(read(&bytes, MAX_RESPONSE), 4).unwrap();
        let records: Vec<_> = decoded.records().filter_map(Result::ok).collect();
        assert_eq!(records, [good]);
    }

    #[test]
    fn messages_are_bounded_before_they_are_there() {
        let error = |bytes: &[u8]| Frame::read(bytes, MAX_REQUEST).unwrap_err();
        assert_eq!(error(&[0]).code(), "rendezvous.type");
        assert_eq!(error(&[0x81]).code(), "rendezvous.type");
        assert_eq!(error(&[1, 0x80]).code(), "rlp.expected_list");
        assert_eq!(error(&[1, 0xf9, 4, 0]).code(), "rendezvous.too_large");
        assert_eq!(error(&[1, 0xfb, 0xff, 0xff, 0xff, 0xff]).code(), "rendezvous.too_large");
        assert_eq!(error(&[&[1][..], &[0xff; 9]].concat()).code(), "rlp.truncated");
        assert_eq!(error(&[1, 0xf8, 1]).code(), "rlp.non_canonical_length");
        assert_eq!(Frame::read(&[1, 0xf9, 3, 0xfb], MAX_REQUEST), Ok(None));
    }

    #[test]
    fn ten_of_the_largest_records_are_an_answer() {
        let key = SecretKey::from_bytes(&[7; 32]).unwrap();
        let sized = |length| RecordBuilder::new(1).bytes(b"x", &vec![1; length]).sign(&key);
        let largest = (0..300).rev().find_map(|length| sized(length).ok()).unwrap();
        assert_eq!(largest.as_rlp().len(), crate::discovery::record::MAX_RECORD);
        let bytes = Response::discovered(Status::Ok, vec![&largest; MAX_RECORDS]).encode();
        assert!(bytes.len() < MAX_RESPONSE);
        read(&bytes, MAX_RESPONSE);
        let topic = TopicName(vec![b'a'; MAX_TOPIC]);
        let (record, ttl) = (largest.to_unverified(), MAX_TTL);
        assert!(Request::Register(Register { topic, record, ttl }).encode().len() < MAX_REQUEST);
    }

    #[test]
    fn topics_that_servers_accept() {
        for (topic, valid) in [
            (vec![], false),
            (vec![b'a'; 50], true),
            (vec![b'a'; 51], false),
            (vec![b'a', 0xff], false),
            (vec![0xfe, 0], true),
        ] {
            assert_eq!(topic_is_valid(&TopicName(topic.clone())), valid, "{topic:?}");
        }
    }
}
