//! Lists of nodes: an enode, or `@FILE` with one per line or with the JSON of a fleet.

use std::{fs::File, io::Read as _};

use serde_json::Value;
use statuskit_core::devp2p::Enode;

use crate::error::{CliError, Exit};

/// The longest file of nodes.
const MAX_FILE: u64 = 1 << 20;

/// The most nodes of a file.
const MAX_NODES: usize = 1000;

/// What nodes are wanted for. Fleets list theirs by what they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Peers,
    Mailservers,
    Bootnodes,
}

/// Reads the nodes that a text names; `field` is where it stood.
///
/// # Errors
///
/// `usage` for what is no enode, `file.read`, or `nodes.file` for a file without nodes.
pub fn read(text: &str, wanted: Wanted, field: &str) -> Result<Vec<Enode>, CliError> {
    let Some(name) = text.strip_prefix('@') else { return Ok(vec![enode(text, field)?]) };
    let (content, fleet) = open(name, field)?;
    let malformed = |message: String| {
        let message = format!("{name}: {message}");
        CliError::new("nodes.file", Exit::Malformed, message).field(field.to_owned())
    };
    let trimmed = content.trim_start_matches('\u{feff}').trim_start();
    if !trimmed.starts_with(['{', '[']) {
        return of_lines(trimmed, field, &malformed);
    }
    let value: Value = serde_json::from_str(trimmed)
        .map_err(|error| malformed(format!("not JSON, at line {}", error.line())))?;
    let texts = of_fleet(&value, fleet, wanted).map_err(malformed)?;
    texts.into_iter().map(|text| enode(text, field)).collect()
}

/// Reads a file of nodes.
///
/// # Errors
///
/// `file.read`.
pub fn read_file(name: &str, field: &str) -> Result<String, CliError> {
    open(name, field).map(|(content, _)| content)
}

/// Returns the content, and the fleet that `FILE#FLEET` names.
fn open<'a>(name: &'a str, field: &str) -> Result<(String, Option<&'a str>), CliError> {
    let read = |path: &str| {
        let mut content = String::new();
        File::open(path)?.take(MAX_FILE).read_to_string(&mut content).map(|_| content)
    };
    let failed = |error: std::io::Error| {
        let message = format!("can't read the nodes in {name}: {error}");
        CliError::new("file.read", Exit::Local, message).field(field.to_owned())
    };
    match (read(name), name.rsplit_once('#')) {
        (Ok(content), _) => Ok((content, None)),
        (Err(_), Some((path, fleet))) => Ok((read(path).map_err(failed)?, Some(fleet))),
        (Err(error), None) => Err(failed(error)),
    }
}

fn of_lines(
    text: &str,
    field: &str,
    malformed: &dyn Fn(String) -> CliError,
) -> Result<Vec<Enode>, CliError> {
    let mut nodes = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let node = enode(line, field);
        nodes.push(node.map_err(|_| malformed("not an enode://…".to_owned()).line(number))?);
        if nodes.len() > MAX_NODES {
            return Err(malformed(format!("more than {MAX_NODES} nodes")));
        }
    }
    match nodes.is_empty() {
        true => Err(malformed("it names no nodes".to_owned())),
        false => Ok(nodes),
    }
}

/// Returns the enodes of a fleet: of the servers that are wanted if it says which these are.
fn of_fleet<'a>(
    value: &'a Value,
    fleet: Option<&str>,
    wanted: Wanted,
) -> Result<Vec<&'a str>, String> {
    let mut value = value;
    if let Some(fleets) = value.get("fleets").and_then(Value::as_object) {
        let names: Vec<_> = fleets.keys().map(String::as_str).collect();
        value = match (fleet, names.as_slice()) {
            (Some(name), _) => fleets.get(name).ok_or("it has no such fleet")?,
            (None, [name]) => &fleets[*name],
            (None, names) => {
                let names = names.join(", ");
                return Err(format!("it has several fleets, say which by FILE#NAME: {names}"));
            }
        };
    }
    let mut found = Vec::new();
    collect(value, Role::Node, &mut found);
    let of = |role| found.iter().filter(move |(it, _)| *it == role).map(|(_, text)| *text);
    let mut texts: Vec<_> = match wanted {
        Wanted::Mailservers => of(Role::Mailserver).collect(),
        Wanted::Peers => of(Role::Node).collect(),
        Wanted::Bootnodes => of(Role::Bootnode).collect(),
    };
    if texts.is_empty() {
        // A list without roles; and mailservers are peers as well.
        let other = if wanted == Wanted::Peers { Role::Mailserver } else { Role::Node };
        let has_roles = wanted == Wanted::Bootnodes && of(Role::Mailserver).next().is_some();
        if has_roles {
            return Err("it names no boot nodes".to_owned());
        }
        texts = of(other).collect();
    }
    match texts.len() {
        0 => Err("it names no nodes".to_owned()),
        count if count > MAX_NODES => Err(format!("more than {MAX_NODES} nodes")),
        _ => Ok(texts),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Node,
    Mailserver,
    /// Boot and rendezvous nodes speak no Whisper.
    Bootnode,
    Other,
}

