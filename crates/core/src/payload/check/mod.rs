//! The rules that a receiver applies to a message, one by one.
//!
//! Rules and order are those of the reference (status-go v0.50.2): what passes [`checks`] is accepted
//! there. [`losses`] are rules for what it loses afterwards: numbers that its database can't store,
//! and messages that belong to no chat. A client silently drops a message that breaks a rule.
//!
//! Source: Status, "Payloads", with the checks of the reference, its database and its matching of
//! chats.

mod number;
pub(super) mod rejection;

use super::{
    clock,
    group::{EventError, GroupEvent, MAX_RECEIVED},
    proto::{
        ChatMessage, MessageType,
        chat_message::{ContentType, Payload},
    },
    types::PayloadMessage,
};
use crate::{
    crypto::PublicKey,
    time::{UnixMillis, UnixSeconds},
};
pub use rejection::{Check, Rejection, event_clocks, first_failure};

/// What a receiver knows about a message besides its content.
#[derive(Debug, Clone, Copy, Default)]
pub struct Receipt<'a> {
    /// When its envelope was sent.
    pub sent: UnixMillis,
    /// The current time.
    pub now: UnixMillis,
    /// Its author.
    pub author: Option<&'a PublicKey>,
    /// Our own key. `None` skips the rule that some messages come only from our own devices.
    pub me: Option<&'a PublicKey>,
    /// The ids of the known installations. `None` skips the rule that one must be known.
    pub installations: Option<&'a [String]>,
    /// The public chats that are received, if the message came in one. `None` skips the rules for
    /// public chats.
    pub public_chats: Option<&'a [String]>,
}

impl Receipt<'_> {
    /// Returns the receipt of a message that arrives at `sent`, as soon as it is
    /// sent.
    pub fn at(sent: UnixSeconds) -> Self {
        let sent = sent.to_millis();
        Self { sent, now: sent, ..Self::default() }
    }
}

/// Applies all rules to a message, in the order of the reference.
pub fn checks(message: &PayloadMessage, receipt: &Receipt<'_>) -> Vec<Check> {
    let mut rules = Rules { receipt, checks: Vec::new() };
    rules.message(message);
    rules.checks
}

/// Applies the rules for what the reference accepts, and loses afterwards.
pub fn losses(message: &PayloadMessage, receipt: &Receipt<'_>) -> Vec<Check> {
    let mut rules = Rules { receipt, checks: Vec::new() };
    match message {
        PayloadMessage::ContactUpdate(message) => {
            rules.add(Rejection::ClockRange, message.clock < TOO_LARGE);
        }
        message => message.chat_message().into_iter().for_each(|it| rules.chat_losses(it)),
    }
    rules.checks
}

/// Checks whether a receiver accepts a message, and does not lose it afterwards.
///
/// # Errors
/// The first rule that the message breaks.
pub fn check_shown(message: &PayloadMessage, receipt: &Receipt<'_>) -> Result<(), Rejection> {
    check(message, receipt).and_then(|()| first_failure(&losses(message, receipt)))
}

/// Checks whether a receiver accepts a message.
///
/// # Errors
/// The first rule that the message breaks.
pub fn check(message: &PayloadMessage, receipt: &Receipt<'_>) -> Result<(), Rejection> {
    first_failure(&checks(message, receipt))
}

/// Checks whether a receiver accepts a chat message: one by itself or one in a group update.
///
/// # Errors
/// The first rule that the message breaks.
pub(crate) fn check_chat(message: &ChatMessage, receipt: &Receipt<'_>) -> Result<(), Rejection> {
    let mut rules = Rules { receipt, checks: Vec::new() };
    rules.chat(message);
    first_failure(&rules.checks)
}

/// The first number that the database of clients can't store.
const TOO_LARGE: u64 = 1 << 63;

struct Rules<'a> {
    receipt: &'a Receipt<'a>,
    checks: Vec<Check>,
}

