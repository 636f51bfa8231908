//! The Ethereum standards that Status uses, as pure code: bytes in, typed values or typed errors
//! out, and back to the same bytes.
//!
//! | standard | what | where |
//! | --- | --- | --- |
//! | (contract ABI) | types, signatures, selectors | [`abi`] |
//! | EIP-55 | addresses and their checksum | [`Address`] |
//! | EIP-191 | signatures of personal messages | [`eip191`] |
//!
//! Numbers have 256 bits and are exact: see [`number`].

#![deny(unsafe_code)]

pub mod abi;
pub mod number;
mod text;

pub use number::U256;
pub use statuskit_core::eip::{Address, AddressError, eip191};
