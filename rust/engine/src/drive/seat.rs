//! The seat of one serving thread: where it leaves its wire whenever somebody else has the word (the application, or
//! whoever keeps it from the interpreter), so that the client can be answered without the thread when that takes too
//! long. Who may touch the wire is one word of memory; when it is time, and what is done then, is the watcher's business
//! (`overdue`).
//!
//! ```text
//! HOME ── lend ──> OUT ── resume ──> HOME      the thread alone, for every request: a store and a compare-exchange
//!                  OUT ── seize ───> SEIZED ──> LATE      the watcher has answered; the thread may still be out
//!                                               LATE ── settle ──> HOME      the thread is back for good
//! ```
//!
//! Every lending has a number of its own, which is part of the word: a watcher that has seen one lending can never seize
//! the next by mistake. Exactly one of `resume` and `seize` succeeds.
#![allow(unsafe_code)] // What is lent is a borrow that another thread uses; the word says which of the two may.

use std::cell::UnsafeCell;
use std::ops::DerefMut;
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Exchange;
use super::overdue::Alarm;
use super::wire::Wire;

const HOME: u64 = 0;
const OUT: u64 = 1;
const SEIZED: u64 = 2;
const LATE: u64 = 3;
/// Bits of the state; the number of the lending is in the others.
const STATE: u64 = 3;

/// An extension is for a day at most.
const LONGEST_EXTENSION: Duration = Duration::from_secs(86_400);

/// The watcher has answered in the thread's place: whatever the application makes now is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLate;

/// What a thread waits for while its wire is lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// The interpreter, which others have.
    ForInterpreter,
    /// The application.
    ForApplication,
}

impl Waits {
    /// The word for the gateway.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ForInterpreter => "interpreter",
            Self::ForApplication => "application",
        }
    }
}

/// A wire on loan, with the bytes that were made for it and not sent.
#[derive(Debug, Clone, Copy)]
struct Lent {
    wire: NonNull<Wire>,
    /// Nothing was made yet without it.
    out: Option<NonNull<Vec<u8>>>,
    waits: Waits,
}

/// What the watcher sees of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// The thread has its wire, or none.
    Home,
    /// The wire of this lending is out, and may be so until this moment.
    Out(Lending, Instant),
    /// The watcher has answered, and the thread is not back.
    Late(Lending),
}

/// The number of one lending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lending(u64);

/// See the module's first lines. On cache lines of its own: its thread writes it for each request.
#[derive(Debug)]
#[repr(align(128))]
pub struct Seat {
    word: AtomicU64,
    /// Nanoseconds since the alarm's epoch: until when the wire may be out.
    due: AtomicU64,
    /// As `due`: the application has asked not to be disturbed before.
    extended: AtomicU64,
    /// What the gateway calls the thread; 0 before it has said so.
    occupant: AtomicU64,
    lent: UnsafeCell<Option<Lent>>,
    /// Held while the watcher answers, and while something is done to a thread because it is late.
    gate: Mutex<()>,
    alarm: Arc<Alarm>,
}

// SAFETY: `lent` is only touched by the thread at home, and by the watcher between SEIZED and LATE; the word, whose every
// change is a release and every look before a use an acquire, allows one of them at a time. A wire may change threads.
unsafe impl Send for Seat {}
// SAFETY: as above.
unsafe impl Sync for Seat {}

const _: () = {
    const fn assert_send<T: Send>() {}
    assert_send::<Wire>();
};

impl Seat {
    pub(super) fn new(alarm: Arc<Alarm>) -> Self {
        Self {
            word: AtomicU64::new(HOME),
            due: AtomicU64::new(0),
            extended: AtomicU64::new(0),
            occupant: AtomicU64::new(0),
            lent: UnsafeCell::new(None),
            gate: Mutex::new(()),
            alarm,
        }
    }

    fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- the thread

    /// A request begins: nobody has asked for more time yet.
    pub(super) fn begin(&self) {
        self.extended.store(0, Relaxed);
    }

