//! The only place that computes a deadline; `Connection::expire` is the only place that acts on one. Nothing here reads
//! a clock: time comes as a parameter.

use std::time::{Duration, Instant};

/// How long one stage may take, and how bytes buy more time.
///
/// Apache: `RequestReadTimeout stage=initial[-maximum][,MinRate=rate]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The time a stage has to begin with. Zero is no limit at all.
    pub initial: Duration,
    /// The time it can grow to at most; None lets it grow with the bytes without end.
    pub maximum: Option<Duration>,
    /// Bytes that buy one more second; None (or zero) buys nothing.
    pub min_rate: Option<u32>,
}

impl Rate {
    /// A fixed time.
    #[must_use]
    pub const fn fixed(initial: Duration) -> Self {
        Self { initial, maximum: None, min_rate: None }
    }

    fn per_second(&self) -> Option<u64> {
        self.min_rate.filter(|rate| *rate > 0).map(u64::from)
    }
}

/// Deadlines by stage. The stages QUEUED and HANDLER have none here: they are the driver's.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// HEAD: from accept, or from the first byte of a following request, to the end of the head.
    pub header: Rate,
    /// BODY: from the end of the head to the end of the body.
    pub body: Rate,
    /// WRITE: while the answer waits for the client. Without a minimum rate each progress starts it anew (Apache:
    /// `TimeOut`), with one it is the whole answer that must keep the rate.
    pub response: Rate,
    /// `KEEP_ALIVE`: the wait for the first byte of a following request; zero turns keep-alive off. Apache:
    /// `KeepAliveTimeout`.
    pub keep_alive: Duration,
    /// How long a connection of a retired child that waits for a request is kept: a request that was on its way when the
    /// child retired is still answered.
    pub retired: Duration,
    /// LINGER: how long late bytes are read and thrown away so that the client gets its answer.
    pub linger: Duration,
    /// LINGER: how long a silent client is waited for (Apache: two seconds); all there is for one that was too slow.
    pub linger_silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let rate = |initial, maximum: Option<u64>| Rate {
            initial: Duration::from_secs(initial),
            maximum: maximum.map(Duration::from_secs),
            min_rate: Some(500),
        };
        Self {
            header: rate(20, Some(40)),
            body: rate(20, None),
            response: Rate::fixed(Duration::from_secs(60)),
            keep_alive: Duration::from_secs(5),
            retired: Duration::from_secs(1),
            linger: Duration::from_secs(30),
            linger_silence: Duration::from_secs(2),
        }
    }
}

/// What one stage has used: when it began and how many bytes have moved since. A windowed rate would replace this type
/// and nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    since: Instant,
    bytes: u64,
}

impl Allowance {
    /// A stage begins.
    #[must_use]
    pub const fn begin(now: Instant) -> Self {
        Self { since: now, bytes: 0 }
    }

    /// `bytes` have moved.
    pub fn credit(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// `bytes` of an answer have been taken by the client; see [`Timeouts::response`].
    pub fn progress(&mut self, rate: &Rate, bytes: usize, now: Instant) {
        if rate.per_second().is_some() {
            self.credit(bytes);
        } else if bytes > 0 {
            *self = Self::begin(now);
        }
    }

    /// When the stage must be over under `rate`; None is never.
    #[must_use]
    pub fn deadline(&self, rate: &Rate) -> Option<Instant> {
        if rate.initial.is_zero() {
            return None;
        }
        let bought = rate.per_second().map_or(0, |per_second| self.bytes / per_second);
        let allowed = rate.initial.saturating_add(Duration::from_secs(bought));
        let allowed = rate.maximum.map_or(allowed, |maximum| allowed.min(maximum.max(rate.initial)));
        self.since.checked_add(allowed)
    }

    /// When a stage of a fixed length must be over.
    #[must_use]
    pub fn after(&self, length: Duration) -> Option<Instant> {
        self.since.checked_add(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn bytes_buy_whole_seconds_up_to_the_maximum() {
        let start = Instant::now();
        let rate = Rate { initial: seconds(20), maximum: Some(seconds(40)), min_rate: Some(500) };
        let mut allowance = Allowance::begin(start);
        assert_eq!(allowance.deadline(&rate), Some(start + seconds(20)));
        allowance.credit(499);
        assert_eq!(allowance.deadline(&rate), Some(start + seconds(20)));
        allowance.credit(1);
        assert_eq!(allowance.deadline(&rate), Some(start + seconds(21)));
        allowance.credit(1_000_000);
        assert_eq!(allowance.deadline(&rate), Some(start + seconds(40)));
    }

    #[test]
    fn zero_is_no_limit_and_nothing_overflows() {
        let start = Instant::now();
        let mut allowance = Allowance::begin(start);
        assert_eq!(allowance.deadline(&Rate::fixed(Duration::ZERO)), None);
        allowance.credit(usize::MAX);
        allowance.credit(usize::MAX);
        let endless = Rate { initial: seconds(1), maximum: None, min_rate: Some(1) };
        assert_eq!(allowance.deadline(&endless), None);
        let no_rate = Rate { initial: seconds(1), maximum: None, min_rate: Some(0) };
        assert_eq!(allowance.deadline(&no_rate), Some(start + seconds(1)));
    }

    #[test]
    fn progress_restarts_without_a_rate() {
        let start = Instant::now();
        let fixed = Rate::fixed(seconds(60));
        let mut allowance = Allowance::begin(start);
        allowance.progress(&fixed, 0, start + seconds(10));
        assert_eq!(allowance.deadline(&fixed), Some(start + seconds(60)));
        allowance.progress(&fixed, 1, start + seconds(10));
        assert_eq!(allowance.deadline(&fixed), Some(start + seconds(70)));
    }
}
