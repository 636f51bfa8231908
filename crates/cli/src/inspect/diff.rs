//! `status-inspect diff`: which field of which layer is different.

use clap::Args;
use serde_json::Value;
use statuskit_inspect::{Diff, Inspection, Options};

use super::{Found, Objects, SourceArgs, given, record_of};
use crate::{
    context::Context,
    error::{CliError, Exit, Result},
};

/// Compare two values by meaning: which field of which layer is different. Exit 1 if any is
///
/// Padding, nonces, lengths, and ciphertexts that both were opened do not matter; they are listed, and
/// marked. Give the keys that open both: what is not opened can only be compared as it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-inspect diff status-im://chat/public/a status-im://chat/public/b || true
  $ for n in 1 2; do status-envelope seal hi --chat status --identity me.key --now 1585500000 > $n.json; done; status-inspect diff 1.json 2.json --chat status")]
pub struct DiffArgs {
    /// Bytes in any spelling, a record, or a file; `-` is standard input
    a: String,
    /// The other one
    b: String,
    /// Differences that do not matter count as well
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    source: SourceArgs,
}

pub fn run(args: &DiffArgs, cx: &mut Context) -> Result<()> {
    if args.a == "-" && args.b == "-" {
        return Err(CliError::usage("standard input can be one side only").field("B").into());
    }
    let options = args.source.options(None, cx)?;
    let a = one(&args.a, "A", &options, cx)?;
    let b = one(&args.b, "B", &options, cx)?;
    let diff = Diff::new(&a, &b);
    let is_same = if args.exact { diff.is_identical } else { diff.is_same() };
    let mut json = diff.to_json();
    json["same"] = Value::Bool(is_same);
    cx.emit(&record_of(json), |_| diff.to_text())?;
    if !is_same {
        cx.negative();
    }
    Ok(())
}

fn one(input: &str, name: &str, options: &Options, cx: &mut Context) -> Result<Box<Inspection>> {
    let mut found = Vec::new();
    given::each(&[input.to_owned()], options, Objects::Inspect, cx, |_, given| {
        found.push(given.found.map_err(|error| error.field(name))?);
        Ok(())
    })?;
    match (found.pop(), found.len()) {
        (Some(Found::Inspection(it)), 0) => Ok(it),
        (_, more) => {
            let message = match more {
                0 => "there are no bytes to compare".to_owned(),
                more => format!("there are {} values, expected one", more + 1),
            };
            Err(CliError::new("inspect.not_one", Exit::Usage, message).field(name).into())
        }
    }
}
