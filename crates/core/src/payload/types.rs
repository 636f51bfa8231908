//! The types of payloads: their numbers and names, and the messages that belong to them.

use std::fmt;

use prost::Message as _;

pub use super::proto::application_metadata_message::Type;
use super::{PayloadError, proto, schema};
use crate::protobuf::{MessageDef, decode_known};

/// A type of payloads.
#[derive(Debug, PartialEq, Eq)]
pub struct PayloadType {
    /// Its number in the wrapper.
    pub number: i32,
    /// As in `chat_message`.
    pub name: &'static str,
    /// The definition of its message; none if we have none.
    pub message: Option<&'static MessageDef>,
    /// The first version of the reference that knows it. Clients of March 2020 are 0.50.
    pub since: &'static str,
}

macro_rules! payload_types {
    ($($number:literal $variant:ident $def:ident $since:literal;)*) => {
        /// All types with a message that we know.
        pub static TYPES: &[PayloadType] = &[$(PayloadType {
            number: $number,
            name: name_of_number($number),
            message: Some(&schema::$def),
            since: $since,
        },)* PayloadType {
            number: Type::CommunityDescription as i32,
            name: name_of_number(Type::CommunityDescription as i32),
            message: None,
            since: "0.67",
        }];

        /// What is in a payload: one of the messages, or something that we have no definition of.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "they are not kept in numbers")]
        pub enum PayloadMessage {
            $(#[doc = concat!("Type ", $number, ".")] $variant(proto::$variant),)*
            /// Of a type without a definition.
            Other {
                /// Its number in the wrapper.
                number: i32,
                /// The encoded message.
                bytes: Vec<u8>,
            },
        }

        impl PayloadMessage {
            /// Reads the message of a payload of type `number`.
            pub fn decode(number: i32, bytes: &[u8]) -> Result<Self, PayloadError> {
                match number {
                    $($number => decode(&schema::$def, bytes).map(Self::$variant),)*
                    _ => Ok(Self::Other { number, bytes: bytes.to_vec() }),
                }
            }

            /// The bytes of the message, as the reference writes it.
            pub fn encode(&self) -> Vec<u8> {
                match self {
                    $(Self::$variant(message) => message.encode_to_vec(),)*
                    Self::Other { bytes, .. } => bytes.clone(),
                }
            }

            /// The number of the type.
            pub fn number(&self) -> i32 {
                match self {
                    $(Self::$variant(_) => $number,)*
                    Self::Other { number, .. } => *number,
                }
            }
        }

        $(impl From<proto::$variant> for PayloadMessage {
            fn from(message: proto::$variant) -> Self {
                Self::$variant(message)
            }
        })*
    };
}

payload_types! {
    1 ChatMessage CHAT_MESSAGE "0.50";
    2 ContactUpdate CONTACT_UPDATE "0.50";
    3 MembershipUpdateMessage MEMBERSHIP_UPDATE_MESSAGE "0.50";
    4 PairInstallation PAIR_INSTALLATION "0.50";
    5 SyncInstallation SYNC_INSTALLATION "0.50";
    6 RequestAddressForTransaction REQUEST_ADDRESS_FOR_TRANSACTION "0.50";
    7 AcceptRequestAddressForTransaction ACCEPT_REQUEST_ADDRESS_FOR_TRANSACTION "0.50";
    8 DeclineRequestAddressForTransaction DECLINE_REQUEST_ADDRESS_FOR_TRANSACTION "0.50";
    9 RequestTransaction REQUEST_TRANSACTION "0.50";
    10 SendTransaction SEND_TRANSACTION "0.50";
    11 DeclineRequestTransaction DECLINE_REQUEST_TRANSACTION "0.50";
    12 SyncInstallationContact SYNC_INSTALLATION_CONTACT "0.50";
    13 SyncInstallationAccount SYNC_INSTALLATION_ACCOUNT "0.50";
    14 SyncInstallationPublicChat SYNC_INSTALLATION_PUBLIC_CHAT "0.50";
    15 ContactCodeAdvertisement CONTACT_CODE_ADVERTISEMENT "0.56";
    16 PushNotificationRegistration PUSH_NOTIFICATION_REGISTRATION "0.56";
    17 PushNotificationRegistrationResponse PUSH_NOTIFICATION_REGISTRATION_RESPONSE "0.56";
    18 PushNotificationQuery PUSH_NOTIFICATION_QUERY "0.56";
    19 PushNotificationQueryResponse PUSH_NOTIFICATION_QUERY_RESPONSE "0.56";
    20 PushNotificationRequest PUSH_NOTIFICATION_REQUEST "0.56";
    21 PushNotificationResponse PUSH_NOTIFICATION_RESPONSE "0.56";
    22 EmojiReaction EMOJI_REACTION "0.56";
    23 GroupChatInvitation GROUP_CHAT_INVITATION "0.60";
    24 ChatIdentity CHAT_IDENTITY "0.65";
    26 CommunityInvitation COMMUNITY_INVITATION "0.67";
    27 CommunityRequestToJoin COMMUNITY_REQUEST_TO_JOIN "0.67";
    28 PinMessage PIN_MESSAGE "0.67";
    29 EditMessage EDIT_MESSAGE "0.67";
    30 StatusUpdate STATUS_UPDATE "0.83";
    31 DeleteMessage DELETE_MESSAGE "0.67";
}

const fn name_of_number(number: i32) -> &'static str {
    // The enumeration is written in the order of its numbers, from 0.
    schema::APPLICATION_METADATA_MESSAGE_TYPE.values[number as usize].1
}

