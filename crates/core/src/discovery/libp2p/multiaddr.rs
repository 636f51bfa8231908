//! Where a peer is: `/ip4/<address>/tcp/<port>/ethv4/<peer id>`.
//!
//! Addresses of this shape only: an IPv4 or IPv6 address, a TCP port, and an identity under
//! `ethv4`, the name that Status gave it, or under `p2p` or `ipfs`, those of libp2p.
//!
//! Source: multiformats, "multiaddr".

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use super::{PeerId, PeerIdError, put_varint, read_varint};
use crate::explain::Explanation;

const IP4: u32 = 4;
const TCP: u32 = 6;
const IP6: u32 = 41;
const P2P: u32 = 421;
/// A number of Status, not in the table of multicodec.
const ETHV4: u32 = 0x01ea;

const SHAPE: &str = "/ip4/<address>/tcp/<port>/ethv4/<peer id>";

/// Why bytes or a text are not the address of a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultiaddrError {
    /// The text does not have the parts of an address, in this order.
    #[error("{got:?} is not where an address has {expected:?}; expected {SHAPE}")]
    Part { expected: &'static str, got: String },
    /// The address ends before a part.
    #[error("the address ends before {0:?}; expected {SHAPE}")]
    Missing(&'static str),
    /// The IP address is malformed.
    #[error("{0:?} is not an IP address of this kind; expected {SHAPE}")]
    Ip(String),
    /// The port is not a number from 1 to 65535.
    #[error("the port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// The identity is malformed.
    #[error("{0}")]
    PeerId(#[from] PeerIdError),
    /// The binary form is malformed, or has other parts.
    #[error("the binary address is malformed or has other parts than {SHAPE} (byte {at})")]
    Binary { at: usize },
    /// Something follows the identity.
    #[error("{0:?} follows the peer id; expected {SHAPE}")]
    Trailing(String),
}

impl MultiaddrError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Part { .. } | Self::Missing(_) | Self::Trailing(_) => "multiaddr.part",
            Self::Ip(_) => "multiaddr.ip",
            Self::Port(_) => "multiaddr.port",
            Self::PeerId(error) => error.code(),
            Self::Binary { .. } => "multiaddr.binary",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "multiaddr.part",
            rule: "The address of a rendezvous server is /ip4/<address>/tcp/<port>/ethv4/<peer id>.",
            source: "Status, \"Rendezvous\"; multiformats, \"multiaddr\"",
            causes: "A node URL, a name instead of an address, or another transport than TCP. \
                     ip6 can stand for ip4, and p2p or ipfs for ethv4.",
        },
        Explanation {
            code: "multiaddr.ip",
            rule: "After /ip4/ stands an IPv4 address, and after /ip6/ one of IPv6.",
            source: "multiformats, \"multiaddr\"",
            causes: "A name, brackets, or the address of the other version.",
        },
        Explanation {
            code: "multiaddr.port",
            rule: "A port is a number from 1 to 65535.",
            source: "multiformats, \"multiaddr\"",
            causes: "A server that listens on port 0 prints the port that it got: use that.",
        },
        Explanation {
            code: "multiaddr.binary",
            rule: "A binary address has the numbers 4 or 41, 6, and 490 or 421, each with its value.",
            source: "multiformats, \"multiaddr\"",
            causes: "Damage, or an address of other parts.",
        },
    ];
}

/// The identity of a peer and the TCP address where it listens.
///
/// Is written with `ethv4`, and read with `p2p` and `ipfs`, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiaddr {
    /// Address and port.
    pub address: SocketAddr,
    /// The identity.
    pub peer: PeerId,
}

