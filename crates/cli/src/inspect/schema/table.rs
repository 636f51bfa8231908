//! The records, in a notation that `super` reads.
//!
//! `name:type` is a member, `name?:type` one that may be missing; `hex32` is `0x` and 32 bytes. What is
//! not here is not printed: the tests hold each record of each tool against it.

/// Each record: its type, a line about it, and its members without the type.
#[rustfmt::skip]
pub const RECORDS: &[(&str, &str, &str)] = &[
    ("abi_call", "a call of a contract, encoded or decoded",
        "{signature:str|null selector:hex4 arguments?:[{name:str type:str value:any}] data:hex \
         raw:hex standards?:[str] words?:[hex]}"),
    ("abi_selector", "the selector of a function",
        "{signature:str selector:hex4 standards:[str] raw:hex4}"),
    ("abi_topic", "the topic of an event",
        "{signature:str topic:hex32 standards:[str] raw:hex}"),
    ("abi_values", "values, encoded or decoded",
        "{arguments:[{name:str type:str value:any}] data:hex raw:hex}"),
    ("account", "an account and its keys",
        "{name:str public_key:hex65 compressed:str address:str key_uid:hex32 path?:str link:str \
         identicon:{color:str rows:[str]} words?:uint language?:str keys?:[{name:str path:str \
         address:str public_key:hex65}] raw:hex file?:str mnemonic?:str private_key?:hex32 \
         id?:str expected_tries?:num tries?:uint extended_key?:str}"),
    ("acknowledged", "messages that the other side has",
        "{message_id:hex32|null by:hex65 data_sync_id?:hex32}"),
    ("address", "an address in its spellings",
        "{text:str form?:str address?:str|null lower?:hex20 icap?:str raw?:hex valid?:bool \
         checksum?:str|null exact?:bool error?:str message?:str asset?:str institution?:str \
         client?:str}"),
    ("archive", "what an archive holds",
        "{store:str envelopes:uint bytes:uint topics:uint oldest:uint|null newest:uint|null \
         disk:uint|null}"),
    ("archive_check", "whether an archive is sound",
        "{store:str sound:bool envelopes:uint bytes:uint unmerged:uint pruning_interrupted:bool \
         faults:uint}"),
    ("archive_day", "what an archive holds of a day",
        "{day:str envelopes:uint bytes:uint topics:uint}"),
    ("archive_topic", "what an archive holds of a topic",
        "{topic:hex4 envelopes:uint bytes:uint first_day:str last_day:str name?:str}"),
    ("bench", "how fast this machine mines",
        "{nonces_per_second:uint nonces:uint threads:uint data_len:uint backend:str}"),
    ("bloom", "a bloom filter of topics",
        "{topics:[hex4] bloom:hex64 bloom_bits:[uint] raw:hex64}"),
    ("bundle", "the signed prekeys of an identity",
        "{identity?:hex33 timestamp?:str pre_keys?:[{installation:str signed_pre_key:hex33 \
         version:uint protocol_version:uint}] signature?:hex65 raw?:hex learned?:[@learned] \
         private_pre_key?:hex32 hash?:hex32 sent?:uint sender?:hex65}"),
    ("bytes", "bytes of an unknown form",
        "{raw:hex fault?:str}"),
    ("case", "a case of the conformance set",
        "{id:str op:str input:any expect:any}"),
    ("check", "what a peer or a client checks, and the verdict",
        "{hash?:hex32 accepted:bool verdict?:str now?:uint pow?:num|str checks:[{rule:str \
         pass:bool code:str found:any expected?:str field?:str}]|null raw:hex payload_type?:str \
         message_id?:hex32 author?:hex65|null sent?:uint warnings?:[{code:str field:str \
         rule:str}]}"),
    ("config", "where the configuration is",
        "{path:str}"),
    ("config_check", "a check of the configuration",
        "{name:str pass:bool found:str line?:uint}"),
    ("contact_code", "where a contact code is published",
        "{public_key:hex65 name:str topic:hex4 sym_key:hex32}"),
    ("contenthash", "a content hash and its link",
        "{kind:str uri?:str path?:str content?:str cid_v0?:str cid_v1?:str codec?:uint \
         multihash?:hex client_2020?:str|null contenthash?:hex raw:hex standard?:bool \
         opened?:bool}"),
    ("crawled", "how many nodes a crawl has found",
        "{nodes:uint silent:uint links:uint complete:bool seconds:num}"),
    ("data_sync", "a payload of data sync",
        "{acks:[any] offers:[any] requests:[any] messages:[{id:hex32 group_id:hex32 \
         timestamp:uint body:hex}] malformed:uint raw:hex}"),
    ("datagram", "a packet of discovery",
        "{protocol:str kind:str sender:hex65 node_id:hex32 hash:hex32 fields:any raw:hex}"),
    ("decrypted", "what was inside a message of the secure transport",
        "{from:hex65 installation:str how:{secure:str bundle?:hex33 ratchet_key?:hex33 n?:uint \
         pn?:uint started?:bool ratcheted?:bool missing?:uint kept?:bool} learned:[@learned] \
         raw:hex}"),
    ("device", "an installation of an identity",
        "{identity:hex33 installation:str}"),
    ("diff", "the differences of two inspections",
        "{same:bool identical:bool kinds:[str] differences:[{layer:str field:str \
         incidental:str|null a:@side|null b:@side|null}]}"),
    ("empty", "a message without contents",
        "{hash:hex32 sender:hex65}"),
    ("enode", "a node URL",
        "{enode:str node_id:hex32 public_key:hex65 host?:str tcp?:uint udp?:uint}"),
    ("enr", "a node record",
        "{enr:str seq:uint node_id:hex32 public_key:hex65 ip:str|null tcp:uint|null \
         udp:uint|null enode?:str pairs:[{name:str rlp:hex}] raw:hex}"),
    ("enr_check", "whether a node record is valid",
        "{enr:str valid:bool node_id?:hex32 error?:str message?:str}"),
    ("ens_answer", "the answer of a resolver",
        "{record:str set:bool address?:str raw:hex seconds?:uint}"),
    ("ens_call", "a call that asks for an ENS record",
        "{record:str name:str node:hex32 signature:str to:str|null data:hex \
         request:{jsonrpc:str id:uint method:str params:[str|{to:str data:hex}]}|null raw:hex}"),
    ("ens_label", "a label of an ENS name",
        "{label:str normalized:str labelhash:hex32 raw:hex}"),
    ("ens_name", "an ENS name and its hashes",
        "{name:str normalized:str rules?:str node:hex32 labelhash?:hex32 warnings?:[str] \
         others?:obj raw:hex username?:{name:str valid:bool error:str|null} address?:str}"),
    ("ens_verification", "whether a name belongs to a key",
        "{verified:bool public_key:hex65 registered:hex65 raw:hex}"),
    ("envelope", "an envelope",
        "{hash:hex32 expiry:uint ttl:uint sent:uint topic:hex4 nonce:uint pow:str|num size:uint \
         raw:hex target?:num leading_zero_bits?:uint tried?:uint nonces_per_second?:uint \
         rlp_len?:uint rlp_without_nonce_len?:uint data_len?:uint encryption?:str \
         fields?:[@part] repeated?:bool fault?:str}"),
    ("envelope_part", "an envelope that was cut off",
        "{rlp_len:uint length:uint missing:uint fields:[@part] raw:hex}"),
    ("error", "an error, on standard error; of status-chat, the result of a command",
        "{id?:any command?:str code:str message:str field?:str hint?:str line?:uint offset?:uint}"),
    ("estimate", "how long mining takes",
        "{target:num data_len:uint size:uint ttl:uint target_bits:uint expected_hashes:num \
         nonces_per_second:uint expected_seconds:num}"),
    ("explanation", "what a code of an error means",
        "{code:str rule:str source:str causes:str}"),
    ("fault", "a fault of the catalogue",
        "{layer:str fault:str rule:str source:str class:str}"),
    ("fixtures", "a conformance set that was made",
        "{out:str version:uint sets:uint cases:uint manifest_sha256:str}"),
    ("fleet_node", "a node of a fleet, checked",
        "{fleet:str role:str text:str valid:bool message?:str}"),
    ("forgotten", "a session that was forgotten",
        "{session:@session_id}"),
    ("golden", "the output of a command, recorded or checked",
        "{name:str exit?:any lines?:uint same?:bool difference?:str}"),
    ("group", "the state of a group",
        "{chat_id:str name:str members:[hex65] joined:[hex65] admins:[hex65] events:uint \
         raw:hex}"),
    ("group_event", "an event of a group",
        "{chat_id:str event_type:str clock:uint author:hex65 name:str members:[hex65] \
         system_message_id:hex32 raw:hex accepted?:bool code?:str reason?:str}"),
    ("health", "how a server is, at /health",
        "{status:str fault?:str peers:uint waiting:uint}"),
    ("identicon", "the picture of a key",
        "{public_key:hex65 identicon:{color:str rows:[str]} uri:str file?:str raw:hex}"),
    ("imported", "what was imported into an archive",
        "{store:str envelopes:uint new:uint too_old:uint from_future:uint bad_records:uint}"),
    ("inspection", "what bytes are, layer by layer",
        "{kind:str certainty:@certainty layers:[@layer] buffers:[{length:uint layer:uint|null \
         method:str}] candidates:[{kind:str certainty:@certainty why:str}]}"),
    ("installation", "an installation of an identity",
        "{identity:hex installation:str pre_key?:hex33 version?:uint protocol_version?:uint \
         timestamp?:str enabled:bool agreed?:bool}"),
    ("interface", "an interface of contracts",
        "{id:hex4 name:str|null standard:str|null functions:[str] gas:uint calls:[{data:hex \
         expected:bool}] raw:hex4}"),
    ("key", "a key",
        "{public_key:hex65 file?:str path?:str name?:str compressed?:str address?:str \
         extended_public_key?:str raw?:hex private_key?:hex32 extended_key?:str base?:str}"),
    ("keystore", "a key file",
        "{address:str|null id:str kdf?:str n?:uint r?:uint p?:uint memory?:uint extended?:bool \
         file?:str crypto?:obj version?:uint extendedkey?:obj subaccountindex?:uint raw?:hex}"),
    ("kind", "a kind that status-inspect names",
        "{kind:str about:str}"),
    ("legacy", "a message of a client before 2020",
        "{tag:str author:null text:str|null content_type:str|null message_type:str|null \
         clock:uint timestamp:uint chat_id:str|null raw:hex}"),
    ("listed", "an envelope in a list, with the key of its topic",
        "{kind:str topic:hex4 key:str|null hash:hex32 opened?:bool signer?:hex65|null \
         length?:uint|null}"),
    ("log", "an event in the log of a contract",
        "{signature:str topics:[hex32] data:hex raw:hex standards?:[str] arguments?:[{name:str \
         type:str value:any indexed:bool}]}"),
    ("match", "whether a filter lets a topic pass",
        "{topic:hex4 match:bool}"),
    ("message", "a message that was in an envelope",
        "{hash:hex32 topic:hex4 sent:uint expiry:uint ttl:uint pow:num|str opened_with:str \
         signer:hex65|null payload:@payload padding:hex|null envelope:hex|null author?:hex65 \
         message_id?:hex32 chat?:str|null layers?:{secure:str installation:str|null \
         data_sync_id:hex32|null bundle?:hex33 ratchet_key?:hex33 n?:uint pn?:uint \
         started?:bool ratcheted?:bool missing?:uint kept?:bool} group?:{chat_id:str name:str \
         new:bool new_events:uint members:[hex65] joined:[hex65] admins:[hex65]} repeated?:bool}"),
    ("message_id", "the id of a message",
        "{message_id:hex32 author:hex65|null raw:hex32}"),
    ("name", "the three words of a key",
        "{name:str public_key:hex65 raw:hex}"),
    ("node", "a node that was found",
        "{enode:str public_key:hex65 node_id:hex32 ip:str udp:uint tcp:uint topic?:str \
         from?:str distance?:uint}"),
    ("note", "a note, on standard error",
        "{message:str}"),
    ("payload_fields", "the fields of a payload",
        "{payload_type:str length:uint fields:[{name:str number:uint wire_type:str known:bool \
         offset:uint length:uint value:any}] raw:hex missing?:uint}"),
    ("payload_type", "a type of payloads",
        "{number:uint name:str since:str fields:[{number:uint name:str type:str}]}"),
    ("payment_link", "a link that asks for a payment",
        "{link:str prefix?:str|null target:str chain_id:uint|null function:str|null \
         arguments:obj parameters:[{type:str value:str}] value:str|null gas:str|null \
         gas_limit?:str|null gas_price:str|null standard:str signature?:str \
         transaction?:{to:str value:str data:hex gas:str|null gas_price:str|null \
         chain_id:uint|null}|null warnings?:[{warning:str message:str}] client_2020:{opens:bool \
         differences?:[str] reason?:str}|null raw:hex value_text?:str|null files?:[str] \
         not_payable?:{error:str message:str}}"),
    ("payment_proof", "whether a transaction fits its signature",
        "{valid:bool transaction_hash:hex32 sender:hex65 signer:str|null expected:hex20|null}"),
    ("peer", "what a state knows of a peer",
        "{identity:hex33 installations:[@learned] has_secret:bool secret?:hex32}"),
    ("pong", "the answer of a node to a ping",
        "{enode:str public_key:hex65 node_id:hex32 ip:str udp:uint tcp:uint protocol:str \
         ms:num enr?:str neighbors?:uint}"),
    ("pow", "the proof of work of an envelope",
        "{hash:hex32 pow:num min:num pass:bool leading_zero_bits:uint \
         rlp_without_nonce_len:uint size:uint ttl:uint nonce:uint raw:hex}"),
    ("pre_key", "a prekey of a state",
        "{public_key:hex33 version:uint created:str private_key?:hex32}"),
    ("probe", "a check of a mailserver",
        "{check:str pass:bool|null details:str seconds:num}"),
    ("protocol_message", "a message of the secure transport",
        "{installation_id:str bundles:[{identity:hex33 timestamp:str \
         pre_keys:[{installation:str signed_pre_key:hex33 version:uint \
         protocol_version:uint}]}] direct_message:[{installation:str size:uint dh?:{key:hex33} \
         x3dh?:{key:hex33 bundle:hex33} ratchet?:{key:hex33 n:uint pn:uint bundle:hex33}}] \
         public_message:hex raw:hex to?:hex65 agreed?:bool}"),
    ("provider_error", "a code of errors of providers",
        "{code:uint name:str meaning:str}"),
    ("provider_message", "a message between a page and a wallet",
        "{kind:str method?:str params?:any standard:str edition:str meaning:str notes:[str] \
         message:any final:any ...}"),
    ("pruned", "what was removed from an archive",
        "{store:str before:uint removed:uint}"),
    ("qr", "a QR code",
        "{text:str public_key:hex65 side:uint files?:[str] raw:hex}"),
    ("qr_text", "what a QR code says",
        "{text:str version:uint raw:hex}"),
    ("ratchet_step", "a step of a double ratchet",
        "{direction:str session:@session_id before:@ratchet|null after:@ratchet|null}"),
    ("ready", "a node that listens",
        "{enode:str public_key:hex65 listen:str|null min_pow?:num|str store?:str metrics?:str \
         protocols?:[str] rpc?:str ws?:str ipc?:str}"),
    ("redacted", "bytes without texts and keys",
        "{kind:str|null readable:bool raw:hex}"),
    ("registered", "a registration of a topic that was sent",
        "{topic:str registrar:str}"),
    ("rendezvous", "a rendezvous server that listens",
        "{address:str peer_id:str listen:str}"),
    ("repeated", "a message that came again",
        "{hash:hex32 message_id:hex32}"),
    ("report", "what an implementation got right",
        "{passed:uint failed:uint excepted:uint unsupported:uint good:bool ops:[any] \
         failures:[any] stale_exceptions:[any]}"),
    ("request", "a request to a mailserver",
        "{outcome:str reason?:str peer:str|null client:str|null sync:bool envelopes:uint \
         packets:uint bytes:uint seconds:num}"),
    ("result", "the result of a command of status-chat",
        "{id?:any command?:str message_id?:hex32 chat?:str envelopes?:uint group?:@chat_group \
         groups?:[@chat_group] contacts?:[{public_key:hex65 name:str}]}"),
    ("rpc_method", "a method of JSON-RPC that a node has",
        "{method:str params:str result:str}"),
    ("rpc_missing", "methods of the reference that a node has not",
        "{names:str why:str}"),
    ("rpc_notification", "what a subscription of JSON-RPC brings",
        "{subscription:str result:any}"),
    ("rpc_result", "the result of a call of JSON-RPC",
        "{method:str result:any}"),
    ("sent", "an envelope that was sent",
        "{message_id?:hex32 hash:hex32 topic:hex4 written:uint confirmed:uint peers:[{id:hex65 \
         address:str client:str written:bool confirmed:bool|null error?:{code?:uint text:str}}] raw?:hex message_ids?:[hex32] \
         to?:hex65 secure?:str installations?:[str] acks?:uint line?:uint id?:any \
         command?:str}"),
    ("serving", "the address of the page of status-inspect serve",
        "{url:str}"),
    ("session", "a session of a state",
        "{session:@session_id in_use:bool state:@ratchet}"),
    ("setting", "a setting of the configuration",
        "{name:str value:str|null source:str line?:uint}"),
    ("signature", "a signature",
        "{kind:str digest:hex32 signature:hex65 public_key:hex65 address:str name:str raw:hex \
         valid?:bool}"),
    ("signed_data", "signed data of EIP-191",
        "{version:hex message?:hex hashed:hex digest:hex32 signature?:hex65 public_key?:hex65 \
         address?:str name?:str raw:hex valid?:bool validator?:str domain_separator?:hex32 \
         struct_hash?:hex32}"),
    ("signer", "who signed",
        "{from:str public_key:hex65 name:str raw:hex}"),
    ("standard", "a standard that status-eip covers",
        "{name:str title:str march_2020:str supported:str commands:[str]}"),
    ("stats", "counts of a node or a mailserver",
        "{peers:uint pooled:uint pooled_bytes?:uint new?:uint duplicates:uint refused?:uint \
         expired?:uint evicted?:uint forwarded?:uint packets_in?:uint packets_out?:uint \
         bytes_in?:uint bytes_out?:uint archived?:uint too_old?:uint waiting?:uint \
         archive_errors?:uint requests?:obj sync_requests?:obj envelopes_sent?:uint \
         bytes_sent?:uint pruned?:uint networks?:obj to_whisper?:obj to_waku?:obj}"),
    ("step", "a step of the demo",
        "{step:uint title:str command:str ...}"),
    ("synced", "what was fetched from another mailserver",
        "{store:str from:uint to:uint pages:uint envelopes:uint new:uint too_old:uint \
         from_future:uint unwanted:uint complete:bool cursor?:hex}"),
    ("text", "plain text",
        "{text:str raw?:hex}"),
    ("ticket", "a ticket for registering a topic",
        "{topic:str registrar:str wait:uint}"),
    ("token_transfer", "a transfer of tokens",
        "{to:str value:str canonical:bool data:hex raw:hex}"),
    ("topic", "a topic",
        "{kind:str topic:hex4 bloom:hex64 bloom_bits:[uint] name?:str partition?:uint \
         public_key?:hex65 raw:hex4}"),
    ("transaction", "a transaction",
        "{kind:uint|null standard:str|null supported:bool chain_id:uint|null chain:str|null \
         nonce:uint gas_price?:str gas:uint to:str|null value:str data:hex signed:bool \
         signing_hash:hex32 v?:str r?:hex32 s?:hex32 hash?:hex32 from?:str public_key?:hex65 \
         problems:[str] raw:hex note?:str max_priority_fee_per_gas?:str max_fee_per_gas?:str \
         access_list?:[any] call?:{signature:str selector:hex4 standards:[str] \
         arguments:[{name:str type:str value:any}]}}"),
    ("transaction_hash", "the hash of a transaction",
        "{hash:hex32|null signing_hash:hex32 raw:hex}"),
    ("typed_data", "typed data of EIP-712 and its hashes",
        "{primary_type:str type_text:str|null type_hash:hex32|null domain_type_text:str \
         domain_separator:hex32 struct_hash:hex32|null digest:hex32 raw:hex \
         domain_parts?:{type_hash:hex32 encoded:hex hash:hex32 values:[{path:str type:str \
         word:hex32}]} message_parts?:{type_hash:hex32 encoded:hex hash:hex32 values:[{path:str \
         type:str word:hex32}]} signature?:hex65 public_key?:hex65 address?:str name?:str \
         valid?:bool}"),
    ("verification", "whether a signature holds",
        "{message_id?:hex32 author?:hex65|null valid:bool raw:hex chat_id?:str events?:uint \
         code?:str reason?:str identity?:hex65|null}"),
];

