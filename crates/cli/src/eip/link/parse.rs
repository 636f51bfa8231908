//! `status-eip link parse`.

use clap::Args;
use statuskit_eip::eip681::{
    PaymentLink,
    client::{self, ClientLink},
};

use super::{
    EXPECTED, MEMBERS, ResolveArgs, by_type, client_verdict, in_order, link_error, record,
};
use crate::{
    context::Context,
    eip::texts::{self, Text},
    error::Result,
    output::Record,
};

/// Read links: target, chain, function, arguments and amounts; and the transaction they ask for
///
/// Amounts are exact, in the smallest unit. The member `client_2020` says what the mobile client of
/// 2020 makes of the link.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip link parse 'ethereum:0xfb6916095ca1df60bb79Ce92ce3ea74c37c5d359?value=2.014e18'
  $ status-eip link parse 'ethereum:pay-bob.eth@3?value=1ETH' --resolve bob.eth=0x8e23ee67d1332ad560396262c48ffbb01f93d052
  $ status-eip link parse --client-2020 'ethereum:pay-bob.eth?value=1e18&gasLimit=21000'")]
pub struct ParseCommand {
    /// Links that begin with ethereum:
    #[arg(value_name = "LINK")]
    links: Vec<String>,
    /// Read as the mobile client of 2020: chain 1 unless named, amounts as written, unknown keys
    /// dropped
    #[arg(long)]
    client_2020: bool,
    #[command(flatten)]
    resolve: ResolveArgs,
}

impl ParseCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        texts::each(cx, &self.links, "LINK", &MEMBERS, EXPECTED, |cx, text| {
            let record = if self.client_2020 { by_client(text)? } else { self.by_standard(text)? };
            cx.collect(&record.with_raw(text.text.as_bytes()), Record::to_text)
        })
    }

    fn by_standard(&self, text: &Text) -> Result<Record> {
        let link: PaymentLink = text
            .text
            .parse()
            .map_err(|error| link_error(&error, text.error(error.code(), error.to_string())))?;
        Ok(record(&link, &self.resolve)
            .with("client_2020", client_verdict(&text.text, Some(&link))))
    }
}

/// Reads a link as the mobile client of 2020.
fn by_client(text: &Text) -> Result<Record> {
    let link = ClientLink::parse(&text.text)
        .map_err(|refusal| text.error("payment_link.client_2020", refusal.to_string()))?;
    let arguments: Vec<_> = link.arguments.iter().map(|(key, value)| (&**key, &**value)).collect();
    let in_wei = |key| {
        let number = link.amount(key).and_then(client::amount_in_wei);
        number.map(|number| number.to_string())
    };
    let standard = text.text.parse::<PaymentLink>().ok();
    Ok(Record::new("payment_link")
        .with("link", client::write(&link))
        .with("target", &*link.target)
        .with("chain_id", link.chain_id)
        .with("function", link.function.as_deref())
        .with("arguments", by_type(&arguments))
        .with("parameters", in_order(&arguments))
        .with("value", in_wei("value"))
        .with("value_text", link.amount("value"))
        .with("gas", in_wei("gas"))
        .with("gas_price", in_wei("gasPrice"))
        .with("standard", "client_2020")
        .with("client_2020", client_verdict(&text.text, standard.as_ref())))
}
