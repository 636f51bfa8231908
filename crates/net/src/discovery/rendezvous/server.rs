//! A server on TCP: a task that accepts, and one per connection.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use rand::{
    SeedableRng,
    rngs::{ChaCha20Rng, SysRng},
};
use statuskit_core::{
    crypto::SecretKey,
    discovery::{
        Multiaddr, PeerId,
        rendezvous::{Request, Status},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};

use super::{
    registry::{Registry, RegistryLimits},
    serving::{READ_LIMIT, Serving},
};
use crate::node::service::handshakes::{Handshakes, Ticket};

const READ_SIZE: usize = 16 * 1024;

/// How a server is set up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The key behind the server's peer id, and so a part of its address.
    pub key: SecretKey,
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The most connections. A new one takes the place of the oldest of the address with the most.
    pub max_connections: usize,
    /// The most connections from one address (of IPv6: a /64).
    pub max_connections_per_source: usize,
    /// What is kept.
    pub registry: RegistryLimits,
}

impl ServerConfig {
    /// Returns the usual settings.
    pub fn new(key: SecretKey, listen: SocketAddr) -> Self {
        Self {
            key,
            listen,
            max_connections: 256,
            max_connections_per_source: 16,
            registry: RegistryLimits::default(),
        }
    }
}

/// A request that a server has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerEvent {
    /// Who asked.
    pub from: SocketAddr,
    /// What it asked.
    pub request: Request,
    /// How the server answered.
    pub status: Status,
    /// How many records the answer has.
    pub records: usize,
}

/// A rendezvous server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    peer: PeerId,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    events: mpsc::Receiver<ServerEvent>,
}

#[derive(Debug)]
struct Shared {
    key: SecretKey,
    registry: Mutex<Registry>,
    events: mpsc::Sender<ServerEvent>,
}

impl Shared {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Listens. It must be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the address can't be listened on.
    pub async fn start(config: ServerConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let (sender, events) = mpsc::channel(1024);
        let shared = Arc::new(Shared {
            key: config.key.clone(),
            registry: Mutex::new(Registry::new(config.registry)),
            events: sender,
        });
        let places = Handshakes::new(config.max_connections, config.max_connections_per_source);
        let peer = PeerId::from_key(&config.key.public_key());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, places, shared.clone()));
        Ok(Self { address, peer, shared, tasks, events })
    }

    /// Returns where the server listens, with its peer id.
    pub fn address(&self) -> Multiaddr {
        Multiaddr { address: self.address, peer: self.peer }
    }

    /// Returns the number of records that are kept.
    pub fn records(&self) -> usize {
        let mut registry = self.shared.registry();
        registry.purge(Instant::now());
        registry.len()
    }

    /// Waits for the next answer. Of those that nobody waits for, the first thousand are kept.
    pub async fn next(&mut self) -> Option<ServerEvent> {
        self.events.recv().await
    }

    /// Closes all connections.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn accept(listener: TcpListener, places: Arc<Handshakes>, shared: Arc<Shared>) {
    /// After a failed `accept`: file descriptors may be missing, and come back.
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
    // Dropped with this task, and its connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    let ticket = places.enter(from.ip());
                    connections.spawn(serve(stream, from, ticket, shared.clone()));
                }
                Err(_) => sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, from: SocketAddr, mut ticket: Ticket, shared: Arc<Shared>) {
    tokio::select! {
        () = ticket.lost() => {}
        // Whatever ends the connection concerns nobody else.
        _ = converse(stream, from, &shared) => {}
    }
}

async fn converse(mut stream: TcpStream, from: SocketAddr, shared: &Shared) -> io::Result<()> {
    let _ = stream.set_nodelay(true);
    let mut rng = ChaCha20Rng::try_from_rng(&mut SysRng).map_err(io::Error::other)?;
    let ip = from.ip().to_canonical();
    let mut serving = Serving::new(shared.key.clone(), ip, Instant::now());
    let mut buffer = vec![0; READ_SIZE];
    loop {
        for answered in serving.take_answered() {
            let super::serving::Answered { request, status, records } = answered;
            let _ = shared.events.try_send(ServerEvent { from, request, status, records });
        }
        let output = serving.take_output();
        if !output.is_empty() {
            timeout(READ_LIMIT, stream.write_all(&output)).await??;
            serving.resume(Instant::now(), &mut shared.registry(), &mut rng);
            continue;
        }
        tokio::select! {
            read = stream.read(&mut buffer) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                let bytes = &buffer[..read];
                let result =
                    serving.receive(bytes, Instant::now(), &mut shared.registry(), &mut rng);
                if result.is_err() {
                    let _ = timeout(READ_LIMIT, stream.write_all(&serving.take_output())).await;
                    return Ok(());
                }
            }
            () = sleep_until(serving.deadline().into()) => {
                if !serving.expire(Instant::now(), &mut shared.registry(), &mut rng) {
                    return Ok(());
                }
            }
        }
    }
}
