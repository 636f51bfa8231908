//! Vectors of accounts: `accounts`, `keystore`, `alias`, `identicon`, `key_compression`.

use std::io::Cursor;

use data_encoding::BASE64;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use statuskit_core::{
    account::{
        Address, Base, Card, DerivationPath, Deriver, ExtendedPrivateKey, ExtendedPublicKey,
        Identicon, Imported, Kdf, KeyFile, KeystoreError, Language, Limits, Mnemonic, Multiaccount,
        Nonces, ScryptCost, Seed, ThreeWordName, Uuid, Version, mobile_password, parse_chat_key,
        parse_compact, to_compact, to_multicodec,
    },
    crypto::{PublicKey, SecretKey},
};

use crate::case::{Case, Set, is_foreign};

pub fn accounts(set: &mut Set) {
    set.each("cases", |case| {
        let phrase = Mnemonic::parse(case.str("mnemonic")).unwrap();
        assert_eq!(phrase.word_count() as u64, case.u64("words"));
        assert_eq!(hex::encode(&*phrase.entropy()), case.str("entropy"), "{}", case.path());
        let from_entropy = Mnemonic::from_entropy(&phrase.entropy(), Language::ENGLISH);
        assert_eq!(*from_entropy.unwrap().phrase(), case.str("mnemonic"));
        let seed = phrase.to_seed(case.str("bip39_passphrase"));
        assert_eq!(hex::encode(seed.as_bytes()), case.str("seed"), "{}", case.path());

        let mut account = Multiaccount::from_seed(&seed).unwrap();
        let master = account.master().clone();
        assert_eq!(*master.to_xprv(), case.str("master_xprv"), "{}", case.path());
        assert_eq!(master.public_key().to_string(), case.str("master_public_key"));
        assert_eq!(account.address().to_string(), case.str("master_address"));
        assert_eq!(account.key_uid().to_string(), case.str("key_uid"));
        assert_eq!(account.card().unwrap().name.to_string(), case.str("chat_alias"));

        let derived = case.get("derived").as_object().unwrap();
        for (path, value) in derived {
            let inner = Case::new(format!("{}.derived[{path}]", case.path()), value);
            assert_derived(&inner, path, &mut account);
            inner.finish();
        }
    });
    set.each("validation", |case| {
        let text = case.str("mnemonic");
        case.skip("error"); // The reference's words; success or failure is compared.
        // We check the words of every language, the reference only those of English.
        let valid = case.bool("valid");
        let any = Mnemonic::parse(text).is_ok();
        assert!(any == valid || (any && is_foreign()), "{}", case.path());
        let english = Mnemonic::parse_in(text, Language::ENGLISH);
        assert_eq!(english.is_ok(), valid, "{}", case.path());
    });
    set.each("import_without_validation", |case| {
        let seed = Seed::from_unchecked_phrase(case.str("phrase"), "");
        assert_eq!(hex::encode(seed.as_bytes()), case.str("seed"), "{}", case.path());
        let mut account = Multiaccount::from_seed(&seed).unwrap();
        assert_eq!(account.key_uid().to_string(), case.str("key_uid"));
        let chat = account.chat_key().unwrap().public_key();
        assert_eq!(chat.to_string(), case.str("chat_public_key"));
    });
    set.one("path_parsing", |file| {
        let phrase = Mnemonic::parse(file.str("mnemonic")).unwrap();
        let mut deriver = Deriver::new(ExtendedPrivateKey::from_seed(&phrase.to_seed("")).unwrap());
        for (index, value) in file.list("cases").iter().enumerate() {
            let case = Case::new(format!("{}.cases[{index}]", file.path()), value);
            assert_path(&case, &mut deriver);
            case.finish();
        }
    });
    set.each("private_key_imports", |case| {
        let text = case.str("private_key");
        let key: SecretKey = text.parse().unwrap();
        let plain = text.strip_prefix("0x").unwrap_or(text);
        assert_eq!(format!("0x{plain}").parse(), Ok(key.clone()));
        assert!(matches!(Imported::parse(text.as_bytes()), Ok(Imported::Key(it)) if it == key));
        let card = Card::from_key(&key.public_key());
        assert_eq!(card.public_key.to_string(), case.str("public_key"));
        assert_eq!(card.address.to_string(), case.str("address"));
        assert_eq!(card.key_uid.to_string(), case.str("key_uid"), "{}", case.path());
    });
    set.each("leading_zero_child_keys", |case| {
        let seed = Seed::from_bytes(&case.plain_hex("seed")).unwrap();
        let master = ExtendedPrivateKey::from_seed(&seed).unwrap();
        let derive = |member| master.derive(&case.str(member).parse().unwrap()).unwrap();
        let (zero, child) = (derive("path_zero"), derive("path_child"));
        assert_eq!(secret_hex(zero.secret_key()), case.str("private_key_zero"));
        assert_eq!(secret_hex(child.secret_key()), case.str("private_key_child"));
        assert_eq!(*child.to_xprv(), case.str("xprv_child"), "{}", case.path());
    });
}

