//! Primitives: secp256k1, hashes, key derivation, AES.

use serde_json::Value;

use super::{Outcome, bytes, each, ensure, number, same, text};
use crate::crypto::{
    PublicKey, SecretKey, Signature,
    aes::{GcmKey, cbc128_open},
    ecies,
    hash::{hash160, sha256},
    kdf::{HmacSha256, concat_kdf, hkdf_sha256, hmac_sha512, pbkdf2_sha256, pbkdf2_sha512, scrypt},
    keccak, keccak256,
    running::RunningKeccak,
    tweak::{add_public, add_secret},
};

/// Reads a big-endian number of up to 32 bytes, with leading zeros or without.
fn secret(bytes: &[u8]) -> Option<SecretKey> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = &bytes[zeros..];
    let mut padded = [0; 32];
    padded.get_mut(32_usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    SecretKey::from_bytes(&padded).ok()
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap()
}

/// Returns whether one of the four recovery ids gives the key.
fn recovers(digest: &[u8; 32], signature: &[u8; 64], key: &PublicKey) -> bool {
    (0..4).any(|v| {
        let mut with_id = [v; 65];
        with_id[..64].copy_from_slice(signature);
        Signature::from_bytes(with_id).recover(digest).as_ref() == Ok(key)
    })
}

/// Reads a strict DER signature with both numbers below 2^256. `None` for anything else.
fn strict_der(mut der: &[u8]) -> Option<[u8; 64]> {
    let mut rest = take(&mut der, 0x30)?;
    let mut signature = [0; 64];
    for half in signature.chunks_mut(32) {
        let number = take(&mut rest, 0x02)?;
        let minimal = match number {
            [] => false,
            [0, next, ..] => next & 0x80 != 0,
            [first, ..] => first & 0x80 == 0,
        };
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        if !minimal || digits.len() > 32 {
            return None;
        }
        half[32 - digits.len()..].copy_from_slice(digits);
    }
    (der.is_empty() && rest.is_empty()).then_some(signature)
}

/// Takes an element with a length of one byte.
fn take<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&[found, length], rest) = der.split_first_chunk()?;
    let (content, rest) = rest.split_at_checked(length.into())?;
    *der = rest;
    (found == tag && length < 0x80).then_some(content)
}

/// Half of the order of the curve, rounded down.
const HALF_OF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

#[test]
fn wycheproof_ecdsa() {
    let key =
        |case: &Value| PublicKey::from_slice(&bytes(&case["group"]["publicKey"], "uncompressed"));
    let check = |case: &Value, signature: Option<[u8; 64]>, high_s_is_refused: bool| {
        let digest = array(&bytes(case, "digest"));
        let accepted =
            signature.is_some_and(|signature| recovers(&digest, &signature, &key(case).unwrap()));
        // A high s is accepted here, as in the reference.
        let high_s = signature.is_some_and(|signature| signature[32..] > HALF_OF_ORDER[..]);
        match text(case, "result") {
            "valid" => ensure(accepted, "refused"),
            "invalid" => ensure(!accepted || high_s && high_s_is_refused, "accepted"),
            _ => Ok(()),
        }
    };
    for file in ["sha256", "sha3_256", "sha256_bitcoin"] {
        let bitcoin = file == "sha256_bitcoin";
        each(&format!("wycheproof/ecdsa_secp256k1_{file}.json"), &[], |case| {
            check(case, strict_der(&bytes(case, "sig")), bitcoin)
        });
    }
    for file in ["sha256_p1363", "sha512_p1363"] {
        each(&format!("wycheproof/ecdsa_secp256k1_{file}.json"), &[], |case| {
            check(case, bytes(case, "sig").try_into().ok(), false)
        });
    }
}

