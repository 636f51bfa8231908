//! `status-discover`: find nodes and be found, and the texts and packets of it.

pub mod args;
mod crawl;
mod enr;
mod fleet;
mod live;
mod packet;
mod rendezvous;
mod table;

use clap::{Args, Subcommand};

use crate::{context::Context, error::Result};

/// Find nodes by topic and be found, with the discovery of the network of 2020
///
/// "Legacy discovery v5", or "topic discovery", of go-ethereum 1.x: another protocol than today's
/// discovery v5.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-discover ping \"$BOOTNODE\"
  $ status-discover lookup --bootnode \"$BOOTNODE\" --count 1 --timeout 10s
  $ timeout -s INT 1 status-discover serve --listen 127.0.0.1:0 || test $? = 124")]
pub struct DiscoverArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ping(live::PingArgs),
    Lookup(live::LookupArgs),
    Search(live::SearchArgs),
    Register(live::RegisterArgs),
    Serve(live::ServeArgs),
    Table(table::TableArgs),
    Crawl(crawl::CrawlArgs),
    /// Rendezvous: the other way to find nodes, by servers that everyone knows
    #[command(subcommand, after_help = rendezvous::EXAMPLES)]
    Rendezvous(rendezvous::RendezvousCommand),
    /// Signed node records (ENR)
    #[command(subcommand, after_help = enr::ENR_EXAMPLES)]
    Enr(enr::EnrCommand),
    /// Node URLs
    #[command(subcommand, after_help = enr::ENODE_EXAMPLES)]
    Enode(enr::EnodeCommand),
    /// Packets by hand, for debugging
    #[command(subcommand, after_help = packet::EXAMPLES)]
    Packet(packet::PacketCommand),
    /// Files of fleets
    #[command(subcommand, after_help = fleet::EXAMPLES)]
    Fleet(fleet::FleetCommand),
}

pub fn run(args: &DiscoverArgs, cx: &mut Context) -> Result<()> {
    match &args.command {
        Command::Ping(args) => args.run(cx),
        Command::Lookup(args) => args.run(cx),
        Command::Search(args) => args.run(cx),
        Command::Register(args) => args.run(cx),
        Command::Serve(args) => args.run(cx),
        Command::Table(args) => args.run(cx),
        Command::Crawl(args) => args.run(cx),
        Command::Rendezvous(command) => command.run(cx),
        Command::Enr(command) => command.run(cx),
        Command::Enode(command) => command.run(cx),
        Command::Packet(command) => command.run(cx),
        Command::Fleet(command) => command.run(cx),
    }
}
