//! Which chat a message belongs to.
//!
//! The content decides, not the topic on which the message arrived.
//!
//! Source: Status, "Payloads", with the matching of the reference (status-go v0.50.2).

use super::{
    group::GroupState,
    proto::{ChatMessage, MessageType},
};
use crate::{crypto::PublicKey, explain::Explanation};

/// The identity of a chat.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chat {
    /// A public chat, by its name.
    Public(String),
    /// The conversation with a peer, or with oneself.
    OneToOne(PublicKey),
    /// A group, by its id.
    Group(String),
}

impl Chat {
    /// Returns the chat id that clients use: the name, the `0x04…` text, or the id of the group.
    pub fn id(&self) -> String {
        match self {
            Self::Public(id) | Self::Group(id) => id.clone(),
            Self::OneToOne(key) => key.to_string(),
        }
    }

    /// Returns the type of chat messages in it.
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::Public(_) => MessageType::PublicGroup,
            Self::OneToOne(_) => MessageType::OneToOne,
            Self::Group(_) => MessageType::PrivateGroup,
        }
    }
}

/// The existing chats. One-to-one chats are created on demand.
pub(crate) trait Chats {
    /// Returns whether we joined a public chat.
    fn has_public(&self, name: &str) -> bool;
    /// Returns the state of a known group.
    fn group(&self, chat_id: &str) -> Option<&GroupState>;
    /// Returns the clock at which a chat was deleted.
    fn deleted_at(&self, _chat: &Chat) -> Option<u64> {
        None
    }
}

/// Why a message belongs to no chat, and is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NoChat {
    /// A public chat that we did not join.
    #[error("we are not in this public chat")]
    UnknownPublic,
    /// A group without a known history.
    #[error("we don't know this group")]
    UnknownGroup,
    /// The author has not accepted the invitation.
    #[error("the author has not joined the group")]
    AuthorNotJoined,
    /// We have not accepted the invitation.
    #[error("we have not joined the group")]
    WeNotJoined,
    /// A message of our own, from another device, to no valid recipient.
    #[error("the chat id is not the 0x04… key of the person we wrote to")]
    NotAKey,
    /// Not public, one-to-one or group.
    #[error("there is no such kind of chats")]
    MessageType,
    /// The chat was deleted at a later clock.
    #[error("the chat was deleted after this message")]
    Deleted,
}

impl NoChat {
    /// Returns the stable code of this reason, as the tools print it.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownPublic => "chat.unknown_public",
            Self::UnknownGroup => "chat.unknown_group",
            Self::AuthorNotJoined => "chat.author_not_joined",
            Self::WeNotJoined => "chat.we_not_joined",
            Self::NotAKey => "chat.not_a_key",
            Self::MessageType => "chat.message_type",
            Self::Deleted => "chat.deleted",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "chat.unknown_public",
            rule: "A message for a public chat that one is not in is dropped.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The chat id inside, not the topic, names the chat.",
        },
        Explanation {
            code: "chat.author_not_joined",
            rule: "Only those who have joined a group write there.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The event by which they joined was lost.",
        },
        Explanation {
            code: "chat.not_a_key",
            rule: "The chat id of a one-to-one message that one has sent is the recipient's 0x04… text, 132 characters.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "A compressed key.",
        },
        Explanation {
            code: "chat.message_type",
            rule: "A chat is one-to-one, public, or a group.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "A newer client.",
        },
        Explanation {
            code: "chat.deleted",
            rule: "A chat that was deleted ignores what was written before.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The message was on its way for long.",
        },
    ];
}

