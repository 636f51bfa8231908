//! The rules of a receiver, as the reasons to reject a message that breaks them.

use crate::{explain::Explanation, payload::clock, time::UnixMillis};

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

impl Rejection {
    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "payload.unknown_type",
            rule: "The type in the wrapper is one of a list; clients ignore others without a word.",
            source: "Status specifications, Payloads",
            causes: "A newer client, or another protocol inside the wrapper.",
        },
        Explanation {
            code: "payload.clock_zero",
            rule: "The clock of a message is never 0.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.clock_ahead",
            rule: "The clock of a message is at most 120 seconds ahead of its envelope. It may be as far behind as it likes.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "Seconds or microseconds in place of milliseconds, or a chat whose clock someone has pushed ahead.",
        },
        Explanation {
            code: "payload.timestamp_zero",
            rule: "The timestamp of a chat message is not 0; any other passes.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.timestamp_range",
            rule: "The timestamp of a chat message is below 2^63.",
            source: "The database of the reference implementation: its numbers have 63 bits",
            causes: "A random or hostile number. Clients lose this message, and all that are stored with it.",
        },
        Explanation {
            code: "payload.clock_range",
            rule: "The clock of a contact update is below 2^63.",
            source: "The database of the reference implementation: its numbers have 63 bits",
            causes: "A random or hostile number.",
        },
        Explanation {
            code: "payload.message_type_unknown",
            rule: "The message type is one that clients know: one_to_one, public_group, private_group.",
            source: "Status specifications, Payloads: the type decides about the chat",
            causes: "A number of a later version, or a random one.",
        },
        Explanation {
            code: "payload.group_in_public",
            rule: "A message of a private group comes with the group's session, never in a public chat.",
            source: "Status specifications, Payloads: the type decides about the chat",
            causes: "message_type private_group in a payload for a public chat.",
        },
        Explanation {
            code: "payload.chat_unknown",
            rule: "The chat id of a public message names the chat; clients that have not joined it drop the message, whatever its topic is.",
            source: "Status specifications, Payloads: the chat id decides, not the topic",
            causes: "A chat id other than the chat in whose topic the message was sent.",
        },
        Explanation {
            code: "payload.text_blank",
            rule: "The text of a chat message is not empty, nor only white space; also that of a sticker, which carries a sentence for old clients.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "An empty variable, or a picture without a text.",
        },
        Explanation {
            code: "payload.chat_id_empty",
            rule: "A chat message names its chat.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.content_type",
            rule: "The content type is not 0. Types that a client does not know pass.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.content_type_local",
            rule: "Content type 5, transaction command, is made by a client for itself; from the wire it is refused.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The command has a type of payloads of its own.",
        },
        Explanation {
            code: "payload.sticker_missing",
            rule: "Content type 2 comes with a sticker.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The sticker was left out.",
        },
        Explanation {
            code: "payload.sticker_hash",
            rule: "A sticker has the content hash of its image.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The hash was left out.",
        },
        Explanation {
            code: "payload.message_type",
            rule: "The message type is not 0.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.message_type_local",
            rule: "Message type 4, system message, is made by a client for itself; from the wire it is refused.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "Someone pretends to be the system.",
        },
        Explanation {
            code: "payload.not_oneself",
            rule: "Pairing and synchronisation come from one's own key only.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "Someone else pretends to be a device of yours.",
        },
        Explanation {
            code: "payload.name_blank",
            rule: "A device that is to be paired has a name.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.device_type_blank",
            rule: "A device that is to be paired has a type: ios, android, desktop, or any other text.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.installation_id_blank",
            rule: "A device that is to be paired has an installation id.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.installation_unknown",
            rule: "A device can be paired when a bundle of it has come.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The contact code of the other device has not arrived yet.",
        },
        Explanation {
            code: "payload.value_blank",
            rule: "A request of money names an amount.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.value_number",
            rule: "The amount of a request is a floating-point literal: 1, 0.5, 1e18; not 0x10.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "A unit or a blank beside the number.",
        },
        Explanation {
            code: "payload.address_blank",
            rule: "The address of a command is not blank. Nothing else is checked of it.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.id_empty",
            rule: "An answer names the message that it answers.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.transaction_hash_blank",
            rule: "An announced transaction has a hash.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.proof_missing",
            rule: "An announced transaction carries a signature of the wallet.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.event_count",
            rule: "Of a membership update, at most 6144 events are looked at, since each costs the recovery of a key.",
            source: "tools",
            causes: "A flood, or a very old group.",
        },
        Explanation {
            code: "payload.event_format",
            rule: "Each event of a membership update is a signature of 65 bytes and a MembershipUpdateEvent.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "Events that were cut, or encoded twice.",
        },
        Explanation {
            code: "payload.event_clock_zero",
            rule: "The clock of an event is never 0.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "The field was left out.",
        },
        Explanation {
            code: "payload.event_clock_ahead",
            rule: "The clock of an event is at most 120 seconds ahead of the receiver's own time, not of the envelope's.",
            source: "Status specifications, Payloads, Membership updates; as in the reference",
            causes: "Seconds or microseconds in place of milliseconds, or a clock that runs behind.",
        },
    ];
}
