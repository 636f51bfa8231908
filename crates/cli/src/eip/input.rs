//! Input of the commands: arguments, or standard input.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use statuskit_core::reader::Wants;

use crate::{
    context::{Context, announce_terminal},
    error::{CliError, Exit, Result},
    input::{Content, Item, MAX_INPUT, each_item},
    lines::Lines,
    records::hex_member,
};

/// The longest JSON document.
const MAX_JSON: usize = 4 << 20;

/// Calls `work` for each argument in hex, or for each item of standard input if there are none: hex
/// and binary, or the first of these members of a record.
pub fn each_bytes(
    cx: &mut Context,
    arguments: &[String],
    members: &[&str],
    expected: &str,
    mut work: impl FnMut(&mut Context, &[u8]) -> Result<()>,
) -> Result<()> {
    for argument in arguments {
        let digits = argument.strip_prefix("0x").unwrap_or(argument);
        let bytes = hex::decode(digits).map_err(|error| {
            let message = format!("not hexadecimal: {error}");
            CliError::new("input.hex", Exit::Usage, message)
        })?;
        work(cx, &bytes)?;
    }
    if !arguments.is_empty() {
        return Ok(());
    }
    each_item(cx, Wants::any_bytes(), expected, |cx, item| work(cx, &bytes_of(item, members)?))
}

fn bytes_of(item: &Item, members: &[&str]) -> Result<Vec<u8>> {
    match &item.content {
        Content::Bytes(bytes) => Ok(bytes.clone()),
        Content::Record(record) => {
            let name = members.iter().find(|name| record.contains_key(**name));
            let name = name.or(members.first()).copied().unwrap_or("raw");
            Ok(hex_member(record, name)?)
        }
    }
}

/// Calls `work` for each line of standard input as JSON.
pub fn each_json(
    cx: &mut Context,
    expected: &str,
    mut work: impl FnMut(&mut Context, Json) -> Result<()>,
) -> Result<()> {
    let mut lines = Lines::from_stdin();
    let mut any = false;
    while let Some(line) = lines.next()? {
        let done = match line {
            Ok(text) if text.trim().is_empty() => continue,
            Ok(text) => parse_json(text.as_bytes()).and_then(|json| work(cx, json)),
            Err(error) => Err(error.into()),
        };
        any = true;
        crate::absorb(cx, done, lines.number())?;
    }
    if any { Ok(()) } else { Err(crate::empty_input(expected)) }
}

/// Reads a JSON document from a file, or from standard input.
pub fn read_json(path: Option<&PathBuf>, expected: &str) -> Result<Json> {
    let bytes = read_all(path, MAX_JSON)?;
    if bytes.trim_ascii().is_empty() {
        return Err(crate::empty_input(expected));
    }
    parse_json(&bytes)
}

/// Reads a whole file, or standard input.
pub fn read_all(path: Option<&PathBuf>, limit: usize) -> Result<Vec<u8>> {
    let limit = limit.min(MAX_INPUT);
    let mut bytes = Vec::new();
    let read = match path {
        Some(path) if path != Path::new("-") => {
            File::open(path).and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        }
        _ => {
            announce_terminal("reading from the terminal; end with Ctrl-D");
            io::stdin().lock().take(limit as u64 + 1).read_to_end(&mut bytes)
        }
    };
    read.map_err(|error| {
        CliError::new("file.read", Exit::Local, format!("can't read the input: {error}"))
    })?;
    if bytes.len() > limit {
        let message = format!("more than {} MiB", limit >> 20);
        return Err(CliError::new("input.too_long", Exit::Malformed, message).into());
    }
    Ok(bytes)
}

fn parse_json(bytes: &[u8]) -> Result<Json> {
    Ok(serde_json::from_slice(bytes).map_err(|error| {
        CliError::new("input.json", Exit::Malformed, format!("not JSON: {error}"))
            .offset(error.column().saturating_sub(1))
    })?)
}