#[test]
fn wycheproof_ecdh() {
    // SubjectPublicKeyInfo of a point of secp256k1, up to the point.
    const UNCOMPRESSED: &str = "3056301006072a8648ce3d020106052b8104000a034200";
    const COMPRESSED: &str = "3036301006072a8648ce3d020106052b8104000a032200";
    let agree = |secret: Option<SecretKey>, public: Option<PublicKey>| {
        Some(secret?.ecdh(&public?).as_bytes().to_vec())
    };
    let check = |case: &Value, shared: Option<Vec<u8>>| match text(case, "result") {
        "valid" => same(shared, Some(bytes(case, "shared"))),
        // Encodings that are acceptable to others are none here, or give the right value.
        "acceptable" => {
            ensure(shared.is_none_or(|shared| shared == bytes(case, "shared")), "wrong")
        }
        _ => ensure(shared.is_none(), "accepted"),
    };
    each("wycheproof/ecdh_secp256k1.json", &[], |case| {
        let public = text(case, "public");
        let point = [UNCOMPRESSED, COMPRESSED].iter().find_map(|head| public.strip_prefix(head));
        // Only the plain encoding is an encoding here.
        let point = point.and_then(|point| hex::decode(point).ok());
        let public = point.and_then(|point| PublicKey::from_slice(&point).ok());
        check(case, agree(secret(&bytes(case, "private")), public))
    });
    each("wycheproof/ecdh_secp256k1_webcrypto.json", &[], |case| {
        let part = |jwk: &Value, member: &str| {
            let part = data_encoding::BASE64URL_NOPAD.decode(jwk[member].as_str()?.as_bytes());
            part.ok()?.try_into().ok()
        };
        let jwk = &case["public"];
        let of_curve = jwk["crv"] == "P-256K" && jwk["kty"] == "EC";
        let point = part(jwk, "x").zip(part(jwk, "y")).filter(|_| of_curve);
        let public = point.and_then(|(x, y): ([u8; 32], [u8; 32])| {
            PublicKey::from_slice(&[&[4][..], &x, &y].concat()).ok()
        });
        let secret = part(&case["private"], "d").and_then(|d| SecretKey::from_bytes(&d).ok());
        check(case, agree(secret, public))
    });
}

#[test]
fn wycheproof_ciphers() {
    each("wycheproof/aes_gcm.json", &[], |case| {
        let [iv, aad, msg, ct, tag] = ["iv", "aad", "msg", "ct", "tag"].map(|it| bytes(case, it));
        let key = GcmKey::new(&array(&bytes(case, "key")));
        // Other lengths of nonces can't be given to it.
        let Ok(nonce) = iv.try_into() else { return Ok(()) };
        let mut opened = ct.clone();
        let accepted = key.open(&nonce, &aad, &mut opened, &array(&tag));
        same(accepted, text(case, "result") == "valid")?;
        if !accepted {
            return Ok(());
        }
        same(&opened, &msg)?;
        let mut sealed = msg;
        same(key.seal(&nonce, &aad, &mut sealed).to_vec(), tag)?;
        same(sealed, ct)
    });
    each("wycheproof/aes_cbc_pkcs5.json", &[], |case| {
        let [key, iv, ct] = ["key", "iv", "ct"].map(|member| bytes(case, member));
        let opened = cbc128_open(&array(&key), &array(&iv), &ct).map(|opened| opened.to_vec());
        match text(case, "result") {
            "valid" => same(opened, Some(bytes(case, "msg"))),
            _ => ensure(opened.is_none(), "accepted"),
        }
    });
}

#[test]
fn wycheproof_derivations() {
    each("wycheproof/hkdf_sha256.json", &[], |case| {
        let [ikm, salt, info] = ["ikm", "salt", "info"].map(|member| bytes(case, member));
        if text(case, "result") != "valid" {
            // Longer than the function can give; here the length is a constant.
            return ensure(number(case, "size") > 255 * 32, "a length that is not refused");
        }
        let okm = bytes(case, "okm");
        let longest = 255 * 32;
        let got = hkdf_sha256::<{ 255 * 32 }>(&ikm, &salt, &info);
        ensure(okm.len() <= longest, "too long")?;
        same(&got[..okm.len()], &okm)
    });
    each("wycheproof/hmac_sha256.json", &[], |case| {
        let [key, msg, tag] = ["key", "msg", "tag"].map(|member| bytes(case, member));
        let mac = HmacSha256::new(&key);
        let full = mac.tag(&[&msg]);
        if tag.len() == 32 {
            same(mac.verify(&[&msg], &tag), text(case, "result") == "valid")?;
        }
        same(full[..tag.len()] == tag, text(case, "result") == "valid")
    });
    each("wycheproof/hmac_sha512.json", &[], |case| {
        let [key, msg, tag] = ["key", "msg", "tag"].map(|member| bytes(case, member));
        let halves = hmac_sha512(&key, &[&msg]);
        let full = [halves.left, halves.right].concat();
        same(full[..tag.len()] == tag, text(case, "result") == "valid")
    });
    each("wycheproof/pbkdf2_hmacsha256.json", &[], |case| {
        let rounds = number(case, "iterationCount") as u32;
        let got = pbkdf2_sha256(&bytes(case, "password"), &bytes(case, "salt"), rounds);
        begins_alike(&bytes(case, "dk"), &*got)
    });
    each("wycheproof/pbkdf2_hmacsha512.json", &[], |case| {
        let rounds = number(case, "iterationCount") as u32;
        let got = pbkdf2_sha512(&bytes(case, "password"), &bytes(case, "salt"), rounds);
        begins_alike(&bytes(case, "dk"), &*got)
    });
}

