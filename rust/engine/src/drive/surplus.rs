//! Which connections a full reactor gives up first: those whose clients' patience has been over for longest.
//!
//! Looking at thousands of
//! connections for each newcomer would let a flood of them keep the child busy; one look finds many, which are then used up.

use std::time::Instant;

/// How many one look finds.
const AT_A_LOOK: usize = 64;

/// A connection as it was when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Idle {
    pub(super) index: usize,
    pub(super) serial: u64,
    /// When its patience ends; another time by now means that it has been used since.
    pub(super) until: Instant,
}

/// What the last look has found and nobody has used up.
#[derive(Debug, Default)]
pub(super) struct Surplus {
    /// Longest over last.
    found: Vec<Idle>,
}

impl Surplus {
    pub(super) fn next(&mut self) -> Option<Idle> {
        self.found.pop()
    }

    /// Gives back what `next` gave: its time has not come yet.
    pub(super) fn put_back(&mut self, idle: Idle) {
        self.found.push(idle);
    }

    /// Keeps those of `all` whose patience ends first.
    pub(super) fn find(&mut self, all: impl Iterator<Item = Idle>) {
        self.found.clear();
        self.found.extend(all);
        if self.found.len() > AT_A_LOOK {
            self.found.select_nth_unstable_by_key(AT_A_LOOK, |idle| idle.until);
            self.found.truncate(AT_A_LOOK);
            self.found.shrink_to_fit();
        }
        self.found.sort_unstable_by_key(|idle| std::cmp::Reverse(idle.until));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_longest_idle_come_first_however_many_there_are() {
        let start = Instant::now();
        for count in [0_u64, 1, 10, 64, 65, 5000] {
            let mut surplus = Surplus::default();
            surplus.find((0..count).map(|number| {
                let shuffled = number * 7919 % count;
                Idle { index: 0, serial: shuffled, until: start + Duration::from_millis(shuffled) }
            }));
            let found: Vec<u64> = std::iter::from_fn(|| surplus.next()).map(|idle| idle.serial).collect();
            assert_eq!(found, (0..count.min(64)).collect::<Vec<_>>());
        }
    }
}
