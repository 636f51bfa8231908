//! The transcripts of JSON-RPC, played in order against servers of ours.
//!
//! Every answer is compared byte for byte, but for what a template calls volatile. [`DIFFERENCES`]
//! are by design.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use statuskit_core::{crypto::SecretKey, envelope::SymKey, wire::Dialect};
use statuskit_mailserver::{Mailserver, MailserverConfig, ServerConfig, archive::MemoryArchive};
use statuskit_net::node::{NodeConfig, Service, ServiceConfig};
use statuskit_rpc::{Flavour, REFERENCE_NAME, Server, Settings};

use crate::case::Set;

/// Cases that differ, by the beginning of their ids, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("messenger-installations", "there is no messenger behind the server"),
    ("messenger-chats", "there is no messenger behind the server"),
    ("messenger-contacts", "there is no messenger behind the server"),
];

const PATIENCE: Duration = Duration::from_secs(20);

pub fn jsonrpc(set: &mut Set) {
    let Some(Value::Object(nodes)) = set.take("nodes") else { panic!("no nodes") };
    for name in ["reference", "readme", "kinds", "derived"] {
        set.take(name);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::default();
    let (ready, started) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let path = dir.path().to_owned();
    let servers = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut running = Vec::new();
            for (name, node) in &nodes {
                running.push(start(name, node, &path, &ready).await);
            }
            drop(ready);
            let _ = stopped.await;
        });
    });
    for (name, value) in started {
        world.known.insert(name, value);
    }
    let mut differing = 0;
    let Some(Value::Array(cases)) = set.take("cases") else { panic!("no cases") };
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let differs = DIFFERENCES.iter().any(|(prefix, _)| id.starts_with(prefix));
        if differs || case["reference_bug"] == true {
            differing += usize::from(differs);
            continue;
        }
        if let Err(error) = world.play(case) {
            panic!("{id}: {error}");
        }
    }
    drop(stop);
    servers.join().unwrap();
    set.count("cases", cases.len() - differing);
    set.count("differences by design", differing);
}

/// A node of the transcripts, and its server.
async fn start(
    name: &str,
    node: &Value,
    dir: &Path,
    known: &mpsc::Sender<(String, String)>,
) -> Box<dyn std::any::Any> {
    let key: [u8; 32] = hex::decode(node["nodekey"].as_str().unwrap()).unwrap().try_into().unwrap();
    let key = SecretKey::from_bytes(&key).unwrap();
    let config = &node["config"];
    let mut service = ServiceConfig::new(key.clone());
    service.node = NodeConfig::with_min_pow(0.002);
    service.listen = Some(([127, 0, 0, 1], 0).into());
    service.p2p.client = REFERENCE_NAME.to_owned();
    let password = config["whisper"]["MailServerPassword"].as_str();
    if password.is_some() {
        Mailserver::prepare(&mut service);
    }
    if config["waku"] == true {
        // Like the reference, which has no other version of Waku.
        service.dialects = vec![Dialect::Whisper, Dialect::Waku0];
    }
    let service = Service::start(service).await.unwrap();
    let handle = service.handle().clone();
    let mailserver = password.map(|password| {
        let server = ServerConfig::from_password(SymKey::from_password(password));
        let archive = Arc::new(MemoryArchive::new());
        Mailserver::start(&handle, archive, MailserverConfig::new(server)).unwrap()
    });
    let mut settings = Settings::new(key, String::new());
    settings.flavour = Flavour::Reference2020;
    settings.keeps_interest = mailserver.is_some();
    settings.data_dir = dir.join(name);
    let text = |member: &str| config["top"][member].as_str().map(str::to_owned);
    let list = |member: &str| {
        let list = config["top"][member].as_array()?;
        let names: Vec<_> = list.iter().map(|name| name.as_str().unwrap()).collect();
        Some(names.join(","))
    };
    let default = if name == "S" {
        "shh,shhext,admin,web3"
    } else {
        "shh,shhext,waku,wakuext,admin,net,web3"
    };
    let modules = text("APIModules").unwrap_or_else(|| default.to_owned());
    settings.modules = modules.split(',').map(str::to_owned).collect();
    settings.cors = list("HTTPCors").unwrap_or_default();
    settings.hosts = list("HTTPVirtualHosts").unwrap_or_else(|| "localhost".to_owned());
    let mut server = Server::start(handle.clone(), settings);
    let http = server.listen_http(([127, 0, 0, 1], 0).into()).await.unwrap();
    let socket = dir.join(format!("{name}.ipc"));
    server.listen_ipc(&socket).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let enode = handle.enode().unwrap();
    let id = statuskit_core::devp2p::NodeId::from_key(&handle.id());
    for (member, value) in [
        ("http", http.port().to_string()),
        ("ipc", socket.display().to_string()),
        ("wsport", free.port().to_string()),
        ("p2p", enode.tcp.to_string()),
        ("enode", enode.to_string()),
        ("nodeid", hex::encode(id.0)),
        ("pubkey", hex::encode(handle.id().to_xy())),
        ("dir", dir.join(name).display().to_string()),
    ] {
        known.send((format!("{name}.{member}"), value)).unwrap();
    }
    Box::new((service, server, mailserver))
}

