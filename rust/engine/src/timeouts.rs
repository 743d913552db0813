//! The only place that computes a deadline. `Connection::expire` is the only place that acts on those of the client, and
//! `drive::overdue` on that of the application. Nothing here reads a clock: time comes as a parameter.
//!
//! A rate is kept as one moment, the time up to which a client has *paid*: `bytes / min_rate` seconds are paid by bytes,
//! never beyond the present. A client may be `initial` behind the present and no more. So whoever keeps the rate is
//! never cut off; bytes sent early buy no silence later than that; and one byte is worth one byte, whenever it comes.

use std::time::{Duration, Instant};

/// How long one stage may take, and how bytes buy more time.
///
/// Apache: `RequestReadTimeout stage=initial[-maximum][,MinRate=rate]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// With a minimum rate: how far a client may fall behind it, which is also the longest silence. Without one: the time
    /// for the whole stage. Zero is no limit at all.
    pub initial: Duration,
    /// The time of the whole stage at most, however fast the bytes come; None is no such bound.
    pub maximum: Option<Duration>,
    /// Bytes a second; None (or zero): bytes buy no time.
    pub min_rate: Option<u32>,
}

impl Rate {
    /// A fixed time.
    #[must_use]
    pub const fn fixed(initial: Duration) -> Self {
        Self { initial, maximum: None, min_rate: None }
    }

    /// A time that bytes extend without end.
    #[must_use]
    pub const fn at_least(min_rate: u32, initial: Duration) -> Self {
        Self { initial, maximum: None, min_rate: Some(min_rate) }
    }

    /// The same, for a reader under `press`.
    #[must_use]
    pub fn pressed(self, behind: Duration, press: Press) -> Option<Self> {
        self.within(behind.min(press.patience()))
    }

    /// The same, for a client that may be `behind` at most, if it has a rate to be behind of; zero changes nothing.
    #[must_use]
    pub fn within(self, behind: Duration) -> Option<Self> {
        let applies = !behind.is_zero() && !self.initial.is_zero() && self.min_rate.is_some_and(|rate| rate > 0);
        applies.then(|| Self { initial: self.initial.min(behind), ..self })
    }

    /// The time that `bytes` pay for. What is less than a nanosecond counts for one, in favour of the client.
    fn worth(&self, bytes: usize) -> Duration {
        let Some(rate) = self.min_rate.filter(|rate| *rate > 0).map(u64::from) else {
            return Duration::ZERO;
        };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let rest = (bytes % rate * 1_000_000_000).div_ceil(rate);
        Duration::from_secs(bytes / rate).saturating_add(Duration::from_nanos(rest))
    }
}

/// How long the application may take. Directives `timeout` and `timeout_grace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandlerTime {
    /// To give the next thing: the beginning of its answer, a block, its end. Zero is for ever.
    pub time: Duration,
    /// How long after that its thread has to come back, once it was asked to.
    pub grace: Duration,
}

impl HandlerTime {
    /// When the application, which has the word from `now` on, must have given the next thing; None is never.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if self.time.is_zero() { None } else { now.checked_add(self.time) }
    }

    /// When a thread that was late at `now` must be back.
    #[must_use]
    pub fn back_by(&self, now: Instant) -> Instant {
        now.checked_add(self.grace).unwrap_or(now)
    }
}

/// How far a client may be behind the rate of its stage while others need what it holds. Zero: as far as ever. Whoever
/// keeps the rate is not concerned, nor is a stage that has none. Directive: `contended_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contended {
    /// HEAD, and what comes before the first byte.
    pub header: Duration,
    /// BODY.
    pub body: Duration,
    /// WRITE: at most so much, and less the more wait; see `Press`.
    pub response: Duration,
    /// `KEEP_ALIVE`: how long a silent connection is kept even so. A client that goes on asking has its next request on the
    /// way by then, and would lose it.
    pub keep_alive: Duration,
}

impl Default for Contended {
    fn default() -> Self {
        Self {
            header: Duration::from_millis(500),
            body: Duration::from_secs(2),
            response: Duration::from_secs(5),
            keep_alive: Duration::from_millis(100),
        }
    }
}

