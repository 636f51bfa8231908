//! What travels: RLP, snappy, RLPx, node URLs, envelopes.

use data_encoding::BASE64;
use serde_json::Value;

use super::{Outcome, bytes, each, ensure, number, same, text};
use crate::{
    crypto::{SecretKey, hash::sha256, seeded_rng},
    devp2p::{DisconnectReason, Enode, Hello, handshake, snappy},
    envelope::{
        Bloom, Draft, Envelope, Opener, Recipient, SymKey, Topic, pow,
        seal::{open, seal},
    },
    rlp::{self, Item, Reader, RlpError},
    time::UnixSeconds,
};

/// Reads everything there is, at every depth.
fn walk(mut reader: Reader<'_>) -> Result<(), RlpError> {
    while !reader.is_empty() {
        if let Item::List(list) = reader.item("item")? {
            walk(list)?;
        }
    }
    reader.finish()
}

/// Returns whether the bytes are exactly one item, with all that is in it.
fn is_one_item(input: &[u8]) -> bool {
    let mut reader = Reader::new(input);
    let Ok(item) = reader.item("item") else { return false };
    reader.finish().is_ok()
        && match item {
            Item::List(list) => walk(list).is_ok(),
            Item::String(_) => true,
        }
}

/// Encodes a value of JSON: `string` says how a text becomes bytes.
fn encode(value: &Value, string: &impl Fn(&str) -> Vec<u8>, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => rlp::put_bytes(out, &string(text)),
        Value::Array(items) => {
            rlp::put_list(out, |out| items.iter().for_each(|it| encode(it, string, out)))
        }
        number => rlp::put_u64(out, number.as_u64().unwrap()),
    }
}

/// Reads the bytes of a text: `#` and decimal digits are a number.
fn bytes_of_text(text: &str) -> Vec<u8> {
    let Some(digits) = text.strip_prefix('#') else { return text.as_bytes().to_vec() };
    let mut number: Vec<u8> = Vec::new();
    for digit in digits.bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in number.iter_mut().rev() {
            carry += u32::from(*byte) * 10;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            number.insert(0, carry as u8);
        }
    }
    number
}

#[test]
fn rlp_of_others() {
    for file in ["ethereum_tests", "pyrlp_invalid"] {
        each(&format!("rlp/{file}.json"), &[], |case| {
            let out = bytes(case, "out");
            match case["in"].as_str() {
                Some("INVALID") => ensure(!is_one_item(&out), "read"),
                Some("VALID") => {
                    ensure(!is_one_item(&out) || walk(Reader::new(&out)).is_ok(), "refused")
                }
                _ => {
                    let mut encoded = Vec::new();
                    encode(&case["in"], &bytes_of_text, &mut encoded);
                    same(&encoded, &out)?;
                    ensure(is_one_item(&out), "refused")
                }
            }
        });
    }
    each("rlp/ethers.json", &[], |case| {
        let mut encoded = Vec::new();
        let bytes_of_hex = |text: &str| hex::decode(&text[2..]).unwrap();
        encode(&case["decoded"], &bytes_of_hex, &mut encoded);
        same(&encoded, &bytes(case, "encoded"))?;
        ensure(is_one_item(&encoded), "refused")
    });
    each("rlp/geth_decode.json", &[], |case| {
        let input = bytes(case, "input");
        let mut reader = Reader::new(&input);
        let read = match text(case, "type") {
            "bool" => reader.bool("it").map(drop),
            "uint32" => reader.u32("it").map(drop),
            "*uint" | "uint" | "*big.Int" | "big.Int" | "uint64" => reader.u64("it").map(drop),
            "[]byte" | "string" | "*[]byte" => reader.string("it").map(drop),
            "[0]byte" => reader.bytes::<0>("it").map(drop),
            "[1]byte" => reader.bytes::<1>("it").map(drop),
            "[5]byte" => reader.bytes::<5>("it").map(drop),
            "RawValue" => reader.raw_item("it").map(drop),
            "interface{}" | "[]interface{}" | "[]RawValue" => {
                reader.item("it").and_then(|item| match item {
                    Item::List(list) => walk(list),
                    Item::String(_) => Ok(()),
                })
            }
            "[]uint" | "[]*uint" => integers(&mut reader).map(drop),
            "[5]uint" => {
                let count = integers(&mut reader);
                return same(count.is_ok_and(|count| count == 5), case["ok"] == true);
            }
            other => return Err(format!("unknown type {other}")),
        };
        same(read.and_then(|()| reader.finish()).is_ok(), case["ok"] == true)
    });
}