/// What the cases know, and their connections.
#[derive(Default)]
struct World {
    known: HashMap<String, String>,
    connections: HashMap<String, Connection>,
}

impl World {
    fn play(&mut self, case: &Value) -> Result<(), String> {
        if let Some(seconds) = case["wait_s"].as_f64() {
            thread::sleep(Duration::from_secs_f64(seconds));
        }
        let request = &case["request"];
        let body = match (&request["body_repeat"], request["body"].as_str()) {
            (Value::Array(parts), _) => {
                let part = |at: usize| parts[at].as_str().unwrap();
                let count = parts[2].as_u64().unwrap() as usize;
                Some(part(0).to_owned() + &part(1).repeat(count) + part(3))
            }
            (_, Some(body)) => Some(self.fill(body)),
            _ => None,
        };
        if case["transport"] == "http" {
            return self.http(case, body.unwrap_or_default());
        }
        let name = case["conn"].as_str().unwrap();
        if case["op"] == "open" {
            return self.open(case, name);
        }
        let connection = self.connections.get_mut(name).unwrap();
        if let Some(body) = body {
            connection.send(&body, request["opcode"].as_u64().unwrap_or(1) as u8);
        }
        for expected in case["response"]["messages"].as_array().unwrap() {
            let connection = self.connections.get_mut(name).unwrap();
            let got = connection.receive(PATIENCE).ok_or("nothing came")?;
            self.compare(expected.as_str().unwrap(), &got)?;
        }
        if let Some(seconds) = case["silence_s"].as_f64() {
            let connection = self.connections.get_mut(name).unwrap();
            if let Some(got) = connection.receive(Duration::from_secs_f64(seconds)) {
                return Err(format!("unexpected: {got}"));
            }
        }
        Ok(())
    }