impl Multiaddr {
    /// Returns the binary form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self.address.ip() {
            IpAddr::V4(ip) => {
                put_varint(&mut out, IP4);
                out.extend(ip.octets());
            }
            IpAddr::V6(ip) => {
                put_varint(&mut out, IP6);
                out.extend(ip.octets());
            }
        }
        put_varint(&mut out, TCP);
        out.extend(self.address.port().to_be_bytes());
        put_varint(&mut out, ETHV4);
        // No length, unlike that of `p2p`: it is always the same.
        out.extend(self.peer.to_bytes());
        out
    }

    /// Reads the binary form.
    ///
    /// # Errors
    ///
    /// If it is malformed, or has other parts.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MultiaddrError> {
        let mut rest = Parts { rest: bytes, at: 0 };
        let ip = match rest.varint()? {
            IP4 => IpAddr::from(Ipv4Addr::from(rest.array()?)),
            IP6 => IpAddr::from(Ipv6Addr::from(rest.array()?)),
            _ => return Err(MultiaddrError::Binary { at: 0 }),
        };
        let at = rest.at;
        if rest.varint()? != TCP {
            return Err(MultiaddrError::Binary { at });
        }
        let port = u16::from_be_bytes(rest.array()?);
        if port == 0 {
            return Err(MultiaddrError::Port(port.to_string()));
        }
        let at = rest.at;
        let length = match rest.varint()? {
            ETHV4 => rest.rest.len(),
            P2P => rest.varint()? as usize,
            _ => return Err(MultiaddrError::Binary { at }),
        };
        let peer = PeerId::from_bytes(rest.take(length)?)?;
        if !rest.rest.is_empty() {
            return Err(MultiaddrError::Binary { at: rest.at });
        }
        Ok(Self { address: SocketAddr::new(ip, port), peer })
    }
}

impl FromStr for Multiaddr {
    type Err = MultiaddrError;

    fn from_str(text: &str) -> Result<Self, MultiaddrError> {
        let Some(parts) = text.strip_prefix('/') else {
            return Err(MultiaddrError::Part { expected: "/", got: shown(text) });
        };
        let mut parts = parts.split('/');
        let mut next = |name| parts.next().ok_or(MultiaddrError::Missing(name));
        let bad_ip = |text: &str| MultiaddrError::Ip(shown(text));
        let ip = match next("ip4")? {
            "ip4" => {
                let text = next("<address>")?;
                IpAddr::V4(text.parse().map_err(|_| bad_ip(text))?)
            }
            "ip6" => {
                let text = next("<address>")?;
                IpAddr::V6(text.parse().map_err(|_| bad_ip(text))?)
            }
            got => return Err(MultiaddrError::Part { expected: "ip4", got: shown(got) }),
        };
        match next("tcp")? {
            "tcp" => {}
            got => return Err(MultiaddrError::Part { expected: "tcp", got: shown(got) }),
        }
        let port = next("<port>")?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port.parse() {
            Ok(port) if digits && port != 0 => port,
            _ => return Err(MultiaddrError::Port(shown(port))),
        };
        match next("ethv4")? {
            "ethv4" | "p2p" | "ipfs" => {}
            got => return Err(MultiaddrError::Part { expected: "ethv4", got: shown(got) }),
        }
        let peer = next("<peer id>")?.parse()?;
        match parts.next() {
            None => Ok(Self { address: SocketAddr::new(ip, port), peer }),
            Some(part) => Err(MultiaddrError::Trailing(shown(part))),
        }
    }
}

/// Shows the text form.
impl fmt::Display for Multiaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.address.is_ipv4() { "ip4" } else { "ip6" };
        let (ip, port) = (self.address.ip(), self.address.port());
        write!(f, "/{kind}/{ip}/tcp/{port}/ethv4/{}", self.peer)
    }
}

/// Shortens what an error quotes.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