fn integers(reader: &mut Reader<'_>) -> Result<usize, RlpError> {
    let mut list = reader.list("it")?;
    let mut count = 0;
    while !list.is_empty() {
        list.u64("integer")?;
        count += 1;
    }
    Ok(count)
}

#[test]
fn snappy_of_others() {
    each("snappy/golang_decode.json", &[], |case| {
        let read = snappy::decompress(&bytes(case, "block"), 1 << 20);
        same(read.ok(), case["payload"].as_str().map(|payload| hex::decode(payload).unwrap()))
    });
    each("snappy/files.json", &[], |case| {
        let block = BASE64.decode(text(case, "block_base64").as_bytes()).unwrap();
        let read = snappy::decompress(&block, 4 << 20);
        if case.get("payload").is_some_and(Value::is_null) {
            return ensure(read.is_err(), "read");
        }
        let read = read.map_err(|error| error.to_string())?;
        same(read.len() as u64, number(case, "payload_length"))?;
        same(sha256(&read).to_vec(), bytes(case, "payload_sha256"))
    });
    each("snappy/corpus.json", &[], |case| {
        let payload = BASE64.decode(text(case, "payload_base64").as_bytes()).unwrap();
        let block = snappy::compress(&payload).map_err(|error| error.to_string())?;
        same(snappy::decompress(&block, payload.len()).ok(), Some(payload))
    });
}

#[test]
fn handshakes_of_eip8() {
    each("rlpx/eip8_handshake.json", &[], |case| {
        let key =
            |member: &str| SecretKey::from_bytes(&bytes(case, member).try_into().unwrap()).unwrap();
        match text(case, "kind") {
            "auth" => {
                let auth = handshake::Auth::open(&key("responder_key"), &bytes(case, "packet"));
                let auth = auth.map_err(|error| error.to_string())?;
                same(auth.key, key("initiator_key").public_key())?;
                same(auth.nonce.to_vec(), bytes(case, "initiator_nonce"))?;
                same(auth.version, number(case, "version"))?;
                same(auth.signature.as_bytes().to_vec(), bytes(case, "signature"))?;
                let ephemeral = auth.ephemeral(&key("responder_key"));
                same(ephemeral, Ok(key("initiator_ephemeral").public_key()))
            }
            "ack" => {
                let ack = handshake::Ack::open(&key("initiator_key"), &bytes(case, "packet"));
                let ack = ack.map_err(|error| error.to_string())?;
                same(ack.ephemeral, key("responder_ephemeral").public_key())?;
                same(ack.nonce.to_vec(), bytes(case, "responder_nonce"))?;
                same(ack.version, number(case, "version"))
            }
            "secrets" => secrets(case, &key),
            kind => Err(format!("unknown kind {kind}")),
        }
    });
}

fn secrets(case: &Value, key: &impl Fn(&str) -> SecretKey) -> Outcome {
    let [initiator_nonce, responder_nonce] =
        ["initiator_nonce", "responder_nonce"].map(|it| bytes(case, it).try_into().unwrap());
    let (auth, ack) = (bytes(case, "auth"), bytes(case, "ack"));
    let exchange = handshake::Exchange {
        initiator_nonce: &initiator_nonce,
        responder_nonce: &responder_nonce,
        auth: &auth,
        ack: &ack,
    };
    let shared = key("responder_ephemeral").ecdh(&key("initiator_ephemeral").public_key());
    let secrets = exchange.responder(&shared, key("initiator_key").public_key());
    same(secrets.aes().to_vec(), bytes(case, "aes"))?;
    same(secrets.mac().to_vec(), bytes(case, "mac"))?;
    let mut ingress = secrets.ingress().clone();
    ingress.absorb(b"foo");
    same(ingress.digest().to_vec(), bytes(case, "responder_ingress_mac_after_foo"))
}

#[test]
fn first_messages_of_nim_eth() {
    each("rlpx/messages.json", &[], |case| {
        let payload = bytes(case, "payload");
        let mut reader = Reader::new(&payload);
        // Larger codes are none of the base protocol.
        let Ok(code) = reader.u32("code") else { return Ok(()) };
        if code >= 0x10 {
            return Ok(());
        }
        match code {
            0 => same(Hello::decode(reader.remaining()).is_err(), case.get("error").is_some()),
            // Whatever a Disconnect says, it ends the connection.
            1 => {
                let _ = DisconnectReason::decode_any(reader.remaining());
                Ok(())
            }
            _ => Ok(()),
        }
    });
}

