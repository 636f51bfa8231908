//! Envelopes under way: which peer has which, and what it said.
//!
//! An envelope that no peer has, because all are gone, is *stranded*. It stays in the node's pool
//! and reaches the peer that comes back. Its outcome is known when a peer has answered, when the
//! time for that is over, or when the envelope has expired.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use statuskit_core::{
    account::InstallationId,
    chat::messenger::{Post, PostKind},
    crypto::PublicKey,
    envelope::{Envelope, EnvelopeHash},
    explain::Explanation,
    payload::MessageId,
    wire::packet::EnvelopeError,
};
use statuskit_net::node::{ConnectionId, PeerSummary, Sent};

/// The number of something that was handed over for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendId(pub(crate) u64);

/// What an envelope holds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Contents {
    /// A finished envelope, or bytes.
    Envelope,
    /// A chat message without a session.
    Message(MessageId),
    /// Messages of private conversations, acknowledgements, bundles.
    Post(PostInfo),
}

/// What a post of a private conversation holds.
#[derive(Debug, Clone)]
pub struct PostInfo {
    /// What it is.
    pub kind: PostKind,
    /// The recipient; `None` if it is for everyone.
    pub to: Option<PublicKey>,
    /// The messages in it.
    pub messages: Vec<MessageId>,
    /// The installations it is encrypted for.
    pub installations: Vec<InstallationId>,
    /// How many messages it acknowledges.
    pub acks: usize,
}

impl PostInfo {
    pub(crate) fn from_post(post: &Post) -> Self {
        Self {
            kind: post.kind,
            to: post.to,
            messages: post.messages.clone(),
            installations: post
                .parts
                .iter()
                .map(|part| part.session.installation.clone())
                .collect(),
            acks: post.acks,
        }
    }
}

impl Contents {
    /// Returns the ids of the messages in the envelope.
    pub fn messages(&self) -> &[MessageId] {
        match self {
            Self::Envelope => &[],
            Self::Message(id) => std::slice::from_ref(id),
            Self::Post(post) => &post.messages,
        }
    }
}

/// The outcome of an envelope.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its number.
    pub id: SendId,
    /// What it holds.
    pub contents: Contents,
    /// The envelope, mined.
    pub envelope: Arc<Envelope>,
    /// Its hash.
    pub hash: EnvelopeHash,
    /// Each peer that it was meant for.
    pub peers: Vec<PeerDelivery>,
    /// Whether it had been sent before, so that nothing more is known.
    pub known: bool,
    /// Whether it expired before a peer had it.
    pub expired: bool,
}

/// How far an envelope got with one peer.
#[derive(Debug, Clone)]
pub struct PeerDelivery {
    pub(crate) connection: ConnectionId,
    /// The peer; `None` if it was gone at once.
    pub peer: Option<Arc<PeerSummary>>,
    /// How far the envelope got.
    pub state: DeliveryState,
}

/// How far an envelope got with a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryState {
    /// It waits to be written.
    Queued,
    /// It was written.
    Written {
        /// Whether the peer is going to answer.
        confirms: bool,
    },
    /// The peer has accepted it.
    Confirmed,
    /// The peer has refused it.
    Refused(EnvelopeError),
    /// The peer has confirmed and dropped it: by its clock, it had expired.
    Expired {
        /// By how many seconds, at least, the peer's clock is ahead of ours.
        ahead: u32,
    },
    /// The peer was lost before anything was written.
    Gone,
    /// The peer was lost before it answered.
    Unanswered,
}

/// Why an envelope did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// No peer has it.
    #[error("envelope {0} was written to no peer")]
    NotWritten(EnvelopeHash),
    /// Every peer that has it refused it.
    #[error("no peer took envelope {hash}: {}", describe(refusals))]
    Refused {
        /// The envelope.
        hash: EnvelopeHash,
        /// What the peers said.
        refusals: Vec<EnvelopeError>,
    },
    /// Every peer that answered has dropped it: by its clock, it had expired.
    #[error(
        "no peer took envelope {hash}: they confirmed and dropped it, as it had expired by their \
         clocks, which are at least {ahead} s ahead of ours"
    )]
    Expired {
        /// The envelope.
        hash: EnvelopeHash,
        /// By how many seconds, at least, the peers' clocks are ahead of ours.
        ahead: u32,
    },
    /// The peers were lost before they answered.
    #[error(
        "envelope {hash} was written, but its peers were lost before they answered, and {}",
        if *expired { "it expired before one came back" } else { "none came back in time" }
    )]
    Unanswered {
        /// The envelope.
        hash: EnvelopeHash,
        /// Whether it has expired meanwhile.
        expired: bool,
    },
}

