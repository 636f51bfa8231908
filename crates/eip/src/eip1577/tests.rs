use proptest::prelude::*;

use super::*;

const SHA: &str = "29f2d17be6139079dc48696d1f582a8530eb9805b561eda517e22a892c7e3f1f";
const V0: &str = "QmRAQB6YaCyidP37UdDnjFY5vQuiBrcqdyoW1CuDgwxkD4";
const V1: &str = "bafybeibj6lixxzqtsb45ysdjnupvqkufgdvzqbnvmhw2kf7cfkesy7r7d4";

fn decode(text: &str) -> Result<ContentHash, ContentHashError> {
    ContentHash::from_bytes(&hex::decode(text).unwrap())
}

#[test]
fn every_namespace_comes_back() {
    for (bytes, path, uri) in [
        (format!("e3010170 1220{SHA}"), format!("/ipfs/{V0}"), format!("ipfs://{V0}")),
        (format!("e5010170 1220{SHA}"), format!("/ipns/{V0}"), format!("ipns://{V0}")),
        (
            "e5010170000e646f63732e7374617475732e696d".into(),
            "/ipns/docs.status.im".into(),
            "ipns://docs.status.im".into(),
        ),
        (format!("e40101fa011b20{SHA}"), format!("/swarm/{SHA}"), format!("bzz://{SHA}")),
        (
            "bc037a716b746c776934666563766f367269".into(),
            "/onion/zqktlwi4fecvo6ri".into(),
            "onion://zqktlwi4fecvo6ri".into(),
        ),
        (
            format!(
                "bd03{}",
                hex::encode("p53lf57qovyuvwsc6xnrppyply3vtqm7l6pcobkmyqsiofyeznfu5uqd")
            ),
            "/onion3/p53lf57qovyuvwsc6xnrppyply3vtqm7l6pcobkmyqsiofyeznfu5uqd".into(),
            "onion3://p53lf57qovyuvwsc6xnrppyply3vtqm7l6pcobkmyqsiofyeznfu5uqd".into(),
        ),
        (
            "90b2ca05cacdf63edf2e0bb4eb5711dd38b0723aca5f3c4ab62ceeb7c1110740833d4894".into(),
            "/arweave/ys32Pt8uC7TrVxHdOLByOspfPEq2LO63wREHQIM9SJQ".into(),
            "ar://ys32Pt8uC7TrVxHdOLByOspfPEq2LO63wREHQIM9SJQ".into(),
        ),
        (
            format!("90b2c605{}", "00".repeat(34)),
            format!("/skynet/{}", "A".repeat(46)),
            format!("sia://{}", "A".repeat(46)),
        ),
    ] {
        let bytes = bytes.replace(' ', "");
        let hash = decode(&bytes).unwrap_or_else(|error| panic!("{bytes}: {error}"));
        assert_eq!((hash.to_path(), hash.to_uri()), (path, uri));
        assert_eq!(hex::encode(hash.to_bytes()), bytes);
        assert_eq!(hash.to_path().parse(), Ok(hash.clone()));
        assert_eq!(hash.to_uri().parse(), Ok(hash));
    }
}

#[test]
fn pasted_texts_are_read() {
    let ipfs = decode(&format!("e30101701220{SHA}")).unwrap();
    for text in [
        V0.to_owned(),
        V1.to_owned(),
        V1.to_uppercase(),
        format!(" ipfs://{V1}/ "),
        format!("ipfs://ipfs/{V0}"),
        format!("IPFS://{V0}"),
        format!("/ipfs/{V0}"),
        format!("https://ipfs.io/ipfs/{V0}"),
        format!("f01701220{SHA}"),
        ipfs.cid().unwrap().to_v1(statuskit_core::account::Base::BASE58),
    ] {
        assert_eq!(text.parse(), Ok(ipfs.clone()), "{text}");
    }
    let key =
        "e50101720024080112205cbd1cc86ac20d6640795809c2a185bb2504538a2de8076da5a6971b8acb4715";
    for text in [
        "k51qzi5uqu5dihst24f3rp2ej4co9berxohfkxaenbq1wjty7nrd5e9xp4afx1",
        "ipns://12D3KooWG4NvqQVczTrWY1H2tvsJmbQf5bbA3xGYXC4FM3wWCfE4",
    ] {
        assert_eq!(
            text.parse::<ContentHash>().map(|it| hex::encode(it.to_bytes())),
            Ok(key.into())
        );
    }
    let name = "zqktlwi4fecvo6ri".parse::<ContentHash>().unwrap();
    assert_eq!((name.kind(), "zqktlwi4fecvo6ri.onion".parse()), ("onion", Ok(name)));
    assert_eq!(SHA.parse::<ContentHash>().unwrap().kind(), "swarm");
}