/// Compares what both have: keys here have one length.
fn begins_alike(expected: &[u8], got: &[u8]) -> Outcome {
    let length = expected.len().min(got.len());
    ensure(length > 0, "nothing to compare")?;
    same(&got[..length], &expected[..length])
}

#[test]
fn derivations_of_ethers() {
    each("kdf/ethers_hmac.json", &[], |case| {
        let (key, data) = (bytes(case, "key"), bytes(case, "data"));
        let got = match text(case, "algorithm") {
            "sha256" => HmacSha256::new(&key).tag(&[&data]).to_vec(),
            _ => {
                let halves = hmac_sha512(&key, &[&data]);
                [halves.left, halves.right].concat()
            }
        };
        same(got, bytes(case, "hmac"))
    });
    each("kdf/ethers_pbkdf.json", &[], |case| {
        let (password, salt) = (bytes(case, "password"), bytes(case, "salt"));
        let expected = bytes(case, "key");
        if text(case, "kind") == "scrypt" {
            let [n, r, p] = ["N", "r", "p"].map(|member| number(case, member));
            let got = scrypt(&password, &salt, n.trailing_zeros() as u8, r as u32, p as u32);
            // scrypt's output of another length begins with the same blocks of PBKDF2.
            return begins_alike(&expected, &*got.ok_or("refused")?);
        }
        let rounds = number(case, "iterations") as u32;
        match text(case, "algorithm") {
            "sha256" => begins_alike(&expected, &*pbkdf2_sha256(&password, &salt, rounds)),
            _ => begins_alike(&expected, &*pbkdf2_sha512(&password, &salt, rounds)),
        }
    });
}

#[test]
fn hashes_of_ethers() {
    each("hashes/ethers.json", &[], |case| {
        let data = bytes(case, "data");
        same(keccak256(&data).to_vec(), bytes(case, "keccak256"))?;
        same(sha256(&data).to_vec(), bytes(case, "sha256"))?;
        let mut running = RunningKeccak::new();
        data.chunks(7).for_each(|part| running.absorb(part));
        same(running.digest().to_vec(), bytes(case, "keccak256"))?;
        let many = keccak::keccak256_many(&[&data[..], b"", &data]);
        same(many[2].to_vec(), bytes(case, "keccak256"))?;
        // RIPEMD-160 is used only after SHA-256.
        same(hash160(&data).len(), 20)
    });
}

