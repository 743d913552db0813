//! When the reactor accepts, and what it does when it is full; the rules that both drivers share are in `drive/accept.rs`.

use std::os::fd::AsRawFd;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::super::Context;
use super::super::accept::{AFTER_LONGEST, EXHAUSTED_REST, FORK, FORKS, LONGEST, after_looking_away, look_away};
use super::super::duty::{Duty, Word};
use super::super::surplus::Idle;
use super::super::wire::Wire;
use super::{FIRST_LISTENER, Place, Reactor, patience_ends};
use crate::log::Level;
use crate::net::Accepted;
use crate::timeouts::Press;

/// Whether new connections are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepting {
    /// Nobody waits, as far as is known.
    Idle,
    /// Somebody may wait.
    Pending,
    /// Somebody waits, and a less loaded child goes first until then; after that so many are accepted at once.
    LookingAway(Instant, usize),
    /// Somebody waits, and there are requests for all threads here: others go first until then, or until there are not.
    Crowded { since: Instant, until: Instant },
    /// There is no room before then: descriptors are exhausted and nobody can be given up, or no connection may be given up
    /// yet.
    Resting(Instant),
    /// As many connections are open as may be, and none of them waits for its client.
    Full,
    /// Somebody waits for whom there was no room, and there may be some now.
    SeekingRoom,
    /// It is not the child's duty now.
    Shut,
}

impl Accepting {
    /// Whether the next turn has something to do even if nothing happens.
    pub(super) fn is_due(self) -> bool {
        matches!(self, Self::Pending | Self::SeekingRoom)
    }

    /// Whether somebody waits for whom there is no room.
    pub(super) fn lacks_room(self) -> bool {
        match self {
            Self::Resting(_) | Self::Full | Self::SeekingRoom => true,
            Self::Idle | Self::Pending | Self::LookingAway(..) | Self::Crowded { .. } | Self::Shut => false,
        }
    }

    /// Whether it makes a difference that a connection may be given up from then on.
    pub(super) fn lacks_room_until(self, then: Instant) -> bool {
        match self {
            Self::Resting(until) => then < until,
            Self::Full => true,
            Self::Idle
            | Self::Pending
            | Self::LookingAway(..)
            | Self::Crowded { .. }
            | Self::SeekingRoom
            | Self::Shut => false,
        }
    }
}

/// Clients accepted in one turn while threads wait for readers.
const WHILE_READERS_WAIT: usize = 64;

/// Whether a request that comes now can have a thread although all of them are inside the application: one that waits for
/// its reader. Where another child has an idle one, that is better.
fn readers_make_way(context: &Context) -> bool {
    context.readers.any() && !context.row.others_have_idle()
}

