//! Points of time: UNIX seconds, as envelopes and requests count them, and UNIX milliseconds, as
//! payloads do.
//!
//! Lamport clocks of payloads look like milliseconds, but a peer may set them to any number. They
//! stay `u64`.

use std::{fmt, time::Duration};

/// A second since the UNIX epoch: 1970 to 2106.
///
/// Ranges use [`EPOCH`](Self::EPOCH) and [`MAX`](Self::MAX) as open ends. Durations beside it, such
/// as a time to live, stay `u32` seconds as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixSeconds(pub u32);

impl UnixSeconds {
    /// The first second.
    pub const EPOCH: Self = Self(0);
    /// The last second of 32 bits.
    pub const MAX: Self = Self(u32::MAX);

    /// Converts the time since the epoch, without the fraction of the second. Saturates at
    /// [`MAX`](Self::MAX).
    #[must_use]
    pub fn from_since_epoch(time: Duration) -> Self {
        Self(u32::try_from(time.as_secs()).unwrap_or(u32::MAX))
    }

    /// Returns the time since the epoch.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }

    /// Returns the first millisecond of the second.
    #[must_use]
    pub const fn to_millis(self) -> UnixMillis {
        UnixMillis(self.0 as u64 * 1000)
    }

    /// Returns the day, counted from 1970-01-01.
    #[must_use]
    pub const fn day(self) -> u32 {
        self.0 / 86_400
    }

    /// Adds whole seconds. `None` after [`MAX`](Self::MAX).
    #[must_use]
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        let seconds = duration.as_secs().try_into().ok()?;
        self.0.checked_add(seconds).map(Self)
    }

    /// Adds whole seconds. Saturates at [`MAX`](Self::MAX).
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        self.checked_add(duration).unwrap_or(Self::MAX)
    }

    /// Subtracts whole seconds. Saturates at [`EPOCH`](Self::EPOCH).
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)))
    }

    /// Returns the time since `earlier`, or zero if that is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0) as u64)
    }

    /// Adds seconds, wrapping at 32 bits as peers compute an expiry.
    #[must_use]
    pub const fn wrapping_add(self, seconds: u32) -> Self {
        Self(self.0.wrapping_add(seconds))
    }

    /// Subtracts seconds, wrapping at 32 bits as peers compute the time of sending.
    #[must_use]
    pub const fn wrapping_sub(self, seconds: u32) -> Self {
        Self(self.0.wrapping_sub(seconds))
    }
}

/// A millisecond since the UNIX epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Converts the time since the epoch, without the fraction of the millisecond. Saturates.
    #[must_use]
    pub fn from_since_epoch(time: Duration) -> Self {
        Self(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    /// Returns the time since the epoch.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// Returns the second in which the millisecond lies. Saturates at [`UnixSeconds::MAX`].
    #[must_use]
    pub fn to_seconds(self) -> UnixSeconds {
        UnixSeconds(u32::try_from(self.0 / 1000).unwrap_or(u32::MAX))
    }

    /// Adds whole milliseconds. Saturates.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// Returns the time since `earlier`, or zero if that is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Formats, and converts to a number, a point of time.
macro_rules! number {
    ($($name:ident: $($into:ident)+;)+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        $(impl From<$name> for $into {
            fn from(time: $name) -> Self {
                time.0.into()
            }
        })+

        /// As a plain number.
        impl From<$name> for serde_json::Value {
            fn from(time: $name) -> Self {
                time.0.into()
            }
        }
    )+};
}

number! {
    UnixSeconds: u32 u64 i64;
    UnixMillis: u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_or_wraps_as_named() {
        let day = Duration::from_millis(86_400_999);
        let time = UnixSeconds(1_585_500_000);
        assert_eq!(time.checked_add(day), Some(UnixSeconds(1_585_586_400)));
        assert_eq!(time.saturating_sub(day), UnixSeconds(1_585_413_600));
        assert_eq!(time.checked_add(Duration::MAX), None);
        assert_eq!(time.saturating_add(Duration::MAX), UnixSeconds::MAX);
        assert_eq!(time.saturating_sub(Duration::MAX), UnixSeconds::EPOCH);
        assert_eq!(UnixSeconds::MAX.wrapping_add(11), UnixSeconds(10));
        assert_eq!(UnixSeconds(10).wrapping_sub(11), UnixSeconds::MAX);
        assert_eq!(time.saturating_since(UnixSeconds::MAX), Duration::ZERO);
        assert_eq!(UnixMillis(1).saturating_add(Duration::MAX), UnixMillis(u64::MAX));
        assert_eq!(UnixMillis(1).saturating_since(UnixMillis(2)), Duration::ZERO);
    }

    #[test]
    fn conversions_round_down_and_saturate() {
        let time = Duration::from_micros(1_585_500_000_999_999);
        assert_eq!(UnixSeconds::from_since_epoch(time), UnixSeconds(1_585_500_000));
        assert_eq!(UnixMillis::from_since_epoch(time), UnixMillis(1_585_500_000_999));
        assert_eq!(UnixMillis(1_585_500_000_999).to_seconds(), UnixSeconds(1_585_500_000));
        assert_eq!(UnixSeconds(1_585_500_000).to_millis(), UnixMillis(1_585_500_000_000));
        assert_eq!([86_399, 86_400].map(|second| UnixSeconds(second).day()), [0, 1]);
        assert_eq!(UnixSeconds::from_since_epoch(Duration::MAX), UnixSeconds::MAX);
        assert_eq!(UnixMillis(u64::MAX).to_seconds(), UnixSeconds::MAX);
        assert_eq!(UnixMillis::from_since_epoch(Duration::MAX), UnixMillis(u64::MAX));
    }
}
