//! `status-payload check`: the rules of a receiver, one by one.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};
use statuskit_core::payload::{
    check::{self, Check, Receipt},
    legacy::LegacyMessage,
    types::type_name,
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    input::InputArgs,
    keys::{IdentityArgs, parse_public_key},
    output::{Record, escape},
    payload::{
        each_payload,
        record::{self, member_of, message_of},
    },
    text,
};
use statuskit_core::time::UnixSeconds;

/// Apply the checks of a receiver, one by one; exit 1 if a payload fails one
///
/// The envelope's time is --sent, else that of the message record, else now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-payload encode chat --set text=hi --set chat_id=status | status-payload check --output text
  $ ! status-payload encode chat --set text=' ' --set chat_id=status | status-payload check")]
pub struct CheckCommand {
    #[command(flatten)]
    inputs: InputArgs,
    /// When the envelope was sent, in UNIX seconds
    #[arg(long, value_name = "SECONDS")]
    sent: Option<u32>,
    /// The receiver's public key, to check messages that only our own devices may send [default:
    /// that of --identity]
    #[arg(long, value_name = "KEY")]
    me: Option<String>,
    /// Id of a known installation. Repeatable; without it, installations are not checked
    #[arg(long, value_name = "ID")]
    installation: Vec<String>,
    /// A public chat that is received: messages are checked as if they came in one. Repeatable
    #[arg(long, value_name = "NAME")]
    chat: Vec<String>,
    #[command(flatten)]
    identity: IdentityArgs,
}

impl CheckCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let me = match &self.me {
            Some(text) => Some(parse_public_key(text, "--me")?),
            None => self.identity.load()?.map(|key| key.public_key()),
        };
        each_payload(cx, &self.inputs, None, |cx, input, line| {
            if LegacyMessage::detect(&input.bytes).is_some() {
                let message = "a message of a client before 2020 (transit), which later clients \
                               do not read";
                return Err(CliError::new("payload.legacy", Exit::Negative, message)
                    .line(line)
                    .hint("status-payload decode shows it")
                    .into());
            }
            let wrapper = input.wrapper()?;
            let message = message_of(&wrapper)?;
            let sent = self.sent.map(UnixSeconds).or(input.sent).unwrap_or_else(|| cx.now());
            let receipt = Receipt {
                sent: sent.to_millis(),
                now: cx.now_ms(),
                author: wrapper.author().or(input.signer.as_ref()),
                me: me.as_ref(),
                installations: (!self.installation.is_empty()).then_some(&*self.installation),
                public_chats: (!self.chat.is_empty()).then_some(&*self.chat),
            };
            let mut checks = check::checks(&message, &receipt);
            checks.extend(check::losses(&message, &receipt));
            let fields = record::from_wrapper(&wrapper);
            let failed = checks.iter().find(|check| !check.pass);
            let record = Record::new("check")
                .with("payload_type", type_name(wrapper.kind()))
                .with("message_id", wrapper.message_id().to_string())
                .with("author", receipt.author.map(ToString::to_string))
                .with("sent", sent)
                .with("accepted", failed.is_none())
                .with("checks", checks.iter().map(|it| a_check(it, &fields)).collect::<Value>())
                .with_some("warnings", wrapper.has_high_s().then(|| json!([high_s()])))
                .with_raw(wrapper.raw());
            cx.emit(&record, check_text)?;
            if let Some(failed) = failed {
                cx.negative();
                let message = format!("a client refuses this payload: {}", failed.rejection);
                let error = CliError::new(failed.rejection.code(), Exit::Negative, message);
                cx.show(&error.field(failed.rejection.field()).line(line));
            }
            Ok(())
        })
    }
}

/// What everyone accepts, and should know of.
fn high_s() -> Value {
    json!({
        "code": "payload.high_s",
        "field": "signature",
        "rule": "the s of the signature is in the lower half: else the same message has two ids",
    })
}

fn a_check(check: &Check, fields: &Record) -> Value {
    let rejection = check.rejection;
    let members = fields.members();
    let found = members
        .get(&member_of(rejection.field()))
        .or_else(|| members.get(rejection.field()))
        .or_else(|| members.get("message").and_then(|it| it.get(rejection.field())));
    // Lists of events are long, and in the payload anyway.
    let found = found.filter(|it| !it.is_array());
    json!({
        "rule": rejection.rule(),
        "pass": check.pass,
        "code": rejection.code(),
        "field": rejection.field(),
        "found": found,
    })
}

fn check_text(record: &Record) -> String {
    let members = record.members();
    let verdict = if members["accepted"] == Value::Bool(true) { "accepted" } else { "REFUSED" };
    let [kind, id] = ["payload_type", "message_id"].map(|it| members[it].as_str().unwrap_or(""));
    let mut out = format!("{verdict}  {kind} {id}\n");
    for check in members["checks"].as_array().into_iter().flatten() {
        let mark = text::mark(check["pass"] == Value::Bool(true));
        let rule = check["rule"].as_str().unwrap_or_default();
        let found = match &check["found"] {
            Value::Null => String::new(),
            found => format!(": {}", escape(&found.to_string())),
        };
        let _ = writeln!(out, "  {mark} {rule}{found}");
    }
    for warning in members.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        let _ = writeln!(out, "  WARN {}", warning["rule"].as_str().unwrap_or_default());
    }
    out
}
