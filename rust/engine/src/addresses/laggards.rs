//! Laggards: client addresses of which answers had to be broken off again and again. All children of a server remember them
//! together for a while, so that each need not learn by itself. What is done about them, and when, is the drivers' business
//! (`drive::overload`).
//!
//! One mapping, made by the parent before any fork. Clients choose their addresses, so the table has a bound, its hash has a
//! key, and an address has one of few places, of which the one that was quiet for longest makes way. A record is one word:
//! nobody ever sees half of one, and no child that dies leaves anything locked. What a child reads is a guess that others
//! have written; all it decides is who waits outside. As long as nobody is a laggard, asking costs one load.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::shared_memory::SharedWords;

/// The address is a laggard from so many on. One may be a phone in a tunnel, and two may be two of them behind one address.
const BREAKS: u64 = 3;
/// Nothing is remembered for longer than this after the last one.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Addresses that are remembered at most.
const PLACES: usize = 1024;
/// Places that an address can have: those of a cache line.
const WAYS: usize = 8;
/// Words before the places, of which the first tells until when somebody is a laggard.
const HEADER: usize = 8;

/// What is remembered of one address. As a word: 28 bits of the address's number, 4 of the count, 32 of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    mark: u64,
    breaks: u64,
    /// The second of the last one, from one on.
    last: u64,
}

impl Record {
    const MOST_BREAKS: u64 = 15;

    fn of_word(word: u64) -> Self {
        Self { mark: word >> 36, breaks: word >> 32 & Self::MOST_BREAKS, last: word & u64::from(u32::MAX) }
    }

    fn word(self) -> u64 {
        self.mark << 36 | self.breaks.min(Self::MOST_BREAKS) << 32 | self.last.min(u64::from(u32::MAX))
    }

    fn is_over(self, second: u64) -> bool {
        second.saturating_sub(self.last) >= REMEMBERED.as_secs()
    }

    /// After one more of the address with this mark.
    fn after_another(self, mark: u64, second: u64) -> Self {
        if self.mark != mark || self.is_over(second) {
            return Self { mark, breaks: 1, last: second };
        }
        Self { mark, breaks: self.breaks + 1, last: self.last.max(second) }
    }
}

/// See the module's first lines. Clients are as `network::client` tells them apart. One per server.
#[derive(Debug)]
pub struct Laggards {
    memory: SharedWords,
    hash: RandomState,
    begun: Instant,
}

impl Laggards {
    /// Nobody yet. To be made before any fork.
    ///
    /// # Errors
    /// When the system has no memory to map.
    pub fn new() -> io::Result<Self> {
        let memory = SharedWords::new(HEADER + PLACES)?;
        Ok(Self { memory, hash: RandomState::new(), begun: Instant::now() })
    }

    /// Until which second somebody is a laggard.
    fn until(&self) -> &AtomicU64 {
        &self.memory.words()[0]
    }

