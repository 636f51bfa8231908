//! Discovery on a network: one task around one [`Machine`].

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::{TryRng as _, rngs::SysRng};
use statuskit_core::discovery::MAX_DATAGRAM;
use tokio::{
    net::UdpSocket,
    sync::{Notify, mpsc},
    task::JoinHandle,
};

use super::v5::{Config, Event, Machine, NodeInfo, Now, Output};
use crate::node::{Clock, ServiceError};

/// The most events that wait for a reader. Further ones are lost to it.
const MAX_EVENTS: usize = 4096;
/// Where the clock begins that never goes back, so that there is time before the start.
const FIRST_INSTANT: Duration = Duration::from_secs(3600);
/// The most datagrams that are read before answers are sent.
const BATCH: usize = 64;
/// The pause after the socket failed.
const ERROR_PAUSE: Duration = Duration::from_millis(20);

/// A running node of legacy discovery v5. Dropping it ends it.
#[derive(Debug)]
pub struct Discovery {
    handle: Handle,
    task: JoinHandle<()>,
}

/// A handle to a running node. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    machine: Mutex<Machine>,
    /// Something was asked of the machine.
    changed: Notify,
    readers: Mutex<Vec<mpsc::Sender<Event>>>,
    began: Instant,
    clock: Clock,
}

impl Discovery {
    /// Opens the socket and answers from now on. [`Handle::start`] begins to find nodes.
    ///
    /// # Errors
    ///
    /// If the address is in use, or the system has no random numbers.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn bind(mut config: Config, clock: Clock) -> Result<Self, ServiceError> {
        let addr = config.listen;
        let failed = |error| ServiceError::Listen { addr, error };
        let socket = UdpSocket::bind(addr).await.map_err(failed)?;
        config.listen = socket.local_addr().map_err(failed)?;
        let mut seed = [0; 32];
        SysRng
            .try_fill_bytes(&mut seed)
            .map_err(|error| ServiceError::Random(error.to_string()))?;
        let shared = Arc::new(Shared {
            machine: Mutex::new(Machine::new(config, seed)),
            changed: Notify::new(),
            readers: Mutex::default(),
            began: Instant::now(),
            clock,
        });
        let task = tokio::spawn(run(shared.clone(), socket));
        Ok(Self { handle: Handle { shared }, task })
    }

    /// Returns a handle to the node.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.task.abort();
        lock(&self.handle.shared.readers).clear();
    }
}

impl Handle {
    /// Begins to find nodes.
    pub fn start(&self) {
        self.with(Machine::start);
    }

    /// Returns the own node.
    pub fn info(&self) -> NodeInfo {
        self.with(|machine, _| machine.info())
    }

    /// Does something with the machine.
    pub fn with<T>(&self, work: impl FnOnce(&mut Machine, Now) -> T) -> T {
        let now = self.shared.now();
        let result = work(&mut lock(&self.shared.machine), now);
        self.shared.changed.notify_one();
        result
    }

    /// Returns what happens from now on. A reader that is too slow loses events.
    pub fn events(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(MAX_EVENTS);
        lock(&self.shared.readers).push(sender);
        receiver
    }
}

impl Shared {
    fn now(&self) -> Now {
        Now { mono: FIRST_INSTANT + self.began.elapsed(), unix: self.clock.now().as_secs() }
    }

    fn publish(&self, event: &Event) {
        let mut readers = lock(&self.readers);
        readers.retain(|reader| {
            !matches!(reader.try_send(event.clone()), Err(mpsc::error::TrySendError::Closed(_)))
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(shared: Arc<Shared>, socket: UdpSocket) {
    // One byte more shows that a datagram is too long.
    let mut buffer = [0; MAX_DATAGRAM + 1];
    loop {
        flush(&shared, &socket).await;
        let due = lock(&shared.machine).next_timeout();
        let timeout = async {
            match due {
                Some(at) => {
                    let at = shared.began + at.saturating_sub(FIRST_INSTANT);
                    tokio::time::sleep_until(at.into()).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, from)) => {
                    receive(&shared, from, &buffer[..length]);
                    for _ in 1..BATCH {
                        let Ok((length, from)) = socket.try_recv_from(&mut buffer) else { break };
                        receive(&shared, from, &buffer[..length]);
                    }
                }
                // Such as an answer from an address where nobody listens.
                Err(_) => tokio::time::sleep(ERROR_PAUSE).await,
            },
            () = timeout => {
                let now = shared.now();
                lock(&shared.machine).handle_timeouts(now);
            }
            () = shared.changed.notified() => {}
        }
    }
}

fn receive(shared: &Shared, from: SocketAddr, datagram: &[u8]) {
    let now = shared.now();
    let mut machine = lock(&shared.machine);
    machine.handle_datagram(from, datagram, now);
}

async fn flush(shared: &Shared, socket: &UdpSocket) {
    loop {
        let Some(output) = lock(&shared.machine).poll_output() else { return };
        match output {
            // What can't be sent is lost, as any datagram may be.
            Output::Send { to, bytes } => drop(send(socket, to, &bytes).await),
            Output::Event(event) => shared.publish(&event),
        }
    }
}

async fn send(socket: &UdpSocket, to: SocketAddr, bytes: &[u8]) -> io::Result<usize> {
    // A socket of IPv6 takes IPv4 in its mapped form.
    let to = match (socket.local_addr()?, to) {
        (SocketAddr::V6(_), SocketAddr::V4(to)) => {
            SocketAddr::new(to.ip().to_ipv6_mapped().into(), to.port())
        }
        _ => to,
    };
    socket.send_to(bytes, to).await
}
