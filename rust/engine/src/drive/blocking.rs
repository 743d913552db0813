//! The blocking driver: a thread accepts one connection and drives it from accept to close.
//!
//! Accepting is a role too: one idle thread of a child waits at the listening sockets, the others wait for the role, so
//! a new client wakes one thread of a child and not all. A waiting thread is woken by its socket, by its deadline, by a
//! word to the child (each thread has a wake-up of its own, since all have to look), and (the only thread of a prefork
//! child) by what its supervisor watches.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::accept::{EXHAUSTED_REST, IDLE_ENOUGH, gives_way, idle_enough, look_away};
use super::duty::{Duty, Word};
use super::overdue::Watch;
use super::seat::{Seat, Waiting};
use super::wire::{Scratch, Verdict, Wire};
use super::{Batch, Context, Exchange, Gateway, Interrupted, Supervisor, Worn};
use crate::connection::Stage;
#[cfg(target_os = "linux")]
use crate::net::Gate;
use crate::net::{Accepted, Interest, Listeners, Ready, Waiter, Wake};
use crate::scoreboard::Capacity;

/// How long a thread may go on without a wait before it looks up whether its supervisor is wanted: a client whose next
/// request is always there already would otherwise keep the only thread of a child from hearing its parent.
const LOOKS_UP_AFTER: Duration = Duration::from_millis(10);

/// The driver of the prefork and worker MPMs. Shared by the threads of one child.
pub struct BlockingDriver {
    gateway: Arc<dyn Gateway>,
    context: Arc<Context>,
    listeners: Listeners,
    watch: Watch,
    accepting: Mutex<()>,
    /// One for each thread.
    wakes: Vec<Wake>,
    left: AtomicUsize,
}

impl std::fmt::Debug for BlockingDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockingDriver").field("threads", &self.wakes.len()).finish_non_exhaustive()
    }
}

/// Why a thread stops serving.
enum Stop {
    Over,
    Interrupted,
    Failed(io::Error),
}

impl BlockingDriver {
    /// Prepares to serve `listeners` with `threads` threads.
    ///
    /// # Errors
    /// When the system has no descriptors for a wake-up, or no thread.
    pub fn new(
        gateway: Arc<dyn Gateway>,
        listeners: Listeners,
        context: Arc<Context>,
        threads: usize,
    ) -> io::Result<Self> {
        let watch = Watch::begin(&gateway, &context, threads)?;
        context.row.ready(Capacity::connections(threads));
        Ok(Self {
            gateway,
            context,
            listeners,
            watch,
            accepting: Mutex::new(()),
            wakes: (0..threads).map(|_| Wake::new()).collect::<io::Result<_>>()?,
            left: AtomicUsize::new(0),
        })
    }

    /// Stops accepting (if `sweep`: when nobody waits in the kernel's queue any more); answers what has been read; `run`
    /// then returns. Any thread, any number of times; without `sweep` it ends a sweep.
    pub fn retire(&self, sweep: bool) {
        self.take(if sweep { Word::Sweep } else { Word::Leave });
    }

    /// Goes on accepting, and ends every connection with its answer. Any thread, any number of times.
    pub fn part(&self) {
        self.take(Word::Part);
    }

    /// Stops accepting and ends every connection with its answer; the threads stay. Any thread, any number of times.
    pub fn rest(&self) {
        self.take(Word::Rest);
    }

    /// Serves again after `rest`. True if the driver accepts now, false if it has been told to retire.
    pub fn resume(&self) -> bool {
        self.take(Word::Resume);
        self.context.orders.duty().accepts()
    }

    /// The bound of the child's life that has been reached; the driver goes on serving.
    pub fn worn(&self) -> Option<Worn> {
        self.context.wear.worn()
    }

    fn take(&self, word: Word) {
        if self.context.orders.take(word, &self.context.row) {
            for wake in &self.wakes {
                wake.wake();
            }
        }
    }

