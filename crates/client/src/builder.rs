//! The settings of a client.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rand::{
    SeedableRng as _,
    rngs::{ChaCha20Rng, SysRng},
};
use statuskit_core::{
    account::InstallationId,
    chat::{self, Destination, KeyRing, PublicChat},
    crypto::{PublicKey, SecretKey},
    devp2p::Enode,
    envelope::{Bloom, Topic, topic},
    secure::{MemoryStore, Store},
    time::UnixMillis,
    wire::Dialect,
};
use statuskit_net::{
    connection::KeyLog,
    discovery::{Finder, FinderConfig},
    node::{Clock, Interest, NodeConfig, Service, ServiceConfig},
};

use crate::{
    attached::{Attached, attach_request},
    client::Client,
    conversations::Conversations,
    engine::{Engine, Listening, MAX_PACKET},
    error::StartError,
    history::HistorySource,
    inbox::MessageKey,
    share::{Opened, Server, SharedState, message::SendOptions},
    state::DiskStore,
};

/// A store of states, of any kind.
pub(crate) type BoxedStore = Box<dyn Store + Send>;

/// The settings of a [`Client`], preset to what Status nodes ask for.
///
/// Without any of [`identity`](Self::identity), [`join`](Self::join), [`topic`](Self::topic) and
/// [`everything`](Self::everything), a client only sends.
pub struct Builder {
    pub(crate) node_key: Option<SecretKey>,
    pub(crate) key_log: Option<KeyLog>,
    pub(crate) dialects: Vec<Dialect>,
    pub(crate) peers: Vec<Enode>,
    pub(crate) finder: Option<FinderConfig>,
    pub(crate) identity: Option<SecretKey>,
    pub(crate) author: Option<SecretKey>,
    pub(crate) store: Option<BoxedStore>,
    pub(crate) state: Option<SharedState>,
    server: Option<Server>,
    /// Whether there was a store.
    is_kept: bool,
    pub(crate) installation: Option<InstallationId>,
    pub(crate) ring: KeyRing,
    pub(crate) topics: HashSet<Topic>,
    pub(crate) named_topics: HashSet<Topic>,
    pub(crate) everything: bool,
    pub(crate) listens: bool,
    pub(crate) raw: bool,
    pub(crate) contacts: Vec<PublicKey>,
    pub(crate) history: Option<HistorySource>,
    /// Whether the history is only asked for on request.
    pub(crate) asks_later: bool,
    pub(crate) acknowledge: bool,
    pub(crate) publish: bool,
    pub(crate) send_options: SendOptions,
    pub(crate) min_pow: f64,
    pub(crate) connect_timeout: Duration,
    pub(crate) confirm_timeout: Duration,
    pub(crate) reconnect_timeout: Duration,
    pub(crate) clock: Clock,
    pub(crate) fixed_time: Option<UnixMillis>,
    pub(crate) rng: Option<ChaCha20Rng>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("peers", &self.peers).finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            node_key: None,
            key_log: None,
            dialects: vec![Dialect::Whisper],
            peers: Vec::new(),
            finder: None,
            identity: None,
            author: None,
            store: None,
            state: None,
            server: None,
            is_kept: false,
            installation: None,
            ring: KeyRing::new(),
            topics: HashSet::new(),
            named_topics: HashSet::new(),
            everything: false,
            listens: false,
            raw: false,
            contacts: Vec::new(),
            history: None,
            asks_later: false,
            acknowledge: true,
            publish: true,
            send_options: SendOptions {
                pow: None,
                mine_timeout: Some(Duration::from_secs(15)),
                ttl: chat::TTL,
                data_sync: true,
            },
            min_pow: 0.0,
            connect_timeout: Duration::from_secs(15),
            confirm_timeout: Duration::from_secs(10),
            reconnect_timeout: Duration::from_secs(15),
            clock: Clock::default(),
            fixed_time: None,
            rng: None,
        }
    }
}

impl Builder {
    /// Adds a peer. It is dialled again whenever it is lost.
    #[must_use]
    pub fn peer(mut self, enode: Enode) -> Self {
        self.peers.push(enode);
        self
    }

