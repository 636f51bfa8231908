//! What a mailserver sends us, until it is taken.
//!
//! Events that wait hold memory, and in the end stop the whole node. So the inbox takes what comes
//! from the server at once, also while its owner is busy ([`during`](Inbox::during)). It keeps a
//! limited amount, and leaves out the rest.

use std::{collections::VecDeque, future::Future, sync::Arc, time::Duration};

use statuskit_core::{
    envelope::Envelope,
    wire::{
        Packet,
        p2p::{RequestComplete, SyncResponse},
    },
};
use statuskit_net::node::{ConnectionId, Event, Handle, SendError, Subscription};
use tokio::time::timeout;

use crate::client::ClientError;

/// The mail of one server.
pub(super) struct Inbox {
    events: Subscription,
    peer: ConnectionId,
    /// The request whose end is awaited.
    request: Option<[u8; 32]>,
    waiting: VecDeque<Arc<Event>>,
    bytes: usize,
    max_bytes: usize,
    left_out: bool,
    ended: Option<ClientError>,
}

/// What a server sent.
pub(super) enum Mail<'a> {
    Envelopes(&'a [Envelope]),
    Complete(&'a RequestComplete),
    Sync(&'a SyncResponse),
}

impl Inbox {
    /// Starts with the next event. Keeps up to `max_bytes` of envelopes.
    pub(super) fn new(handle: &Handle, peer: ConnectionId, max_bytes: usize) -> Self {
        Self {
            events: handle.subscribe(),
            peer,
            request: None,
            waiting: VecDeque::new(),
            bytes: 0,
            max_bytes,
            left_out: false,
            ended: None,
        }
    }

    /// Awaits the end of this request, and ignores those of others.
    pub(super) fn expect(&mut self, request: [u8; 32]) {
        self.request = Some(request);
    }

    /// Whether there was too much. All that came from then on was left out.
    pub(super) fn left_out(&self) -> bool {
        self.left_out
    }

    /// Returns the next mail, if it comes in time.
    pub(super) async fn next(&mut self, limit: Duration) -> Result<Arc<Event>, ClientError> {
        let wait = async {
            while self.waiting.is_empty() && self.ended.is_none() {
                let event = self.events.next().await;
                self.take(event);
            }
        };
        let _ = timeout(limit, wait).await;
        if let Some(event) = self.waiting.pop_front() {
            self.bytes -= size(&event);
            return Ok(event);
        }
        Err(self.ended.take().unwrap_or(ClientError::TimedOut))
    }

    /// Does something else, and takes what comes meanwhile.
    pub(super) async fn during<F: Future>(&mut self, work: F) -> F::Output {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                output = &mut work => return output,
                event = self.events.next(), if self.ended.is_none() => self.take(event),
            }
        }
    }

    /// Sends a packet to the server.
    pub(super) async fn send(
        &mut self,
        handle: &Handle,
        packet: &Packet,
        limit: Duration,
    ) -> Result<(), ClientError> {
        let sent = handle.send_packet(self.peer, packet);
        match self.during(timeout(limit, sent)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(SendError::NoPeer)) => Err(ClientError::NotConnected),
            Ok(Err(error)) => Err(ClientError::Send(error)),
            Err(_) => Err(ClientError::TimedOut),
        }
    }

    fn take(&mut self, event: Option<Arc<Event>>) {
        let Some(event) = event else {
            self.ended = Some(ClientError::Disconnected("the node has ended".to_owned()));
            return;
        };
        if let Event::Disconnected { peer, reason, .. } = &*event
            && peer.key == self.peer
        {
            self.ended = Some(ClientError::Disconnected(reason.to_string()));
        }
        match mail(&event, self.peer) {
            None => {}
            Some(Mail::Complete(complete)) if Some(request_of(complete)) == self.request => {
                self.waiting.push_back(event);
            }
            Some(Mail::Complete(_)) => {}
            Some(Mail::Envelopes(_) | Mail::Sync(_)) => {
                let size = size(&event);
                // One may always wait, however large; nothing may after a gap.
                self.left_out |= self.bytes > 0 && self.bytes + size > self.max_bytes;
                if !self.left_out {
                    self.bytes += size;
                    self.waiting.push_back(event);
                }
            }
        }
    }
}

/// Returns the mail in an event, if it is from this peer.
pub(super) fn mail(event: &Event, from: ConnectionId) -> Option<Mail<'_>> {
    match event {
        Event::P2pMessages { peer, envelopes } if *peer == from => Some(Mail::Envelopes(envelopes)),
        Event::RequestComplete { peer, answer } if *peer == from => Some(Mail::Complete(answer)),
        Event::SyncResponse { peer, response } if *peer == from => Some(Mail::Sync(response)),
        _ => None,
    }
}

fn request_of(complete: &RequestComplete) -> [u8; 32] {
    match complete {
        RequestComplete::Success { request, .. } | RequestComplete::Failure { request, .. } => {
            *request
        }
    }
}

/// The memory of an event with envelopes; others are not counted.
fn size(event: &Event) -> usize {
    match event {
        Event::P2pMessages { .. } | Event::SyncResponse { .. } => event.size(),
        _ => 0,
    }
}
