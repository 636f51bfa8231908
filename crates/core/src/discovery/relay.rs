//! Which nodes and addresses a stranger can name to us.
//!
//! A node could otherwise make others send packets into their own networks, or to addresses where
//! no node can be.
//!
//! Source: go-ethereum 1.9 `p2p/netutil`; the special networks are those of RFC 6890.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::explain::Explanation;

use super::{NodeEntry, NodeKey, node::ip_addr};

/// Discovery ports up to this one are not used when a stranger names them.
pub const MAX_LOW_PORT: u16 = 1024;

/// Why a named node or address is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The address has another length than 4 or 16 bytes.
    #[error("the address has {}; expected 4 or 16", crate::text::count(.0, "byte"))]
    Length(usize),
    /// The address is `0.0.0.0` or `::`.
    #[error("the address is unspecified")]
    Unspecified,
    /// The address is a multicast address, or of a network for special purposes.
    #[error("{0} belongs to a special network")]
    Special(IpAddr),
    /// A loopback address from another host.
    #[error("{0} is a loopback address from another host")]
    Loopback(IpAddr),
    /// An address of a local network from outside.
    #[error("{0} is an address of a local network, from outside of one")]
    Lan(IpAddr),
    /// The named node is the own one.
    #[error("the node is the own one")]
    Own,
    /// The discovery port is too low.
    #[error("the UDP port {0} is not above {MAX_LOW_PORT}")]
    LowPort(u16),
    /// The node has no port for connections.
    #[error("the node has no TCP port")]
    NoTcpPort,
    /// The id is not a point of the curve.
    #[error("the id is not a public key")]
    Key,
}

impl RelayError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length(_) => "discovery.address_length",
            Self::Unspecified => "discovery.address_unspecified",
            Self::Special(_) => "discovery.address_special",
            Self::Loopback(_) => "discovery.address_loopback",
            Self::Lan(_) => "discovery.address_lan",
            Self::Own => "discovery.own_node",
            Self::LowPort(_) => "discovery.low_port",
            Self::NoTcpPort => "discovery.no_tcp_port",
            Self::Key => "discovery.node_key",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "discovery.address_length",
            rule: "An address has 4 or 16 bytes.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "The node that names it has a fault.",
        },
        Explanation {
            code: "discovery.address_unspecified",
            rule: "A node is not at the address 0.0.0.0 or ::.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "The node does not know its own address yet.",
        },
        Explanation {
            code: "discovery.address_special",
            rule: "A node is not at an address that is set apart: multicast, documentation, and the like.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "A fault, or an attempt to have others send there.",
        },
        Explanation {
            code: "discovery.address_loopback",
            rule: "Only a node on this machine can name an address of this machine.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "A node that is set up for tests.",
        },
        Explanation {
            code: "discovery.address_lan",
            rule: "Only a node of the same network can name an address of a private one.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "The node is behind a router and does not know its outer address.",
        },
        Explanation {
            code: "discovery.own_node",
            rule: "A node does not name the one that asks.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "It is passed over, and no fault.",
        },
        Explanation {
            code: "discovery.low_port",
            rule: "Ports below 1024 belong to other services.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "A fault, or an attempt to have others send there.",
        },
        Explanation {
            code: "discovery.no_tcp_port",
            rule: "A node that is named for connections has a TCP port.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "It takes part in discovery only.",
        },
        Explanation {
            code: "discovery.node_key",
            rule: "The id of a node is a point of the curve.",
            source: "go-ethereum 1.9, discovery v5",
            causes: "Damage, or a node that does not exist.",
        },
    ];
}

/// Checks an address that a node at `sender` names.
///
/// # Errors
///
/// If the address is impossible, or nearer to us than the sender is.
pub fn check_address(sender: IpAddr, address: &[u8]) -> Result<IpAddr, RelayError> {
    let ip = ip_addr(address).ok_or(RelayError::Length(address.len()))?;
    let sender = sender.to_canonical();
    if ip.is_unspecified() {
        return Err(RelayError::Unspecified);
    }
    if is_special(ip) {
        return Err(RelayError::Special(ip));
    }
    if ip.is_loopback() && !sender.is_loopback() {
        return Err(RelayError::Loopback(ip));
    }
    if is_lan(ip) && !is_lan(sender) {
        return Err(RelayError::Lan(ip));
    }
    Ok(ip)
}

