//! Every command in the README and in `docs/` is one that the tools understand.
//!
//! The blocks run as they stand, with stand-ins for the tools that let the real tool parse the
//! arguments and run nothing: some commands serve until they are stopped.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use statuskit_cli::tools;

use crate::shell::Shell;

const FILES: [&str; 9] = [
    "README.md",
    "docs/config.md",
    "docs/cookbook.md",
    "docs/discovery.md",
    "docs/fixtures.md",
    "docs/inspect.md",
    "docs/json-rpc.md",
    "docs/mailservers.md",
    "docs/rendezvous.md",
];

#[test]
fn commands_of_the_documents_are_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut shell = Shell::new();
    let bin = shell.dir().join("bin");
    fs::create_dir(&bin).unwrap();
    let names = tools::commands().into_iter().map(|command| command.get_name().to_owned());
    let mut expected = 0;
    for name in names {
        // With `--help` behind it, a wrong option before it is still an error.
        stand_in(
            &bin,
            &name,
            &format!(
                "$TOOLS/{name} \"$@\" --help > /dev/null 2> error.txt || {{ echo \"{name} $*\"; cat error.txt; }} >> wrong.txt\necho {name} >> called.txt"
            ),
        );
    }
    stand_in(&bin, "jq", ":");
    stand_in(&bin, "curl", ":");
    let tools = Path::new(env!("CARGO_BIN_EXE_statuskit")).parent().unwrap();
    shell.var("TOOLS", tools.to_str().unwrap());
    shell.var("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    for name in ["BOOTNODE", "ENODE", "MAILSERVER"] {
        shell.var(name, format!("enode://{}@127.0.0.1:30303", "ab".repeat(64)));
    }
    for name in ["KEY", "RECIPIENT", "MEMBER", "PUBLIC_KEY", "PHRASE", "DATA_DIR"] {
        shell.var(name, "something");
    }
    for file in FILES {
        let text = fs::read_to_string(root.join(file)).unwrap();
        for block in text.split("```sh\n").skip(1) {
            let (commands, _) = block.split_once("```").unwrap();
            // Inputs have to be there for a command to start.
            for name in commands.split("< ").skip(1) {
                let name = name.split_whitespace().next().unwrap();
                fs::write(shell.dir().join(name), "").unwrap();
            }
            expected +=
                commands.matches("status-").count() + commands.matches("statuskit ").count();
            shell.run(&format!("{{\n{commands}\n}} < /dev/null"));
        }
    }
    let wrong = fs::read_to_string(shell.dir().join("wrong.txt")).unwrap_or_default();
    assert!(wrong.is_empty(), "{wrong}");
    let called = fs::read_to_string(shell.dir().join("called.txt")).unwrap().lines().count();
    // Comments and passwords name tools, too.
    assert!(called > 80 && called <= expected, "{called} of {expected}");
}

/// A program that does `work` and reads all of its input.
fn stand_in(bin: &Path, name: &str, work: &str) {
    let path = bin.join(name);
    fs::write(&path, format!("#!/bin/bash\n{work}\ncat > /dev/null\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}
