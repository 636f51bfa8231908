//! Share links: to a user, a public chat, or a page of the app's browser.
//!
//! Receivers look for `/user/`, `/chat/public/` or `/browse/` and use everything after it. They
//! accept only ASCII. Earlier and later releases wrote other hosts and `u/`; all are read.

use std::{fmt, str::FromStr};

use super::chat_key::is_shaped_as_key;
use crate::{crypto::PublicKey, explain::Explanation, reader, text::excerpt};

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
    /// A link to something that has neither a key nor a name of a chat.
    #[error("the link leads to {0}; expected a user, a public chat or a page")]
    Elsewhere(&'static str),
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
            Self::Elsewhere(_) => "link.elsewhere",
            Self::Empty(_) => "link.empty",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "link.unknown",
            rule: "Share links begin with https://join.status.im/ or status-im://, and go on with user/, chat/public/ or browse/.",
            source: "Status specifications, Account",
            causes: "A link of another application.",
        },
        Explanation {
            code: "link.ascii",
            rule: "Clients take links of ASCII characters only.",
            source: "Status specifications, Account; as in the reference",
            causes: "A name in another script.",
        },
        Explanation {
            code: "link.elsewhere",
            rule: "Links to group chats and communities have neither the key of a person nor the name of a public chat.",
            source: "Status clients, universal links",
            causes: "Ask for the key of the person, or for the name of a public chat.",
        },
        Explanation {
            code: "link.empty",
            rule: "Something follows the last slash of a share link.",
            source: "Status specifications, Account",
            causes: "The link was cut.",
        },
    ];
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

/// Hosts that lead to the app, in all its times.
const HOSTS: [&str; 4] = ["join.status.im", "get.status.im", "status.app", "status.im"];

impl FromStr for ShareLink {
    type Err = LinkError;

    /// Reads links of all times: either host, any scheme or none, `u/` for `user/`, with a slash,
    /// a query or a fragment at the end. Case counts only behind the kind.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        let text = &reader::without_wrapping(text);
        let decoded = reader::percent_decode(text);
        let link = decoded.as_deref().unwrap_or(text);
        let unknown = || LinkError::Unknown(excerpt(text));
        // No link has any, and they don't survive being written.
        if link.contains(|c: char| c.is_ascii_control()) {
            return Err(unknown());
        }
        let tail = tail_of(link).ok_or_else(unknown)?;
        // Addresses of pages keep their own escapes.
        let page = tail_of(text).and_then(|tail| after(tail, &[BROWSE, "b/"]));
        if let Some(at) = text.chars().position(|c| !c.is_ascii()) {
            return Err(LinkError::NotAscii { at: at + 1 });
        }
        if let Some(page) = page {
            return if page.is_empty() {
                Err(LinkError::Empty(BROWSE))
            } else {
                Ok(Self::Browse(page.to_owned()))
            };
        }
        // Later links have the key behind `#`.
        let (path, fragment) = tail.split_once('#').unwrap_or((tail, ""));
        let outside = ['/', ' '];
        let path = path.split('?').next().unwrap_or_default().trim_matches(outside);
        let some = |start: &'static str, rest: &str| match rest {
            "" => Err(LinkError::Empty(start)),
            rest => Ok(rest.to_owned()),
        };
        let with_slash = format!("{path}/");
        let after = |starts: &[&str]| after(&with_slash, starts).map(|it| it.trim_matches(outside));
        if is_shaped_as_key(path) {
            return Ok(Self::User(path.to_owned()));
        }
        if let Some(user) = after(&[USER, "u/"]) {
            let is_key = fragment.starts_with("zQ3") || fragment.starts_with("0x04");
            return some(USER, if is_key { fragment } else { user }).map(Self::User);
        }
        if let Some(name) = after(&[PUBLIC_CHAT]) {
            return some(PUBLIC_CHAT, name).map(Self::PublicChat);
        }
        if after(&["g/", "group/", "chat/private-group/"]).is_some() {
            return Err(LinkError::Elsewhere("a group chat"));
        }
        if after(&["c/", "cc/", "community/", "community-channel/"]).is_some() {
            return Err(LinkError::Elsewhere("a community"));
        }
        // `join.status.im/NAME` is a public chat, too.
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let has_host = !text.to_ascii_lowercase().starts_with("status");
        if has_host && !path.is_empty() && path.chars().all(is_name) {
            return Ok(Self::PublicChat(path.to_owned()));
        }
        Err(unknown())
    }
}

