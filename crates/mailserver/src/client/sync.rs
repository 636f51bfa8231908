//! Copies the archive of another mailserver (codes 123 and 124).
//!
//! The answer is a page in parts; the last part has a cursor if there is more. Only the other
//! server has checked what comes. It is archived if it is of the range and the topics that were
//! asked for, and of a time that is [kept](SyncOptions::intake).
//!
//! Source: the reference, where mailservers of one fleet fill each other's gaps.

use std::{collections::HashSet, sync::Arc, time::Duration};

use statuskit_core::{
    crypto::PublicKey,
    envelope::{Bloom, Envelope},
    mailserver::Cursor,
    time::UnixSeconds,
    wire::{
        Packet,
        p2p::{MAX_LIMIT, SyncRequest},
    },
};
use statuskit_net::node::{ConnectionId, Handle};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};

use crate::{
    Archive, ArchiveError, Intake, PassedOver,
    client::{
        ClientError, Inbox, Misbehaviour, connected,
        inbox::{Mail, mail},
        pace::{Pace, Patience},
    },
};

/// What to ask for, and how.
#[derive(Debug, Clone)]
pub struct SyncOptions {
    /// The first second, UNIX time, inclusive.
    pub from: UnixSeconds,
    /// The last second, inclusive.
    pub to: UnixSeconds,
    /// Which of it is archived, by when it was sent.
    pub intake: Intake,
    /// The topics.
    pub bloom: Bloom,
    /// Envelopes per page, 1 to 1000.
    pub limit: u32,
    /// Where to continue: the cursor of an earlier report.
    pub cursor: Option<Cursor>,
    /// The pause between two pages. A server with a rate limit disconnects clients that do not
    /// wait.
    pub pause: Duration,
    /// How long to wait, per page, while the server refuses requests as too frequent; zero to give
    /// up at the first refusal. The node must redial the server by itself.
    pub rate_limit_patience: Duration,
    /// The longest wait for the connection, and for the next part.
    pub timeout: Duration,
    /// The most bytes that wait for the archive.
    pub max_waiting_bytes: usize,
}

impl SyncOptions {
    /// Asks for everything in a range of time.
    pub fn new(from: UnixSeconds, to: UnixSeconds) -> Self {
        Self {
            from,
            to,
            intake: Intake::ALL,
            bloom: Bloom::FULL,
            limit: MAX_LIMIT,
            cursor: None,
            pause: Duration::ZERO,
            rate_limit_patience: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            max_waiting_bytes: 64 << 20,
        }
    }
}

/// What came, so far or in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Pages.
    pub pages: u32,
    /// Envelopes that were asked for.
    pub received: u64,
    /// Those that were new to the archive.
    pub new: u64,
    /// Those that were not archived because of their time.
    pub passed_over: PassedOver,
    /// Envelopes that were not asked for.
    pub unwanted: u64,
    /// Where the next page begins; `None` at the end.
    pub cursor: Option<Cursor>,
}

/// Copies a range of another mailserver's archive into ours, and reports each page.
///
/// The node must be a [mailserver](statuskit_net::node::NodeConfig::mailserver) itself, or it ignores
/// the answers. The server must not be asked for anything else meanwhile.
///
/// # Errors
/// If the server can't be asked, refuses or misbehaves, or the archive fails. What came before is
/// archived, and the cursor of the last report says where to continue.
pub async fn sync(
    handle: &Handle,
    server: &PublicKey,
    archive: Arc<dyn Archive>,
    options: SyncOptions,
    mut progress: impl FnMut(&SyncReport),
) -> Result<SyncReport, ClientError> {
    let mut report = SyncReport { cursor: options.cursor.clone(), ..SyncReport::default() };
    let mut cursors = HashSet::new();
    let mut pace = Pace::default();
    loop {
        let before = report.received;
        let mut patience = Patience::new(options.rate_limit_patience);
        let mut limit = options.timeout;
        sleep(pace.wait(Instant::now())).await;
        loop {
            let peer = connected(handle, server, limit).await?;
            handle.mark_trusted(peer);
            let mut page = Page { handle, peer, archive: &archive, options: &options };
            let sent = Instant::now();
            match page.run(&mut report).await {
                Err(ClientError::RateLimited(text)) => {
                    pace.refused(Instant::now());
                    gone(handle, peer).await;
                    let wait = patience.wait().ok_or(ClientError::RateLimited(text))?;
                    sleep(wait).await;
                    // It may accept our connection only after some time, too.
                    limit = limit.max(options.rate_limit_patience);
                }
                result => {
                    result?;
                    pace.accepted(sent);
                    break;
                }
            }
        }
        report.pages += 1;
        progress(&report);
        let Some(cursor) = report.cursor.clone() else { return Ok(report) };
        if report.received == before {
            return Err(Misbehaviour::NoProgress.into());
        }
        if !cursors.insert(cursor) {
            return Err(Misbehaviour::CursorLoop.into());
        }
        sleep(options.pause).await;
    }
}

