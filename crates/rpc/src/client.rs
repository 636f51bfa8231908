//! A client of any such node: over HTTP, WebSocket or a socket of the file system.

use std::{collections::VecDeque, io, path::PathBuf, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use statuskit_core::explain::Explanation;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, Message, client::IntoClientRequest as _, protocol::WebSocketConfig},
};
use zeroize::Zeroizing;

use crate::{
    error::RpcError,
    json::{
        parts,
        scan::Scanner,
        typed::{Place, Typed},
        write,
    },
};

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;
/// Notifications that are kept while an answer is waited for.
const MAX_WAITING: usize = 4096;

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// `http://HOST:PORT/PATH`.
    Http {
        /// Host and port.
        authority: String,
        /// With its slash.
        path: String,
    },
    /// `ws://HOST:PORT/PATH`.
    WebSocket {
        /// Host and port.
        authority: String,
        /// The whole URL.
        url: String,
    },
    /// A socket of the file system.
    Ipc(PathBuf),
}

/// Why a node did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is none of a node.
    #[error("expected http://HOST:PORT, ws://HOST:PORT or the path of a socket")]
    Url,
    /// The node can't be reached.
    #[error("the node was not reached: {0}")]
    Connect(io::Error),
    /// The connection has ended.
    #[error("the connection has ended: {0}")]
    Lost(String),
    /// The node has sent something else than an answer.
    #[error("no answer of JSON-RPC: {0}")]
    Answer(String),
    /// The node did not let us in.
    #[error("HTTP {status}: {text}")]
    Http {
        /// The status.
        status: u16,
        /// The page, cut.
        text: String,
    },
    /// The answer is an error.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// Subscriptions need a connection that stays.
    #[error("HTTP has no subscriptions; expected ws://HOST:PORT or the path of a socket")]
    NoSubscriptions,
}

impl ClientError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Url => "rpc.url",
            Self::Connect(_) => "rpc.connect",
            Self::Lost(_) => "rpc.lost",
            Self::Answer(_) => "rpc.answer",
            Self::Http { .. } => "rpc.http",
            Self::Timeout(_) => "rpc.timeout",
            Self::NoSubscriptions => "rpc.no_subscriptions",
            Self::Rpc(error) => match error.code {
                -32700 => "rpc.parse",
                -32600 => "rpc.invalid_request",
                -32601 => "rpc.no_method",
                -32602 => "rpc.params",
                _ => "rpc.failed",
            },
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "rpc.url",
            rule: "A node is at http://HOST:PORT, ws://HOST:PORT, or the path of a socket.",
            source: "tools",
            causes: "https or wss, which the nodes themselves do not speak.",
        },
        Explanation {
            code: "rpc.connect",
            rule: "The node can't be reached.",
            source: "the system",
            causes: "It does not run, or serves another port: see \"rpc\" in its record of type \"ready\".",
        },
        Explanation {
            code: "rpc.lost",
            rule: "The connection has ended before the answer.",
            source: "tools",
            causes: "The node has ended, or took us for a slow reader.",
        },
        Explanation {
            code: "rpc.answer",
            rule: "An answer is an object with a result or an error.",
            source: "JSON-RPC 2.0, section 5",
            causes: "Something else serves this port.",
        },
        Explanation {
            code: "rpc.http",
            rule: "The server has refused the request before it read the call.",
            source: "JSON-RPC over HTTP, as in go-ethereum",
            causes: "401: a token is needed. 403: the name of the host is not one of --rpc-hosts. 413: more than 5 MiB.",
        },
        Explanation {
            code: "rpc.timeout",
            rule: "The answer did not come in time.",
            source: "tools",
            causes: "A proof of work that takes longer, or a mailserver that is silent: see --timeout.",
        },
        Explanation {
            code: "rpc.no_subscriptions",
            rule: "Notifications need a connection that stays: WebSocket or a socket.",
            source: "JSON-RPC of go-ethereum",
            causes: "The URL is http://…: take ws://… or the path of the socket.",
        },
        Explanation {
            code: "rpc.parse",
            rule: "The node could not read the request (-32700).",
            source: "JSON-RPC 2.0, section 5.1",
            causes: "A proxy has changed it.",
        },
        Explanation {
            code: "rpc.invalid_request",
            rule: "The node took the request for no call (-32600).",
            source: "JSON-RPC 2.0, section 5.1",
            causes: "The method is empty.",
        },
        Explanation {
            code: "rpc.no_method",
            rule: "The node has no such method, or does not offer it here (-32601).",
            source: "JSON-RPC 2.0, section 5.1",
            causes: "A slip in the name; or its namespace is not in --rpc-api of the node. `status-rpc call rpc_modules` tells what is.",
        },
        Explanation {
            code: "rpc.params",
            rule: "The parameters do not fit the method (-32602).",
            source: "JSON-RPC 2.0, section 5.1",
            causes: "See the message: a hex string without 0x, a number in quotes, too few or too many.",
        },
        Explanation {
            code: "rpc.failed",
            rule: "The method itself has failed (-32000).",
            source: "JSON-RPC of go-ethereum",
            causes: "See the message: for example a key that the node does not have, or too little proof of work.",
        },
    ];
}

