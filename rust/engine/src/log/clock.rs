//! Wall-clock time as logs write it. Only logs, the Date field and `drive/front_end.rs` (what
//! proxies tell of their own clock) may ask the wall clock; deadlines never do.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment in UTC, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Utc {
    year: i64,
    month: usize,
    day: i64,
    hour: u64,
    minute: u64,
    second: u64,
    millisecond: u32,
}

impl Utc {
    pub(super) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_epoch(since.as_secs(), since.subsec_millis())
    }

    /// The proleptic Gregorian date by the usual reckoning in eras of 400 years that begin in March.
    fn from_epoch(seconds: u64, millisecond: u32) -> Self {
        let days = i64::try_from(seconds / 86_400).unwrap_or(0) + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let of_day = seconds % 86_400;
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month: usize::try_from(month).unwrap_or(1),
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            hour: of_day / 3_600,
            minute: of_day % 3_600 / 60,
            second: of_day % 60,
            millisecond,
        }
    }

    /// RFC 3339 with milliseconds: `2026-11-23T01:20:00.123Z`.
    pub(super) fn write_rfc3339(&self, line: &mut Vec<u8>) {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        // Writing to memory cannot fail.
        let _ = write!(line, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z");
    }

    /// The common log format's time: `[23/Nov/2026:01:20:00 +0000]`.
    pub(super) fn write_common(&self, line: &mut Vec<u8>) {
        let Self { year, month, day, hour, minute, second, .. } = self;
        let month = MONTHS.get(month - 1).unwrap_or(&"Jan");
        // As above.
        let _ = write!(line, "[{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000]");
    }
}

#[cfg(test)]
mod tests {
    use super::Utc;

    #[test]
    fn known_moments() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_795_392_000, "2026-11-23T00:00:00.007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.007Z"),
        ] {
            let mut line = Vec::new();
            Utc::from_epoch(seconds, 7).write_rfc3339(&mut line);
            assert_eq!(String::from_utf8_lossy(&line), expected);
        }
        let mut line = Vec::new();
        Utc::from_epoch(971_186_136, 0).write_common(&mut line);
        assert_eq!(line, b"[10/Oct/2000:13:55:36 +0000]");
    }
}
