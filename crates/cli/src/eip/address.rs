//! `status-eip address`: EIP-55 and ICAP.

use clap::{Args, Subcommand};
use statuskit_eip::{
    Address,
    icap::{Icap, IcapError},
};

use crate::{
    context::Context,
    eip::texts::{self, Text},
    error::{CliError, Result},
    output::Record,
};

/// Addresses: their checksum (EIP-55), and account numbers (ICAP)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip address check 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed
  $ status-eip address checksum 5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")]
pub struct AddressCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(CheckCommand),
    Checksum(ChecksumCommand),
}

impl AddressCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::Check(command) => command.run(cx),
            Command::Checksum(command) => command.run(cx),
        }
    }
}

const MEMBERS: [&str; 5] = ["address", "text", "from", "to", "target"];
const EXPECTED: &str = "addresses, one per line";

/// Check addresses; exit 1 if one is malformed or has wrong capitals
///
/// Texts in one case carry no checksum, and are valid. ICAP (XE…) has check digits of its own.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip address check 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed
  $ status-eip address check XE7338O073KYGTWWZN0F2WZ0R8PX5ZPPZS --output text")]
pub struct CheckCommand {
    /// Addresses: 40 hex digits with or without 0x, or ICAP
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// Accept only the exact capitals of EIP-55, as the mobile client of 2020 does in places
    #[arg(long)]
    strict: bool,
}

impl CheckCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        texts::each(cx, &self.addresses, "ADDRESS", &MEMBERS, EXPECTED, |cx, text| {
            let found = Found::parse(&text.text);
            let is_exact = matches!(&found, Ok(found) if found.is_exact);
            let valid = found.is_ok() && (is_exact || !self.strict);
            let mut record = Record::new("address").with("text", &*text.text).with("valid", valid);
            record = match &found {
                Ok(found) => {
                    found.describe(record).with("checksum", found.checksum).with("exact", is_exact)
                }
                Err((code, message)) => record
                    .with("checksum", (*code == "address.checksum").then_some("wrong"))
                    .with("error", *code)
                    .with("message", &**message),
            };
            if !valid {
                cx.negative();
            }
            cx.collect(&record, |_| match (&found, valid) {
                (Err((_, message)), _) => format!("NOT VALID: {message}"),
                (Ok(found), false) => format!("NOT VALID: expected {}", found.shown()),
                (Ok(found), true) => format!("valid: {}", found.shown()),
            })
        })
    }
}

/// Print addresses with the capitals of EIP-55, and as ICAP
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip address checksum 5aaeb6053f3e94c9b9a09f33669435e7ef1beaed
  $ status-eip address checksum XE7338O073KYGTWWZN0F2WZ0R8PX5ZPPZS --output hex")]
pub struct ChecksumCommand {
    /// Addresses: 40 hex digits with or without 0x, or ICAP
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// Ignore the capitals that there are
    #[arg(long)]
    ignore_case: bool,
}

impl ChecksumCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        texts::each(cx, &self.addresses, "ADDRESS", &MEMBERS, EXPECTED, |cx, text| {
            let found = self.read(text)?;
            let record = found.describe(Record::new("address").with("text", &*text.text));
            cx.collect(&record, |_| found.shown())
        })
    }

    fn read(&self, text: &Text) -> std::result::Result<Found, CliError> {
        let lower = text.text.to_ascii_lowercase();
        let asked = if self.ignore_case { &lower } else { &text.text };
        Found::parse(asked).map_err(|(code, message)| text.error(code, message))
    }
}

/// What a text is.
struct Found {
    icap: Icap,
    form: &'static str,
    checksum: &'static str,
    /// Whether it is written exactly as it would be here.
    is_exact: bool,
}

impl Found {
    fn parse(text: &str) -> std::result::Result<Self, (&'static str, String)> {
        if text.get(..2).is_some_and(|it| it.eq_ignore_ascii_case("XE")) && text.len() != 40 {
            let icap: Icap =
                text.parse().map_err(|error: IcapError| (error.code(), error.to_string()))?;
            let is_exact = icap.to_string() == text;
            return Ok(Self { form: icap.form(), icap, checksum: "right", is_exact });
        }
        let address: Address = text
            .parse()
            .map_err(|error: statuskit_eip::AddressError| (error.code(), error.to_string()))?;
        let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
        let has = |test: fn(char) -> bool| digits.contains(test);
        let is_mixed = has(|c| c.is_ascii_lowercase()) && has(|c| c.is_ascii_uppercase());
        let checksum = if is_mixed { "right" } else { "none" };
        let is_exact = address.to_string() == text;
        Ok(Self { icap: Icap::Address(address), form: "hex", checksum, is_exact })
    }

    fn address(&self) -> Option<Address> {
        match &self.icap {
            Icap::Address(address) => Some(*address),
            Icap::Indirect { .. } => None,
        }
    }

    fn shown(&self) -> String {
        self.address().map_or_else(|| self.icap.to_string(), |address| address.to_string())
    }

    fn describe(&self, record: Record) -> Record {
        let record = record.with("form", self.form);
        match &self.icap {
            Icap::Address(address) => record
                .with("address", address.to_string())
                .with("lower", format!("0x{}", address.to_plain_hex()))
                .with("icap", self.icap.to_string())
                .with_raw(&address.0),
            Icap::Indirect { asset, institution, client } => record
                .with("address", None::<String>)
                .with("icap", self.icap.to_string())
                .with("asset", asset.as_str())
                .with("institution", institution.as_str())
                .with("client", client.as_str()),
        }
    }
}
