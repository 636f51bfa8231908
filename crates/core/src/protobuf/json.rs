//! Messages as JSON, with the field names of their definitions, and back.
//!
//! | field | JSON |
//! | --- | --- |
//! | text, boolean, 32-bit integer | as it is |
//! | 64-bit integer | a number up to 2^53, else a decimal text; both are accepted |
//! | bytes | `0x` and hex |
//! | enumeration | its name in lower case, else its number; both are accepted |
//! | message | an object; if unset, `null`, or no member in a oneof |
//! | unknown field | an item of `unknown_fields` |
//!
//! A message encoded as the reference does (fields in the order of their numbers, no zero values)
//! comes back exactly; others come back in that form.

use std::fmt;

use serde_json::{Map, Value as Json, json};

use crate::explain::Explanation;

use super::{
    FieldDef, FieldError, FieldProblem, FieldType, Fields, MAX_SHOWN, MessageDef, Value,
    content::{Content, Known, Writer, check_text},
};

/// The member that lists unknown fields.
pub const UNKNOWN_FIELDS: &str = "unknown_fields";

/// Above this, JSON numbers are not exact everywhere.
const MAX_NUMBER: u64 = 1 << 53;

/// Decodes a message. Every field of the definition becomes a member, set or not.
///
/// # Errors
/// If the bytes are not the message, or there are more than [`MAX_SHOWN`] members.
pub fn decode(def: &MessageDef, bytes: &[u8]) -> Result<Map<String, Json>, FieldError> {
    let mut room = MAX_SHOWN;
    decode_within(def, bytes, &mut room)
}

/// Decodes a message of at most `room` members and values.
fn decode_within(
    def: &MessageDef,
    bytes: &[u8],
    room: &mut usize,
) -> Result<Map<String, Json>, FieldError> {
    let content = Content::read(def, bytes)?;
    let count = def.fields.len() + content.len();
    let too_many = FieldError { at: 0, problem: FieldProblem::TooMany };
    *room = room.checked_sub(count).ok_or(too_many)?;
    let mut members = Map::new();
    for (field, values) in def.fields.iter().zip(&content.known) {
        let mut values = values.iter().map(|value| to_json(value, field, room));
        let value = if field.repeated {
            Json::Array(values.collect::<Result<_, _>>()?)
        } else {
            match values.next() {
                Some(value) => value?,
                None if field.oneof.is_some() => continue,
                None => unset(field),
            }
        };
        members.insert(field.name.to_owned(), value);
    }
    if !content.unknown.is_empty() {
        let unknown = content.unknown.iter().map(|(number, value)| unknown_field(*number, value));
        members.insert(UNKNOWN_FIELDS.to_owned(), unknown.collect());
    }
    Ok(members)
}

/// Encodes a message. Missing members are unset.
///
/// # Errors
/// If a member is no field of the definition, or its value does not fit.
pub fn encode(def: &MessageDef, members: &Map<String, Json>) -> Result<Vec<u8>, JsonError> {
    let mut out = Writer::default();
    let mut oneofs = Vec::new();
    for (name, value) in members {
        let inside = |error: JsonError| error.inside(name);
        if name == UNKNOWN_FIELDS {
            read_unknown(value, &mut out).map_err(inside)?;
            continue;
        }
        let field = def.named(name).ok_or_else(|| JsonError::member(def, name))?;
        if value.is_null() {
            continue;
        }
        if let Some(oneof) = field.oneof {
            if oneofs.contains(&oneof) {
                let message = format!("another field of the oneof {oneof:?} is set, too");
                return Err(inside(JsonError::value(message)));
            }
            oneofs.push(oneof);
        }
        if !field.repeated {
            write_json(field, value, &mut out).map_err(inside)?;
            continue;
        }
        let items = value.as_array().ok_or_else(|| inside(JsonError::expected("a list", value)))?;
        for (index, item) in items.iter().enumerate() {
            let inside = |error: JsonError| error.inside(&index.to_string()).inside(name);
            write_json(field, item, &mut out).map_err(inside)?;
        }
    }
    Ok(out.finish())
}