/// Returns the chat of a message written by `author` and received by us, `me`.
///
/// # Errors
/// If it belongs to none.
pub(crate) fn chat_of(
    message: &ChatMessage,
    author: &PublicKey,
    me: &PublicKey,
    chats: &impl Chats,
) -> Result<Chat, NoChat> {
    let chat = match MessageType::try_from(message.message_type) {
        Ok(MessageType::PublicGroup) if chats.has_public(&message.chat_id) => {
            Chat::Public(message.chat_id.clone())
        }
        Ok(MessageType::PublicGroup) => return Err(NoChat::UnknownPublic),
        // Our own message to a peer, from another device of ours.
        Ok(MessageType::OneToOne) if author == me => {
            Chat::OneToOne(chat_key(&message.chat_id).ok_or(NoChat::NotAKey)?)
        }
        // The chat id is our own key then.
        Ok(MessageType::OneToOne) => Chat::OneToOne(*author),
        Ok(MessageType::PrivateGroup) => {
            let group = chats.group(&message.chat_id).ok_or(NoChat::UnknownGroup)?;
            if !group.may_write(&author.to_string()) {
                return Err(NoChat::AuthorNotJoined);
            }
            if !group.may_write(&me.to_string()) {
                return Err(NoChat::WeNotJoined);
            }
            Chat::Group(message.chat_id.clone())
        }
        _ => return Err(NoChat::MessageType),
    };
    match chats.deleted_at(&chat) {
        Some(clock) if message.clock <= clock => Err(NoChat::Deleted),
        _ => Ok(chat),
    }
}

/// Reads a key in its form of 132 characters.
fn chat_key(text: &str) -> Option<PublicKey> {
    if text.len() != 132 || !text.starts_with("0x") { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::Uuid,
        crypto::SecretKey,
        payload::{
            chat,
            group::{Change, Group},
        },
        time::UnixMillis,
    };

    struct Known(Group);

    impl Chats for Known {
        fn has_public(&self, name: &str) -> bool {
            name == "status"
        }

        fn group(&self, chat_id: &str) -> Option<&GroupState> {
            (chat_id == self.0.chat_id()).then(|| self.0.state())
        }

        fn deleted_at(&self, chat: &Chat) -> Option<u64> {
            (*chat == Chat::Public("status".to_owned())).then_some(99)
        }
    }

    #[test]
    fn the_content_decides() {
        let keys = [1, 2, 3].map(|byte| SecretKey::from_bytes(&[byte; 32]).unwrap());
        let [me, bob, eve] = [0, 1, 2].map(|at: usize| keys[at].public_key());
        let group = Group::create(Uuid::from_bytes([7; 16]), "g", &[bob], &keys[0], UnixMillis(50))
            .unwrap()
            .group;
        let id = group.chat_id().to_owned();
        let chats = Known(group);
        let find = |kind, chat_id: &str, clock, author, chats: &Known| {
            chat_of(&chat::text(kind, chat_id, "hi", clock, 0), author, &me, chats)
        };
        let public = |name, clock| find(MessageType::PublicGroup, name, clock, &eve, &chats);
        assert_eq!(public("status", UnixMillis(100)), Ok(Chat::Public("status".to_owned())));
        assert_eq!(public("status", UnixMillis(99)), Err(NoChat::Deleted));
        assert_eq!(public("other", UnixMillis(100)), Err(NoChat::UnknownPublic));

        let direct = |chat_id: &str, author| {
            find(MessageType::OneToOne, chat_id, UnixMillis(1), author, &chats)
        };
        assert_eq!(direct("whatever", &bob), Ok(Chat::OneToOne(bob)));
        assert_eq!(direct(&eve.to_string(), &me), Ok(Chat::OneToOne(eve)));
        let compressed = hex::encode(eve.to_compressed());
        assert_eq!(direct(&compressed, &me), Err(NoChat::NotAKey));
        assert_eq!(direct(&format!("0x{compressed}"), &me), Err(NoChat::NotAKey));

        let in_group = |id: &str, chats: &Known| {
            find(MessageType::PrivateGroup, id, UnixMillis(1), &bob, chats)
        };
        assert_eq!(in_group("x", &chats), Err(NoChat::UnknownGroup));
        assert_eq!(in_group(&id, &chats), Err(NoChat::AuthorNotJoined));
        let joined = chats.0.change(Change::Join, &keys[1], 0, UnixMillis(60)).unwrap().group;
        let left = joined.change(Change::Leave, &keys[0], 0, UnixMillis(70)).unwrap().group;
        assert_eq!(in_group(&id, &Known(joined)), Ok(Chat::Group(id.clone())));
        assert_eq!(in_group(&id, &Known(left)), Err(NoChat::WeNotJoined));
        let local = find(MessageType::SystemMessagePrivateGroup, &id, UnixMillis(1), &bob, &chats);
        assert_eq!(local, Err(NoChat::MessageType));
    }
}
