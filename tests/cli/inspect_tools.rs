//! `status-inspect` beside the inspection itself: pages, match, diff, redact.

use crate::{record, records, shell::Shell};

#[test]
fn a_page_is_one_file_that_loads_nothing() {
    let shell = Shell::new();
    let page = shell
        .ok("echo '</script><b>\u{202e}' | status-envelope seal --chat status --pow 0 \
         | status-inspect --chat status --output html");
    assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script").count(), 1, "the text is escaped");
    assert!(page.contains("&lt;/script&gt;&lt;b&gt;\\u{202e}"), "it is shown");
    // The plaintext is a buffer of its own, as are the bytes in the record.
    assert!(page.contains("Buffer 2: decrypted with chat status"));
    for outside in ["http:", "https:", "src=", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(page.matches("</html>").count(), 1);
    // Several inputs are one page.
    let page = shell.ok("printf 'status-im://chat/public/a\\nstatus-im://chat/public/b\\n' \
         | status-inspect --output html");
    assert_eq!((page.matches("<!DOCTYPE").count(), page.matches("<article").count()), (1, 2));
    assert!(page.ends_with("</main>\n</body>\n</html>\n"));
    // Nothing is a page but inspections.
    for tool in ["status-topic chat a", "status-inspect kinds", "status-inspect match a b"] {
        let refused = shell.run(&format!("{tool} --output html"));
        assert_eq!((refused.code, &*refused.stdout), (2, ""), "{tool}");
    }
}

#[test]
fn colours_are_chosen_and_nothing_depends_on_them() {
    let shell = Shell::new();
    let input = "status-im://chat/public/status --output text";
    for form in ["", "--hexdump"] {
        let plain = shell.ok(&format!("status-inspect {form} {input}"));
        let never = shell.ok(&format!("status-inspect {form} {input} --color never"));
        let always = shell.ok(&format!("NO_COLOR=1 status-inspect {form} {input} --color always"));
        assert!(!plain.contains('\u{1b}'), "no terminal: {plain}");
        assert_eq!(plain, never);
        assert!(always.contains("\u{1b}[36maccount.share_link"), "{always}");
        let mut bare = always;
        for code in ["36", "31", "32", "0"] {
            bare = bare.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(bare, plain, "colours only add");
    }
}

#[test]
fn records_are_matched() {
    let shell = Shell::new();
    let topics = "(status-topic chat a; status-topic chat b; status-topic chat bc)";
    let found = records(&shell.ok(&format!("{topics} | status-inspect match 'name contains b'")));
    assert_eq!(found.iter().map(|it| &it["name"]).collect::<Vec<_>>(), ["b", "bc"]);
    // What is printed is what was read.
    assert_eq!(found[0], record(&shell.ok("status-topic chat b")));
    let none = shell.run(&format!("{topics} | status-inspect match 'name == x'"));
    assert_eq!((none.code, &*none.stdout), (1, ""));
    assert!(none.stderr.contains("0 of 3 records match"), "{}", none.stderr);
    for (options, code) in [
        ("--count 2", 0),
        ("--count 3", 1),
        ("--min 2", 0),
        ("--min 3", 1),
        ("--all", 1),
        ("--count 2 --min 2", 2),
    ] {
        let done = shell.run(&format!("{topics} | status-inspect match {options} 'name > b'"));
        let done_b = shell.run(&format!("{topics} | status-inspect match {options} 'name >= b'"));
        assert_eq!(done_b.code, code, "{options}");
        assert!(done.code != 0, "one only: {options}");
    }
    let wrong = shell.run(&format!("{topics} | status-inspect match 'name = b'"));
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("at 5, found") && wrong.stderr.contains("\"offset\":5"));
    // Objects of other programs, and bytes.
    shell.ok("echo '{\"a\":{\"b\":[1,2]}}' | status-inspect match 'a.b[1] == 2'");
    shell.ok("status-topic chat a | status-inspect match 'topic exists && !payload exists'");
    let envelope = "echo hi | status-envelope seal --chat status --pow 0";
    let inside = "'layers[*].opened_with == \"chat status\"'";
    shell.ok(&format!("{envelope} | status-inspect match --bytes --chat status {inside}"));
    assert_eq!(shell.run(&format!("{envelope} | status-inspect match {inside}")).code, 1);
    assert_eq!(shell.run("status-inspect match a < /dev/null").code, 1);
}

#[test]
fn matches_are_reported_to_test_systems() {
    let shell = Shell::new();
    let input = "(status-topic chat a; status-topic chat b)";
    let tap = shell.ok(&format!("{input} | status-inspect match --report tap 'name != \"#<&\"'"));
    let expected = "TAP version 13\n1..1\nok 1 - name != \"\\#<&\"\n# 2 of 2 records match; expected at least 1\n";
    assert_eq!(tap, expected);
    let junit =
        shell.run(&format!("{input} | status-inspect match --all --report junit 'name < \"b&\"'"));
    assert_eq!(junit.code, 0);
    assert!(
        junit.stdout.contains("failures=\"0\"") && junit.stdout.contains("name &lt; &quot;b&amp;")
    );
    let junit =
        shell.run(&format!("{input} | status-inspect match --all --report junit 'name < b'"));
    assert_eq!(junit.code, 1);
    let failure = "<failure message=\"1 of 2 records match; expected all; not on line 2\"/>";
    assert!(junit.stdout.contains(failure), "{}", junit.stdout);
}

#[test]
fn two_values_are_compared_by_meaning() {
    let shell = Shell::new();
    shell.ok("statuskit keygen --out me.key");
    for (name, text) in [("a", "hi"), ("b", "hi"), ("c", "ho")] {
        shell.ok(&format!(
            "status-envelope seal {text} --chat status --identity me.key --now 1585500000 \
             --output hex > {name}"
        ));
    }
    let same = record(&shell.ok("status-inspect diff a b --chat status"));
    assert_eq!((&same["same"], &same["identical"]), (&true.into(), &false.into()));
    let all = same["differences"].as_array().unwrap();
    assert!(!all.is_empty() && all.iter().all(|it| it["incidental"].is_string()), "{all:?}");
    let exact = shell.run("status-inspect diff a b --chat status --exact");
    assert_eq!((exact.code, &record(&exact.stdout)["same"]), (1, &false.into()));
    let other = shell.run("status-inspect diff a - --chat status < c");
    assert_eq!(other.code, 1);
    let other = record(&other.stdout);
    let found: Vec<_> = other["differences"].as_array().unwrap().iter().collect();
    let text = found.iter().find(|it| it["incidental"].is_null()).unwrap();
    let layer = "whisper.envelope/whisper.message/payload.wrapper/payload.chat_message";
    assert_eq!(text["layer"], layer);
    assert_eq!((&text["field"], &text["a"]["value"]), (&"text".into(), &"hi".into()));
    assert_eq!(found.iter().filter(|it| it["incidental"].is_null()).count(), 1);
    // Without the key, the ciphertexts are different.
    assert_eq!(shell.run("status-inspect diff a b").code, 1);
    assert_eq!(record(&shell.ok("status-inspect diff a a"))["identical"], true);
    let shown = shell.run("status-inspect diff a c --chat status --output text").stdout;
    assert!(
        shown.starts_with("different\n") && shown.contains("payload.chat_message text\n"),
        "{shown}"
    );
    shell.ok("cat a b > ab");
    assert_eq!(shell.run("status-inspect diff ab a").code, 2, "A has two values");
    assert_eq!(shell.run("status-inspect diff - -").code, 2);
}

#[test]
fn records_are_redacted() {
    let shell = Shell::new();
    let envelope = "status-envelope seal 'meet Anna' --chat status --pow 0";
    shell.ok(&format!("{envelope} > sealed"));
    let opened = "status-envelope open --chat status < sealed";
    let before = record(&shell.ok(opened));
    let done = shell.run(&format!("{opened} | status-inspect redact"));
    let after = record(&done.stdout);
    assert_eq!(done.code, 0);
    assert!(done.stderr.contains("ciphertext stays"), "{}", done.stderr);
    assert_eq!(
        (&after["type"], &after["payload"]["text"]),
        (&"message".into(), &"xxxx Xxxx".into())
    );
    assert!(!done.stdout.contains("Anna") && !done.stdout.contains(&hex::encode("Anna")));
    for same in ["sent", "ttl", "pow"] {
        assert_eq!(before[same], after[same]);
    }
    for length in ["hash", "topic", "padding", "envelope"] {
        let of = |it: &serde_json::Value| it[length].as_str().unwrap().len();
        assert_eq!(of(&before), of(&after), "{length}");
    }
    // The same run gives the same, with a seed every run does.
    let seeded = format!("{opened} | status-inspect redact --seed 1 --quiet");
    let twice = [shell.ok(&seeded), shell.ok(&seeded)].map(|it| record(&it));
    assert_eq!(twice[0], twice[1]);
    assert_ne!(twice[0]["hash"], before["hash"]);
    assert_ne!(twice[0]["hash"], after["hash"]);
    // Bytes go in and out.
    let hex = shell
        .ok(&format!("{envelope} --output hex | status-inspect redact --ciphertext --output hex"));
    let cut = shell.ok(&format!("echo {} | status-inspect", hex.trim()));
    assert_eq!(record(&cut)["kind"], "whisper.envelope");
    assert_eq!(
        shell.run(&format!("echo {} | status-envelope open --chat status", hex.trim())).code,
        1
    );
    assert_eq!(shell.run("status-inspect redact < /dev/null").code, 1);
    assert_eq!(records(&shell.ok("(echo 0x0102; echo 0x03) | status-inspect redact")).len(), 2);
}
