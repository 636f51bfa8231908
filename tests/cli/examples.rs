//! Runs the examples of every `--help`.

use statuskit_cli::tools;

use crate::network::{Node, network};

#[test]
fn examples_of_the_help_run() {
    // What the examples expect: `$ENODE`, `me.key`, `./archive`, `$MAILSERVER`.
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
    for command in tools::commands() {
        let mut examples = examples_of(&command);
        // The nested commands of `statuskit` are covered by the tools themselves.
        let deep = command.get_name() != "statuskit";
        for subcommand in command.get_subcommands() {
            examples.extend(examples_of(subcommand));
            examples.extend(subcommand.get_subcommands().filter(|_| deep).flat_map(examples_of));
        }
        assert!(!examples.is_empty(), "{} has no examples", command.get_name());
        for line in examples {
            // Remove what the previous example created.
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
