//! A connection that stays: calls at the same time, and subscriptions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
};

use super::{Served, Subscriber, answer, budget::Share};
use crate::{
    api::{Begun, Source},
    error::{PARSE, RpcError},
    json::{scan::SyntaxError, write},
    keys::lock,
    request,
};

/// Calls of one connection at a time.
const CALLS: usize = 16;
/// Messages that wait for the other side to read.
const OUTBOX: usize = 32;
/// Subscriptions of one connection.
const SUBSCRIPTIONS: usize = 128;

/// A message on its way out, with its share of memory.
pub struct Outgoing {
    pub text: String,
    _share: Share,
}

/// One connection.
pub struct Session {
    served: Served,
    outbox: mpsc::Sender<Outgoing>,
    calls: Arc<Semaphore>,
    subscriptions: Mutex<HashMap<String, AbortHandle>>,
    /// Set when it has to end: too much waits.
    over: Notify,
}

impl Session {
    /// Begins. The messages that come out are to be written.
    pub fn begin(served: Served) -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (outbox, written) = mpsc::channel(OUTBOX);
        let session = Self {
            served,
            outbox,
            calls: Arc::new(Semaphore::new(CALLS)),
            subscriptions: Mutex::default(),
            over: Notify::new(),
        };
        (Arc::new(session), written)
    }

    /// Handles one value, as soon as fewer calls are on the way. Cancel-safe up to its beginning.
    pub async fn take(self: &Arc<Self>, value: Vec<u8>, share: Share, tasks: &mut JoinSet<()>) {
        // Never closed.
        let Ok(permit) = self.calls.clone().acquire_owned().await else { return };
        while tasks.try_join_next().is_some() {}
        let session = self.clone();
        tasks.spawn(async move {
            let begun = BegunHere { session: &session, begun: Mutex::default() };
            let answer = answer(&session.served, &begun, value.trim_ascii()).await;
            drop((value, share, permit));
            if let Some(answer) = answer {
                session.send(answer).await;
            }
            // The id first, then the notifications.
            for begun in std::mem::take(&mut *lock(&begun.begun)) {
                session.start(begun);
            }
        });
    }

    /// Answers text that is no JSON; the connection then ends.
    pub async fn refuse(&self, error: &SyntaxError) {
        let error = RpcError::new(PARSE, error.to_string());
        self.send(request::answer(None, &Err(error))).await;
    }

    /// Resolves when the connection has to end.
    pub async fn over(&self) {
        self.over.notified().await;
    }

    /// Whether something is subscribed to.
    pub fn is_subscribed(&self) -> bool {
        !lock(&self.subscriptions).is_empty()
    }

    /// A share of memory, in bytes.
    pub fn share(&self, bytes: usize) -> Option<Share> {
        self.served.api.endpoints.budget.take(bytes)
    }

    /// Ends all subscriptions.
    pub fn end(&self) {
        for (_, task) in std::mem::take(&mut *lock(&self.subscriptions)) {
            task.abort();
        }
    }

    async fn send(&self, text: String) {
        match self.share(text.len()) {
            Some(share) => {
                // An error means that the connection has ended.
                let _ = self.outbox.send(Outgoing { text, _share: share }).await;
            }
            None => self.over.notify_one(),
        }
    }

    fn start(self: &Arc<Self>, begun: Begun) {
        let id = begun.id.clone();
        let feed = Feed { api: self.served.api.clone(), begun };
        let mut subscriptions = lock(&self.subscriptions);
        // It was ended before it began.
        let Some(place) = subscriptions.get_mut(&id) else { return };
        let session = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            let mut feed = feed;
            while let Some((notifications, lost)) = feed.next().await {
                let Some(session) = session.upgrade() else { return };
                for text in notifications {
                    session.send(text).await;
                }
                if lost {
                    // The other side reads too slowly: it learns that something is missing.
                    session.over.notify_one();
                    return;
                }
            }
        });
        *place = task.abort_handle();
    }
}

/// The source of a subscription. Dropping it ends what feeds it.
struct Feed {
    api: Arc<crate::api::Api>,
    begun: Begun,
}

impl Feed {
    /// Waits for notifications. Tells as well whether some were lost before.
    async fn next(&mut self) -> Option<(Vec<String>, bool)> {
        let Begun { id, namespace, source } = &mut self.begun;
        let notification = |result: &str| {
            let mut out = String::from("{\"jsonrpc\":\"2.0\",\"method\":\"");
            out.push_str(namespace);
            out.push_str("_subscription\",\"params\":{\"subscription\":");
            write::put_string(&mut out, id);
            out.push_str(",\"result\":");
            out.push_str(result);
            out.push_str("}}\n");
            out
        };
        match source {
            Source::Filter { protocol, filter, ready } => loop {
                let waiting = protocol.filters.take(filter)?;
                if waiting.messages.is_empty() && waiting.lost == 0 {
                    ready.notified().await;
                    continue;
                }
                let put = |message: &Arc<crate::filters::Received>| {
                    let mut out = String::new();
                    message.put(&mut out, protocol.bytes, protocol.is_waku())?;
                    Some(notification(&out))
                };
                return Some((waiting.messages.iter().filter_map(put).collect(), waiting.lost > 0));
            },
            Source::Signals(signals) => {
                use tokio::sync::broadcast::error::RecvError;
                match signals.recv().await {
                    Ok(signal) => Some((vec![notification(&signal)], false)),
                    Err(RecvError::Lagged(_)) => Some((Vec::new(), true)),
                    Err(RecvError::Closed) => None,
                }
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.begun.source.end(&self.api);
    }
}

/// The subscriptions that one message makes.
struct BegunHere<'a> {
    session: &'a Arc<Session>,
    begun: Mutex<Vec<Begun>>,
}

impl Subscriber for BegunHere<'_> {
    fn subscribe(&self, namespace: &str, params: Option<&[u8]>) -> Result<String, RpcError> {
        let Served { api, modules, .. } = &self.session.served;
        if lock(&self.session.subscriptions).len() >= SUBSCRIPTIONS {
            return Err(RpcError::failed(format!(
                "too many subscriptions, at most {SUBSCRIPTIONS}"
            )));
        }
        let begun = api.subscribe(modules, namespace, params)?;
        let id = begun.id.clone();
        // A place for it, so that it can be ended in the same batch.
        let nothing = tokio::spawn(std::future::ready(())).abort_handle();
        lock(&self.session.subscriptions).insert(id.clone(), nothing);
        lock(&self.begun).push(begun);
        Ok(id)
    }

    fn unsubscribe(&self, id: &str) -> bool {
        let task = lock(&self.session.subscriptions).remove(id);
        lock(&self.begun).retain(|begun| {
            let stays = begun.id != id;
            if !stays {
                begun.source.end(&self.session.served.api);
            }
            stays
        });
        task.map(|task| task.abort()).is_some()
    }
}

impl Drop for BegunHere<'_> {
    fn drop(&mut self) {
        for begun in lock(&self.begun).iter() {
            begun.source.end(&self.session.served.api);
        }
    }
}