    fn http(&mut self, case: &Value, body: String) -> Result<(), String> {
        let (request, response) = (&case["request"], &case["response"]);
        let expected = response["body"].as_str().unwrap();
        let port = self.known[&format!("{}.http", case["node"].as_str().unwrap())].clone();
        let until = Instant::now()
            + Duration::from_secs_f64(case["poll_s"].as_f64().unwrap_or_default() * 3.0);
        let answer = loop {
            let answer = exchange(&port, request, &body);
            if !answer.body.contains("\"result\":[]") || Instant::now() > until {
                break answer;
            }
            thread::sleep(Duration::from_millis(50));
        };
        self.compare(expected, &answer.body)?;
        if response["status"] != answer.status.as_str() {
            return Err(format!("{}, expected {}", answer.status, response["status"]));
        }
        let headers: Vec<_> = response["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|header| {
                format!(
                    "{}: {}",
                    header[0].as_str().unwrap().to_lowercase(),
                    header[1].as_str().unwrap()
                )
            })
            .collect();
        let (got, expected) = (relevant(&answer.headers), relevant(&headers));
        if got != expected {
            return Err(format!("headers {got:?}, expected {expected:?}"));
        }
        Ok(())
    }

    fn open(&mut self, case: &Value, name: &str) -> Result<(), String> {
        let node = case["node"].as_str().unwrap();
        let connection = if case["transport"] == "ipc" {
            let stream = UnixStream::connect(&self.known[&format!("{node}.ipc")]).unwrap();
            Connection { stream: Box::new(stream), is_ws: false, read: Vec::new() }
        } else {
            let port = &self.known[&format!("{node}.wsport")];
            let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
            let origin = case["request"]["origin"].as_str();
            let origin = origin.map(|it| format!("Origin: {it}\r\n")).unwrap_or_default();
            let text = format!(
                "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Key: c3RhdHVza2l0LWdvbGRlbg==\r\n\
                 Sec-WebSocket-Version: 13\r\n{origin}\r\n"
            );
            stream.write_all(text.as_bytes()).unwrap();
            let mut read = Vec::new();
            let end = loop {
                if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                    break end;
                }
                let mut chunk = [0; 4096];
                let count = stream.read(&mut chunk).unwrap();
                assert!(count > 0, "no handshake");
                read.extend_from_slice(&chunk[..count]);
            };
            let rest = read.split_off(end + 4);
            let head = String::from_utf8(read).unwrap();
            let got: Vec<_> = head.trim_end().lines().map(str::to_owned).collect();
            let expected: Vec<_> = case["response"]["handshake"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line.as_str().unwrap().to_owned())
                .collect();
            let lower = |lines: &[String]| {
                let mut lines: Vec<_> = lines
                    .iter()
                    .map(|line| line.to_lowercase())
                    .filter(|line| !line.starts_with("date") && !line.starts_with("content-length"))
                    .collect();
                lines.sort();
                lines
            };
            if lower(&got) != lower(&expected) {
                return Err(format!("{got:?}, expected {expected:?}"));
            }
            Connection { stream: Box::new(stream), is_ws: true, read: rest }
        };
        self.connections.insert(name.to_owned(), connection);
        Ok(())
    }

    fn fill(&self, template: &str) -> String {
        let mut out = String::new();
        for (literal, name) in pieces(template) {
            out.push_str(literal);
            if let Some(name) = name {
                out.push_str(&self.known[name]);
            }
        }
        out
    }

    /// Compares a text with a template, and notes what that captures.
    fn compare(&mut self, template: &str, got: &str) -> Result<(), String> {
        let wrong = || {
            let cut = |text: &str| text.chars().take(600).collect::<String>();
            Err(format!("got {:?}, expected {:?}", cut(got), cut(template)))
        };
        let mut rest = got;
        for (literal, name) in pieces(template) {
            let Some(after) = rest.strip_prefix(literal) else { return wrong() };
            rest = after;
            match name.map(|name| name.split_once(':').unwrap_or((name, ""))) {
                None => {}
                Some((name, "")) => match rest.strip_prefix(&*self.known[name]) {
                    Some(after) => rest = after,
                    None => return wrong(),
                },
                Some((name, kind)) => {
                    let Some(length) = length_of(kind, rest) else { return wrong() };
                    let (value, after) = rest.split_at(length);
                    rest = after;
                    self.learn(name, value);
                }
            }
        }
        if rest.is_empty() { Ok(()) } else { wrong() }
    }

    fn learn(&mut self, name: &str, value: &str) {
        self.known.insert(name.to_owned(), value.to_owned());
        // Names that follow from it.
        if let Some((namespace, "pubA" | "pubB")) = name.split_once('.') {
            let derived = format!("{namespace}.P{}", &name[name.len() - 1..]);
            let value = match namespace {
                "waku" => {
                    let bytes = hex::decode(&value[2..]).unwrap();
                    data_encoding::BASE64.encode(&bytes)
                }
                _ => value.to_owned(),
            };
            self.known.insert(derived, value);
        }
    }
}

/// The literal texts of a template, each with the placeholder behind it.
fn pieces(template: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    template.split("{{").enumerate().flat_map(|(index, piece)| {
        let (name, literal) = match piece.split_once("}}") {
            Some((name, literal)) if index > 0 => (Some(name), literal),
            _ => (None, piece),
        };
        // Placeholders come before the text that follows them.
        [name.map(|name| ("", Some(name))), Some((literal, None))].into_iter().flatten()
    })
}

/// How much of a text is of a kind; `None` if it does not begin with such.
fn length_of(kind: &str, text: &str) -> Option<usize> {
    let run = |text: &str, is: fn(char) -> bool| text.find(|it| !is(it)).unwrap_or(text.len());
    let hex = |text: &str| run(text, |it| matches!(it, '0'..='9' | 'a'..='f'));
    let prefixed = |text: &str| text.strip_prefix("0x").map(|rest| 2 + hex(rest));
    let exact = |length: usize, wanted: usize| (length == wanted).then_some(length);
    match kind {
        "id" => exact(hex(text), 64),
        "h32" => exact(prefixed(text)?, 66),
        "pub" => exact(prefixed(text)?, 132).filter(|_| text.starts_with("0x04")),
        "sub" => prefixed(text).filter(|length| (3..=34).contains(length)),
        "hex" => prefixed(text).filter(|length| length % 2 == 0),
        "rawhex" => Some(hex(text)).filter(|length| length % 2 == 0),
        "int" => Some(run(text, |it| matches!(it, '0'..='9' | '-'))).filter(|it| *it > 0),
        "num" => Some(run(text, |it| matches!(it, '0'..='9' | '-' | '+' | '.' | 'e'))),
        "b64" => Some(run(text, |it| it.is_ascii_alphanumeric() || matches!(it, '+' | '/' | '='))),
        "bool" => ["true", "false"].iter().find(|it| text.starts_with(**it)).map(|it| it.len()),
        "notinterest" => text
            .starts_with("envelope does not match topic interest, hash=[0x")
            .then(|| run(text, |it| it != '"')),
        "text" => Some(run(text, |it| it != '"')),
        _ => panic!("an unknown kind: {kind}"),
    }
}

