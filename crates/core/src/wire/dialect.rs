//! The protocols that share the packets.

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
}