    /// Lets the watcher have the wire, should it take too long until `resume`. Without a deadline, and when the watcher
    /// has answered already, this does nothing.
    ///
    /// # Safety
    /// What `lent` points to stays where it is, and nobody touches it, until `resume` or `settle` has returned.
    unsafe fn lend(&self, lent: Lent, now: Instant) {
        let word = self.word.load(Relaxed);
        let Some(due) = self.alarm.due(now) else { return };
        if word & STATE != HOME {
            return;
        }
        // SAFETY: HOME: the watcher does not look at it.
        unsafe { *self.lent.get() = Some(lent) };
        self.due.store(due.max(self.extended.load(Relaxed)), Relaxed);
        // No fence: this thread may see the watcher awake while that does not see this lending yet. It looks once more,
        // a while later, before it sleeps without an end. A fence here costs more than all the rest.
        self.word.store((word | STATE).wrapping_add(1) | OUT, Release);
        self.alarm.wake_if_asleep();
    }

    /// Has the wire again.
    ///
    /// # Errors
    /// The watcher has answered; the wire may be touched again, but there is nothing left to say.
    pub(super) fn resume(&self) -> Result<(), TooLate> {
        let word = self.word.load(Relaxed);
        match word & STATE {
            HOME => return Ok(()),
            OUT if self.word.compare_exchange(word, word & !STATE, AcqRel, Acquire).is_ok() => return Ok(()),
            _ => {}
        }
        // The watcher holds the gate until it has answered.
        drop(self.gate());
        Err(TooLate)
    }

    /// The thread is back for good, whatever it was late for. Tells whether it was.
    pub(super) fn settle(&self) -> bool {
        if self.resume().is_ok() {
            return false;
        }
        let _gate = self.gate();
        self.word.store(self.word.load(Relaxed) & !STATE, Release);
        true
    }

    /// The gateway's number for the thread that sits here, by which [`super::Overdue::thread`] will name it. Not zero.
    pub fn occupied_by(&self, thread: u64) {
        self.occupant.store(thread, Relaxed);
    }

    pub(super) fn occupant(&self) -> u64 {
        self.occupant.load(Relaxed)
    }

    // ---- anybody

    /// The request under way has this much time from now on, and more if it had more; for all that it does until its end.
    /// False if `time` is longer than a day.
    #[must_use]
    pub fn extend(&self, time: Duration) -> bool {
        if time > LONGEST_EXTENSION {
            return false;
        }
        let until = self.alarm.nanoseconds(Instant::now() + time);
        self.extended.fetch_max(until, Relaxed);
        self.due.fetch_max(until, Relaxed);
        true
    }

    // ---- the watcher

    pub(super) fn look(&self) -> Look {
        let word = self.word.load(Acquire);
        match word & STATE {
            // The deadline of a later lending is no harm: `seize` will not find this one any more.
            OUT => Look::Out(Lending(word), self.alarm.instant(self.due.load(Relaxed))),
            LATE => Look::Late(Lending(word & !STATE)),
            _ => Look::Home,
        }
    }

    /// Changes with every lending.
    pub(super) fn trace(&self) -> u64 {
        self.word.load(Relaxed)
    }

    /// Takes the wire of this lending, if it is still out, and does with it what is to be done.
    pub(super) fn seize<R>(
        &self,
        lending: Lending,
        answer: impl FnOnce(&mut Wire, &mut Vec<u8>, Waits) -> R,
    ) -> Option<(Lending, R)> {
        let _gate = self.gate();
        let number = lending.0 & !STATE;
        self.word.compare_exchange(lending.0, number | SEIZED, AcqRel, Relaxed).ok()?;
        // SAFETY: SEIZED: the thread waits at the gate until this is over.
        let lent = unsafe { &mut *self.lent.get() }.take();
        let answered = lent.map(|mut lent| {
            // SAFETY: whoever called `lend` keeps the wire alive and untouched until the thread is home again.
            let wire = unsafe { lent.wire.as_mut() };
            let mut nothing = Vec::new();
            let out = match &mut lent.out {
                // SAFETY: as above; these are two places.
                Some(out) => unsafe { out.as_mut() },
                None => &mut nothing,
            };
            answer(wire, out, lent.waits)
        });
        self.word.store(number | LATE, Release);
        answered.map(|answered| (Lending(number), answered))
    }

    /// Does something to the thread, which is sure not to come back before it is done; None if it has come back.
    pub(super) fn while_late<R>(&self, lending: Lending, act: impl FnOnce() -> R) -> Option<R> {
        let _gate = self.gate();
        (self.word.load(Acquire) == lending.0 | LATE).then(act)
    }
}

