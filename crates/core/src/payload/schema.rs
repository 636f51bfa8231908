// This file is @generated from the definitions: see tests/generated.rs.
use crate::protobuf::{EnumDef, FieldDef, FieldType, MessageDef};
pub static APPLICATION_METADATA_MESSAGE: MessageDef = MessageDef {
    name: "ApplicationMetadataMessage",
    fields: &[
        FieldDef { number: 1, name: "signature", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 2, name: "payload", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 3, name: "type", kind: FieldType::Enum(&APPLICATION_METADATA_MESSAGE_TYPE), repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static APPLICATION_METADATA_MESSAGE_TYPE: EnumDef = EnumDef {
    name: "Type",
    values: &[
        (0, "unknown"),
        (1, "chat_message"),
        (2, "contact_update"),
        (3, "membership_update_message"),
        (4, "pair_installation"),
        (5, "sync_installation"),
        (6, "request_address_for_transaction"),
        (7, "accept_request_address_for_transaction"),
        (8, "decline_request_address_for_transaction"),
        (9, "request_transaction"),
        (10, "send_transaction"),
        (11, "decline_request_transaction"),
        (12, "sync_installation_contact"),
        (13, "sync_installation_account"),
        (14, "sync_installation_public_chat"),
        (15, "contact_code_advertisement"),
        (16, "push_notification_registration"),
        (17, "push_notification_registration_response"),
        (18, "push_notification_query"),
        (19, "push_notification_query_response"),
        (20, "push_notification_request"),
        (21, "push_notification_response"),
        (22, "emoji_reaction"),
        (23, "group_chat_invitation"),
        (24, "chat_identity"),
        (25, "community_description"),
        (26, "community_invitation"),
        (27, "community_request_to_join"),
        (28, "pin_message"),
        (29, "edit_message"),
        (30, "status_update"),
        (31, "delete_message"),
    ],
};
pub static CHAT_MESSAGE: MessageDef = MessageDef {
    name: "ChatMessage",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "timestamp", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 3, name: "text", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "response_to", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 5, name: "ens_name", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 6, name: "chat_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 7, name: "message_type", kind: FieldType::Enum(&MESSAGE_TYPE), repeated: false, oneof: None },
        FieldDef { number: 8, name: "content_type", kind: FieldType::Enum(&CHAT_MESSAGE_CONTENT_TYPE), repeated: false, oneof: None },
        FieldDef { number: 9, name: "sticker", kind: FieldType::Message(&STICKER_MESSAGE), repeated: false, oneof: Some("payload") },
        FieldDef { number: 10, name: "image", kind: FieldType::Message(&IMAGE_MESSAGE), repeated: false, oneof: Some("payload") },
        FieldDef { number: 11, name: "audio", kind: FieldType::Message(&AUDIO_MESSAGE), repeated: false, oneof: Some("payload") },
        FieldDef { number: 12, name: "community", kind: FieldType::Bytes, repeated: false, oneof: Some("payload") },
        FieldDef { number: 13, name: "grant", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static CHAT_MESSAGE_CONTENT_TYPE: EnumDef = EnumDef {
    name: "ContentType",
    values: &[
        (0, "unknown_content_type"),
        (1, "text_plain"),
        (2, "sticker"),
        (3, "status"),
        (4, "emoji"),
        (5, "transaction_command"),
        (6, "system_message_content_private_group"),
        (7, "image"),
        (8, "audio"),
        (9, "community"),
    ],
};
pub static STICKER_MESSAGE: MessageDef = MessageDef {
    name: "StickerMessage",
    fields: &[
        FieldDef { number: 1, name: "hash", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 2, name: "pack", kind: FieldType::Int32, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static CONTACT_UPDATE: MessageDef = MessageDef {
    name: "ContactUpdate",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "ens_name", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "profile_image", kind: FieldType::String, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static MEMBERSHIP_UPDATE_MESSAGE: MessageDef = MessageDef {
    name: "MembershipUpdateMessage",
    fields: &[
        FieldDef { number: 1, name: "chat_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 2, name: "events", kind: FieldType::Bytes, repeated: true, oneof: None },
        FieldDef { number: 3, name: "message", kind: FieldType::Message(&CHAT_MESSAGE), repeated: false, oneof: Some("chat_entity") },
        FieldDef { number: 4, name: "emoji_reaction", kind: FieldType::Message(&EMOJI_REACTION), repeated: false, oneof: Some("chat_entity") },
    ],
    is_entry: false,
};
pub static MEMBERSHIP_UPDATE_EVENT: MessageDef = MessageDef {
    name: "MembershipUpdateEvent",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "members", kind: FieldType::String, repeated: true, oneof: None },
        FieldDef { number: 3, name: "name", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "type", kind: FieldType::Enum(&MEMBERSHIP_UPDATE_EVENT_EVENT_TYPE), repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static MEMBERSHIP_UPDATE_EVENT_EVENT_TYPE: EnumDef = EnumDef {
    name: "EventType",
    values: &[
        (0, "unknown"),
        (1, "chat_created"),
        (2, "name_changed"),
        (3, "members_added"),
        (4, "member_joined"),
        (5, "member_removed"),
        (6, "admins_added"),
        (7, "admin_removed"),
    ],
};
pub static PAIR_INSTALLATION: MessageDef = MessageDef {
    name: "PairInstallation",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "installation_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "device_type", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "name", kind: FieldType::String, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static SYNC_INSTALLATION_CONTACT: MessageDef = MessageDef {
    name: "SyncInstallationContact",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "profile_image", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "ens_name", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 5, name: "last_updated", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 6, name: "system_tags", kind: FieldType::String, repeated: true, oneof: None },
        FieldDef { number: 7, name: "local_nickname", kind: FieldType::String, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static SYNC_INSTALLATION_ACCOUNT: MessageDef = MessageDef {
    name: "SyncInstallationAccount",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "profile_image", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "last_updated", kind: FieldType::Uint64, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static SYNC_INSTALLATION_PUBLIC_CHAT: MessageDef = MessageDef {
    name: "SyncInstallationPublicChat",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "id", kind: FieldType::String, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static SYNC_INSTALLATION: MessageDef = MessageDef {
    name: "SyncInstallation",
    fields: &[
        FieldDef { number: 1, name: "contacts", kind: FieldType::Message(&SYNC_INSTALLATION_CONTACT), repeated: true, oneof: None },
        FieldDef { number: 2, name: "public_chats", kind: FieldType::Message(&SYNC_INSTALLATION_PUBLIC_CHAT), repeated: true, oneof: None },
        FieldDef { number: 3, name: "account", kind: FieldType::Message(&SYNC_INSTALLATION_ACCOUNT), repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static REQUEST_ADDRESS_FOR_TRANSACTION: MessageDef = MessageDef {
    name: "RequestAddressForTransaction",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "value", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "contract", kind: FieldType::String, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static ACCEPT_REQUEST_ADDRESS_FOR_TRANSACTION: MessageDef = MessageDef {
    name: "AcceptRequestAddressForTransaction",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "address", kind: FieldType::String, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static DECLINE_REQUEST_ADDRESS_FOR_TRANSACTION: MessageDef = MessageDef {
    name: "DeclineRequestAddressForTransaction",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "id", kind: FieldType::String, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static REQUEST_TRANSACTION: MessageDef = MessageDef {
    name: "RequestTransaction",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "address", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "value", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "contract", kind: FieldType::String, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static DECLINE_REQUEST_TRANSACTION: MessageDef = MessageDef {
    name: "DeclineRequestTransaction",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "id", kind: FieldType::String, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static SEND_TRANSACTION: MessageDef = MessageDef {
    name: "SendTransaction",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "transaction_hash", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "signature", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static IMAGE_MESSAGE: MessageDef = MessageDef {
    name: "ImageMessage",
    fields: &[
        FieldDef { number: 1, name: "payload", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 2, name: "type", kind: FieldType::Enum(&IMAGE_TYPE), repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static AUDIO_MESSAGE: MessageDef = MessageDef {
    name: "AudioMessage",
    fields: &[
        FieldDef { number: 1, name: "payload", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 2, name: "type", kind: FieldType::Enum(&AUDIO_MESSAGE_AUDIO_TYPE), repeated: false, oneof: None },
        FieldDef { number: 3, name: "duration_ms", kind: FieldType::Uint64, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static AUDIO_MESSAGE_AUDIO_TYPE: EnumDef = EnumDef {
    name: "AudioType",
    values: &[
        (0, "unknown_audio_type"),
        (1, "aac"),
        (2, "amr"),
    ],
};
pub static EMOJI_REACTION: MessageDef = MessageDef {
    name: "EmojiReaction",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "chat_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "message_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "message_type", kind: FieldType::Enum(&MESSAGE_TYPE), repeated: false, oneof: None },
        FieldDef { number: 5, name: "type", kind: FieldType::Enum(&EMOJI_REACTION_TYPE), repeated: false, oneof: None },
        FieldDef { number: 6, name: "retracted", kind: FieldType::Bool, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static EMOJI_REACTION_TYPE: EnumDef = EnumDef {
    name: "Type",
    values: &[
        (0, "unknown_emoji_reaction_type"),
        (1, "love"),
        (2, "thumbs_up"),
        (3, "thumbs_down"),
        (4, "laugh"),
        (5, "sad"),
        (6, "angry"),
    ],
};
pub static GROUP_CHAT_INVITATION: MessageDef = MessageDef {
    name: "GroupChatInvitation",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "chat_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "introduction_message", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "state", kind: FieldType::Enum(&GROUP_CHAT_INVITATION_STATE), repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static GROUP_CHAT_INVITATION_STATE: EnumDef = EnumDef {
    name: "State",
    values: &[
        (0, "unknown"),
        (1, "request"),
        (2, "rejected"),
        (3, "approved"),
    ],
};
pub static STATUS_UPDATE: MessageDef = MessageDef {
    name: "StatusUpdate",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "status_type", kind: FieldType::Enum(&STATUS_UPDATE_STATUS_TYPE), repeated: false, oneof: None },
        FieldDef { number: 3, name: "custom_text", kind: FieldType::String, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static STATUS_UPDATE_STATUS_TYPE: EnumDef = EnumDef {
    name: "StatusType",
    values: &[
        (0, "unknown_status_type"),
        (1, "automatic"),
        (2, "do_not_disturb"),
        (3, "always_online"),
        (4, "inactive"),
    ],
};
pub static PIN_MESSAGE: MessageDef = MessageDef {
    name: "PinMessage",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "message_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "chat_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "pinned", kind: FieldType::Bool, repeated: false, oneof: None },
        FieldDef { number: 5, name: "message_type", kind: FieldType::Enum(&MESSAGE_TYPE), repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static EDIT_MESSAGE: MessageDef = MessageDef {
    name: "EditMessage",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "text", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "chat_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "message_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 5, name: "grant", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 6, name: "message_type", kind: FieldType::Enum(&MESSAGE_TYPE), repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static DELETE_MESSAGE: MessageDef = MessageDef {
    name: "DeleteMessage",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "chat_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "message_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "grant", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 5, name: "message_type", kind: FieldType::Enum(&MESSAGE_TYPE), repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static CONTACT_CODE_ADVERTISEMENT: MessageDef = MessageDef {
    name: "ContactCodeAdvertisement",
    fields: &[
        FieldDef { number: 1, name: "push_notification_info", kind: FieldType::Message(&PUSH_NOTIFICATION_QUERY_INFO), repeated: true, oneof: None },
    ],
    is_entry: false,
};
pub static PUSH_NOTIFICATION_QUERY_INFO: MessageDef = MessageDef {
    name: "PushNotificationQueryInfo",
    fields: &[
        FieldDef { number: 1, name: "access_token", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 2, name: "installation_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "public_key", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 4, name: "allowed_key_list", kind: FieldType::Bytes, repeated: true, oneof: None },
        FieldDef { number: 5, name: "grant", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 6, name: "version", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 7, name: "server_public_key", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static PUSH_NOTIFICATION_REGISTRATION: MessageDef = MessageDef {
    name: "PushNotificationRegistration",
    fields: &[
        FieldDef { number: 1, name: "token_type", kind: FieldType::Enum(&PUSH_NOTIFICATION_REGISTRATION_TOKEN_TYPE), repeated: false, oneof: None },
        FieldDef { number: 2, name: "device_token", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "installation_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "access_token", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 5, name: "enabled", kind: FieldType::Bool, repeated: false, oneof: None },
        FieldDef { number: 6, name: "version", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 7, name: "allowed_key_list", kind: FieldType::Bytes, repeated: true, oneof: None },
        FieldDef { number: 8, name: "blocked_chat_list", kind: FieldType::Bytes, repeated: true, oneof: None },
        FieldDef { number: 9, name: "unregister", kind: FieldType::Bool, repeated: false, oneof: None },
        FieldDef { number: 10, name: "grant", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 11, name: "allow_from_contacts_only", kind: FieldType::Bool, repeated: false, oneof: None },
        FieldDef { number: 12, name: "apn_topic", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 13, name: "block_mentions", kind: FieldType::Bool, repeated: false, oneof: None },
        FieldDef { number: 14, name: "allowed_mentions_chat_list", kind: FieldType::Bytes, repeated: true, oneof: None },
    ],
    is_entry: false,
};
pub static PUSH_NOTIFICATION_REGISTRATION_TOKEN_TYPE: EnumDef = EnumDef {
    name: "TokenType",
    values: &[
        (0, "unknown_token_type"),
        (1, "apn_token"),
        (2, "firebase_token"),
    ],
};
pub static PUSH_NOTIFICATION_REGISTRATION_RESPONSE: MessageDef = MessageDef {
    name: "PushNotificationRegistrationResponse",
    fields: &[
        FieldDef { number: 1, name: "success", kind: FieldType::Bool, repeated: false, oneof: None },
        FieldDef { number: 2, name: "error", kind: FieldType::Enum(&PUSH_NOTIFICATION_REGISTRATION_RESPONSE_ERROR_TYPE), repeated: false, oneof: None },
        FieldDef { number: 3, name: "request_id", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static PUSH_NOTIFICATION_REGISTRATION_RESPONSE_ERROR_TYPE: EnumDef = EnumDef {
    name: "ErrorType",
    values: &[
        (0, "unknown_error_type"),
        (1, "malformed_message"),
        (2, "version_mismatch"),
        (3, "unsupported_token_type"),
        (4, "internal_error"),
    ],
};
pub static PUSH_NOTIFICATION_QUERY: MessageDef = MessageDef {
    name: "PushNotificationQuery",
    fields: &[
        FieldDef { number: 1, name: "public_keys", kind: FieldType::Bytes, repeated: true, oneof: None },
    ],
    is_entry: false,
};
pub static PUSH_NOTIFICATION_QUERY_RESPONSE: MessageDef = MessageDef {
    name: "PushNotificationQueryResponse",
    fields: &[
        FieldDef { number: 1, name: "info", kind: FieldType::Message(&PUSH_NOTIFICATION_QUERY_INFO), repeated: true, oneof: None },
        FieldDef { number: 2, name: "message_id", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 3, name: "success", kind: FieldType::Bool, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static PUSH_NOTIFICATION: MessageDef = MessageDef {
    name: "PushNotification",
    fields: &[
        FieldDef { number: 1, name: "access_token", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 2, name: "chat_id", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 3, name: "public_key", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 4, name: "installation_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 5, name: "message", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 6, name: "type", kind: FieldType::Enum(&PUSH_NOTIFICATION_PUSH_NOTIFICATION_TYPE), repeated: false, oneof: None },
        FieldDef { number: 7, name: "author", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static PUSH_NOTIFICATION_PUSH_NOTIFICATION_TYPE: EnumDef = EnumDef {
    name: "PushNotificationType",
    values: &[
        (0, "unknown_push_notification_type"),
        (1, "message"),
        (2, "mention"),
    ],
};
pub static PUSH_NOTIFICATION_REQUEST: MessageDef = MessageDef {
    name: "PushNotificationRequest",
    fields: &[
        FieldDef { number: 1, name: "requests", kind: FieldType::Message(&PUSH_NOTIFICATION), repeated: true, oneof: None },
        FieldDef { number: 2, name: "message_id", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static PUSH_NOTIFICATION_REPORT: MessageDef = MessageDef {
    name: "PushNotificationReport",
    fields: &[
        FieldDef { number: 1, name: "success", kind: FieldType::Bool, repeated: false, oneof: None },
        FieldDef { number: 2, name: "error", kind: FieldType::Enum(&PUSH_NOTIFICATION_REPORT_ERROR_TYPE), repeated: false, oneof: None },
        FieldDef { number: 3, name: "public_key", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 4, name: "installation_id", kind: FieldType::String, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static PUSH_NOTIFICATION_REPORT_ERROR_TYPE: EnumDef = EnumDef {
    name: "ErrorType",
    values: &[
        (0, "unknown_error_type"),
        (1, "wrong_token"),
        (2, "internal_error"),
        (3, "not_registered"),
    ],
};
pub static PUSH_NOTIFICATION_RESPONSE: MessageDef = MessageDef {
    name: "PushNotificationResponse",
    fields: &[
        FieldDef { number: 1, name: "message_id", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 2, name: "reports", kind: FieldType::Message(&PUSH_NOTIFICATION_REPORT), repeated: true, oneof: None },
    ],
    is_entry: false,
};
pub static CHAT_IDENTITY: MessageDef = MessageDef {
    name: "ChatIdentity",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "ens_name", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "images", kind: FieldType::Message(&CHAT_IDENTITY_IMAGE), repeated: true, oneof: None },
    ],
    is_entry: false,
};
pub static CHAT_IDENTITY_IMAGE: MessageDef = MessageDef {
    name: "ChatIdentityImage",
    fields: &[
        FieldDef { number: 1, name: "key", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 2, name: "value", kind: FieldType::Message(&IDENTITY_IMAGE), repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static IDENTITY_IMAGE: MessageDef = MessageDef {
    name: "IdentityImage",
    fields: &[
        FieldDef { number: 1, name: "payload", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 2, name: "source_type", kind: FieldType::Enum(&IDENTITY_IMAGE_SOURCE_TYPE), repeated: false, oneof: None },
        FieldDef { number: 3, name: "image_type", kind: FieldType::Enum(&IMAGE_TYPE), repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static IDENTITY_IMAGE_SOURCE_TYPE: EnumDef = EnumDef {
    name: "SourceType",
    values: &[
        (0, "unknown_source_type"),
        (1, "raw_payload"),
        (2, "ens_avatar"),
    ],
};
pub static COMMUNITY_INVITATION: MessageDef = MessageDef {
    name: "CommunityInvitation",
    fields: &[
        FieldDef { number: 1, name: "community_description", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 2, name: "grant", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 3, name: "chat_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "public_key", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static COMMUNITY_REQUEST_TO_JOIN: MessageDef = MessageDef {
    name: "CommunityRequestToJoin",
    fields: &[
        FieldDef { number: 1, name: "clock", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 2, name: "ens_name", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "chat_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 4, name: "community_id", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static MESSAGE_TYPE: EnumDef = EnumDef {
    name: "MessageType",
    values: &[
        (0, "unknown_message_type"),
        (1, "one_to_one"),
        (2, "public_group"),
        (3, "private_group"),
        (4, "system_message_private_group"),
    ],
};
pub static IMAGE_TYPE: EnumDef = EnumDef {
    name: "ImageType",
    values: &[
        (0, "unknown_image_type"),
        (1, "png"),
        (2, "jpeg"),
        (3, "webp"),
        (4, "gif"),
    ],
};
