//! `status-payload template` and `types`: the fields to fill in.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::{Map, Value, json};
use statuskit_core::{
    payload::{PayloadType, types::TYPES},
    protobuf::{FieldDef, FieldType, MessageDef, json as fields_json},
    time::UnixMillis,
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    output::{Format, Record},
    payload::{
        parse_type,
        record::{self, member_of},
        type_names,
    },
};

/// Fields from the command line.
#[derive(Debug, Clone, Args)]
pub struct SetArgs {
    /// Set a field to a text, a number, a name of an enumeration, 0x hex, or JSON. A dot names a
    /// field of a nested message, as in sticker.hash. Repeatable
    #[arg(long, value_name = "FIELD=VALUE")]
    pub set: Vec<String>,
}

impl SetArgs {
    /// Sets the fields of a record.
    pub fn apply(&self, kind: &PayloadType, members: &mut Map<String, Value>) -> Result<()> {
        let def = kind.message.unwrap_or(&NO_FIELDS);
        for text in &self.set {
            let (path, value) = text.split_once('=').ok_or_else(|| {
                CliError::usage(format!("{} has no value", statuskit_core::text::quote(text)))
                    .field("--set")
                    .hint("name=value")
            })?;
            set(def, members, path, value)?;
        }
        Ok(())
    }
}

/// The definition of a type without one.
static NO_FIELDS: MessageDef = MessageDef { name: "this payload", fields: &[], is_entry: false };

fn set(def: &MessageDef, members: &mut Map<String, Value>, path: &str, text: &str) -> Result<()> {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    // The name in the record, or that of the specification.
    let field = def.named(name).or_else(|| def.named(name.trim_end_matches('_')));
    let field = field.ok_or_else(|| {
        let names: Vec<_> = def.fields.iter().map(|field| field.name).collect();
        CliError::usage(format!("{} has no field {}", def.name, statuskit_core::text::quote(name)))
            .field("--set")
            .hint(format!("it has {}", names.join(", ")))
    })?;
    let member = member_of(field.name);
    match (&field.kind, rest) {
        (FieldType::Message(inner), Some(rest)) if !field.repeated => {
            let value = members.entry(member).or_insert(Value::Null);
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            if let Some(inner_members) = value.as_object_mut() {
                set(inner, inner_members, rest, text)?;
            }
        }
        (_, Some(_)) => {
            let message = format!("{name} is not a message with fields");
            return Err(CliError::usage(message).field("--set").into());
        }
        (_, None) => drop(members.insert(member, value_of(field, text))),
    }
    Ok(())
}

fn value_of(field: &FieldDef, text: &str) -> Value {
    let literal = Value::String(text.to_owned());
    match field.kind {
        FieldType::String | FieldType::Bytes if !field.repeated => literal,
        _ => serde_json::from_str(text).unwrap_or(literal),
    }
}

/// Returns the fields of a new message of a type, with the defaults of a client.
pub fn members(kind: &PayloadType, now: UnixMillis) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("type".to_owned(), kind.name.into());
    let Some(def) = kind.message else {
        members.insert("payload".to_owned(), "0x".into());
        return members;
    };
    for (name, value) in fields_json::decode(def, &[]).unwrap_or_default() {
        let value = match &*name {
            "clock" | "timestamp" => now.into(),
            "message_type" => "public_group".into(),
            "content_type" => "text_plain".into(),
            _ => value,
        };
        members.insert(member_of(&name), value);
    }
    members
}

/// Print a message of TYPE with all its fields, to fill in
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-payload template chat --now 1585500000
  $ status-payload template pair --set name=phone --set device_type=ios --set installation_id=a1")]
pub struct TemplateCommand {
    /// A type such as chat_message or contact_update, or the beginning of its name
    #[arg(value_name = "TYPE", value_parser = parse_type, add = ArgValueCandidates::new(type_names))]
    kind: &'static PayloadType,
    #[command(flatten)]
    set: SetArgs,
}

impl TemplateCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let mut members = members(self.kind, cx.now_ms());
        self.set.apply(self.kind, &mut members)?;
        // The values of --set must fit their fields.
        let made =
            record::ToWrap::from_members(&members).map_err(|error| error.exit(Exit::Usage))?;
        let mut record = Record::new(self.kind.name);
        for (name, value) in members {
            record = record.with(&name, value);
        }
        // A template is JSON; --output hex gives the bytes of the message.
        let bare = record::from_message(self.kind, &made.payload);
        let wants_bytes = matches!(cx.format(), Format::Hex | Format::Raw);
        cx.emit(if wants_bytes { &bare } else { &record }, Record::to_text)
    }
}

/// List the types of payloads, with their fields
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-payload types --output text
  $ status-payload types pair")]
pub struct TypesCommand {
    /// Only this type
    #[arg(value_name = "TYPE", value_parser = parse_type, add = ArgValueCandidates::new(type_names))]
    kind: Option<&'static PayloadType>,
}

impl TypesCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        for kind in TYPES.iter().filter(|it| self.kind.is_none_or(|wanted| wanted == *it)) {
            let fields = kind.message.map_or(&[][..], |def| def.fields).iter().map(|field| {
                json!({
                    "number": field.number,
                    "name": field.name,
                    "type": type_of(field),
                })
            });
            let record = Record::new("payload_type")
                .with("number", kind.number)
                .with("name", kind.name)
                .with("since", kind.since)
                .with("fields", fields.collect::<Value>());
            let detailed = self.kind.is_some();
            cx.emit(&record, |record| {
                let head = format!("{:>3}  {:42} since {}", kind.number, kind.name, kind.since);
                let fields = record.members()["fields"].as_array().into_iter().flatten();
                let lines = fields.filter(|_| detailed).map(|field| {
                    let [name, of] = ["name", "type"].map(|it| field[it].as_str().unwrap_or(""));
                    format!("\n     {:>3}  {name:28} {of}", field["number"])
                });
                head + &lines.collect::<String>()
            })?;
        }
        Ok(())
    }
}

fn type_of(field: &FieldDef) -> String {
    let one = match &field.kind {
        FieldType::Uint64 => "uint64".to_owned(),
        FieldType::Int32 => "int32".to_owned(),
        FieldType::Bool => "bool".to_owned(),
        FieldType::String => "string".to_owned(),
        FieldType::Bytes => "bytes".to_owned(),
        FieldType::Message(def) => {
            let names: Vec<_> = def.fields.iter().map(|field| field.name).collect();
            format!("{} {{{}}}", def.name, names.join(", "))
        }
        FieldType::Enum(def) => {
            let names: Vec<_> =
                def.values.iter().map(|(number, name)| format!("{number} {name}")).collect();
            format!("{} ({})", def.name, names.join(", "))
        }
    };
    if field.repeated { format!("repeated {one}") } else { one }
}
