//! WebSockets: the handshake as the reference answers it, and one session each.
//!
//! Source: RFC 6455; go-ethereum 1.9's `rpc` with `gorilla/websocket`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{self, HeaderMap, HeaderName, HeaderValue},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    MAX_REQUEST, Origins, Served, ended,
    http::{Answer, Place, refusal, text},
    session::{Outgoing, Session},
};
use crate::{
    json::scan::{self, First},
    keys::lock,
};

/// What a connection holds even if it is idle.
const READ_BUFFER: usize = 4 << 10;
/// How long the last messages may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// What is still read of a message that was too large, so that the other side sees why it ends.
const DRAINED: u64 = 16 << 20;

const VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");

/// The open connections of an endpoint, by when they were last used.
#[derive(Clone, Default)]
pub struct Sockets(Arc<Mutex<HashMap<u64, Socket>>>);

struct Socket {
    used: Instant,
    session: Arc<Session>,
    close: Arc<Notify>,
}

impl Sockets {
    /// Closes the one that was not used for longest and has no subscription. Returns whether there
    /// is such.
    pub fn make_room(&self) -> bool {
        let mut sockets = lock(&self.0);
        let idle = sockets.iter().filter(|(_, socket)| !socket.session.is_subscribed());
        let oldest = idle.min_by_key(|(_, socket)| socket.used).map(|(&number, _)| number);
        let socket = oldest.and_then(|number| sockets.remove(&number));
        socket.map(|socket| socket.close.notify_one()).is_some()
    }

    fn enter(&self, session: &Arc<Session>) -> (u64, Arc<Notify>) {
        let mut sockets = lock(&self.0);
        let number = (0..).find(|number| !sockets.contains_key(number)).unwrap_or_default();
        let close = Arc::new(Notify::new());
        let socket =
            Socket { used: Instant::now(), session: session.clone(), close: close.clone() };
        sockets.insert(number, socket);
        (number, close)
    }

    fn touch(&self, number: u64, close: &Arc<Notify>) {
        if let Some(socket) = lock(&self.0).get_mut(&number)
            && Arc::ptr_eq(&socket.close, close)
        {
            socket.used = Instant::now();
        }
    }

    fn leave(&self, number: u64, close: &Arc<Notify>) {
        let mut sockets = lock(&self.0);
        if sockets.get(&number).is_some_and(|socket| Arc::ptr_eq(&socket.close, close)) {
            sockets.remove(&number);
        }
    }
}

/// Answers a handshake, and serves the connection behind it.
pub fn respond(
    mut request: Request<Incoming>,
    served: Served,
    sockets: Sockets,
    stopped: watch::Receiver<bool>,
    place: Arc<Place>,
) -> Response<Answer> {
    let key = match check(request.method(), request.headers(), &served) {
        Ok(key) => key,
        Err(status) => {
            let text = status.canonical_reason().unwrap_or_default();
            let mut response = refusal(status, text);
            response.headers_mut().insert(VERSION, HeaderValue::from_static("13"));
            return response;
        }
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        serve(upgrade, served, sockets, stopped).await;
        drop(place);
    });
    let mut response = Response::new(Answer::from(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// Returns the key of a handshake that is let in.
fn check(method: &Method, headers: &HeaderMap, served: &Served) -> Result<String, StatusCode> {
    let has = |name: &HeaderName, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let mut tokens = values.flat_map(|value| value.split(','));
        tokens.any(|given| given.trim().eq_ignore_ascii_case(token))
    };
    if !has(&header::CONNECTION, "upgrade") || !has(&header::UPGRADE, "websocket") {
        return Err(StatusCode::BAD_REQUEST);
    }
    if method != Method::GET {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    if !has(&VERSION, "13") {
        return Err(StatusCode::BAD_REQUEST);
    }
    let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if !served.gate.admits(authorization) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    // A browser always says where a page is from; other clients need not.
    if headers.contains_key(header::ORIGIN) {
        let origin = text(headers, &header::ORIGIN);
        let ours = Origins::of("http://localhost");
        let origins = if served.gate.cors.is_empty() { &ours } else { &served.gate.cors };
        if !origins.has(origin, false) {
            return Err(StatusCode::FORBIDDEN);
        }
    }
    let key = text(headers, &header::SEC_WEBSOCKET_KEY);
    if key.is_empty() { Err(StatusCode::BAD_REQUEST) } else { Ok(key.to_owned()) }
}

async fn serve(
    upgrade: OnUpgrade,
    served: Served,
    sockets: Sockets,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok(stream) = upgrade.await else { return };
    let mut config = WebSocketConfig::default();
    config.read_buffer_size = READ_BUFFER;
    config.write_buffer_size = 0;
    config.max_message_size = Some(MAX_REQUEST);
    config.max_frame_size = Some(MAX_REQUEST);
    let stream = TokioIo::new(stream);
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let (session, outbox) = Session::begin(served);
    let (number, close) = sockets.enter(&session);
    let touch = || sockets.touch(number, &close);
    let ended = async {
        tokio::select! {
            () = ended(&mut stopped) => {}
            () = close.notified() => {}
            () = session.over() => {}
        }
    };
    talk(socket, &session, outbox, touch, ended).await;
    session.end();
    sockets.leave(number, &close);
}

/// Why the reading has ended.
enum End {
    Gone,
    Refused,
    TooLarge,
}

async fn talk<S: AsyncRead + tokio::io::AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
    session: &Arc<Session>,
    mut outbox: mpsc::Receiver<Outgoing>,
    touch: impl Fn(),
    ended: impl Future<Output = ()>,
) {
    let (mut sink, mut stream) = socket.split();
    let end = {
        let writing = async {
            while let Some(outgoing) = outbox.recv().await {
                if sink.send(Message::text(outgoing.text)).await.is_err() {
                    return;
                }
            }
        };
        let reading = async {
            let mut calls = JoinSet::new();
            while let Some(message) = stream.next().await {
                let value = match message {
                    Ok(Message::Text(text)) => Bytes::from(text),
                    Ok(Message::Binary(bytes)) => bytes,
                    Ok(_) => continue,
                    Err(Error::Capacity(_)) => return End::TooLarge,
                    Err(_) => return End::Gone,
                };
                touch();
                match scan::first(&value) {
                    Ok(First::Value(value)) => {
                        let Some(share) = session.share(value.len()) else { return End::Gone };
                        session.take(value.to_vec(), share, &mut calls).await;
                    }
                    Ok(First::Nothing | First::Cut) => return End::Refused,
                    Err(error) => {
                        session.refuse(&error).await;
                        return End::Refused;
                    }
                }
            }
            End::Gone
        };
        tokio::select! {
            end = reading => end,
            () = writing => End::Gone,
            () = ended => End::Gone,
        }
    };
    let farewell = async {
        while let Ok(outgoing) = outbox.try_recv() {
            sink.send(Message::text(outgoing.text)).await?;
        }
        if matches!(end, End::TooLarge) {
            let frame = CloseFrame { code: CloseCode::Size, reason: "".into() };
            sink.send(Message::Close(Some(frame))).await?;
        }
        sink.flush().await
    };
    let said = timeout(FAREWELL, farewell).await;
    if let (End::TooLarge, Ok(Ok(()))) = (end, said)
        && let Ok(socket) = sink.reunite(stream)
    {
        let mut rest = socket.into_inner().take(DRAINED);
        let _ = timeout(FAREWELL, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}