impl std::str::FromStr for Target {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let split = |rest: &str, port: u16| {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| {
                !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
            });
            let authority =
                if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
            let is_host = !authority.starts_with(':') && !authority.contains(['@', ' ']);
            is_host.then(|| (authority, format!("/{path}"))).ok_or(ClientError::Url)
        };
        if let Some(rest) = text.strip_prefix("http://") {
            let (authority, path) = split(rest, 80)?;
            return Ok(Self::Http { authority, path });
        }
        if let Some(rest) = text.strip_prefix("ws://") {
            let (authority, path) = split(rest, 80)?;
            let url = format!("ws://{authority}{path}");
            return Ok(Self::WebSocket { authority, url });
        }
        if text.is_empty() || text.contains("://") {
            return Err(ClientError::Url);
        }
        Ok(Self::Ipc(text.into()))
    }
}

/// A connection with a node.
pub struct Client {
    connection: Connection,
    /// How long each answer may take.
    limit: Duration,
    next_id: u64,
    waiting: VecDeque<Notification>,
}

/// What a subscription brings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notification {
    /// The id of the subscription.
    pub subscription: String,
    /// JSON.
    pub result: String,
}

enum Connection {
    Http {
        sender: http1::SendRequest<Full<Bytes>>,
        authority: String,
        path: String,
        token: Option<Zeroizing<String>>,
    },
    WebSocket(Box<WebSocketStream<TcpStream>>),
    Ipc {
        stream: UnixStream,
        scanner: Scanner,
        read: Vec<u8>,
    },
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Connects. `limit` is how long this and each answer may take.
    ///
    /// # Errors
    /// If the node can't be reached or lets nobody in.
    pub async fn connect(
        target: &Target,
        token: Option<Zeroizing<String>>,
        limit: Duration,
    ) -> Result<Self, ClientError> {
        let connecting = timeout(limit, Connection::open(target, token));
        let connection = connecting.await.map_err(|_| ClientError::Timeout(limit))??;
        Ok(Self { connection, limit, next_id: 1, waiting: VecDeque::new() })
    }

    /// Calls a method. `params` is a JSON array; so is the result JSON.
    ///
    /// # Errors
    /// If there is no answer, or it is an error.
    pub async fn call(&mut self, method: &str, params: &str) -> Result<String, ClientError> {
        let limit = self.limit;
        let answer = timeout(limit, self.ask(method, params));
        answer.await.map_err(|_| ClientError::Timeout(limit))?
    }

    /// Returns the next notification. Cancel-safe over WebSocket and IPC.
    ///
    /// # Errors
    /// If the connection ends, or is one of HTTP.
    pub async fn next(&mut self) -> Result<Notification, ClientError> {
        loop {
            if let Some(notification) = self.waiting.pop_front() {
                return Ok(notification);
            }
            let value = self.connection.receive().await?;
            self.waiting.extend(notification(&value));
        }
    }

    async fn ask(&mut self, method: &str, params: &str) -> Result<String, ClientError> {
        let id = self.next_id;
        self.next_id += 1;
        let method = write::string(method);
        let text =
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":{method},\"params\":{params}}}");
        if let Some(answer) = self.connection.send(text).await? {
            return outcome(&answer);
        }
        loop {
            let value = self.connection.receive().await?;
            if let Some(notification) = notification(&value) {
                if self.waiting.len() >= MAX_WAITING {
                    return Err(ClientError::Lost("too many notifications wait".to_owned()));
                }
                self.waiting.push_back(notification);
                continue;
            }
            let ours = parts::members(&value).find(|(name, _)| name == "id");
            // An error about what can't be read has no id.
            if ours.is_none_or(|(_, given)| given == b"null" || given == id.to_string().as_bytes())
            {
                return outcome(&value);
            }
        }
    }
}

