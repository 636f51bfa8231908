//! Functions, events and interfaces of known contracts, found by their selectors, topics and ids.
//!
//! | contract | source |
//! | --- | --- |
//! | tokens | EIP-20; `approveAndCall` of the Status token |
//! | detection of interfaces | EIP-165 |
//! | collectibles | EIP-721 |
//! | ENS registry, resolvers, reverse registrar | EIP-137, EIP-181, EIP-634, EIP-1577 |
//! | user names of Status | the registrar of `stateofus.eth` |
//! | sticker packs | the sticker market of Status |

use std::sync::LazyLock;

use crate::abi::{Event, Function};

/// A function or event of a known contract.
#[derive(Debug, Clone)]
pub struct Known<T> {
    /// The standard or contract, such as `EIP-20`.
    pub standard: &'static str,
    /// What it is.
    pub item: T,
}

/// An interface that contracts can announce by EIP-165.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// The name, such as `ERC721Metadata`.
    pub name: &'static str,
    /// Where it is defined.
    pub standard: &'static str,
    /// Its id.
    pub id: [u8; 4],
    /// The signatures of its functions.
    pub functions: &'static [&'static str],
}

/// Returns all known functions.
pub fn functions() -> &'static [Known<Function>] {
    static ALL: LazyLock<Vec<Known<Function>>> = LazyLock::new(|| parse(FUNCTIONS));
    &ALL
}

/// Returns all known events.
pub fn events() -> &'static [Known<Event>] {
    static ALL: LazyLock<Vec<Known<Event>>> = LazyLock::new(|| parse(EVENTS));
    &ALL
}

/// Returns the known functions with a selector. Several standards may share one.
pub fn functions_by_selector(selector: [u8; 4]) -> impl Iterator<Item = &'static Known<Function>> {
    functions().iter().filter(move |known| known.item.selector() == selector)
}

/// Returns the known events with this first topic. Several standards may share one.
pub fn events_by_topic(topic: [u8; 32]) -> impl Iterator<Item = &'static Known<Event>> {
    events().iter().filter(move |known| known.item.topic() == topic)
}

/// Returns the known interfaces.
pub fn interfaces() -> &'static [Interface] {
    INTERFACES
}

