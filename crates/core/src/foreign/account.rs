//! Accounts: phrases, key trees, key files, addresses, names, multibase.

use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;

use super::{Outcome, bytes, each, ensure, number, same, text};
use crate::{
    account::{
        Address, Base, DerivationPath, Deriver, ExtendedPrivateKey, ExtendedPublicKey, Identicon,
        KeyFile, Language, Limits, Mnemonic, Seed, ThreeWordName,
    },
    crypto::{PublicKey, SecretKey},
    eip::eip191::{PersonalSignature, personal_digest},
};

fn shown<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

#[test]
fn phrases() {
    for file in ["bip32jp", "bitcoinjs", "ethers", "trezor"] {
        each(&format!("bip39/{file}.json"), &[], |case| {
            let (phrase, passphrase) = (text(case, "phrase"), text(case, "passphrase"));
            let seed = match text(case, "language").parse::<Language>() {
                Ok(language) => {
                    let mnemonic = shown(Mnemonic::parse_in(phrase, language))?;
                    same(mnemonic.entropy().to_vec(), bytes(case, "entropy"))?;
                    let made = shown(Mnemonic::from_entropy(&bytes(case, "entropy"), language))?;
                    // Japanese phrases may be written with either blank.
                    let nfkd = |text: &str| text.nfkd().collect::<String>();
                    same(nfkd(&made.phrase()), nfkd(phrase))?;
                    mnemonic.to_seed(passphrase)
                }
                // Russian and Turkish have no list in BIP-39. The seed needs none.
                Err(_) => Seed::from_unchecked_phrase(phrase, passphrase),
            };
            same(seed.as_bytes().to_vec(), bytes(case, "seed"))?;
            let root = shown(ExtendedPrivateKey::from_seed(&seed))?;
            if case.get("xprv").is_some() {
                same(&**root.to_xprv(), text(case, "xprv"))?;
            }
            let mut deriver = Deriver::new(root.clone());
            for node in case["nodes"].as_array().into_iter().flatten() {
                let path = shown(text(node, "path").parse())?;
                let child = shown(root.derive(&path))?;
                same(&**shown(deriver.derive(&path))?.to_xprv(), &**child.to_xprv())?;
                same(&**child.to_xprv(), text(node, "xpriv"))?;
                same(&*child.to_public().to_string(), text(node, "xpub"))?;
                same(child.secret_key().to_bytes().to_vec(), bytes(node, "privateKey"))?;
                same(child.public_key().to_compressed().to_vec(), bytes(node, "publicKey"))?;
                same(u64::from(child.depth()), number(node, "depth"))?;
            }
            Ok(())
        });
    }
    each("bip39/wordlists.json", &[], |case| {
        let language: Language = shown(text(case, "language").parse())?;
        let theirs = case["words"].as_array().unwrap().iter();
        let theirs: Vec<String> = theirs.map(|it| it.as_str().unwrap().nfkd().collect()).collect();
        let ours = language.words().iter().map(|word| word.nfkd().collect::<String>());
        same(ours.collect::<Vec<_>>(), theirs)
    });
}

#[test]
fn key_trees() {
    for file in ["bip32", "bitcoinjs"] {
        each(&format!("bip32/{file}.json"), &[], |case| {
            if let Some(invalid) = case["invalid"].as_str() {
                ensure(invalid.parse::<ExtendedPrivateKey>().is_err(), "an xprv")?;
                return ensure(invalid.parse::<ExtendedPublicKey>().is_err(), "an xpub");
            }
            if case.get("invalid_seed").is_some() {
                return ensure(Seed::from_bytes(&bytes(case, "invalid_seed")).is_err(), "a seed");
            }
            if let Some(path) = case.get("invalid_path") {
                // Other kinds of JSON can't be given to a function that takes a text.
                let Some(path) = path.as_str() else { return Ok(()) };
                return ensure(path.parse::<DerivationPath>().is_err(), "a path");
            }
            let path: DerivationPath = shown(text(case, "path").parse())?;
            let xprv: ExtendedPrivateKey = shown(text(case, "xprv").parse())?;
            let xpub: ExtendedPublicKey = shown(text(case, "xpub").parse())?;
            same(&**xprv.to_xprv(), text(case, "xprv"))?;
            same(&*xpub.to_string(), text(case, "xpub"))?;
            same(&*xprv.to_public().to_string(), text(case, "xpub"))?;
            if case["privKey"].is_string() {
                same(xprv.secret_key().to_bytes().to_vec(), bytes(case, "privKey"))?;
                same(xpub.public_key().to_compressed().to_vec(), bytes(case, "pubKey"))?;
            }
            if case["seed"].is_string() {
                let seed = shown(Seed::from_bytes(&bytes(case, "seed")))?;
                let derived = shown(shown(ExtendedPrivateKey::from_seed(&seed))?.derive(&path))?;
                same(&**derived.to_xprv(), text(case, "xprv"))?;
            }
            Ok(())
        });
    }
}

