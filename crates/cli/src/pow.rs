//! `status-pow`: mine, check, estimate, bench.

use std::{num::NonZeroUsize, time::Duration};

use clap::{Args, Subcommand};
use statuskit_core::{
    chat,
    crypto::keccak::Backend,
    envelope::{Envelope, Topic, check::future_diff, pow},
    time::UnixSeconds,
};

use crate::{
    context::Context,
    envelope::each_envelope,
    error::{CliError, Exit, Result, Stop},
    input::InputArgs,
    mining::{self, Effort},
    output::Record,
    records::{envelope_record, float},
    text,
    time::parse_seconds,
};

/// Proof of work: mine it, check it, estimate it, measure it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo -n hi | status-envelope seal --password secret | status-pow mine --target 0.2
  $ echo hi | status-envelope seal --chat status --pow 0.2 | status-pow check --min 0.2
  $ status-pow estimate --target 2 --size 1024 --ttl 15
  $ status-pow bench --size 1024 --threads 1 --time 1s")]
pub struct PowArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give envelopes from standard input the lowest nonce that reaches a target. Ctrl-C keeps
    /// the best nonce so far (exit 130)
    #[command(after_help = "\
Examples:
  $ echo hi | status-envelope seal --chat status | status-pow mine --target 0.01")]
    Mine(MineCommand),
    /// The proof of work of envelopes as peers compute it; exit 1 if one is below the minimum
    #[command(after_help = "\
Examples:
  $ echo hi | status-envelope seal --chat status --pow 0.2 | status-pow check --min 0.2")]
    Check {
        /// The least that passes
        #[arg(long, value_name = "POW", default_value_t = chat::POW_TARGET)]
        min: f64,
        #[command(flatten)]
        inputs: InputArgs,
    },
    /// Estimate how many hashes a target takes, and how long that is on this machine
    #[command(after_help = "\
Examples:
  $ status-pow estimate --target 2 --size 1024 --ttl 15")]
    Estimate {
        /// Proof of work to reach
        #[arg(long, value_name = "POW", default_value_t = chat::POW_TARGET)]
        target: f64,
        /// Bytes of encrypted data
        #[arg(long, value_name = "BYTES", default_value_t = 1024)]
        size: usize,
        /// Time to live
        #[arg(long, value_name = "TIME", default_value = "15", value_parser = parse_seconds)]
        ttl: u32,
        /// Nonces per second [default: measured for 0.2 s on all processors]
        #[arg(long)]
        rate: Option<f64>,
    },
    /// How many nonces per second this machine tries
    #[command(after_help = "\
Examples:
  $ status-pow bench --size 1024 --threads 1 --time 1s")]
    Bench {
        /// Bytes of encrypted data
        #[arg(long, value_name = "BYTES", default_value_t = 1024)]
        size: usize,
        /// Threads [default: all processors]
        #[arg(long)]
        threads: Option<NonZeroUsize>,
        /// How long to measure
        #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_seconds)]
        time: u32,
        /// Hash function: portable, avx2 or avx512 [default: the fastest that runs here]
        #[arg(long)]
        backend: Option<String>,
    },
}

#[derive(Debug, Args)]
struct MineCommand {
    /// Proof of work to reach; 0 for none; below 0: work for --time and keep the best
    #[arg(long, value_name = "POW", default_value_t = chat::POW_TARGET, allow_hyphen_values = true)]
    target: f64,
    /// Threads [default: all processors]. The nonce found does not depend on it
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// The first nonce to try
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Give up after this long (exit 1); the best nonce so far is kept
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    time: Option<u32>,
}

pub fn run(args: &PowArgs, cx: &mut Context) -> Result<()> {
    match &args.command {
        Command::Mine(command) => command.run(cx),
        Command::Check { min, inputs } => check(cx, inputs, *min),
        Command::Estimate { target, size, ttl, rate } => estimate(cx, *target, *size, *ttl, *rate),
        Command::Bench { size, threads, time, backend } => {
            bench(cx, *size, *threads, *time, backend.as_deref())
        }
    }
}

impl MineCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        if self.target.is_nan() {
            return Err(CliError::usage("the target is not a number").field("--target").into());
        }
        if self.target < 0.0 && self.time.is_none() {
            return Err(CliError::usage("a target below 0 works for as long as it is given")
                .field("--time")
                .hint("--time 5s")
                .into());
        }
        let effort = Effort {
            threads: self.threads,
            start: self.start,
            time: self.time.map(|seconds| Duration::from_secs(seconds.into())),
        };
        each_envelope(cx, &InputArgs::default(), |cx, envelope, line| {
            let envelope = match self.time {
                // The time spent mining is added to the expiry.
                Some(seconds) if self.target < 0.0 => later(&envelope, seconds),
                _ => envelope,
            };
            let mining::Mined { result: mined, elapsed, interrupted } =
                mining::mine(&envelope, self.target, &effort)?;
            let rate = mined.tried as f64 / elapsed.as_secs_f64().max(1e-9);
            let record = envelope_record(&mined.envelope)
                .with("target", self.target)
                .with("leading_zero_bits", mined.bits)
                .with("tried", mined.tried)
                .with("nonces_per_second", rate as u64);
            cx.emit(&record, |record| record.to_text())?;
            if interrupted {
                cx.note("interrupted: the envelope has the best nonce so far");
                return Err(Stop::Exit(Exit::Interrupted));
            }
            if !mined.reached {
                let message = format!(
                    "the target {} was not reached in the time given; the best is {}",
                    self.target,
                    mined.envelope.pow(0)
                );
                let error = CliError::new("pow.not_reached", Exit::Negative, message);
                cx.report(error.line(line).hint("more --time, or a lower --target"))?;
            }
            Ok(())
        })
    }
}

