//! What the methods do.

pub mod admin;
pub mod ext;
pub mod mail;
pub mod shh;

use std::{future::Future, pin::Pin, sync::Arc};

use statuskit_core::{
    crypto::{SecretKey, keccak256},
    wire::Network,
};
use statuskit_net::node::{Event, Handle, Interest, Subscription};
use tokio::sync::{Notify, Semaphore};

use crate::{
    error::RpcError,
    filters::{Bytes, Filters, Offered},
    json::{
        typed::{self, Place, Typed},
        write,
    },
    keys::Keys,
    methods::{self, NAMESPACES},
    request::Params,
    serve::Endpoints,
};
use admin::Admin;
use mail::Mail;

/// The result of a method: JSON.
pub type Outcome = Result<String, RpcError>;

/// A method's result, or the work that leads to it.
pub enum Reply {
    Now(Outcome),
    Later(Pin<Box<dyn Future<Output = Outcome> + Send>>),
}

impl Reply {
    pub fn later(work: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self::Later(Box::pin(work))
    }
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        Self::Now(outcome)
    }
}

impl From<RpcError> for Reply {
    fn from(error: RpcError) -> Self {
        Self::Now(Err(error))
    }
}

/// The heavy work at a time, of all clients.
static HEAVY: Semaphore = Semaphore::const_new(16);

/// Does heavy work on a thread for such.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
) -> Result<T, RpcError> {
    // Never closed.
    let _permit = HEAVY.acquire().await;
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(RpcError::failed("method handler crashed")))
}

/// Whether the answers are those of today or, where they differ, of the reference of 2020.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flavour {
    /// Bytes are hex everywhere.
    #[default]
    Today,
    /// Bytes of `waku_*` are base64, and the client's name is the reference's.
    Reference2020,
}

/// The client's name in the flavour of the reference.
pub const REFERENCE_NAME: &str = "Statusd/linux-amd64/go1.19.8";

/// What the methods work on.
pub struct Api {
    pub handle: Handle,
    pub client_name: String,
    pub data_dir: String,
    /// Those of the networks that the node is in.
    pub protocols: Vec<Arc<Protocol>>,
    pub admin: Admin,
    pub endpoints: Endpoints,
    /// Whether all envelopes are events, whatever the filters want.
    pub wants_everything: bool,
}

/// One of Whisper and Waku, for clients.
pub struct Protocol {
    /// `shh` or `waku`; with `ext` behind it, that of the mailservers' methods.
    pub namespace: &'static str,
    pub handle: Handle,
    pub bytes: Bytes,
    pub keys: Keys,
    pub filters: Filters,
    pub mail: Mail,
}

impl Protocol {
    /// Without keys and filters, in the network of the handle. The key signs requests to mailservers.
    pub fn new(handle: Handle, node_key: SecretKey, flavour: Flavour) -> Self {
        let (namespace, bytes) = match (handle.network(), flavour) {
            (Network::Waku, Flavour::Reference2020) => ("waku", Bytes::Base64),
            (Network::Waku, Flavour::Today) => ("waku", Bytes::Hex),
            (Network::Whisper, _) => ("shh", Bytes::Hex),
        };
        let (keys, filters) = (Keys::default(), Filters::default());
        Self { namespace, handle, bytes, keys, filters, mail: Mail::new(node_key) }
    }

    pub fn is_waku(&self) -> bool {
        self.handle.network() == Network::Waku
    }

    /// What `version` says.
    pub fn version(&self) -> &'static str {
        if self.is_waku() { "0" } else { "6.0" }
    }

    fn is_light(&self) -> bool {
        self.handle.with(|node, _| node.config().light)
    }
}

/// Which namespaces a client may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modules(Vec<String>);

impl Modules {
    /// All of them.
    pub fn all() -> Self {
        Self(NAMESPACES.iter().map(|&name| name.to_owned()).collect())
    }

