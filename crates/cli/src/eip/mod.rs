//! `status-eip`: the Ethereum standards that Status uses.

mod abi;
mod address;
mod contenthash;
mod ens;
mod input;
mod link;
mod list;
mod message;
mod payment;
mod provider;
mod signature;
mod texts;
mod tx;
mod typed_data;

use clap::{Args, Subcommand};

use crate::{context::Context, error::Result};

/// Ethereum standards: contract calls, transactions, signed data, names, links for payments
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip abi encode 'transfer(address,uint256)' 0x8e23ee67d1332ad560396262c48ffbb01f93d052 1 | status-eip abi decode
  $ status-eip tx sign --identity me.key --chain-id 1 --nonce 9 --gas-price 20gwei --gas 21000 --to 0x3535353535353535353535353535353535353535 --value 1ether | status-eip tx decode
  $ status-eip message sign hello --identity me.key
  $ status-eip ens namehash foo.eth
  $ status-eip link make --to bob.eth --value 0.5ether --output text
  $ status-eip list")]
pub struct EipArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListCommand),
    Abi(abi::AbiCommand),
    Tx(tx::TxCommand),
    Message(message::MessageCommand),
    TypedData(typed_data::TypedDataCommand),
    Address(address::AddressCommand),
    Contenthash(contenthash::ContentHashCommand),
    Ens(ens::EnsCommand),
    Link(link::LinkCommand),
    Payment(payment::PaymentCommand),
    Provider(provider::ProviderCommand),
}

pub fn run(args: &EipArgs, cx: &mut Context) -> Result<()> {
    match &args.command {
        Command::List(command) => command.run(cx),
        Command::Abi(command) => command.run(cx),
        Command::Tx(command) => command.run(cx),
        Command::Message(command) => command.run(cx),
        Command::TypedData(command) => command.run(cx),
        Command::Address(command) => command.run(cx),
        Command::Contenthash(command) => command.run(cx),
        Command::Ens(command) => command.run(cx),
        Command::Link(command) => command.run(cx),
        Command::Payment(command) => command.run(cx),
        Command::Provider(command) => command.run(cx),
    }
}
