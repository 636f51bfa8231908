//! `status-mailserver prune`.

use clap::Args;

use super::{
    super::{
        context::Context,
        error::Result,
        output::Record,
        time::{Moment, parse_moment, parse_seconds, to_rfc3339},
    },
    store::{Purpose, StoreArgs, archive_error},
};

/// Remove old envelopes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-mailserver prune --store ./archive --keep 30d
  $ status-mailserver prune --store ./archive --before 2020-03-01")]
pub struct PruneCommand {
    /// Remove what was sent before: 30d, 2020-03-01, or UNIX seconds
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_moment,
        required_unless_present = "keep",
        conflicts_with = "keep"
    )]
    before: Option<Moment>,
    /// Keep what was sent within this time before now
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    keep: Option<u32>,
    #[command(flatten)]
    store: StoreArgs,
}

impl PruneCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let keep = self.keep.map(Moment::Ago);
        let before = self.before.or(keep).unwrap_or(Moment::At(0)).at(cx.now());
        let archive = self.store.open(Purpose::Change)?;
        let removed = archive.prune(before).map_err(|error| archive_error(&error))?;
        let record = Record::new("pruned")
            .with("store", self.store.shown())
            .with("before", before)
            .with("removed", removed);
        cx.emit(&record, |_| {
            format!("{removed} envelopes removed, sent before {}", to_rfc3339(before))
        })
    }
}
