//! Node URLs: `enode://<128 hex digits>@<host>:<tcp port>[?discport=<udp port>]`.
//!
//! URLs are read as Status nodes read their static nodes and mailservers:
//!
//! - The scheme and the hex digits can have any case.
//! - IPv6 addresses are in brackets. Names are resolved when dialling.
//! - An empty `discport` counts as missing. The first of several is used.
//! - Other query keys, the path and the fragment are ignored.
//!
//! Source: devp2p `enode.md`, and the reference's parser where it says nothing.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use crate::{
    crypto::{KeyError, PublicKey},
    explain::Explanation,
};

/// The identity of a node and the address where it listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Enode {
    /// The node's static public key.
    pub id: PublicKey,
    /// The address or name of the host.
    pub host: Host,
    /// The port for RLPx connections.
    pub tcp: u16,
    /// The port for discovery. The same as `tcp` unless the URL has another one.
    pub udp: u16,
}

/// The host part of a node URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address. IPv4-mapped IPv6 addresses are read as IPv4, as the reference does.
    Ip(IpAddr),
    /// A name, resolved when dialling.
    Name(String),
}

/// Why a text is not a node URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnodeError {
    /// The scheme is another one, or missing.
    #[error("a node URL starts with enode://")]
    Scheme,
    /// The URL has no address after the id.
    #[error("the node URL has no address; expected enode://<id>@<host>:<port>")]
    NoAddress,
    /// The id is not the hex of a point.
    #[error("the node id: {0}; expected the 128 hex digits of a public key")]
    Id(KeyError),
    /// The id has another length.
    #[error("the node id has {0} hex digits; expected 128")]
    IdLength(usize),
    /// The host is neither an address nor a possible name.
    #[error("the host {0:?} is not an IPv4 address, [IPv6] address or name")]
    Host(String),
    /// The host has no port.
    #[error("the node URL has no TCP port; expected {host}:<port>")]
    NoPort { host: String },
    /// A port is not a number from 0 to 65535.
    #[error("the {what} port {got:?} is not a number from 0 to 65535")]
    Port { what: &'static str, got: String },
}

impl EnodeError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Scheme => "enode.scheme",
            Self::NoAddress => "enode.no_address",
            Self::Id(_) | Self::IdLength(_) => "enode.id",
            Self::Host(_) => "enode.host",
            Self::NoPort { .. } | Self::Port { .. } => "enode.port",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "enode.scheme",
            rule: "A node URL is enode://128_HEX_DIGITS@HOST:PORT.",
            source: "devp2p, Node URL",
            causes: "An ENR (enr:…) or a multiaddress: another kind of name.",
        },
        Explanation {
            code: "enode.no_address",
            rule: "After the node id come @, a host and a TCP port.",
            source: "devp2p, Node URL",
            causes: "The URL was cut.",
        },
        Explanation {
            code: "enode.id",
            rule: "The node id is a point of secp256k1: 128 hex digits, without the leading 04.",
            source: "devp2p, Node URL",
            causes: "The key's 04 was left in front, or a digit was lost.",
        },
        Explanation {
            code: "enode.host",
            rule: "The host is an IPv4 address, an IPv6 address in brackets, or a name.",
            source: "devp2p, Node URL",
            causes: "An IPv6 address without brackets.",
        },
        Explanation {
            code: "enode.port",
            rule: "The TCP port is a number from 0 to 65535; ?discport= may follow.",
            source: "devp2p, Node URL",
            causes: "A name of a service in place of its number.",
        },
    ];
}

impl Enode {
    /// Makes the URL of a node that listens at an address, with discovery on the same port.
    pub fn new(id: PublicKey, ip: IpAddr, port: u16) -> Self {
        Self { id, host: Host::Ip(ip.to_canonical()), tcp: port, udp: port }
    }
}

impl FromStr for Enode {
    type Err = EnodeError;

    fn from_str(text: &str) -> Result<Self, EnodeError> {
        let parts = Parts::split(text)?;
        let id = parse_id(parts.id)?;
        let (host, tcp) = split_port(parts.address)?;
        let host = match host.parse::<Ipv6Addr>() {
            // Without brackets, as the reference reads it, too.
            Ok(ip) => Host::Ip(IpAddr::V6(ip).to_canonical()),
            Err(_) => host.parse()?,
        };
        let (tcp, udp) = parts.ports(tcp)?;
        Ok(Self { id, host, tcp, udp })
    }
}

