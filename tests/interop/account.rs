//! Accounts against another implementation, ethers, on random inputs. See
//! `tests/interop/account/README.md`.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use rand::{Rng as _, RngExt as _, rngs::ChaCha20Rng};
use serde_json::{Value, json};
use statuskit_core::{
    account::{
        Address, ChildIndex, DerivationPath, ExtendedPrivateKey, ExtendedPublicKey, KeyFile,
        Language, Limits, Mnemonic, Nonces, ScryptCost, WordCount,
        sign::{Signed, recover, sign},
    },
    crypto::{SecretKey, seeded_rng},
    eip::eip191,
};

/// The other implementation.
pub struct Ethers {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Ethers {
    pub fn start() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/account");
        let installed = here.join("node_modules/ethers").exists();
        assert!(installed, "ethers is not installed; run: (cd tests/interop/account && npm ci)");
        let mut child = Command::new("node")
            .arg(here.join("accounts.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node can be started");
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, stdin, stdout }
    }

    pub fn ask(&mut self, question: &Value) -> Result<Value, String> {
        writeln!(self.stdin, "{question}").expect("ethers listens");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("ethers answers in UTF-8");
        let mut answer: Value = serde_json::from_str(&line).expect("ethers answers in JSON");
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer["ok"].take()),
        }
    }

    pub fn call(&mut self, question: &Value) -> Value {
        self.ask(question).unwrap_or_else(|error| panic!("{question}: {error}"))
    }
}

impl Drop for Ethers {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reproducible randomness. A failing test shows the seed.
pub fn rng(test: &str) -> ChaCha20Rng {
    let seed = env::var("STATUSKIT_INTEROP_SEED")
        .unwrap_or_else(|_| format!("{:016x}", fresh().next_u64()));
    println!("STATUSKIT_INTEROP_SEED={seed}");
    seeded_rng(&format!("{seed} {test}"))
}

fn fresh() -> ChaCha20Rng {
    let nanoseconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("the clock is past 1970")
        .as_nanos();
    seeded_rng(&nanoseconds.to_string())
}

pub fn hex0x(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

pub fn secret(key: &SecretKey) -> String {
    hex0x(&*key.to_bytes())
}

fn random_path(rng: &mut ChaCha20Rng, hardened: bool) -> DerivationPath {
    let steps = (0..rng.random_range(1..7)).map(|_| {
        let number = rng.next_u32() >> 1 >> rng.random_range(0..31);
        let harden = hardened && rng.random_bool(0.5);
        let step = if harden { ChildIndex::hardened } else { ChildIndex::normal };
        step(number).expect("below 2^31")
    });
    DerivationPath::from_steps(steps.collect()).expect("short enough")
}

fn assert_node(key: &ExtendedPrivateKey, theirs: &Value) {
    assert_eq!(theirs["private_key"], secret(key.secret_key()));
    assert_eq!(theirs["public_key"], key.public_key().to_string());
    assert_eq!(theirs["address"], Address::from_key(&key.public_key()).to_string());
    assert_eq!(theirs["xprv"], *key.to_xprv());
    assert_eq!(theirs["xpub"], key.to_public().to_string());
    assert_eq!(theirs["xprv"].as_str().unwrap().parse().as_ref(), Ok(key));
    assert_eq!(theirs["xpub"].as_str().unwrap().parse(), Ok(key.to_public()));
}

#[test]
fn phrases_and_trees() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("phrases"));
    for language in Language::all() {
        for count in WordCount::ALL {
            let phrase = Mnemonic::generate(&mut rng, count, language);
            let theirs = ethers.call(&json!({
                "cmd": "phrase", "entropy": hex0x(&phrase.entropy()), "language": language.name(),
            }));
            // Japanese phrases come with wide spaces, others composed: all are equivalent.
            assert_eq!(Mnemonic::parse(theirs.as_str().unwrap()).as_ref(), Ok(&phrase));
            let passphrase = ["", "TREZOR", "päßwörd Åﬁ 🔑"][rng.random_range(0..3)];
            let mut paths = vec![DerivationPath::MASTER, DerivationPath::CHAT];
            paths.extend([random_path(&mut rng, true), random_path(&mut rng, true)]);
            let texts: Vec<String> = paths.iter().map(ToString::to_string).collect();
            let theirs = ethers.call(&json!({
                "cmd": "derive", "phrase": *phrase.phrase(), "language": language.name(),
                "passphrase": passphrase, "paths": texts,
            }));
            assert_eq!(theirs["entropy"], hex0x(&phrase.entropy()));
            let seed = phrase.to_seed(passphrase);
            assert_eq!(theirs["seed"], hex0x(seed.as_bytes()), "{language} {count:?}");
            let master = ExtendedPrivateKey::from_seed(&seed).unwrap();
            for (path, theirs) in paths.iter().zip(theirs["nodes"].as_array().unwrap()) {
                assert_node(&master.derive(path).unwrap(), theirs);
            }
        }
    }
}

#[test]
fn both_refuse_wrong_phrases() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("wrong phrases"));
    let words = Language::ENGLISH.words();
    let mut valid = 0;
    for _ in 0..200 {
        let phrase: Vec<&str> = (0..12).map(|_| words[rng.random_range(0..2048)]).collect();
        let phrase = phrase.join(" ");
        let theirs = ethers.ask(&json!({
            "cmd": "derive", "phrase": phrase, "language": "english", "passphrase": "", "paths": [],
        }));
        let ours = Mnemonic::parse_in(&phrase, Language::ENGLISH);
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{phrase}");
        valid += usize::from(ours.is_ok());
    }
    // One in sixteen has the right checksum by chance.
    assert!(valid < 60);
}

