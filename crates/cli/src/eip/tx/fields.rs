//! The fields of a transaction, as options.

use clap::Args;
use statuskit_eip::{
    Address, U256,
    eip155::Transaction,
    number::{NumberError, parse_amount},
};

use crate::{
    eip::abi::parse_data,
    error::{CliError, Exit, Result},
};

/// The fields of a transaction.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Transaction")]
pub struct FieldArgs {
    /// Number of transactions that the sender has made before
    #[arg(long, value_name = "N")]
    nonce: Option<u64>,
    /// Price of a unit of gas: wei, or with a unit as in 20gwei
    #[arg(long, value_name = "AMOUNT")]
    gas_price: Option<String>,
    /// The most gas that may be used
    #[arg(long, value_name = "N")]
    gas: Option<u64>,
    /// Recipient. Without one, the data creates a contract
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// Amount: wei, or with a unit as in 1.5ether [default: 0]
    #[arg(long, value_name = "AMOUNT")]
    value: Option<String>,
    /// Call data in hex, as `abi encode --output hex` prints it
    #[arg(long, value_name = "HEX")]
    data: Option<String>,
    /// Chain: 1 main net, 3 Ropsten, 4 Rinkeby, 5 Goerli, 100 xDai [default: none, valid on all]
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    chain_id: Option<u64>,
}

impl FieldArgs {
    /// Returns whether any of the fields is given.
    pub fn is_given(&self) -> bool {
        let texts = [&self.gas_price, &self.to, &self.value, &self.data];
        let numbers = [self.nonce, self.gas, self.chain_id];
        texts.iter().any(|text| text.is_some()) || numbers.iter().any(Option::is_some)
    }

    /// Returns the transaction.
    pub fn transaction(&self) -> Result<Transaction> {
        let missing = |option: &'static str| {
            CliError::usage(format!("a transaction needs {option}")).field(option)
        };
        if self.to.is_none() && self.data.is_none() {
            return Err(missing("--to").hint("or --data, to create a contract").into());
        }
        let gas_price = self.gas_price.as_ref().ok_or_else(|| missing("--gas-price"))?;
        Ok(Transaction {
            nonce: self.nonce.ok_or_else(|| missing("--nonce"))?,
            gas_price: amount(gas_price, "--gas-price")?,
            gas: self.gas.ok_or_else(|| missing("--gas"))?,
            to: self.to.as_deref().map(address).transpose()?,
            value: self.value.as_deref().map_or(Ok(U256::ZERO), |text| amount(text, "--value"))?,
            data: match &self.data {
                Some(text) => parse_data(text, "--data")?,
                None => Vec::new(),
            },
            chain_id: self.chain_id,
        })
    }
}

fn amount(text: &str, field: &'static str) -> Result<U256> {
    Ok(parse_amount(text).map_err(|error: NumberError| {
        CliError::new(error.code(), Exit::Usage, error.to_string()).field(field)
    })?)
}

fn address(text: &str) -> Result<Address> {
    Ok(text.parse::<Address>().map_err(|error| {
        CliError::new(error.code(), Exit::Usage, error.to_string()).field("--to")
    })?)
}
