//! Generates the tables of messages and fields from the definitions.

use std::fmt::Write as _;

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

/// Returns the Rust source of the table.
pub fn table(file: &FileDescriptorProto) -> String {
    let package = format!(".{}.", file.package());
    let mut out = String::new();
    for message in &file.message_type {
        write_message(&mut out, &package, message.name(), message);
        for inner in &message.enum_type {
            write_enum(&mut out, &format!("{}_", message.name()), inner);
        }
        for inner in &message.nested_type {
            let is_map = inner.options.as_ref().is_some_and(|options| options.map_entry());
            assert!(is_map, "messages stand beside each other");
            let name = format!("{}_{}", message.name(), inner.name());
            write_message(&mut out, &package, &name, inner);
        }
    }
    for inner in &file.enum_type {
        write_enum(&mut out, "", inner);
    }
    let enums = if out.contains("EnumDef") { "EnumDef, " } else { "" };
    format!(
        "// This file is @generated from the definitions: see tests/generated.rs.\n\
         use crate::protobuf::{{{enums}FieldDef, FieldType, MessageDef}};\n{out}"
    )
}

fn write_message(out: &mut String, package: &str, constant_of: &str, message: &DescriptorProto) {
    let name = message.name();
    let _ = writeln!(out, "pub static {}: MessageDef = MessageDef {{", constant(constant_of));
    let _ = writeln!(out, "    name: {name:?},\n    fields: &[");
    let mut fields: Vec<_> = message.field.iter().collect();
    fields.sort_by_key(|field| field.number());
    for field in fields {
        let oneof = field.oneof_index.map(|at| message.oneof_decl[at as usize].name());
        let _ = writeln!(
            out,
            "        FieldDef {{ number: {}, name: {:?}, kind: {}, repeated: {}, oneof: {oneof:?} }},",
            field.number(),
            field.name(),
            kind(package, field),
            field.label() == Label::Repeated,
        );
    }
    let is_entry = message.options.as_ref().is_some_and(|options| options.map_entry());
    let _ = writeln!(out, "    ],\n    is_entry: {is_entry},\n}};");
}

fn kind(package: &str, field: &FieldDescriptorProto) -> String {
    let named = || constant(&field.type_name().trim_start_matches(package).replace('.', "_"));
    match field.r#type() {
        // Payload messages don't use these two, so the wire type is enough.
        Type::Uint64 | Type::Int64 | Type::Uint32 => "FieldType::Uint64".to_owned(),
        Type::Int32 => "FieldType::Int32".to_owned(),
        Type::Bool => "FieldType::Bool".to_owned(),
        Type::String => "FieldType::String".to_owned(),
        Type::Bytes => "FieldType::Bytes".to_owned(),
        Type::Enum => format!("FieldType::Enum(&{})", named()),
        Type::Message => format!("FieldType::Message(&{})", named()),
        other => panic!("{}: no field of the table has type {other:?}", field.name()),
    }
}

fn write_enum(out: &mut String, outer: &str, inner: &EnumDescriptorProto) {
    let name = constant(&format!("{outer}{}", inner.name()));
    let _ = writeln!(out, "pub static {name}: EnumDef = EnumDef {{");
    let _ = writeln!(out, "    name: {:?},\n    values: &[", inner.name());
    for value in &inner.value {
        let _ =
            writeln!(out, "        ({}, {:?}),", value.number(), value.name().to_ascii_lowercase());
    }
    out.push_str("    ],\n};\n");
}

/// Converts `ChatMessage` to `CHAT_MESSAGE`.
fn constant(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 && !out.ends_with('_') {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}
