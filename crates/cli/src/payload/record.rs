//! Payloads as records, and back.

use serde_json::{Map, Value};
use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    payload::{
        PayloadMessage, PayloadType, Wrapper, schema::APPLICATION_METADATA_MESSAGE,
        types::type_name,
    },
    protobuf::{
        MessageDef,
        json::{self, JsonError, UNKNOWN_FIELDS},
        normalise,
    },
};

use crate::{
    error::{CliError, Exit},
    input::{Content, Item},
    output::{Record, hex0x},
    payload::payload_error,
    records::hex_member,
};

/// Members of a record that are not fields of its message.
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

/// A payload with its wrapper.
pub fn from_wrapper(wrapper: &Wrapper) -> Record {
    let record = Record::new(&type_name(wrapper.kind()))
        .with("message_id", wrapper.message_id().to_string())
        .with("author", wrapper.author().map(ToString::to_string));
    let def = PayloadType::from_number(wrapper.kind()).and_then(|kind| kind.message);
    let mut record = with_fields(record, def, wrapper.payload());
    // What is not said by the fields.
    let read = match json::decode(&APPLICATION_METADATA_MESSAGE, wrapper.raw()) {
        Ok(read) => read,
        Err(error) => {
            return record.with("error", format!("the wrapper: {error}")).with_raw(wrapper.raw());
        }
    };
    let mut rest = Map::new();
    for (name, value) in read {
        let is_said = name == "payload" || name == "type" || value == "0x";
        if !is_said {
            rest.insert(name, value);
        }
    }
    if !rest.is_empty() {
        record = record.with("wrapper", rest);
    }
    let normal = normalise(&APPLICATION_METADATA_MESSAGE, wrapper.raw());
    with_canonical(record, normal.ok().as_deref(), wrapper.raw()).with_raw(wrapper.raw())
}

/// A message without a wrapper.
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

/// Says where other bytes than these would be written.
fn with_canonical(record: Record, normal: Option<&[u8]>, bytes: &[u8]) -> Record {
    match normal {
        Some(normal) if normal != bytes && !record.members().contains_key("canonical") => {
            let same = normal.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            record.with("canonical", false).with("differs_at", same)
        }
        _ => record,
    }
}

/// The member for a field.
pub fn member_of(field: &str) -> String {
    if OWN.contains(&field) { format!("{field}_") } else { field.to_owned() }
}

/// The field of a member; none if it is one of the record itself.
fn field_of(member: &str) -> Option<&str> {
    match member.strip_suffix('_') {
        Some(field) if OWN.contains(&field) => Some(field),
        _ if OWN.contains(&member) => None,
        _ => Some(member),
    }
}

/// What is to be wrapped.
pub struct ToWrap {
    /// The number of the type.
    pub kind: i32,
    /// The encoded message.
    pub payload: Vec<u8>,
    /// What the wrapper had beside them: signature, unknown fields.
    wrapper: Map<String, Value>,
    /// Who signed it.
    author: Option<PublicKey>,
}

impl ToWrap {
    /// Reads the fields of a record, after `change`; or a wrapper in bytes.
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
                None => "the record lacks the member \"type\", which says what the payload is",
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
                    let message = format!("no type of payloads is called {text:?}");
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

    /// What a wrapper has inside.
    pub fn from_wrapper(wrapper: &Wrapper) -> Self {
        let payload = wrapper.payload().to_vec();
        Self { kind: wrapper.kind(), payload, wrapper: Map::new(), author: None }
    }

    /// The wrapper, signed by `identity`; without one, with the signature that it had.
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
                .hint("--identity FILE signs it again, --unsigned leaves the signature away")
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

    /// Leaves the signature away.
    pub fn unsign(&mut self) {
        self.wrapper.remove("signature");
    }

    /// Whether nobody has signed it.
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

/// A payload from a stream, and what the record around it says.
pub struct Input {
    /// The payload as transported.
    pub bytes: Vec<u8>,
    /// When its envelope was sent: UNIX seconds.
    pub sent: Option<u32>,
    /// Who signed its envelope.
    pub signer: Option<PublicKey>,
}

impl Input {
    /// The payload in a record of any tool, or in bytes.
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
            let message = "an envelope has to be opened first";
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
            sent: sent.and_then(|sent| u32::try_from(sent).ok()),
            signer: signer.and_then(|signer| signer.parse().ok()),
        })
    }

    /// The wrapper.
    pub fn wrapper(&self) -> Result<Wrapper, CliError> {
        Wrapper::decode(&self.bytes).map_err(|error| payload_error(&error))
    }
}

/// The record of a payload: what is inside a message, or the record itself.
pub fn payload_members(members: &Map<String, Value>) -> &Map<String, Value> {
    match (members.get("type").and_then(Value::as_str), members.get("payload")) {
        (Some("message"), Some(Value::Object(inner))) => inner,
        _ => members,
    }
}

/// The message that a record has, or a wrapper in bytes; who signed it does not count.
pub fn message_of_item(item: &Item) -> Result<PayloadMessage, CliError> {
    let ToWrap { kind, payload, .. } = ToWrap::from_item(item, |_| Ok(()))?;
    message_of(&Wrapper::unsigned(kind, payload)).map_err(|error| error.line(item.line))
}

/// The message of a wrapper; an error says what it is not.
pub fn message_of(wrapper: &Wrapper) -> Result<PayloadMessage, CliError> {
    wrapper.message().map_err(|error| payload_error(&error).field("payload"))
}
