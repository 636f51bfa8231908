//! Records of payloads.

use serde_json::{Map, Value};
use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    payload::{
        PayloadMessage, PayloadType, Wrapper, legacy::LegacyMessage,
        schema::APPLICATION_METADATA_MESSAGE, types::type_name,
    },
    protobuf::{
        MessageDef,
        json::{self, JsonError, UNKNOWN_FIELDS},
        normalise,
    },
    time::UnixSeconds,
};

use crate::{
    error::{CliError, Exit},
    input::{Content, Item},
    output::{Record, hex0x},
    payload::payload_error,
    records::hex_member,
};

/// The members of a record that are not fields of its message.
const OWN: [&str; 10] = [
    "type",
    "message_id",
    "author",
    "payload",
    "error",
    "refused",
    "wrapper",
    "canonical",
    "differs_at",
    "raw",
];

/// Returns the record of a payload with its wrapper.
pub fn from_wrapper(wrapper: &Wrapper) -> Record {
    let record = Record::new(&type_name(wrapper.kind()))
        .with("message_id", wrapper.message_id().to_string())
        .with("author", wrapper.author().map(ToString::to_string));
    let def = PayloadType::from_number(wrapper.kind()).and_then(|kind| kind.message);
    let mut record = with_fields(record, def, wrapper.payload());
    // The members of the wrapper that the record does not have yet.
    let read = match json::decode(&APPLICATION_METADATA_MESSAGE, wrapper.raw()) {
        Ok(read) => read,
        Err(error) => {
            return record.with("error", format!("the wrapper: {error}")).with_raw(wrapper.raw());
        }
    };
    let mut rest = Map::new();
    for (name, value) in read {
        let is_known = name == "payload" || name == "type" || value == "0x";
        if !is_known {
            rest.insert(name, value);
        }
    }
    if !rest.is_empty() {
        record = record.with("wrapper", rest);
    }
    let normal = normalise(&APPLICATION_METADATA_MESSAGE, wrapper.raw());
    with_canonical(record, normal.ok().as_deref(), wrapper.raw()).with_raw(wrapper.raw())
}

/// Returns the record of a message of a client before 2020.
pub fn from_legacy(message: &LegacyMessage, raw: &[u8]) -> Record {
    let LegacyMessage { author, tag, text, content_type, kind, clock, timestamp, chat_id } =
        message;
    Record::new("legacy")
        .with("tag", tag.as_str())
        .with("author", author.map(|key| key.to_string()))
        .with("text", text.as_deref())
        .with("content_type", content_type.as_deref())
        .with("message_type", kind.as_deref())
        .with("clock", *clock)
        .with("timestamp", *timestamp)
        .with("chat_id", chat_id.as_deref())
        .with_raw(raw)
}

/// Returns the record of a message without a wrapper.
pub fn from_message(kind: &PayloadType, payload: &[u8]) -> Record {
    with_fields(Record::new(kind.name), kind.message, payload).with_raw(payload)
}

fn with_fields(mut record: Record, def: Option<&MessageDef>, payload: &[u8]) -> Record {
    let Some(def) = def else { return record.with("payload", hex0x(payload)) };
    match json::decode(def, payload) {
        Err(error) => record
            .with("error", format!("not a {}: {error}", def.name))
            .with("payload", hex0x(payload)),
        Ok(fields) => {
            for (name, value) in fields {
                record = record.with(&member_of(&name), value);
            }
            let normal = normalise(def, payload);
            with_canonical(record, normal.ok().as_deref(), payload)
        }
    }
}

/// Adds where the bytes differ from those that we would encode.
fn with_canonical(record: Record, normal: Option<&[u8]>, bytes: &[u8]) -> Record {
    match normal {
        Some(normal) if normal != bytes && !record.members().contains_key("canonical") => {
            let same = normal.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            record.with("canonical", false).with("differs_at", same)
        }
        _ => record,
    }
}

/// Returns the member of a field.
pub fn member_of(field: &str) -> String {
    if OWN.contains(&field) { format!("{field}_") } else { field.to_owned() }
}

