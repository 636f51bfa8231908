//! Capabilities: the protocols that both sides support, and their message codes.
//!
//! For each name, the highest version that both sides announce is used. These protocols are sorted
//! by name. Each gets as many codes as it has messages, after the 16 codes of the base protocol.
//! Protocols of only one side get no codes.
//!
//! Source: devp2p `rlpx.md`, "Capability Messaging".

use std::{fmt, sync::Arc};

/// The number of message codes of the base protocol, and the first code of the others.
pub const BASE_LENGTH: u64 = 16;

/// A protocol and its version, as announced in Hello.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability {
    /// The name, for example `shh`.
    pub name: Arc<str>,
    /// The version, for example 6.
    pub version: u64,
}

impl Capability {
    /// Makes the capability of a name and a version.
    pub fn new(name: &str, version: u64) -> Self {
        Self { name: name.into(), version }
    }
}

/// Shows `name/version`, as logs do.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// A protocol that we support.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// The capability announced in Hello.
    pub capability: Capability,
    /// The number of message codes. It is not announced, so both sides must know it.
    pub length: u64,
}

impl Protocol {
    /// Makes a protocol with `length` message codes.
    pub fn new(name: &str, version: u64, length: u64) -> Self {
        Self { capability: Capability::new(name, version), length }
    }
}

/// A protocol that both sides of a connection support.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedProtocol {
    /// The name, and the highest common version.
    pub capability: Capability,
    /// The wire code of its message 0.
    pub offset: u64,
    /// The number of message codes.
    pub length: u64,
}

impl SharedProtocol {
    /// Returns the protocol's own code of a wire code. `None` if it is not of this protocol.
    pub fn local_code(&self, wire: u64) -> Option<u64> {
        wire.checked_sub(self.offset).filter(|code| *code < self.length)
    }
}

/// Returns the protocols that both sides support, with their codes, sorted by name.
pub fn shared_protocols(ours: &[Protocol], theirs: &[Capability]) -> Vec<SharedProtocol> {
    let mut common: Vec<&Protocol> =
        ours.iter().filter(|protocol| theirs.contains(&protocol.capability)).collect();
    // By name, and the highest version of a name first.
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

/// Returns the shared protocol of a wire code, and its own code there.
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
