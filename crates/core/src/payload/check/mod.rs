//! What a receiver checks before it acts on a message, one rule at a time.
//!
//! The rules and their order are those of the reference (status-go v0.50.2): what passes here is
//! accepted there. A message that fails a rule is dropped without an answer.
//!
//! Source: Status, "Payloads", with the checks of the reference.

mod number;

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

/// The circumstances in which a message came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Receipt<'a> {
    /// When its envelope was sent: UNIX time in milliseconds.
    pub sent_ms: u64,
    /// Our own time, in milliseconds.
    pub now_ms: u64,
    /// Who wrote it.
    pub author: Option<&'a PublicKey>,
    /// Who we are. Without it, what only oneself may send is not checked.
    pub me: Option<&'a PublicKey>,
    /// The installations that we know of. Without it, that is not checked.
    pub installations: Option<&'a [String]>,
}

impl Receipt<'_> {
    /// A message whose envelope was sent at `sent` (UNIX seconds), right now.
    pub fn at(sent: u32) -> Self {
        let sent_ms = u64::from(sent) * 1000;
        Self { sent_ms, now_ms: sent_ms, ..Self::default() }
    }
}

macro_rules! rejections {
    ($($(#[$doc:meta])* $name:ident $code:literal $field:literal $rule:literal $error:literal;)*) => {
        /// Why a message is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum Rejection {
            $(#[doc = $rule] #[error($error)] $name,)*
        }

        impl Rejection {
            /// The stable code of this rejection, as the tools print it.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The field that it is about.
            pub fn field(self) -> &'static str {
                match self { $(Self::$name => $field,)* }
            }

            /// The rule that a message breaks.
            pub fn rule(self) -> &'static str {
                match self { $(Self::$name => $rule,)* }
            }
        }
    };
}

rejections! {
    UnknownType "payload.unknown_type" "type"
        "the type is known" "there is no such type of payloads";
    ClockZero "payload.clock_zero" "clock"
        "the clock is not 0" "the clock is 0";
    ClockAhead "payload.clock_ahead" "clock"
        "the clock is at most 120 s ahead of the envelope"
        "the clock is more than two minutes ahead of the envelope";
    TimestampZero "payload.timestamp_zero" "timestamp"
        "the timestamp is not 0" "the timestamp is 0";
    TextBlank "payload.text_blank" "text"
        "the text is not blank" "the text is blank";
    ChatIdEmpty "payload.chat_id_empty" "chat_id"
        "the chat id is not empty" "the chat id is empty";
    ContentType "payload.content_type" "content_type"
        "the content type is not 0" "the content type is unknown (0)";
    ContentTypeLocal "payload.content_type_local" "content_type"
        "the content is no transaction command"
        "a transaction command can't come from the wire";
    StickerMissing "payload.sticker_missing" "sticker"
        "a sticker has a sticker" "a sticker without a sticker";
    StickerHash "payload.sticker_hash" "sticker"
        "a sticker has a hash" "a sticker without a hash";
    MessageType "payload.message_type" "message_type"
        "the message type is not 0" "the message type is unknown (0)";
    MessageTypeLocal "payload.message_type_local" "message_type"
        "the message is none of a client to itself"
        "a system message can't come from the wire";
    NotOneself "payload.not_oneself" "author"
        "the author is oneself" "only one's own devices may send this";
    NameBlank "payload.name_blank" "name"
        "the name is not blank" "the name is blank";
    DeviceTypeBlank "payload.device_type_blank" "device_type"
        "the device type is not blank" "the device type is blank";
    InstallationIdBlank "payload.installation_id_blank" "installation_id"
        "the installation id is not blank" "the installation id is blank";
    InstallationUnknown "payload.installation_unknown" "installation_id"
        "the installation is known" "no bundle of this installation has come yet";
    ValueBlank "payload.value_blank" "value"
        "the value is not blank" "the value is blank";
    ValueNumber "payload.value_number" "value"
        "the value is a number" "the value is not a number";
    AddressBlank "payload.address_blank" "address"
        "the address is not blank" "the address is blank";
    IdEmpty "payload.id_empty" "id"
        "the id is not empty" "the id of the message that is answered is empty";
    TransactionHashBlank "payload.transaction_hash_blank" "transaction_hash"
        "the transaction hash is not blank" "the transaction hash is blank";
    ProofMissing "payload.proof_missing" "signature"
        "there is a signature" "the signature of the wallet is missing";
    EventCount "payload.event_count" "events"
        "there are at most 16384 events" "there are more events than are looked at";
    EventFormat "payload.event_format" "events"
        "each event has a signature and a message" "an event is malformed";
    EventClockZero "payload.event_clock_zero" "events"
        "no event has clock 0" "the clock of an event is 0";
    EventClockAhead "payload.event_clock_ahead" "events"
        "no event is more than 120 s ahead of our own time"
        "the clock of an event is more than two minutes ahead of our own time";
}

/// One rule, and how a message fares under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// What the message is refused for if it does not pass.
    pub rejection: Rejection,
    /// Whether it passes.
    pub pass: bool,
}

/// Applies all rules for a message; the first that fails says why it is refused.
pub fn checks(message: &PayloadMessage, receipt: &Receipt<'_>) -> Vec<Check> {
    let mut rules = Rules { receipt, checks: Vec::new() };
    rules.message(message);
    rules.checks
}

/// Whether a receiver takes a message.
pub fn check(message: &PayloadMessage, receipt: &Receipt<'_>) -> Result<(), Rejection> {
    first_failure(&checks(message, receipt))
}

/// Whether a receiver takes a chat message that came by itself or in a group update.
pub fn check_chat(message: &ChatMessage, receipt: &Receipt<'_>) -> Result<(), Rejection> {
    let mut rules = Rules { receipt, checks: Vec::new() };
    rules.chat(message);
    first_failure(&rules.checks)
}

/// The rules for the clocks of events. They are measured by our own time, since events may be
/// older than the envelope.
pub fn event_clocks(events: &[GroupEvent], now_ms: u64) -> [Check; 2] {
    let is_ahead = |event: &GroupEvent| clock::is_ahead(event.clock(), now_ms);
    let not_zero = events.iter().all(|event| event.clock() != 0);
    [
        Check { rejection: Rejection::EventClockZero, pass: not_zero },
        Check { rejection: Rejection::EventClockAhead, pass: !events.iter().any(is_ahead) },
    ]
}

/// What the first rule that is not kept says.
pub fn first_failure(checks: &[Check]) -> Result<(), Rejection> {
    checks.iter().find(|check| !check.pass).map_or(Ok(()), |check| Err(check.rejection))
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
            // Contact updates, and what clients of March 2020 ignore.
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
            // Each costs the recovery of a key.
            .take(MAX_RECEIVED)
            .map(|raw| GroupEvent::decode(chat_id, raw))
            .collect();
        self.add(Rejection::EventFormat, events.is_ok());
        let events = events.unwrap_or_default();
        self.checks.extend(event_clocks(&events, self.receipt.now_ms));
    }
}

/// Nothing but white space, as Unicode has it.
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
    fn the_type_of_a_message_is_looked_at_before_its_sticker() {
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
    fn only_oneself_pairs_and_syncs() {
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
