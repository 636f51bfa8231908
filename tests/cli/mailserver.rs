//! `status-mailserver` on archives: import, export, prune, check, damage.

use serde_json::{Value, json};

use crate::{record, records, shell::Shell};

/// Seals `count` envelopes for a chat into a file, one per second starting at `now`.
fn seal(shell: &Shell, chat: &str, count: u32, now: u32, file: &str) {
    let line = format!(
        "for i in $(seq 0 {}); do status-envelope seal $i --chat {chat} --seed {chat}$i \
         --now $(({now} + i)) --pow 0; done > {file}",
        count - 1
    );
    shell.ok(&line);
}

#[test]
fn import_stats_export_prune() {
    let shell = Shell::new();
    let day = 1_583_020_800;
    seal(&shell, "one", 5, day, "one.json");
    seal(&shell, "two", 3, day + 86_400, "two.json");
    let line = "cat one.json two.json | status-mailserver import --store a";
    let imported = record(&shell.ok(line));
    assert_eq!((&imported["envelopes"], &imported["new"]), (&json!(8), &json!(8)));
    // Imported again, in another form: nothing new.
    let line =
        "cat one.json | status-envelope show --output hex | status-mailserver import --store a";
    let again = record(&shell.ok(line));
    assert_eq!((&again["envelopes"], &again["new"]), (&json!(5), &json!(0)));

    let stats = records(&shell.ok("status-mailserver stats --store a --chat one"));
    let of = |kind: &str| stats.iter().filter(|it| it["type"] == kind).collect::<Vec<_>>();
    let all = of("archive")[0];
    assert_eq!((&all["envelopes"], &all["topics"]), (&json!(8), &json!(2)));
    assert_eq!((&all["oldest"], &all["newest"]), (&json!(day), &json!(day + 86_402)));
    assert!(all["disk"].as_u64() > all["bytes"].as_u64());
    let days = of("archive_day");
    assert_eq!(days.len(), 1);
    assert_eq!((&days[0]["day"], &days[0]["envelopes"]), (&json!("2020-03-01"), &json!(5)));
    let topics = of("archive_topic");
    assert_eq!((&topics[0]["name"], &topics[0]["envelopes"]), (&json!("one"), &json!(5)));
    let text = shell.ok("status-mailserver stats --store a --output text");
    assert!(text.contains("2020-03-02") && text.contains('█'), "{text}");

    // Exported and imported again: the same bytes, in order.
    let hashes = |output: &str| -> Vec<Value> {
        records(output).iter().map(|it| it["raw"].clone()).collect()
    };
    let put = hashes(&shell.ok("cat one.json two.json"));
    assert_eq!(hashes(&shell.ok("status-mailserver export --store a")), put);
    shell
        .ok("status-mailserver export --store a --output raw | status-mailserver import --store b");
    assert_eq!(hashes(&shell.ok("status-mailserver export --store b")), put);
    // By topic, by time, or both. Ranges include both ends.
    let two = hashes(&shell.ok("status-mailserver export --store a --chat two"));
    assert_eq!(two, put[5..]);
    let line = format!("status-mailserver export --store a --from {} --to {}", day + 1, day + 3);
    assert_eq!(hashes(&shell.ok(&line)), put[1..4]);
    let line = "status-mailserver export --store a --to 2020-03-01T00:00:01Z \
                | status-envelope open --chat one";
    let texts: Vec<_> =
        records(&shell.ok(line)).iter().map(|it| it["payload"]["text"].clone()).collect();
    assert_eq!(texts, ["0", "1"]);
    shell.fails(1, "status-mailserver export --store a --chat three");

    shell.fails(2, "status-mailserver prune --store a --keep 0");
    let pruned = record(&shell.ok("status-mailserver prune --store a --before 2020-03-02"));
    assert_eq!(pruned["removed"], 5);
    let line = format!("status-mailserver prune --store b --keep 1d --now {}", day + 86_400 + 3);
    assert_eq!(record(&shell.ok(&line))["removed"], 3);
    assert_eq!(hashes(&shell.ok("status-mailserver export --store a")), put[5..]);
    let check = record(&shell.ok("status-mailserver check --store a"));
    assert_eq!((&check["sound"], &check["envelopes"]), (&json!(true), &json!(3)));
}

