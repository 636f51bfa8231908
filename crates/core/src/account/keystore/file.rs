//! The JSON of key files: reads the files of any wallet, and writes them as the reference does.
//!
//! The case of member names is ignored, as in the reference (old wallets wrote `Crypto`), and so
//! are unknown members. Reading works on a JSON tree, not on derived types: these can neither
//! ignore case nor name the bad member in an error.

use std::str;

use serde_json::{Map, Value, json};

use super::{Kdf, KeystoreError, MAX_KEY_FILE, ScryptCost};
use crate::{
    eip::Address,
    text::{excerpt, json_reason},
};

/// The version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// `"version": "1"`: AES-128-CBC. Read only.
    V1,
    /// `"version": 3`: AES-128-CTR.
    V3,
}

/// A key file, still encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// The address in the file. Unverified until the file is opened.
    pub address: Option<Address>,
    /// Usually a UUID; empty if there is none.
    pub id: String,
    /// Deprecated: 0.
    pub subaccount_index: u64,
    pub(super) version: Version,
    pub(super) key: Block,
    pub(super) extended: Option<Block>,
}

/// One encrypted secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub ciphertext: Vec<u8>,
    pub iv: [u8; 16],
    pub kdf: Kdf,
    pub mac: [u8; 32],
}

impl KeyFile {
    /// Reads a file, without decrypting it or checking its cost.
    ///
    /// # Errors
    /// If the file is too large, is not JSON, or is not a valid key file.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeystoreError> {
        if bytes.len() > MAX_KEY_FILE {
            return Err(KeystoreError::TooLarge { got: bytes.len() });
        }
        let text = str::from_utf8(bytes)
            .map_err(|error| KeystoreError::Utf8 { at: error.valid_up_to() })?;
        let file: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| KeystoreError::Json(json_reason(&error)))?;
        let file = Object(&file);
        if file.get("encseed").is_some() && file.get("ethaddr").is_some() {
            return Err(KeystoreError::PreSale);
        }
        let version = match file.require("version")? {
            Value::String(text) if text == "1" => Version::V1,
            value if integer(value) == Some(3) => Version::V3,
            other => {
                return Err(KeystoreError::Version(excerpt(&other.to_string())));
            }
        };
        let address = match file.get("address") {
            None => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(value) => {
                let expected = "40 hex digits";
                let wrong = KeystoreError::Member { member: "address", expected };
                let text = value.as_str().ok_or_else(|| wrong.clone())?;
                Some(Address::parse_ignoring_case(text).map_err(|_| wrong)?)
            }
        };
        let extended = match file.get("extendedkey") {
            None => None,
            Some(_) => {
                let block = file.object("extendedkey")?;
                let is_empty = block.get("ciphertext").is_none_or(|text| *text == "");
                (!is_empty).then(|| Block::read(&block, version)).transpose()?
            }
        };
        Ok(Self {
            address,
            id: file.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
            subaccount_index: file.get("subaccountindex").and_then(integer).unwrap_or(0),
            version,
            key: Block::read(&file.object("crypto")?, version)?,
            extended,
        })
    }

    /// Returns the version of the format.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns the key derivation of the private key's block.
    pub fn kdf(&self) -> &Kdf {
        &self.key.kdf
    }

    /// Whether the file has an extended key.
    pub fn has_extended_key(&self) -> bool {
        self.extended.is_some()
    }

    /// Returns the JSON as the reference writes it: one line, members in its order.
    pub fn to_json(&self) -> String {
        let version = match self.version {
            Version::V1 => json!("1"),
            Version::V3 => json!(3),
        };
        let empty = || {
            json!({
                "cipher": "", "ciphertext": "", "cipherparams": { "iv": "" }, "kdf": "",
                "kdfparams": null, "mac": "",
            })
        };
        let json = json!({
            "address": self.address.map(|address| address.to_plain_hex()).unwrap_or_default(),
            "crypto": self.key.to_json(self.version),
            "id": self.id,
            "version": version,
            "extendedkey": self.extended.as_ref().map_or_else(empty, |it| it.to_json(self.version)),
            "subaccountindex": self.subaccount_index,
        });
        json.to_string()
    }
}

impl Version {
    fn cipher(self) -> &'static str {
        match self {
            Self::V1 => "aes-128-cbc",
            Self::V3 => "aes-128-ctr",
        }
    }
}

