//! EIP-681: links that ask for a payment or a call, and the older form of EIP-67.
//!
//! `ethereum:[pay-]target[@chain_id][/function][?key=value(&…)]`.
//!
//! The keys `value`, `gas`, `gasLimit` and `gasPrice` are numbers in the smallest unit; any other is a
//! type of the ABI, and its value an argument. Texts are percent-encoded. EIP-67 has `data`, `from`,
//! `function` and `bytecode` besides.
//!
//! A link that follows the grammar is read, even if it should not be paid: [`PaymentLink::warnings`]
//! says why. [`PaymentLink::call`] is strict.

mod call;
pub mod client;
mod number;

use std::{fmt, str::FromStr};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use statuskit_core::explain::Explanation;

use crate::{
    Address, AddressError, U256,
    abi::{AbiError, Type},
    eip831::{EthereumUri, MAX_LINK, is_hex_start},
    number::NumberError,
    text::excerpt,
};

pub use call::Call;
pub use number::Number;

/// Why a text is not a link for payments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// More than [`MAX_LINK`] bytes.
    #[error("a link of {got} bytes; the limit is {MAX_LINK}")]
    TooLong { got: usize },
    /// Another scheme.
    #[error("{0:?} does not begin with ethereum:")]
    Scheme(String),
    /// A prefix other than letters and digits.
    #[error("the prefix {0:?} is no word of letters and digits")]
    Prefix(String),
    /// Neither an address nor a name.
    #[error("{0:?} is neither an address (0x and 40 hex digits) nor a name such as bob.eth")]
    Target(String),
    /// Not decimal digits, or too large.
    #[error("the chain id {0:?} is no decimal number below 2^64")]
    ChainId(String),
    /// Nothing after the slash, or another slash.
    #[error("{0:?} is no name of a function")]
    Function(String),
    /// A parameter without a key or `=`.
    #[error("the parameter {0:?} is not of the form key=value")]
    Parameter(String),
    /// The same key twice.
    #[error("the link gives {0} twice")]
    Twice(String),
    /// A value that is no number.
    #[error("{key}: {error}")]
    Number { key: String, error: NumberError },
    /// A value that is no hex.
    #[error("{key}: {got:?} is not 0x and hex digits")]
    Hex { key: String, got: String },
    /// `%` without two hex digits, or bytes that are not UTF-8.
    #[error("{0:?} is not percent-encoded UTF-8")]
    Percent(String),
    /// An argument that its type can't hold. Only for calls.
    #[error("argument {}: {error}", .at + 1)]
    Argument {
        /// The number of the argument, from 0.
        at: usize,
        error: AbiError,
    },
    /// A name that stands for an address. Only for calls.
    #[error("the address of {0} is not known")]
    Unresolved(String),
    /// A payment of less than nothing. Only for calls.
    #[error("the value {0} is negative")]
    Negative(Number),
    /// An address with wrong capitals. Only for calls.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl LinkError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "payment_link.too_long",
            Self::Scheme(_) => "payment_link.scheme",
            Self::Prefix(_) => "payment_link.prefix",
            Self::Target(_) => "payment_link.target",
            Self::ChainId(_) => "payment_link.chain_id",
            Self::Function(_) => "payment_link.function",
            Self::Parameter(_) => "payment_link.parameter",
            Self::Twice(_) => "payment_link.twice",
            Self::Number { error, .. } => error.code(),
            Self::Hex { .. } => "payment_link.hex",
            Self::Percent(_) => "payment_link.percent",
            Self::Argument { error, .. } => error.kind.code(),
            Self::Unresolved(_) => "payment_link.unresolved",
            Self::Negative(_) => "payment_link.negative",
            Self::Address(error) => error.code(),
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "payment_link.too_long",
            rule: "A link has at most 64 KiB.",
            source: "bounds of this program",
            causes: "Something else was pasted.",
        },
        Explanation {
            code: "payment_link.scheme",
            rule: "A link for payments begins with ethereum:.",
            source: "EIP-831",
            causes: "A link of another currency, or an address alone.",
        },
        Explanation {
            code: "payment_link.prefix",
            rule: "The part before the first hyphen is a word of letters and digits, such as pay.",
            source: "EIP-831",
            causes: "A name with a hyphen and without the prefix pay-.",
        },
        Explanation {
            code: "payment_link.target",
            rule: "The target is an address (0x and 40 hex digits) or a name with a full stop.",
            source: "EIP-681",
            causes: "Slashes after ethereum:, or a digit was lost.",
        },
        Explanation {
            code: "payment_link.chain_id",
            rule: "After @ there is a chain id in decimal.",
            source: "EIP-681",
            causes: "A name of a network in place of its number.",
        },
        Explanation {
            code: "payment_link.function",
            rule: "After / there is the name of a function.",
            source: "EIP-681",
            causes: "A slash at the end.",
        },
        Explanation {
            code: "payment_link.parameter",
            rule: "A parameter is a key, =, and a value.",
            source: "EIP-681",
            causes: "An & inside a value is written %26.",
        },
        Explanation {
            code: "payment_link.twice",
            rule: "value, gas, gasLimit, gasPrice and the keys of EIP-67 are there at most once.",
            source: "EIP-681",
            causes: "A link that two wallets could read in two ways.",
        },
        Explanation {
            code: "payment_link.hex",
            rule: "data and bytecode are hex.",
            source: "EIP-67",
            causes: "A digit was lost.",
        },
        Explanation {
            code: "payment_link.percent",
            rule: "Texts are percent-encoded UTF-8.",
            source: "EIP-681; RFC 3986",
            causes: "A percent sign is written %25.",
        },
        Explanation {
            code: "payment_link.unresolved",
            rule: "A transaction needs addresses: names are looked up first.",
            source: "EIP-681; EIP-137",
            causes: "--resolve NAME=ADDRESS gives the address of a name.",
        },
        Explanation {
            code: "payment_link.negative",
            rule: "An amount is not negative.",
            source: "EIP-681",
            causes: "A minus sign too many.",
        },
    ];
}