impl Rules<'_> {
    fn add(&mut self, rejection: Rejection, pass: bool) {
        self.checks.push(Check { rejection, pass });
    }

    fn message(&mut self, message: &PayloadMessage) {
        use super::proto::membership_update_message::ChatEntity;
        match message {
            PayloadMessage::ChatMessage(message) => self.chat(message),
            PayloadMessage::MembershipUpdateMessage(message) => {
                self.events(&message.chat_id, &message.events);
                if let Some(ChatEntity::Message(message)) = &message.chat_entity {
                    self.chat(message);
                }
            }
            PayloadMessage::PairInstallation(message) => {
                self.clock(message.clock);
                self.add(Rejection::NameBlank, !is_blank(&message.name));
                self.add(Rejection::DeviceTypeBlank, !is_blank(&message.device_type));
                self.add(Rejection::InstallationIdBlank, !is_blank(&message.installation_id));
                self.oneself();
                if let Some(known) = self.receipt.installations {
                    self.add(
                        Rejection::InstallationUnknown,
                        known.contains(&message.installation_id),
                    );
                }
            }
            PayloadMessage::RequestAddressForTransaction(message) => {
                self.clock(message.clock);
                self.value(&message.value);
            }
            PayloadMessage::RequestTransaction(message) => {
                self.clock(message.clock);
                self.value(&message.value);
                self.add(Rejection::AddressBlank, !is_blank(&message.address));
            }
            PayloadMessage::AcceptRequestAddressForTransaction(message) => {
                self.clock(message.clock);
                self.add(Rejection::IdEmpty, !message.id.is_empty());
                self.add(Rejection::AddressBlank, !is_blank(&message.address));
            }
            PayloadMessage::DeclineRequestAddressForTransaction(message) => {
                self.clock(message.clock);
                self.add(Rejection::IdEmpty, !message.id.is_empty());
            }
            PayloadMessage::DeclineRequestTransaction(message) => {
                self.clock(message.clock);
                self.add(Rejection::IdEmpty, !message.id.is_empty());
            }
            PayloadMessage::SendTransaction(message) => {
                self.clock(message.clock);
                self.add(Rejection::TransactionHashBlank, !is_blank(&message.transaction_hash));
                self.add(Rejection::ProofMissing, !message.signature.is_empty());
            }
            PayloadMessage::SyncInstallation(_)
            | PayloadMessage::SyncInstallationContact(_)
            | PayloadMessage::SyncInstallationAccount(_)
            | PayloadMessage::SyncInstallationPublicChat(_) => self.oneself(),
            PayloadMessage::Other { .. } => self.add(Rejection::UnknownType, false),
            // Clients of March 2020 check no contact updates, and ignore the rest.
            _ => {}
        }
    }

    fn clock(&mut self, clock: u64) {
        self.add(Rejection::ClockZero, clock != 0);
        self.add(Rejection::ClockAhead, !clock::is_ahead(clock, self.receipt.sent));
    }

    fn oneself(&mut self) {
        if let Some(me) = self.receipt.me {
            self.add(Rejection::NotOneself, self.receipt.author == Some(me));
        }
    }

    fn value(&mut self, value: &str) {
        self.add(Rejection::ValueBlank, !is_blank(value));
        self.add(Rejection::ValueNumber, number::is_number(value));
    }

    fn chat(&mut self, message: &ChatMessage) {
        self.clock(message.clock);
        self.add(Rejection::TimestampZero, message.timestamp != 0);
        self.add(Rejection::TextBlank, !is_blank(&message.text));
        self.add(Rejection::ChatIdEmpty, !message.chat_id.is_empty());
        let content = ContentType::try_from(message.content_type);
        self.add(Rejection::ContentType, content != Ok(ContentType::UnknownContentType));
        self.add(Rejection::ContentTypeLocal, content != Ok(ContentType::TransactionCommand));
        let kind = MessageType::try_from(message.message_type);
        self.add(Rejection::MessageType, kind != Ok(MessageType::UnknownMessageType));
        self.add(Rejection::MessageTypeLocal, kind != Ok(MessageType::SystemMessagePrivateGroup));
        if content == Ok(ContentType::Sticker) {
            let sticker = match &message.payload {
                Some(Payload::Sticker(sticker)) => Some(sticker),
                _ => None,
            };
            self.add(Rejection::StickerMissing, sticker.is_some());
            self.add(Rejection::StickerHash, sticker.is_some_and(|it| !it.hash.is_empty()));
        }
    }

    fn chat_losses(&mut self, message: &ChatMessage) {
        let kind = MessageType::try_from(message.message_type);
        self.add(Rejection::TimestampRange, message.timestamp < TOO_LARGE);
        self.add(Rejection::MessageTypeUnknown, kind.is_ok());
        if let Some(chats) = self.receipt.public_chats {
            self.add(Rejection::GroupInPublic, kind != Ok(MessageType::PrivateGroup));
            let is_received =
                kind != Ok(MessageType::PublicGroup) || chats.contains(&message.chat_id);
            self.add(Rejection::ChatUnknown, is_received);
        }
    }

    fn events(&mut self, chat_id: &str, events: &[Vec<u8>]) {
        self.add(Rejection::EventCount, events.len() <= MAX_RECEIVED);
        let events: Result<Vec<_>, EventError> = events
            .iter()
            // Each event costs the recovery of a key.
            .take(MAX_RECEIVED)
            .map(|raw| GroupEvent::decode(chat_id, raw))
            .collect();
        self.add(Rejection::EventFormat, events.is_ok());
        let events = events.unwrap_or_default();
        self.checks.extend(event_clocks(events.iter().map(GroupEvent::clock), self.receipt.now));
    }
}

