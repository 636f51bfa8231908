//! `status-payload decode`.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::json;
use statuskit_core::{
    payload::{PayloadMessage, PayloadType, Wrapper, legacy::LegacyMessage},
    sync::{SyncMessage, SyncMessageId, SyncPayload},
};

use crate::{
    context::Context,
    error::Result,
    input::InputArgs,
    output::{Record, hex0x},
    payload::{
        each_payload, parse_type, payload_error,
        record::{self, message_of},
        type_names,
    },
};

/// Decode payloads from hex, base64, binary, or records of any tool
///
/// Unknown fields are listed in unknown_fields. Data sync payloads are decoded, too, and the
/// payloads in them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-payload encode chat --set text=hi --set chat_id=status --output hex | status-payload decode --output text
  $ echo 0x08011a026869 | status-payload decode --as chat")]
pub struct DecodeCommand {
    #[command(flatten)]
    inputs: InputArgs,
    /// Decode a bare message of this type, without a wrapper
    #[arg(long = "as", value_name = "TYPE", value_parser = parse_type, add = ArgValueCandidates::new(type_names))]
    kind: Option<&'static PayloadType>,
}

impl DecodeCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        each_payload(cx, &self.inputs, self.kind, |cx, input, _| {
            if let Some(kind) = self.kind {
                PayloadMessage::decode(kind.number, &input.bytes)
                    .map_err(|error| payload_error(&error))?;
                return cx.emit(&record::from_message(kind, &input.bytes), Record::to_text);
            }
            let Some(payload) = SyncPayload::detect(&input.bytes) else {
                return decode(cx, &input.bytes);
            };
            cx.emit(&from_data_sync(&payload, &input.bytes), Record::to_text)?;
            let bodies = payload.messages.iter().map(SyncMessage::body);
            let strays = payload.strays.iter().map(|stray| &*stray.body);
            bodies.chain(strays).try_for_each(|body| decode(cx, body))
        })
    }
}

fn decode(cx: &mut Context, bytes: &[u8]) -> Result<()> {
    if let Some(legacy) = LegacyMessage::detect(bytes) {
        return cx.emit(&record::from_legacy(&legacy, bytes), Record::to_text);
    }
    let wrapper = Wrapper::decode(bytes).map_err(|error| payload_error(&error))?;
    cx.emit(&record::from_wrapper(&wrapper), Record::to_text)?;
    message_of(&wrapper)?;
    Ok(())
}

fn from_data_sync(payload: &SyncPayload, bytes: &[u8]) -> Record {
    let ids = |ids: &[SyncMessageId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let messages = payload.messages.iter().map(|message| {
        json!({
            "id": message.id().to_string(),
            "group_id": message.group_id().to_string(),
            "timestamp": message.timestamp(),
            "body": hex0x(message.body()),
        })
    });
    let strays = payload.strays.iter().map(
        |stray| json!({ "id": stray.id.to_string(), "group_id": null, "body": hex0x(&stray.body) }),
    );
    Record::new("data_sync")
        .with("acks", ids(&payload.acks))
        .with("offers", ids(&payload.offers))
        .with("requests", ids(&payload.requests))
        .with("messages", messages.chain(strays).collect::<Vec<_>>())
        .with("malformed", payload.malformed)
        .with_raw(bytes)
}
