//! `status-mailserver` over one database, as operators with several servers use it.

use std::{
    io::{BufRead as _, BufReader},
    process, thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    harness::{raw, url},
    record,
    shell::{Background, Shell},
};

/// A database of its own, removed when dropped.
struct Database(String);

impl Database {
    fn new() -> Self {
        let name = format!("statuskit_tool_{}", process::id());
        raw().batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        Self(name)
    }

    fn url(&self) -> String {
        let url = url();
        let (server, _) = url.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}", self.0)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = raw().batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.0));
    }
}

fn serve(shell: &Shell) -> (Background, Value) {
    let line = "exec status-mailserver serve --listen 127.0.0.1:0 --store $STORE \
                --password status-offline-inbox --metrics 127.0.0.1:0";
    let mut server = Background(shell.command(line).spawn().expect("bash"));
    let mut ready = String::new();
    let mut stdout = BufReader::new(server.0.stdout.take().expect("piped"));
    stdout.read_line(&mut ready).expect("a line");
    (server, record(&ready))
}

fn lines(output: &str) -> Vec<Value> {
    output.lines().map(record).collect()
}

#[test]
fn two_servers_over_one_database() {
    let database = Database::new();
    let mut shell = Shell::new();
    shell.var("STORE", database.url());
    let error = shell.fails(5, "status-mailserver stats --store $STORE");
    assert!(error.contains("archive.unusable"), "{error}");
    let [(mut first, one), (_second, two)] = [serve(&shell), serve(&shell)];
    shell.var("ONE", one["enode"].as_str().expect("an enode"));
    shell.var("TWO", two["enode"].as_str().expect("an enode"));
    shell.ok("seq 5 | status-send --peer $ONE --chat c --lines --ttl 60");
    shell.ok("seq 6 9 | status-send --peer $TWO --chat c --lines --ttl 60");

    // Each returns what both have stored.
    let began = Instant::now();
    for server in ["ONE", "TWO"] {
        let line =
            format!("status-mailserver query --peer ${server} --chat c --open --page-size 3");
        loop {
            let ended = shell.run(&line);
            let mut texts: Vec<_> =
                lines(&ended.stdout).iter().map(|it| it["payload"]["text"].clone()).collect();
            texts.sort_by_key(ToString::to_string);
            if texts == ["1", "2", "3", "4", "5", "6", "7", "8", "9"] {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{texts:?} {}", ended.stderr);
            thread::sleep(Duration::from_millis(20));
        }
    }
    let stats = lines(&shell.ok("status-mailserver stats --store $STORE"));
    assert_eq!((&stats[0]["envelopes"], &stats[0]["topics"]), (&9.into(), &1.into()));
    let metrics = one["metrics"].as_str().expect("an address");
    let line = format!(
        "exec 3<>/dev/tcp/{}; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3",
        metrics.replace(':', "/")
    );
    let metrics = shell.ok(&line);
    assert!(metrics.contains("\nstatuskit_archive_envelopes 9\n"), "{metrics}");

    // Into a directory and back, with the same result.
    shell.ok("status-mailserver export --store $STORE > all; cp all before");
    shell.ok("status-mailserver sync --peer $TWO --store copy");
    assert_eq!(shell.ok("status-mailserver export --store copy"), shell.ok("cat all"));
    let pruned = record(&shell.ok(
        "status-mailserver prune --store $STORE --before now --now $(($(date +%s) + 86400 * 2))",
    ));
    assert_eq!(pruned["removed"], 9);
    shell.fails(1, "status-mailserver export --store $STORE");
    let imported = record(&shell.ok("status-mailserver import --store $STORE < all"));
    assert_eq!(imported["new"], 9);
    let synced = record(&shell.ok("status-mailserver sync --peer $ONE --store $STORE"));
    assert_eq!((&synced["envelopes"], &synced["new"]), (&9.into(), &0.into()));
    shell.ok(&format!("kill -TERM {}", first.0.id()));
    assert_eq!(first.0.wait().expect("a status").code(), Some(143));
}