/// Deadlines by stage. QUEUED and HANDLER have none here: the former is the driver's, the latter [`HandlerTime`].
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// What comes before the first byte of the first request, from accept. Zero leaves it to `header`.
    pub handshake: Rate,
    /// HEAD: from accept, or from the first byte of a following request, to the end of the head.
    pub header: Rate,
    /// BODY: from the end of the head to the end of the body.
    pub body: Rate,
    /// WRITE: as long as an answer waits for the client. While the application makes more of it the clock rests.
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
    /// What is left of all this while others need what the connection holds.
    pub contended: Contended,
}

impl Default for Timeouts {
    fn default() -> Self {
        let slow = Rate::at_least(500, Duration::from_secs(20));
        Self {
            handshake: Rate::fixed(Duration::ZERO),
            header: Rate { maximum: Some(Duration::from_secs(40)), ..slow },
            body: slow,
            response: Rate::at_least(500, Duration::from_secs(60)),
            keep_alive: Duration::from_secs(5),
            retired: Duration::from_secs(1),
            linger: Duration::from_secs(30),
            linger_silence: Duration::from_secs(2),
            contended: Contended::default(),
        }
    }
}

/// How far a reader may be behind when another request needs the thread that waits for it, if no more requests wait for
/// threads than threads for readers.
const READER_PATIENCE: Duration = Duration::from_millis(250);

/// How far a reader may be behind while `requests` wait for the threads, of which `threads` wait for readers. With twice as
/// many requests it is a quarter: the more of them wait, the sooner each has a thread.
#[must_use]
pub fn patience_with_readers(threads: usize, requests: usize) -> Duration {
    let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let share = (count(threads) / count(requests.max(1))).min(1.0);
    READER_PATIENCE.mul_f64(share * share)
}

/// Since when a reader would be behind with whom there is no patience left at `now`.
#[must_use]
pub fn out_of_patience(now: Instant) -> Instant {
    now.checked_sub(READER_PATIENCE).unwrap_or(now)
}

/// How far a reader may be behind under prefork and worker when as many clients wait in the kernel's queue as there are units.
const PATIENCE_OF_A_QUEUE: Duration = Duration::from_secs(1);
/// The least of it.
const SHORTEST_READER_PATIENCE: Duration = Duration::from_millis(20);

/// How many clients wait for how many units, all of which others hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Press {
    /// Threads, or children with one.
    pub units: usize,
    /// Those of them that wait for readers.
    pub readers: usize,
    /// Clients in the kernel's queue.
    pub waiting: usize,
}

impl Press {
    /// As hard as can be: nobody makes way sooner than under this.
    pub const HARDEST: Self = Self { units: 1, readers: 1, waiting: usize::MAX };
    /// Who waits, waits for one of many.
    pub const LIGHTEST: Self = Self { units: usize::MAX, readers: usize::MAX, waiting: 1 };

    /// How far a reader may be behind: all who wait now are to have a unit within `PATIENCE_OF_A_QUEUE`, however
    /// many they are. Where readers hold no more than half of the units, it is not they for whom the others wait: slow heads
    /// and bodies make way by bounds of their own, and to an application that is busy a unit more is no help.
    fn patience(self) -> Duration {
        if self.readers <= self.units / 2 {
            return Duration::MAX;
        }
        let units = u32::try_from(self.units).unwrap_or(u32::MAX);
        let waiting = u32::try_from(self.waiting).unwrap_or(u32::MAX).max(1);
        (PATIENCE_OF_A_QUEUE.saturating_mul(units) / waiting).max(SHORTEST_READER_PATIENCE)
    }
}

/// What one stage has used of its time.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    since: Instant,
    /// The bytes that have moved pay for the time up to here; never beyond the moment at which the last of them moved.
    paid: Instant,
}

impl Allowance {
    /// A stage begins.
    #[must_use]
    pub const fn begin(now: Instant) -> Self {
        Self { since: now, paid: now }
    }

    /// `bytes` have moved by `now`.
    pub fn credit(&mut self, rate: &Rate, bytes: usize, now: Instant) {
        let paid = self.paid.checked_add(rate.worth(bytes)).map_or(now, |paid| paid.min(now));
        self.paid = self.paid.max(paid);
    }

    /// The last `rest` cost nothing.
    pub fn excuse(&mut self, rest: Duration) {
        let later = |instant: Instant| instant.checked_add(rest).unwrap_or(instant);
        *self = Self { since: later(self.since), paid: later(self.paid) };
    }

    /// The time up to which the bytes that have moved pay.
    #[must_use]
    pub const fn paid_until(&self) -> Instant {
        self.paid
    }

