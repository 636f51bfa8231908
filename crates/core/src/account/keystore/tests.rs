use proptest::prelude::*;
use serde_json::{Value, json};

use super::{file::Block, *};
use crate::{
    account::{ExtendedPrivateKey, Seed},
    crypto::{SecretKey, seeded_rng},
};

/// A low cost, for fast tests.
const CHEAP: ScryptCost = ScryptCost { log_n: 1, r: 1, p: 1 };

/// A file of version 1 published by go-ethereum, and its private key; the password is `g`.
const V1: &str = r#"{"Crypto":{"cipher":"aes-128-cbc","ciphertext":"6143d3192db8b66eabd693d9c4e414dcfaee52abda451af79ccf474dafb35f1bfc7ea013aa9d2ee35969a1a2e8d752d0","cipherparams":{"iv":"35337770fc2117994ecdcad026bccff4"},"kdf":"scrypt","kdfparams":{"dklen":32,"n":262144,"p":1,"r":8,"salt":"9afcddebca541253a2f4053391c673ff9fe23097cd8555d149d929e4ccf1257f"},"mac":"3f3d5af884b17a100b0b3232c0636c230a54dc2ac8d986227219b0dd89197644","version":"1"},"address":"cb61d5a9c4896fb9658090b597ef0e7be6f7b67e","id":"e25f7c1f-d318-4f29-b62c-687190d4d299","version":"1"}"#;
const V1_KEY: &str = "d1b1178d3529626a1a93e073f65028370d14c7eb0936eb42abef05db6f37ad7d";

fn sample() -> (SecretKey, KeyFile) {
    let mut rng = seeded_rng("keystore");
    let key = SecretKey::generate(&mut rng);
    let file = KeyFile::encrypt(&key, b"pw", CHEAP, &Nonces::generate(&mut rng)).unwrap();
    (key, file)
}

/// Changes the JSON of the sample and reads it.
fn with(change: impl FnOnce(&mut Value)) -> Result<KeyFile, KeystoreError> {
    let mut json: Value = serde_json::from_str(&sample().1.to_json()).unwrap();
    change(&mut json);
    KeyFile::parse(json.to_string().as_bytes())
}

#[test]
fn version_1_is_read_and_written() {
    let file = KeyFile::parse(V1.as_bytes()).unwrap();
    assert_eq!(file.version(), Version::V1);
    let opened = file.open(b"g", &Limits::default()).unwrap();
    assert_eq!(opened.secret, V1_KEY.parse().unwrap());
    assert_eq!(file.address, Some(opened.address()));
    assert_eq!(KeyFile::parse(file.to_json().as_bytes()), Ok(file));
}

#[test]
fn hostile_parameters_are_rejected_with_their_cost() {
    let scrypt = |n: u64, r: u64, p: u64| {
        with(|json| {
            let params = json["crypto"]["kdfparams"].as_object_mut().unwrap();
            params.extend([("n", n), ("r", r), ("p", p)].map(|(k, v)| (k.to_owned(), v.into())));
        })
    };
    let error_of = |n, r, p| scrypt(n, r, p).unwrap().open(b"pw", &Limits::default()).unwrap_err();
    let error = error_of(1 << 30, 8, 1);
    assert_eq!(error.code(), "keystore.expensive");
    assert!(error.to_string().contains("take 1 TiB of memory"), "{error}");
    for (n, r, p) in [(1 << 62, 8, 1), (2, 1 << 29, 1), (2, 1, 1 << 29), (1 << 18, 8, 1 << 20)] {
        assert_eq!(error_of(n, r, p).code(), "keystore.expensive", "{n} {r} {p}");
    }
    // Without limits, the available memory is the limit.
    let opened = scrypt(1 << 62, 8, 1).unwrap().open(b"pw", &Limits::UNLIMITED);
    assert_eq!(opened.unwrap_err().code(), "keystore.memory");
    for (n, r, p) in [
        (0, 8, 1),
        (1, 8, 1),
        (3, 8, 1),
        (2, 0, 1),
        (2, 8, 0),
        (2, 1 << 32, 1),
        (2, 1 << 15, 1 << 15),
        (2, u64::MAX, u64::MAX),
    ] {
        assert_eq!(scrypt(n, r, p).unwrap_err().code(), "keystore.parameter", "{n} {r} {p}");
    }
    let rounds = |rounds: u64| {
        with(|json| {
            json["crypto"]["kdf"] = "pbkdf2".into();
            json["crypto"]["kdfparams"]["c"] = rounds.into();
            json["crypto"]["kdfparams"]["prf"] = "hmac-sha256".into();
        })
    };
    let error = rounds(u64::from(u32::MAX)).unwrap().open(b"pw", &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("4294967295 rounds"), "{error}");
    assert_eq!(rounds(0).unwrap_err().code(), "keystore.parameter");
    assert_eq!(rounds(1 << 32).unwrap_err().code(), "keystore.parameter");
}