#[test]
fn public_derivation() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("public"));
    for _ in 0..50 {
        let phrase = Mnemonic::generate(&mut rng, WordCount::Words12, Language::ENGLISH);
        let master = ExtendedPrivateKey::from_seed(&phrase.to_seed("")).unwrap();
        let account: ExtendedPublicKey =
            master.derive(&random_path(&mut rng, true)).unwrap().to_public();
        let path = random_path(&mut rng, false);
        let key = account.derive(&path).unwrap();
        let below = path.to_string().replace("m/", "");
        let theirs = ethers.call(&json!({
            "cmd": "derive_public", "xpub": account.to_string(), "path": below,
        }));
        assert_eq!(theirs["xpub"], key.to_string());
        assert_eq!(theirs["address"], Address::from_key(&key.public_key()).to_string());
    }
}

#[test]
fn key_files_open_on_both_sides() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("key files"));
    let limits = Limits::default();
    for (log_n, r, p) in [(1, 8, 1), (5, 1, 3), (10, 8, 2), (12, 8, 6), (14, 8, 1)] {
        let phrase = Mnemonic::generate(&mut rng, WordCount::Words12, Language::ENGLISH);
        let key = ExtendedPrivateKey::from_seed(&phrase.to_seed("")).unwrap();
        let password = ["", "testpassword", "密码🔒"][rng.random_range(0..3)];
        let cost = ScryptCost { log_n, r, p };
        let nonces = Nonces::generate(&mut rng);
        let file = KeyFile::encrypt_extended(&key, password.as_bytes(), cost, &nonces).unwrap();
        let question = json!({ "cmd": "decrypt", "json": file.to_json(), "password": password });
        let theirs = ethers.call(&question);
        assert_eq!(theirs["private_key"], secret(key.secret_key()));
        assert_eq!(theirs["address"], Address::from_key(&key.public_key()).to_string());

        let theirs = ethers.call(&json!({
            "cmd": "encrypt", "private_key": secret(key.secret_key()), "password": password,
            "n": 1_u64 << log_n, "r": r, "p": p,
        }));
        let file = KeyFile::parse(theirs.as_str().unwrap().as_bytes()).unwrap();
        let opened = file.open(password.as_bytes(), &limits).unwrap();
        assert_eq!(opened.secret, *key.secret_key());
        assert_eq!(file.address, Some(opened.address()));
        assert_eq!(file.open(b"wrong", &limits).unwrap_err().code(), "keystore.mac");

        let theirs = ethers.call(&json!({
            "cmd": "encrypt_pbkdf2", "private_key": secret(key.secret_key()),
            "password": password, "rounds": 1 << log_n,
        }));
        let file = KeyFile::parse(theirs.as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(file.open(password.as_bytes(), &limits).unwrap().secret, *key.secret_key());
    }
}

#[test]
fn signatures() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("signatures"));
    for length in (0..40).chain([99, 100, 999, 1000, 10_000]) {
        let key = SecretKey::generate(&mut rng);
        let mut message = vec![0; length];
        rng.fill_bytes(&mut message);
        let signature = sign(&key, Signed::Personal(&message));
        let theirs = ethers.call(&json!({
            "cmd": "sign_message", "private_key": secret(&key), "message": hex0x(&message),
        }));
        assert_eq!(theirs["hash"], hex0x(&eip191::personal_digest(&message)));
        assert_eq!(theirs["signature"], hex0x(&signature));
        let signer = ethers.call(&json!({
            "cmd": "verify_message", "message": hex0x(&message), "signature": hex0x(&signature),
        }));
        let recovered = recover(Signed::Personal(&message), &signature).unwrap();
        assert_eq!(signer, Address::from_key(&recovered).to_string());
        assert_eq!(recovered, key.public_key());

        let mut digest = [0; 32];
        rng.fill_bytes(&mut digest);
        let theirs = ethers.call(&json!({
            "cmd": "sign_digest", "private_key": secret(&key), "digest": hex0x(&digest),
        }));
        let mut ours = sign(&key, Signed::Digest(&digest));
        ours[64] += 27;
        assert_eq!(theirs, hex0x(&ours));
    }
}

#[test]
fn addresses() {
    let (mut ethers, mut rng) = (Ethers::start(), rng("addresses"));
    for _ in 0..200 {
        let address = Address(rng.random());
        let theirs = ethers.call(&json!({ "cmd": "checksum", "address": hex0x(&address.0) }));
        assert_eq!(theirs, address.to_string());
        // With one letter's case swapped both refuse, unless the checksum ignores that letter.
        let mut text = address.to_string();
        let at = rng.random_range(2..42);
        let swapped: String = text[at..=at]
            .chars()
            .map(|c| if c.is_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() })
            .collect();
        text.replace_range(at..=at, &swapped);
        let theirs = ethers.ask(&json!({ "cmd": "checksum", "address": text }));
        assert_eq!(text.parse::<Address>().is_ok(), theirs.is_ok(), "{text}");
    }
}
