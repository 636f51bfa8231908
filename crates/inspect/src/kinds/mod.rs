//! What there is: one reader per kind.

mod account;
mod capture;
mod devp2p;
mod discovery;
mod eip;
mod json;
mod mailserver;
mod packet;
mod payload;
mod rlpx;
mod secure;
mod waku;
mod whisper;

pub use capture::is_capture;

use crate::{
    layer::{Certainty, Node},
    peel::Context,
};

/// Every kind, with a line about it. `payload.*` stands for the names of all payload types.
pub const KINDS: &[(&str, &str)] = &[
    ("account.chat_key", "a public key, as hex, compressed or in multibase"),
    ("account.extended_key", "xprv or xpub of BIP-32; the public part is shown"),
    ("account.key_file", "a key file, version 1 or 3"),
    ("account.share_link", "a link to a user, a public chat or a page"),
    ("capture.pcap", "a capture of a network, pcap or pcapng: TCP streams and UDP datagrams"),
    ("capture.stream", "a direction of a TCP connection, of no protocol that is known"),
    ("devp2p.enode", "the URL of a node"),
    ("devp2p.enr", "a signed node record, as text or bytes"),
    ("discovery.packet", "a datagram of legacy discovery v5 or of v4"),
    ("eip.calldata", "a call of a known function of a contract"),
    ("eip.contenthash", "what a name of ENS points to"),
    ("eip.link", "a link for a payment (EIP-681)"),
    ("eip.transaction", "a transaction, signed or not, of any type"),
    ("group.event", "a signed change of a group"),
    ("mailserver.request", "a request for historic messages, inside its envelope"),
    ("mailserver.response", "the end of a mailserver's answer: hashes and a cursor, or an error"),
    ("p2p.disconnect", "devp2p Disconnect"),
    ("p2p.hello", "devp2p Hello"),
    ("p2p.ping", "devp2p Ping"),
    ("p2p.pong", "devp2p Pong"),
    ("payload.*", "a payload of Status clients, by its type"),
    ("payload.wrapper", "a signed payload with its type"),
    ("rlpx.ack", "the answer to an RLPx handshake"),
    ("rlpx.auth", "the start of an RLPx handshake"),
    ("rlpx.frame", "an encrypted message of a connection; a key log opens it"),
    ("rlpx.stream", "a direction of an RLPx connection: a handshake packet and frames"),
    ("rpc.message", "a request or an answer of JSON-RPC, or a batch; bytes in it are opened"),
    ("secure.bundle", "the signed prekeys of an identity"),
    ("secure.protocol_message", "a message of the secure transport, with bundles"),
    ("shh.batch_acknowledged", "code 11: confirms a packet of envelopes"),
    ("shh.bloom_filter", "code 3: the topics that a peer wants"),
    ("shh.message_response", "code 12: says which envelopes were rejected"),
    ("shh.messages", "code 1: envelopes"),
    ("shh.p2p_message", "code 127: envelopes from a mailserver"),
    ("shh.p2p_request", "code 126: a request to a mailserver"),
    ("shh.p2p_request_complete", "code 125: the end of a mailserver's answer"),
    ("shh.p2p_sync_request", "code 123: a request of another mailserver"),
    ("shh.p2p_sync_response", "code 124: the answer to another mailserver"),
    ("shh.pow_requirement", "code 2: the proof of work that a peer wants"),
    ("shh.rate_limits", "code 20: how much a peer accepts"),
    ("shh.status", "code 0: the settings of a peer"),
    ("statuskit.record", "a record of these tools; bytes in it are opened"),
    ("sync.payload", "messages, offers, requests and acknowledgements of data sync (MVDS)"),
    ("transit.message", "a message of clients before 2020, in transit JSON"),
    ("waku.batch_acknowledged", "code 11 of Waku: confirms a packet of envelopes"),
    ("waku.message_response", "code 12 of Waku: says which envelopes were rejected"),
    ("waku.messages", "code 1 of Waku: envelopes"),
    ("waku.p2p_message", "code 127 of Waku: envelopes from a mailserver"),
    ("waku.p2p_request", "code 126 of Waku: a request to a mailserver"),
    ("waku.p2p_request_complete", "code 125 of Waku: the end of a mailserver's answer"),
    ("waku.status", "code 0 of Waku: the settings of a peer"),
    ("waku.status_update", "code 22 of Waku: settings that change"),
    ("whisper.envelope", "an envelope"),
    ("whisper.message", "the plaintext of an envelope: flags, payload, padding, signature"),
];