/// A wire whose thread waits for the interpreter before it can turn to the request.
#[derive(Debug)]
pub(super) struct Waiting<'a, W: DerefMut<Target = Wire>> {
    /// Some until it is taken back.
    wire: Option<W>,
    seat: &'a Seat,
}

impl<'a, W: DerefMut<Target = Wire>> Waiting<'a, W> {
    /// A thread that sits at `seat` begins to wait. The value is used or dropped, and never forgotten.
    pub(super) fn begin(mut wire: W, seat: &'a Seat, now: Instant) -> Self {
        let lent = Lent { wire: NonNull::from(&mut *wire), out: None, waits: Waits::ForInterpreter };
        // SAFETY: `wire` lies behind a pointer, and what it points to does not move when the pointer does; it is given out
        // again by `end`, or dropped, after the seat was settled.
        unsafe { seat.lend(lent, now) };
        Self { wire: Some(wire), seat }
    }

    /// The thread has the interpreter, or has given up. An error: the request was answered meanwhile.
    pub(super) fn end(mut self) -> (Option<W>, Result<(), TooLate>) {
        let late = self.seat.settle();
        (self.wire.take(), if late { Err(TooLate) } else { Ok(()) })
    }
}

impl<W: DerefMut<Target = Wire>> Drop for Waiting<'_, W> {
    fn drop(&mut self) {
        if self.wire.is_some() {
            self.seat.settle();
        }
    }
}

/// How the application is called: these two are here because they make lending safe.
impl Exchange<'_> {
    /// Runs `run`, which is the application's: if it takes longer than it may, the client is answered meanwhile. `run` is
    /// given where the exchange lies, for those who can make sure that it is only used by `at_home`.
    ///
    /// # Errors
    /// `TooLate`, beside what `run` has returned, when the client was answered. The exchange stays late until it is
    /// settled: what is run until then is no request's any more, but is still waited for.
    pub fn away<R>(&mut self, run: impl FnOnce(NonNull<Self>) -> R) -> (R, Result<(), TooLate>) {
        let now = self.begun.take().unwrap_or_else(Instant::now);
        let seat = self.seat;
        self.go_out(now);
        let _back = Back(seat);
        let ran = run(NonNull::from(&mut *self));
        (ran, seat.resume())
    }

    /// Uses the exchange in the midst of `away`, with whose pointer it was found; also at other times.
    ///
    /// # Errors
    /// `TooLate` when the client was answered; nothing is run then.
    pub fn at_home<R>(&mut self, use_it: impl FnOnce(&mut Self) -> R) -> Result<R, TooLate> {
        let was_out = self.seat.word.load(Relaxed) & STATE != HOME;
        self.seat.resume()?;
        let used = use_it(self);
        if was_out {
            self.go_out(Instant::now());
        }
        Ok(used)
    }

    fn go_out(&mut self, now: Instant) {
        let lent = Lent {
            wire: NonNull::from(&mut *self.wire),
            out: Some(NonNull::from(&mut *self.out)),
            waits: Waits::ForApplication,
        };
        // SAFETY: `away` keeps the exchange borrowed, and with it these two, until it has resumed, also if `run` panics;
        // `at_home` is called in the midst of that, and has resumed before it lets anybody touch them.
        unsafe { self.seat.lend(lent, now) };
    }
}

