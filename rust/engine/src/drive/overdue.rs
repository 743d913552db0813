//! The watcher of a child: a thread without the interpreter that answers clients whose requests the application keeps for
//! too long, and sees to it that the thread comes back, or is done without. Not here: how a wire changes hands (`seat`).
//!
//! It sleeps until the first moment at which anybody can be late. Whoever begins a request only wakes it when it sleeps
//! without an end, which it does after one whole period in which nothing began: so it wakes up once in a `timeout` at most
//! as long as all goes well, and never in a child that is idle.
//!
//! What a late request goes through:
//!
//! 1. The client gets 504, or sees its answer broken off. Nobody is asked for that: neither the thread nor the interpreter.
//! 2. The gateway is told, on a thread of its own (`tell`), since it needs the interpreter and may never get it.
//! 3. `Then::EndProcess`: as soon as that is done, but a second later at most, the process ends.
//!    `Then::AwaitThread`: the gateway has asked the thread to come back. If it does not within `grace`, the child is worn:
//!    it goes on serving with the threads that are left until it was replaced. If not even the gateway could be told, some
//!    code keeps the interpreter for itself and no thread of the child will ever serve: the process ends.

use std::io;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::answer::Progress;
use super::seat::{Lending, Look, Seat, Waits};
use super::wire::Wire;
use super::{Context, Gateway, Worn};
use crate::http::Reject;
use crate::log::Level;
use crate::timeouts::HandlerTime;

/// How long before it sleeps without an end the watcher waits for what others have done to be seen: nanoseconds would do.
const LAST_LOOK: Duration = Duration::from_millis(100);
/// How long the gateway may take to be told.
const TELLING: Duration = Duration::from_secs(1);
/// Bytes of a method and of a path that are told.
const LONGEST_TOLD: usize = 200;
/// Bytes of later requests that are thrown away, so that closing does not take the answer from the client.
const THROWN_AWAY: usize = 64 * 1024;

/// What is done about a thread that is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The process ends: for one that has no other thread.
    EndProcess,
    /// It is asked to come back, and waited for.
    AwaitThread,
}

/// Directives `timeout`, `timeout_grace`; what follows is the MPM's.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// How long the application may take.
    pub time: HandlerTime,
    /// What then.
    pub then: Then,
}

impl Default for Deadline {
    /// None.
    fn default() -> Self {
        Self { time: HandlerTime { time: Duration::ZERO, grace: Duration::ZERO }, then: Then::AwaitThread }
    }
}

/// What the client of a late request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// 504.
    Refusal,
    /// Its answer had begun, and was broken off.
    Part,
    /// Its answer was complete: only what the application does afterwards takes so long.
    All,
}

impl Got {
    /// The word for the gateway.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refusal => "refusal",
            Self::Part => "part",
            Self::All => "all",
        }
    }
}

/// A request that is late.
#[derive(Debug)]
pub struct Overdue {
    /// Its method, cut to a length that suits a log.
    pub method: Vec<u8>,
    /// Its path as it was sent, cut likewise.
    pub path: Vec<u8>,
    /// Since it was complete.
    pub age: Duration,
    /// What the thread waits for.
    pub waits: Waits,
    /// What the client got.
    pub got: Got,
    /// What the gateway calls the thread; see [`Seat::occupied_by`]. 0 if it has not said.
    pub thread: u64,
    seat: Arc<Seat>,
    lending: Lending,
    told: Arc<AtomicBool>,
}

impl Overdue {
    /// Does something to the thread if it is still late, which it then is until that is done: it cannot have turned to
    /// another request.
    pub fn while_late<R>(&self, act: impl FnOnce() -> R) -> Option<R> {
        self.seat.while_late(self.lending, act)
    }
}

/// What seats and watcher share: when somebody is late, and how to wake the watcher.
#[derive(Debug)]
pub(super) struct Alarm {
    time: HandlerTime,
    epoch: Instant,
    /// The watcher sleeps without an end.
    asleep: AtomicBool,
    watcher: OnceLock<Thread>,
}

