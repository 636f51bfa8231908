//! Clients that take all they can get: what they take is bounded, and others are served.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use statuskit_core::crypto::SecretKey;
use statuskit_net::node::{Service, ServiceConfig};
use statuskit_rpc::{Server, Settings};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(60);
const VERSION: &str = r#"{"jsonrpc":"2.0","id":1,"method":"shh_version"}"#;
const ANSWER: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"6.0\"}\n";
/// Connections of an endpoint.
const CONNECTIONS: usize = 512;

struct Node {
    _service: Service,
    _server: Server,
    http: std::net::SocketAddr,
    ws: std::net::SocketAddr,
}

impl Node {
    async fn start() -> Self {
        let key = SecretKey::from_bytes(&[7; 32]).unwrap();
        let mut config = ServiceConfig::new(key.clone());
        config.listen = Some(([127, 0, 0, 1], 0).into());
        let service = Service::start(config).await.unwrap();
        let mut settings = Settings::new(key, "test".to_owned());
        settings.modules = vec!["shh".to_owned()];
        let server = Server::start(service.handle().clone(), settings);
        let http = server.listen_http(([127, 0, 0, 1], 0).into()).await.unwrap();
        let ws = server.listen_ws(([127, 0, 0, 1], 0).into()).await.unwrap();
        Self { _service: service, _server: server, http, ws }
    }

    /// The body of the answer to a POST, and its status.
    async fn post(&self, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        stream.write_all(request(body.len()).as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        read(&mut stream).await
    }

    async fn is_served(&self) {
        assert_eq!(self.post(VERSION).await.1, ANSWER);
    }

    async fn socket(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.ws).await.unwrap();
        let request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
                       Connection: Upgrade\r\nSec-WebSocket-Key: c3RhdHVza2l0LWdvbGRlbg==\r\n\
                       Sec-WebSocket-Version: 13\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        stream
    }
}

fn request(length: usize) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

async fn read(stream: &mut TcpStream) -> (String, String) {
    let mut text = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut text)).await.unwrap().unwrap();
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let is_chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { unchunked(body) } else { body.to_owned() };
    (head.lines().next().unwrap().to_owned(), body)
}

fn unchunked(mut text: &str) -> String {
    let mut out = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        out.push_str(&rest[..length]);
        text = rest[length..].trim_start_matches("\r\n");
    }
    out
}

/// Sends a text in a frame, and reads the frame that answers.
async fn ask(stream: &mut TcpStream, text: &str) -> String {
    assert!(text.len() < 126);
    let mut frame = vec![0x81, 0x80 | text.len() as u8];
    // A mask of zeros changes nothing.
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    stream.write_all(&frame).await.unwrap();
    let mut head = [0; 2];
    timeout(PATIENCE, stream.read_exact(&mut head)).await.unwrap().unwrap();
    assert_eq!(head[0], 0x81);
    let mut answer = vec![0; head[1].into()];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn idle_sockets_make_room() {
    let node = Node::start().await;
    // They come as quickly as the node takes them: who is idlest is clear.
    let mut first = node.socket().await;
    let mut idle = Vec::new();
    for _ in 1..CONNECTIONS {
        idle.push(node.socket().await);
    }
    let mut late = node.socket().await;
    assert_eq!(ask(&mut late, VERSION).await, ANSWER);
    node.is_served().await;
    // The idlest was closed.
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, first.read_to_end(&mut rest)).await.unwrap();
    assert!(end.is_err() || rest.len() < 128);
    assert_eq!(ask(idle.last_mut().unwrap(), VERSION).await, ANSWER);
}

#[tokio::test]
async fn large_batches_are_answered_in_turn_with_others() {
    let node = Node::start().await;
    let batch = format!("[{}]", vec![VERSION; 10_000].join(","));
    let (answer, ()) = tokio::join!(node.post(&batch), node.is_served());
    let each = ANSWER.trim_end();
    assert_eq!(answer.1, format!("[{}]\n", vec![each; 10_000].join(",")));
    let too_many = format!("[{}]", vec!["1"; 100_001].join(","));
    let (status, body) = node.post(&too_many).await;
    assert!(status.ends_with("200 OK") && body.contains("batch too large"), "{status} {body}");
}

#[tokio::test]
async fn large_bodies_are_not_read() {
    let node = Node::start().await;
    let length = 100 << 20;
    let mut stream = TcpStream::connect(node.http).await.unwrap();
    stream.write_all(request(length).as_bytes()).await.unwrap();
    let chunk = vec![b' '; 1 << 20];
    let (mut reader, mut writer) = stream.into_split();
    let written = tokio::spawn(async move {
        let mut written = 0;
        while written < length && writer.write_all(&chunk).await.is_ok() {
            written += chunk.len();
        }
        written
    });
    node.is_served().await;
    let mut status = [0; 12];
    timeout(PATIENCE, reader.read_exact(&mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    drop(reader);
    // The rest finds no reader.
    assert!(timeout(PATIENCE, written).await.unwrap().unwrap() < length);
    node.is_served().await;
}
