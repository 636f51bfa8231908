//! Registering topics: tickets are taken, kept until they are due, and shown.

use std::{collections::HashMap, sync::Arc, time::Duration};

use rand::seq::SliceRandom as _;
use statuskit_core::{
    devp2p::NodeId,
    discovery::{
        TopicName,
        v5::{Packet, Pong, TopicRegister},
    },
};

use super::{Event, Machine, Now, State, Timer, lookup::Purpose, node::SentPing};
use crate::discovery::{
    radius::{Radius, TIME_CONSTANT, Target},
    table::BUCKET_SIZE,
};

/// The most topics of a node. A registrar keeps one of them.
pub const MAX_TOPICS: usize = 8;
/// The pause between lookups while tickets are wanted, and when they are not.
const SHORT_PAUSE: Duration = Duration::from_millis(100);
const LONG_PAUSE: Duration = Duration::from_secs(40);
/// The longest pause while tickets are wanted but none are to be had.
const IDLE_PAUSE: Duration = Duration::from_secs(10);
/// How far each ticket moves the next lookup.
const COLLECT_INTERVAL: Duration = Duration::from_secs(30);
const MAX_COLLECT_DEBT: u32 = 10;
/// The mean time between two registrations.
const REGISTER_INTERVAL: Duration = Duration::from_secs(60);
const MAX_REGISTER_DEBT: u32 = 5;
/// Tickets that wait longer are kept rarely.
const KEEP_ALWAYS: f64 = 600.0;
const KEEP_SOMETIMES: f64 = 300.0;
const MAX_EXPONENTIAL: f64 = 10.0;
/// The most tickets of a topic. One is taken in 30 s on average, and waits for at most an hour.
const MAX_TICKETS: usize = 256;

/// What is registered.
#[derive(Debug, Default)]
pub(super) struct Registrant {
    topics: Vec<Registered>,
    names: Arc<[TopicName]>,
    /// Who was asked for a ticket last, and why.
    requests: HashMap<NodeId, Request>,
    /// Which topic is looked up next.
    turn: usize,
    is_looping: bool,
    /// Lookups in a row that found nobody to ask.
    idle: u32,
}

#[derive(Debug)]
struct Registered {
    name: TopicName,
    radius: Radius,
    tickets: Vec<HeldTicket>,
    next_lookup: Duration,
    next_register: Duration,
    lookups: u64,
    is_looking: bool,
}

#[derive(Debug)]
struct HeldTicket {
    registrar: NodeId,
    topics: Arc<[TopicName]>,
    index: usize,
    pong: Vec<u8>,
    due: Duration,
}

#[derive(Debug)]
struct Request {
    /// The hash of the ping, once it is sent.
    ping: Option<[u8; 32]>,
    topic: TopicName,
    target: Target,
    at: Duration,
}

impl Registrant {
    pub fn topics(&self) -> Arc<[TopicName]> {
        self.names.clone()
    }

    pub fn has(&self, topic: &TopicName) -> bool {
        self.names.contains(topic)
    }

    /// Something is new: lookups may bring more.
    pub fn wake(&mut self) {
        self.idle = self.idle.min(1);
    }

    fn renamed(&mut self) {
        self.names = self.topics.iter().map(|it| it.name.clone()).collect();
    }
}

impl Machine {
    /// Begins to register a topic at other nodes. A registrar keeps one topic of a node, the last.
    /// Returns whether there was room for it.
    pub fn register(&mut self, topic: TopicName, now: Now) -> bool {
        if self.registrant.has(&topic) {
            return true;
        }
        if self.registrant.topics.len() >= MAX_TOPICS {
            return false;
        }
        self.registrant.topics.push(Registered {
            radius: Radius::new(topic.clone()),
            name: topic,
            tickets: Vec::new(),
            next_lookup: Duration::ZERO,
            next_register: Duration::ZERO,
            lookups: 0,
            is_looking: false,
        });
        self.registrant.renamed();
        if !self.registrant.is_looping {
            self.registrant.is_looping = true;
            self.set_timer(now.mono, Timer::RegisterLookup);
        }
        true
    }