    /// Serves as thread `thread` (0 to `threads` - 1) until retired, or until `supervisor` interrupts. `watch` is the
    /// descriptor that the supervisor attends to.
    ///
    /// # Errors
    /// When the system cannot poll, or there is no such thread.
    pub fn run(
        &self,
        thread: usize,
        watch: Option<BorrowedFd<'_>>,
        supervisor: &mut dyn Supervisor,
    ) -> io::Result<Result<(), Interrupted>> {
        let no_such_thread =
            || io::Error::new(io::ErrorKind::InvalidInput, format!("the driver has no thread {thread}"));
        let waiter = Waiter { wake: Some(self.wakes.get(thread).ok_or_else(no_such_thread)?), watch };
        let seat = self.watch.seat(thread).ok_or_else(no_such_thread)?;
        let door = Door::new(self, &waiter)?;
        let mut lane = Lane {
            driver: self,
            thread,
            seat,
            waiter,
            door,
            supervisor,
            scratch: Scratch::default(),
            optimistic: false,
            looked_up: Instant::now(),
        };
        let stop = loop {
            match lane.accept().and_then(|mut wire| {
                let served = lane.serve(&mut wire);
                self.context.row.closed();
                served
            }) {
                Ok(()) => {}
                Err(stop) => break stop,
            }
        };
        if self.left.fetch_add(1, SeqCst) + 1 == self.wakes.len() {
            if let Some(log) = &self.context.access_log {
                log.close();
            }
        }
        match stop {
            Stop::Over => Ok(Ok(())),
            Stop::Interrupted => Ok(Err(Interrupted)),
            Stop::Failed(error) => Err(error),
        }
    }
}

/// How a wait for a client who has a thread has ended.
enum Waited {
    /// Its socket may be ready.
    Ready,
    /// Another client needs the thread.
    Wanted,
    /// Something else has happened, or the time is over.
    InVain,
}

impl Waited {
    fn of(ready: bool) -> Self {
        if ready { Self::Ready } else { Self::InVain }
    }
}

/// How a thread waits for clients.
enum Door {
    /// The only thread of a child, at the only socket: one child is woken for each client.
    #[cfg(target_os = "linux")]
    Exclusive(Gate),
    /// All children are woken, and the least loaded accepts; who is late finds nobody, and sleeps again.
    Shared,
}

impl Door {
    #[cfg(target_os = "linux")]
    fn new(driver: &BlockingDriver, waiter: &Waiter<'_>) -> io::Result<Self> {
        // Whoever is woken for a client of one socket may accept that of another, for which nobody else was woken then.
        if driver.wakes.len() > 1 || driver.listeners.count() > 1 {
            return Ok(Self::Shared);
        }
        Gate::new(&driver.listeners, waiter).map(Self::Exclusive)
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unnecessary_wraps, reason = "the Linux twin can fail")]
    fn new(_driver: &BlockingDriver, _waiter: &Waiter<'_>) -> io::Result<Self> {
        Ok(Self::Shared)
    }
}

/// One thread's way through the driver.
struct Lane<'a> {
    driver: &'a BlockingDriver,
    thread: usize,
    seat: &'a Arc<Seat>,
    waiter: Waiter<'a>,
    door: Door,
    supervisor: &'a mut dyn Supervisor,
    scratch: Scratch,
    /// The last look at a kept-alive socket without a wait found a request: look again before waiting.
    optimistic: bool,
    /// When it was last found out what else wants the thread.
    looked_up: Instant,
}