/// Why a JSON object is not a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// The member, such as `sticker.pack`; empty for the whole.
    pub path: String,
    /// Whether the definition has no field of this name.
    pub is_unknown: bool,
    /// What is wrong and what was expected.
    pub message: String,
}

impl JsonError {
    fn value(message: impl Into<String>) -> Self {
        Self { path: String::new(), is_unknown: false, message: message.into() }
    }

    fn expected(what: &str, found: &Json) -> Self {
        Self::value(format!("expected {what}, found {}", shown(found)))
    }

    fn member(def: &MessageDef, name: &str) -> Self {
        let known: Vec<_> = def.fields.iter().map(|field| field.name).collect();
        let message = format!("{} has no such field; it has {}", def.name, known.join(", "));
        Self { path: name.to_owned(), is_unknown: true, message }
    }

    fn inside(mut self, member: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path = format!("{member}{dot}{}", self.path);
        self
    }

    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        if self.is_unknown { "payload.member" } else { "payload.value" }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "payload.member",
            rule: "The members of a record are the fields of its message, by their names in the specification.",
            source: "tools",
            causes: "A typing error; status-payload template TYPE shows all fields.",
        },
        Explanation {
            code: "payload.value",
            rule: "The value of a member has the type of its field: 0x hex for bytes, a name or a number for enumerations, a decimal text for integers above 2^53.",
            source: "tools",
            causes: "A number in quotes where a text is not read, or bytes without 0x.",
        },
    ];
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for JsonError {}

fn to_json(value: &Known<'_>, field: &FieldDef, room: &mut usize) -> Result<Json, FieldError> {
    Ok(match (value, &field.kind) {
        (Known::Number(number), FieldType::Bool) => (*number != 0).into(),
        (Known::Number(number), FieldType::Int32) => (*number as i32).into(),
        (Known::Number(number), FieldType::Enum(def)) => {
            let number = *number as i32;
            def.name_of(number).map_or_else(|| number.into(), Into::into)
        }
        (Known::Number(number), _) => number_to_json(*number),
        (Known::Bytes(at, bytes), FieldType::Message(def)) => {
            Json::Object(decode_within(def, bytes, room).map_err(|error| error.inside(*at))?)
        }
        (Known::Bytes(at, bytes), FieldType::String) => check_text(bytes, *at)?.into(),
        (Known::Bytes(_, bytes), _) => hex_text(bytes).into(),
    })
}

fn unset(field: &FieldDef) -> Json {
    match &field.kind {
        FieldType::Uint64 | FieldType::Int32 => 0.into(),
        FieldType::Bool => false.into(),
        FieldType::String => "".into(),
        FieldType::Bytes => "0x".into(),
        FieldType::Enum(def) => def.name_of(0).into(),
        FieldType::Message(_) => Json::Null,
    }
}

fn number_to_json(number: u64) -> Json {
    if number <= MAX_NUMBER { number.into() } else { number.to_string().into() }
}

