//! The Ethereum standards that Status uses, as pure code: bytes in, typed values or typed errors
//! out, and back to the same bytes.
//!
//! | standard | what | where |
//! | --- | --- | --- |
//! | (contract ABI) | types, values, calls, events | [`abi`] |
//! | EIP-20 | transfers of tokens | [`eip20`] |
//! | EIP-55 | addresses and their checksum | [`Address`] |
//! | EIP-155 | transactions | [`eip155`] |
//! | EIP-165 | detection of interfaces | [`eip165`] |
//! | EIP-191 | signed data | [`eip191`] |
//! | EIP-712 | typed data | [`eip712`] |
//! | EIP-20, EIP-165, EIP-721, ENS, Status | functions and events by selector and topic | [`known`] |
//!
//! Numbers have 256 bits and are exact: see [`number`].

#![deny(unsafe_code)]

pub mod abi;
pub mod eip155;
pub mod eip165;
pub mod eip191;
pub mod eip20;
pub mod eip712;
pub mod known;
pub mod number;
mod text;

pub use number::U256;
pub use statuskit_core::eip::{Address, AddressError};
