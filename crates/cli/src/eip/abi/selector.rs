//! `status-eip abi selector`.

use clap::Args;
use statuskit_eip::{
    abi::{Event, Function},
    known,
};

use crate::{
    context::Context,
    eip::abi::decode::signature_error,
    error::{CliError, Exit, Result},
    output::{Record, hex0x},
};

/// Show the selectors of functions, the topics of events, or the known function with a selector
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip abi selector 'transfer(address,uint256)' 'function ownerOf(uint id) view returns (address)'
  $ status-eip abi selector 'event Transfer(address indexed from, address indexed to, uint256 value)'
  $ status-eip abi selector 0xa9059cbb")]
pub struct SelectorCommand {
    /// Signatures of functions, such as 'transfer(address,uint256)'; events with the word event in
    /// front; selectors or topics in 0x hex
    #[arg(value_name = "SIGNATURE", required = true)]
    signatures: Vec<String>,
}

impl SelectorCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        for text in &self.signatures {
            if let Some(digits) = text.strip_prefix("0x") {
                if let Err(error) = find(cx, digits) {
                    crate::absorb(cx, Err(error), 1)?;
                }
            } else if text.trim_start().starts_with("event ") {
                let event: Event =
                    text.parse().map_err(|error| signature_error(&error, "SIGNATURE"))?;
                emit_event(cx, &event)?;
            } else {
                let function: Function =
                    text.parse().map_err(|error| signature_error(&error, "SIGNATURE"))?;
                emit_function(cx, &function)?;
            }
        }
        Ok(())
    }
}

/// Shows the known functions or events with a selector or topic.
fn find(cx: &mut Context, digits: &str) -> Result<()> {
    let bytes = hex::decode(digits).unwrap_or_default();
    let mut found = false;
    if let Ok(selector) = <[u8; 4]>::try_from(&*bytes) {
        for known in known::functions_by_selector(selector) {
            found = true;
            emit_function(cx, &known.item)?;
        }
    } else if let Ok(topic) = <[u8; 32]>::try_from(&*bytes) {
        for known in known::events_by_topic(topic) {
            found = true;
            emit_event(cx, &known.item)?;
        }
    } else {
        let message = "a selector is 4 bytes, a topic 32: 0x and 8 or 64 hex digits";
        return Err(CliError::usage(message).field("SIGNATURE").into());
    }
    if found {
        return Ok(());
    }
    let message = format!("{} is not known", hex0x(bytes));
    Err(CliError::new("abi.unknown", Exit::Negative, message).into())
}

fn emit_function(cx: &mut Context, function: &Function) -> Result<()> {
    let selector = function.selector();
    let standards: Vec<_> = known::functions_by_selector(selector).map(|it| it.standard).collect();
    let record = Record::new("abi_selector")
        .with("signature", function.to_string())
        .with("selector", hex0x(selector))
        .with("standards", standards)
        .with_raw(&selector);
    cx.emit(&record, |_| format!("{} {function}", hex0x(selector)))
}

fn emit_event(cx: &mut Context, event: &Event) -> Result<()> {
    let topic = event.topic();
    let standards: Vec<_> = known::events_by_topic(topic)
        .filter(|it| it.item.topic_count() == event.topic_count())
        .map(|it| it.standard)
        .collect();
    let record = Record::new("abi_topic")
        .with("signature", event.to_string())
        .with("topic", hex0x(topic))
        .with("standards", standards)
        .with_raw(&topic);
    cx.emit(&record, |_| format!("{} {event}", hex0x(topic)))
}
