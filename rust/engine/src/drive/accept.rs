//! When to accept, and when to let go: rules that both drivers share. The main one is fair accepting: children with
//! fewer open connections accept first.
//!
//! Facts: the kernel wakes whoever sleeps on a listening socket, and a busy event loop that happens to poll at the right
//! moment wins again and again; with kept-alive connections that imbalance stays. What follows: a child that has more
//! than the least loaded one looks away for a moment that grows with its surplus, so that the other, which was woken
//! too, is first. Nobody looks away for longer than `LONGEST`, so a child that is stopped or stuck delays, and never
//! blocks, the others.

use std::time::{Duration, Instant};

/// How long accepting rests when descriptors are exhausted.
pub(super) const EXHAUSTED_REST: Duration = Duration::from_millis(100);

/// How long a kept-alive connection must have been silent before it may be given up for somebody who waits. A client that
/// goes on asking has its next request on the way by then, and would lose it.
pub(super) const IDLE_ENOUGH: Duration = Duration::from_millis(100);

const STEP: Duration = Duration::from_micros(500);
const LONGEST: Duration = Duration::from_millis(5);

/// From when on a connection that is kept alive until `until` may be given up for somebody else; None is at once.
pub(super) fn idle_enough(until: Instant, keep_alive: Duration) -> Option<Instant> {
    until.checked_sub(keep_alive)?.checked_add(IDLE_ENOUGH)
}

/// How long a child with `own` open connections leaves new ones to a child with `fewest`, which is asked for only if it
/// matters; None to accept now.
///
/// A small surplus is tolerated, in proportion, since moving connections about for one or two in hundreds gains nothing.
pub(super) fn look_away(own: u32, fewest: impl FnOnce() -> Option<u32>) -> Option<Duration> {
    let tolerated = 1 + own / 16;
    if own <= tolerated {
        return None;
    }
    let surplus = own.saturating_sub(fewest()?);
    let excess = surplus.checked_sub(tolerated).filter(|excess| *excess > 0)?;
    Some(STEP.saturating_mul(excess).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST, look_away};

    #[test]
    fn alone_or_least_loaded_accepts_at_once() {
        assert_eq!(look_away(1000, || None), None);
        assert_eq!(look_away(0, || Some(0)), None);
        assert_eq!(look_away(3, || Some(10)), None);
        assert_eq!(look_away(1, || Some(0)), None);
    }

    #[test]
    fn the_wait_grows_with_the_surplus_and_is_bounded() {
        let mut last = Duration::ZERO;
        for own in 2..5000 {
            let wait = look_away(own, || Some(0)).unwrap();
            assert!(wait >= last && wait <= LONGEST);
            last = wait;
        }
        assert_eq!(last, LONGEST);
    }
}
