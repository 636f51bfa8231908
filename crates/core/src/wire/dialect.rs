//! The protocols that share the packets.

use std::fmt;

use crate::wire::packet::TIME_NOT_SYNCED;

/// The name of Whisper in Hello.
pub(super) const WHISPER: &str = "shh";
/// The version of Whisper in Hello and Status.
pub(super) const WHISPER_VERSION: u64 = 6;
/// The name of Waku in Hello.
pub(super) const WAKU: &str = "waku";

/// The protocol of the packets. Waku differs from Whisper in the handshake, in some lists, and in
/// what it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `shh/6`.
    #[default]
    Whisper,
    /// `waku/0`: the keys of options are texts.
    Waku0,
    /// `waku/1`: the keys of options are integers.
    Waku1,
}

impl Dialect {
    /// Returns the name of the protocol in Hello.
    pub fn protocol(self) -> &'static str {
        if self.is_waku() { WAKU } else { WHISPER }
    }

    /// Returns the version of the protocol in Hello.
    pub fn version(self) -> u64 {
        match self {
            Self::Whisper => WHISPER_VERSION,
            Self::Waku0 => 0,
            Self::Waku1 => 1,
        }
    }

    /// Returns whether this is Waku: requests have no raw form, and every batch is a list.
    pub fn is_waku(self) -> bool {
        self != Self::Whisper
    }

    /// Returns the network whose peers speak this.
    pub fn network(self) -> Network {
        if self.is_waku() { Network::Waku } else { Network::Whisper }
    }

    /// Returns the dialect of a protocol in Hello, if it is one.
    pub fn from_protocol(name: &str, version: u64) -> Option<Self> {
        let all = [Self::Whisper, Self::Waku0, Self::Waku1];
        all.into_iter().find(|it| it.protocol() == name && it.version() == version)
    }

    /// Returns the error code of a rejected envelope in a Message Response. Every reason has the
    /// same. The specification of Whisper says 1; the reference sends 34 in `waku/0` and 21 in
    /// `waku/1`.
    pub fn error_code(self) -> u64 {
        match self {
            Self::Whisper => TIME_NOT_SYNCED,
            Self::Waku0 => 34,
            Self::Waku1 => 21,
        }
    }
}

/// Shows `name/version`, as in Hello.
impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol(), self.version())
    }
}

/// Peers that forward envelopes to each other. An envelope gets from one network into the other
/// only over a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Network {
    /// `shh/6`.
    #[default]
    Whisper,
    /// `waku/0` and `waku/1`.
    Waku,
}

impl Network {
    /// Both networks.
    pub const ALL: [Self; 2] = [Self::Whisper, Self::Waku];

    /// Returns the name that records use: `whisper` or `waku`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whisper => "whisper",
            Self::Waku => "waku",
        }
    }

    /// Returns the other network.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Whisper => Self::Waku,
            Self::Waku => Self::Whisper,
        }
    }
}
