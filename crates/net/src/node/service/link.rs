//! One connection: carries packets between a socket and the node.
//!
//! The task owns the stream. It asks the node for packets only while the socket accepts them: for a
//! peer that does not read, it holds little more than one packet. It reads only while subscribers
//! keep up with the node and with this peer: while one does not, it holds at most one packet that
//! was read.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    shared::{Joined, Next, Shared},
    subscription::Room,
};
use crate::{
    connection::{Incoming, PeerStream},
    node::{ConnectionId, EndReason, Time, Token},
};

/// Bytes waiting for the socket, above which no packet is made.
pub(super) const HIGH_WATER: usize = 64 << 10;

/// Runs a connection to its end, sends Disconnect, and removes the peer from the node.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    mut stream: PeerStream<S>,
    joined: Joined,
) {
    let sessions = joined.sessions.clone();
    let part = joined.part.clone();
    let ended = async {
        match &part {
            Some(part) => part.ended().await,
            None => std::future::pending().await,
        }
    };
    if let Some(part) = part.clone() {
        stream.watch_unfinished(move |bytes| part.set(bytes));
    }
    let room = shared.hub.room_of(sessions.iter().map(|(key, _)| *key));
    let mut link = Link { shared, stream, joined, room, unread_since: None };
    let (ended, reason) = tokio::select! {
        biased;
        end = link.carry() => end,
        () = ended => (None, EndReason::Unfinished),
        () = shared.closed() => (None, EndReason::Shutdown),
    };
    link.note_pause(false);
    let farewell = reason.farewell();
    // First, so that the node makes nothing more for the peer.
    shared.leave(&sessions, (ended, reason), link.unread_since);
    if let Some(farewell) = farewell {
        link.stream.close(farewell).await;
    }
}

struct Link<'a, S> {
    shared: &'a Shared,
    stream: PeerStream<S>,
    joined: Joined,
    room: Room,
    /// Since when there may be input that was not read, because reading was paused.
    unread_since: Option<Time>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<'_, S> {
    /// Carries packets until the connection ends. Returns why, and the peer of the network that
    /// ended it; `None` if it has ended for all.
    async fn carry(&mut self) -> (Option<ConnectionId>, EndReason) {
        // Of packets whose writing is to be reported.
        let mut tokens: Vec<(ConnectionId, Token)> = Vec::new();
        let mut flushes = false;
        loop {
            // The networks take turns.
            let mut is_idle = false;
            while !is_idle {
                is_idle = true;
                for &(key, protocol) in &self.joined.sessions {
                    let writes = !flushes && self.stream.queued() < HIGH_WATER;
                    match self.shared.next_for(key, writes) {
                        Next::Write(packet) => {
                            let sent = self.stream.send(protocol, packet.code, &packet.payload);
                            if let Err(error) = sent {
                                return (None, EndReason::Stream(error.into()));
                            }
                            tokens.extend(packet.token.map(|token| (key, token)));
                            is_idle = false;
                        }
                        Next::Wait => {}
                        Next::End(reason) => return (Some(key), reason),
                    }
                }
            }
            flushes |= self.stream.queued() >= HIGH_WATER || !tokens.is_empty();
            let has_room = self.room.is_there();
            // The Status is read in any case: it must come in time, and is small.
            let reads = has_room || !*self.joined.ready.borrow();
            self.note_pause(!reads);
            tokio::select! {
                step = self.stream.step(reads, flushes) => match step {
                    Ok(None) => {
                        flushes = false;
                        self.shared.written(&mut tokens);
                    }
                    Ok(Some(Incoming::Message { capability, code, payload })) => {
                        self.take(&capability.name, code, &payload);
                    }
                    Ok(Some(Incoming::Disconnected(reason))) => {
                        return (None, EndReason::ByPeer(reason));
                    }
                    Err(error) => return (None, error.into()),
                },
                () = self.room.changed(has_room) => {}
                () = self.joined.poke.notified() => {}
            }
        }
    }

    /// Gives a packet to the node of its network.
    fn take(&self, protocol: &str, code: u64, payload: &[u8]) {
        let mut sessions = self.joined.sessions.iter();
        let Some((key, _)) = sessions.find(|(_, name)| *name == protocol) else { return };
        let delayed = self.unread_since.is_some();
        self.shared.with(key.network(), |node, now| {
            node.set_delayed(*key, delayed);
            node.handle_packet(*key, code, payload, now);
        });
    }

    fn note_pause(&mut self, pauses: bool) {
        if pauses {
            self.unread_since.get_or_insert_with(|| self.shared.clock.now());
        } else if !self.stream.is_behind() {
            self.unread_since = None;
        }
    }
}