/// Returns the field of a member. `None` if the member belongs to the record itself.
fn field_of(member: &str) -> Option<&str> {
    match member.strip_suffix('_') {
        Some(field) if OWN.contains(&field) => Some(field),
        _ if OWN.contains(&member) => None,
        _ => Some(member),
    }
}

/// A payload to wrap.
pub struct ToWrap {
    /// The number of the type.
    pub kind: i32,
    /// The encoded message.
    pub payload: Vec<u8>,
    /// The rest of an earlier wrapper: signature, unknown fields.
    wrapper: Map<String, Value>,
    /// The author, as the record states it.
    author: Option<PublicKey>,
}

impl ToWrap {
    /// Reads the fields of a record after `change`, or a wrapper in bytes.
    pub fn from_item(
        item: &Item,
        change: impl FnOnce(&mut Map<String, Value>) -> Result<(), CliError>,
    ) -> Result<Self, CliError> {
        let made = match &item.content {
            Content::Bytes(bytes) => Wrapper::decode(bytes)
                .map(|wrapper| Self::from_wrapper(&wrapper))
                .map_err(|error| payload_error(&error)),
            Content::Record(members) => {
                let mut members = payload_members(members).clone();
                change(&mut members).and_then(|()| Self::from_members(&members))
            }
        };
        made.map_err(|error| error.line(item.line))
    }

    /// Reads the fields of a record.
    pub fn from_members(members: &Map<String, Value>) -> Result<Self, CliError> {
        let malformed = |code, message: String| CliError::new(code, Exit::Malformed, message);
        let text = members.get("type").and_then(Value::as_str).ok_or_else(|| {
            let message = match members.get("type") {
                None => "the record lacks the member \"type\", the type of the payload",
                Some(_) => "the type is not a text: expected the name of a type of payloads",
            };
            malformed("payload.unknown_type", message.to_owned()).field("type").hint(
                "\"type\": \"chat_message\"; status-payload types lists all, and status-payload \
                 template TYPE prints a record to fill in",
            )
        })?;
        let (kind, def) = match PayloadType::from_name(text) {
            Some(kind) => (kind.number, kind.message),
            None => {
                let number = match text {
                    "unknown" => Some(0),
                    _ => text.strip_prefix("unknown_").and_then(|text| text.parse().ok()),
                };
                let unknown = || {
                    let message =
                        format!("unknown type of payloads {}", statuskit_core::text::quote(text));
                    malformed("payload.unknown_type", message)
                        .field("type")
                        .hint("status-payload types lists them")
                };
                (number.ok_or_else(unknown)?, None)
            }
        };
        let payload = match def {
            Some(def) if !members.contains_key("payload") => {
                let fields = members
                    .iter()
                    .filter_map(|(name, value)| Some((field_of(name)?.to_owned(), value.clone())));
                json::encode(def, &fields.collect()).map_err(|error| json_error(&error))?
            }
            _ => hex_member(members, "payload")?,
        };
        let wrapper = members.get("wrapper").and_then(Value::as_object).cloned();
        let author = members.get("author").and_then(Value::as_str);
        let author = author.map(|text| {
            text.parse().map_err(|error: statuskit_core::crypto::KeyError| {
                malformed("record.member", error.to_string()).field("author")
            })
        });
        Ok(Self {
            kind,
            payload,
            wrapper: wrapper.unwrap_or_default(),
            author: author.transpose()?,
        })
    }

    /// Reads the payload of a wrapper.
    pub fn from_wrapper(wrapper: &Wrapper) -> Self {
        let payload = wrapper.payload().to_vec();
        Self { kind: wrapper.kind(), payload, wrapper: Map::new(), author: None }
    }

