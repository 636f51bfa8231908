//! Transactions of the years up to 2020.

use statuskit_core::{
    crypto::{PublicKey, SecretKey, Signature, keccak256},
    rlp::{Reader, RlpErrorKind, put_bytes, put_list, put_u64},
};

use super::{Problem, TxError};
use crate::{Address, U256};

/// A transaction without a signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Transaction {
    pub nonce: u64,
    /// In wei.
    pub gas_price: U256,
    /// The most gas that may be used.
    pub gas: u64,
    /// The recipient. `None` creates a contract.
    pub to: Option<Address>,
    /// In wei.
    pub value: U256,
    /// Call data, or the code that creates a contract.
    pub data: Vec<u8>,
    /// The chain. `None` for a transaction of any.
    pub chain_id: Option<u64>,
}

/// A transaction with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignedTransaction {
    transaction: Transaction,
    /// The recovery id, 0 or 1.
    parity: u8,
    r: U256,
    s: U256,
}

/// The order of secp256k1.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];
/// Half of it, rounded down.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

impl Transaction {
    /// Returns the RLP that is hashed and signed.
    pub fn signing_data(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_list(&mut out, |out| {
            self.put_fields(out);
            if let Some(chain_id) = self.chain_id {
                put_u64(out, chain_id);
                put_u64(out, 0);
                put_u64(out, 0);
            }
        });
        out
    }

    /// Returns the digest to sign.
    pub fn signing_hash(&self) -> [u8; 32] {
        keccak256(&self.signing_data())
    }

    /// Signs; deterministic by RFC 6979.
    ///
    /// # Errors
    /// If the chain id is 0.
    pub fn sign(self, key: &SecretKey) -> Result<SignedTransaction, TxError> {
        if self.chain_id == Some(0) {
            return Err(TxError::ChainZero);
        }
        let signature = key.sign_digest(&self.signing_hash());
        let ([r, s], [parity]) = split(signature.as_bytes());
        Ok(SignedTransaction { transaction: self, parity, r, s })
    }

    /// Returns the least gas that the transaction takes, by the rules of Istanbul: 21,000, 32,000
    /// for a contract, 4 for each zero byte of the data and 16 for each other.
    pub fn least_gas(&self) -> u64 {
        let data: u64 = self.data.iter().map(|byte| if *byte == 0 { 4 } else { 16 }).sum();
        21_000 + if self.to.is_none() { 32_000 } else { 0 } + data
    }

    /// Returns what nodes of a chain would refuse.
    pub fn problems(&self, chain_id: Option<u64>) -> Vec<Problem> {
        let cost = self.gas_price.checked_mul(self.gas).and_then(|it| it.checked_add(self.value));
        let expected = chain_id.is_some();
        [
            (Problem::OtherChain, expected && self.chain_id.is_some_and(|id| Some(id) != chain_id)),
            (Problem::Gas, self.gas < self.least_gas()),
            (Problem::Cost, cost.is_none()),
            (Problem::Nonce, self.nonce == u64::MAX),
        ]
        .into_iter()
        .filter_map(|(problem, found)| found.then_some(problem))
        .collect()
    }

    /// Decodes a list of 6 items (unsigned), or of 9: with a chain id and two zeros (unsigned), or
    /// with a signature.
    pub(super) fn decode(raw: &[u8]) -> Result<(Self, Option<SignedTransaction>), TxError> {
        let mut reader = Reader::new(raw);
        let mut list = reader.list("the transaction")?;
        reader.finish()?;
        let mut transaction = Self {
            nonce: list.u64("the nonce")?,
            gas_price: number(&mut list, "the gas price")?,
            gas: list.u64("the gas")?,
            to: recipient(&mut list)?,
            value: number(&mut list, "the value")?,
            data: list.string("the data")?.to_vec(),
            chain_id: None,
        };
        if list.is_empty() {
            return Ok((transaction, None));
        }
        let v = number(&mut list, "v")?;
        let (r, s) = (number(&mut list, "r")?, number(&mut list, "s")?);
        list.finish()?;
        if r == U256::ZERO && s == U256::ZERO {
            let chain_id = v.to_u64().ok_or_else(|| TxError::V(v.to_string()))?;
            if chain_id == 0 {
                return Err(TxError::ChainZero);
            }
            transaction.chain_id = Some(chain_id);
            return Ok((transaction, None));
        }
        let (chain_id, parity) = chain_and_parity(v)?;
        transaction.chain_id = chain_id;
        check_range(r, s)?;
        let signed = SignedTransaction { transaction: transaction.clone(), parity, r, s };
        Ok((transaction, Some(signed)))
    }

