//! What is made from the command lines: completions and man pages.

use std::{fs, io, path::PathBuf};

use clap::Args;

use crate::{
    error::{CliError, Exit, Result},
    output::write_stdout,
    tools,
};

/// Completions for a shell, of all tools: source them, or put them where the shell looks
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ statuskit completions bash > status-completions.bash")]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    shell: clap_complete::Shell,
}

pub fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut text = Vec::new();
    for mut command in tools::commands() {
        let name = command.get_name().to_owned();
        clap_complete::generate(args.shell, &mut command, name, &mut text);
    }
    Ok(write_stdout(&text)?)
}

/// Man pages of all tools, into a directory; or one page to standard output
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ statuskit man --out man1
  $ statuskit man status-envelope > status-envelope.1")]
pub struct ManArgs {
    /// The tool whose page is printed
    #[arg(required_unless_present = "out")]
    tool: Option<String>,
    /// Directory for all pages, made if it is missing
    #[arg(long, value_name = "DIR", conflicts_with = "tool")]
    out: Option<PathBuf>,
}

pub fn man(args: &ManArgs) -> Result<()> {
    if let Some(dir) = &args.out {
        let failed = |error: io::Error| {
            let message = format!("can't write the man pages to {}: {error}", dir.display());
            CliError::new("file.write", Exit::Local, message).field("--out")
        };
        fs::create_dir_all(dir).map_err(failed)?;
        for command in tools::commands() {
            clap_mangen::generate_to(command, dir).map_err(failed)?;
        }
        return Ok(());
    }
    let name = args.tool.as_deref().unwrap_or_default();
    let command = tools::commands().into_iter().find(|it| it.get_name() == name);
    let command = command.ok_or_else(|| {
        CliError::usage(format!("there is no tool {}", statuskit_core::text::quote(name)))
            .hint("such as status-envelope")
    })?;
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(write_stdout(&page)?)
}
