//! `status-mailserver check`.

use clap::Args;

use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    mailserver::store::StoreArgs,
    output::Record,
};

/// Check all of an archive: pages, envelopes, index and counts
///
/// Exits with 1 if something is wrong; then `export --salvage` prints what can still be read. If
/// pages are damaged, nothing else is compared or counted. Exits with 5 if there is no archive. A
/// server may have it open meanwhile. Only for archives in a directory.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-mailserver check --store ./archive")]
pub struct CheckCommand {
    #[command(flatten)]
    store: StoreArgs,
}

impl CheckCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let report = self.store.check()?;
        let sound = report.is_sound();
        let record = Record::new("archive_check")
            .with("store", self.store.shown())
            .with("sound", sound)
            .with("envelopes", report.envelopes)
            .with("bytes", report.bytes)
            .with("unmerged", report.fresh)
            .with("pruning_interrupted", report.pruning)
            .with("faults", report.faulty);
        cx.emit(&record, Record::to_text)?;
        for fault in &report.faults {
            cx.show(&CliError::new("archive.damaged", Exit::Negative, fault.as_str()));
        }
        if !sound {
            cx.note("status-mailserver export --salvage prints what is still whole");
        }
        if sound { Ok(()) } else { Err(Stop::Exit(Exit::Negative)) }
    }
}