    /// When the stage must be over under `rate`, if no more bytes move; None is never.
    #[must_use]
    pub fn deadline(&self, rate: &Rate) -> Option<Instant> {
        if rate.initial.is_zero() {
            return None;
        }
        let end = rate.maximum.and_then(|maximum| self.after(maximum.max(rate.initial)));
        self.paid.checked_add(rate.initial).into_iter().chain(end).min()
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
    fn bytes_pay_for_time_that_has_passed_and_for_no_other() {
        let start = Instant::now();
        let rate = Rate::at_least(500, seconds(20));
        let mut allowance = Allowance::begin(start);
        assert_eq!(allowance.deadline(&rate), Some(start + seconds(20)));
        allowance.credit(&rate, 1_000_000, start + seconds(3));
        assert_eq!(allowance.deadline(&rate), Some(start + seconds(23)));
        allowance.credit(&rate, 1, start + seconds(22));
        assert_eq!(allowance.deadline(&rate), Some(start + seconds(23) + Duration::from_millis(2)));
        allowance.credit(&rate, 500, start + seconds(22));
        assert_eq!(allowance.deadline(&rate), Some(start + seconds(24) + Duration::from_millis(2)));
    }

    #[test]
    fn the_maximum_ends_a_stage_however_fast_its_bytes_come() {
        let start = Instant::now();
        let rate = Rate { maximum: Some(seconds(40)), ..Rate::at_least(500, seconds(20)) };
        let mut allowance = Allowance::begin(start);
        for second in 1..40 {
            allowance.credit(&rate, 1_000_000, start + seconds(second));
            assert_eq!(allowance.deadline(&rate), Some(start + seconds((second + 20).min(40))));
        }
    }

    #[test]
    fn without_a_rate_bytes_pay_for_nothing() {
        let start = Instant::now();
        let fixed = Rate::fixed(seconds(60));
        let mut allowance = Allowance::begin(start);
        allowance.credit(&fixed, 1_000_000, start + seconds(10));
        assert_eq!(allowance.deadline(&fixed), Some(start + seconds(60)));
        allowance.credit(&Rate { min_rate: Some(0), ..fixed }, 1_000_000, start + seconds(10));
        assert_eq!(allowance.deadline(&fixed), Some(start + seconds(60)));
    }

    #[test]
    fn excused_time_counts_for_neither_bound() {
        let start = Instant::now();
        let rate = Rate { maximum: Some(seconds(15)), ..Rate::at_least(100, seconds(10)) };
        let mut allowance = Allowance::begin(start);
        allowance.excuse(seconds(100));
        assert_eq!(allowance.deadline(&rate), Some(start + seconds(110)));
        allowance.credit(&rate, 1_000_000, start + seconds(109));
        assert_eq!(allowance.deadline(&rate), Some(start + seconds(115)));
    }

    #[test]
    fn readers_share_what_patience_there_is() {
        for (threads, requests, micros) in
            [(4, 1, 250_000), (4, 4, 250_000), (4, 8, 62_500), (4, 400, 25), (1, 0, 250_000)]
        {
            assert_eq!(patience_with_readers(threads, requests), Duration::from_micros(micros));
        }
        assert_eq!(patience_with_readers(0, 1), Duration::ZERO);
        assert_eq!(patience_with_readers(usize::MAX, usize::MAX), Duration::from_millis(250));
        let now = Instant::now() + seconds(1000);
        assert_eq!(now - out_of_patience(now), patience_with_readers(1, 0));
    }

    #[test]
    fn zero_is_no_limit_and_nothing_overflows() {
        let start = Instant::now();
        let mut allowance = Allowance::begin(start);
        assert_eq!(allowance.deadline(&Rate::fixed(Duration::ZERO)), None);
        for rate in [Rate::at_least(1, seconds(1)), Rate::at_least(u32::MAX, seconds(1))] {
            allowance.credit(&rate, usize::MAX, start);
            allowance.credit(&rate, usize::MAX, start);
            assert_eq!(allowance.deadline(&rate), Some(start + seconds(1)));
        }
        assert_eq!(allowance.deadline(&Rate::fixed(Duration::MAX)), None);
        allowance.excuse(Duration::MAX);
        assert_eq!(allowance.after(seconds(1)), Some(start + seconds(1)));
    }
}
