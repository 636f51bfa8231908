//! What a node does with rendezvous as long as it runs: it registers and searches.

use std::{net::IpAddr, sync::Arc, time::Duration};

use statuskit_core::{
    devp2p::Enode,
    discovery::{Multiaddr, Record, TopicName, rendezvous::MAX_RECORDS},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::client::{Client, ClientError, REGISTER_PERIOD, REGISTER_TTL};

/// Found nodes that wait to be taken. Further ones are found again in the next period.
const WAITING: usize = 256;

/// What is to be registered and searched.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AgentConfig {
    /// Where.
    pub servers: Vec<Multiaddr>,
    /// Topics to search, each in this period. The first question comes a period after the start.
    pub search: Vec<(TopicName, Duration)>,
    /// The record of the own node, and the topics to register it under. It is renewed every 5 s.
    pub register: Option<(Record, Vec<TopicName>)>,
}

impl AgentConfig {
    /// Returns settings that do nothing yet.
    pub fn new(servers: Vec<Multiaddr>) -> Self {
        Self { servers, ..Self::default() }
    }
}

/// What an agent reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum AgentEvent {
    /// A node was found. It is not proven that it is there.
    Found { topic: TopicName, node: Enode },
    /// The own node was registered.
    Registered { topic: TopicName, server: Multiaddr },
    /// A request failed. The next one follows in its period.
    Failed { topic: TopicName, error: ClientError },
}

/// Registers and searches until it is dropped.
#[derive(Debug)]
pub struct Agent {
    events: mpsc::Receiver<AgentEvent>,
    _tasks: JoinSet<()>,
}

impl Agent {
    /// Begins. It must be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// If there is no server, or the system has no randomness.
    pub fn start(config: AgentConfig) -> Result<Self, ClientError> {
        let client = Arc::new(Client::start(&config.servers)?);
        let (sender, events) = mpsc::channel(WAITING);
        let mut tasks = JoinSet::new();
        for (topic, period) in config.search {
            tasks.spawn(search(client.clone(), topic, period, sender.clone()));
        }
        if let Some((record, topics)) = config.register {
            for topic in topics {
                tasks.spawn(register(client.clone(), topic, record.clone(), sender.clone()));
            }
        }
        Ok(Self { events, _tasks: tasks })
    }

    /// Waits for the next event. `None` if there is nothing to do.
    pub async fn next(&mut self) -> Option<AgentEvent> {
        self.events.recv().await
    }
}

/// Returns the node of a record, as far as the reference uses it: an IPv4 address and a TCP port are
/// needed.
pub fn node_of(record: &Record) -> Option<Enode> {
    let tcp = record.tcp().filter(|port| *port != 0)?;
    match record.ip() {
        Some(IpAddr::V4(_)) => record.enode().map(|node| Enode { tcp, ..node }),
        _ => None,
    }
}

async fn search(
    client: Arc<Client>,
    topic: TopicName,
    period: Duration,
    events: mpsc::Sender<AgentEvent>,
) {
    let mut ticks = interval_at(Instant::now() + period, period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match client.discover(&topic, MAX_RECORDS as u64).await {
            Ok(found) => {
                for node in found.records.iter().filter_map(node_of) {
                    // Who does not take them does not need them.
                    let _ = events.try_send(AgentEvent::Found { topic: topic.clone(), node });
                }
            }
            Err(error) => drop(events.try_send(AgentEvent::Failed { topic: topic.clone(), error })),
        }
    }
}

async fn register(
    client: Arc<Client>,
    topic: TopicName,
    record: Record,
    events: mpsc::Sender<AgentEvent>,
) {
    let mut ticks = interval_at(Instant::now(), REGISTER_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let event = match client.register(&topic, &record, REGISTER_TTL).await {
            Ok(server) => AgentEvent::Registered { topic: topic.clone(), server },
            Err(error) => AgentEvent::Failed { topic: topic.clone(), error },
        };
        let _ = events.try_send(event);
    }
}
