//! `status-payload sign`, `verify` and `id`.

use clap::Args;

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    input::InputArgs,
    keys::{IdentityArgs, parse_public_key},
    output::Record,
    payload::{
        each_payload,
        record::{self, ToWrap},
    },
};

/// Sign payloads with --identity, replacing any signature
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-payload encode chat --set text=hi --set chat_id=status | status-payload sign --identity me.key")]
pub struct SignCommand {
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    identity: IdentityArgs,
}

impl SignCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let key = self.identity.require()?;
        each_payload(cx, &self.inputs, None, |cx, input, _| {
            let wrapper = ToWrap::from_wrapper(&input.wrapper()?).wrap(Some(&key))?;
            cx.emit(&record::from_wrapper(&wrapper), Record::to_text)
        })
    }
}

/// Verify who signed payloads; exit 1 if one is unsigned, or signed by another key than --author
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-payload encode contact --identity me.key | status-payload verify --author $(status-account show --identity me.key --output hex)")]
pub struct VerifyCommand {
    #[command(flatten)]
    inputs: InputArgs,
    /// Public key of the expected author, in any format
    #[arg(long, value_name = "KEY")]
    author: Option<String>,
}

impl VerifyCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let expected = self.author.as_deref().map(|text| parse_public_key(text, "--author"));
        let expected = expected.transpose()?;
        each_payload(cx, &self.inputs, None, |cx, input, _| {
            let wrapper = input.wrapper()?;
            let author = wrapper.author();
            let valid = author.is_some() && expected.is_none_or(|key| author == Some(&key));
            let record = Record::new("verification")
                .with("message_id", wrapper.message_id().to_string())
                .with("author", author.map(ToString::to_string))
                .with("valid", valid)
                .with_raw(wrapper.raw());
            cx.emit(&record, |_| match (valid, author) {
                (true, Some(author)) => format!("valid: signed by {author}"),
                (_, Some(author)) => format!("NOT VALID: signed by {author}"),
                (_, None) => "NOT VALID: not signed".to_owned(),
            })?;
            let refused = |code, message: String| CliError::new(code, Exit::Negative, message);
            match author {
                _ if valid => Ok(()),
                None => {
                    Err(refused("payload.unsigned", "the payload is not signed".to_owned()).into())
                }
                Some(author) => {
                    let message = format!("the payload was signed by {author}");
                    Err(refused("signature.other_key", message).into())
                }
            }
        })
    }
}

/// Print the message ids of payloads: Keccak-256 of the author's key and the bytes as transported
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-payload encode contact --identity me.key --now 1585500000 | status-payload id --output text")]
pub struct IdCommand {
    #[command(flatten)]
    inputs: InputArgs,
}

impl IdCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        each_payload(cx, &self.inputs, None, |cx, input, _| {
            let wrapper = input.wrapper()?;
            let id = wrapper.message_id();
            let record = Record::new("message_id")
                .with("message_id", id.to_string())
                .with("author", wrapper.author().map(ToString::to_string))
                .with_raw(&id.0);
            cx.emit(&record, |_| id.to_string())
        })
    }
}
