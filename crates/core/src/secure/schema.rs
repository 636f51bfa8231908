// This file is @generated from the definitions: see tests/generated.rs.
use crate::protobuf::{FieldDef, FieldType, MessageDef};
pub static PROTOCOL_MESSAGE: MessageDef = MessageDef {
    name: "ProtocolMessage",
    fields: &[
        FieldDef { number: 2, name: "installation_id", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 3, name: "bundles", kind: FieldType::Message(&BUNDLE), repeated: true, oneof: None },
        FieldDef { number: 101, name: "direct_message", kind: FieldType::Message(&PROTOCOL_MESSAGE_DIRECT_MESSAGE_ENTRY), repeated: true, oneof: None },
        FieldDef { number: 102, name: "public_message", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static PROTOCOL_MESSAGE_DIRECT_MESSAGE_ENTRY: MessageDef = MessageDef {
    name: "DirectMessageEntry",
    fields: &[
        FieldDef { number: 1, name: "key", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 2, name: "value", kind: FieldType::Message(&DIRECT_MESSAGE), repeated: false, oneof: None },
    ],
    is_entry: true,
};
pub static BUNDLE: MessageDef = MessageDef {
    name: "Bundle",
    fields: &[
        FieldDef { number: 1, name: "identity", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 2, name: "signed_pre_keys", kind: FieldType::Message(&BUNDLE_SIGNED_PRE_KEYS_ENTRY), repeated: true, oneof: None },
        FieldDef { number: 4, name: "signature", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 5, name: "timestamp", kind: FieldType::Uint64, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static BUNDLE_SIGNED_PRE_KEYS_ENTRY: MessageDef = MessageDef {
    name: "SignedPreKeysEntry",
    fields: &[
        FieldDef { number: 1, name: "key", kind: FieldType::String, repeated: false, oneof: None },
        FieldDef { number: 2, name: "value", kind: FieldType::Message(&SIGNED_PRE_KEY), repeated: false, oneof: None },
    ],
    is_entry: true,
};
pub static SIGNED_PRE_KEY: MessageDef = MessageDef {
    name: "SignedPreKey",
    fields: &[
        FieldDef { number: 1, name: "signed_pre_key", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 2, name: "version", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 3, name: "protocol_version", kind: FieldType::Uint64, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static DIRECT_MESSAGE: MessageDef = MessageDef {
    name: "DirectMessage",
    fields: &[
        FieldDef { number: 1, name: "x3dh_header", kind: FieldType::Message(&X3DH_HEADER), repeated: false, oneof: None },
        FieldDef { number: 2, name: "dr_header", kind: FieldType::Message(&DR_HEADER), repeated: false, oneof: None },
        FieldDef { number: 3, name: "payload", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 101, name: "dh_header", kind: FieldType::Message(&DH_HEADER), repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static X3DH_HEADER: MessageDef = MessageDef {
    name: "X3dhHeader",
    fields: &[
        FieldDef { number: 1, name: "key", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 4, name: "id", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static DR_HEADER: MessageDef = MessageDef {
    name: "DrHeader",
    fields: &[
        FieldDef { number: 1, name: "key", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 2, name: "n", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 3, name: "pn", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 4, name: "id", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
pub static DH_HEADER: MessageDef = MessageDef {
    name: "DhHeader",
    fields: &[
        FieldDef { number: 1, name: "key", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
