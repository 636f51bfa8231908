//! `status-eip ens read` and `verify`.

use clap::Args;
use statuskit_core::{account::ThreeWordName, crypto::PublicKey};
use statuskit_eip::eip137::resolver::{Answer, AnswerError, Question};

use super::parse_question;
use crate::{
    account::stream::{each_text, record},
    context::Context,
    eip::contenthash,
    error::{CliError, Exit, Result},
    keys::parse_public_key,
    output::{Record, hex0x},
};

const EXPECTED: &str = "answers of a node, one per line";

/// Read the answers to calls: hex, or what a node sent ({"result":…}); exit 1 if a record is unset
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip ens read addr 0x0000000000000000000000008e23ee67d1332ad560396262c48ffbb01f93d052
  $ status-eip ens read ttl 0x000000000000000000000000000000000000000000000000000000000000003c")]
pub struct ReadCommand {
    /// The record that was asked for: owner, resolver, ttl, addr, pubkey, contenthash, name, or
    /// text:KEY
    #[arg(value_name = "RECORD", value_parser = parse_question)]
    question: Question,
    /// The answers
    #[arg(value_name = "ANSWER")]
    answers: Vec<String>,
}

impl ReadCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        each_text(cx, &self.answers, EXPECTED, |cx, text, is_argument| {
            let bytes = answer_bytes(text, is_argument)?;
            let answer =
                self.question.read(&bytes).map_err(|error| answer_error(&error, is_argument))?;
            let (record, shown) = self.describe(&answer);
            if answer == Answer::Unset {
                cx.negative();
            }
            cx.collect(&record.with_raw(&bytes), |_| crate::output::escape(&shown))
        })
    }

    fn describe(&self, answer: &Answer) -> (Record, String) {
        let record = Record::new("ens_answer")
            .with("record", self.question.name())
            .with("set", *answer != Answer::Unset);
        match answer {
            Answer::Address(address) => {
                (record.with("address", address.to_string()), address.to_string())
            }
            Answer::Seconds(seconds) => (record.with("seconds", *seconds), seconds.to_string()),
            Answer::Text(text) => (record.with("text", text.as_str()), text.clone()),
            Answer::Pubkey(key) => {
                let record = record
                    .with("x", hex0x(key.x))
                    .with("y", hex0x(key.y))
                    .with("public_key", hex0x(key.to_uncompressed()))
                    .with("on_curve", key.key().is_some())
                    .with(
                        "three_words",
                        key.key().map(|key| ThreeWordName::from_key(&key).to_string()),
                    );
                (record, hex0x(key.to_uncompressed()))
            }
            Answer::Content(content) => {
                let inner = contenthash::record(content).members().clone();
                let record = record.with("uri", content.to_uri()).with("contenthash", inner);
                (record, content.to_uri())
            }
            _ => (record, "not set".to_owned()),
        }
    }
}

/// Check a chat key against the `pubkey` record of a name; exit 1 if it is another key, or none
///
/// The name in a message counts only if this holds: 04 and the two words of the answer must be the
/// author's key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ KEY=$(status-account show --identity me.key --output hex); status-eip ens verify $KEY 0x${KEY:4}")]
pub struct VerifyCommand {
    /// The author's chat key, in any form
    #[arg(value_name = "KEY")]
    key: String,
    /// The answer to `ens call pubkey` [default: from standard input]
    #[arg(value_name = "ANSWER")]
    answer: Option<String>,
}

impl VerifyCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let key = parse_public_key(&self.key, "KEY")?;
        let arguments: Vec<String> = self.answer.iter().cloned().collect();
        each_text(cx, &arguments, EXPECTED, |cx, text, is_argument| {
            let bytes = answer_bytes(text, is_argument)?;
            let answer =
                Question::Pubkey.read(&bytes).map_err(|error| answer_error(&error, is_argument))?;
            verify(cx, &key, &answer, &bytes)
        })
    }
}

fn verify(cx: &mut Context, key: &PublicKey, answer: &Answer, bytes: &[u8]) -> Result<()> {
    let found = match answer {
        Answer::Pubkey(record) => Some(record),
        _ => None,
    };
    let verified = found.is_some_and(|record| record.verifies(key));
    let registered = found.map(|record| hex0x(record.to_uncompressed()));
    let record = Record::new("ens_verification")
        .with("verified", verified)
        .with("public_key", key.to_string())
        .with("registered", registered.clone())
        .with_raw(bytes);
    if !verified {
        cx.negative();
    }
    cx.collect(&record, |_| match (verified, registered) {
        (true, _) => "verified".to_owned(),
        (false, Some(other)) => format!("NOT VERIFIED: the name is of {other}"),
        (false, None) => "NOT VERIFIED: the name has no key".to_owned(),
    })
}

/// Reads an answer: hex, or a response of JSON-RPC.
fn answer_bytes(text: &str, is_argument: bool) -> Result<Vec<u8>> {
    let exit = if is_argument { Exit::Usage } else { Exit::Malformed };
    let text = text.trim();
    let held;
    let digits = if text.starts_with('{') {
        let members = record(text)?;
        if let Some(error) = members.get("error").filter(|error| !error.is_null()) {
            let message = format!("the node answers with an error: {error}");
            return Err(CliError::new("ens.node_error", Exit::Negative, message).into());
        }
        let found = ["result", "raw"].iter().find_map(|name| members.get(*name)?.as_str());
        held = found.map(str::to_owned).ok_or_else(|| {
            CliError::new("record.member", Exit::Malformed, "the answer has no result")
                .field("result")
        })?;
        &held
    } else {
        text.trim_matches('"')
    };
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    hex::decode(digits).map_err(|error| {
        CliError::new("input.hex", exit, format!("the answer is not hexadecimal: {error}")).into()
    })
}

fn answer_error(error: &AnswerError, is_argument: bool) -> CliError {
    let exit = if is_argument { Exit::Usage } else { Exit::Malformed };
    let converted = CliError::new(error.code(), exit, error.to_string());
    match error.offset() {
        Some(offset) => converted.offset(offset),
        None => converted,
    }
}
