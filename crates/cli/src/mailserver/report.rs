//! The state of a mailserver: for its operator, for Prometheus, for health checks.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::{Map, Value};
use statuskit_mailserver::{
    Archive, Mailserver, MailserverEvent, MailserverStats,
    archive::Summary,
    service::{Answered, MailserverNews, Outcome},
};
use statuskit_net::node::{Handle, Stats};

use crate::{
    context::Context,
    error::{CliError, Exit},
    mailserver::http::{Metrics, Told},
    net::{networks, networks_value},
    output::{Record, escape},
    records::float,
    text::count,
};

/// The source of metrics and health of a running mailserver.
pub struct Report {
    handle: Handle,
    archive: Arc<Watched>,
    mailserver: Mutex<Option<Mailserver>>,
}

/// How long a request waits for the archive to answer. After that, the last answer is used.
const BRIEFLY: Duration = Duration::from_secs(1);

/// An archive and its last known state. It may be far away or gone, and nobody waits for that.
struct Watched {
    archive: Arc<dyn Archive>,
    seen: Mutex<Seen>,
    answered: Condvar,
}

/// The last known state of an archive.
#[derive(Debug, Default)]
struct Seen {
    /// Its last summary.
    summary: Option<Summary>,
    /// Whether it is being asked.
    asked: bool,
    /// Why writing, reading and pruning fail, until they succeed.
    write: Option<String>,
    read: Option<String>,
    prune: Option<String>,
}

impl Seen {
    fn follow(&mut self, event: &MailserverEvent) {
        match event {
            MailserverEvent::ArchiveFailed { error, .. } => self.write = Some(error.to_string()),
            MailserverEvent::ArchiveRecovered => self.write = None,
            MailserverEvent::ReadFailed(error) => self.read = Some(error.to_string()),
            MailserverEvent::ReadRecovered => self.read = None,
            MailserverEvent::Answered(answered) => self.follow_outcome(&answered.outcome),
            MailserverEvent::PruneFailed(error) => self.prune = Some(error.to_string()),
            MailserverEvent::Pruned { .. } => self.prune = None,
            _ => {}
        }
    }

    /// The archive may have answered well meanwhile, but a failing reader knows better.
    fn follow_outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::ArchiveFailed(reason) => self.read = Some(reason.clone()),
            Outcome::Delivered | Outcome::Empty => self.read = None,
            _ => {}
        }
    }

    fn fault(&self) -> Option<&String> {
        self.write.as_ref().or(self.read.as_ref()).or(self.prune.as_ref())
    }
}

impl Watched {
    fn new(archive: Arc<dyn Archive>) -> Self {
        Self { archive, seen: Mutex::default(), answered: Condvar::new() }
    }

    /// Asks the archive for its state, and returns what is known by then or shortly after.
    fn look(self: &Arc<Self>) -> MutexGuard<'_, Seen> {
        let mut seen = self.seen();
        if !seen.asked {
            let this = self.clone();
            let thread = thread::Builder::new().name("archive".to_owned());
            seen.asked = thread.spawn(move || this.ask()).is_ok();
        }
        // An archive that could not be read is not waited for.
        let patience = if seen.read.is_some() { Duration::ZERO } else { BRIEFLY };
        let waited = self.answered.wait_timeout_while(seen, patience, |seen| seen.asked);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn ask(&self) {
        let summary = self.archive.summary();
        let mut seen = self.seen();
        seen.asked = false;
        match summary {
            Ok(summary) => (seen.summary, seen.read) = (Some(summary), None),
            Err(error) => seen.read = Some(error.to_string()),
        }
        drop(seen);
        self.answered.notify_all();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    /// Reports on this mailserver on this node.
    pub fn new(handle: Handle, mailserver: Mailserver) -> Self {
        let archive = Arc::new(Watched::new(mailserver.archive().clone()));
        Self { handle, archive, mailserver: Mutex::new(Some(mailserver)) }
    }

    /// Takes the mailserver, to stop it.
    pub fn take(&self) -> Option<Mailserver> {
        self.mailserver().take()
    }

    /// Follows the archive's failures as long as the mailserver runs.
    pub async fn follow(self: Arc<Self>, mut news: MailserverNews) {
        while let Some(event) = news.next().await {
            self.archive.seen().follow(&event);
        }
    }

    /// Returns how many envelopes wait to be stored, if any do.
    pub fn waiting(&self) -> Option<usize> {
        Some(self.counted().waiting).filter(|waiting| *waiting > 0)
    }

    /// Makes the record of type "stats".
    pub fn stats(&self) -> Record {
        let (stats, node) = (self.counted(), self.handle.stats_of_all());
        let outcomes = |counts: &std::collections::BTreeMap<&'static str, u64>| {
            let counts =
                counts.iter().map(|(outcome, count)| (outcome.to_string(), (*count).into()));
            counts.collect::<Map<String, Value>>()
        };
        Record::new("stats")
            .with("peers", node.ready_peers)
            .with("pooled", node.pooled)
            .with("archived", stats.archived)
            .with("duplicates", stats.duplicates)
            .with("too_old", stats.passed_over.too_old)
            .with("waiting", stats.waiting)
            .with("archive_errors", stats.archive_errors)
            .with("requests", outcomes(&stats.requests))
            .with("sync_requests", outcomes(&stats.sync_requests))
            .with("envelopes_sent", stats.envelopes_sent)
            .with("bytes_sent", stats.bytes_sent)
            .with("pruned", stats.pruned)
            .with_some("networks", networks_value(&self.handle))
    }