    /// Ends to register a topic: forgets its tickets. What is registered lives on for an hour.
    pub fn unregister(&mut self, topic: &TopicName) {
        self.registrant.topics.retain(|it| it.name != *topic);
        self.registrant.requests.retain(|_, request| request.topic != *topic);
        self.registrant.renamed();
    }

    /// Returns the number of tickets that wait.
    pub fn tickets(&self) -> usize {
        self.registrant.topics.iter().map(|topic| topic.tickets.len()).sum()
    }

    /// Looks for registrars of the next topic that wants tickets.
    pub(super) fn register_lookup(&mut self, now: Now) {
        let registrant = &mut self.registrant;
        if registrant.topics.is_empty() {
            registrant.is_looping = false;
            return;
        }
        let count = registrant.topics.len();
        let wanted = (0..count).map(|step| (registrant.turn + step) % count).find(|index| {
            let topic = &registrant.topics[*index];
            topic.next_lookup <= now.mono && !topic.is_looking
        });
        let is_ready = !self.table.is_empty();
        let Some(index) = wanted.filter(|_| is_ready) else {
            let next = registrant.topics.iter().map(|topic| topic.next_lookup).min();
            let wait = match next {
                Some(next) if next > now.mono => (next - now.mono).min(LONG_PAUSE),
                _ => SHORT_PAUSE.max(pause(registrant.idle)),
            };
            registrant.idle += 1;
            self.set_timer(now.mono + wait, Timer::RegisterLookup);
            return;
        };
        registrant.turn = index + 1;
        let is_large = self.table.len() >= BUCKET_SIZE;
        let topic = &mut registrant.topics[index];
        topic.lookups += 1;
        topic.is_looking = true;
        // In turn with probes, so that the first tickets don't wait for the radius.
        let allow_probe = is_large && topic.lookups.is_multiple_of(2);
        let target = topic.radius.next_target(allow_probe, now.mono, &mut self.rng);
        let name = topic.name.clone();
        self.start_lookup(target.id, Purpose::Register(name, target), now);
    }

    /// Asks what a lookup has found for tickets.
    pub(super) fn register_ended(
        &mut self,
        name: &TopicName,
        target: Target,
        nearest: &[NodeId],
        now: Now,
    ) {
        let is_small = nearest.len() < BUCKET_SIZE;
        let mut asked = false;
        if let Some(index) = self.registrant.topics.iter().position(|it| it.name == *name) {
            self.registrant.topics[index].is_looking = false;
            let radius = &self.registrant.topics[index].radius;
            let is_near = |(rank, id): &(usize, &NodeId)| {
                *rank == 0 || is_small || radius.reaches(id, &target)
            };
            let mut near: Vec<_> =
                nearest.iter().enumerate().filter(is_near).map(|(_, id)| *id).collect();
            // Only the first tickets are used: not those of the same few nodes for everyone.
            near.shuffle(&mut self.rng);
            for id in &near {
                let requests = &self.registrant.requests;
                let is_due = if target.is_probe {
                    let last = requests.get(id);
                    last.is_none_or(|last| now.mono.saturating_sub(last.at) > TIME_CONSTANT)
                } else {
                    let holds = |it: &Registered| it.tickets.iter().any(|it| it.registrar == *id);
                    !self.registrant.topics.iter().any(holds)
                };
                if is_due && self.ask_for_ticket(*id, name, target, now) {
                    asked = true;
                }
            }
        }
        let registrant = &mut self.registrant;
        registrant.idle = if asked { 0 } else { registrant.idle + 1 };
        let wait = pause(registrant.idle);
        self.set_timer(now.mono + wait, Timer::RegisterLookup);
    }

