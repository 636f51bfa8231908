//! The rules of a receiver, as the reasons to reject a message that breaks them.

use crate::{payload::clock, time::UnixMillis};

macro_rules! rejections {
    ($($(#[$doc:meta])* $name:ident $code:literal $field:literal $rule:literal $error:literal;)*) => {
        /// Why a message is rejected.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        #[non_exhaustive]
        pub enum Rejection {
            $(#[doc = $rule] #[error($error)] $name,)*
        }

        impl Rejection {
            /// Returns the stable code of this rejection, as the tools print it.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Returns the rejection with a code. `None` if there is none.
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// Returns the name of the field in question.
            pub fn field(self) -> &'static str {
                match self { $(Self::$name => $field,)* }
            }

            /// Returns the rule that the message breaks.
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
    ClockRange "payload.clock_range" "clock"
        "the clock is below 2^63" "the clock is 2^63 or more: clients can't store it";
    ClockAhead "payload.clock_ahead" "clock"
        "the clock is at most 120 s ahead of the envelope"
        "the clock is more than two minutes ahead of the envelope";
    TimestampZero "payload.timestamp_zero" "timestamp"
        "the timestamp is not 0" "the timestamp is 0";
    TimestampRange "payload.timestamp_range" "timestamp"
        "the timestamp is below 2^63"
        "the timestamp is 2^63 or more: clients lose this message, and all that come with it";
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
    MessageTypeUnknown "payload.message_type_unknown" "message_type"
        "the message type is known" "there is no such message type: clients drop the message";
    GroupInPublic "payload.group_in_public" "message_type"
        "a message in a public chat is of no private group"
        "a message of a private group in a public chat: clients drop it";
    ChatUnknown "payload.chat_unknown" "chat_id"
        "the chat id is that of a public chat that is received"
        "the chat id is none of the public chats that are received: clients drop the message";
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

/// One rule, and whether a message keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// The rule, as the reason to reject a message that breaks it.
    pub rejection: Rejection,
    /// Whether the message keeps it.
    pub pass: bool,
}

/// Applies the rules for the clocks of events. They are compared with the current time, since
/// events may be older than the envelope.
pub fn event_clocks(mut clocks: impl Iterator<Item = u64> + Clone, now: UnixMillis) -> [Check; 2] {
    let is_ahead = clocks.clone().any(|clock| clock::is_ahead(clock, now));
    let has_zero = clocks.any(|clock| clock == 0);
    [
        Check { rejection: Rejection::EventClockZero, pass: !has_zero },
        Check { rejection: Rejection::EventClockAhead, pass: !is_ahead },
    ]
}

/// Checks that no rule is broken.
///
/// # Errors
/// The first rule that is broken.
pub fn first_failure(checks: &[Check]) -> Result<(), Rejection> {
    checks.iter().find(|check| !check.pass).map_or(Ok(()), |check| Err(check.rejection))
}
