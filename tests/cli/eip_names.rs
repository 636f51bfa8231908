//! `status-eip`: addresses, names, content hashes, links, providers; a payment end to end.

use serde_json::{Value, json};

use crate::{
    eip::{error, one},
    record, records,
    shell::Shell,
};

const TO: &str = "0x8e23ee67d1332ad560396262c48ffbb01f93d052";
const TOKEN: &str = "0x89205a3a3b2a69de6dbf7f01ed13b2108b2c43e7";

#[test]
fn the_standards_are_listed() {
    let shell = Shell::new();
    let list = records(&shell.ok("status-eip list"));
    assert_eq!(list.len(), 22);
    for standard in &list {
        // Each command that is named exists.
        for command in standard["commands"].as_array().unwrap() {
            let command = command.as_str().unwrap();
            let ended = shell.run(&format!("{command} --help"));
            assert_eq!(ended.code, 0, "{command}: {}", ended.stderr);
        }
    }
    let support = |name: &str| {
        let found = list.iter().find(|it| it["name"] == name);
        found.unwrap()["march_2020"].as_str().unwrap().to_owned()
    };
    let of = ["EIP-20", "EIP-67", "EIP-165"].map(support);
    assert_eq!(of, ["full", "partial", "none"]);
}

#[test]
fn addresses_are_checked() {
    let shell = Shell::new();
    let right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    let made = one(&shell, &format!("status-eip address checksum {}", right.to_lowercase()));
    assert_eq!(made["address"], right);
    let icap = made["icap"].as_str().unwrap();
    let ended = shell.run(&format!(
        "status-eip address check {right} {} {} {icap} 0X{} 0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed nothing",
        right.to_lowercase(),
        &right[2..],
        right[2..].to_uppercase(),
    ));
    let valid: Vec<_> = records(&ended.stdout).iter().map(|it| it["valid"].clone()).collect();
    assert_eq!(
        (ended.code, json!(valid)),
        (1, json!([true, true, true, true, true, false, false]))
    );
    let strict = shell.run(&format!("status-eip address check --strict {}", right.to_lowercase()));
    assert_eq!(strict.code, 1);
    let indirect = one(&shell, "status-eip address check XE81ETHXREGGAVOFYORK");
    assert_eq!((&indirect["form"], &indirect["institution"]), (&json!("indirect"), &json!("XREG")));
}

#[test]
fn names_are_hashed_and_compared() {
    let shell = Shell::new();
    let foo = one(&shell, "status-eip ens namehash foo.eth");
    let node = "0xde9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f";
    assert_eq!((&foo["node"], &foo["warnings"]), (&json!(node), &json!([])));
    let sharp = one(&shell, "status-eip ens normalize STRAẞE.eth");
    assert_eq!(sharp["normalized"], "strasse.eth");
    assert_eq!(sharp["others"]["newest"]["normalized"], "straße.eth");
    assert_eq!(sharp["others"]["ensip15"]["normalized"], "straße.eth");
    let ensip = one(&shell, "status-eip ens normalize STRAẞE.eth --rules ensip15");
    assert_eq!(ensip["normalized"], "straße.eth");
    let user = one(&shell, "status-eip ens normalize @Alice_1");
    assert_eq!(user["normalized"], "alice_1.stateofus.eth");
    assert_eq!(user["username"]["error"], "ens.username_character");
    let new = error(&shell, 2, "status-eip ens namehash '🫠.eth'");
    assert_eq!(new["code"], "ens.character");
    assert!(new["hint"].as_str().unwrap().contains("--rules newest"));
    let stream =
        shell.run("printf 'a.eth\\n-x-.eth\\n{\"name\":\"b.eth\"}\\n' | status-eip ens namehash");
    assert_eq!((stream.code, records(&stream.stdout).len()), (3, 2));
    assert_eq!(record(&stream.stderr)["line"], 2);
}

#[test]
fn a_lookup_is_calls_and_answers() {
    let shell = Shell::new();
    shell.ok("statuskit keygen --out alice.key && statuskit keygen --out bob.key");
    let call = one(&shell, "status-eip ens call resolver @alice");
    assert_eq!(call["request"]["params"][0]["to"], "0x00000000000C2E074eC69A0dFb2997BA6C7d2e1e");
    assert!(call["data"].as_str().unwrap().starts_with("0x0178b8bfd67f8723"));
    let answer = format!("0x{:0>64}", &TO[2..]);
    let read = one(&shell, &format!("status-eip ens read resolver {answer}"));
    assert_eq!(read["address"].as_str().unwrap().to_lowercase(), TO);
    let name = one(&shell, &format!("status-eip ens call name {TO}"));
    assert_eq!(name["name"], format!("{}.addr.reverse", &TO[2..]));

    let key = shell.ok("status-account show --identity alice.key --output hex").trim().to_owned();
    let answer = format!("echo '{{\"id\":1,\"result\":\"0x{}\"}}'", &key[4..]);
    let verify = |who: &str| {
        let key = format!("$(status-account show --identity {who}.key --output hex)");
        shell.run(&format!("{answer} | status-eip ens verify {key}"))
    };
    let (alice, bob) = (verify("alice"), verify("bob"));
    assert_eq!((alice.code, record(&alice.stdout)["verified"].clone()), (0, json!(true)));
    assert_eq!((bob.code, record(&bob.stdout)["verified"].clone()), (1, json!(false)));
    let unset = shell.run(&format!("status-eip ens read pubkey 0x{}", "00".repeat(64)));
    assert_eq!((unset.code, record(&unset.stdout)["set"].clone()), (1, json!(false)));
    assert_eq!(error(&shell, 2, "status-eip ens read addr 0x")["code"], "ens.answer_empty");
    let failed = "echo '{\"error\":{\"code\":-32000}}' | status-eip ens read addr";
    assert_eq!(error(&shell, 1, failed)["code"], "ens.node_error");
}

