//! Links that people share: to a user, a public chat, or a page of the app's browser.
//!
//! Receivers look for `/user/`, `/chat/public/` or `/browse/` and take all that follows; only
//! ASCII is accepted.

use std::{fmt, str::FromStr};

use super::chat_key::{self, ChatKeyError};
use crate::crypto::PublicKey;

/// The start of links that open in any browser.
pub const WEB: &str = "https://join.status.im/";
/// The start of links that only the app opens.
pub const APP: &str = "status-im://";

const USER: &str = "user/";
const PUBLIC_CHAT: &str = "chat/public/";
const BROWSE: &str = "browse/";

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ShareLink {
    /// A chat key in any of its texts, or an ENS name.
    User(String),
    /// The name of a public chat.
    PublicChat(String),
    /// An address of the web.
    Browse(String),
}

/// What is wrong with a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not a link of Status.
    #[error(
        "{0:?} is not a Status link; expected {WEB}… or {APP}… with user/, chat/public/ or browse/"
    )]
    Unknown(String),
    /// Characters that receivers refuse.
    #[error("links are ASCII only; character {at} is not")]
    NotAscii {
        /// Counted from 1.
        at: usize,
    },
    /// Nothing behind the last slash.
    #[error("the link leads nowhere: nothing follows {0:?}")]
    Empty(&'static str),
}

impl LinkError {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "link.unknown",
            Self::NotAscii { .. } => "link.ascii",
            Self::Empty(_) => "link.empty",
        }
    }
}

impl ShareLink {
    /// A link to the owner of `key`, by the `0x04…` text that every client reads.
    pub fn user(key: &PublicKey) -> Self {
        Self::User(key.to_string())
    }

    /// The `https://join.status.im/` form.
    pub fn to_web(&self) -> String {
        format!("{WEB}{}", self.tail())
    }

    /// The `status-im://` form.
    pub fn to_app(&self) -> String {
        format!("{APP}{}", self.tail())
    }

    /// The key that a link to a user holds.
    pub fn chat_key(&self) -> Result<PublicKey, ChatKeyError> {
        match self {
            // A link inside a link is no key.
            Self::User(user) if user.contains("://") => Err(ChatKeyError::Link("another link")),
            Self::User(user) => chat_key::parse_chat_key(user),
            Self::PublicChat(_) => Err(ChatKeyError::Link("a public chat")),
            Self::Browse(_) => Err(ChatKeyError::Link("a page")),
        }
    }

    fn tail(&self) -> String {
        match self {
            Self::User(user) => format!("{USER}{user}"),
            Self::PublicChat(name) => format!("{PUBLIC_CHAT}{name}"),
            Self::Browse(page) => format!("{BROWSE}{page}"),
        }
    }
}

impl FromStr for ShareLink {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let tail = text.strip_prefix(WEB).or_else(|| text.strip_prefix(APP));
        let tail = tail.ok_or_else(|| LinkError::Unknown(super::excerpt(text)))?;
        if let Some(at) = text.chars().position(|c| !c.is_ascii()) {
            return Err(LinkError::NotAscii { at: at + 1 });
        }
        let after = |start: &'static str| match tail.strip_prefix(start) {
            Some("") => Some(Err(LinkError::Empty(start))),
            rest => rest.map(|rest| Ok(rest.to_owned())),
        };
        if let Some(user) = after(USER) {
            return user.map(Self::User);
        }
        if let Some(name) = after(PUBLIC_CHAT) {
            return name.map(Self::PublicChat);
        }
        if let Some(page) = after(BROWSE) {
            return page.map(Self::Browse);
        }
        Err(LinkError::Unknown(super::excerpt(text)))
    }
}

/// The `https://join.status.im/` form.
impl fmt::Display for ShareLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_web())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_round_trip() {
        for link in [
            ShareLink::User("name.stateofus.eth".into()),
            ShareLink::PublicChat("status".into()),
            ShareLink::Browse("https://status.im/user/x".into()),
        ] {
            assert_eq!(link.to_web().parse(), Ok(link.clone()));
            assert_eq!(link.to_app().parse(), Ok(link));
        }
        assert_eq!(
            ShareLink::PublicChat("status".into()).to_string(),
            "https://join.status.im/chat/public/status"
        );
    }

    #[test]
    fn other_texts_are_refused() {
        let code = |text: &str| text.parse::<ShareLink>().unwrap_err().code();
        assert_eq!(code("https://example.org/user/0x04"), "link.unknown");
        assert_eq!(code("https://join.status.im/user/"), "link.empty");
        assert_eq!(code("https://join.status.im/group/x"), "link.unknown");
        assert_eq!(code("status-im://chat/public/höhle"), "link.ascii");
        let nested = ShareLink::User("https://join.status.im/user/0x".into());
        assert_eq!(nested.chat_key().unwrap_err().code(), "chat_key.link");
    }
}
