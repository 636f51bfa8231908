//! `status-eip`: contract calls, transactions, signed data.

use serde_json::{Value, json};

use crate::{record, records, shell::Shell};

const TO: &str = "0x8e23ee67d1332ad560396262c48ffbb01f93d052";

pub fn one(shell: &Shell, line: &str) -> Value {
    record(&shell.ok(line))
}

/// The error of a command that ends with `code`.
pub fn error(shell: &Shell, code: i32, line: &str) -> Value {
    let ended = shell.run(&format!("{line} --output json"));
    assert_eq!(ended.code, code, "{line}: {}", ended.stderr);
    records(&ended.stderr).into_iter().find(|it| it["type"] == "error").unwrap()
}

#[test]
fn calls_go_both_ways() {
    let shell = Shell::new();
    let made = one(&shell, &format!("status-eip abi encode 'transfer(address,uint256)' {TO} 1"));
    let data = "0xa9059cbb0000000000000000000000008e23ee67d1332ad560396262c48ffbb01f93d052\
                0000000000000000000000000000000000000000000000000000000000000001";
    assert_eq!((&made["data"], &made["selector"]), (&json!(data), &json!("0xa9059cbb")));
    let read =
        one(&shell, &format!("status-eip abi encode transfer {TO} 1 | status-eip abi decode"));
    assert_eq!(read["signature"], "transfer(address,uint256)");
    assert_eq!(read["standards"], json!(["EIP-20"]));
    assert_eq!(read["arguments"][0]["value"].as_str().unwrap().to_lowercase(), TO);
    assert_eq!(read["arguments"][0]["name"], "to");
    assert_eq!(read["arguments"][1], json!({ "name": "value", "type": "uint256", "value": "1" }));
    let chat = one(&shell, &format!("status-eip abi transfer {data}"));
    assert_eq!((&chat["value"], &chat["canonical"]), (&json!("1"), &json!(true)));

    // An answer, a list and a tuple, JSON on standard input.
    let line = "status-eip abi decode --answer --as 'f() returns (string name, int8[] n)'";
    let encode = "status-eip abi encode '(string,int8[])' 'hi there' '[1,-2]'";
    let read = one(&shell, &format!("{encode} | {line}"));
    assert_eq!(
        read["arguments"][1],
        json!({ "name": "n", "type": "int8[]", "value": ["1", "-2"] })
    );
    let read = one(
        &shell,
        "echo '{\"n\":7,\"t\":{\"x\":true}}' | status-eip abi encode 'f(uint8 n,(bool x) t)'",
    );
    assert_eq!(read["arguments"][1]["value"], json!({ "x": true }));
    let lines = "printf '[1]\\n[256]\\n[2]\\n' | status-eip abi encode 'f(uint8)'";
    let ended = shell.run(lines);
    assert_eq!((ended.code, records(&ended.stdout).len()), (3, 2));
    assert_eq!(record(&ended.stderr)["line"], 2);
}

