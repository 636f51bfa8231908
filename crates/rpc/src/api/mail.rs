//! Requests to mailservers that wait for their answers, and the signals about them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use statuskit_core::{
    crypto::SecretKey,
    envelope::{Topic, pow::MineOptions},
    mailserver::{Access, Request},
    time::UnixSeconds,
    wire::{
        Cursor, Packet,
        p2p::{P2pRequest, RequestComplete},
    },
};
use statuskit_net::node::ConnectionId;
use tokio::{
    sync::{broadcast, oneshot},
    time::Instant,
};

use super::{Api, Protocol, blocking, shh::symmetric};
use crate::{
    error::RpcError,
    goenode::{self, Named},
    json::{typed::plain_hex, write},
    keys::{StoredKey, generator, lock},
};

/// The most requests that wait.
const MOST: usize = 1024;
/// How long a request with the same topics is refused, while none has answered.
const DELAY: Duration = Duration::from_secs(3);
/// The most work for a request.
const WORK: Duration = Duration::from_secs(5);
/// How often to look for requests whose time is over.
const TICK: Duration = Duration::from_millis(250);
/// Signals that a slow subscriber may miss before it skips some.
const SIGNALS: usize = 256;
/// The length of a cursor.
const CURSOR: usize = 36;

const TOO_SOON: &str = "another request with the same topics was sent less than 3s ago. Please wait \
                        for a bit longer, or set `force` to true in request parameters";

/// The requests of all clients.
pub struct Mail {
    key: SecretKey,
    servers: Mutex<Vec<Named>>,
    waiting: Mutex<HashMap<[u8; 32], Waiting>>,
    signals: broadcast::Sender<Arc<str>>,
}

struct Waiting {
    server: ConnectionId,
    /// The topics, unless the request was forced.
    topics: Option<Vec<Topic>>,
    since: Instant,
    until: Instant,
    done: Option<oneshot::Sender<Completed>>,
}

/// The end of an answer.
#[derive(Debug)]
pub struct Completed {
    pub cursor: Vec<u8>,
    pub error: Option<String>,
}

/// A request as a client makes it.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub server: String,
    pub from: u32,
    pub to: u32,
    pub limit: u32,
    pub cursor: String,
    pub topic: [u8; 4],
    pub topics: Vec<Topic>,
    pub sym_key_id: String,
    pub timeout: i64,
    pub force: bool,
}

impl Mail {
    /// For the node with this key, which signs requests.
    pub fn new(key: SecretKey) -> Self {
        let signals = broadcast::Sender::new(SIGNALS);
        Self { key, servers: Mutex::default(), waiting: Mutex::default(), signals }
    }

    /// Sets the known servers.
    pub fn set_servers(&self, servers: Vec<Named>) {
        *lock(&self.servers) = servers;
    }

    /// What happens from now on.
    pub fn signals(&self) -> broadcast::Receiver<Arc<str>> {
        self.signals.subscribe()
    }

    /// Notes an answer.
    pub fn completed(&self, server: ConnectionId, answer: &RequestComplete) {
        let (id, last, cursor, error) = match answer {
            RequestComplete::Success { request, last, cursor } => {
                (*request, last.0, cursor.as_ref().map(Cursor::to_bytes), None)
            }
            RequestComplete::Failure { request, text } => {
                (*request, [0; 32], None, Some(String::from_utf8_lossy(text).into_owned()))
            }
        };
        let cursor = cursor.unwrap_or_default();
        let done = {
            let mut waiting = lock(&self.waiting);
            match waiting.get(&id) {
                // Nobody else answers for the server.
                Some(request) if request.server == server => {}
                _ => return,
            }
            waiting.remove(&id).and_then(|request| request.done)
        };
        let mut event = String::from("{\"requestID\":");
        write::put_hex(&mut event, &id);
        event.push_str(",\"lastEnvelopeHash\":");
        write::put_hex(&mut event, &last);
        event.push_str(&format!(",\"cursor\":\"{}\",\"errorMessage\":", hex::encode(&cursor)));
        write::put_string(&mut event, error.as_deref().unwrap_or_default());
        event.push('}');
        self.signal("mailserver.request.completed", &event);
        if let Some(done) = done {
            // The waiting client may have gone.
            let _ = done.send(Completed { cursor, error });
        }
    }

    /// Gives up requests whose time is over, for ever.
    pub async fn keep_time(&self) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            let now = ticks.tick().await;
            let over: Vec<_> = {
                let waiting = lock(&self.waiting);
                let over = waiting.iter().filter(|(_, request)| request.until <= now);
                over.map(|(id, _)| *id).collect()
            };
            for id in over {
                lock(&self.waiting).remove(&id);
                let event = format!("{{\"hash\":{}}}", write::hex(&id));
                self.signal("mailserver.request.expired", &event);
            }
        }
    }

    fn signal(&self, kind: &str, event: &str) {
        // Without subscribers, nobody needs to know.
        let _ = self.signals.send(format!("{{\"type\":\"{kind}\",\"event\":{event}}}").into());
    }
}