#[test]
fn a_hostile_second_block_is_rejected_before_the_first_is_opened() {
    let key = ExtendedPrivateKey::from_seed(&Seed::from_bytes(&[1; 16]).unwrap()).unwrap();
    let nonces = Nonces::generate(&mut seeded_rng("second"));
    let json = KeyFile::encrypt_extended(&key, b"pw", CHEAP, &nonces).unwrap().to_json();
    let mut json: Value = serde_json::from_str(&json).unwrap();
    json["extendedkey"]["kdfparams"]["n"] = json!(1_u64 << 40);
    let file = KeyFile::parse(json.to_string().as_bytes()).unwrap();
    let error = file.open(b"not the password", &Limits::default()).unwrap_err();
    assert_eq!(error.code(), "keystore.expensive");
    assert_eq!(file.open_private_key(b"pw", &Limits::default()).as_ref(), Ok(key.secret_key()));
}

#[test]
fn malformed_files_are_rejected_with_a_reason() {
    let code = |bytes: &[u8]| KeyFile::parse(bytes).unwrap_err().code();
    assert_eq!(code(b""), "keystore.json");
    assert_eq!(code(b"[]"), "keystore.json");
    assert_eq!(code(b"{}"), "keystore.missing");
    assert_eq!(code(b"{\"version\":3}"), "keystore.missing");
    let sale = br#"{"encseed":"00","ethaddr":"00","email":"a@b.c","btcaddr":"1"}"#;
    assert_eq!(code(sale), "keystore.presale");
    assert_eq!(code(&[b'{', 0xff]), "keystore.utf8");
    assert_eq!(code(&vec![b'{'; 100_000_000]), "keystore.too_large");
    assert_eq!(code("[".repeat(60_000).as_bytes()), "keystore.json");
    assert_eq!(code(format!("{{\"a\":{}", "[".repeat(60_000)).as_bytes()), "keystore.json");
    let changed = |path: &str, value: Value| {
        with(|json| *json.pointer_mut(path).unwrap() = value).unwrap_err().code()
    };
    assert_eq!(changed("/version", json!(4)), "keystore.version");
    assert_eq!(changed("/version", json!("3")), "keystore.version");
    assert_eq!(changed("/version", Value::Null), "keystore.missing");
    assert_eq!(changed("/version", json!("1")), "keystore.cipher");
    assert_eq!(changed("/address", json!("xyz")), "keystore.member");
    assert_eq!(changed("/crypto", json!(1)), "keystore.member");
    assert_eq!(changed("/crypto/cipher", json!("aes-256-gcm")), "keystore.cipher");
    assert_eq!(changed("/crypto/ciphertext", json!("0g")), "keystore.member");
    assert_eq!(changed("/crypto/cipherparams/iv", json!("00")), "keystore.length");
    assert_eq!(changed("/crypto/mac", json!("")), "keystore.length");
    assert_eq!(changed("/crypto/kdf", json!("argon2")), "keystore.kdf");
    assert_eq!(changed("/crypto/kdfparams/n", json!("2")), "keystore.member");
    assert_eq!(changed("/crypto/kdfparams/n", json!(2.5)), "keystore.member");
    assert_eq!(changed("/crypto/kdfparams/n", json!(-2)), "keystore.member");
    assert_eq!(changed("/crypto/kdfparams/dklen", json!(16)), "keystore.parameter");
}

#[test]
fn variants_of_other_wallets_are_read() {
    let (key, _) = sample();
    let open = |change: &dyn Fn(&mut Value)| {
        with(change).and_then(|file| file.open(b"pw", &Limits::default())).map(|it| it.secret)
    };
    let variants: [&dyn Fn(&mut Value); 6] = [
        &|json| json["crypto"]["kdfparams"]["n"] = json!(2.0),
        &|json| json["crypto"]["kdfparams"]["dklen"] = json!(64),
        &|json| json["address"] = json!("0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b"),
        &|json| json["address"] = Value::Null,
        &|json| {
            let json = json.as_object_mut().unwrap();
            json.remove("extendedkey");
            json.remove("subaccountindex");
            json.remove("id");
            json.insert("x-ethers".into(), json!({ "client": "ethers" }));
        },
        &|json| {
            let json = json.as_object_mut().unwrap();
            let crypto = json.remove("crypto").unwrap();
            json.insert("Crypto".into(), crypto);
        },
    ];
    for variant in variants {
        assert_eq!(open(variant).as_ref(), Ok(&key));
    }
}