/// Checks a node that is not known yet, as one at `sender` names it. Returns where it does discovery.
///
/// # Errors
///
/// If the node can't be used.
pub fn check_node(
    own: &NodeKey,
    sender: IpAddr,
    node: &NodeEntry,
) -> Result<SocketAddr, RelayError> {
    if node.key == *own {
        return Err(RelayError::Own);
    }
    let port = node.endpoint.udp;
    if port <= MAX_LOW_PORT {
        return Err(RelayError::LowPort(port));
    }
    let ip = check_address(sender, &node.endpoint.ip)?;
    if node.endpoint.tcp == 0 {
        return Err(RelayError::NoTcpPort);
    }
    node.key.public_key().map_err(|_| RelayError::Key)?;
    Ok(SocketAddr::new(ip, port))
}

/// Returns whether an address is one of a local network, or loopback.
pub fn is_lan(ip: IpAddr) -> bool {
    const V4: [(Ipv4Addr, u32); 4] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),
        (Ipv4Addr::new(10, 0, 0, 0), 8),
        (Ipv4Addr::new(172, 16, 0, 0), 12),
        (Ipv4Addr::new(192, 168, 0, 0), 16),
    ];
    match ip {
        _ if ip.is_loopback() => true,
        IpAddr::V4(ip) => V4.iter().any(|(net, bits)| in_v4(ip, *net, *bits)),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_unique_local(),
    }
}

/// Returns whether no node can be at an address: multicast, and networks for special purposes.
pub fn is_special(ip: IpAddr) -> bool {
    const V4: [(Ipv4Addr, u32); 13] = [
        (Ipv4Addr::new(192, 0, 0, 0), 29),
        (Ipv4Addr::new(192, 0, 0, 9), 32),
        (Ipv4Addr::new(192, 0, 0, 170), 32),
        (Ipv4Addr::new(192, 0, 0, 171), 32),
        (Ipv4Addr::new(192, 0, 2, 0), 24),
        (Ipv4Addr::new(192, 31, 196, 0), 24),
        (Ipv4Addr::new(192, 52, 193, 0), 24),
        (Ipv4Addr::new(192, 88, 99, 0), 24),
        (Ipv4Addr::new(192, 175, 48, 0), 24),
        (Ipv4Addr::new(198, 18, 0, 0), 15),
        (Ipv4Addr::new(198, 51, 100, 0), 24),
        (Ipv4Addr::new(203, 0, 113, 0), 24),
        (Ipv4Addr::new(255, 255, 255, 255), 32),
    ];
    const V6: [(Ipv6Addr, u32); 11] = [
        (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64),
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
        (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 1), 128),
        (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48),
        (Ipv6Addr::new(0x2001, 3, 0, 0, 0, 0, 0, 0), 32),
        (Ipv6Addr::new(0x2001, 4, 0x112, 0, 0, 0, 0, 0), 48),
        (Ipv6Addr::new(0x2001, 5, 0, 0, 0, 0, 0, 0), 32),
        (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28),
        (Ipv6Addr::new(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 28),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
        (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    ];
    match ip {
        _ if ip.is_multicast() => true,
        IpAddr::V4(ip) => V4.iter().any(|(net, bits)| in_v4(ip, *net, *bits)),
        IpAddr::V6(ip) => V6.iter().any(|(net, bits)| in_v6(ip, *net, *bits)),
    }
}

fn in_v4(ip: Ipv4Addr, net: Ipv4Addr, bits: u32) -> bool {
    (ip.to_bits() ^ net.to_bits()).leading_zeros() >= bits
}

fn in_v6(ip: Ipv6Addr, net: Ipv6Addr, bits: u32) -> bool {
    (ip.to_bits() ^ net.to_bits()).leading_zeros() >= bits
}