    /// Finds peers by topic, in addition to those that are named. Discovery has the key of the node.
    #[must_use]
    pub fn discover(mut self, config: FinderConfig) -> Self {
        self.finder = Some(config);
        self
    }

    /// Sets the key of the node. The default is a new one.
    #[must_use]
    pub fn node_key(mut self, key: SecretKey) -> Self {
        self.node_key = Some(key);
        self
    }

    /// Hands out the keys of each session with a peer. They decrypt a recording of it.
    #[must_use]
    pub fn key_log(mut self, log: KeyLog) -> Self {
        self.key_log = Some(log);
        self
    }

    /// Sets what the node speaks. The default is Whisper alone.
    ///
    /// With Whisper and Waku, what is sent goes into both networks, and what comes in both is
    /// received once.
    #[must_use]
    pub fn dialects(mut self, dialects: impl IntoIterator<Item = Dialect>) -> Self {
        self.dialects = dialects.into_iter().collect();
        self
    }

    /// Sets the identity: it signs, and private messages to it are received.
    #[must_use]
    pub fn identity(mut self, key: SecretKey) -> Self {
        self.ring.add_identity(key.clone());
        self.topics.extend(own_topics(&key.public_key()));
        self.listens = true;
        self.identity = Some(key);
        self
    }

    /// Sets the identity for sending alone: nothing is received.
    #[must_use]
    pub fn sender(mut self, key: SecretKey) -> Self {
        self.identity = Some(key);
        self
    }

    /// Sets the key that signs messages to public chats and bare keys, in place of the identity.
    /// Without either, messages are signed with an ephemeral key.
    #[must_use]
    pub fn author(mut self, key: SecretKey) -> Self {
        self.author = Some(key);
        self
    }

    /// Keeps private conversations in a store, such as [`DiskStore`](crate::state::DiskStore).
    /// Without one, private messages are received but not acknowledged.
    #[must_use]
    pub fn store(mut self, store: impl Store + Send + 'static) -> Self {
        self.store = Some(Box::new(store));
        self
    }

    /// Keeps private conversations in a state on disk that several programs share: the first one
    /// holds it, and the others [attach](crate::share) to that. Needs an identity.
    #[must_use]
    pub fn state(mut self, state: SharedState) -> Self {
        self.state = Some(state);
        self
    }

    /// Sets the id of this installation, for a new state. The default is random.
    #[must_use]
    pub fn installation(mut self, id: InstallationId) -> Self {
        self.installation = Some(id);
        self
    }

    /// Receives what is sent to a destination: a public chat, or the holders of a symmetric key.
    #[must_use]
    pub fn join(mut self, destination: &Destination) -> Self {
        match destination {
            Destination::Public(chat) => self.join_chat(chat),
            Destination::SymKey { key, topic } => {
                self.ring.add_sym_key(key.clone());
                self.topics.extend(*topic);
                self.everything |= topic.is_none();
            }
            // Private messages come with the identity.
            Destination::Person(_) | Destination::Group(_) | Destination::PublicKey(_) => {}
        }
        self.listens = true;
        self
    }

    fn join_chat(&mut self, chat: &PublicChat) {
        self.ring.add_chat(chat);
        self.topics.insert(chat.topic);
    }

    /// Receives what is sent on a topic; what no key opens comes as it is.
    #[must_use]
    pub fn topic(mut self, topic: Topic) -> Self {
        self.topics.insert(topic);
        self.named_topics.insert(topic);
        self.listens = true;
        self
    }

    /// Opens messages with these keys, on these topics.
    #[must_use]
    pub fn keys(mut self, ring: KeyRing, topics: impl IntoIterator<Item = Topic>) -> Self {
        self.ring = ring;
        self.topics.extend(topics);
        self.listens = true;
        self
    }

    /// Receives everything, as a full node does.
    #[must_use]
    pub fn everything(mut self) -> Self {
        self.everything = true;
        self.listens = true;
        self
    }

    /// Opens nothing: all that comes is an [`Event::Envelope`](crate::Event::Envelope).
    #[must_use]
    pub fn raw(mut self) -> Self {
        self.raw = true;
        self
    }

    /// Watches for the contact code of a key.
    #[must_use]
    pub fn contact(mut self, key: PublicKey) -> Self {
        self.contacts.push(key);
        self
    }

