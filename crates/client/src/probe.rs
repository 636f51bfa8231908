//! Whether peers take what we send for expired.
//!
//! A peer whose clock is ahead of ours drops envelopes that it takes for expired, and still confirms
//! them, unless they are over for more than 20 seconds. Without a look at its clock, a sender would
//! hear that all is well of what nobody shows.
//!
//! So a peer is asked once, when it confirms the first envelope: with tiny envelopes that have expired
//! already, by 19 down to one second less than the limit. Its confirmations wait for the answer, for
//! a moment. A peer whose clock is right drops them
//! without a word. One that is ahead by more than `n` seconds calls that one very old which expires
//! `20 - n` seconds ago. If it calls all of them so, later ones follow: none is ever alive for the
//! peer, so nothing is forwarded.
//!
//! Source: the order of the checks in [`statuskit_core::envelope::check`].

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use statuskit_core::{
    envelope::{Envelope, EnvelopeHash, Topic, check::SYNC_ALLOWANCE},
    time::UnixSeconds,
    wire::{
        Packet,
        packet::{EnvelopeError, batch_hash},
    },
};
use statuskit_net::node::ConnectionId;

/// How many seconds an envelope may be over until a peer calls it very old.
const VERY_OLD: u32 = 2 * SYNC_ALLOWANCE;
/// By how many seconds more each probe of the first round asks. All have expired by our clock.
const STEPS: [u32; 4] = [5, 10, 15, VERY_OLD - 1];
/// The most rounds. A clock beyond what they measure lets no envelope of a chat through anyway.
const MAX_ROUNDS: u32 = 8;
/// So long a life makes its proof of work worthless: a peer whose clock is behind refuses it for that,
/// if it refuses anything. Nobody takes it for evidence of a clock.
const PROBE_TTL: u32 = 1 << 16;

/// The hash of a packet, and the probes in it with their seconds.
type Asked = ([u8; 32], Vec<(EnvelopeHash, u32)>);

/// How long confirmations wait for the answer of a peer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known of the clock of a peer.
#[derive(Debug, Default)]
struct Probe {
    /// The packet whose answer is awaited, and its probes with their seconds; none if all is known.
    asked: Option<Asked>,
    asked_at: UnixSeconds,
    rounds: u32,
    /// The longest that an answer took: so much of what it says may be the way.
    slowest: u32,
    /// Its clock is ahead of ours by more than this.
    more_than: Option<u32>,
    /// And by no more than this.
    at_most: Option<u32>,
    /// What it has confirmed meanwhile, until when that waits.
    held: Vec<EnvelopeHash>,
    until: Option<Instant>,
}

impl Probe {
    /// The seconds that the next probes ask for; none if there is nothing more to find out.
    fn next(&self) -> Vec<u32> {
        let from = self.more_than.unwrap_or(0);
        match (self.more_than, self.at_most) {
            _ if self.rounds >= MAX_ROUNDS => Vec::new(),
            (None, Some(_)) => Vec::new(),
            (_, None) => STEPS.map(|step| from + step).to_vec(),
            (Some(_), Some(to)) => (from + 1..to).collect(),
        }
    }

    /// Makes the next packet, if there is one.
    fn ask(&mut self, now: UnixSeconds) -> Option<Packet> {
        let seconds = self.next();
        self.rounds += 1;
        let probe = |seconds: &u32| {
            let expiry = now.0.saturating_sub(VERY_OLD).saturating_add(*seconds);
            Envelope::new(UnixSeconds(expiry), PROBE_TTL, Topic([0; 4]), &[], 0)
        };
        let envelopes: Vec<_> = seconds.iter().map(probe).collect();
        if envelopes.is_empty() {
            return None;
        }
        let hashes = envelopes.iter().map(Envelope::hash);
        let asked = hashes.zip(seconds).collect();
        let packet = Packet::Messages(envelopes);
        self.asked_at = now;
        self.asked = Some((batch_hash(&packet.encode()), asked));
        Some(packet)
    }

    /// By how many seconds, at least, the peer's clock is ahead; 0 if it is not.
    fn ahead(&self) -> u32 {
        match (self.more_than, self.at_most) {
            (Some(seconds), Some(_)) => seconds.saturating_sub(self.slowest),
            // A peer that refuses everything tells nothing about its clock.
            _ => 0,
        }
    }

    fn learn(&mut self, asked: &[(EnvelopeHash, u32)], errors: &[EnvelopeError], now: UnixSeconds) {
        self.slowest = self.slowest.max(now.0.saturating_sub(self.asked_at.0));
        for (hash, seconds) in asked {
            // Refused for whatever reason, those above one that was not mean nothing.
            if !errors.iter().any(|error| error.hash == *hash) {
                self.at_most = Some(*seconds);
                break;
            }
            self.more_than = Some(*seconds);
        }
    }
}

/// The clocks of the peers that were asked.
#[derive(Debug, Default)]
pub(crate) struct Probes(HashMap<ConnectionId, Probe>);

/// What an answer means.
pub(crate) enum Answer {
    /// It is about other envelopes.
    Other,
    /// More is to be asked.
    Ask(Packet),
    /// The clock of the peer is known: these envelopes were confirmed meanwhile.
    Known(Vec<EnvelopeHash>),
}

impl Probes {
    /// Returns when confirmations have waited long enough.
    pub fn late_at(&self) -> Option<Instant> {
        self.0.values().filter_map(|probe| probe.until).min()
    }

