//! Share links: to a user, a public chat, or a page of the app's browser.
//!
//! Receivers look for `/user/`, `/chat/public/` or `/browse/` and use everything after it. They
//! accept only ASCII.

use std::{fmt, str::FromStr};

use crate::{crypto::PublicKey, text::excerpt};

/// The beginning of links that open in any browser.
const WEB: &str = "https://join.status.im/";
/// The beginning of links that only the app opens.
const APP: &str = "status-im://";

const USER: &str = "user/";
const PUBLIC_CHAT: &str = "chat/public/";
const BROWSE: &str = "browse/";

/// A link, by its target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ShareLink {
    /// A chat key in any of its forms, or an ENS name.
    User(String),
    /// The name of a public chat.
    PublicChat(String),
    /// The address of a web page.
    Browse(String),
}

/// What is wrong with a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Not a Status link.
    #[error(
        "{0:?} is not a Status link; expected {WEB}… or {APP}… with user/, chat/public/ or browse/"
    )]
    Unknown(String),
    /// A character that receivers reject.
    #[error("links are ASCII only; character {at} is not")]
    NotAscii {
        /// Counted from 1.
        at: usize,
    },
    /// Nothing after the last slash.
    #[error("the link leads nowhere: nothing follows {0:?}")]
    Empty(&'static str),
}

impl LinkError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "link.unknown",
            Self::NotAscii { .. } => "link.ascii",
            Self::Empty(_) => "link.empty",
        }
    }
}

impl ShareLink {
    /// Creates a link to the owner of `key`, in the `0x04…` form that every client reads.
    pub fn user(key: &PublicKey) -> Self {
        Self::User(key.to_string())
    }

    /// Returns the `https://join.status.im/` form.
    pub fn to_web(&self) -> String {
        format!("{WEB}{}", self.tail())
    }

    /// Returns the `status-im://` form.
    pub fn to_app(&self) -> String {
        format!("{APP}{}", self.tail())
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
        let tail = tail.ok_or_else(|| LinkError::Unknown(excerpt(text)))?;
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
        Err(LinkError::Unknown(excerpt(text)))
    }
}

/// Writes the `https://join.status.im/` form.
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
    fn other_texts_are_rejected() {
        let code = |text: &str| text.parse::<ShareLink>().unwrap_err().code();
        assert_eq!(code("https://example.org/user/0x04"), "link.unknown");
        assert_eq!(code("https://join.status.im/user/"), "link.empty");
        assert_eq!(code("https://join.status.im/group/x"), "link.unknown");
        assert_eq!(code("status-im://chat/public/höhle"), "link.ascii");
        let nested = ShareLink::User("https://join.status.im/user/0x".into());
        assert_eq!(nested.chat_key().unwrap_err().code(), "chat_key.link");
    }
}
