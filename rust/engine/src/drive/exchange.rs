//! One request with its response, as the gateway sees it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use super::answer::Progress;
use super::contention::{Contention, Waited};
use super::overload::stays_outside;
use super::readers::{self, Look};
use super::seat::Seat;
use super::wire::Wire;
use super::{Body, Context, Duty, Spool};
use crate::connection::{BadResponse, Finished, Head, ResponseHead};
use crate::http::Reject;
use crate::net::{Endpoints, Sent, Waiter};
use crate::timeouts::{Press, out_of_patience};

/// The client has gone, or its answer cannot be held: stop making it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// The block went beyond the declared Content-Length; what is too much was left out.
    pub excess: bool,
}

/// Blocks of at least this many bytes are offered to the socket where they lie instead of being copied first.
const LARGE: usize = 32 * 1024;

/// See the module's first line. Whoever has it owns the connection for as long.
#[derive(Debug)]
pub struct Exchange<'a> {
    pub(super) wire: &'a mut Wire,
    pub(super) out: &'a mut Vec<u8>,
    pub(super) context: &'a Context,
    /// Where the thread that answers holds the client: whether others need it.
    pub(super) contention: Option<&'a Contention>,
    pub(super) seat: &'a Arc<Seat>,
    /// When the request was given out, until that was of use.
    pub(super) begun: Option<Instant>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        wire: &'a mut Wire,
        out: &'a mut Vec<u8>,
        context: &'a Context,
        contention: Option<&'a Contention>,
        seat: &'a Arc<Seat>,
        now: Instant,
    ) -> Self {
        seat.begin();
        Self { wire, out, context, contention, seat, begun: Some(now) }
    }

    /// Where the thread sits that has the exchange.
    #[must_use]
    pub fn seat(&self) -> &'a Arc<Seat> {
        self.seat
    }

    /// The thread is back from the application for good. Tells whether it was too late, which is true once.
    pub fn settle(&mut self) -> bool {
        self.seat.settle()
    }

    /// The request's head.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.wire.connection.head()
    }

    /// Both ends of the connection.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.wire.endpoints
    }

    /// Bytes of the request's body, counted.
    #[must_use]
    pub fn body_length(&self) -> u64 {
        self.wire.body.length()
    }

    /// Takes the request's body; it may outlive the exchange.
    #[must_use]
    pub fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.wire.body)
    }

    /// Begins the response head with a status such as `200 OK`; nothing is sent before the head is finished.
    ///
    /// # Errors
    /// When the status is not one that an application may send.
    pub fn respond(&mut self, status: &[u8]) -> Result<ResponseHead<'_>, BadResponse> {
        let code = status.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        self.wire.noted.status = code.and_then(|code| code.parse().ok()).unwrap_or(0);
        let duty = self.context.orders.duty();
        if duty != Duty::Serving {
            duty.tell(&mut self.wire.connection, Instant::now());
        }
        let mut head = self.wire.connection.respond(status, self.out)?;
        if self.context.server_timing {
            head.field(b"Server-Timing", self.wire.noted.timing(Instant::now()).as_bytes())?;
        }
        Ok(head)
    }

    /// Whether a response head has been written.
    #[must_use]
    pub fn responding(&self) -> bool {
        self.wire.connection.responding()
    }

    /// Adds a block to the answer. Never waits; what the socket does not take is held.
    pub fn queue(&mut self, block: &[u8]) -> Queued {
        let frame = self.wire.connection.frame(block.len());
        self.wire.expect_length(self.wire.noted.bytes.saturating_add(frame.take as u64));
        self.out.extend_from_slice(&frame.before);
        self.queue_bytes(&block[..frame.take]);
        self.out.extend_from_slice(frame.after);
        self.wire.noted.bytes += frame.take as u64;
        Queued { excess: frame.excess }
    }

    fn queue_bytes(&mut self, mut block: &[u8]) {
        if self.wire.lost {
            return;
        }
        if block.len() < LARGE {
            self.out.extend_from_slice(block);
            return;
        }
        // A failure shows in `lost`, which `flush` and the driver look at.
        if self.wire.send(self.out, Instant::now(), self.context) == Progress::Done {
            while !block.is_empty() {
                match self.wire.socket.send(block) {
                    Sent::Bytes(n) => block = &block[n..],
                    Sent::Blocked => break,
                    Sent::Gone => {
                        self.wire.lost = true;
                        return;
                    }
                }
            }
        }
        if !block.is_empty() && !self.wire.lost {
            self.wire.hold_block(block, Instant::now(), self.context);
        }
    }

    /// Whether more is held than there is room for: `flush` would wait.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.wire.answer.debt() > 0
    }

    /// Sends what the socket takes. When more is held than `response_limit`, or than the budgets have room for, waits for the
    /// client until that has changed or the client's time is up: call it detached from the interpreter.
    ///
    /// # Errors
    /// `Gone` when nothing more can be sent.
    pub fn flush(&mut self) -> Result<(), Gone> {
        let Spool { response_limit, response_memory, .. } = self.context.spool;
        let mut progress = self.send_on();
        if progress == Progress::Blocked {
            let held = self.wire.answer.held();
            // What is written to a file for a client whose thread others need is written in vain, most of the time.
            let pressed =
                held > response_memory && self.contention.is_some_and(|contention| contention.is_wanted(self.context));
            if pressed || held > response_limit || self.owes() {
                progress = self.wait_for_reader(if pressed { response_memory } else { response_limit / 2 })?;
            }
        }
        if progress == Progress::Gone { Err(Gone) } else { Ok(()) }
    }

    /// Waits until no more than `enough` is held, within the budgets; or until the client's time is up, or another client
    /// needs this thread and this one is behind.
    fn wait_for_reader(&mut self, enough: u64) -> Result<Progress, Gone> {
        self.wire.await_reader(Instant::now());
        let others = match self.contention {
            Some(contention) => Others::Waiting(contention),
            None => Others::Asking(self.context.readers.attend(Instant::now()).map_err(|_| Gone)?),
        };
        let mut progress = Progress::Blocked;
        while progress == Progress::Blocked && (self.wire.answer.held() > enough || self.owes()) {
            match others.wait(self.wire, self.context) {
                Ok(Waited::Ready) => progress = self.send_on(),
                Ok(Waited::InVain) if !self.wire.too_slow(Instant::now()) => {}
                Ok(Waited::Wanted(press)) => {
                    let now = Instant::now();
                    if others.must_give_way(self.wire, press, now) {
                        self.wire.break_off(now, "others wait for its thread", self.context);
                        return Err(Gone);
                    }
                }
                Ok(Waited::InVain) | Err(_) => {
                    self.wire.lost = true;
                    return Err(Gone);
                }
            }
        }
        self.wire.connection.enter_handler(Instant::now());
        Ok(progress)
    }

    /// Sends until the socket takes nothing more: this thread has nobody else to turn to.
    fn send_on(&mut self) -> Progress {
        loop {
            let progress = self.wire.send(self.out, Instant::now(), self.context);
            if progress != Progress::Paused {
                return progress;
            }
        }
    }

    /// Adds `length` bytes of a regular file, from `offset`, as one block; the kernel copies them to the socket.
    ///
    /// # Errors
    /// `Gone` when nothing more can be sent.
    pub fn send_file(&mut self, file: OwnedFd, offset: u64, length: u64) -> Result<(), Gone> {
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        let frame = self.wire.connection.frame(whole);
        self.out.extend_from_slice(&frame.before);
        self.wire.hold(self.out, Instant::now(), self.context);
        self.wire.answer.push_file(file, offset, frame.take as u64);
        self.out.extend_from_slice(frame.after);
        self.wire.noted.bytes += frame.take as u64;
        if self.wire.lost { Err(Gone) } else { Ok(()) }
    }

    /// Ends the answer.
    pub fn finish(&mut self) -> Finished {
        self.wire.connection.finish(self.out)
    }

    /// The answer cannot be completed: the client will see that it is broken.
    pub fn break_off(&mut self) {
        self.wire.connection.break_off();
    }

    /// Gives a whole small error answer instead of the application's, or breaks the answer off if it has begun.
    pub fn refuse(&mut self, status: u16) {
        if self.responding() {
            self.break_off();
        } else {
            self.wire.noted.status = status;
            self.wire.connection.reject(&Reject::new(status, "the application failed"), self.out);
        }
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        self.seat.settle();
    }
}

