//! The types of payloads: their numbers, names and messages.

use prost::Message as _;

pub use super::proto::application_metadata_message::Type;
use super::{PayloadError, proto, schema};
use crate::protobuf::{MessageDef, decode_known};

/// A type of payloads.
#[derive(Debug, PartialEq, Eq)]
pub struct PayloadType {
    /// Its number in the wrapper.
    pub number: i32,
    /// Its name, such as `chat_message`.
    pub name: &'static str,
    /// The definition of its message. `None` if there is none here.
    pub message: Option<&'static MessageDef>,
    /// The first version of the reference that knows it. Clients of March 2020 are 0.50.
    pub since: &'static str,
}

macro_rules! payload_types {
    ($($variant:ident $def:ident $since:literal;)*) => {
        /// All known types.
        pub static TYPES: &[PayloadType] = &[
            $(payload_type(Type::$variant, Some(&schema::$def), $since),)*
            payload_type(Type::CommunityDescription, None, "0.67"),
        ];

        /// The decoded message of a payload.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "never stored in bulk")]
        pub enum PayloadMessage {
            $(
                #[doc = concat!("[`", stringify!($variant), "`](proto::", stringify!($variant), ").")]
                $variant(proto::$variant),
            )*
            /// A message of a type without a definition.
            Other {
                /// The number of the type.
                number: i32,
                /// The encoded message.
                bytes: Vec<u8>,
            },
        }

        impl PayloadMessage {
            /// Decodes the message of a payload of type `number`.
            ///
            /// # Errors
            /// If the bytes are not the message that the type has.
            pub fn decode(number: i32, bytes: &[u8]) -> Result<Self, PayloadError> {
                match Type::try_from(number) {
                    $(Ok(Type::$variant) => decode(&schema::$def, bytes).map(Self::$variant),)*
                    _ => Ok(Self::Other { number, bytes: bytes.to_vec() }),
                }
            }

            /// Encodes the message as the reference does.
            pub fn encode(&self) -> Vec<u8> {
                match self {
                    $(Self::$variant(message) => message.encode_to_vec(),)*
                    Self::Other { bytes, .. } => bytes.clone(),
                }
            }

            /// Returns the number of the type.
            pub fn number(&self) -> i32 {
                match self {
                    $(Self::$variant(_) => Type::$variant as i32,)*
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

// Message, its definition, and the first version of the reference that knows it.
payload_types! {
    ChatMessage CHAT_MESSAGE "0.50";
    ContactUpdate CONTACT_UPDATE "0.50";
    MembershipUpdateMessage MEMBERSHIP_UPDATE_MESSAGE "0.50";
    PairInstallation PAIR_INSTALLATION "0.50";
    SyncInstallation SYNC_INSTALLATION "0.50";
    RequestAddressForTransaction REQUEST_ADDRESS_FOR_TRANSACTION "0.50";
    AcceptRequestAddressForTransaction ACCEPT_REQUEST_ADDRESS_FOR_TRANSACTION "0.50";
    DeclineRequestAddressForTransaction DECLINE_REQUEST_ADDRESS_FOR_TRANSACTION "0.50";
    RequestTransaction REQUEST_TRANSACTION "0.50";
    SendTransaction SEND_TRANSACTION "0.50";
    DeclineRequestTransaction DECLINE_REQUEST_TRANSACTION "0.50";
    SyncInstallationContact SYNC_INSTALLATION_CONTACT "0.50";
    SyncInstallationAccount SYNC_INSTALLATION_ACCOUNT "0.50";
    SyncInstallationPublicChat SYNC_INSTALLATION_PUBLIC_CHAT "0.50";
    ContactCodeAdvertisement CONTACT_CODE_ADVERTISEMENT "0.56";
    PushNotificationRegistration PUSH_NOTIFICATION_REGISTRATION "0.56";
    PushNotificationRegistrationResponse PUSH_NOTIFICATION_REGISTRATION_RESPONSE "0.56";
    PushNotificationQuery PUSH_NOTIFICATION_QUERY "0.56";
    PushNotificationQueryResponse PUSH_NOTIFICATION_QUERY_RESPONSE "0.56";
    PushNotificationRequest PUSH_NOTIFICATION_REQUEST "0.56";
    PushNotificationResponse PUSH_NOTIFICATION_RESPONSE "0.56";
    EmojiReaction EMOJI_REACTION "0.56";
    GroupChatInvitation GROUP_CHAT_INVITATION "0.60";
    ChatIdentity CHAT_IDENTITY "0.65";
    CommunityInvitation COMMUNITY_INVITATION "0.67";
    CommunityRequestToJoin COMMUNITY_REQUEST_TO_JOIN "0.67";
    PinMessage PIN_MESSAGE "0.67";
    EditMessage EDIT_MESSAGE "0.67";
    StatusUpdate STATUS_UPDATE "0.83";
    DeleteMessage DELETE_MESSAGE "0.67";
}

const fn payload_type(
    number: Type,
    message: Option<&'static MessageDef>,
    since: &'static str,
) -> PayloadType {
    let number = number as i32;
    // The enumeration lists its numbers in order, from 0.
    let name = schema::APPLICATION_METADATA_MESSAGE_TYPE.values[number as usize].1;
    PayloadType { number, name, message, since }
}

impl PayloadType {
    /// Returns whether clients of March 2020 know the type.
    pub(super) fn is_first(&self) -> bool {
        self.since == FIRST
    }

    /// Returns the type of a number.
    pub fn from_number(number: i32) -> Option<&'static Self> {
        TYPES.iter().find(|it| it.number == number)
    }

    /// Returns the type of a name; `_message` at its end may be missing. Ignores case, and reads
    /// hyphens as underscores.
    pub fn from_name(text: &str) -> Option<&'static Self> {
        let text = text.to_ascii_lowercase().replace('-', "_");
        let exact = |wanted: &str| TYPES.iter().find(|it| it.name == wanted);
        exact(&text).or_else(|| exact(&format!("{text}_message")))
    }

    /// Returns the type of a name or of the unambiguous beginning of one. Prefers the types of
    /// March 2020.
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

/// Returns the name of a type, such as `chat_message`, or `unknown_99`.
pub fn type_name(number: i32) -> String {
    schema::APPLICATION_METADATA_MESSAGE_TYPE
        .name_of(number)
        .map_or_else(|| format!("unknown_{number}"), str::to_owned)
}

/// Decodes a message as the reference does: a known field of another wire type counts as unknown.
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
        // The clock as bytes, the id as text.
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
