//! The reactor driver: worker threads that share the listener's role.
//!
//! Some facts. Handing each request from a thread that polls to a thread that works costs a context switch, half of the
//! price of a small request. A thread that polls and calls the application itself pays nothing, but receives nothing
//! while a handler runs. What follows: the listener is a role and not a thread. The leader (who has the role) lays the
//! reactor on the table before it calls the application, and takes it again afterwards. If a handler does not come back
//! within a tick, the deputy (a thread with nothing else to do) takes the reactor and is the new leader; the old one
//! finishes its request as a worker, and then serves what waits or goes to sleep.
//!
//! `threads` + 1 threads: at most `threads` are inside the application, so one is always left to receive. Whoever is
//! not busy sleeps; one sleeper is the deputy, who looks at the table every tick while handlers run, and not at all when
//! they do not. While handlers are found to wait rather than to compute, the deputy is woken at once instead.
//!
//! Guarantees: exactly one thread has the reactor, or it is on the table. A wire is in its place, in `ready`, with one
//! thread, or in `returned`. A complete request waits only while `threads` threads are busy, or for at most two ticks.

use std::io;
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::duty::Word;
use super::overdue::Watch;
use super::overload;
use super::reactor::{Patience, Reactor};
use super::ready::{Away, Queue};
use super::seat::Seat;
use super::turn::Turn;
use super::wire::{Scratch, Verdict};
use super::{Context, Gateway, Worn};
use crate::net::Listeners;
use crate::scoreboard::Capacity;

/// How long a handler may run before the role passes.
const TICK: Duration = Duration::from_micros(500);
/// Ticks without a handler seen after which the deputy sleeps until it is called.
const QUIET_TICKS: u32 = 4;
/// One handler in so many is watched for how long it waited: asking for a thread's own time is a system call.
const SAMPLE: usize = 16;
/// Waiting for so long in one handler is worth waking the deputy at once from now on.
const LONG_WAIT: Duration = Duration::from_micros(50);
/// Watched handlers in a row that must not wait before that ends.
const EAGER_FOR: u32 = 4;

/// Where the reactor is.
#[derive(Debug)]
enum Table {
    /// With the leader.
    Taken,
    /// Here, while the leader is inside the application.
    Lent(Box<Reactor>),
    /// The child has finished; the reactor is gone.
    Over,
}

/// Who sleeps.
#[derive(Debug, Default)]
struct Sleepers {
    deputy: bool,
    others: usize,
}

/// Which of the driver's threads this is.
#[derive(Clone, Copy)]
pub(super) struct Post<'a> {
    pub(super) thread: usize,
    pub(super) seat: &'a Arc<Seat>,
}

/// What a thread does next.
enum Work {
    Lead(Box<Reactor>),
    Serve,
    Leave,
}

/// The driver of the event MPM. Shared by the threads of one child.
pub struct ReactorDriver {
    gateway: Arc<dyn Gateway>,
    pub(super) context: Arc<Context>,
    threads: usize,
    watch: Watch,
    /// Handlers can run at the same time (free-threaded interpreter): waiting requests wake sleepers at once.
    parallel: bool,
    table: Mutex<Table>,
    /// Counts how often the reactor was lent; odd while it lies on the table.
    lent: AtomicU64,
    sleepers: Mutex<Sleepers>,
    call_deputy: Condvar,
    call_others: Condvar,
    deputy_sleeps: AtomicBool,
    eager: AtomicU32,
    handlers: AtomicUsize,
    busy: AtomicUsize,
    ready: Queue<Away>,
    returned: Queue<(Away, Verdict)>,
    polling: AtomicBool,
    waker: mio::Waker,
    left: AtomicUsize,
}