/// Returns whether a text is empty or Unicode white space only.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::SecretKey,
        payload::proto::{PairInstallation, SyncInstallationPublicChat},
    };

    #[test]
    fn the_message_type_is_checked_before_the_sticker() {
        let message = ChatMessage {
            clock: 1,
            timestamp: 1,
            text: "x".to_owned(),
            chat_id: "x".to_owned(),
            content_type: ContentType::Sticker as i32,
            ..ChatMessage::default()
        };
        let receipt = Receipt { sent: UnixMillis(1), ..Receipt::default() };
        assert_eq!(check_chat(&message, &receipt), Err(Rejection::MessageType));
        let message = ChatMessage { message_type: 1, ..message };
        assert_eq!(check_chat(&message, &receipt), Err(Rejection::StickerMissing));
    }

    #[test]
    fn what_clients_accept_and_lose_is_refused() {
        let fine = ChatMessage {
            clock: 1,
            timestamp: 1,
            text: "x".to_owned(),
            chat_id: "status".to_owned(),
            message_type: MessageType::PublicGroup as i32,
            content_type: ContentType::TextPlain as i32,
            ..ChatMessage::default()
        };
        let chats = ["status".to_owned()];
        let anywhere = Receipt { sent: UnixMillis(1), ..Receipt::default() };
        let public = Receipt { public_chats: Some(&chats), ..anywhere };
        let of = |message: ChatMessage, receipt| check_shown(&message.into(), receipt).err();
        for receipt in [&anywhere, &public] {
            assert_eq!(of(fine.clone(), receipt), None);
            let late = |timestamp| ChatMessage { timestamp, ..fine.clone() };
            assert_eq!(of(late((1 << 63) - 1), receipt), None);
            assert_eq!(of(late(1 << 63), receipt), Some(Rejection::TimestampRange));
            let kind = |message_type| ChatMessage { message_type, ..fine.clone() };
            assert_eq!(of(kind(9), receipt), Some(Rejection::MessageTypeUnknown));
            // A one-to-one message counts as such wherever it comes.
            assert_eq!(of(kind(MessageType::OneToOne as i32), receipt), None);
        }
        let group = ChatMessage { message_type: MessageType::PrivateGroup as i32, ..fine.clone() };
        assert_eq!(of(group.clone(), &anywhere), None);
        assert_eq!(of(group, &public), Some(Rejection::GroupInPublic));
        let other = ChatMessage { chat_id: "other".to_owned(), ..fine };
        assert_eq!(of(other.clone(), &anywhere), None);
        assert_eq!(of(other, &public), Some(Rejection::ChatUnknown));
        let contact = |clock| {
            let update = crate::payload::proto::ContactUpdate { clock, ..Default::default() };
            check_shown(&update.into(), &anywhere).err()
        };
        assert_eq!([contact(0), contact((1 << 63) - 1)], [None; 2]);
        assert_eq!(contact(1 << 63), Some(Rejection::ClockRange));
    }

    #[test]
    fn pairing_and_sync_messages_come_from_oneself() {
        let [me, other] =
            [1, 2].map(|byte| SecretKey::from_bytes(&[byte; 32]).unwrap().public_key());
        let pair: PayloadMessage = PairInstallation {
            clock: 5,
            installation_id: "i".to_owned(),
            device_type: "ios".to_owned(),
            name: "n".to_owned(),
        }
        .into();
        let sync: PayloadMessage = SyncInstallationPublicChat::default().into();
        let known = ["i".to_owned()];
        let mut receipt = Receipt {
            author: Some(&other),
            installations: Some(&[]),
            ..Receipt::at(UnixSeconds(1))
        };
        assert_eq!(check(&pair, &receipt), Err(Rejection::InstallationUnknown));
        receipt.installations = Some(&known);
        assert_eq!(check(&pair, &receipt), Ok(()));
        receipt.me = Some(&me);
        assert_eq!(check(&pair, &receipt), Err(Rejection::NotOneself));
        assert_eq!(check(&sync, &receipt), Err(Rejection::NotOneself));
        receipt.author = Some(&me);
        assert_eq!([check(&pair, &receipt), check(&sync, &receipt)], [Ok(()); 2]);
        assert_eq!(
            check(&PayloadMessage::Other { number: 99, bytes: Vec::new() }, &receipt),
            Err(Rejection::UnknownType)
        );
    }
}