impl Api {
    /// Sends a request. Returns its id, and what resolves with its answer.
    pub(super) async fn request(
        self: &Arc<Self>,
        protocol: &Protocol,
        mut wanted: Wanted,
        timeout: Duration,
    ) -> Result<([u8; 32], oneshot::Receiver<Completed>), RpcError> {
        let now = UnixSeconds::from_since_epoch(protocol.handle.now());
        if wanted.to == 0 {
            wanted.to = now.0;
        }
        if wanted.from == 0 {
            wanted.from = wanted.to.saturating_sub(86_400);
        }
        let Wanted { from, to, force, .. } = wanted;
        if from > to {
            let text = format!("Query range is invalid: from > to ({from} > {to})");
            return Err(RpcError::failed(text));
        }
        let server = Self::server(protocol, &wanted.server);
        let server = server
            .map_err(|text| RpcError::failed(format!("invalid mailServerPeer value: {text}")))?;
        let access = if wanted.sym_key_id.is_empty() {
            Access::Key(server.id)
        } else {
            let invalid = |text: &str| RpcError::failed(format!("invalid symKeyID value: {text}"));
            let key = symmetric(protocol, &wanted.sym_key_id);
            match &*key.map_err(|error| invalid(&error.message))? {
                StoredKey::Usable(key) => Access::Password(key.clone()),
                StoredKey::Zeros => return Err(invalid("invalid symmetric key")),
            }
        };
        let cursor = plain_hex(&wanted.cursor);
        let cursor = cursor.map_err(|text| RpcError::failed(format!("invalid cursor: {text}")))?;
        if !cursor.is_empty() && cursor.len() != CURSOR {
            let got = cursor.len();
            let text = format!("invalid cursor size: expected {CURSOR} but got {got}");
            return Err(RpcError::failed(text));
        }
        let topics = match wanted.topics.is_empty() {
            true => vec![Topic(wanted.topic)],
            false => wanted.topics.clone(),
        };
        let mut request = Request::from_topics(UnixSeconds(from), UnixSeconds(to), topics);
        request.limit = wanted.limit;
        request.cursor = Cursor::from_bytes(&cursor);

        let (key, min_pow) =
            (protocol.mail.key.clone(), protocol.handle.with(|node, _| node.config().min_pow));
        let envelope = blocking(move || {
            let until = std::time::Instant::now() + WORK;
            let stop = || std::time::Instant::now() >= until;
            let threads = std::num::NonZeroUsize::new(1);
            let options = MineOptions { threads, stop: Some(&stop), ..MineOptions::default() };
            let sealed = request.seal(&access, &key, now, min_pow, &options, &mut generator()?);
            sealed.map_err(|error| RpcError::failed(error.to_string()))
        });
        let envelope = envelope.await?;
        let id = envelope.hash().0;
        let mut of_topics = wanted.topics;
        of_topics.sort_unstable();
        let registered = (!force).then_some(of_topics);
        let peer = self.peer(protocol, &server.id);
        let (done, answer) = oneshot::channel();
        {
            let mut waiting = lock(&protocol.mail.waiting);
            let same =
                |other: &Waiting| other.topics == registered && other.since.elapsed() < DELAY;
            if registered.is_some() && waiting.values().any(same) {
                return Err(RpcError::failed(TOO_SOON));
            }
            if waiting.len() >= MOST {
                return Err(RpcError::failed("too many requests wait for mailservers"));
            }
            let (server, since) = (peer.clone()?, Instant::now());
            let (topics, until) = (registered, since + timeout);
            waiting.insert(id, Waiting { server, topics, since, until, done: Some(done) });
        }
        let packet = Packet::P2pRequest(P2pRequest::Envelope(envelope));
        if let Err(error) = protocol.handle.try_send_packet(peer?, &packet) {
            lock(&protocol.mail.waiting).remove(&id);
            return Err(RpcError::failed(error.to_string()));
        }
        Ok((id, answer))
    }

    /// The server of this URL; without one, the first known server that is connected.
    fn server(protocol: &Protocol, url: &str) -> Result<Named, String> {
        if !url.is_empty() {
            return goenode::read_url(url);
        }
        let servers = lock(&protocol.mail.servers);
        let connected =
            servers.iter().find(|server| protocol.handle.peer_by_id(&server.id).is_some());
        connected.cloned().ok_or_else(|| "no connected mail servers".to_owned())
    }
}
