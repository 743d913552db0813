//! How much a child may hold for its clients in all: bodies and answers in memory, and in temporary files. Here it is
//! counted, in the child's row of the scoreboard; what is done when a budget is used up is `body`'s and `answer`'s to say.
//!
//! What is held has a guard (`Memory`, `Space`) that gives it back when it is dropped, so nothing can leak. The bounds of one
//! body or answer are elsewhere (`Spool`).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::scoreboard::Holdings;

/// In what steps a child takes from what all children may have together: adding up their rows is to be rare.
const STEP: u64 = 1 << 20;

/// Answers get room in temporary files only as long as less than this part of it is in use. The rest is for bodies: readers
/// that do not read are not to keep others from uploading, and what is written for them costs time that others wait for.
const PART_OF_ANSWERS: u64 = 4;

/// When an answer in the making has found no more room, so long no other begins to look for some.
pub(super) const FULL_FOR: Duration = Duration::from_secs(5);

/// A budget that is used up is told once in so long.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Body,
    Answer,
}

impl What {
    /// How much of `bound` it may use.
    fn part(self, bound: u64) -> u64 {
        match self {
            Self::Body => bound,
            Self::Answer => bound / PART_OF_ANSWERS,
        }
    }
}

/// Directives of the same names.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes in memory, of one child: `buffer_memory_per_child`.
    pub memory: u64,
    /// Bytes in temporary files, of one child: `spool_limit_per_child`.
    pub spool: u64,
    /// Bytes in temporary files, of all children of a generation: `spool_limit`.
    pub server_spool: u64,
}

impl Bounds {
    /// As much as there is.
    pub const NONE: Self = Self { memory: u64::MAX, spool: u64::MAX, server_spool: u64::MAX };
}

/// See the module's first lines. One per child, shared by its threads.
#[derive(Debug)]
pub struct Budget {
    bounds: Bounds,
    holdings: Holdings,
    spooling: Mutex<Spooling>,
    told: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Spooling {
    /// Bytes in temporary files.
    used: u64,
    /// What has been taken for them of the server's share; never less.
    taken: u64,
    /// When an answer in the making last found no more room; None if enough has come free since.
    answers_full: Option<Instant>,
    /// Bytes that an answer wanted when it last found no room.
    refused_answer: Option<u64>,
}

impl Budget {
    /// Nothing is held yet.
    #[must_use]
    pub fn new(bounds: Bounds, holdings: Holdings) -> Self {
        Self { bounds, holdings, spooling: Mutex::default(), told: Mutex::default() }
    }

    /// Bytes in temporary files that a body could have if there were nothing else.
    #[must_use]
    pub fn most_spooled(&self) -> u64 {
        self.bounds.spool.min(self.bounds.server_spool)
    }

    /// What may be held.
    #[must_use]
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Bytes that the child holds in memory.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.holdings.memory()
    }

    /// True once in a while: what has gone wrong about holding is to be told to the operator now.
    #[must_use]
    pub fn tells(&self, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_AGAIN);
        if due {
            *told = Some(now);
        }
        due
    }

    fn take_memory(&self, bytes: u64, most: u64) -> bool {
        let fits = self.holdings.hold(bytes) <= most;
        if !fits {
            self.holdings.let_go(bytes);
        }
        fits
    }

    fn take_space(&self, what: What, bytes: u64) -> bool {
        let mut spooling = self.spooling.lock().unwrap_or_else(PoisonError::into_inner);
        if what == What::Answer && self.is_full(&spooling) {
            return false;
        }
        let taken = self.add_space(&mut spooling, what, bytes);
        if what == What::Answer {
            spooling.answers_full = (!taken).then(Instant::now);
        }
        taken
    }

    /// As `take_space`, for what is going to be written: a refusal costs nobody else anything.
    fn reserve_space(&self, what: What, bytes: u64) -> bool {
        let mut spooling = self.spooling.lock().unwrap_or_else(PoisonError::into_inner);
        self.add_space(&mut spooling, what, bytes)
    }

    /// Whether the room for answers is used up: the last answer that found none would find none now, or hardly any is left.
    pub(super) fn lacks_room_for_answers(&self) -> bool {
        let spooling = self.spooling.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = |used: u64, bound: u64, wanted: u64| {
            has_come_free(used, bound) && used.saturating_add(wanted) <= What::Answer.part(bound)
        };
        spooling.refused_answer.is_some_and(|wanted| {
            !has_room(spooling.used, self.bounds.spool, wanted)
                || !has_room(self.holdings.shares(), self.bounds.server_spool, wanted)
        })
    }

    /// Whether answers had no more room a short time ago, or too little has come free since. What comes free bit by bit would
    /// be written for one answer and deleted with it, again and again.
    fn is_full(&self, spooling: &Spooling) -> bool {
        spooling.answers_full.is_some_and(|since| {
            since.elapsed() < FULL_FOR
                || !has_come_free(spooling.used, self.bounds.spool)
                || !has_come_free(self.holdings.shares(), self.bounds.server_spool)
        })
    }

    fn add_space(&self, spooling: &mut Spooling, what: What, bytes: u64) -> bool {
        let added = self.try_to_add(spooling, what, bytes);
        if what == What::Answer && !added {
            spooling.refused_answer = Some(bytes);
        }
        added
    }

    fn try_to_add(&self, spooling: &mut Spooling, what: What, bytes: u64) -> bool {
        let used = spooling.used.saturating_add(bytes);
        if used > what.part(self.bounds.spool) {
            return false;
        }
        if used > spooling.taken {
            let whole = used.checked_next_multiple_of(STEP).unwrap_or(used);
            // The last step of a share is perhaps not a whole one.
            let limit = what.part(self.bounds.server_spool);
            let step = [whole, used].into_iter().find(|share| self.holdings.take_share(*share, limit));
            let Some(taken) = step else {
                return false;
            };
            spooling.taken = taken;
        }
        spooling.used = used;
        self.holdings.spooled(used);
        true
    }

    fn give_space_back(&self, bytes: u64) {
        let mut spooling = self.spooling.lock().unwrap_or_else(PoisonError::into_inner);
        spooling.used = spooling.used.saturating_sub(bytes);
        self.holdings.spooled(spooling.used);
        // One step is kept beyond what is used, so that little comings and goings do not touch the share.
        let needed = spooling.used.checked_next_multiple_of(STEP).unwrap_or(spooling.used);
        if spooling.used == 0 || spooling.taken > needed.saturating_add(STEP) {
            spooling.taken = needed;
            self.holdings.take_share(needed, self.bounds.server_spool);
        }
    }
}

