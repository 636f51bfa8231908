// This file is @generated from the definitions: see tests/generated.rs.
use crate::protobuf::{FieldDef, FieldType, MessageDef};
pub static PAYLOAD: MessageDef = MessageDef {
    name: "Payload",
    fields: &[
        FieldDef { number: 5001, name: "acks", kind: FieldType::Bytes, repeated: true, oneof: None },
        FieldDef { number: 5002, name: "offers", kind: FieldType::Bytes, repeated: true, oneof: None },
        FieldDef { number: 5003, name: "requests", kind: FieldType::Bytes, repeated: true, oneof: None },
        FieldDef { number: 5004, name: "messages", kind: FieldType::Message(&MESSAGE), repeated: true, oneof: None },
    ],
    is_entry: false,
};
pub static MESSAGE: MessageDef = MessageDef {
    name: "Message",
    fields: &[
        FieldDef { number: 6001, name: "group_id", kind: FieldType::Bytes, repeated: false, oneof: None },
        FieldDef { number: 6002, name: "timestamp", kind: FieldType::Uint64, repeated: false, oneof: None },
        FieldDef { number: 6003, name: "body", kind: FieldType::Bytes, repeated: false, oneof: None },
    ],
    is_entry: false,
};