struct Parts<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Parts<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], MultiaddrError> {
        let error = MultiaddrError::Binary { at: self.at };
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(error)?;
        self.rest = rest;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MultiaddrError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn varint(&mut self) -> Result<u32, MultiaddrError> {
        match read_varint(self.rest) {
            Ok(Some((value, used))) => {
                self.take(used)?;
                Ok(value)
            }
            _ => Err(MultiaddrError::Binary { at: self.at }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::SecretKey;

    fn peer() -> PeerId {
        PeerId::from_key(&SecretKey::from_bytes(&[7; 32]).unwrap().public_key())
    }

    proptest! {
        #[test]
        fn addresses_round_trip(ip: IpAddr, port in 1..=u16::MAX) {
            let address = Multiaddr { address: SocketAddr::new(ip, port), peer: peer() };
            prop_assert_eq!(address.to_string().parse(), Ok(address));
            prop_assert_eq!(Multiaddr::from_bytes(&address.to_bytes()), Ok(address));
            let bytes = address.to_bytes();
            for end in 0..bytes.len() {
                prop_assert!(Multiaddr::from_bytes(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn anything_is_an_address_or_an_error(text in "/(ip4|ip6|tcp|p2p|[0-9.]*|/)*", bytes: Vec<u8>) {
            let _ = text.parse::<Multiaddr>();
            let _ = Multiaddr::from_bytes(&bytes);
        }
    }

    #[test]
    fn the_length_is_there_under_p2p_only() {
        let address = Multiaddr { address: ([127, 0, 0, 1], 1).into(), peer: peer() };
        let ethv4 = address.to_bytes();
        assert_eq!(ethv4[..10], [4, 127, 0, 0, 1, 6, 0, 1, 0xea, 3]);
        let p2p = [&ethv4[..8], &[0xa5, 3, 39], &ethv4[10..]].concat();
        assert_eq!(Multiaddr::from_bytes(&p2p), Ok(address));
        assert!(Multiaddr::from_bytes(&[&ethv4[..], &[0]].concat()).is_err());
        assert!(Multiaddr::from_bytes(&[&p2p[..], &[0]].concat()).is_err());
    }

    #[test]
    fn other_shapes_are_refused() {
        let id = peer();
        let parse = |text: &str| text.replace("ID", &id.to_string()).parse::<Multiaddr>();
        let address = parse("/ip4/127.0.0.1/tcp/30703/ethv4/ID").unwrap();
        assert_eq!(parse("/ip4/127.0.0.1/tcp/30703/p2p/ID"), Ok(address));
        assert_eq!(parse("/ip4/127.0.0.1/tcp/30703/ipfs/ID"), Ok(address));
        assert!(parse("/ip6/::1/tcp/30703/ethv4/ID").is_ok());
        for (text, code) in [
            ("", "multiaddr.part"),
            ("enode://ab@1.2.3.4:5", "multiaddr.part"),
            ("/dns4/example.org/tcp/1/ethv4/ID", "multiaddr.part"),
            ("/ip4/127.0.0.1/udp/30703/ethv4/ID", "multiaddr.part"),
            ("/ip4/127.0.0.1/tcp/30703/ws/p2p/ID", "multiaddr.part"),
            ("/ip4", "multiaddr.part"),
            ("/ip4/127.0.0.1/tcp/30703", "multiaddr.part"),
            ("/ip4/127.0.0.1/tcp/30703/ethv4", "multiaddr.part"),
            ("/ip4/::1/tcp/30703/ethv4/ID", "multiaddr.ip"),
            ("/ip4/127.0.0.1/tcp/0/ethv4/ID", "multiaddr.port"),
            ("/ip4/127.0.0.1/tcp/+1/ethv4/ID", "multiaddr.port"),
            ("/ip4/127.0.0.1/tcp/65536/ethv4/ID", "multiaddr.port"),
            ("/ip4/127.0.0.1/tcp/1/ethv4/", "peer_id.length"),
            ("/ip4/127.0.0.1/tcp/1/ethv4/ID/", "multiaddr.part"),
        ] {
            assert_eq!(parse(text).unwrap_err().code(), code, "{text}");
        }
    }
}
