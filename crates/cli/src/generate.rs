//! What is made from the command lines: completions and man pages.

use std::{fs, io, path::PathBuf};

use clap::{Args, Command};
use clap_complete::env::Shells;
use clap_mangen::Man;

use crate::{
    error::{CliError, Exit, Result},
    examples,
    output::write_stdout,
    tools,
};

/// Completions for a shell, of all tools: source them, or put them where the shell looks
///
/// They ask the tools: for options, types of payloads, error codes, and names of the configuration.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ statuskit completions bash > status-completions.bash")]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    shell: String,
}

/// The variable with which completions call a tool.
pub const COMPLETE: &str = "_STATUSKIT_COMPLETE";

pub fn completions(args: &CompletionsArgs) -> Result<()> {
    let shells = Shells::builtins();
    let shell = shells.completer(&args.shell);
    let shell = shell.ok_or_else(|| CliError::usage("no such shell").field("SHELL"))?;
    let mut text = Vec::new();
    for command in tools::commands() {
        let name = command.get_name();
        shell.write_registration(COMPLETE, name, name, name, &mut text)?;
    }
    Ok(write_stdout(&text)?)
}

/// Man pages of all commands, into a directory; or one page to standard output
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ statuskit man --out man1
  $ statuskit man status-envelope > status-envelope.1
  $ statuskit man status-envelope-seal > status-envelope-seal.1")]
pub struct ManArgs {
    /// The command whose page is printed, such as status-envelope or status-envelope-seal
    #[arg(required_unless_present = "out")]
    tool: Option<String>,
    /// Directory for all pages, made if it is missing
    #[arg(long, value_name = "DIR", conflicts_with = "tool")]
    out: Option<PathBuf>,
}

pub fn man(args: &ManArgs) -> Result<()> {
    let mut pages = Vec::new();
    for command in tools::commands() {
        let mut command = command.disable_help_subcommand(true);
        command.build();
        add_pages(&command, &mut pages)?;
    }
    let Some(dir) = &args.out else {
        let name = args.tool.as_deref().unwrap_or_default();
        let page = pages.into_iter().find(|(found, _)| found == name);
        let (_, page) = page.ok_or_else(|| {
            CliError::usage("there is no such command").hint("such as status-envelope")
        })?;
        return Ok(write_stdout(&page)?);
    };
    let failed = |error: io::Error| {
        let message = format!("can't write the man pages to {}: {error}", dir.display());
        CliError::new("file.write", Exit::Local, message).field("--out")
    };
    fs::create_dir_all(dir).map_err(failed)?;
    for (name, page) in pages {
        fs::write(dir.join(format!("{name}.1")), page).map_err(failed)?;
    }
    Ok(())
}

/// Adds the pages of a command and of those in it, each with its name.
fn add_pages(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    pages.push((name.clone(), page(command, &name)?));
    for subcommand in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        add_pages(subcommand, pages)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .source(format!("statuskit {}", env!("CARGO_PKG_VERSION")))
        .manual("statuskit");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    let (examples, rest) = examples::split(command);
    if !examples.is_empty() {
        out.extend_from_slice(b".SH EXAMPLES\n.nf\n");
        for line in examples {
            out.extend_from_slice(verbatim(&line).as_bytes());
            out.push(b'\n');
        }
        out.extend_from_slice(b".fi\n");
    }
    let rest = rest.join("\n");
    if !rest.trim().is_empty() {
        out.extend_from_slice(b".SH EXIT STATUS\n");
        out.extend_from_slice(verbatim(rest.trim()).as_bytes());
        out.push(b'\n');
    }
    Ok(out)
}

/// Escapes a line for roff, so that it is printed as it is and can be pasted.
fn verbatim(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 8);
    if line.starts_with(['.', '\'']) {
        out.push_str("\\&");
    }
    for c in line.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            c => out.push(c),
        }
    }
    out
}
