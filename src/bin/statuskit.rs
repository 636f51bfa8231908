//! `statuskit`: every tool in one binary; see `--help`.

fn main() -> std::process::ExitCode {
    statuskit_cli::tools::statuskit()
}
