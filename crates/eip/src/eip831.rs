//! EIP-831: how every `ethereum:` link begins.
//!
//! `ethereum:` [prefix `-`] payload. Without a prefix the payload begins with `0x`, and the prefix
//! `pay` is meant.

/// The longest link that is read, in bytes.
pub const MAX_LINK: usize = 64 << 10;

const SCHEME: &str = "ethereum";

/// The parts of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EthereumUri<'a> {
    /// What stands before the first hyphen, unless the payload begins with `0x`.
    pub prefix: Option<&'a str>,
    /// The rest.
    pub payload: &'a str,
}

impl<'a> EthereumUri<'a> {
    /// Splits a link. `None` if it does not begin with `ethereum:`, in any case.
    pub fn parse(link: &'a str) -> Option<Self> {
        let (scheme, rest) = link.split_once(':')?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        // A hyphen behind the target belongs to an argument.
        let target = &rest[..rest.find(['@', '/', '?']).unwrap_or(rest.len())];
        if is_hex_start(rest) {
            return Some(Self { prefix: None, payload: rest });
        }
        Some(match target.split_once('-') {
            Some((prefix, _)) => Self { prefix: Some(prefix), payload: &rest[prefix.len() + 1..] },
            None => Self { prefix: None, payload: rest },
        })
    }

    /// The prefix that counts: `pay` if there is none.
    pub fn purpose(&self) -> &'a str {
        self.prefix.unwrap_or("pay")
    }
}

/// Whether a text begins with `0x`.
pub(crate) fn is_hex_start(text: &str) -> bool {
    text.starts_with("0x") || text.starts_with("0X")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_split() {
        for (link, prefix, payload) in [
            ("ethereum:0xAB", None, "0xAB"),
            ("ethereum:0xAB?string=a-b", None, "0xAB?string=a-b"),
            ("ETHEREUM:pay-0xAB", Some("pay"), "0xAB"),
            ("ethereum:foo-doge-to-the-moon.eth", Some("foo"), "doge-to-the-moon.eth"),
            ("ethereum:a.eth/f?string=x-y", None, "a.eth/f?string=x-y"),
            ("ethereum:-x", Some(""), "x"),
            ("ethereum:", None, ""),
        ] {
            assert_eq!(EthereumUri::parse(link), Some(EthereumUri { prefix, payload }), "{link}");
        }
        assert_eq!(EthereumUri::parse("bitcoin:0x12"), None);
        assert_eq!(EthereumUri::parse("random"), None);
        assert_eq!(EthereumUri::parse("ethereum:0x1").map(|it| it.purpose()), Some("pay"));
    }
}
