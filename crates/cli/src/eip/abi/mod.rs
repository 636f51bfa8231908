//! `status-eip abi`: calls, answers and events of contracts.

mod decode;
mod encode;
mod event;
mod interface;
mod selector;

pub use decode::{known_call_json, parse_data};

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use statuskit_eip::{
    abi::{AbiError, Function, Parameter, Type, Value},
    known,
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
};

/// Calls, answers and events of contracts (EIP-20, EIP-165, EIP-721, and any other)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip abi encode 'transfer(address,uint256)' 0x8e23ee67d1332ad560396262c48ffbb01f93d052 1
  $ status-eip abi encode balanceOf 0x8e23ee67d1332ad560396262c48ffbb01f93d052 | status-eip abi decode
  $ status-eip abi selector 'transfer(address,uint256)'
  $ status-eip abi interface ERC721")]
pub struct AbiCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Encode(encode::EncodeCommand),
    Decode(decode::DecodeCommand),
    Transfer(decode::TransferCommand),
    Selector(selector::SelectorCommand),
    Event(event::EventCommand),
    Interface(interface::InterfaceCommand),
}

impl AbiCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::Encode(command) => command.run(cx),
            Command::Decode(command) => command.run(cx),
            Command::Transfer(command) => command.run(cx),
            Command::Selector(command) => command.run(cx),
            Command::Event(command) => command.run(cx),
            Command::Interface(command) => command.run(cx),
        }
    }
}

/// What a signature of an option or argument stands for.
enum Signature {
    /// A function: data begins with its selector.
    Function(Function),
    /// Bare types, such as `(uint256,bytes)`: answers, and arguments of constructors.
    Values(Vec<Parameter>),
}

impl Signature {
    /// Reads a signature, types in parentheses, or the name of a known function.
    fn parse(text: &str, field: &'static str) -> Result<Self> {
        let wrong = |error: AbiError| abi_error(&error, Exit::Usage).field(field);
        if text.trim_start().starts_with('(') {
            let kind: Type = text.parse().map_err(wrong)?;
            return Ok(match kind {
                Type::Tuple(members) => Self::Values(members),
                other => Self::Values(vec![Parameter {
                    name: String::new(),
                    kind: other,
                    is_indexed: false,
                }]),
            });
        }
        if text.contains('(') {
            return Ok(Self::Function(text.parse().map_err(wrong)?));
        }
        let mut named: Vec<&Function> =
            known::functions().iter().map(|it| &it.item).filter(|it| it.name == text).collect();
        named.dedup_by_key(|it| it.to_string());
        let mut signatures: Vec<String> = named.iter().map(ToString::to_string).collect();
        signatures.sort_unstable();
        signatures.dedup();
        match (&named[..], &signatures[..]) {
            ([function, ..], [_]) => Ok(Self::Function((*function).clone())),
            ([], _) => {
                let message = format!("no known function is called {text:?}");
                let error = CliError::usage(message).field(field);
                Err(error.hint("a signature, such as 'transfer(address,uint256)'").into())
            }
            _ => {
                let message = format!("{text:?} stands for {}", signatures.join(" and "));
                Err(CliError::usage(message).field(field).hint("one of these signatures").into())
            }
        }
    }

    fn parameters(&self) -> &[Parameter] {
        match self {
            Self::Function(function) => &function.inputs,
            Self::Values(parameters) => parameters,
        }
    }
}

/// Returns values as they are shown: name, type and value of each.
fn shown(parameters: &[Parameter], values: &[Value]) -> Json {
    let pairs = parameters.iter().zip(values);
    pairs.map(|(parameter, value)| named(parameter, value.to_json(&parameter.kind))).collect()
}

fn named(parameter: &Parameter, value: Json) -> Json {
    json!({ "name": parameter.name, "type": parameter.kind.to_string(), "value": value })
}

/// Returns arguments as a line for people.
fn line(arguments: &Json) -> String {
    let mut text = String::new();
    for argument in arguments.as_array().into_iter().flatten() {
        let name = argument["name"].as_str().unwrap_or_default();
        let value = match &argument["value"] {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        let kind = argument["type"].as_str().unwrap_or_default();
        text += &format!("\n  {kind} {name}{}{value}", if name.is_empty() { "" } else { " = " });
    }
    crate::output::escape(text.trim_start_matches('\n')).replace("\\n", "\n")
}

/// Converts an error. It is wrong usage if the text came from an argument.
fn abi_error(error: &AbiError, exit: Exit) -> CliError {
    let mut converted = CliError::new(error.kind.code(), exit, error.to_string());
    if let Some(at) = error.at {
        converted = converted.offset(at);
    }
    match &*error.argument {
        "" => converted,
        argument => converted.field(argument),
    }
}

/// Converts an error of data that is decoded.
fn data_error(error: &AbiError) -> CliError {
    let hint = match error.kind.code() {
        "abi.padding" | "abi.offset" | "abi.trailing" => {
            Some("--lenient reads what contracts accept, too")
        }
        _ => None,
    };
    let converted = abi_error(error, Exit::Malformed);
    match hint {
        Some(hint) => converted.hint(hint),
        None => converted,
    }
}
