//! `status-inspect schema`: JSON Schema of every record. Made from the table of records and the
//! definitions of payloads; the tests hold all that the tools print against it.

mod table;

use clap::Args;
use serde_json::{Map, Value, json};
use statuskit_core::{
    payload::types::TYPES,
    protobuf::{FieldType, MessageDef},
};

use super::record_of;
use crate::{
    context::Context,
    error::{CliError, Result},
    payload::record::member_of,
};
pub use table::RECORDS;

/// Print the JSON Schema of the records of all tools
///
/// It is of the 2020-12 draft. Without TYPE, the document describes every record by its member
/// `type`; as text it is the list of types. Records may get new members: ignore those you don't know.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-inspect schema --output text
  $ status-inspect schema envelope
  $ status-inspect schema > records.schema.json")]
pub struct SchemaArgs {
    /// Type of records, such as envelope or chat_message
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
}

pub fn run(args: &SchemaArgs, cx: &mut Context) -> Result<()> {
    let document = match &args.kind {
        None => all(),
        Some(kind) => of(kind).ok_or_else(|| {
            CliError::usage(format!("no record has the type {}", statuskit_core::text::quote(kind)))
                .field("TYPE")
                .hint("status-inspect schema --output text lists them")
        })?,
    };
    cx.emit(&record_of(document.clone()), |_| match &args.kind {
        None => names().map(|(name, about)| format!("{name:28} {about}\n")).collect(),
        Some(_) => serde_json::to_string_pretty(&document).unwrap_or_default(),
    })
}

/// Returns the type and a line about each record, in the order of names.
pub fn names() -> impl Iterator<Item = (&'static str, String)> {
    let payloads = TYPES.iter().map(|kind| (kind.name, "the payload of this type".to_owned()));
    let records = RECORDS.iter().map(|(name, about, _)| (*name, (*about).to_owned()));
    let mut all: Vec<_> = records.chain(payloads).collect();
    all.sort_by_key(|(name, _)| *name);
    all.into_iter()
}

/// Returns the schema of all records.
pub fn all() -> Value {
    let mut kinds: Vec<Value> =
        names().map(|(name, _)| json!({ "$ref": format!("#/$defs/{name}") })).collect();
    kinds.push(json!({ "$ref": "#/$defs/unknown_payload" }));
    json!({
        "$schema": DRAFT,
        "title": "The records of statuskit",
        "anyOf": kinds,
        "$defs": definitions(),
    })
}