fn parse<T: std::str::FromStr>(
    groups: &[(&'static str, &'static [&'static str])],
) -> Vec<Known<T>> {
    let all =
        groups.iter().flat_map(|(standard, texts)| texts.iter().map(|text| (*standard, *text)));
    // The tests read every text.
    all.filter_map(|(standard, text)| Some(Known { standard, item: text.parse().ok()? })).collect()
}

const FUNCTIONS: &[(&str, &[&str])] = &[
    (
        "EIP-20",
        &[
            "name() returns (string)",
            "symbol() returns (string)",
            "decimals() returns (uint8)",
            "totalSupply() returns (uint256)",
            "balanceOf(address owner) returns (uint256 balance)",
            "transfer(address to, uint256 value) returns (bool success)",
            "transferFrom(address from, address to, uint256 value) returns (bool success)",
            "approve(address spender, uint256 value) returns (bool success)",
            "allowance(address owner, address spender) returns (uint256 remaining)",
        ],
    ),
    (
        "Status token",
        &[
            "approveAndCall(address spender, uint256 amount, bytes extraData) returns (bool success)",
        ],
    ),
    ("EIP-165", &["supportsInterface(bytes4 interfaceID) returns (bool)"]),
    (
        "EIP-721",
        &[
            "balanceOf(address owner) returns (uint256)",
            "ownerOf(uint256 tokenId) returns (address)",
            "safeTransferFrom(address from, address to, uint256 tokenId, bytes data)",
            "safeTransferFrom(address from, address to, uint256 tokenId)",
            "transferFrom(address from, address to, uint256 tokenId)",
            "approve(address approved, uint256 tokenId)",
            "setApprovalForAll(address operator, bool approved)",
            "getApproved(uint256 tokenId) returns (address)",
            "isApprovedForAll(address owner, address operator) returns (bool)",
            "onERC721Received(address operator, address from, uint256 tokenId, bytes data) returns (bytes4)",
            "name() returns (string name)",
            "symbol() returns (string symbol)",
            "tokenURI(uint256 tokenId) returns (string)",
            "totalSupply() returns (uint256)",
            "tokenByIndex(uint256 index) returns (uint256)",
            "tokenOfOwnerByIndex(address owner, uint256 index) returns (uint256)",
        ],
    ),
    (
        "EIP-137",
        &[
            "owner(bytes32 node) returns (address)",
            "resolver(bytes32 node) returns (address)",
            "ttl(bytes32 node) returns (uint64)",
            "setOwner(bytes32 node, address owner)",
            "setSubnodeOwner(bytes32 node, bytes32 label, address owner)",
            "setResolver(bytes32 node, address resolver)",
            "setTTL(bytes32 node, uint64 ttl)",
            "addr(bytes32 node) returns (address)",
            "setAddr(bytes32 node, address addr)",
        ],
    ),
    (
        "EIP-181",
        &[
            "name(bytes32 node) returns (string)",
            "setName(string name) returns (bytes32 node)",
            "claim(address owner) returns (bytes32 node)",
            "claimWithResolver(address owner, address resolver) returns (bytes32 node)",
            "node(address addr) returns (bytes32)",
        ],
    ),
    (
        "ENS resolver",
        &[
            "pubkey(bytes32 node) returns (bytes32 x, bytes32 y)",
            "setPubkey(bytes32 node, bytes32 x, bytes32 y)",
            "text(bytes32 node, string key) returns (string)",
            "setText(bytes32 node, string key, string value)",
            "ABI(bytes32 node, uint256 contentTypes) returns (uint256 contentType, bytes data)",
            "setABI(bytes32 node, uint256 contentType, bytes data)",
        ],
    ),
    (
        "EIP-1577",
        &["contenthash(bytes32 node) returns (bytes)", "setContenthash(bytes32 node, bytes hash)"],
    ),
    (
        "stateofus.eth",
        &[
            "register(bytes32 label, address account, bytes32 pubkeyA, bytes32 pubkeyB) returns (bytes32 namehash)",
            "release(bytes32 label)",
            "getPrice() returns (uint256 registryPrice)",
            "getExpirationTime(bytes32 label) returns (uint256 releaseTime)",
        ],
    ),
    (
        "Status stickers",
        &[
            "buyToken(uint256 packId, address destination, uint256 price) returns (uint256 tokenId)",
            "getPackData(uint256 packId) returns (bytes4[] category, address owner, bool mintable, uint256 timestamp, uint256 price, bytes contenthash)",
            "packCount() returns (uint256)",
            "tokenPackId(uint256 tokenId) returns (uint256 packId)",
            "tokensOwnedBy(address owner) returns (uint256[])",
        ],
    ),
];

const EVENTS: &[(&str, &[&str])] = &[
    (
        "EIP-20",
        &[
            "Transfer(address indexed from, address indexed to, uint256 value)",
            "Approval(address indexed owner, address indexed spender, uint256 value)",
        ],
    ),
    (
        "EIP-721",
        &[
            "Transfer(address indexed from, address indexed to, uint256 indexed tokenId)",
            "Approval(address indexed owner, address indexed approved, uint256 indexed tokenId)",
            "ApprovalForAll(address indexed owner, address indexed operator, bool approved)",
        ],
    ),
    (
        "EIP-137",
        &[
            "NewOwner(bytes32 indexed node, bytes32 indexed label, address owner)",
            "Transfer(bytes32 indexed node, address owner)",
            "NewResolver(bytes32 indexed node, address resolver)",
            "NewTTL(bytes32 indexed node, uint64 ttl)",
            "AddrChanged(bytes32 indexed node, address a)",
        ],
    ),
    ("EIP-181", &["NameChanged(bytes32 indexed node, string name)"]),
    (
        "ENS resolver",
        &[
            "PubkeyChanged(bytes32 indexed node, bytes32 x, bytes32 y)",
            "TextChanged(bytes32 indexed node, string indexed indexedKey, string key)",
            "ABIChanged(bytes32 indexed node, uint256 indexed contentType)",
        ],
    ),
    ("EIP-1577", &["ContenthashChanged(bytes32 indexed node, bytes hash)"]),
];

const INTERFACES: &[Interface] = &[
    Interface {
        name: "ERC165",
        standard: "EIP-165",
        id: [0x01, 0xff, 0xc9, 0xa7],
        functions: &["supportsInterface(bytes4)"],
    },
    Interface {
        name: "ERC721",
        standard: "EIP-721",
        id: [0x80, 0xac, 0x58, 0xcd],
        functions: &[
            "balanceOf(address)",
            "ownerOf(uint256)",
            "approve(address,uint256)",
            "getApproved(uint256)",
            "setApprovalForAll(address,bool)",
            "isApprovedForAll(address,address)",
            "transferFrom(address,address,uint256)",
            "safeTransferFrom(address,address,uint256)",
            "safeTransferFrom(address,address,uint256,bytes)",
        ],
    },
    Interface {
        name: "ERC721Metadata",
        standard: "EIP-721",
        id: [0x5b, 0x5e, 0x13, 0x9f],
        functions: &["name()", "symbol()", "tokenURI(uint256)"],
    },
    Interface {
        name: "ERC721Enumerable",
        standard: "EIP-721",
        id: [0x78, 0x0e, 0x9d, 0x63],
        functions: &[
            "totalSupply()",
            "tokenByIndex(uint256)",
            "tokenOfOwnerByIndex(address,uint256)",
        ],
    },
    Interface {
        name: "ERC721TokenReceiver",
        standard: "EIP-721",
        id: [0x15, 0x0b, 0x7a, 0x02],
        functions: &["onERC721Received(address,address,uint256,bytes)"],
    },
    Interface {
        name: "ENS addr",
        standard: "EIP-137",
        id: [0x3b, 0x3b, 0x57, 0xde],
        functions: &["addr(bytes32)"],
    },
    Interface {
        name: "ENS name",
        standard: "EIP-181",
        id: [0x69, 0x1f, 0x34, 0x31],
        functions: &["name(bytes32)"],
    },
    Interface {
        name: "ENS pubkey",
        standard: "EIP-619",
        id: [0xc8, 0x69, 0x02, 0x33],
        functions: &["pubkey(bytes32)"],
    },
    Interface {
        name: "ENS text",
        standard: "EIP-634",
        id: [0x59, 0xd1, 0xd4, 0x3c],
        functions: &["text(bytes32,string)"],
    },
    Interface {
        name: "ENS ABI",
        standard: "EIP-205",
        id: [0x22, 0x03, 0xab, 0x56],
        functions: &["ABI(bytes32,uint256)"],
    },
    Interface {
        name: "ENS contenthash",
        standard: "EIP-1577",
        id: [0xbc, 0x1c, 0x58, 0xd1],
        functions: &["contenthash(bytes32)"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eip165::interface_id;

    #[test]
    fn every_text_is_read() {
        let count =
            |groups: &[(&str, &[&str])]| groups.iter().map(|(_, texts)| texts.len()).sum::<usize>();
        assert_eq!(functions().len(), count(FUNCTIONS));
        assert_eq!(events().len(), count(EVENTS));
        let transfer: Vec<_> = functions_by_selector([0x23, 0xb8, 0x72, 0xdd])
            .map(|known| (known.standard, known.item.inputs[2].name.as_str()))
            .collect();
        assert_eq!(transfer, [("EIP-20", "value"), ("EIP-721", "tokenId")]);
        assert_eq!(events_by_topic(events()[0].item.topic()).count(), 2);
        assert_eq!(functions_by_selector([0; 4]).count(), 0);
    }

    #[test]
    fn ids_of_interfaces_are_their_selectors_combined() {
        for interface in interfaces() {
            let functions: Vec<Function> =
                interface.functions.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(interface_id(&functions), interface.id, "{}", interface.name);
            for function in functions {
                assert!(functions_by_selector(function.selector()).next().is_some(), "{function}");
            }
        }
    }
}
