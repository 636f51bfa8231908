//! `status-payload encode`.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use statuskit_core::{crypto::SecretKey, payload::PayloadType};

use crate::{
    absorb,
    context::Context,
    empty_input,
    error::{CliError, Exit, Result, Stop},
    input::{Item, stdin_items},
    keys::IdentityArgs,
    output::Record,
    payload::{
        parse_type,
        record::{self, ToWrap},
        template::{self, SetArgs},
        type_names,
    },
};

/// Encode payloads from JSON records on standard input, or one from flags
///
/// A record printed by `decode` is encoded to the same bytes. With --identity, payloads are signed.
/// Without, they keep their signature, if they have one; the author of an unsigned payload is the
/// signer of its envelope.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-payload encode chat --set text=hi --set chat_id=status --identity me.key
  $ status-payload template contact | status-payload encode --set ens_name=bob.eth --output hex
  $ status-payload encode chat --set text=look --set content_type=sticker --set sticker.hash=e3010170 --set chat_id=status")]
pub struct EncodeCommand {
    /// Encode a message of this type from --set alone, with the current time and clock. Without
    /// it, records are read
    #[arg(value_name = "TYPE", value_parser = parse_type, add = ArgValueCandidates::new(type_names))]
    kind: Option<&'static PayloadType>,
    #[command(flatten)]
    set: SetArgs,
    /// Omit the signature of a record
    #[arg(long, conflicts_with = "identity")]
    unsigned: bool,
    /// Print the message alone, without a wrapper
    #[arg(long)]
    bare: bool,
    #[command(flatten)]
    identity: IdentityArgs,
}

impl EncodeCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let identity = if self.unsigned || self.bare { None } else { self.identity.load()? };
        if let Some(kind) = self.kind {
            let mut members = template::members(kind, cx.now_ms());
            self.set.apply(kind, &mut members)?;
            let made = ToWrap::from_members(&members).map_err(|error| error.exit(Exit::Usage))?;
            self.note_unsigned(&made, identity.as_ref(), cx);
            return self.emit(made, identity.as_ref(), cx);
        }
        let mut items = stdin_items(super::wanted(None), false);
        let mut any = false;
        while let Some(item) = items.next()? {
            let read = item.and_then(|item| {
                cx.note_taken(&item);
                Ok((self.read(&item)?, item.line))
            });
            match read {
                Err(error) => cx.report(error)?,
                Ok((made, line)) => {
                    if !any {
                        self.note_unsigned(&made, identity.as_ref(), cx);
                    }
                    let done = self.emit(made, identity.as_ref(), cx);
                    absorb(cx, done, line)?;
                }
            }
            any = true;
        }
        if any { Ok(()) } else { Err(empty_input("records of payloads")) }
    }

    fn read(&self, item: &Item) -> std::result::Result<ToWrap, CliError> {
        ToWrap::from_item(item, |members| {
            let kind = members.get("type").and_then(|it| it.as_str());
            match kind.and_then(PayloadType::from_name) {
                Some(kind) => self.set.apply(kind, members).map_err(|stop| match stop {
                    Stop::Error(error) => error,
                    _ => CliError::usage("--set"),
                }),
                None => Ok(()),
            }
        })
    }

    fn emit(&self, mut made: ToWrap, key: Option<&SecretKey>, cx: &mut Context) -> Result<()> {
        if self.bare {
            let kind = PayloadType::from_number(made.kind);
            let record = kind.map_or_else(
                || Record::new("bytes").with_raw(&made.payload),
                |kind| record::from_message(kind, &made.payload),
            );
            return cx.emit(&record, Record::to_text);
        }
        if self.unsigned {
            made.unsign();
        }
        let wrapper = made.wrap(key)?;
        cx.emit(&record::from_wrapper(&wrapper), Record::to_text)
    }

    fn note_unsigned(&self, made: &ToWrap, key: Option<&SecretKey>, cx: &Context) {
        if key.is_none() && made.is_unsigned() && !self.bare && !self.unsigned {
            cx.note("no --identity given; the payload is not signed");
        }
    }
}