    /// Wraps the payload, signed by `identity`, or with its earlier signature.
    pub fn wrap(&self, identity: Option<&SecretKey>) -> Result<Wrapper, CliError> {
        if let Some(key) = identity {
            return Ok(Wrapper::sign(self.kind, self.payload.clone(), key));
        }
        let mut members = self.wrapper.clone();
        members.insert("payload".to_owned(), hex0x(&self.payload).into());
        members.insert("type".to_owned(), self.kind.into());
        let raw = json::encode(&APPLICATION_METADATA_MESSAGE, &members)
            .map_err(|error| json_error(&error).field(format!("wrapper.{}", error.path)))?;
        let stale = |why: String| {
            CliError::new("payload.stale_signature", Exit::Malformed, why)
                .field("wrapper.signature")
                .hint("--identity FILE signs it again, --unsigned omits the signature")
        };
        let wrapper = Wrapper::decode(&raw).map_err(|error| stale(error.to_string()))?;
        if wrapper.signature().is_some()
            && self.author.is_some_and(|author| wrapper.author() != Some(&author))
        {
            let why = "the fields are not those that the author signed";
            return Err(stale(why.to_owned()));
        }
        Ok(wrapper)
    }

    /// Removes the signature.
    pub fn unsign(&mut self) {
        self.wrapper.remove("signature");
    }

    /// Returns whether it has no signature.
    pub fn is_unsigned(&self) -> bool {
        !self.wrapper.contains_key("signature")
    }
}

fn json_error(error: &JsonError) -> CliError {
    let shown = CliError::new(error.code(), Exit::Malformed, error.message.clone());
    let field = error.path.split('.').next().unwrap_or_default();
    let rest = error.path.strip_prefix(field).unwrap_or_default();
    let known = field == UNKNOWN_FIELDS;
    shown.field(if known { error.path.clone() } else { format!("{}{rest}", member_of(field)) })
}

/// A payload from standard input, with what its record tells.
pub struct Input {
    /// The payload as transported.
    pub bytes: Vec<u8>,
    /// When its envelope was sent: UNIX seconds.
    pub sent: Option<UnixSeconds>,
    /// The signer of its envelope.
    pub signer: Option<PublicKey>,
}

impl Input {
    /// Reads the payload from a record of any tool, or from bytes.
    pub fn from_item(item: &Item) -> Result<Self, CliError> {
        let members = match &item.content {
            Content::Bytes(bytes) => {
                return Ok(Self { bytes: bytes.clone(), sent: None, signer: None });
            }
            Content::Record(members) => members,
        };
        let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
        let inner = payload_members(members);
        let found = if kind == "envelope" {
            let message = "the envelope must be opened first";
            Err(CliError::new("record.member", Exit::Malformed, message)
                .hint("status-envelope open --chat NAME, or another key"))
        } else {
            hex_member(inner, "raw").map_err(|error| {
                if inner.contains_key("raw") { error } else { error.hint("status-payload encode") }
            })
        };
        let bytes = found.map_err(|error| error.line(item.line))?;
        let sent = members.get("sent").and_then(Value::as_u64);
        let signer = members.get("signer").and_then(Value::as_str);
        Ok(Self {
            bytes,
            sent: sent.and_then(|sent| u32::try_from(sent).ok()).map(UnixSeconds),
            signer: signer.and_then(|signer| signer.parse().ok()),
        })
    }

    /// Decodes the wrapper.
    pub fn wrapper(&self) -> Result<Wrapper, CliError> {
        Wrapper::decode(&self.bytes).map_err(|error| payload_error(&error))
    }
}

/// Returns the record of a payload: the member of a message, or the record itself.
pub fn payload_members(members: &Map<String, Value>) -> &Map<String, Value> {
    match (members.get("type").and_then(Value::as_str), members.get("payload")) {
        (Some("message"), Some(Value::Object(inner))) => inner,
        _ => members,
    }
}

/// Decodes the message of a record or of a wrapper in bytes. Ignores the signature.
pub fn message_of_item(item: &Item) -> Result<PayloadMessage, CliError> {
    let ToWrap { kind, payload, .. } = ToWrap::from_item(item, |_| Ok(()))?;
    message_of(&Wrapper::unsigned(kind, payload)).map_err(|error| error.line(item.line))
}

/// Decodes the message of a wrapper.
pub fn message_of(wrapper: &Wrapper) -> Result<PayloadMessage, CliError> {
    wrapper.message().map_err(|error| payload_error(&error).field("payload"))
}