#[test]
fn node_urls() {
    each("enode/geth_urlv4.json", NOT_LIKE_GETH, node_url);
    each("enode/nim_eth.json", NOT_LIKE_NIM, node_url);
    each("status_react/enodes.json", &[], |case| {
        let url = text(case, "url");
        let shown = url.parse().map(|enode: Enode| enode.to_string()).ok();
        // The app's tests made it up. It is no point of the curve.
        let made_up = url.starts_with("enode://12d8eb61");
        same(shown, (!made_up).then(|| url.to_owned()))
    });
}

const NOT_LIKE_GETH: &[(&str, &str)] = &[
    (
        "enode://1dd9d65c4552b5eb43d5ad55a2ee3f56c6cbc1c64a5c8d659f51fcd51bace24351232b8d7821617d2b29b54b81cdefb9b3e9c37d7fd5f63270bcc9e1a6f6a439@invalid.:3",
        "names are resolved when dialling",
    ),
    (
        "enode://1dd9d65c4552b5eb43d5ad55a2ee3f56c6cbc1c64a5c8d659f51fcd51bace24351232b8d7821617d2b29b54b81cdefb9b3e9c37d7fd5f63270bcc9e1a6f6a439",
        "a node without an address can't be dialled",
    ),
];
const NOT_LIKE_NIM: &[(&str, &str)] = &[
    (
        "enode://1dd9d65c4552b5eb43d5ad55a2ee3f56c6cbc1c64a5c8d659f51fcd51bace24351232b8d7821617d2b29b54b81cdefb9b3e9c37d7fd5f63270bcc9e1a6f6a439@hostname:3",
        "names are resolved when dialling, as in the reference",
    ),
    (
        "enode://1dd9d65c4552b5eb43d5ad55a2ee3f56c6cbc1c64a5c8d659f51fcd51bace24351232b8d7821617d2b29b54b81cdefb9b3e9c37d7fd5f63270bcc9e1a6f6a439:@1.1.1.255:52150",
        "an id is 128 hex digits and nothing else, as in the reference",
    ),
];

fn node_url(case: &Value) -> Outcome {
    let url = text(case, "url");
    let parsed = url.parse::<Enode>();
    same(parsed.is_ok(), case["ok"] == true)?;
    match parsed {
        Ok(enode) if case["canonical"] != false => same(&*enode.to_string(), url),
        _ => Ok(()),
    }
}

#[test]
fn envelopes_of_whisper() {
    each("whisper/known_values.json", &[], |case| {
        match text(case, "kind") {
            "pow" => {
                let topic = Topic(bytes(case, "topic").try_into().unwrap());
                let [ttl, expiry] = ["ttl", "expiry"].map(|it| number(case, it) as u32);
                let envelope = Envelope::new(
                    UnixSeconds(expiry),
                    ttl,
                    topic,
                    &bytes(case, "data"),
                    number(case, "nonce"),
                );
                let hash = pow::pow_hash(&envelope.rlp4(), envelope.nonce());
                same(hash.to_vec(), bytes(case, "hash"))?;
                same(envelope.pow(0), case["pow"].as_f64().unwrap())
            }
            "bloom" => {
                let topic = Topic(bytes(case, "topic").try_into().unwrap());
                let mut expected = [0; 64];
                for (at, value) in case["set_bytes"].as_object().unwrap() {
                    expected[at.parse::<usize>().unwrap()] = value.as_u64().unwrap() as u8;
                }
                same(Bloom::from_topic(topic), Bloom(expected))
            }
            "topic" => same(text(case, "json").parse::<Topic>().is_ok(), case["ok"] == true),
            "padding" => padding(case),
            "fuzz" => {
                let _ = Envelope::decode(&bytes(case, "bytes"));
                Ok(())
            }
            // Which of several envelopes is kept is not decided here.
            "order" => Ok(()),
            kind => Err(format!("unknown kind {kind}")),
        }
    });
}

fn padding(case: &Value) -> Outcome {
    let length = number(case, "payload_length") as usize;
    let signer = SecretKey::from_bytes(&[1; 32]).unwrap();
    let payload = vec![7; length];
    let signer = (case["signed"] == true).then_some(&signer);
    let draft = Draft {
        topic: Topic::default(),
        now: UnixSeconds::EPOCH,
        ttl: 1,
        payload: &payload,
        signer,
    };
    let key = SymKey::from_bytes([3; 32]).unwrap();
    let envelope = seal(&draft, Recipient::Sym(&key), &mut seeded_rng("padding"));
    let opened = open(&envelope.map_err(|error| error.to_string())?, Opener::Sym(&key));
    let opened = opened.map_err(|error| error.to_string())?;
    same(opened.padding.len() as u64, number(case, "padding_length"))
}
