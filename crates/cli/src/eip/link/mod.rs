//! `status-eip link`: EIP-681, EIP-831, and EIP-67.

mod make;
mod parse;
mod request;
mod transaction;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use statuskit_eip::{
    Address,
    eip681::{LinkError, PaymentLink, client::ClientLink},
};

use crate::{
    context::Context,
    error::{CliError, Result},
    output::{Record, hex0x},
};

/// Links that ask for a payment or a call (EIP-681, EIP-831, EIP-67)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip link parse 'ethereum:0x89205a3a3b2a69de6dbf7f01ed13b2108b2c43e7@1?value=1e18'
  $ status-eip link make --to pay.bob.eth --value 0.5ether --output text")]
pub struct LinkCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Parse(parse::ParseCommand),
    Make(make::MakeCommand),
    Request(request::RequestCommand),
    Transaction(transaction::TransactionCommand),
}

impl LinkCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::Parse(command) => command.run(cx),
            Command::Make(command) => command.run(cx),
            Command::Request(command) => command.run(cx),
            Command::Transaction(command) => command.run(cx),
        }
    }
}

/// The members of records that hold a link.
const MEMBERS: [&str; 3] = ["link", "uri", "text"];
const EXPECTED: &str = "links, one per line";

/// Addresses of names, from the command line.
#[derive(Debug, Clone, Args)]
struct ResolveArgs {
    /// The address of a name in the link, as `ens read addr` prints it. Repeatable
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = parse_resolved)]
    resolve: Vec<(String, Address)>,
}

fn parse_resolved(text: &str) -> std::result::Result<(String, Address), String> {
    let (name, address) = text.split_once('=').ok_or("expected NAME=ADDRESS")?;
    let address =
        address.parse().map_err(|error: statuskit_eip::AddressError| error.to_string())?;
    Ok((name.to_owned(), address))
}

impl ResolveArgs {
    fn find(&self, name: &str) -> Option<Address> {
        let same = |known: &str| known.eq_ignore_ascii_case(name);
        self.resolve.iter().find(|(known, _)| same(known)).map(|(_, address)| *address)
    }
}

/// Returns the record of a link.
fn record(link: &PaymentLink, resolve: &ResolveArgs) -> Record {
    let number = |key| link.number(key).map(|number| number.to_string());
    let warnings: Vec<Value> = link
        .warnings()
        .iter()
        .map(|it| json!({ "warning": it.name(), "message": it.to_string() }))
        .collect();
    let arguments: Vec<_> = link.arguments().map(|it| (&*it.key, &*it.value)).collect();
    let mut record = Record::new("payment_link")
        .with("link", link.to_string())
        .with("prefix", link.prefix())
        .with("target", link.target())
        .with("chain_id", link.chain_id())
        .with("function", link.function())
        .with("arguments", by_type(&arguments))
        .with("parameters", in_order(&arguments))
        .with("value", number("value"))
        .with("gas", number("gas"))
        .with("gas_limit", number("gasLimit"))
        .with("gas_price", number("gasPrice"));
    for key in ["data", "from", "bytecode"] {
        record = record.with_some(key, link.text(key));
    }
    if link.is_eip67() {
        record = record.with("standard", "EIP-67").with_some("call", link.text("function"));
    } else {
        record = record.with("standard", "EIP-681");
    }
    record = match link.call(|name| resolve.find(name)) {
        Ok(call) => {
            let gas = |gas: Option<statuskit_eip::U256>| gas.map(|gas| gas.to_string());
            record.with_some("signature", call.signature.as_deref()).with(
                "transaction",
                json!({
                    "to": call.to.to_string(),
                    "value": call.value.to_string(),
                    "data": hex0x(&call.data),
                    "gas": gas(call.gas),
                    "gas_price": gas(call.gas_price),
                    "chain_id": link.chain_id(),
                }),
            )
        }
        Err(error) => record
            .with("transaction", Value::Null)
            .with("not_payable", json!({ "error": error.code(), "message": error.to_string() })),
    };
    record.with("warnings", warnings)
}

/// Returns what the mobile client of 2020 makes of a link, and what the standard makes of it in
/// another way.
fn client_verdict(text: &str, link: Option<&PaymentLink>) -> Value {
    match ClientLink::parse(text) {
        Err(refusal) => json!({ "opens": false, "reason": refusal.to_string() }),
        Ok(client) => {
            let differences = match link {
                Some(link) => client.differences(link),
                None => vec!["the standard does not allow the link".to_owned()],
            };
            json!({ "opens": true, "differences": differences })
        }
    }
}

/// Lists arguments by their types: a text, or a list where a type is there more than once.
fn by_type(arguments: &[(&str, &str)]) -> Value {
    let mut members = Map::new();
    for (key, value) in arguments {
        match members.get_mut(*key) {
            None => drop(members.insert((*key).to_owned(), (*value).into())),
            Some(Value::Array(values)) => values.push((*value).into()),
            Some(first) => *first = Value::Array(vec![first.take(), (*value).into()]),
        }
    }
    members.into()
}

fn in_order(arguments: &[(&str, &str)]) -> Value {
    arguments.iter().map(|(key, value)| json!({ "type": key, "value": value })).collect()
}

/// Converts an error, with what to try.
fn link_error(error: &LinkError, converted: CliError) -> CliError {
    match error {
        LinkError::Unresolved(name) => converted
            .hint(format!("status-eip ens call addr {name}, then --resolve {name}=ADDRESS")),
        LinkError::Target(target) if target.starts_with('/') => {
            converted.hint("ethereum: without slashes behind it")
        }
        _ => converted,
    }
}
