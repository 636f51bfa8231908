//! Questions to the registry and to resolvers, and their answers.
//!
//! The registry knows the resolver of a name, and the resolver its records. Each question is the data
//! of an `eth_call`; any node answers it.

use statuskit_core::{crypto::PublicKey, explain::Explanation};

use super::Node;
use crate::{
    Address, U256,
    abi::{self, AbiError, Function, Strictness, Value},
    eip1577::{ContentHash, ContentHashError},
};

/// The registry on the main network, Ropsten, Rinkeby and Goerli.
pub const REGISTRY: &str = "0x00000000000C2E074eC69A0dFb2997BA6C7d2e1e";

/// The longest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 1 << 20;

/// A record of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question {
    /// The owner, at the registry.
    Owner,
    /// The resolver, at the registry.
    Resolver,
    /// How long answers may be kept, in seconds, at the registry.
    Ttl,
    /// The address.
    Addr,
    /// The chat key.
    Pubkey,
    /// What the name points to.
    Contenthash,
    /// The name of an address, at the resolver of its reverse node.
    Name,
    /// The text under a key.
    Text(String),
}

/// What a contract answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The record is not set.
    Unset,
    /// Of `owner`, `resolver` and `addr`.
    Address(Address),
    /// Of `ttl`.
    Seconds(u64),
    /// Of `pubkey`.
    Pubkey(PubkeyRecord),
    /// Of `contenthash`.
    Content(ContentHash),
    /// Of `name` and `text`.
    Text(String),
}

/// The two words of a `pubkey` record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PubkeyRecord {
    pub x: [u8; 32],
    pub y: [u8; 32],
}

/// Why an answer can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// More than [`MAX_ANSWER`] bytes.
    #[error("an answer of {got} bytes; the limit is {MAX_ANSWER}")]
    TooLong { got: usize },
    /// Nothing: there is no contract, or it does not know the question.
    #[error("the answer is empty: no contract, or one that does not know {0}")]
    Empty(&'static str),
    /// Not of the type that was asked for.
    #[error("the answer to {question}: {error}")]
    Abi { question: &'static str, error: Box<AbiError> },
    /// Not a content hash.
    #[error(transparent)]
    Content(#[from] ContentHashError),
}

impl AnswerError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "ens.answer_too_long",
            Self::Empty(_) => "ens.answer_empty",
            Self::Abi { error, .. } => error.kind.code(),
            Self::Content(error) => error.code(),
        }
    }

    /// Returns the offset in the answer, where one is known.
    pub fn offset(&self) -> Option<usize> {
        match self {
            Self::Abi { error, .. } => error.at,
            _ => None,
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "ens.answer_empty",
            rule: "A contract answers with at least one word.",
            source: "Contract ABI",
            causes: "There is no contract at the address, or it is not a resolver for this record.",
        },
        Explanation {
            code: "ens.answer_too_long",
            rule: "An answer has at most 1 MiB.",
            source: "bounds of this program",
            causes: "A contract that does not belong to ENS.",
        },
    ];
}

impl Question {
    /// The questions without a key of their own.
    pub const PLAIN: [Self; 7] = [
        Self::Owner,
        Self::Resolver,
        Self::Ttl,
        Self::Addr,
        Self::Pubkey,
        Self::Contenthash,
        Self::Name,
    ];

    /// Returns the name of the function.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Resolver => "resolver",
            Self::Ttl => "ttl",
            Self::Addr => "addr",
            Self::Pubkey => "pubkey",
            Self::Contenthash => "contenthash",
            Self::Name => "name",
            Self::Text(_) => "text",
        }
    }

    /// Whether the registry answers it, not a resolver.
    pub fn is_for_registry(&self) -> bool {
        matches!(self, Self::Owner | Self::Resolver | Self::Ttl)
    }

    /// Returns the declaration of the function.
    pub fn declaration(&self) -> &'static str {
        match self {
            Self::Owner => "owner(bytes32 node) returns (address)",
            Self::Resolver => "resolver(bytes32 node) returns (address)",
            Self::Ttl => "ttl(bytes32 node) returns (uint64)",
            Self::Addr => "addr(bytes32 node) returns (address)",
            Self::Pubkey => "pubkey(bytes32 node) returns (bytes32 x, bytes32 y)",
            Self::Contenthash => "contenthash(bytes32 node) returns (bytes)",
            Self::Name => "name(bytes32 node) returns (string)",
            Self::Text(_) => "text(bytes32 node, string key) returns (string)",
        }
    }

    /// Returns the data of the call.
    ///
    /// # Errors
    /// If the key of a text is longer than a call can be.
    pub fn call_data(&self, node: &Node) -> Result<Vec<u8>, AbiError> {
        let function: Function = self.declaration().parse()?;
        let mut values = vec![Value::FixedBytes(node.to_vec())];
        if let Self::Text(key) = self {
            values.push(Value::String(key.clone()));
        }
        function.encode_call(&values)
    }

    /// Reads the answer to the call.
    ///
    /// # Errors
    /// If it is empty, or not of the type that was asked for.
    pub fn read(&self, answer: &[u8]) -> Result<Answer, AnswerError> {
        let question = self.name();
        if answer.len() > MAX_ANSWER {
            return Err(AnswerError::TooLong { got: answer.len() });
        }
        if answer.is_empty() {
            return Err(AnswerError::Empty(question));
        }
        let wrong = |error| AnswerError::Abi { question, error: Box::new(error) };
        let function: Function = self.declaration().parse().map_err(wrong)?;
        let values = abi::decode(&function.outputs, answer, Strictness::Lenient).map_err(wrong)?;
        Ok(match &values[..] {
            [Value::Address(address)] if address.0 == [0; 20] => Answer::Unset,
            [Value::Address(address)] => Answer::Address(*address),
            [Value::Uint(seconds)] if *seconds == U256::ZERO => Answer::Unset,
            [Value::Uint(seconds)] => Answer::Seconds(seconds.to_u64().unwrap_or(u64::MAX)),
            [Value::FixedBytes(x), Value::FixedBytes(y)] => {
                let (mut record, word) = (PubkeyRecord { x: [0; 32], y: [0; 32] }, 32);
                record.x.copy_from_slice(x.get(..word).unwrap_or(&[0; 32]));
                record.y.copy_from_slice(y.get(..word).unwrap_or(&[0; 32]));
                if record.x == [0; 32] && record.y == [0; 32] {
                    Answer::Unset
                } else {
                    Answer::Pubkey(record)
                }
            }
            [Value::Bytes(bytes)] if bytes.is_empty() => Answer::Unset,
            [Value::Bytes(bytes)] => Answer::Content(ContentHash::from_bytes(bytes)?),
            [Value::String(text)] if text.is_empty() => Answer::Unset,
            [Value::String(text)] => Answer::Text(text.clone()),
            _ => Answer::Unset,
        })
    }
}

