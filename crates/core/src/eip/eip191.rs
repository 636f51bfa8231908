//! EIP-191, version `0x45`: signatures of personal messages (`personal_sign`).
//!
//! The digest is the Keccak-256 of `0x19`, `Ethereum Signed Message:`, a line feed, the length of
//! the message in decimal, and the message. In the signature, `v` is 27 or 28.

use std::{fmt, str::FromStr};

use crate::{
    crypto::{
        KeyError, PublicKey, SecretKey, Signature,
        keccak::{Parts, keccak256_parts},
    },
    explain::Explanation,
};

/// What is wrong with the signature of a personal message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PersonalError {
    /// `v` is neither 27 nor 28.
    #[error("v, the last byte of the signature, is {got}; expected 27 or 28")]
    V { got: u8 },
    /// Not 65 bytes of hex.
    #[error("a signature is 65 bytes: 0x and 130 hex digits; {0}")]
    Text(String),
    /// No key could have made the signature.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl PersonalError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::V { .. } => "signature.v",
            Self::Text(_) => "signature.text",
            Self::Key(_) => "signature.recovery",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "signature.text",
            rule: "A signature is r, s, v: 65 bytes, 130 hex digits.",
            source: "SEC 1, section 4.1.6",
            causes: "A signature without v, or in DER.",
        },
        Explanation {
            code: "signature.v",
            rule: "Of a personal message, v is 27 or 28.",
            source: "EIP-191; as in the reference",
            causes: "v 0 or 1: the signature is of another kind; see --as.",
        },
    ];
}

/// Returns the digest to sign for `message`.
pub fn personal_digest(message: &[u8]) -> [u8; 32] {
    let head = format!("\x19Ethereum Signed Message:\n{}", message.len());
    keccak256_parts(Parts(head.as_bytes(), message, &[]))
}

/// A signature of a personal message: `r`, `s`, and `v` of 27 or 28.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PersonalSignature([u8; 65]);

impl PersonalSignature {
    /// Signs `message`; deterministic by RFC 6979.
    pub fn sign(key: &SecretKey, message: &[u8]) -> Self {
        let mut bytes = *key.sign_digest(&personal_digest(message)).as_bytes();
        bytes[64] += 27;
        Self(bytes)
    }

    /// Accepts `r || s || v`.
    ///
    /// # Errors
    /// If `v` is neither 27 nor 28: the reference rejects other values, too.
    pub fn from_bytes(bytes: [u8; 65]) -> Result<Self, PersonalError> {
        match bytes[64] {
            27 | 28 => Ok(Self(bytes)),
            got => Err(PersonalError::V { got }),
        }
    }

    /// Returns `r || s || v`.
    pub fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }

    /// Recovers the public key that signed `message`.
    ///
    /// # Errors
    /// If no key could have made the signature.
    pub fn recover(&self, message: &[u8]) -> Result<PublicKey, PersonalError> {
        let mut bytes = self.0;
        bytes[64] -= 27;
        Ok(Signature::from_bytes(bytes).recover(&personal_digest(message))?)
    }

    /// Whether `key` signed `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], key: &PublicKey) -> bool {
        self.recover(message).as_ref() == Ok(key)
    }
}

/// Reads 130 hex digits, with or without `0x`.
impl FromStr for PersonalSignature {
    type Err = PersonalError;

    fn from_str(text: &str) -> Result<Self, PersonalError> {
        let mut bytes = [0; 65];
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
            .map_err(|error| PersonalError::Text(error.to_string()))?;
        Self::from_bytes(bytes)
    }
}