#[test]
fn key_files() {
    each("keystore/keystores.json", &[], |case| {
        let file = KeyFile::parse(text(case, "file").as_bytes());
        if text(case, "expect") == "no key file" {
            return ensure(file.is_err(), "a key file");
        }
        let opened = shown(file)?.open(text(case, "password").as_bytes(), &Limits::default());
        if text(case, "expect") == "wrong password" {
            return same(opened.err().map(|error| error.code()), Some("keystore.mac"));
        }
        let opened = shown(opened)?;
        if case["priv"].is_string() {
            same(opened.secret.to_bytes().to_vec(), bytes(case, "priv"))?;
        }
        if let Some(address) = case["address"].as_str() {
            same(opened.address(), shown(address.parse())?)?;
        }
        Ok(())
    });
}

#[test]
fn addresses() {
    each("eip55/ethers_accounts.json", &[], |case| {
        let address = text(case, "address");
        same(&*shown(address.parse::<Address>())?.to_string(), address)?;
        if case["key"].is_string() {
            let key = shown(SecretKey::from_bytes(&bytes(case, "key").try_into().unwrap()))?;
            same(&*Address::from_key(&key.public_key()).to_string(), address)?;
        }
        Ok(())
    });
    each("eip55/texts.json", &[], |case| {
        let parsed = text(case, "text").parse::<Address>();
        let accepted = match case["web3_function"].as_str() {
            // Exactly the right capitals.
            Some("isChecksum" | "checkAddressChecksum") => {
                let digits = |text: &str| text.trim_start_matches("0x").to_owned();
                parsed.is_ok_and(|it| digits(&it.to_string()) == digits(text(case, "text")))
            }
            _ => parsed.is_ok(),
        };
        same(accepted, case["valid"] == true)
    });
    each("status_react/eip55.json", &[], |case| {
        same(text(case, "address").parse::<Address>().is_ok(), case["valid"] == true)
    });
}

#[test]
fn personal_messages() {
    each("eip191/personal.json", &[], |case| {
        let key = shown(SecretKey::from_bytes(&bytes(case, "key").try_into().unwrap()))?;
        let message = bytes(case, "message");
        if case["hash"].is_string() {
            same(personal_digest(&message).to_vec(), bytes(case, "hash"))?;
        }
        let signature = PersonalSignature::sign(&key, &message);
        same(signature.as_bytes().to_vec(), bytes(case, "signature"))?;
        same(signature.recover(&message).ok(), Some(key.public_key()))?;
        match case["address"].as_str() {
            Some(address) => same(
                &*Address::from_key(&key.public_key()).to_plain_hex(),
                address.trim_start_matches("0x"),
            ),
            None => Ok(()),
        }
    });
}

#[test]
fn multibase() {
    const MISSING: [&str; 4] = ["identity", "base256emoji", "base45", "proquint"];
    each("multibase/multibase.json", &[], |case| {
        if MISSING.contains(&text(case, "base")) {
            return Ok(());
        }
        let payload = bytes(case, "payload");
        let (base, read) = shown(Base::decode(text(case, "text")))?;
        same(&read, &payload)?;
        if case["canonical"] == true {
            same(&*base.encode(&payload), text(case, "text"))?;
        }
        Ok(())
    });
    each("multibase/base58.json", &[], |case| {
        let read = Base::decode(&format!("z{}", text(case, "text")));
        let Some(expected) = case["hex"].as_str() else { return ensure(read.is_err(), "read") };
        let expected = hex::decode(expected).unwrap();
        let (base, read) = shown(read)?;
        same(&read, &expected)?;
        same(&base.encode(&expected)[1..], text(case, "text"))
    });
}

#[test]
fn values_of_status_go() {
    each("status_go/tests.json", &[], value_of_status_go);
}

fn value_of_status_go(case: &Value) -> Outcome {
    match text(case, "kind") {
        "path" => {
            let parsed = DerivationPath::parse_like_reference(text(case, "path"));
            same(parsed.is_ok(), case["ok"] == true)?;
            let Ok(path) = parsed else { return Ok(()) };
            let steps: Vec<u64> = path.steps().iter().map(|it| u64::from(it.to_bits())).collect();
            let theirs = case["steps"].as_array().unwrap().iter();
            same(steps, theirs.map(|step| step.as_u64().unwrap()).collect())
        }
        "alias_seed" => {
            same(&*ThreeWordName::from_seed(number(case, "seed")).to_string(), text(case, "name"))
        }
        "alias_key" => {
            let key: PublicKey = shown(text(case, "key").parse())?;
            same(&*ThreeWordName::from_key(&key).to_string(), text(case, "name"))
        }
        "identicon" => {
            let icon = Identicon::from_text(text(case, "text"));
            let cells: Vec<u64> =
                icon.cells().as_flattened().iter().map(|it| u64::from(*it)).collect();
            let theirs = case["bitmap"].as_array().unwrap().iter();
            same(cells, theirs.map(|cell| cell.as_u64().unwrap()).collect())
        }
        kind => Err(format!("unknown kind {kind}")),
    }
}

#[test]
fn phrases_of_the_app() {
    each("status_react/mnemonic.json", &[], |case| {
        let code = Mnemonic::parse(text(case, "phrase")).err().map(|error| error.code());
        match case["length_ok"].as_bool() {
            Some(expected) => same(code != Some("mnemonic.word_count"), expected),
            None => same(code != Some("mnemonic.word"), case["words_in_list"] == true),
        }
    });
}
