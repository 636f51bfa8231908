//! The examples of every `--help` run.

use statuskit_cli::Tool;

use crate::network::{Node, network};

#[test]
fn examples_of_the_help_run() {
    // With what the examples take for granted: `$ENODE`, `me.key`, `./archive`, `$MAILSERVER`.
    let (mut shell, _node) = network("");
    for store in ["archive", "served"] {
        let chat = "status-envelope seal hi --chat status --pow 0.01 --ttl 60";
        shell.ok(&format!("{chat} | status-mailserver import --store {store}"));
    }
    let line = "status-mailserver serve --listen 127.0.0.1:0 --store served \
                --password status-offline-inbox";
    let mailserver = Node::of(&shell, line);
    shell.var("MAILSERVER", mailserver.enode.clone());
    let mut count = 0;
    for tool in Tool::ALL {
        let command = tool.command();
        let mut examples = examples_of(&command);
        // Those deep inside the umbrella are those of the other tools.
        let deep = tool != Tool::Umbrella;
        for subcommand in command.get_subcommands() {
            examples.extend(examples_of(subcommand));
            examples.extend(subcommand.get_subcommands().filter(|_| deep).flat_map(examples_of));
        }
        assert!(!examples.is_empty(), "{} has no examples", command.get_name());
        for line in examples {
            // Files of one example are no obstacle to the next.
            shell.ok("rm -rf made made.json mine.json; cp me.key kept.key; rm -f me.key");
            if !line.contains("keygen --out me.key") {
                shell.ok("cp kept.key me.key");
            }
            shell.ok(&line);
            shell.ok("cp kept.key me.key");
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
}

fn examples_of(command: &clap::Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    help.lines().filter_map(|line| line.strip_prefix("  $ ").map(str::to_owned)).collect()
}
