//! `status-mailserver prune`.

use clap::Args;

use crate::{
    context::Context,
    error::Result,
    mailserver::store::{Purpose, StoreArgs, archive_error},
    output::Record,
    text::count,
    time::{Moment, parse_moment, parse_seconds, to_rfc3339},
};
use statuskit_core::time::UnixSeconds;

/// Remove old envelopes
///
/// The file of an archive in a directory keeps its length, and new envelopes use the room. To get a
/// smaller file, export the archive and import it into a new one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-mailserver prune --store ./archive --keep 30d
  $ status-mailserver prune --store ./archive --before 2020-03-01")]
pub struct PruneCommand {
    /// Remove envelopes sent before: 30d, 2020-03-01, or UNIX seconds
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_moment,
        required_unless_present = "keep",
        conflicts_with = "keep"
    )]
    before: Option<Moment>,
    /// Keep envelopes sent within this time before now
    #[arg(long, value_name = "TIME", value_parser = parse_keep)]
    keep: Option<u32>,
    #[command(flatten)]
    store: StoreArgs,
}

/// Parses how long to keep envelopes. Zero would remove all, while a server with a retention of
/// zero keeps all: so it must be spelled out.
fn parse_keep(text: &str) -> std::result::Result<u32, String> {
    match parse_seconds(text)? {
        0 => Err("expected at least 1 second; --before now removes all".to_owned()),
        seconds => Ok(seconds),
    }
}

impl PruneCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let keep = self.keep.map(Moment::Ago);
        let before = self.before.or(keep).unwrap_or(Moment::At(UnixSeconds::EPOCH)).at(cx.now());
        let archive = self.store.open(Purpose::Change)?;
        let removed = archive.prune(before).map_err(|error| archive_error(&error))?;
        let record = Record::new("pruned")
            .with("store", self.store.shown())
            .with("before", before)
            .with("removed", removed);
        cx.emit(&record, |_| {
            format!("{} removed, sent before {}", count(removed, "envelope"), to_rfc3339(before))
        })
    }
}