/// Parts of records.
#[rustfmt::skip]
pub(super) const PARTS: &[(&str, &str)] = &[
    ("certainty", "'certain'|'likely'|'possible'"),
    ("chat_group", "{chat_id:str name:str members:[hex65] joined:[hex65] admins:[hex65]}"),
    ("layer", "{kind:str parent:uint|null buffer:uint offset:uint length:uint certainty:@certainty why:str \
         opened_with:str|null fields:[@layer_field] checks:[{rule:str code:str|null pass:bool found:str}] \
         stopped:{code:str message:str hint:str|null}|null}"),
    ("layer_field", "{name:str offset:uint length:uint value:any fields?:[@layer_field]}"),
    ("side", "{offset:uint length:uint value:any}"),
    ("learned", "{identity:hex33 installation:str pre_key:hex33 version:uint protocol_version:uint \
         timestamp:str enabled:bool agreed:bool}"),
    ("part", "{name:str offset:uint length:uint bytes:hex}"),
    ("ratchet", "{own_key:hex33 remote_key:hex33 send_n:uint receive_n:uint pn:uint keys_count:uint \
         kept:uint ours:bool x3dh_key:hex33|null own_private_key?:hex32 root_key?:hex32 \
         send_chain_key?:hex32 receive_chain_key?:hex32}"),
    ("session_id", "{identity:hex33 installation:str bundle:hex33}"),
    ("unknown_field", "{number:uint wire_type:str value:hex|uint|decimal}"),
];

/// What the record of a payload has beside the fields of its message.
pub(super) const PAYLOAD: &str = "{message_id?:hex32 author?:hex65|null payload?:hex error?:str \
    refused?:str wrapper?:{signature?:hex unknown_fields?:[@unknown_field]} canonical?:bool \
    differs_at?:uint unknown_fields?:[@unknown_field] raw?:hex}";
