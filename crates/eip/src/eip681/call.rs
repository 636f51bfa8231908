//! From a link to a call: its target, value and data.

use super::{LinkError, Number, PaymentLink, hex_digits};
use crate::{
    Address, AddressError, U256,
    abi::{AbiErrorKind, Function, Type, Value},
    text::excerpt,
};

/// What a transaction needs of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The recipient, or the contract.
    pub to: Address,
    /// Ether, in wei.
    pub value: U256,
    /// The selector with the arguments, or the data of EIP-67.
    pub data: Vec<u8>,
    /// The signature of the function, if there is one.
    pub signature: Option<String>,
    /// `gasLimit`, or else `gas`.
    pub gas: Option<U256>,
    /// In wei.
    pub gas_price: Option<U256>,
}

impl PaymentLink {
    /// Encodes the call that the link asks for. `resolve` knows the addresses of names.
    ///
    /// # Errors
    /// If an amount is negative, an argument is not of its type, an address has wrong capitals, or
    /// a name is unknown.
    pub fn call(&self, resolve: impl Fn(&str) -> Option<Address>) -> Result<Call, LinkError> {
        let address = |text: &str| match text.parse::<Address>() {
            Ok(address) => Ok(address),
            Err(AddressError::Format(_)) if super::is_name(text) => {
                resolve(text).ok_or_else(|| LinkError::Unresolved(excerpt(text)))
            }
            Err(error) => Err(error.into()),
        };
        let amount = |key| match self.number(key) {
            Some(number @ Number { is_negative: true, .. }) => Err(LinkError::Negative(number)),
            number => Ok(number.map(|it| it.size)),
        };
        let mut data = match self.text("data") {
            Some(text) => hex::decode(hex_digits(text)).unwrap_or_default(),
            None => Vec::new(),
        };
        let mut signature = None;
        if let Some(name) = self.function() {
            let mut arguments: Vec<_> = self.arguments().collect();
            if self.is_turned_transfer() {
                arguments.reverse();
            }
            let kinds: Vec<&str> = arguments.iter().map(|it| &*it.key).collect();
            let text = format!("{name}({})", kinds.join(","));
            let at = |at| move |error| LinkError::Argument { at, error };
            let function: Function = text.parse().map_err(at(0))?;
            let mut values = Vec::with_capacity(function.inputs.len());
            for (index, (parameter, input)) in arguments.iter().zip(&function.inputs).enumerate() {
                values.push(match &input.kind {
                    Type::Address => Value::Address(address(&parameter.value)?),
                    kind => value(kind, &parameter.value)
                        .map_err(|kind| LinkError::Argument { at: index, error: kind.into() })?,
                });
            }
            data = function.encode_call(&values).map_err(at(0))?;
            signature = Some(function.to_string());
        }
        Ok(Call {
            to: address(self.target())?,
            value: amount("value")?.unwrap_or_default(),
            data,
            signature,
            gas: amount("gasLimit")?.or(amount("gas")?),
            gas_price: amount("gasPrice")?,
        })
    }
}

impl PaymentLink {
    /// Whether it is a transfer of tokens with the amount first, as the mobile client of 2020 writes
    /// it. No token has such a function.
    pub(super) fn is_turned_transfer(&self) -> bool {
        let kinds = self.arguments().map(|it| &*it.key);
        self.function() == Some("transfer") && kinds.eq(["uint256", "address"])
    }
}

/// Reads an argument.
fn value(kind: &Type, text: &str) -> Result<Value, AbiErrorKind> {
    let wrong =
        |expected| AbiErrorKind::Value { kind: kind.to_string(), expected, got: excerpt(text) };
    let bytes = || hex::decode(hex_digits(text)).map_err(|_| wrong("0x and hex digits"));
    Ok(match kind {
        Type::Uint(_) | Type::Int(_) => {
            let Number { is_negative, size } = Number::parse(text)?;
            let is_too_large = size.is_negative() && (is_negative || matches!(kind, Type::Int(_)));
            let is_least = is_negative && size.negated() == size;
            if is_too_large && !is_least || is_negative && matches!(kind, Type::Uint(_)) {
                return Err(AbiErrorKind::Range { kind: kind.to_string(), got: excerpt(text) });
            }
            let word = if is_negative { size.negated() } else { size };
            if matches!(kind, Type::Int(_)) { Value::Int(word) } else { Value::Uint(word) }
        }
        Type::Bool => match text {
            "true" | "1" => Value::Bool(true),
            "false" | "0" => Value::Bool(false),
            _ => return Err(wrong("true or false")),
        },
        Type::FixedBytes(_) => Value::FixedBytes(bytes()?),
        Type::Bytes => Value::Bytes(bytes()?),
        Type::String => Value::String(text.to_owned()),
        _ => return Err(wrong("a single value: links have no lists")),
    })
}
