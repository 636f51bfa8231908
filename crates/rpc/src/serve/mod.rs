//! Where clients connect: HTTP, WebSocket, and a socket of the file system.

pub mod budget;
pub mod http;
pub mod ipc;
pub mod patient;
pub mod session;
pub mod ws;

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use statuskit_core::explain::Explanation;
use subtle::ConstantTimeEq as _;
use tokio::{net::TcpListener, sync::watch};
use zeroize::Zeroizing;

use crate::{
    api::{Api, Modules, Reply},
    error::{INVALID_REQUEST, RpcError, TOO_LARGE},
    keys::lock,
    request::{self, Kind, Message, put_answer},
};
use budget::Budget;

/// The largest request over HTTP or WebSocket, in bytes.
pub const MAX_REQUEST: usize = 5 << 20;
/// The most messages in a batch.
const MAX_BATCH: usize = 100_000;
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 32 << 20;
/// Messages of a batch that are handled before others get their turn.
const SLICE: usize = 64;
/// How long the other side may leave what we write.
pub const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// After an accept that failed; for want of file descriptors, perhaps.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What a client must say to get in, beyond loopback.
#[derive(Clone)]
pub struct Token(Arc<Zeroizing<String>>);

impl Token {
    /// Takes the text.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(Arc::new(text))
    }

    /// Whether a header `Authorization: Bearer …` has the token.
    fn is_in(&self, header: Option<&[u8]>) -> bool {
        let given = header.and_then(|header| {
            let (scheme, token) = header.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
        });
        given.is_some_and(|given| given.ct_eq(self.0.as_bytes()).into())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A list of origins: of pages that may use the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Reads a list with commas.
    pub fn of(list: &str) -> Self {
        let names = list.split(',').map(|name| name.trim().to_lowercase());
        Self(names.filter(|name| !name.is_empty()).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has_all(&self) -> bool {
        self.0.iter().any(|name| name == "*")
    }

    /// Whether the list has the origin. An asterisk in a name stands for any text, where `wildcards`
    /// says so.
    fn has(&self, origin: &str, wildcards: bool) -> bool {
        let origin = origin.to_lowercase();
        let is = |name: &String| match name.split_once('*') {
            _ if *name == origin => true,
            Some((before, after)) if wildcards => {
                origin.len() >= before.len() + after.len()
                    && origin.starts_with(before)
                    && origin.ends_with(after)
            }
            _ => false,
        };
        self.has_all() || self.0.iter().any(is)
    }
}

/// The settings of all endpoints.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// Names by which we are called, beside addresses.
    pub hosts: HashSet<String>,
    pub cors: Origins,
    pub token: Option<Token>,
}

impl Gate {
    /// Whether the Host header names us: an address, or a name of the list. A page of another name
    /// that leads here (DNS rebinding) is not let in.
    fn is_host(&self, header: &str) -> bool {
        let host = match header.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') && !host.contains(':') => host,
            Some((host, port)) if !port.contains(']') && host.starts_with('[') => {
                host.trim_start_matches('[').trim_end_matches(']')
            }
            _ => header,
        };
        header.is_empty()
            || host.parse::<IpAddr>().is_ok()
            || self.hosts.contains("*")
            || self.hosts.contains(host)
    }

    fn admits(&self, authorization: Option<&[u8]>) -> bool {
        self.token.as_ref().is_none_or(|token| token.is_in(authorization))
    }
}

/// What is served where, and what all of it shares.
#[derive(Debug)]
pub struct Endpoints {
    pub gate: Gate,
    pub modules: Modules,
    pub budget: Budget,
    http: Mutex<Option<Endpoint>>,
    ws: Mutex<Option<Endpoint>>,
}

#[derive(Debug)]
struct Endpoint {
    name: String,
    stop: watch::Sender<bool>,
}

/// Why nothing can be served there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is in use, or not ours.
    #[error("can't listen on {addr}: {error}")]
    Listen {
        /// As it was given.
        addr: String,
        /// Why.
        error: io::Error,
    },
    /// Others can reach the address, and there is no token.
    #[error("{addr} can be reached from other machines, and there is no token")]
    Open {
        /// As it was given.
        addr: String,
    },
    /// The socket can't be made.
    #[error("can't listen on {}: {error}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl ServeError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "net.listen",
            Self::Open { .. } => "rpc.open",
            Self::Socket { .. } => "rpc.socket",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "rpc.open",
            rule: "An address that other machines reach is served only to clients with a token.",
            source: "tools",
            causes: "0.0.0.0 in place of 127.0.0.1. To serve others, write 16 or more random characters into a file for --rpc-token.",
        },
        Explanation {
            code: "rpc.socket",
            rule: "The socket can't be made.",
            source: "the system",
            causes: "Another node listens there, the directory is missing, or the path has more than 100 characters.",
        },
    ];
}

