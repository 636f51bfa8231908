//! Lamport clocks in milliseconds, which order the messages of a chat.
//!
//! Source: Status, "Payloads", Clock, with the arithmetic of the reference.

use super::types::PayloadMessage;
use crate::time::UnixMillis;

/// The maximum lead of a message's clock over its envelope, in milliseconds.
const ALLOWANCE_MS: u64 = 120_000;

/// Returns the clock of the next message of a chat, written at `now`.
/// `last` is the highest clock seen in the chat, 0 if there was none.
pub fn next(last: u64, now: UnixMillis) -> u64 {
    if last == 0 || last < now.0 { now.0 } else { last.saturating_add(1) }
}

/// Returns the last clock of a chat after a message with clock `received`.
pub(crate) fn after(last: u64, received: u64) -> u64 {
    last.max(received)
}

/// Returns whether `clock` is too far ahead of `reference`: the envelope's time, or our own.
pub(crate) fn is_ahead(clock: u64, reference: UnixMillis) -> bool {
    clock.saturating_sub(reference.0) > ALLOWANCE_MS
}

/// Returns the clock that a message sets in its chat; 0 if it belongs to none.
pub fn of(message: &PayloadMessage) -> u64 {
    match message {
        PayloadMessage::ChatMessage(it) => it.clock,
        PayloadMessage::ContactUpdate(it) => it.clock,
        PayloadMessage::RequestAddressForTransaction(it) => it.clock,
        PayloadMessage::AcceptRequestAddressForTransaction(it) => it.clock,
        PayloadMessage::DeclineRequestAddressForTransaction(it) => it.clock,
        PayloadMessage::RequestTransaction(it) => it.clock,
        PayloadMessage::SendTransaction(it) => it.clock,
        PayloadMessage::DeclineRequestTransaction(it) => it.clock,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        assert_eq!(
            [next(0, UnixMillis(100)), next(99, UnixMillis(100)), next(100, UnixMillis(100))],
            [100, 100, 101]
        );
        assert_eq!(next(u64::MAX, UnixMillis(100)), u64::MAX);
        assert_eq!([after(5, 4), after(5, 6)], [5, 6]);
        assert!(
            !is_ahead(120_100, UnixMillis(100))
                && is_ahead(120_101, UnixMillis(100))
                && !is_ahead(1, UnixMillis(u64::MAX))
        );
    }
}