#[test]
fn bad_records_are_reported_and_the_others_stored() {
    let shell = Shell::new();
    seal(&shell, "one", 3, 1_583_020_800, "one.json");
    let mixed = "(head -1 one.json; echo '{broken'; echo 0xzz; echo '{\"type\":\"topic\"}'; \
                 echo 0xc0; tail -2 one.json) > mixed";
    shell.ok(mixed);
    let ended = shell.run("status-mailserver import --store a < mixed");
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let imported = record(&ended.stdout);
    assert_eq!((&imported["new"], &imported["bad_records"]), (&json!(3), &json!(4)));
    let lines: Vec<_> = records(&ended.stderr).iter().map(|it| it["line"].clone()).collect();
    assert_eq!(lines, [2, 3, 4, 5]);
    // `--fail-fast` stops at the first bad record; earlier ones are stored.
    let ended = shell.run("status-mailserver import --store b --fail-fast < mixed");
    assert_eq!((ended.code, record(&ended.stdout)["new"].clone()), (3, json!(1)));
    // A truncated binary stream.
    let line = "status-envelope show --output raw < one.json | head -c -1 \
                | status-mailserver import --store d";
    let ended = shell.run(line);
    assert_eq!((ended.code, record(&ended.stdout)["new"].clone()), (3, json!(2)));
    let error = record(&ended.stderr);
    assert_eq!((&error["code"], &error["line"]), (&json!("rlp.truncated"), &json!(3)));
    let error = shell.fails(1, ": | status-mailserver import --store c");
    assert!(error.contains("input.empty"), "{error}");
    shell.fails(3, "head -c 2000 /dev/urandom | status-mailserver import --store c");
    assert!(!shell.dir().join("c").exists(), "no archive is created for nothing");
}

#[test]
fn envelopes_out_of_range_are_skipped_and_counted() {
    let shell = Shell::new();
    let (day, year) = (1_583_020_800, 86_400 * 365);
    seal(&shell, "one", 3, day, "one.json");
    seal(&shell, "old", 2, 1000, "old.json");
    seal(&shell, "ahead", 1, day + year, "ahead.json");
    let import = |options: &str| {
        let line = format!(
            "cat old.json one.json ahead.json | status-mailserver import --now {} {options}",
            day + 10
        );
        let imported = record(&shell.ok(&line));
        ["envelopes", "new", "too_old", "from_future"].map(|name| imported[name].as_u64().unwrap())
    };
    assert_eq!(import("--store a"), [6, 3, 2, 1]);
    assert_eq!(import("--store b --retention 9s"), [6, 2, 3, 1]);
    let first = records(&shell.ok("status-mailserver stats --store a"));
    assert_eq!((&first[0]["oldest"], &first[0]["newest"]), (&json!(day), &json!(day + 2)));
    let line = "status-mailserver import --store c --output text < old.json";
    let text = shell.ok(line);
    assert!(text.contains("2 envelopes, 0 of them new, 2 passed over as too old"), "{text}");
    assert!(!shell.dir().join("c").exists(), "no archive is created for nothing");
}

#[test]
fn stores_that_cannot_be_opened() {
    let shell = Shell::new();
    // Commands that only read or remove create no archive.
    for command in ["stats", "export", "export --salvage", "check", "prune --keep 1d"] {
        shell.fails(5, &format!("status-mailserver {command} --store nowhere"));
        assert!(!shell.dir().join("nowhere").exists(), "{command}");
    }
    shell.ok("echo hello > file");
    let error = shell.fails(5, "status-mailserver stats --store file");
    assert!(error.contains("--store"), "{error}");
    shell.fails(2, "status-mailserver stats");
    shell.fails(2, "status-mailserver prune --store a");
    shell.fails(2, "status-mailserver prune --store a --keep 1d --before 2020-01-01");
    shell.fails(2, "status-mailserver export --store a --from yesterday");
    shell.fails(2, "status-mailserver export --store a --from 1h --to 2h");
    // Connection refused; the password is not shown.
    let error =
        shell.fails(5, "STATUS_STORE=postgres://me:sesame@127.0.0.1:1/x status-mailserver stats");
    assert!(error.contains("archive.") && !error.contains("sesame"), "{error}");
}

