//! `shhext_*`: what the Status app asks for beyond Whisper.

use std::{sync::Arc, time::Duration};

use statuskit_core::envelope::Topic;

use super::{Api, Protocol, Reply, mail::Wanted, text};
use crate::{
    error::RpcError,
    goenode,
    json::{
        parts,
        typed::{Place, Typed, hex, plain_hex},
        write,
    },
    request::Params,
};

/// The longest wait for a mailserver.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The wait for a mailserver, in seconds, if a client does not say.
const DEFAULT_WAIT: i64 = 10;

impl Api {
    pub(super) fn ext(
        self: &Arc<Self>,
        protocol: &Arc<Protocol>,
        name: &str,
        mut params: Params<'_>,
    ) -> Result<Reply, RpcError> {
        let null = || Ok::<_, RpcError>("null".to_owned());
        Ok(match name {
            "echo" => {
                let text = params.next(text)?;
                params.end()?;
                Ok(write::string(&text)).into()
            }
            "requestMessages" => {
                let wanted = params.next(request)?;
                params.end()?;
                let (api, protocol) = (self.clone(), protocol.clone());
                Reply::later(async move {
                    let seconds = if wanted.timeout == 0 { DEFAULT_WAIT } else { wanted.timeout };
                    let timeout = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
                    let timeout = timeout.min(LONGEST_WAIT);
                    let (id, _) = api.request(&protocol, wanted, timeout).await?;
                    Ok(write::hex(&id))
                })
            }
            "requestMessagesSync" => {
                let retries = params.next(retries)?;
                let wanted = params.next(request)?;
                params.end()?;
                let (api, protocol) = (self.clone(), protocol.clone());
                Reply::later(async move { api.request_and_wait(&protocol, &retries, wanted).await })
            }
            "syncMessages" => {
                let wanted = params.next(sync)?;
                params.end()?;
                goenode::read_url(&wanted.server)
                    .map_err(|text| RpcError::failed(format!("invalid MailServerPeer: {text}")))?;
                plain_hex(&wanted.cursor).map_err(|text| {
                    RpcError::failed(format!("failed to create a sync mail request: {text}"))
                })?;
                let text = "can not sync messages if Mail Server is not configured";
                Err(RpcError::failed(text)).into()
            }
            "updateMailservers" => {
                let servers = params.next(texts)?;
                params.end()?;
                let servers = servers.iter().map(|text| goenode::read_url(text));
                let servers = servers.collect::<Result<Vec<_>, _>>().map_err(RpcError::failed)?;
                protocol.mail.set_servers(servers);
                null().into()
            }
            "confirmMessagesProcessedByID" => {
                params.next(metadata)?;
                params.end()?;
                // Without a messenger, nothing is kept that could be confirmed.
                null().into()
            }
            _ => Err(RpcError::no_method(&format!("{}ext_{name}", protocol.namespace))).into(),
        })
    }

    async fn request_and_wait(
        self: &Arc<Self>,
        protocol: &Protocol,
        retries: &Retries,
        wanted: Wanted,
    ) -> Result<String, RpcError> {
        let mut tried: i64 = 0;
        while tried <= retries.most {
            let wait = retries.base.saturating_add(retries.step.saturating_mul(tried));
            let wait = Duration::from_nanos(u64::try_from(wait).unwrap_or_default());
            let wait = wait.min(LONGEST_WAIT);
            let (_, answer) = self.request(protocol, wanted.clone(), wait).await?;
            // The answer is dropped with the request when that expires.
            if let Ok(Ok(completed)) = tokio::time::timeout(wait, answer).await {
                let cursor = ::hex::encode(completed.cursor);
                // An error of Go has no members.
                let error = if completed.error.is_some() { "{}" } else { "null" };
                return Ok(format!("{{\"cursor\":\"{cursor}\",\"error\":{error}}}"));
            }
            tried += 1;
        }
        Err(RpcError::failed(format!("failed to request messages after {tried} retries")))
    }
}

/// How often to ask, and how long to wait, in nanoseconds.
#[derive(Default)]
struct Retries {
    base: i64,
    step: i64,
    most: i64,
}

fn retries(value: &[u8]) -> Result<Retries, String> {
    let (mut typed, mut it) = (Typed::default(), Retries::default());
    check_object(value, &mut typed, "ext.RetryConfig");
    for (name, value) in parts::members(value) {
        let is = |known| parts::is_name(&name, known);
        let place = |name| Place::field("RetryConfig", name);
        if value == b"null" {
        } else if is("BaseTimeout") {
            it.base = typed.int64(value, place("BaseTimeout"), "time.Duration");
        } else if is("StepTimeout") {
            it.step = typed.int64(value, place("StepTimeout"), "time.Duration");
        } else if is("MaxRetries") {
            it.most = typed.int64(value, place("MaxRetries"), "int");
        }
    }
    typed.done(it)
}

