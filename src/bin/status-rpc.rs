//! `status-rpc`: see `--help`.

fn main() -> std::process::ExitCode {
    statuskit_cli::tools::rpc()
}