fn assert_derived(case: &Case<'_>, path: &str, account: &mut Multiaccount) {
    let path: DerivationPath = path.parse().unwrap();
    let key = account.derive(&path).unwrap();
    assert_eq!(account.master().derive(&path).as_ref(), Ok(&key));
    assert_eq!(secret_hex(key.secret_key()), case.str("private_key"), "{}", case.path());
    assert_eq!(key.public_key().to_string(), case.str("public_key"));
    assert_eq!(address(&key), case.str("address"));
    if case.opt("xprv").is_some() {
        let (xprv, xpub) = (case.str("xprv"), case.str("xpub"));
        assert_eq!(*key.to_xprv(), xprv, "{}", case.path());
        assert_eq!(key.to_public().to_string(), xpub);
        assert_eq!(xprv.parse(), Ok(key.clone()));
        assert_eq!(xpub.parse::<ExtendedPublicKey>(), Ok(key.to_public()));
    }
    let like_reference = account.derive(&path.as_reference()).unwrap();
    match case.opt("reference_decoder_address") {
        Some(expected) => {
            assert_eq!(*expected, address(&like_reference), "{}", case.path());
            if path == DerivationPath::EIP1581_ROOT {
                let stored = account.reference_eip1581_address().unwrap();
                assert_eq!(*expected, stored.to_string());
            }
        }
        None => assert_eq!(like_reference, key),
    }
}

fn assert_path(case: &Case<'_>, deriver: &mut Deriver) {
    let text = case.str("path");
    let failed = case.opt("error").is_some();
    let parsed = DerivationPath::parse_like_reference(text);
    assert_eq!(parsed.is_err(), failed, "{}: {parsed:?}", case.path());
    let own = text.parse::<DerivationPath>();
    let Ok(path) = parsed else {
        // We accept `h` and `H` for `'`, and refuse the rest like the reference.
        let marked = text.replace(['h', 'H'], "'");
        let meant = marked.parse::<DerivationPath>().ok().filter(|_| marked != text);
        assert_eq!(own.ok(), meant, "{}", case.path());
        return;
    };
    let key = deriver.derive(&path).unwrap();
    assert_eq!(address(&key), case.str("address"), "{}", case.path());
    assert_eq!(key.public_key().to_string(), case.str("public_key"));
    match own {
        Ok(own) => assert_eq!(own.as_reference(), path, "{}", case.path()),
        // The reference drops components that may be out of our range.
        Err(_) => assert!(text.is_empty() || text.ends_with('\''), "{}", case.path()),
    }
}

