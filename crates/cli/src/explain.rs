//! `statuskit explain`: the rule behind an error code.

use clap::Args;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use crate::{
    codes::{Explanation, explanations},
    context::Context,
    error::{CliError, Result},
    output::Record,
    text,
};

/// What an error code means: the rule, its source, the usual causes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ statuskit explain envelope.low_pow
  $ statuskit explain rlp --output text")]
pub struct ExplainArgs {
    /// The code of an error, such as envelope.low_pow, or the beginning of codes, such as rlp;
    /// without it, all codes are listed
    #[arg(add = ArgValueCandidates::new(codes))]
    code: Option<String>,
}

pub fn run(args: &ExplainArgs, cx: &mut Context) -> Result<()> {
    let wanted = args.code.as_deref().unwrap_or_default();
    let exact = explanations().find(|entry| entry.code == wanted);
    let Some(entry) = exact else {
        // All of a group, such as `rlp`; without a word, all there are.
        let mut group =
            explanations().filter(|entry| entry.code.starts_with(wanted)).collect::<Vec<_>>();
        group.sort_by_key(|entry| entry.code);
        if group.is_empty() {
            return Err(CliError::usage(format!(
                "no error has code {}",
                statuskit_core::text::quote(wanted)
            ))
            .hint("statuskit explain lists all codes")
            .into());
        }
        return group.into_iter().try_for_each(|entry| {
            cx.emit(&record(entry), |_| format!("{:28} {}", entry.code, text::wrap(entry.rule, 29)))
        });
    };
    cx.emit(&record(entry), |_| {
        let Explanation { code, rule, source, causes } = entry;
        let [rule, source, causes] = [rule, source, causes].map(|text| text::wrap(text, 10));
        format!("{code}\n  rule:   {rule}\n  source: {source}\n  causes: {causes}")
    })
}

fn codes() -> Vec<CompletionCandidate> {
    explanations().map(|entry| CompletionCandidate::new(entry.code)).collect()
}

fn record(Explanation { code, rule, source, causes }: &Explanation) -> Record {
    Record::new("explanation")
        .with("code", *code)
        .with("rule", *rule)
        .with("source", *source)
        .with("causes", *causes)
}
