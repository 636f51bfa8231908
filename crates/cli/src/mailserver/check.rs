//! `status-mailserver check`.

use clap::Args;

use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    mailserver::store::StoreArgs,
    output::Record,
};

/// Read all of an archive and compare all with all: pages, envelopes, index, counts
///
/// Exit 1 if something is wrong; `export --salvage` then gets out what can be read. If pages are
/// damaged, the rest is not compared, and nothing is counted. Exit 5 if there is no archive to look
/// at. A server may have it open meanwhile. For archives in a directory.
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
            cx.note("status-mailserver export --salvage gets out what is whole");
        }
        if sound { Ok(()) } else { Err(Stop::Exit(Exit::Negative)) }
    }
}
