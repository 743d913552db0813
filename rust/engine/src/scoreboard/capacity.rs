//! How much a child can serve at once, in units (threads), and how much of that is taken.

use std::sync::atomic::Ordering::Relaxed;

use super::{ChildCells, ChildState};

/// What a child says of itself once, so that others can tell from its counts how much of it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    units: u32,
    most_connections: u32,
    per_request: bool,
}

impl Capacity {
    /// Every connection takes one of `threads` from accept to close.
    #[must_use]
    pub fn connections(threads: usize) -> Self {
        let units = saturating(threads);
        Self { units, most_connections: units, per_request: false }
    }

    /// Every complete request takes one of `threads` until it is answered. With `most_connections` open no further
    /// client is accepted, so that all are taken.
    #[must_use]
    pub fn requests(threads: usize, most_connections: usize) -> Self {
        Self { units: saturating(threads), most_connections: saturating(most_connections), per_request: true }
    }
}

fn saturating(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl ChildCells {
    pub(super) fn has(&self, capacity: Capacity) {
        self.units.store(capacity.units, Relaxed);
        self.most_connections.store(capacity.most_connections, Relaxed);
        self.per_request.store(u32::from(capacity.per_request), Relaxed);
    }

    /// Units that no further client can have now. None are while the child starts.
    pub(super) fn taken(&self) -> u32 {
        let (units, connections) = (self.units.load(Relaxed), self.connections.load(Relaxed));
        if connections >= self.most_connections.load(Relaxed) {
            units
        } else if self.per_request.load(Relaxed) == 0 {
            connections.min(units)
        } else {
            self.busy.load(Relaxed).saturating_add(self.queued.load(Relaxed)).min(units)
        }
    }

    /// Units that a client can have, now or as soon as the child has started; `units` are what every child of the board
    /// has. None of a child that accepts nothing.
    pub(super) fn idle(&self, units: u32) -> u32 {
        let state = self.state.load(Relaxed);
        if state == ChildState::Ready as u32 {
            units.saturating_sub(self.taken())
        } else if state == ChildState::Starting as u32 {
            units
        } else {
            0
        }
    }
}