/// A key with its value, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Parameter {
    pub key: String,
    pub value: String,
}

/// A link. Written in the order in which its parameters are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PaymentLink {
    /// What stands before the hyphen.
    prefix: Option<String>,
    target: String,
    chain_id: Option<u64>,
    function: Option<String>,
    parameters: Vec<Parameter>,
}

/// The keys of numbers.
const NUMBERS: [&str; 4] = ["value", "gas", "gasLimit", "gasPrice"];
/// The other keys of EIP-67.
const OLD: [&str; 4] = ["data", "from", "function", "bytecode"];

impl PaymentLink {
    /// Creates a link to an address or a name.
    ///
    /// A name gets the prefix `pay`, without which EIP-831 does not allow it.
    ///
    /// # Errors
    /// If the text is neither.
    pub fn new(target: &str) -> Result<Self, LinkError> {
        check_target(target)?;
        let prefix = (!is_hex_start(target)).then(|| "pay".to_owned());
        let (target, parameters) = (target.to_owned(), Vec::new());
        Ok(Self { prefix, target, chain_id: None, function: None, parameters })
    }

    /// Creates a link to a transfer of tokens. `amount` is in the smallest unit; the reader pays.
    pub fn transfer(contract: &Address, to: &str, amount: U256) -> Self {
        let parameter = |key: &str, value: String| Parameter { key: key.to_owned(), value };
        Self {
            prefix: None,
            target: contract.to_string(),
            chain_id: None,
            function: Some("transfer".to_owned()),
            parameters: vec![
                parameter("address", to.to_owned()),
                parameter("uint256", amount.to_string()),
            ],
        }
    }

    /// Sets the prefix: `pay`, or nothing.
    #[must_use]
    pub fn with_prefix(mut self, prefix: Option<&str>) -> Self {
        self.prefix = prefix.map(str::to_owned);
        self
    }

    /// Sets the chain.
    #[must_use]
    pub fn on_chain(mut self, chain_id: Option<u64>) -> Self {
        self.chain_id = chain_id;
        self
    }

    /// Sets the function.
    #[must_use]
    pub fn calling(mut self, function: Option<&str>) -> Self {
        self.function = function.map(str::to_owned);
        self
    }

    /// Adds a parameter.
    ///
    /// # Errors
    /// If its key allows no such value, or is there already.
    pub fn with(mut self, key: &str, value: &str) -> Result<Self, LinkError> {
        self.add(key.to_owned(), value.to_owned())?;
        Ok(self)
    }

    /// What stands before the hyphen: usually `pay`, or nothing.
    pub fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    /// The address or name, as it is written.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The chain, if the link names one. Else that of the wallet is meant.
    pub fn chain_id(&self) -> Option<u64> {
        self.chain_id
    }

