//! The blocking driver: a thread accepts one connection and drives it from accept to close.
//!
//! Accepting is a role too: one idle thread of a child waits at the listening sockets, the others wait for the role, so
//! a new client wakes one thread of a child and not all. A waiting thread is woken by its socket, by its deadline, by a
//! word to the child (each thread has a wake-up of its own, since all have to look), and (the only thread of a prefork
//! child) by what its supervisor watches.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::accept::{EXHAUSTED_REST, gives_way, look_away};
use super::contention::{Contention, Waited};
use super::duty::{Duty, Word};
use super::overdue::Watch;
use super::seat::{Seat, Waiting};
use super::wire::{Scratch, Verdict, Wire};
use super::{Batch, Context, Exchange, Gateway, Interrupted, Supervisor, Worn};
use crate::connection::Stage;
#[cfg(target_os = "linux")]
use crate::net::Gate;
use crate::net::{Accepted, Attention, Interest, Listeners, Waiter, Wake};
use crate::scoreboard::Capacity;
use crate::timeouts::Press;

/// How long a thread may go on without a wait before it looks up whether its supervisor is wanted: a client whose next
/// request is always there already would otherwise keep the only thread of a child from hearing its parent.
const LOOKS_UP_AFTER: Duration = Duration::from_millis(10);

/// The driver of the prefork and worker MPMs. Shared by the threads of one child.
pub struct BlockingDriver {
    gateway: Arc<dyn Gateway>,
    context: Arc<Context>,
    contention: Contention,
    watch: Watch,
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
            contention: Contention::new(listeners),
            watch,
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
                drop(wire);
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
        if driver.wakes.len() > 1 || driver.contention.listeners.count() > 1 {
            return Ok(Self::Shared);
        }
        Gate::new(&driver.contention.listeners, waiter).map(Self::Exclusive)
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
    /// Waits for the client of `wire`; then lets the supervisor attend to what concerns it.
    fn wait(&mut self, wire: &Wire) -> Result<Waited, Stop> {
        let driver = self.driver;
        let (waited, attention) = driver.contention.wait(&self.waiter, wire, &driver.context).map_err(Stop::Failed)?;
        self.attend(attention)?;
        Ok(waited)
    }

    /// Waits for a client.
    fn wait_for_client(&mut self) -> Result<bool, Stop> {
        let ready = match &self.door {
            #[cfg(target_os = "linux")]
            Door::Exclusive(gate) => gate.wait(&self.waiter),
            Door::Shared => {
                let listeners = self.driver.contention.listeners.iter();
                let listeners: Vec<_> = listeners.map(|one| (one.as_fd(), Interest::Receive)).collect();
                self.waiter.wait(&listeners, None)
            }
        };
        let ready = ready.map_err(Stop::Failed)?;
        self.attend(ready.attention)?;
        Ok(ready.waited)
    }

    /// Leaves clients alone until `until`, or until something else happens.
    fn pause(&mut self, until: Option<Instant>) -> Result<(), Stop> {
        let ready = self.waiter.wait(&[], until).map_err(Stop::Failed)?;
        self.attend(ready.attention)
    }

