//! When to accept, and when to let go: rules that both drivers share. The main one is fair accepting: children with
//! fewer open connections accept first.
//!
//! Facts: the kernel wakes whoever sleeps on a listening socket, and a busy event loop that happens to poll at the right
//! moment wins again and again; with kept-alive connections that imbalance stays. What follows: a child that has more
//! than the least loaded one looks away for a moment that grows with its surplus, so that the other, which was woken
//! too, is first. Nobody looks away for longer than `LONGEST`, so a child that is stopped or stuck delays, and never
//! blocks, the others.
//!
//! Connections are not load, though: an event child with few of them may have requests for all its threads, and more that
//! wait. What follows: while that is so it leaves new clients to others, first for a moment in which children can be
//! forked; and it never accepts more at once than it has idle threads before it has seen what they bring. A burst then
//! meets the children that are being forked for it.
//!
//! The other one is letting go. A kept-alive connection stays with the child that has accepted it, so a child that came
//! later, because all threads of the others are taken, would have nothing to do. What follows: while requests wait long
//! for a thread of one child, and another has threads to spare and clearly fewer connections, connections end with their
//! answer (`Connection: close`); the client's next one is accepted where there is room.

use std::time::Duration;

use super::wire::Wire;

/// How long accepting rests when descriptors are exhausted.
pub(super) const EXHAUSTED_REST: Duration = Duration::from_millis(100);

/// After so many requests, and again after as many, a kept-alive connection ends with its answer if another client waits
/// for whom there is no room: a client that always has a next request would otherwise keep its place for ever, and the
/// other would wait for ever.
const GIVES_WAY_EVERY: u32 = 16;
/// The same for a connection on which the next request has come already, and would have to be sent again.
const GIVES_WAY_EVERY_AHEAD: u32 = 64;

const STEP: Duration = Duration::from_micros(500);
pub(super) const LONGEST: Duration = Duration::from_millis(5);
/// How long a child that has just become crowded leaves new clients to others: the first one that is forked for it serves
/// by then.
pub(super) const FORK: Duration = Duration::from_millis(25);
/// How long it leaves them to others at most while those have idle threads, or are about to.
pub(super) const FORKS: Duration = Duration::from_millis(250);

/// How many connections are accepted at once after looking away for so long that the other can be taken for stuck. After
/// less, it has perhaps just not run yet: one, and another look.
pub(super) const AFTER_LONGEST: usize = 4;

/// How many connections are accepted at once after looking away for `wait`.
pub(super) fn after_looking_away(wait: Duration) -> usize {
    if wait < LONGEST { 1 } else { AFTER_LONGEST }
}

/// Whether `wire`, which has a request, has had its turn and ends with the answer, if another client `waits`.
pub(super) fn gives_way(wire: &Wire, waits: impl FnOnce() -> bool) -> bool {
    let requests = wire.connection.requests();
    let ahead = || wire.connection.has_next() || wire.socket.has_something();
    requests % GIVES_WAY_EVERY == 0 && waits() && (requests % GIVES_WAY_EVERY_AHEAD == 0 || !ahead())
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

/// A request must have waited for so long to make its connection move: a new connection costs about as much as a few
/// short requests.
const WORTH_MOVING: Duration = Duration::from_millis(5);

/// Whether a child with `own` open connections, where more requests wait for a thread, lets the one go whose request has
/// `waited` so long; `fewest` is the least number of connections where a thread is idle, and is asked for only if it
/// matters.
///
/// More is tolerated than when accepting: what comes back must find a child that has clearly fewer, or connections would
/// move to and fro for ever.
pub(super) fn lets_go(waited: Duration, own: u32, fewest: impl FnOnce() -> Option<u32>) -> bool {
    let tolerated = 1 + own / 8;
    waited >= WORTH_MOVING && fewest().is_some_and(|fewest| own > fewest.saturating_add(tolerated))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST, WORTH_MOVING, lets_go, look_away};

    #[test]
    fn connections_move_until_they_are_even_and_only_to_where_there_is_room() {
        let moves = |own, fewest| lets_go(WORTH_MOVING, own, || fewest);
        assert!(!moves(100, None));
        assert!(moves(2, Some(0)));
        assert!(!moves(1, Some(0)));
        assert!(!moves(5, Some(4)));
        assert!(!moves(u32::MAX, Some(u32::MAX)));
    }

    #[test]
    fn what_has_moved_does_not_move_back() {
        for own in 2..5000 {
            for fewest in 0..own {
                if lets_go(WORTH_MOVING, own, || Some(fewest)) {
                    assert!(!lets_go(WORTH_MOVING, fewest + 1, || Some(own - 1)), "{own} and {fewest}");
                    assert!(own < 16 || look_away(own - 1, || Some(fewest)).is_some(), "{own} and {fewest}");
                }
            }
        }
    }

    #[test]
    fn short_waits_are_not_worth_a_connection() {
        assert!(!lets_go(Duration::from_millis(1), 100, || Some(0)));
    }

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