pub fn keystore(set: &mut Set) {
    let limits = Limits::default();
    set.each("cases", |case| {
        let (text, password) = (case.str("keyfile"), case.str("password"));
        let file = KeyFile::parse(text.as_bytes()).unwrap();
        assert_eq!(file.to_json(), text, "{}", case.path());
        assert_eq!(file.version(), Version::V3);
        if case.opt("subaccountindex").is_some() {
            assert_eq!(file.subaccount_index, case.u64("subaccountindex"));
        }
        let opened = file.open(password.as_bytes(), &limits).unwrap();
        assert_eq!(secret_hex(&opened.secret), case.str("private_key"), "{}", case.path());
        assert_eq!(opened.address().to_string(), case.str("address"));
        assert_eq!(file.address, Some(opened.address()));
        let extended = opened.extended.as_ref().map(ExtendedPrivateKey::to_xprv);
        let expected = case.opt("extended_key").map(|value| value.as_str().unwrap());
        assert_eq!(extended.as_ref().map(|text| text.as_str()), expected, "{}", case.path());
        if case.opt("wrong_password_error").is_some() {
            let error = file.open(b"wrong", &limits).unwrap_err();
            assert_eq!(error.code(), "keystore.mac");
        }
        if case.opt("plain_password").is_some() {
            assert_eq!(*mobile_password(case.str("plain_password")), password);
        }
        let kind = case.str("kind");
        if case.opt("mnemonic").is_some() {
            assert_kind(case, kind, &opened);
        }
        let legacy = kind == "legacy_index0_with_ext_index1";
        let derivation = opened.derivation_key().err().map(|error| error.code());
        match (legacy, expected) {
            (true, _) => assert_eq!(derivation, Some("keystore.extended_mismatch")),
            (false, Some(_)) => assert_eq!(derivation, None, "{}", case.path()),
            (false, None) => assert_eq!(derivation, Some("keystore.no_extended")),
        }
        // With the same random values, we write the same file.
        let json: Value = serde_json::from_str(text).unwrap();
        let Kdf::Scrypt { cost, .. } = file.kdf() else { panic!("{}", case.path()) };
        assert_eq!(*cost == ScryptCost::STATUS, kind != "other_scrypt", "{}", case.path());
        let nonces = nonces(&json);
        let written = match opened.derivation_key() {
            Ok(key) => KeyFile::encrypt_extended(key, password.as_bytes(), *cost, &nonces),
            Err(_) => KeyFile::encrypt(&opened.secret, password.as_bytes(), *cost, &nonces),
        };
        let written = written.unwrap().to_json();
        if legacy {
            // The second block of these violates the current rule.
            let block = |json: &str| serde_json::from_str::<Value>(json).unwrap()["crypto"].clone();
            assert_eq!(block(&written), block(text));
        } else {
            assert_eq!(written, text, "{}", case.path());
        }
    });
    set.each("published", |case| {
        let file = KeyFile::parse(case.str("keyfile").as_bytes()).unwrap();
        let opened = file.open(case.str("password").as_bytes(), &limits).unwrap();
        assert_eq!(secret_hex(&opened.secret), case.str("private_key"), "{}", case.path());
        assert_eq!(opened.address().to_string(), case.str("address"));
        let address = opened.address();
        assert!(file.address.is_none_or(|it| it == address), "{}", case.path());
        assert!(opened.extended.is_none(), "{}", case.path());
    });
    set.each("invalid", |case| {
        case.skip("error"); // The reference's wording.
        let (text, password) = (case.str("keyfile"), case.str("password"));
        let result = KeyFile::parse(text.as_bytes())
            .and_then(|file| file.open(password.as_bytes(), &limits));
        let code = result.as_ref().err().map(KeystoreError::code);
        let note = case.opt("note").and_then(Value::as_str);
        let expected = match note {
            Some("version") => "keystore.version",
            Some("cipher") => "keystore.cipher",
            Some("kdf") => "keystore.kdf",
            Some("mac length") => "keystore.length",
            // A foreign case: only the failure is checked.
            _ => code.unwrap_or("a failure"),
        };
        assert_eq!(code, Some(expected), "{}", case.path());
    });
    set.each("mobile_password_hash", |case| {
        let plain = String::from_utf8(case.plain_hex("utf8")).unwrap();
        assert_eq!(plain, case.str("plain"));
        assert_eq!(*mobile_password(&plain), case.str("hashed"), "{}", case.path());
    });
}

/// Asserts that the phrase of a case leads to the file's content.
fn assert_kind(case: &Case<'_>, kind: &str, opened: &statuskit_core::account::OpenedKey) {
    let phrase = Mnemonic::parse(case.str("mnemonic")).unwrap();
    let master = ExtendedPrivateKey::from_seed(&phrase.to_seed("")).unwrap();
    let extended = opened.extended.as_ref();
    if let Some(path) = kind.strip_prefix("derived:") {
        let key = master.derive(&path.parse().unwrap()).unwrap();
        assert_eq!(extended, Some(&key), "{}", case.path());
        assert_eq!(*key.secret_key(), opened.secret);
    } else if kind == "master" {
        assert_eq!(extended, Some(&master), "{}", case.path());
    } else if kind == "legacy_index0_with_ext_index1" {
        let child = |text: &str| master.derive(&text.parse().unwrap()).unwrap();
        // The mobile app of that time: the first wallet account, and the next.
        let first = child("m/44'/60'/0'/0/0");
        assert_eq!(*first.secret_key(), opened.secret, "{}", case.path());
        assert_eq!(extended, Some(&child("m/44'/60'/0'/0/1")), "{}", case.path());
    } else {
        panic!("{}: a phrase, and yet {kind}", case.path());
    }
}

/// Returns the random values of a key file.
fn nonces(json: &Value) -> Nonces {
    fn bytes<const N: usize>(value: &Value) -> [u8; N] {
        let mut bytes = [0; N];
        // Absent values are empty strings.
        let text = value.as_str().unwrap_or_default();
        if !text.is_empty() {
            hex::decode_to_slice(text, &mut bytes).unwrap();
        }
        bytes
    }
    let (key, extended) = (&json["crypto"], &json["extendedkey"]);
    let id = json["id"].as_str().unwrap().replace('-', "");
    Nonces {
        salt: bytes(&key["kdfparams"]["salt"]),
        iv: bytes(&key["cipherparams"]["iv"]),
        extended_salt: bytes(&extended["kdfparams"]["salt"]),
        extended_iv: bytes(&extended["cipherparams"]["iv"]),
        id: Uuid::from_bytes(bytes(&Value::from(id))),
    }
}