    /// After each wait.
    fn attend(&mut self, attention: Option<Attention>) -> Result<(), Stop> {
        self.looked_up = Instant::now();
        match attention {
            Some(attention) => self.supervisor.attend(attention).map_err(|Interrupted| Stop::Interrupted),
            None => Ok(()),
        }
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
        let _role = driver.contention.accepting.lock().unwrap_or_else(PoisonError::into_inner);
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
            match driver.contention.listeners.accept() {
                Accepted::Client(socket, endpoints) => {
                    let now = Instant::now();
                    let Some(mut wire) = Wire::admit(socket, endpoints, now, &mut self.scratch, context) else {
                        continue;
                    };
                    context.row.accepted();
                    context.row.ring_if_short();
                    context.wear.accepted();
                    // Most clients send at once.
                    wire.readable = true;
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
        let mut verdict = self.advance(wire)?;
        if verdict == Verdict::Wait {
            verdict = self.welcome(wire);
        }
        loop {
            verdict = match verdict {
                Verdict::Again | Verdict::Request => self.advance(wire)?,
                Verdict::Wait => self.await_client(wire)?,
                Verdict::Close => break,
            };
        }
        self.driver.context.row.stage(self.thread, None);
        Ok(())
    }

    /// The first look at `wire` is over, and its client has not sent all of its request. If it had the time to do so in the
    /// kernel's queue, and others are still there, it makes way at once: that it waited itself says that the queue is long.
    fn welcome(&mut self, wire: &mut Wire) -> Verdict {
        let BlockingDriver { context, contention, .. } = self.driver;
        let now = Instant::now();
        wire.count_the_queue(now);
        // Readers are not here to be hurried: they have but begun.
        let press = Press::LIGHTEST;
        let late = wire.connection.contended_deadline(press).is_some_and(|patience| patience <= now);
        if late && contention.is_wanted(context) {
            return wire.make_way(press, now, &mut self.scratch, context);
        }
        Verdict::Wait
    }

    /// Moves `wire` as far as it goes without waiting for its client.
    fn advance(&mut self, wire: &mut Wire) -> Result<Verdict, Stop> {
        let context = &*self.driver.context;
        let now = Instant::now();
        self.look_up(now)?;
        context.orders.duty().tell(&mut wire.connection, now);
        let mut verdict = wire.proceed(now, &mut self.scratch, context);
        while verdict == Verdict::Request {
            verdict = self.answer(wire)?;
        }
        Ok(verdict)
    }

    /// Waits for the client of `wire`, and acts on what ends the wait.
    fn await_client(&mut self, wire: &mut Wire) -> Result<Verdict, Stop> {
        let context = &*self.driver.context;
        let stage = wire.connection.stage();
        context.row.stage(self.thread, Some(stage));
        if stage == Stage::KeepAlive && self.optimistic {
            self.optimistic = false;
            wire.readable = true;
            return Ok(Verdict::Again);
        }
        let began = Instant::now();
        let waited = self.wait(wire)?;
        let now = Instant::now();
        if waited == Waited::Ready {
            wire.readable = true;
            // It was there already: under load the next one is likely to be, too.
            self.optimistic = stage == Stage::KeepAlive && now - began < Duration::from_micros(2);
        }
        Ok(match waited {
            Waited::Wanted(press) => wire.make_way(press, now, &mut self.scratch, context),
            // A socket that is always ready does not make its time endless.
            Waited::Ready | Waited::InVain if wire.connection.deadline().is_some_and(|deadline| deadline <= now) => {
                wire.expire(now, &mut self.scratch, context)
            }
            Waited::Ready | Waited::InVain => Verdict::Again,
        })
    }

    /// Lets the application answer the complete request of `wire`.
    fn answer(&mut self, wire: &mut Wire) -> Result<Verdict, Stop> {
        let driver = self.driver;
        let context = &*driver.context;
        let now = Instant::now();
        self.look_up(now)?;
        context.row.stage(self.thread, Some(Stage::Handler));
        context.row.entered();
        if gives_way(wire, || driver.contention.somebody_waits()) {
            wire.connection.retire(now);
        }
        wire.begin_answer(now, context);
        let waiting = Waiting::begin(&mut *wire, self.seat, now);
        let mut one = One {
            waiting: Some(waiting),
            wire: None,
            out: &mut self.scratch.out,
            context,
            contention: &driver.contention,
            seat: self.seat,
            now,
        };
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
    contention: &'a Contention,
    seat: &'a Arc<Seat>,
    now: Instant,
}

impl Batch for One<'_> {
    fn next(&mut self) -> Option<Exchange<'_>> {
        let (wire, in_time) = self.waiting.take()?.end();
        self.wire = wire.filter(|_| in_time.is_ok());
        let wire = self.wire.as_deref_mut()?;
        Some(Exchange::new(wire, self.out, self.context, Some(self.contention), self.seat, self.now))
    }
}
