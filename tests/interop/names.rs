//! Names and account numbers against another implementation, ethers, on random inputs.
//!
//! Its names follow ENSIP-15 with the data of 2023, so the letters here are older.

use rand::{RngExt as _, rngs::ChaCha20Rng};
use serde_json::json;
use statuskit_eip::{
    Address,
    eip137::{Name, Rules},
    icap::Icap,
};

use crate::account::{Ethers, hex0x, rng};

const LETTERS: [&str; 36] = [
    "a",
    "b",
    "z",
    "A",
    "Q",
    "0",
    "7",
    "-",
    "_",
    "$",
    "'",
    " ",
    "é",
    "E\u{301}",
    "ß",
    "ẞ",
    "ﬁ",
    "Ω",
    "я",
    "а",
    "р",
    "ж",
    "א",
    "ب",
    "٣",
    "漢",
    "か",
    "カ",
    "-",
    "\u{200d}",
    "\u{fe0f}",
    "🚀",
    "👨‍👩‍👧",
    "1️⃣",
    "🇩🇪",
    "\u{303}",
];

fn random_name(rng: &mut ChaCha20Rng) -> String {
    // Mostly of few letters, so that some names are of one script.
    let few: Vec<&str> =
        (0..rng.random_range(1..4)).map(|_| LETTERS[rng.random_range(0..LETTERS.len())]).collect();
    let label = |rng: &mut ChaCha20Rng| -> String {
        (0..rng.random_range(1..6)).map(|_| few[rng.random_range(0..few.len())]).collect()
    };
    let labels: Vec<String> = (0..rng.random_range(1..4)).map(|_| label(rng)).collect();
    labels.join(".")
}

#[test]
fn names_of_both() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("names"));
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..2000 {
        let text = random_name(&mut rng);
        let theirs = ethers.ask(&json!({ "cmd": "namehash", "name": text }));
        match (theirs, Name::parse_by(&text, Rules::Ensip15)) {
            (Ok(theirs), Ok(ours)) => {
                assert_eq!(theirs["name"], ours.as_str(), "{text:?}");
                assert_eq!(theirs["node"], hex0x(&ours.node()), "{text:?}");
                taken += 1;
            }
            (Err(_), Err(_)) => refused += 1,
            (theirs, ours) => panic!("{text:?}: {theirs:?}, {ours:?}"),
        }
    }
    assert!(taken > 200 && refused > 200, "{taken} taken, {refused} refused");
}

#[test]
fn account_numbers_of_both() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("account numbers"));
    for _ in 0..200 {
        let mut bytes: [u8; 20] = rng.random();
        bytes[..rng.random_range(0..4)].fill(0);
        let address = Address(bytes);
        let theirs = ethers.call(&json!({ "cmd": "icap", "address": address.to_string() }));
        assert_eq!(theirs.as_str().unwrap().parse(), Ok(Icap::Address(address)));
        let ours = Icap::Address(address).to_string();
        assert_eq!(
            ethers.call(&json!({ "cmd": "checksum", "address": ours })),
            address.to_string()
        );
    }
}
