//! Many connections, one poller: receives, sends what is left of answers, acts on deadlines, accepts. No thread and no
//! application here; who turns it is decided in `role`.
//!
//! Some facts about the poller: readiness is told once, when it changes (edge-triggered), so a wire remembers that it is
//! readable until a receive finds less than it asked for. A socket is registered for receiving once, and for sending
//! only from the first time its answer was blocked; a small request costs one receive, one send and its share of a poll.
//!
//! A wire that is away (queued, or with the application) leaves its place empty; what is told of its socket meanwhile is
//! noted in the place. A place is freed only when its wire is back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use accepting::Accepting;

use super::Context;
use super::accept::gives_way;
use super::duty::Duty;
use super::overload;
use super::ready::Away;
use super::surplus::Surplus;
use super::wire::{Scratch, Verdict, Wire};
use crate::http::Reject;
use crate::log::Level;
use crate::net::Listeners;
use crate::timeouts::Press;

const WAKER: Token = Token(0);
const FIRST_LISTENER: usize = 1;

/// Where one connection belongs.
#[derive(Debug)]
struct Place {
    wire: Option<Box<Wire>>,
    fd: RawFd,
    /// What was told of the socket while the wire was away.
    told: Option<Told>,
    /// Registered for sending too.
    sends: bool,
    /// When the earliest entry of `deadlines` for this place is due.
    scheduled: Option<Instant>,
    /// Tells entries of `deadlines` apart from those of an earlier user of the place.
    serial: u64,
}

/// What the poller tells of a socket; neither is room to send.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    readable: bool,
    ended: bool,
}

/// How long a turn may wait for something to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    None,
    Until(Instant),
    Endless,
}

/// See the module's first lines. Belongs to whoever holds the listener's role.
#[derive(Debug)]
pub(super) struct Reactor {
    poll: Poll,
    events: Events,
    places: Slab<Place>,
    deadlines: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    serial: u64,
    listeners: Listeners,
    accepting: Accepting,
    /// What was last done about the child's duty.
    duty: Duty,
    again: Vec<usize>,
    scratch: Scratch,
    complete: Vec<Away>,
    surplus: Surplus,
}