impl std::fmt::Debug for ReactorDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReactorDriver").field("threads", &self.threads).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked has ended the child; what it held is looked at by no one for long.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ReactorDriver {
    /// Prepares to serve `listeners` with at most `threads` threads inside `gateway` at once.
    ///
    /// # Errors
    /// When the system has no descriptors for a poller, or no thread.
    pub fn new(
        gateway: Arc<dyn Gateway>,
        listeners: Listeners,
        context: Arc<Context>,
        threads: usize,
        parallel: bool,
    ) -> io::Result<Self> {
        let (reactor, waker) = Reactor::new(listeners)?;
        let watch = Watch::begin(&gateway, &context, threads + 1)?;
        context.row.ready(Capacity::requests(threads, context.open_connections));
        Ok(Self {
            gateway,
            context,
            threads,
            watch,
            parallel,
            table: Mutex::new(Table::Lent(Box::new(reactor))),
            lent: AtomicU64::new(1),
            sleepers: Mutex::default(),
            call_deputy: Condvar::new(),
            call_others: Condvar::new(),
            deputy_sleeps: AtomicBool::new(false),
            eager: AtomicU32::new(0),
            handlers: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            ready: Queue::default(),
            returned: Queue::default(),
            polling: AtomicBool::new(false),
            waker,
            left: AtomicUsize::new(0),
        })
    }

    /// Serves as thread `thread` (0 to `threads`) until the child is retired and every connection has ended.
    ///
    /// # Errors
    /// When the system cannot poll, or there is no such thread.
    pub fn run(&self, thread: usize) -> io::Result<()> {
        let no_such_thread =
            || io::Error::new(io::ErrorKind::InvalidInput, format!("the driver has no thread {thread}"));
        let seat = self.watch.seat(thread).ok_or_else(no_such_thread)?;
        let post = Post { thread, seat };
        let mut scratch = Scratch::default();
        let mut next = self.take_from_table().map_or(Work::Serve, Work::Lead);
        loop {
            next = match next {
                Work::Lead(reactor) => self.lead(reactor, post, &mut scratch)?,
                Work::Serve => self.work(post, &mut scratch),
                Work::Leave => break,
            };
        }
        if self.left.fetch_add(1, SeqCst) == self.threads {
            if let Some(log) = &self.context.access_log {
                log.close();
            }
        }
        Ok(())
    }

    /// As [`super::BlockingDriver::retire`].
    pub fn retire(&self, sweep: bool) {
        self.take(if sweep { Word::Sweep } else { Word::Leave });
    }

    /// As [`super::BlockingDriver::part`].
    pub fn part(&self) {
        self.take(Word::Part);
    }

    /// As [`super::BlockingDriver::rest`].
    pub fn rest(&self) {
        self.take(Word::Rest);
    }

    /// As [`super::BlockingDriver::resume`].
    pub fn resume(&self) -> bool {
        self.take(Word::Resume);
        self.context.orders.duty().accepts()
    }

    /// As [`super::BlockingDriver::worn`].
    pub fn worn(&self) -> Option<Worn> {
        self.context.wear.worn()
    }

    fn take(&self, word: Word) {
        if self.context.orders.take(word, &self.context.row) {
            self.wake_reactor();
        }
    }

    fn wake_reactor(&self) {
        // Can fail only if the poller is gone, and then nobody polls.
        let _ = self.waker.wake();
    }

    /// The life of the leader: turns the reactor, and serves what is complete. Returns when the role has passed on.
    fn lead(&self, mut reactor: Box<Reactor>, post: Post<'_>, scratch: &mut Scratch) -> io::Result<Work> {
        loop {
            // Before a wait: the last connection may have ended in a turn, or with the answer that this thread has given.
            let turned = if reactor.is_over() { Ok(()) } else { self.turn(&mut reactor) };
            if turned.is_err() || reactor.is_over() {
                *lock(&self.table) = Table::Over;
                self.call_everybody();
                return turned.map(|()| Work::Leave);
            }
            let Some(first) = self.claim() else { continue };
            let mut turn = Turn::new(self, post, scratch, Some(reactor), first);
            self.gateway.serve(&mut turn);
            let kept = turn.close();
            self.leave();
            match kept {
                Some(kept) => reactor = kept,
                None => return Ok(Work::Serve),
            }
        }
    }

    /// One turn of the reactor by the leader, with what other threads have left for it.
    fn turn(&self, reactor: &mut Reactor) -> io::Result<()> {
        let can_serve = self.busy.load(SeqCst) < self.threads;
        self.polling.store(true, SeqCst);
        let patience = if self.returned.len() > 0 || (self.ready.len() > 0 && can_serve) {
            Patience::None
        } else {
            let due = self.ready.first(|oldest| self.context.queue.due(oldest.wire.noted.complete_at));
            // Nobody tells when the last of its threads is lost.
            let look = self.waits_for_the_lost().then(|| Instant::now() + Duration::from_secs(1));
            due.flatten().into_iter().chain(look).min().map_or(Patience::Endless, Patience::Until)
        };
        let turned = reactor.turn(patience, &self.context);
        self.polling.store(false, SeqCst);
        turned?;
        let now = Instant::now();
        while let Some((away, verdict)) = self.returned.pop(|_| ()) {
            reactor.take_back(away, verdict, now, &self.context);
        }
        reactor.heed(now, &self.context)?;
        self.publish(reactor, now);
        self.refuse_overdue(reactor, now);
        Ok(())
    }

    /// How many requests more may wait. Those for which a thread is free do not wait.
    fn room(&self) -> usize {
        let free = self.threads.saturating_sub(self.busy.load(SeqCst));
        self.context.queue.requests.saturating_add(free).saturating_sub(self.ready.len())
    }

    /// Queues what has become complete, as far as there is room.
    pub(super) fn publish(&self, reactor: &mut Reactor, now: Instant) {
        if !reactor.has_complete() {
            return;
        }
        if self.context.addresses.has_laggards(now) {
            reactor.refuse_outsiders(now, &self.context);
        }
        let room = self.room();
        for away in reactor.take_complete(room) {
            self.queue(away);
        }
        if reactor.has_complete() {
            let oldest = self.ready.first(|oldest| now.saturating_duration_since(oldest.wire.noted.complete_at));
            reactor.refuse_complete(&overload::too_many(oldest.unwrap_or_default()), now, &self.context);
        }
        self.context.row.ring_if_short();
        self.press_readers();
        let waiting = self.ready.len();
        if self.parallel && waiting > 1 {
            let sleepers = lock(&self.sleepers);
            for _ in 0..sleepers.others.min(waiting - 1) {
                self.call_others.notify_one();
            }
        }
    }

    /// Whether requests wait in a child that leaves because threads do not come back: in vain, if none does.
    fn waits_for_the_lost(&self) -> bool {
        let leaves = || self.context.wear.worn() == Some(Worn::Overdue) && !self.context.orders.duty().accepts();
        self.ready.len() > 0 && leaves()
    }

    /// Refuses what has waited too long, or in vain. A thread that is free takes the oldest first and looks, too; here it is
    /// for a time when none is.
    fn refuse_overdue(&self, reactor: &mut Reactor, now: Instant) {
        let context = &*self.context;
        let lost = self.waits_for_the_lost() && self.watch.late() >= self.threads;
        let over = |away: &Away| lost || context.queue.is_over(away.wire.noted.complete_at, now);
        while let Some(away) = self.ready.pop_if(over, |waiting| context.row.queued(waiting)) {
            let waited = now.saturating_duration_since(away.wire.noted.complete_at);
            reactor.turn_away(away, &overload::too_long(waited), now, context);
        }
    }

    fn queue(&self, away: Away) {
        self.ready.push(away, |waiting| self.context.row.queued(waiting));
    }

    /// Whether a complete request waits because all threads are inside the application. One that waits for its turn, or
    /// for the interpreter, would not be better off with more threads.
    pub(super) fn somebody_waits(&self) -> bool {
        self.ready.len() > 0 && self.busy.load(SeqCst) >= self.threads
    }

    /// A request has been queued: if no thread is free, one that waits for its reader may have to take it.
    fn press_readers(&self) {
        if self.somebody_waits() {
            self.context.readers.press();
        }
    }

    /// The complete request that has waited longest.
    pub(super) fn take_queued(&self) -> Option<Away> {
        self.ready.pop(|waiting| self.context.row.queued(waiting))
    }

    /// Takes a request that waits, and one of the places inside the application for it.
    fn claim(&self) -> Option<Away> {
        while self.ready.len() > 0 && self.enter() {
            if let Some(away) = self.take_queued() {
                return Some(away);
            }
            // Another thread was faster. Look again: whoever queued a request since may have found all places taken.
            self.leave();
        }
        None
    }

    /// Takes one of the places inside the application.
    fn enter(&self) -> bool {
        let entered = self.busy.fetch_update(SeqCst, SeqCst, |busy| (busy < self.threads).then_some(busy + 1));
        if entered.is_ok() {
            self.context.row.entered();
        }
        entered.is_ok()
    }

    fn leave(&self) {
        self.busy.fetch_sub(1, SeqCst);
        self.context.row.left();
    }

    /// The life of a thread without the role: serves what waits, then sleeps until it is needed.
    fn work(&self, post: Post<'_>, scratch: &mut Scratch) -> Work {
        // A request that came while all were busy was left for whoever leaves next; see `claim` and `turn`.
        while let Some(first) = self.claim() {
            let mut turn = Turn::new(self, post, scratch, None, first);
            self.gateway.serve(&mut turn);
            let kept = turn.close();
            self.leave();
            if let Some(reactor) = kept {
                return Work::Lead(reactor);
            }
        }
        self.sleep()
    }

    fn sleep(&self) -> Work {
        let mut sleepers = lock(&self.sleepers);
        loop {
            if matches!(*lock(&self.table), Table::Over) {
                return Work::Leave;
            }
            if self.parallel && self.ready.len() > 0 && self.busy.load(SeqCst) < self.threads {
                if !sleepers.deputy && sleepers.others > 0 {
                    // This thread may have been called to be the deputy: let another one be it.
                    self.call_others.notify_one();
                }
                return Work::Serve;
            }
            if !sleepers.deputy {
                sleepers.deputy = true;
                let (work, mut sleepers) = self.watch(sleepers);
                sleepers.deputy = false;
                if sleepers.others > 0 {
                    self.call_others.notify_one();
                }
                return work;
            }
            sleepers.others += 1;
            sleepers = self.call_others.wait(sleepers).unwrap_or_else(PoisonError::into_inner);
            sleepers.others -= 1;
        }
    }

    /// The life of the deputy.
    fn watch<'a>(&self, mut sleepers: MutexGuard<'a, Sleepers>) -> (Work, MutexGuard<'a, Sleepers>) {
        let mut quiet = 0;
        let mut seen = 0;
        loop {
            if matches!(*lock(&self.table), Table::Over) {
                return (Work::Leave, sleepers);
            }
            let lent = self.lent.load(SeqCst);
            let is_lent = lent % 2 == 1;
            if is_lent && (lent == seen || self.eager.load(SeqCst) > 0) {
                if let Some(reactor) = self.take_from_table() {
                    return (Work::Lead(reactor), sleepers);
                }
            }
            quiet = if lent == seen && !is_lent { quiet + 1 } else { 0 };
            seen = lent;
            if quiet < QUIET_TICKS {
                sleepers =
                    self.call_deputy.wait_timeout(sleepers, TICK).map_or_else(|e| e.into_inner().0, |(guard, _)| guard);
                continue;
            }
            self.deputy_sleeps.store(true, SeqCst);
            // Lent before the flag was seen: the leader did not call, so look again.
            if self.lent.load(SeqCst) == seen {
                sleepers = self.call_deputy.wait(sleepers).unwrap_or_else(PoisonError::into_inner);
            }
            self.deputy_sleeps.store(false, SeqCst);
            quiet = 0;
        }
    }

    fn call_everybody(&self) {
        let _sleepers = lock(&self.sleepers);
        self.call_deputy.notify_all();
        self.call_others.notify_all();
    }

    /// The leader is about to enter the application.
    pub(super) fn lend(&self, reactor: Box<Reactor>) {
        *lock(&self.table) = Table::Lent(reactor);
        self.lent.fetch_add(1, SeqCst);
        if self.deputy_sleeps.load(SeqCst) || self.eager.load(SeqCst) > 0 {
            let _sleepers = lock(&self.sleepers);
            self.call_deputy.notify_one();
        }
    }

    /// Whether the handler that begins now is to be watched.
    pub(super) fn wants_sample(&self) -> bool {
        self.handlers.fetch_add(1, Relaxed) % SAMPLE == 0
    }

    /// A watched handler did not use the processor for so long. While handlers wait (for a database, say), others can
    /// run: the deputy is woken at once instead of after a tick. While they compute, it would only be in the way.
    pub(super) fn learn(&self, waited: Duration) {
        let eager = self.eager.load(SeqCst);
        let next = if waited >= LONG_WAIT { EAGER_FOR } else { eager.saturating_sub(1) };
        // Two threads may learn at once, and one of them in vain: it is a guess anyway.
        self.eager.store(next, SeqCst);
    }

    pub(super) fn take_from_table(&self) -> Option<Box<Reactor>> {
        let mut table = lock(&self.table);
        match std::mem::replace(&mut *table, Table::Taken) {
            Table::Lent(reactor) => {
                self.lent.fetch_add(1, SeqCst);
                Some(reactor)
            }
            elsewhere @ (Table::Taken | Table::Over) => {
                *table = elsewhere;
                None
            }
        }
    }

    /// A worker gives a wire back to whoever has the reactor.
    pub(super) fn give_back(&self, away: Away, verdict: Verdict) {
        if verdict == Verdict::Request && self.room() > 0 {
            self.queue(away);
            self.context.row.ring_if_short();
            self.press_readers();
            return;
        }
        self.returned.push((away, verdict), |_| ());
        if self.polling.load(SeqCst) {
            self.wake_reactor();
        }
    }
}