fn hex_text(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn unknown_field(number: u32, value: &Value<'_>) -> Json {
    let shown = match value {
        Value::Varint(value) => number_to_json(*value),
        Value::Fixed64(bytes) => hex_text(bytes).into(),
        Value::Fixed32(bytes) => hex_text(bytes).into(),
        Value::Bytes(bytes) | Value::Group(bytes) => hex_text(bytes).into(),
    };
    json!({ "number": number, "wire_type": value.wire_type(), "value": shown })
}

fn write_json(field: &FieldDef, value: &Json, out: &mut Writer) -> Result<(), JsonError> {
    let number = |number: u64, out: &mut Writer| out.add(field, Value::Varint(number));
    match &field.kind {
        FieldType::Uint64 => {
            number(read_u64(value).ok_or_else(|| JsonError::expected(UINT64, value))?, out);
        }
        FieldType::Int32 => {
            let expected = || JsonError::expected(INT32, value);
            number(i64::from(read_i32(value).ok_or_else(expected)?) as u64, out);
        }
        FieldType::Enum(def) => {
            let named = value.as_str().and_then(|name| def.number_of(name));
            let expected = || {
                let names: Vec<_> = def.values.iter().map(|value| value.1).collect();
                JsonError::expected(&format!("{INT32}, or one of {}", names.join(", ")), value)
            };
            let found = named.or_else(|| read_i32(value)).ok_or_else(expected)?;
            number(i64::from(found) as u64, out);
        }
        FieldType::Bool => {
            let expected = || JsonError::expected("true or false", value);
            number(u64::from(value.as_bool().ok_or_else(expected)?), out);
        }
        FieldType::String => {
            let text = value.as_str().ok_or_else(|| JsonError::expected("a text", value))?;
            out.add(field, Value::Bytes(text.as_bytes()));
        }
        FieldType::Bytes => out.add(field, Value::Bytes(&read_hex(value)?)),
        FieldType::Message(def) => {
            let expected = || JsonError::expected("an object", value);
            let members = value.as_object().ok_or_else(expected)?;
            out.add(field, Value::Bytes(&encode(def, members)?));
        }
    }
    Ok(())
}

const UINT64: &str = "an integer from 0 to 18446744073709551615 (2^64 - 1)";
const INT32: &str = "an integer from -2147483648 to 2147483647";

fn read_u64(value: &Json) -> Option<u64> {
    value.as_u64().or_else(|| digits(value)?.parse().ok())
}

fn read_i32(value: &Json) -> Option<i32> {
    match value.as_i64() {
        Some(number) => i32::try_from(number).ok(),
        None => digits(value)?.parse().ok(),
    }
}

/// Returns the text of a number. Rejects a plus, which Rust would accept and JSON does not.
fn digits(value: &Json) -> Option<&str> {
    value.as_str().filter(|text| !text.starts_with('+'))
}

/// Shortens a value for an error message.
fn shown(value: &Json) -> String {
    const MAX: usize = 40;
    match value {
        Json::String(text) => {
            let start: String = text.chars().take(MAX).collect();
            let rest = if start.len() < text.len() { "…" } else { "" };
            format!("the text {}{rest}", Json::from(start))
        }
        Json::Array(items) => format!("a list of {}", items.len()),
        Json::Object(members) => format!("an object with {} members", members.len()),
        Json::Null | Json::Bool(_) | Json::Number(_) => value.to_string(),
    }
}

fn read_hex(value: &Json) -> Result<Vec<u8>, JsonError> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    let bytes = digits.and_then(|digits| hex::decode(digits).ok());
    bytes.ok_or_else(|| JsonError::expected("bytes as 0x and hex", value))
}