impl PubkeyRecord {
    /// Returns the 65 bytes `04 || x || y`.
    pub fn to_uncompressed(&self) -> [u8; 65] {
        let mut bytes = [4; 65];
        bytes[1..33].copy_from_slice(&self.x);
        bytes[33..].copy_from_slice(&self.y);
        bytes
    }

    /// Returns the key, if the point is on the curve. Anyone may register any two words.
    pub fn key(&self) -> Option<PublicKey> {
        PublicKey::from_slice(&self.to_uncompressed()).ok()
    }

    /// Whether the name is verified for the author of a message.
    pub fn verifies(&self, author: &PublicKey) -> bool {
        self.to_uncompressed() == author.to_uncompressed()
    }
}

#[cfg(test)]
mod tests {
    use statuskit_core::crypto::SecretKey;

    use super::*;

    const NODE: Node = [7; 32];

    #[test]
    fn selectors_of_the_reference() {
        for (question, selector) in [
            (Question::Owner, "02571be3"),
            (Question::Resolver, "0178b8bf"),
            (Question::Ttl, "16a25cbd"),
            (Question::Addr, "3b3b57de"),
            (Question::Pubkey, "c8690233"),
            (Question::Contenthash, "bc1c58d1"),
            (Question::Name, "691f3431"),
        ] {
            let data = question.call_data(&NODE).unwrap();
            assert_eq!(hex::encode(data), format!("{selector}{}", "07".repeat(32)));
        }
        let data = Question::Text("url".into()).call_data(&NODE).unwrap();
        let expected =
            format!("59d1d43c{}{:0>64}{:0>64}{:0<64}", "07".repeat(32), "40", "3", "75726c");
        assert_eq!(hex::encode(data), expected);
    }

    #[test]
    fn answers_are_read() {
        let word = |text: &str| hex::decode(format!("{text:0>64}")).unwrap();
        let key: SecretKey = "02".repeat(32).parse().unwrap();
        let author = key.public_key();
        let answer = author.to_uncompressed()[1..].to_vec();
        let Ok(Answer::Pubkey(record)) = Question::Pubkey.read(&answer) else { panic!() };
        assert!(record.verifies(&author) && record.key() == Some(author));
        let other: SecretKey = "03".repeat(32).parse().unwrap();
        assert!(!record.verifies(&other.public_key()));
        assert_eq!(Question::Pubkey.read(&[0; 64]), Ok(Answer::Unset));
        assert_eq!(Question::Addr.read(&word("00")), Ok(Answer::Unset));
        assert_eq!(
            Question::Addr.read(&word(&"05".repeat(20))),
            Ok(Answer::Address(Address([5; 20])))
        );
        assert_eq!(Question::Ttl.read(&word("3c")), Ok(Answer::Seconds(60)));
        let dynamic = |bytes: &[u8]| {
            let mut out =
                [word("20"), word(&format!("{:x}", bytes.len())), bytes.to_vec()].concat();
            out.resize(out.len().next_multiple_of(32), 0);
            out
        };
        assert_eq!(Question::Name.read(&dynamic(b"a.eth")), Ok(Answer::Text("a.eth".into())));
        assert_eq!(Question::Contenthash.read(&dynamic(b"")), Ok(Answer::Unset));
        let bytes = hex::decode(
            "e40101fa011b20d1de9994b4d039f6548d191eb26786769f580809256b4685ef316805265ea162",
        )
        .unwrap();
        let Ok(Answer::Content(content)) = Question::Contenthash.read(&dynamic(&bytes)) else {
            panic!()
        };
        assert_eq!(content.kind(), "swarm");
    }

    #[test]
    fn hostile_answers_are_refused() {
        let code = |question: Question, bytes: &[u8]| question.read(bytes).unwrap_err().code();
        assert_eq!(code(Question::Addr, &[]), "ens.answer_empty");
        assert_eq!(code(Question::Addr, &[0; 31]), "abi.truncated");
        assert_eq!(code(Question::Name, &[0xff; 64]), "abi.beyond");
        assert_eq!(code(Question::Name, &vec![0; MAX_ANSWER + 1]), "ens.answer_too_long");
    }
}