/// Waits a moment for the server to disconnect us, as the reference does after a refusal. Other
/// servers are asked again over the same connection.
async fn gone(handle: &Handle, peer: ConnectionId) {
    let mut events = handle.subscribe();
    let gone =
        async { while handle.peer_state(peer).is_some() && events.next().await.is_some() {} };
    let _ = timeout(Duration::from_secs(1), gone).await;
}

struct Page<'a> {
    handle: &'a Handle,
    peer: ConnectionId,
    archive: &'a Arc<dyn Archive>,
    options: &'a SyncOptions,
}

impl Page<'_> {
    /// Sends one request and receives its answer.
    async fn run(&mut self, report: &mut SyncReport) -> Result<(), ClientError> {
        let SyncOptions { from, to, bloom, limit, timeout, max_waiting_bytes, .. } = *self.options;
        let request = SyncRequest {
            lower: from,
            upper: to,
            bloom: bloom.0.to_vec(),
            limit,
            cursor: report.cursor.clone(),
        };
        let mut inbox = Inbox::new(self.handle, self.peer, max_waiting_bytes);
        let packet = Packet::SyncRequest(request);
        inbox.send(self.handle, &packet, timeout).await?;
        let mut in_page = 0;
        loop {
            let event = inbox.next(timeout).await?;
            let mail = mail(&event, self.peer);
            // Empty parts count, too; otherwise there could be any number.
            in_page += match &mail {
                Some(Mail::Sync(it)) if it.last || !it.error.is_empty() => it.envelopes.len(),
                Some(Mail::Sync(it)) => it.envelopes.len().max(1),
                _ => 1,
            };
            if in_page > limit as usize {
                return Err(Misbehaviour::EndlessPage.into());
            }
            let Some(Mail::Sync(response)) = mail else { continue };
            if inbox.left_out() {
                return Err(ClientError::Lagged);
            }
            if !response.error.is_empty() {
                return Err(ClientError::refused(&response.error));
            }
            let is_asked_for = |envelope: &&Envelope| {
                (from..=to).contains(&envelope.sent()) && bloom.matches(envelope.topic())
            };
            let mut envelopes: Vec<_> =
                response.envelopes.iter().filter(is_asked_for).cloned().collect();
            report.received += envelopes.len() as u64;
            report.unwanted += (response.envelopes.len() - envelopes.len()) as u64;
            envelopes.retain(|envelope| {
                let checked = self.options.intake.check(envelope);
                checked.inspect_err(|why| report.passed_over.add(*why)).is_ok()
            });
            if !envelopes.is_empty() {
                let archive = self.archive.clone();
                let append = spawn_blocking(move || archive.append(&envelopes));
                let new = inbox.during(append).await.map_err(|error| {
                    ArchiveError::Unusable(format!("writing to the archive ended: {error}"))
                })??;
                report.new += new as u64;
            }
            if response.last {
                report.cursor.clone_from(&response.cursor);
                return Ok(());
            }
        }
    }
}