#[test]
fn contents_go_both_ways() {
    let shell = Shell::new();
    let hash = "0xe3010170122029f2d17be6139079dc48696d1f582a8530eb9805b561eda517e22a892c7e3f1f";
    let read = one(&shell, &format!("status-eip contenthash decode {hash}"));
    let cid = "QmRAQB6YaCyidP37UdDnjFY5vQuiBrcqdyoW1CuDgwxkD4";
    assert_eq!(
        (&read["uri"], &read["path"]),
        (&json!(format!("ipfs://{cid}")), &json!(format!("/ipfs/{cid}")))
    );
    for text in [
        format!("ipfs://{cid}"),
        format!("/ipfs/{cid}"),
        read["cid_v1"].as_str().unwrap().to_owned(),
    ] {
        let made = one(&shell, &format!("status-eip contenthash encode {text}"));
        assert_eq!(made["contenthash"], hash, "{text}");
    }
    let old = one(&shell, &format!("status-eip contenthash encode --client-2020 {cid}"));
    assert_eq!(old["standard"], false);
    let wrong = format!("status-eip contenthash decode {}", old["contenthash"].as_str().unwrap());
    assert_eq!(error(&shell, 2, &wrong)["code"], "contenthash.cid_version");
}

#[test]
fn links_are_read_exactly() {
    let shell = Shell::new();
    let link = format!("ethereum:{TOKEN}/transfer?address={TO}&uint256=1");
    let read = one(&shell, &format!("status-eip link parse '{link}'"));
    assert_eq!(read["chain_id"], Value::Null);
    assert_eq!((&read["target"], &read["function"]), (&json!(TOKEN), &json!("transfer")));
    assert_eq!(read["arguments"], json!({ "address": TO, "uint256": "1" }));
    let old = one(&shell, &format!("status-eip link parse --client-2020 '{link}'"));
    assert_eq!((&old["chain_id"], &old["arguments"]), (&json!(1), &read["arguments"]));
    let large = one(
        &shell,
        &format!("status-eip link parse 'ethereum:{TO}?value=123456789.123456789123456789ETH'"),
    );
    assert_eq!(large["value"], "123456789123456789123456789");
    let again = one(&shell, &format!("status-eip link parse '{link}' | status-eip link make"));
    assert_eq!(again["link"], link);
    let token = format!("status-eip link make --token {TOKEN} --to {TO} --value 5");
    let client = one(&shell, &format!("{token} --client-2020 --chain-id 3"));
    assert_eq!(client["link"], format!("ethereum:{TOKEN}@3/transfer?uint256=5&address={TO}"));
    assert_eq!(client["transaction"]["data"], one(&shell, &token)["transaction"]["data"]);
    let named = one(&shell, "status-eip link parse 'ethereum:bob.eth?value=1'");
    assert_eq!(named["warnings"][0]["warning"], "no_prefix");
    assert_eq!(
        (&named["client_2020"]["opens"], &named["not_payable"]["error"]),
        (&json!(false), &json!("payment_link.unresolved"))
    );
    let known = one(
        &shell,
        &format!("status-eip link parse 'ethereum:pay-bob.eth?value=1' --resolve bob.eth={TO}"),
    );
    assert_eq!(known["transaction"]["to"].as_str().unwrap().to_lowercase(), TO);
    let wrong = "status-eip link parse 'ethereum:bob.eth?value=1&value=2'";
    assert_eq!(error(&shell, 2, wrong)["code"], "payment_link.twice");
    let other = format!(
        "status-eip link transaction 'ethereum:{TO}@3?value=1' --nonce 0 --gas 21000 --gas-price 1 --chain-id 1"
    );
    assert_eq!(error(&shell, 2, &other)["code"], "payment_link.other_chain");
}