    fn counted(&self) -> MailserverStats {
        self.mailserver().as_ref().map(Mailserver::stats).unwrap_or_default()
    }

    fn mailserver(&self) -> MutexGuard<'_, Option<Mailserver>> {
        self.mailserver.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told for Report {
    fn metrics(&self) -> String {
        let mut metrics = Metrics::new("statuskit_");
        put_requests(&mut metrics, &self.counted());
        let node = self.handle.stats_of_all();
        let help = "Peers that have sent their Status; those in both networks count twice.";
        metrics.gauge("peers", help, node.ready_peers as u64);
        let each: Vec<_> = networks(&self.handle).collect();
        let of = |count: fn(&Stats) -> u64| each.iter().map(move |(name, it)| (*name, count(it)));
        let help = "Peers that have sent their Status, in each network.";
        let peers = of(|stats| stats.ready_peers as u64);
        metrics.gauges("network_peers", help, "network", peers);
        let help = "Envelopes accepted, in each network.";
        metrics.counters("network_envelopes_new_total", help, "network", of(|stats| stats.new));
        metrics.gauge("pool_envelopes", "Envelopes in the pool.", node.pooled as u64);
        metrics.gauge(
            "pool_bytes",
            "Bytes of the envelopes in the pool.",
            node.pooled_bytes as u64,
        );
        metrics.counter("node_envelopes_new_total", "Envelopes accepted.", node.new);
        metrics.counter(
            "node_envelopes_duplicate_total",
            "Envelopes known already.",
            node.duplicates,
        );
        metrics.counter("node_envelopes_refused_total", "Envelopes refused.", node.refused);
        metrics.counter("node_received_bytes_total", "Bytes from peers.", node.bytes_in);
        metrics.counter("node_sent_bytes_total", "Bytes to peers.", node.bytes_out);
        // From the archive's last answer; left out if there was none.
        let archive = self.archive.look().summary.clone();
        if let Some(archive) = archive {
            metrics.gauge("archive_envelopes", "Envelopes in the archive.", archive.envelopes);
            metrics.gauge("archive_bytes", "Bytes of the envelopes in the archive.", archive.bytes);
            metrics.gauge("archive_topics", "Topics in the archive.", archive.topics);
            if let Some((oldest, newest)) = archive.span {
                let help = "When the oldest envelope was sent, UNIX time.";
                metrics.gauge("archive_oldest_seconds", help, oldest.into());
                let help = "When the newest envelope was sent, UNIX time.";
                metrics.gauge("archive_newest_seconds", help, newest.into());
            }
            if let Some(disk) = archive.disk {
                metrics.gauge("archive_disk_bytes", "Bytes that the archive takes on disk.", disk);
            }
        }
        metrics.into_text()
    }

    fn health(&self) -> (bool, Record) {
        let fault = self.archive.look().fault().cloned();
        let fault = match fault {
            Some(fault) => Some(fault),
            None if self.mailserver().is_none() => Some("it is about to end".to_owned()),
            None => None,
        };
        let record = Record::new("health")
            .with("status", if fault.is_none() { "ok" } else { "failing" })
            .with_some("fault", fault.clone())
            .with("peers", self.handle.stats_of_all().ready_peers)
            .with("waiting", self.counted().waiting);
        (fault.is_none(), record)
    }
}

fn put_requests(metrics: &mut Metrics, stats: &MailserverStats) {
    let by_outcome = |counts: &std::collections::BTreeMap<&'static str, u64>| {
        counts.iter().map(|(outcome, count)| (*outcome, *count)).collect::<Vec<_>>()
    };
    let help = "Requests for historic messages, by how they ended.";
    metrics.counters("mailserver_requests_total", help, "outcome", by_outcome(&stats.requests));
    let help = "Requests of other mailservers, by how they ended.";
    let counts = by_outcome(&stats.sync_requests);
    metrics.counters("mailserver_sync_requests_total", help, "outcome", counts);
    let help = "How long answers took, from the request to the last packet.";
    let durations = &stats.durations;
    let buckets = durations.cumulative();
    metrics.histogram("mailserver_request_duration_seconds", help, buckets, durations.sum());
    metrics.gauge("mailserver_queued_requests", "Requests that wait.", stats.queued as u64);
    for (name, help, value) in [
        ("envelopes_sent_total", "Envelopes sent to clients.", stats.envelopes_sent),
        ("sent_bytes_total", "Bytes sent to clients.", stats.bytes_sent),
        ("oversized_total", "Envelopes asked for that no packet has room for.", stats.oversized),
        ("archived_total", "Envelopes stored.", stats.archived),
        ("archived_duplicates_total", "Envelopes that were stored already.", stats.duplicates),
        ("too_old_total", "Envelopes not stored for their age.", stats.passed_over.too_old),
        ("commits_total", "Commits to the archive.", stats.commits),
        ("archive_errors_total", "Failures of the archive.", stats.archive_errors),
        ("left_out_total", "Envelopes put off since too many waited.", stats.left_out),
        ("pruned_total", "Envelopes removed for their age.", stats.pruned),
    ] {
        metrics.counter(&format!("mailserver_{name}"), help, value);
    }
    let help = "Envelopes that wait to be stored.";
    metrics.gauge("mailserver_waiting_envelopes", help, stats.waiting as u64);
}