    fn second(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.begun).as_secs() + 1
    }

    /// The places that `client` can have, and its mark.
    fn places(&self, client: u128) -> (&[AtomicU64], u64) {
        let number = self.hash.hash_one(client);
        let set = usize::try_from(number % (PLACES / WAYS) as u64).unwrap_or(0);
        let places = self.memory.words().get(HEADER + set * WAYS..).unwrap_or_default();
        (places.get(..WAYS).unwrap_or_default(), number >> 36)
    }

    /// An answer to `client` was broken off at `now`.
    pub(super) fn broke_off(&self, client: u128, now: Instant) {
        let second = self.second(now);
        let (places, mark) = self.places(client);
        let record = |place: &&AtomicU64| Record::of_word(place.load(Relaxed));
        let own = places.iter().find(|place| record(place).mark == mark && record(place).breaks > 0);
        let Some(place) = own.or_else(|| places.iter().min_by_key(|place| record(place).last)) else { return };
        // Whoever has the place by now is known to make way.
        let another = |word| Some(Record::of_word(word).after_another(mark, second).word());
        let before = place.fetch_update(Relaxed, Relaxed, another).unwrap_or_else(|word| word);
        if Record::of_word(before).after_another(mark, second).breaks >= BREAKS {
            self.until().fetch_max(second + REMEMBERED.as_secs(), Relaxed);
        }
    }

    /// Whether there is any at `now`; cheap.
    #[inline]
    pub(super) fn any(&self, now: Instant) -> bool {
        let until = self.until().load(Relaxed);
        until != 0 && self.second(now) < until
    }

    /// Whether `client` is one at `now`.
    pub(super) fn has(&self, client: u128, now: Instant) -> bool {
        let second = self.second(now);
        let (places, mark) = self.places(client);
        let mut records = places.iter().map(|place| Record::of_word(place.load(Relaxed)));
        records.any(|record| record.mark == mark && record.breaks >= BREAKS && !record.is_over(second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(1);

    fn begin() -> (Laggards, Instant) {
        let laggards = Laggards::new().unwrap();
        let start = laggards.begun + STEP * 1000;
        (laggards, start)
    }

    fn lag(laggards: &Laggards, client: u128, now: Instant) {
        for _ in 0..BREAKS {
            laggards.broke_off(client, now);
        }
    }

    #[test]
    fn an_address_is_a_laggard_from_the_third_on_until_a_minute_after_the_last() {
        let (laggards, start) = begin();
        for number in 1..=40 {
            assert_eq!(laggards.has(7, start + STEP * number), number > 3, "{number}");
            assert_eq!(laggards.any(start + STEP * number), number > 3, "{number}");
            laggards.broke_off(7, start + STEP * number);
        }
        let last = start + STEP * 40;
        let almost = start + STEP * 39 + REMEMBERED;
        assert!(laggards.has(7, almost) && laggards.any(almost));
        assert!(!laggards.has(8, last));
        assert!(!laggards.has(7, last + REMEMBERED) && !laggards.any(last + REMEMBERED));
        // It begins anew.
        laggards.broke_off(7, last + REMEMBERED);
        assert!(!laggards.has(7, last + REMEMBERED));
    }

    #[test]
    fn what_happens_rarely_makes_nobody_a_laggard() {
        let (laggards, start) = begin();
        for number in 0..20 {
            laggards.broke_off(7, start + REMEMBERED * number);
            laggards.broke_off(u128::from(number), start + REMEMBERED * number);
        }
        assert!(!laggards.any(start + REMEMBERED * 20) && !laggards.has(7, start + REMEMBERED * 19));
    }

    #[test]
    fn hundreds_are_known_at_once_and_of_too_many_the_quietest_make_way() {
        let (laggards, start) = begin();
        for client in 0..200 {
            lag(&laggards, client, start + STEP * u32::from(client == 7));
        }
        // Nine of them could have met at eight places.
        assert!((0..200).filter(|client| laggards.has(*client, start)).count() > 190);
        for client in 1000..20_000 {
            laggards.broke_off(client, start + STEP * 2);
        }
        assert_eq!((0..200).filter(|client| laggards.has(*client, start + STEP * 2)).count(), 0);
    }

    #[test]
    fn a_clock_value_of_before_changes_nothing() {
        let (laggards, start) = begin();
        lag(&laggards, 1, start + STEP);
        laggards.broke_off(1, start);
        assert!(laggards.has(1, start + REMEMBERED) && laggards.any(start + REMEMBERED));
    }

    #[test]
    fn a_record_is_a_word_whatever_its_numbers() {
        for (mark, breaks, last) in [(0, 1, 1), ((1 << 28) - 1, 15, u64::from(u32::MAX)), (77, 3, 61)] {
            let record = Record { mark, breaks, last };
            assert_eq!(Record::of_word(record.word()), record);
        }
        let largest = Record { mark: 5, breaks: u64::MAX, last: u64::MAX };
        assert_eq!(Record::of_word(largest.word()), Record { mark: 5, breaks: 15, last: u64::from(u32::MAX) });
    }

    #[test]
    fn what_many_tell_at_once_is_counted() {
        let (laggards, start) = begin();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..100).for_each(|client| laggards.broke_off(client, start)));
            }
        });
        // Of an address that two see at once for the first time, each may make a record of its own.
        (0..100).for_each(|client| lag(&laggards, client, start));
        assert!((0..100).all(|client| laggards.has(client, start)));
    }
}