#[test]
fn unknown_and_malformed_calls() {
    let shell = Shell::new();
    let ended = shell.run("status-eip abi decode 0xdeadbeef0102 --output json");
    assert_eq!(ended.code, 1);
    let read = record(&ended.stdout);
    assert_eq!((&read["signature"], &read["selector"]), (&Value::Null, &json!("0xdeadbeef")));
    assert_eq!(read["words"], json!(["0x0102"]));
    assert_eq!(record(&ended.stderr)["code"], "abi.unknown");

    let call = format!("0xa9059cbb{:0>64}{:0>64}", &TO[2..], 1);
    for (line, exit, code) in [
        ("status-eip abi decode 0xa9", 3, "abi.truncated"),
        (&*format!("status-eip abi decode {call}00"), 3, "abi.trailing"),
        (&*format!("status-eip abi decode {} ", &call[..100]), 3, "abi.truncated"),
        (&*format!("status-eip abi decode {}", call.replace("b0000", "b1000")), 3, "abi.padding"),
        (&*format!("status-eip abi decode {call} --as 'f(uint8)'"), 3, "abi.selector"),
        ("status-eip abi decode 0x00 --as 'f(uint7)'", 2, "abi.type"),
        ("status-eip abi decode 0x00 --as 'f(uint8'", 2, "abi.signature"),
        ("status-eip abi decode 0x00 --as nothing", 2, "usage"),
        ("status-eip abi decode 0x00 --as safeTransferFrom", 2, "usage"),
        ("status-eip abi decode 0x00 --answer --as 'f()'", 2, "usage"),
        ("status-eip abi encode transfer 0x01 1", 2, "address.format"),
        ("status-eip abi encode transfer 1", 2, "abi.count"),
        ("status-eip abi encode 'f(uint8)' 256", 2, "abi.range"),
        ("status-eip abi encode 'f(uint8)' 1.5", 2, "number.fraction"),
        ("status-eip abi encode 'f(uint8[])' 1", 2, "abi.value"),
        ("status-eip abi transfer 0x01", 1, "transaction.data_length"),
        ("status-eip abi selector 0x00000000", 1, "abi.unknown"),
        ("status-eip abi encode transfer < /dev/null", 1, "input.empty"),
    ] {
        assert_eq!(error(&shell, exit, line)["code"], code, "{line}");
    }
    let lenient = format!("status-eip abi decode {call}00 --lenient");
    assert_eq!(one(&shell, &lenient)["arguments"][1]["value"], "1");
    let wrong =
        error(&shell, 3, &format!("status-eip abi decode {}", call.replace("b0000", "b1000")));
    assert_eq!((&wrong["offset"], &wrong["field"]), (&json!(4), &json!("to")));
}

#[test]
fn events_interfaces_and_selectors() {
    let shell = Shell::new();
    let event = "'Transfer(address indexed from, address indexed to, uint256 indexed tokenId)'";
    let made = format!("status-eip abi event {event} {TO} {TO} 7");
    let log = one(&shell, &made);
    assert_eq!(log["topics"].as_array().unwrap().len(), 4);
    let read = one(&shell, &format!("{made} | status-eip abi event"));
    assert_eq!(read["standards"], json!(["EIP-721"]));
    assert_eq!(read["arguments"][2]["value"], "7");
    let text = "'E(string indexed s, bytes b) anonymous'";
    let read =
        one(&shell, &format!("status-eip abi event {text} hi 0x01 | status-eip abi event {text}"));
    assert!(read["arguments"][0]["value"]["hash"].is_string(), "{read}");
    assert_eq!(error(&shell, 1, "status-eip abi event --data 0x")["code"], "abi.unknown");

    let interface = one(&shell, "status-eip abi interface 'name()' 'symbol()' 'tokenURI(uint256)'");
    assert_eq!(
        (&interface["id"], &interface["name"]),
        (&json!("0x5b5e139f"), &json!("ERC721Metadata"))
    );
    let expected: Vec<_> =
        interface["calls"].as_array().unwrap().iter().map(|call| &call["expected"]).collect();
    assert_eq!(expected, [&json!(true), &json!(false), &json!(true)]);
    let found = records(&shell.ok("status-eip abi selector 0x23b872dd"));
    assert_eq!(found[0]["standards"], json!(["EIP-20", "EIP-721"]));
}

