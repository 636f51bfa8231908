//! `status-eip abi`: calls, answers and events of contracts.

mod selector;

use clap::{Args, Subcommand};
use statuskit_eip::abi::AbiError;

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
};

/// Calls, answers and events of contracts (EIP-20, EIP-165, EIP-721, and any other)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip abi selector 'transfer(address,uint256)'")]
pub struct AbiCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Selector(selector::SelectorCommand),
}

impl AbiCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::Selector(command) => command.run(cx),
        }
    }
}

/// Converts an error. It is wrong usage if the text came from an argument.
fn abi_error(error: &AbiError, exit: Exit) -> CliError {
    let mut converted = CliError::new(error.kind.code(), exit, error.to_string());
    if let Some(at) = error.at {
        converted = converted.offset(at);
    }
    match &*error.argument {
        "" => converted,
        argument => converted.field(argument),
    }
}