impl Alarm {
    pub(super) fn new(time: HandlerTime) -> Self {
        Self { time, epoch: Instant::now(), asleep: AtomicBool::new(false), watcher: OnceLock::new() }
    }

    /// Until when what begins now may last, in nanoseconds since the epoch; None is for ever.
    pub(super) fn due(&self, now: Instant) -> Option<u64> {
        self.time.due(now).map(|due| self.nanoseconds(due))
    }

    pub(super) fn nanoseconds(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn instant(&self, nanoseconds: u64) -> Instant {
        let since = Duration::from_nanos(nanoseconds);
        self.epoch.checked_add(since).unwrap_or(self.epoch)
    }

    pub(super) fn wake_if_asleep(&self) {
        if self.asleep.load(Relaxed) && self.asleep.swap(false, SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(watcher) = self.watcher.get() {
            watcher.unpark();
        }
    }
}

/// The seats of a driver, and the thread that watches them when there is a deadline. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Watch {
    seats: Arc<[Arc<Seat>]>,
    alarm: Arc<Alarm>,
    over: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Watch {
    /// Seats for `threads` threads. Run after the last fork.
    ///
    /// # Errors
    /// When the system has no thread.
    pub(super) fn begin(gateway: &Arc<dyn Gateway>, context: &Arc<Context>, threads: usize) -> io::Result<Self> {
        let alarm = Arc::new(Alarm::new(context.deadline.time));
        let seats: Arc<[_]> = (0..threads).map(|_| Arc::new(Seat::new(Arc::clone(&alarm)))).collect();
        let over = Arc::new(AtomicBool::new(false));
        let watcher = if context.deadline.time.time.is_zero() {
            None
        } else {
            let watcher = Watcher {
                seats: Arc::clone(&seats),
                alarm: Arc::clone(&alarm),
                over: Arc::clone(&over),
                gateway: Arc::clone(gateway),
                context: Arc::clone(context),
                pursuits: (0..threads).map(|_| None).collect(),
                teller: None,
                seen: vec![0; threads],
            };
            Some(Builder::new().name("tricorn-watcher".into()).stack_size(256 * 1024).spawn(|| watcher.run())?)
        };
        if let Some(watcher) = &watcher {
            // It looks once before it sleeps, and nothing has begun yet.
            let _ = alarm.watcher.set(watcher.thread().clone());
        }
        Ok(Self { seats, alarm, over, watcher })
    }

    /// The seat of a thread; None when there is no such thread.
    pub(super) fn seat(&self, thread: usize) -> Option<&Arc<Seat>> {
        self.seats.get(thread)
    }

    /// How many threads are late.
    pub(super) fn late(&self) -> usize {
        self.seats.iter().filter(|seat| matches!(seat.look(), Look::Late(_))).count()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        self.alarm.wake();
        if let Some(watcher) = self.watcher.take() {
            // One that has panicked watches no more.
            let _ = watcher.join();
        }
    }
}

/// A late request, as long as its thread is not back.
#[derive(Debug)]
struct Pursuit {
    lending: Lending,
    told: Arc<AtomicBool>,
    tell_until: Instant,
    back_until: Instant,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Telling,
    /// The gateway was told, or could not be.
    Waiting,
    /// There is nothing left to do about the thread.
    GivenUp,
}

/// The thread's own.
struct Watcher {
    seats: Arc<[Arc<Seat>]>,
    alarm: Arc<Alarm>,
    over: Arc<AtomicBool>,
    gateway: Arc<dyn Gateway>,
    context: Arc<Context>,
    /// One for each seat.
    pursuits: Vec<Option<Pursuit>>,
    teller: Option<SyncSender<Overdue>>,
    /// What the seats were like at the last look.
    seen: Vec<u64>,
}

impl Watcher {
    fn run(mut self) {
        while !self.over.load(SeqCst) {
            let now = Instant::now();
            let next = self.look(now);
            if let Some(next) = next {
                std::thread::park_timeout(next.saturating_duration_since(now));
                continue;
            }
            self.alarm.asleep.store(true, SeqCst);
            // Whoever begins from now on wakes it up. What began just before that may not be seen yet, but will be soon.
            if !self.somebody_began() {
                std::thread::park_timeout(LAST_LOOK);
            }
            if self.alarm.asleep.load(SeqCst) && !self.somebody_began() && !self.over.load(SeqCst) {
                std::thread::park();
            }
            self.alarm.asleep.store(false, SeqCst);
        }
    }

    fn somebody_began(&self) -> bool {
        self.seats.iter().any(|seat| matches!(seat.look(), Look::Out(..)))
    }

    /// Does what is due, and tells when to look again; None: when a request begins.
    fn look(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut began = false;
        for (index, seat) in Arc::clone(&self.seats).iter().enumerate() {
            let trace = seat.trace();
            began |= std::mem::replace(&mut self.seen[index], trace) != trace;
            let mut look = seat.look();
            if let Look::Out(lending, due) = look {
                if due > now {
                    next = Some(next.map_or(due, |next| next.min(due)));
                } else {
                    self.pursuits[index] = self.seize(seat, lending, now);
                    look = seat.look();
                }
            }
            let pursuit = self.pursuits[index].take();
            let is_it = |pursuit: &Pursuit| look == Look::Late(pursuit.lending);
            let Some(mut pursuit) = pursuit.filter(is_it) else { continue };
            if let Some(again) = self.pursue(seat, &mut pursuit, now) {
                next = Some(next.map_or(again, |next| next.min(again)));
            }
            self.pursuits[index] = Some(pursuit);
        }
        // Whatever begins from now on is not due before that.
        let period = self.context.deadline.time.due(now).filter(|_| began || next.is_some());
        next.into_iter().chain(period).min()
    }

    /// Answers in the place of a thread that is late.
    fn seize(&mut self, seat: &Arc<Seat>, lending: Lending, now: Instant) -> Option<Pursuit> {
        let context = Arc::clone(&self.context);
        let told = Arc::new(AtomicBool::new(false));
        let (lending, overdue) = seat.seize(lending, |wire, out, waits| {
            let got = wire.answer_in_place(out, now, &context);
            let cut = |bytes: &[u8]| bytes[..bytes.len().min(LONGEST_TOLD)].to_vec();
            let head = wire.connection.head();
            Overdue {
                method: cut(head.method()),
                path: cut(head.path()),
                age: now.saturating_duration_since(wire.noted.complete_at),
                waits,
                got,
                thread: seat.occupant(),
                seat: Arc::clone(seat),
                lending,
                told: Arc::clone(&told),
            }
        })?;
        self.tell(Overdue { lending, ..overdue });
        Some(Pursuit {
            lending,
            told,
            tell_until: now + TELLING,
            back_until: context.deadline.time.back_by(now),
            stage: Stage::Telling,
        })
    }

    /// Hands over to the thread that tells the gateway, which is made when it is needed first.
    fn tell(&mut self, overdue: Overdue) {
        if self.teller.is_none() {
            let (teller, overdue) = sync_channel(2 * self.seats.len());
            let (gateway, alarm) = (Arc::clone(&self.gateway), Arc::clone(&self.alarm));
            let spawned = Builder::new().name("tricorn-teller".into()).spawn(move || {
                tell_all(&*gateway, &alarm, &overdue);
            });
            match spawned {
                Ok(_) => self.teller = Some(teller),
                Err(error) => {
                    let text = format!("no thread can be had to look at a request that takes too long: {error}");
                    self.context.error_log.line(Level::Error, &text);
                }
            }
        }
        let line = told_without_stack(&overdue);
        // Full: the one before it is not told yet, and the same will happen to this one.
        if self.teller.as_ref().is_none_or(|teller| teller.try_send(overdue).is_err()) {
            self.context.error_log.line(Level::Error, &line);
        }
    }

    /// Goes on with a request that is late; tells when to look again.
    fn pursue(&mut self, seat: &Seat, pursuit: &mut Pursuit, now: Instant) -> Option<Instant> {
        let context = Arc::clone(&self.context);
        let told = pursuit.told.load(SeqCst);
        if pursuit.stage == Stage::Telling {
            if !told && now < pursuit.tell_until {
                return Some(pursuit.tell_until);
            }
            if !told {
                let text = "the stack of a request that takes too long cannot be shown: for a second nobody else could \
                            have the interpreter, so some code that is not Python keeps it";
                context.error_log.line(Level::Error, text);
            }
            pursuit.stage = Stage::Waiting;
            if context.deadline.then == Then::EndProcess {
                pursuit.stage = Stage::GivenUp;
                self.end_process(seat, pursuit.lending);
            }
        }
        if pursuit.stage != Stage::Waiting {
            return None;
        }
        if now < pursuit.back_until {
            return Some(pursuit.back_until);
        }
        pursuit.stage = Stage::GivenUp;
        let grace = context.deadline.time.grace.as_secs_f64();
        if told {
            let text = format!("the thread of a late request did not come back within timeout_grace={grace} s");
            context.error_log.line(Level::Warning, &text);
            context.wear.reach(Worn::Overdue);
        } else {
            let text = format!("nobody could have the interpreter for timeout_grace={grace} s; this child ends");
            context.error_log.line(Level::Error, &text);
            self.end_process(seat, pursuit.lending);
        }
        None
    }

    /// Ends the process, unless the thread has just come back: it may have turned to another client, who would be cut off.
    fn end_process(&self, seat: &Seat, lending: Lending) {
        seat.while_late(lending, || {
            if let Some(log) = &self.context.access_log {
                log.close();
            }
            self.gateway.end_process();
        });
    }
}

/// The life of the thread that tells the gateway.
fn tell_all(gateway: &dyn Gateway, alarm: &Alarm, all: &Receiver<Overdue>) {
    for overdue in all {
        gateway.overdue(&overdue);
        overdue.told.store(true, SeqCst);
        alarm.wake();
    }
}

fn told_without_stack(overdue: &Overdue) -> String {
    let (method, path) = (overdue.method.escape_ascii(), overdue.path.escape_ascii());
    format!("{method} {path} took too long: {:.1} s", overdue.age.as_secs_f64())
}

impl Wire {
    /// Answers the client although the application has not come back, and notes it. What follows is for the thread to
    /// see when it is back: the connection is not kept.
    fn answer_in_place(&mut self, out: &mut Vec<u8>, now: Instant, context: &Context) -> Got {
        let got = if self.connection.answered() {
            Got::All
        } else if self.connection.responding() {
            self.connection.break_off();
            Got::Part
        } else {
            self.noted.status = 504;
            self.connection.reject(&Reject::gateway_timeout(), out);
            Got::Refusal
        };
        context.row.timed_out();
        self.record(now, context);
        match got {
            Got::Part => {
                out.clear();
                self.lost = true;
                if self.connection.must_reset() {
                    self.socket.sever();
                } else {
                    self.socket.shutdown();
                }
            }
            Got::Refusal | Got::All => {
                // What the client does not take now waits for the thread.
                if self.send(out, now, context) == Progress::Done {
                    self.socket.shutdown_write();
                    self.socket.throw_away(THROWN_AWAY);
                    self.lost = got == Got::All;
                }
            }
        }
        got
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_kept_to_the_nanosecond() {
        let time = HandlerTime { time: Duration::from_secs(60), grace: Duration::from_secs(10) };
        let alarm = Alarm::new(time);
        let now = alarm.epoch + Duration::new(12, 345);
        assert_eq!(alarm.due(now).map(|due| alarm.instant(due)), Some(now + Duration::from_secs(60)));
        assert_eq!(Alarm::new(HandlerTime { time: Duration::ZERO, ..time }).due(now), None);
        assert!(!alarm.asleep.load(SeqCst));
    }
}