    /// Those of a list; unknown ones are nothing.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names: Vec<_> = names.into_iter().map(|name| name.trim().to_owned()).collect();
        // Every client may ask what there is.
        names.push("rpc".to_owned());
        Self(names)
    }

    /// Those that the others have as well.
    pub fn within(mut self, others: &Self) -> Self {
        self.0.retain(|name| others.has(name));
        self
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|module| module == name)
    }

    fn to_json(&self, api: &Api) -> String {
        let offered = NAMESPACES.iter().filter(|name| self.has(name) && api.offers(name));
        let members: Vec<_> = offered.map(|name| format!("\"{name}\":\"1.0\"")).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// A subscription that begins once its id was sent.
pub struct Begun {
    pub id: String,
    pub namespace: &'static str,
    pub source: Source,
}

/// Where the notifications of a subscription come from.
pub enum Source {
    /// The messages of a filter.
    Filter { protocol: Arc<Protocol>, filter: String, ready: Arc<Notify> },
    /// What happens to requests and envelopes.
    Signals(tokio::sync::broadcast::Receiver<Arc<str>>),
}

impl Api {
    /// Does what a method says, if the client may use it.
    pub fn call(self: &Arc<Self>, modules: &Modules, method: &str, params: Option<&[u8]>) -> Reply {
        let known = method
            .split_once('_')
            .filter(|(namespace, name)| modules.has(namespace) && methods::exists(namespace, name));
        let Some((namespace, name)) = known else {
            return RpcError::no_method(method).into();
        };
        let params = match Params::new(params) {
            Ok(params) => params,
            Err(error) => return error.into(),
        };
        let reply = match namespace {
            "admin" => self.admin(name, params),
            "web3" => self.web3(name, params).map(Reply::from),
            "rpc" => params.end().map(|()| Ok(modules.to_json(self)).into()),
            _ => match self.protocol(namespace) {
                Some((protocol, false)) => self.shh(protocol, name, params),
                Some((protocol, true)) => self.ext(protocol, name, params),
                None => Err(RpcError::no_method(method)),
            },
        };
        reply.unwrap_or_else(Reply::from)
    }

    /// Makes a subscription.
    pub fn subscribe(
        self: &Arc<Self>,
        modules: &Modules,
        namespace: &str,
        params: Option<&[u8]>,
    ) -> Result<Begun, RpcError> {
        let mut params = Params::new(match params {
            None | Some(b"null") => return Err(RpcError::params("non-array args")),
            params => params,
        })?;
        let name = params.next(|value| {
            crate::json::parts::string(value)
                .map(std::borrow::Cow::into_owned)
                .ok_or_else(String::new)
        });
        let no_name = |_| RpcError::params("expected subscription name as first argument");
        let name = name.map_err(no_name)?;
        let protocol = self.protocol(namespace).filter(|_| modules.has(namespace));
        match (protocol, name.as_str()) {
            (Some((protocol, false)), "messages") => self.subscribe_messages(protocol, params),
            (Some((protocol, true)), "signals") => {
                params.end()?;
                let namespace = if protocol.is_waku() { "wakuext" } else { "shhext" };
                let source = Source::Signals(protocol.mail.signals());
                Ok(Begun { id: subscription_id()?, namespace, source })
            }
            _ => Err(RpcError::new(
                crate::error::NO_METHOD,
                format!("no {} subscription in {namespace} namespace", go_quoted(&name)),
            )),
        }
    }

    fn web3(&self, name: &str, mut params: Params<'_>) -> Result<Outcome, RpcError> {
        Ok(match name {
            "clientVersion" => {
                params.end()?;
                Ok(write::string(&self.client_name))
            }
            _ => {
                let bytes = params.next(bytes)?;
                params.end()?;
                Ok(write::hex(&keccak256(&bytes)))
            }
        })
    }

    /// The protocol of a namespace, and whether it is that of the mailservers' methods.
    fn protocol(&self, namespace: &str) -> Option<(&Arc<Protocol>, bool)> {
        let (name, is_ext) = match namespace.strip_suffix("ext") {
            Some(name) => (name, true),
            None => (namespace, false),
        };
        let protocol = self.protocols.iter().find(|protocol| protocol.namespace == name)?;
        Some((protocol, is_ext))
    }

    /// Whether the node has what a namespace is about.
    fn offers(&self, namespace: &str) -> bool {
        matches!(namespace, "admin" | "rpc" | "web3") || self.protocol(namespace).is_some()
    }

    /// The protocol of a network, if the node is there.
    fn in_network(&self, network: Network) -> Option<&Arc<Protocol>> {
        self.protocols.iter().find(|protocol| protocol.handle.network() == network)
    }

    /// Tells the node which envelopes the filters want.
    pub fn filters_changed(&self, protocol: &Protocol) {
        let interest = match protocol.filters.topics() {
            _ if self.wants_everything => return,
            None => Interest::Everything,
            Some(topics) if topics.is_empty() => Interest::Nothing,
            Some(topics) => Interest::Topics(topics),
        };
        protocol.handle.set_interest(interest);
    }

    /// Hands what the node reports to the filters, until the node ends.
    pub async fn listen(self: Arc<Self>, mut events: Subscription) {
        while let Some(event) = events.next().await {
            match &*event {
                Event::Envelope { network, envelope, .. } => {
                    let Some(protocol) = self.in_network(*network) else { continue };
                    protocol.filters.offer(&Offered {
                        envelope: envelope.envelope(),
                        hash: envelope.hash(),
                        pow: envelope.pow(),
                        is_direct: false,
                        is_light: protocol.is_light(),
                    });
                }
                Event::P2pMessages { peer, envelopes } => {
                    let Some(protocol) = self.in_network(peer.network()) else { continue };
                    for envelope in envelopes {
                        protocol.filters.offer(&Offered {
                            envelope,
                            hash: envelope.hash(),
                            pow: envelope.pow(0),
                            is_direct: true,
                            is_light: protocol.is_light(),
                        });
                        // Thousands may come in one packet.
                        tokio::task::yield_now().await;
                    }
                }
                Event::RequestComplete { peer, answer } => {
                    if let Some(protocol) = self.in_network(peer.network()) {
                        protocol.mail.completed(*peer, answer);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Reads a string.
pub fn text(value: &[u8]) -> Result<String, String> {
    let mut typed = Typed::default();
    let text = typed.string(value, Place::default(), "string");
    typed.done(text)
}

/// Reads bytes as hex.
pub fn bytes(value: &[u8]) -> Result<Vec<u8>, String> {
    typed::hex(value, Place::default(), "hexutil.Bytes")
}

/// Returns a new id: `0x` and up to 32 hex digits, without leading zeros.
pub fn subscription_id() -> Result<String, RpcError> {
    let digits = hex::encode(crate::keys::random::<16>()?);
    Ok(format!("0x{}", digits.trim_start_matches('0')))
}

/// A text in quotes, as Go's `%q` shows most of them.
fn go_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' | '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(character))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// Joins JSON values to an array.
pub fn array(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}

impl Source {
    /// Ends what feeds the subscription.
    pub fn end(&self, api: &Api) {
        if let Self::Filter { protocol, filter, .. } = self {
            protocol.filters.remove(filter);
            api.filters_changed(protocol);
        }
    }
}