/// Who else may need the thread that waits for a reader.
enum Others<'a> {
    /// Clients in the kernel's queue: a thread of the blocking driver.
    Waiting(&'a Contention),
    /// Complete requests of this child: a thread of the reactor.
    Asking(readers::Attendance<'a>),
}

impl Others<'_> {
    fn wait(&self, wire: &mut Wire, context: &Context) -> io::Result<Waited> {
        let attendance = match self {
            Self::Waiting(contention) => {
                let alone = Waiter { wake: None, watch: None };
                return contention.wait(&alone, wire, context).map(|(waited, _)| waited);
            }
            Self::Asking(attendance) => attendance,
        };
        let now = Instant::now();
        let since = wire.behind_since(now);
        let since = if stays_outside(wire, now, context) { since.min(out_of_patience(now)) } else { since };
        let Look::Stay(look_again) = attendance.look(since, context.row.short_of_threads(), now) else {
            wire.reader.gave_way = true;
            return Ok(Waited::Wanted(Press::LIGHTEST));
        };
        let until = wire.connection.deadline().into_iter().chain(look_again).min();
        attendance.wait(wire.socket.as_fd(), until).map(Waited::of)
    }

    /// Now that others need the thread.
    fn must_give_way(&self, wire: &mut Wire, press: Press, now: Instant) -> bool {
        match self {
            Self::Waiting(_) => wire.in_the_way(press, now),
            Self::Asking(_) => true,
        }
    }
}