    fn ask_for_ticket(&mut self, id: NodeId, topic: &TopicName, target: Target, now: Now) -> bool {
        match self.nodes.get(&id).map(|node| node.state) {
            None => return false,
            Some(State::Unknown) => self.transition(id, State::VerifyInit, now),
            Some(_) => self.ping_node(id, now),
        }
        let ping = self.nodes.get(&id).and_then(|node| node.ping.as_ref()).map(|it| it.hash.0);
        let requests = &mut self.registrant.requests;
        if requests.len() >= self.config.max_nodes {
            requests.retain(|_, request| now.mono.saturating_sub(request.at) <= TIME_CONSTANT);
            if requests.len() >= self.config.max_nodes {
                requests.clear();
            }
        }
        let request = Request { ping, topic: topic.clone(), target, at: now.mono };
        requests.insert(id, request);
        ping.is_some()
    }

    /// Takes the ticket of a pong, if it was asked for.
    pub(super) fn ticket_arrived(
        &mut self,
        id: NodeId,
        ping: &SentPing,
        pong: &Pong,
        datagram: &[u8],
        now: Now,
    ) {
        let Some(request) = self.registrant.requests.get_mut(&id) else { return };
        if request.ping.take_if(|hash| *hash == ping.hash.0).is_none() {
            return;
        }
        let (target, wanted) = (request.target, request.topic.clone());
        // The pong counts all the same.
        let Ok(waits) = pong.ticket(&ping.topics) else { return };
        for topic in &mut self.registrant.topics {
            if let Some(index) = ping.topics.iter().position(|name| *name == topic.name) {
                topic.radius.adjust_by_wait(&id, &target.id, waits[index], now.mono);
            }
        }
        let holds = |topic: &Registered| topic.tickets.iter().any(|it| it.registrar == id);
        if target.is_probe || self.registrant.topics.iter().any(holds) {
            return;
        }
        let keep = KEEP_ALWAYS + KEEP_SOMETIMES * self.exponential().min(MAX_EXPONENTIAL);
        let Some(topic) = self.registrant.topics.iter_mut().find(|it| it.name == wanted) else {
            return;
        };
        let Some(index) = ping.topics.iter().position(|name| *name == wanted) else { return };
        let wait = waits[index];
        if f64::from(wait) >= keep || topic.tickets.len() >= MAX_TICKETS {
            return;
        }
        let due = now.mono + Duration::from_secs(wait.into());
        topic.tickets.push(HeldTicket {
            registrar: id,
            topics: ping.topics.clone(),
            index,
            // The ticket is the packet itself.
            pong: datagram.to_vec(),
            due,
        });
        let earliest = now.mono.saturating_sub(COLLECT_INTERVAL * MAX_COLLECT_DEBT);
        topic.next_lookup = topic.next_lookup.max(earliest) + COLLECT_INTERVAL;
        self.set_timer(due, Timer::Register);
        if let Some(registrar) = self.info_of(&id) {
            self.report(Event::Ticket { topic: wanted, registrar, wait });
        }
    }

    /// Shows the tickets that are due.
    pub(super) fn register_due(&mut self, now: Now) {
        let mut shown = Vec::new();
        for topic in &mut self.registrant.topics {
            let due = topic.tickets.extract_if(.., |ticket| ticket.due <= now.mono);
            for ticket in due {
                // Those that come before it is time for the next registration are lost.
                if now.mono < topic.next_register {
                    continue;
                }
                let earliest = now.mono.saturating_sub(REGISTER_INTERVAL * MAX_REGISTER_DEBT);
                topic.next_register = topic.next_register.max(earliest) + REGISTER_INTERVAL;
                shown.push((topic.name.clone(), ticket));
            }
        }
        for (topic, ticket) in shown {
            let Some(node) = self.nodes.get(&ticket.registrar) else { continue };
            if !node.state.can_query() {
                continue;
            }
            let registrar = node.info;
            let packet = Packet::TopicRegister(TopicRegister {
                topics: ticket.topics.to_vec(),
                index: ticket.index as u64,
                pong: ticket.pong,
            });
            if self.send(registrar.addr, &packet).is_some() {
                self.report(Event::Registered { topic, registrar });
            }
        }
    }
}

/// Returns the pause after lookups that brought nothing.
fn pause(idle: u32) -> Duration {
    (SHORT_PAUSE * 2_u32.pow(idle.min(8))).min(IDLE_PAUSE)
}