    /// The function to call.
    pub fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// All parameters, in their order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The parameters whose key is a type of the ABI, or unknown, in their order.
    pub fn arguments(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|it| !is_special(&it.key))
    }

    /// The text of a parameter.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.parameters.iter().find(|it| it.key == key).map(|it| &*it.value)
    }

    /// The number of `value`, `gas`, `gasLimit` or `gasPrice`.
    pub fn number(&self, key: &str) -> Option<Number> {
        // Checked when it was added.
        self.text(key).and_then(|text| Number::parse(text).ok())
    }

    /// Whether it has keys of EIP-67.
    pub fn is_eip67(&self) -> bool {
        self.parameters.iter().any(|it| OLD.contains(&&*it.key))
    }

    /// What a wallet should not pay without asking.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut found = Vec::new();
        match self.prefix() {
            Some("pay") => {}
            None if !is_hex_start(&self.target) => found.push(Warning::NoPrefix),
            Some(prefix) => found.push(Warning::Prefix(prefix.to_owned())),
            None => {}
        }
        let addresses = self.arguments().filter(|it| it.key == "address").map(|it| &*it.value);
        for text in [&*self.target].into_iter().chain(addresses) {
            match text.parse::<Address>() {
                Err(error @ AddressError::Checksum { .. }) => {
                    found.push(Warning::Checksum(error.to_string()));
                }
                Err(_) if is_hex_start(text) || !is_name(text) => {
                    found.push(Warning::Argument { key: "address".into(), got: excerpt(text) });
                }
                _ => {}
            }
        }
        for key in NUMBERS {
            if self.number(key).is_some_and(|it| it.is_negative) {
                found.push(Warning::Negative(key));
            }
        }
        if let (Some(gas), Some(limit)) = (self.number("gas"), self.number("gasLimit"))
            && gas != limit
        {
            found.push(Warning::TwoLimits);
        }
        if self.is_turned_transfer() {
            found.push(Warning::Order);
        }
        for parameter in self.arguments() {
            match parameter.key.parse::<Type>() {
                Err(_) => found.push(Warning::Key(excerpt(&parameter.key))),
                Ok(Type::Uint(_) | Type::Int(_)) if Number::parse(&parameter.value).is_err() => {
                    found.push(Warning::Argument {
                        key: parameter.key.clone(),
                        got: excerpt(&parameter.value),
                    });
                }
                Ok(_) if self.function.is_none() && !self.is_eip67() => {
                    found.push(Warning::NoFunction(parameter.key.clone()));
                }
                Ok(_) => {}
            }
        }
        found
    }

    fn add(&mut self, key: String, value: String) -> Result<(), LinkError> {
        if is_special(&key) && self.text(&key).is_some() {
            return Err(LinkError::Twice(key));
        }
        if NUMBERS.contains(&&*key) {
            Number::parse(&value).map_err(|error| LinkError::Number { key: key.clone(), error })?;
        }
        if matches!(&*key, "data" | "bytecode") && hex::decode(hex_digits(&value)).is_err() {
            return Err(LinkError::Hex { key, got: excerpt(&value) });
        }
        self.parameters.push(Parameter { key, value });
        Ok(())
    }
}

/// Why a link should not be paid without asking.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// A name as target, without `pay-`.
    #[error("a name needs the prefix pay-")]
    NoPrefix,
    /// A prefix of another standard.
    #[error("the prefix {0:?} is not that of a payment")]
    Prefix(String),
    /// Wrong capitals.
    #[error("{0}")]
    Checksum(String),
    /// An amount below zero.
    #[error("{0} is negative")]
    Negative(&'static str),
    /// `gas` and `gasLimit` differ.
    #[error("gas and gasLimit mean the same, and differ")]
    TwoLimits,
    /// A key of no standard.
    #[error("{0:?} is neither a key of EIP-681 nor a type of the ABI")]
    Key(String),
    /// A value that its type can't hold.
    #[error("{got:?} is no value of {key}")]
    Argument { key: String, got: String },
    /// A transfer with the amount first: it is read as the usual one.
    #[error(
        "transfer has its amount first, as the mobile client of 2020 writes it; read as transfer(address,uint256)"
    )]
    Order,
    /// An argument of no function.
    #[error("the argument {0} has no function")]
    NoFunction(String),
}

