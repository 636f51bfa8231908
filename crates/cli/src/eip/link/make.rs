//! `status-eip link make`.

use clap::Args;
use serde_json::{Map, Value};
use statuskit_core::{account::Qr, reader::Wants};
use statuskit_eip::{
    Address, AddressError,
    eip681::{
        LinkError, Number, PaymentLink,
        client::{self, ClientLink},
    },
    number::{NumberError, parse_amount},
};

use super::{ResolveArgs, client_verdict, record};
use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    input::{Content, Item, each_item},
    output::Format,
    payload::record::payload_members,
    picture::PictureArgs,
};

/// Make links, and their QR codes
///
/// From options, or from records on standard input: of `link parse`, or requests for payment
/// (request_transaction) of a chat.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip link make --to bob.eth --value 0.5ether --output text
  $ status-eip link make --token 0x744d70fdbe2ba4cf95131626614a1763df805b9e --to 0x8e23ee67d1332ad560396262c48ffbb01f93d052 --value 5 --qr --output text
  $ status-eip link make --to 0x8e23ee67d1332ad560396262c48ffbb01f93d052 --chain-id 3 --value 1e18 --png out.png --force
  $ status-payload template request_transaction --set address=0x8e23ee67d1332ad560396262c48ffbb01f93d052 --set value=1000 | status-eip link make")]
pub struct MakeCommand {
    /// Recipient of the payment, or contract of the function: an address or a name
    #[arg(long, value_name = "TARGET")]
    to: Option<String>,
    /// Chain of the payment: 1 is the main network, 3 Ropsten [default: left open]
    #[arg(long, value_name = "NUMBER")]
    chain_id: Option<u64>,
    /// Amount in the smallest unit, or with a unit: 1000, 2.014e18, 20gwei, 0.5ether
    #[arg(long, value_name = "AMOUNT")]
    value: Option<String>,
    /// Pay in tokens of this contract: --to and --value become the arguments of transfer
    #[arg(long, value_name = "CONTRACT", requires = "to", conflicts_with_all = ["function", "arg"])]
    token: Option<String>,
    /// Function to call
    #[arg(long, value_name = "NAME", requires = "to")]
    function: Option<String>,
    /// Argument of the function. Repeatable, in order
    #[arg(long, value_name = "TYPE=VALUE", requires = "function")]
    arg: Vec<String>,
    /// Gas of the transaction
    #[arg(long, value_name = "AMOUNT")]
    gas: Option<String>,
    /// Price of the gas, in wei or with a unit
    #[arg(long, value_name = "AMOUNT")]
    gas_price: Option<String>,
    /// Put the prefix pay- before an address, too
    #[arg(long)]
    pay: bool,
    /// Write as the mobile client of 2020: no chain id for chain 1, amounts last
    #[arg(long)]
    client_2020: bool,
    /// Also draw the QR code, with --output text
    #[arg(long)]
    qr: bool,
    #[command(flatten)]
    picture: PictureArgs,
}

impl MakeCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        self.picture.check_free()?;
        if let Some(to) = &self.to {
            let link = self.of_options(to)?;
            return self.emit(cx, &link, 1);
        }
        let mut count = 0;
        let expected = "links, or requests for payment";
        each_item(cx, Wants::any_bytes(), expected, |cx, item| {
            count += 1;
            let link = self.of_item(item).map_err(|error| error.line(item.line))?;
            self.emit(cx, &link, count)
        })
    }

    fn of_options(&self, to: &str) -> Result<PaymentLink> {
        let failed = |option: &'static str| {
            move |error: LinkError| {
                CliError::new(error.code(), Exit::Usage, error.to_string()).field(option)
            }
        };
        let value = amount(self.value.as_deref(), "--value")?;
        if let Some(token) = &self.token {
            let contract = token.parse().map_err(|error: AddressError| {
                CliError::new(error.code(), Exit::Usage, error.to_string()).field("--token")
            })?;
            // The recipient must be what a link could have as its target.
            PaymentLink::new(to).map_err(failed("--to"))?;
            let amount = value.ok_or_else(|| {
                CliError::usage("a payment in tokens needs an amount").field("--value")
            })?;
            return self.finish(PaymentLink::transfer(&contract, to, amount.size));
        }
        let mut link = PaymentLink::new(to).map_err(failed("--to"))?;
        link = link.calling(self.function.as_deref());
        for argument in &self.arg {
            let (kind, text) = argument.split_once('=').ok_or_else(|| {
                CliError::usage(format!("{argument:?} gives no value"))
                    .field("--arg")
                    .hint("TYPE=VALUE")
            })?;
            link = link.with(kind, text).map_err(failed("--arg"))?;
        }
        if let Some(value) = value {
            link = link.with("value", &value.to_string()).map_err(failed("--value"))?;
        }
        self.finish(link)
    }

    /// Adds what all forms have.
    fn finish(&self, mut link: PaymentLink) -> Result<PaymentLink> {
        for (key, text, option) in
            [("gas", &self.gas, "--gas"), ("gasPrice", &self.gas_price, "--gas-price")]
        {
            if let Some(amount) = amount(text.as_deref(), option)? {
                link = link.with(key, &amount.to_string()).map_err(|error| {
                    CliError::new(error.code(), Exit::Usage, error.to_string()).field(option)
                })?;
            }
        }
        if self.pay {
            link = link.with_prefix(Some("pay"));
        }
        let chain_id = self.chain_id.or(link.chain_id());
        Ok(link.on_chain(chain_id))
    }

    fn of_item(&self, item: &Item) -> std::result::Result<PaymentLink, CliError> {
        let Content::Record(members) = &item.content else {
            let message = "expected a record of a link, or of a request for payment";
            return Err(CliError::new("record.member", Exit::Malformed, message));
        };
        let members = payload_members(members);
        let link = match members.get("link").and_then(Value::as_str) {
            Some(text) => text.parse().map_err(|error: LinkError| malformed(&error, "link"))?,
            None => requested(members)?,
        };
        self.finish(link).map_err(|stop| match stop {
            crate::error::Stop::Error(error) => error,
            _ => CliError::usage("the options of the link"),
        })
    }

    fn emit(&self, cx: &mut Context, link: &PaymentLink, count: u64) -> Result<()> {
        let text =
            if self.client_2020 { client::write(&as_client(link)) } else { link.to_string() };
        let files = self.picture.names();
        let qr = match self.qr || !files.is_empty() {
            true => Some(Qr::new(&text).map_err(|error| {
                CliError::new(error.code(), Exit::Malformed, error.to_string())
            })?),
            false => None,
        };
        if let Some(qr) = &qr {
            self.picture.write(qr, count, "link")?;
        }
        let record = record(link, &ResolveArgs { resolve: Vec::new() })
            .with("link", text.as_str())
            .with("client_2020", client_verdict(&text, Some(link)))
            .with_some("files", (!files.is_empty()).then_some(files))
            .with_raw(text.as_bytes());
        if qr.is_some() && !self.qr && matches!(cx.format(), Format::Hex | Format::Raw) {
            return Ok(());
        }
        cx.collect(&record, |_| match (&qr, self.qr) {
            (Some(qr), true) => format!("{text}\n{}", qr.to_text(self.picture.invert)),
            _ => text.clone(),
        })
    }
}

