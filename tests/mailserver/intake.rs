//! Envelopes whose time is outside of what is kept.

use std::{sync::Arc, time::Duration};

use statuskit_core::{envelope::Envelope, time::UnixSeconds};
use statuskit_mailserver::{
    Archive, Intake, Mailserver, MailserverConfig, PassedOver,
    archive::{Count, EmbeddedArchive, MemoryArchive},
    client::{SyncOptions, sync},
    intake::BEGINNING,
};

use crate::world::*;

const DAY: u32 = 86_400;
const HOUR: Duration = Duration::from_secs(3600);

/// Makes an envelope that is alive at present, whenever it was sent.
fn sent(at: u32) -> Envelope {
    let expiry = NOW + 1000;
    Envelope::new(UnixSeconds(expiry), expiry - at, TOPICS[0], &at.to_be_bytes(), 0)
}

/// Returns the days of an archive's envelopes.
fn days(archive: &dyn Archive) -> Vec<u32> {
    let mut days = Vec::new();
    archive.counts(&mut |Count { day, .. }| days.push(day)).unwrap();
    days.sort_unstable();
    days
}

/// Sends envelopes of these ages, in seconds, through a node, and returns which of them its
/// mailserver did not store.
async fn refused(archive: Arc<dyn Archive>, ages: &[u32], config: MailserverConfig) -> Vec<u32> {
    let server = start_server_with("server", archive.clone(), |_, it| *it = config).await;
    // When this is archived, the pool was read: later envelopes are only seen once.
    server.node.handle().send(envelope(NOW, TOPICS[1], 1)).unwrap();
    until(|| server.mailserver.stats().archived == 1).await;
    for age in ages {
        server.node.handle().send(sent(NOW - age)).unwrap();
    }
    let count = 1 + ages.len() as u64;
    until(|| {
        let stats = server.mailserver.stats();
        stats.archived + stats.passed_over.total() == count
    })
    .await;
    let passed_over = server.mailserver.stats().passed_over;
    let kept: Vec<u32> = all_of(&*archive).iter().map(|it| NOW - it.sent().0).collect();
    let refused: Vec<u32> = ages.iter().copied().filter(|age| !kept.contains(age)).collect();
    assert_eq!(passed_over, PassedOver { too_old: refused.len() as u64, from_future: 0 });
    server.stop().await;
    refused
}

fn config(retention: Option<Duration>, max_age: Option<Duration>) -> MailserverConfig {
    let server = rules_with(|it| it.retention = retention);
    let mut config = MailserverConfig::new(server);
    config.max_age = max_age;
    config
}

#[tokio::test]
async fn a_node_stores_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let ages = [0, 3000, 3 * 3600, 29 * DAY, 31 * DAY, NOW];
    for is_embedded in [false, true] {
        let archive = |name: &str| -> Arc<dyn Archive> {
            if is_embedded {
                Arc::new(EmbeddedArchive::open(&dir.path().join(name)).unwrap())
            } else {
                Arc::new(MemoryArchive::new())
            }
        };
        // By the retention, ...
        let hour = archive("hour");
        let past_hour = refused(hour.clone(), &ages, config(Some(HOUR), Some(24 * HOUR))).await;
        assert_eq!(past_hour, ages[2..]);
        assert_eq!(hour.prune(UnixSeconds(NOW - 3600)).unwrap(), 0, "none is removed at once");
        // ... without one, by the default maximum age, ...
        let month = archive("month");
        let default = MailserverConfig::new(rules());
        assert_eq!(refused(month.clone(), &ages, default).await, ages[4..]);
        assert_eq!(days(&*month)[0], (NOW - 29 * DAY) / DAY);
        // ... or none at all.
        let none = refused(archive("all"), &ages, config(None, None)).await;
        assert_eq!(none, [0; 0]);
    }
}

#[tokio::test]
async fn ignores_old_envelopes_in_the_pool() {
    let (archive, again) = (Arc::new(MemoryArchive::new()), Arc::new(MemoryArchive::new()));
    let server = start_server("server", archive).await;
    let handle = server.node.handle().clone();
    for age in [0, 7200, NOW] {
        handle.send(sent(NOW - age)).unwrap();
    }
    // All were seen: the second mailserver only finds them in the pool.
    until(|| server.mailserver.stats().archived == 2).await;
    let other = Mailserver::start(&handle, again.clone(), config(Some(HOUR), None)).unwrap();
    until(|| other.stats().archived == 1 && other.stats().passed_over.too_old == 2).await;
    assert_eq!(all_of(&*again).len(), 1);
    other.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_copy_passes_over_impossible_times() {
    let times = [7, BEGINNING.0 - 1, BEGINNING.0, NOW - 7200, NOW, NOW + DAY, NOW + 2 * DAY];
    let all = times.map(|at| envelope(at, TOPICS[0], at.into()));
    let from = start_server("from", archive_of(&all)).await;
    let to = start_server("to", archive_of(&[])).await;
    dial(&to.node, &from.node);
    let server = from.node.handle().id();
    for (kept, rest, passed_over) in [
        (None, 2..6, PassedOver { too_old: 2, from_future: 1 }),
        (Some(HOUR), 4..6, PassedOver { too_old: 4, from_future: 1 }),
    ] {
        let archive = Arc::new(MemoryArchive::new());
        // Pages of which nothing is kept don't end it.
        let mut options =
            SyncOptions { limit: 1, ..SyncOptions::new(UnixSeconds::EPOCH, UnixSeconds::MAX) };
        options.intake = Intake::from_copy(UnixSeconds(NOW), kept);
        let copied = sync(to.node.handle(), &server, archive.clone(), options, |_| {});
        let report = within(copied).await.unwrap();
        assert_eq!(report.passed_over, passed_over);
        assert_eq!((report.received, report.new), (7, rest.len() as u64));
        assert_eq!(all_of(&*archive), all[rest]);
    }
    from.stop().await;
    to.stop().await;
}