    /// Fetches what was sent before from a mailserver, and what was missed later.
    #[must_use]
    pub fn history(mut self, source: HistorySource) -> Self {
        if !self.peers.iter().any(|enode| enode.id == source.mailserver.id) {
            self.peers.push(source.mailserver.clone());
        }
        self.history = Some(source);
        self
    }

    /// Names a mailserver that is asked on [request](Client::fetch_history).
    #[must_use]
    pub fn mailserver(mut self, source: HistorySource) -> Self {
        self.asks_later = true;
        self.history(source)
    }

    /// Sets whether private messages are acknowledged and repeated. They are by default.
    #[must_use]
    pub fn acknowledge(mut self, on: bool) -> Self {
        self.acknowledge = on;
        self
    }

    /// Sets whether the own contact code is published from time to time. It is by default, with a
    /// store.
    #[must_use]
    pub fn publish_contact_code(mut self, on: bool) -> Self {
        self.publish = on;
        self
    }

    /// Sets whether private messages are repeated until they are acknowledged (data sync).
    #[must_use]
    pub fn data_sync(mut self, on: bool) -> Self {
        self.send_options.data_sync = on;
        self
    }

    /// Sets the proof of work of what is sent. The default is what the peers ask for, and at least
    /// 0.002.
    #[must_use]
    pub fn pow(mut self, target: f64) -> Self {
        self.send_options.pow = Some(target);
        self
    }

    /// Sets how long the work for an envelope may take; `None` for any time. The default is 15
    /// seconds. A peer that asks for more gets nothing, without keeping others from it.
    #[must_use]
    pub fn mine_timeout(mut self, limit: Option<Duration>) -> Self {
        self.send_options.mine_timeout = limit;
        self
    }

    /// Sets the minimum proof of work that peers are asked for. The default is 0.
    #[must_use]
    pub fn min_pow(mut self, min_pow: f64) -> Self {
        self.min_pow = min_pow;
        self
    }

    /// Sets the time to live of private messages, in seconds. The default is 15.
    #[must_use]
    pub fn ttl(mut self, ttl: u32) -> Self {
        self.send_options.ttl = ttl;
        self
    }

    /// Sets how long [`Client::connect`] waits for the peers.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets how long peers may take to confirm an envelope.
    #[must_use]
    pub fn confirm_timeout(mut self, limit: Duration) -> Self {
        self.confirm_timeout = limit;
        self
    }

    /// Sets how long an envelope waits for peers to come back when all are lost.
    #[must_use]
    pub fn reconnect_timeout(mut self, limit: Duration) -> Self {
        self.reconnect_timeout = limit;
        self
    }

    /// Sets the clock of the node.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Dates all messages to this time: with [`rng`](Self::rng) the same
    /// messages give the same bytes.
    #[must_use]
    pub fn fixed_time(mut self, now: UnixMillis) -> Self {
        self.fixed_time = Some(now);
        self
    }

    /// Sets the randomness of messages and sessions. The default comes from the system.
    #[must_use]
    pub fn rng(mut self, rng: ChaCha20Rng) -> Self {
        self.rng = Some(rng);
        self
    }

    /// Starts the node and dials the peers. Must be called on a tokio runtime; the node lives
    /// there. If another program holds the state, attaches to that instead.
    ///
    /// # Errors
    /// If the system gives no randomness, or the state can't be used.
    pub async fn start(mut self) -> Result<Client, StartError> {
        let connect_timeout = self.connect_timeout;
        let Some(mut state) = self.state.take().filter(|_| self.identity.is_some()) else {
            return Ok(Client::own(self.start_engine(HashMap::new()).await?, connect_timeout));
        };
        let attach = attach_request(&self, false, Vec::new());
        match state.open(&attach).await? {
            Opened::Own(store) => {
                let path = state.path().to_owned();
                let engine = self.start_own(*store, &path, HashMap::new()).await?;
                Ok(Client::own(engine, connect_timeout))
            }
            Opened::Held(held) => {
                self.state = Some(state);
                let mut rng = self.random()?;
                let ours = ChaCha20Rng::from_rng(&mut rng);
                // This program may follow the holder.
                self.rng = Some(rng);
                Ok(Client::held(Attached::new(self, *held, ours), connect_timeout))
            }
        }
    }