/// A mistyped database URL does not become a directory: its name would contain a password.
#[test]
fn mistyped_urls_create_nothing() {
    let shell = Shell::new();
    shell.ok("mkdir stranger; touch stranger/other");
    for store in [
        "",
        "mysql://u:sesame@127.0.0.1:1/x",
        "postgres:/u:sesame@127.0.0.1:1/x",
        "host=127.0.0.1 password=sesame",
    ] {
        for command in ["import", "stats", "prune --keep 1d", "export --salvage", "check"] {
            let error = shell
                .fails(2, &format!("status-mailserver {command} --store '{store}' < /dev/null"));
            assert!(!error.contains("sesame"), "{error}");
        }
    }
    for store in ["POSTGRES://u:sesame@127.0.0.1:1/x", "postgres://u:p@sesame@127.0.0.1:1/x"] {
        let error =
            shell.fails(5, &format!("status-mailserver import --store '{store}' < /dev/null"));
        assert!(!error.contains("sesame"), "{error}");
    }
    // Foreign directories stay untouched.
    shell.fails(5, "status-mailserver import --store stranger < /dev/null");
    assert_eq!(shell.ok("ls; ls stranger"), "stranger\nother\n");
}

/// Zeroed pages and truncated files: every command reports the damage, and none crashes or answers
/// as if the archive were sound.
#[test]
fn every_command_refuses_damaged_archives() {
    let shell = Shell::new();
    shell.ok("seq 300 | status-envelope seal --password p --lines --ttl 60 --pow 0.0001 \
              | status-mailserver import --store sound");
    let pages = shell.ok("stat -c %s sound/data.mdb").trim().parse::<u64>().unwrap() / 4096;
    let zero = |page: u64| {
        format!("dd if=/dev/zero of=bad/data.mdb bs=4096 count=1 seek={page} conv=notrunc 2>&1")
    };
    let mut damages: Vec<String> = (2..pages).step_by(7).map(zero).collect();
    damages.extend([zero(0), zero(1), "truncate -s 20000 bad/data.mdb".into()]);
    let mut found = 0;
    for damage in damages {
        shell.ok(&format!("rm -rf bad; cp -r sound bad; {damage}"));
        let checked = shell.run("status-mailserver check --store bad");
        let sound = match checked.code {
            0 => true,
            1 => false,
            code => panic!("{damage}: {code}, {}", checked.stderr),
        };
        let report = record(&checked.stdout);
        assert_eq!((&report["type"], &report["sound"]), (&"archive_check".into(), &sound.into()));
        if sound {
            // An unused page was hit.
            assert_eq!(records(&shell.ok("status-mailserver export --store bad")).len(), 300);
            continue;
        }
        found += 1;
        assert!(checked.stderr.contains("--salvage"), "{}", checked.stderr);
        for command in ["stats", "export", "prune --keep 1d", "import"] {
            let line = format!("head -1 /dev/null | status-mailserver {command} --store bad");
            let ended = shell.run(&line);
            assert_eq!(ended.code, 5, "{damage}: {command}: {}", ended.stderr);
            assert!(ended.stdout.is_empty(), "{damage}: {command}");
            assert!(ended.stderr.contains("archive.damaged"), "{}", ended.stderr);
            assert!(ended.stderr.contains("--salvage"), "{}", ended.stderr);
        }
    }
    assert!(found > 5, "{found}");
}

