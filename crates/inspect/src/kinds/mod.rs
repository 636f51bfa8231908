//! What there is: one reader per kind.

mod account;
mod devp2p;
mod packet;
mod payload;
mod secure;
mod whisper;

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
    ("devp2p.enode", "the URL of a node"),
    ("group.event", "a signed change of a group"),
    ("mailserver.request", "a request for historic messages, inside its envelope"),
    ("p2p.disconnect", "devp2p Disconnect"),
    ("p2p.hello", "devp2p Hello"),
    ("payload.*", "a payload of Status clients, by its type"),
    ("payload.wrapper", "a signed payload with its type"),
    ("rlpx.ack", "the answer to an RLPx handshake"),
    ("rlpx.auth", "the start of an RLPx handshake"),
    ("secure.bundle", "the signed prekeys of an identity"),
    ("secure.protocol_message", "a message of the secure transport, with bundles"),
    ("shh.batch_acknowledged", "code 11: confirms a packet of envelopes"),
    ("shh.bloom_filter", "code 3: the topics that a peer wants"),
    ("shh.message_response", "code 12: says which envelopes were rejected"),
    ("shh.messages", "code 1: envelopes"),
    ("shh.p2p_message", "code 127: envelopes from a mailserver"),
    ("shh.p2p_request", "code 126: a request to a mailserver without an envelope"),
    ("shh.p2p_request_complete", "code 125: the end of a mailserver's answer"),
    ("shh.p2p_sync_request", "code 123: a request of another mailserver"),
    ("shh.p2p_sync_response", "code 124: the answer to another mailserver"),
    ("shh.pow_requirement", "code 2: the proof of work that a peer wants"),
    ("shh.rate_limits", "code 20: how much a peer accepts"),
    ("shh.status", "code 0: the settings of a peer"),
    ("sync.payload", "messages, offers, requests and acknowledgements of data sync (MVDS)"),
    ("transit.message", "a message of clients before 2020, in transit JSON"),
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
}

type Read = fn(&Context<'_>, &[u8], usize) -> Option<Node>;

/// Returns all readings, the most certain first.
pub(crate) fn readings(context: &Context<'_>, bytes: &[u8], at: usize, place: Place) -> Vec<Node> {
    let readers: &[Read] = match place {
        Place::Input => &[
            account::text,
            devp2p::auth,
            devp2p::ack,
            whisper::envelope,
            packet::status,
            packet::messages,
            packet::coded,
            devp2p::hello,
            secure::bundle,
            secure::protocol_message,
            secure::sync_payload,
            payload::wrapper,
            packet::message_response,
            whisper::request,
            packet::sync_response,
            packet::sync_request,
            packet::plain_request,
            packet::bloom_filter,
            packet::request_complete,
            packet::batch_acknowledged,
            packet::pow_requirement,
            packet::rate_limits,
            packet::p2p_message,
            devp2p::disconnect,
            whisper::message,
            payload::event,
            payload::bare,
            account::key,
            whisper::cut_envelope,
        ],
        Place::Text => &[account::text],
        Place::Message => &[
            account::transit,
            secure::protocol_message,
            secure::sync_payload,
            payload::wrapper,
            whisper::request,
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
    readings
}
