//! `status-eip abi decode` and `transfer`.

use clap::Args;
use serde_json::Value as Json;
use statuskit_eip::{
    abi::{AbiError, Function, Parameter, Strictness, Value, decode},
    eip20::{Transfer, TransferError},
    known,
};

use crate::{
    context::Context,
    eip::{
        abi::{Signature, abi_error, data_error, line, shown},
        input::each_bytes,
    },
    error::{CliError, Exit, Result},
    output::{Record, hex0x},
};

/// Decode calls and answers
///
/// Data is 0x hex, or a record of `encode` or of a transaction. Functions of EIP-20, EIP-165,
/// EIP-721, ENS and of Status' contracts are known by their selectors.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip abi encode 'approve(address,uint256)' 0x8e23ee67d1332ad560396262c48ffbb01f93d052 1 | status-eip abi decode
  $ status-eip abi encode 'f(int8,string)' -1 hi | status-eip abi decode --as 'f(int8 n, string text)'
  $ status-eip abi decode 0x0000000000000000000000000000000000000000000000000000000000000001 --answer --as balanceOf")]
pub struct DecodeCommand {
    /// Data [default: hex or records on standard input]
    #[arg(value_name = "DATA")]
    data: Vec<String>,
    /// Signature of the function, its name if it is known, or types such as '(uint256,bytes)' for
    /// data without a selector
    #[arg(long = "as", value_name = "SIGNATURE")]
    signature: Option<String>,
    /// The data is what the function returns
    #[arg(long, requires = "signature")]
    answer: bool,
    /// Take what contracts accept, too: gaps, unused bits, bytes behind the last value
    #[arg(long)]
    lenient: bool,
}

impl DecodeCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let text = self.signature.as_deref();
        let signature = text.map(|text| Signature::parse(text, "--as")).transpose()?;
        let strictness = if self.lenient { Strictness::Lenient } else { Strictness::Strict };
        if let (true, Some(Signature::Function(function))) = (self.answer, &signature)
            && function.outputs.is_empty()
        {
            let error = CliError::usage("the signature does not say what the function returns");
            let hint = "'balanceOf(address) returns (uint256)'";
            return Err(error.field("--as").hint(hint).into());
        }
        each_bytes(
            cx,
            &self.data,
            &["data", "raw"],
            "hex or records",
            |cx, data| match &signature {
                Some(Signature::Function(function)) if self.answer => {
                    emit_values(cx, &function.outputs, data, strictness)
                }
                Some(Signature::Values(parameters)) => {
                    emit_values(cx, parameters, data, strictness)
                }
                Some(Signature::Function(function)) => {
                    let values = function.decode_call(data, strictness);
                    let values = values.map_err(|error| data_error(&error))?;
                    emit_call(cx, function, &values, data)
                }
                None => emit_known(cx, data, strictness),
            },
        )
    }
}

fn emit_values(
    cx: &mut Context,
    parameters: &[Parameter],
    data: &[u8],
    strictness: Strictness,
) -> Result<()> {
    let values = decode(parameters, data, strictness).map_err(|error| data_error(&error))?;
    let arguments = shown(parameters, &values);
    let text = line(&arguments);
    let record = Record::new("abi_values")
        .with("arguments", arguments)
        .with("data", hex0x(data))
        .with_raw(data);
    cx.emit(&record, |_| text)
}

fn emit_call(cx: &mut Context, function: &Function, values: &[Value], data: &[u8]) -> Result<()> {
    let (record, text) = call_record(function, values, data);
    cx.emit(&record, |_| text)
}

fn call_record(function: &Function, values: &[Value], data: &[u8]) -> (Record, String) {
    let arguments = shown(&function.inputs, values);
    let text = format!("{function}\n{}", line(&arguments));
    let record = Record::new("abi_call")
        .with("signature", function.to_string())
        .with("selector", hex0x(function.selector()))
        .with("standards", standards(function))
        .with("arguments", arguments)
        .with("data", hex0x(data))
        .with_raw(data);
    (record, text)
}

/// Returns the standards that have this function.
fn standards(function: &Function) -> Vec<&'static str> {
    known::functions_by_selector(function.selector()).map(|it| it.standard).collect()
}

fn emit_known(cx: &mut Context, data: &[u8], strictness: Strictness) -> Result<()> {
    match known_call(data, strictness) {
        Some(Ok((function, values))) => emit_call(cx, function, &values, data),
        Some(Err(error)) => Err(data_error(&error).into()),
        None => {
            let selector = data.get(..4).ok_or_else(|| {
                let message =
                    format!("call data has a selector of 4 bytes; this has {}", data.len());
                CliError::new("abi.truncated", Exit::Malformed, message)
                    .hint("--as '(types)' for data without one")
            })?;
            let words: Vec<_> = data[4..].chunks(32).map(|word| Json::from(hex0x(word))).collect();
            let record = Record::new("abi_call")
                .with("signature", Json::Null)
                .with("selector", hex0x(selector))
                .with("standards", Json::Array(Vec::new()))
                .with("words", words)
                .with("data", hex0x(data))
                .with_raw(data);
            cx.emit(&record, Record::to_text)?;
            let message = format!("the selector {} is not known", hex0x(selector));
            let error = CliError::new("abi.unknown", Exit::Negative, message);
            Err(error.hint("--as 'name(types)', if you know the function").into())
        }
    }
}

/// Decodes the call of a known function. `None` if the selector is unknown.
pub fn known_call(
    data: &[u8],
    strictness: Strictness,
) -> Option<std::result::Result<(&'static Function, Vec<Value>), AbiError>> {
    let selector = *data.first_chunk::<4>()?;
    let mut first_error = None;
    for known in known::functions_by_selector(selector) {
        match known.item.decode_call(data, strictness) {
            Ok(values) => return Some(Ok((&known.item, values))),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    first_error.map(Err)
}

/// Returns the call of a known function for the record of a transaction.
pub fn known_call_json(data: &[u8]) -> Option<Json> {
    let (function, values) = known_call(data, Strictness::Strict)?.ok()?;
    let (record, _) = call_record(function, &values, data);
    Some(record.without_member("data").without_member("raw").without_member("type").into())
}

/// Read transfers of tokens as the chat does: exactly 68 bytes, the selector of transfer, the
/// recipient, the amount
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip abi encode transfer 0x8e23ee67d1332ad560396262c48ffbb01f93d052 1 | status-eip abi transfer")]
pub struct TransferCommand {
    /// Call data [default: hex or records on standard input]
    #[arg(value_name = "DATA")]
    data: Vec<String>,
}

impl TransferCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        each_bytes(cx, &self.data, &["data", "raw"], "hex or records", |cx, data| {
            let transfer = Transfer::read(data).map_err(|error: TransferError| {
                CliError::new(error.code(), Exit::Negative, error.to_string())
            })?;
            let record = Record::new("token_transfer")
                .with("to", transfer.to.to_string())
                .with("value", transfer.value.to_string())
                .with("canonical", transfer.is_canonical)
                .with("data", hex0x(data))
                .with_raw(data);
            cx.emit(&record, |_| format!("{} to {}", transfer.value, transfer.to))
        })
    }
}

/// Reads call data of an option.
pub fn parse_data(text: &str, field: &'static str) -> Result<Vec<u8>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    Ok(hex::decode(digits)
        .map_err(|error| CliError::usage(format!("not hexadecimal: {error}")).field(field))?)
}

/// Converts an error of a signature in an option.
pub fn signature_error(error: &AbiError, field: &'static str) -> CliError {
    abi_error(error, Exit::Usage).field(field)
}
