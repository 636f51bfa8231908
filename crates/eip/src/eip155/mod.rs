//! EIP-155: transactions, with the id of their chain in the signature.
//!
//! A [`Transaction`] is the list of nonce, gas price, gas, recipient, value and data. With a chain
//! id, the list that is signed ends in that id and two zeros, and `v` is 35 or 36 plus twice the
//! id; without one, `v` is 27 or 28.
//!
//! Transactions of later years begin with their type: [`TypedTransaction`]. The client of 2020
//! knows none of them.

mod error;
mod legacy;
mod typed;

pub use error::{Problem, TxError};
pub use legacy::{SignedTransaction, Transaction};
pub use typed::{AccessListItem, Fee, TxType, TypedTransaction};

/// A transaction of any form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// The list that is signed.
    Unsigned(Transaction),
    /// With its signature.
    Signed(SignedTransaction),
    /// Of a later year.
    Typed(Box<TypedTransaction>),
}

impl Decoded {
    /// Decodes a transaction, with or without a signature.
    ///
    /// # Errors
    /// If the bytes are no transaction.
    pub fn decode(raw: &[u8]) -> Result<Self, TxError> {
        match raw.first() {
            Some(0..0x80) => TypedTransaction::decode(raw).map(Box::new).map(Self::Typed),
            _ => match Transaction::decode(raw)? {
                (transaction, None) => Ok(Self::Unsigned(transaction)),
                (_, Some(signed)) => Ok(Self::Signed(signed)),
            },
        }
    }
}

/// The chains that the client of 2020 knows, with their ids.
pub const CHAINS: [(u64, &str); 6] =
    [(1, "main net"), (3, "Ropsten"), (4, "Rinkeby"), (5, "Goerli"), (99, "POA"), (100, "xDai")];