#[test]
fn secp256k1_of_tiny() {
    each("secp256k1/tiny_ecdsa.json", &[], |case| {
        let digest = || array::<32>(&bytes(case, "m"));
        match text(case, "kind") {
            "sign" => {
                let key = SecretKey::from_bytes(&array(&bytes(case, "d")))
                    .map_err(|it| it.to_string())?;
                let signature = key.sign_digest(&digest());
                let (plain, v) = signature.as_bytes().split_at(64);
                same(plain, &bytes(case, "signature"))?;
                if let Some(recovery) = case["recovery"].as_u64() {
                    same(u64::from(v[0]), recovery)?;
                }
                same(signature.recover(&digest()), Ok(key.public_key()))
            }
            "invalid-sign" => ensure(secret(&bytes(case, "d")).is_none(), "a key"),
            "invalid-verify" => {
                let Ok(key) = PublicKey::from_slice(&bytes(case, "Q")) else { return Ok(()) };
                let signature = array(&bytes(case, "signature"));
                // Only the malleable form: recovery accepts it.
                same(recovers(&digest(), &signature, &key), case["strict"] == true)
            }
            "invalid-recover" => {
                let signature: [u8; 64] = array(&bytes(case, "signature"));
                let named = case["recoveryId"].as_u64();
                let ids = (0..4).filter(|v| named.is_none_or(|named| named == u64::from(*v)));
                let recovered = ids.filter(|v| {
                    let mut with_id = [*v; 65];
                    with_id[..64].copy_from_slice(&signature);
                    Signature::from_bytes(with_id).recover(&digest()).is_ok()
                });
                same(recovered.count(), 0)
            }
            kind => Err(format!("unknown kind {kind}")),
        }
    });
    each("secp256k1/tiny_points.json", &[], |case| {
        let point = || PublicKey::from_slice(&bytes(case, "P"));
        let expected = || case["expected"].as_str().map(|it| hex::decode(it).unwrap());
        let scalar = || array::<32>(&bytes(case, "d"));
        let in_form = |key: PublicKey, length: usize| match length {
            33 => key.to_compressed().to_vec(),
            _ => key.to_uncompressed().to_vec(),
        };
        match text(case, "kind") {
            "isPoint" => same(point().is_ok(), case["expected"] == true),
            "pointCompress" => {
                let expected = expected().unwrap();
                same(point().map(|key| in_form(key, expected.len())), Ok(expected))
            }
            "pointFromScalar" => {
                let key = SecretKey::from_bytes(&scalar()).map_err(|it| it.to_string())?;
                let expected = expected().unwrap();
                same(in_form(key.public_key(), expected.len()), expected)
            }
            "pointAddScalar" => {
                let sum = add_public(&point().map_err(|it| it.to_string())?, &scalar());
                let length = bytes(case, "P").len();
                same(sum.map(|sum| in_form(sum, length)), expected())
            }
            "pointMultiply" => {
                let product = secret(&scalar()).map(|key| key.ecdh(&point().unwrap()));
                let expected = expected();
                same(
                    product.map(|it| it.as_bytes().to_vec()),
                    expected.map(|it| it[1..33].to_vec()),
                )
            }
            "invalid-pointFromScalar" => ensure(secret(&scalar()).is_none(), "a key"),
            "invalid-pointCompress" => ensure(point().is_err(), "a point"),
            kind => Err(format!("unknown kind {kind}")),
        }
    });
    // The sum of two keys belongs to the sum of their points.
    let [one, two] = [1, 2].map(|byte| SecretKey::from_bytes(&[byte; 32]).unwrap());
    let sum = add_secret(&one, &two.to_bytes()).unwrap().public_key();
    assert_eq!(add_public(&one.public_key(), &two.to_bytes()), Some(sum));
}

#[test]
fn ecies_of_others() {
    each("rlpx/ecies.json", &[], |case| {
        let key = |member: &str| SecretKey::from_bytes(&array(&bytes(case, member))).unwrap();
        match text(case, "kind") {
            "ecies" => {
                let opened = ecies::decrypt(&key("key"), &bytes(case, "message"), &[]);
                same(opened.map(|it| it.to_vec()).ok(), Some(bytes(case, "plaintext")))
            }
            "kdf" => {
                begins_alike(&bytes(case, "derived"), &*concat_kdf(&array(&bytes(case, "secret"))))
            }
            "hmac" => {
                let tag = HmacSha256::new(&bytes(case, "key")).tag(&[&bytes(case, "data")]);
                same(tag.to_vec(), bytes(case, "tag"))
            }
            "ecdh" | "ecdh_sym" => {
                let mine = key("key");
                let theirs = match case.get("peer_key") {
                    Some(_) => key("peer_key").public_key(),
                    None => {
                        PublicKey::from_slice(&[&[4][..], &bytes(case, "public")].concat()).unwrap()
                    }
                };
                let shared = mine.ecdh(&theirs);
                if case.get("peer_key").is_some() {
                    let back = key("peer_key").ecdh(&mine.public_key());
                    same(shared.as_bytes(), back.as_bytes())?;
                }
                match case.get("shared") {
                    Some(_) => same(shared.as_bytes().to_vec(), bytes(case, "shared")),
                    None => Ok(()),
                }
            }
            "public" => {
                let public = key("key").public_key();
                same(public.to_xy().to_vec(), bytes(case, "public"))
            }
            kind => Err(format!("unknown kind {kind}")),
        }
    });
}