    fn put_fields(&self, out: &mut Vec<u8>) {
        put_u64(out, self.nonce);
        put_bytes(out, &self.gas_price.to_minimal_bytes());
        put_u64(out, self.gas);
        put_bytes(out, self.to.as_ref().map_or(&[], |to| &to.0));
        put_bytes(out, &self.value.to_minimal_bytes());
        put_bytes(out, &self.data);
    }
}

impl SignedTransaction {
    /// Decodes a signed transaction, as nodes take it.
    ///
    /// # Errors
    /// If the bytes are none.
    pub fn decode(raw: &[u8]) -> Result<Self, TxError> {
        match Transaction::decode(raw)? {
            (_, Some(signed)) => Ok(signed),
            (_, None) => Err(TxError::Unsigned),
        }
    }

    /// Returns the RLP that is sent to nodes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_list(&mut out, |out| {
            self.transaction.put_fields(out);
            put_bytes(out, &self.v().to_minimal_bytes());
            put_bytes(out, &self.r.to_minimal_bytes());
            put_bytes(out, &self.s.to_minimal_bytes());
        });
        out
    }

    /// Returns the id of the transaction.
    pub fn hash(&self) -> [u8; 32] {
        keccak256(&self.encode())
    }

    /// Returns what was signed.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Returns `v`: 27 or 28, or 35 or 36 plus twice the chain id.
    pub fn v(&self) -> U256 {
        let base = self.transaction.chain_id.map_or(27, |id| 35 + 2 * u128::from(id));
        U256::from(base + u128::from(self.parity))
    }

    /// Returns `r`.
    pub fn r(&self) -> U256 {
        self.r
    }

    /// Returns `s`.
    pub fn s(&self) -> U256 {
        self.s
    }

    /// Recovers the key that signed.
    ///
    /// # Errors
    /// If no key could have made the signature.
    pub fn recover(&self) -> Result<PublicKey, TxError> {
        recover(self.parity, self.r, self.s, &self.transaction.signing_hash())
    }

    /// Returns what nodes of a chain would refuse.
    pub fn problems(&self, chain_id: Option<u64>) -> Vec<Problem> {
        let mut problems = self.transaction.problems(chain_id);
        if self.s > U256::from_be_bytes(HALF_ORDER) {
            problems.push(Problem::HighS);
        }
        problems
    }
}

/// Recovers the key of a signature.
pub(super) fn recover(
    parity: u8,
    r: U256,
    s: U256,
    digest: &[u8; 32],
) -> Result<PublicKey, TxError> {
    let mut bytes = [0; 65];
    bytes[..32].copy_from_slice(&r.to_be_bytes());
    bytes[32..64].copy_from_slice(&s.to_be_bytes());
    bytes[64] = parity;
    Ok(Signature::from_bytes(bytes).recover(digest)?)
}

/// Checks that `r` and `s` are numbers of a signature.
pub(super) fn check_range(r: U256, s: U256) -> Result<(), TxError> {
    let order = U256::from_be_bytes(ORDER);
    for (name, number) in [("r", r), ("s", s)] {
        if number == U256::ZERO || number >= order {
            return Err(TxError::Signature(name));
        }
    }
    Ok(())
}

/// Reads a number of at most 256 bits.
pub(super) fn number(reader: &mut Reader<'_>, name: &'static str) -> Result<U256, TxError> {
    let before = reader.clone();
    let bytes = reader.string(name)?;
    if bytes.first() == Some(&0) {
        return Err(before.error(RlpErrorKind::LeadingZero).into());
    }
    let too_large = RlpErrorKind::IntegerTooLarge { got: bytes.len(), max: 32 };
    U256::from_be_slice(bytes).ok_or_else(|| before.error(too_large).into())
}

/// Reads an address, or nothing.
pub(super) fn recipient(reader: &mut Reader<'_>) -> Result<Option<Address>, TxError> {
    let mut ahead = reader.clone();
    if ahead.string("the recipient")?.is_empty() {
        *reader = ahead;
        return Ok(None);
    }
    Ok(Some(Address(reader.bytes("the recipient")?)))
}

