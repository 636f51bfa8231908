//! The conformance set, answered by implementations that are not ours.

use std::{path::Path, process::Command};

use crate::{record, shell::Shell};

/// Runs an implementation over the set. What it does otherwise is listed in its exceptions, and all
/// of these are needed. Returns the number of operations that it answers.
fn conforms(command: &str, exceptions: &str) -> usize {
    let mut shell = Shell::new();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
    shell.var("INTEROP", here.to_str().unwrap());
    shell.ok("status-fixtures generate --seed ci --now 1585500000 --count 10 --out vectors");
    let line = format!(
        "status-fixtures verify vectors --command \"{command}\" --now 2020-03-29 \
         --exceptions $INTEROP/fixtures/{exceptions} --limit 60"
    );
    let ended = shell.run(&line);
    let report = record(&ended.stdout);
    assert_eq!(ended.code, 0, "{} {}", report["failures"], report["stale_exceptions"]);
    let ops = report["ops"].as_array().unwrap().iter();
    ops.filter(|op| op["passed"].as_u64() > Some(0)).count()
}

#[test]
fn go_ethereum_passes_what_it_has() {
    assert_eq!(conforms("$INTEROP/go/bin/geth shim", "geth.toml"), 15);
}

#[test]
fn ethers_passes_what_it_has() {
    assert_eq!(conforms("node $INTEROP/account/shim.mjs", "ethers.toml"), 33);
}

#[test]
fn the_template_in_go_answers() {
    let mut shell = Shell::new();
    // The standard library is compiled already.
    let cache = Command::new("go").args(["env", "GOCACHE"]).output().unwrap();
    shell.var("GOCACHE", String::from_utf8(cache.stdout).unwrap().trim());
    shell.ok("status-fixtures shim --template go > main.go && go build -o my_shim main.go");
    shell.ok("status-fixtures generate --seed ci --now 1585500000 --set topics --out vectors");
    let line = "status-fixtures verify vectors --filter 'topics/bloom.match/*' --command ./my_shim";
    let report = record(&shell.ok(line));
    assert_eq!((&report["failed"], &report["unsupported"]), (&0.into(), &0.into()), "{report}");
}
