//! The rules that a receiver applies to a message, one by one.
//!
//! Rules and order are those of the reference (status-go v0.50.2): what passes here is accepted
//! there. A client silently drops a message that breaks one.
//!
//! Source: Status, "Payloads", with the checks of the reference.

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
use crate::crypto::PublicKey;
pub use rejection::{Check, Rejection, event_clocks, first_failure};

/// What a receiver knows about a message besides its content.
#[derive(Debug, Clone, Copy, Default)]
pub struct Receipt<'a> {
    /// When its envelope was sent, in UNIX milliseconds.
    pub sent_ms: u64,
    /// The current time, in UNIX milliseconds.
    pub now_ms: u64,
    /// Its author.
    pub author: Option<&'a PublicKey>,
    /// Our own key. `None` skips the rule that some messages come only from our own devices.
    pub me: Option<&'a PublicKey>,
    /// The ids of the known installations. `None` skips the rule that one must be known.
    pub installations: Option<&'a [String]>,
}

impl Receipt<'_> {
    /// Returns the receipt of a message that arrives at `sent` (UNIX seconds), as soon as it is
    /// sent.
    pub fn at(sent: u32) -> Self {
        let sent_ms = u64::from(sent) * 1000;
        Self { sent_ms, now_ms: sent_ms, ..Self::default() }
    }
}

/// Applies all rules to a message, in the order of the reference.
pub fn checks(message: &PayloadMessage, receipt: &Receipt<'_>) -> Vec<Check> {
    let mut rules = Rules { receipt, checks: Vec::new() };
    rules.message(message);
    rules.checks
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
        self.add(Rejection::ClockAhead, !clock::is_ahead(clock, self.receipt.sent_ms));
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
        self.checks.extend(event_clocks(events.iter().map(GroupEvent::clock), self.receipt.now_ms));
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
        let receipt = Receipt { sent_ms: 1, ..Receipt::default() };
        assert_eq!(check_chat(&message, &receipt), Err(Rejection::MessageType));
        let message = ChatMessage { message_type: 1, ..message };
        assert_eq!(check_chat(&message, &receipt), Err(Rejection::StickerMissing));
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
        let mut receipt =
            Receipt { author: Some(&other), installations: Some(&[]), ..Receipt::at(1) };
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