/// Whether so much of the part of answers has come free that others may have some again.
fn has_come_free(used: u64, bound: u64) -> bool {
    used <= What::Answer.part(bound) / 4 * 3
}

/// Bytes that somebody holds in memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Whose they are; None as long as there are none.
    budget: Option<Arc<Budget>>,
    bytes: u64,
}

impl Memory {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Holds `bytes` more, if the child then has no more than it may.
    pub(super) fn take(&mut self, bytes: u64, budget: &Arc<Budget>) -> bool {
        let taken = budget.take_memory(bytes, budget.bounds.memory);
        if taken {
            self.add(bytes, budget);
        }
        taken
    }

    /// Holds `bytes` more, whatever the child has.
    pub(super) fn take_anyway(&mut self, bytes: u64, budget: &Arc<Budget>) {
        budget.take_memory(bytes, u64::MAX);
        self.add(bytes, budget);
    }

    fn add(&mut self, bytes: u64, budget: &Arc<Budget>) {
        self.bytes += bytes;
        if self.budget.is_none() {
            self.budget = Some(Arc::clone(budget));
        }
    }

    /// Holds `bytes` less, or nothing.
    pub(super) fn give_back(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        if let Some(budget) = &self.budget {
            budget.holdings.let_go(bytes);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.give_back(u64::MAX);
    }
}

/// Bytes that a temporary file takes, or is about to.
#[derive(Debug)]
pub(super) struct Space {
    what: What,
    budget: Arc<Budget>,
    bytes: AtomicU64,
}

impl Space {
    pub(super) fn new(what: What, budget: &Arc<Budget>) -> Self {
        Self { what, budget: Arc::clone(budget), bytes: AtomicU64::new(0) }
    }

    /// Takes `bytes` more, if child and server then have no more than they may.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let taken = self.budget.take_space(self.what, bytes);
        if taken {
            self.bytes.fetch_add(bytes, Relaxed);
        }
        taken
    }

    /// As `take`, for what is going to be written.
    pub(super) fn reserve(&self, bytes: u64) -> bool {
        let reserved = self.budget.reserve_space(self.what, bytes);
        if reserved {
            self.bytes.fetch_add(bytes, Relaxed);
        }
        reserved
    }

    /// Gives `bytes` to `other` of the same budget, if it has them.
    pub(super) fn pass(&self, bytes: u64, other: &Self) -> bool {
        let passes = self.bytes.load(Relaxed) >= bytes;
        if passes {
            self.bytes.fetch_sub(bytes, Relaxed);
            other.bytes.fetch_add(bytes, Relaxed);
        }
        passes
    }

    /// The last `bytes` have not been used.
    pub(super) fn give_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Relaxed);
        self.budget.give_space_back(bytes);
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let bytes = self.bytes.load(Relaxed);
        if bytes > 0 {
            self.budget.give_space_back(bytes);
        }
    }
}

#[cfg(test)]
pub(super) use tests::{budget, unbounded};

#[cfg(test)]
mod tests;