/// Returns the schema of the records of one type. `None` if there is none.
pub fn of(kind: &str) -> Option<Value> {
    let all = definitions();
    let title = all.get(kind)?.get("title")?.clone();
    let mut needed = Map::new();
    let mut waiting = vec![kind.to_owned()];
    while let Some(name) = waiting.pop() {
        if let Some(schema) = all.get(&name).filter(|_| !needed.contains_key(&name)) {
            references(schema, &mut waiting);
            needed.insert(name, schema.clone());
        }
    }
    let reference = format!("#/$defs/{kind}");
    Some(json!({ "$schema": DRAFT, "title": title, "$ref": reference, "$defs": needed }))
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => members.iter().for_each(|(name, value)| match value {
            Value::String(target) if name == "$ref" => {
                found.extend(target.strip_prefix("#/$defs/").map(str::to_owned));
            }
            _ => references(value, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn definitions() -> Map<String, Value> {
    let mut all = Map::new();
    for (name, about, members) in RECORDS {
        let mut schema = parse(members);
        let kind = json!({ "const": name });
        insert_type(&mut schema, kind);
        schema["title"] = (*about).into();
        all.insert((*name).to_owned(), schema);
    }
    for kind in TYPES {
        let mut schema = payload(kind.message, json!({ "const": kind.name }));
        schema["title"] = format!("the payload {}", kind.name).into();
        all.insert(kind.name.to_owned(), schema);
    }
    let number = json!({ "type": "string", "pattern": "^unknown" });
    let mut unknown = payload(None, number);
    unknown["title"] = "a payload of an unknown type".into();
    all.insert("unknown_payload".to_owned(), unknown);
    for (name, members) in table::PARTS {
        all.insert((*name).to_owned(), parse(members));
    }
    let mut payloads: Vec<_> = TYPES.iter().map(|kind| kind.name).collect();
    payloads.extend(["unknown_payload", "text", "bytes", "legacy"]);
    let payloads: Vec<_> =
        payloads.iter().map(|name| json!({ "$ref": format!("#/$defs/{name}") })).collect();
    all.insert("payload".to_owned(), json!({ "anyOf": payloads }));
    all
}

/// `type` is the first member.
fn insert_type(schema: &mut Value, kind: Value) {
    let Some(Value::Object(old)) = schema.get_mut("properties").map(Value::take) else { return };
    let mut properties = Map::new();
    properties.insert("type".to_owned(), kind);
    properties.extend(old);
    schema["properties"] = properties.into();
    if let Some(required) = schema["required"].as_array_mut() {
        required.insert(0, "type".into());
    }
}

/// The record of a payload: the fields of its message, and what belongs to the record itself.
fn payload(def: Option<&MessageDef>, kind: Value) -> Value {
    let mut schema = parse(table::PAYLOAD);
    insert_type(&mut schema, kind);
    for field in def.iter().flat_map(|def| def.fields) {
        let items = field_schema(&field.kind);
        let is_optional = matches!(field.kind, FieldType::Message(_)) && !field.repeated;
        let schema_of = match (field.repeated, is_optional) {
            (true, _) => json!({ "type": "array", "items": items }),
            (_, true) => json!({ "anyOf": [items, { "type": "null" }] }),
            _ => items,
        };
        schema["properties"][&member_of(field.name)] = schema_of;
    }
    schema
}

fn message(def: &MessageDef) -> Value {
    let properties: Map<_, _> = def
        .fields
        .iter()
        .map(|field| {
            let items = field_schema(&field.kind);
            let schema = match field.repeated {
                true => json!({ "type": "array", "items": items }),
                false => json!({ "anyOf": [items, { "type": "null" }] }),
            };
            (field.name.to_owned(), schema)
        })
        .chain([(
            "unknown_fields".to_owned(),
            json!({ "type": "array", "items": { "$ref": "#/$defs/unknown_field" } }),
        )])
        .collect();
    json!({ "type": "object", "properties": properties })
}

fn field_schema(kind: &FieldType) -> Value {
    match kind {
        FieldType::Uint64 => parse("uint|decimal"),
        FieldType::Int32 => parse("int"),
        FieldType::Bool => parse("bool"),
        FieldType::String => parse("str"),
        FieldType::Bytes => parse("hex"),
        FieldType::Enum(def) => {
            let names: Vec<_> = def.values.iter().map(|(_, name)| *name).collect();
            json!({ "anyOf": [{ "enum": names }, { "type": "integer" }] })
        }
        FieldType::Message(def) => message(def),
    }
}

/// Reads the notation of the table.
fn parse(text: &str) -> Value {
    let mut notation = Notation { text, at: 0 };
    let schema = notation.union();
    assert!(notation.rest().trim().is_empty(), "the table of records: {text}");
    schema
}

/// ```text
/// union   = type ("|" type)*
/// type    = name | "hex" bytes | "[" union "]" | "{" member* ["..."] "}" | "@" part | "'" constant "'"
/// member  = name ["?"] ":" union
/// ```
struct Notation<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Notation<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, sign: &str) -> bool {
        self.at = self.text.len() - self.rest().trim_start().len();
        let is_next = self.rest().starts_with(sign);
        self.at += if is_next { sign.len() } else { 0 };
        is_next
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn union(&mut self) -> Value {
        let mut all = vec![self.kind()];
        while self.take("|") {
            all.push(self.kind());
        }
        if all.len() == 1 { all.remove(0) } else { json!({ "anyOf": all }) }
    }

    fn kind(&mut self) -> Value {
        if self.take("[") {
            let items = self.union();
            assert!(self.take("]"), "{}", self.text);
            return json!({ "type": "array", "items": items });
        }
        if self.take("{") {
            return self.object();
        }
        if self.take("@") {
            return json!({ "$ref": format!("#/$defs/{}", self.word()) });
        }
        if self.take("'") {
            let word = self.word();
            assert!(self.take("'"), "{}", self.text);
            return json!({ "const": word });
        }
        let word = self.word();
        match word {
            "any" => json!({}),
            "str" => json!({ "type": "string" }),
            "bool" => json!({ "type": "boolean" }),
            "null" => json!({ "type": "null" }),
            "int" => json!({ "type": "integer" }),
            "uint" => json!({ "type": "integer", "minimum": 0 }),
            "num" => json!({ "type": "number" }),
            "obj" => json!({ "type": "object" }),
            "decimal" => json!({ "type": "string", "pattern": "^[0-9]+$" }),
            "hex" => json!({ "type": "string", "pattern": "^0x([0-9a-f]{2})*$" }),
            _ => {
                let bytes = word.strip_prefix("hex").and_then(|count| count.parse::<usize>().ok());
                let bytes = bytes.unwrap_or_else(|| panic!("no type: {word:?} in {}", self.text));
                let digits = format!("^0x[0-9a-f]{{{}}}$", bytes * 2);
                json!({ "type": "string", "pattern": digits })
            }
        }
    }

    fn object(&mut self) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        while !self.take("}") {
            if self.take("...") {
                assert!(self.take("}"), "{}", self.text);
                return json!({
                    "type": "object",
                    "properties": properties,
                    "required": required,
                    "additionalProperties": true,
                });
            }
            let name = self.word().to_owned();
            if !self.take("?") {
                required.push(Value::from(name.clone()));
            }
            assert!(self.take(":"), "{name} in {}", self.text);
            properties.insert(name, self.union());
        }
        json!({ "type": "object", "properties": properties, "required": required })
    }
}
