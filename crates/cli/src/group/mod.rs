//! `status-group`: group chats, as histories of signed events.

mod change;
pub mod history;
mod record;
mod show;

use clap::{Args, Subcommand};

use crate::{context::Context, error::Result};

/// Group chats: create and change them, replay and verify their histories
///
/// A group is a history of events. Each change reads the history (records of these commands, or
/// messages and payloads with membership updates), and prints all of it with the new events, which
/// every member must receive: `status-send --announce --group @FILE` sends it to them. `update`
/// encodes it as a payload.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-group new --identity me.key --name team | status-group replay
  $ status-group new --identity me.key --name team | status-group rename crew --identity me.key | status-group show --output text
  $ status-group new --identity me.key --name team | status-group update --text hello --identity me.key | status-payload decode")]
pub struct GroupArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(change::NewCommand),
    Add(change::AddCommand),
    Remove(change::RemoveCommand),
    Promote(change::PromoteCommand),
    Resign(change::ResignCommand),
    Rename(change::RenameCommand),
    Join(change::JoinCommand),
    Leave(change::LeaveCommand),
    Verify(show::VerifyCommand),
    Replay(show::ReplayCommand),
    Show(show::ShowCommand),
    Update(show::UpdateCommand),
}

pub fn run(args: &GroupArgs, cx: &mut Context) -> Result<()> {
    match &args.command {
        Command::New(command) => command.run(cx),
        Command::Add(command) => command.run(cx),
        Command::Remove(command) => command.run(cx),
        Command::Promote(command) => command.run(cx),
        Command::Resign(command) => command.run(cx),
        Command::Rename(command) => command.run(cx),
        Command::Join(command) => command.run(cx),
        Command::Leave(command) => command.run(cx),
        Command::Verify(command) => command.run(cx),
        Command::Replay(command) => command.run(cx),
        Command::Show(command) => command.run(cx),
        Command::Update(command) => command.run(cx),
    }
}
