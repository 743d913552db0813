//! The Date field: IMF-fixdate (RFC 9110 section 5.6.7), made once per second and thread. Not here: any deadline; those
//! are monotonic and live in `timeouts`.

use std::cell::Cell;
#[cfg(not(target_os = "linux"))]
use std::time::SystemTime;
use std::time::{Duration, UNIX_EPOCH};

/// Length of an IMF-fixdate.
pub const LENGTH: usize = 29;

thread_local! {
    static CACHE: Cell<(u64, [u8; LENGTH])> = const { Cell::new((u64::MAX, [0; LENGTH])) };
}

/// The present moment as an IMF-fixdate, for example `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn now() -> [u8; LENGTH] {
    at(seconds())
}

/// The coarse clock is good to a few milliseconds and several times cheaper to read than the exact one.
#[cfg(target_os = "linux")]
fn seconds() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    u64::try_from(now.tv_sec).unwrap_or(0)
}

#[cfg(not(target_os = "linux"))]
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

fn at(second: u64) -> [u8; LENGTH] {
    let (cached, text) = CACHE.get();
    if cached == second {
        return text;
    }
    let text = format(second);
    CACHE.set((second, text));
    text
}

fn format(second: u64) -> [u8; LENGTH] {
    // The formatter knows the years 1970 to 9999; a clock beyond them is broken, and any well-formed date will do.
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(second.min(253_402_300_799))).unwrap_or(UNIX_EPOCH);
    let mut text = [b' '; LENGTH];
    let formatted = httpdate::fmt_http_date(moment);
    for (to, from) in text.iter_mut().zip(formatted.bytes()) {
        *to = from;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_the_example_of_the_rfc() {
        assert_eq!(&at(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&at(784_111_778), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }

    #[test]
    fn survives_a_broken_clock() {
        assert_eq!(&at(u64::MAX - 1), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
