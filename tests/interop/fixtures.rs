//! The conformance set, answered by implementations that are not ours.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use crate::{record, shell::Shell};

/// Implementations: their name, command and exceptions, and the number of operations they answer.
const OTHERS: &[(&str, &str, &str, usize)] = &[
    ("go-ethereum", "$INTEROP/go/bin/geth shim", "geth.toml", 18),
    ("ethers, Node", "node $INTEROP/account/shim.mjs", "ethers.toml", 40),
    ("ethereumjs", "node $INTEROP/js/shim.mjs", "ethereumjs.toml", 10),
    (
        "eth-account, protobuf",
        "$INTEROP/../../target/interop-python/bin/python $INTEROP/python/shim.py",
        "python.toml",
        41,
    ),
];

/// Runs each implementation over the set. What one does otherwise is listed in its exceptions, and
/// all of these are needed. Which operations it answers is a table in `docs/fixtures.md`, which
/// `UPDATE_GENERATED=1` writes.
#[test]
fn others_pass_what_they_have() {
    let mut shell = Shell::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    shell.var("INTEROP", root.join("tests/interop").to_str().unwrap());
    shell.ok("status-fixtures generate --seed ci --now 1585500000 --count 10 --out vectors");
    let mut answered: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, command, exceptions, count) in OTHERS {
        let line = format!(
            "status-fixtures verify vectors --command \"{command}\" --now 2020-03-29 \
             --exceptions $INTEROP/fixtures/{exceptions} --limit 60"
        );
        let ended = shell.run(&line);
        let report = record(&ended.stdout);
        assert_eq!(ended.code, 0, "{name}: {} {}", report["failures"], report["stale_exceptions"]);
        let mut passed = 0;
        for op in report["ops"].as_array().unwrap() {
            let by = answered.entry(op["op"].as_str().unwrap().to_owned()).or_default();
            if op["passed"].as_u64() > Some(0) {
                by.push(name);
                passed += 1;
            }
        }
        assert_eq!(passed, *count, "{name}");
    }
    let mut table = "| operations | passed by |\n| --- | --- |\n".to_owned();
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (op, by) in answered {
        let by = if by.is_empty() { "ours alone".to_owned() } else { by.join(" · ") };
        rows.entry(by).or_default().push(format!("`{op}`"));
    }
    for (by, ops) in rows {
        table.push_str(&format!("| {} | {by} |\n", ops.join(", ")));
    }
    let path = root.join("docs/fixtures.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once("<!-- made by tests/interop/fixtures.rs -->\n").unwrap();
    let (_, tail) = rest.split_once("<!-- end -->").unwrap();
    let expected =
        format!("{head}<!-- made by tests/interop/fixtures.rs -->\n{table}<!-- end -->{tail}");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, expected).unwrap();
    } else {
        assert!(text == expected, "UPDATE_GENERATED=1 tests/interop/run fixtures");
    }
}

#[test]
fn jsonschema_validates_every_file() {
    let mut shell = Shell::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    shell.var("ROOT", root.to_str().unwrap());
    shell.ok("status-fixtures generate --seed ci --now 1585500000 --count 10 --out vectors");
    let line =
        "$ROOT/target/interop-python/bin/python $ROOT/tests/interop/python/schemas.py vectors";
    assert_eq!(shell.ok(line), "17\n");
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