#[test]
fn damage_is_detected() {
    let (_, file) = sample();
    let open = |file: &KeyFile| file.open(b"pw", &Limits::default());
    let mut damaged = file.clone();
    damaged.key.ciphertext[3] ^= 1;
    assert_eq!(open(&damaged).unwrap_err().code(), "keystore.mac");
    let mut damaged = file.clone();
    damaged.key.mac[0] ^= 1;
    assert_eq!(open(&damaged).unwrap_err().code(), "keystore.mac");
    assert_eq!(file.open(b"", &Limits::default()).unwrap_err().code(), "keystore.mac");
}

#[test]
fn plaintexts_that_are_not_keys_are_rejected() {
    let (key, mut file) = sample();
    let kdf = file.kdf().clone();
    let block = |plaintext: &[u8]| Block::encrypt(plaintext, b"pw", kdf.clone(), [0; 16]).unwrap();
    let order = hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    for (plaintext, code) in [
        (vec![0; 32], "keystore.key"),
        (order.unwrap(), "keystore.key"),
        (vec![], "keystore.key"),
        (vec![1; 33], "keystore.plaintext"),
    ] {
        file.key = block(&plaintext);
        let error = file.open(b"pw", &Limits::default()).unwrap_err();
        assert_eq!(error.code(), code, "{plaintext:?}");
    }
    // Some wallets omit leading zeros.
    file.key = block(&[7]);
    let opened = file.open(b"pw", &Limits::default()).unwrap();
    assert_eq!(opened.secret, format!("{:064x}", 7).parse().unwrap());
    file.key = block(&*key.to_bytes());
    for (plaintext, code) in [(&b"xprv"[..], "keystore.extended"), (b"\xff", "keystore.plaintext")]
    {
        file.extended = Some(block(plaintext));
        let error = file.open(b"pw", &Limits::default()).unwrap_err();
        assert_eq!(error.code(), code);
    }
}

#[test]
fn debug_hides_the_key() {
    let (_, file) = sample();
    let opened = file.open(b"pw", &Limits::default()).unwrap();
    assert_eq!(format!("{opened:?}"), format!("OpenedKey({}, …)", opened.address()));
}

#[test]
fn file_names_contain_time_and_address() {
    let (_, file) = sample();
    let address = file.address.unwrap();
    let plain = address.to_plain_hex();
    for (seconds, nanoseconds, time) in [
        (1_585_569_600, 123_456_789, "2020-03-30T12-00-00.123456789Z"),
        (0, 0, "1970-01-01T00-00-00.000000000Z"),
        (951_827_696, 5, "2000-02-29T12-34-56.000000005Z"),
        (4_107_542_399, 0, "2100-02-28T23-59-59.000000000Z"),
        (4_107_542_400, 0, "2100-03-01T00-00-00.000000000Z"),
    ] {
        let name = file_name(&address, seconds, nanoseconds);
        assert_eq!(name, format!("UTC--{time}--{plain}"));
    }
    assert!(file_name(&address, u64::MAX, 0).starts_with("UTC--"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn files_round_trip(
        seed in proptest::collection::vec(any::<u8>(), 16..=64),
        password in proptest::collection::vec(any::<u8>(), 0..80),
        (log_n, r, p) in (1_u8..6, 1_u32..4, 1_u32..4),
    ) {
        let key = ExtendedPrivateKey::from_seed(&Seed::from_bytes(&seed).unwrap()).unwrap();
        let nonces = Nonces::generate(&mut seeded_rng(&hex::encode(&seed)));
        let cost = ScryptCost { log_n, r, p };
        let file = KeyFile::encrypt_extended(&key, &password, cost, &nonces).unwrap();
        let read = KeyFile::parse(file.to_json().as_bytes()).unwrap();
        prop_assert_eq!(&read, &file);
        let opened = read.open(&password, &Limits::default()).unwrap();
        prop_assert_eq!(opened.derivation_key().unwrap(), &key);
        prop_assert_eq!(&opened.secret, key.secret_key());
    }

    #[test]
    fn damaged_json_does_not_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut json = sample().1.to_json().into_bytes();
        let at = at.index(json.len());
        json[at] = byte;
        if let Ok(file) = KeyFile::parse(&json) {
            let limits = Limits { memory: 1 << 16, work: 1 << 12, rounds: 1 << 12 };
            let _ = file.open(b"pw", &limits);
        }
    }
}
