//! `status-inspect redact`: records and bytes that can be shown to strangers.

use clap::Args;
use rand::Rng as _;
use statuskit_core::reader;
use statuskit_inspect::redact::{LIMITS, Redactor};

use crate::{
    context::Context,
    error::Result,
    input::{Content, InputArgs, Inputs},
    output::{Record, hex0x},
};

/// Take texts, names and keys out of records and bytes, for a bug report
///
/// Letters become x and digits 0; hex becomes other hex, the same for the same value within a run.
/// Lengths, punctuation, types, codes, numbers and times stay. Payloads that are not encrypted are
/// written again with the same lengths. Read what comes out before you show it: notes say what can't
/// be promised.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo '{\"type\":\"text\",\"text\":\"Hi, Anna\"}' | status-inspect redact
  $ status-envelope seal hi --chat status | status-inspect redact --ciphertext")]
pub struct RedactArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Replace ciphertext as well: the length stays, nobody can open it
    #[arg(long)]
    ciphertext: bool,
}

pub fn run(args: &RedactArgs, cx: &mut Context) -> Result<()> {
    let mut key = [0; 32];
    cx.rng("redact")?.fill_bytes(&mut key);
    let redactor = Redactor::new(key, args.ciphertext);
    for limit in LIMITS {
        cx.note(limit);
    }
    let wants = reader::Wants::any_bytes();
    let mut inputs: Inputs = args.input.open(wants, false)?;
    let mut any = false;
    while let Some(item) = inputs.next()? {
        any = true;
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                cx.report(error)?;
                continue;
            }
        };
        cx.note_taken(&item);
        let record = match &item.content {
            Content::Record(members) => Record::from_members(redactor.record(members)),
            Content::Bytes(bytes) => {
                let redacted = redactor.bytes(bytes);
                Record::new("redacted")
                    .with("kind", redacted.kind)
                    .with("readable", redacted.is_readable)
                    .with("raw", hex0x(&redacted.bytes))
            }
        };
        cx.emit(&record, Record::to_text)?;
    }
    if any { Ok(()) } else { Err(crate::empty_input("records or bytes")) }
}