impl Connection {
    async fn open(target: &Target, token: Option<Zeroizing<String>>) -> Result<Self, ClientError> {
        let tcp = async |authority: &str| {
            let stream = TcpStream::connect(authority).await.map_err(ClientError::Connect)?;
            let _ = stream.set_nodelay(true);
            Ok::<_, ClientError>(stream)
        };
        match target {
            Target::Http { authority, path } => {
                let stream = TokioIo::new(tcp(authority).await?);
                let shaken = http1::handshake(stream).await;
                let (sender, connection) =
                    shaken.map_err(|error| ClientError::Lost(error.to_string()))?;
                tokio::spawn(connection);
                let (authority, path) = (authority.clone(), path.clone());
                Ok(Self::Http { sender, authority, path, token })
            }
            Target::WebSocket { authority, url } => {
                let stream = tcp(authority).await?;
                let mut request = url.into_client_request().map_err(|_| ClientError::Url)?;
                if let Some(token) = token {
                    request.headers_mut().insert(header::AUTHORIZATION, bearer(&token)?);
                }
                let mut config = WebSocketConfig::default();
                config.max_message_size = Some(MAX_ANSWER);
                config.max_frame_size = Some(MAX_ANSWER);
                match client_async_with_config(request, stream, Some(config)).await {
                    Ok((socket, _)) => Ok(Self::WebSocket(Box::new(socket))),
                    Err(tungstenite::Error::Http(response)) => {
                        let text = response.body().as_deref().unwrap_or_default();
                        Err(page(response.status(), text))
                    }
                    Err(error) => Err(ClientError::Lost(error.to_string())),
                }
            }
            Target::Ipc(path) => {
                let stream = UnixStream::connect(path).await.map_err(ClientError::Connect)?;
                Ok(Self::Ipc { stream, scanner: Scanner::default(), read: Vec::new() })
            }
        }
    }

    /// Sends a request. Over HTTP, the answer comes at once.
    async fn send(&mut self, text: String) -> Result<Option<Vec<u8>>, ClientError> {
        let lost = |error: &dyn std::fmt::Display| ClientError::Lost(error.to_string());
        match self {
            Self::Http { sender, authority, path, token } => {
                let mut request = Request::post(&**path)
                    .header(header::HOST, &**authority)
                    .header(header::CONTENT_TYPE, "application/json");
                if let Some(token) = token {
                    request = request.header(header::AUTHORIZATION, bearer(token)?);
                }
                let body = Full::new(Bytes::from(text));
                let request = request.body(body).map_err(|_| ClientError::Url)?;
                sender.ready().await.map_err(|error| lost(&error))?;
                let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
                let status = response.status();
                let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
                let body = body.map_err(|error| lost(&error))?.to_bytes();
                if status != StatusCode::OK {
                    return Err(page(status, &body));
                }
                Ok(Some(body.trim_ascii().to_vec()))
            }
            Self::WebSocket(socket) => {
                socket.send(Message::text(text)).await.map_err(|error| lost(&error))?;
                Ok(None)
            }
            Self::Ipc { stream, .. } => {
                stream.write_all(text.as_bytes()).await.map_err(|error| lost(&error))?;
                Ok(None)
            }
        }
    }

