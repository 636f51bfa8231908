//! `status-eip ens normalize`, `namehash`, `labelhash` and `reverse`.

use clap::Args;
use serde_json::{Map, Value, json};
use statuskit_eip::{
    Address, AddressError,
    eip137::{self, Name, Rules, username},
    eip181,
};

use super::{RulesArg, name_error};
use crate::{
    context::Context,
    eip::texts::{self, Text},
    error::{CliError, Exit, Result},
    output::{Record, hex0x},
};

const MEMBERS: [&str; 4] = ["name", "ens_name", "normalized", "target"];
const EXPECTED: &str = "names, one per line";

#[derive(Debug, Clone, Args)]
struct NamesArgs {
    /// Names, such as bob.eth; @alice is short for alice.stateofus.eth
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The rules of normalisation
    #[arg(long, value_enum, value_name = "RULES", default_value = "reference")]
    rules: RulesArg,
}

/// Normalise names: UTS 46, non-transitional, with the data of Unicode 12.1
///
/// Where newer data, ENSIP-15, stricter checks or the mobile client of 2020 make another name of it,
/// the record says so.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip ens normalize Alice.StateOfUs.eth
  $ status-eip ens normalize STRAẞE.eth --output text
  $ status-eip ens normalize \"O'Neil.eth\" --rules ensip15")]
pub struct NormalizeCommand {
    #[command(flatten)]
    args: NamesArgs,
}

impl NormalizeCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        self.args
            .run(cx, |name, record| (record.with_raw(name.as_str().as_bytes()), name.to_string()))
    }
}

/// Hash names to the nodes that contracts use
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip ens namehash foo.eth
  $ printf 'eth\\nstateofus.eth\\n' | status-eip ens namehash --output text")]
pub struct NamehashCommand {
    #[command(flatten)]
    args: NamesArgs,
}

impl NamehashCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        self.args.run(cx, |name, record| (record.with_raw(&name.node()), hex0x(name.node())))
    }
}

impl NamesArgs {
    fn run(
        &self,
        cx: &mut Context,
        finish: impl Fn(&Name, Record) -> (Record, String),
    ) -> Result<()> {
        texts::each(cx, &self.names, "NAME", &MEMBERS, EXPECTED, |cx, text| {
            let name = parse(text, self.rules)?;
            let (record, shown) = finish(&name, record(&text.text, &name, self.rules.rules()));
            let warnings = warnings_of(&record);
            cx.collect(&record, |_| {
                let lines = warnings.iter().map(|warning| format!("\n  warning: {warning}"));
                crate::output::escape(&shown) + &lines.collect::<String>()
            })
        })
    }
}

fn parse(text: &Text, rules: RulesArg) -> std::result::Result<Name, CliError> {
    let full = username::full_name(&text.text);
    Name::parse_by(&full, rules.rules()).map_err(|error| {
        let converted = name_error(&text.text, &error, Exit::Malformed);
        let at = text.error(converted.code, converted.message.clone());
        match &converted.hint {
            Some(hint) => at.hint(hint.as_str()),
            None => at,
        }
    })
}

/// Describes a name, and what others make of it.
fn record(text: &str, name: &Name, rules: Rules) -> Record {
    let mut warnings = Vec::new();
    let mut others = Map::new();
    for reading in eip137::readings(&username::full_name(text)) {
        if reading.rules == rules || reading.name.as_ref() == Ok(name) {
            continue;
        }
        let by = match reading.rules {
            Rules::Reference => "UTS 46 with Unicode 12.1",
            Rules::Strict => "UTS 46 with all checks",
            Rules::Newest => "UTS 46 with Unicode 17",
            Rules::Ensip15 => "ENSIP-15",
            _ => "the mobile client of 2020",
        };
        let (warning, other) = match &reading.name {
            Ok(other) => (
                format!("{by} reads {other}, which is another name"),
                json!({ "normalized": other.as_str(), "node": hex0x(other.node()) }),
            ),
            Err(error) => (
                format!("{by} refuses the name: {error}"),
                json!({ "error": error.code(), "message": error.to_string() }),
            ),
        };
        warnings.push(warning);
        others.insert(reading.rules.name().to_owned(), other);
    }
    if name.has_empty_label() {
        warnings.push("a label is empty, as in no registered name".to_owned());
    }
    let mut record = Record::new("ens_name")
        .with("name", text)
        .with("normalized", name.as_str())
        .with("rules", rules.name())
        .with("node", hex0x(name.node()));
    if let Some(label) = name.labels().next() {
        record = record.with("labelhash", hex0x(eip137::labelhash(label)));
    }
    if let Some(label) = username::username(name) {
        let checked = username::check_username(label);
        warnings.extend(checked.err().map(|error| error.to_string()));
        let error = checked.err().map(|error| error.code());
        record = record
            .with("username", json!({ "name": label, "valid": checked.is_ok(), "error": error }));
    }
    record.with("warnings", warnings).with("others", others)
}

fn warnings_of(record: &Record) -> Vec<String> {
    let warnings = record.members().get("warnings").and_then(Value::as_array);
    let texts = warnings.into_iter().flatten().filter_map(Value::as_str);
    texts.map(crate::output::escape).collect()
}

/// Hash single labels
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip ens labelhash eth")]
pub struct LabelhashCommand {
    /// Labels: parts of a name
    #[arg(value_name = "LABEL")]
    labels: Vec<String>,
    /// The rules of normalisation
    #[arg(long, value_enum, value_name = "RULES", default_value = "reference")]
    rules: RulesArg,
}

impl LabelhashCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        texts::each(cx, &self.labels, "LABEL", &["label"], "labels, one per line", |cx, text| {
            let name = Name::parse_by(&text.text, self.rules.rules())
                .map_err(|error| text.error(error.code(), error.to_string()))?;
            if name.labels().count() > 1 {
                let error = text.error("ens.label", "a label has no full stop");
                return Err(error.hint("status-eip ens namehash, for a whole name").into());
            }
            let hash = eip137::labelhash(name.as_str());
            let record = Record::new("ens_label")
                .with("label", &*text.text)
                .with("normalized", name.as_str())
                .with("labelhash", hex0x(hash))
                .with_raw(&hash);
            cx.collect(&record, |_| hex0x(hash))
        })
    }
}

/// Print the reverse names of addresses (EIP-181), and their nodes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip ens reverse 0x25f480D647E580a824A01672294D68bf3fF12c0d")]
pub struct ReverseCommand {
    /// Addresses
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<String>,
}

impl ReverseCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let (members, expected) = (["address", "from", "to"], "addresses, one per line");
        texts::each(cx, &self.addresses, "ADDRESS", &members, expected, |cx, text| {
            let parsed = text.text.parse();
            let address: Address = parsed
                .map_err(|error: AddressError| text.error(error.code(), error.to_string()))?;
            let (name, node) = (eip181::reverse_name(&address), eip181::reverse_node(&address));
            let record = Record::new("ens_name")
                .with("address", address.to_string())
                .with("name", name.as_str())
                .with("normalized", name.as_str())
                .with("node", hex0x(node))
                .with_raw(&node);
            cx.collect(&record, |_| name.clone())
        })
    }
}
