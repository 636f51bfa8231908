//! `status-eip link transaction`.

use clap::Args;
use statuskit_eip::{
    U256,
    eip155::Transaction,
    eip681::{LinkError, PaymentLink},
    number::{NumberError, parse_amount},
};

use super::{EXPECTED, MEMBERS, ResolveArgs, link_error};
use crate::{
    context::Context,
    eip::{
        texts::{self, Text},
        tx::record,
    },
    error::{CliError, Exit, Result},
    output::Record,
};

/// Build the transactions that links ask for, for `tx sign`
///
/// Target, amount and call are those of the link; the rest is given, where the link leaves it open.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip link transaction 'ethereum:0x8e23ee67d1332ad560396262c48ffbb01f93d052@3?value=1e18' --nonce 0 --gas-price 20gwei --gas 21000 | status-eip tx sign --identity me.key")]
pub struct TransactionCommand {
    /// Links that begin with ethereum:
    #[arg(value_name = "LINK")]
    links: Vec<String>,
    /// Number of transactions that the sender has made before. More links take the next ones
    #[arg(long, value_name = "N")]
    nonce: u64,
    /// Price of a unit of gas [default: that of the link]
    #[arg(long, value_name = "AMOUNT")]
    gas_price: Option<String>,
    /// The most gas that may be used [default: that of the link]
    #[arg(long, value_name = "N")]
    gas: Option<u64>,
    /// Chain [default: that of the link]
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    chain_id: Option<u64>,
    #[command(flatten)]
    resolve: ResolveArgs,
}

impl TransactionCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let gas_price = self.gas_price.as_deref().map(|text| {
            parse_amount(text).map_err(|error: NumberError| {
                CliError::new(error.code(), Exit::Usage, error.to_string()).field("--gas-price")
            })
        });
        let gas_price = gas_price.transpose()?;
        let mut nonce = self.nonce;
        texts::each(cx, &self.links, "LINK", &MEMBERS, EXPECTED, |cx, text| {
            let transaction = self.build(text, nonce, gas_price)?;
            nonce = nonce.saturating_add(1);
            cx.collect(&record::unsigned(&transaction), Record::to_text)
        })
    }

    fn build(&self, text: &Text, nonce: u64, gas_price: Option<U256>) -> Result<Transaction> {
        let failed =
            |error: LinkError| link_error(&error, text.error(error.code(), error.to_string()));
        let link: PaymentLink = text.text.parse().map_err(failed)?;
        let call = link.call(|name| self.resolve.find(name)).map_err(failed)?;
        let missing = |option: &'static str| {
            let message = format!("the link leaves it open: this needs {option}");
            CliError::usage(message).field(option)
        };
        let chain_id = match (link.chain_id(), self.chain_id) {
            (Some(asked), Some(given)) if asked != given => {
                let message = format!("the link is for chain {asked}, not {given}");
                return Err(text.error("payment_link.other_chain", message).into());
            }
            (asked, given) => asked.or(given).ok_or_else(|| missing("--chain-id"))?,
        };
        let gas = match self.gas {
            Some(gas) => gas,
            None => {
                let gas = call.gas.ok_or_else(|| missing("--gas"))?;
                gas.to_u64().ok_or_else(|| {
                    let error = NumberError::TooLarge(gas.to_string());
                    text.error(error.code(), error.to_string())
                })?
            }
        };
        Ok(Transaction {
            nonce,
            gas_price: gas_price.or(call.gas_price).ok_or_else(|| missing("--gas-price"))?,
            gas,
            to: Some(call.to),
            value: call.value,
            data: call.data,
            chain_id: Some(chain_id),
        })
    }
}
