//! Links as the mobile client of March 2020 reads and writes them.
//!
//! It takes a name only with the prefix `pay-` and the ending `.eth`, reads a missing chain id as 1,
//! drops keys that it does not know, keeps numbers as text, and checks the capitals of addresses.

use std::fmt::Write as _;

use super::{Number, PaymentLink};
use crate::Address;

/// A link as the client understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLink {
    /// The address or name, as it is written.
    pub target: String,
    /// 1 if the link has none.
    pub chain_id: u64,
    pub function: Option<String>,
    /// The arguments of the function, in their order.
    pub arguments: Vec<(String, String)>,
    /// `value`, `gas` and `gasPrice`, in their order.
    pub amounts: Vec<(String, String)>,
}

/// Why the client refuses a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientRefusal {
    /// Not `ethereum:` in small letters.
    #[error("it does not begin with ethereum:")]
    Scheme,
    /// Not an address with right capitals, and no name with `pay-` and `.eth`.
    #[error("the target is no address with right capitals, and no .eth name behind pay-")]
    Target,
    /// A chain id that is no number.
    #[error("the chain id is no number")]
    ChainId,
    /// An argument `address` that is neither an address nor a name with `.eth`.
    #[error("the argument address is no address with right capitals, and no .eth name")]
    Argument,
}

const AMOUNTS: [&str; 3] = ["value", "gas", "gasPrice"];

impl ClientLink {
    /// Reads a link.
    ///
    /// # Errors
    /// If the client would not open it.
    pub fn parse(link: &str) -> Result<Self, ClientRefusal> {
        let rest = link.strip_prefix("ethereum:").ok_or(ClientRefusal::Scheme)?;
        let (has_prefix, rest) = match rest.strip_prefix("pay-") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, function) = match path.split_once('/') {
            Some((authority, function)) => (authority, Some(function)),
            None => (path, None),
        };
        let (target, chain_id) = match authority.split_once('@') {
            Some((target, id)) => (target, id.parse().map_err(|_| ClientRefusal::ChainId)?),
            None => (authority, 1),
        };
        if !(is_address(target) || has_prefix && is_eth_name(target)) {
            return Err(ClientRefusal::Target);
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (key, value) in query.split('&').filter_map(|it| it.split_once('=')) {
            // Of a key that is there twice, the last value counts.
            match parameters.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => value.clone_into(known),
                None => parameters.push((key.to_owned(), value.to_owned())),
            }
        }
        let (amounts, mut arguments): (Vec<_>, Vec<_>) =
            parameters.into_iter().partition(|(key, _)| AMOUNTS.contains(&&**key));
        if function.is_none() {
            arguments.clear();
        }
        let address = arguments.iter().find(|(key, _)| key == "address");
        if address.is_some_and(|(_, value)| !is_address(value) && !is_eth_name(value)) {
            return Err(ClientRefusal::Argument);
        }
        let (target, function) = (target.to_owned(), function.map(str::to_owned));
        Ok(Self { target, chain_id, function, arguments, amounts })
    }

    /// The text of `value`, `gas` or `gasPrice`.
    pub fn amount(&self, key: &str) -> Option<&str> {
        self.amounts.iter().find(|(known, _)| known == key).map(|(_, text)| &**text)
    }

    /// Says how the standards read the link in another way.
    pub fn differences(&self, standard: &PaymentLink) -> Vec<String> {
        let mut found = Vec::new();
        if standard.chain_id().is_none() {
            found.push("no chain id: the client takes 1, the standard the wallet's chain".into());
        }
        let is_kept = |key: &str| {
            self.amount(key).is_some() || self.arguments.iter().any(|(known, _)| known == key)
        };
        for parameter in standard.parameters() {
            if !is_kept(&parameter.key) {
                found.push(format!("the client drops {}", parameter.key));
            }
        }
        let mut keys: Vec<&str> = standard.arguments().map(|it| &*it.key).collect();
        keys.sort_unstable();
        for pair in keys.windows(2).filter(|pair| pair[0] == pair[1] && is_kept(pair[0])) {
            found.push(format!("of several {} the client keeps the last", pair[0]));
        }
        found.dedup();
        found
    }
}

/// Reads an amount as the client does, with `ETH` for 10^18.
pub fn amount_in_wei(text: &str) -> Option<Number> {
    Number::parse(text).ok()
}

/// Writes the link that the client writes: function first, then `value`, `gas` and `gasPrice` in
/// plain decimal; no chain id for chain 1. Amounts that are no numbers are left out.
pub fn write(link: &ClientLink) -> String {
    let mut text = format!("ethereum:{}", link.target);
    if link.chain_id != 1 {
        let _ = write!(text, "@{}", link.chain_id);
    }
    if let Some(function) = &link.function {
        let _ = write!(text, "/{function}");
    }
    let amounts = link
        .amounts
        .iter()
        .filter_map(|(key, value)| Some((&**key, amount_in_wei(value)?.to_string())));
    let arguments = link.arguments.iter().map(|(key, value)| (&**key, value.clone()));
    let arguments = arguments.filter(|_| link.function.is_some());
    for (at, (key, value)) in arguments.chain(amounts).enumerate() {
        let separator = if at == 0 { '?' } else { '&' };
        let _ = write!(text, "{separator}{key}={value}");
    }
    text
}

/// Returns the client's link to a transfer of tokens.
pub fn transfer(contract: &Address, chain_id: u64, to: &str, amount: Number) -> ClientLink {
    ClientLink {
        target: format!("0x{}", contract.to_plain_hex()),
        chain_id,
        function: Some("transfer".to_owned()),
        arguments: vec![
            ("uint256".to_owned(), amount.to_string()),
            ("address".to_owned(), to.to_owned()),
        ],
        amounts: Vec::new(),
    }
}

fn is_address(text: &str) -> bool {
    text.starts_with("0x") && text.parse::<Address>().is_ok()
}

fn is_eth_name(text: &str) -> bool {
    text.ends_with(".eth")
}