/// Makes the link of a request for payment: in ether, or in tokens of its contract.
fn requested(members: &Map<String, Value>) -> std::result::Result<PaymentLink, CliError> {
    let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind != "request_transaction" {
        let message = format!("a record of type {kind:?} asks for no payment");
        return Err(CliError::new("record.type", Exit::Malformed, message)
            .field("type")
            .hint("records of link parse, or of request_transaction"));
    }
    let text = |name: &'static str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let bad = |code, message: String, name: &str| {
        CliError::new(code, Exit::Malformed, message).field(name)
    };
    let (to, contract) = (text("address"), text("contract"));
    let amount = Number::parse(text("value"))
        .map_err(|error| bad(error.code(), error.to_string(), "value"))?;
    if amount.is_negative {
        let error = NumberError::Negative(amount.to_string());
        return Err(bad(error.code(), error.to_string(), "value"));
    }
    let recipient: Address = to
        .parse()
        .map_err(|error: AddressError| bad(error.code(), error.to_string(), "address"))?;
    if contract.is_empty() {
        let link = PaymentLink::new(&recipient.to_string())
            .map_err(|error| malformed(&error, "address"))?;
        return link.with("value", &amount.to_string()).map_err(|error| malformed(&error, "value"));
    }
    let contract: Address = contract
        .parse()
        .map_err(|error: AddressError| bad(error.code(), error.to_string(), "contract"))?;
    Ok(PaymentLink::transfer(&contract, &recipient.to_string(), amount.size))
}

/// Translates a link to the way in which the client of 2020 keeps it.
fn as_client(link: &PaymentLink) -> ClientLink {
    let chain_id = link.chain_id().unwrap_or(1);
    // It writes transfers of tokens with the amount first.
    if link.function() == Some("transfer")
        && link.arguments().map(|it| &*it.key).eq(["address", "uint256"])
        && let Ok(contract) = link.target().parse::<Address>()
        && let (Some(to), Some(Ok(amount))) =
            (link.text("address"), link.text("uint256").map(Number::parse))
    {
        let transfer = client::transfer(&contract, chain_id, to, amount);
        return ClientLink { amounts: client_amounts(link), ..transfer };
    }
    ClientLink {
        target: match link.prefix() {
            Some(prefix) => format!("{prefix}-{}", link.target()),
            None => link.target().to_owned(),
        },
        chain_id,
        function: link.function().map(str::to_owned),
        arguments: link.arguments().map(|it| (it.key.clone(), it.value.clone())).collect(),
        amounts: client_amounts(link),
    }
}

fn client_amounts(link: &PaymentLink) -> Vec<(String, String)> {
    let amounts = ["value", "gas", "gasPrice"].into_iter().filter_map(|key| {
        let number = link.number(key).or_else(|| link.number("gasLimit").filter(|_| key == "gas"));
        Some((key.to_owned(), number?.to_string()))
    });
    amounts.collect()
}

fn amount(text: Option<&str>, option: &'static str) -> Result<Option<Number>> {
    let read = text.map(|text| parse_amount(text).map(Number::from)).transpose();
    Ok(read.map_err(|error| {
        CliError::new(error.code(), Exit::Usage, error.to_string()).field(option)
    })?)
}

fn malformed(error: &LinkError, field: &str) -> CliError {
    CliError::new(error.code(), Exit::Malformed, error.to_string()).field(field)
}