/// `fixtures/archive-0.1`: what version 0.1 wrote stays readable.
#[test]
fn archives_of_version_0_1_are_read_and_go_on() {
    let shell = Shell::new();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/archive-0.1");
    shell.ok(&format!("cp -r {fixtures}/archive . && chmod -R u=rwX,go= archive"));
    let envelopes = shell.ok(&format!("cat {fixtures}/envelopes.txt"));
    let export = "status-mailserver export --store archive --output hex";
    assert_eq!(shell.ok(export), envelopes);
    let stats = shell.ok("status-mailserver stats --store archive");
    assert_eq!(stats, shell.ok(&format!("cat {fixtures}/stats.json")));
    assert_eq!(record(&shell.ok("status-mailserver check --store archive"))["sound"], true);
    // One envelope is known, three are new.
    seal(&shell, "more", 3, 1_583_400_000, "more.json");
    let line = "(head -n 1 envelopes; cat more.json) | status-mailserver import --store archive";
    shell.ok(&format!("cp {fixtures}/envelopes.txt envelopes"));
    let imported = record(&shell.ok(line));
    assert_eq!((&imported["envelopes"], &imported["new"]), (&4.into(), &3.into()));
    assert!(shell.ok(export).starts_with(&envelopes));
}

#[test]
fn status_go_archives_are_imported() {
    let shell = Shell::new();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/leveldb");
    shell.ok(&format!("cp -r {fixtures}/db theirs"));
    // Keys that were put and not deleted later.
    let mut kept = std::collections::BTreeSet::new();
    for line in std::fs::read_to_string(format!("{fixtures}/commands.txt")).unwrap().lines() {
        let mut words = line.split(' ');
        match (words.next(), words.next()) {
            (Some("put"), Some(key)) => kept.insert(key.to_owned()),
            (Some("delete"), Some(key)) => kept.remove(key),
            _ => true,
        };
    }
    let line = "status-mailserver import --leveldb theirs --store ours";
    let imported = record(&shell.ok(line));
    assert_eq!(imported["new"], kept.len());
    assert_eq!(imported["bad_records"], 0);
    assert_eq!(record(&shell.ok(line))["new"], 0);
    let exported = records(&shell.ok("status-mailserver export --store ours"));
    let hashes: Vec<_> = exported.iter().map(|it| it["hash"].as_str().unwrap()).collect();
    let expected: Vec<_> = kept.iter().map(|key| format!("0x{}", &key[8..72])).collect();
    assert_eq!(hashes, expected);
    shell.ok(&format!("diff -r {fixtures}/db theirs"));
    // Damage is reported, and the rest imported.
    shell.ok("chmod -R u+w theirs; for f in theirs/*.ldb; do printf 'xxxx' | dd of=$f bs=1 seek=100 conv=notrunc 2>/dev/null; break; done");
    let ended = shell.run("status-mailserver import --leveldb theirs --store rest");
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let rest = record(&ended.stdout);
    let bad = rest["bad_records"].as_u64();
    assert!(bad >= Some(1), "{rest}");
    assert_eq!(Some(records(&ended.stderr).len() as u64), bad, "{}", ended.stderr);
    // `--fail-fast` stops at the first bad entry.
    let line = "status-mailserver import --leveldb theirs --store less --fail-fast";
    let ended = shell.run(line);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let less = record(&ended.stdout);
    assert_eq!(less["bad_records"], 1);
    assert!(less["new"].as_u64() < rest["new"].as_u64(), "{less} {rest}");
    assert!(ended.stderr.contains("archive.bad_entry"), "{}", ended.stderr);
    shell.fails(5, "status-mailserver import --leveldb nowhere --store rest");
    shell.fails(2, "status-mailserver import --leveldb a --postgres postgres://x --store rest");
}

#[test]
fn formats_without_raw_bytes_are_refused_first() {
    let shell = Shell::new();
    seal(&shell, "one", 3, 1_583_020_800, "one.json");
    shell.ok("status-mailserver import --store a < one.json");
    for line in [
        "status-mailserver prune --store a --before now --output hex",
        "status-mailserver import --store b --output raw < one.json",
        "status-mailserver serve --listen 127.0.0.1:0 --store b --output hex",
        "status-mailserver stats --store a --output hex",
        "status-mailserver check --store a --output raw",
    ] {
        let error = shell.fails(2, line);
        assert!(error.contains("--output"), "{line}: {error}");
    }
    assert!(!shell.dir().join("b").exists());
    assert_eq!(records(&shell.ok("status-mailserver export --store a")).len(), 3);
}