#[test]
fn the_published_transaction() {
    let shell = Shell::new();
    shell.ok("printf '46%.0s' {1..32} > cow.key");
    let fields = "--chain-id 1 --nonce 9 --gas-price 20gwei --gas 21000 \
                  --to 0x3535353535353535353535353535353535353535 --value 1ether";
    let sign = format!("status-eip tx sign --identity cow.key {fields}");
    let read = one(&shell, &format!("{sign} | status-eip tx decode"));
    let raw = "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764\
               00008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9\
               d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
    assert_eq!(read["raw"], raw);
    assert_eq!(read["from"], "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F");
    assert_eq!(read["hash"], "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788");
    assert_eq!((&read["chain_id"], &read["v"]), (&json!(1), &json!("37")));
    assert_eq!(read["problems"], json!([]));
    // In two steps it is the same.
    let built = format!("status-eip tx build {fields}");
    let signing_hash = "0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53";
    assert_eq!(one(&shell, &built)["signing_hash"], signing_hash);
    let two = format!("{built} | status-eip tx sign --identity cow.key --output hex");
    assert_eq!(shell.ok(&two).trim(), raw);
    assert_eq!(
        shell.ok(&format!("status-eip tx recover {raw} --output text")).trim(),
        read["from"]
    );
    assert_eq!(one(&shell, &format!("status-eip tx hash {raw}"))["hash"], read["hash"]);
    assert_eq!(one(&shell, &format!("{built} | status-eip tx hash"))["signing_hash"], signing_hash);
    shell.ok(&format!("status-eip tx decode {raw} --check --chain-id 1"));
    for (line, exit, code) in [
        (&*format!("status-eip tx decode {raw} --check --chain-id 3"), 1, "tx.other_chain"),
        (&*format!("{built} | status-eip tx decode --check"), 1, "tx.unsigned"),
        (&*format!("status-eip tx decode {}", &raw[..40]), 3, "rlp.truncated"),
        ("status-eip tx decode 0x05c0", 3, "tx.type"),
        ("status-eip tx sign --identity cow.key < /dev/null", 1, "input.empty"),
        (&*format!("{sign} | status-eip tx sign --identity cow.key"), 3, "tx.signed"),
        ("status-eip tx build --nonce 1 --gas 21000 --gas-price 1gwei", 2, "usage"),
        (&*format!("{built} --data 0x0"), 2, "usage"),
        (&*built.replace("20gwei", "20bitcoin"), 2, "number.unit"),
        (&*built.replace("1ether", "1.0000000000000000001ether"), 2, "number.fraction"),
        (&*built.replace("--chain-id 1 ", "--chain-id 0 "), 2, "usage"),
    ] {
        assert_eq!(error(&shell, exit, line)["code"], code, "{line}");
    }
    // Without a chain there is a note.
    let ended = shell.run(&sign.replace("--chain-id 1 ", ""));
    assert!(ended.stderr.contains("valid on every chain"), "{}", ended.stderr);
    assert_eq!(record(&ended.stdout)["chain_id"], Value::Null);
}

#[test]
fn transactions_of_later_years_are_read() {
    // Type 2, unsigned.
    let shell = Shell::new();
    let raw = format!("0x02ea010984b2d05e008502540be40082520894{}0582abcdc0", "35".repeat(20));
    let read = one(&shell, &format!("status-eip tx decode {raw}"));
    assert_eq!((&read["standard"], &read["supported"]), (&json!("EIP-1559"), &json!(false)));
    assert_eq!(read["max_fee_per_gas"], "10000000000");
    assert_eq!(read["signed"], false);
    shell.ok("printf '46%.0s' {1..32} > cow.key");
    let line = format!("echo {raw} | status-eip tx sign --identity cow.key");
    assert_eq!(error(&shell, 3, &line)["code"], "tx.typed");
}

const MAIL: &str = r#"{
  "types": {
    "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "version", "type": "string"},
      {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}],
    "Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],
    "Mail": [{"name": "from", "type": "Person"}, {"name": "to", "type": "Person"},
      {"name": "contents", "type": "string"}]
  },
  "primaryType": "Mail",
  "domain": {"name": "Ether Mail", "version": "1", "chainId": 1,
    "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"},
  "message": {
    "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
    "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
    "contents": "Hello, Bob!"
  }
}"#;

