//! `status-eip`: the Ethereum standards that Status uses.

mod abi;

use clap::{Args, Subcommand};

use crate::{context::Context, error::Result};

/// Ethereum standards: contract calls, transactions, signatures
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip abi selector 'transfer(address,uint256)'")]
pub struct EipArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Abi(abi::AbiCommand),
}

pub fn run(args: &EipArgs, cx: &mut Context) -> Result<()> {
    match &args.command {
        Command::Abi(command) => command.run(cx),
    }
}