/// Where bytes were found. It decides what they can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing is known.
    Input,
    /// A text by itself.
    Text,
    /// The payload of a Whisper message.
    Message,
    /// What a session or a public message contains.
    Secure,
    /// The body of a data sync message.
    Body,
    /// A member of a document.
    Member,
}

type Read = fn(&Context<'_>, &[u8], usize) -> Option<Node>;

/// Returns all readings, the most certain first.
pub(crate) fn readings(context: &Context<'_>, bytes: &[u8], at: usize, place: Place) -> Vec<Node> {
    let readers: &[Read] = match place {
        // Keys and texts by themselves come first.
        Place::Input => INPUT,
        Place::Member => MEMBER,
        Place::Text => &[account::text],
        Place::Message => &[
            account::transit,
            secure::protocol_message,
            secure::sync_payload,
            payload::wrapper,
            mailserver::request,
            payload::bare,
        ],
        Place::Secure => &[secure::sync_payload, payload::wrapper, payload::bare],
        Place::Body => &[payload::wrapper, payload::bare],
    };
    let mut readings: Vec<Node> =
        readers.iter().filter_map(|read| read(context, bytes, at)).collect();
    // A stable sort: of equally certain readings, the more specific kinds stand first above.
    readings.sort_by_key(|reading| std::cmp::Reverse(reading.certainty));
    // Once something held, what merely fits says nothing.
    if readings.first().is_some_and(|first| first.certainty == Certainty::Certain) {
        readings.retain(|reading| reading.certainty >= Certainty::Likely);
    }
    if context.is_outermost() {
        add_twins(context, &mut readings);
    }
    readings
}

/// Packets with the bytes of an envelope.
const OF_ENVELOPE: [(&str, &str); 2] =
    [("whisper.envelope", "shh.p2p_request"), ("whisper.envelope", "waku.p2p_request")];

/// Adds packets with the same bytes: Waku has some of Whisper, and some are only an envelope.
fn add_twins(context: &Context<'_>, readings: &mut Vec<Node>) {
    let is_sure = readings.first().is_some_and(|it| it.certainty == Certainty::Certain);
    let mut twins = Vec::new();
    for reading in readings.iter() {
        for (name, twin) in waku::TWINS.iter().chain(&OF_ENVELOPE) {
            if reading.kind == *name && (!is_sure || context.is_forced(twin)) {
                let node = Node { kind: (*twin).into(), ..reading.clone() };
                twins.push(node.possible("a packet with the same bytes"));
            }
        }
    }
    readings.extend(twins);
}

/// Readers of bytes in a document. Its texts and keys are no layers.
const MEMBER: &[Read] = INPUT.split_at(2).1;

/// Readers of bytes about which nothing is known.
const INPUT: &[Read] = &[
    account::text,
    account::key,
    capture::capture,
    rlpx::stream,
    rlpx::frames,
    discovery::packet,
    devp2p::auth,
    devp2p::ack,
    whisper::envelope,
    packet::status,
    waku::status,
    packet::messages,
    packet::coded,
    devp2p::hello,
    secure::bundle,
    secure::protocol_message,
    secure::sync_payload,
    payload::wrapper,
    packet::message_response,
    discovery::record_rlp,
    eip::transaction,
    eip::calldata,
    eip::contenthash,
    mailserver::request,
    mailserver::response,
    packet::sync_response,
    packet::sync_request,
    packet::plain_request,
    waku::plain_request,
    packet::bloom_filter,
    packet::batch_acknowledged,
    packet::request_complete,
    packet::pow_requirement,
    packet::rate_limits,
    packet::p2p_message,
    packet::squeezed,
    packet::other_response,
    waku::update,
    devp2p::disconnect,
    devp2p::ping,
    devp2p::pong,
    whisper::message,
    payload::event,
    payload::bare,
    whisper::cut_envelope,
];