impl Endpoints {
    pub fn new(gate: Gate, modules: Modules) -> Self {
        let (http, ws) = (Mutex::default(), Mutex::default());
        Self { gate, modules, budget: Budget::default(), http, ws }
    }

    fn place(&self, is_ws: bool) -> &Mutex<Option<Endpoint>> {
        if is_ws { &self.ws } else { &self.http }
    }

    /// Ends an endpoint and its connections. Returns whether there was one.
    pub fn stop(&self, is_ws: bool) -> bool {
        let endpoint = lock(self.place(is_ws)).take();
        endpoint.map(|endpoint| endpoint.stop.send_replace(true)).is_some()
    }
}

/// What `admin_startWS` and `admin_startRPC` ask for.
pub struct Start {
    pub host: Option<String>,
    pub port: Option<i64>,
    pub origins: Origins,
    pub modules: Option<String>,
    pub hosts: Option<String>,
}

/// Serves HTTP or WebSocket, as a client has asked.
pub async fn start(api: &Arc<Api>, is_ws: bool, start: Start) -> Result<(), RpcError> {
    let host = start.host.unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = start.port.unwrap_or(if is_ws { 8546 } else { 8545 });
    let name = format!("{host}:{port}");
    let modules = match &start.modules {
        Some(names) => Modules::of(names.split(',')),
        None => api.endpoints.modules.clone(),
    };
    // A client gets no more than was offered when the node started.
    let modules = modules.within(&api.endpoints.modules);
    let mut gate = api.endpoints.gate.clone();
    gate.cors = start.origins;
    if let Some(hosts) = start.hosts {
        gate.hosts = hosts.split(',').map(|host| host.trim().to_lowercase()).collect();
    }
    if let Some(endpoint) = &*lock(api.endpoints.place(is_ws)) {
        let what = if is_ws { "WebSocket" } else { "HTTP" };
        let text = format!("{what} RPC already running on {}", endpoint.name);
        return Err(RpcError::failed(text));
    }
    let listened = listen(api, is_ws, &name, gate, modules).await;
    listened.map(|_| ()).map_err(|error| RpcError::failed(error.to_string()))
}

/// Serves HTTP or WebSocket on an address.
pub async fn listen(
    api: &Arc<Api>,
    is_ws: bool,
    name: &str,
    gate: Gate,
    modules: Modules,
) -> Result<SocketAddr, ServeError> {
    let failed = |error| ServeError::Listen { addr: name.to_owned(), error };
    let listener = TcpListener::bind(name).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    if !addr.ip().is_loopback() && gate.token.is_none() {
        return Err(ServeError::Open { addr: name.to_owned() });
    }
    let (stop, stopped) = watch::channel(false);
    let endpoint = Endpoint { name: format!("{}", addr), stop };
    *lock(api.endpoints.place(is_ws)) = Some(endpoint);
    let served = Served { api: api.clone(), gate: Arc::new(gate), modules: Arc::new(modules) };
    tokio::spawn(http::accept(listener, served, is_ws, stopped));
    Ok(addr)
}

/// What a connection has to do with.
#[derive(Clone)]
pub struct Served {
    pub api: Arc<Api>,
    pub gate: Arc<Gate>,
    pub modules: Arc<Modules>,
}

