//! Which envelopes are passed over when they are copied into an archive.

use std::time::Duration;

use clap::Args;
use statuskit_mailserver::{Intake, PassedOver};

use crate::{context::Context, output::Record, time::parse_seconds};

/// How long an archive keeps its envelopes.
#[derive(Debug, Clone, Args)]
pub struct RetentionArgs {
    /// Pass over envelopes sent longer ago, as a server with this --retention would remove them; 0
    /// keeps all
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_seconds)]
    retention: u32,
}

impl RetentionArgs {
    /// Returns which envelopes to store.
    pub fn intake(&self, cx: &Context) -> Intake {
        let kept = (self.retention > 0).then(|| Duration::from_secs(self.retention.into()));
        Intake::from_copy(cx.now(), kept)
    }
}

/// Adds to a record how many were passed over.
pub fn with_passed_over(record: Record, passed_over: &PassedOver) -> Record {
    let PassedOver { too_old, from_future } = *passed_over;
    record.with("too_old", too_old).with("from_future", from_future)
}

/// Returns the same as the end of a sentence; empty if there were none.
pub fn passed_over_text(passed_over: &PassedOver) -> String {
    let PassedOver { too_old, from_future } = *passed_over;
    let mut text = String::new();
    for (count, why) in [(too_old, "too old"), (from_future, "from the future")] {
        if count > 0 {
            text += &format!(", {count} passed over as {why}");
        }
    }
    text
}