impl fmt::Display for PersonalSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for PersonalSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonalSignature({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eip::Address;

    /// Private key, message, hash, signature and address, from the reference.
    const CASES: [[&str; 5]; 9] = [
        [
            "02f8d745facbec4888f515893ac150c1c3f22912d53e1e32633c204ad543639f",
            "68656c6c6f",
            "50b2c43fd39106bafbba0da34fc430e1f91e3c96ea2acee2bc34119f92b37750",
            "4316f60eac78e21e56694c883f59942edd8866c9f4aebc867558051373a8688f49bd84bc4340\
             3d116cc0961a794bb4d351bcb1c711566dea906b70bb385849471c",
            "0xEB5A87c263eD84c9121Dcd5FD4f800a869288A06",
        ],
        [
            "015eb67f215c9578ee55ef2c729b2609590ad82743442cb8842c1ae40ff9fc9a",
            "",
            "5f35dce98ba4fba25530a026ed80b2cecdaa31091ba4958b99b52ea1d068adad",
            "205285e699ec0e35d72d28f6911b9218c9eddaf31c4e26a1aebce0d3474f712e0c8d8dac2af5\
             a943e3db5fac061c26e48450b88f6249eab46e6cf33cb89c59501b",
            "0x230FeFDBa30367Bc6b12190750E46Fe8b8199185",
        ],
        [
            "9ee0e458466c8fdd983080beba3c15eb46fd0d90cd9f537af289c125a0d3b16d",
            "536f6d652064617461",
            "1da44b586eb0729ff70a73c326926f6ed5a25f5b056e7f47fbc6e58d86871655",
            "884a2f9e8062747cf6e01322a7ebc1e5d828265daa6dffe97876a5eeaf54407c4230287fc567\
             81ba7ee4a08ecc65dcf446063d9f707a68ffdcecb312ac35375c1c",
            "0x094c963679FB66E34363D0d13c827cfFf9E694Aa",
        ],
        [
            "e7f91e294924805fe9a65fa5464923a2b2e37eb10ac9691a0177b2ffc8defbe4",
            "d180d183d181d181d0bad0b8d0b920d182d0b5d0bad181d18220f09f9982",
            "9ac0a40e23f3509028ce1b81120aef55274d1a6839071c96be4e8b32a963707b",
            "239a43656fc49c1086e6c118e2740d06ebf1351db0f709f2abda4da8d54ddf187edcdb027966\
             2736b166309d39b2ee1066aeebb7f85767e52f7ee6d6c32005841c",
            "0xb25c3912EfF67cb48c4734D00906e3c4AA4F7eD4",
        ],
        [
            "0b89a9ae2e3529fcd72a5c9e7c0c217fd98976cfbba29a80759ac9ac5375822e",
            "a1b87c057feb8a4c9bce8eab708427e334bc44c97a6c640022401e3e087f9390",
            "3eb10707aeac41c443d943b65cb61795c53b7d8227c165f2c17c9dc2a281ca05",
            "edee4f16b7782c105e6024cbdc1f8a1af214936ed7a094fe268478e6eb4b4f58530796f880e6\
             b2e45a712cf92298336b0d4a255e5f3b70382076302d86f046f01c",
            "0xE73feD2E77Cc74118E40FfF9d35E78b3F375CC5D",
        ],
        [
            "01aae884b10d64a509151d0b11b13890f2ca80b1d99d8adf149967fd0312f8eb",
            "fce398cdd958e705cba25b7f8ed7e7be22ca7be5d9da68f1f02670423ad317d394b321bccfea\
             3496b05d26f7a67795f38128db466b2f5accd8cf9489dd1a26c0ef3ed607b3a974aa355dbb37\
             cbdcd3cf2af2d43dd06f7142130971a7d26e46fd327bbb98",
            "49c1b48b1c85e17112112ddf083f2e4e79dc18ae98d245e00016d42e964762b2",
            "4b99253aa58094b1b40a4cb181259f06d886a8108128e5564af86e9a1904ddf3276caf872687\
             baac9c4766aa7c5751d6a801b1770900e1f363ac6d8eb15751271b",
            "0xA4016bd170A59EFdd43854E3656aA694FE030e93",
        ],
        [
            "c3ed6405548d5fd627d7350038c65e09719fda2cda31ea036127ee7e57f2c7e2",
            "6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             6161616161616161616161616161616161616161616161616161616161616161616161616161\
             616161616161616161616161",
            "646dfe80977f3cb244f566d96cd3aabb891d47b9ba5159076d78e9999835e0d6",
            "27172ad5570d5e1767552225a6e670fd3ed6a318cdfa5b8a1b2ee99f3d8c26026f2905fa9663\
             574e08505bb9a897b9c7d24ab38e4cd878ca293836ee67ae34881b",
            "0x2f85756B77C32d90285cC50D660497aa9143650A",
        ],
        [
            "79a81eb811d887a5ee716ecc1834eb5322b0ee3e555daf95b1f171db5b92ed86",
            "3130",
            "2dffd8f04bc4b5f34b5202af65d5d21fe86bdeadb784160efd13b44dfd9b30b5",
            "1e0fa9e1159a410edcc1ab02ec205bd78bcd58b24905dd5b661443be51adc0917e31060a742b\
             91819a6621961ad7b8ea60396836594d5de72e401e72907e7c0f1c",
            "0x9260987eC20f2ceCD3fd9712A111FC28a7f3E359",
        ],
        [
            "b0839277d1c2b8a21c864b3a34caddc9fd1055ced545801404d3738f81542569",
            "00",
            "de4cdc789ddc73a0a79bd8cf489c37d5254a1e14a0fb771ce4e77c0206c3d0e1",
            "7b95091b4d8dae45f8dcbe350665f1ac697ce007f57dbaa6166f9d4100b8f45c19d6203270ae\
             16b0db03ea334c9812ef7112ddc842aed16da93524ea3e8e44aa1c",
            "0xA1aB7D84D0C228DA5A2382eE4CbF323f44c3dbdd",
        ],
    ];

    #[test]
    fn signatures_of_the_reference() {
        for [key, message, hash, signature, address] in CASES {
            let key: SecretKey = key.parse().unwrap();
            let message = hex::decode(message).unwrap();
            assert_eq!(hex::encode(personal_digest(&message)), hash);
            let made = PersonalSignature::sign(&key, &message);
            assert_eq!(signature.parse(), Ok(made));
            assert_eq!(made.to_string(), format!("0x{signature}"));
            let signer = made.recover(&message).unwrap();
            assert_eq!(signer, key.public_key());
            assert_eq!(Address::from_key(&signer).to_string(), address);
            assert!(made.verify(&message, &signer) && !made.verify(b"other", &signer));
        }
    }

    #[test]
    fn other_values_of_v_are_rejected() {
        for v in [0, 1, 26, 29, 255] {
            let error = PersonalSignature::from_bytes([v; 65]).unwrap_err();
            assert_eq!(error, PersonalError::V { got: v });
        }
        let zeros = format!("{}1b", "00".repeat(64)).parse::<PersonalSignature>().unwrap();
        assert_eq!(zeros.recover(b"").unwrap_err().code(), "signature.recovery");
        assert_eq!("0x12".parse::<PersonalSignature>().unwrap_err().code(), "signature.text");
    }
}
