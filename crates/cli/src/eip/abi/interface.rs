//! `status-eip abi interface`.

use clap::Args;
use serde_json::{Value as Json, json};
use statuskit_eip::{
    abi::Function,
    eip165::{self, GAS, interface_id},
    known::{Interface, interfaces},
};

use crate::{
    context::Context,
    eip::abi::decode::signature_error,
    error::{CliError, Result},
    output::{Record, hex0x},
};

/// Show the id of an interface, and the calls that detect it (EIP-165)
///
/// Send the calls with 30000 gas: an interface is there if each answer is the expected one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip abi interface ERC721
  $ status-eip abi interface 0x80ac58cd
  $ status-eip abi interface 'name()' 'symbol()' 'tokenURI(uint256)'
  $ status-eip abi interface")]
pub struct InterfaceCommand {
    /// Name such as ERC721, id, or the signatures of all functions [default: all known interfaces]
    #[arg(value_name = "INTERFACE")]
    interface: Vec<String>,
}

impl InterfaceCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let [text, rest @ ..] = &self.interface[..] else {
            return interfaces().iter().try_for_each(|it| emit(cx, it.id, it.functions));
        };
        if rest.is_empty() && !text.contains('(') {
            let named = interfaces().iter().find(|it| it.name.eq_ignore_ascii_case(text));
            let id = match named {
                Some(interface) => interface.id,
                None => parse_id(text)?,
            };
            let functions = interface_of(id).map_or(&[][..], |it| it.functions);
            return emit(cx, id, functions);
        }
        let functions = self.interface.iter().map(|text| {
            text.parse::<Function>().map_err(|error| signature_error(&error, "INTERFACE"))
        });
        let functions = functions.collect::<std::result::Result<Vec<_>, _>>()?;
        let signatures: Vec<_> = functions.iter().map(ToString::to_string).collect();
        let signatures: Vec<_> = signatures.iter().map(String::as_str).collect();
        emit(cx, interface_id(&functions), &signatures)
    }
}

fn interface_of(id: [u8; 4]) -> Option<&'static Interface> {
    interfaces().iter().find(|interface| interface.id == id)
}

fn parse_id(text: &str) -> Result<[u8; 4]> {
    let mut id = [0; 4];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut id).map_err(|_| {
        let names: Vec<_> = interfaces().iter().map(|it| it.name).collect();
        CliError::usage(format!("{text:?} is neither a known interface nor an id of 4 bytes"))
            .field("INTERFACE")
            .hint(names.join(", "))
    })?;
    Ok(id)
}

fn emit(cx: &mut Context, id: [u8; 4], functions: &[&str]) -> Result<()> {
    let known = interface_of(id);
    let calls: Json = eip165::detection(id)
        .iter()
        .map(|question| json!({ "data": hex0x(&question.data), "expected": question.expected }))
        .collect();
    let record = Record::new("interface")
        .with("id", hex0x(id))
        .with("name", known.map(|it| it.name))
        .with("standard", known.map(|it| it.standard))
        .with("functions", functions)
        .with("gas", GAS)
        .with("calls", calls)
        .with_raw(&id);
    cx.emit(&record, |_| {
        let name = known.map_or("", |it| it.name);
        format!("{} {name}\n  {}", hex0x(id), functions.join("\n  "))
    })
}