fn describe(refusals: &[EnvelopeError]) -> String {
    let one = |error: &EnvelopeError| format!("code {}: {}", error.code, error.description);
    refusals.iter().map(one).collect::<Vec<_>>().join("; ")
}

impl DeliveryError {
    /// The stable code of this error, as the tools print it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotWritten(_) => "send.not_written",
            Self::Refused { .. } => "send.refused",
            Self::Expired { .. } => "send.expired",
            Self::Unanswered { .. } => "send.unanswered",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "send.not_written",
            rule: "The envelope could not be written to any peer in the time given.",
            source: "tools",
            causes: "The connections broke: see the errors before. Or the envelope expired before there was a peer.",
        },
        Explanation {
            code: "send.unanswered",
            rule: "A peer that announces confirmations answers what is written to it. If it is lost before, it gets the envelope again when it comes back; it did not, within --timeout, or the envelope had expired by then.",
            source: "Status, Whisper usage, Batch Acknowledgements",
            causes: "The peer was stopped or restarted, or it hangs up on us. Whether it took the envelope is not known; sending it again does no harm, as each envelope counts once.",
        },
        Explanation {
            code: "send.refused",
            rule: "Every peer that answered refused the envelope (Message Response, code 12).",
            source: "Status specifications, Whisper: confirmations",
            causes: "Clocks that differ by more than 10 seconds, most often: whatever is wrong, the reference says \"time not synced\".",
        },
        Explanation {
            code: "send.expired",
            rule: "Peers drop an envelope whose time to live is over by their clocks, and still confirm it. After its first confirmation, a peer is asked with expired ones whether its clock is ahead of ours: by more than the envelope lives, and it counts as not sent.",
            source: "EIP-627; the reference's checks of envelopes",
            causes: "The clock of this machine is behind. Or the peer's is ahead, if the others take the envelope.",
        },
    ];
}

impl PeerDelivery {
    /// Whether the envelope was written to the peer.
    pub fn is_written(&self) -> bool {
        !matches!(self.state, DeliveryState::Queued | DeliveryState::Gone)
    }

    fn set(&mut self, new: DeliveryState) {
        use DeliveryState::{Gone, Queued, Unanswered, Written};
        self.state = match (std::mem::replace(&mut self.state, Gone), new) {
            (Queued, new) => new,
            (Written { confirms: true }, Gone) => Unanswered,
            // What was written stays written, even if the peer is lost.
            (Written { confirms: false }, Gone) => Written { confirms: false },
            (Written { .. }, new) => new,
            (settled, _) => settled,
        };
    }
}

impl Delivery {
    /// Returns the number of peers that it was written to.
    pub fn written(&self) -> usize {
        self.peers.iter().filter(|peer| peer.is_written()).count()
    }

    /// Returns the number of peers that confirmed it.
    pub fn confirmed(&self) -> usize {
        self.count(|state| *state == DeliveryState::Confirmed)
    }

    fn count(&self, is: impl Fn(&DeliveryState) -> bool) -> usize {
        self.peers.iter().filter(|peer| is(&peer.state)).count()
    }

    /// Whether it had been sent before, and nothing more is known.
    fn is_known(&self) -> bool {
        self.known && self.peers.is_empty()
    }

    /// Checks whether a peer has it.
    ///
    /// # Errors
    /// If no peer took it, as far as is known.
    pub fn result(&self) -> Result<(), DeliveryError> {
        let (hash, written) = (self.hash, self.written());
        let refusals: Vec<_> = self
            .peers
            .iter()
            .filter_map(|peer| match &peer.state {
                DeliveryState::Refused(error) => Some(error.clone()),
                _ => None,
            })
            .collect();
        let ahead = self.peers.iter().filter_map(|peer| match peer.state {
            DeliveryState::Expired { ahead } => Some(ahead),
            _ => None,
        });
        let (expired, ahead) = (ahead.clone().count(), ahead.min());
        let unanswered = self.count(|state| *state == DeliveryState::Unanswered);
        if written == 0 && !self.is_known() {
            Err(DeliveryError::NotWritten(hash))
        } else if self.confirmed() == 0 && !refusals.is_empty() && refusals.len() == written {
            Err(DeliveryError::Refused { hash, refusals })
        } else if let Some(ahead) = ahead
            && expired + refusals.len() == written
        {
            Err(DeliveryError::Expired { hash, ahead })
        } else if unanswered > 0 && unanswered == written {
            Err(DeliveryError::Unanswered { hash, expired: self.expired })
        } else {
            Ok(())
        }
    }