impl Block {
    fn read(block: &Object<'_>, version: Version) -> Result<Self, KeystoreError> {
        let cipher = block.text("cipher")?;
        if cipher != version.cipher() {
            let (got, expected) = (excerpt(cipher), version.cipher());
            let version = if version == Version::V1 { "\"1\"" } else { "3" };
            return Err(KeystoreError::Cipher { got, version, expected });
        }
        let params = block.object("kdfparams")?;
        let salt = params.hex("salt")?;
        let dk_len = params.number("dklen")?;
        if dk_len < 32 {
            let rule = "both halves of the key need 16 bytes: at least 32";
            return Err(KeystoreError::Parameter { parameter: "dklen", got: dk_len, rule });
        }
        let kdf = match block.text("kdf")? {
            "scrypt" => {
                let [n, r, p] = [params.number("n")?, params.number("r")?, params.number("p")?];
                Kdf::Scrypt { cost: ScryptCost::new(n, r, p)?, salt }
            }
            "pbkdf2" => {
                let prf = params.text("prf")?;
                if prf != "hmac-sha256" {
                    return Err(KeystoreError::Prf(excerpt(prf)));
                }
                let got = params.number("c")?;
                let rounds = u32::try_from(got).ok().filter(|rounds| *rounds > 0);
                let rule = "it must be at least 1 and below 2^32";
                let wrong = KeystoreError::Parameter { parameter: "c", got, rule };
                Kdf::Pbkdf2 { rounds: rounds.ok_or(wrong)?, salt }
            }
            other => return Err(KeystoreError::Kdf(excerpt(other))),
        };
        Ok(Self {
            ciphertext: block.hex("ciphertext")?,
            iv: block.object("cipherparams")?.array("iv")?,
            kdf,
            mac: block.array("mac")?,
        })
    }

    fn to_json(&self, version: Version) -> Value {
        let (kdf, params) = match &self.kdf {
            Kdf::Scrypt { cost: cost @ ScryptCost { r, p, .. }, salt } => {
                let (n, salt) = (cost.n(), hex::encode(salt));
                ("scrypt", json!({ "dklen": 32, "n": n, "p": p, "r": r, "salt": salt }))
            }
            Kdf::Pbkdf2 { rounds, salt } => {
                let (prf, salt) = ("hmac-sha256", hex::encode(salt));
                ("pbkdf2", json!({ "c": rounds, "dklen": 32, "prf": prf, "salt": salt }))
            }
        };
        json!({
            "cipher": version.cipher(),
            "ciphertext": hex::encode(&self.ciphertext),
            "cipherparams": { "iv": hex::encode(self.iv) },
            "kdf": kdf,
            "kdfparams": params,
            "mac": hex::encode(self.mac),
        })
    }
}

/// Looks up members by name, ignoring case. A null member counts as missing.
struct Object<'a>(&'a Map<String, Value>);

impl<'a> Object<'a> {
    fn get(&self, member: &str) -> Option<&'a Value> {
        let exact = self.0.get(member);
        let other = || self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(member));
        exact.or_else(|| other().map(|it| it.1)).filter(|value| !value.is_null())
    }

    fn require(&self, member: &'static str) -> Result<&'a Value, KeystoreError> {
        self.get(member).ok_or(KeystoreError::Missing { member })
    }

    fn object(&self, member: &'static str) -> Result<Object<'a>, KeystoreError> {
        let expected = "an object";
        let value = self.require(member)?.as_object();
        value.map(Object).ok_or(KeystoreError::Member { member, expected })
    }

    fn text(&self, member: &'static str) -> Result<&'a str, KeystoreError> {
        let expected = "a text";
        self.require(member)?.as_str().ok_or(KeystoreError::Member { member, expected })
    }

    fn number(&self, member: &'static str) -> Result<u64, KeystoreError> {
        let expected = "a whole number";
        integer(self.require(member)?).ok_or(KeystoreError::Member { member, expected })
    }

    fn hex(&self, member: &'static str) -> Result<Vec<u8>, KeystoreError> {
        let text = self.text(member)?;
        hex::decode(text.strip_prefix("0x").unwrap_or(text))
            .map_err(|_| KeystoreError::Member { member, expected: "hex digits" })
    }

    fn array<const N: usize>(&self, member: &'static str) -> Result<[u8; N], KeystoreError> {
        let bytes = self.hex(member)?;
        let got = bytes.len();
        bytes.try_into().map_err(|_| KeystoreError::Length { member, got, expected: N })
    }
}

/// Returns a whole number, even if it is written with a zero fraction.
fn integer(value: &Value) -> Option<u64> {
    let whole = |float: f64| float.fract() == 0.0 && (0.0..9e15).contains(&float);
    value.as_u64().or_else(|| value.as_f64().filter(|it| whole(*it)).map(|it| it as u64))
}
