//! One batch of one thread of the reactor driver: requests are taken from `ready`, the reactor is laid on the table while
//! the application has one, and wires go back to where they belong. Who is leader, deputy or worker is `role`'s to say.
//!
//! A batch begins with its first request taken and the reactor on the table: the gateway may have to wait for the
//! interpreter before it asks for the request, and nobody would receive meanwhile.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::accept::lets_go;
use super::reactor::Reactor;
use super::ready::Away;
use super::role::{Post, ReactorDriver};
use super::seat::Waiting;
use super::wire::{Scratch, Verdict, Wire};
use super::{Batch, Exchange, overload};
use crate::connection::Stage;

/// How long the leader serves before it polls again, as long as handlers come back quickly.
const SERVE_FOR: Duration = Duration::from_micros(500);

/// What a thread has of the role during one batch.
enum Hold {
    /// The reactor itself: between two requests of the leader.
    Has(Box<Reactor>),
    /// It lies on the table: the leader is inside the application.
    Lent,
    /// Nothing: a worker.
    Nothing,
}

/// The request that a batch begins with, while its thread waits for the interpreter.
struct First<'a> {
    place: usize,
    waiting: Waiting<'a, Box<Wire>>,
}

/// One batch of one thread.
pub(super) struct Turn<'a> {
    driver: &'a ReactorDriver,
    post: Post<'a>,
    hold: Hold,
    scratch: &'a mut Scratch,
    /// The request that the batch begins with, until the gateway asks for it.
    first: Option<First<'a>>,
    current: Option<Away>,
    /// When the exchange under way entered the application, and what time of its own the thread had used by then.
    entered: Instant,
    sampled: Option<Duration>,
    /// When a leader polls again.
    until: Instant,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        driver: &'a ReactorDriver,
        post: Post<'a>,
        scratch: &'a mut Scratch,
        reactor: Option<Box<Reactor>>,
        first: Away,
    ) -> Self {
        let now = Instant::now();
        let mut turn = Self {
            driver,
            post,
            hold: reactor.map_or(Hold::Nothing, Hold::Has),
            scratch,
            first: None,
            current: None,
            entered: now,
            sampled: None,
            until: now + SERVE_FOR,
        };
        turn.lend();
        // Only now: lending is for others to go on meanwhile.
        let waiting = Waiting::begin(first.wire, post.seat, now);
        turn.first = Some(First { place: first.place, waiting });
        turn
    }

    /// The application is about to have a request.
    fn lend(&mut self) {
        match std::mem::replace(&mut self.hold, Hold::Nothing) {
            Hold::Has(reactor) => {
                self.driver.lend(reactor);
                self.hold = Hold::Lent;
            }
            elsewhere @ (Hold::Lent | Hold::Nothing) => self.hold = elsewhere,
        }
    }

    /// Ends the exchange under way, takes the reactor again if it still lies there, and hands the wire back.
    fn complete(&mut self) -> Instant {
        let now = Instant::now();
        let Some(mut away) = self.current.take() else {
            return now;
        };
        let driver = self.driver;
        let context = &*driver.context;
        context.row.stage(self.post.thread, None);
        away.wire.end_answer(&mut self.scratch.out);
        if let Some(used_before) = self.sampled.take() {
            let took = now.saturating_duration_since(self.entered);
            driver.learn(took.saturating_sub(own_time().saturating_sub(used_before)));
        }
        let verdict = away.wire.complete(now, self.scratch, context);
        if away.wire.reader.gave_way {
            context.readers.came_back();
        }
        self.hand_back(away, verdict, now);
        now
    }

    /// Takes the reactor again if it still lies there, and hands the wire back.
    fn hand_back(&mut self, away: Away, verdict: Verdict, now: Instant) {
        let driver = self.driver;
        if matches!(self.hold, Hold::Lent) {
            self.hold = driver.take_from_table().map_or(Hold::Nothing, Hold::Has);
        }
        match &mut self.hold {
            Hold::Has(reactor) => {
                reactor.take_back(away, verdict, now, &driver.context);
                driver.publish(reactor, now);
            }
            Hold::Lent | Hold::Nothing => driver.give_back(away, verdict),
        }
    }

    /// The request that the batch begins with, if this thread has not turned to it yet. One for which the interpreter came
    /// too late was answered meanwhile, and is the one under way that is to be ended.
    fn arrive(&mut self) -> Option<Away> {
        let First { place, waiting } = self.first.take()?;
        let (wire, in_time) = waiting.end();
        let away = Away { place, wire: wire? };
        if in_time.is_ok() {
            return Some(away);
        }
        self.current = Some(away);
        None
    }

    /// The next request that is to be served. Those that have waited in vain are seen to.
    fn take(&mut self, mut arrived: Option<Away>, now: Instant) -> Option<Away> {
        let driver = self.driver;
        let context = &*driver.context;
        loop {
            let mut away = match arrived.take() {
                Some(first) => first,
                None => driver.take_queued()?,
            };
            let verdict = match overload::turn(&away.wire, now, context) {
                overload::Turn::Serve => return Some(away),
                overload::Turn::Drop => away.wire.drop_request(now, context),
                overload::Turn::Refuse(reject) => away.wire.turn_away(&reject, now, self.scratch, context),
            };
            self.hand_back(away, verdict, now);
        }
    }

    /// The batch is over; gives the reactor back to the thread's loop if the thread still leads.
    pub(super) fn close(mut self) -> Option<Box<Reactor>> {
        if let Some(first) = self.arrive() {
            // The gateway has not even asked for it: it is answered like one that was left without an answer.
            self.current = Some(first);
        }
        self.complete();
        match self.hold {
            Hold::Has(reactor) => Some(reactor),
            Hold::Lent | Hold::Nothing => None,
        }
    }
}

impl Batch for Turn<'_> {
    fn next(&mut self) -> Option<Exchange<'_>> {
        let arrived = self.arrive();
        let now = self.complete();
        let driver = self.driver;
        if arrived.is_none() && matches!(self.hold, Hold::Has(_)) && now >= self.until {
            return None;
        }
        let mut away = self.take(arrived, now)?;
        self.lend();
        let row = &driver.context.row;
        row.stage(self.post.thread, Some(Stage::Handler));
        if driver.somebody_waits() {
            let waited = now.saturating_duration_since(away.wire.noted.complete_at);
            let goes = lets_go(waited, row.connections(), || row.fewest_connections_where_idle());
            // A client that has sent its next request already would have to send it again.
            if goes && !away.wire.connection.has_next() && !away.wire.socket.has_something() {
                away.wire.connection.retire(now);
            }
        }
        away.wire.begin_answer(now, &driver.context);
        self.entered = now;
        self.sampled = driver.wants_sample().then(own_time);
        let away = self.current.insert(away);
        Some(Exchange::new(&mut away.wire, &mut self.scratch.out, &driver.context, None, self.post.seat, now))
    }
}

/// Processor time that this thread has used. A system call.
fn own_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
