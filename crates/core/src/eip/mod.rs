//! Ethereum standards, one file each.
//!
//! | standard | what | where |
//! | --- | --- | --- |
//! | EIP-55 | capitals in addresses as a checksum | [`eip55`] |
//! | EIP-191 | what is signed when a person signs a message | [`eip191`] |
//! | EIP-1581 | paths of keys that are not for wallets | [`eip1581`] |

pub mod eip1581;
pub mod eip191;
pub mod eip55;