impl Reactor {
    /// Begins to poll `listeners`; also gives the waker that ends a poll from another thread.
    pub(super) fn new(listeners: Listeners) -> io::Result<(Self, mio::Waker)> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        let mut reactor = Self {
            poll,
            events: Events::with_capacity(256),
            places: Slab::new(),
            deadlines: BinaryHeap::new(),
            serial: 0,
            listeners,
            accepting: Accepting::Shut,
            duty: Duty::Serving,
            again: Vec::new(),
            scratch: Scratch::default(),
            complete: Vec::new(),
            surplus: Surplus::default(),
        };
        reactor.open()?;
        Ok((reactor, waker))
    }

    /// Leaving, and without connections: nothing more to do, ever.
    pub(super) fn is_over(&self) -> bool {
        self.duty == Duty::Leaving && self.places.is_empty()
    }

    /// Whether requests have become complete that nobody has taken or refused.
    pub(super) fn has_complete(&self) -> bool {
        !self.complete.is_empty()
    }

    /// The first of them, in order, at most so many.
    pub(super) fn take_complete(&mut self, most: usize) -> std::vec::Drain<'_, Away> {
        let count = self.complete.len().min(most);
        self.complete.drain(..count)
    }

    /// Refuses all that are left of them.
    pub(super) fn refuse_complete(&mut self, reject: &Reject, now: Instant, context: &Context) {
        for away in std::mem::take(&mut self.complete) {
            self.turn_away(away, reject, now, context);
        }
    }

    /// Refuses those of them of which the clients stay outside, before they take room from others or press for a thread.
    pub(super) fn refuse_outsiders(&mut self, now: Instant, context: &Context) {
        let complete = std::mem::take(&mut self.complete).into_iter();
        let (outsiders, others) = complete.partition(|away| overload::stays_outside(&away.wire, now, context));
        self.complete = others;
        let outsiders: Vec<Away> = outsiders;
        for away in outsiders {
            self.turn_away(away, &overload::outside(), now, context);
        }
    }

    /// When `turn` has something to do even if nothing happens; None is never.
    fn next_due(&self) -> Option<Instant> {
        let accepting = match self.accepting {
            Accepting::LookingAway(until, _) | Accepting::Crowded { until, .. } | Accepting::Resting(until) => {
                Some(until)
            }
            Accepting::Idle | Accepting::Pending | Accepting::Full | Accepting::SeekingRoom | Accepting::Shut => None,
        };
        let deadline = self.deadlines.peek().map(|Reverse((at, ..))| *at);
        [accepting, deadline].into_iter().flatten().min()
    }

    /// Waits as long as `patience` says until something happens (not at all if something is left to do), and does it.
    pub(super) fn turn(&mut self, patience: Patience, context: &Context) -> io::Result<()> {
        let until = |due: Option<Instant>| due.map(|due| due.saturating_duration_since(Instant::now()));
        let timeout = match patience {
            _ if !self.again.is_empty() || self.accepting.is_due() => Some(Duration::ZERO),
            Patience::None => Some(Duration::ZERO),
            Patience::Until(latest) => until(self.next_due().into_iter().chain([latest]).min()),
            Patience::Endless => until(self.next_due()),
        };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        let now = Instant::now();
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        // Connections first, accepting last: a place freed here is not used again before all events have been seen.
        for event in &events {
            let token = event.token().0;
            if token == WAKER.0 {
                continue;
            }
            if token < FIRST_LISTENER + self.listeners.count() {
                if self.accepting == Accepting::Idle {
                    self.accepting = Accepting::Pending;
                }
                continue;
            }
            let index = token - FIRST_LISTENER - self.listeners.count();
            let ended = event.is_read_closed() || event.is_error();
            self.told(index, Told { readable: event.is_readable() || ended, ended }, now, context);
        }
        std::mem::swap(&mut self.events, &mut events);
        for index in std::mem::take(&mut self.again) {
            self.drive(index, now, context);
        }
        self.expire(now, context);
        self.accept(now, context);
        Ok(())
    }

    /// The poller told something of the socket at `index`.
    fn told(&mut self, index: usize, told: Told, now: Instant, context: &Context) {
        let Some(place) = self.places.get_mut(index) else {
            return;
        };
        let Some(wire) = &mut place.wire else {
            let before = place.told.unwrap_or_default();
            place.told = Some(Told { readable: before.readable | told.readable, ended: before.ended | told.ended });
            return;
        };
        wire.readable |= told.readable;
        wire.ended |= told.ended;
        self.drive(index, now, context);
    }

    fn drive(&mut self, index: usize, now: Instant, context: &Context) {
        let Some(wire) = self.places.get_mut(index).and_then(|place| place.wire.as_mut()) else {
            return;
        };
        let verdict = wire.proceed(now, &mut self.scratch, context);
        self.act(index, verdict, now, context);
    }

    /// Does what a wire, which is in its place, needs next.
    fn act(&mut self, index: usize, verdict: Verdict, now: Instant, context: &Context) {
        match verdict {
            Verdict::Request => {
                let Some(mut wire) = self.places.get_mut(index).and_then(|place| place.wire.take()) else {
                    return;
                };
                if self.accepting.lacks_room() && gives_way(&wire, || true) {
                    wire.connection.retire(now);
                }
                wire.connection.enter_queue(now);
                self.complete.push(Away { place: index, wire });
            }
            Verdict::Wait => self.rest(index, context),
            Verdict::Again => self.again.push(index),
            Verdict::Close => self.close(index, context),
        }
    }

    /// A wire that waits for its client: sees to the poller and the deadline.
    fn rest(&mut self, index: usize, context: &Context) {
        let Some(place) = self.places.get_mut(index) else {
            return;
        };
        let Some(wire) = &place.wire else { return };
        let may_go = |wire| patience_ends(wire).is_some_and(|then| self.accepting.lacks_room_until(then));
        if self.accepting.lacks_room() && may_go(wire) {
            // It could be given up for a client that waits.
            self.accepting = Accepting::SeekingRoom;
        }
        if !wire.answer.is_empty() && !place.sends {
            let token = Token(FIRST_LISTENER + self.listeners.count() + index);
            let both = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = self.poll.registry().reregister(&mut SourceFd(&place.fd), token, both) {
                context.error_log.line(Level::Error, &format!("cannot poll a connection: {error}"));
                self.close(index, context);
                return;
            }
            place.sends = true;
        }
        let Some(deadline) = wire.connection.deadline() else {
            return;
        };
        // An entry that is due earlier looks again then; only an earlier deadline needs a new one.
        if place.scheduled.is_none_or(|scheduled| deadline < scheduled) {
            place.scheduled = Some(deadline);
            self.deadlines.push(Reverse((deadline, index, place.serial)));
            self.forget_deadlines();
        }
    }

    /// Entries of connections that have ended stay until they are due: drops them before they outnumber the others.
    fn forget_deadlines(&mut self) {
        const FEW: usize = 1024;
        if self.deadlines.len() < FEW + 4 * self.places.len() {
            return;
        }
        let places = &self.places;
        self.deadlines.retain(|Reverse((at, index, serial))| {
            places.get(*index).is_some_and(|place| place.serial == *serial && place.scheduled == Some(*at))
        });
    }

    fn close(&mut self, index: usize, context: &Context) {
        // Closing the descriptor, which dropping the wire does, also ends its registration.
        if self.places.try_remove(index).is_some() {
            context.row.closed();
            if self.accepting.lacks_room() {
                self.accepting = Accepting::SeekingRoom;
            }
        }
    }

    /// Takes back a wire that was away.
    pub(super) fn take_back(&mut self, away: Away, verdict: Verdict, now: Instant, context: &Context) {
        let Away { place: index, mut wire } = away;
        let Some(place) = self.places.get_mut(index) else {
            return;
        };
        let told = place.told.take();
        if let Some(told) = told {
            wire.readable |= told.readable;
            wire.ended |= told.ended;
        }
        self.duty.tell(&mut wire.connection, now);
        // What was told while the wire was away (room to send, too) came after its last look at the socket.
        let look = told.is_some() && verdict == Verdict::Wait;
        place.wire = Some(wire);
        if look {
            self.drive(index, now, context);
        } else {
            self.act(index, verdict, now, context);
        }
    }

    /// Refuses a complete request, which is away, and takes it back.
    pub(super) fn turn_away(&mut self, mut away: Away, reject: &Reject, now: Instant, context: &Context) {
        let verdict = away.wire.turn_away(reject, now, &mut self.scratch, context);
        self.take_back(away, verdict, now, context);
    }

    fn expire(&mut self, now: Instant, context: &Context) {
        while let Some(Reverse((at, index, serial))) = self.deadlines.peek().copied() {
            if at > now {
                break;
            }
            self.deadlines.pop();
            let Some(place) = self.places.get_mut(index) else {
                continue;
            };
            if place.serial != serial || place.scheduled != Some(at) {
                continue;
            }
            place.scheduled = None;
            let Some(wire) = &mut place.wire else {
                continue;
            };
            if wire.connection.deadline().is_some_and(|deadline| deadline <= now) {
                let verdict = wire.expire(now, &mut self.scratch, context);
                self.act(index, verdict, now, context);
            } else {
                self.rest(index, context);
            }
        }
    }

    /// Does what has become the child's duty since the last call: about the listeners, and about every connection that is
    /// here (those that are away are told when they come back).
    pub(super) fn heed(&mut self, now: Instant, context: &Context) -> io::Result<()> {
        let duty = context.orders.duty();
        let before = std::mem::replace(&mut self.duty, duty);
        if duty == before {
            return Ok(());
        }
        match (before.accepts(), duty.accepts()) {
            (true, false) => self.shut(),
            (false, true) => self.open()?,
            // A sweep looks for itself, whatever is known.
            (true, true) => self.accepting = Accepting::Pending,
            (false, false) => {}
        }
        let indexes: Vec<usize> = self.places.iter().map(|(index, _)| index).collect();
        for index in indexes {
            if let Some(wire) = self.places.get_mut(index).and_then(|place| place.wire.as_mut()) {
                duty.tell(&mut wire.connection, now);
                self.rest(index, context);
            }
        }
        context.error_log.line(Level::Debug, &format!("{} with {} connections", duty.word(), self.places.len()));
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        for (index, listener) in self.listeners.iter().enumerate() {
            let token = Token(FIRST_LISTENER + index);
            self.poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), token, Interest::READABLE)?;
        }
        self.accepting = Accepting::Pending;
        Ok(())
    }

    fn shut(&mut self) {
        self.accepting = Accepting::Shut;
        for listener in &self.listeners {
            // A listener that cannot be taken from the poller only causes turns in which nothing is accepted.
            let _ = self.poll.registry().deregister(&mut SourceFd(&listener.as_raw_fd()));
        }
    }
}

/// From when on a connection that waits for its client may be given up for a newcomer; None for all others.
fn patience_ends(wire: &Wire) -> Option<Instant> {
    wire.connection.contended_deadline(Press::LIGHTEST)
}

mod accepting;
#[cfg(test)]
pub(super) mod tests;