impl Reactor {
    pub(super) fn accept(&mut self, now: Instant, context: &Context) {
        let mut at_once = 0;
        let mut crowded_since = None;
        match self.accepting {
            Accepting::Pending | Accepting::SeekingRoom => {}
            Accepting::LookingAway(until, then) if until <= now => at_once = then,
            Accepting::Crowded { .. } if context.row.idle() > 0 || readers_make_way(context) => {}
            Accepting::Crowded { since, until } if until <= now => {
                if context.row.others_have_idle() && now < since + FORKS {
                    self.accepting = Accepting::Crowded { since, until: now + LONGEST };
                    return;
                }
                crowded_since = Some(since);
                at_once = AFTER_LONGEST;
            }
            Accepting::Resting(until) if until <= now => {}
            Accepting::Idle
            | Accepting::LookingAway(..)
            | Accepting::Crowded { .. }
            | Accepting::Resting(_)
            | Accepting::Full
            | Accepting::Shut => return,
        }
        // Whether the clients accepted now bring requests is seen in the next turn; others may be needed for those.
        let make_way = readers_make_way(context);
        let at_least = if make_way { WHILE_READERS_WAIT } else { 1 };
        let mut in_this_turn = context.row.idle().max(at_once).max(at_least);
        let mut tried_again = false;
        self.accepting = loop {
            if in_this_turn == 0 && self.duty != Duty::Sweeping {
                break Accepting::Pending;
            }
            in_this_turn = in_this_turn.saturating_sub(1);
            let fewest = || context.row.fewest_connections_elsewhere();
            if self.duty == Duty::Sweeping {
                // Nobody is left to others: they leave, too.
            } else if at_once > 0 {
                at_once -= 1;
            } else if context.row.idle() == 0 && !make_way && context.row.others_accept() {
                let wait = if crowded_since.is_some() { LONGEST } else { FORK };
                break Accepting::Crowded { since: crowded_since.unwrap_or(now), until: now + wait };
            } else if let Some(wait) = look_away(context.row.connections(), fewest) {
                break Accepting::LookingAway(now + wait, after_looking_away(wait));
            }
            if self.places.len() >= context.open_connections {
                context.row.ring_if_short();
                if !self.listeners.somebody_waits() {
                    break self.nobody_waits(context);
                }
                if let Err(later) = self.make_room(now, context) {
                    break later;
                }
            }
            match self.listeners.accept() {
                Accepted::Client(socket, endpoints) => {
                    tried_again = false;
                    if let Some(mut wire) = Wire::admit(socket, endpoints, now, &mut self.scratch, context) {
                        self.duty.tell(&mut wire.connection, now);
                        self.admit(wire, context);
                    }
                }
                Accepted::Closed if self.duty == Duty::Sweeping => break self.nobody_waits(context),
                Accepted::Nobody => break self.nobody_waits(context),
                Accepted::Lost => {}
                // Whoever is given up gives a descriptor back; it can be gone to somebody else at once.
                Accepted::Exhausted(_) if !tried_again && self.make_room(now, context).is_ok() => tried_again = true,
                Accepted::Exhausted(error) => {
                    context.error_log.client_line(|| format!("cannot accept for a moment: {error}"));
                    break Accepting::Resting(now + EXHAUSTED_REST);
                }
                // The server stops, and this child is about to hear of it.
                Accepted::Closed => break Accepting::Resting(now + EXHAUSTED_REST),
            }
        };
    }

    /// A sweep ends when nobody waits.
    pub(super) fn nobody_waits(&self, context: &Context) -> Accepting {
        if self.duty == Duty::Sweeping {
            context.orders.take(Word::Swept, &context.row);
        }
        Accepting::Idle
    }

    /// Gives up the connection whose client's patience has been over for longest: kept alive and silent, or behind its rate.
    /// What accepting has to wait for, if that is not possible.
    fn make_room(&mut self, now: Instant, context: &Context) -> Result<(), Accepting> {
        let open = self.places.len();
        // What was found at an earlier look may be over, and others may be sooner by now: then look once more.
        for fresh in [false, true] {
            if fresh {
                self.surplus.find(self.places.iter().filter_map(|(index, place)| {
                    let until = patience_ends(place.wire.as_deref()?)?;
                    Some(Idle { index, serial: place.serial, until })
                }));
            }
            while let Some(idle) = self.surplus.next() {
                let place = self.places.get_mut(idle.index).filter(|place| place.serial == idle.serial);
                let wire = place.and_then(|place| place.wire.as_mut());
                if wire.is_none_or(|wire| patience_ends(wire) != Some(idle.until)) {
                    continue;
                }
                if idle.until > now {
                    if fresh {
                        self.surplus.put_back(idle);
                        return Err(Accepting::Resting(idle.until));
                    }
                    break;
                }
                self.give_up(idle.index, now, context);
                if self.places.len() < open {
                    return Ok(());
                }
            }
        }
        Err(Accepting::Full)
    }

    /// Whoever is refused for it is not waited for afterwards.
    fn give_up(&mut self, index: usize, now: Instant, context: &Context) {
        for _ in 0..2 {
            let Some(wire) = self.places.get_mut(index).and_then(|place| place.wire.as_mut()) else {
                return;
            };
            let verdict = wire.make_way(Press::LIGHTEST, now, &mut self.scratch, context);
            self.act(index, verdict, now, context);
        }
    }

    fn admit(&mut self, wire: Wire, context: &Context) {
        let fd = wire.socket.as_raw_fd();
        self.serial += 1;
        let place =
            Place { wire: Some(Box::new(wire)), fd, told: None, sends: false, scheduled: None, serial: self.serial };
        context.row.accepted();
        context.wear.accepted();
        let index = self.places.insert(place);
        let token = Token(FIRST_LISTENER + self.listeners.count() + index);
        if let Err(error) = self.poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE) {
            context.error_log.line(Level::Error, &format!("cannot poll a connection: {error}"));
            self.close(index, context);
            return;
        }
        self.rest(index, context);
    }
}