#[test]
fn messages_of_providers_are_translated() {
    let shell = Shell::new();
    let old = one(&shell, "status-eip provider explain '[\"enable\"]'");
    assert_eq!((&old["standard"], &old["edition"]), (&json!("EIP-1102"), &json!("draft")));
    assert_eq!(old["final"], json!({ "method": "eth_requestAccounts" }));
    let event = one(&shell, "status-eip provider event networkChanged '\"3\"'");
    assert_eq!(event["message"], json!({ "event": "chainChanged", "data": "0x3" }));
    let refused = one(
        &shell,
        "status-eip provider error 4001 --id 1 | jq -c .message | status-eip provider explain",
    );
    assert_eq!(
        (&refused["code"], &refused["name"]),
        (&json!(4001), &json!("User Rejected Request"))
    );
    assert_eq!(records(&shell.ok("status-eip provider error")).len(), 5);
    assert_eq!(error(&shell, 2, "status-eip provider event other")["code"], "provider.event");
}

#[test]
fn qr_codes_come_back() {
    let shell = Shell::new();
    let link = format!("ethereum:{TO}@3?value=1000");
    shell.ok(&format!("status-eip link parse '{link}' | status-eip link make --png pay.png"));
    let read = one(&shell, "status-eip provider scan pay.png");
    assert_eq!(read["text"], link);
    assert_eq!(one(&shell, "status-eip provider scan - < pay.png")["text"], link);
    assert_eq!(error(&shell, 3, "echo hi | status-eip provider scan -")["code"], "qr.picture");
    shell.ok("status-account new --seed 1 | status-account identicon --png none.png");
    assert_eq!(error(&shell, 1, "status-eip provider scan none.png")["code"], "qr.none");
}

/// A payment that was asked for in a chat, from the message to the proof.
#[test]
fn a_payment_end_to_end() {
    let shell = Shell::new();
    shell.ok("status-account new --out bob.json --output json > /dev/null");
    shell.ok("status-account new --out alice.json --output json > /dev/null");
    let show = |who: &str, members: &str| {
        shell
            .ok(&format!("status-account show --identity {who}.json | jq -r {members}"))
            .trim()
            .to_owned()
    };
    let alice_key = show("alice", ".public_key");
    let bob_key = show("bob", ".public_key");
    for contract in ["", TOKEN] {
        // Bob asks; his message is signed, and arrives as bytes.
        shell.ok(&format!(
            "status-payload encode request_transaction --set address={TO} --set value=1500000000000000000 \
             --set contract={contract} --identity bob.json --output raw > request.bin"
        ));
        shell.ok("status-payload decode < request.bin > request.json");
        assert_eq!(one(&shell, "jq -c . request.json")["author"], bob_key);

        // Alice makes a link and a QR code of it, reads that, and signs what it asks for.
        shell.ok(
            "status-eip link make --chain-id 3 --png pay.png --force < request.json > link.json",
        );
        let scanned = one(&shell, "status-eip provider scan pay.png | tee scanned.json");
        assert_eq!(scanned["text"], one(&shell, "jq -c . link.json")["link"]);
        shell.ok(
            "status-eip link transaction --nonce 0 --gas-price 20gwei --gas 60000 < scanned.json \
             | status-eip tx sign --identity alice.json --path wallet > signed.json",
        );
        let checked = one(&shell, "status-eip tx decode < signed.json");
        let wallet = checked["from"].as_str().unwrap().to_owned();
        assert_eq!(checked["chain_id"], 3);
        if contract.is_empty() {
            assert_eq!(checked["to"].as_str().unwrap().to_lowercase(), TO);
            assert_eq!(checked["value"], "1500000000000000000");
        } else {
            assert_eq!(checked["to"].as_str().unwrap().to_lowercase(), TOKEN);
            let call = one(&shell, "jq -r .data signed.json | status-eip abi transfer");
            assert_eq!(call["value"], "1500000000000000000");
        }

        // The hash goes back, with a proof by the wallet.
        shell.ok(&format!(
            "status-eip payment announce --sender {alice_key} --request $(jq -r .message_id request.json) \
             --identity alice.json --path wallet < signed.json \
             | status-payload encode --identity alice.json --output raw > sent.bin"
        ));
        // Bob verifies it: the author is Alice, the signer is the wallet that pays.
        let proof = one(
            &shell,
            &format!(
                "status-payload decode < sent.bin | status-eip payment verify --from {wallet}"
            ),
        );
        assert_eq!((&proof["valid"], &proof["sender"]), (&json!(true), &json!(alice_key)));
        assert_eq!(proof["transaction_hash"], one(&shell, "jq -c . signed.json")["hash"]);
        let id = one(&shell, "status-payload decode < sent.bin")["id"].clone();
        assert_eq!(id, one(&shell, "jq -c . request.json")["message_id"]);
        // Nobody else can use the proof, and no other wallet made it.
        let stolen = format!(
            "status-payload decode < sent.bin | status-eip payment verify --sender {bob_key} --from {wallet}"
        );
        assert_eq!(shell.run(&stolen).code, 1);
        let other =
            format!("status-payload decode < sent.bin | status-eip payment verify --from {TO}");
        assert_eq!(shell.run(&other).code, 1);
        // Back from the link to a request.
        let again = one(&shell, "status-eip link request < link.json");
        assert_eq!((&again["address"], &again["contract"]), (&json!(TO), &json!(contract)));
    }
}