struct Answer {
    status: String,
    headers: Vec<String>,
    body: String,
}

/// The headers that are compared.
fn relevant(headers: &[String]) -> Vec<String> {
    let framing = ["content-length", "transfer-encoding", "connection", "date"];
    let mut headers: Vec<_> = headers
        .iter()
        .filter(|header| !framing.iter().any(|name| header.starts_with(name)))
        .cloned()
        .collect();
    headers.sort();
    headers
}

/// One request over a connection of its own.
fn exchange(port: &str, request: &Value, body: &str) -> Answer {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
    let host = request["host"].as_str().map_or_else(|| format!("127.0.0.1:{port}"), str::to_owned);
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
    match request["headers"].as_array() {
        Some(headers) => {
            for header in headers {
                let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        None => text.push_str("Content-Type: application/json\r\n"),
    }
    if request["transfer_encoding"].is_string() {
        text.push_str("Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
        text.push_str(&format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    } else {
        if !body.is_empty() || !matches!(method, "GET" | "OPTIONS" | "HEAD" | "DELETE") {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str(&format!("Connection: close\r\n\r\n{body}"));
    }
    // The server may answer before it has read all.
    let _ = stream.write_all(text.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer");
    let mut body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    let mut lines = head.trim_end().lines();
    let status = lines.next().unwrap().to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| format!("{}: {value}", name.to_lowercase()))
        .collect();
    if headers.iter().any(|header| header == "content-encoding: gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
        body = plain;
    }
    Answer { status, headers, body: String::from_utf8(body).unwrap() }
}

trait Stream {
    fn patience(&self, limit: Duration);
    fn get(&mut self, chunk: &mut [u8]) -> std::io::Result<usize>;
    fn put(&mut self, bytes: &[u8]);
}

macro_rules! stream {
    ($name:ident) => {
        impl Stream for $name {
            fn patience(&self, limit: Duration) {
                self.set_read_timeout(Some(limit)).unwrap();
            }
            fn get(&mut self, chunk: &mut [u8]) -> std::io::Result<usize> {
                self.read(chunk)
            }
            fn put(&mut self, bytes: &[u8]) {
                // The server may have closed it.
                let _ = self.write_all(bytes);
            }
        }
    };
}
stream!(TcpStream);
stream!(UnixStream);

struct Connection {
    stream: Box<dyn Stream>,
    is_ws: bool,
    read: Vec<u8>,
}

impl Connection {
    fn send(&mut self, text: &str, opcode: u8) {
        if !self.is_ws {
            return self.stream.put(text.as_bytes());
        }
        let mut frame = vec![0x80 | opcode];
        match text.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..65_536 => {
                frame.push(0xfe);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(0xff);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        // A mask of zeros changes nothing.
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        self.stream.put(&frame);
    }

    fn receive(&mut self, limit: Duration) -> Option<String> {
        let until = Instant::now() + limit;
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.stream.patience(left);
            let mut chunk = [0; 4096];
            match self.stream.get(&mut chunk) {
                Ok(0) => return Some("<closed>".to_owned()),
                Ok(count) => self.read.extend_from_slice(&chunk[..count]),
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return Some("<closed>".to_owned()),
            }
        }
    }

    fn take(&mut self) -> Option<String> {
        if !self.is_ws {
            let end = self.read.iter().position(|&byte| byte == b'\n')?;
            let line = self.read.drain(..=end).collect();
            return Some(String::from_utf8(line).unwrap());
        }
        let (first, second) = (*self.read.first()?, *self.read.get(1)?);
        let (length, head) = match second & 127 {
            126 => (usize::from(u16::from_be_bytes(self.read.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(self.read.get(2..10)?.try_into().ok()?) as usize, 10),
            length => (usize::from(length), 2),
        };
        if self.read.len() < head + length {
            return None;
        }
        let frame: Vec<_> = self.read.drain(..head + length).collect();
        let content = String::from_utf8_lossy(&frame[head..]).into_owned();
        Some(match first & 15 {
            8 => {
                let code = u16::from_be_bytes(frame[head..head + 2].try_into().unwrap());
                format!("<close {code} {}>", String::from_utf8_lossy(&frame[head + 2..]))
            }
            9 => "<ping>".to_owned(),
            10 => format!("<pong {content}>"),
            _ => content,
        })
    }
}
