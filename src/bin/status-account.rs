//! `status-account`: see `--help`.

fn main() -> std::process::ExitCode {
    statuskit_cli::tools::account()
}
