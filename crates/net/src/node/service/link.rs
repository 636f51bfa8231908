//! One connection: carries packets between a socket and the node.
//!
//! The task owns the stream. It asks the node for packets only while the socket takes them: for
//! a peer that does not read, little more than one packet is ever held.

use std::sync::Arc;

use statuskit_core::wire::packet::PROTOCOL;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
};

use super::shared::{Next, Shared};
use crate::{
    connection::{Event, PeerStream},
    node::{ConnectionId, EndReason, Token},
};

/// No packet is asked for while so many bytes wait for the socket.
pub(super) const HIGH_WATER: usize = 64 << 10;

/// Runs a connection to its end, says good-bye, and tells the node.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    mut stream: PeerStream<S>,
    key: ConnectionId,
    poke: Arc<Notify>,
) {
    let reason = tokio::select! {
        biased;
        reason = carry(shared, &mut stream, key, &poke) => reason,
        () = shared.closed() => EndReason::Shutdown,
    };
    let farewell = reason.farewell();
    // The node forgets the peer first: nothing more is to be made for it.
    shared.leave(key, reason);
    if let Some(farewell) = farewell {
        stream.close(farewell).await;
    }
}

async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    stream: &mut PeerStream<S>,
    key: ConnectionId,
    poke: &Notify,
) -> EndReason {
    // Packets whose writing is to be reported.
    let mut tokens: Vec<Token> = Vec::new();
    loop {
        while stream.queued() < HIGH_WATER {
            match shared.next_for(key) {
                Next::Write(packet) => {
                    if let Err(error) = stream.send(PROTOCOL, packet.code, &packet.payload) {
                        return EndReason::Stream(error.into());
                    }
                    tokens.extend(packet.token);
                }
                Next::Wait => break,
                Next::End(reason) => return reason,
            }
        }
        if stream.queued() >= HIGH_WATER || !tokens.is_empty() {
            // Reads on meanwhile, up to a bound, so that two who both write don't wait for each
            // other.
            tokio::select! {
                flushed = stream.flush() => match flushed {
                    Ok(()) => shared.written(key, &mut tokens),
                    Err(error) => return error.into(),
                },
                () = poke.notified() => if let Some(reason) = shared.end_of(key) {
                    return reason;
                },
            }
            continue;
        }
        tokio::select! {
            event = stream.next() => match event {
                Ok(Event::Message { code, payload, .. }) => {
                    shared.with(|node, now| node.handle_packet(key, code, &payload, now));
                }
                Ok(Event::Disconnected(reason)) => return EndReason::ByPeer(reason),
                Err(error) => return error.into(),
            },
            () = poke.notified() => {}
        }
    }
}