    /// Whether a peer may yet get it or answer.
    fn is_open(&self) -> bool {
        use DeliveryState::{Queued, Written};
        self.count(|state| matches!(state, Queued | Written { confirms: true })) > 0
    }

    /// Whether all peers that might have it are gone.
    fn is_stranded(&self) -> bool {
        use DeliveryState::{Gone, Unanswered};
        self.peers.iter().all(|peer| matches!(peer.state, Gone | Unanswered)) && !self.is_known()
    }
}

/// An envelope whose outcome is open.
#[derive(Debug)]
struct Pending {
    delivery: Delivery,
    until: Instant,
    /// When nobody gets it any more.
    expires: Instant,
    /// The seconds that it had to live when it was handed over.
    life: u64,
}

impl Pending {
    /// Returns when its outcome is final, whatever happens; `None` if it is now.
    fn late_at(&self, give_up: Option<Instant>) -> Option<Instant> {
        match (self.delivery.is_stranded(), self.delivery.is_open()) {
            (true, _) => Some(give_up.unwrap_or(self.until).min(self.expires)),
            (_, true) => Some(self.until),
            _ => None,
        }
    }
}

/// The envelopes whose outcome is open.
#[derive(Debug)]
pub(crate) struct Outbox {
    pending: VecDeque<Pending>,
    /// How long a peer may take to answer.
    confirm_timeout: Duration,
    /// How long lost peers may take to come back.
    reconnect_timeout: Duration,
    /// Since when all peers are lost.
    alone_since: Option<Instant>,
}

impl Outbox {
    pub fn new(confirm_timeout: Duration, reconnect_timeout: Duration) -> Self {
        Self { pending: VecDeque::new(), confirm_timeout, reconnect_timeout, alone_since: None }
    }

    /// Adds an envelope that was handed to the node, where it stays for `left`.
    pub fn push(
        &mut self,
        id: SendId,
        contents: Contents,
        envelope: Arc<Envelope>,
        sent: Sent,
        left: Duration,
        summary: impl Fn(ConnectionId) -> Option<Arc<PeerSummary>>,
    ) {
        let same = |pending: &&Pending| pending.delivery.hash == sent.hash;
        let peers = match self.pending.iter().rev().find(same) {
            // One that is under way already shares what is known of the first.
            Some(earlier) => earlier.delivery.peers.clone(),
            None => sent
                .peers
                .into_iter()
                .map(|connection| PeerDelivery {
                    connection,
                    peer: summary(connection),
                    state: DeliveryState::Queued,
                })
                .collect(),
        };
        let now = Instant::now();
        let delivery = Delivery {
            id,
            contents,
            envelope,
            hash: sent.hash,
            peers,
            known: sent.known,
            expired: false,
        };
        let (until, expires) = (now + self.confirm_timeout, now + left);
        let life = left.as_secs();
        self.pending.push_back(Pending { delivery, until, expires, life });
    }

    /// Notes how far an envelope got with a peer.
    pub fn set(
        &mut self,
        hash: &EnvelopeHash,
        connection: ConnectionId,
        peer: Option<&Arc<PeerSummary>>,
        state: &DeliveryState,
    ) {
        for pending in &mut self.pending {
            let delivery = &mut pending.delivery;
            if delivery.hash != *hash {
                continue;
            }
            let peers = &mut delivery.peers;
            if let Some(known) = peers.iter_mut().find(|it| it.connection == connection) {
                known.set(state.clone());
                continue;
            }
            // The peer connected while the envelope was under way, or has come back.
            let new = PeerDelivery { connection, peer: peer.cloned(), state: state.clone() };
            let id = peer.map(|peer| peer.id);
            let earlier = peers.iter_mut().find(|it| {
                matches!(it.state, DeliveryState::Gone | DeliveryState::Unanswered)
                    && it.peer.as_ref().map(|peer| peer.id) == id
            });
            match earlier {
                Some(earlier) => *earlier = new,
                None => peers.push(new),
            }
        }
    }

