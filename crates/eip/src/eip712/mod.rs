//! EIP-712: typed data.
//!
//! The digest is that of version `0x01` of EIP-191: over the hash of the domain and the hash of the
//! message. The hash of a struct covers the hash of its type and one word for each member:
//!
//! | member | word |
//! | --- | --- |
//! | number, boolean, address, fixed bytes | as in calls |
//! | `string`, `bytes` | the Keccak-256 of the content |
//! | array | the Keccak-256 of the words of its items |
//! | struct | its hash; zero for null, which ends recursive types |
//!
//! Source: EIP-712, with arrays and null as in `eth_signTypedData_v4`.

mod error;
mod hash;
mod types;
mod value;

use serde_json::{Map, Value as Json, json};

pub use error::{TypedDataError, TypedDataErrorKind};
pub use hash::{Hashed, Part};
pub use types::{Field, Kind, Types};
pub use value::Rules;

use crate::eip191::SignedData;

/// The name of the type of the domain.
pub const DOMAIN: &str = "EIP712Domain";

/// Typed data: types, a domain and a message.
#[derive(Debug, Clone, PartialEq)]
pub struct TypedData {
    /// The types, with that of the domain.
    pub types: Types,
    /// The type of the message.
    pub primary: String,
    /// The domain.
    pub domain: Json,
    /// The message.
    pub message: Json,
}

/// The hashes of typed data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashes {
    /// Of the domain.
    pub domain: Hashed,
    /// Of the message. `None` if the primary type is that of the domain: then there is none.
    pub message: Option<Hashed>,
    /// The digest to sign.
    pub digest: [u8; 32],
}

impl TypedData {
    /// Reads the JSON of `eth_signTypedData`: `types`, `primaryType`, `domain` and `message`.
    ///
    /// If the type of the domain is missing, it is made of the domain's members.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn from_json(json: &Json) -> Result<Self, TypedDataError> {
        use TypedDataErrorKind::Structure;

        let member = |name: &'static str| json.get(name).ok_or(Structure("lacks the member", name));
        let domain = member("domain")?.clone();
        let mut types = Types::from_json(member("types")?)?;
        let Json::Object(members) = &domain else {
            return Err(Structure("has no object in", "domain").into());
        };
        if types.get(DOMAIN).is_none() {
            types.insert(DOMAIN, domain_fields(members)?)?;
        }
        let primary = member("primaryType")?
            .as_str()
            .ok_or(Structure("has no text in", "primaryType"))?
            .to_owned();
        if types.get(&primary).is_none() {
            return Err(TypedDataErrorKind::UnknownType(crate::text::excerpt(&primary)).into());
        }
        let message = match json.get("message") {
            Some(message) => message.clone(),
            None if primary == DOMAIN => Json::Object(Map::new()),
            None => return Err(Structure("lacks the member", "message").into()),
        };
        Ok(Self { types, primary, domain, message })
    }

    /// Hashes the domain and the message.
    ///
    /// # Errors
    /// If a value does not have its type, or the rules refuse something.
    pub fn hash(&self, rules: Rules) -> Result<Hashes, TypedDataError> {
        self.hashes(rules, false)
    }

    /// As [`hash`](Self::hash), and records each value with its word.
    ///
    /// # Errors
    /// As [`hash`](Self::hash), and if there are too many values for that.
    pub fn hash_with_parts(&self, rules: Rules) -> Result<Hashes, TypedDataError> {
        self.hashes(rules, true)
    }

    fn hashes(&self, rules: Rules, with_parts: bool) -> Result<Hashes, TypedDataError> {
        if let Rules::Reference { chain_id } = rules {
            check_chain(self.domain.get("chainId"), chain_id)?;
        }
        let domain = self.types.hash_struct(DOMAIN, &self.domain, rules, with_parts);
        let domain = domain.map_err(|error| error.inside("domain"))?;
        let message = match self.primary == DOMAIN {
            true => None,
            false => {
                let hashed =
                    self.types.hash_struct(&self.primary, &self.message, rules, with_parts);
                Some(hashed.map_err(|error| error.inside("message"))?)
            }
        };
        let digest = match &message {
            Some(message) => {
                SignedData::Typed { domain_separator: &domain.hash, struct_hash: &message.hash }
                    .digest()
            }
            None => {
                let bytes = [b"\x19\x01", &domain.hash[..]].concat();
                statuskit_core::crypto::keccak256(&bytes)
            }
        };
        Ok(Hashes { domain, message, digest })
    }
}

/// Returns the type of a domain with these members, in the order of the standard.
fn domain_fields(members: &Map<String, Json>) -> Result<Vec<Field>, TypedDataError> {
    const FIELDS: [(&str, &str); 5] = [
        ("name", "string"),
        ("version", "string"),
        ("chainId", "uint256"),
        ("verifyingContract", "address"),
        ("salt", "bytes32"),
    ];
    if let Some(name) = members.keys().find(|name| FIELDS.iter().all(|(known, _)| name != known)) {
        let kind = TypedDataErrorKind::Extra(crate::text::excerpt(name));
        return Err(TypedDataError::from(kind).inside("domain"));
    }
    let there = FIELDS.iter().filter(|(name, _)| members.contains_key(*name));
    there.map(|(name, kind)| Field::new(name, kind)).collect()
}

/// Checks the chain as the reference does: a JSON number, equal to the selected chain.
fn check_chain(found: Option<&Json>, selected: u64) -> Result<(), TypedDataErrorKind> {
    let found = found.ok_or(TypedDataErrorKind::NoChain)?;
    match found.as_u64() {
        Some(chain) if chain == selected => Ok(()),
        _ => Err(TypedDataErrorKind::Chain {
            got: crate::text::excerpt(&found.to_string()),
            selected,
        }),
    }
}

/// Returns the types and the primary type as JSON, as they were given.
impl From<&TypedData> for Json {
    fn from(data: &TypedData) -> Self {
        json!({
            "types": data.types.to_json(),
            "primaryType": data.primary,
            "domain": data.domain,
            "message": data.message,
        })
    }
}

#[cfg(test)]
mod tests;
