//! `status-eip ens call`.

use clap::Args;
use serde_json::json;
use statuskit_eip::{
    Address,
    eip137::{
        Name,
        resolver::{Question, REGISTRY},
    },
};

use super::{RulesArg, name_error, parse_question, subject};
use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    output::{Record, hex0x},
};

/// Make the call that asks for a record of a name, for eth_call of any node
///
/// First `resolver`, which the registry answers; then a record, which that resolver answers. The
/// member `request` is ready for curl.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip ens call resolver @alice
  $ status-eip ens call pubkey alice.stateofus.eth --to 0x5FfC014343cd971B7eb70732021E26C35B744cc4
  $ status-eip ens call text:url bob.eth --output hex
  $ status-eip ens call name 0x25f480D647E580a824A01672294D68bf3fF12c0d")]
pub struct CallCommand {
    /// The record: owner, resolver, ttl, addr, pubkey, contenthash, name, or text:KEY
    #[arg(value_name = "RECORD", value_parser = parse_question)]
    question: Question,
    /// The name; for the record `name`, an address
    #[arg(value_name = "NAME")]
    name: String,
    /// The contract to ask [default: the registry, for what it answers]
    #[arg(long, value_name = "ADDRESS")]
    to: Option<Address>,
    /// The rules of normalisation
    #[arg(long, value_enum, value_name = "RULES", default_value = "reference")]
    rules: RulesArg,
}

impl CallCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let name = Name::parse_by(&subject(&self.question, &self.name), self.rules.rules())
            .map_err(|error| name_error(&self.name, &error, Exit::Usage).field("NAME"))?;
        let data = self.question.call_data(&name.node()).map_err(|error| {
            CliError::new(error.kind.code(), Exit::Usage, error.to_string()).field("RECORD")
        })?;
        let registry = self.question.is_for_registry().then(|| REGISTRY.to_owned());
        let to = self.to.map(|address| address.to_string()).or(registry);
        let request = to.as_ref().map(|to| {
            json!({
                "jsonrpc": "2.0", "id": 1, "method": "eth_call",
                "params": [{ "to": to, "data": hex0x(&data) }, "latest"],
            })
        });
        let record = Record::new("ens_call")
            .with("record", self.question.name())
            .with("name", name.as_str())
            .with("node", hex0x(name.node()))
            .with("signature", self.question.declaration())
            .with("to", to)
            .with("data", hex0x(&data))
            .with("request", request)
            .with_raw(&data);
        cx.emit(&record, |_| hex0x(&data))
    }
}