    /// Notes that a peer has confirmed an envelope. `ahead`: by how many seconds, at least, its clock is
    /// ahead of ours.
    pub fn confirm(
        &mut self,
        hash: &EnvelopeHash,
        connection: ConnectionId,
        peer: Option<&Arc<PeerSummary>>,
        ahead: u32,
    ) {
        let mut pending = self.pending.iter().filter(|it| it.delivery.hash == *hash);
        let state = match pending.next() {
            Some(pending) if pending.life <= u64::from(ahead) => DeliveryState::Expired { ahead },
            _ => DeliveryState::Confirmed,
        };
        self.set(hash, connection, peer, &state);
    }

    /// Takes the envelopes that no peer has, and that none of theirs `wants` any more.
    pub fn take_unwanted(
        &mut self,
        wants: impl Fn(ConnectionId, &Envelope) -> bool,
    ) -> Vec<Delivery> {
        let is_unwanted = |pending: &mut Pending| {
            let Delivery { peers, envelope, .. } = &pending.delivery;
            let mut waiting = peers.iter().filter(|it| it.state == DeliveryState::Queued);
            pending.delivery.written() == 0
                && waiting.clone().next().is_some()
                && !waiting.any(|it| wants(it.connection, envelope))
        };
        let mut taken = Vec::new();
        let mut at = 0;
        while let Some(pending) = self.pending.get_mut(at) {
            if is_unwanted(pending) {
                taken.extend(self.pending.remove(at).map(|pending| pending.delivery));
            } else {
                at += 1;
            }
        }
        taken
    }

    /// Notes that a connection has ended.
    pub fn lose(&mut self, connection: ConnectionId) {
        for pending in &mut self.pending {
            let mut peers = pending.delivery.peers.iter_mut();
            if let Some(peer) = peers.find(|peer| peer.connection == connection) {
                peer.set(DeliveryState::Gone);
            }
        }
    }

    /// Notes that a peer is ready: what was stranded gets more time.
    pub fn revive(&mut self) {
        let until = Instant::now() + self.confirm_timeout;
        for pending in self.pending.iter_mut().filter(|it| it.delivery.is_stranded()) {
            pending.until = pending.until.max(until);
        }
    }

    /// Notes how many peers there are.
    pub fn set_peers(&mut self, count: usize) {
        if count > 0 {
            self.alone_since = None;
        } else {
            self.alone_since.get_or_insert_with(Instant::now);
        }
    }

    /// Returns until when lost peers may come back, if all are lost.
    pub fn give_up_at(&self) -> Option<Instant> {
        self.alone_since.map(|since| since + self.reconnect_timeout)
    }

    /// Returns the next delivery whose outcome is final.
    pub fn pop(&mut self, now: Instant) -> Option<Delivery> {
        let give_up = self.give_up_at();
        let is_final = |it: &Pending| it.late_at(give_up).is_none_or(|at| at <= now);
        let at = self.pending.iter().position(is_final)?;
        let mut pending = self.pending.remove(at)?;
        pending.delivery.expired = pending.delivery.is_stranded() && pending.expires <= now;
        Some(pending.delivery)
    }

    /// Returns when [`pop`](Self::pop) has something at the latest.
    pub fn late_at(&self) -> Option<Instant> {
        let give_up = self.give_up_at();
        self.pending.iter().filter_map(|it| it.late_at(give_up)).min()
    }

    /// Whether all outcomes are known.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether an envelope waits to be written.
    pub fn has_queued(&self) -> bool {
        let queued = |peer: &PeerDelivery| peer.state == DeliveryState::Queued;
        self.pending.iter().any(|it| it.delivery.peers.iter().any(queued))
    }
}

#[cfg(test)]
mod tests {
    use statuskit_core::{
        crypto::{SecretKey, seeded_rng},
        envelope::Topic,
    };
    use statuskit_net::node::{Node, NodeConfig, PeerInfo};

    use super::*;
    use statuskit_core::time::UnixSeconds;

    const PATIENCE: Duration = Duration::from_secs(3600);

    /// Two connections of a node, with their summaries.
    fn peers() -> Vec<Arc<PeerSummary>> {
        let mut node = Node::new(NodeConfig::default(), 1, Duration::from_secs(100));
        let mut rng = seeded_rng("peers");
        let mut summary = || {
            Arc::new(PeerSummary {
                key: node.add_peer(PeerInfo::default(), Duration::from_secs(100)).unwrap(),
                id: SecretKey::generate(&mut rng).public_key(),
                addr: "127.0.0.1:1".parse().unwrap(),
                inbound: false,
                client: String::new(),
            })
        };
        vec![summary(), summary()]
    }

