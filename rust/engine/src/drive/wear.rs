//! The bounds of a child's life that the engine counts. Reaching one changes nothing here: the child goes on serving, and
//! a bell tells whoever supervises it, so that a replacement can be there before it goes.

use std::os::fd::OwnedFd;
use std::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

/// A bound that has been reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Worn {
    /// Apache: `MaxConnectionsPerChild`.
    Connections = 1,
    /// Answered requests.
    Requests = 2,
    /// A thread that does not come back from a request that has run for too long.
    Overdue = 3,
}

impl Worn {
    /// The directive that gives the bound.
    #[must_use]
    pub fn directive(self) -> &'static str {
        match self {
            Self::Connections => "max_connections_per_child",
            Self::Requests => "max_requests_per_child",
            Self::Overdue => "timeout",
        }
    }
}

/// Counts what a child has done, as far as there is a bound for it.
#[derive(Debug)]
pub struct Wear {
    most_connections: u64,
    most_requests: u64,
    connections: AtomicU64,
    requests: AtomicU64,
    reached: AtomicU8,
    bell: Option<OwnedFd>,
}

impl Wear {
    /// Bounds of zero are none. When the first is reached, one byte is written to `bell`, once.
    #[must_use]
    pub fn new(most_connections: u64, most_requests: u64, bell: Option<OwnedFd>) -> Self {
        Self {
            most_connections,
            most_requests,
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            reached: AtomicU8::new(0),
            bell,
        }
    }

    /// The bound that was reached first, if any was.
    #[must_use]
    pub fn worn(&self) -> Option<Worn> {
        let reached = self.reached.load(SeqCst);
        [Worn::Connections, Worn::Requests, Worn::Overdue].into_iter().find(|worn| *worn as u8 == reached)
    }

    /// One connection more has been accepted.
    pub(super) fn accepted(&self) {
        self.count(&self.connections, self.most_connections, Worn::Connections);
    }

    /// One request more has been answered.
    pub(super) fn answered(&self) {
        self.count(&self.requests, self.most_requests, Worn::Requests);
    }

    fn count(&self, counter: &AtomicU64, most: u64, what: Worn) {
        if most == 0 || counter.fetch_add(1, Relaxed) + 1 < most {
            return;
        }
        self.reach(what);
    }

    /// A bound is reached.
    pub(super) fn reach(&self, what: Worn) {
        let first = self.reached.compare_exchange(0, what as u8, SeqCst, SeqCst).is_ok();
        if let Some(bell) = self.bell.as_ref().filter(|_| first) {
            // A pipe that is full has rung already.
            let _ = rustix::io::write(bell, &[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{Wear, Worn};

    #[test]
    fn the_first_bound_rings_once() {
        let (mut heard, bell) = std::io::pipe().unwrap();
        let wear = Wear::new(3, 2, Some(bell.into()));
        wear.accepted();
        wear.answered();
        wear.accepted();
        assert_eq!(wear.worn(), None);
        wear.answered();
        assert_eq!(wear.worn().map(Worn::directive), Some("max_requests_per_child"));
        for _ in 0..10 {
            wear.accepted();
            wear.answered();
        }
        assert_eq!(wear.worn(), Some(Worn::Requests));
        drop(wear);
        let mut rung = Vec::new();
        heard.read_to_end(&mut rung).unwrap();
        assert_eq!(rung.len(), 1);
    }

    #[test]
    fn without_bounds_nothing_wears() {
        let wear = Wear::new(0, 0, None);
        for _ in 0..1000 {
            wear.accepted();
            wear.answered();
        }
        assert_eq!(wear.worn(), None);
    }
}
