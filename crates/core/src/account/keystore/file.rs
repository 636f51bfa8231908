//! The JSON of key files: reading what any wallet wrote, writing what the reference writes.
//!
//! Members are found whatever their capitals, as the reference's parser finds them (old wallets
//! wrote `Crypto`); unknown ones are ignored.

use std::{fmt::Write as _, str};

use serde_json::{Map, Value};

use super::{Kdf, KeystoreError, ScryptCost};
use crate::account::Address;

/// The longest file that is read as a key file, in bytes. Real ones have about 1200.
pub const MAX_KEY_FILE: usize = 64 << 10;

/// Which of the two formats.
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
    /// The address that the file claims; nothing proves it before the file is opened.
    pub address: Option<Address>,
    /// A UUID, usually; empty when there is none.
    pub id: String,
    /// Deprecated, 0.
    pub subaccount_index: u64,
    pub(super) version: Version,
    pub(super) key: Block,
    pub(super) extended: Option<Block>,
}

/// One encrypted thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub ciphertext: Vec<u8>,
    pub iv: [u8; 16],
    pub kdf: Kdf,
    pub mac: [u8; 32],
}

impl KeyFile {
    /// Reads a file. Nothing is decrypted and no parameter is judged yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeystoreError> {
        if bytes.len() > MAX_KEY_FILE {
            return Err(KeystoreError::TooLarge { got: bytes.len() });
        }
        let text = str::from_utf8(bytes)
            .map_err(|error| KeystoreError::Utf8 { at: error.valid_up_to() })?;
        let file: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| KeystoreError::Json(error.to_string()))?;
        let file = Object(&file);
        let version = match file.require("version")? {
            Value::String(text) if text == "1" => Version::V1,
            value if integer(value) == Some(3) => Version::V3,
            other => {
                return Err(KeystoreError::Version(crate::account::excerpt(&other.to_string())));
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

    /// The format.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the key of the private key's block is derived.
    pub fn kdf(&self) -> &Kdf {
        &self.key.kdf
    }

    /// The same of the extended key's block, when there is one.
    pub fn extended_kdf(&self) -> Option<&Kdf> {
        self.extended.as_ref().map(|block| &block.kdf)
    }

    /// The JSON as the reference writes it: one line, members in its order.
    pub fn to_json(&self) -> String {
        let mut json = String::from("{\"address\":\"");
        if let Some(address) = &self.address {
            json.push_str(&address.to_plain_hex());
        }
        json.push_str("\",\"crypto\":");
        self.key.write(&mut json, self.version);
        // As JSON texts, since an id of a stranger may hold anything.
        let id = Value::from(self.id.as_str());
        let version = match self.version {
            Version::V1 => "\"1\"",
            Version::V3 => "3",
        };
        let _ = write!(json, ",\"id\":{id},\"version\":{version},\"extendedkey\":");
        match &self.extended {
            Some(block) => block.write(&mut json, self.version),
            None => json.push_str(
                "{\"cipher\":\"\",\"ciphertext\":\"\",\"cipherparams\":{\"iv\":\"\"},\"kdf\":\"\",\
                 \"kdfparams\":null,\"mac\":\"\"}",
            ),
        }
        let _ = write!(json, ",\"subaccountindex\":{}}}", self.subaccount_index);
        json
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
            let got = crate::account::excerpt(cipher);
            return Err(KeystoreError::Cipher { got, expected: version.cipher() });
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
                    return Err(KeystoreError::Prf(crate::account::excerpt(prf)));
                }
                let got = params.number("c")?;
                let rounds = u32::try_from(got).ok().filter(|rounds| *rounds > 0);
                let rule = "it must be at least 1 and below 2^32";
                let wrong = KeystoreError::Parameter { parameter: "c", got, rule };
                Kdf::Pbkdf2 { rounds: rounds.ok_or(wrong)?, salt }
            }
            other => return Err(KeystoreError::Kdf(crate::account::excerpt(other))),
        };
        Ok(Self {
            ciphertext: block.hex("ciphertext")?,
            iv: block.object("cipherparams")?.array("iv")?,
            kdf,
            mac: block.array("mac")?,
        })
    }

    fn write(&self, json: &mut String, version: Version) {
        let (name, params, salt) = match &self.kdf {
            Kdf::Scrypt { cost, salt } => {
                let (n, p, r) = (cost.n(), cost.p, cost.r);
                ("scrypt", format!("\"dklen\":32,\"n\":{n},\"p\":{p},\"r\":{r}"), salt)
            }
            Kdf::Pbkdf2 { rounds, salt } => {
                ("pbkdf2", format!("\"c\":{rounds},\"dklen\":32,\"prf\":\"hmac-sha256\""), salt)
            }
        };
        let _ = write!(
            json,
            "{{\"cipher\":\"{}\",\"ciphertext\":\"{}\",\"cipherparams\":{{\"iv\":\"{}\"}},\
             \"kdf\":\"{name}\",\"kdfparams\":{{{params},\"salt\":\"{}\"}},\"mac\":\"{}\"}}",
            version.cipher(),
            hex::encode(&self.ciphertext),
            hex::encode(self.iv),
            hex::encode(salt),
            hex::encode(self.mac),
        );
    }
}

/// Members by name, whatever their capitals; null counts as absent.
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

/// A whole number, also when it is written with a fraction of zero.
fn integer(value: &Value) -> Option<u64> {
    let whole = |float: f64| float.fract() == 0.0 && (0.0..9e15).contains(&float);
    value.as_u64().or_else(|| value.as_f64().filter(|it| whole(*it)).map(|it| it as u64))
}