fn chain_and_parity(v: U256) -> Result<(Option<u64>, u8), TxError> {
    let wrong = || TxError::V(v.to_string());
    // Twice the largest chain id, and 36.
    if v.bits() > 66 {
        return Err(wrong());
    }
    let low = v.to_be_bytes();
    let (_, low) = low.split_last_chunk::<16>().ok_or_else(wrong)?;
    match u128::from_be_bytes(*low) {
        v @ (27 | 28) => Ok((None, (v - 27) as u8)),
        35 | 36 => Err(TxError::ChainZero),
        v @ 37.. => {
            let chain_id = u64::try_from((v - 35) / 2).map_err(|_| wrong())?;
            Ok((Some(chain_id), ((v - 35) % 2) as u8))
        }
        _ => Err(wrong()),
    }
}

fn split(signature: &[u8; 65]) -> ([U256; 2], [u8; 1]) {
    let (words, rest) = signature.as_chunks::<32>();
    ([U256::from_be_bytes(words[0]), U256::from_be_bytes(words[1])], [rest[0]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of the standard.
    fn published() -> Transaction {
        Transaction {
            nonce: 9,
            gas_price: U256::from(20_000_000_000_u64),
            gas: 21_000,
            to: Some(Address([0x35; 20])),
            value: U256::from(1_000_000_000_000_000_000_u64),
            data: Vec::new(),
            chain_id: Some(1),
        }
    }

    #[test]
    fn the_published_example() {
        let key = SecretKey::from_bytes(&[0x46; 32]).unwrap();
        let transaction = published();
        assert_eq!(
            hex::encode(transaction.signing_hash()),
            "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
        );
        let signed = transaction.clone().sign(&key).unwrap();
        assert_eq!(signed.v(), U256::from(37_u64));
        assert_eq!(
            hex::encode(signed.encode()),
            "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400\
             008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8\
             997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
        );
        assert_eq!(SignedTransaction::decode(&signed.encode()).as_ref(), Ok(&signed));
        assert_eq!(signed.recover(), Ok(key.public_key()));
        assert_eq!(signed.problems(Some(1)), []);
        assert_eq!(signed.problems(Some(3)), [Problem::OtherChain]);
        let unsigned = Transaction::decode(&transaction.signing_data()).unwrap();
        assert_eq!(unsigned, (transaction.clone(), None));
        let zero = Transaction { chain_id: Some(0), ..transaction };
        assert_eq!(zero.clone().sign(&key), Err(TxError::ChainZero));
        assert_eq!(Transaction::decode(&zero.signing_data()), Err(TxError::ChainZero));
    }

    #[test]
    fn problems() {
        let transaction = published();
        let with = |change: fn(&mut Transaction)| {
            let mut changed = transaction.clone();
            change(&mut changed);
            changed.problems(Some(1))
        };
        assert_eq!(with(|it| it.gas -= 1), [Problem::Gas]);
        assert_eq!(with(|it| it.data = vec![0, 1]), [Problem::Gas]);
        assert_eq!(with(|it| it.to = None), [Problem::Gas]);
        assert_eq!(with(|it| it.nonce = u64::MAX), [Problem::Nonce]);
        assert_eq!(with(|it| it.value = U256::MAX), [Problem::Cost]);
        assert_eq!(with(|it| it.gas_price = U256::MAX), [Problem::Cost]);
    }

    proptest! {
        #[test]
        fn transactions_come_back(
            nonce: u64, price: [u8; 32], gas: u64, to: Option<[u8; 20]>, value: [u8; 32],
            data in prop::collection::vec(any::<u8>(), 0..80),
            chain_id in prop::option::of(1_u64..),
            secret in 1..u8::MAX,
        ) {
            let transaction = Transaction {
                nonce, gas_price: U256::from_be_bytes(price), gas, to: to.map(Address),
                value: U256::from_be_bytes(value), data, chain_id,
            };
            let data = transaction.signing_data();
            prop_assert_eq!(Transaction::decode(&data), Ok((transaction.clone(), None)));
            let key = SecretKey::from_bytes(&[secret; 32]).unwrap();
            let signed = transaction.sign(&key).unwrap();
            let raw = signed.encode();
            let read = SignedTransaction::decode(&raw).unwrap();
            prop_assert_eq!(read.recover(), Ok(key.public_key()));
            prop_assert_eq!(read.encode(), raw);
            prop_assert_eq!(read, signed);
        }

        #[test]
        fn what_is_taken_is_written_alike(at: prop::sample::Index, byte: u8) {
            let key = SecretKey::from_bytes(&[1; 32]).unwrap();
            let mut raw = published().sign(&key).unwrap().encode();
            let at = at.index(raw.len());
            raw[at] = byte;
            if let Ok(read) = SignedTransaction::decode(&raw) {
                prop_assert_eq!(read.encode(), raw);
            }
        }
    }
}