/// A node URL in its parts, of which only the scheme is checked.
pub(crate) struct Parts<'a> {
    pub id: &'a str,
    pub address: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    pub fn split(text: &'a str) -> Result<Self, EnodeError> {
        let rest = strip_scheme(text).ok_or(EnodeError::Scheme)?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = rest.split('/').next().unwrap_or_default();
        let (id, address) = authority.rsplit_once('@').ok_or(EnodeError::NoAddress)?;
        Ok(Self { id, address, query })
    }

    /// Returns the ports for connections and for discovery.
    pub fn ports(&self, tcp: &str) -> Result<(u16, u16), EnodeError> {
        let tcp = parse_port("TCP", tcp)?;
        let udp = self.query.split('&').find_map(|pair| pair.strip_prefix("discport="));
        let udp = match udp {
            None | Some("") => tcp,
            Some(port) => parse_port("discovery", port)?,
        };
        Ok((tcp, udp))
    }
}

/// Returns what follows `enode://`.
pub(crate) fn strip_scheme(text: &str) -> Option<&str> {
    const SCHEME: &str = "enode://";
    let (scheme, rest) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

/// Shows the URL, without `discport` if the ports are the same.
impl fmt::Display for Enode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "enode://{}@{}:{}", hex::encode(self.id.to_xy()), self.host, self.tcp)?;
        if self.udp != self.tcp {
            write!(f, "?discport={}", self.udp)?;
        }
        Ok(())
    }
}

impl FromStr for Host {
    type Err = EnodeError;

