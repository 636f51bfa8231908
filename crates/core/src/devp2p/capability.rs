//! Capabilities: which protocols both sides speak, and which message codes they get.
//!
//! Of each name the highest version that both announce is kept; sorted by name, each gets as
//! many codes as it has messages, after the base protocol's 16. What only one side announces
//! takes no codes.
//!
//! Source: devp2p `rlpx.md`, "Capability Messaging".

use std::{fmt, sync::Arc};

/// How many message codes the base protocol has; the first one of the others.
pub const BASE_LENGTH: u64 = 16;

/// A protocol and its version, as Hello announces it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability {
    /// For example `shh`.
    pub name: Arc<str>,
    /// For example 6.
    pub version: u64,
}

impl Capability {
    /// A protocol by name and version.
    pub fn new(name: &str, version: u64) -> Self {
        Self { name: name.into(), version }
    }
}

/// `name/version`, as logs show it.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// A protocol that we speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// What Hello announces.
    pub capability: Capability,
    /// How many message codes it has. Both sides must agree on this: it is not announced.
    pub length: u64,
}

impl Protocol {
    /// A protocol with `length` message codes.
    pub fn new(name: &str, version: u64, length: u64) -> Self {
        Self { capability: Capability::new(name, version), length }
    }
}

/// A protocol that both sides speak on this connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedProtocol {
    /// The name, and the highest common version.
    pub capability: Capability,
    /// The wire code of its message 0.
    pub offset: u64,
    /// How many message codes it has.
    pub length: u64,
}

impl SharedProtocol {
    /// The protocol's own code of a wire code, if it is one of this protocol's.
    pub fn local_code(&self, wire: u64) -> Option<u64> {
        wire.checked_sub(self.offset).filter(|code| *code < self.length)
    }
}

/// The protocols that both sides speak, with their codes, sorted by name.
pub fn shared_protocols(ours: &[Protocol], theirs: &[Capability]) -> Vec<SharedProtocol> {
    let mut common: Vec<&Protocol> =
        ours.iter().filter(|protocol| theirs.contains(&protocol.capability)).collect();
    // By name, of each name the highest version first.
    common.sort_by(|a, b| {
        let (a, b) = (&a.capability, &b.capability);
        a.name.as_bytes().cmp(b.name.as_bytes()).then(b.version.cmp(&a.version))
    });
    common.dedup_by(|next, kept| next.capability.name == kept.capability.name);
    let mut offset = BASE_LENGTH;
    common
        .into_iter()
        .map(|protocol| {
            let shared = SharedProtocol {
                capability: protocol.capability.clone(),
                offset,
                length: protocol.length,
            };
            offset = offset.saturating_add(protocol.length);
            shared
        })
        .collect()
}

/// The shared protocol that a wire code belongs to, and its own code there.
pub fn find_code(shared: &[SharedProtocol], wire: u64) -> Option<(&SharedProtocol, u64)> {
    shared.iter().find_map(|protocol| Some((protocol, protocol.local_code(wire)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_names() {
        let ours = [
            Protocol::new("waku", 0, 128),
            Protocol::new("waku", 1, 128),
            Protocol::new("shh", 6, 128),
            Protocol::new("les", 2, 20),
        ];
        let theirs =
            ["bzz/1", "waku/0", "waku/1", "waku/2", "shh/6", "shh/6", "les/1"].map(|text| {
                let (name, version) = text.split_once('/').unwrap();
                Capability::new(name, version.parse().unwrap())
            });
        let shared = shared_protocols(&ours, &theirs);
        let shown: Vec<_> =
            shared.iter().map(|s| format!("{} {}+{}", s.capability, s.offset, s.length)).collect();
        assert_eq!(shown, ["shh/6 16+128", "waku/1 144+128"]);
        let find =
            |code| find_code(&shared, code).map(|(s, code)| (s.capability.to_string(), code));
        assert_eq!(find(15), None);
        assert_eq!(find(16), Some(("shh/6".into(), 0)));
        assert_eq!(find(143), Some(("shh/6".into(), 127)));
        assert_eq!(find(144), Some(("waku/1".into(), 0)));
        assert_eq!(find(271), Some(("waku/1".into(), 127)));
        assert_eq!(find(272), None);
        assert_eq!(find(u64::MAX), None);
        assert!(shared_protocols(&ours, &[]).is_empty());
    }
}
