//! `status-inspect --short`: envelopes as a list, one line each.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use statuskit_core::{
    chat::KeyRing,
    crypto::keccak::keccak256_many,
    envelope::{Envelope, EnvelopeHash},
    text::escape,
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    output::{Format, Record},
};

/// The longest line.
const MAX_LINE: usize = 4 << 20;
/// Envelopes that are hashed at once.
const BATCH: usize = 64;
/// Bytes that are read at once.
const READ: usize = 256 << 10;

/// What is read of a record. All else is passed over.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    raw: Option<&'a str>,
}

/// Lists the envelopes of files, or of standard input: hex, or records with a member `raw`.
pub fn run(inputs: &[String], ring: &KeyRing, opens: bool, cx: &mut Context) -> Result<()> {
    let lister = Lister { ring, opens };
    if inputs.is_empty() {
        return lister.list(BufReader::with_capacity(READ, io::stdin().lock()), cx);
    }
    for input in inputs {
        if !Path::new(input).is_file() {
            lister.list(input.as_bytes(), cx)?;
            continue;
        }
        let file = File::open(input).map_err(|error| {
            let message = format!("can't read {input}: {error}");
            CliError::new("file.read", Exit::Local, message).field("INPUT")
        })?;
        lister.list(BufReader::with_capacity(READ, file), cx)?;
    }
    Ok(())
}

struct Lister<'a> {
    ring: &'a KeyRing,
    opens: bool,
}

impl Lister<'_> {
    fn list(&self, mut input: impl BufRead, cx: &mut Context) -> Result<()> {
        let (mut line, mut bytes, mut out) = (Vec::new(), Vec::new(), Vec::new());
        let mut batch = Vec::with_capacity(BATCH);
        let mut any = false;
        for number in 1.. {
            line.clear();
            let read = (&mut input).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
            let read = read.map_err(|error| {
                CliError::new("file.read", Exit::Local, format!("can't read the input: {error}"))
            })?;
            if read == 0 {
                break;
            }
            if line.len() > MAX_LINE {
                let message = format!("a line of more than {} MiB", MAX_LINE >> 20);
                let error = CliError::new("input.too_long", Exit::Malformed, message);
                return Err(error.line(number).into());
            }
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            any = true;
            match envelope(text, &mut bytes) {
                Ok(envelope) => batch.push(envelope),
                Err(error) => {
                    self.show_all(&mut batch, cx, &mut out)?;
                    cx.write_lines(&mut out)?;
                    cx.report(error.line(number))?;
                }
            }
            // What is not followed by another line already must not wait for it.
            let waits = !input.fill_buf().is_ok_and(|rest| rest.contains(&b'\n'));
            if waits || batch.len() >= BATCH {
                self.show_all(&mut batch, cx, &mut out)?;
            }
            if waits || out.len() >= READ {
                cx.write_lines(&mut out)?;
            }
        }
        self.show_all(&mut batch, cx, &mut out)?;
        cx.write_lines(&mut out)?;
        if any { Ok(()) } else { Err(crate::empty_input("envelopes")) }
    }

    /// Lists envelopes, and empties the batch.
    fn show_all(
        &self,
        batch: &mut Vec<Envelope>,
        cx: &mut Context,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let raw: Vec<_> = batch.iter().map(Envelope::raw).collect();
        let hashes = keccak256_many(&raw);
        for (envelope, hash) in batch.drain(..).zip(hashes) {
            self.show(&envelope, EnvelopeHash(hash), cx, out)?;
        }
        Ok(())
    }

    fn show(
        &self,
        envelope: &Envelope,
        hash: EnvelopeHash,
        cx: &mut Context,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let topic = envelope.topic();
        let opened = self.opens.then(|| self.ring.open(envelope).ok()).flatten();
        let source = match &opened {
            Some(opened) => Some(opened.source.to_string()),
            None => self.ring.sources(topic).next().map(ToString::to_string),
        };
        if cx.format() == Format::Json && !self.opens {
            // By hand, since this is what the time goes into.
            out.extend_from_slice(
                b"{\"type\":\"listed\",\"kind\":\"whisper.envelope\",\"topic\":\"0x",
            );
            push_hex(out, &topic.0);
            out.extend_from_slice(b"\",\"key\":");
            match source {
                Some(source) => {
                    out.extend_from_slice(crate::output::json_line(&source).as_bytes());
                }
                None => out.extend_from_slice(b"null"),
            }
            out.extend_from_slice(b",\"hash\":\"0x");
            push_hex(out, &hash.0);
            out.extend_from_slice(b"\"}\n");
            return Ok(());
        }
        let mut record = Record::new("listed")
            .with("kind", "whisper.envelope")
            .with("topic", topic.to_string())
            .with("key", source)
            .with("hash", hash.to_string());
        if self.opens {
            let message = opened.as_ref().map(|opened| &opened.message);
            let signer = message.and_then(|message| message.signed.as_ref());
            record = record
                .with("opened", message.is_some())
                .with("signer", signer.map(|(_, key)| key.to_string()))
                .with("length", message.map(|message| message.payload.len()));
        }
        let key = record.members().get("key").and_then(|key| key.as_str()).unwrap_or("no key");
        let line = format!("{topic} {hash} {}\n", escape(key));
        out.extend(cx.render(&record, |_| line)?);
        Ok(())
    }
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// Reads the envelope of a line.
fn envelope(line: &[u8], bytes: &mut Vec<u8>) -> std::result::Result<Envelope, CliError> {
    let malformed = |message: String| CliError::new("input.hex", Exit::Malformed, message);
    let digits = if line.starts_with(b"{") {
        let read: Line<'_> = serde_json::from_slice(line)
            .map_err(|error| malformed(format!("no record with a member `raw`: {error}")))?;
        let raw = read.raw.ok_or_else(|| malformed("the record has no member `raw`".to_owned()))?;
        raw.as_bytes()
    } else {
        line
    };
    let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
    let no_hex = || malformed(format!("{} characters that are no hex", digits.len()));
    bytes.resize(HEXLOWER_PERMISSIVE.decode_len(digits.len()).map_err(|_| no_hex())?, 0);
    // Five times as fast as the reading of hex elsewhere.
    HEXLOWER_PERMISSIVE.decode_mut(digits, bytes).map_err(|_| no_hex())?;
    Envelope::decode(bytes).map_err(|error| {
        let message = format!("{} bytes that are no envelope: {error}", bytes.len());
        CliError::new(error.kind.code(), Exit::Malformed, message)
    })
}
