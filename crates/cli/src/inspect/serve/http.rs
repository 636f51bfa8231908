//! The server: loopback only, and only for who knows the address.
//!
//! Each request must have the random token in its path and our own address as its host, so that neither
//! another user of the machine nor a page of another site gets in. What is sent, for how long and by how
//! many at a time is bounded.

use std::{
    convert::Infallible, future::poll_fn, net::SocketAddr, pin::Pin, sync::Arc, thread,
    time::Duration,
};

use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{self, HeaderMap, HeaderName},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener, runtime::Runtime, sync::Semaphore, task::spawn_blocking, time::timeout,
};

use statuskit_core::crypto::keccak256;

use crate::error::{CliError, Exit, Result};

/// The most bytes of a request's body.
pub const MAX_BODY: usize = 4 << 20;

/// The most bytes of a request's head.
const MAX_HEAD: usize = 16 << 10;

/// Connections at a time. More wait for their turn.
const CONNECTIONS: usize = 32;

/// How long the other side is waited for.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
const BODY_LIMIT: Duration = Duration::from_secs(20);
const CONNECTION_LIMIT: Duration = Duration::from_secs(60);

/// What a page may load and do: its own script and style, its own answers, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of each answer.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// An answer: its type and content, or why there is none.
pub type Answer = std::result::Result<(&'static str, String), StatusCode>;

/// What is served.
pub trait Site: Send + Sync + 'static {
    /// Answers a request for a path below the token, with its query.
    fn get(&self, path: &str, query: &str) -> Answer;
    /// Answers a request with a body.
    fn post(&self, path: &str, body: &[u8]) -> Answer;
}

/// A port on this machine.
pub struct Port {
    addr: SocketAddr,
    token: String,
    runtime: Runtime,
    listener: TcpListener,
}

impl Port {
    /// Listens on this port of 127.0.0.1; 0 for any.
    pub fn open(port: u16, token: String) -> Result<Self> {
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let failed = |error| {
            let message = format!("can't listen on {addr}: {error}");
            CliError::new("net.listen", Exit::Network, message).field("--port")
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = runtime.block_on(TcpListener::bind(addr)).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok(Self { addr, token, runtime, listener })
    }

    /// Returns the address of the page.
    pub fn url(&self) -> String {
        format!("http://{}/{}/", self.addr, self.token)
    }

    /// Serves on a thread of its own, until the tool ends.
    pub fn serve(self, site: Arc<dyn Site>) -> Result<()> {
        let Self { addr, token, runtime, listener } = self;
        let gate = Arc::new(Gate { port: addr.port(), token });
        let work = move || runtime.block_on(accept(&listener, &gate, &site));
        thread::Builder::new().name("serve".to_owned()).spawn(work).map_err(|error| {
            CliError::new("net.listen", Exit::Network, format!("can't start a thread: {error}"))
        })?;
        Ok(())
    }
}

async fn accept(listener: &TcpListener, gate: &Arc<Gate>, site: &Arc<dyn Site>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, perhaps: some will be free in a moment.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (gate, site) = (gate.clone(), site.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (gate, site) = (gate.clone(), site.clone());
                async move { Ok::<_, Infallible>(respond(request, &gate, site).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_LIMIT)
                .max_buf_size(MAX_HEAD)
                .serve_connection(TokioIo::new(stream), service);
            // Whatever ends it: the other side may ask again.
            let _ = timeout(CONNECTION_LIMIT, connection).await;
            drop(place);
        });
    }
}

async fn respond(request: Request<Incoming>, gate: &Gate, site: Arc<dyn Site>) -> Response<String> {
    let (head, body) = request.into_parts();
    let answer = async {
        let path = gate.admit(&head.method, head.uri.path(), &head.headers)?.to_owned();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let is_post = head.method == Method::POST;
        let body = if is_post { read(body).await? } else { Vec::new() };
        // It may take a while to inspect what was sent.
        let work = move || match is_post {
            true => site.post(&path, &body),
            false => site.get(&path, &query),
        };
        spawn_blocking(work).await.unwrap_or(Err(StatusCode::INTERNAL_SERVER_ERROR))
    };
    let (status, kind, content) = match answer.await {
        Ok((kind, content)) => (StatusCode::OK, kind, content),
        Err(status) => (status, "text/plain; charset=utf-8", format!("{status}\n")),
    };
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
    let response = HEADERS.into_iter().fold(response, |it, (name, value)| it.header(name, value));
    // All parts are constants.
    response.body(content).unwrap_or_default()
}

