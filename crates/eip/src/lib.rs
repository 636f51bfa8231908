//! The Ethereum standards that Status uses, as pure code: bytes in, typed values or typed errors
//! out, and back to the same bytes.
//!
//! | standard | what | where |
//! | --- | --- | --- |
//! | (contract ABI) | types, values, calls, events | [`abi`] |
//! | EIP-20 | transfers of tokens | [`eip20`] |
//! | EIP-55 | addresses and their checksum; account numbers | [`Address`], [`icap`] |
//! | EIP-67, EIP-681, EIP-831 | links for payments | [`eip681`], [`eip831`] |
//! | EIP-137, EIP-181 | names | [`eip137`], [`eip181`] |
//! | EIP-155 | transactions | [`eip155`] |
//! | EIP-165 | detection of interfaces | [`eip165`] |
//! | EIP-191 | signed data | [`eip191`] |
//! | EIP-712 | typed data | [`eip712`] |
//! | EIP-945, EIP-1102, EIP-1193 | messages of a provider | [`eip1193`] |
//! | EIP-1577 | contents of names | [`eip1577`] |
//! | EIP-20, EIP-165, EIP-721, ENS, Status | functions and events by selector and topic | [`known`] |
//!
//! Numbers have 256 bits and are exact: see [`number`].

#![deny(unsafe_code)]

pub mod abi;
pub mod eip1193;
pub mod eip137;
pub mod eip155;
pub mod eip1577;
pub mod eip165;
pub mod eip181;
pub mod eip191;
pub mod eip20;
pub mod eip681;
pub mod eip712;
pub mod eip831;
pub mod icap;
pub mod known;
pub mod number;
mod text;

pub use number::U256;
pub use statuskit_core::eip::{Address, AddressError};

/// Returns what the codes of this crate's errors mean.
pub fn explanations() -> impl Iterator<Item = &'static statuskit_core::explain::Explanation> {
    [
        number::NumberError::EXPLANATIONS,
        abi::AbiErrorKind::EXPLANATIONS,
        eip155::TxError::EXPLANATIONS,
        eip155::Problem::EXPLANATIONS,
        eip712::TypedDataErrorKind::EXPLANATIONS,
        eip137::NameError::EXPLANATIONS,
        eip137::username::UsernameError::EXPLANATIONS,
        eip137::resolver::AnswerError::EXPLANATIONS,
        eip681::LinkError::EXPLANATIONS,
        eip1577::ContentHashError::EXPLANATIONS,
        icap::IcapError::EXPLANATIONS,
        eip1193::ProviderError::EXPLANATIONS,
    ]
    .into_iter()
    .flatten()
}
