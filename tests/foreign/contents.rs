//! Content hashes.

use statuskit_core::account::Base;
use statuskit_eip::eip1577::{ContentHash, client};

use crate::{bytes, each, ensure, none, same, text, unhex};

#[test]
fn contents_of_the_resolvers_library() {
    each("eip1577/content_hash.json", none, |case| {
        let (kind, written) = (text(case, "kind"), text(case, "text"));
        let link = format!("/{kind}/{written}");
        if case["error"] == true {
            return ensure(link.parse::<ContentHash>().is_err(), "taken");
        }
        let bytes = bytes(case, "bytes");
        if case["encode"] == true {
            let hash: ContentHash = link.parse().map_err(|error| format!("{error:?}"))?;
            same(hex::encode(hash.to_bytes()), hex::encode(&bytes))?;
        }
        if case["decode"] == true {
            let hash = ContentHash::from_bytes(&bytes).map_err(|error| error.to_string())?;
            same(hash.kind(), kind)?;
            // That library writes version 1 of IPFS in base 32, and of IPNS in base 36.
            let base = if kind == "ipns" { Base::BASE36 } else { Base::BASE32 };
            let content = hash.cid().map_or_else(|| hash.content(), |cid| cid.to_v1(base));
            same(content, written.to_owned())?;
        }
        Ok(())
    });
}

#[test]
fn contents_of_the_app() {
    each("status_react/contenthash.json", none, |case| {
        let expected = &case["expect"];
        if let Some(digits) = case["decode"].as_str() {
            let decoded = client::decode(&unhex(digits));
            let expected = expected.as_object();
            let member = |name: &str| expected.map(|it| it[name].as_str().unwrap().to_owned());
            same(decoded.as_ref().map(|it| it.0.to_owned()), member("namespace"))?;
            return same(decoded.map(|it| it.1), member("hash"));
        }
        let asked = &case["encode"];
        let encoded = client::encode(text(asked, "namespace"), text(asked, "hash"));
        let expected = expected.as_str().map(|it| it.trim_start_matches("0x").to_owned());
        same(encoded.map(hex::encode), expected)
    });
}
