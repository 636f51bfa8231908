//! `status-eip list`: the standards, what is supported of each, and by which command.

use clap::Args;

use crate::{context::Context, error::Result, output::Record};

/// List the 22 standards that Status uses: what is supported, by which command, and what the client of
/// March 2020 supported
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip list
  $ status-eip list --output text")]
pub struct ListCommand {}

struct Standard {
    name: &'static str,
    title: &'static str,
    /// The column of the specification of March 2020.
    march_2020: Support,
    supported: &'static str,
    commands: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Support {
    Full,
    Partial,
    None,
}

impl Support {
    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::None => "none",
        }
    }
}

const STANDARDS: [Standard; 22] = [
    Standard {
        name: "BIP-32",
        title: "Hierarchical deterministic wallets",
        march_2020: Support::Full,
        supported: "any path, from seeds, xprv and xpub",
        commands: &["status-account derive", "status-account import"],
    },
    Standard {
        name: "BIP-39",
        title: "Recovery phrases",
        march_2020: Support::Full,
        supported: "all languages; created, checked, and turned into seeds",
        commands: &["status-account new", "status-account import"],
    },
    Standard {
        name: "BIP-43",
        title: "Purpose field of paths",
        march_2020: Support::Full,
        supported: "the paths of EIP-1581",
        commands: &["status-account derive"],
    },
    Standard {
        name: "BIP-44",
        title: "Paths of wallets",
        march_2020: Support::Full,
        supported: "m/44'/60'/0'/0/i",
        commands: &["status-account derive"],
    },
    Standard {
        name: "EIP-20",
        title: "Tokens",
        march_2020: Support::Full,
        supported: "calls, answers and events, both ways; transfers as the chat checks them",
        commands: &["status-eip abi", "status-eip link make"],
    },
    Standard {
        name: "EIP-55",
        title: "Checksum of addresses",
        march_2020: Support::Full,
        supported: "checked and written; ICAP read and written",
        commands: &["status-eip address check", "status-eip address checksum"],
    },
    Standard {
        name: "EIP-67",
        title: "Payment links, superseded by EIP-681",
        march_2020: Support::Partial,
        supported: "read",
        commands: &["status-eip link parse"],
    },
    Standard {
        name: "EIP-137",
        title: "Ethereum Name Service",
        march_2020: Support::Partial,
        supported: "normalisation, nodes, calls to registry and resolvers, their answers",
        commands: &["status-eip ens"],
    },
    Standard {
        name: "EIP-155",
        title: "Transactions of one chain",
        march_2020: Support::Full,
        supported: "built, signed, decoded; signers recovered",
        commands: &["status-eip tx"],
    },
    Standard {
        name: "EIP-165",
        title: "Detection of interfaces",
        march_2020: Support::None,
        supported: "interface ids and detection calls",
        commands: &["status-eip abi"],
    },
    Standard {
        name: "EIP-181",
        title: "Names of addresses",
        march_2020: Support::None,
        supported: "reverse names, nodes, calls and answers",
        commands: &["status-eip ens reverse", "status-eip ens call name"],
    },
    Standard {
        name: "EIP-191",
        title: "Signed data",
        march_2020: Support::None,
        supported: "versions 00, 01 and 45: signed, verified, recovered",
        commands: &["status-eip message", "status-account sign"],
    },
    Standard {
        name: "EIP-627",
        title: "Whisper",
        march_2020: Support::Full,
        supported: "envelopes and packets of version 6, both ways",
        commands: &["status-envelope", "status-pow", "status-node"],
    },
    Standard {
        name: "EIP-681",
        title: "Payment links",
        march_2020: Support::None,
        supported: "read, made, as QR codes; to transactions, and to requests of a chat and back",
        commands: &["status-eip link"],
    },
    Standard {
        name: "EIP-712",
        title: "Typed data",
        march_2020: Support::Partial,
        supported: "hashed, signed, verified; the limits of the reference as a mode",
        commands: &["status-eip typed-data"],
    },
    Standard {
        name: "EIP-721",
        title: "Collectibles",
        march_2020: Support::Partial,
        supported: "calls, answers and events, both ways",
        commands: &["status-eip abi"],
    },
    Standard {
        name: "EIP-831",
        title: "Form of ethereum: links",
        march_2020: Support::Full,
        supported: "split and written",
        commands: &["status-eip link"],
    },
    Standard {
        name: "EIP-945",
        title: "Scanning of QR codes by pages",
        march_2020: Support::Full,
        supported: "texts read from pictures in PNG",
        commands: &["status-eip provider scan", "status-account qr"],
    },
    Standard {
        name: "EIP-1102",
        title: "Access of pages to accounts",
        march_2020: Support::Full,
        supported: "messages read, explained and made, in both forms",
        commands: &["status-eip provider"],
    },
    Standard {
        name: "EIP-1193",
        title: "Provider of a wallet",
        march_2020: Support::Full,
        supported: "requests, answers, events and error codes; the draft of March 2020, too",
        commands: &["status-eip provider"],
    },
    Standard {
        name: "EIP-1577",
        title: "Contents of names",
        march_2020: Support::Partial,
        supported: "IPFS, IPNS, Swarm, onion, onion3, Skynet and Arweave, both ways",
        commands: &["status-eip contenthash"],
    },
    Standard {
        name: "EIP-1581",
        title: "Paths of chat keys",
        march_2020: Support::Full,
        supported: "m/43'/60'/1581'/type'/i, large indexes too",
        commands: &["status-account derive"],
    },
];

impl ListCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        for standard in &STANDARDS {
            let Standard { name, title, march_2020, supported, commands } = standard;
            let record = Record::new("standard")
                .with("name", *name)
                .with("title", *title)
                .with("march_2020", march_2020.name())
                .with("supported", *supported)
                .with("commands", *commands);
            cx.collect(&record, |_| {
                let support = march_2020.name();
                format!("{name:9} {title}\n          March 2020: {support}; here: {supported}\n          {}", commands.join(", "))
            })?;
        }
        Ok(())
    }
}
