//! How often the log speaks of one address: a client that is refused a thousand times a second is one matter, not a
//! thousand.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One line about an address in this time.
const PERIOD: Duration = Duration::from_secs(10);
/// Addresses that are remembered. One that takes the place of another costs a line more, and `ErrorLog` has a bound of
/// its own.
const PLACES: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Complaint {
    key: u64,
    told: Instant,
    withheld: u64,
}

/// What was said lately.
#[derive(Debug)]
pub(super) struct Complaints {
    places: Mutex<[Option<Complaint>; PLACES]>,
}

impl Default for Complaints {
    fn default() -> Self {
        Self { places: Mutex::new([None; PLACES]) }
    }
}

impl Complaints {
    /// Another refusal of `key`. If it is to be told: how many were not told since the last that was.
    pub(super) fn refused(&self, key: u64, now: Instant) -> Option<u64> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        // Not by the bits that choose the place in a table: those of one bucket would meet here again.
        let place = places.get_mut(usize::try_from(key >> 58).unwrap_or(0))?;
        let mut withheld = 0;
        if let Some(told) = place.as_mut().filter(|complaint| complaint.key == key) {
            if now.saturating_duration_since(told.told) < PERIOD {
                told.withheld += 1;
                return None;
            }
            withheld = told.withheld;
        }
        *place = Some(Complaint { key, told: now, withheld: 0 });
        Some(withheld)
    }
}

#[cfg(test)]
mod tests {
    use super::{Complaints, PERIOD};
    use std::time::{Duration, Instant};

    #[test]
    fn an_address_is_told_of_once_in_a_while_and_the_rest_is_counted() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let other = 1 << 60;
        assert_eq!(complaints.refused(7, start), Some(0));
        for step in 0..5 {
            assert_eq!(complaints.refused(7, start + Duration::from_secs(step)), None);
        }
        assert_eq!(complaints.refused(other, start), Some(0));
        assert_eq!(complaints.refused(7, start + PERIOD), Some(5));
        assert_eq!(complaints.refused(7, start + PERIOD), None);
    }
}
