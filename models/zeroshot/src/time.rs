//! Times as outputs tell them.

/// What a stream's timestamps mean elsewhere. All in nanoseconds.
pub trait Timeline {
    /// Running time of a timestamp, where it has one.
    fn running_time(&self, timestamp: u64) -> Option<u64>;
    /// Stream time of a timestamp, where it has one.
    fn stream_time(&self, timestamp: u64) -> Option<u64>;
    /// The time of day, since 1970 in UTC, where it is known.
    fn utc(&self, timestamp: u64) -> Option<u64>;
}

/// A stream whose timestamps are its running time and its stream time, and whose time of day nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plain;

impl Timeline for Plain {
    fn running_time(&self, timestamp: u64) -> Option<u64> {
        Some(timestamp)
    }

    fn stream_time(&self, timestamp: u64) -> Option<u64> {
        Some(timestamp)
    }

    fn utc(&self, _timestamp: u64) -> Option<u64> {
        None
    }
}

const SECOND: u64 = 1_000_000_000;

/// Nanoseconds since 1970 as RFC 3339: `2026-03-01T12:00:00.250Z`, with as many digits as are needed (0, 3, 6 or 9).
pub fn rfc3339(utc: u64) -> String {
    let (seconds, nanos) = (utc / SECOND, utc % SECOND);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let fraction = match nanos {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => format!(".{:06}", n / 1_000),
        n => format!(".{n:09}"),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counts years from March, so that the leap day is the last: Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`.
fn date(days: u64) -> (u64, u64, u64) {
    // 0000-03-01 is 719,468 days before 1970-01-01; an era of 400 years has 146,097.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, of_month)
}

/// `00:00:03.2`; hours go on beyond 99.
pub(crate) fn clock(time: u64) -> String {
    let tenths = time / (SECOND / 10);
    let seconds = tenths / 10;
    format!("{:02}:{:02}:{:02}.{}", seconds / 3_600, seconds / 60 % 60, seconds % 60, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_772_366_400, "2026-03-01T12:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds * SECOND), date);
        }
    }

    #[test]
    fn a_fraction_has_the_digits_that_it_needs() {
        for (nanos, end) in [(250_000_000, ".250Z"), (1_000, ".000001Z"), (1, ".000000001Z"), (0, ":00Z")] {
            assert!(rfc3339(nanos).ends_with(end), "{}", rfc3339(nanos));
        }
    }

    #[test]
    fn the_clock_goes_beyond_a_day() {
        assert_eq!(clock(3_299_999_999), "00:00:03.2");
        assert_eq!(clock(u64::MAX), "5124095:34:33.7");
    }
}
