//! Lamport clocks in milliseconds: what orders the messages of a chat.
//!
//! Source: Status, "Payloads", Clock; the arithmetic is the reference's.

use super::types::PayloadMessage;

/// How far the clock of a message may be ahead of its envelope, in milliseconds.
pub const ALLOWANCE_MS: u64 = 120_000;

/// The clock of the next message of a chat, made at `now_ms` (UNIX time in milliseconds). `last`
/// is the highest clock seen in the chat, 0 if none.
pub fn next(last: u64, now_ms: u64) -> u64 {
    if last == 0 || last < now_ms { now_ms } else { last.saturating_add(1) }
}

/// The last clock of a chat after a message with `received` has come.
pub fn after(last: u64, received: u64) -> u64 {
    last.max(received)
}

/// Whether `clock` is too far ahead of `reference_ms`: of the envelope, or of our own time.
pub fn is_ahead(clock: u64, reference_ms: u64) -> bool {
    clock.saturating_sub(reference_ms) > ALLOWANCE_MS
}

/// The clock by which a message moves that of its chat; 0 if it is nothing that is kept in one.
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
        assert_eq!([next(0, 100), next(99, 100), next(100, 100)], [100, 100, 101]);
        assert_eq!(next(u64::MAX, 100), u64::MAX);
        assert_eq!([after(5, 4), after(5, 6)], [5, 6]);
        assert!(!is_ahead(120_100, 100) && is_ahead(120_101, 100) && !is_ahead(1, u64::MAX));
    }
}
