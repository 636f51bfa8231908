//! `status-inspect match`: records for which a predicate holds.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use serde_json::Value;
use statuskit_core::text::xml;
use statuskit_inspect::Predicate;

use super::{
    Found, Objects, SourceArgs,
    given::{self, Given},
    inspection_record,
};
use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    output::{Format, Record, escape, write_stdout},
};

/// Print the records for which an expression holds. Exit 1 if there is none
///
/// Reads records of any tool, or any JSON objects, and prints those for which EXPR holds. Other bytes
/// are inspected, and the expression is about the inspection.
///
///   type == chat_message && payload.text contains "hi"
///   layers[*].kind == payload.chat_message && certainty == certain
///
/// A test is PATH OP VALUE. PATH is the name of a member, with .NAME for one inside, [0] for an item,
/// [*] for any item, and ["odd name"]. OP is one of == != < <= > >= contains starts_with ends_with.
/// VALUE is a text in "quotes" or 'quotes', a number, true, false, null, or a word. Other tests are
/// PATH in (VALUE, VALUE), PATH exists, and PATH alone, which holds unless it is missing, null or
/// false. Tests are put together with !, && and ||, which bind in this order, and parentheses.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-topic chat status | status-inspect match 'name == status'
  $ status-inspect match 'kind starts_with account.' status-im://chat/public/status
  $ status-topic chat a | status-inspect match 'name exists' --count 1 --report tap")]
pub struct MatchArgs {
    /// What must hold
    #[arg(value_name = "EXPR")]
    expr: String,
    /// Records, bytes in any spelling, or files [default: standard input]
    #[arg(value_name = "INPUT")]
    inputs: Vec<String>,
    /// Inspect the bytes of records as well: the expression is about the inspection
    #[arg(long)]
    bytes: bool,
    /// Succeed if exactly N records match
    #[arg(long, value_name = "N", conflicts_with = "min")]
    count: Option<u64>,
    /// Succeed if at least N records match [default: 1]
    #[arg(long, value_name = "N")]
    min: Option<u64>,
    /// Succeed if all records match, and print those that do not
    #[arg(long, conflicts_with_all = ["count", "min"])]
    all: bool,
    /// Print a report for a test system instead of the records
    #[arg(long, value_enum, value_name = "FORMAT")]
    report: Option<Report>,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Report {
    /// JUnit XML, one test case
    Junit,
    /// Test Anything Protocol, version 13
    Tap,
}

pub fn run(args: &MatchArgs, cx: &mut Context) -> Result<()> {
    let predicate = Predicate::parse(&args.expr).map_err(|error| {
        CliError::usage(error.to_string())
            .field("EXPR")
            .offset(error.offset)
            .hint("such as: type == chat_message && payload.text contains \"hi\"")
    })?;
    if args.report.is_some() && cx.format() == Format::Html {
        return Err(crate::output::no_page().into());
    }
    let options = args.source.options(None, cx)?;
    let objects = if args.bytes { Objects::Inspect } else { Objects::Keep };
    let mut tally = Tally::default();
    let read = given::each(&args.inputs, &options, objects, cx, |cx, given| {
        tally.take(args, &predicate, given, cx)
    });
    match read {
        Err(stop) if tally.read == 0 && args.report.is_none() => return Err(stop),
        Err(crate::error::Stop::Error(error)) if error.code == "input.empty" => cx.report(error)?,
        other => other?,
    }
    let passes = tally.passes(args);
    if let Some(report) = args.report {
        write_stdout(tally.report(report, args, passes).as_bytes())?;
    }
    if !passes {
        cx.negative();
        cx.note(&format!("{}; {}", tally.summary(), args.expected()));
    }
    Ok(())
}

impl MatchArgs {
    fn expected(&self) -> String {
        match (self.all, self.count, self.min) {
            (true, ..) => "expected all".to_owned(),
            (_, Some(count), _) => format!("expected exactly {count}"),
            (_, _, min) => format!("expected at least {}", min.unwrap_or(1)),
        }
    }
}

/// How many records there were.
#[derive(Default)]
struct Tally {
    read: u64,
    matched: u64,
    /// Inputs that could not be read.
    failed: u64,
    /// The lines of the first that did not match, with --all.
    others: Vec<u64>,
}

/// How many lines a report names.
const MAX_NAMED: usize = 20;

impl Tally {
    fn take(
        &mut self,
        args: &MatchArgs,
        predicate: &Predicate,
        given: Given,
        cx: &mut Context,
    ) -> Result<()> {
        let (record, tree) = match given.found {
            Ok(Found::Record(members)) => (Record::from_members(members), None),
            Ok(Found::Inspection(it)) => (inspection_record(&it), Some(it)),
            Err(error) if error.exit == Exit::Usage => return Err(error.into()),
            Err(error) => {
                self.failed += 1;
                return cx.report(error);
            }
        };
        self.read += 1;
        let value = Value::from(record.clone());
        let holds = predicate.holds(&value);
        self.matched += u64::from(holds);
        if !holds && self.others.len() < MAX_NAMED {
            self.others.push(given.line);
        }
        if holds == args.all || args.report.is_some() {
            return Ok(());
        }
        let colour = cx.has_colour();
        cx.emit(&record, |record| tree.map_or_else(|| record.to_text(), |it| it.to_tree(colour)))
    }

    fn passes(&self, args: &MatchArgs) -> bool {
        match (args.all, args.count) {
            (true, _) => self.read > 0 && self.matched == self.read && self.failed == 0,
            (_, Some(count)) => self.matched == count,
            _ => self.matched >= args.min.unwrap_or(1),
        }
    }

    fn summary(&self) -> String {
        let records = if self.read == 1 { "record" } else { "records" };
        format!("{} of {} {records} match", self.matched, self.read)
    }

    /// Returns the report: one test, the expression.
    fn report(&self, report: Report, args: &MatchArgs, passes: bool) -> String {
        let name = escape(&args.expr);
        let mut message = format!("{}; {}", self.summary(), args.expected());
        if self.failed > 0 {
            let _ = write!(message, "; {} could not be read", self.failed);
        }
        if args.all && !self.others.is_empty() {
            let lines: Vec<_> = self.others.iter().map(u64::to_string).collect();
            let _ = write!(message, "; not on line {}", lines.join(", "));
        }
        match report {
            Report::Tap => {
                // A number sign would begin a directive.
                let name = name.replace('\\', "\\\\").replace('#', "\\#");
                let word = if passes { "ok" } else { "not ok" };
                format!("TAP version 13\n1..1\n{word} 1 - {name}\n# {message}\n")
            }
            Report::Junit => {
                let name = xml(&name);
                let failures = u8::from(!passes);
                let body = match passes {
                    true => format!("<system-out>{}</system-out>", xml(&message)),
                    false => format!("<failure message=\"{}\"/>", xml(&message)),
                };
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                     <testsuite name=\"status-inspect match\" tests=\"1\" failures=\"{failures}\" \
                     errors=\"0\">\n  <testcase classname=\"status-inspect\" name=\"{name}\">{body}\
                     </testcase>\n</testsuite>\n"
                )
            }
        }
    }
}