impl PayloadType {
    /// Whether clients of March 2020 know it.
    pub fn is_first(&self) -> bool {
        self.since == FIRST
    }

    /// The type of a number, if we know it.
    pub fn from_number(number: i32) -> Option<&'static Self> {
        TYPES.iter().find(|it| it.number == number)
    }

    /// The type of a name, or of a name without its `_message`. Capitals and hyphens don't matter.
    pub fn from_name(text: &str) -> Option<&'static Self> {
        let text = text.to_ascii_lowercase().replace('-', "_");
        let exact = |wanted: &str| TYPES.iter().find(|it| it.name == wanted);
        exact(&text).or_else(|| exact(&format!("{text}_message")))
    }

    /// The type that a person means: by its name, or by the beginning of one name only; among
    /// those of March 2020, if there are any.
    pub fn search(text: &str) -> Option<&'static Self> {
        Self::from_name(text).or_else(|| {
            let text = text.to_ascii_lowercase().replace('-', "_");
            let mut found: Vec<_> = TYPES.iter().filter(|it| it.name.starts_with(&text)).collect();
            if found.iter().any(|it| it.is_first()) {
                found.retain(|it| it.is_first());
            }
            if let [one] = found[..] { Some(one) } else { None }
        })
    }
}

/// The version of March 2020.
const FIRST: &str = "0.50";

/// The name of a type; `unknown_99` if it has none.
pub fn type_name(number: i32) -> String {
    schema::APPLICATION_METADATA_MESSAGE_TYPE
        .name_of(number)
        .map_or_else(|| format!("unknown_{number}"), str::to_owned)
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Reads a message as the reference does: a known field with another wire type is as good as
/// unknown.
pub(crate) fn decode<M: prost::Message + Default>(
    def: &'static MessageDef,
    bytes: &[u8],
) -> Result<M, PayloadError> {
    decode_known(def, bytes).map_err(|error| PayloadError::Protobuf { what: def.name, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for it in TYPES {
            assert_eq!(type_name(it.number), it.name);
            assert_eq!(PayloadType::from_number(it.number), Some(it));
            assert_eq!(PayloadType::from_name(it.name), Some(it));
            if let Some(def) = it.message {
                let spelled: String = it
                    .name
                    .split('_')
                    .flat_map(|word| {
                        let (first, rest) = word.split_at(1);
                        [first.to_ascii_uppercase(), rest.to_owned()]
                    })
                    .collect();
                assert_eq!(spelled, def.name);
            }
        }
        assert_eq!(TYPES.len() + 1, schema::APPLICATION_METADATA_MESSAGE_TYPE.values.len());
        let short = ["chat", "CHAT-MESSAGE", "pair", "membership", "contact"];
        let found = short.map(|text| PayloadType::search(text).map(|it| it.number));
        assert_eq!(found, [1, 1, 4, 3, 2].map(Some));
        assert_eq!(["", "x", "sync", "push"].map(PayloadType::search), [None; 4]);
        assert_eq!(PayloadType::from_name("pair"), None);
        assert_eq!(type_name(99), "unknown_99");
    }

    #[test]
    fn a_field_of_another_wire_type_is_unknown() {
        // Clock as bytes, id as it should be.
        let message = PayloadMessage::decode(8, &[0x0a, 1, b'x', 0x12, 1, b'y']).unwrap();
        let expected = proto::DeclineRequestAddressForTransaction { clock: 0, id: "y".to_owned() };
        assert_eq!(message, expected.into());
        let error = PayloadMessage::decode(8, &[0x12, 1, 0xff]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "not a DeclineRequestAddressForTransaction: the text is not UTF-8 (byte 2)"
        );
        assert!(PayloadMessage::decode(99, b"\xff").is_ok());
    }
}
