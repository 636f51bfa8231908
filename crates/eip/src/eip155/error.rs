//! What is wrong with a transaction.

use statuskit_core::{crypto::KeyError, explain::Explanation, rlp::RlpError};

/// Why bytes are not a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TxError {
    /// Not the RLP of one.
    #[error("not a transaction: {0}")]
    Rlp(#[from] RlpError),
    /// `v` of no signature.
    #[error("v is {0}; expected 27 or 28, or at least 37 with a chain id")]
    V(String),
    /// `r` or `s` of no signature.
    #[error("{0} of the signature must be at least 1 and below the order of secp256k1")]
    Signature(&'static str),
    /// No key could have signed it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An unknown type.
    #[error("a transaction of type {0} is not known")]
    Type(u8),
    /// Chain id 0, which says nothing.
    #[error("a chain id is at least 1; a transaction for any chain has none")]
    ChainZero,
    /// Without a signature.
    #[error("the transaction is not signed")]
    Unsigned,
}

impl TxError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rlp(error) => error.kind.code(),
            Self::V(_) => "tx.v",
            Self::Signature(_) => "tx.signature",
            Self::Key(_) => "signature.recovery",
            Self::Type(_) => "tx.type",
            Self::ChainZero => "tx.chain_zero",
            Self::Unsigned => "tx.unsigned",
        }
    }

    /// Returns the offset in the bytes, where it is known.
    pub fn offset(&self) -> Option<usize> {
        match self {
            Self::Rlp(error) => Some(error.at),
            _ => None,
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "tx.v",
            rule: "v is 27 or 28, or 35 or 36 plus twice the chain id.",
            source: "EIP-155",
            causes: "A parity of 0 or 1, as transactions with a type have it.",
        },
        Explanation {
            code: "tx.signature",
            rule: "r and s are at least 1 and below the order of secp256k1.",
            source: "Ethereum yellow paper, appendix F",
            causes: "An unsigned transaction, or another format of signatures.",
        },
        Explanation {
            code: "tx.type",
            rule: "Transactions begin with a list, or with a type from 1 to 4.",
            source: "EIP-2718",
            causes: "Other bytes, or a type of later years.",
        },
        Explanation {
            code: "tx.chain_zero",
            rule: "A chain id is at least 1.",
            source: "EIP-155",
            causes: "Omit --chain-id for a transaction that is valid on all chains.",
        },
        Explanation {
            code: "tx.unsigned",
            rule: "The transaction has a signature.",
            source: "EIP-155",
            causes: "The transaction of `build`: sign it first.",
        },
    ];
}

/// Why nodes refuse a transaction that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// For another chain.
    #[error("the transaction is for another chain")]
    OtherChain,
    /// For any chain.
    #[error("the transaction names no chain, so that it can be repeated on others")]
    NoChain,
    /// Less gas than the transaction costs before anything runs.
    #[error("the gas is below the least that this transaction takes")]
    Gas,
    /// The sender can never have as much.
    #[error("gas times gas price, and the value, have more than 256 bits")]
    Cost,
    /// The highest nonce, which no account can pass.
    #[error("the nonce is 2^64 - 1")]
    Nonce,
    /// `s` in the upper half, which nodes refuse since Homestead.
    #[error("s of the signature is in the upper half of the order")]
    HighS,
}

impl Problem {
    /// Returns the stable code of the problem.
    pub fn code(self) -> &'static str {
        match self {
            Self::OtherChain => "tx.other_chain",
            Self::NoChain => "tx.no_chain",
            Self::Gas => "tx.gas",
            Self::Cost => "tx.cost",
            Self::Nonce => "tx.nonce",
            Self::HighS => "tx.high_s",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "tx.other_chain",
            rule: "The transaction is for the expected chain.",
            source: "EIP-155",
            causes: "Another network.",
        },
        Explanation {
            code: "tx.no_chain",
            rule: "The transaction names its chain.",
            source: "EIP-155",
            causes: "Signed without --chain-id: it can be repeated on other chains.",
        },
        Explanation {
            code: "tx.gas",
            rule: "The gas covers 21000, 32000 for a new contract, and 4 or 16 for each byte of the data.",
            source: "Ethereum yellow paper, appendix G; EIP-2028",
            causes: "Too little gas: 21000 is enough for ether only.",
        },
        Explanation {
            code: "tx.cost",
            rule: "Gas times gas price, and the value, have at most 256 bits.",
            source: "Ethereum yellow paper, section 6",
            causes: "A unit too many.",
        },
        Explanation {
            code: "tx.nonce",
            rule: "A nonce is below 2^64 - 1.",
            source: "EIP-2681",
            causes: "Not the number of transactions.",
        },
        Explanation {
            code: "tx.high_s",
            rule: "s is in the lower half of the order.",
            source: "EIP-2",
            causes: "The signature was changed on its way, or comes from before Homestead.",
        },
    ];
}