#[test]
fn the_published_typed_data() {
    let shell = Shell::new();
    std::fs::write(shell.dir().join("mail.json"), MAIL).unwrap();
    let read = one(&shell, "status-eip typed-data hash < mail.json");
    let digest = "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2";
    assert_eq!(read["digest"], digest);
    assert!(read.get("message_parts").is_none());
    let parts = one(&shell, "status-eip typed-data hash --parts mail.json");
    assert_eq!(parts["message_parts"]["values"][1]["path"], "from.name");
    assert_eq!(parts["message_parts"]["hash"], read["struct_hash"]);
    // The key of the standard is the Keccak-256 of "cow".
    shell.ok("echo c85ef7d79691fe79573b1a7064c19c1a9819ebdbd1faaab1a8ec92344438aaf4 > cow.key");
    let signature =
        shell.ok("status-eip typed-data sign mail.json --identity cow.key --output hex");
    let signature = signature.trim();
    assert!(signature.starts_with("0x4355c47d63924e8a") && signature.ends_with("05b915621c"));
    let by = "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826";
    let line = format!("status-eip typed-data recover mail.json --signature {signature}");
    assert_eq!(one(&shell, &line)["address"], by);
    let verify = |key: &str| {
        format!("status-eip typed-data verify mail.json --signature {signature} --key {key}")
    };
    assert_eq!(one(&shell, &verify(by))["valid"], true);
    assert_eq!(error(&shell, 1, &verify(TO))["code"], "signature.other_key");
    // Both hashes are what version 01 signs.
    let hashes = format!(
        "{}{}",
        read["domain_separator"].as_str().unwrap(),
        &read["struct_hash"].as_str().unwrap()[2..]
    );
    let again = one(&shell, &format!("status-eip message hash {hashes} --hex --version-byte 01"));
    assert_eq!(again["digest"], digest);

    let reference = "status-eip typed-data hash mail.json --like-reference --chain-id";
    assert_eq!(one(&shell, &format!("{reference} 1"))["digest"], digest);
    assert_eq!(error(&shell, 3, &format!("{reference} 3"))["code"], "typed_data.chain");
    let extra = MAIL.replace("\"contents\": \"Hello", "\"bcc\": 1, \"contents\": \"Hello");
    std::fs::write(shell.dir().join("extra.json"), extra).unwrap();
    let wrong = error(&shell, 3, "status-eip typed-data hash extra.json");
    assert_eq!((&wrong["code"], &wrong["field"]), (&json!("typed_data.extra"), &json!("message")));
    assert_eq!(
        error(&shell, 3, "echo '{}' | status-eip typed-data hash")["code"],
        "typed_data.structure"
    );
    assert_eq!(error(&shell, 1, "status-eip typed-data hash < /dev/null")["code"], "input.empty");
}

#[test]
fn messages_of_all_versions() {
    let mut shell = Shell::new();
    shell.keygen("ME");
    let ours = one(&shell, "status-eip message sign hello --identity me.key");
    let theirs = one(&shell, "status-account sign hello --identity me.key");
    assert_eq!(ours["signature"], theirs["signature"]);
    assert_eq!(ours["digest"], theirs["digest"]);
    let signature = ours["signature"].as_str().unwrap();
    let verify = format!("status-eip message verify hello --signature {signature} --key $ME");
    assert_eq!(one(&shell, &verify)["valid"], true);
    let other = verify.replace("hello", "goodbye");
    assert_eq!(error(&shell, 1, &other)["code"], "signature.other_key");
    let recovered = format!("printf hello | status-eip message recover --signature {signature}");
    assert_eq!(one(&shell, &recovered)["address"], ours["address"]);
    let low = format!("{}00", &signature[..130]);
    let line = format!("status-eip message recover hello --signature {low}");
    assert_eq!(error(&shell, 1, &line)["code"], "signature.v");
    let zero =
        one(&shell, &format!("status-eip message hash x --version-byte 00 --validator {TO}"));
    assert_eq!(zero["hashed"], format!("0x1900{}78", &TO[2..]));
    for line in [
        "status-eip message hash x --version-byte 00",
        &format!("status-eip message hash x --validator {TO}"),
        "status-eip message hash x --version-byte 00 --validator 0x01",
        "status-eip message hash 0x0 --hex",
    ] {
        assert_eq!(error(&shell, 2, line)["type"], "error", "{line}");
    }
    let line = "status-eip message hash 0x01 --hex --version-byte 01";
    assert_eq!(error(&shell, 2, line)["code"], "signature.hashes");
}
