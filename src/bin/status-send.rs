//! `status-send`: see `--help`.

use std::process::ExitCode;

use statuskit_cli::{Tool, main as run};

fn main() -> ExitCode {
    run(Tool::Send)
}
