//! HTTP: the checks of a request in the order of the reference, and its answers.
//!
//! Source: go-ethereum 1.9's `rpc` and `rs/cors`, as status-go v0.50.2 has them.

use std::{
    convert::Infallible,
    io::Write as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    ext::ReasonPhrase,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::watch, time::timeout};

use super::{
    ACCEPT_AGAIN, MAX_REQUEST, Origins, Served, Subscriber, answer,
    budget::{Budget, Share},
    ended,
    patient::Patient,
    ws,
};
use crate::{
    error::{PARSE, RpcError},
    json::scan::{self, First},
    request,
};

/// Connections of an endpoint at a time. More are turned away.
const CONNECTIONS: usize = 512;
/// The most bytes of a request's head.
const MAX_HEAD: usize = 16 << 10;
/// How long the head of a request may take; so long a connection may be idle.
const HEAD_LIMIT: Duration = Duration::from_secs(120);
/// How long the body of a request may take.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// What is still read of a body that is too large, and for how long.
const MAX_DRAINED: usize = 16 << 20;
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

const JSON: &str = "application/json";
const ACCEPTED: [&str; 3] = [JSON, "application/json-rpc", "application/jsonrequest"];

/// An answer: the bytes, and the share of memory that they take until they are written.
pub struct Answer {
    bytes: Full<Bytes>,
    _share: Option<Share>,
}

impl From<Bytes> for Answer {
    fn from(bytes: Bytes) -> Self {
        Self { bytes: Full::new(bytes), _share: None }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.bytes).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_end_stream()
    }
}

/// Takes connections until the endpoint ends.
pub async fn accept(
    listener: TcpListener,
    served: Served,
    is_ws: bool,
    stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(AtomicUsize::new(0));
    let sockets = ws::Sockets::default();
    let mut until = stopped.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ended(&mut until) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        if places.fetch_add(1, Relaxed) >= CONNECTIONS && !(is_ws && sockets.make_room()) {
            places.fetch_sub(1, Relaxed);
            continue;
        }
        let _ = stream.set_nodelay(true);
        let (served, places, sockets) = (served.clone(), places.clone(), sockets.clone());
        let (stopped, mut until) = (stopped.clone(), stopped.clone());
        tokio::spawn(async move {
            let place = Arc::new(Place(places));
            let service = service_fn(|request: Request<Incoming>| {
                let (served, sockets) = (served.clone(), sockets.clone());
                let (stopped, place) = (stopped.clone(), place.clone());
                async move {
                    let response = if is_ws {
                        ws::respond(request, served, sockets, stopped, place)
                    } else {
                        respond(request, &served).await
                    };
                    Ok::<_, Infallible>(response)
                }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_LIMIT)
                .max_buf_size(MAX_HEAD)
                .serve_connection(TokioIo::new(Patient::new(stream)), service)
                .with_upgrades();
            tokio::select! {
                // Whatever ends it: the other side may come again.
                _ = connection => {}
                () = ended(&mut until) => {}
            }
        });
    }
}

/// A place for a connection. Dropping it frees it.
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

async fn respond(request: Request<Incoming>, served: &Served) -> Response<Answer> {
    let zips = text(request.headers(), &header::ACCEPT_ENCODING).contains("gzip");
    let mut response = checked(request, served).await;
    if zips {
        zip(&mut response, &served.api.endpoints.budget).await;
    }
    response
}

