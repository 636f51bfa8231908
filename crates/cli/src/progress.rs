//! Progress on standard error: only on a terminal, and only for what takes its time.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::text;

/// Work that is done sooner shows no progress.
pub const DELAY: Duration = Duration::from_millis(500);

/// Whether progress is shown at all.
pub fn is_wanted() -> bool {
    io::stderr().is_terminal() && !text::is_quiet()
}

/// Returns a spinner with a message. It is drawn from its first tick on.
pub fn spinner() -> ProgressBar {
    with_template(None, "{spinner} {msg}")
}

/// Returns a bar with `parts`. It is drawn from its first position on.
pub fn bar(parts: u64) -> ProgressBar {
    with_template(Some(parts), "{bar:40} {percent:>3} %  {msg}")
}

fn with_template(parts: Option<u64>, template: &str) -> ProgressBar {
    let target =
        if is_wanted() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(parts, target);
    bar.set_style(ProgressStyle::with_template(template).expect("a constant template"));
    bar
}
