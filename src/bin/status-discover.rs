//! `status-discover`: see `--help`.

fn main() -> std::process::ExitCode {
    statuskit_cli::tools::discover()
}
