//! `status-discover fleet`: files of fleets, as clients of the time had them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use statuskit_core::{devp2p::Enode, discovery::BootnodeUrl};

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    nodes,
    output::{Record, escape},
};

pub const EXAMPLES: &str = "\
Examples:
  $ printf '[\"%s\"]' \"$BOOTNODE\" > made; status-discover fleet check made";

#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Check each node of a file, and whether there is what a client needs; exit 1 if not
    #[command(after_help = "\
Examples:
  $ printf '[\"%s\"]' \"$BOOTNODE\" > made; status-discover fleet check made")]
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// JSON of a client's configuration, of fleets with names, or a list of node URLs
    file: PathBuf,
}

/// A node of a fleet.
struct Entry {
    fleet: String,
    role: &'static str,
    text: String,
}

impl FleetCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let Self::Check(args) = self;
        let name = args.file.display().to_string();
        let text = nodes::read_file(&name, "<FILE>")?;
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            let message = format!("{name}: not JSON, at line {}", error.line());
            CliError::new("nodes.file", Exit::Malformed, message).field("<FILE>")
        })?;
        let entries = entries(&value);
        if entries.is_empty() {
            let message = format!("{name}: it names no nodes");
            return Err(CliError::new("nodes.file", Exit::Malformed, message)
                .field("<FILE>")
                .into());
        }
        for entry in &entries {
            let problem = entry.problem();
            if problem.is_some() {
                cx.negative();
            }
            let record = Record::new("fleet_node")
                .with("fleet", entry.fleet.as_str())
                .with("role", entry.role)
                .with("text", entry.text.as_str())
                .with("valid", problem.is_none())
                .with_some("message", problem.as_deref());
            cx.emit(&record, |_| {
                let verdict = problem.as_deref().unwrap_or("valid");
                format!("{} {}: {verdict}: {}", entry.fleet, entry.role, escape(&entry.text))
            })?;
        }
        // What clients refuse to start with.
        for cluster in value.get("ClusterConfig").into_iter().filter_map(Value::as_object) {
            for problem in cluster_problems(&value, cluster) {
                cx.note(problem);
                cx.negative();
            }
        }
        Ok(())
    }
}

fn cluster_problems(config: &Value, cluster: &Map<String, Value>) -> Vec<&'static str> {
    let count = |name: &str| cluster.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    let is = |name: &str| config.get(name).and_then(Value::as_bool).unwrap_or_default();
    let mut problems = Vec::new();
    if !is("NoDiscovery") && count("BootNodes") == 0 {
        problems.push("discovery is on, and there are no boot nodes");
    }
    if is("Rendezvous") && count("RendezvousNodes") == 0 {
        problems.push("rendezvous is on, and there are no rendezvous nodes");
    }
    problems
}

fn entries(value: &Value) -> Vec<Entry> {
    let mut found = Vec::new();
    if let Some(fleets) = value.get("fleets").and_then(Value::as_object) {
        for (name, fleet) in fleets {
            collect(fleet, name, "static", &mut found);
        }
    } else {
        let name = value.pointer("/ClusterConfig/Fleet").and_then(Value::as_str).unwrap_or("");
        collect(value.get("ClusterConfig").unwrap_or(value), name, "static", &mut found);
    }
    found
}

/// The depth of a value is bounded by the parser.
fn collect(value: &Value, fleet: &str, role: &'static str, found: &mut Vec<Entry>) {
    match value {
        Value::String(text) if text.contains("enode:") || text.starts_with('/') => {
            found.push(Entry { fleet: fleet.to_owned(), role, text: text.clone() });
        }
        Value::Array(values) => values.iter().for_each(|it| collect(it, fleet, role, found)),
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.to_ascii_lowercase();
                let role = match role {
                    "static" if name.starts_with("boot") => "boot",
                    "static" if name.starts_with("rendezvous") => "rendezvous",
                    "static" if name.contains("mail") => "mail",
                    role => role,
                };
                collect(value, fleet, role, found);
            }
        }
        _ => {}
    }
}

impl Entry {
    /// Returns what is wrong with the node, for what it is there for.
    fn problem(&self) -> Option<String> {
        match self.role {
            "rendezvous" => {
                let parts: Vec<_> = self.text.split('/').collect();
                let is_known = matches!(
                    parts.as_slice(),
                    ["", "ip4" | "ip6", ip, "tcp", port, "ethv4" | "p2p" | "ipfs", id]
                        if ip.parse::<std::net::IpAddr>().is_ok()
                            && port.parse::<u16>().is_ok()
                            && !id.is_empty()
                );
                let expected = "expected /ip4/IP/tcp/PORT/ethv4/ID";
                (!is_known).then(|| expected.to_owned())
            }
            "boot" => match self.text.parse::<BootnodeUrl>() {
                Err(error) => Some(error.to_string()),
                Ok(url) if url.node().is_none() => {
                    Some("a bootnode has an address, both ports and a public key".to_owned())
                }
                Ok(_) => None,
            },
            _ => self.text.parse::<Enode>().err().map(|error| error.to_string()),
        }
    }
}
