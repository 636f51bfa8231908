//! `status-envelope open`.

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{
    context::Context,
    envelope::each_envelope,
    error::{CliError, Exit, Result, Stop},
    filter::FilterArgs,
    input::InputArgs,
    keys::OpenArgs,
    records::opened_message,
    time::{Moment, parse_moment},
};

#[derive(Debug, Args)]
pub struct OpenCommand {
    /// Only messages sent from this time on: a time before now (1d, 24h), a date or time (2020-03-01,
    /// 2020-03-01T12:00:00Z), or UNIX seconds
    #[arg(long, value_name = "TIME", value_parser = parse_moment, help_heading = "Filters")]
    since: Option<Moment>,
    /// Only messages sent until this time, in the same forms
    #[arg(long, value_name = "TIME", value_parser = parse_moment, help_heading = "Filters")]
    until: Option<Moment>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    keys: OpenArgs,
}

impl OpenCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let ring = self.keys.key_ring()?;
        if ring.is_empty() {
            return Err(CliError::usage("no key to open with")
                .hint("--chat NAME, --password TEXT, --sym-key HEX or --identity FILE")
                .into());
        }
        let at = |moment: Option<Moment>| moment.map(|moment| moment.at(cx.now()));
        let filter = self.filter.filter(at(self.since), at(self.until))?;
        let mut printer = self.filter.printer();
        let mut printed_any = false;
        let done = each_envelope(cx, &self.inputs, |cx, envelope, line| {
            match ring.open(&envelope) {
                Ok(opened) => {
                    let message = opened_message(&envelope, opened, &ring);
                    if filter.passes(&message) {
                        printed_any = true;
                        printer.push(message, true, cx)?;
                    }
                }
                Err(error) => {
                    // An envelope for someone else is not an error of the stream.
                    let message = format!("envelope {}: {error}", envelope.hash());
                    cx.show(&CliError::new(error.code(), Exit::Negative, message).line(line));
                }
            }
            if is_input_ready() { Ok(()) } else { printer.pause(cx) }
        });
        printer.print(cx)?;
        done?;
        if printed_any { Ok(()) } else { Err(Stop::Exit(Exit::Negative)) }
    }
}

/// Whether standard input has more, or has ended: then nothing waits for long.
fn is_input_ready() -> bool {
    let stdin = rustix::stdio::stdin();
    let mut wanted = [PollFd::new(&stdin, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut wanted, Some(&now)), Ok(ready) if ready > 0)
}