/// Encodes what [`unknown_field`] returned.
fn read_unknown(value: &Json, out: &mut Writer) -> Result<(), JsonError> {
    let items = value.as_array().ok_or_else(|| JsonError::expected("a list", value))?;
    for (index, item) in items.iter().enumerate() {
        let inside = |member: &str| {
            let (member, index) = (member.to_owned(), index.to_string());
            move |error: JsonError| error.inside(&member).inside(&index)
        };
        let number = read_u64(&item["number"])
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (1..1 << 29).contains(number))
            .ok_or_else(|| JsonError::expected("a field number, 1 to 536870911", &item["number"]))
            .map_err(inside("number"))?;
        let value = &item["value"];
        let bytes = || read_hex(value).map_err(inside("value"));
        let fixed =
            || JsonError::expected("as many bytes as the wire type has", value).inside("value");
        match item["wire_type"].as_str() {
            Some("varint") => {
                let value = read_u64(value).ok_or_else(|| JsonError::expected(UINT64, value));
                out.add_unknown(number, &Value::Varint(value.map_err(inside("value"))?));
            }
            Some("bytes") => out.add_unknown(number, &Value::Bytes(&bytes()?)),
            Some("fixed64") => {
                let bytes = bytes()?.try_into().map_err(|_| fixed().inside(&index.to_string()))?;
                out.add_unknown(number, &Value::Fixed64(bytes));
            }
            Some("fixed32") => {
                let bytes = bytes()?.try_into().map_err(|_| fixed().inside(&index.to_string()))?;
                out.add_unknown(number, &Value::Fixed32(bytes));
            }
            Some("group") => {
                let bytes = bytes()?;
                let mut group = Vec::new();
                Value::Group(&bytes).write(number, &mut group);
                // Anything else would encode another message.
                let whole = Fields::new(&group).next().and_then(Result::ok);
                if whole.is_none_or(|field| field.end != group.len()) {
                    let error = JsonError::expected("the fields of a group and its end", value);
                    return Err(inside("value")(error));
                }
                out.add_unknown(number, &Value::Group(&bytes));
            }
            _ => {
                let expected = "varint, bytes, fixed64, fixed32 or group";
                let error = JsonError::expected(expected, &item["wire_type"]);
                return Err(inside("wire_type")(error));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::{
        payload::{proto, schema, types},
        protobuf::{known_only, normalise},
    };

    #[test]
    fn a_chat_message_goes_there_and_back() {
        let message = proto::ChatMessage {
            clock: 1 << 60,
            timestamp: 5,
            text: "hi".to_owned(),
            message_type: 2,
            content_type: 77,
            payload: Some(proto::chat_message::Payload::Sticker(proto::StickerMessage {
                hash: String::new(),
                pack: -1,
            })),
            ..Default::default()
        };
        let bytes = message.encode_to_vec();
        let json = decode(&schema::CHAT_MESSAGE, &bytes).unwrap();
        assert_eq!(
            Json::Object(json.clone()),
            json!({
                "clock": "1152921504606846976", "timestamp": 5, "text": "hi", "response_to": "",
                "ens_name": "", "chat_id": "", "message_type": "public_group", "content_type": 77,
                "sticker": { "hash": "", "pack": -1 }, "grant": "0x",
            })
        );
        assert_eq!(encode(&schema::CHAT_MESSAGE, &json), Ok(bytes));
    }

    #[test]
    fn unknown_fields_are_kept() {
        let def = &schema::DECLINE_REQUEST_TRANSACTION;
        // Field 2 occurs as a number, too: another wire type, so it is unknown.
        let bytes = hex::decode("08011005120178a2060179a906010203040506070843084484020a").unwrap();
        let bytes = &bytes[..bytes.len() - 6];
        let json = decode(def, bytes).unwrap();
        assert_eq!(json["id"], "x");
        let numbers: Vec<_> =
            json[UNKNOWN_FIELDS].as_array().unwrap().iter().map(|it| &it["number"]).collect();
        assert_eq!(numbers, [2, 100, 101]);
        let again = encode(def, &json).unwrap();
        assert_eq!(decode(def, &again).unwrap(), json);
        assert_eq!(normalise(def, bytes).unwrap(), again);
    }

    /// Decodes a message of a type, and encodes it in its normal form.
    fn read(number: i32, bytes: &str) -> Option<String> {
        let bytes = hex::decode(bytes).unwrap();
        let def = types::PayloadType::from_number(number).and_then(|it| it.message).unwrap();
        let message = types::PayloadMessage::decode(number, &bytes);
        assert_eq!(decode(def, &bytes).is_ok(), message.is_ok(), "{message:?}");
        message.ok().map(|message| hex::encode(message.encode()))
    }

    #[test]
    fn too_many_fields_are_not_shown() {
        let def = &crate::payload::schema::SYNC_INSTALLATION;
        // Empty, but with all its members when shown.
        let contact = [10, 0];
        let is_shown = |count: usize| decode(def, &contact.repeat(count)).is_ok();
        assert!(is_shown(1000));
        assert!(!is_shown(MAX_SHOWN / 2));
        let error = decode(def, &[0x78, 1].repeat(MAX_SHOWN)).unwrap_err();
        assert_eq!(error.problem, FieldProblem::TooMany);
    }

    #[test]
    fn the_parts_of_a_message_are_merged_if_each_is_a_message() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read(5, "1a0208051a021806"), text("1a0408051806"));
        // A truncated tag does not continue in the next part.
        for bytes in ["1a02c0801a020805", "1a0208051a02c080", "1a0208051a02c0801a020805"] {
            assert_eq!(read(5, bytes), None, "{bytes}");
        }
        // The same holds for the message in a group update.
        assert_eq!(read(3, "1a0208051a021006"), text("1a0408051006"));
        assert_eq!(read(3, "1805"), text(""));
    }

    #[test]
    fn in_a_oneof_the_last_value_replaces_the_others() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read(1, "4a030a01784a021005"), text("4a021005"));
        assert_eq!(read(1, "4a030a017852021001"), text("52021001"));
        // The replaced values must be well-formed, too, and no field of the oneof is a number.
        assert_eq!(read(1, "4a010a4a021005"), None);
        assert_eq!(read(1, "4a010a52021001"), None);
        assert_eq!(read(1, "4805"), None);
    }

    #[test]
    fn wrong_members_are_named() {
        let def = &schema::CHAT_MESSAGE;
        let cases = [
            (json!({ "txet": "hi" }), "txet", "payload.member"),
            (json!({ "text": 7 }), "text", "payload.value"),
            (json!({ "clock": -1 }), "clock", "payload.value"),
            (json!({ "message_type": "nobody" }), "message_type", "payload.value"),
            (json!({ "sticker": { "pack": 1u64 << 40 } }), "sticker.pack", "payload.value"),
            (json!({ "sticker": {}, "image": {} }), "image", "payload.value"),
            (json!({ "grant": "ff" }), "grant", "payload.value"),
            (
                json!({ "unknown_fields": [{ "number": 0 }] }),
                "unknown_fields.0.number",
                "payload.value",
            ),
        ];
        for (members, path, code) in cases {
            let error = encode(def, members.as_object().unwrap()).unwrap_err();
            assert_eq!((&*error.path, error.code()), (path, code));
        }
    }

    #[test]
    fn errors_say_what_was_expected_and_what_was_found() {
        let def = &schema::CHAT_MESSAGE;
        let message =
            |members: Json| encode(def, members.as_object().unwrap()).unwrap_err().message;
        let wide = "expected an integer from 0 to 18446744073709551615 (2^64 - 1), found ";
        let narrow = "expected an integer from -2147483648 to 2147483647, found ";
        let long = "x".repeat(1000);
        let cases = [
            (json!({ "clock": -1 }), format!("{wide}-1")),
            (json!({ "clock": 1.5 }), format!("{wide}1.5")),
            (json!({ "clock": "+5" }), format!("{wide}the text \"+5\"")),
            (json!({ "clock": [1, 2] }), format!("{wide}a list of 2")),
            (
                json!({ "clock": "18446744073709551616" }),
                format!("{wide}the text \"18446744073709551616\""),
            ),
            (json!({ "sticker": { "pack": "+5" } }), format!("{narrow}the text \"+5\"")),
            (json!({ "sticker": { "pack": 1u64 << 31 } }), format!("{narrow}2147483648")),
            (
                json!({ "text": { "a": 1 } }),
                "expected a text, found an object with 1 members".to_owned(),
            ),
            (
                json!({ "grant": long }),
                format!("expected bytes as 0x and hex, found the text \"{}\"…", &long[..40]),
            ),
        ];
        for (members, expected) in cases {
            assert_eq!(message(members), expected);
        }
        let kind = message(json!({ "message_type": "+1" }));
        assert!(kind.contains("public_group") && kind.ends_with("found the text \"+1\""), "{kind}");
        let max = json!({ "clock": "18446744073709551615", "message_type": "-1" });
        assert!(encode(def, max.as_object().unwrap()).is_ok());
    }

    /// Generates a message with fields of its definition in any order and number, fields of other
    /// wire types where that is no error, and unknown ones.
    fn any_message(def: &'static MessageDef, depth: u32) -> BoxedStrategy<Vec<u8>> {
        let indices = 0..def.fields.len() + 1;
        let field = (indices, any::<u64>(), "[ -~]{0,6}", any::<u8>()).prop_flat_map(
            move |(index, number, text, choice)| {
                let (tag, kind, is_strict) = match def.fields.get(index) {
                    Some(field) => (field.number, Some(&field.kind), field.is_strict()),
                    None => {
                        let tag = number as u32 % 2000 + 1;
                        let is_known = def.fields.iter().any(|field| field.number == tag);
                        (if is_known { tag + 2000 } else { tag }, None, false)
                    }
                };
                let choice = if is_strict { choice.max(21) } else { choice };
                match kind {
                    Some(FieldType::Message(inner)) if depth > 0 && choice > 20 => {
                        any_message(inner, depth - 1)
                            .prop_map(move |bytes| field_bytes(tag, &Value::Bytes(&bytes)))
                            .boxed()
                    }
                    Some(FieldType::Message(_)) if is_strict => {
                        Just(field_bytes(tag, &Value::Bytes(b""))).boxed()
                    }
                    Some(FieldType::String | FieldType::Bytes) if choice > 20 => {
                        Just(field_bytes(tag, &Value::Bytes(text.as_bytes()))).boxed()
                    }
                    _ => {
                        let number = if choice % 3 == 0 { number } else { number % 10 };
                        let value = match choice {
                            0..8 => Value::Fixed32([choice; 4]),
                            8..16 => Value::Fixed64([choice; 8]),
                            _ => Value::Varint(number),
                        };
                        Just(field_bytes(tag, &value)).boxed()
                    }
                }
            },
        );
        proptest::collection::vec(field, 0..8).prop_map(|fields| fields.concat()).boxed()
    }

    fn field_bytes(number: u32, value: &Value<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.write(number, &mut bytes);
        bytes
    }

    fn any_type() -> impl Strategy<Value = (i32, &'static MessageDef, Vec<u8>)> {
        let known: Vec<_> =
            types::TYPES.iter().filter_map(|it| Some((it.number, it.message?))).collect();
        proptest::sample::select(known).prop_flat_map(|(number, def)| {
            any_message(def, 3).prop_map(move |bytes| (number, def, bytes))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn any_message_comes_back_in_its_normal_form((number, def, bytes) in any_type()) {
            let json = decode(def, &bytes).unwrap();
            let again = encode(def, &json).unwrap();
            prop_assert_eq!(&normalise(def, &bytes).unwrap(), &again);
            prop_assert_eq!(&decode(def, &again).unwrap(), &json);
            // The typed message has the same fields, and encodes them the same way.
            let message = types::PayloadMessage::decode(number, &bytes).unwrap();
            prop_assert_eq!(message.number(), number);
            prop_assert_eq!(message.encode(), known_only(def, &bytes).unwrap());
        }

        #[test]
        fn any_bytes_are_read_or_refused_by_both((number, def, bytes) in any_type(), at: usize, to: u8) {
            let mut bytes = bytes;
            if let Some(byte) = at.checked_rem(bytes.len()).and_then(|at| bytes.get_mut(at)) {
                *byte = to;
            }
            let read = decode(def, &bytes);
            let message = types::PayloadMessage::decode(number, &bytes);
            prop_assert_eq!(read.is_ok(), message.is_ok(), "{:?} {:?}", read, message);
        }
    }
}