impl ShareLink {
    /// Whether a text is meant to be a link to Status, or to another site.
    pub fn is_link(text: &str) -> bool {
        let bare = reader::without_wrapping(text);
        bare.contains("://") || bare.contains("%3A%2F") || tail_of(&bare).is_some()
    }
}

/// What follows the host, or the scheme of the app.
fn tail_of(text: &str) -> Option<&str> {
    // Releases after 2022 and other programs write other schemes, some with three slashes.
    let schemes = ["status-im:", "status-app:", "statusim:"];
    if let Some(tail) = schemes.iter().find_map(|scheme| strip(text, scheme)) {
        return Some(tail.trim_start_matches('/'));
    }
    let rest = ["https://", "http://"].iter().find_map(|scheme| strip(text, scheme));
    let rest = rest.unwrap_or(text);
    let rest = strip(rest, "www.").unwrap_or(rest);
    HOSTS.iter().find_map(|host| {
        let rest = strip(rest, host)?;
        let rest = rest.strip_prefix(":443").or(rest.strip_prefix(":80")).unwrap_or(rest);
        Some(rest.strip_prefix('/')?.trim_start_matches('/'))
    })
}

/// Removes a beginning, in any case.
fn strip<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let head = text.get(..start.len())?;
    head.eq_ignore_ascii_case(start).then(|| &text[start.len()..])
}

fn after<'a>(tail: &'a str, starts: &[&str]) -> Option<&'a str> {
    starts.iter().find_map(|start| strip(tail, start))
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
    fn links_of_all_times_are_read() {
        let user = ShareLink::User("zQ3shX".into());
        for link in [
            "https://join.status.im/user/zQ3shX",
            "http://join.status.im/user/zQ3shX",
            "HTTPS://JOIN.STATUS.IM/USER/zQ3shX",
            "join.status.im/user/zQ3shX",
            "https://www.join.status.im/user/zQ3shX",
            "https://get.status.im/user/zQ3shX",
            "https://join.status.im/u/zQ3shX",
            "https://join.status.im/u/zQ3shX/",
            "https://join.status.im/u/zQ3shX?utm=1",
            "https://join.status.im/user/zQ3shX#about",
            " https://join.status.im/user/zQ3shX\n",
            "status-im://user/zQ3shX",
            "Status-im://u/zQ3shX/",
            "https://status.app/u/CwAAAA==#zQ3shX",
        ] {
            assert_eq!(link.parse(), Ok(user.clone()), "{link}");
            assert!(ShareLink::is_link(link));
        }
        let chat = ShareLink::PublicChat("markets".into());
        for link in [
            "https://join.status.im/chat/public/markets",
            "http://get.status.im/chat/public/markets/?x#y",
            "status-im://chat/public/markets",
            "join.status.im/markets",
        ] {
            assert_eq!(link.parse(), Ok(chat.clone()), "{link}");
        }
        assert_eq!(
            "get.status.im/browse/https://a.b/?x=1#y".parse(),
            Ok(ShareLink::Browse("https://a.b/?x=1#y".into()))
        );
        assert!(ShareLink::is_link("https://example.org") && !ShareLink::is_link("markets"));
    }

    #[test]
    fn other_texts_are_rejected() {
        let code = |text: &str| text.parse::<ShareLink>().unwrap_err().code();
        assert_eq!(code("https://example.org/user/0x04"), "link.unknown");
        assert_eq!(code("https://join.status.im/user/"), "link.empty");
        assert_eq!(code("https://join.status.im/group/x"), "link.elsewhere");
        assert_eq!(code("https://join.status.im/g/args?a=0x04"), "link.elsewhere");
        assert_eq!(code("https://status.app/c/G00#zQ3sh"), "link.elsewhere");
        assert_eq!(code("https://join.status.im/a/b"), "link.unknown");
        assert_eq!(code("https://join.status.im.example.org/user/x"), "link.unknown");
        assert_eq!(code("status-im://x"), "link.unknown");
        assert_eq!(code("https://join.status.im/u/0x0479\0?x"), "link.unknown");
        assert_eq!(code("https://join.status.im/u/0x0479%00"), "link.unknown");
        assert_eq!(code("status-im://chat/public/höhle"), "link.ascii");
        let nested = ShareLink::User("https://join.status.im/user/0x".into());
        assert_eq!(nested.chat_key().unwrap_err().code(), "chat_key.link");
    }
}
