//! `status-eip abi encode`.

use clap::Args;
use serde_json::Value as Json;
use statuskit_eip::abi::{AbiErrorKind, Value, encode, values_from_json};

use crate::{
    context::Context,
    eip::{
        abi::{Signature, abi_error, line, shown},
        input::each_json,
    },
    error::{Exit, Result},
    output::{Record, hex0x},
};

/// Encode calls: the selector and the arguments
///
/// Lists are [1,2], tuples are (1,2) or JSON. Without arguments, each line of standard input is a
/// JSON list of them, or an object by their names.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip abi encode 'transfer(address,uint256)' 0x8e23ee67d1332ad560396262c48ffbb01f93d052 1
  $ status-eip abi encode 'f(uint8[],(string,bool))' '[1,2]' '(hi,true)' --output hex
  $ status-eip abi encode '(uint256,bytes)' 1e18 0x0102
  $ echo '[\"0x8e23ee67d1332ad560396262c48ffbb01f93d052\", 1]' | status-eip abi encode transfer")]
pub struct EncodeCommand {
    /// Signature such as 'transfer(address,uint256)', types such as '(uint256,bytes)' for data
    /// without a selector, or the name of a known function
    #[arg(value_name = "SIGNATURE")]
    signature: String,
    /// Arguments [default: JSON on standard input]
    #[arg(value_name = "ARGUMENT", allow_negative_numbers = true)]
    arguments: Vec<String>,
}

impl EncodeCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let signature = Signature::parse(&self.signature, "SIGNATURE")?;
        let parameters = signature.parameters();
        if self.arguments.is_empty() && !parameters.is_empty() {
            return each_json(cx, "lists of arguments in JSON", |cx, json| {
                let values = values_from_json(parameters, &json)
                    .map_err(|error| abi_error(&error, Exit::Malformed))?;
                emit(cx, &signature, &values, Exit::Malformed)
            });
        }
        let (expected, got) = (parameters.len() as u64, self.arguments.len() as u64);
        if expected != got {
            let error = AbiErrorKind::Count { expected, got }.into();
            return Err(abi_error(&error, Exit::Usage).field("ARGUMENT").into());
        }
        let mut values = Vec::new();
        for (index, (parameter, text)) in parameters.iter().zip(&self.arguments).enumerate() {
            let value = Value::from_text(&parameter.kind, text).map_err(|error| {
                let path = match &*parameter.name {
                    "" => index.to_string(),
                    name => name.to_owned(),
                };
                let inner = &error.argument;
                let dot = if inner.is_empty() || inner.starts_with('[') { "" } else { "." };
                abi_error(&error, Exit::Usage).field(format!("{path}{dot}{inner}"))
            })?;
            values.push(value);
        }
        emit(cx, &signature, &values, Exit::Usage)
    }
}

fn emit(cx: &mut Context, signature: &Signature, values: &[Value], exit: Exit) -> Result<()> {
    let wrong = |error| abi_error(&error, exit);
    let (record, data) = match signature {
        Signature::Function(function) => {
            let data = function.encode_call(values).map_err(wrong)?;
            let record = Record::new("abi_call")
                .with("signature", function.to_string())
                .with("selector", hex0x(function.selector()));
            (record, data)
        }
        Signature::Values(parameters) => {
            (Record::new("abi_values"), encode(parameters, values).map_err(wrong)?)
        }
    };
    let arguments: Json = shown(signature.parameters(), values);
    let text = line(&arguments);
    let record = record.with("arguments", arguments).with("data", hex0x(&data)).with_raw(&data);
    cx.emit(&record, |_| format!("{}\n{text}", hex0x(&data)))
}