    /// Reads an IPv4 address, an IPv6 address in brackets, or a name.
    fn from_str(text: &str) -> Result<Self, EnodeError> {
        let wrong = || EnodeError::Host(text.to_owned());
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(wrong)?;
            let ip: Ipv6Addr = inner.parse().map_err(|_| wrong())?;
            return Ok(Self::Ip(IpAddr::V6(ip).to_canonical()));
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        if is_name(text) { Ok(Self::Name(text.to_owned())) } else { Err(wrong()) }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

pub(crate) fn parse_id(text: &str) -> Result<PublicKey, EnodeError> {
    PublicKey::from_slice(&parse_xy(text)?).map_err(EnodeError::Id)
}

/// Reads 128 hex digits.
pub(crate) fn parse_xy(text: &str) -> Result<[u8; 64], EnodeError> {
    // `hex` accepts no prefix, and the reference rejects 0x as well.
    let bytes = hex::decode(text).map_err(|error| match error {
        hex::FromHexError::InvalidHexCharacter { index, .. } => {
            EnodeError::Id(KeyError::Hex { what: "the public key", at: index })
        }
        _ => EnodeError::IdLength(text.len()),
    })?;
    bytes.try_into().map_err(|_| EnodeError::IdLength(text.len()))
}

/// Splits `host:port` at the colon after the host, which may be an IPv6 address in brackets.
pub(crate) fn split_port(address: &str) -> Result<(&str, &str), EnodeError> {
    let no_port = || EnodeError::NoPort { host: address.to_owned() };
    if address.starts_with('[') {
        let end = address.find(']').ok_or_else(|| EnodeError::Host(address.to_owned()))?;
        let (host, rest) = address.split_at(end + 1);
        return Ok((host, rest.strip_prefix(':').ok_or_else(no_port)?));
    }
    address.rsplit_once(':').ok_or_else(no_port)
}

/// Reads a port. Accepts digits only, since `u16::from_str` would accept a sign.
fn parse_port(what: &'static str, text: &str) -> Result<u16, EnodeError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if digits { text.parse().ok() } else { None };
    port.ok_or_else(|| EnodeError::Port { what, got: text.to_owned() })
}

/// Returns whether the text can be a host name. If its last label is a number, it is a mistyped
/// address.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let numeric = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 254 && name.split('.').all(label) && !name.rsplit('.').next().is_some_and(numeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "f4d08ad3aefb6e223317e241b80a6b4023c7d32b3dd63687229792b8bc61cfbe\
                      2a487b9e048f9994a8e7191104515e546c3dedbfdc744e263710ba9f5e46a1dc";

    fn parse(address: &str) -> Result<Enode, EnodeError> {
        format!("enode://{ID}@{address}").parse()
    }

    #[test]
    fn canonical_texts_round_trip() {
        for address in [
            "85.2.3.4:30303",
            "85.2.3.4:30303?discport=30301",
            "85.2.3.4:30303?discport=0",
            "[2a01::5]:30303",
            "[::1]:1?discport=2",
            "1.2.3.4:0",
            "1.2.3.4:65535",
            "mail-01.example.org:443",
            "localhost:30303",
        ] {
            let text = format!("enode://{ID}@{address}");
            assert_eq!(text.parse::<Enode>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_forms_are_read_as_the_reference_does() {
        for (address, canonical, udp) in [
            ("85.2.3.4:30303?discport=30303", "85.2.3.4:30303", 30303),
            ("85.2.3.4:30303?discport=", "85.2.3.4:30303", 30303),
            ("85.2.3.4:30303?x=1&discport=1", "85.2.3.4:30303?discport=1", 1),
            ("85.2.3.4:30303?discport=1&discport=2", "85.2.3.4:30303?discport=1", 1),
            ("85.2.3.4:30303/path#frag", "85.2.3.4:30303", 30303),
            ("[::ffff:1.2.3.4]:30303", "1.2.3.4:30303", 30303),
            ("2a01::5:30303", "[2a01::5]:30303", 30303),
        ] {
            let node = parse(address).unwrap();
            assert_eq!(node.to_string(), format!("enode://{ID}@{canonical}"));
            assert_eq!(node.udp, udp);
        }
        let upper = format!("ENODE://{}@1.2.3.4:5", ID.to_uppercase());
        assert_eq!(upper.parse::<Enode>().unwrap().to_string(), format!("enode://{ID}@1.2.3.4:5"));
    }

    #[test]
    fn errors_name_the_part() {
        for (address, code) in [
            ("1.2.3.4", "enode.port"),
            ("1.2.3.4:", "enode.port"),
            ("1.2.3.4:65536", "enode.port"),
            ("1.2.3.4:-1", "enode.port"),
            ("1.2.3.4:+1", "enode.port"),
            ("1.2.3.4:5 ", "enode.port"),
            ("1.2.3.4:5?discport=x", "enode.port"),
            ("1.2.3.4:5?discport=65536", "enode.port"),
            ("[::1]", "enode.port"),
            ("[::1]5", "enode.port"),
            ("[::1:5", "enode.host"),
            (":5", "enode.host"),
            ("256.1.1.1:5", "enode.host"),
            ("1.2.3.04:5", "enode.host"),
            ("a b:5", "enode.host"),
        ] {
            assert_eq!(parse(address).unwrap_err().code(), code, "{address}");
        }
        for (text, code) in [
            ("", "enode.scheme"),
            ("enode:", "enode.scheme"),
            ("enodé://", "enode.scheme"),
            (&format!("http://{ID}@1.2.3.4:5"), "enode.scheme"),
            (&format!(" enode://{ID}@1.2.3.4:5"), "enode.scheme"),
            (&format!("{ID}@1.2.3.4:5"), "enode.scheme"),
            (&format!("enode://{ID}"), "enode.no_address"),
            ("enode://1.2.3.4:5", "enode.no_address"),
            ("enode://@1.2.3.4:5", "enode.id"),
            (&format!("enode://{ID}00@1.2.3.4:5"), "enode.id"),
            (&format!("enode://{}@1.2.3.4:5", &ID[1..]), "enode.id"),
            (&format!("enode://{ID}:pw@1.2.3.4:5"), "enode.id"),
            (&format!("enode://0x{ID}@1.2.3.4:5"), "enode.id"),
            (&format!("enode://{}@1.2.3.4:5", "0".repeat(128)), "enode.id"),
        ] {
            assert_eq!(text.parse::<Enode>().unwrap_err().code(), code, "{text}");
        }
    }
}
