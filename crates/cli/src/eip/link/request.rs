//! `status-eip link request`.

use clap::Args;
use statuskit_eip::{
    Address,
    eip681::{LinkError, PaymentLink},
};

use super::{EXPECTED, MEMBERS, ResolveArgs, link_error};
use crate::{
    context::Context,
    eip::texts::{self, Text},
    error::{CliError, Result},
    output::Record,
};

/// Turn links into requests for payment of a chat, for `status-payload encode`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip link request 'ethereum:0x8e23ee67d1332ad560396262c48ffbb01f93d052?value=1e18' | status-payload encode --identity me.key")]
pub struct RequestCommand {
    /// Links that begin with ethereum:
    #[arg(value_name = "LINK")]
    links: Vec<String>,
    #[command(flatten)]
    resolve: ResolveArgs,
}

impl RequestCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        texts::each(cx, &self.links, "LINK", &MEMBERS, EXPECTED, |cx, text| {
            let failed =
                |error: LinkError| link_error(&error, text.error(error.code(), error.to_string()));
            let link: PaymentLink = text.text.parse().map_err(failed)?;
            let call = link.call(|name| self.resolve.find(name)).map_err(failed)?;
            let (to, value, contract) = match (call.signature.as_deref(), link.number("value")) {
                (None, value) if call.data.is_empty() => {
                    let value =
                        value.ok_or_else(|| no_request(text, "the link names no amount"))?;
                    (call.to, value.to_string(), None)
                }
                (Some("transfer(address,uint256)"), None) => {
                    let (to, value) = self.transfer(&link, text)?;
                    (to, value, Some(call.to))
                }
                _ => {
                    return Err(no_request(
                        text,
                        "the link asks for something else than a payment",
                    )
                    .into());
                }
            };
            let lower = |address: Address| format!("0x{}", address.to_plain_hex());
            let record = Record::new("request_transaction")
                .with("clock", cx.now_ms())
                .with("address", lower(to))
                .with("value", value)
                .with("contract", contract.map(lower).unwrap_or_default());
            cx.collect(&record, Record::to_text)
        })
    }

    /// Returns recipient and amount of a transfer of tokens.
    fn transfer(&self, link: &PaymentLink, text: &Text) -> Result<(Address, String)> {
        let argument = |key| link.text(key).unwrap_or_default();
        let to = argument("address");
        let address = to.parse().ok().or_else(|| self.resolve.find(to));
        let value = statuskit_eip::eip681::Number::parse(argument("uint256")).ok();
        match (address, value) {
            (Some(address), Some(value)) => Ok((address, value.to_string())),
            _ => Err(no_request(text, "the transfer has no recipient or no amount").into()),
        }
    }
}

fn no_request(text: &Text, message: &str) -> CliError {
    text.error("payment_link.no_request", message)
}
