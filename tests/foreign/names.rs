//! Names: UTS 46, nodes, user names, records.

use serde_json::Value as Json;
use statuskit_eip::{
    Address,
    eip137::{
        Ensip15Error, Name, NameError, Rules,
        resolver::{Answer, Question},
        username::check_username,
    },
    eip181::reverse_name,
    icap::Icap,
};

use crate::{bytes, each, ensure, none, same, text};

/// Replaces the escapes of the file, which stand for units of UTF-16.
fn unescaped(text: &str) -> String {
    let mut units = Vec::new();
    let mut parts = text.split("\\u");
    units.extend(parts.next().unwrap_or_default().encode_utf16());
    for part in parts {
        let (digits, rest) = part.split_at(4);
        units.push(u16::from_str_radix(digits, 16).unwrap());
        units.extend(rest.encode_utf16());
    }
    String::from_utf16_lossy(&units)
}

#[test]
fn the_test_file_of_unicode() {
    each("uts46/idna_test_v2_12.1.json", none, |case| {
        let source = unescaped(text(case, "source"));
        let expected = unescaped(text(case, "to_unicode"));
        let status = text(case, "to_unicode_status").trim_matches(['[', ']']);
        // Lengths are of DNS: A4_1 and A4_2 don't count.
        let failures: Vec<&str> =
            status.split(", ").filter(|it| !it.is_empty() && !it.starts_with("A4_")).collect();
        let strict = Name::parse_by(&source, Rules::Strict);
        match &strict {
            Ok(name) if failures.is_empty() => same(name.as_str(), &*expected)?,
            Ok(_) => return Err(format!("taken in spite of {status}")),
            Err(error) => ensure(!failures.is_empty(), format!("refused: {error}"))?,
        }
        // The reference checks neither directions nor empty labels.
        if failures.iter().all(|it| it.starts_with('B') || *it == "X4_2") {
            let name = source.parse::<Name>().map_err(|error| error.to_string())?;
            same(name.as_str(), &*expected)?;
        }
        Ok(())
    });
}

/// The table of ethers is of 2023. The revision of ENSIP-15 for Unicode 17 took these characters out:
/// Ethiopic tone marks, arrows, and others.
fn is_taken_out(c: char) -> bool {
    matches!(
        c,
        '\u{1390}'..='\u{1399}'
            | '\u{2798}'..='\u{27bd}'
            | '\u{2b00}'..='\u{2bb8}'
            | '\u{2cfa}'..='\u{2cfb}'
    )
}

fn taken_out(case: &Json) -> Option<&'static str> {
    let refused = Name::parse_by(text(case, "name"), Rules::Ensip15);
    match refused {
        Err(NameError::Ensip15(Ensip15Error::Character(c)))
            if is_taken_out(c) && !case["namehash"].is_null() =>
        {
            Some("refused since the revision of ENSIP-15 for Unicode 17")
        }
        _ => None,
    }
}

#[test]
fn nodes_of_ethers() {
    each("eip137/ethers_namehash.json", taken_out, |case| {
        let name = Name::parse_by(text(case, "name"), Rules::Ensip15);
        match (name, case["namehash"].as_str()) {
            (Ok(name), Some(expected)) => same(hex::encode(name.node()), expected.to_owned()),
            (Err(_), None) => Ok(()),
            (Ok(name), None) => Err(format!("taken as {name}")),
            (Err(error), Some(_)) => Err(error.to_string()),
        }
    });
}

#[test]
fn published_names() {
    each("eip137/published.json", none, |case| {
        if let (Some(address), Some(expected)) =
            (case["address"].as_str(), case["reverse_name"].as_str())
        {
            let address: Address = address.parse().unwrap();
            return same(reverse_name(&address), expected.to_owned());
        }
        let name = text(case, "name").parse::<Name>();
        if case["error"].as_str().is_some() || case["error"] == true {
            return ensure(name.is_err(), "taken");
        }
        let name = name.map_err(|error| error.to_string())?;
        if let Some(expected) = case["normalized"].as_str() {
            same(name.as_str(), expected)?;
        }
        if let Some(expected) = case["namehash"].as_str() {
            let expected = expected.strip_prefix("0x").unwrap_or(expected);
            same(hex::encode(name.node()), expected.to_owned())?;
        }
        Ok(())
    });
}

#[test]
fn names_of_the_app() {
    each("status_react/ens.json", none, |case| {
        if let Some(username) = case["username"].as_str() {
            return same(check_username(username).is_ok(), case["valid"].as_bool().unwrap());
        }
        if case["resolver_answer"].is_string() {
            let answer = Question::Contenthash.read(&bytes(case, "resolver_answer"));
            return match (answer, case["contenthash"].as_str()) {
                (Ok(Answer::Content(content)), Some(expected)) => {
                    let expected = expected.strip_prefix("0x").unwrap_or(expected);
                    same(hex::encode(content.to_bytes()), expected.to_owned())
                }
                (Ok(Answer::Unset) | Err(_), None | Some("" | "0x")) => Ok(()),
                (answer, expected) => Err(format!("got {answer:?}, expected {expected:?}")),
            };
        }
        let name: Name =
            text(case, "name").parse().map_err(|error: NameError| error.to_string())?;
        let expected = text(case, "namehash");
        same(hex::encode(name.node()), expected.trim_start_matches("0x").to_owned())
    });
}

#[test]
fn account_numbers_of_ethers() {
    each("eip55/ethers_accounts.json", none, |case| {
        let address: Address = text(case, "address").parse().unwrap();
        let icap: Icap = text(case, "icap").parse().map_err(|error| format!("{error:?}"))?;
        same(&icap, &Icap::Address(address))?;
        // Direct and basic numbers differ by leading zeros, which ethers does not write.
        let written = icap.to_string();
        ensure(written == text(case, "icap"), format!("written {written}"))
    });
}
