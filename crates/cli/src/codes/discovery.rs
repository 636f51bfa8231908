//! Of discovery: datagrams and node records.

use crate::codes::Explanation;

const LEGACY: &str = "go-ethereum 1.9, discovery v5";

pub(super) const CODES: &[Explanation] = &[
    Explanation {
        code: "discovery.length",
        rule: "A datagram has a signature and a type, after its prefix or hash.",
        source: LEGACY,
        causes: "The datagram was cut.",
    },
    Explanation {
        code: "discovery.prefix",
        rule: "A datagram of legacy v5 starts with \"temporary discovery v5\".",
        source: LEGACY,
        causes: "Another protocol: v4 starts with a hash, and today's v5 looks random.",
    },
    Explanation {
        code: "discovery.hash",
        rule: "A datagram of v4 starts with the Keccak-256 of its rest.",
        source: "devp2p discv4",
        causes: "Damage, or another protocol.",
    },
    Explanation {
        code: "discovery.type",
        rule: "Types of packets are 1 to 8 in legacy v5, and 1 to 6 in v4.",
        source: LEGACY,
        causes: "A newer node, or damage.",
    },
    Explanation {
        code: "discovery.signature",
        rule: "The key of the sender is recovered from the signature of a datagram.",
        source: LEGACY,
        causes: "Damage. In legacy v5 it often gives another key instead, which is nobody's.",
    },
    Explanation {
        code: "discovery.too_long",
        rule: "Receivers read 1280 bytes of a datagram.",
        source: LEGACY,
        causes: "Too many nodes or topics in one packet.",
    },
    Explanation {
        code: "discovery.ticket_topics",
        rule: "A ticket is used with the topics that it was issued for, in their order.",
        source: LEGACY,
        causes: "A registration mixes tickets.",
    },
    Explanation {
        code: "discovery.ticket_wait_periods",
        rule: "A ticket has one waiting time for each topic.",
        source: LEGACY,
        causes: "The node that issued it has a fault.",
    },
    Explanation {
        code: "discovery.ticket_index",
        rule: "A registration names one of the topics of its ticket by its index.",
        source: LEGACY,
        causes: "The node that registers has a fault.",
    },
    Explanation {
        code: "discovery.ticket_pong",
        rule: "A ticket is the whole pong in which a node offered it.",
        source: LEGACY,
        causes: "The ticket was cut or changed.",
    },
    Explanation {
        code: "discovery.ticket_registrar",
        rule: "A ticket is valid at the node that signed it.",
        source: LEGACY,
        causes: "It was sent to another node.",
    },
    Explanation {
        code: "discovery.address_length",
        rule: "An address has 4 or 16 bytes.",
        source: LEGACY,
        causes: "The node that names it has a fault.",
    },
    Explanation {
        code: "discovery.address_unspecified",
        rule: "A node is not at the address 0.0.0.0 or ::.",
        source: LEGACY,
        causes: "The node does not know its own address yet.",
    },
    Explanation {
        code: "discovery.address_special",
        rule: "A node is not at an address that is set apart: multicast, documentation, and the like.",
        source: LEGACY,
        causes: "A fault, or an attempt to have others send there.",
    },
    Explanation {
        code: "discovery.address_loopback",
        rule: "Only a node on this machine can name an address of this machine.",
        source: LEGACY,
        causes: "A node that is set up for tests.",
    },
    Explanation {
        code: "discovery.address_lan",
        rule: "Only a node of the same network can name an address of a private one.",
        source: LEGACY,
        causes: "The node is behind a router and does not know its outer address.",
    },
    Explanation {
        code: "discovery.own_node",
        rule: "A node does not name the one that asks.",
        source: LEGACY,
        causes: "It is passed over, and no fault.",
    },
    Explanation {
        code: "discovery.low_port",
        rule: "Ports below 1024 belong to other services.",
        source: LEGACY,
        causes: "A fault, or an attempt to have others send there.",
    },
    Explanation {
        code: "discovery.no_tcp_port",
        rule: "A node that is named for connections has a TCP port.",
        source: LEGACY,
        causes: "It takes part in discovery only.",
    },
    Explanation {
        code: "discovery.node_key",
        rule: "The id of a node is a point of the curve.",
        source: LEGACY,
        causes: "Damage, or a node that does not exist.",
    },
    Explanation {
        code: "enr.prefix",
        rule: "The text of a node record starts with enr:.",
        source: "EIP-778",
        causes: "An enode URL, or another text.",
    },
    Explanation {
        code: "enr.base64",
        rule: "Behind enr: stands URL-safe base64 without padding.",
        source: "EIP-778",
        causes: "The text was cut or wrapped, or is the other base64.",
    },
    Explanation {
        code: "enr.too_large",
        rule: "A record has at most 300 bytes.",
        source: "EIP-778",
        causes: "Other bytes, or a node with a fault.",
    },
    Explanation {
        code: "enr.order",
        rule: "The keys of a record are in ascending order.",
        source: "EIP-778",
        causes: "A program with a fault has made it.",
    },
    Explanation {
        code: "enr.duplicate",
        rule: "Each key of a record appears once.",
        source: "EIP-778",
        causes: "A program with a fault has made it.",
    },
    Explanation {
        code: "enr.no_value",
        rule: "Each key of a record has a value.",
        source: "EIP-778",
        causes: "The record was cut.",
    },
    Explanation {
        code: "enr.scheme",
        rule: "The identity scheme of a record is v4.",
        source: "EIP-778",
        causes: "Another network: there is no other scheme in use.",
    },
    Explanation {
        code: "enr.public_key",
        rule: "A record has a compressed key under secp256k1.",
        source: "EIP-778",
        causes: "Damage, or a key in another form.",
    },
    Explanation {
        code: "enr.signature",
        rule: "The key of a record signs its contents.",
        source: "EIP-778",
        causes: "The record was changed after it was signed: check that the text is whole.",
    },
    Explanation {
        code: "discovery.timeout",
        rule: "A node answers a ping within half a second, and proves its address before it is asked.",
        source: LEGACY,
        causes: "The node is away, behind a firewall for UDP, speaks another protocol, or has another key.",
    },
    Explanation {
        code: "discovery.socket",
        rule: "Discovery sends and receives datagrams.",
        source: "UDP",
        causes: "The address is in use, not ours, or the network is down.",
    },
    Explanation {
        code: "discovery.other_record",
        rule: "A node sends its own record.",
        source: "EIP-868",
        causes: "A node that is broken, or lies.",
    },
];