async fn checked(request: Request<Incoming>, served: &Served) -> Response<Answer> {
    let (head, body) = request.into_parts();
    let (method, headers) = (&head.method, &head.headers);
    if !served.gate.is_host(text(headers, &header::HOST)) {
        return refusal(StatusCode::FORBIDDEN, "invalid host specified");
    }
    let mut response = Response::new(Answer::from(Bytes::new()));
    if !served.gate.cors.is_empty() {
        let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let asked = text(headers, &header::ACCESS_CONTROL_REQUEST_METHOD);
        if method == Method::OPTIONS && !asked.is_empty() {
            preflight(&served.gate.cors, origin, asked, headers, response.headers_mut());
            return response;
        }
        if method != Method::OPTIONS {
            let method = method.as_str();
            allow(&served.gate.cors, origin, method, response.headers_mut());
        }
    }
    let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if !served.gate.admits(authorization) {
        return with(response, refusal(StatusCode::UNAUTHORIZED, "a token is needed"));
    }
    let length = body.size_hint().exact();
    if method == Method::GET && length == Some(0) && head.uri.query().unwrap_or_default().is_empty()
    {
        return response;
    }
    if method == Method::PUT || method == Method::DELETE {
        return with(response, refusal(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"));
    }
    if let Some(length) = length.filter(|&length| length > MAX_REQUEST as u64) {
        // A client that is still sending would not see the answer.
        let _ = timeout(DRAIN_LIMIT, drain(body)).await;
        let text = format!("content length too large ({length}>{MAX_REQUEST})");
        return with(response, refusal(StatusCode::PAYLOAD_TOO_LARGE, &text));
    }
    if method != Method::OPTIONS && !is_json(text(headers, &header::CONTENT_TYPE)) {
        let text = format!("invalid content type, only {JSON} is supported");
        return with(response, refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text));
    }
    let budget = &served.api.endpoints.budget;
    let (bytes, mut share) = match timeout(BODY_LIMIT, read(body, budget)).await {
        Ok(Ok(read)) => read,
        Ok(Err(status)) => return with(response, refusal(status, "the body was not read")),
        Err(_) => {
            return with(response, refusal(StatusCode::REQUEST_TIMEOUT, "the body took too long"));
        }
    };
    let content = match scan::first(&bytes) {
        Ok(First::Value(value)) => answer(served, &NoSubscriptions, value).await,
        Ok(First::Nothing) => None,
        Ok(First::Cut) | Err(_) => {
            Some(request::answer(None, &Err(RpcError::new(PARSE, "parse error"))))
        }
    };
    let content = content.unwrap_or_default();
    if !share.grow(content.len()) {
        return with(response, refusal(StatusCode::SERVICE_UNAVAILABLE, "too much is asked for"));
    }
    *response.body_mut() = Answer { bytes: Full::new(content.into()), _share: Some(share) };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

/// Reads a body up to the limit; what is beyond is cut off.
async fn read(body: Incoming, budget: &Budget) -> Result<(Vec<u8>, Share), StatusCode> {
    let mut share = budget.take(0).ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let mut bytes = Vec::new();
    let mut body = body;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(StatusCode::BAD_REQUEST) };
        let Ok(data) = frame.into_data() else { continue };
        let data = &data[..data.len().min(MAX_REQUEST - bytes.len())];
        if !share.grow(data.len()) {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        bytes.extend_from_slice(data);
        if bytes.len() == MAX_REQUEST {
            let _ = timeout(DRAIN_LIMIT, drain(body)).await;
            return Ok((bytes, share));
        }
    }
    Ok((bytes, share))
}

/// Reads on without keeping anything, up to a limit.
async fn drain(mut body: Incoming) {
    let mut left = MAX_DRAINED;
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(read) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Over HTTP, nothing can be sent later.
struct NoSubscriptions;

impl Subscriber for NoSubscriptions {
    fn subscribe(&self, _: &str, _: Option<&[u8]>) -> Result<String, RpcError> {
        Err(RpcError::failed("notifications not supported"))
    }

    fn unsubscribe(&self, _: &str) -> bool {
        false
    }
}

/// A page that says what is wrong.
pub fn refusal(status: StatusCode, text: &str) -> Response<Answer> {
    let mut response = Response::new(Answer::from(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        // The older name, which the reference has.
        let name = ReasonPhrase::from_static(b"Request Entity Too Large");
        response.extensions_mut().insert(name);
    }
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Returns the second response with the headers of the first as well.
fn with(mut first: Response<Answer>, mut second: Response<Answer>) -> Response<Answer> {
    second.headers_mut().extend(first.headers_mut().drain());
    second
}

/// Allows a page of this origin to read the answer, if it may.
fn allow(origins: &Origins, origin: Option<&str>, method: &str, headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin
        && origins.has(origin, true)
        && matches!(method, "GET" | "POST")
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed(origins, origin));
    }
}

/// Answers the question of a browser, whether a page may ask.
fn preflight(
    origins: &Origins,
    origin: Option<&str>,
    asked: &str,
    request: &HeaderMap,
    headers: &mut HeaderMap,
) {
    for name in ["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"] {
        headers.append(header::VARY, HeaderValue::from_static(name));
    }
    let asked = asked.to_uppercase();
    let Some(origin) = origin.filter(|origin| origins.has(origin, true)) else { return };
    if !matches!(&*asked, "GET" | "POST") {
        return;
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed(origins, origin));
    if let Ok(asked) = HeaderValue::from_str(&asked) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, asked);
    }
    let names = text(request, &header::ACCESS_CONTROL_REQUEST_HEADERS);
    let names: Vec<_> =
        names.split([',', ' ']).filter(|name| !name.is_empty()).map(canonical).collect();
    if !names.is_empty()
        && let Ok(names) = HeaderValue::from_str(&names.join(", "))
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}