/// The depth of a value is bounded by the parser.
fn collect<'a>(value: &'a Value, role: Role, found: &mut Vec<(Role, &'a str)>) {
    match value {
        Value::String(text) if text.starts_with("enode://") => found.push((role, text)),
        Value::Array(values) => values.iter().for_each(|value| collect(value, role, found)),
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.to_ascii_lowercase();
                // The names of servers say what they are, too.
                let role = match role {
                    Role::Node if name.starts_with("boot") => Role::Bootnode,
                    Role::Node if name.starts_with("rendezvous") => Role::Other,
                    Role::Node if name.contains("mail") => Role::Mailserver,
                    role => role,
                };
                collect(value, role, found);
            }
        }
        _ => {}
    }
}

fn enode(text: &str, field: &str) -> Result<Enode, CliError> {
    text.parse::<Enode>().map_err(|error| {
        // What is no enode may be anything.
        let shown =
            if text.starts_with("enode://") { crate::output::escape(text) } else { String::new() };
        let message = match shown.is_empty() {
            true => error.to_string(),
            false => format!("{shown}: {error}"),
        };
        CliError::usage(message)
            .field(field.to_owned())
            .hint("enode://128_HEX_DIGITS@HOST:PORT, or @FILE with a list of them")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(port: u16) -> String {
        let key = statuskit_core::crypto::SecretKey::generate(
            &mut statuskit_core::crypto::seeded_rng(&port.to_string()),
        );
        format!(
            "enode://{}@127.0.0.1:{port}",
            hex::encode(&key.public_key().to_uncompressed()[1..])
        )
    }

    fn ports(text: &str, fleet: Option<&str>, wanted: Wanted) -> Result<Vec<u16>, String> {
        let value: Value = serde_json::from_str(text).unwrap();
        let texts = of_fleet(&value, fleet, wanted)?;
        Ok(texts.into_iter().map(|text| enode(text, "--peer").unwrap().tcp).collect())
    }

    #[test]
    fn fleets_list_nodes_by_what_they_do() {
        let [a, b, c, d] = [1, 2, 3, 4].map(node);
        let fleets = format!(
            r#"{{"meta": {{}}, "fleets": {{
                "eth.prod": {{"boot": {{"boot-01": "{a}"}}, "mail": {{"mail-01": "{b}"}},
                             "whisper": {{"node-01": "{c}"}}}},
                "eth.test": {{"mail": {{"mail-01": "{d}"}}}}}}}}"#
        );
        assert_eq!(ports(&fleets, Some("eth.prod"), Wanted::Peers), Ok(vec![3]));
        assert_eq!(ports(&fleets, Some("eth.prod"), Wanted::Mailservers), Ok(vec![2]));
        assert_eq!(ports(&fleets, Some("eth.test"), Wanted::Peers), Ok(vec![4]));
        assert!(ports(&fleets, None, Wanted::Peers).unwrap_err().contains("eth.prod, eth.test"));
        assert!(ports(&fleets, Some("x"), Wanted::Peers).is_err());
        let of_node = format!(
            r#"{{"ClusterConfig": {{"Fleet": "eth.prod", "BootNodes": ["{a}"],
                "TrustedMailServers": ["{b}"], "StaticNodes": ["{c}"],
                "RendezvousNodes": ["/ip4/1.2.3.4/tcp/30703"]}}}}"#
        );
        assert_eq!(ports(&of_node, None, Wanted::Peers), Ok(vec![3]));
        assert_eq!(ports(&of_node, None, Wanted::Mailservers), Ok(vec![2]));
        assert_eq!(
            ports(&format!("[\"{a}\", \"{b}\"]"), None, Wanted::Mailservers),
            Ok(vec![1, 2])
        );
        assert!(ports("{}", None, Wanted::Peers).is_err());
    }

    #[test]
    fn lists_have_comments() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nodes");
        std::fs::write(&path, format!("# ours\n{} # first\n\n {}\n", node(1), node(2))).unwrap();
        let name = format!("@{}", path.display());
        let nodes = read(&name, Wanted::Peers, "--peer").unwrap();
        assert_eq!(nodes.iter().map(|node| node.tcp).collect::<Vec<_>>(), [1, 2]);
        std::fs::write(&path, "# none\n").unwrap();
        assert_eq!(read(&name, Wanted::Peers, "--peer").unwrap_err().code, "nodes.file");
        std::fs::write(&path, format!("{}\nsecret words\n", node(1))).unwrap();
        let error = read(&name, Wanted::Peers, "--peer").unwrap_err();
        assert_eq!((error.code, error.line), ("nodes.file", Some(2)));
        assert!(!error.to_text(false).contains("secret"), "{}", error.to_text(false));
        assert_eq!(read("@/no/such", Wanted::Peers, "--peer").unwrap_err().code, "file.read");
    }
}