    fn push(outbox: &mut Outbox, id: u64, to: &[Arc<PeerSummary>], left: Duration) -> EnvelopeHash {
        let envelope = Arc::new(Envelope::new(UnixSeconds(100), 15, Topic([1; 4]), &[7; 40], id));
        let peers = to.iter().map(|peer| peer.key).collect();
        let sent = Sent { hash: envelope.hash(), known: false, peers };
        let hash = sent.hash;
        let find = |key| to.iter().find(|peer| peer.key == key).cloned();
        outbox.push(SendId(id), Contents::Envelope, envelope, sent, left, find);
        hash
    }

    #[test]
    fn an_outcome_is_final_when_every_peer_has_answered() {
        let (peers, mut outbox) = (peers(), Outbox::new(PATIENCE, PATIENCE));
        let hash = push(&mut outbox, 1, &peers, PATIENCE);
        assert!(outbox.pop(Instant::now()).is_none() && outbox.has_queued());
        let set = |outbox: &mut Outbox, at: usize, state| {
            outbox.set(&hash, peers[at].key, Some(&peers[at]), &state);
        };
        set(&mut outbox, 0, DeliveryState::Written { confirms: true });
        set(&mut outbox, 1, DeliveryState::Written { confirms: false });
        assert!(outbox.pop(Instant::now()).is_none() && !outbox.has_queued());
        set(&mut outbox, 0, DeliveryState::Confirmed);
        // What is settled stays so.
        outbox.lose(peers[0].key);
        outbox.lose(peers[1].key);
        let delivery = outbox.pop(Instant::now()).unwrap();
        assert_eq!((delivery.written(), delivery.confirmed()), (2, 1));
        assert_eq!(delivery.result(), Ok(()));
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_stranded_envelope_waits_for_the_peer_that_comes_back() {
        let (peers, mut outbox) = (peers(), Outbox::new(Duration::ZERO, PATIENCE));
        let hash = push(&mut outbox, 1, &peers[..1], PATIENCE);
        outbox.lose(peers[0].key);
        outbox.set_peers(0);
        let give_up = outbox.give_up_at().unwrap();
        assert!(outbox.pop(Instant::now()).is_none(), "it waits for lost peers");
        // It comes back under another connection, and takes the place of the first.
        let back = Arc::new(PeerSummary { key: peers[1].key, ..(*peers[0]).clone() });
        outbox.set_peers(1);
        outbox.set(&hash, back.key, Some(&back), &DeliveryState::Confirmed);
        let delivery = outbox.pop(Instant::now()).unwrap();
        assert_eq!((delivery.peers.len(), delivery.confirmed()), (1, 1));
        assert!(outbox.give_up_at().is_none() && give_up > Instant::now());
    }

    #[test]
    fn failures_differ() {
        let (peers, mut outbox) = (peers(), Outbox::new(Duration::ZERO, Duration::ZERO));
        let hash = push(&mut outbox, 1, &peers[..1], Duration::ZERO);
        let late = Instant::now() + Duration::from_secs(1);
        outbox.lose(peers[0].key);
        let delivery = outbox.pop(late).unwrap();
        assert_eq!(delivery.result(), Err(DeliveryError::NotWritten(hash)));
        assert!(delivery.expired);

        let hash = push(&mut outbox, 2, &peers[..1], PATIENCE);
        outbox.set(&hash, peers[0].key, None, &DeliveryState::Written { confirms: true });
        outbox.lose(peers[0].key);
        let unanswered = DeliveryError::Unanswered { hash, expired: false };
        assert_eq!(outbox.pop(late).unwrap().result(), Err(unanswered));

        let hash = push(&mut outbox, 3, &peers[..1], PATIENCE);
        let refusal = EnvelopeError { hash, code: 2, description: "low".to_owned() };
        outbox.set(&hash, peers[0].key, None, &DeliveryState::Written { confirms: true });
        outbox.set(&hash, peers[0].key, None, &DeliveryState::Refused(refusal.clone()));
        let error = outbox.pop(late).unwrap().result().unwrap_err();
        assert_eq!(error, DeliveryError::Refused { hash, refusals: vec![refusal] });
        assert_eq!(error.code(), "send.refused");
    }
}