impl Warning {
    /// Returns the name of the warning in records.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoPrefix => "no_prefix",
            Self::Prefix(_) => "prefix",
            Self::Checksum(_) => "checksum",
            Self::Negative(_) => "negative",
            Self::TwoLimits => "two_limits",
            Self::Key(_) => "unknown_key",
            Self::Argument { .. } => "argument",
            Self::Order => "order",
            Self::NoFunction(_) => "no_function",
        }
    }
}

impl FromStr for PaymentLink {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        if text.len() > MAX_LINK {
            return Err(LinkError::TooLong { got: text.len() });
        }
        let uri = EthereumUri::parse(text).ok_or_else(|| LinkError::Scheme(excerpt(text)))?;
        let (path, query) = match uri.payload.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (uri.payload, None),
        };
        let (authority, function) = match path.split_once('/') {
            Some((authority, function)) => (authority, Some(function)),
            None => (path, None),
        };
        let (target, chain_id) = match authority.split_once('@') {
            Some((target, chain_id)) => (target, Some(chain_id)),
            None => (authority, None),
        };
        let target = decode(target)?;
        check_target(&target)?;
        let chain_id = chain_id
            .map(|id| {
                let is_decimal = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
                let number = if is_decimal { id.parse().ok() } else { None };
                number.ok_or_else(|| LinkError::ChainId(excerpt(id)))
            })
            .transpose()?;
        if let Some(name) = function.filter(|name| name.is_empty() || name.contains('/')) {
            return Err(LinkError::Function(excerpt(name)));
        }
        let function = function.map(decode).transpose()?;
        let is_word = |it: &&str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric());
        if let Some(prefix) = uri.prefix.filter(|it| !is_word(it)) {
            return Err(LinkError::Prefix(excerpt(prefix)));
        }
        let prefix = uri.prefix.map(str::to_owned);
        let mut link = Self { prefix, target, chain_id, function, parameters: Vec::new() };
        // `?` with nothing behind it is no parameter.
        for parameter in query.filter(|it| !it.is_empty()).into_iter().flat_map(|it| it.split('&'))
        {
            let (key, value) = parameter
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| LinkError::Parameter(excerpt(parameter)))?;
            link.add(decode(key)?, decode(value)?)?;
        }
        Ok(link)
    }
}

impl fmt::Display for PaymentLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ethereum:")?;
        match &self.prefix {
            Some(prefix) => write!(f, "{prefix}-{}", encode(&self.target))?,
            // The first hyphen would end a prefix.
            None => f.write_str(&encode(&self.target).to_string().replace('-', "%2D"))?,
        }
        if let Some(chain_id) = self.chain_id {
            write!(f, "@{chain_id}")?;
        }
        if let Some(function) = &self.function {
            write!(f, "/{}", encode(function))?;
        }
        for (at, Parameter { key, value }) in self.parameters.iter().enumerate() {
            let separator = if at == 0 { '?' } else { '&' };
            write!(f, "{separator}{}={}", encode(key), encode(value))?;
        }
        Ok(())
    }
}

/// Everything that separates parts, or that no link may have.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'/')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

fn encode(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, RESERVED)
}

fn decode(text: &str) -> Result<String, LinkError> {
    let error = || LinkError::Percent(excerpt(text));
    // The decoder would leave a percent sign as it is.
    let is_whole = text.split('%').skip(1).all(|rest| {
        rest.as_bytes().get(..2).is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
    });
    if !is_whole {
        return Err(error());
    }
    percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| error())
}

fn check_target(target: &str) -> Result<(), LinkError> {
    let is_target = match target.get(..2).filter(|it| is_hex_start(it)) {
        Some(_) => hex::decode(&target[2..]).is_ok_and(|bytes| bytes.len() == 20),
        None => is_name(target),
    };
    if is_target { Ok(()) } else { Err(LinkError::Target(excerpt(target))) }
}

/// Whether a text looks like a name: labels with a full stop between them.
fn is_name(text: &str) -> bool {
    text.contains('.') && text.split('.').all(|label| !label.is_empty()) && !text.contains(' ')
}

fn is_special(key: &str) -> bool {
    NUMBERS.contains(&key) || OLD.contains(&key)
}

fn hex_digits(text: &str) -> &str {
    if is_hex_start(text) { &text[2..] } else { text }
}

#[cfg(test)]
mod tests;
