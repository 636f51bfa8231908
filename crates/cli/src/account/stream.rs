//! Keys from arguments or from a stream: texts, records of any tool, or binary.

use std::io::{self, IsTerminal as _};

use data_encoding::BASE64;
use serde_json::{Map, Value};
use statuskit_core::{crypto::PublicKey, text::json_reason};

use crate::{
    account::card::no_key,
    context::Context,
    error::{CliError, Exit, Result, Stop},
    input::MAX_INPUT,
    keys::{IdentityArgs, parse_public_key, public_key},
    lines::Lines,
};

/// The members of records that contain a key, in order of preference.
const MEMBERS: [&str; 4] = ["public_key", "compressed", "signer", "author"];

/// Calls `work` for each argument, or for each key on standard input if there are none. Results
/// that `work` collects are written when the input pauses.
pub fn each_key(
    cx: &mut Context,
    arguments: &[String],
    mut work: impl FnMut(&mut Context, &PublicKey) -> Result<()>,
) -> Result<()> {
    each_text(cx, arguments, "keys, one per line", |cx, text, is_argument| {
        let key = if is_argument { parse_public_key(text, "KEY")? } else { key_of(text)? };
        work(cx, &key)
    })
}

/// Runs `given` on the arguments or standard input; `own` if there is nothing in them and the
/// environment or the profile names an identity.
pub fn or_own(
    cx: &mut Context,
    arguments: &[String],
    identity: &IdentityArgs,
    own: impl FnOnce(&mut Context) -> Result<()>,
    given: impl FnOnce(&mut Context) -> Result<()>,
) -> Result<()> {
    if !arguments.is_empty() || !identity.is_given()? {
        return given(cx);
    }
    if io::stdin().is_terminal() {
        return own(cx);
    }
    match given(cx) {
        Err(Stop::Error(error)) if error.code == "input.empty" => own(cx),
        ended => ended,
    }
}

/// Calls `work` for each text instead of each key, and whether it is an argument. Binary keys are
/// passed as hex.
pub fn each_text(
    cx: &mut Context,
    arguments: &[String],
    expected: &str,
    mut work: impl FnMut(&mut Context, &str, bool) -> Result<()>,
) -> Result<()> {
    if !arguments.is_empty() {
        return arguments.iter().try_for_each(|argument| work(cx, argument, true));
    }
    let mut lines = Lines::from_stdin();
    let mut any = false;
    if lines.is_binary()? {
        let bytes = lines.rest(MAX_INPUT)?;
        for (number, key) in (1..).zip(split_binary(&bytes)) {
            let done = work(cx, &hex::encode(key), false);
            super::super::absorb(cx, done, number)?;
        }
        return cx.flush();
    }
    loop {
        if lines.is_waiting() {
            cx.flush()?;
        }
        let done = match lines.next()? {
            None => break,
            Some(Ok(text)) if text.trim().is_empty() => continue,
            Some(Ok(text)) if text.trim() == "{" => match whole_record(&mut lines, text)? {
                Ok(text) => work(cx, &text, false),
                Err(error) => Err(error.into()),
            },
            Some(Ok(text)) => work(cx, &text, false),
            Some(Err(error)) => Err(error.into()),
        };
        any = true;
        super::super::absorb(cx, done, lines.number())?;
    }
    cx.flush()?;
    if any { Ok(()) } else { Err(super::super::empty_input(expected)) }
}

/// Reads a JSON object that other programs printed over several lines; `text` is the first.
fn whole_record(
    lines: &mut Lines,
    mut text: String,
) -> Result<std::result::Result<String, CliError>> {
    /// Much more than such a record has.
    const MAX_LINES: usize = 1000;
    for _ in 0..MAX_LINES {
        let parsed: serde_json::Result<serde::de::IgnoredAny> = serde_json::from_str(&text);
        if parsed.is_ok() {
            return Ok(Ok(text));
        }
        match lines.next()? {
            None => break,
            Some(Err(error)) => return Ok(Err(error)),
            Some(Ok(line)) => {
                text.push('\n');
                text.push_str(&line);
            }
        }
    }
    let message = "the JSON record that begins here does not end";
    Ok(Err(CliError::new("input.json", Exit::Malformed, message)))
}

/// Splits consecutive keys of 65 or 33 bytes; remaining bytes are a key of their own.
fn split_binary(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut keys = Vec::new();
    while let Some(first) = bytes.first() {
        let length = if *first == 4 { 65 } else { 33 };
        let (key, rest) = bytes.split_at(length.min(bytes.len()));
        keys.push(key);
        bytes = rest;
    }
    keys
}

/// Reads the key on a line: its text, base64 of its bytes, or a record with a key.
pub fn key_of(text: &str) -> std::result::Result<PublicKey, CliError> {
    let text = text.trim();
    if text.starts_with('{') {
        return key_of_record(&record(text)?);
    }
    public_key(text).or_else(|error| {
        let decoded = BASE64.decode(text.as_bytes()).ok();
        decoded.and_then(|bytes| PublicKey::from_slice(&bytes).ok()).ok_or(error)
    })
}

/// Reads a record.
pub fn record(text: &str) -> std::result::Result<Map<String, Value>, CliError> {
    serde_json::from_str(text).map_err(|error| {
        let reason = json_reason(&error);
        CliError::new("input.json", Exit::Malformed, format!("not a JSON record: {reason}"))
            .offset(error.column().saturating_sub(1))
    })
}

fn key_of_record(members: &Map<String, Value>) -> std::result::Result<PublicKey, CliError> {
    let found = MEMBERS.iter().find_map(|name| Some((*name, members.get(*name)?.as_str()?)));
    let (name, text) = found.ok_or_else(no_key)?;
    public_key(text).map_err(|error| error.field(name))
}
