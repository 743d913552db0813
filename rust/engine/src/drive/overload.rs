//! Complete requests that wait for a thread: how many may, for how long, and what becomes of one that waited in vain.
//!
//! Only the reactor has them; with the blocking driver a client waits in the kernel's queue until a thread is free. Decided
//! here, and done by whoever has the wire: the leader when a request comes or its time is over, a thread that takes it.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::Context;
use super::budget::FULL_FOR;
use super::wire::Wire;
use crate::http::Reject;
use crate::net::has_gone;

/// A request that was taken sooner is not looked at: asking whether its client is still there is a system call.
const WORTH_A_LOOK: Duration = Duration::from_millis(10);
/// Seconds after which a refused client may be told to come back at most.
const LONGEST_RETRY: u16 = 120;

/// Bounds of what waits for a thread in one child.
#[derive(Debug, Clone, Copy)]
pub struct QueueBounds {
    /// Complete requests that wait. Directive: `max_queued_requests`.
    pub requests: usize,
    /// How long each may wait; zero is for ever. Directive: `max_queue_time`.
    pub time: Duration,
}

impl QueueBounds {
    /// When a request that was complete at `complete_at` has waited long enough; None is never.
    pub(super) fn due(&self, complete_at: Instant) -> Option<Instant> {
        complete_at.checked_add(self.time).filter(|_| !self.time.is_zero())
    }

    /// Whether a request has waited too long by `now`.
    pub(super) fn is_over(&self, complete_at: Instant, now: Instant) -> bool {
        self.due(complete_at).is_some_and(|due| due <= now)
    }
}

/// What is to be done with a request whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The application is to have it.
    Serve,
    /// It gets this answer.
    Refuse(Reject),
    /// Its client has gone.
    Drop,
}

/// Looks at a request whose turn it is.
pub(super) fn turn(wire: &Wire, now: Instant, context: &Context) -> Turn {
    if stays_outside(wire, now, context) {
        return Turn::Refuse(outside());
    }
    let complete_at = wire.noted.complete_at;
    if now.saturating_duration_since(complete_at) < WORTH_A_LOOK {
        return Turn::Serve;
    }
    if has_gone(wire.socket.as_fd()) {
        return Turn::Drop;
    }
    if context.queue.is_over(complete_at, now) {
        return Turn::Refuse(too_long(now.saturating_duration_since(complete_at)));
    }
    Turn::Serve
}

/// Whether a client gets no thread now, and is not waited for: there is no more room for answers, and those to its address
/// had to be broken off before. It would take a thread, the application would make the answer in vain, and another would
/// have waited for that.
#[inline]
pub(super) fn stays_outside(wire: &Wire, now: Instant, context: &Context) -> bool {
    context.addresses.has_laggards(now)
        && context.spool.budget.lacks_room_for_answers()
        && context.addresses.is_laggard(wire.endpoints.peer, now)
}

/// The refusal of a request of which the client stays outside. It may come back when answers are given room again.
pub(super) fn outside() -> Reject {
    let reason = "answers to this address had to be broken off, and there is no room for more of them";
    Reject::unavailable(reason, retry_after(FULL_FOR))
}

/// The refusal of a request for which there is no room. The client may come back when those that wait now have been served,
/// which takes about as long as the oldest of them has waited.
pub(super) fn too_many(oldest_waits: Duration) -> Reject {
    Reject::unavailable("too many requests wait already", retry_after(oldest_waits))
}

/// The refusal of a request that has waited for so long.
pub(super) fn too_long(waited: Duration) -> Reject {
    Reject::unavailable("the request has waited too long", retry_after(waited))
}

/// Whole seconds, rounded up: at least one.
fn retry_after(wait: Duration) -> u16 {
    u16::try_from(wait.as_secs()).map_or(LONGEST_RETRY, |seconds| seconds.saturating_add(1).min(LONGEST_RETRY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_zero_is_for_ever() {
        let now = Instant::now();
        let bounds = |time| QueueBounds { requests: 1, time };
        assert_eq!(bounds(Duration::ZERO).due(now), None);
        assert!(!bounds(Duration::ZERO).is_over(now, now + Duration::from_secs(1_000_000)));
        let minute = bounds(Duration::from_secs(60));
        assert!(!minute.is_over(now, now + Duration::from_millis(59_999)));
        assert!(minute.is_over(now, now + Duration::from_secs(60)));
        assert_eq!(bounds(Duration::MAX).due(now), None);
    }

    #[test]
    fn clients_are_told_to_come_back_when_the_queue_has_moved_on() {
        for (waited, seconds) in [(0, 1), (999, 1), (1000, 2), (59_000, 60), (1_000_000, 120), (100_000_000, 120)] {
            assert_eq!(too_many(Duration::from_millis(waited)).retry_after, Some(seconds));
        }
        assert_eq!(too_long(Duration::MAX).retry_after, Some(LONGEST_RETRY));
    }
}
