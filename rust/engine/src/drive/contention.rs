//! Whether somebody else needs what a client holds: a unit (a thread, or a child with one thread) is precious when no unit
//! of any child is idle and clients wait in the kernel's queue. Waiting for a client with an eye on that. What a client's
//! patience is then is computed in `connection::time`; who waits for whom is the blocking driver's business.
//!
//! Nobody who waits for a client is woken for a newcomer while units are idle: the newcomer wakes one of those. So a wait
//! looks up now and then whether there still are, once its client has used its patience; until then it has no reason to, and
//! when no unit is idle it waits for newcomers, too. Nothing ticks while no client is behind.

use std::io;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Context;
use super::wire::Wire;
use crate::connection::Stage;
use crate::net::{Attention, Interest, Listener, Listeners, Ready, Waiter};
use crate::timeouts::Press;

/// How often it is looked up whether units are idle.
const LOOKS_EVERY: Duration = Duration::from_millis(100);
/// How long somebody must have waited before a client makes way: where units are taken and freed all the time, all of them
/// are taken for a moment now and then. Whoever is far behind makes way sooner than others, so that not all do so at once.
const SHORTEST_GRACE: Duration = Duration::from_millis(5);
/// What comes on top of it for who is not late at all; half of it for who is `FAR_BEHIND`.
const MORE_GRACE: Duration = Duration::from_millis(15);
const FAR_BEHIND: Duration = Duration::from_millis(500);

/// How a wait for a client who holds a unit has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// Its socket may be ready.
    Ready,
    /// Another client needs the unit, of those that press.
    Wanted(Press),
    /// Something else has happened, or the time is over.
    InVain,
}

impl Waited {
    pub(super) fn of(ready: Ready) -> Self {
        if ready.waited { Self::Ready } else { Self::InVain }
    }
}

/// One child's view of it. Used by the threads of the blocking driver.
#[derive(Debug)]
pub(super) struct Contention {
    pub(super) listeners: Listeners,
    /// Held by the thread that accepts.
    pub(super) accepting: Mutex<()>,
}

impl Contention {
    pub(super) fn new(listeners: Listeners) -> Self {
        Self { listeners, accepting: Mutex::new(()) }
    }

    /// Whether a client waits that no thread of this child is about to accept.
    pub(super) fn somebody_waits(&self) -> bool {
        // Who has the role of accepting will accept.
        let Ok(_role) = self.accepting.try_lock() else {
            return false;
        };
        self.listeners.somebody_waits()
    }

    /// Whether no unit of any child is idle, as far as somebody who wants to be accepted is concerned.
    fn is_short(context: &Context) -> bool {
        context.orders.duty().accepts() && !context.row.somebody_is_idle()
    }

    /// How many wait for how many units, if none is idle.
    fn press(&self, context: &Context) -> Option<Press> {
        Self::is_short(context).then(|| Press {
            units: context.row.units_of_all(),
            readers: context.row.readers_of_all(),
            waiting: self.listeners.waiting(),
        })
    }

    /// Whether another client needs a unit.
    pub(super) fn is_wanted(&self, context: &Context) -> bool {
        Self::is_short(context) && self.somebody_waits()
    }

    /// Waits for the client of `wire`, at most until its time is over; if its patience is, also for somebody who needs its
    /// unit.
    ///
    /// # Errors
    /// When the system cannot poll.
    pub(super) fn wait(
        &self,
        waiter: &Waiter<'_>,
        wire: &Wire,
        context: &Context,
    ) -> io::Result<(Waited, Option<Attention>)> {
        let _counted = (wire.connection.stage() == Stage::Write).then(|| context.row.waits_for_reader());
        let deadline = wire.connection.deadline();
        let until = match wire.connection.contended_deadline(Press::HARDEST) {
            None => deadline,
            Some(soonest) => {
                let now = Instant::now();
                if soonest > now {
                    Some(soonest)
                } else {
                    let look = now + LOOKS_EVERY;
                    let look = deadline.map_or(look, |deadline| deadline.min(look));
                    match self.press(context) {
                        Some(press) => match wire.connection.contended_deadline(press) {
                            Some(patience) if patience <= now => {
                                return self.wait_for_either(waiter, wire, context, look, now - patience);
                            }
                            patience => patience.map_or(Some(look), |patience| Some(patience.min(look))),
                        },
                        None => Some(look),
                    }
                }
            }
        };
        let ready = waiter.wait(&[(wire.socket.as_fd(), wire.interest())], until)?;
        Ok((Waited::of(ready), ready.attention))
    }

    /// Waits for the client of `wire`, which is `late`, and for somebody who needs its unit.
    fn wait_for_either(
        &self,
        waiter: &Waiter<'_>,
        wire: &Wire,
        context: &Context,
        until: Instant,
        late: Duration,
    ) -> io::Result<(Waited, Option<Attention>)> {
        let client = (wire.socket.as_fd(), wire.interest());
        let listeners = self.listeners.iter().map(Listener::as_fd).map(|fd| (fd, Interest::Receive));
        let both: Vec<_> = std::iter::once(client).chain(listeners).collect();
        let ready = waiter.wait(&both, Some(until))?;
        // Whoever waits has perhaps woken others, too, and one of those has been faster.
        if !ready.waited || ready.attention.is_some() || !self.is_wanted(context) {
            return Ok((Waited::of(ready), ready.attention));
        }
        // An answer that is sent has no grace: each client that is refused would have it.
        if wire.connection.stage() == Stage::Linger {
            return Ok((Waited::Wanted(Press::LIGHTEST), None));
        }
        let ready = waiter.wait(&[client], Some(Instant::now() + grace(late)))?;
        let in_time = ready.waited || ready.attention.is_some();
        let press = self.press(context).filter(|_| !in_time && self.somebody_waits());
        Ok((press.map_or(Waited::of(ready), Waited::Wanted), ready.attention))
    }
}

/// How long others wait at least for a client that is so `late`.
fn grace(late: Duration) -> Duration {
    let share = FAR_BEHIND.as_secs_f64() / (FAR_BEHIND + late.min(Duration::from_secs(3600))).as_secs_f64();
    SHORTEST_GRACE + MORE_GRACE.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_further_behind_makes_way_sooner() {
        let mut last = grace(Duration::ZERO);
        assert_eq!(last, SHORTEST_GRACE + MORE_GRACE);
        for late in [1, 10, 100, 500, 1000, 10_000, u64::MAX] {
            let next = grace(Duration::from_millis(late));
            assert!(next < last && next > SHORTEST_GRACE);
            last = next;
        }
    }
}