/// Resolves when the endpoint ends.
pub async fn ended(stopped: &mut watch::Receiver<bool>) {
    // An error means that the endpoint is gone as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// What a connection can do beyond calls.
pub trait Subscriber: Sync {
    /// Begins a subscription.
    ///
    /// # Errors
    /// If there are none here, or no more.
    fn subscribe(&self, namespace: &str, params: Option<&[u8]>) -> Result<String, RpcError>;

    /// Ends a subscription. Returns whether there was one.
    fn unsubscribe(&self, id: &str) -> bool;
}

/// Answers one value; `None` if there is nothing to answer.
pub async fn answer(served: &Served, subscriber: &impl Subscriber, value: &[u8]) -> Option<String> {
    let Some(messages) = request::batch(value) else {
        let message = Message::read(value);
        let outcome = handle(served, subscriber, &message).await?;
        return Some(request::answer(message.id(), &outcome));
    };
    let mut out = String::new();
    let mut count = 0;
    for message in messages {
        count += 1;
        if count > MAX_BATCH {
            let text = format!("batch too large, at most {MAX_BATCH}");
            return Some(request::answer(None, &Err(RpcError::new(INVALID_REQUEST, text))));
        }
        if let Some(outcome) = handle(served, subscriber, &message).await {
            out.push(if out.is_empty() { '[' } else { ',' });
            put_answer(&mut out, message.id(), &outcome);
        }
        if out.len() > MAX_ANSWER {
            let text = format!("the answers have more than {MAX_ANSWER} bytes");
            return Some(request::answer(None, &Err(RpcError::new(TOO_LARGE, text))));
        }
        if count % SLICE == 0 {
            tokio::task::yield_now().await;
        }
    }
    if count == 0 {
        let error = RpcError::new(INVALID_REQUEST, "empty batch");
        return Some(request::answer(None, &Err(error)));
    }
    (!out.is_empty()).then(|| out + "]\n")
}

/// Does what a message says. `None` if it needs no answer.
async fn handle(
    served: &Served,
    subscriber: &impl Subscriber,
    message: &Message<'_>,
) -> Option<Result<String, RpcError>> {
    let kind = message.kind();
    match kind {
        Kind::Ignored => return None,
        Kind::Invalid => return Some(Err(RpcError::invalid_request())),
        Kind::Call | Kind::Notification => {}
    }
    let method = &*message.method;
    let outcome = if method.ends_with("_subscribe") {
        let namespace = method.split('_').next().unwrap_or_default();
        subscriber.subscribe(namespace, message.params).map(|id| format!("\"{id}\""))
    } else if method.ends_with("_unsubscribe") {
        unsubscribe(subscriber, message.params)
    } else {
        match served.api.call(&served.modules, method, message.params) {
            Reply::Now(outcome) => outcome,
            Reply::Later(work) => work.await,
        }
    };
    (kind == Kind::Call).then_some(outcome)
}

fn unsubscribe(subscriber: &impl Subscriber, params: Option<&[u8]>) -> Result<String, RpcError> {
    use crate::json::typed::{Place, Typed};
    let mut params = request::Params::new(params)?;
    let id = params.next(|value| {
        let mut typed = Typed::default();
        let id = typed.string(value, Place::default(), "rpc.ID");
        typed.done(id)
    })?;
    params.end()?;
    match subscriber.unsubscribe(&id) {
        true => Ok("true".to_owned()),
        false => Err(RpcError::failed("subscription not found")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart() {
        let hosts = ["localhost", "node.example"].map(str::to_owned).into();
        let gate = Gate { hosts, ..Gate::default() };
        for host in [
            "localhost",
            "localhost:99",
            "127.0.0.1",
            "127.0.0.1:5",
            "[::1]:80",
            "::1",
            "",
            "node.example",
        ] {
            assert!(gate.is_host(host), "{host}");
        }
        for host in
            ["LOCALHOST", "evil.example", "[fe80::1]", "localhost.evil.example", "127.0.0.1.evil:1"]
        {
            assert!(!gate.is_host(host), "{host}");
        }
    }

    #[test]
    fn origins_have_wildcards() {
        let origins = Origins::of("http://wallet.example, http://*.dapp.example");
        assert!(
            origins.has("HTTP://wallet.example", true)
                && origins.has("http://a.dapp.example", true)
        );
        assert!(
            !origins.has("http://a.dapp.example", false)
                && !origins.has("http://dapp.example", true)
        );
    }

    #[test]
    fn tokens_are_compared_whole() {
        let token = Token::new(Zeroizing::new("secret".to_owned()));
        assert!(token.is_in(Some(b"Bearer secret")) && token.is_in(Some(b"bearer secret")));
        for header in [
            None,
            Some(&b"secret"[..]),
            Some(b"Bearer secre"),
            Some(b"Bearer secrets"),
            Some(b"Bearer "),
        ] {
            assert!(!token.is_in(header));
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