/// Reads a body of at most [`MAX_BODY`] bytes, in bounded time.
async fn read(mut body: Incoming) -> std::result::Result<Vec<u8>, StatusCode> {
    let all = async {
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
            if let Ok(data) = frame.into_data() {
                if bytes.len() + data.len() > MAX_BODY {
                    return Err(StatusCode::PAYLOAD_TOO_LARGE);
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes)
    };
    timeout(BODY_LIMIT, all).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

/// Who gets in.
struct Gate {
    port: u16,
    token: String,
}

impl Gate {
    /// Returns the path below the token if a request comes from our own page, or a tool of the user.
    fn admit<'a>(
        &self,
        method: &Method,
        path: &'a str,
        headers: &HeaderMap,
    ) -> std::result::Result<&'a str, StatusCode> {
        let header = |name: HeaderName| {
            let mut all = headers.get_all(name).iter();
            let first = all.next().map(|value| value.to_str().unwrap_or("?"));
            // Twice is neither.
            if all.next().is_some() { Some("?") } else { first }
        };
        // Another name for this machine is how a page of another site would come here.
        let ours = ["127.0.0.1", "localhost"].map(|host| format!("{host}:{}", self.port));
        if !header(header::HOST).is_some_and(|host| ours.iter().any(|it| it == host)) {
            return Err(StatusCode::MISDIRECTED_REQUEST);
        }
        if header(header::ORIGIN)
            .is_some_and(|origin| !ours.iter().any(|it| origin.strip_prefix("http://") == Some(it)))
        {
            return Err(StatusCode::FORBIDDEN);
        }
        let site = header(HeaderName::from_static("sec-fetch-site"));
        if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
            return Err(StatusCode::FORBIDDEN);
        }
        let below = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let (token, below) = below.ok_or(StatusCode::NOT_FOUND)?;
        // The time that hashes take to compare says nothing about the token.
        if keccak256(token.as_bytes()) != keccak256(self.token.as_bytes()) {
            return Err(StatusCode::NOT_FOUND);
        }
        match *method {
            Method::GET | Method::POST => Ok(below),
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> std::result::Result<String, u16> {
        let gate = Gate { port: 80, token: "t0ken".to_owned() };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        gate.admit(&method, path, &map).map(str::to_owned).map_err(|status| status.as_u16())
    }

    #[test]
    fn only_our_page_and_the_users_tools_get_in() {
        let host = ("host", "127.0.0.1:80");
        assert_eq!(admit("GET", "/t0ken/", &[host]), Ok(String::new()));
        assert_eq!(admit("GET", "/t0ken/rows", &[("host", "localhost:80")]), Ok("rows".to_owned()));
        let own = [host, ("origin", "http://127.0.0.1:80"), ("sec-fetch-site", "same-origin")];
        assert_eq!(admit("POST", "/t0ken/inspect", &own), Ok("inspect".to_owned()));
        for (path, headers, status) in [
            // Without the token, or with another one.
            ("/", vec![host], 404),
            ("/t0ken", vec![host], 404),
            ("/t0kem/", vec![host], 404),
            ("/t0ke/", vec![host], 404),
            ("//t0ken/", vec![host], 404),
            // A name that leads here.
            ("/t0ken/", vec![("host", "evil.example:80")], 421),
            ("/t0ken/", vec![("host", "127.0.0.1:81")], 421),
            ("/t0ken/", vec![("host", "127.0.0.1")], 421),
            ("/t0ken/", vec![], 421),
            ("/t0ken/", vec![host, ("host", "evil.example:80")], 421),
            // A page of another site.
            ("/t0ken/", vec![host, ("origin", "http://evil.example")], 403),
            ("/t0ken/", vec![host, ("origin", "https://127.0.0.1:80")], 403),
            ("/t0ken/", vec![host, ("origin", "null")], 403),
            ("/t0ken/", vec![host, ("sec-fetch-site", "cross-site")], 403),
            ("/t0ken/", vec![host, ("sec-fetch-site", "same-site")], 403),
        ] {
            assert_eq!(admit("GET", path, &headers), Err(status), "{path} {headers:?}");
        }
        assert_eq!(admit("DELETE", "/t0ken/", &[host]), Err(405));
    }
}