/// Makes the record of a request that ended.
pub fn request_record(answered: &Answered, handle: &Handle) -> Record {
    let peer = handle.peers().into_iter().find(|peer| peer.key == answered.peer);
    let reason = match &answered.outcome {
        Outcome::Refused(_, reason) | Outcome::ArchiveFailed(reason) => Some(reason.as_str()),
        _ => None,
    };
    Record::new("request")
        .with("outcome", answered.outcome.label())
        .with_some("reason", reason)
        .with("peer", peer.as_ref().map(|peer| peer.addr.to_string()))
        .with("client", peer.as_ref().map(|peer| peer.client.clone()))
        .with("sync", answered.sync)
        .with("envelopes", answered.totals.envelopes)
        .with("packets", answered.totals.packets)
        .with("bytes", answered.totals.bytes)
        .with("seconds", float(answered.elapsed.as_secs_f64()))
}

/// Describes a request in a line of text.
pub fn request_text(record: &Record) -> String {
    let members = record.members();
    let member = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or("-");
    let kind = if members["sync"] == true { "sync request" } else { "request" };
    format!(
        "{kind} of {}: {} {}, {} envelopes, {} bytes, {:.1} ms",
        escape(member("peer")),
        member("outcome"),
        escape(members.get("reason").and_then(Value::as_str).unwrap_or_default()),
        members["envelopes"],
        members["bytes"],
        members["seconds"].as_f64().unwrap_or_default() * 1000.0,
    )
}

