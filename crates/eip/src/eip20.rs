//! EIP-20: transfers of tokens.
//!
//! The functions and events are in [`known`](crate::known).

use crate::{Address, U256};

/// The selector of `transfer(address,uint256)`.
pub const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];

/// A transfer of tokens, as the chat reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transfer {
    /// The recipient.
    pub to: Address,
    /// The amount, in the smallest unit of the token.
    pub value: U256,
    /// Whether the 12 bytes before the recipient are zero. The chat ignores them.
    pub is_canonical: bool,
}

/// Why call data is not a transfer to the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// Not 68 bytes.
    #[error("the transaction has {} of data; a transfer of tokens has 68", statuskit_core::text::count(.0, "byte"))]
    Length(usize),
    /// Another function.
    #[error("the call is no transfer of tokens: its selector is 0x{}", hex::encode(.0))]
    Function([u8; 4]),
}

impl TransferError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length(_) => "transaction.data_length",
            Self::Function(_) => "transaction.other_function",
        }
    }
}

impl Transfer {
    /// Reads the call data of a transfer as the chat does: 68 bytes, the selector, the recipient in
    /// bytes 16 to 36, the amount in the rest.
    ///
    /// # Errors
    /// If the chat would not take it for a transfer.
    ///
    /// Source: status-go v0.50.2, the check of announced transactions.
    pub fn read(data: &[u8]) -> Result<Self, TransferError> {
        let data: &[u8; 68] = data.try_into().map_err(|_| TransferError::Length(data.len()))?;
        let (mut selector, mut to, mut value) = ([0; 4], [0; 20], [0; 32]);
        selector.copy_from_slice(&data[..4]);
        to.copy_from_slice(&data[16..36]);
        value.copy_from_slice(&data[36..]);
        if selector != TRANSFER {
            return Err(TransferError::Function(selector));
        }
        let is_canonical = data[4..16] == [0; 12];
        Ok(Self { to: Address(to), value: U256::from_be_bytes(value), is_canonical })
    }

    /// Returns the call data.
    pub fn to_data(&self) -> Vec<u8> {
        [&TRANSFER[..], &[0; 12], &self.to.0, &self.value.to_be_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{Function, Strictness, Value};

    #[test]
    fn transfers_are_read_as_the_chat_reads_them() {
        let transfer =
            Transfer { to: Address([7; 20]), value: U256::from(9_u64), is_canonical: true };
        let mut data = transfer.to_data();
        assert_eq!(Transfer::read(&data), Ok(transfer));
        let function: Function = "transfer(address,uint256)".parse().unwrap();
        let values = [Value::Address(transfer.to), Value::Uint(transfer.value)];
        assert_eq!(function.encode_call(&values), Ok(data.clone()));

        data[15] = 1;
        assert_eq!(Transfer::read(&data), Ok(Transfer { is_canonical: false, ..transfer }));
        assert!(function.decode_call(&data, Strictness::Strict).is_err());
        data[0] = 0;
        assert_eq!(Transfer::read(&data).unwrap_err().code(), "transaction.other_function");
        data.push(0);
        assert_eq!(Transfer::read(&data), Err(TransferError::Length(69)));
        assert_eq!(Transfer::read(&[]), Err(TransferError::Length(0)));
    }
}