fn later(envelope: &Envelope, seconds: u32) -> Envelope {
    let expiry = envelope.expiry().wrapping_add(seconds);
    Envelope::new(expiry, envelope.ttl(), envelope.topic(), envelope.data(), envelope.nonce())
}

fn check(cx: &mut Context, inputs: &InputArgs, min: f64) -> Result<()> {
    each_envelope(cx, inputs, |cx, envelope, line| {
        let now = cx.now();
        let value = envelope.pow(future_diff(envelope.sent(), now));
        let pass = value >= min;
        let record = Record::new("pow")
            .with("hash", envelope.hash().to_string())
            .with("pow", float(value))
            .with("min", min)
            .with("pass", pass)
            .with("leading_zero_bits", envelope.leading_zero_bits())
            .with("rlp_without_nonce_len", envelope.rlp4_len())
            .with("size", envelope.size())
            .with("ttl", envelope.ttl())
            .with("nonce", envelope.nonce())
            .with_raw(envelope.raw());
        cx.emit(&record, |_| {
            let mark = text::mark(pass);
            format!("{mark} {value} (minimum {min})  {}", envelope.hash())
        })?;
        if !pass {
            let message = format!("proof of work {value}, expected at least {min}");
            let error = CliError::new("envelope.low_pow", Exit::Negative, message);
            cx.report(error.line(line).hint("status-pow mine"))?;
        }
        Ok(())
    })
}

fn estimate(cx: &mut Context, target: f64, size: usize, ttl: u32, rate: Option<f64>) -> Result<()> {
    let bits = pow::target_bits(target, size, ttl).map_err(mining::target_error)?;
    let rate = match rate {
        Some(rate) if rate > 0.0 => rate,
        Some(_) => return Err(CliError::usage("a rate is above 0").field("--rate").into()),
        None => measure(&dummy(size)?, None, Duration::from_millis(200), Backend::best()).1,
    };
    let hashes = if target == 0.0 { 0.0 } else { 2f64.powi(bits as i32) };
    let seconds = hashes / rate;
    let record = Record::new("estimate")
        .with("target", target)
        .with("data_len", size)
        .with("size", size + 20)
        .with("ttl", ttl)
        .with("target_bits", bits)
        .with("expected_hashes", float(hashes))
        .with("nonces_per_second", rate as u64)
        .with("expected_seconds", float(seconds));
    cx.emit(&record, |_| {
        format!(
            "{bits} zero bits: {hashes} hashes on average, {seconds:.3} s at {rate:.0} per second"
        )
    })
}

fn bench(
    cx: &mut Context,
    size: usize,
    threads: Option<NonZeroUsize>,
    seconds: u32,
    backend: Option<&str>,
) -> Result<()> {
    let backend = match backend {
        None => Backend::best(),
        Some(name) => {
            let available = Backend::available();
            let names: Vec<_> = available.iter().map(|backend| backend.name()).collect();
            available.iter().copied().find(|backend| backend.name() == name).ok_or_else(|| {
                CliError::usage(format!(
                    "no hash function {} on this machine",
                    statuskit_core::text::quote(name)
                ))
                .field("--backend")
                .hint(names.join(", "))
            })?
        }
    };
    let time = Duration::from_secs(u64::from(seconds.max(1)));
    let (tried, rate, threads) = measure(&dummy(size)?, threads, time, backend);
    let record = Record::new("bench")
        .with("nonces_per_second", rate as u64)
        .with("nonces", tried)
        .with("threads", threads)
        .with("data_len", size)
        .with("backend", backend.name());
    cx.emit(&record, |_| {
        format!("{rate:.0} nonces per second, {threads} threads, {}", backend.name())
    })
}

/// An envelope with data of the given length, to measure with.
fn dummy(size: usize) -> Result<Envelope> {
    const MAX: usize = 16 << 20;
    if size > MAX {
        let message = format!("{size} bytes; no envelope is larger than {MAX}");
        return Err(CliError::usage(message).field("--size").into());
    }
    Ok(Envelope::new(UnixSeconds(1_585_500_015), 15, Topic::default(), &vec![0xa5; size], 0))
}

/// Nonces tried, nonces per second, and the number of threads.
fn measure(
    envelope: &Envelope,
    threads: Option<NonZeroUsize>,
    time: Duration,
    backend: Backend,
) -> (u64, f64, usize) {
    let threads =
        threads.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let began = std::time::Instant::now();
    let late = || began.elapsed() >= time;
    let options = pow::MineOptions {
        threads: Some(threads),
        stop: Some(&late),
        backend,
        ..pow::MineOptions::default()
    };
    let (pow::MineResult::Stopped { tried, .. } | pow::MineResult::Found { tried, .. }) =
        pow::mine_best(&envelope.rlp4(), &options);
    (tried, tried as f64 / began.elapsed().as_secs_f64(), threads.get())
}