fn allowed(origins: &Origins, origin: &str) -> HeaderValue {
    let text = if origins.has_all() { "*" } else { origin };
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("null"))
}

/// A header's name with capitals: `X-Y`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let fold = |character: char| {
        let folded = match upper {
            true => character.to_ascii_uppercase(),
            false => character.to_ascii_lowercase(),
        };
        upper = character == '-';
        folded
    };
    name.chars().map(fold).collect()
}

/// Whether a media type is one of JSON: any case, and well-formed parameters.
fn is_json(media_type: &str) -> bool {
    let mut parts = media_type.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_lowercase();
    let mut names = Vec::new();
    let mut parameter = |text: &str| {
        let Some((name, value)) = text.split_once('=') else { return false };
        let name = name.trim_end().to_lowercase();
        let is_token = |text: &str| {
            let is_part =
                |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte);
            !text.is_empty() && text.bytes().all(is_part)
        };
        let quoted = value.len() >= 2 && value.starts_with('"') && value.ends_with('"');
        let is_new = !names.contains(&name);
        let is_good = is_token(&name) && (quoted || is_token(value.trim_end()));
        names.push(name);
        is_new && is_good
    };
    let mut parts: Vec<_> = parts.map(str::trim_start).collect();
    if parts.last().is_some_and(|last| last.is_empty()) {
        parts.pop();
    }
    ACCEPTED.contains(&&*kind) && parts.into_iter().all(&mut parameter)
}

/// The text of a header; empty if there is none, or it is no text.
pub fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn zip(response: &mut Response<Answer>, budget: &Budget) {
    let body = std::mem::replace(response.body_mut(), Answer::from(Bytes::new()));
    let Answer { bytes, _share: share } = body;
    let bytes = match bytes.collect().await {
        Ok(bytes) => bytes.to_bytes(),
        Err(error) => match error {},
    };
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let _ = zipped.write_all(&bytes);
    let zipped = zipped.finish().unwrap_or_default();
    let share = share.or_else(|| budget.take(0));
    *response.body_mut() = Answer { bytes: Full::new(zipped.into()), _share: share };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_read_as_go_does() {
        for kind in [
            "application/json",
            "APPLICATION/JSON",
            "application/json;",
            "application/json; charset=utf-8",
            "application/json;charset=\"utf-8\"",
            "application/jsonrequest",
            " application/json-rpc ",
        ] {
            assert!(is_json(kind), "{kind}");
        }
        for kind in [
            "",
            "text/plain",
            "application/json,text/plain",
            "application/json; charset",
            "application/json; a=1; a=2",
            "application/json; =1",
            "application/json; a=",
        ] {
            assert!(!is_json(kind), "{kind}");
        }
        assert_eq!(canonical("content-TYPE"), "Content-Type");
    }
}