/// Home again, also if the application's call panics.
struct Back<'a>(&'a Seat);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        // Whether it is too late is asked by those who can do something about it.
        let _ = self.0.resume();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    use super::super::reactor::tests::context;
    use super::*;
    use crate::addresses::Presence;
    use crate::net::{Endpoint, Endpoints, Socket};
    use crate::timeouts::HandlerTime;

    fn seat(time: Duration) -> Seat {
        Seat::new(Arc::new(Alarm::new(HandlerTime { time, grace: Duration::ZERO })))
    }

    fn wire() -> Box<Wire> {
        let (socket, _) = UnixStream::pair().unwrap();
        let endpoints = Endpoints { local: Endpoint::Unix, peer: Endpoint::Unix };
        Box::new(Wire::new(Socket::new(socket.into()), endpoints, Presence::default(), &context(), Instant::now()))
    }

    fn lending(seat: &Seat) -> Option<Lending> {
        match seat.look() {
            Look::Out(lending, _) => Some(lending),
            Look::Home | Look::Late(_) => None,
        }
    }

    /// However thread and watcher meet: each lending ends in one way, and nobody touches the wire beside another.
    #[test]
    fn each_lending_is_resumed_or_seized_and_never_both() {
        const EACH: u64 = 1000;
        let seat = seat(Duration::from_secs(60));
        let (over, seized, touched) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicBool::new(false));
        let touch = || {
            assert!(!touched.swap(true, SeqCst), "two at once");
            touched.store(false, SeqCst);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    if let Some(lending) = lending(&seat) {
                        let answer = |wire: &mut Wire, _: &mut Vec<u8>, _| {
                            touch();
                            wire.noted.bytes += 1;
                        };
                        if let Some((late, ())) = seat.seize(lending, answer) {
                            seized.fetch_add(1, SeqCst);
                            assert!(seat.seize(lending, answer).is_none(), "twice");
                            // It may be back by now; it is not while something is done about it.
                            seat.while_late(late, || assert_eq!(seat.look(), Look::Late(late)));
                        }
                    }
                }
            });
            let mut wire = wire();
            let (mut late, mut resumed) = (0, 0_u64);
            let patience = Instant::now() + Duration::from_secs(60);
            while late < EACH || resumed < EACH {
                assert!(Instant::now() < patience, "they do not meet: {late} {resumed}");
                let waiting = Waiting::begin(&mut *wire, &seat, Instant::now());
                if resumed % 3 == 0 {
                    std::thread::yield_now();
                }
                let (back, in_time) = waiting.end();
                touch();
                late += u64::from(in_time.is_err());
                resumed += u64::from(in_time.is_ok());
                assert_eq!(back.map(|wire| wire.noted.bytes), Some(late));
                assert_eq!(seat.look(), Look::Home);
            }
            over.store(true, Relaxed);
            assert_eq!(late, wire.noted.bytes);
        });
        assert!(seized.load(SeqCst) as u64 >= EACH);
    }

    #[test]
    fn a_watcher_that_is_slow_seizes_no_later_lending() {
        let seat = seat(Duration::from_secs(60));
        let mut wire = wire();
        let waiting = Waiting::begin(&mut *wire, &seat, Instant::now());
        let seen = lending(&seat).unwrap();
        assert_eq!(waiting.end().1, Ok(()));
        let waiting = Waiting::begin(&mut *wire, &seat, Instant::now());
        assert!(seat.seize(seen, |_, _, _| ()).is_none());
        assert!(seat.while_late(seen, || ()).is_none());
        drop(waiting);
        assert_eq!(seat.look(), Look::Home);
    }

    #[test]
    fn time_is_only_ever_added_and_for_one_request() {
        let seat = seat(Duration::from_secs(60));
        let mut wire = wire();
        let now = Instant::now();
        let due = |seat: &Seat| match seat.look() {
            Look::Out(_, due) => due.saturating_duration_since(now).as_secs(),
            Look::Home | Look::Late(_) => 0,
        };
        seat.begin();
        let waiting = Waiting::begin(&mut *wire, &seat, now);
        assert_eq!(due(&seat), 60);
        assert!(seat.extend(Duration::from_secs(10)));
        assert_eq!(due(&seat), 60);
        assert!(seat.extend(Duration::from_secs(4000)) && !seat.extend(Duration::from_secs(86_401)));
        assert!((4000..4100).contains(&due(&seat)), "{}", due(&seat));
        drop(waiting);
        let waiting = Waiting::begin(&mut *wire, &seat, now);
        assert!(due(&seat) >= 4000);
        drop(waiting);
        seat.begin();
        let waiting = Waiting::begin(&mut *wire, &seat, now);
        assert_eq!(due(&seat), 60);
        drop(waiting);
    }

    #[test]
    fn without_a_deadline_nothing_is_ever_out() {
        let seat = seat(Duration::ZERO);
        let mut wire = wire();
        let waiting = Waiting::begin(&mut *wire, &seat, Instant::now());
        assert_eq!(seat.look(), Look::Home);
        assert_eq!(waiting.end().1, Ok(()));
    }
}
