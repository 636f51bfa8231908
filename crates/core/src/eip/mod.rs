//! Ethereum standards, one file each.
//!
//! | standard | what | where |
//! | --- | --- | --- |
//! | EIP-55 | addresses and their checksum | [`Address`] |
//! | EIP-191 | signatures of personal messages | [`eip191`] |
//!
//! The paths of EIP-1581 are in [`DerivationPath`](crate::account::DerivationPath).

pub mod eip191;
mod eip55;

pub use eip55::{Address, AddressError};