impl Lane<'_> {
    /// Waits for any of `sockets`; then lets the supervisor attend to what concerns it.
    fn wait(&mut self, sockets: &[BorrowedFd<'_>], interest: Interest, until: Option<Instant>) -> Result<bool, Stop> {
        let ready = self.waiter.wait(sockets, interest, until);
        self.attend(ready)
    }

    /// Waits at most until `deadline` for the next request on `socket`, and, after a while and if no thread of the server is
    /// free, for somebody who would need this one.
    ///
    /// While threads are free, newcomers wake those and not the ones that wait here; so it is looked at now and then
    /// whether there still are. That ticks, but not for longer than a connection is kept alive.
    fn wait_for_request(
        &mut self,
        socket: BorrowedFd<'_>,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Result<Waited, Stop> {
        let driver = self.driver;
        let context = &*driver.context;
        let Some(deadline) = deadline else {
            return self.wait(&[socket], Interest::Receive, None).map(Waited::of);
        };
        let idle_enough = idle_enough(deadline, context.protocol.timeouts.keep_alive).filter(|from| *from > now);
        let until = Some(idle_enough.unwrap_or(now + IDLE_ENOUGH).min(deadline));
        let is_wanted = || context.orders.duty().accepts() && !context.row.somebody_is_idle();
        if idle_enough.is_some() || !is_wanted() {
            return self.wait(&[socket], Interest::Receive, until).map(Waited::of);
        }
        let all: Vec<_> = std::iter::once(socket).chain(driver.listeners.iter().map(AsFd::as_fd)).collect();
        if !self.wait(&all, Interest::Receive, until)? {
            return Ok(Waited::InVain);
        }
        // Whoever waited has perhaps woken others, too, and one of those has been faster.
        Ok(if is_wanted() && self.somebody_waits() { Waited::Wanted } else { Waited::Ready })
    }

    /// Waits for a client.
    fn wait_for_client(&mut self) -> Result<bool, Stop> {
        let ready = match &self.door {
            #[cfg(target_os = "linux")]
            Door::Exclusive(gate) => gate.wait(&self.waiter),
            Door::Shared => {
                let listeners: Vec<BorrowedFd<'_>> = self.driver.listeners.iter().map(AsFd::as_fd).collect();
                self.waiter.wait(&listeners, Interest::Receive, None)
            }
        };
        self.attend(ready)
    }

    /// Leaves clients alone until `until`, or until something else happens.
    fn pause(&mut self, until: Option<Instant>) -> Result<(), Stop> {
        let ready = self.waiter.wait(&[], Interest::Receive, until);
        self.attend(ready).map(drop)
    }

    fn attend(&mut self, ready: io::Result<Ready>) -> Result<bool, Stop> {
        let ready = ready.map_err(Stop::Failed)?;
        self.looked_up = Instant::now();
        if let Some(attention) = ready.attention {
            self.supervisor.attend(attention).map_err(|Interrupted| Stop::Interrupted)?;
        }
        Ok(ready.waited)
    }

    /// Lets the supervisor attend to what has come up, if the last wait was long ago.
    fn look_up(&mut self, now: Instant) -> Result<(), Stop> {
        if self.waiter.watch.is_none() || now.saturating_duration_since(self.looked_up) < LOOKS_UP_AFTER {
            return Ok(());
        }
        self.pause(Some(now))
    }

    /// Waits for the accepting role, then for a client.
    fn accept(&mut self) -> Result<Box<Wire>, Stop> {
        let driver = self.driver;
        let context = &*driver.context;
        let _role = driver.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut paused_until: Option<Instant> = None;
        let mut looked_away = false;
        loop {
            let duty = context.orders.duty();
            paused_until = paused_until.filter(|until| Instant::now() < *until);
            match duty {
                Duty::Leaving => return Err(Stop::Over),
                Duty::Resting => {
                    self.pause(None)?;
                    continue;
                }
                Duty::Serving | Duty::Parting | Duty::Sweeping if paused_until.is_some() => {
                    self.pause(paused_until)?;
                    continue;
                }
                Duty::Sweeping => {}
                // Whoever was woken for a client accepts it, whatever the duty is by then: no other may have been woken.
                Duty::Serving | Duty::Parting => {
                    if !self.wait_for_client()? {
                        continue;
                    }
                    if !looked_away {
                        let fewest = || context.row.fewest_connections_elsewhere();
                        if let Some(away) = look_away(context.row.connections(), fewest) {
                            looked_away = true;
                            paused_until = Some(Instant::now() + away);
                            continue;
                        }
                    }
                }
            }
            match driver.listeners.accept() {
                Accepted::Client(socket, endpoints) => {
                    let now = Instant::now();
                    let Some(wire) = Wire::admit(socket, endpoints, now, &mut self.scratch, context) else {
                        continue;
                    };
                    context.row.accepted();
                    context.row.ring_if_short();
                    context.wear.accepted();
                    return Ok(Box::new(wire));
                }
                Accepted::Nobody | Accepted::Closed if duty == Duty::Sweeping => driver.take(Word::Swept),
                Accepted::Nobody => looked_away = false,
                Accepted::Lost => {}
                Accepted::Exhausted(error) => {
                    context.error_log.client_line(|| format!("cannot accept for a moment: {error}"));
                    paused_until = Some(Instant::now() + EXHAUSTED_REST);
                }
                // This child is about to hear that the server stops.
                Accepted::Closed => paused_until = Some(Instant::now() + EXHAUSTED_REST),
            }
        }
    }

    /// Drives one connection to its end.
    fn serve(&mut self, wire: &mut Wire) -> Result<(), Stop> {
        let driver = self.driver;
        let context = &*driver.context;
        loop {
            let now = Instant::now();
            self.look_up(now)?;
            context.orders.duty().tell(&mut wire.connection, now);
            let mut verdict = wire.proceed(now, &mut self.scratch, context);
            while verdict == Verdict::Request {
                verdict = self.answer(wire)?;
            }
            match verdict {
                Verdict::Again => continue,
                Verdict::Close => break,
                Verdict::Wait | Verdict::Request => {}
            }
            let stage = wire.connection.stage();
            context.row.stage(self.thread, Some(stage));
            if stage == Stage::KeepAlive && self.optimistic {
                self.optimistic = false;
                wire.readable = true;
                continue;
            }
            let deadline = wire.connection.deadline();
            let began = Instant::now();
            let waited = if stage == Stage::KeepAlive {
                self.wait_for_request(wire.socket.as_fd(), began, deadline)?
            } else {
                Waited::of(self.wait(&[wire.socket.as_fd()], wire.interest(), deadline)?)
            };
            let now = Instant::now();
            match waited {
                Waited::Ready => {
                    wire.readable = true;
                    // It was there already: under load the next one is likely to be, too.
                    self.optimistic = stage == Stage::KeepAlive && now - began < Duration::from_micros(2);
                    // A socket that is always ready does not make its time endless.
                    if deadline.is_none_or(|deadline| now < deadline) {
                        continue;
                    }
                }
                Waited::Wanted if wire.give_up(now, &mut self.scratch, context) == Verdict::Close => break,
                Waited::Wanted => continue,
                Waited::InVain => {}
            }
            if deadline.is_some_and(|deadline| deadline <= now)
                && wire.expire(now, &mut self.scratch, context) == Verdict::Close
            {
                break;
            }
        }
        context.row.stage(self.thread, None);
        Ok(())
    }

    /// Whether a client waits that no thread of this child is about to accept.
    fn somebody_waits(&self) -> bool {
        let driver = self.driver;
        // Who has the role of accepting will accept.
        let Ok(_role) = driver.accepting.try_lock() else {
            return false;
        };
        driver.listeners.somebody_waits()
    }

    /// Lets the application answer the complete request of `wire`.
    fn answer(&mut self, wire: &mut Wire) -> Result<Verdict, Stop> {
        let driver = self.driver;
        let context = &*driver.context;
        let now = Instant::now();
        self.look_up(now)?;
        context.row.stage(self.thread, Some(Stage::Handler));
        context.row.entered();
        if gives_way(wire, || self.somebody_waits()) {
            wire.connection.retire(now);
        }
        wire.begin_answer(now, context);
        let waiting = Waiting::begin(&mut *wire, self.seat, now);
        let mut one =
            One { waiting: Some(waiting), wire: None, out: &mut self.scratch.out, context, seat: self.seat, now };
        driver.gateway.serve(&mut one);
        drop(one);
        context.row.left();
        wire.end_answer(&mut self.scratch.out);
        Ok(wire.complete(Instant::now(), &mut self.scratch, context))
    }
}

/// A batch of one request. Its answer is sent after the gateway has returned, detached from the interpreter.
struct One<'a> {
    /// Until the gateway asks for it.
    waiting: Option<Waiting<'a, &'a mut Wire>>,
    wire: Option<&'a mut Wire>,
    out: &'a mut Vec<u8>,
    context: &'a Context,
    seat: &'a Arc<Seat>,
    now: Instant,
}

impl Batch for One<'_> {
    fn next(&mut self) -> Option<Exchange<'_>> {
        let (wire, in_time) = self.waiting.take()?.end();
        self.wire = wire.filter(|_| in_time.is_ok());
        let wire = self.wire.as_deref_mut()?;
        Some(Exchange::new(wire, self.out, self.context, self.seat, self.now))
    }
}
