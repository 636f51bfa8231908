//! `status-inspect`.

use serde_json::Value;

use crate::{record, records, shell::Shell};

fn kinds(inspection: &Value) -> Vec<&str> {
    inspection["layers"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect()
}

#[test]
fn an_envelope_is_peeled_to_its_text() {
    let shell = Shell::new();
    let sealed = shell.ok("echo hi | status-envelope seal --chat status --pow 0 --output hex");
    let sealed = sealed.trim();
    let opened = record(&shell.ok(&format!("status-inspect --chat status {sealed}")));
    assert_eq!((&opened["type"], &opened["certainty"]), (&"inspection".into(), &"certain".into()));
    assert_eq!(kinds(&opened)[..2], ["whisper.envelope", "whisper.message"]);
    assert_eq!(opened["layers"][1]["opened_with"], "chat status");
    // Without the key the record says which is missing.
    let closed = record(&shell.ok(&format!("echo {sealed} | status-inspect")));
    assert_eq!(closed["certainty"], "likely");
    assert_eq!(closed["layers"][0]["stopped"]["code"], "inspect.no_key");
    let text = shell.ok(&format!("status-inspect --output text {sealed}"));
    assert!(text.contains("ends here") && text.contains("--chat"), "{text}");
}

#[test]
fn every_line_is_an_input_and_a_bad_one_is_reported() {
    let shell = Shell::new();
    let lines = "printf 'status-im://chat/public/status\\n0xffee\\n\\n0x80\\n' | status-inspect";
    let done = shell.run(lines);
    assert_eq!(done.code, 1, "{}", done.stderr);
    let found = records(&done.stdout);
    assert_eq!(found[0]["kind"], "account.share_link");
    assert!(done.stderr.contains("inspect.unknown"), "{}", done.stderr);
}

#[test]
fn kinds_are_listed_and_forced() {
    let shell = Shell::new();
    let listed = records(&shell.ok("status-inspect kinds"));
    assert!(listed.iter().any(|it| it["kind"] == "whisper.envelope"));
    let forced = shell.run("status-inspect --as secure.bundle 0x80");
    assert_eq!(forced.code, 1);
    assert!(forced.stderr.contains("inspect.not_of_kind"), "{}", forced.stderr);
    assert_eq!(shell.run("status-inspect --as nothing.known 0x80").code, 2);
    assert_eq!(shell.run("status-inspect < /dev/null").code, 1);
}
