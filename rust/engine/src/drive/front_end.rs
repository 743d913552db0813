//! How long a request has waited in front of this server, where a trusted proxy tells since when it has had it. That time
//! comes from a wall clock, of another machine perhaps; here it becomes a length of time, and nothing else of it is used.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::wire::Wire;
use crate::http::request_start;

/// More than this is not a wait, but a clock that is wrong.
const LONGEST: Duration = Duration::from_secs(3600);

impl Wire {
    /// To be called when the request is complete.
    #[inline]
    pub(super) fn count_the_wait_before(&mut self) {
        if !self.presence.trusted() {
            return;
        }
        if let Some(start) = request_start(self.connection.head()) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.noted.has_waited(wait(start, now));
        }
    }
}

/// A start in the future is one of this moment, by a clock that is a little fast.
fn wait(start: Duration, now: Duration) -> Duration {
    let wait = now.saturating_sub(start);
    if wait > LONGEST { Duration::ZERO } else { wait }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, wait};
    use std::time::Duration;

    #[test]
    fn what_cannot_be_is_not_counted() {
        let now = Duration::from_secs(1_700_000_000);
        let ago = |before| wait(now.saturating_sub(before), now);
        assert_eq!(ago(Duration::from_millis(1500)), Duration::from_millis(1500));
        assert_eq!(ago(LONGEST), LONGEST);
        assert_eq!(ago(LONGEST + Duration::from_nanos(1)), Duration::ZERO);
        assert_eq!(wait(now + Duration::from_secs(5), now), Duration::ZERO);
        assert_eq!(wait(Duration::MAX, now), Duration::ZERO);
    }
}