/// Shows what an operator should know at once.
pub fn show_event(event: &MailserverEvent, cx: &Context) {
    match event {
        MailserverEvent::ArchiveFailed { error, waiting, retry_in } => {
            let next = retry_in.map_or_else(
                || "they are lost".to_owned(),
                |wait| format!("tried again in {wait:?}"),
            );
            let message = format!(
                "{} could not be stored: {error}; {next}",
                count(*waiting as u64, "envelope")
            );
            cx.show(&CliError::new(error.code(), Exit::Local, message));
        }
        MailserverEvent::ArchiveRecovered => cx.note("envelopes are stored again"),
        MailserverEvent::ReadFailed(error) => {
            let message = format!("requests can't be answered from the archive: {error}");
            cx.show(&CliError::new(error.code(), Exit::Local, message));
        }
        MailserverEvent::ReadRecovered => cx.note("requests are answered from the archive again"),
        MailserverEvent::IngestFull { waiting } => {
            cx.note(&format!(
                "to be stored: {}; new ones are put off",
                count(*waiting as u64, "envelope")
            ));
        }
        MailserverEvent::Pruned { removed, before } => {
            cx.note(&format!("{} removed, sent before {before}", count(*removed, "envelope")));
        }
        MailserverEvent::PruneFailed(error) => {
            let message = format!("old envelopes could not be removed: {error}");
            cx.show(&CliError::new(error.code(), Exit::Local, message));
        }
        MailserverEvent::ClockJumped(seconds) => {
            cx.note(&format!("the clock jumped by {seconds} s; nothing is removed for now"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::{ops::ControlFlow, sync::mpsc};

    use super::*;
    use statuskit_core::{envelope::Envelope, mailserver::Position, time::UnixSeconds};
    use statuskit_mailserver::{
        ArchiveError,
        archive::{Budget, Count, Query, Record, Step},
    };

    /// Answers with what the test sends.
    #[derive(Debug)]
    struct Slow(Mutex<mpsc::Receiver<Result<Summary, ArchiveError>>>);

    impl Archive for Slow {
        fn append(&self, _: &[Envelope]) -> Result<usize, ArchiveError> {
            Ok(0)
        }

        fn read_step(
            &self,
            _: &Query,
            _: &mut Budget,
            _: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
        ) -> Result<Step, ArchiveError> {
            Ok(Step::Done)
        }

        fn contains(&self, _: &Position) -> Result<bool, ArchiveError> {
            Ok(false)
        }

        fn prune(&self, _: UnixSeconds) -> Result<u64, ArchiveError> {
            Ok(0)
        }

        fn summary(&self) -> Result<Summary, ArchiveError> {
            self.0.lock().unwrap().recv().unwrap()
        }

        fn counts(&self, _: &mut dyn FnMut(Count)) -> Result<(), ArchiveError> {
            Ok(())
        }
    }

    fn gone() -> ArchiveError {
        ArchiveError::Unusable("the database is gone".to_owned())
    }

    /// Waits until the archive has answered.
    fn settle(watched: &Watched) -> MutexGuard<'_, Seen> {
        watched.answered.wait_while(watched.seen(), |seen| seen.asked).unwrap()
    }

    #[test]
    fn a_silent_archive_delays_nobody() {
        let (say, heard) = mpsc::channel();
        let watched = Arc::new(Watched::new(Arc::new(Slow(Mutex::new(heard)))));
        say.send(Ok(Summary { envelopes: 7, ..Summary::default() })).unwrap();
        drop(watched.look());
        assert_eq!(settle(&watched).summary.as_ref().unwrap().envelopes, 7);
        // Now it is silent: the last answer is used, and it is asked only once.
        for _ in 0..2 {
            let seen = watched.look();
            assert_eq!((seen.summary.as_ref().unwrap().envelopes, seen.fault()), (7, None));
        }
        say.send(Err(gone())).unwrap();
        assert_eq!(settle(&watched).fault().unwrap(), "the database is gone");
        // It is well again when it says so.
        let seen = watched.look();
        assert_eq!(seen.fault().unwrap(), "the database is gone");
        drop(seen);
        say.send(Ok(Summary::default())).unwrap();
        let seen = settle(&watched);
        assert_eq!((seen.fault(), seen.summary.as_ref().unwrap().envelopes), (None, 0));
    }

    #[test]
    fn every_kind_of_failure_is_a_fault_until_it_is_over() {
        let failed =
            |waiting| MailserverEvent::ArchiveFailed { error: gone(), waiting, retry_in: None };
        let text = "the database is gone";
        for (failure, success) in [
            (failed(1), MailserverEvent::ArchiveRecovered),
            (MailserverEvent::ReadFailed(gone()), MailserverEvent::ReadRecovered),
            (
                MailserverEvent::PruneFailed(gone()),
                MailserverEvent::Pruned { before: UnixSeconds(1), removed: 0 },
            ),
        ] {
            let mut seen = Seen::default();
            seen.follow(&failure);
            assert_eq!(seen.fault().unwrap(), text, "{failure:?}");
            seen.follow_outcome(&Outcome::Left);
            assert!(seen.fault().is_some());
            seen.follow(&success);
            assert_eq!(seen.fault(), None, "{success:?}");
        }
        let mut seen = Seen::default();
        seen.follow_outcome(&Outcome::ArchiveFailed(text.to_owned()));
        assert_eq!(seen.fault().unwrap(), text);
        seen.follow_outcome(&Outcome::Empty);
        assert_eq!(seen.fault(), None);
    }
}
