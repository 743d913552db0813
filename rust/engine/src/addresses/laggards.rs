//! Laggards: client addresses of which answers had to be broken off again and again. A child remembers them for a while, and
//! by itself: nothing of this is shared. What is done about them, and when, is the drivers' business (`drive::overload`).
//!
//! Clients choose their addresses, so the table has a bound and its hash has a key. As long as nobody is a laggard, asking
//! costs one load.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The address is a laggard from so many on. One may be a phone in a tunnel, and two may be two of them behind one address.
const BREAKS: u32 = 3;
/// Nothing is remembered for longer than this after the last one.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Addresses that are remembered at most; the one that was quiet for longest makes way.
const PLACES: usize = 1024;

/// What is remembered of one address.
#[derive(Debug, Clone, Copy)]
struct Record {
    breaks: u32,
    last: Instant,
}

impl Record {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= REMEMBERED
    }
}

/// See the module's first lines. Clients are as `network::client` tells them apart.
#[derive(Debug)]
pub(super) struct Laggards {
    begun: Instant,
    /// Until when somebody is a laggard, in nanoseconds since `begun`.
    until: AtomicU64,
    records: Mutex<HashMap<u128, Record>>,
}

impl Default for Laggards {
    fn default() -> Self {
        Self { begun: Instant::now(), until: AtomicU64::new(0), records: Mutex::default() }
    }
}

impl Laggards {
    fn records(&self) -> MutexGuard<'_, HashMap<u128, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begun).as_nanos()).unwrap_or(u64::MAX)
    }

    /// An answer to `client` was broken off at `now`.
    pub(super) fn broke_off(&self, client: u128, now: Instant) {
        let mut records = self.records();
        if records.len() >= PLACES && !records.contains_key(&client) {
            let oldest = records.iter().min_by_key(|(_, record)| record.last).map(|(client, _)| *client);
            oldest.map(|oldest| records.remove(&oldest));
        }
        let record = records.entry(client).or_insert(Record { breaks: 0, last: now });
        let before = if record.is_over(now) { 0 } else { record.breaks };
        *record = Record { breaks: before.saturating_add(1), last: record.last.max(now) };
        if record.breaks >= BREAKS {
            self.until.fetch_max(self.nanoseconds(now + REMEMBERED), Relaxed);
        }
    }

    /// Whether there is any at `now`; cheap.
    #[inline]
    pub(super) fn any(&self, now: Instant) -> bool {
        let until = self.until.load(Relaxed);
        until != 0 && self.nanoseconds(now) < until
    }

    /// Whether `client` is one at `now`.
    pub(super) fn has(&self, client: u128, now: Instant) -> bool {
        self.records().get(&client).is_some_and(|record| record.breaks >= BREAKS && !record.is_over(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(1);

    fn lag(laggards: &Laggards, client: u128, now: Instant) {
        for _ in 0..BREAKS {
            laggards.broke_off(client, now);
        }
    }

    #[test]
    fn an_address_is_a_laggard_from_the_third_on_until_a_minute_after_the_last() {
        let (laggards, start) = (Laggards::default(), Instant::now());
        for number in 1..=5 {
            assert_eq!(laggards.has(7, start + STEP * number), number > BREAKS);
            assert_eq!(laggards.any(start + STEP * number), number > BREAKS);
            laggards.broke_off(7, start + STEP * number);
        }
        let last = start + STEP * 5;
        let almost = start + STEP * 4 + REMEMBERED;
        assert!(laggards.has(7, almost) && laggards.any(almost));
        assert!(!laggards.has(8, last));
        assert!(!laggards.has(7, last + REMEMBERED) && !laggards.any(last + REMEMBERED));
        // It begins anew.
        laggards.broke_off(7, last + REMEMBERED);
        assert!(!laggards.has(7, last + REMEMBERED));
    }

    #[test]
    fn what_happens_rarely_makes_nobody_a_laggard() {
        let (laggards, start) = (Laggards::default(), Instant::now());
        for number in 0..20 {
            laggards.broke_off(7, start + REMEMBERED * number);
            laggards.broke_off(u128::from(number), start + REMEMBERED * number);
        }
        assert!(!laggards.any(start + REMEMBERED * 20) && !laggards.has(7, start + REMEMBERED * 19));
    }

    #[test]
    fn the_table_is_bounded_and_the_quietest_makes_way() {
        let (laggards, start) = (Laggards::default(), Instant::now());
        lag(&laggards, 1, start);
        lag(&laggards, 2, start + STEP);
        for client in 0..PLACES as u128 - 1 {
            laggards.broke_off(1000 + client, start + STEP * 2);
        }
        assert!(!laggards.has(1, start + STEP * 2) && laggards.has(2, start + STEP * 2));
        for client in 0..PLACES as u128 * 3 {
            laggards.broke_off(1_000_000 + client, start + STEP * 3);
            assert!(laggards.records().len() <= PLACES);
        }
        assert!(!laggards.has(2, start + STEP * 3));
    }

    #[test]
    fn a_clock_value_of_before_changes_nothing() {
        let start = Instant::now() + STEP;
        let laggards = Laggards::default();
        lag(&laggards, 1, start + STEP);
        laggards.broke_off(1, start);
        assert!(laggards.has(1, start + REMEMBERED) && laggards.any(start + REMEMBERED));
    }
}