    /// Starts with a store that is ours, and serves it.
    pub(crate) async fn start_own(
        mut self,
        store: DiskStore,
        path: &Path,
        known: HashMap<MessageKey, bool>,
    ) -> Result<Engine, StartError> {
        self.store = Some(Box::new(store));
        // Where no socket can be, the state has one program.
        self.server = Server::start(path).ok();
        self.start_engine(known).await
    }

    fn random(&mut self) -> Result<ChaCha20Rng, StartError> {
        match self.rng.take() {
            Some(rng) => Ok(rng),
            None => ChaCha20Rng::try_from_rng(&mut SysRng)
                .map_err(|error| StartError::Random(error.to_string())),
        }
    }

    async fn start_engine(
        mut self,
        known: HashMap<MessageKey, bool>,
    ) -> Result<Engine, StartError> {
        let mut rng = self.random()?;
        let node_key = self.node_key.take().unwrap_or_else(|| SecretKey::generate(&mut rng));
        self.is_kept = self.store.is_some();
        let conversations = self.conversations(&mut rng)?;
        let mut listening = self.listening();
        let mut config = ServiceConfig::new(node_key.clone());
        config.clock = self.clock.clone();
        config.p2p.key_log = self.key_log.clone();
        config.node = NodeConfig::with_min_pow(self.min_pow);
        config.dialects.clone_from(&self.dialects);
        config.node.confirm_stored = self.is_kept;
        let mut client_ring = std::mem::take(&mut self.ring);
        let mut conversations = conversations;
        if let Some(conversations) = conversations.as_mut().filter(|_| self.listens) {
            for found in conversations.listening(&self.contacts)? {
                Conversations::listen(&found, &mut client_ring, &mut listening);
            }
        }
        match &listening {
            // Peers send nothing then, and what we send is for them to judge.
            Listening::Nothing => {
                config.node.bloom = Some(Bloom::EMPTY);
                config.node.topics = Some(Arc::default());
                config.node.send_window = Duration::ZERO;
            }
            Listening::Topics(topics) => {
                config.node.bloom = Some(Bloom::from_topics(topics.iter().copied()));
                config.node.topics = Some(Arc::new(topics.clone()));
                config.node.interest = Interest::Topics(topics.clone());
            }
            Listening::Everything => config.node.interest = Interest::Everything,
        }
        let service = Service::start(config).await?;
        let (finder, clock) = (self.finder.take(), self.clock.clone());
        let (node, key) = (service.handle().clone(), node_key.clone());
        let (listens, is_kept, server) = (self.listens, self.is_kept, self.server.take());
        let mut engine =
            Engine::new(self, service, node_key, client_ring, listening, conversations, rng);
        // After the engine, which must not miss what is found.
        if let Some(mut finder) = finder {
            finder.peer.max_packet_size = Some(MAX_PACKET);
            if let Some(rendezvous) = &mut finder.rendezvous {
                rendezvous.key = key.clone();
            }
            if let Some(v5) = &mut finder.v5 {
                v5.key = key;
            }
            engine.finds_by(Finder::start(node, finder, clock).await?);
        }
        engine.know(known);
        engine.follow_state()?;
        server.into_iter().for_each(|server| engine.serve(server));
        if listens && is_kept {
            engine.resume()?;
        }
        Ok(engine)
    }

    /// The conversations of the identity, if they are wanted.
    fn conversations(
        &mut self,
        rng: &mut ChaCha20Rng,
    ) -> Result<Option<Conversations>, StartError> {
        let Some(identity) = self.identity.clone() else { return Ok(None) };
        let is_kept = self.store.is_some();
        let store = self.store.take().unwrap_or_else(|| Box::new(MemoryStore::new()));
        let installation = self.installation.take();
        Ok(Some(Conversations::open(store, is_kept, identity, installation, rng)?))
    }
}

/// Where strangers write to the owner of a key.
pub(crate) fn own_topics(key: &PublicKey) -> [Topic; 2] {
    [topic::partitioned_name(key), topic::personal_discovery_name(key)]
        .map(|name| Topic::from_name(&name))
}