#[test]
fn other_texts_are_refused() {
    for (text, code) in [
        ("", "contenthash.empty"),
        ("nothing", "contenthash.text"),
        ("/http/x", "contenthash.text"),
        ("/ipfs/notahash", "contenthash.text"),
        ("/swarm/xyz", "contenthash.text"),
        ("/swarm/00", "contenthash.length"),
        ("ipns://12uA8M8Ku8mHUumxHcu7uee", "contenthash.text"),
        ("ipfs://", "contenthash.empty"),
        (&format!("/ipfs/{V0}/index.html"), "contenthash.path"),
        ("onion://ZQKTLWI4FECVO6RI", "contenthash.contents"),
        (&"a".repeat(100_000), "contenthash.too_long"),
    ] {
        assert_eq!(text.parse::<ContentHash>().unwrap_err().code(), code, "{text}");
    }
}

#[test]
fn malformed_bytes_are_refused() {
    for (bytes, code) in [
        ("", "contenthash.empty"),
        ("abcdef1234567890", "contenthash.namespace"),
        ("e3", "contenthash.varint"),
        ("e38000", "contenthash.varint"),
        (&format!("e301{}", "ff".repeat(12)), "contenthash.varint"),
        (&format!("e3011220{SHA}"), "contenthash.cid_version"),
        (&format!("e30101701220{}", &SHA[2..]), "contenthash.length"),
        (&format!("e30101701220{SHA}00"), "contenthash.length"),
        (&format!("e40101701b20{SHA}"), "contenthash.contents"),
        ("bc03", "contenthash.length"),
        (&format!("e3{}", "00".repeat(2000)), "contenthash.too_long"),
    ] {
        assert_eq!(decode(bytes).unwrap_err().code(), code, "{bytes}");
    }
}

#[test]
fn the_client_of_2020() {
    let decode = |text: &str| client::decode(&hex::decode(text).unwrap());
    assert_eq!(decode(&format!("e30101701220{SHA}")), Some(("ipfs", V0.into())));
    assert_eq!(decode(&format!("e40101fa011b20{SHA}")), Some(("swarm", SHA.into())));
    let raw = decode(&format!("e30101551220{SHA}")).unwrap().1;
    assert!(raw.starts_with("zb2rh") && raw.parse::<ContentHash>().is_ok());
    assert_eq!(decode("abcdef1234567890"), None);
    assert_eq!(client::encode("ipfs", V0).map(hex::encode), Some(format!("e3011220{SHA}")));
    assert_eq!(client::encode("ipfs", "0xabcdef1234567890"), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        namespace in prop_oneof![
            Just("e30101"), Just("e40101fa011b"), Just("e50101"), Just("bc03"), Just("bd03"), Just("90b2ca05"), Just(""),
        ],
        rest: Vec<u8>,
    ) {
        let bytes = [hex::decode(namespace).unwrap(), rest].concat();
        if let Ok(hash) = ContentHash::from_bytes(&bytes) {
            prop_assert_eq!(hash.to_bytes(), bytes.clone());
        }
        let _ = client::decode(&bytes);
    }

    #[test]
    fn contents_come_back(codec in 0..0x1000_u64, digest in proptest::collection::vec(any::<u8>(), 1..64)) {
        let hash = Multihash { code: 0x1e, digest };
        for content in [ContentHash::Ipfs(Cid { codec, hash: hash.clone() }), ContentHash::Ipns(Cid { codec, hash })] {
            prop_assert_eq!(ContentHash::from_bytes(&content.to_bytes()), Ok(content.clone()));
            prop_assert_eq!(content.to_uri().parse(), Ok(content.clone()));
            prop_assert_eq!(content.to_path().parse(), Ok(content));
        }
    }
}