    async fn receive(&mut self) -> Result<Vec<u8>, ClientError> {
        match self {
            Self::Http { .. } => Err(ClientError::NoSubscriptions),
            Self::WebSocket(socket) => loop {
                match socket.next().await {
                    Some(Ok(Message::Text(text))) => return Ok(text.trim().as_bytes().to_vec()),
                    Some(Ok(Message::Binary(bytes))) => return Ok(bytes.trim_ascii().to_vec()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(ClientError::Lost(error.to_string())),
                    None => return Err(ClientError::Lost("by the node".to_owned())),
                }
            },
            Self::Ipc { stream, scanner, read } => {
                let mut scanned = 0;
                *scanner = Scanner::default();
                loop {
                    let fresh = read.get(scanned..).unwrap_or_default();
                    let end = scanner.feed(fresh);
                    let end = end.map_err(|error| ClientError::Answer(error.to_string()))?;
                    if let Some(end) = end {
                        let rest = read.split_off(scanned + end);
                        let value = std::mem::replace(read, rest);
                        return Ok(value.trim_ascii().to_vec());
                    }
                    scanned = read.len();
                    if scanned > MAX_ANSWER {
                        let text = format!("more than {MAX_ANSWER} bytes");
                        return Err(ClientError::Answer(text));
                    }
                    match stream.read_buf(read).await {
                        Ok(0) => return Err(ClientError::Lost("by the node".to_owned())),
                        Ok(_) => {}
                        Err(error) => return Err(ClientError::Lost(error.to_string())),
                    }
                }
            }
        }
    }
}

fn bearer(token: &Zeroizing<String>) -> Result<header::HeaderValue, ClientError> {
    let text = Zeroizing::new(format!("Bearer {}", **token));
    let mut value = header::HeaderValue::from_str(&text).map_err(|_| ClientError::Url)?;
    value.set_sensitive(true);
    Ok(value)
}

fn page(status: StatusCode, body: &[u8]) -> ClientError {
    let text: String = String::from_utf8_lossy(body).trim().chars().take(200).collect();
    ClientError::Http { status: status.as_u16(), text }
}

/// Takes an answer apart.
fn outcome(value: &[u8]) -> Result<String, ClientError> {
    let strange = || {
        let text: String = String::from_utf8_lossy(value).chars().take(200).collect();
        ClientError::Answer(text)
    };
    if crate::json::scan::first(value).ok() != Some(crate::json::scan::First::Value(value)) {
        return Err(strange());
    }
    let mut result = None;
    for (name, part) in parts::members(value) {
        match &*name {
            "error" if part != b"null" => {
                let mut error = RpcError { code: 0, message: String::new() };
                let mut typed = Typed::default();
                for (name, part) in parts::members(part) {
                    match &*name {
                        "code" => {
                            let code = typed.int64(part, Place::default(), "int");
                            error.code = i32::try_from(code).unwrap_or_default();
                        }
                        "message" => error.message = parts::string(part).unwrap_or_default().into(),
                        _ => {}
                    }
                }
                return Err(error.into());
            }
            "result" => result = Some(String::from_utf8_lossy(part).into_owned()),
            _ => {}
        }
    }
    result.ok_or_else(strange)
}

/// A message of a subscription; `None` if it is something else.
fn notification(value: &[u8]) -> Option<Notification> {
    let mut params = None;
    for (name, part) in parts::members(value) {
        match &*name {
            "method" if !parts::string(part)?.ends_with("_subscription") => return None,
            "params" => params = Some(part),
            "id" => return None,
            _ => {}
        }
    }
    let mut found = Notification { subscription: String::new(), result: "null".to_owned() };
    for (name, part) in parts::members(params?) {
        match &*name {
            "subscription" => found.subscription = parts::string(part)?.into_owned(),
            "result" => found.result = String::from_utf8_lossy(part).into_owned(),
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_urls_or_paths() {
        let http = |authority: &str, path: &str| Target::Http {
            authority: authority.to_owned(),
            path: path.to_owned(),
        };
        assert_eq!("http://127.0.0.1:8545".parse::<Target>().unwrap(), http("127.0.0.1:8545", "/"));
        assert_eq!("http://[::1]/x".parse::<Target>().unwrap(), http("[::1]:80", "/x"));
        assert_eq!("/tmp/n.ipc".parse::<Target>().unwrap(), Target::Ipc("/tmp/n.ipc".into()));
        for text in ["", "https://x", "http://", "ws://:1", "ftp://x"] {
            assert_eq!(text.parse::<Target>().unwrap_err().code(), "rpc.url", "{text}");
        }
    }

    #[test]
    fn answers_are_taken_apart() {
        assert_eq!(outcome(br#"{"jsonrpc":"2.0","id":1,"result":null}"#).unwrap(), "null");
        let error = outcome(br#"{"id":1,"error":{"code":-32601,"message":"no <x>"}}"#).unwrap_err();
        assert_eq!(
            (error.code(), error.to_string()),
            ("rpc.no_method", "no <x> (-32601)".to_owned())
        );
        for text in ["", "{}", "<html>", "{\"id\":1,\"result\":1}x", "[1"] {
            assert_eq!(outcome(text.as_bytes()).unwrap_err().code(), "rpc.answer", "{text}");
        }
        let text = br#"{"jsonrpc":"2.0","method":"shh_subscription","params":{"subscription":"0x1","result":{"a":1}}}"#;
        let expected =
            Notification { subscription: "0x1".to_owned(), result: "{\"a\":1}".to_owned() };
        assert_eq!(notification(text), Some(expected));
        assert_eq!(notification(br#"{"id":1,"result":5}"#), None);
    }
}