pub fn alias(set: &mut Set) {
    set.each("cases", |case| {
        let key: PublicKey = case.str("public_key").parse().unwrap();
        assert_eq!(
            format!("{:016x}", ThreeWordName::seed(&key)),
            case.str("seed"),
            "{}",
            case.path()
        );
        assert_eq!(ThreeWordName::from_key(&key).to_string(), case.str("alias"), "{}", case.path());
    });
    set.each("known", |case| {
        let key = parse_chat_key(case.str("public_key")).unwrap();
        assert_eq!(ThreeWordName::from_key(&key).to_string(), case.str("alias"));
    });
    set.one("known_seed", |case| {
        let seed = u64::from_str_radix(case.str("seed"), 16).unwrap();
        assert_eq!(ThreeWordName::from_seed(seed).to_string(), case.str("alias"));
    });
}

pub fn identicon(set: &mut Set) {
    set.each("cases", |case| {
        let text = case.str("input");
        let identicon = Identicon::from_text(text);
        if let Ok(key) = text.parse::<PublicKey>() {
            assert_eq!(Identicon::from_key(&key), identicon);
        }
        assert_eq!(hex::encode(identicon.hash()), case.str("md5"), "{}", case.path());
        assert_eq!(hex::encode(identicon.color()), case.str("color_rgb"), "{}", case.path());
        let rows = identicon.cells().map(|row| row.map(|cell| if cell { '1' } else { '0' }));
        let rows: Vec<String> = rows.iter().map(|row| row.iter().collect()).collect();
        assert_eq!(Value::from(rows), *case.get("bitmap"), "{}", case.path());
        assert_eq!(case.u64("width"), Identicon::SIZE as u64);
        assert_eq!(case.u64("height"), Identicon::SIZE as u64);
        let rgba = identicon.rgba();
        assert_eq!(hex::encode(Sha256::digest(&rgba)), case.str("rgba_sha256"), "{}", case.path());
        assert!(pixels(case.str("data_uri")) == rgba, "{}", case.path());
        assert!(pixels(&identicon.to_data_uri()) == rgba, "{}", case.path());
    });
}

/// Decodes the pixels of a PNG in a data URI.
fn pixels(uri: &str) -> Vec<u8> {
    let text = uri.strip_prefix("data:image/png;base64,").expect("a data URI of a PNG");
    let file = BASE64.decode(text.as_bytes()).unwrap();
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgba, png::BitDepth::Eight));
    pixels
}

pub fn key_compression(set: &mut Set) {
    set.each("cases", |case| {
        let key = parse_chat_key(case.str("public_key")).unwrap();
        assert_eq!(key.to_string(), case.str("public_key"));
        assert_eq!(hex::encode(key.to_compressed()), case.str("compressed"), "{}", case.path());
        for (member, write) in [
            ("serialized", to_compact as fn(&PublicKey, Base) -> String),
            ("deserialized", to_multicodec),
        ] {
            for (letter, text) in case.get(member).as_object().unwrap() {
                let (base, text) = (letter.parse().unwrap(), text.as_str().unwrap());
                assert_eq!(write(&key, base), text, "{} {member} {letter}", case.path());
                assert_eq!(parse_compact(text), Ok((key, base)), "{}", case.path());
                assert_eq!(parse_chat_key(text), Ok(key), "{}", case.path());
            }
        }
    });
    set.each("documented", |case| {
        let (key, _) = parse_compact(case.str("input")).unwrap();
        let compact = case.str("serialized_z");
        assert_eq!(to_compact(&key, Base::BASE58), compact);
        assert_eq!(parse_chat_key(compact), Ok(key), "{}", case.path());
    });
    set.each("invalid", |case| {
        let text = case.str("input");
        case.skip("error"); // The reference's wording.
        // We read the same texts in both directions; the reference refuses these in one.
        assert!(["serialize", "deserialize"].contains(&case.str("op")), "{}", case.path());
        assert_eq!(case.str("output"), "");
        assert!(parse_compact(text).is_err(), "{}", case.path());
    });
}

fn address(key: &ExtendedPrivateKey) -> String {
    Address::from_key(&key.public_key()).to_string()
}

fn secret_hex(key: &SecretKey) -> String {
    hex::encode(*key.to_bytes())
}

/// Decodes hex without `0x`.
pub fn plain_hex(case: &Case<'_>, member: &str) -> Vec<u8> {
    hex::decode(case.str(member)).unwrap_or_else(|error| panic!("{}: {error}", case.path()))
}