    /// Returns the confirmations that have waited long enough. Their peers are not asked again.
    pub fn take_late(&mut self, now: Instant) -> Vec<(ConnectionId, Vec<EnvelopeHash>)> {
        let late = self.0.iter_mut().filter(|(_, probe)| probe.until.is_some_and(|at| at <= now));
        let given_up = |(peer, probe): (&ConnectionId, &mut Probe)| {
            (probe.asked, probe.until) = (None, None);
            (*peer, std::mem::take(&mut probe.held))
        };
        late.map(given_up).collect()
    }

    /// Returns what to ask a peer, once.
    pub fn first(&mut self, peer: ConnectionId, now: UnixSeconds) -> Option<Packet> {
        if self.0.contains_key(&peer) {
            return None;
        }
        self.0.entry(peer).or_default().ask(now)
    }

    /// Forgets a peer that is gone, or can't be asked. Returns what it has confirmed.
    pub fn forget(&mut self, peer: ConnectionId) -> Vec<EnvelopeHash> {
        self.0.remove(&peer).map(|probe| probe.held).unwrap_or_default()
    }

    /// Takes an answer to a packet; `errors` is `None` if it does not tell.
    pub fn answer(
        &mut self,
        peer: ConnectionId,
        batch: &[u8; 32],
        errors: Option<&[EnvelopeError]>,
        now: UnixSeconds,
    ) -> Answer {
        let Some(probe) = self.0.get_mut(&peer) else { return Answer::Other };
        let Some((_, asked)) = probe.asked.take_if(|(asked, _)| asked == batch) else {
            return Answer::Other;
        };
        probe.learn(&asked, errors.unwrap_or_default(), now);
        match probe.ask(now) {
            Some(packet) => Answer::Ask(packet),
            None => {
                probe.until = None;
                Answer::Known(std::mem::take(&mut probe.held))
            }
        }
    }

    /// Keeps a confirmation until the clock of the peer is known. Returns whether it is kept.
    pub fn hold(&mut self, peer: ConnectionId, hash: EnvelopeHash) -> bool {
        match self.0.get_mut(&peer) {
            Some(probe) if probe.asked.is_some() => {
                probe.held.push(hash);
                probe.until.get_or_insert_with(|| Instant::now() + PATIENCE);
                true
            }
            _ => false,
        }
    }

    /// Returns by how many seconds, at least, the clock of a peer is ahead of ours; 0 if it is not.
    pub fn ahead(&self, peer: ConnectionId) -> u32 {
        self.0.get(&peer).map_or(0, Probe::ahead)
    }
}

#[cfg(test)]
mod tests {
    use statuskit_core::envelope::{
        Rules, Verdict,
        check::{future_diff, verdict},
    };

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_585_558_800);

    /// Asks a peer with the rules of the reference, whose clock is ahead by `offset` and whose answers
    /// take `delay`, until all is known. Returns what is known, and what it said of the probes.
    fn asked(offset: i64, delay: u32) -> (Probe, Vec<Verdict>) {
        let (mut probe, mut now, mut said) = (Probe::default(), NOW, Vec::new());
        while let Some(packet) = probe.ask(now) {
            let Packet::Messages(envelopes) = packet else { panic!("{packet:?}") };
            now = UnixSeconds(now.0 + delay);
            let rules = Rules {
                min_pow: 0.001,
                min_pow_tolerance: 0.001,
                ..Rules::new(UnixSeconds((i64::from(now.0) + offset) as u32))
            };
            let mut errors = Vec::new();
            for envelope in envelopes {
                let pow = envelope.pow(future_diff(envelope.sent(), rules.now));
                let verdict = verdict(&envelope, pow, &rules);
                if verdict.is_error() {
                    let (hash, description) = (envelope.hash(), verdict.to_string());
                    errors.push(EnvelopeError { hash, code: 37, description });
                }
                said.push(verdict);
            }
            let (_, asked) = probe.asked.take().expect("it was asked");
            probe.learn(&asked, &errors, now);
        }
        (probe, said)
    }

    #[test]
    fn a_clock_that_is_behind_is_measured_and_another_costs_one_packet() {
        for offset in -200..=1 {
            let (probe, said) = asked(offset, 0);
            assert_eq!(probe.ahead(), 0, "{offset}");
            // Of a clock that is far ahead, we hear by other refusals.
            assert!(said.len() == STEPS.len() || offset <= -15, "{offset}");
            assert!(!said.contains(&Verdict::Accepted));
        }
        for offset in 6..=130 {
            let (probe, said) = asked(offset, 0);
            // An envelope with less to live has expired by the peer's clock.
            assert_eq!(i64::from(probe.ahead()), offset - 1);
            // Nothing is ever alive, so nothing is forwarded.
            let is_dead = |it: &Verdict| matches!(it, Verdict::VeryOld | Verdict::Expired);
            assert!(said.iter().all(is_dead), "{offset}: {said:?}");
            assert!(said.len() < 64);
        }
    }

    #[test]
    fn slow_answers_and_refusals_of_everything_make_no_clock_wrong() {
        for delay in 0..40 {
            let (probe, _) = asked(0, delay);
            assert_eq!(probe.ahead(), 0, "{delay}");
            let (probe, _) = asked(30, delay);
            assert!(probe.ahead() <= 30, "{delay}");
        }
        let mut probe = Probe::default();
        while let Some(Packet::Messages(envelopes)) = probe.ask(NOW) {
            let (_, asked) = probe.asked.take().expect("it was asked");
            let error = |it: &Envelope| EnvelopeError {
                hash: it.hash(),
                code: 37,
                description: String::new(),
            };
            probe.learn(&asked, &envelopes.iter().map(error).collect::<Vec<_>>(), NOW);
        }
        assert_eq!((probe.ahead(), probe.rounds), (0, MAX_ROUNDS + 1));
    }
}