fn request(value: &[u8]) -> Result<Wanted, String> {
    let of = "MessagesRequest";
    wanted(value, "ext.MessagesRequest", of, |it, typed, name, value| {
        let is = |known| parts::is_name(name, known);
        let place = |name| Place::field(of, name);
        if is("topic") {
            it.topic = typed.topic(value, place("topic"), "types.TopicType")?.0;
        } else if is("symKeyID") {
            it.sym_key_id = typed.string(value, place("symKeyID"), "string");
        } else if is("timeout") {
            it.timeout = typed.int64(value, place("timeout"), "time.Duration");
        } else if is("force") {
            it.force = typed.bool(value, place("force"));
        }
        Ok(())
    })
}

fn sync(value: &[u8]) -> Result<Wanted, String> {
    let of = "SyncMessagesRequest";
    wanted(value, "shhext.SyncMessagesRequest", of, |_, typed, name, value| {
        if parts::is_name(name, "followCursor") {
            typed.bool(value, Place::field(of, "followCursor"));
        }
        Ok(())
    })
}

/// Reads what both requests have, and the `other` members of one of them.
fn wanted(
    value: &[u8],
    go_type: &str,
    of: &'static str,
    other: impl Fn(&mut Wanted, &mut Typed, &str, &[u8]) -> Result<(), String>,
) -> Result<Wanted, String> {
    let (mut typed, mut it) = (Typed::default(), Wanted::default());
    check_object(value, &mut typed, go_type);
    for (name, value) in parts::members(value) {
        let is = |known| parts::is_name(&name, known);
        let place = |name| Place::field(of, name);
        if is("topics") {
            it.topics = topics(&mut typed, value, place("topics"))?;
        } else if value == b"null" {
        } else if is("mailServerPeer") {
            it.server = typed.string(value, place("mailServerPeer"), "string");
        } else if is("from") {
            it.from = typed.uint32(value, place("from"));
        } else if is("to") {
            it.to = typed.uint32(value, place("to"));
        } else if is("limit") {
            it.limit = typed.uint32(value, place("limit"));
        } else if is("cursor") {
            it.cursor = typed.string(value, place("cursor"), "string");
        } else {
            other(&mut it, &mut typed, &name, value)?;
        }
    }
    typed.done(it)
}

fn topics(typed: &mut Typed, value: &[u8], place: Place) -> Result<Vec<Topic>, String> {
    let topics = typed.elements(value, place, "[]types.TopicType");
    topics.map(|topic| typed.topic(topic, place, "types.TopicType")).collect()
}

fn texts(value: &[u8]) -> Result<Vec<String>, String> {
    let (mut typed, place) = (Typed::default(), Place::default());
    let texts: Vec<_> = typed.elements(value, place, "[]string").collect();
    let texts = texts.iter().map(|text| typed.string(text, place, "string")).collect();
    typed.done(texts)
}

/// Checks an array of metadata; nothing of it is kept.
fn metadata(value: &[u8]) -> Result<(), String> {
    let (mut typed, top) = (Typed::default(), Place::default());
    for item in typed.elements(value, top, "[]*ext.Metadata") {
        check_object(item, &mut typed, "ext.Metadata");
        for (name, value) in parts::members(item) {
            let is = |known| parts::is_name(&name, known);
            let place = |name| Place::field("Metadata", name);
            if is("dedupId") {
                typed.base64(value, place("dedupId"));
            } else if is("encryptionId") {
                hex(value, place("encryptionId"), "types.HexBytes")?;
            } else if is("messageId") {
                hex(value, place("messageId"), "types.HexBytes")?;
            } else if is("author") {
                author(&mut typed, value)?;
            }
        }
    }
    typed.done(())
}

fn author(typed: &mut Typed, value: &[u8]) -> Result<(), String> {
    if !value.starts_with(b"{") && value != b"null" {
        typed.mismatch(value, Place::field("Metadata", "author"), "ext.Author");
    }
    for (name, value) in parts::members(value) {
        let is = |known| parts::is_name(&name, known);
        let place = |name| Place::field("Author", name);
        if is("publicKey") {
            hex(value, place("author.publicKey"), "types.HexBytes")?;
        } else if is("alias") {
            typed.string(value, place("author.alias"), "string");
        } else if is("identicon") {
            typed.string(value, place("author.identicon"), "string");
        }
    }
    Ok(())
}

fn check_object(value: &[u8], typed: &mut Typed, of: &str) {
    if !value.starts_with(b"{") && value != b"null" {
        typed.mismatch(value, Place::default(), of);
    }
}
