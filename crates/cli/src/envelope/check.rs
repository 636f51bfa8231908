//! `status-envelope check`: what a peer would do, rule by rule.

use std::{fmt::Write as _, sync::Arc};

use clap::Args;
use serde_json::{Value, json};
use statuskit_core::{
    chat,
    envelope::{
        Bloom, Envelope, Rules, Verdict,
        check::{self, DEFAULT_MAX_MESSAGE_SIZE, future_diff},
    },
};

use crate::{
    context::Context,
    envelope::each_envelope,
    error::{CliError, Exit, Result},
    input::InputArgs,
    keys::parse_topic,
    output::Record,
    records::float,
    text,
};

#[derive(Debug, Args)]
pub struct CheckCommand {
    #[command(flatten)]
    inputs: InputArgs,
    /// The peer's minimum proof of work [default: 0.002, which every Status node takes; nodes
    /// with the defaults of the protocol ask for 0.2]
    #[arg(long, value_name = "POW", default_value_t = chat::POW_TARGET, hide_default_value = true)]
    min_pow: f64,
    /// What the peer still tolerates after a change [default: the minimum]
    #[arg(long, value_name = "POW")]
    min_pow_tolerance: Option<f64>,
    /// The peer's bloom filter, 128 hex digits [default: none, all topics]
    #[arg(long, value_name = "HEX")]
    bloom: Option<String>,
    /// A topic of the peer's topic interest, which only Waku has. Repeatable [default: none, no
    /// list]
    #[arg(long, value_name = "HEX", conflicts_with = "bloom")]
    interest: Vec<String>,
    /// The largest size the peer accepts, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_MESSAGE_SIZE)]
    max_size: u32,
}

impl CheckCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let bloom = self.bloom.as_ref().map(|text| {
            text.parse::<Bloom>()
                .map_err(|error| CliError::usage(error.to_string()).field("--bloom"))
        });
        let mut rules = Rules {
            max_message_size: self.max_size,
            min_pow: self.min_pow,
            min_pow_tolerance: self.min_pow_tolerance.unwrap_or(self.min_pow),
            bloom: bloom.transpose()?,
            ..Rules::new(cx.now())
        };
        rules.bloom_tolerance = rules.bloom;
        if !self.interest.is_empty() {
            let topics = self.interest.iter().map(|text| parse_topic(text, "--interest"));
            rules.topics = Some(Arc::new(topics.collect::<Result<_>>()?));
        }
        each_envelope(cx, &self.inputs, |cx, envelope, line| {
            // The clock goes on while a stream is checked.
            rules.now = if cx.is_clock_of_envelopes() { envelope.sent() } else { cx.now() };
            let pow = envelope.pow(future_diff(envelope.sent(), rules.now));
            let verdict = check::verdict(&envelope, pow, &rules);
            cx.emit(&check_record(&envelope, pow, verdict, &rules), check_text)?;
            if verdict != Verdict::Accepted {
                cx.negative();
                cx.show(&refused(&envelope, pow, verdict, &rules).line(line));
            }
            Ok(())
        })
    }
}

fn check_record(envelope: &Envelope, pow: f64, verdict: Verdict, rules: &Rules) -> Record {
    let checks: Vec<_> = check::checks(envelope, pow, rules)
        .into_iter()
        .map(|check| {
            json!({
                "rule": check.rule,
                "pass": check.pass,
                "code": check.verdict.code(),
                "found": check.found,
                "expected": check.expected,
            })
        })
        .collect();
    Record::new("check")
        .with("hash", envelope.hash().to_string())
        .with("accepted", verdict == Verdict::Accepted)
        .with("verdict", verdict.name())
        .with("now", rules.now)
        .with("pow", float(pow))
        .with("checks", checks)
        .with_raw(envelope.raw())
}

fn check_text(record: &Record) -> String {
    let members = record.members();
    let hash = members["hash"].as_str().unwrap_or_default();
    let verdict = members["verdict"].as_str().unwrap_or_default();
    let mut out = format!("{verdict}  {hash}\n");
    for check in members["checks"].as_array().into_iter().flatten() {
        let mark = text::mark(check["pass"] == Value::Bool(true));
        let [rule, found, expected] =
            ["rule", "found", "expected"].map(|name| check[name].as_str().unwrap_or_default());
        let _ = writeln!(out, "  {mark} {rule}: {found} (expected {expected})");
    }
    out
}

/// Names all rules that fail; the code is that of the first.
fn refused(envelope: &Envelope, pow: f64, verdict: Verdict, rules: &Rules) -> CliError {
    let checks = check::checks(envelope, pow, rules).into_iter();
    let failed: Vec<_> = checks
        .filter(|check| !check.pass)
        .map(|check| format!("{}: {}, expected {}", check.rule, check.found, check.expected))
        .collect();
    let message = format!("a peer refuses this envelope: {}", failed.join("; "));
    let error = CliError::new(verdict.code(), Exit::Negative, message);
    match verdict {
        Verdict::VeryOld | Verdict::Expired => {
            error.hint("--now sent checks it as of the time when it was sent")
        }
        Verdict::FromFuture => error.hint("is the clock of this machine right? --now sets another"),
        Verdict::LowPow => error.hint("status-pow mine"),
        Verdict::NoBloomMatch => error.hint("status-topic match shows which topics a filter has"),
        _ => error,
    }
}
