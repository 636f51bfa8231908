//! Of `status-inspect`.

use crate::codes::Explanation;

pub(super) const CODES: &[Explanation] = &[
    Explanation {
        code: "inspect.empty",
        rule: "There must be bytes to inspect.",
        source: "tools",
        causes: "An empty member or file.",
    },
    Explanation {
        code: "inspect.no_such_kind",
        rule: "Kinds have fixed names, such as whisper.envelope.",
        source: "tools",
        causes: "A typing error: `status-inspect kinds` lists them.",
    },
    Explanation {
        code: "inspect.unknown",
        rule: "What is named has a known form: a packet, an envelope, a message, a key, a link.",
        source: "tools",
        causes: "The bytes are random or encrypted, are cut at their beginning, or belong to another protocol.",
    },
    Explanation {
        code: "inspect.not_of_kind",
        rule: "With --as, the bytes are read as that kind only.",
        source: "tools",
        causes: "Another kind: leave --as out to see all readings.",
    },
    Explanation {
        code: "inspect.no_bytes",
        rule: "A record is inspected by its member `raw`.",
        source: "tools",
        causes: "The record was made without its bytes: pass the bytes themselves.",
    },
    Explanation {
        code: "inspect.not_one",
        rule: "Each side of a comparison is one value.",
        source: "tools",
        causes: "A file with several records, or an empty one: pass one record alone.",
    },
    Explanation {
        code: "inspect.no_key",
        rule: "An envelope or a handshake opens with the key that it is encrypted to.",
        source: "tools",
        causes: "Name the chat (--chat), the password (--password), the recipient's key (--identity), the node's key (--node-key) or the key log (--key-log).",
    },
    Explanation {
        code: "inspect.bad_tag",
        rule: "The tag of an encrypted message fails if one bit of it or of the key is wrong.",
        source: "tools",
        causes: "The key fits the topic, but the bytes are damaged, or another key has the same topic.",
    },
    Explanation {
        code: "inspect.malformed",
        rule: "A key opened the envelope, but its content is no Whisper message.",
        source: "tools",
        causes: "The sender has a fault.",
    },
    Explanation {
        code: "inspect.no_session",
        rule: "Messages of the secure transport open with the session of the installation.",
        source: "tools",
        causes: "The state of the recipient is needed (--state), as it was before the message: keys of messages that were read are deleted.",
    },
    Explanation {
        code: "inspect.padding_only",
        rule: "A message may have an empty payload.",
        source: "tools",
        causes: "Cover traffic, or a fault of the sender.",
    },
    Explanation {
        code: "inspect.application",
        rule: "The payload of a message is for an application: any bytes.",
        source: "tools",
        causes: "No client of Status made it, or it is plain text.",
    },
    Explanation {
        code: "inspect.truncated",
        rule: "A list says how long it is.",
        source: "tools",
        causes: "The rest of the bytes was lost, for example where a log cuts its lines.",
    },
    Explanation {
        code: "inspect.unknown_type",
        rule: "A payload says its type with a number.",
        source: "tools",
        causes: "A newer client, or another application.",
    },
    Explanation {
        code: "inspect.password",
        rule: "A key file is encrypted with a password.",
        source: "tools",
        causes: "`status-account keystore open` opens it.",
    },
    Explanation {
        code: "inspect.old_client",
        rule: "Clients before 2020 sent JSON in transit format.",
        source: "tools",
        causes: "The message is from such a client. Later ones ignore it.",
    },
    Explanation {
        code: "inspect.gap",
        rule: "A stream of TCP is put together up to the first byte that is not in the capture.",
        source: "tools",
        causes: "The capture began late, lost packets, or cut them (`tcpdump -s 0` takes them whole).",
    },
    Explanation {
        code: "inspect.key_log",
        rule: "A key log has one JSON object per line, as the tools write it with --key-log.",
        source: "tools",
        causes: "Another file, or a line that was cut.",
    },
    Explanation {
        code: "inspect.unsigned",
        rule: "A transaction without a signature is what is signed, and does nothing by itself.",
        source: "EIP-155",
        causes: "It is the input of a signer.",
    },
    Explanation {
        code: "inspect.limit",
        rule: "An inspection opens a bounded number of envelopes and layers.",
        source: "tools",
        causes: "Pass a part of the input alone.",
    },
];
