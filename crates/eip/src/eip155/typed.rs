//! Transactions with a type in front: EIP-2930, EIP-1559, EIP-4844, EIP-7702.

use statuskit_core::{
    crypto::{PublicKey, keccak256},
    rlp::{Reader, RlpErrorKind, put_list_header},
};

use super::{
    TxError,
    legacy::{check_range, number, recipient, recover},
};
use crate::{Address, U256};

/// The type of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TxType {
    /// 1: with an access list (EIP-2930).
    AccessList,
    /// 2: with a priority fee (EIP-1559).
    DynamicFee,
    /// 3: with blobs (EIP-4844).
    Blob,
    /// 4: sets the code of accounts (EIP-7702).
    SetCode,
}

/// The fee of a transaction, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fee {
    /// A price of gas.
    GasPrice(U256),
    /// The most for the producer of the block, and the most in total.
    Dynamic { max_priority_fee: U256, max_fee: U256 },
}

/// An account whose storage is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccessListItem {
    pub address: Address,
    /// The keys of the storage.
    pub keys: Vec<[u8; 32]>,
}

/// A transaction of a later year, read but not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedTransaction {
    pub kind: TxType,
    pub chain_id: u64,
    pub nonce: u64,
    pub fee: Fee,
    pub gas: u64,
    pub to: Option<Address>,
    pub value: U256,
    pub data: Vec<u8>,
    pub access_list: Vec<AccessListItem>,
    /// The most for a unit of blob gas, and the hashes of the blobs; with [`TxType::Blob`].
    pub blobs: Option<(U256, Vec<[u8; 32]>)>,
    /// The RLP of the authorizations; with [`TxType::SetCode`].
    pub authorizations: Option<Vec<u8>>,
    /// Parity, `r` and `s`. `None` before signing.
    pub signature: Option<(u8, U256, U256)>,
    /// The digest that is signed.
    pub signing_hash: [u8; 32],
    /// The id: the hash of all bytes. Blobs that travel with a transaction do not count.
    pub hash: [u8; 32],
}

impl TxType {
    /// Returns the type of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::AccessList, Self::DynamicFee, Self::Blob, Self::SetCode]
            .into_iter()
            .find(|kind| kind.number() == number)
    }

    /// Returns the first byte.
    pub fn number(self) -> u8 {
        match self {
            Self::AccessList => 1,
            Self::DynamicFee => 2,
            Self::Blob => 3,
            Self::SetCode => 4,
        }
    }

    /// Returns the proposal that defines it.
    pub fn standard(self) -> &'static str {
        match self {
            Self::AccessList => "EIP-2930",
            Self::DynamicFee => "EIP-1559",
            Self::Blob => "EIP-4844",
            Self::SetCode => "EIP-7702",
        }
    }
}

impl TypedTransaction {
    /// Decodes a transaction with a type in front.
    ///
    /// # Errors
    /// If the type is unknown, or the rest is not of it.
    pub fn decode(raw: &[u8]) -> Result<Self, TxError> {
        let first = raw.first().copied().unwrap_or_default();
        let kind = TxType::from_number(first).ok_or(TxError::Type(first))?;
        // Errors name offsets behind the type: one less than in all bytes.
        Self::decode_list(kind, &raw[1..]).map_err(|error| match error {
            TxError::Rlp(mut error) => {
                error.at += 1;
                error.into()
            }
            other => other,
        })
    }

    /// Recovers the key that signed.
    ///
    /// # Errors
    /// If it is not signed, or no key could have made the signature.
    pub fn recover(&self) -> Result<PublicKey, TxError> {
        let (parity, r, s) = self.signature.ok_or(TxError::Unsigned)?;
        recover(parity, r, s, &self.signing_hash)
    }

    fn decode_list(kind: TxType, rlp: &[u8]) -> Result<Self, TxError> {
        let mut reader = Reader::new(rlp);
        let mut list = reader.list("the transaction")?;
        reader.finish()?;
        let mut rest = None;
        if kind == TxType::Blob && list.clone().list("the transaction").is_ok() {
            // As it travels: the transaction, and then its blobs.
            let inner = list.list("the transaction")?;
            rest = Some(std::mem::replace(&mut list, inner));
        }
        let whole = list.remaining();
        let mut transaction = Self {
            kind,
            chain_id: list.u64("the chain id")?,
            nonce: list.u64("the nonce")?,
            fee: match kind {
                TxType::AccessList => Fee::GasPrice(number(&mut list, "the gas price")?),
                _ => Fee::Dynamic {
                    max_priority_fee: number(&mut list, "the priority fee")?,
                    max_fee: number(&mut list, "the fee")?,
                },
            },
            gas: list.u64("the gas")?,
            to: recipient(&mut list)?,
            value: number(&mut list, "the value")?,
            data: list.string("the data")?.to_vec(),
            access_list: access_list(list.list("the access list")?)?,
            blobs: None,
            authorizations: None,
            signature: None,
            signing_hash: [0; 32],
            hash: hash_of(kind, whole),
        };
        if kind == TxType::Blob {
            let fee = number(&mut list, "the blob fee")?;
            let mut hashes = Vec::new();
            let mut items = list.list("the blob hashes")?;
            while !items.is_empty() {
                hashes.push(items.bytes("a blob hash")?);
            }
            transaction.blobs = Some((fee, hashes));
        }
        if kind == TxType::SetCode {
            let before = list.clone();
            list.list("the authorizations")?;
            let size = before.remaining().len() - list.remaining().len();
            transaction.authorizations = Some(before.remaining()[..size].to_vec());
        }
        let signed = whole.len() - list.remaining().len();
        transaction.signing_hash = hash_of(kind, &whole[..signed]);
        if !list.is_empty() {
            let before = list.clone();
            let parity = list.u64("the parity")?;
            if parity > 1 {
                return Err(before.error(RlpErrorKind::NotBoolean).into());
            }
            let (r, s) = (number(&mut list, "r")?, number(&mut list, "s")?);
            check_range(r, s)?;
            transaction.signature = Some((parity as u8, r, s));
            list.finish()?;
        }
        if let Some(mut rest) = rest {
            while !rest.is_empty() {
                rest.item("blobs")?;
            }
        }
        Ok(transaction)
    }
}

fn hash_of(kind: TxType, items: &[u8]) -> [u8; 32] {
    let mut bytes = vec![kind.number()];
    put_list_header(&mut bytes, items.len());
    bytes.extend_from_slice(items);
    keccak256(&bytes)
}

fn access_list(mut list: Reader<'_>) -> Result<Vec<AccessListItem>, TxError> {
    let mut items = Vec::new();
    while !list.is_empty() {
        let mut item = list.list("an account")?;
        let address = Address(item.bytes("its address")?);
        let mut keys = Vec::new();
        let mut words = item.list("its keys")?;
        while !words.is_empty() {
            keys.push(words.bytes("a key")?);
        }
        item.finish()?;
        items.push(AccessListItem { address, keys });
    }
    Ok(items)
}
