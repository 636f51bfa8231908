//! Runs the examples of every `--help`, exactly as printed, and finds the same in the manuals.

use std::fs;

use clap::Command;
use statuskit_cli::tools;

use crate::{
    network::{Node, network},
    shell::Shell,
};

/// No terminal is narrower.
const WIDTH: usize = 80;

#[test]
fn examples_of_the_help_run() {
    // What the examples expect: `$ENODE`, `me.key`, `./archive`, `$MAILSERVER`, `$BOOTNODE`, `$RENDEZVOUS`.
    let (mut shell, _node) = network("");
    for store in ["archive", "served"] {
        let chat = "status-envelope seal hi --chat status --pow 0.01 --ttl 60";
        shell.ok(&format!("{chat} | status-mailserver import --store {store}"));
    }
    let line = "status-mailserver serve --listen 127.0.0.1:0 --store served \
                --password status-offline-inbox";
    let mailserver = Node::of(&shell, line);
    shell.var("MAILSERVER", mailserver.enode.clone());
    // With another node behind it, and a short wait.
    let bootnode = Node::of(&shell, "status-discover serve --listen 127.0.0.1:0 --min-wait 1s");
    shell.var("BOOTNODE", bootnode.enode.clone());
    let line = "status-discover serve --listen 127.0.0.1:0 --bootnode \"$BOOTNODE\"";
    let _other = Node::of(&shell, line);
    let rendezvous = Node::of(&shell, "status-discover rendezvous serve");
    shell.var("RENDEZVOUS", rendezvous.enode.clone());
    let served = Node::start(&shell, "--rpc 127.0.0.1:0 --ws 127.0.0.1:0 --rpc-api shh,shhext");
    for (name, member) in [("RPC", "rpc"), ("WS", "ws")] {
        shell.var(name, served.ready[member].as_str().expect("a URL").to_owned());
    }
    shell.ok("statuskit man --out manuals");
    let mut all = Vec::new();
    let commands = tools::commands();
    let names: Vec<_> = commands.iter().map(|it| it.get_name().to_owned()).collect();
    for command in &commands {
        let name = command.get_name();
        visit(&shell, command, name, &names, &mut all);
    }
    assert!(all.len() > 100, "{}", all.len());
    for line in all {
        // Remove what the previous example created.
        shell.ok("rm -rf made made.json mine.json; cp me.key kept.key; rm -f me.key");
        if !line.contains("keygen --out me.key") {
            shell.ok("cp kept.key me.key");
        }
        shell.ok(&line);
        shell.ok("cp kept.key me.key");
    }
}

/// Collects the examples of a command and of those in it; `path` is how it is typed.
fn visit(shell: &Shell, command: &Command, path: &str, tools: &[String], all: &mut Vec<String>) {
    let help = shell.ok(&format!("{path} --help"));
    let examples = examples_in(&help);
    assert!(!examples.is_empty(), "{path} has no examples");
    let page = shell.dir().join("manuals").join(format!("{}.1", path.replace(' ', "-")));
    let page = fs::read_to_string(&page).unwrap_or_else(|_| panic!("{path} has no manual"));
    assert_eq!(examples_in(&printed(&page)), examples, "{path}");
    let head = page.lines().find(|line| line.starts_with(".TH")).unwrap();
    assert!(head.contains("statuskit"), "{head}");
    all.extend(examples);
    for subcommand in command.get_subcommands().filter(|it| it.get_name() != "help") {
        // The tools in `statuskit` are the same as by themselves.
        let name = subcommand.get_name();
        if path != "statuskit" || !tools.contains(&format!("status-{name}")) {
            visit(shell, subcommand, &format!("{path} {name}"), tools, all);
        }
    }
}

/// Returns the examples of a text, as a reader would copy them.
fn examples_in(text: &str) -> Vec<String> {
    let mut examples: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        if let Some(example) = line.strip_prefix("  $ ") {
            examples.push(example.to_owned());
        } else if is_open {
            let last = examples.last_mut().expect("an example is open");
            last.push('\n');
            last.push_str(line);
        } else {
            continue;
        }
        assert!(line.chars().count() <= WIDTH, "{line}");
        is_open = line.ends_with('\\');
    }
    examples
}

/// What `man` prints of the examples of a page.
fn printed(page: &str) -> String {
    let (_, after) = page.split_once(".SH EXAMPLES\n.nf\n").unwrap_or_else(|| panic!("{page}"));
    let (examples, _) = after.split_once("\n.fi\n").expect("an end");
    let mut text = examples.replace("\\&", "");
    for (escaped, plain) in [
        ("\\-", "-"),
        ("\\(aq", "'"),
        ("\\(ga", "`"),
        ("\\(ha", "^"),
        ("\\(ti", "~"),
        ("\\e", "\\"),
    ] {
        text = text.replace(escaped, plain);
    }
    text
}
