//! Durations and points of time, as people write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{Timestamp, civil::Date, tz::Offset};
use statuskit_core::time::UnixSeconds;

/// How a date looks.
const DATE: &str = "2020-03-01";

/// A point of time from an option. Which second it is depends on the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The present.
    Now,
    /// Seconds before it.
    Ago(u32),
    /// A second.
    At(UnixSeconds),
}

impl Moment {
    /// Returns the second.
    pub fn at(self, now: UnixSeconds) -> UnixSeconds {
        match self {
            Self::Now => now,
            Self::Ago(seconds) => now.saturating_sub(Duration::from_secs(seconds.into())),
            Self::At(second) => second,
        }
    }
}

/// A point of time: `now`, a duration before it such as `24h` or `2d`, a date or time by RFC 3339,
/// or UNIX seconds.
pub fn parse_moment(text: &str) -> Result<Moment, String> {
    if text == "now" {
        return Ok(Moment::Now);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(|second| Moment::At(UnixSeconds(second))).map_err(|_| {
            "more seconds than 32 bits hold; expected UNIX seconds, not milliseconds".to_owned()
        });
    }
    if let Ok(seconds) = parse_seconds(text) {
        return Ok(Moment::Ago(seconds));
    }
    let time = match text.parse::<Date>() {
        // The parser would take a time of day without a zone, too, and leave it out.
        Ok(date) if text.len() == DATE.len() => Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)),
        _ => text.parse::<Timestamp>(),
    };
    let expected = "expected now, a time before now such as 24h or 2d, a date or time such as \
                    2020-03-01 or 2020-03-01T12:00:00Z, or UNIX seconds";
    let second = time.map_err(|_| expected.to_owned())?.as_second();
    u32::try_from(second)
        .map(|second| Moment::At(UnixSeconds(second)))
        .map_err(|_| "expected a time of 1970 to 2106".to_owned())
}

/// The clock that an option fixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// A second.
    At(UnixSeconds),
    /// The second in which an envelope was sent.
    Sent,
}

/// A fixed clock: a point of time, or `sent`.
pub fn parse_now(text: &str) -> Result<Now, String> {
    if text == "sent" {
        return Ok(Now::Sent);
    }
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixSeconds::from_since_epoch(since)
    };
    parse_moment(text).map(|moment| Now::At(moment.at(now())))
}

/// A second as RFC 3339 has it.
pub fn to_rfc3339(second: UnixSeconds) -> String {
    // All that 32 bits hold are good times.
    Timestamp::from_second(second.into()).map(|time| time.to_string()).unwrap_or_default()
}

/// The date of a day since 1970-01-01.
pub fn date_of_day(day: u32) -> String {
    let mut text = to_rfc3339(UnixSeconds(day.saturating_mul(86_400)));
    text.truncate(DATE.len());
    text
}

/// Seconds from `90`, `30s`, `2m`, `12h` or `7d`.
pub fn parse_seconds(text: &str) -> Result<u32, String> {
    let expected = "expected seconds, or a number with s, m, h or d, such as 30s or 2m";
    let (digits, unit) = match text.strip_suffix(|c: char| c.is_ascii_alphabetic()) {
        Some(digits) => (digits, &text[digits.len()..]),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(expected.to_owned()),
    };
    // The parser of numbers would take a sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(expected.to_owned());
    }
    let too_many = || "more seconds than 32 bits hold".to_owned();
    let number: u32 = digits.parse().map_err(|_| too_many())?;
    number.checked_mul(factor).ok_or_else(too_many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(parse_moment("now"), Ok(Moment::Now));
        assert_eq!(parse_moment("2d"), Ok(Moment::Ago(172_800)));
        assert_eq!(parse_moment("1583020800"), Ok(Moment::At(UnixSeconds(1_583_020_800))));
        assert_eq!(parse_moment("2020-03-01"), Ok(Moment::At(UnixSeconds(1_583_020_800))));
        assert_eq!(
            parse_moment("2020-03-01T01:00:00+01:00"),
            Ok(Moment::At(UnixSeconds(1_583_020_800)))
        );
        assert_eq!(parse_moment("2106-02-07T06:28:15Z"), Ok(Moment::At(UnixSeconds::MAX)));
        for bad in ["", "today", "1583020800000", "2020-13-01", "1969-12-31", "2106-02-08", "-1d"] {
            assert!(parse_moment(bad).is_err(), "{bad}");
        }
        // What has a time of day is no date, and without a zone no time.
        for bad in ["2020-03-01T12:00:00", "2020-03-01 12:00", "2020-03-01T12", "2020-03-01[UTC]"] {
            assert!(parse_moment(bad).is_err(), "{bad}");
        }
        assert_eq!(Moment::Ago(10).at(UnixSeconds(100)), UnixSeconds(90));
        assert_eq!(Moment::Ago(10).at(UnixSeconds(1)), UnixSeconds::EPOCH);
        assert_eq!(to_rfc3339(UnixSeconds(1_583_020_800)), "2020-03-01T00:00:00Z");
        assert_eq!(date_of_day(18_322), "2020-03-01");
    }

    #[test]
    fn units() {
        assert_eq!(parse_seconds("90"), Ok(90));
        assert_eq!(parse_seconds("30s"), Ok(30));
        assert_eq!(parse_seconds("2m"), Ok(120));
        assert_eq!(parse_seconds("1d"), Ok(86_400));
        for bad in ["", "s", "-1", "+1", "+1d", "1.5", "2w", "2 m", "99999999999", "99999999h", "é"]
        {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
    }
}
